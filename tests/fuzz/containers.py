"""Files as the process that decodes them reads them: the search for an MP4's index, then FFmpeg.

FFmpeg is no code of ours and its lines are not counted; what it made of a file counts instead.
"""

import contextlib
import io
from collections.abc import Callable, Sequence

import av
import numpy as np

from fuzz.parser import Parser, judge_sound
from hotmic.audio.box import open_stream
from hotmic.audio.container import decode
from hotmic.audio.decoder import CHUNK
from hotmic.errors import BadAudio, TooLarge
from hotmic.values import SAMPLE_RATE

MAX_BYTES, MAX_SECONDS = 4_000, 5.0
"""Less than the daemon takes, so that small inputs can be too large."""
_SIZES = (1, 7, 64, 1 << 16)


def read(data: bytes) -> object:
    """Decode a file that comes in pieces; the first byte says how large they are."""
    size, file = _SIZES[data[0] % len(_SIZES)] if data else 1, data[1:]
    _read_again(file, size)
    total = 0
    try:
        for samples in decode(
            open_stream(_reader(file, size), max_bytes=MAX_BYTES), chunk=CHUNK, max_seconds=MAX_SECONDS
        ):
            judge_sound(samples, most=CHUNK)
            total += len(samples)
    except MemoryError:
        return "memory"  # the process says that it is too large
    assert 0 < total <= MAX_SECONDS * SAMPLE_RATE
    return total.bit_length(), *_look(file)


def _look(file: bytes) -> list[object]:
    """Return what FFmpeg takes a file for, which it may refuse where it can go back in it."""
    options = {"protocol_whitelist": "none"}
    with (
        contextlib.suppress(av.FFmpegError, ValueError, IndexError),
        av.open(io.BytesIO(file), metadata_errors="ignore", options=options) as container,
    ):
        heard = container.streams.audio[0].codec_context
        of_sound = heard and (heard.name, heard.format and heard.format.name, heard.rate, heard.layout.nb_channels)
        return [container.format.name, [stream.type for stream in container.streams], of_sound]
    return []


def _read_again(file: bytes, size: int) -> None:
    """Pass if what looks into a file hands on all of it, or refuses to hold it."""
    if not file:
        return
    try:
        stream = open_stream(_reader(file, size), max_bytes=MAX_BYTES)
    except TooLarge:
        assert len(file) > MAX_BYTES
        return
    found = []
    while piece := stream.read(size):
        assert len(piece) <= size
        found.append(piece)
    assert b"".join(found) == file


def _reader(file: bytes, most: int) -> Callable[[int], bytes]:
    stream = io.BytesIO(file)
    return lambda size: stream.read(min(size, most))


# where the search begins


def seeds() -> Sequence[bytes]:
    """Return a tenth of a second in every container, and some beginnings."""
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    files = [
        _record("webm", "libopus", {"live": "1"}), _record("ogg", "libopus"),
        _record("ogg", "flac"), _bare_flac(_record("flac", "flac")),
        _record("mp3", "libmp3lame"), _record("mp4", "aac"), _record("mov", "pcm_s16be"),
        _record("mp4", "aac", fragments), _record("adts", "aac"), _record("wav", "pcm_s16le"), _record("aiff",
        "pcm_s16be"),
        _record("matroska", "pcm_f32le"), _record("au", "pcm_mulaw"), _record("caf", "pcm_s16le"), _record("wav",
        "adpcm_ima_wav"),
    ]  # fmt: skip
    beginnings = [
        b"\0\0\0\x20ftypM4A " + bytes(40),
        b"\0\0\0\x08ftyp\0\0\0\x08free\0\0\0\1mdat",
        b"#EXTM3U\n#EXTINF:9,\nfile:///x\n",
    ]
    return [bytes([3 - number % 2]) + file for number, file in enumerate([*files, *beginnings])]


def _record(kind: str, codec: str, options: dict[str, str] | None = None) -> bytes:
    rate = 48_000 if codec == "libopus" else 16_000
    sound = (8_000 * np.sin(np.arange(rate // 20) / 9)).astype(np.int16)
    file = io.BytesIO()
    with av.open(file, "w", format=kind, options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 16_000
        resampler = av.AudioResampler(
            stream.codec_context.format or "s16", "mono", rate, stream.codec_context.frame_size or None
        )
        frame = av.AudioFrame.from_ndarray(sound[None, :], format="s16", layout="mono")
        frame.sample_rate = rate
        for piece in (frame, None):
            for converted in resampler.resample(piece):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    return file.getvalue()


def _bare_flac(file: bytes) -> bytes:
    """Return a FLAC file without what is neither format nor sound; FFmpeg leaves 8 KiB for names."""
    begin, is_last = 4, False
    while not is_last:
        is_last = bool(file[begin] & 0x80)
        begin += 4 + int.from_bytes(file[begin + 1 : begin + 4], "big")
    return file[:4] + bytes([file[4] | 0x80]) + file[5:42] + file[begin:]


PARSER = Parser(
    call=read,
    seeds=seeds,
    allowed=(BadAudio, TooLarge),
    words=(
        b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75",
        b"\xa3", b"A_OPUS",
        b"A_PCM/INT/LIT", b"OpusHead", b"OpusTags", b"OggS\0\2", b"OggS\0\4", b"fLaC", b"ID3\4\0", b"TAG",
        b"\xff\xfb", b"\xff\xf1", b"ftyp", b"moov",
        b"moof", b"mdat", b"trak", b"stsd", b"mp4a", b"esds", b"stsz", b"stco", b"stts", b"free", b"RIFF", b"WAVE",
        b"fmt ",
        b"FORM", b"AIFF", b"COMM", b"SSND", b".snd", b"caff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1",
    ),
    floor=4 << 20,  # one frame of FLAC holds 65,535 samples however few its bytes are
    is_foreign=True,
)  # fmt: skip
