"""A client of live caption servers, hotmic among them: sends sound, prints the captions. Needs only ``websockets``.

python live_caption_client.py talk.wav             # speak a file as fast as it is answered
python live_caption_client.py talk.wav --simulate  # speak it as a microphone would
python live_caption_client.py --simulate           # speak made-up sound, to see the answers
python live_caption_client.py --ping               # does the server answer?
"""

import argparse
import asyncio
import json
import math
import struct
import sys
import time
import wave
from collections.abc import Iterator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

URI = "ws://127.0.0.1:8765"
OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
PIECE_S = 0.5
RATE = 16_000
ANSWER_S = 30.0
"""Seconds to wait for an answer."""
SETTLE_S = 6.0
"""Seconds without a message after the last sound until nothing more is expected."""
TONE_S = 3.0

Message = dict[str, Any]


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Return the arguments; ends the program on wrong ones."""
    parser = argparse.ArgumentParser(description="Captions of a sound file from a live caption server.")
    parser.add_argument("file", nargs="?", metavar="FILE", help="WAV, or a recording of a browser (WebM, Ogg, MP4)")
    parser.add_argument("--ping", action="store_true", help="only see whether the server answers")
    parser.add_argument("--simulate", action="store_true", help="send in real time; without a file a made-up sound")
    parser.add_argument("--uri", default=URI, help="default: %(default)s")
    parser.add_argument("--language", help="language code, for instance en")
    parser.add_argument("--token", help="bearer token")
    parser.add_argument("--json", action="store_true", help="print every message as a JSON line")
    options = parser.parse_args(arguments)
    if not (options.file or options.ping or options.simulate):
        parser.error("name a file, or --ping or --simulate")
    return options


async def run(options: argparse.Namespace) -> int:
    """Do what the arguments ask; return the exit code."""
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    async with connect(options.uri, additional_headers=headers) as socket:
        greeting = await receive(socket)
        print(f"connected to {options.uri}, model {greeting.get('model')}", file=sys.stderr)
        if options.ping:
            return await ping(socket)
        if options.language:
            await socket.send(json.dumps({"type": "config", "language": options.language}))
        frames = read_frames(options.file) if options.file else tone()
        heard = speak_live(socket, frames) if options.simulate else speak(socket, frames)
        failed = False
        async for message in heard:
            failed = failed or message["type"] == "error"
            show(message, as_json=options.json, waits=not options.file)
        return FAILED if failed else OK


async def receive(socket: ClientConnection) -> Message:
    """Return the next message.

    Raises:
        TimeoutError: None came.
    """
    async with asyncio.timeout(ANSWER_S):
        return json.loads(await socket.recv())  # type: ignore[no-any-return]


async def ping(socket: ClientConnection) -> int:
    """Ask for a sign of life and print how long it took."""
    began = time.perf_counter()
    await socket.send(json.dumps({"type": "ping"}))
    while (await receive(socket))["type"] != "pong":
        pass
    print(f"pong in {(time.perf_counter() - began) * 1000:.1f} ms")
    return OK


async def speak(socket: ClientConnection, frames: Iterator[tuple[bytes, float]]) -> Any:
    """Send a frame, wait for its answer, and so on; then yield what still comes."""
    for frame, _ in frames:
        await socket.send(frame)
        yield await receive(socket)
    async for message in remaining(socket):
        yield message


async def speak_live(socket: ClientConnection, frames: Iterator[tuple[bytes, float]]) -> Any:
    """Send frames in real time and yield what comes meanwhile and after."""
    heard: asyncio.Queue[Message | None] = asyncio.Queue()

    async def listen() -> None:
        async for message in socket:
            heard.put_nowait(json.loads(message))
        heard.put_nowait(None)

    listening, due = asyncio.create_task(listen()), time.monotonic()
    try:
        for frame, seconds in frames:
            due += seconds
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await socket.send(frame)
            while not heard.empty() and (message := heard.get_nowait()):
                yield message
        while message := await next_of(heard):
            yield message
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def next_of(heard: "asyncio.Queue[Message | None]") -> Message | None:
    """Return the next message, ``None`` when no more is expected."""
    try:
        return await asyncio.wait_for(heard.get(), SETTLE_S)
    except TimeoutError:
        return None


async def remaining(socket: ClientConnection) -> Any:
    """Yield what comes unasked until nothing came for a while."""
    while True:
        try:
            yield json.loads(await asyncio.wait_for(socket.recv(), SETTLE_S))
        except TimeoutError:
            return


def read_frames(path: str) -> Iterator[tuple[bytes, float]]:
    """Yield the frames of a file, and the seconds that each lasts.

    The frames of a WAV file are its bytes, header first; those of another are pieces of it, whose length is a guess.

    Raises:
        OSError: It cannot be read.
    """
    try:
        with wave.open(path) as file:
            size = file.getnchannels() * file.getsampwidth() * int(PIECE_S * file.getframerate())
    except (wave.Error, EOFError):
        size = 8_000  # what a browser makes of half a second at 128 kbit/s
    with open(path, "rb") as file:
        while piece := file.read(size):
            yield piece, PIECE_S


def tone() -> Iterator[tuple[bytes, float]]:
    """Yield a soft tone as PCM16 at 16 kHz."""
    for begin in range(0, int(TONE_S * RATE), int(PIECE_S * RATE)):
        samples = [
            round(3000 * math.sin(2 * math.pi * 440 * n / RATE)) for n in range(begin, begin + int(PIECE_S * RATE))
        ]
        yield struct.pack(f"<{len(samples)}h", *samples), PIECE_S


def show(message: Message, *, as_json: bool, waits: bool) -> None:
    """Print one message; ``waits`` tells the answers too that carry no text."""
    if as_json:
        print(json.dumps(message, ensure_ascii=False), flush=True)
    elif message["type"] == "transcription":
        print(message["text"], flush=True)
    elif message["type"] == "buffering" and waits:
        print(f"buffering, {message['buffered']:.1f} of {message['needed']:.1f} s", flush=True)
    elif message["type"] == "error":
        print(f"error: {message['message']}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    options = parse_arguments(arguments)
    try:
        return asyncio.run(run(options))
    except FileNotFoundError:
        print(f"{options.file}: there is no such file", file=sys.stderr)
        return USAGE
    except (OSError, WebSocketException, TimeoutError) as error:
        print(f"{options.uri}: {str(error) or 'no answer'}", file=sys.stderr)
        return FAILED
    except (ValueError, TypeError, KeyError, AttributeError):
        print(f"{options.uri}: what it says is no live caption protocol", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
