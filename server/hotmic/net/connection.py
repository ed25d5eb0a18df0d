"""One client, from its first frame to its last; the same for every dialect and socket library."""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

import msgspec
import structlog

from hotmic import commands as c
from hotmic import events as e
from hotmic.audio.pcm import parse
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import request_id
from hotmic.errors import BadField, HotmicError, NotAuthorized, QuotaReached, RateLimited, SessionGone
from hotmic.metrics import Metrics
from hotmic.net.audit import auditing
from hotmic.net.control import Control, configured, failure, merge
from hotmic.net.grant import Grant
from hotmic.net.hub import Hub, wall_clock
from hotmic.net.limit import Quota
from hotmic.net.outbox import Outbox
from hotmic.net.peer import Peer, PeerGoneError
from hotmic.net.presence import Owner
from hotmic.net.roster import ClientReport, Roster
from hotmic.net.runner import Runner
from hotmic.net.security import Access
from hotmic.net.throttle import Rates, Throttle
from hotmic.session.session import Session

COMMON_CHANNEL = "default"
"""Where clients of the dual-socket protocol meet that name no channel."""
FIRST_MESSAGE = 10.0
"""Seconds a client has to present its token as a message."""
MAX_NUMBERED = 131_072
"""Bytes of audio in one numbered chunk, four seconds at 16 kHz: it is taken in one go."""
SLICE = 32_000
"""Bytes of audio fed in one go, so that a large frame does not hold the event loop."""

log = structlog.get_logger(__name__)


class Services:
    """What every connection works with."""

    def __init__(
        self,
        *,
        hub: Hub,
        runner: Runner,
        control: Control,
        access: Access,
        metrics: Metrics,
        roster: Roster,
        connections: Quota,
        streams: Quota,
        rates: Rates,
        outbox_items: int,
        outbox_bytes: int,
        slow_client: float,
    ) -> None:
        self.hub, self.runner, self.control, self.access, self.metrics = hub, runner, control, access, metrics
        self.roster, self.connections, self.streams, self.rates = roster, connections, streams, rates
        self.outbox_items, self.outbox_bytes, self.slow_client = outbox_items, outbox_bytes, slow_client


class Connection:
    """A client's frames in, its events out.

    Args:
        peer: Its socket.
        dialect: Its language.
        services: The daemon.
        grant: What its token allows; ``None`` while the token must still come as a message.
        channel: What it hears, where it named a channel.
        session: The session name it wishes for.
    """

    def __init__(
        self,
        peer: Peer,
        dialect: Dialect,
        services: Services,
        *,
        grant: Grant | None,
        channel: str = "",
        session: str = "",
    ) -> None:
        self.grant = grant
        self._has_named_channel = bool(channel)
        self.channel = channel or (_own_channel(dialect) if dialect.is_private else _common_channel(grant))
        self._peer, self._dialect, self._services = peer, dialect, services
        self._session_name = session
        self._session_id: str | None = None
        self._options: c.SessionOptions | None = None
        self._outbox = Outbox(max_items=services.outbox_items, max_bytes=services.outbox_bytes)
        self._throttle = Throttle(services.rates, tell=self._warn, withhold=self._withhold)
        self._leave: Callable[[], None] = lambda: None
        self._closing: tuple[int, str] | None = None
        self._is_over = self._is_shown_out = False
        self._cut = asyncio.Event()
        self._log = log.bind(dialect=dialect.name, address=peer.address)

    @property
    def is_speaker(self) -> bool:
        """Whether it brings audio."""
        return self._dialect.is_speaker

    @property
    def _is_apart(self) -> bool:
        """Whether it is in a channel of its own, which no token need be for."""
        return self._dialect.is_private and not self._has_named_channel

    @property
    def _token(self) -> str | None:
        """Name of its token; ``None`` while there is none, or where everybody is anonymous."""
        return self.grant.name if self.grant is not None and self._services.access.needs_token else None

    @property
    def _tenant(self) -> str:
        """Whom the scheduler counts it with: its token, or its address where everybody is anonymous."""
        return f"address:{self._peer.address}" if self._token is None else f"token:{self._token}"

    def report(self, client_id: str) -> ClientReport:
        """Return the figures of the detailed status."""
        return ClientReport(
            id=client_id,
            dialect=self._dialect.name,
            address=self._peer.address,
            channel=self.channel,
            session_id=self._session_id or "",
            pending_items=len(self._outbox),
            pending_bytes=self._outbox.bytes,
            coalesced=self._outbox.coalesced,
            held_s=round(self._throttle.held, 3),
        )

    # what it hears

    def hear(self, event: e.Event, *, timestamp: str, key: str = "") -> None:
        """Take an event of the channel; a client that does not read is cut."""
        if self.grant is None:
            return
        if isinstance(event, e.SessionEvent | e.WarningRaised | e.ErrorRaised):
            is_foreign = self._dialect.is_private and event.session_id != self._session_id
            if is_foreign or "listen" not in self.grant.scopes:
                return
        self._put(event, timestamp, key)

    def answer(self, event: e.Event) -> None:
        """Tell this client alone."""
        self._put(event, wall_clock(), "")

    def move(self, channel: str) -> None:
        """Hear another channel."""
        self._services.hub.leave(self)
        old, self.channel = self.channel, channel
        self._services.hub.join(self)
        self._services.control.forget_channel(old)

    def close(self, code: int, reason: str) -> None:
        """Ask the connection to end."""
        if self._closing is None:
            self._closing = (code, reason)
        self._cut.set()

    # life

    async def run(self) -> None:
        """Serve the client until either side ends it."""
        try:
            self._enter()
        except (QuotaReached, NotAuthorized) as error:
            self._show_out(error)
        else:
            try:
                await self._serve()
            finally:
                self._leave()
        if self._closing is not None:
            await self._farewell(*self._closing)

    async def _serve(self) -> None:
        services = self._services
        client_id = services.roster.join(self)
        services.metrics.connections.labels(self._dialect.name).inc()
        services.hub.join(self)
        if self.grant is not None:
            self._greet()
        tasks = [asyncio.create_task(work()) for work in (self._read, self._write, self._cut.wait)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_over = True
            services.hub.leave(self)
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            self._leave_session(said_goodbye=any(isinstance(o, PeerGoneError) and o.said_goodbye for o in outcomes))
            services.control.forget_channel(self.channel)
            services.roster.leave(client_id)
            services.metrics.connections.labels(self._dialect.name).dec()
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, PeerGoneError):
                log_id = uuid.uuid4().hex[:12]
                self._log.error("A connection failed.", log_id=log_id, exc_info=outcome)
                self._closing = self._closing or (1011, f"internal error {log_id}")

    def _enter(self) -> None:
        """Count it with its address and its token; again when the token comes as a message."""
        self._leave()
        grant = self.grant
        if grant is None:
            self._leave = self._services.connections.enter(address=self._peer.address)
            return
        self._require_channel(self.channel)
        self._throttle.limit_audio(grant.audio_speed, partial(self._services.access.spend, grant))
        self._leave = self._services.connections.enter(
            address=self._peer.address, token=self._token, most=grant.connections
        )

    async def _farewell(self, code: int, reason: str) -> None:
        """Send what still waits, as far as the client takes it, and close."""
        try:
            async with asyncio.timeout(1.0):
                while len(self._outbox):
                    await self._peer.send(await self._outbox.get())
        except (PeerGoneError, TimeoutError):
            self._log.debug("The client did not read its last frames.")
        await self._peer.close(code, reason)

    async def _read(self) -> None:
        if self.grant is not None:
            await self._carry_out(self._dialect.commands_to_run)
        deadline = asyncio.get_running_loop().time() + FIRST_MESSAGE
        while self._closing is None:
            if self.grant is None:
                try:
                    async with asyncio.timeout_at(deadline):
                        frame = await self._peer.receive()
                except TimeoutError:
                    self._refuse(NotAuthorized("No token came; send it as a header or as the first message."), None)
                    return
            else:
                frame = await self._peer.receive()
            await self._throttle.admit_message()
            waiting = len(self._outbox)
            await self._carry_out(partial(self._parse, frame), frame)
            if len(self._outbox) > waiting:
                await self._outbox.has_room()  # who asks faster than it reads the answers is not to be cut for them

    async def _carry_out(self, ask: Callable[[], Sequence[c.Command]], frame: Frame = b"") -> None:
        try:
            for command in ask():
                await self._receive(command)
        except HotmicError as error:
            self._refuse(error, request_id(frame) if isinstance(frame, str) else None)
        self._send(self._dialect.frames_to_send(timestamp=wall_clock()))

    def _parse(self, frame: Frame) -> Sequence[c.Command]:
        try:
            commands = self._dialect.parse(frame)
            if self._is_apart and self.channel == _common_channel(self.grant):
                self.move(_own_channel(self._dialect))
            return commands
        except HotmicError:
            self._throttle.admit_command()  # what cannot be read counts as one
            raise

    async def _write(self) -> None:
        while True:
            frame = await self._outbox.get()
            try:
                async with asyncio.timeout(self._services.slow_client):
                    await self._peer.send(frame)
            except PeerGoneError:
                # What it sent before it went is still to be read, and says how it went.
                await asyncio.Event().wait()
            except TimeoutError:
                self._cut_slow()
                return

    def _put(self, event: e.Event, timestamp: str, key: str) -> None:
        self._send(self._dialect.encode(event, timestamp=timestamp), key="" if self._dialect.is_appended else key)

    def _send(self, frames: Sequence[Frame], *, key: str = "") -> None:
        for frame in frames:
            if not (self._is_over or self._closing is not None or self._outbox.put(frame, key=key)):
                self._cut_slow()

    def _greet(self) -> None:
        if self._dialect.is_greeted:
            self.answer(self._services.control.greeting())

    def _cut_slow(self) -> None:
        self._services.metrics.slow_clients.inc()
        self._log.warning("A client that does not read is cut.", waiting=len(self._outbox), bytes=self._outbox.bytes)
        self.close(1013, "you read too slowly; come back for the finals you missed")

    def _refuse(self, error: HotmicError, rid: str | int | None) -> None:
        self._services.metrics.rejections.labels(error.code).inc()
        tell = self._log.debug if isinstance(error, RateLimited) else self._log.info  # a flood is not to fill the log
        tell("Refused.", code=error.code, reason=error.message)
        self.answer(failure(error, rid))
        code = self._dialect.close_code(error)
        if code is not None:
            self.close(code, f"{error.code}: {error.message}"[:100])
        elif self.grant is None:
            self.close(1008, "the first message must present a token")

    def check_grant(self) -> None:
        """Show the client out if its token is no longer in force; what it said is finalised."""
        try:
            if self.grant is not None:
                self._services.access.check_grant(self.grant)
        except NotAuthorized as error:
            self._is_shown_out = True
            self._show_out(error)

    def _show_out(self, error: HotmicError) -> None:
        self._refuse(error, None)
        self.close(error.close_code or 1008, f"{error.code}: {error.message}"[:100])

    def _require_channel(self, channel: str) -> None:
        if self.grant is not None and not self._is_apart:
            self.grant.require_channel(channel)

    def _warn(self, warning: e.WarningRaised) -> None:
        self._log.info("Held back.", reason=warning.message)
        self.answer(msgspec.structs.replace(warning, session_id=self._session_id or ""))

    def _withhold(self) -> AbstractContextManager[None]:
        return self._services.runner.withholding(self._session_id or "")

    # what it says

    async def _receive(self, command: c.Command) -> None:
        match command:
            case c.AppendAudio():
                pass
            case c.EndAudio():
                await self._throttle.admit_end()
            case _:
                self._throttle.admit_command()
        if isinstance(command, c.Authenticate):
            self._authenticate(command)
            return
        if self.grant is None:
            raise NotAuthorized("Send the token first.")
        match command:
            case c.AppendAudio():
                await self._append(command)
            case c.Ping():
                self.answer(e.Ponged(request_id=command.request_id))
            case c.Subscribe(channel=channel):
                self.grant.require("listen")
                self.grant.require_channel(channel)
                self.move(channel)
                self.answer(e.Subscribed(request_id=command.request_id, channel=channel))
                self._catch_up(command.last_event_id)
            case c.Resume():
                self.grant.require("speak")
                self._resume(command)
            case c.EndAudio() | c.ClearAudio():
                self.grant.require("speak")
                self._services.runner.receive_command(self._open_session(), command)
            case c.Configure(options=options) if self.is_speaker:
                self.grant.require("speak")
                runner, session_id = self._services.runner, self._open_session()
                self._services.control.check(options, chosen=runner.choices.of(session_id))
                runner.receive_command(session_id, command)
                known = self._options or self._services.control.options_of(self.channel)
                self._options = merged = merge(known, options)
                answer = configured(merged, command.request_id)
                if options.model is None:
                    self.answer(answer)
                else:
                    self._services.control.choose_model(session_id, command, self, answer)
            case _:
                with auditing(command, who=self._token or "", address=self._peer.address, channel=self.channel):
                    self._services.control.receive(command, self)

    def _resume(self, command: c.Resume) -> None:
        if self._session_id is not None:
            raise BadField("This connection speaks already; resume before the first audio.")
        session = self._take_over(command.session_id)
        assert session.next_seq is not None, "only sessions with numbered chunks are resumed by a command"
        self.answer(
            e.Resumed(
                request_id=command.request_id,
                session_id=session.session_id,
                channel=session.channel,
                next_seq=session.next_seq,
            )
        )
        self._catch_up(command.last_event_id)

    def _take_over(self, session_id: str) -> Session:
        """Go on with a session that waits for its speaker."""
        self._require_channel(self._services.runner.channel_of(session_id, self._tenant) or self.channel)
        owner = Owner(hear=self.answer, lose=self._lose_session, is_awaited=self._dialect.keeps_session)
        session = self._services.runner.resume_session(session_id, owner=owner, tenant=self._tenant)
        self._session_id = session_id
        if session.channel != self.channel:
            self.move(session.channel)
        return session

    def _catch_up(self, last_event_id: int | None) -> None:
        assert self.grant is not None
        if last_event_id is not None and "listen" in self.grant.scopes:
            self._services.hub.catch_up(self, after=last_event_id)

    async def _append(self, command: c.AppendAudio) -> None:
        assert self.grant is not None
        self.grant.require("speak")
        parse(command.data, encoding=command.encoding)
        runner, session_id = self._services.runner, self._open_session()
        if command.seq is not None:
            await self._append_numbered(command, session_id)
            return
        for begin in range(0, max(1, len(command.data)), SLICE):
            piece = command.data[begin : begin + SLICE]
            seconds = runner.seconds_of(session_id, piece, encoding=command.encoding, sample_rate=command.sample_rate)
            await self._throttle.admit_audio(seconds)
            await runner.has_room(session_id, seconds)
            runner.receive_audio(session_id, piece, encoding=command.encoding, sample_rate=command.sample_rate)
            self._services.metrics.audio_seconds.inc(seconds)
            if len(command.data) > SLICE:
                await asyncio.sleep(0)

    async def _append_numbered(self, command: c.AppendAudio, session_id: str) -> None:
        """Feed a chunk as a whole: a connection that breaks must not leave half of it behind."""
        if len(command.data) > MAX_NUMBERED:
            raise BadField(f"A numbered chunk holds at most {MAX_NUMBERED} bytes of audio.")
        runner = self._services.runner
        encoding, rate = command.encoding, command.sample_rate
        seconds = runner.seconds_of(session_id, command.data, encoding=encoding, sample_rate=rate)
        await self._throttle.admit_audio(seconds)
        await runner.has_room(session_id, seconds)
        if self._session_id == session_id:
            runner.receive_audio(session_id, command.data, encoding=encoding, sample_rate=rate, seq=command.seq)
            self._services.metrics.audio_seconds.inc(seconds)

    def _authenticate(self, command: c.Authenticate) -> None:
        first = self.grant is None
        with auditing(command, who="", address=self._peer.address, channel=self.channel) as outcome:
            self.grant = self._services.access.grant_token(command.token)
            outcome["who"] = self._token or ""
        if first and not self._has_named_channel and not self._dialect.is_private:
            self.move(_common_channel(self.grant))
        self._enter()
        self.answer(e.Authenticated(request_id=command.request_id, scopes=tuple(self.grant.scopes)))
        if first:
            self._greet()

    def _open_session(self) -> str:
        if self._session_id is None and self._dialect.keeps_session and self._session_name:
            with contextlib.suppress(SessionGone):  # then it is new
                self._take_over(self._session_name)
        if self._session_id is None:
            most = self.grant.streams if self.grant is not None else None
            leave = self._services.streams.enter(address=self._peer.address, token=self._token, most=most)
            owner = Owner(hear=self.answer, lose=self._lose_session, end=leave, is_awaited=self._dialect.keeps_session)
            try:
                self._session_id = self._services.runner.open_session(
                    self.channel,
                    merge(self._services.control.options_of(self.channel), self._dialect.options),
                    owner=owner,
                    name=self._session_name,
                    tenant=self._tenant,
                )
            except HotmicError:
                leave()
                raise
        return self._session_id

    def _lose_session(self) -> None:
        self._session_id = None
        self.close(1000, "the session goes on elsewhere")

    def _leave_session(self, *, said_goodbye: bool) -> None:
        session_id, self._session_id = self._session_id, None
        if session_id is None:
            return
        if self._is_shown_out or (said_goodbye and not self._dialect.keeps_session):
            self._services.runner.close_session(session_id)
        else:
            self._services.runner.leave_session(session_id)


def _own_channel(dialect: Dialect) -> str:
    return f"{dialect.name}-{uuid.uuid4().hex[:16]}"


def _common_channel(grant: Grant | None) -> str:
    return (grant.home if grant is not None else None) or COMMON_CHANNEL
