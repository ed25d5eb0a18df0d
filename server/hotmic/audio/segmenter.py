"""Find where utterances start and end in a stream of any chunking."""

from typing import TypeAlias

import numpy as np

from hotmic.audio import level
from hotmic.audio.noise import NoiseProfile
from hotmic.audio.vad import Vad
from hotmic.values import Samples, VadProfile, Value

_SMOOTHING = 960
"""60 ms: long enough to see past the pitch period, short enough to find the gap between two words."""
_BLOCKS = 4
"""Of a frame, whose levels are kept to find that gap."""

Powers: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float32]]


class SpeechStarted(Value, frozen=True, kw_only=True):
    """Speech was confirmed; it began at ``start``, pre-roll included."""

    start: int
    noise: bytes = b""
    """The noise profile when speech was confirmed, PCM16; unlike ``Segmenter.noise`` it depends on the audio alone."""


class SpeechEnded(Value, frozen=True, kw_only=True):
    """The segment is closed: ``[start, end)``, hang-over included."""

    start: int
    end: int
    speech_probability: float
    """Mean of the VAD over the segment, without pre-roll and hang-over."""
    noise: bytes = b""
    """The noise profile when the end was confirmed, PCM16."""


Boundary: TypeAlias = SpeechStarted | SpeechEnded


class SegmenterSettings(Value, frozen=True, kw_only=True):
    """The numbers of a segmenter that the daemon's settings decide, under the names they have there."""

    min_speech_ms: int
    min_silence_ms: int
    pre_roll_ms: int
    hang_over_ms: int
    max_segment_s: float
    soft_segment_s: float


class Cuts(Value, frozen=True, kw_only=True):
    """What a session says about its segmenter; ``None`` leaves a number to the settings and the profile."""

    vad: VadProfile = "default"
    min_silence_ms: int | None = None
    pre_roll_ms: int | None = None
    vad_threshold: float | None = None
    """How sure the VAD must be, 0 to 1; at 0.5 the thresholds are the profile's own and scale from there."""


class Segmenter:
    """Turns frame decisions into segments.

    Speech starts after ``min_speech`` samples of speech whose gaps are at most ``start_gap``, and ends after
    ``min_silence`` samples without any; a shorter pause belongs to the utterance. Positions count samples since the
    session began, so they survive dropped frames and clock changes, and the cuts between chunks never matter.

    Whoever talks on without such a pause gets soft endpoints: from ``soft_after`` on less and less silence is enough,
    down to ``min_pause`` when the segment is two thirds of ``max_segment`` long. A segment that reaches
    ``max_segment`` all the same is cut at the quietest 60 ms of its last third, and the next one begins on the very
    sample where it ends.

    Args:
        vad: Judges frames; belongs to this segmenter alone.
        min_speech: Samples of speech that confirm a start. Lower reacts sooner and lets clicks through.
        min_silence: Samples of silence, counted from the last speech frame, that confirm an end; the floor of the
            final's latency.
        pre_roll: Samples before the first speech frame that belong to the segment: soft onsets.
        hang_over: Samples after the last speech frame that belong to the segment: the fading end of the last word.
        max_segment: Longest segment in samples.
        soft_after: Samples of a segment after which shorter pauses end it; ``None``: never.
        min_pause: The shortest of them.
        start_gap: Samples of non-speech within a start that do not void it.
        start_threshold: VAD probability that makes a frame speech while no segment is open.
        stay_threshold: The same while one is open; doubtful frames just before a start belong to it as well.
    """

    def __init__(
        self,
        vad: Vad,
        *,
        min_speech: int,
        min_silence: int,
        pre_roll: int,
        hang_over: int,
        max_segment: int,
        soft_after: int | None = None,
        min_pause: int = 3200,
        start_gap: int = 0,
        start_threshold: float = 0.5,
        stay_threshold: float = 0.5,
    ) -> None:
        self._vad = vad
        self._min_speech = min_speech
        self._min_silence = min_silence
        self._pre_roll = pre_roll
        self._hang_over = hang_over
        self._max_segment = max(max_segment, 6 * vad.frame)
        self._soft_after = self._max_segment if soft_after is None else soft_after
        self._min_pause = min(min_pause, min_silence)
        self._start_gap = start_gap
        self._start_threshold = start_threshold
        self._stay_threshold = stay_threshold
        self._noise = NoiseProfile(frame=vad.frame, guard=pre_roll)
        self._boundaries: list[Boundary] = []
        self._rest = np.zeros(0, dtype=np.int16)
        self._position = 0
        self._last_end = 0
        self._start: int | None = None
        self._clear_run(0)

    @property
    def position(self) -> int:
        """Samples received since the session began."""
        return self._position

    @property
    def open_start(self) -> int | None:
        """Start of the open segment, pre-roll included; ``None`` while there is none."""
        return self._start

    @property
    def is_quiet(self) -> bool:
        """Whether no segment is open and nothing was heard that may become one."""
        return self._start is None and not self._probabilities

    @property
    def keep_from(self) -> int:
        """Every boundary still to come lies at or after this position: audio before it is settled."""
        if self._start is not None:
            return self._start
        return max(self._last_end, self._run_start - self._pre_roll)

    @property
    def certain_end(self) -> int | None:
        """The open segment will not end before this position, whatever comes; ``None`` while there is none."""
        if self._start is None:
            return None
        # At its longest it is cut somewhere in the last third.
        first_cut = self._start + self._max_segment * 2 // 3
        return max(self._start, min(self._speech_end + self._hang_over, self._position - len(self._rest), first_cut))

    @property
    def speech_probability(self) -> float:
        """Mean of the VAD over the speech of the open segment; 0 while there is none."""
        return 0.0 if self._start is None else self._probability_until(self._speech_end)

    def receive(self, samples: Samples) -> None:
        """Take the next samples, any number."""
        self._position += len(samples)
        data = np.concatenate((self._rest, samples)) if len(self._rest) else samples
        size = self._vad.frame
        whole = len(data) // size * size
        if whole:
            self._receive_frames(data[:whole], self._position - len(data))
        self._rest = data[whole:].copy()

    def boundaries_to_send(self) -> list[Boundary]:
        """Drain what was found, in order."""
        drained, self._boundaries = self._boundaries, []
        return drained

    def finish(self) -> None:
        """End the open segment now: recording stopped, the audio ended or the wire fell silent.

        The samples of an unfinished frame are judged as if silence followed. More audio may come afterwards.
        """
        if len(self._rest):
            frame = np.zeros(self._vad.frame, dtype=np.int16)
            frame[: len(self._rest)] = self._rest
            start = self._position - len(self._rest)
            self._rest = np.zeros(0, dtype=np.int16)
            self._receive_frames(frame, start)
        if self._start is not None:
            self._close(min(self._speech_end + self._hang_over, self._position))
        self._clear_run(self._position)

    def discard(self) -> None:
        """Forget the open segment and whatever may become one: no segment reaches back behind this moment."""
        self._rest = np.zeros(0, dtype=np.int16)
        self._boundaries.clear()
        self._start = None
        self._last_end = self._position
        self._clear_run(self._position)

    def noise(self) -> Samples:
        """Return up to 0.5 s of the newest audio that is surely no speech, for the noise profile; may be empty."""
        return self._noise.samples()

    def _receive_frames(self, samples: Samples, start: int) -> None:
        """Take whole frames, the first of which begins at ``start``."""
        size = self._vad.frame
        frames, probabilities = samples.reshape(-1, size), self._vad.probabilities(samples)
        if self.is_quiet and max(probabilities) < min(self._start_threshold, self._stay_threshold):
            self._pass_silence(frames, min(start + len(samples), self._position), probabilities)
            return
        powers = level.block_powers(samples, size // _BLOCKS).reshape(-1, _BLOCKS)
        for number, probability in enumerate(probabilities):
            begin = start + number * size
            end = min(begin + size, self._position)
            if self._start is None:
                self._watch(frames[number], begin, end, probability, powers[number])
            else:
                self._follow(frames[number], end, probability, powers[number])

    def _pass_silence(self, frames: Samples, end: int, probabilities: list[float]) -> None:
        """Take frames in which nothing begins that may become a segment."""
        self._clear_run(end)
        for frame, probability in zip(frames, probabilities, strict=True):
            self._noise.receive(frame, probability)

    def _watch(self, frame: Samples, start: int, end: int, probability: float, powers: Powers) -> None:
        speech = probability >= self._start_threshold
        if speech or (self._run_speech and end - self._speech_end <= self._start_gap):
            self._record(powers, end, probability, speech=speech)
        elif probability >= self._stay_threshold and not self._run_speech:
            # A doubtful frame counts for nothing yet, but if speech follows, it began here.
            self._record(powers, end, probability, speech=False)
            self._forget_before(start - self._pre_roll)
        else:
            self._clear_run(end)
            self._noise.receive(frame, probability)
            return
        self._noise.interrupt()
        if self._run_speech >= self._min_speech:
            self._open(max(self._run_start - self._pre_roll, self._last_end))
            self._limit(end)

    def _follow(self, frame: Samples, end: int, probability: float, powers: Powers) -> None:
        speech = probability >= self._stay_threshold
        self._record(powers, end, probability, speech=speech)
        if speech:
            self._noise.interrupt()
        elif end - self._speech_end > self._hang_over:
            self._noise.receive(frame, probability)
        if end - self._speech_end >= self._enough_silence():
            self._close(min(self._speech_end + self._hang_over, end))
            self._clear_run(end)
        else:
            self._limit(end)

    def _enough_silence(self) -> int:
        """Return how long a pause ends the open segment, by its length up to that pause."""
        assert self._start is not None
        over = self._speech_end - self._start - self._soft_after
        room = self._max_segment * 2 // 3 - self._soft_after
        if over <= 0 or room <= 0:
            return self._min_silence
        return max(self._min_pause, self._min_silence - (self._min_silence - self._min_pause) * over // room)

    def _record(self, powers: Powers, end: int, probability: float, *, speech: bool) -> None:
        self._probabilities.append(probability)
        self._powers.append(powers)
        if speech:
            self._run_speech += self._vad.frame
            self._speech_end = end

    def _limit(self, end: int) -> None:
        """Cut the open segment while it is longer than allowed."""
        assert self._start is not None
        while self._start is not None and end - self._start >= self._max_segment:
            cut = self._quietest(self._start + self._max_segment * 2 // 3, self._start + self._max_segment)
            if self._speech_end <= cut:
                # Only silence would follow: the segment ends here as it would have a moment later.
                self._close(min(self._speech_end + self._hang_over, cut))
                self._clear_run(end)
                return
            self._close(cut)
            self._forget_before(cut)
            self._open(cut)

    def _quietest(self, first: int, last: int) -> int:
        """Return the position in the middle of the quietest 60 ms of ``[first, last)``."""
        block = self._vad.frame // _BLOCKS
        powers = level.smooth(np.concatenate(self._powers), max(_SMOOTHING // block, 1))
        low = max((first - self._run_start) // block, 0)
        high = max((last - self._run_start) // block, low + 1)
        return self._run_start + (low + int(np.argmin(powers[low:high]))) * block + block // 2

    def _forget_before(self, position: int) -> None:
        frames = max(position - self._run_start, 0) // self._vad.frame
        del self._probabilities[:frames]
        del self._powers[:frames]
        self._run_start += frames * self._vad.frame

    def _open(self, start: int) -> None:
        self._start = start
        self._boundaries.append(SpeechStarted(start=start, noise=self.noise().tobytes()))

    def _close(self, end: int) -> None:
        assert self._start is not None
        self._boundaries.append(
            SpeechEnded(
                start=self._start,
                end=end,
                speech_probability=self._probability_until(end),
                noise=self.noise().tobytes(),
            )
        )
        self._start = None
        self._last_end = end

    def _probability_until(self, end: int) -> float:
        stop = (min(end, self._speech_end) - self._run_start + self._vad.frame - 1) // self._vad.frame
        heard = self._probabilities[: max(stop, 1)]
        return sum(heard) / len(heard)

    def _clear_run(self, start: int) -> None:
        self._run_start = start
        self._run_speech = 0
        self._speech_end = start
        self._probabilities: list[float] = []
        self._powers: list[Powers] = []
