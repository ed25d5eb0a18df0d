"""The shell around sessions and scheduler: feed, drain, send, re-arm one timer."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence

import structlog

from hotmic.audio.pcm import sample_bytes
from hotmic.commands import Command, SessionOptions, StartRecording, StopRecording
from hotmic.errors import HotmicError, ModelUnavailable, Overloaded, ShuttingDown, Superseded
from hotmic.events import (
    Acknowledged,
    ErrorRaised,
    Event,
    FinalTranscribed,
    PartialTranscribed,
    RecordingStarted,
    RecordingStopped,
    SpeechStarted,
    WarningRaised,
)
from hotmic.metrics import Metrics
from hotmic.net.choices import Choices
from hotmic.net.dispatcher import CURRENT, Dispatcher
from hotmic.net.hub import Hub
from hotmic.net.notices import Notices
from hotmic.net.presence import Owner, Presence
from hotmic.scheduler.scheduler import Scheduler
from hotmic.session.session import Session
from hotmic.session.state import State
from hotmic.values import DecodeJob, DecodeResult, LoadProgress, Pool

ROOM_POLL = 0.25
"""Seconds until a timer is looked at again that cannot tell whether the wire is silent."""
LATE, LONGEST_DOUBT = 0.1, 5.0
"""Seconds by which a timer is late when audio may lie unread in the sockets; and the most that is waited for that."""
NO_SPEECH = "no_speech"

log = structlog.get_logger(__name__)


BuildSession = Callable[[str, str, SessionOptions, str], Session]


class Runner:
    """All sessions of the daemon, driven by one event loop.

    Args:
        pool: Decodes.
        hub: Hears the events.
        build_scheduler: Makes what orders the jobs of a model.
        metrics: Counts.
        build_session: Makes a session from an id, a channel, options and a tenant.
        build_file_session: Makes one for a file; by default the same.
        max_sessions: Most sessions at a time.
        session_ttl: Seconds in which a speaker may come back to its session.
        first_number: Names of segments count from here. Taken from the clock, no restart of the daemon gives one again.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        hub: Hub,
        build_scheduler: Callable[[], Scheduler],
        metrics: Metrics,
        build_session: BuildSession,
        build_file_session: BuildSession | None = None,
        max_sessions: int = 4096,
        session_ttl: float = 30.0,
        first_number: int = 0,
    ) -> None:
        self.dispatcher = Dispatcher(
            pool=pool, metrics=metrics, build_scheduler=build_scheduler, on_results=self._receive_results
        )
        self.notices = Notices(hub)
        self._pool, self._hub, self._metrics = pool, hub, metrics
        self._build_session, self._build_file_session = build_session, build_file_session or build_session
        self._max_sessions = max_sessions
        self._sessions: dict[str, Session] = {}
        self._files: set[str] = set()
        self._presence = Presence(ttl=session_ttl, close=self.close_session)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._stop_waiters: list[tuple[Counter[str], asyncio.Future[None]]] = []
        self._withheld: Counter[str] = Counter()
        self._is_closing = False
        self.on_session_end: Callable[[str], None] = lambda _: None
        self._room: asyncio.Event = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._number, self._first_number = 0, first_number
        self.choices = Choices(pool, self.dispatcher)

    # sessions

    def open_session(
        self,
        channel: str,
        options: SessionOptions,
        *,
        owner: Owner,
        name: str = "",
        tenant: str = "",
        is_file: bool = False,
    ) -> str:
        """Start a session and return its id: the wished name where it is free.

        What is decoded from a file goes when nothing waits that is spoken, so files are let in whatever the load; all
        that happens in them is told to the owner alone.

        Args:
            channel: Who hears it.
            options: What it starts with.
            owner: Who speaks in it.
            name: The wished id.
            tenant: Whose token or address brings it; the scheduler is fair between them.
            is_file: Whether nobody speaks it now.

        Raises:
            Overloaded: The daemon holds as many sessions as it may, or the measured load leaves no room for one more.
            ShuttingDown: The daemon takes no new sessions.
        """
        if self._is_closing:
            raise ShuttingDown("The daemon is stopping.")
        if len(self._sessions) >= self._max_sessions:
            raise Overloaded("The daemon holds as many speaking sessions as it may.", retry_after_ms=5000)
        scheduler = self.dispatcher.scheduler(options.model or CURRENT)
        retry_after = None if is_file else scheduler.retry_after(now=self._now())
        if retry_after is not None:
            message = "All capacity is taken by those who speak now; come again later."
            raise Overloaded(message, retry_after_ms=round(retry_after * 1000))
        session_id = name
        while not session_id or session_id in self._sessions:
            self._number += 1
            session_id = f"{name or 's'}-{self._number}"
        build = self._build_file_session if is_file else self._build_session
        session = build(session_id, channel, options, tenant)
        if session_id == name:
            self._number += 1
        session.label = f"{name or 's'}-{self._first_number + self._number}"
        self._sessions[session_id] = session
        self._presence.enter(session_id, owner)
        if is_file:
            self._files.add(session_id)
        else:
            scheduler.receive_session(session_id, now=self._now())
        if options.model:
            wish = self.choices.begin_with(session_id, options.model)
            self._spawn(self._await_first_model(session, options.model, wish))
        self._metrics.sessions.set(len(self._sessions))
        self._tell_model(session)
        return session_id

    def leave_session(self, session_id: str) -> None:
        """The speaker's connection broke: if it can come back to its session, that waits for a while."""
        session = self._sessions.get(session_id)
        if session is not None and (self._is_closing or not self._presence.await_return(session)):
            self.close_session(session_id)

    def resume_session(self, session_id: str, *, owner: Owner, tenant: str) -> Session:
        """Give a session to another connection of the same speaker.

        Raises:
            SessionGone: See ``Presence.resume``.
            Overloaded: See ``Presence.resume``.
        """
        session = self._presence.resume(self._sessions.get(session_id), owner, tenant=tenant, now=self._now())
        self._metrics.resumes.inc()
        self._drain(session)
        return session

    def receive_audio(
        self, session_id: str, data: bytes, *, encoding: str, sample_rate: int | None, seq: int | None = None
    ) -> None:
        """Feed one chunk into a session."""
        session = self._session(session_id)
        session.cadence = self.choices.scheduler_of(session_id).cadence
        session.receive_audio(data, now=self._now(), encoding=encoding, sample_rate=sample_rate, seq=seq)
        self._drain(session)

    def has_room(self, session_id: str, seconds: float) -> bool:
        """Return whether a session's ring can take so much more audio; one that has ended need not."""
        session = self._sessions.get(session_id)
        return session is None or session.has_room(seconds)

    async def wait_for_room(self, session_id: str, seconds: float, *, limit: float = 120.0) -> None:
        """Wait until ``has_room``; give up after ``limit`` seconds."""
        deadline = self._now() + limit
        with self.withholding(session_id):
            try:
                async with asyncio.timeout_at(deadline):
                    while not self.has_room(session_id, seconds):
                        self._room.clear()
                        await self._room.wait()
            except TimeoutError:
                log.warning("A session's ring stayed full.", session=session_id)

    @contextlib.contextmanager
    def withholding(self, session_id: str) -> Iterator[None]:
        """Meanwhile audio of a session waits before it: its wire does not count as silent."""
        self._withheld[session_id] += 1
        try:
            yield
        finally:
            self._withheld[session_id] -= 1
            if not self._withheld[session_id]:
                del self._withheld[session_id]

    def seconds_of(self, session_id: str, data: bytes, *, encoding: str, sample_rate: int | None) -> float:
        """Return how long a chunk lasts, at the rate it names or the session's."""
        return len(data) / sample_bytes(encoding) / (sample_rate or self._session(session_id).wire_rate)

    def receive_command(self, session_id: str, command: Command) -> None:
        """Hand a command to a session."""
        session = self._session(session_id)
        session.receive_command(command, now=self._now())
        self._drain(session)

    def close_session(self, session_id: str) -> None:
        """The speaker is gone; what was said is still finalised and told."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        session.receive_close(now=self._now())
        self.choices.scheduler_of(session_id).forget(session_id, now=self._now())
        self._drain(session)

    def abandon_file(self, session_id: str) -> None:
        """Nobody wants the rest of a file's text: what waits of it is not decoded."""
        session = self._sessions.get(session_id)
        if session is not None:
            self.choices.scheduler_of(session_id).withdraw(session_id)
            self._forget(session)

    def in_channel(self, channel: str, name: str | None = None) -> list[str]:
        """Return the ids of a channel's sessions, or the named one alone."""
        return [
            s.session_id
            for s in self._sessions.values()
            if s.channel == channel and name in (None, s.session_id) and s.state is not State.CLOSED
        ]

    def channel_of(self, session_id: str, tenant: str) -> str | None:
        """Return the channel of a session of this tenant; ``None`` where there is no such session."""
        session = self._sessions.get(session_id)
        return None if session is None or session.tenant != tenant else session.channel

    def _session(self, session_id: str) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise ShuttingDown("The session has ended.")
        return session

    def start(self, session_ids: list[str], command: StartRecording) -> None:
        """Start recording on sessions."""
        for session_id in session_ids:
            self.receive_command(session_id, command)

    async def stop(self, session_ids: list[str], command: StopRecording) -> None:
        """Stop recording on sessions and wait until their last finals are told."""
        waiting: Counter[str] = Counter()
        for session_id in session_ids:
            self.receive_command(session_id, command)
            session = self._sessions.get(session_id)
            if session is not None and session.pending_stops:
                waiting[session_id] = session.pending_stops
        if waiting:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._stop_waiters.append((waiting, done))
            await done

    async def finish(self) -> None:
        """Take no new sessions, finalise every one there is and wait until all finals are told."""
        self._is_closing = True
        self.dispatcher.stop_waiting()
        for session_id in tuple(self._files):
            self.abandon_file(session_id)
        for session_id in tuple(self._sessions):
            self.close_session(session_id)
        while self._sessions:
            self._room.clear()
            await self._room.wait()

    def close(self) -> None:
        """Cancel what is under way."""
        self._presence.close()
        for timer in self._timers.values():
            timer.cancel()
        self.dispatcher.close()
        for task in tuple(self._tasks):
            task.cancel()

    @property
    def session_count(self) -> int:
        """Sessions that are held."""
        return len(self._sessions)

    def held_audio(self) -> list[float]:
        """Return the seconds of audio that each session keeps until its text is told."""
        return [session.held for session in self._sessions.values()]

    # models

    def receive_pool_change(self) -> None:
        """The pool serves another model, or one again."""
        for session in tuple(self._sessions.values()):
            self._tell_model(session)
            self._drain(session)
        self.dispatcher.receive_pool_change()

    async def choose_model(
        self, session_id: str, model_id: str, wish: int, *, report: Callable[[LoadProgress], None] = lambda _: None
    ) -> None:
        """Give a session a model of its own, or with an empty id the current one; until it serves, the old one does.

        Args:
            session_id: The session.
            model_id: The model.
            wish: What ``choices.wish`` returned when it was asked for.
            report: Told how far the model is.

        Raises:
            HotmicError: It cannot be served (see ``Choices.acquire``), or a newer wish was made.
        """
        acquired = await self.choices.acquire(session_id, model_id, wish, report=report)
        self.choices.set(session_id, acquired, now=self._now())
        session = self._session(session_id)
        self._tell_model(session)
        self._drain(session)

    async def _await_first_model(self, session: Session, model_id: str, wish: int) -> None:
        try:
            await self.choices.await_first(session.session_id, model_id, wish)
        except Superseded:
            return
        except HotmicError as error:
            message = f"The model {model_id} is not to be had; the current one is used instead. {error.message}"
            log.error(message, code=error.code, session=session.session_id)
            raised = ErrorRaised(code=error.code, message=message, model_id=model_id, session_id=session.session_id)
            self._tell(session, raised)
        self._tell_model(session)

    def _tell_model(self, session: Session) -> None:
        model_id = self.choices.of(session.session_id) or self._pool.current
        if model_id is None:
            return
        try:
            session.receive_model(model_id, self._pool.capabilities(model_id))
        except ModelUnavailable as error:
            log.info("A session waits for its model.", session=session.session_id, reason=error.message)

    # one function drives all: feed, drain, send, re-arm

    def _drain(self, session: Session) -> None:
        jobs = session.jobs_to_run()
        if jobs:
            scheduler, now = self.choices.scheduler_of(session.session_id), self._now()
            for job in jobs:
                scheduler.receive_job(job, now=now)
        for event in session.events_to_send():
            self._publish(session, event)
        self._arm(session)
        if session.is_finished and self._sessions.get(session.session_id) is session:
            self._forget(session)
        self._room.set()
        if jobs:
            self.dispatcher.dispatch()

    def _forget(self, session: Session) -> None:
        del self._sessions[session.session_id]
        self._files.discard(session.session_id)
        self._presence.forget(session.session_id)
        self.choices.scheduler_of(session.session_id).forget(session.session_id, now=self._now())
        self.choices.forget(session.session_id)
        timer = self._timers.pop(session.session_id, None)
        if timer is not None:
            timer.cancel()
        self._metrics.sessions.set(len(self._sessions))
        self.on_session_end(session.channel)

    def _publish(self, session: Session, event: Event) -> None:
        if isinstance(event, Acknowledged) or (isinstance(event, ErrorRaised) and not event.segment_id):
            self._presence.tell(session.session_id, event)
        else:
            self._tell(session, event)
        match event:
            case FinalTranscribed() | WarningRaised() if session.session_id in self._files:
                pass  # its pace is nobody's trouble, nor is its silence
            case FinalTranscribed(lag=lag, revised=revised):
                self._metrics.finals.inc()
                self._metrics.finals_revised.inc(revised)
                self._metrics.final_lag.observe(lag)
                self.notices.receive_lag(lag, now=self._now())
            case PartialTranscribed(lag=lag):
                self._metrics.partials.inc()
                self._metrics.partial_lag.observe(lag)
                self.notices.receive_lag(lag, now=self._now())
            case RecordingStarted(session_id=session_id):
                if self._pool.current is None and not self.choices.of(session_id):
                    message = "No model serves. What is said waits for one to be loaded."
                    self._tell(session, WarningRaised(code="no_model", message=message, session_id=session_id))
            case RecordingStopped(session_id=session_id):
                self._resolve_stop(session_id)
            case WarningRaised(code=code, message=message):
                log.warning(message, code=code, session=session.session_id)
                if code == NO_SPEECH:
                    self.notices.keep(code, message)
            case SpeechStarted():
                self.notices.keep(NO_SPEECH, "")
            case ErrorRaised(code=code, message=message):
                self._metrics.reject(code)
                log.warning(message, code=code, session=session.session_id)

    def _tell(self, session: Session, event: Event) -> None:
        if session.session_id in self._files:
            self._presence.tell(session.session_id, event)
        else:
            self._hub.publish(event, channel=session.channel)

    def _resolve_stop(self, session_id: str) -> None:
        for waiting, done in self._stop_waiters:
            if waiting[session_id] > 0:
                waiting[session_id] -= 1
            if not waiting.total() and not done.done():
                done.set_result(None)
        self._stop_waiters = [entry for entry in self._stop_waiters if entry[0].total()]

    def _arm(self, session: Session) -> None:
        if session.session_id in self._timers:
            return
        due = session.next_timer()
        if due is not None:
            loop = asyncio.get_running_loop()
            self._timers[session.session_id] = loop.call_at(due, self._fire, session, due)

    def _fire(self, session: Session, due: float) -> None:
        del self._timers[session.session_id]
        if self._withheld[session.session_id] or self._is_behind(session, due):
            # The wire need not be silent: audio waits for room in the ring, is held back, or lies unread here.
            loop, again = asyncio.get_running_loop(), self._now() + ROOM_POLL
            self._timers[session.session_id] = loop.call_at(again, self._fire, session, again)
            return
        session.handle_timer(now=self._now())
        self._drain(session)

    def _is_behind(self, session: Session, due: float) -> bool:
        """Return whether this process was too busy to know that a session's wire is silent."""
        now, silent_at = self._now(), session.next_timer()
        return silent_at is not None and now - due > LATE and now - silent_at < LONGEST_DOUBT

    def _receive_results(self, jobs: Sequence[DecodeJob], results: Sequence[DecodeResult], now: float) -> None:
        touched: dict[Session, list[DecodeResult]] = {}
        for job, result in zip(jobs, results, strict=True):
            session = self._sessions.get(job.session_id)
            if session is not None:
                touched.setdefault(session, []).append(result)
        for session, heard in touched.items():
            try:
                for result in heard:
                    session.receive_result(result, now=now)
                self._drain(session)
            except Exception:
                log_id = uuid.uuid4().hex[:12]
                log.exception("A session failed.", session=session.session_id, log_id=log_id)
                self._give_up(session, log_id)

    def _give_up(self, session: Session, log_id: str) -> None:
        """End a session that failed by a mistake of ours; the others go on."""
        message = "The session failed and is over; begin a new one."
        error = ErrorRaised(code="internal", message=message, session_id=session.session_id, log_id=log_id)
        self._tell(session, error)
        if self._sessions.get(session.session_id) is session:
            self._forget(session)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
