"""A recorded session, fed once more: does it say the same?"""

from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest

from hotmic.audio.segmenter import Cuts, Segmenter, SegmenterSettings
from hotmic.events import Event
from hotmic.policies.policy import Policy, PolicySettings
from hotmic.session.recorder import job_name
from hotmic.session.session import Session
from hotmic.session.tape import Entry, EventsOutput, Header, Input, JobsOutput, Surroundings
from hotmic.values import PolicyName, Value


class Difference(Value, frozen=True, kw_only=True):
    """Where the session said something else than when it was recorded; ``None`` stands for nothing."""

    after: int
    """Number of the input before it, from 1; 0 before the first."""
    input_name: str
    now: float
    """When that input came."""
    recorded: Value | None
    """An event or a job."""
    replayed: Value | None

    def explain(self) -> str:
        """Return it in a few lines: both sides, and the fields that differ."""
        lines = [f"first difference after input {self.after}, {self.input_name}:"]
        if self.recorded is not None and type(self.recorded) is type(self.replayed):
            lines.append(f"  {type(self.recorded).__name__}, where these fields differ:")
            for field in self.recorded.__struct_fields__:
                was, now = getattr(self.recorded, field), getattr(self.replayed, field)
                if was != now:
                    lines += [f"    {field}", f"      recorded: {was!r}", f"      replayed: {now!r}"]
        else:
            lines += [f"  recorded: {self.recorded or 'nothing'}", f"  replayed: {self.replayed or 'nothing'}"]
        return "\n".join(lines)


class Replay:
    """A session built from a header and fed with entries.

    Where the recorded session raised, this one does too, and ``receive`` lets it through.

    Args:
        header: How it was built.
        build_segmenter: Makes a segmenter from the settings' numbers and a session's wishes.
        build_policy: Makes a policy from numbers and the session's choice.
    """

    def __init__(
        self,
        header: Header,
        *,
        build_segmenter: Callable[[SegmenterSettings, Cuts], Segmenter],
        build_policy: Callable[[PolicySettings, PolicyName | None], Policy],
    ) -> None:
        self.inputs = self.jobs = 0
        self.events: list[tuple[float, Event]] = []
        """What the session says now, each with the time of the input before it."""
        self._policy = PolicySettings()
        self._now, self._input_name = 0.0, "the start"
        self._session = Session(
            header.session_id,
            channel=header.channel,
            settings=header.settings,
            options=header.options,
            build_segmenter=lambda cuts: build_segmenter(header.segmenter, cuts),
            build_policy=lambda name: build_policy(self._policy, name),
        )

    def run(self, entries: Iterable[Entry]) -> Difference | None:
        """Take entries up to the first difference; ``None`` when there is none."""
        for entry in entries:
            difference = self.receive(entry)
            if difference is not None:
                return difference
        self._drain_events()
        return None

    def receive(self, entry: Entry) -> Difference | None:
        """Take an entry; return what differs where it is an output."""
        match entry:
            case Surroundings(label=label, cadence=cadence, policy=policy):
                self._session.label, self._session.cadence, self._policy = label, cadence, policy
            case JobsOutput(jobs=recorded):
                jobs = [job_name(job) for job in self._session.jobs_to_run()]
                self.jobs += len(jobs)
                return self._compare(recorded, jobs)
            case EventsOutput(events=told):
                return self._compare(told, self._drain_events())
            case Input():
                self.inputs += 1
                self._now, self._input_name = getattr(entry, "now", self._now), entry.name
                entry.feed(self._session)
        return None

    def _drain_events(self) -> list[Event]:
        events = self._session.events_to_send()
        self.events += [(self._now, event) for event in events]
        return events

    def _compare(self, recorded: Sequence[Value], replayed: Sequence[Value]) -> Difference | None:
        for was, now in zip_longest(recorded, replayed):
            if was != now:
                return Difference(
                    after=self.inputs, input_name=self._input_name, now=self._now, recorded=was, replayed=now
                )
        return None
