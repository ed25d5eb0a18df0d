"""How many speakers fit, from what finished batches cost and how much people say."""

import math
from collections import OrderedDict

from hotmic.scheduler.bucket import Bucket
from hotmic.scheduler.cost import Cost
from hotmic.values import DecodeKind

BOUND = 0.85
"""Share of the device that finals, and partials as far as they are owed, may take; queues grow fast beyond."""
PARTIAL_SHARE = 0.125
"""Share of the device that partials are owed however many finals there are."""
LEAST_BATCHES = 20
"""Batches of finals before which nobody is refused."""
IDLE = 0.5
"""Measured share of busy time below which nobody is refused, unless more came in than were ever measured."""
FILL = 0.25
"""How full batches of finals are taken to be at capacity: windows differ in length."""
BUSY_MEMORY, TALK_MEMORY = 10.0, 60.0
"""Time constants in seconds of the device's load, and of how much people say."""
PRIOR_TALK, PRIOR_ROWS, PRIOR_AUDIO = 30.0, 0.2, 0.6
"""What is believed beforehand: for so many seconds of one speaker, finals and padded audio of finals per second."""
SPEAKING, ARRIVING = 30.0, 10.0
"""Seconds without a job after which a speaker counts no more; and for which one that just came in counts without."""
RETRY, LONGEST_RETRY = 5.0, 60.0


class Fading:
    """A sum whose terms fade exponentially.

    Args:
        memory: Time constant in seconds.
    """

    def __init__(self, memory: float) -> None:
        self._memory, self._sum, self._at = memory, 0.0, 0.0

    def add(self, amount: float, *, now: float) -> None:
        """Add a term."""
        self._sum = self.at(now) + amount
        self._at = max(self._at, now)

    def at(self, now: float) -> float:
        """Return the sum as it is now."""
        return self._sum * math.exp(-max(0.0, now - self._at) / self._memory)


class Capacity:
    """Load of the device, measured and projected.

    Finals must keep up; partials are stretched and skipped before anybody is refused. The projected utilisation is the
    device time that finals of all speakers will take per second, with batches a quarter full, plus the partials at the
    slowest cadence as far as they are owed (``partial_share``). Speakers are those who had a job in the last half
    minute, those who just came in, and the one at the door.

    Args:
        max_rows: Most rows of a batch.
        ceiling: Slowest cadence of partials in seconds.
        bound: Projected utilisation beyond which a newcomer is refused.
        partial_share: Most that partials count for in it; 1 refuses as soon as all partials together with the finals
            would not fit at the slowest cadence.
    """

    def __init__(
        self, *, max_rows: int, ceiling: float, bound: float = BOUND, partial_share: float = PARTIAL_SHARE
    ) -> None:
        self._max_rows, self._ceiling, self._bound, self._partial_share = max_rows, ceiling, bound, partial_share
        self._speakers: OrderedDict[str, float] = OrderedDict()
        self._arriving: OrderedDict[str, float] = OrderedDict()
        self._talk, self._rows, self._audio = (Fading(TALK_MEMORY) for _ in range(3))
        self._counted_at = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget what batches cost: another model serves."""
        self.costs: dict[DecodeKind, Cost] = {"final": Cost(), "partial": Cost()}
        self._busy: dict[DecodeKind, Fading] = {"final": Fading(BUSY_MEMORY), "partial": Fading(BUSY_MEMORY)}
        self._partial_audio, self._partial_rows = Fading(TALK_MEMORY), Fading(TALK_MEMORY)
        self._since: float | None = None

    # inputs

    def receive_session(self, session_id: str, *, now: float) -> None:
        """A speaker came in."""
        self._arriving[session_id] = now

    def receive_job(self, session_id: str, shape: Bucket, *, now: float) -> None:
        """A speaker has something to decode."""
        self._count_talk(now)
        self._arriving.pop(session_id, None)
        self._speakers[session_id] = now
        self._speakers.move_to_end(session_id)
        if shape.kind == "final":
            self._rows.add(1, now=now)
            self._audio.add(shape.seconds, now=now)

    def receive_batch(self, shape: Bucket, rows: int, *, seconds: float, now: float) -> None:
        """A batch is done and kept the device busy for so long."""
        if self._since is None:
            self._since = now - seconds
        self.costs[shape.kind].learn(rows * shape.seconds, seconds)
        self._busy[shape.kind].add(seconds, now=now)
        if shape.kind == "partial":
            self._partial_rows.add(rows, now=now)
            self._partial_audio.add(rows * shape.seconds, now=now)

    def forget(self, session_id: str, *, now: float) -> None:
        """A speaker is gone."""
        self._count_talk(now)
        self._arriving.pop(session_id, None)
        self._speakers.pop(session_id, None)

    # what follows from it

    def has_speakers(self, *, now: float) -> bool:
        """Return whether anybody spoke lately or is about to."""
        self._count_talk(now)
        return bool(self._speakers or self._arriving)

    def utilisation(self, kind: DecodeKind, *, now: float) -> float:
        """Return the share of the last seconds that the device was busy with batches of a kind."""
        if self._since is None:
            return 0.0
        window = BUSY_MEMORY * -math.expm1(-max(now - self._since, 1.0) / BUSY_MEMORY)
        return min(1.0, self._busy[kind].at(now) / window)

    def projected(self, *, now: float) -> float:
        """Return the utilisation with one more speaker."""
        self._count_talk(now)
        speakers = len(self._speakers) + len(self._arriving) + 1
        rows, audio = self._finals_of(speakers, now)
        in_batch = max(1.0, FILL * self._max_rows)
        finals = self.costs["final"].of(rows / in_batch, audio)
        partial_rows = min(audio, speakers) / self._ceiling
        partial_audio = partial_rows * self._partial_audio.at(now) / max(1e-9, self._partial_rows.at(now))
        partials = self.costs["partial"].of(partial_rows / in_batch, partial_audio)
        return finals + min(partials, self._partial_share)

    def finals_load(self, *, now: float) -> float:
        """Return the share of the device that the finals of those who speak now need: as measured, or less where fuller
        batches would do."""
        rows, audio = self._finals_of(len(self._speakers), now)
        needed = self.costs["final"].of(rows / max(1.0, FILL * self._max_rows), audio)
        return min(needed, self.utilisation("final", now=now))

    def _finals_of(self, speakers: int, now: float) -> tuple[float, float]:
        """Return rows and seconds of padded audio per second that the finals of so many speakers come to."""
        talk = self._talk.at(now) + PRIOR_TALK
        rows = (self._rows.at(now) + PRIOR_TALK * PRIOR_ROWS) / talk
        audio = (self._audio.at(now) + PRIOR_TALK * PRIOR_AUDIO) / talk
        return speakers * rows, speakers * audio

    def retry_after(self, *, now: float) -> float | None:
        """Return in how many seconds a speaker at the door should come again; ``None`` lets it in."""
        if self.costs["final"].count < LEAST_BATCHES:
            return None
        projected = self.projected(now=now)
        if projected <= self._bound:
            return None
        busy = self.utilisation("final", now=now) + self.utilisation("partial", now=now)
        if busy < IDLE and len(self._arriving) <= max(self._max_rows, len(self._speakers)):
            return None
        return min(LONGEST_RETRY, RETRY * projected / self._bound)

    def _count_talk(self, now: float) -> None:
        """Add the seconds that all speakers together were there since the last time, and let go the silent ones."""
        passed = now - self._counted_at
        self._counted_at = max(now, self._counted_at)
        if self._speakers and passed > 0:
            self._talk.add(min(passed, SPEAKING) * len(self._speakers), now=now)
        for known, keep in ((self._speakers, SPEAKING), (self._arriving, ARRIVING)):
            while known and now - next(iter(known.values())) > keep:
                known.popitem(last=False)
