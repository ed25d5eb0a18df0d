"""A session that notes everything that comes in, and what it says to it."""

from collections.abc import Callable
from typing import Any, Protocol, cast

import msgspec

from hotmic.commands import Command
from hotmic.events import Event, SessionEvent
from hotmic.policies.policy import PolicySettings
from hotmic.session.session import Session
from hotmic.session.tape import (
    AttachInput,
    AudioInput,
    CloseInput,
    CommandInput,
    DetachInput,
    Entry,
    EventsOutput,
    Input,
    JobName,
    JobsOutput,
    ModelInput,
    ResultInput,
    SessionCommand,
    Surroundings,
    TimerInput,
    Told,
)
from hotmic.values import Capabilities, DecodeJob, DecodeResult


class Sink(Protocol):
    """Where entries go."""

    @property
    def is_open(self) -> bool:
        """Whether entries are still taken."""

    def write(self, entry: Entry) -> None:
        """Take an entry; when it cannot be kept, none are any more."""

    def close(self) -> None:
        """No more will come."""


class RecordedSession(Session):
    """A session whose inputs are noted before it sees them, and its outputs when they are drained.

    Its events say that they are recorded. What is written of them does not: it is what any session would have said.

    Args:
        session_id: Name on the wire.
        sink: Takes the entries, and is closed with the last event.
        policy_settings: Returns the numbers that ``build_policy`` goes by at the moment.
        parts: The other arguments of ``Session``.
    """

    def __init__(
        self, session_id: str, *, sink: Sink, policy_settings: Callable[[], PolicySettings], **parts: Any
    ) -> None:
        super().__init__(session_id, **parts)
        self._sink, self._policy_settings = sink, policy_settings
        self._surroundings: Surroundings | None = None

    def receive_command(self, command: Command, *, now: float) -> None:
        """Note and take a command, without the number by which whoever sent it knows it."""
        anonymous = msgspec.structs.replace(command, request_id=None)
        self._note(CommandInput(now=now, command=cast(SessionCommand, anonymous)))
        super().receive_command(command, now=now)

    def receive_audio(
        self,
        data: bytes,
        *,
        now: float,
        encoding: str = "pcm16",
        sample_rate: int | None = None,
        seq: int | None = None,
    ) -> None:
        """Note and take a chunk."""
        self._note(AudioInput(now=now, data=data, encoding=encoding, sample_rate=sample_rate, seq=seq))
        super().receive_audio(data, now=now, encoding=encoding, sample_rate=sample_rate, seq=seq)

    def receive_detach(self) -> None:
        """Note and take that the connection broke."""
        self._note(DetachInput())
        super().receive_detach()

    def receive_attach(self, *, now: float) -> None:
        """Note and take that the speaker is back."""
        self._note(AttachInput(now=now))
        super().receive_attach(now=now)

    def receive_model(self, model_id: str, capabilities: Capabilities) -> None:
        """Note and take which model serves."""
        self._note(ModelInput(model_id=model_id, capabilities=capabilities))
        super().receive_model(model_id, capabilities)

    def receive_result(self, result: DecodeResult, *, now: float) -> None:
        """Note and take what the engine said."""
        self._note(ResultInput(now=now, result=result))
        super().receive_result(result, now=now)

    def receive_close(self, *, now: float) -> None:
        """Note and take that the speaker is gone."""
        self._note(CloseInput(now=now))
        super().receive_close(now=now)

    def handle_timer(self, *, now: float) -> None:
        """Note and take the timer."""
        self._note(TimerInput(now=now))
        super().handle_timer(now=now)

    def jobs_to_run(self) -> list[DecodeJob]:
        """Drain and note the jobs."""
        jobs = super().jobs_to_run()
        self._sink.write(JobsOutput(jobs=tuple(job_name(job) for job in jobs)))
        return jobs

    def events_to_send(self) -> list[Event]:
        """Drain and note the events; return them with the mark that they are recorded."""
        events = super().events_to_send()
        self._sink.write(EventsOutput(events=cast(tuple[Told, ...], tuple(events))))
        if not self._sink.is_open:
            return events
        if self.is_finished:
            self._sink.close()
        return [msgspec.structs.replace(e, recorded=True) if isinstance(e, SessionEvent) else e for e in events]

    def _note(self, entry: Input) -> None:
        surroundings = Surroundings(label=self.label, cadence=self.cadence, policy=self._policy_settings())
        if surroundings != self._surroundings:
            self._surroundings = surroundings
            self._sink.write(surroundings)
        self._sink.write(cast(Entry, entry))


def job_name(job: DecodeJob) -> JobName:
    """Return what is noted of a job."""
    return JobName(job_id=job.job_id, kind=job.kind, start=job.start, stop=job.start + len(job.samples) // 2)
