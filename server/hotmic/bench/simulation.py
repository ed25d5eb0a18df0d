"""The real scheduler under thousands of made-up speakers on a modelled device, in virtual time.

A discrete-event simulation: no clock, no I/O, chance from a seed. Speakers talk and pause for random times, ask for
partials at the cadence they are told and for a final at each endpoint, as ``session/planner.py`` would. Refused
speakers come back when they were told to.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hotmic.bench.device import GPU, Device
from hotmic.scheduler.bucket import WINDOW_BUCKETS
from hotmic.scheduler.capacity import PARTIAL_SHARE, Capacity
from hotmic.scheduler.scheduler import Batch, Scheduler
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeKind, Value

CHUNK = 0.1
"""Seconds of audio that come at a time."""
PRE_ROLL, FIRST_PARTIAL, ENDPOINT = 0.3, 0.2, 0.6
"""Seconds of audio before a segment, of speech before its first partial, of silence that end it."""
FILE_ROWS, FILE_WINDOW = 5, 10.0
"""Finals of a file that are asked for at a time, and their length in seconds: what the ring of its session holds."""
SHORTEST_TALK, LONGEST_TALK = 0.8, 25.0

_WINDOWS = {size: bytes(int((size - 0.1) * SAMPLE_RATE) * 2) for size in WINDOW_BUCKETS}


class Scenario(Value, frozen=True, kw_only=True):
    """What is simulated. Times in seconds."""

    tenants: tuple[int, ...] = (500,)
    """Speakers of each tenant."""
    duration: float = 60.0
    ramp: float = 10.0
    """Speakers come in evenly over this time; nothing is counted before twice of it."""
    talk: float = 4.0
    """Mean length of an utterance."""
    pause: float = 4.0
    """Mean pause between two."""
    device: Device = GPU
    max_rows: int = 32
    max_in_flight: int = 2
    cadence: float = 0.3
    max_cadence: float = 2.0
    admission: bool = True
    partial_share: float = PARTIAL_SHARE
    """Most that partials count for when somebody is let in."""
    files: int = 0
    """Files that are transcribed meanwhile; they have no end."""
    seed: int = 0


class Spread(Value, frozen=True, kw_only=True):
    """Percentiles in seconds; zeros of nothing."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the percentiles of values."""
        if not values:
            return cls()
        p50, p95, p99 = (round(float(p), 4) for p in np.percentile(values, (50, 95, 99)))
        return cls(p50=p50, p95=p95, p99=p99)


class Report(Value, frozen=True, kw_only=True):
    """What came of a scenario."""

    offered: int
    admitted: int
    refusals: int
    """Times that somebody was sent away; the same one may come again."""
    finals: int
    finals_lost: int
    final_latency: Spread
    """From the endpoint to the text."""
    partial_age: Spread
    """From the newest audio of a partial to its text."""
    session_fairness: float
    """Jain index of partials per second of speech over the sessions: 1 is even, 1/n is all for one of n."""
    tenant_fairness: float
    """The same over the tenants."""
    cadence: float
    """Mean in seconds."""
    cadence_spread: float
    """Standard deviation of the cadence in seconds."""
    utilisation: float
    rows: float
    """Mean rows of a batch."""
    dropped: float
    """Share of partials that were overwritten, withdrawn or stale before they were served."""
    file_speed: float = 0.0
    """Seconds of audio of all files together that were decoded in a second."""


def jain(values: Sequence[float]) -> float:
    """Return Jain's index of fairness: (sum)^2 / (n * sum of squares); 1 of nothing (Jain, Chiu and Hawe 1984)."""
    squares = sum(v * v for v in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0


@dataclass(slots=True)
class _Speaker:
    """One speaker; times count from the start of the simulation."""

    name: str
    tenant: str
    segment: int = 0
    start: float = 0.0
    end: float = 0.0
    asked: float = 0.0
    """Audio up to here is in the newest partial."""
    is_counted: bool = False
    """Whether the segment began in the time that counts."""
    spoken: float = 0.0
    served: int = 0


@dataclass(slots=True)
class _Tally:
    finals: list[float] = field(default_factory=list)
    ages: list[float] = field(default_factory=list)
    cadences: list[float] = field(default_factory=list)
    asked_finals: int = 0
    told_finals: int = 0
    asked_partials: int = 0
    busy: float = 0.0
    rows: int = 0
    batches: int = 0
    refusals: int = 0
    file_rows: int = 0


class Simulation:
    """One run of a scenario.

    Args:
        scenario: What is simulated.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._random = np.random.default_rng(scenario.seed)
        capacity = Capacity(
            max_rows=scenario.max_rows, ceiling=scenario.max_cadence, partial_share=scenario.partial_share
        )
        self.scheduler = Scheduler(
            max_rows=scenario.max_rows,
            max_in_flight=scenario.max_in_flight,
            cadence=scenario.cadence,
            max_cadence=scenario.max_cadence,
            capacity=capacity,
        )
        self._events: list[tuple[float, int, str, _Speaker | Batch]] = []
        self._number = 0
        self._free_at = 0.0
        self._speakers: dict[str, _Speaker] = {}
        self._asked_at: dict[str, float] = {}
        self._tally = _Tally()
        self._exponentials = self._draw()

    def run(self) -> Report:
        """Let the time pass, then wait for the finals that are left."""
        offered = [f"t{tenant}" for tenant, count in enumerate(self._scenario.tenants) for _ in range(count)]
        self._random.shuffle(offered)
        for number, tenant in enumerate(offered):
            self._later(self._scenario.ramp * number / len(offered), "arrive", _Speaker(f"s{number}", tenant))
        for number in range(self._scenario.files):
            self._later(0.0, "file", _Speaker(f"f{number}", "files"))
        while self._events:
            now, _, kind, subject = heapq.heappop(self._events)
            if isinstance(subject, Batch):
                self._receive_batch(subject, now)
            elif now < self._scenario.duration:
                self._receive_speaker(kind, subject, now)
            elif kind == "end":
                self._end(subject, now)
            for batch in self.scheduler.batches_to_run(now=now):
                self._start(batch, now)
        return self._report(len(offered))

    # the device

    def _start(self, batch: Batch, now: float) -> None:
        seconds = self._scenario.device.seconds(batch.shape, len(batch.jobs))
        self._free_at = max(now, self._free_at) + seconds
        if self._counts(now):
            self._tally.busy += seconds
            self._tally.rows += len(batch.jobs)
            self._tally.batches += 1
        self._later(self._free_at, "done", batch)

    def _receive_batch(self, batch: Batch, now: float) -> None:
        self.scheduler.receive_done(batch, now=now)
        if self._counts(now):
            self._tally.cadences.append(self.scheduler.cadence)
        tally = self._tally
        for job in batch.jobs:
            asked = self._asked_at.pop(job.job_id)
            if job.is_from_file:
                tally.file_rows += self._counts(now)
                if now < self._scenario.duration:
                    self._ask("final", _Speaker(job.session_id, job.tenant), now, deadline=now, is_from_file=True)
                continue
            if job.kind == "final":
                tally.told_finals += 1
            if not self._counts(asked):
                continue
            if job.kind == "final":
                tally.finals.append(now - asked)
            else:
                tally.ages.append(now - asked)
                speaker = self._speakers[job.session_id]
                speaker.served += speaker.is_counted

    # the speakers

    def _receive_speaker(self, kind: str, speaker: _Speaker, now: float) -> None:
        match kind:
            case "arrive":
                self._arrive(speaker, now)
            case "talk":
                self._talk(speaker, now)
            case "listen":
                self._listen(speaker, now)
            case "file":
                for _ in range(FILE_ROWS):
                    self._ask("final", speaker, now, deadline=now, is_from_file=True)
            case "end":
                self._end(speaker, now)
                self._later(now + self._scenario.pause * next(self._exponentials), "talk", speaker)

    def _arrive(self, speaker: _Speaker, now: float) -> None:
        retry_after = self.scheduler.retry_after(now=now) if self._scenario.admission else None
        if retry_after is not None:
            self._tally.refusals += 1
            self._later(now + retry_after, "arrive", speaker)
            return
        self.scheduler.receive_session(speaker.name, now=now)
        self._speakers[speaker.name] = speaker
        self._later(now + self._scenario.pause * next(self._exponentials), "talk", speaker)

    def _talk(self, speaker: _Speaker, now: float) -> None:
        length = min(LONGEST_TALK, max(SHORTEST_TALK, self._scenario.talk * next(self._exponentials)))
        speaker.segment += 1
        speaker.start = speaker.asked = now - PRE_ROLL
        speaker.end = now + length + ENDPOINT
        speaker.is_counted = self._counts(now) and speaker.end < self._scenario.duration
        if speaker.is_counted:
            speaker.spoken += length + ENDPOINT
        self._later(now + FIRST_PARTIAL, "listen", speaker)
        self._later(speaker.end, "end", speaker)

    def _listen(self, speaker: _Speaker, now: float) -> None:
        """Look whether a partial is due, as a session does with each chunk; it is called when one may be."""
        if now >= speaker.end:
            return
        cadence = self.scheduler.cadence
        if now - speaker.asked >= cadence - 1e-9:
            speaker.asked = now
            self._tally.asked_partials += 1
            self._ask("partial", speaker, now, deadline=now + cadence)
        chunks = -(-(speaker.asked + cadence - now) // CHUNK)
        self._later(now + CHUNK * max(1.0, chunks), "listen", speaker)

    def _end(self, speaker: _Speaker, now: float) -> None:
        self._tally.asked_finals += 1
        self._ask("final", speaker, now, deadline=now)

    def _ask(
        self, kind: DecodeKind, speaker: _Speaker, now: float, *, deadline: float, is_from_file: bool = False
    ) -> None:
        self._number += 1
        name = str(self._number)
        seconds = FILE_WINDOW - 0.1 if is_from_file else now - speaker.start
        size = next((b for b in WINDOW_BUCKETS if seconds + 0.1 <= b), WINDOW_BUCKETS[-1])
        self._asked_at[name] = now
        job = DecodeJob(
            job_id=name,
            session_id=speaker.name,
            segment_id=f"{speaker.name}-{speaker.segment}",
            kind=kind,
            samples=_WINDOWS[size],
            start=0,
            deadline=deadline,
            tenant=speaker.tenant,
            is_from_file=is_from_file,
        )
        self.scheduler.receive_job(job, now=now)

    # the books

    def _later(self, at: float, kind: str, subject: _Speaker | Batch) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, kind, subject))

    def _counts(self, now: float) -> bool:
        return 2 * self._scenario.ramp <= now < self._scenario.duration

    def _draw(self) -> Iterator[float]:
        while True:
            yield from self._random.exponential(1.0, 1000).tolist()

    def _report(self, offered: int) -> Report:
        tally, scenario = self._tally, self._scenario
        heard = [s for s in self._speakers.values() if s.spoken >= 5.0]
        spoken: Counter[str] = Counter()
        served: Counter[str] = Counter()
        for speaker in heard:
            spoken[speaker.tenant] += speaker.spoken  # type: ignore[assignment]
            served[speaker.tenant] += speaker.served
        return Report(
            offered=offered,
            admitted=len(self._speakers),
            refusals=tally.refusals,
            finals=tally.told_finals,
            finals_lost=tally.asked_finals - tally.told_finals,
            final_latency=Spread.of(tally.finals),
            partial_age=Spread.of(tally.ages),
            session_fairness=round(jain([s.served / s.spoken for s in heard]), 4),
            tenant_fairness=round(jain([served[t] / spoken[t] for t in spoken]), 4),
            cadence=round(float(np.mean(tally.cadences)), 3) if tally.cadences else scenario.cadence,
            cadence_spread=round(float(np.std(tally.cadences)), 3) if tally.cadences else 0.0,
            utilisation=round(tally.busy / max(1e-9, scenario.duration - 2 * scenario.ramp), 3),
            rows=round(tally.rows / max(1, tally.batches), 1),
            file_speed=round(FILE_WINDOW * tally.file_rows / max(1e-9, scenario.duration - 2 * scenario.ramp), 1),
            dropped=round(self.scheduler.dropped / max(1, tally.asked_partials), 3),
        )


def simulate(scenario: Scenario) -> Report:
    """Run a scenario."""
    return Simulation(scenario).run()


def sustains(report: Report, *, final: float = 0.8, age: float = 1.0) -> bool:
    """Return whether a run kept the limits: p95 of finals and of the age of partials, nothing lost, nobody refused."""
    kept = report.final_latency.p95 <= final and report.partial_age.p95 <= age
    return kept and not report.finals_lost and not report.refusals


def knee(reports: Sequence[Report]) -> int:
    """Return how many speakers were sustained in a sweep: the most that were offered before a limit broke."""
    most = 0
    for report in sorted(reports, key=lambda r: r.offered):
        if not sustains(report):
            break
        most = report.offered
    return most
