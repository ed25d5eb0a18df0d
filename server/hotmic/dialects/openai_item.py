"""One item of a transcription session: a turn of the speaker, of one segment or of several."""

import math

from hotmic.dialects.openai_answer import ItemContent, ItemShown, Logprob
from hotmic.events import ErrorRaised, FinalTranscribed
from hotmic.policies.joining import gap, join_text
from hotmic.values import Word


class Item:
    """What is known of a turn.

    Args:
        item_id: Its name on the wire.
    """

    def __init__(self, item_id: str) -> None:
        self.item_id = item_id
        self.is_committed = False
        self.seconds = 0.0
        """Length of its audio, known when it is committed."""
        self.failure: ErrorRaised | None = None
        self.transcript = ""
        self._said = ""
        self._said_segment = ""
        self._waiting: set[str] = set()
        self._words: list[Word] = []

    @property
    def is_done(self) -> bool:
        """Whether all of its text is known."""
        return self.is_committed and not self._waiting

    def open_segment(self, segment_id: str) -> None:
        """A segment of it began."""
        self._waiting.add(segment_id)

    def close_segment(self, segment_id: str, final: FinalTranscribed | None) -> None:
        """A segment of it has its text, or has none."""
        self._waiting.discard(segment_id)
        if final is not None:
            self.transcript = join_text(self.transcript, final.text)
            self._words += final.words

    def say(self, segment_id: str, piece: str) -> str:
        """Return a piece of text of a segment as it follows what was said of the item before."""
        if piece and segment_id != self._said_segment:
            piece = piece.lstrip()
            piece = gap(self._said, piece) + piece
            self._said_segment = segment_id
        self._said += piece
        return piece

    def logprobs(self) -> list[Logprob]:
        """Return how sure the model is of every word."""
        return [
            Logprob(
                token=word.word,
                bytes=list(word.word.encode()),
                logprob=round(math.log(min(max(word.probability, 1e-9), 1.0)), 4),
            )
            for word in self._words
        ]

    def shown(self) -> ItemShown:
        """Return it as clients see it; its text comes in events of its own."""
        content = [ItemContent(transcript=None)]
        return ItemShown(id=self.item_id, object="realtime.item", status="completed", role="user", content=content)
