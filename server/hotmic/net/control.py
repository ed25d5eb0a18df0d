"""What controllers ask: models, recording, options, status."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import structlog

from hotmic import __version__
from hotmic import commands as c
from hotmic import events as e
from hotmic.config.model import ModelSpec
from hotmic.config.registry import Registry
from hotmic.errors import BadField, HotmicError, ModelUnavailable, ShuttingDown, Superseded, UnknownModel
from hotmic.net.grant import Grant
from hotmic.net.hub import Hub
from hotmic.net.runner import Runner
from hotmic.values import LoadProgress, Pool, WorkerExit

log = structlog.get_logger(__name__)

SERVER = "hotmic"


class Asker(Protocol):
    """The connection a command came from."""

    channel: str
    grant: Grant | None

    @property
    def is_speaker(self) -> bool:
        """Whether it brings audio."""

    def answer(self, event: e.Event) -> None:
        """Tell this connection alone."""

    def move(self, channel: str) -> None:
        """Hear another channel."""

    def hear(self, event: e.Event, *, timestamp: str, key: str = "") -> None:
        """Take an event."""


class Control:
    """Answers commands that concern the daemon or a whole channel.

    Args:
        pool: Loads and unloads.
        registry: The models there are; replaced when models.yaml is edited.
        runner: Holds the sessions.
        hub: Tells everybody.
        options: What sessions start with.
        clock: Monotonic clock.
        recorded: Whether sessions are recorded to disk; clients are told.
    """

    def __init__(
        self,
        *,
        pool: Pool,
        registry: Registry,
        runner: Runner,
        hub: Hub,
        options: c.SessionOptions,
        clock: Callable[[], float],
        recorded: bool = False,
    ) -> None:
        self.registry = registry
        self._pool, self._runner, self._hub = pool, runner, hub
        self._options, self._recorded = options, recorded
        self._channel_options: dict[str, c.SessionOptions] = {}
        self._channel_models: dict[str, str] = {}
        self._clock, self._started = clock, clock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._told_exits: dict[str, WorkerExit] = {}
        runner.on_session_end = self.forget_channel

    def greeting(self) -> e.Connected:
        """Return what a new control connection hears first."""
        spec = self._current_spec()
        return e.Connected(
            server=SERVER,
            version=__version__,
            current_model=self._pool.current,
            notice=spec.notice if spec else "",
            phrases=spec.phrases if spec else (),
            event_id=self._hub.newest_id,
            recorded=self._recorded,
        )

    def options_of(self, channel: str) -> c.SessionOptions:
        """Return what a new session of a channel starts with."""
        return self._channel_options.get(channel, self._options)

    def check(self, options: c.SessionOptions, *, chosen: str | None = None) -> None:
        """Refuse options that the model which is to decode cannot follow.

        Args:
            options: A patch of a session's options.
            chosen: The model that the session has chosen already, if any.

        Raises:
            UnknownModel: They name a model that is not in the registry.
            BadField: A language the model does not know.
        """
        wanted = self.meant(options.model) if options.model else options.model
        model_id = (chosen if wanted is None else wanted) or self._pool.current
        if not options.language or model_id is None:
            return
        try:
            known = self._pool.capabilities(model_id).languages
        except ModelUnavailable:
            spec = self.registry.get(model_id) if wanted else None  # another is just being replaced
            known = spec.languages if spec and "multilingual" not in spec.languages else ()
        if known and options.language not in known:
            shown = ", ".join(known[:8]) + (" …" if len(known) > 8 else "")
            raise BadField(f"'language': {model_id} does not know {options.language!r}; it knows {shown}.")

    def meant(self, name: str) -> str:
        """Return the id of the model that a name means; empty where it stands for whichever model serves.

        Other names of the default do, such as ``whisper-1``: programs that can say no other name follow the operator.

        Raises:
            UnknownModel: It means nothing.
        """
        model_id = self.registry.get(name).id
        return "" if name != model_id and model_id == self.registry.default else model_id

    def forget_channel(self, channel: str) -> None:
        """Drop the options of a channel nobody is in."""
        if not self._hub.has(channel) and not self._runner.in_channel(channel):
            self._channel_options.pop(channel, None)
            self._channel_models.pop(channel, None)

    def receive(self, command: c.Command, asker: Asker) -> None:
        """Answer a command; slow ones answer later.

        Raises:
            HotmicError: It cannot be done.
        """
        rid = command.request_id
        match command:
            case c.ListModels():
                asker.answer(self._listing(rid))
            case c.LoadModel():
                self._require_control(asker)
                self._spawn(self._load(command, asker), asker, command)
            case c.UnloadModel():
                self._require_control(asker)
                self._spawn(self._unload(command, asker), asker, command)
            case c.GetStatus():
                asker.answer(e.StatusReported(request_id=rid, status=self.status()))
            case c.StartRecording():
                self._require_control(asker, command.channel)
                self.check(command.config, chosen=self.options_of(command.channel or asker.channel).model)
                self._start(command, asker)
            case c.StopRecording():
                self._require_control(asker, command.channel)
                self._spawn(self._stop(command, asker), asker, command)
            case c.Configure(options=options):
                self._require_control(asker)
                self.check(options, chosen=self.options_of(asker.channel).model)
                sessions = self._runner.in_channel(asker.channel)
                self._configure(asker.channel, options)
                for session_id in sessions:
                    self._runner.receive_command(session_id, command)
                answer = configured(self.options_of(asker.channel), rid)
                if options.model is None:
                    asker.answer(answer)
                else:
                    self._choose_for_channel(asker.channel, sessions, command, asker, answer)
            case _:
                raise BadField("This command is not for the control socket.")

    def status(self) -> dict[str, Any]:
        """Return the state of the daemon as a plain mapping."""
        models = [
            {
                "model_id": m.model_id,
                "state": m.state,
                "device": m.device,
                "compute_type": m.compute_type,
                "load_seconds": round(m.load_seconds, 3),
                "restarts": m.restarts,
                "sessions": m.sessions,
                **({"reason": m.reason} if m.reason else {}),
                **({"last_exit": self._last_exit(m.last_exit)} if m.last_exit else {}),
            }
            for m in self._pool.status()
        ]
        return {
            "server": SERVER,
            "version": __version__,
            "uptime_s": round(self._clock() - self._started, 1),
            "current_model": self._pool.current,
            "models": models,
            "sessions": self._runner.session_count,
            "queue": self._runner.dispatcher.waiting,
            "cadence_ms": round(self._runner.dispatcher.scheduler().cadence * 1000),
            "recorded": self._recorded,
            "warnings": [{"code": k, "message": v} for k, v in self._runner.notices.shown.items()],
        }

    def announce_models(self, *, problem: str = "") -> None:
        """Tell everybody that models.yaml was edited."""
        ids = tuple(spec.id for spec in self.registry.specs)
        self._hub.broadcast(e.ModelsChanged(model_ids=ids, problem=problem))

    def announce_exits(self) -> None:
        """Tell everybody of workers that have ended since the last call."""
        for model in self._pool.status():
            end = model.last_exit
            if end is None or self._told_exits.get(model.model_id) == end:
                continue
            self._told_exits[model.model_id] = end
            self._hub.broadcast(
                e.WorkerEnded(model_id=model.model_id, kind=end.kind, message=end.message, restarts=model.restarts)
            )

    def _last_exit(self, end: WorkerExit) -> dict[str, Any]:
        return {"reason": end.kind, "message": end.message, "ago_s": round(max(0.0, self._clock() - end.at), 1)}

    async def close(self) -> None:
        """End what is under way."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listing(self, rid: str | int | None) -> e.ModelsListed:
        states = {m.model_id: m.state for m in self._pool.status()}
        return e.ModelsListed(
            request_id=rid,
            models=tuple(listing(spec, states.get(spec.id)) for spec in self.registry.specs),
            default=self.registry.default,
            current_model=self._pool.current,
        )

    def choose_model(self, session_id: str, command: c.Configure, asker: Asker, answer: e.Configured) -> None:
        """Give a session the model that a command names; the answer follows once it serves."""
        name = command.options.model
        model_id = self.meant(name) if name else ""
        if not name or model_id not in ("", self._pool.current or self.registry.default):
            self._require_control(asker)  # another would be loaded
        wishes = {session_id: self._runner.choices.wish(session_id)}
        self._spawn(self._choose(wishes, model_id, asker, answer), asker, command)

    def _choose_for_channel(
        self, channel: str, sessions: list[str], command: c.Command, asker: Asker, answer: e.Event | None
    ) -> None:
        model_id = self._channel_options[channel].model or ""
        wishes = {session_id: self._runner.choices.wish(session_id) for session_id in sessions}

        async def work() -> None:
            try:
                await self._choose(wishes, model_id, asker, answer)
            except HotmicError:
                options = self._channel_options.get(channel)
                if options is not None and options.model == model_id:
                    served = self._channel_models.get(channel)
                    self._channel_options[channel] = msgspec.structs.replace(options, model=served)
                raise
            if self.options_of(channel).model == model_id:
                self._channel_models[channel] = model_id

        self._spawn(work(), asker, command)

    async def _choose(self, wishes: dict[str, int], model_id: str, asker: Asker, answer: e.Event | None) -> None:
        rid = answer.request_id if answer is not None else None
        # Held once for all of them, and loaded also where nobody speaks yet.
        held = await self._pool.acquire(model_id, report=_reporter(asker, rid)) if model_id else ""
        too_late: list[Superseded] = []
        try:
            for session_id, wish in wishes.items():
                try:
                    await self._runner.choose_model(session_id, held, wish)
                except Superseded as error:
                    too_late.append(error)
        finally:
            if held:
                self._pool.release(held)
        if too_late and len(too_late) == len(wishes):
            raise too_late[0]
        if answer is not None:
            asker.answer(answer)

    async def _load(self, command: c.LoadModel, asker: Asker) -> None:
        spec = self.registry.get(command.model_id)
        report = _reporter(asker, command.request_id)
        status = await self._pool.load(spec.id, mode=command.mode, report=report)
        loaded = e.ModelLoaded(
            model_id=spec.id, load_seconds=status.load_seconds, notice=spec.notice, phrases=spec.phrases
        )
        self._hub.broadcast(loaded, besides=asker)
        asker.answer(msgspec.structs.replace(loaded, request_id=command.request_id))

    async def _unload(self, command: c.UnloadModel, asker: Asker) -> None:
        model_id = self.registry.get(command.model_id).id
        await self._pool.unload(model_id)
        self._hub.broadcast(e.ModelUnloaded(model_id=model_id), besides=asker)
        asker.answer(e.ModelUnloaded(request_id=command.request_id, model_id=model_id))

    def _start(self, command: c.StartRecording, asker: Asker) -> None:
        channel = command.channel or asker.channel
        sessions = self._sessions_of(channel, command.session)
        self._configure(channel, command.config)
        self._runner.start(sessions, command)
        if command.config.model is not None:
            self._choose_for_channel(channel, sessions, command, asker, None)
        if command.request_id is not None or not sessions:
            asker.answer(
                e.RecordingStarted(
                    request_id=command.request_id,
                    session_id=command.session or "",
                    channel=channel,
                    recorded=self._recorded,
                    is_controlled=True,
                )
            )

    async def _stop(self, command: c.StopRecording, asker: Asker) -> None:
        channel = command.channel or asker.channel
        sessions = self._sessions_of(channel, command.session)
        await self._runner.stop(sessions, command)
        if command.request_id is not None or not sessions:
            asker.answer(
                e.RecordingStopped(
                    request_id=command.request_id, session_id=command.session or "", channel=channel, is_controlled=True
                )
            )

    def _sessions_of(self, channel: str, name: str | None) -> list[str]:
        sessions = self._runner.in_channel(channel, name)
        if name is not None and not sessions:
            raise BadField(f"There is no session '{name}' in the channel '{channel}'.")
        return sessions

    def _configure(self, channel: str, options: c.SessionOptions) -> None:
        if options != c.SessionOptions():
            if not self._hub.has(channel) and not self._runner.in_channel(channel):
                raise BadField(f"Nobody is in the channel '{channel}'.")
            if options.model:
                options = msgspec.structs.replace(options, model=self.meant(options.model))
            self._channel_options[channel] = merge(self.options_of(channel), options)

    def _require_control(self, asker: Asker, channel: str | None = None) -> None:
        if asker.grant is not None:
            asker.grant.require("control")
            if channel is not None:
                asker.grant.require_channel(channel)

    def _current_spec(self) -> ModelSpec | None:
        try:
            return self.registry.get(self._pool.current) if self._pool.current else None
        except UnknownModel:
            return None  # it still serves, but an edit of models.yaml took it out

    def _spawn(self, work: Any, asker: Asker, command: c.Command) -> None:
        async def guarded() -> None:
            try:
                await work
            except HotmicError as error:
                model_id = getattr(command, "model_id", "")
                log.warning(error.message, code=error.code, model=model_id)
                asker.answer(failure(error, command.request_id, model_id=model_id))
            except asyncio.CancelledError:
                asker.answer(failure(ShuttingDown("The daemon is stopping."), command.request_id))
                raise
            except Exception:
                log_id = uuid.uuid4().hex[:12]
                log.exception("A command failed.", log_id=log_id)
                unexpected = e.ErrorRaised(code="internal", message="The command failed.", log_id=log_id)
                asker.answer(msgspec.structs.replace(unexpected, request_id=command.request_id))

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _reporter(asker: Asker, request_id: str | int | None) -> Callable[[LoadProgress], None]:
    """Return what tells an asker how far a model is."""

    def report(progress: LoadProgress) -> None:
        asker.answer(
            e.ModelLoading(
                request_id=request_id,
                model_id=progress.model_id,
                progress=progress.progress,
                stage=progress.stage,
            )
        )

    return report


def listing(spec: ModelSpec, state: str | None) -> dict[str, Any]:
    """Return a model as clients see it."""
    body: dict[str, Any] = {
        "id": spec.id,
        "name": spec.name,
        "type": spec.type,
        "language": spec.languages[0],
        "languages": list(spec.languages),
        "description": spec.description,
        "performance_tier": spec.performance_tier,
        "recommended": spec.recommended,
        "vram_gb": spec.vram_gb,
    }
    if state:
        body["state"] = state
    if spec.notice:
        body |= {"notice": spec.notice, "phrases": list(spec.phrases)}
    return body


def merge(old: c.SessionOptions, new: c.SessionOptions) -> c.SessionOptions:
    """Return options with every field that ``new`` sets."""
    fields = {f: getattr(new, f) if getattr(new, f) is not None else getattr(old, f) for f in new.__struct_fields__}
    return c.SessionOptions(**fields)


def configured(options: c.SessionOptions, request_id: str | int | None) -> e.Configured:
    """Return the answer that says which options are in force."""
    fields = {f: getattr(options, f) for f in options.__struct_fields__}
    return e.Configured(request_id=request_id, options={k: v for k, v in fields.items() if v is not None})


def failure(error: HotmicError, request_id: str | int | None = None, *, model_id: str = "") -> e.ErrorRaised:
    """Return an error as an event."""
    return e.ErrorRaised(
        request_id=request_id,
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        retry_after_ms=error.retry_after_ms,
        model_id=model_id,
    )
