"""All models of one machine, each in a worker process of its own, switched without losing a word."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog
from msgspec.structs import replace

from hotmic.config.model import ModelSpec
from hotmic.errors import HotmicError, ModelUnavailable, ShuttingDown, Superseded, UnknownModel
from hotmic.values import Capabilities, DecodeJob, DecodeResult, LoadMode, ModelStatus
from hotmic.worker.demand import Demand
from hotmic.worker.lifecycle import Trigger, advance
from hotmic.worker.loader import Loader, Report, progress_of
from hotmic.worker.service import Service

log = structlog.get_logger(__name__)


class ModelRegistry(Protocol):
    """What the pool needs of the registry."""

    def get(self, model_id: str) -> ModelSpec:
        """Return a model.

        Raises:
            UnknownModel: There is none of this id.
        """


@dataclass(eq=False)
class _Load:
    """A model on its way, and who wants to hear how far it is."""

    spec: ModelSpec
    mode: LoadMode
    reports: list[Report] = field(default_factory=list)
    task: "asyncio.Task[Service] | None" = None

    def tell(self, stage: str, share: float) -> None:
        for report in self.reports:
            report(progress_of(self.spec.id, stage, share))


class LocalPool:
    """Keeps models served: the one for all, and those that sessions chose.

    Args:
        registry: All models; may be replaced while running.
        loader: Opens workers.
        on_change: Called when the current model or a status changed.
        keep_alive: Seconds a model that sessions chose is kept after the last of them left.
        max_chosen_models: Most models besides the one for all.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        loader: Loader,
        *,
        on_change: Callable[[], None],
        keep_alive: float = 300.0,
        max_chosen_models: int = 3,
    ) -> None:
        self.registry = registry
        self._loader = loader
        self._on_change = on_change
        self._demand = Demand(keep_alive=keep_alive, most=max_chosen_models)
        self._services: list[Service] = []
        self._current: Service | None = None
        self._last: Service | None = None
        self._failed: dict[str, ModelStatus] = {}
        self._loads: dict[str, _Load] = {}
        self._loading = asyncio.Lock()
        self._changed = asyncio.Event()
        self._expiry: asyncio.TimerHandle | None = None
        self._leaving: dict[Service, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Service]] = set()
        self._closed = False

    # what there is

    @property
    def current(self) -> str | None:
        """The id of the model for all sessions without a choice."""
        return self._current.spec.id if self._current else None

    def spec(self, model_id: str | None) -> ModelSpec | None:
        """Return what the registry said about a model that serves when it was loaded."""
        service = self._find(model_id) if model_id else None
        return service.spec if service else None

    def serves(self, model_id: str) -> bool:
        """Return whether a model takes batches."""
        return self._find(model_id) is not None

    def capabilities(self, model_id: str) -> Capabilities:
        """Return what a served model can do.

        Raises:
            ModelUnavailable: It is not served.
        """
        for service in reversed(self._services):
            if service.spec.id == model_id and service.is_healthy:
                return service.capabilities
        raise ModelUnavailable(f"The model {model_id} is not served.")

    def status(self) -> list[ModelStatus]:
        """Return the state of every model that has a worker or is about to, and of those whose last load failed."""
        known = [service.status for service in self._services]
        ids = {status.model_id for status in known}
        coming = [ModelStatus(model_id=m, state="loading") for m in self._loads if m not in ids | self._failed.keys()]
        return [replace(s, sessions=self._demand.pins(s.model_id)) for s in (*known, *coming, *self._failed.values())]

    # who wants what

    async def load(self, model_id: str, *, mode: LoadMode, report: Report) -> ModelStatus:
        """Load a model and make it the current one; the old one keeps serving until then.

        The newest wish counts: a load that is under way for another model is given up, unless nothing else serves. A
        caller that goes away does not stop a load. A model whose entry in the registry has changed is loaded anew.

        Raises:
            UnknownModel: No such key in the registry.
            ModelUnavailable: It could not be loaded; the message says why.
            DownloadFailed: Its weights are missing and could not be fetched.
            Superseded: Another model was asked for in the meantime.
            ShuttingDown: The pool is closed.
        """
        spec = self._require(model_id)
        self._demand.receive_wish(spec.id)
        for load in tuple(self._loads.values()):
            if self._is_obsolete(load):
                self._give_up(load)
        service = await self._join(spec, mode, report)
        if self._demand.wanted != spec.id and service not in (self._current, self._last):
            raise Superseded(f"The model {spec.id} is not made the current one: another was asked for after it.")
        return service.status

    async def acquire(self, model_id: str, *, report: Report) -> str:
        """Serve a model for a session that chose it; return its id. Every call wants a ``release``.

        Raises:
            UnknownModel: No such key in the registry.
            ModelUnavailable: It could not be loaded, or too many others are in use.
            DownloadFailed: Its weights are missing and could not be fetched.
            ShuttingDown: The pool is closed.
        """
        spec = self._require(model_id)
        while not self._demand.has_place(spec.id):
            if not await self._make_room():
                raise ModelUnavailable("As many models as may be loaded at a time are in use by sessions.")
        self._demand.receive_pin(spec.id)
        try:
            served = self._find(spec.id)
            if served is None:
                await self._join(spec, None, report)
        except BaseException:
            self.release(spec.id)
            raise
        return spec.id

    def release(self, model_id: str) -> None:
        """A session that chose a model is over or chose another; it is unloaded when nobody wants it for a while."""
        self._demand.receive_unpin(model_id, now=self._now())
        if self._find(model_id) is None:
            self._demand.receive_gone(model_id)
        self._arm()

    async def unload(self, model_id: str) -> None:
        """End the worker of a model, after the batches it has.

        Raises:
            UnknownModel: No such model is loaded.
            ModelUnavailable: Sessions have chosen it.
        """
        wanted = self.registry.get(model_id).id
        async with self._loading:
            service = next((s for s in self._services if s.spec.id == wanted and s not in self._leaving), None)
            if service is None:
                raise UnknownModel(f"The model {model_id!r} is not loaded.")
            if self._demand.pins(wanted):
                raise ModelUnavailable(f"The model {wanted} is in use by sessions that chose it.")
            if self._demand.wanted == wanted:
                self._demand.receive_wish(None)
            if service is self._current:
                self._make_current(None)
                self._last = None
            await self._leave(service)

    async def decode(self, model_id: str, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        """Decode one batch: one result per job, in order.

        A model that was switched off in the meantime is stood in for by the current one; results name who decoded.

        Raises:
            ModelUnavailable: No model serves, and none is being loaded.
        """
        while True:
            service = self._find(model_id) or self._current
            if service is None:
                if self._closed or not (self._loads or self._loading.locked()):
                    raise ModelUnavailable("No model is loaded.")
                # Between the end of the old model and the start of the new one audio waits.
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                return await service.decode(jobs)
            except ModelUnavailable:
                if (self._find(model_id) or self._current) is service:
                    raise

    async def close(self) -> None:
        """End all workers, those that are just loading or retiring too."""
        self._closed = True
        if self._expiry is not None:
            self._expiry.cancel()
        tasks = [*self._tasks, *self._leaving.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._make_current(None)
        await asyncio.gather(*(service.close() for service in self._services))
        self._services.clear()

    # loads

    def _require(self, model_id: str) -> ModelSpec:
        if self._closed:
            raise ShuttingDown("The daemon is stopping.")
        return self.registry.get(model_id)

    async def _join(self, spec: ModelSpec, mode: LoadMode | None, report: Report) -> Service:
        """Wait for a model together with all who want it; the newest wish says how, the newest entry what."""
        load = self._loads.get(spec.id)
        if load is not None and load.spec != spec:
            self._give_up(load)
            load = None
        if load is None:
            load = self._loads[spec.id] = _Load(spec, mode or "beside")
            load.task = asyncio.get_running_loop().create_task(self._load(load))
            self._tasks.add(load.task)
            load.task.add_done_callback(self._tasks.discard)
            load.task.add_done_callback(lambda _: self._forget(load))
        load.mode = mode or load.mode
        load.reports.append(report)
        assert load.task is not None
        try:
            return await asyncio.shield(load.task)
        except asyncio.CancelledError:
            if not load.task.cancelled():
                raise
        if self._closed:
            raise ShuttingDown("The daemon is stopping.")
        successor = self._loads.get(spec.id)
        if successor is None:
            raise Superseded(f"The load of {spec.id} was given up: another model was asked for after it.")
        return await self._join(successor.spec, None, report)

    def _is_obsolete(self, load: _Load) -> bool:
        """Return whether nobody wants a model any more that is on its way, and another serves meanwhile."""
        serves = self._current is not None and self._current.is_healthy
        return serves and not self._demand.needs(load.spec.id)

    def _give_up(self, load: _Load) -> None:
        assert load.task is not None
        load.task.cancel()
        del self._loads[load.spec.id]

    def _forget(self, load: _Load) -> None:
        if self._loads.get(load.spec.id) is load:
            del self._loads[load.spec.id]
        # Who waits for a model must look again, also when there will be none.
        self._changed.set()

    async def _load(self, load: _Load) -> Service:
        spec = load.spec
        served = self._find(spec.id)
        if served is None or served.spec != spec:
            self._failed.pop(spec.id, None)
            try:
                # The download is outside of the lock: it must not hold up models that are on disk.
                directory = await self._loader.fetch(spec, load.tell)
                async with self._loading:
                    if self._is_obsolete(load):
                        raise Superseded(f"The load of {spec.id} was given up: another model was asked for after it.")
                    served = await self._open(load, self._build(spec, directory))
            except Superseded:
                raise
            except HotmicError as error:
                log.error("model_load_failed", model=spec.id, reason=error.message)
                async with self._loading:
                    await self._bring_back(failed=spec)
                self._note_failure(spec, error)
                raise
            log.info("model_serves", model=spec.id, seconds=served.status.load_seconds, device=served.status.device)
        self._settle(served)
        load.tell("serving", 1.0)
        return served

    def _build(self, spec: ModelSpec, directory: Path) -> Service:
        beside = {service.spec.id for service in self._services if service not in self._leaving} - {spec.id}
        if (
            self._current is not None
            and self._demand.wanted == spec.id
            and not self._demand.pins(self._current.spec.id)
        ):
            beside.discard(self._current.spec.id)  # it makes way for this one
        return self._loader.build(spec, directory, beside=len(beside), on_change=self._on_change)

    async def _open(self, load: _Load, service: Service) -> Service:
        old, is_wanted = self._current, self._demand.wanted == load.spec.id
        if old is not None and is_wanted:
            may_go = load.mode == "replace" and not self._demand.pins(old.spec.id)
            if may_go or not old.is_healthy:
                self._make_current(None)
                await self._leave(old)
        try:
            await self._start(service, load.tell)
        except HotmicError as error:
            advice = ""
            if isinstance(error, ModelUnavailable) and is_wanted and old and load.mode == "beside":
                advice = ' Load it with mode "replace" to end the present one first.'
            message = f"The model {load.spec.id} could not be loaded. {error.message}{advice}"
            raise ModelUnavailable(message) from error
        return service

    async def _start(self, service: Service, tell: Callable[[str, float], None]) -> None:
        await self._loader.admit(service.spec, service.directory, make_room=self._make_room)
        self._services.append(service)
        try:
            await self._loader.open(service, tell)
        except BaseException:
            self._services.remove(service)
            await service.close()
            raise

    async def _bring_back(self, *, failed: ModelSpec | None = None) -> None:
        """Where nothing serves, serve what had to make way for a model that did not come."""
        if self._closed or self._current is not None or self._last is None or self._last.spec == failed:
            return
        old = self._build(self._last.spec, self._last.directory)
        try:
            await self._start(old, lambda _stage, _share: None)
        except HotmicError as error:
            log.error("model_lost", model=old.spec.id, reason=error.message)
            self._note_failure(old.spec, error)
        else:
            self._make_current(old)

    def _note_failure(self, spec: ModelSpec, error: HotmicError) -> None:
        state = advance("loading", Trigger.FAILED)
        self._failed[spec.id] = ModelStatus(model_id=spec.id, state=state, reason=error.message)
        if self._demand.wanted == spec.id:
            self._demand.receive_wish(self.current)
        self._on_change()

    # who serves

    def _settle(self, service: Service) -> None:
        """Make a model that serves the current one, if it is wanted or none is, and let go of those it replaces."""
        model_id, old = service.spec.id, self._current
        if (self._demand.wanted == model_id or old is None) and old is not service:
            self._make_current(service)
            if old is not None and not self._demand.pins(old.spec.id):
                self._leave(old)
        for twin in tuple(self._services):
            if twin is not service and twin.spec.id == model_id and twin.status.state in ("serving", "unavailable"):
                self._leave(twin)
        if self._current is not service and not self._demand.needs(model_id):
            self._demand.receive_left(model_id, now=self._now())
            self._arm()
        self._on_change()

    def _make_current(self, service: Service | None) -> None:
        self._last = self._current or self._last
        self._current = service
        self._demand.current = service.spec.id if service else None
        self._changed.set()
        self._on_change()

    def _find(self, model_id: str) -> Service | None:
        """Return who serves a model; the newest, where its entry has changed."""
        for service in reversed(self._services):
            if service.spec.id == model_id and service.status.state == "serving":
                return service
        return None

    def _leave(self, service: Service) -> "asyncio.Future[None]":
        """Let a model go: it takes no more batches from now on, and ends when it has done those it has.

        Whoever waits for that may give up waiting; the model goes all the same.
        """
        leaving = self._leaving.get(service)
        if leaving is None:
            service.release()
            if self._find(service.spec.id) is None:
                self._demand.receive_gone(service.spec.id)
            leaving = self._leaving[service] = asyncio.get_running_loop().create_task(self._end(service))
            leaving.add_done_callback(lambda _: self._leaving.pop(service))
        return asyncio.shield(leaving)

    async def _end(self, service: Service) -> None:
        await service.drain()
        await service.close()
        if service in self._services:
            self._services.remove(service)
        self._on_change()

    async def _make_room(self) -> bool:
        """Unload the model that was left longest ago; return ``False`` where all are wanted."""
        model_id = self._demand.least_recently_used()
        if model_id is None:
            return False
        self._demand.receive_gone(model_id)
        if (service := self._find(model_id)) is not None:
            log.info("model_unloaded", model=model_id, reason="Another model needs its place.")
            await self._leave(service)
        return True

    def _arm(self) -> None:
        due = self._demand.next_timer()
        if due is not None and self._expiry is None and not self._closed:
            self._expiry = asyncio.get_running_loop().call_at(due, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        for model_id in self._demand.expired(now=self._now()):
            self._demand.receive_gone(model_id)
            if (service := self._find(model_id)) is not None:
                log.info("model_unloaded", model=model_id, reason="No session has chosen it for a while.")
                self._leave(service)
        self._arm()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
