"""The baseline of the benchmark: the same streams, served the way the field serves them.

``python -m hotmic.bench.lock --model DIR`` speaks the dual-socket protocol and prints the lines of ``hotmic serve``, so
that one client drives both. Audio goes through the same voice detection and the same segmenter; behind it stands
unmodified ``faster_whisper.WhisperModel.transcribe`` and one lock: one audio at a time, first come, first served.

- A partial decodes the whole open segment (greedy, without timestamps, one temperature) once per cadence.
- A final decodes the segment (beam, word times, all else as the library has it) when it ends.

It is no straw man. A stream has at most one partial waiting; that one takes the newest audio when its turn comes, and
is dropped when its segment has ended meanwhile. Words on which two partials in a row agree are told as stable.
Not there, because the peers do not have it: batches, cropped windows, priority of finals, cadence by load, admission.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hotmic import __version__
from hotmic import commands as c
from hotmic import events as e
from hotmic.audio.pcm import parse
from hotmic.audio.segmenter import Cuts, Segmenter
from hotmic.bench.baseline import Decoder, Heard, LockedModel, Stream
from hotmic.building import build_segmenter, segmenter_settings
from hotmic.config.settings import load_settings
from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.wish import parse_target
from hotmic.errors import BadAudio, BadMessage, HotmicError
from hotmic.net.connection import COMMON_CHANNEL
from hotmic.net.hub import Hub, wall_clock
from hotmic.values import SAMPLE_RATE, Samples, Word

WIRE_SILENCE = 1.0
"""Seconds without audio that end a segment."""


class Client:
    """One connection of either socket.

    Args:
        socket: Its WebSocket.
        server: The baseline.
        dialect: Its language.
    """

    def __init__(self, socket: ServerConnection, server: "LockServer", dialect: Dialect) -> None:
        assert socket.request is not None
        wish = parse_target(socket.request.path)
        self.channel, self._socket, self._server, self._dialect = (
            wish.channel or COMMON_CHANNEL,
            socket,
            server,
            dialect,
        )
        self._session_id = wish.session or f"lock-{next(server.numbers)}"
        self._outbox: asyncio.Queue[Frame] = asyncio.Queue()
        self._stream: Stream | None = None

    @property
    def is_speaker(self) -> bool:
        """Whether it brings audio."""
        return self._dialect.is_speaker

    def hear(self, event: e.Event, *, timestamp: str, key: str = "") -> None:
        """Take an event of the channel."""
        for frame in self._dialect.encode(event, timestamp=timestamp):
            self._outbox.put_nowait(frame)

    async def run(self) -> None:
        """Serve the connection until it ends; finals under way are still told to the channel."""
        self._server.hub.join(self)
        if not self.is_speaker:
            greeting = e.Connected(server="hotmic lock baseline", version=__version__, current_model="lock")
            self.hear(greeting, timestamp=wall_clock())
        writer = asyncio.create_task(self._write())
        try:
            await self._read()
        except ConnectionClosed:
            if self._stream is not None:
                await self._stream.finish()
        finally:
            writer.cancel()
            self._server.hub.leave(self)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self._socket.send(await self._outbox.get(), text=True)

    async def _read(self) -> None:
        while True:
            speaking = self._stream is not None and self._stream.is_open
            try:
                async with asyncio.timeout(WIRE_SILENCE if speaking else None):
                    frame = await self._socket.recv()
            except TimeoutError:
                assert self._stream is not None
                self._stream.end_segment()
                continue
            try:
                for command in self._dialect.parse(frame):
                    await self._receive(command)
            except HotmicError as error:
                self.hear(e.ErrorRaised(code=error.code, message=error.message), timestamp=wall_clock())

    async def _receive(self, command: c.Command) -> None:
        rid = command.request_id
        match command:
            case c.AppendAudio(data=data, encoding=encoding, sample_rate=rate):
                if rate not in (None, SAMPLE_RATE):
                    raise BadAudio(f"The baseline takes {SAMPLE_RATE} Hz only.")
                if self._stream is None:
                    self._stream = self._server.build_stream(self._session_id, self.channel)
                self._stream.receive(parse(data, encoding=encoding))
            case c.EndAudio():
                if self._stream is not None:
                    await self._stream.finish()
            case c.Ping():
                self.hear(e.Ponged(request_id=rid), timestamp=wall_clock())
            case c.GetStatus():
                self.hear(e.StatusReported(request_id=rid, status={"model": "lock"}), timestamp=wall_clock())
            case c.ListModels():
                listed = e.ModelsListed(request_id=rid, models=(), default="lock", current_model="lock")
                self.hear(listed, timestamp=wall_clock())
            case c.Subscribe(channel=channel):
                self._server.hub.leave(self)
                self.channel = channel
                self._server.hub.join(self)
                self.hear(e.Subscribed(request_id=rid, channel=channel), timestamp=wall_clock())
            case _:
                raise BadMessage("The lock baseline takes audio and answers ping, subscribe and get_status.")


class LockServer:
    """Both sockets.

    Args:
        model: Shared by all.
        cadence: Seconds between partials of one stream.
        build_segmenter: Makes a stream's segmenter.
    """

    def __init__(self, model: LockedModel, *, cadence: float, build_segmenter: Callable[[], Segmenter]) -> None:
        self.hub, self.numbers = Hub(), iter(range(1, sys.maxsize))
        self._model, self._cadence, self._build_segmenter = model, cadence, build_segmenter

    def build_stream(self, session_id: str, channel: str) -> Stream:
        """Return a new speaker's stream."""
        return Stream(
            session_id,
            channel=channel,
            segmenter=self._build_segmenter(),
            model=self._model,
            cadence=self._cadence,
            publish=lambda event: self.hub.publish(event, channel=channel),
        )

    @contextlib.asynccontextmanager
    async def listening(self, *, control_port: int, audio_port: int) -> Any:
        """Listen on loopback; the addresses by name."""
        sockets: dict[str, tuple[Callable[[], Dialect], int]] = {
            "control": (ControlDialect, control_port),
            "audio": (AudioDialect, audio_port),
        }
        async with contextlib.AsyncExitStack() as stack:
            addresses = {}
            for name, (build, port) in sockets.items():
                serving = serve(self._accept(build), "127.0.0.1", port, compression=None, max_size=1 << 20)
                server = await stack.enter_async_context(serving)
                addresses[name] = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            yield addresses

    def _accept(self, build: Callable[[], Dialect]) -> Callable[[ServerConnection], Any]:
        async def accept(socket: ServerConnection) -> None:
            await Client(socket, self, build()).run()

        return accept


def load_decoder(
    directory: Path, *, device: str, compute_type: str, threads: int, language: str | None, beam: int
) -> Decoder:
    """Return the library's ``transcribe``, warmed up."""
    from faster_whisper import WhisperModel

    model = WhisperModel(
        str(directory), device=device, compute_type=compute_type, cpu_threads=threads, local_files_only=True
    )

    def decode(samples: Samples, *, is_final: bool) -> Heard:
        started = time.monotonic()
        audio = samples.astype(np.float32) / 32768
        how: dict[str, Any] = {"beam_size": 1, "temperature": 0.0, "without_timestamps": True}
        if is_final:
            how = {"beam_size": beam, "word_timestamps": True}
        found, info = model.transcribe(audio, language=language, condition_on_previous_text=False, **how)
        segments = list(found)
        words = tuple(
            Word(word=w.word.strip(), start=float(w.start), end=float(w.end), probability=float(w.probability))
            for segment in segments
            for w in segment.words or ()
        )
        text = " ".join(segment.text.strip() for segment in segments).strip()
        return Heard(text, words, info.language, time.monotonic() - started)

    for is_final in (False, True):
        decode(np.random.default_rng(0).normal(0, 300, SAMPLE_RATE).astype(np.int16), is_final=is_final)
    return decode


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal comes."""
    settings = load_settings(options.config, vad=options.vad)
    decode = await asyncio.to_thread(
        load_decoder,
        options.model,
        device=options.device,
        compute_type=options.compute_type,
        threads=options.threads,
        language=options.language,
        beam=options.beam,
    )
    cuts = Cuts(vad=settings.vad, min_silence_ms=options.min_silence_ms)
    server = LockServer(
        LockedModel(decode),
        cadence=options.cadence,
        build_segmenter=lambda: build_segmenter(segmenter_settings(settings), cuts),
    )
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(ended.set))
    async with server.listening(control_port=options.control_port, audio_port=options.audio_port) as addresses:
        for name, address in addresses.items():
            sys.stdout.write(f"listening {name} {address}\n")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await ended.wait()


def parse_options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="hotmic.bench.lock", description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, required=True, help="directory of a CTranslate2 Whisper model")
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--audio-port", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compute-type", default="int8")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of a decode; 0: the library's choice")
    parser.add_argument("--cadence", type=float, default=0.3, help="seconds between partials of a stream")
    parser.add_argument("--beam", type=int, default=5, help="beam of finals")
    parser.add_argument("--language", help="language code; left out: detected for each audio")
    parser.add_argument("--config", type=Path, help="YAML file of settings, as of 'hotmic serve'")
    parser.add_argument("--vad", help="voice detection, as of 'hotmic serve'")
    parser.add_argument("--min-silence-ms", type=int, help="silence that ends a segment; left out: as set")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    asyncio.run(run(parse_options(sys.argv[1:])))
