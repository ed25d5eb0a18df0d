"""The process that decodes one container: ``python -m hotmic.audio.decoder MAX_BYTES MAX_SECONDS MAX_MEMORY``.

The file comes on its standard input, and 16 kHz mono PCM16 leaves on its standard output while it comes. Its own
errors are one line on its standard error, ``code`` and sentence, and ``EXIT_REFUSED``. It reads what strangers send, so
it is left with nothing: once it begins it can open no file and no socket, and its memory and time are limited where the
system can do that. It ends with its parent.
"""

import ctypes
import io
import os
import signal
import sys
import wave

from hotmic.audio.box import open_stream
from hotmic.audio.container import decode
from hotmic.errors import BadAudio, HotmicError
from hotmic.values import SAMPLE_RATE

EXIT_REFUSED = 3
CHUNK = SAMPLE_RATE // 10
FASTEST = 20.0
"""Times real time that any decoder reaches; slower ones are ended."""
START_CPU = 60
"""Seconds of computing that everything else may take."""
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Decode standard input to standard output."""
    max_bytes, max_seconds, max_memory = int(arguments[0]), float(arguments[1]), int(arguments[2])
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # whoever stops the daemon signals the whole group
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if sys.platform == "win32":
        import msvcrt

        for descriptor in (0, 1):
            msvcrt.setmode(descriptor, os.O_BINARY)
    # Libraries print; from here on that goes to the log instead of into the samples.
    sink = os.dup(1)
    os.dup2(2, 1)
    _rehearse()
    _confine(cpu=START_CPU + int(max_seconds / FASTEST), memory=max_memory)
    try:
        stream = open_stream(lambda size: os.read(0, size), max_bytes=max_bytes)
        for samples in decode(stream, chunk=CHUNK, max_seconds=max_seconds):
            _write(sink, samples.astype("<i2", copy=False).tobytes())
    except BrokenPipeError:
        return 0  # nobody wants to hear the rest
    except MemoryError:
        return _refuse(BadAudio("Decoding the file takes more memory than it may."))
    except HotmicError as error:
        return _refuse(error)
    return 0


def _rehearse() -> None:
    """Have all libraries load what they load late: soon no file can be opened, theirs neither."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(4 * 8000))
    for _ in decode(file.getvalue()):
        pass


def _confine(*, cpu: int, memory: int) -> None:
    try:
        import resource
    except ImportError:
        return  # this system has no such limits
    wanted = {"RLIMIT_NOFILE": 3, "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0, "RLIMIT_CPU": cpu, "RLIMIT_AS": memory}
    for name, limit in wanted.items():
        number = getattr(resource, name, None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(number, (soft, hard if name == "RLIMIT_CPU" else soft))


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]


def _refuse(error: HotmicError) -> int:
    os.write(2, f"{error.code}\t{error.message}\n".encode())
    return EXIT_REFUSED


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # Past the destructors of libraries that may have been made to run wild.
    os._exit(status)
