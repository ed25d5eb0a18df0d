"""What one client was told of a segment, where its protocol says every word once."""

from hotmic.events import FinalTranscribed, PartialTranscribed
from hotmic.policies import script
from hotmic.policies.prefix import tail_start
from hotmic.values import Word


class Said:
    """Turns growing partials and the final of a segment into pieces that a client can append to each other.

    A final may change words that were said as stable; what was said cannot be taken back, so only what lies behind
    the best alignment with it is said.
    """

    def __init__(self) -> None:
        self._segment_id = ""
        self._text = ""

    def partial(self, event: PartialTranscribed) -> str:
        """Return stable text that was not said yet, with the space before it; empty if there is none."""
        self._begin(event.segment_id)
        if not event.stable.startswith(self._text):
            return ""
        piece, self._text = event.stable[len(self._text) :], event.stable
        return piece

    def final(self, event: FinalTranscribed) -> tuple[str, tuple[Word, ...]]:
        """Return the rest of a segment, with the space before it, and its words; the segment is over."""
        self._begin(event.segment_id)
        units, said = script.units(event.text), script.units(self._text)
        behind = tail_start([script.normalized(unit) for unit in said], [script.normalized(unit) for unit in units])
        self._segment_id = self._text = ""
        return "".join(units[behind:]), _words_behind(event.words, "".join(units[:behind]))

    def _begin(self, segment_id: str) -> None:
        if segment_id != self._segment_id:
            self._segment_id, self._text = segment_id, ""


def _words_behind(words: tuple[Word, ...], text: str) -> tuple[Word, ...]:
    """Return the words that are not in the first part of a text, which they spell."""
    left = len("".join(text.split()))
    for index, word in enumerate(words):
        if left <= 0:
            return words[index:]
        left -= len("".join(word.word.split()))
    return ()
