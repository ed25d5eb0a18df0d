"""What a client's binary frames hold, told from the bytes alone: WAV, a container, or bare samples."""

from hotmic.audio.bare import BareReader
from hotmic.audio.riff import WavReader, is_wav
from hotmic.errors import BadAudio
from hotmic.values import SAMPLE_RATE, Samples, Value

LONGEST_MAGIC = 12
"""Bytes from which every kind is told; a stream that begins with fewer waits for more."""
_MATROSKA = b"\x1a\x45\xdf\xa3"
_TEXT = 32
"""Bytes that are all printable and surely no sound."""
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_FILES = {
    b"\x93NUMPY": "a NumPy array",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"%PDF": "a document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b\x08": "a gzip archive",
    b"RIFF": "a RIFF file other than WAV",
    b"RIFX": "a WAV file of the big-endian kind",
    b"RF64": "a WAV file of the 64-bit kind",
    b"\x1f\x43\xb6\x75": "a piece of a WebM stream without its header",
    b"OggS": "a piece of an Ogg stream without its beginning",
}


class Pcm(Value, frozen=True, kw_only=True):
    """Samples."""

    data: bytes
    """Mono PCM16, little-endian."""
    rate: int
    """Hertz."""


class Container(Value, frozen=True, kw_only=True):
    """A piece of a file that a decoder must take apart."""

    data: bytes
    is_first: bool
    """Whether a new file begins here."""


class BlobReader:
    """One client's binary frames, in order.

    Headers count at the beginning of a frame: that of a WAV file, of WebM, Matroska, Ogg, FLAC, MP4, or of MP3 with an
    ID3 tag ends what came before and begins anew. Frames without one go on with what came before; where nothing
    came before, they are bare samples (see ``BareReader``). What cannot be read leaves nothing to go on with.

    Args:
        rate: Hertz of bare samples.
    """

    def __init__(self, *, rate: int = SAMPLE_RATE) -> None:
        self._rate = rate
        self._source: WavReader | BareReader | None = None
        self._is_contained, self._is_broken = False, False
        self._held = b""

    def receive(self, data: bytes) -> Pcm | Container:
        """Return what a frame holds, possibly nothing yet.

        Raises:
            BadAudio: It is surely no sound, or sound of a kind that is not taken.
        """
        if begins_container(data) or is_wav(data):
            self._held = b""
        data, self._held = self._held + data, b""
        if self._is_idle and len(data) < LONGEST_MAGIC:
            self._held = data
            return Pcm(data=b"", rate=self._rate)
        if begins_container(data):
            self._reset()
            self._is_contained = True
            return Container(data=data, is_first=True)
        if is_wav(data):
            self._reset()
            self._source = WavReader()
        elif self._is_contained:
            return Container(data=data, is_first=False)
        else:
            self._check(data)
        return self._read(data)

    def fail(self) -> None:
        """The container that is open cannot be decoded."""
        self._is_broken, self._is_contained = self._is_broken or self._is_contained, False

    def clear(self) -> None:
        """Go on, or begin anew where what came before cannot be read."""
        if self._is_broken:
            self._reset()

    @property
    def _is_idle(self) -> bool:
        return self._source is None and not self._is_contained and not self._is_broken

    def _reset(self) -> None:
        self._source, self._held = None, b""
        self._is_contained = self._is_broken = False

    def _check(self, data: bytes) -> None:
        if self._is_broken:
            raise BadAudio("The sound before could not be read; begin again with a header, or clear the buffer.")
        is_bare = not isinstance(self._source, WavReader)
        if is_bare and len(data) >= _TEXT and not data.translate(None, _PRINTABLE):
            raise BadAudio("This is text, no sound; messages go into text frames.")
        if self._source is None:
            for magic, kind in _FILES.items():
                if data.startswith(magic):
                    raise BadAudio(f"This is {kind}; that is not taken.")
            self._source = BareReader()

    def _read(self, data: bytes) -> Pcm:
        assert self._source is not None
        if isinstance(self._source, BareReader):
            return _pcm(self._source.receive(data), self._rate)
        try:
            samples = self._source.receive(data)
        except BadAudio:
            self._is_broken = self._source.format is None
            raise
        return _pcm(samples, self._source.format.rate if self._source.format else self._rate)


def begins_container(data: bytes) -> bool:
    """Return whether bytes begin a file of a kind that browsers record, or people keep sound in.

    An Ogg stream says in its first page that it is the first (RFC 3533, section 6); Matroska begins with an EBML
    header (RFC 8794), MP4 with the box ``ftyp`` (ISO/IEC 14496-12).
    """
    if data.startswith((_MATROSKA, b"fLaC")) or data[4:8] == b"ftyp":
        return True
    if data.startswith(b"OggS\0"):
        return bool(data[5:6]) and bool(data[5] & 2)
    return data.startswith((b"ID3\2\0", b"ID3\3\0", b"ID3\4\0"))


def _pcm(samples: Samples, rate: int) -> Pcm:
    return Pcm(data=samples.astype("<i2", copy=False).tobytes(), rate=rate)
