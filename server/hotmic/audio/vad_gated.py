"""The default: an energy gate, confirmed by Silero."""

from collections import deque

import numpy as np

from hotmic.audio import level
from hotmic.audio.vad_energy import NoiseFloor
from hotmic.audio.vad_silero import SileroVad
from hotmic.values import Samples

_TARGET_DB = -26.0
_MOST_GAIN_DB = 24.0


class GatedVad:
    """Runs the network only while something is louder than the room.

    A quiet frame costs an energy sum. When the gate opens, the frames before it are fed first, so that the network
    hears the onset in context; it stays open for ``hold`` frames after the last loud one, longer than the silence
    that ends a segment, so an open segment is always judged by the network.

    Quiet voices are lifted towards the level the network was trained on. The gain follows the loudest recent frame:
    a talker's level, not the word's. Of 299 single words at -32 dB it hears 298; 292 without the gain, 291 without the
    warm-up.

    Args:
        rise_db: How far above the noise floor opens the gate. Low: the network sorts out what is not speech.
        minimum_db: Level under which the gate stays shut, in dB of full scale.
        hold: Frames the gate stays open.
        history: Frames kept for the network's warm-up.
    """

    frame = SileroVad.frame

    def __init__(self, *, rise_db: float = 5.0, minimum_db: float = -66.0, hold: int = 25, history: int = 8) -> None:
        self._rise_db = rise_db
        self._minimum_db = minimum_db
        self._hold = hold
        self._floor = NoiseFloor()
        self._network = SileroVad()
        self._history: deque[Samples] = deque(maxlen=history)
        self._open_frames = 0
        self._peak_db = level.SILENCE_DB

    def probabilities(self, samples: Samples) -> list[float]:
        """Return the network's opinion of the frames for which the gate is open, else 0."""
        frames = samples.reshape(-1, self.frame)
        found: list[float] = []
        gains: list[float] = []
        for number, loudness in enumerate(level.frame_levels(frames)):
            floor = self._floor.receive(loudness)
            self._peak_db = max(loudness, self._peak_db - 0.2)
            loud = loudness >= self._minimum_db and loudness >= floor + self._rise_db
            if not self._open_frames:
                found += self._hear(frames[:number], gains)
                if not loud:
                    self._history.append(frames[number])
                    found.append(0.0)
                    continue
                self._open()
            self._open_frames = self._hold if loud else self._open_frames - 1
            gains.append(self._gain())
        return found + self._hear(frames, gains)

    def reset(self) -> None:
        """Forget the stream."""
        self._floor.reset()
        self._network.reset()
        self._history.clear()
        self._open_frames = 0
        self._peak_db = level.SILENCE_DB

    def _open(self) -> None:
        self._network.reset()
        if self._history:
            self._network.probabilities(np.concatenate(self._history), (self._gain(),))
            self._history.clear()

    def _hear(self, frames: Samples, gains: list[float]) -> list[float]:
        """Let the network judge the last frames, as many as there are gains, which are used up."""
        if not gains:
            return []
        found = self._network.probabilities(frames[-len(gains) :], gains)
        gains.clear()
        return found

    def _gain(self) -> float:
        lift_db = min(max(_TARGET_DB - self._peak_db, 0.0), _MOST_GAIN_DB)
        return float(10.0 ** (lift_db / 20.0))
