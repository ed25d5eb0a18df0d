"""What a chunk of audio costs the daemon's own process: the socket, the codec, the ring, the voice detection.

A daemon with the echo engine takes streams that are paced in real time, each 100 ms chunk stamped by schedule. Its CPU
time is read before, and after it has answered behind the last chunk; what it takes with the streams connected and
silent is subtracted, and the rest divided by the chunks. A server that drops the same chunks comes first: no daemon
on the same library can take less. The echo engine decodes in a process of its own, whose time
does not count, and hears no text in what is sent; what speech costs beyond voice detection (planning partials, handing
windows to the worker) does count, and is shown apart by running ``quiet`` audio, in which no segment opens, beside
``speech``.
"""

import asyncio
import base64
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hotmic.bench.clip import bundled_clips, cut_windows
from hotmic.bench.cpu import cpu_seconds
from hotmic.errors import EngineFailed
from hotmic.values import SAMPLE_RATE, VadProfile, Value

Encoding = Literal["json", "binary"]
Sound = Literal["quiet", "speech"]

CHUNK_S = 0.1
SETTLE_S = 1.0
BARE = "none, dropped"
"""Stands for the voice detection where ``hotmic.bench.sink`` takes the chunks: the library's own share."""
LOOP_S = 20
"""Seconds of sound after which a stream begins anew."""
_CHUNK_BYTES = round(CHUNK_S * SAMPLE_RATE) * 2
_REGISTRY = """\
default: echo
models:
  - {id: echo, name: Echo, type: echo, languages: [en]}
"""


class FrontendOptions(Value, frozen=True, kw_only=True):
    """What to measure."""

    streams: int = 200
    """Few streams cost more a chunk: the process sleeps between them and wakes to cold caches."""
    seconds: float = 5.0
    """Of each measurement."""
    turns: int = 3
    """Measurements of each kind; the median counts."""
    vads: tuple[VadProfile, ...] = ("energy", "default")
    encodings: tuple[Encoding, ...] = ("json", "binary")
    sounds: tuple[Sound, ...] = ("quiet", "speech")
    cadence_ms: int = 300
    """Time between partials."""
    profile: Path | None = None
    """Run the daemon under cProfile and write what it saw here, one file per VAD; the figures are then too high."""


@dataclass(frozen=True)
class Gateway:
    """A running daemon."""

    pid: int
    audio: str


async def run_frontend(options: FrontendOptions, report: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure; return a plain mapping for JSON.

    Args:
        options: What to measure.
        report: Told what is going on.

    Raises:
        ConfigError: The system does not tell CPU times.
        EngineFailed: The daemon did not start, or could not carry so many streams.
    """
    figures = []
    async with _running([sys.executable, "-m", "hotmic.bench.sink"]) as sink:
        for encoding in options.encodings:
            report(f"{encoding}, taken and dropped")
            figures.append(await _measure(sink, options, BARE, "quiet", encoding))
    for vad in options.vads:
        async with running_gateway(options, vad) as gateway:
            for sound in options.sounds:
                for encoding in options.encodings:
                    report(f"{encoding}, {vad} VAD, {sound}")
                    try:
                        figures.append(await _measure(gateway, options, vad, sound, encoding))
                    except ConnectionClosed as error:
                        why = f"The daemon closed one of {options.streams} streams ({error}); measure fewer of them."
                        raise EngineFailed(why) from error
    return {
        "streams": options.streams,
        "chunk_ms": round(CHUNK_S * 1000),
        "cadence_ms": options.cadence_ms,
        "profiled": options.profile is not None,
        "event_loop": event_loop_name(),
        "figures": figures,
    }


def event_loop_name() -> str:
    """Return which event loop the daemon runs on here."""
    try:
        return f"uvloop {version('uvloop')}"
    except PackageNotFoundError:
        return "asyncio"


def build_chunks(sound: Sound, encoding: Encoding) -> list[str | bytes]:
    """Return the messages of one stream, from the first to the one after which it begins anew."""
    if sound == "quiet":
        rng = np.random.default_rng(0)
        pcm = rng.normal(0, 8, LOOP_S * SAMPLE_RATE).astype("<i2").tobytes()
    else:
        pcm = cut_windows(bundled_clips(), LOOP_S, 1)[0].astype("<i2").tobytes()
    pieces = [pcm[at : at + _CHUNK_BYTES] for at in range(0, len(pcm), _CHUNK_BYTES)]
    if encoding == "binary":
        return list(pieces)
    return [f'{{"type":"audio_chunk","data":"{base64.b64encode(piece).decode()}"}}' for piece in pieces]


async def _measure(
    gateway: Gateway, options: FrontendOptions, vad: str, sound: Sound, encoding: Encoding
) -> dict[str, Any]:
    chunks = build_chunks(sound, encoding)
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(_open(gateway, number)) for number in range(options.streams)]
        answered = asyncio.Semaphore(0)
        readers = [asyncio.create_task(_drain(socket, answered)) for socket in sockets]
        idle = await _cost_per_second(gateway, options.seconds / 2)
        await _send(sockets, chunks, SETTLE_S)
        await _settle(sockets, answered)
        spent, busy = [], []
        for _ in range(options.turns):
            before = cpu_seconds(gateway.pid)
            began = time.perf_counter()
            sent = await _send(sockets, chunks, options.seconds)
            await _settle(sockets, answered)
            lasted = time.perf_counter() - began
            busy.append((cpu_seconds(gateway.pid) - before) / lasted)
            spent.append((cpu_seconds(gateway.pid) - before - idle * lasted) / sent * 1e6)
        await _finish(sockets, readers)
    median = float(np.median(spent))
    return {
        "encoding": encoding,
        "vad": vad,
        "sound": sound,
        "us_per_chunk": round(median, 1),
        "streams_per_core": round(CHUNK_S * 1e6 / median),
        "turns_us": [round(value, 1) for value in spent],
        "gateway_busy": round(float(np.median(busy)), 3),
        "idle_us_per_s": round(idle * 1e6),
    }


async def _cost_per_second(gateway: Gateway, seconds: float) -> float:
    await asyncio.sleep(SETTLE_S / 2)
    before, began = cpu_seconds(gateway.pid), time.perf_counter()
    await asyncio.sleep(seconds)
    return (cpu_seconds(gateway.pid) - before) / (time.perf_counter() - began)


async def _send(sockets: Sequence[ClientConnection], chunks: Sequence[str | bytes], seconds: float) -> int:
    """Send on every stream for a while, evenly spread over the tenth of a second; return how many messages."""
    began = time.perf_counter()
    rounds = round(seconds / CHUNK_S)

    async def speak(place: int, socket: ClientConnection) -> None:
        first = began + CHUNK_S * place / len(sockets)
        for number in range(rounds):
            await asyncio.sleep(first + number * CHUNK_S - time.perf_counter())
            await socket.send(chunks[(number + 7 * place) % len(chunks)])

    await asyncio.gather(*(speak(place, socket) for place, socket in enumerate(sockets)))
    return rounds * len(sockets)


async def _settle(sockets: Sequence[ClientConnection], answered: asyncio.Semaphore) -> None:
    """Wait until the daemon has taken everything that was sent: what lies in the buffers has not cost anything yet."""
    for socket in sockets:
        await socket.send('{"type":"ping"}')
    for _ in sockets:
        await answered.acquire()


async def _drain(socket: ClientConnection, answered: asyncio.Semaphore) -> None:
    # Whoever sends hears of a cut connection too.
    with contextlib.suppress(ConnectionClosed):
        async for frame in socket:
            if b'"pong"' in (frame if isinstance(frame, bytes) else frame.encode()):
                answered.release()


async def _finish(sockets: Sequence[ClientConnection], readers: Sequence["asyncio.Task[None]"]) -> None:
    await asyncio.gather(*(socket.close() for socket in sockets))
    await asyncio.gather(*readers)


def _open(gateway: Gateway, number: int) -> connect:
    return connect(f"{gateway.audio}/?channel=bench-{number}", compression=None, max_queue=None, close_timeout=60)


@contextlib.asynccontextmanager
async def running_gateway(options: FrontendOptions, vad: VadProfile) -> AsyncIterator[Gateway]:
    """Start a daemon with the echo engine and end it.

    Raises:
        EngineFailed: It ended before it was ready.
    """
    with tempfile.TemporaryDirectory() as folder:
        registry = Path(folder) / "models.yaml"
        registry.write_text(_REGISTRY)
        profiler: list[str] = []
        if options.profile is not None:
            profiler = ["-m", "cProfile", "-o", str(options.profile.with_stem(f"{options.profile.stem}-{vad}"))]
        command = [
            *(sys.executable, *profiler, "-m", "hotmic", "serve", "--models", str(registry), "--vad", vad),
            *("--log-level", "error", "--control-port", "0", "--audio-port", "0", "--http-port", "0"),
        ]
        async with _running(command, HOTMIC_PARTIAL_CADENCE_MS=str(options.cadence_ms)) as gateway:
            yield gateway


@contextlib.asynccontextmanager
async def _running(command: Sequence[str], **environment: str) -> AsyncIterator[Gateway]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, **environment}
    )
    try:
        yield Gateway(process.pid, (await _wait_until_ready(process))["audio"])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _wait_until_ready(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    addresses: dict[str, str] = {}
    ready = False
    while line := (await process.stdout.readline()).decode():
        match line.split():
            case ["listening", name, url]:
                addresses[name] = url
            case ["ready"]:
                ready = True
        # The model is served before the page is.
        if ready and "http" in addresses:
            return addresses
    raise EngineFailed("The server ended before it was ready.")
