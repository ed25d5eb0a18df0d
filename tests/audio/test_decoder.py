import errno
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from file_support import encoded, tone, wav
from hotmic.audio.decoder import EXIT_REFUSED

LIMITS = ("1000000", "60", str(1 << 30))


def run(data: bytes, *, limits: tuple[str, ...] = LIMITS) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-P", "-m", "hotmic.audio.decoder", *limits]
    return subprocess.run(command, input=data, capture_output=True, timeout=60)


def test_samples_leave_as_they_are() -> None:
    samples = tone(16_000, 2.5)
    done = run(wav(samples))
    assert (done.returncode, done.stdout) == (0, samples.tobytes())


def test_damage_is_told_beside_the_samples_and_not_among_them() -> None:
    data = bytearray(encoded("flac", "flac", tone(16_000, 4.0), 16_000))
    data[len(data) // 2 : len(data) // 2 + 300] = bytes(300)
    done = run(bytes(data))
    assert done.returncode == 0
    assert 48_000 < len(np.frombuffer(done.stdout, "<i2")) <= 66_000


@pytest.mark.parametrize(
    ("data", "limits", "words"),
    [
        (b"", LIMITS, b"bad_audio\tThe file is empty."),
        (b"no audio " * 100, LIMITS, b"bad_audio\tThe file is no audio or video format that can be read."),
        (wav(tone(16_000, 3.0)), ("1000000", "2", LIMITS[2]), b"too_large\tThe file holds more than 2 s of audio."),
    ],
)
def test_an_error_is_one_line(data: bytes, limits: tuple[str, ...], words: bytes) -> None:
    done = run(data, limits=limits)
    assert (done.returncode, done.stderr) == (EXIT_REFUSED, words + b"\n")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit it")
def test_memory_has_a_limit() -> None:
    held = struct.pack(">I4s", 16, b"ftyp") + bytes(8) + struct.pack(">I4s", 50_000_000, b"mdat") + bytes(50_000_000)
    done = run(held, limits=("100000000", "60", "1000000"))
    assert (done.returncode, done.stderr) == (
        EXIT_REFUSED,
        b"bad_audio\tDecoding the file takes more memory than it may.\n",
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_no_file_can_be_opened_once_the_file_comes() -> None:
    code = (
        "import os, socket, sys\n"
        "from hotmic.audio import decoder\n"
        "def decode(*_, **__):\n"
        "    for attempt in (lambda: open(os.devnull), lambda: socket.socket()):\n"
        "        try:\n"
        "            attempt()\n"
        "        except OSError as error:\n"
        "            os.write(2, f'{error.errno} '.encode())\n"
        "    return ()\n"
        "decoder._rehearse(); decoder._rehearse = lambda: None\n"
        "decoder.decode = decode\n"
        "decoder.main(sys.argv[1:])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *LIMITS], input=b"x" * 20, capture_output=True, timeout=60)
    assert done.stderr.decode().split() == [str(errno.EMFILE)] * 2, os.fsdecode(done.stderr)
