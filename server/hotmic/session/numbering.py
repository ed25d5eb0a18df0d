"""Chunks that a client numbers: which one is due, and up to which one it may forget what it sent."""

from collections import deque

from hotmic.errors import SequenceGap

ACK_EVERY = 10
"""Settled chunks between two acknowledgements that nothing else prompts."""


class Numbering:
    """The numbers of one session's chunks. A session may begin at any number and goes on by ones."""

    def __init__(self) -> None:
        self.next_seq: int | None = None
        """The number that is due; ``None`` before the first."""
        self._unsettled: deque[tuple[int, int]] = deque()
        self._settled: int | None = None
        self._told: int | None = None

    def is_due(self, seq: int) -> bool:
        """Return whether a chunk is the next one, or the first; ``False`` for one that was received before.

        Raises:
            SequenceGap: Chunks before it are missing.
        """
        if self.next_seq is None or seq == self.next_seq:
            return True
        if seq < self.next_seq:
            return False
        raise SequenceGap(f"Chunk {self.next_seq} is due, not {seq}: send again what lies between.")

    def receive(self, seq: int, *, end: int) -> None:
        """Count a chunk that was taken.

        Args:
            seq: Its number.
            end: Position behind its last sample.
        """
        self.next_seq = seq + 1
        self._unsettled.append((seq, end))

    def settle(self, position: int) -> None:
        """Learn that all text of the audio before a position was told."""
        while self._unsettled and self._unsettled[0][1] <= position:
            self._settled, _ = self._unsettled.popleft()

    def news(self, *, at_once: bool) -> int | None:
        """Return the chunk to acknowledge up to, once enough of them are new or with any news ``at_once``."""
        if self._settled is None or self._settled == self._told:
            return None
        if self._told is not None and self._settled - self._told < ACK_EVERY and not at_once:
            return None
        return self.tell()

    def tell(self) -> int | None:
        """Return the chunk to acknowledge up to, news or not; ``None`` where nothing is settled yet."""
        self._told = self._settled
        return self._settled
