"""Further tries at a final whose first text is doubtful.

Whisper's own recipe is sampling at rising temperatures (Radford et al. 2022, section 4.5). A final here is a function
of its audio and options alone, and CTranslate2's sampling is not: each of its threads draws from a generator of its
own that ``set_random_seed`` does not reach once the thread has begun (seen in 4.8: the same window, seeded anew before
each call, gave another text on each lane). The tries below take the same way out of a rut, first gently, then freely,
without a dice: no run of tokens twice, a wider beam, no prompt, a price on repetition.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hotmic.engines import guard
from hotmic.engines.guard import Hypothesis
from hotmic.values import Guard


class Attempt(NamedTuple):
    """How one try differs from the first."""

    prompted: bool
    """Whether the prompt and the hotwords are said before it; what was said before is a common cause of loops."""
    widening: int
    """Factor of the beam."""
    no_repeat_ngram: int
    """So many tokens in a row come once."""
    repetition_penalty: float


ATTEMPTS = (
    Attempt(prompted=True, widening=2, no_repeat_ngram=4, repetition_penalty=1.0),
    Attempt(prompted=False, widening=2, no_repeat_ngram=3, repetition_penalty=1.1),
    Attempt(prompted=False, widening=1, no_repeat_ngram=2, repetition_penalty=1.3),
)
"""In order, until one is not doubtful."""

MAX_BEAM = 10


class Reading(NamedTuple):
    """What one decode of a window came to."""

    hypothesis: Hypothesis
    verdict: Guard
    others: tuple[str, ...] = ()
    """Texts of the further hypotheses."""

    @property
    def is_doubtful(self) -> bool:
        """Whether a final deserves another try: it ran in circles, or is most unlikely and not silence."""
        if self.verdict:
            return self.verdict in ("loop", "token_rate")
        told = self.hypothesis
        return bool(told.text) and told.average_logprob < guard.UNLIKELY and not guard.is_silence(told)


def widen(beam: int, attempt: Attempt) -> int:
    """Return the beam of a try."""
    return max(beam, min(MAX_BEAM, beam * attempt.widening))


def read(hypotheses: Sequence[Hypothesis]) -> Reading:
    """Judge the hypotheses of a window, best first; others are kept where they differ and no guard objects."""
    best = hypotheses[0]
    others: list[str] = []
    for other in hypotheses[1:]:
        if other.text and other.text not in (best.text, *others) and not guard.judge(other):
            others.append(other.text)
    return Reading(best, guard.judge(best), tuple(others))


def better(old: Reading, new: Reading) -> Reading:
    """Return the reading to keep: one without a verdict, then the likelier."""
    if new.verdict or not new.hypothesis.text:
        return old
    if old.verdict or new.hypothesis.average_logprob > old.hypothesis.average_logprob:
        return new
    return old
