"""A word is stable once the decoder's attention for it stays clear of the newest audio."""

from collections.abc import Sequence

from hotmic.policies import script
from hotmic.policies.prefix import Prefix
from hotmic.values import Word


class AlignAtt:
    """AlignAtt (Papi et al. 2023, arXiv 2305.11408; for Whisper: Simul-Whisper, Wang et al. 2024, arXiv 2406.10052).

    The papers stop decoding at the first token that attends to the last frames. Here the window is decoded to its end,
    aligned, and cut at the first word that starts within ``margin`` of the end: what was said last may still be heard
    otherwise when more of it is there. One hypothesis suffices where ``LocalAgreement`` waits for the next.

    Args:
        margin: Seconds before the end of the audio in which no word is stable.
    """

    needs_word_times = True

    def __init__(self, margin: float = 0.4) -> None:
        if margin < 0:
            raise ValueError(f"margin must not be negative, not {margin}")
        self._margin = margin
        self._prefix = Prefix()

    @property
    def stable(self) -> str:
        """Text that will not be taken back."""
        return self._prefix.stable

    @property
    def unstable(self) -> str:
        """Text that follows ``stable``, with the space between them if there is one."""
        return self._prefix.unstable

    def receive_hypothesis(self, text: str, words: Sequence[Word] = (), *, heard: float = 0.0) -> None:
        """Take what the engine now says about the whole segment; without ``words`` nothing becomes stable."""
        self._prefix.receive_hypothesis(text)
        first = next((i for i, word in enumerate(words) if word.start > heard - self._margin), len(words))
        if not first:
            return
        doubtful = sum(len(script.units(word.word)) for word in words[first:])
        self._prefix.advance(max(0, len(self._prefix.tail_keys) - doubtful))
