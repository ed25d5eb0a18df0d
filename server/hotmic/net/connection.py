"""One client, from its first frame to its last; the same for every dialect and socket library."""

import asyncio
import uuid
from collections.abc import Callable, Sequence
from functools import partial

import msgspec
import structlog

from hotmic import commands as c
from hotmic import events as e
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.dual import request_id
from hotmic.errors import HotmicError, NotAuthorized, QuotaReached, RateLimited
from hotmic.net.audit import auditing
from hotmic.net.container_feed import ContainerFeed
from hotmic.net.control import failure
from hotmic.net.deadline import Deadline
from hotmic.net.grant import Grant
from hotmic.net.hub import wall_clock
from hotmic.net.outbox import Outbox
from hotmic.net.patience import Patience
from hotmic.net.peer import Peer, PeerGoneError
from hotmic.net.roster import ClientReport
from hotmic.net.services import Services
from hotmic.net.speaker import Speaker
from hotmic.net.throttle import Throttle

COMMON_CHANNEL = "default"
"""Where clients of the dual-socket protocol meet that name no channel."""
FIRST_MESSAGE = 10.0
"""Seconds a client has to present its token as a message."""
log = structlog.get_logger(__name__)


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
        self.named_channel = channel
        self.channel = channel or (_own_channel(dialect) if dialect.is_private else _common_channel(grant))
        self._peer, self._dialect, self._services = peer, dialect, services
        self._outbox = Outbox(max_items=services.outbox_items, max_bytes=services.outbox_bytes)
        self._throttle = Throttle(services.rates, tell=self._warn, withhold=lambda: self._speaker.withholding())
        self._speaker = Speaker(self, dialect, services, self._throttle, name=session)
        self._has_replies = type(dialect).frames_to_send is not Dialect.frames_to_send
        self._taking = Deadline(services.slow_client, self._cut_slow)
        self._patience = Patience(lambda: dialect.patience, self._speak_up)
        self._containers = ContainerFeed(
            append=self._speaker.append,
            tell=self.answer,
            fail=lambda error: self._refuse(error, None),
            enter=lambda: services.containers.enter(address=peer.address, token=self.token),
        )
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
        return self._dialect.is_private and not self.named_channel

    @property
    def address(self) -> str:
        """Where it comes from."""
        return self._peer.address

    @property
    def token(self) -> str | None:
        """Name of its token; ``None`` while there is none, or where everybody is anonymous."""
        return self._services.access.token_of(self.grant)

    @property
    def tenant(self) -> str:
        """Whom the scheduler counts it with: its token, or its address where everybody is anonymous."""
        return f"address:{self.address}" if self.token is None else f"token:{self.token}"

    def report(self, client_id: str) -> ClientReport:
        """Return the figures of the detailed status."""
        return ClientReport(
            id=client_id,
            dialect=self._dialect.name,
            address=self.address,
            channel=self.channel,
            session_id=self._speaker.session_id or "",
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
            is_foreign = self._dialect.is_private and event.session_id != self._speaker.session_id
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
        name = self._dialect.name  # one that decides later may take another
        services.metrics.connections.labels(name).inc()
        services.hub.join(self)
        if self.grant is not None:
            self._greet()
        tasks = [asyncio.create_task(work()) for work in (self._read, self._write, self._cut.wait)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._is_over = True
            self._patience.close()
            self._taking.close()
            services.hub.leave(self)
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            try:
                if any(isinstance(outcome, PeerGoneError) for outcome in outcomes):
                    await self._containers.drain()
                await self._containers.close()  # now that nothing begins another
            finally:
                said_goodbye = any(isinstance(o, PeerGoneError) and o.said_goodbye for o in outcomes)
                is_over = said_goodbye and not self._dialect.keeps_session
                self._speaker.leave(is_over=is_over or self._is_shown_out)
                services.control.forget_channel(self.channel)
                services.roster.leave(client_id)
                services.metrics.connections.labels(name).dec()
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
            self._leave = self._services.connections.enter(address=self.address)
            return
        self.require_channel(self.channel)
        self._throttle.limit_audio(grant.audio_speed, partial(self._services.access.spend, grant))
        self._leave = self._services.connections.enter(address=self.address, token=self.token, most=grant.connections)

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
            self._patience.receive_frame()
            await self._throttle.admit_message()
            waiting = len(self._outbox)
            await self._carry_out(partial(self._parse, frame), frame)
            self._patience.watch()
            if len(self._outbox) > waiting:
                await self._outbox.has_room()  # who asks faster than it reads the answers is not to be cut for them

    async def _carry_out(self, ask: Callable[[], Sequence[c.Command]], frame: Frame = b"") -> None:
        try:
            for command in ask():
                await self._receive(command)
        except HotmicError as error:
            self._refuse(error, request_id(frame) if isinstance(frame, str) else None)
        if self._has_replies:
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
            self._taking.begin()
            try:
                await self._peer.send(frame)
            except PeerGoneError:
                # What it sent before it went is still to be read, and says how it went.
                self._taking.end()
                await asyncio.Event().wait()
            self._taking.end()

    def _put(self, event: e.Event, timestamp: str, key: str) -> None:
        self._send(self._dialect.encode(event, timestamp=timestamp), key="" if self._dialect.is_appended else key)
        if not self._is_over:
            self._patience.watch()

    def _send(self, frames: Sequence[Frame], *, key: str = "") -> None:
        for frame in frames:
            if not (self._is_over or self._closing is not None or self._outbox.put(frame, key=key)):
                self._cut_slow()

    def _speak_up(self) -> None:
        self._send(self._dialect.overdue_frames(timestamp=wall_clock()))

    def _greet(self) -> None:
        if self._dialect.is_greeted:
            self.answer(self._services.control.greeting())

    def _cut_slow(self) -> None:
        self._services.metrics.slow_clients.inc()
        self._log.warning("A client that does not read is cut.", waiting=len(self._outbox), bytes=self._outbox.bytes)
        self.close(1013, "you read too slowly; come back for the finals you missed")

    def _refuse(self, error: HotmicError, rid: str | int | None) -> None:
        self._services.metrics.reject(error.code)
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

    def require_channel(self, channel: str) -> None:
        """Pass if its token is for a channel; one of its own needs no token.

        Raises:
            NotAuthorized: It is not.
        """
        if self.grant is not None and not self._is_apart:
            self.grant.require_channel(channel)

    def _warn(self, warning: e.WarningRaised) -> None:
        self._log.info("Held back.", reason=warning.message)
        self.answer(msgspec.structs.replace(warning, session_id=self._speaker.session_id or ""))

    # what it says

    async def _receive(self, command: c.Command) -> None:
        match command:
            case c.AppendAudio() | c.AppendContainer():
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
                self.grant.require("speak")
                if self._containers.is_open:
                    await self._containers.finish()
                await self._speaker.append(command)
            case c.AppendContainer():
                self.grant.require("speak")
                await self._containers.receive(command)
            case c.Ping():
                self.answer(e.Ponged(request_id=command.request_id))
            case c.Subscribe(channel=channel):
                self.grant.require("listen")
                self.grant.require_channel(channel)
                self.move(channel)
                self.answer(e.Subscribed(request_id=command.request_id, channel=channel))
                self._speaker.catch_up(command.last_event_id)
            case c.Resume():
                self.grant.require("speak")
                self._speaker.resume(command)
            case c.EndAudio() | c.ClearAudio():
                self.grant.require("speak")
                self._speaker.receive(command)
            case c.Configure() if self.is_speaker:
                self.grant.require("speak")
                self._speaker.configure(command)
            case _:
                with auditing(command, who=self.token or "", address=self.address, channel=self.channel):
                    self._services.control.receive(command, self)

    def _authenticate(self, command: c.Authenticate) -> None:
        first = self.grant is None
        with auditing(command, who="", address=self.address, channel=self.channel) as outcome:
            self.grant = self._services.access.grant_token(command.token)
            outcome["who"] = self.token or ""
        if first and not self.named_channel and not self._dialect.is_private:
            self.move(_common_channel(self.grant))
        self._enter()
        self.answer(e.Authenticated(request_id=command.request_id, scopes=tuple(self.grant.scopes)))
        if first:
            self._greet()


def _own_channel(dialect: Dialect) -> str:
    return f"{dialect.name}-{uuid.uuid4().hex[:16]}"


def _common_channel(grant: Grant | None) -> str:
    return (grant.home if grant is not None else None) or COMMON_CHANNEL
