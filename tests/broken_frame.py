"""WebSocket frames that break a rule of RFC 6455, and how a server answers them."""

import asyncio
import base64
import os
import ssl
import struct
from urllib.parse import urlsplit

MASK = b"\1\2\3\4"


def frame(first: int, payload: bytes, *, masked: bool = True, claimed: int | None = None) -> bytes:
    """Return a frame of RFC 6455, 5.2, whatever its first byte."""
    length = len(payload) if claimed is None else claimed
    bit = 0x80 if masked else 0
    if length < 126:
        head = bytes([first, bit | length])
    elif length < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    body = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload)) if masked else payload
    return head + (MASK if masked else b"") + body


def bad_frames() -> list[tuple[str, bytes, int]]:
    """Return what breaks a rule, the bytes, and the close code that says so."""
    text, binary, fin = 1, 2, 0x80
    found = [("unmasked", frame(fin | op, b"{}", masked=False), 1002) for op in (text, binary, 8, 9, 10)]
    found += [
        (f"reserved bits {rsv:#x}", frame(fin | rsv << 4 | op, payload), 1002)
        for rsv in range(1, 8)
        for op in (text, binary, 9)
        for payload in (b"", b"{}")
    ]
    found += [
        (f"opcode {op:#x}", frame(fin | op, bytes(size)), 1002)
        for op in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        for size in (0, 1, 10, 200)
    ]
    found += [("control in pieces", frame(op, b""), 1002) for op in (8, 9, 10)]
    found += [
        ("long control", frame(fin | op, bytes(size)), 1002) for op in (8, 9, 10) for size in (126, 127, 500, 70_000)
    ]
    found += [("nothing to go on with", frame(last, bytes(size)), 1002) for last in (0, fin) for size in (0, 50)]
    found += [("begun in the middle", frame(op, b"{") + frame(fin | other, b"}"), 1002) for op in (text, binary)
              for other in (text, binary)]  # fmt: skip
    found += [(f"close {code}", frame(fin | 8, struct.pack("!H", code)), 1002)
              for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535)]  # fmt: skip
    found += [("close of one byte", frame(fin | 8, b"\3"), 1002)]
    rubbish = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ab\x80", b"\xe2\x82")
    found += [("text that is none", frame(fin | text, data), 1007) for data in rubbish]
    found += [("text that ends early", frame(text, data) + frame(fin, b""), 1007) for data in rubbish]
    found += [("reason that is no text", frame(fin | 8, b"\x03\xe8" + data), 1007) for data in rubbish]
    found += [("too long", frame(fin | op, b"", claimed=size), 1009) for op in (text, binary)
              for size in ((1 << 20) + 1, 1 << 24, 1 << 32, (1 << 63) - 1)]  # fmt: skip
    found += [("too long in pieces", frame(op, bytes(1 << 20)) + frame(fin, b"xx"), 1009) for op in (text, binary)]
    return found


async def close_code(uri: str, data: bytes, *, tls: ssl.SSLContext | None = None, host: str = "") -> int:
    """Send bytes after a handshake; return the code in the close frame that comes before the end of the connection."""
    parts = urlsplit(uri)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
    try:
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {parts.path or '/'}?channel=bad HTTP/1.1\r\nHost: {host or parts.netloc}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        writer.write(data)
        code = 0
        async with asyncio.timeout(20):
            while head := await reader.read(2):
                size = head[1] & 0x7F
                if size == 126:
                    size = int.from_bytes(await reader.readexactly(2))
                payload = await reader.readexactly(size)
                if head[0] & 0xF == 8:
                    code = int.from_bytes(payload[:2])
        return code
    finally:
        writer.transport.abort()
