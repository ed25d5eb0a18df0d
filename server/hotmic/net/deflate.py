"""Compressed WebSocket frames (RFC 7692), on the paths whose clients may send them and nowhere else.

What is compressed costs memory and time to inflate, so it is no default. The limit on a message's size holds for what
it is inflated to: the library stops there.
"""

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.server import ServerProtocol

WINDOW_BITS, MEMORY_LEVEL = 12, 5
"""4 KiB of history and little working memory: one connection takes about 64 KiB more."""


def offer(protocol: ServerProtocol, *, is_offered: bool) -> None:
    """Let a handshake that is about to be answered agree on compression, or not."""
    factory = ServerPerMessageDeflateFactory(
        server_max_window_bits=WINDOW_BITS,
        client_max_window_bits=WINDOW_BITS,
        compress_settings={"memLevel": MEMORY_LEVEL},
    )
    protocol.available_extensions = [factory] if is_offered else []
