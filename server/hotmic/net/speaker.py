"""The session that a connection speaks in: begun by the first thing it says, fed, taken over and left."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from hotmic import commands as c
from hotmic import events as e
from hotmic.audio.pcm import check
from hotmic.dialects.dialect import Dialect
from hotmic.errors import BadField, HotmicError, Overloaded, SessionGone
from hotmic.net.control import configured, merge
from hotmic.net.grant import Grant
from hotmic.net.presence import Owner, kept_name
from hotmic.net.services import Services
from hotmic.net.session_config import configure
from hotmic.net.throttle import Throttle
from hotmic.session.session import Session

MAX_NUMBERED = 131_072
"""Bytes of audio in one numbered chunk, four seconds at 16 kHz: it is taken in one go."""
SLICE = 32_000
"""Bytes of audio fed in one go, so that a large frame does not hold the event loop."""


class Client(Protocol):
    """The connection, as far as its session needs it."""

    channel: str
    grant: Grant | None

    @property
    def named_channel(self) -> str:
        """The channel that its URL names; empty for none."""

    @property
    def is_speaker(self) -> bool:
        """Whether it brings audio."""

    @property
    def address(self) -> str:
        """Where it comes from."""

    @property
    def token(self) -> str | None:
        """Name of its token."""

    @property
    def tenant(self) -> str:
        """Whom the scheduler counts it with."""

    def answer(self, event: e.Event) -> None:
        """Tell this client alone."""

    def hear(self, event: e.Event, *, timestamp: str, key: str = "") -> None:
        """Take an event of the channel."""

    def move(self, channel: str) -> None:
        """Hear another channel."""

    def close(self, code: int, reason: str) -> None:
        """Ask the connection to end."""

    def require_channel(self, channel: str) -> None:
        """Pass if its token is for a channel."""


class Speaker:
    """What one connection says.

    Args:
        client: The connection.
        dialect: Its language.
        services: The daemon.
        throttle: Holds audio back that comes too fast.
        name: The session name it wishes for.
    """

    def __init__(self, client: Client, dialect: Dialect, services: Services, throttle: Throttle, *, name: str) -> None:
        self.session_id: str | None = None
        self._client, self._dialect, self._services, self._throttle = client, dialect, services, throttle
        self._name = name
        self._options: c.SessionOptions | None = None

    def open(self) -> str:
        """Return the session; the first call begins it, or goes on with the one that waits for this speaker.

        Raises:
            HotmicError: There is no room for one more.
        """
        name = self._name
        if self.session_id is None and self._dialect.keeps_session and name:
            name = kept_name(name, self._client.tenant, self._client.named_channel)
            with contextlib.suppress(SessionGone, Overloaded):  # then it is new
                self._take_over(name)
                self.catch_up(self._dialect.last_event_id)
        if self.session_id is None:
            self.session_id = self._begin(name)
        return self.session_id

    def receive(self, command: c.Command) -> None:
        """Carry out a command that concerns the session alone.

        Raises:
            HotmicError: It cannot be carried out.
        """
        self._services.runner.receive_command(self.open(), command)

    def configure(self, command: c.Configure) -> None:
        """Change the session's options; the answer follows once a model of its own serves.

        Raises:
            HotmicError: The model cannot follow them.
        """
        options, control, runner = command.options, self._services.control, self._services.runner
        session_id = self.open()
        control.check(options, chosen=runner.choices.of(session_id))
        runner.receive_command(session_id, command)
        known = self._options or control.options_of(self._client.channel)
        self._options = merged = merge(known, options)
        answer = configured(merged, command.request_id)
        if options.model is None:
            self._client.answer(answer)
        else:
            control.choose_model(session_id, command, self._client, answer)

    async def append(self, command: c.AppendAudio) -> None:
        """Feed a chunk.

        Raises:
            BadAudio: It is none.
            BadField: A numbered one is too large.
            HotmicError: There is no room for one more session.
        """
        check(command.data, encoding=command.encoding)
        session_id = self.open()
        if command.seq is not None:
            await self._append_numbered(command, session_id)
            return
        runner, encoding, rate = self._services.runner, command.encoding, command.sample_rate
        for begin in range(0, max(1, len(command.data)), SLICE):
            piece = command.data[begin : begin + SLICE]
            seconds = runner.seconds_of(session_id, piece, encoding=encoding, sample_rate=rate)
            await self._throttle.admit_audio(seconds)
            if not runner.has_room(session_id, seconds):
                await runner.wait_for_room(session_id, seconds)
            runner.receive_audio(session_id, piece, encoding=encoding, sample_rate=rate)
            self._services.metrics.audio_seconds.inc(seconds)
            if len(command.data) > SLICE:
                await asyncio.sleep(0)

    async def _append_numbered(self, command: c.AppendAudio, session_id: str) -> None:
        """Feed a chunk as a whole: a connection that breaks must not leave half of it behind."""
        if len(command.data) > MAX_NUMBERED:
            raise BadField(f"A numbered chunk holds at most {MAX_NUMBERED} bytes of audio.")
        runner, encoding, rate = self._services.runner, command.encoding, command.sample_rate
        seconds = runner.seconds_of(session_id, command.data, encoding=encoding, sample_rate=rate)
        await self._throttle.admit_audio(seconds)
        if not runner.has_room(session_id, seconds):
            await runner.wait_for_room(session_id, seconds)
        if self.session_id == session_id:
            runner.receive_audio(session_id, command.data, encoding=encoding, sample_rate=rate, seq=command.seq)
            self._services.metrics.audio_seconds.inc(seconds)

    def resume(self, command: c.Resume) -> None:
        """Go on with a session whose connection broke.

        Raises:
            BadField: This connection speaks already.
            HotmicError: There is no such session.
        """
        if self.session_id is not None:
            raise BadField("This connection speaks already; resume before the first audio.")
        session = self._take_over(command.session_id)
        assert session.next_seq is not None, "only sessions with numbered chunks are resumed by a command"
        self._client.answer(
            e.Resumed(
                request_id=command.request_id,
                session_id=session.session_id,
                channel=session.channel,
                next_seq=session.next_seq,
            )
        )
        self.catch_up(command.last_event_id)

    def catch_up(self, last_event_id: int | None) -> None:
        """Tell the client the finals it missed."""
        grant = self._client.grant
        if last_event_id is not None and grant is not None and "listen" in grant.scopes:
            self._services.hub.catch_up(self._client, after=last_event_id)

    def withholding(self) -> AbstractContextManager[None]:
        """Meanwhile audio waits before the session."""
        return self._services.runner.withholding(self.session_id or "")

    def leave(self, *, is_over: bool) -> None:
        """The connection is gone.

        Args:
            is_over: Whether it will not come back: its session is not kept for it then.
        """
        session_id, self.session_id = self.session_id, None
        if session_id is None:
            return
        if is_over:
            self._services.runner.close_session(session_id)
        else:
            self._services.runner.leave_session(session_id)

    def _begin(self, name: str) -> str:
        grant, control = self._client.grant, self._services.control
        most = grant.streams if grant is not None else None
        leave = self._services.streams.enter(address=self._client.address, token=self._client.token, most=most)
        options = merge(control.options_of(self._client.channel), self._dialect.options)
        if grant is not None and grant.session_config and not self._dialect.reads_session_config:
            options, problem = configure(options, grant.session_config, control)
            self._options = options
            if problem:
                self._client.answer(e.WarningRaised(code="session_config", message=problem))
        try:
            return self._services.runner.open_session(
                self._client.channel,
                options,
                owner=self._owner(leave),
                name=name,
                tenant=self._client.tenant,
            )
        except HotmicError:
            leave()
            raise

    def _take_over(self, session_id: str) -> Session:
        """Go on with a session that waits for its speaker."""
        client, runner = self._client, self._services.runner
        client.require_channel(runner.channel_of(session_id, client.tenant) or client.channel)
        session = runner.resume_session(session_id, owner=self._owner(), tenant=client.tenant)
        self.session_id = session_id
        if session.channel != client.channel:
            client.move(session.channel)
        return session

    def _owner(self, end: Callable[[], None] = lambda: None) -> Owner:
        keeps, dialect = self._dialect.keeps_session, self._dialect
        return Owner(hear=self._client.answer, lose=self._lose, end=end, is_awaited=keeps, dialect=dialect)

    def _lose(self) -> None:
        self.session_id = None
        self._client.close(1000, "the session goes on elsewhere")
