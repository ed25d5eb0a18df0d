"""Run a client of another server's document, letter by letter, against a daemon on any port.

Usage: ``seed_snippet.py SNIPPET PORT WAV [ARGUMENT…]``. The documents' ports become that port. The snippet finds what
its document takes for granted: ``audio_bytes`` and ``audio_data``, the samples, and ``pyaudio``, a microphone that
plays the file and then is silent.
"""

import asyncio
import builtins
import runpy
import sys
import time
import types
import wave
from typing import Any

import numpy as np

THEIR_PORTS = (8000, 8765, 8766)
HOLD = 8000
"""Silent samples behind the file in those."""


class Microphone:
    """A stream of PyAudio that plays a file in real time and is silent after it."""

    def __init__(self, pcm: bytes, rate: int) -> None:
        self._samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(32768)
        self._rate = rate

    def read(self, count: int) -> bytes:
        """Return so many float32 samples when they have been heard."""
        time.sleep(count / self._rate)
        part, self._samples = self._samples[:count], self._samples[count:]
        return np.concatenate([part, np.zeros(count - len(part), dtype=np.float32)]).tobytes()

    def close(self) -> None:
        """Nothing to close."""


def pyaudio_of(pcm: bytes) -> types.ModuleType:
    """Return a module with as much of PyAudio as a client needs."""

    class PyAudio:
        def open(self, *, format: int, channels: int, rate: int, input: bool, frames_per_buffer: int) -> Microphone:  # noqa: A002
            assert (format, channels, rate, input) == (1, 1, 16_000, True)
            return Microphone(pcm, rate)

    module = types.ModuleType("pyaudio")
    module.__dict__.update(paFloat32=1, PyAudio=PyAudio)
    return module


def redirect(port: int) -> None:
    """Let connections to a port of the documents go to another one."""
    connect = asyncio.BaseEventLoop.create_connection

    async def create_connection(loop: Any, factory: Any, host: Any = None, wanted: Any = None, **more: Any) -> Any:
        wanted = more.pop("port", wanted)
        return await connect(loop, factory, host, port if wanted in THEIR_PORTS else wanted, **more)

    asyncio.BaseEventLoop.create_connection = create_connection  # type: ignore[method-assign, assignment]


def main(snippet: str, port: str, path: str, *arguments: str) -> None:
    """Set the stage and run the snippet."""
    with wave.open(path) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        pcm = file.readframes(file.getnframes())
    builtins.audio_bytes = builtins.audio_data = pcm + bytes(2 * HOLD)  # type: ignore[attr-defined]
    sys.modules["pyaudio"] = pyaudio_of(pcm)
    sys.argv = [snippet, *arguments]
    redirect(int(port))
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    found = runpy.run_path(snippet, run_name="__main__")
    if "connect_to_asr" in found:  # its document leaves the call to the reader
        asyncio.run(found["connect_to_asr"]())


if __name__ == "__main__":
    main(*sys.argv[1:])
