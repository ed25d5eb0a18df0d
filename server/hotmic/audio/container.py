"""Decode any audio or video file to 16 kHz mono."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog

from hotmic.audio.resample import LOWEST_RATE
from hotmic.errors import BadAudio, TooLarge
from hotmic.values import SAMPLE_RATE, Samples

log = structlog.get_logger(__name__)


class Stream(Protocol):
    """Bytes that come one after the other and are never asked for twice."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most ``size``; waits for them, and returns none at the end."""


Source = bytes | str | Path | Stream

HIGHEST_RATE = 768_000
"""Hertz that anything is recorded at; a resampler's memory and time grow with the number in a header."""
_SOON = {"analyzeduration": "1000000", "max_probe_packets": "4"}
"""Have FFmpeg look at a second of a stream, in microseconds, where it would wait for five."""


def decode(source: Source, *, chunk: int = SAMPLE_RATE, max_seconds: float | None = None) -> Iterator[Samples]:
    """Yield the first audio track in chunks.

    The file is opened here and handed to FFmpeg as an object, and FFmpeg may open nothing else: neither a path that
    looks like an address nor a playlist inside the file reaches the network or another file.

    Args:
        source: The bytes of a file, the path of one, or a stream, which is decoded while it comes.
        chunk: Samples per chunk; the last may be shorter.
        max_seconds: Stop with an error after this much audio, however small the file.

    Raises:
        BadAudio: No such file, an unknown format, no audio in it, or nothing that can be decoded.
        TooLarge: It holds more than ``max_seconds``.
    """
    with _open_container(source) as container:
        limit = None if max_seconds is None else int(max_seconds * SAMPLE_RATE)
        total = 0
        for samples in _rebuffer(_decode_track(container), chunk):
            total += len(samples)
            if limit is not None and total > limit:
                raise TooLarge(f"The file holds more than {max_seconds:g} s of audio.")
            yield samples
        if not total:
            raise BadAudio("The file holds no sound that can be decoded.")


def duration(source: Source) -> float | None:
    """Return the length in seconds that the file claims; ``None`` if it does not say (browser recordings often don't).

    Raises:
        BadAudio: As for ``decode``.
    """
    import av

    with _open_container(source) as container:
        stream = container.streams.audio[0]
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        if container.duration is not None:
            return float(container.duration) / float(av.time_base)
        return None


@contextmanager
def _open_container(source: Source) -> Iterator[Any]:
    import av

    options = {"protocol_whitelist": "none"}
    if not isinstance(source, bytes | str | Path | io.BytesIO):
        options |= _SOON
    with _open_file(source) as file:
        try:
            container = av.open(file, mode="r", metadata_errors="ignore", options=options)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(source, str | Path) and not Path(source).stat().st_size:
                raise BadAudio("The file is empty.") from error
            raise BadAudio("The file is no audio or video format that can be read.") from error
        with container:
            if not container.streams.audio:
                raise BadAudio("The file has no audio track.")
            yield container


@contextmanager
def _open_file(source: Source) -> Iterator[Stream]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    if not isinstance(source, str | Path):
        yield source
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115 - closed below; opening alone is what may fail here
    except OSError as error:
        raise BadAudio(f"The file cannot be opened: {error.strerror or 'unknown reason'}.") from error
    with file:
        yield file


def _decode_track(container: Any) -> Iterator[Samples]:
    import av

    resampler, layout = _open_resampler(), None
    try:
        for frame in _decode_frames(container):
            found = (frame.sample_rate, frame.layout.name, frame.format.name)
            if found != layout:  # the first, or as in files that were joined
                _check_rate(frame.sample_rate)
                yield from _convert(resampler, None)
                resampler, layout = _open_resampler(), found
            yield from _convert(resampler, frame)
        yield from _convert(resampler, None)
    except av.FFmpegError as error:
        raise BadAudio("The file is damaged and cannot be decoded to its end.") from error


def _decode_frames(container: Any) -> Iterator[Any]:
    import av

    broken = 0
    for packet in container.demux(container.streams.audio[0]):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            # A cut or damaged packet costs its own samples, as in every player; the rest is still speech.
            broken += 1
    if broken:
        log.warning("container_packets_skipped", packets=broken)


def _check_rate(rate: int) -> None:
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise BadAudio(f"The file tells a sample rate of {rate} Hz; allowed are {LOWEST_RATE} to {HIGHEST_RATE} Hz.")


def _open_resampler() -> Any:
    import av

    return av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)


def _convert(resampler: Any, frame: Any) -> Iterator[Samples]:
    for converted in resampler.resample(frame):
        yield converted.to_ndarray().reshape(-1)


def _rebuffer(pieces: Iterator[Samples], size: int) -> Iterator[Samples]:
    held: list[Samples] = []
    count = 0
    for piece in pieces:
        held.append(piece)
        count += len(piece)
        if count >= size:
            data = np.concatenate(held)
            whole = count // size * size
            for start in range(0, whole, size):
                yield data[start : start + size]
            held, count = [data[whole:]], count - whole
    if count:
        yield np.concatenate(held)
