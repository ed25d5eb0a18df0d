import io
import struct

import numpy as np
import pytest

from file_support import encoded, tone
from hotmic.audio import container
from hotmic.audio.box import LOOKED_INTO, open_stream
from hotmic.errors import BadAudio, TooLarge

LIMIT = 1 << 20


def box(kind: bytes, size: int) -> bytes:
    return struct.pack(">I4s", size + 8, kind) + bytes(size)


START = box(b"ftyp", 16)


@pytest.mark.parametrize(
    ("data", "is_held"),
    [
        (START + box(b"free", 30) + box(b"mdat", 500) + box(b"moov", 50), True),
        (START + struct.pack(">I4sQ", 1, b"mdat", 516) + bytes(500), True),
        (START + box(b"moov", 50) + box(b"mdat", 500), False),
        (START + box(b"moof", 50) + box(b"mdat", 500), False),
        (START + box(b"free", LOOKED_INTO) + box(b"moov", 50), True),
        (START + struct.pack(">I4s", 3, b"free") + bytes(50), True),
        (START + b"\x00\x00", True),
        (b"RIFF" + bytes(500), False),
        (b"x", False),
    ],
)
def test_only_files_whose_sound_comes_first_are_held(data: bytes, *, is_held: bool) -> None:
    file = io.BytesIO(data)
    stream = open_stream(lambda size: file.read(min(size, 700)), max_bytes=LIMIT)
    assert isinstance(stream, io.BytesIO) is is_held
    whole = b""
    while piece := stream.read(1100):
        whole += piece
    assert whole == data


def test_what_is_held_has_a_limit() -> None:
    file = io.BytesIO(START + box(b"mdat", 500))
    with pytest.raises(TooLarge, match="400 bytes"):
        open_stream(file.read, max_bytes=400)


def test_nothing_is_no_file() -> None:
    with pytest.raises(BadAudio, match="empty"):
        open_stream(lambda size: b"", max_bytes=LIMIT)


def test_an_mp4_with_its_index_at_the_end_is_decoded() -> None:
    data = encoded("mp4", "aac", tone(48_000, 2.0), 48_000)
    assert data.index(b"mdat") < data.index(b"moov")
    file = io.BytesIO(data)
    decoded = np.concatenate(list(container.decode(open_stream(file.read, max_bytes=LIMIT))))
    assert abs(len(decoded) - 32_000) < 3_200
