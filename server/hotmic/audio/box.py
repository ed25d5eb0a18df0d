"""Files whose index comes after their sound: MP4 and its kin, as most phones and cameras write them."""

import io
from collections.abc import Callable

from hotmic.audio.container import Stream
from hotmic.errors import BadAudio, TooLarge

LOOKED_INTO = 1 << 16
"""Bytes of a file within which its index or its sound begins, or it is held."""
_HEADER = 8
"""Bytes of a box that tell its size and kind (ISO/IEC 14496-12, section 4.2)."""
_INDEX = (b"moov", b"moof")
_SOUND = b"mdat"


class _Rest:
    """A stream that has been looked into: what was read is read once more."""

    def __init__(self, seen: bytes, read: Callable[[int], bytes]) -> None:
        self._seen, self._read = io.BytesIO(seen), read

    def read(self, size: int, /) -> bytes:
        return self._seen.read(size) or self._read(size)


def open_stream(read: Callable[[int], bytes], *, max_bytes: int) -> Stream:
    """Return something that FFmpeg can read a container from.

    That is the stream itself, decoded while it comes. Only an MP4 is held as a whole whose index does not come first,
    for FFmpeg must go back in it.

    Args:
        read: Returns the next bytes, at most so many; waits for them, and returns none at the end.
        max_bytes: Most bytes that are held.

    Raises:
        BadAudio: Nothing comes.
        TooLarge: It would have to be held and is longer.
    """
    seen = _read_exactly(read, 12)
    if not seen:
        raise BadAudio("The file is empty.")
    if seen[4:8] != b"ftyp":
        return _Rest(seen, read)
    begin = 0
    while begin + _HEADER <= LOOKED_INTO:
        seen += _read_exactly(read, begin + _HEADER - len(seen))
        size, kind = int.from_bytes(seen[begin : begin + 4], "big"), seen[begin + 4 : begin + _HEADER]
        if kind in _INDEX:
            return _Rest(seen, read)
        if kind == _SOUND or size < _HEADER:
            break
        begin += size
    return io.BytesIO(_hold(seen, read, max_bytes))


def _read_exactly(read: Callable[[int], bytes], size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _hold(seen: bytes, read: Callable[[int], bytes], max_bytes: int) -> bytes:
    held = io.BytesIO()
    held.write(seen)
    while piece := read(1 << 16):
        if held.tell() + len(piece) > max_bytes:
            raise TooLarge(f"The file is longer than {max_bytes} bytes.")
        held.write(piece)
    return held.getvalue()
