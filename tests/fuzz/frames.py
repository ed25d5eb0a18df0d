"""What comes on a connection before it is a message: handshakes, the headers in them, frames of RFC 6455, and forms."""

import contextlib
import struct
import zlib
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import msgspec
import structlog
from starlette.applications import Starlette
from starlette.datastructures import State
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from broken_frame import bad_frames, frame
from fuzz.parser import CODES, MARK, Parser, judge, pieces
from hotmic.config.token_file import TokenEntry, digest
from hotmic.dialects.multipart import FILE, MAX_FIELD_BYTES, FileReceived, FileStarted, MultipartForm
from hotmic.dialects.negotiate import GATEWAY_PATHS
from hotmic.dialects.openai_file import error_body, parse_fields
from hotmic.errors import HotmicError, PeerError
from hotmic.metrics import Metrics
from hotmic.net.deflate import WINDOW_BITS
from hotmic.net.listener import Listener
from hotmic.net.reception import Admission, Reception
from hotmic.net.security import Access, Tokens
from hotmic.net.upgrade import add_sockets

MAX_MESSAGE = 1 << 14
"""Bytes; less than the daemon takes, so that small inputs can be too large."""
TOKEN = "a-token-of-the-test"
_CLOSES = {PayloadTooBig: 1009, ProtocolError: 1002, UnicodeDecodeError: 1007}


def read(data: bytes) -> None:
    """Read bytes as what their first byte says."""
    if data:
        _KINDS[data[0] % len(_KINDS)](data[1:])


# frames


def read_frames(data: bytes) -> None:
    """Read frames as they come; where they are cut changes nothing."""
    whole, parts = _hear(data, b""), _hear(data, data[:2])
    assert whole == parts


def read_masked(data: bytes) -> None:
    """Read frames that are well made but for what is in them: first byte, whether it is packed, payload."""
    found = b""
    for part in data.split(MARK):
        first, kind, payload = part[:1] or b"\x81", part[1:2], part[2:]
        if kind == b"z":
            packer = zlib.compressobj(wbits=-WINDOW_BITS)
            payload = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        elif kind == b"0":
            packer = zlib.compressobj(wbits=-WINDOW_BITS)  # what packs best
            size = int.from_bytes(payload[:2], "big")
            payload = (packer.compress(bytes(size)) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
        found += frame(first[0], payload)
    _hear(found, b"")


def _hear(data: bytes, cuts: bytes) -> list[Any]:
    protocol = ServerProtocol(state=OPEN, max_size=MAX_MESSAGE)
    protocol.extensions = [PerMessageDeflate(True, True, WINDOW_BITS, WINDOW_BITS)] if len(data) % 2 else []
    heard: list[Any] = []
    message = sent = 0
    for piece in pieces(data, cuts):
        protocol.receive_data(piece)
        sent += sum(map(len, protocol.data_to_send()))
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            heard.append((event.opcode, event.fin, bytes(event.data)))
            if event.opcode < 8:
                message = (message if event.opcode == 0 else 0) + len(event.data)
                assert message <= MAX_MESSAGE
    if not protocol.eof_sent:
        protocol.receive_eof()
    assert sent <= len(data) + 256, "more was answered than asked"
    fault = protocol.parser_exc
    assert fault is None or isinstance(fault, (EOFError, *_CLOSES)), repr(fault)
    close = protocol.close_sent and protocol.close_sent.code
    if fault is not None and not isinstance(fault, EOFError) and protocol.close_rcvd is None:
        assert close == next(code for kind, code in _CLOSES.items() if isinstance(fault, kind)), repr(fault)
    return [*heard, close, type(fault)]


# handshakes


class Silent(Reception):
    """A reception that lets nobody stay."""

    async def serve(self, peer: object, admission: Admission) -> None:
        """Be told who came."""
        assert admission.dialect in GATEWAY_PATHS.values()


def _reception(*, has_tokens: bool) -> Silent:
    entries = [TokenEntry(name="t", sha256=digest(TOKEN).hex(), scopes=("speak", "listen"))] if has_tokens else []
    access = Access(
        host="127.0.0.1",
        tokens=Tokens.of(entries),
        allow_anonymous=True,
        allowed_hosts=("speech.example",),
        allowed_origins=("https://page.example",),
        trusted_proxies=("127.0.0.1", "10.0.0.0/8"),
        allowed_addresses=("127.0.0.1", "10.0.0.0/8", "192.0.2.0/24", "fd00::/8"),
        clock=lambda: 0.0,
    )
    return Silent("fuzz", SimpleNamespace(access=access, metrics=Metrics()), GATEWAY_PATHS)  # type: ignore[arg-type]


def _application(reception: Reception) -> Starlette:
    app = Starlette()
    add_sockets(app, reception)  # type: ignore[arg-type]
    return app


_RECEPTIONS = [_reception(has_tokens=has_tokens) for has_tokens in (False, True)]
_APPLICATIONS = [_application(reception) for reception in _RECEPTIONS]


def shake_hands(data: bytes) -> None:
    """Read a request as the control and audio ports do, then as the HTTP port does."""
    has_tokens = data[:1] == b"t"
    listener = Listener(_RECEPTIONS[has_tokens], setting="port", max_message=MAX_MESSAGE)
    protocol = ServerProtocol(
        max_size=MAX_MESSAGE,
        select_subprotocol=lambda protocol, _: protocol.admission.protocol,  # type: ignore[attr-defined]
    )
    protocol.receive_data(data[1:])
    for request in protocol.events_received():
        if not isinstance(request, Request) or protocol.eof_sent:  # what came with it broke the rules already
            continue
        socket: Any = SimpleNamespace(remote_address=("127.0.0.1", 9), protocol=protocol)
        with structlog.testing.capture_logs():
            refusal = listener._check(socket, request)
            if refusal is None:
                protocol.admission = socket.admission  # type: ignore[attr-defined]
                protocol.send_response(protocol.accept(request))
                assert not isinstance(protocol.handshake_exc, (UnicodeError, AttributeError)), repr(
                    protocol.handshake_exc
                )
            else:
                _judge_refusal(refusal.status_code, refusal.body)
                protocol.send_response(refusal)
            _upgrade(_APPLICATIONS[has_tokens], request)
    for answer in protocol.data_to_send():
        head, _, _ = answer.partition(b"\r\n\r\n")
        assert not answer or head.startswith(b"HTTP/1.1 "), answer
        assert b" 500 " not in head, answer


def _judge_refusal(status: int, body: bytes) -> None:
    assert status in (400, 403, 404, 503)
    told = msgspec.json.decode(body)
    assert told["type"] == "error"
    assert told["code"] in CODES
    assert told["message"]


def _upgrade(app: Starlette, request: Request) -> None:
    """Have Starlette take the request, as uvicorn hands it over."""
    path, _, query = request.path.partition("?")
    said: list[Mapping[str, Any]] = []

    async def send(message: Mapping[str, Any]) -> None:
        said.append(message)

    async def receive() -> Mapping[str, Any]:
        return {"type": "websocket.connect"}

    found = request.headers.raw_items()
    headers = [(name.lower().encode(), value.encode("latin-1", "surrogateescape")) for name, value in found]
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "scheme": "ws",
        "client": ("127.0.0.1", 9),
        "server": ("127.0.0.1", 8000),
        "root_path": "",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "subprotocols": [],
        "state": State(),
        "extensions": {"websocket.http.response": {}},
    }
    _drive(app(scope, receive, send))
    if said[0]["type"] == "websocket.http.response.start":
        _judge_refusal(said[0]["status"], b"".join(message.get("body", b"") for message in said[1:]))
    else:
        # A path that begins with no slash is none of a route, and Starlette closes.
        assert said[0]["type"] == ("websocket.accept" if path.startswith("/") else "websocket.close")


def _drive(work: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    with contextlib.suppress(StopIteration):
        work.send(None)
        raise AssertionError("it waits")


# forms


def read_form(data: bytes) -> None:
    """Read a form as it comes; where it is cut changes nothing of one that is complete.

    Before the first boundary it can: python-multipart passes over lines that begin there as far as a piece reaches.
    """
    kind, _, body = data[2:].partition(b"\n")
    whole, parts = (_form(kind.decode("latin-1"), body, cuts) for cuts in (b"", data[:2]))
    assert not whole or not parts or whole == parts


def _form(kind: str, body: bytes, cuts: bytes) -> list[Any]:
    told: list[Any] = []
    sound = b""
    try:
        form = MultipartForm(kind)
        for piece in pieces(body, cuts):
            form.receive_bytes(piece)
            for part in form.parts_to_read():
                if isinstance(part, FileReceived):
                    sound += part.data
                else:
                    assert isinstance(part, FileStarted)
        fields = form.fields
        assert len(sound) <= len(body)
        assert sum(len(name.encode()) + len(value.encode()) for name, value in fields) <= MAX_FIELD_BYTES
        assert all(name != FILE for name, _ in fields)
        if not form.is_complete:
            return []
        told += [fields, form.has_file, sound]
        parse_fields(fields, task="transcribe")
    except PeerError as error:
        judge(error)
        _judge_body(error)
    return told


def _judge_body(error: HotmicError) -> None:
    body = msgspec.json.decode(msgspec.json.encode(error_body(error)))["error"]
    assert body["code"] in CODES | {"invalid_value", "model_not_found"}


_KINDS: Sequence[Callable[[bytes], None]] = (read_frames, read_masked, shake_hands, read_form)


# where the search begins


def seeds() -> Sequence[bytes]:
    """Return frames good and broken, handshakes and forms."""
    broken = [data for _, data, _ in bad_frames() if len(data) < 300]
    good = (
        frame(0x81, b'{"type":"ping"}')
        + frame(0x82, bytes(300))
        + frame(0x89, b"x")
        + frame(1, b"{")
        + frame(0x80, b"}")
    )
    ends = frame(0x88, struct.pack("!H", 1000) + b"done")
    masked = MARK.join(
        (b"\x81-{}", b"\xc1z" + b"ab" * 200, b"\x82-" + bytes(9), b"\xc20\1\0", b"\x01-\xc3", b"\x80-\xa9")
    )
    bomb = MARK.join((b"\xc20\xff\xff", b"\x41z" + bytes(50), b"\x00z", b"\x80-"))
    found = [b"\0\0\0" + data for data in (*broken[::5], good + ends, good + good)]
    found += [b"\1" + masked, b"\1" + bomb]
    found += [b"\2" + flag + request for request in _requests() for flag in (b"n", b"t")]
    return [*found, *(b"\3\x20\5" + form for form in _forms())]


def _requests() -> Iterator[bytes]:
    always = (b"Host: localhost", b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13",
              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")  # fmt: skip
    more: Sequence[tuple[bytes, ...]] = (
        (), (b"Origin: https://page.example",), (b"Origin: null",), (b"Host: speech.example",),
        (b"Authorization: Bearer " + TOKEN.encode(),),
        (b"Authorization: Bearer " + TOKEN.encode(), b"Sec-WebSocket-Protocol: hotmic-token.other"),
        (b"Authorization: Bearer ek_0123456789abcdef",), (b"X-Forwarded-For: 192.0.2.9, 10.0.0.1",),
        (b"X-Forwarded-For: 10.0.0.3, nobody",), (b"Authorization: Basic eDp5",),
        (b"Sec-WebSocket-Protocol: hotmic-token." + TOKEN.encode() + b", chat",),
        (b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.ek_x",),
        (b"X-Forwarded-For: 203.0.113.7, 192.0.2.1:80, 10.0.0.2", b"Forwarded: for=192.0.2.1"),
        (b'Forwarded: for="[fd00::1%25eth0]:80";proto=https, For=10.0.0.1',),
        (b"X-Forwarded-For: [::ffff:192.0.2.1]:9",),
        (b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",),
        (b"Origin: http://[::1", b"Host: [::1"),
    )  # fmt: skip
    targets = [
        *(path.encode() for path in GATEWAY_PATHS), b"/ws/audio?channel=a&session=b&sample_rate=48000&model=m",
        b"/ws/transcription?client_id=x&token=" + TOKEN.encode(), b"/ws/transcription?token=",
        b"/ws/transcribe?channel=%20", b"/ws/audio?token=x&token=y", b"/%2e%2e//ws", b"/nothing", b"//[x",
    ]  # fmt: skip
    for number, headers in enumerate(more):
        target = targets[number % len(targets)]
        yield b"\r\n".join((b"GET " + target + b" HTTP/1.1", *always, *headers, b"", b""))
    for target in targets:
        yield b"\r\n".join((b"GET " + target + b" HTTP/1.1", *always, b"", b""))
    for host in (b"[::1", b"x/ws/audio?", b"\xe9", b"user@localhost", b"localhost:port", b"a, b"):
        yield b"\r\n".join((b"GET / HTTP/1.1", b"Host: " + host, *always[1:], b"", b""))


def _forms() -> Iterator[bytes]:
    def part(name: bytes, value: bytes) -> bytes:
        return b'--X\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + value + b"\r\n"

    disposition = b'--X\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n'
    file = disposition + b"Content-Type: audio/wav\r\n\r\nRIFF\r\n"
    fields = b"".join(part(*each) for each in (
        (b"model", b"m"), (b"language", b"en"), (b"response_format", b"verbose_json"), (b"temperature", b"0"),
        (b"timestamp_granularities[]", b"word"), (b"prompt", b"x"), (b"keywords[]", b"y"),
    ))  # fmt: skip
    odd = b"".join(part(*each) for each in ((b"model", b"\xff"), (b"stream", b"true"), (b"chunking_strategy", b"auto")))
    for body in (fields + file, file + fields, fields, odd + file, file + file, b""):
        yield b"multipart/form-data; boundary=X\n" + body + b"--X--\r\n"
    yield b"multipart/form-data; boundary*=utf-8''X\n" + file
    yield b"text/plain\n"


PARSER = Parser(
    call=read,
    seeds=seeds,
    words=(
        b"\0\0\0", b"\1", b"\2n", b"\2t", b"\3\1\1", MARK, b"\x81", b"\xc1z", b"\xc20", b"\x80", b"\x89\x80",
        b"\x88\x82", b"\xff\xff",
        b"\x01\2\3\4", b"\r\n", b"Host: ", b"localhost", b"Origin: ", b"null", b"https://page.example",
        b"Authorization: ",
        b"Bearer ", TOKEN.encode(), b"Sec-WebSocket-Protocol: ", b"hotmic-token.", b"openai-insecure-api-key.",
        b"X-Forwarded-For: ", b"Forwarded: ", b"for=", b'"[fd00::1]:1"', b"10.0.0.1", b"192.0.2.1", b"::1", b"?token=",
        b"&channel=", b"&session=", b"&sample_rate=", b"&model=", b"&client_id=", b"%ff", b"Transfer-Encoding: chunked",
        b"Content-Length: 9", b"Sec-WebSocket-Extensions: ", b"permessage-deflate", b"; client_max_window_bits=",
        b"--X",
        b"--X--\r\n", b"Content-Disposition: form-data; name=", b"; filename=", b"file", b"model", b"prompt",
        b"temperature",
        b"language", b"response_format", b"stream", b"keywords[]", b"timestamp_granularities[]",
        b"multipart/form-data; boundary=",
    ),
    floor=1 << 19,  # zlib takes 256 KiB to pack and 40 to unpack
)  # fmt: skip
