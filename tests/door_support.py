"""Every way into a daemon: its ports, the paths of its HTTP port, and the same paths behind nginx."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hotmic.dialects.dialect import Frame
from hotmic.dialects.negotiate import GATEWAY_PATHS
from nginx_support import HOST, nginx_before
from reliability_support import health, series
from running import RunningDaemon
from tongue import TONGUES, Tongue

HANG = 60.0
FAR_SEGMENT, FAR_BUFFER = 1400, 4096
"""Bytes: a network's segments, where loopback's of 64 KiB make systems buffer megabytes, and a small receive buffer."""


class Door(NamedTuple):
    """An address, the dialect that is spoken there, and what it takes to come in."""

    uri: str
    dialect: str
    tls: ssl.SSLContext | None = None
    host: str = ""

    @property
    def place(self) -> tuple[str, int]:
        """Host and port to connect to."""
        parts = urlsplit(self.uri)
        return parts.hostname or "", parts.port or 0

    @property
    def name(self) -> str:
        """What a channel of its own is called."""
        return f"{'proxied' if self.tls else 'direct'}-{self.place[1]}-{self.dialect}".replace("_", "-")

    @property
    def target(self) -> str:
        """Path, and a query with a channel and a client of its own."""
        return f"{urlsplit(self.uri).path or '/'}?channel={self.name}&client_id={self.name}"

    def tongue(self) -> Tongue | None:
        """Return how clients speak here; ``None`` where they bring no sound."""
        return TONGUES[self.dialect](self.name) if self.dialect in TONGUES else None


def direct(daemon: RunningDaemon) -> list[Door]:
    """Return every port and path."""
    gateway = daemon.http.replace("http", "ws", 1)
    paths = [Door(gateway + path, dialect) for path, dialect in GATEWAY_PATHS.items()]
    return [Door(daemon.control, "control"), Door(daemon.audio, "audio"), *paths]


@contextmanager
def proxied(daemon: RunningDaemon, folder: Path, **swaps: str) -> Iterator[list[Door]]:
    """Run the shipped nginx.conf before a daemon that allows its host; yield every path behind it.

    Args:
        daemon: The daemon.
        folder: For nginx's files.
        swaps: Directives and what they say in place of what is shipped.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    folder.mkdir()
    with nginx_before(daemon, folder, **swaps) as port:
        origin = f"wss://127.0.0.1:{port}"
        yield [Door(origin + path, dialect, context, HOST) for path, dialect in GATEWAY_PATHS.items()]


@asynccontextmanager
async def entering(door: Door, query: str = "", **options: Any) -> AsyncIterator[ClientConnection]:
    """Open a WebSocket at a door, by default on a channel of its own."""
    netloc = door.host or urlsplit(door.uri).netloc
    target = urlsplit(door.uri).path + query if query else door.target
    uri = f"{'wss' if door.tls else 'ws'}://{netloc}{target}"
    host, port = door.place
    options = {"host": host, "port": port, "open_timeout": HANG, "ping_interval": None, "max_size": None} | options
    async with connect(uri, ssl=door.tls, **options) as connection:
        yield connection


async def close_code(connection: ClientConnection) -> int:
    """Read to the end of a connection; return the code in its close frame, 1006 where none came."""
    try:
        async with asyncio.timeout(HANG):
            while True:
                await connection.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006


class Deaf:
    """A WebSocket that is not read, on a network far away; blocking.

    Args:
        door: Where it comes in.
    """

    def __init__(self, door: Door) -> None:
        raw = socket.socket()
        raw.settimeout(HANG)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, FAR_BUFFER)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, FAR_SEGMENT)
        raw.connect(door.place)
        self._socket = door.tls.wrap_socket(raw) if door.tls else raw
        request = (
            f"GET {door.target} HTTP/1.1\r\nHost: {door.host or ':'.join(map(str, door.place))}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n"
        )
        self._socket.sendall(request.encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += self._socket.recv(1)
        assert answer.startswith(b"HTTP/1.1 101"), answer

    def say(self, message: Frame) -> None:
        """Send a message; raises ``OSError`` once the other side is gone."""
        first, payload = (0x81, message.encode()) if isinstance(message, str) else (0x82, message)
        size = len(payload)
        head = struct.pack("!BB", first, 0x80 | size) if size < 126 else struct.pack("!BBH", first, 0x80 | 126, size)
        self._socket.sendall(head + bytes(4) + payload)  # a mask of zeros costs nothing

    def read(self) -> tuple[int, int]:
        """Read to the end; return the bytes that had passed, and the code of the close frame, 1006 where none came."""
        heard = bytearray()
        with contextlib.suppress(OSError):  # one that was cut
            while piece := self._socket.recv(1 << 16):
                heard += piece
        size, at, code = len(heard), 0, 1006
        while at + 2 <= size:
            length, head = heard[at + 1], 2
            if length > 125:
                head = 4 if length == 126 else 10
                length = int.from_bytes(heard[at + 2 : at + head])
            if heard[at] == 0x88 and length >= 2 and at + head + length <= size:
                code = int.from_bytes(heard[at + head : at + head + 2])
            at += head + length
        return size, code

    def close(self) -> None:
        """End it."""
        self._socket.close()


def descriptors(daemon: RunningDaemon) -> Counter[str]:
    """Return what the daemon has open; connections and pipes by their kind alone."""
    found: Counter[str] = Counter()
    for file in Path(f"/proc/{daemon.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[str(file.readlink()).partition(":[")[0]] += 1
    return found


async def nothing_left(daemon: RunningDaemon, files: Counter[str]) -> None:
    """Wait until no session and no connection is left, and no descriptor more than there were before."""
    sessions = connections = 0.0
    left = Counter[str]()
    try:
        async with asyncio.timeout(HANG / 2):
            while True:
                sessions = (await health(daemon))["sessions"]
                connections, left = await series(daemon, "hotmic_connections"), descriptors(daemon) - files
                if not (sessions or connections or left):
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"left: {sessions} sessions, {connections} connections, {dict(left)}")
