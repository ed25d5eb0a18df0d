"""One stretch of speech on its way from its first sample to its final."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hotmic.policies import script
from hotmic.policies.joining import join_overlapping_text, join_text, join_words, text_of
from hotmic.policies.policy import Policy
from hotmic.values import SAMPLE_RATE, DecodeResult, Word


@dataclass(slots=True)
class Window:
    """A settled slice of a segment, decoded once for the final; positions in samples since the session began."""

    start: int
    stop: int
    job_id: str
    result: DecodeResult | None = None

    def words(self) -> tuple[Word, ...]:
        """Return the result's words with times in seconds since the session began."""
        return _moved(self.result.words, self.start) if self.result else ()


@dataclass(frozen=True, slots=True)
class Partial:
    """A partial that was asked for: its audio, the text before it, and when its newest sample came."""

    start: int
    stop: int
    said_at: float
    previous: str = ""


COMMIT_MARGIN = SAMPLE_RATE
"""Audio is trimmed no nearer than this to its newest sample: the words there may still be heard otherwise."""


@dataclass(slots=True)
class Segment:
    """Book-keeping of one segment.

    Args:
        segment_id: Name on the wire.
        start: First sample, pre-roll included.
        recording: Number of the recording it belongs to.
        policy: Decides which words of the hypotheses are stable.
    """

    segment_id: str
    start: int
    recording: int
    policy: Policy
    end: int | None = None
    ended_at: float = 0.0
    noise: bytes = b""
    """The noise profile when speech was confirmed."""
    end_noise: bytes = b""
    """The noise profile when the end was confirmed."""
    speech_probability: float = 1.0
    """Of the whole segment, known when it ends."""
    windows: list[Window] = field(default_factory=list)
    partial_until: int = 0
    partials: dict[str, Partial] = field(default_factory=dict)
    shown: str = ""
    committed: str = ""
    """Stable text whose audio partials no longer contain."""
    committed_until: int = 0
    """Where the audio of partials begins."""
    asked: tuple[int, int] = (0, 0)
    """The audio of the newest partial."""

    def __post_init__(self) -> None:
        """Partials begin where the segment does."""
        self.partial_until = self.committed_until = self.start

    @property
    def settled_start(self) -> int:
        """First sample that no settled window covers."""
        return self.windows[-1].stop if self.windows else self.start

    @property
    def is_done(self) -> bool:
        """Whether the final can be told."""
        return self.end is not None and bool(self.windows) and all(w.result is not None for w in self.windows)

    @property
    def failure(self) -> DecodeResult | None:
        """The first result that says the engine could not decode its window."""
        return next((w.result for w in self.windows if w.result is not None and w.result.error_code), None)

    @property
    def results(self) -> list[DecodeResult]:
        """What the engine said about the windows so far."""
        return [w.result for w in self.windows if w.result is not None]

    def take(self, result: DecodeResult) -> bool:
        """Store a window's result; return whether it belonged here and was missing."""
        for window in self.windows:
            if window.job_id == result.job_id and window.result is None:
                window.result = result
                return True
        return False

    def text(self) -> tuple[str, tuple[Word, ...]]:
        """Return the joined text and words of all windows that have a result."""
        return _joined(self.windows)

    def take_partial(self, job_id: str) -> Partial | None:
        """Return what a partial was asked for, and forget it and all older ones; ``None`` where a newer one came."""
        taken = self.partials.get(job_id)
        if taken is not None:
            self.partials = {name: p for name, p in self.partials.items() if p.stop > taken.stop}
        return taken

    def hear(self, result: DecodeResult, partial: Partial) -> None:
        """Show the policy what the engine says about everything from the segment's beginning."""
        words = _moved(result.words, partial.start)
        self.policy.receive_hypothesis(
            join_text(partial.previous, result.text), words, heard=partial.stop / SAMPLE_RATE
        )
        if partial.previous == self.committed:
            self._commit(words, partial)

    def commit_windows(self) -> None:
        """Let partials begin behind the settled windows that were answered: nothing became stable for that long."""
        answered = list(itertools.takewhile(lambda window: window.result is not None, self.windows))
        if answered and answered[-1].stop > self.committed_until:
            self.committed, self.committed_until = _joined(answered)[0], answered[-1].stop

    def restart(self) -> None:
        """Forget what another model said about the open segment, but for what was shown as stable."""
        self.windows.clear()
        self.partials.clear()
        self.partial_until = self.committed_until

    def _commit(self, words: Sequence[Word], partial: Partial) -> None:
        """Trim the audio of partials to behind the last stable word, where times tell which that is."""
        stable = script.units(self.policy.stable)
        taken = len(script.units(partial.previous))
        last = -1
        for number, word in enumerate(words):
            taken += len(script.units(word.word))
            if taken > len(stable) or word.end > (partial.stop - COMMIT_MARGIN) / SAMPLE_RATE:
                break
            last, units = number, taken
        if last < 0:
            return
        said = join_text(partial.previous, text_of(words[: last + 1]))
        if _keys(script.units(said)) != _keys(stable[:units]):
            return
        following = words[last + 1].start if last + 1 < len(words) else words[last].end
        self.committed = "".join(stable[:units])
        self.committed_until = int((words[last].end + following) / 2 * SAMPLE_RATE)


def _joined(windows: Iterable[Window]) -> tuple[str, tuple[Word, ...]]:
    text, stop = "", 0
    words: tuple[Word, ...] = ()
    for window in windows:
        if window.result is not None and not window.result.error_code and window.result.text:
            text, words = _join(text, words, stop, window)
            stop = window.stop
    return text, words


def _moved(words: Sequence[Word], start: int) -> tuple[Word, ...]:
    offset = start / SAMPLE_RATE
    return tuple(
        Word(word=w.word, start=w.start + offset, end=w.end + offset, probability=w.probability) for w in words
    )


def _keys(units: Sequence[str]) -> list[str]:
    return [script.normalized(unit) for unit in units]


def _join(text: str, words: tuple[Word, ...], stop: int, window: Window) -> tuple[str, tuple[Word, ...]]:
    """Append a window: by word times where both sides have words, else by the text alone."""
    result, later = window.result, window.words()
    if result is None or not text:
        return (result.text if result else ""), later
    if words and later:
        overlap = (window.start / SAMPLE_RATE, stop / SAMPLE_RATE)
        joined = tuple(join_words(words, later, overlap=overlap))
        return text_of(joined), joined
    if window.start < stop:
        return join_overlapping_text(text, result.text), ()
    return join_text(text, result.text), ()
