"""One stretch of speech on its way from its first sample to its final."""

from dataclasses import dataclass, field

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
        if self.result is None:
            return ()
        offset = self.start / SAMPLE_RATE
        return tuple(
            Word(word=w.word, start=w.start + offset, end=w.end + offset, probability=w.probability)
            for w in self.result.words
        )


@dataclass(frozen=True, slots=True)
class Partial:
    """A partial that was asked for: its audio, and when."""

    start: int
    stop: int
    asked_at: float


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
    speech_probability: float = 1.0
    windows: list[Window] = field(default_factory=list)
    partial_until: int = 0
    partials: dict[str, Partial] = field(default_factory=dict)
    shown: str = ""

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

    def take(self, result: DecodeResult) -> bool:
        """Store a window's result; return whether it belonged here and was missing."""
        for window in self.windows:
            if window.job_id == result.job_id and window.result is None:
                window.result = result
                return True
        return False

    def text(self) -> tuple[str, tuple[Word, ...]]:
        """Return the joined text and words of all windows that have a result."""
        text, words, _ = self._joined()
        return text, words

    def take_partial(self, job_id: str) -> Partial | None:
        """Return what a partial was asked for, and forget it and all older ones; ``None`` where a newer one came."""
        taken = self.partials.get(job_id)
        if taken is not None:
            self.partials = {name: p for name, p in self.partials.items() if p.stop > taken.stop}
        return taken

    def hypothesis(self, result: DecodeResult, partial: Partial) -> str:
        """Return the text of the whole open segment: settled windows, then a partial."""
        text, words, stop = self._joined()
        if not text:
            return result.text
        return _join(text, words, stop, Window(partial.start, partial.stop, result.job_id, result))[0]

    def _joined(self) -> tuple[str, tuple[Word, ...], int]:
        text, stop = "", self.start
        words: tuple[Word, ...] = ()
        for window in self.windows:
            if window.result is not None and not window.result.error_code and window.result.text:
                text, words = _join(text, words, stop, window)
                stop = window.stop
        return text, words, stop


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
