"""What a client says and has heard: WAV files, chunks kept until their text was told, finals told twice."""

import base64
import json
import wave
from collections import deque
from pathlib import Path
from typing import Any

from hotmic_error import ClientError

SEEN_LIMIT = 1024

Event = dict[str, Any]


class Speech:
    """What was said and may have to be said again: numbered chunks, oldest first."""

    def __init__(self) -> None:
        self.kept_s = 0.0
        self.is_ending = False
        """Whether the end of the audio was said and the daemon has not told all of it."""
        self._next_seq = 0
        self._kept: deque[tuple[int, float, str]] = deque()

    def add(self, pcm16: bytes, sample_rate: int) -> str:
        """Number a chunk and return its frame."""
        data = base64.b64encode(pcm16).decode()
        chunk = {"type": "audio_chunk", "seq": self._next_seq, "data": data, "sample_rate": sample_rate}
        frame, seconds = json.dumps(chunk), len(pcm16) / 2 / sample_rate
        self._kept.append((self._next_seq, seconds, frame))
        self.kept_s += seconds
        self._next_seq += 1
        return frame

    def settle(self, seq: int) -> None:
        """Forget everything up to a chunk: its text was told."""
        while self._kept and self._kept[0][0] <= seq:
            self.kept_s -= self._kept.popleft()[1]

    def frames(self, *, begin: int) -> list[str]:
        """Return what is kept from a chunk on."""
        return [frame for seq, _, frame in self._kept if seq >= begin]


class Hearing:
    """What was heard already: two sockets tell each final, and again after one of them was cut."""

    def __init__(self) -> None:
        self.last_event_id = 0
        self.finished: deque[str] = deque(maxlen=SEEN_LIMIT)
        """Segments whose partials come too late."""
        self._seen: deque[int] = deque(maxlen=SEEN_LIMIT)

    def is_news(self, final: Event) -> bool:
        """Return whether a final is told for the first time."""
        number = final.get("event_id", 0)
        if number in self._seen:
            return False
        self._seen.append(number)
        self.last_event_id = max(self.last_event_id, number)
        self.finished.append(final.get("segment_id", ""))
        return True


def read_wav(path: str | Path) -> tuple[int, bytes]:
    """Return the sample rate and the mono PCM16 of a WAV file.

    Raises:
        ClientError: It is none.
    """
    try:
        with wave.open(str(path), "rb") as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            pcm = file.readframes(file.getnframes())
    except OSError as error:
        raise ClientError("bad_file", f"{path} cannot be read: {error.strerror}.") from error
    except (wave.Error, EOFError) as error:
        raise ClientError(
            "bad_file", f"{path} is no readable PCM WAV file; other formats: hotmic transcribe {path}"
        ) from error
    if width != 2:
        raise ClientError("bad_file", f"{path} has {8 * width} bits per sample, not 16: hotmic transcribe {path}")
    if channels == 1:
        return rate, pcm
    samples = memoryview(pcm).cast("h")
    mono = [sum(samples[i : i + channels]) // channels for i in range(0, len(samples), channels)]
    return rate, b"".join(value.to_bytes(2, "little", signed=True) for value in mono)
