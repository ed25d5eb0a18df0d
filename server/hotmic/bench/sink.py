"""A WebSocket server that does nothing with what it is sent: what a chunk costs the library and the system alone.

``python -m hotmic.bench.sink`` says where it listens and serves until it is ended. Event loop, library and its options
are those of the daemon; a ping is answered, so that a client can wait until all it sent has been taken.
"""

import asyncio
import contextlib
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hotmic.config.machine import new_loop


async def take(socket: ServerConnection) -> None:
    """Take all that comes."""
    with contextlib.suppress(ConnectionClosed):
        async for frame in socket:
            if frame == '{"type":"ping"}':
                await socket.send('{"type":"pong"}')


async def main() -> None:
    """Serve on a free port of loopback."""
    async with serve(take, "127.0.0.1", 0, compression=None, max_queue=8) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        for name in ("audio", "http"):
            sys.stdout.write(f"listening {name} ws://127.0.0.1:{port}\n")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        runner.run(main())
