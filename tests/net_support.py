"""The shells around an echo engine, for tests in virtual time."""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from hotmic.audio.segmenter import Segmenter
from hotmic.audio.vad_seed import SeedVad
from hotmic.commands import SessionOptions
from hotmic.config.model import Bundled, ModelSpec
from hotmic.config.registry import Registry
from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.dialect import Frame
from hotmic.engines import echo
from hotmic.errors import EngineFailed, ModelUnavailable
from hotmic.metrics import Metrics
from hotmic.net.connection import Connection
from hotmic.net.container_feed import container_quota
from hotmic.net.control import Control
from hotmic.net.grant import Grant
from hotmic.net.hub import Hub
from hotmic.net.limit import Quota
from hotmic.net.peer import PeerGoneError
from hotmic.net.roster import Roster
from hotmic.net.runner import Runner
from hotmic.net.security import Access, Tokens
from hotmic.net.services import Services
from hotmic.net.throttle import Rates
from hotmic.policies.local_agreement import LocalAgreement
from hotmic.scheduler.bucket import Bucket
from hotmic.scheduler.scheduler import Scheduler
from hotmic.session.planner import SessionSettings
from hotmic.session.session import Session
from hotmic.values import (
    SAMPLE_RATE,
    Capabilities,
    DecodeJob,
    DecodeResult,
    Guard,
    LoadMode,
    LoadProgress,
    ModelStatus,
)

SPOKEN = SessionSettings()
FILE = SessionSettings(is_file=True, partials=False, wire_silence=1e6)
REGISTRY = "default: echo\nmodels:\n  - {id: echo, name: Echo, type: echo, languages: [en]}\n"
ANYBODY = Grant()
SPEC = ModelSpec(id="echo", name="Echo", type="echo", source=Bundled(name="echo"), languages=("en",))


class EchoPool:
    """A pool whose worker is the echo engine itself; a batch takes ``delay`` of the loop's time."""

    def __init__(self, *, delay: float = 0.05) -> None:
        self.current: str | None = "echo"
        self.delay, self.fails, self.changes_its_mind = delay, False, False
        self.suppresses: Guard = ""
        self.batches: list[int] = []
        self.load_s = 1.0
        self.acquired: list[str] = []
        self.broken: set[str] = set()
        self._engine = echo.EchoEngine(SPEC, batch_size=8)

    def capabilities(self, model_id: str) -> Capabilities:
        return self._engine.capabilities

    def serves(self, model_id: str) -> bool:
        return model_id == self.current or model_id in self.acquired

    async def acquire(self, model_id: str, *, report: Callable[[LoadProgress], None]) -> str:
        await asyncio.sleep(self.load_s)
        if model_id in self.broken:
            raise ModelUnavailable(f"The model {model_id} could not be loaded.")
        self.acquired.append(model_id)
        return model_id

    def release(self, model_id: str) -> None:
        self.acquired.remove(model_id)

    def status(self) -> list[ModelStatus]:
        return []

    async def load(self, model_id: str, *, mode: LoadMode, report: Callable[[LoadProgress], None]) -> ModelStatus:
        raise AssertionError("not asked for here")

    async def unload(self, model_id: str) -> None:
        raise AssertionError("not asked for here")

    async def decode(self, model_id: str, jobs: Sequence[DecodeJob]) -> list[DecodeResult]:
        await asyncio.sleep(self.delay)
        self.batches.append(len(jobs))
        if self.fails:
            raise EngineFailed("It failed.")
        decoder = model_id if self.serves(model_id) else self.current or ""
        results = [msgspec.structs.replace(r, model_id=decoder) for r in self._engine.decode(jobs)]
        if self.changes_its_mind:
            results = [self._otherwise(job, result) for job, result in zip(jobs, results, strict=True)]
        if self.suppresses:
            results = [msgspec.structs.replace(r, text="", words=(), suppressed=self.suppresses) for r in results]
        return results

    @staticmethod
    def _otherwise(job: DecodeJob, result: DecodeResult) -> DecodeResult:
        if job.kind == "partial":
            return result
        words = tuple(msgspec.structs.replace(word, word=f"{word.word}7") for word in result.words)
        return msgspec.structs.replace(result, text=" ".join(word.word for word in words), words=words)

    async def close(self) -> None:
        """Nothing to end."""


def build_session(
    session_id: str, channel: str, options: SessionOptions, tenant: str, settings: SessionSettings = SPOKEN
) -> Session:
    return Session(
        session_id,
        channel=channel,
        settings=settings,
        options=options,
        build_segmenter=lambda _: Segmenter(
            SeedVad(), min_speech=1024, min_silence=9600, pre_roll=4800, hang_over=3200, max_segment=30 * SAMPLE_RATE
        ),
        build_policy=lambda _: LocalAgreement(),
        tenant=tenant,
    )


def build(pool: EchoPool, metrics: Metrics | None = None, *, first_number: int = 0) -> tuple[Runner, Hub]:
    hub = Hub()
    runner = Runner(
        pool=pool,
        hub=hub,
        build_scheduler=Scheduler,
        metrics=metrics or Metrics(),
        build_session=build_session,
        build_file_session=partial(build_session, settings=FILE),
        first_number=first_number,
    )
    return runner, hub


def overload(runner: Runner, *, now: float) -> None:
    """Make the scheduler believe that finals have taken all of the device for a while."""
    shape = Bucket("final", 5.0, "transcribe", 1, 1, 0)
    for number in range(60):
        runner.dispatcher.scheduler().capacity.receive_job(f"other-{number}", shape, now=now)
        runner.dispatcher.scheduler().capacity.receive_batch(shape, 1, seconds=1.0, now=now)


class FakePeer:
    """A socket in memory; ``reads`` false is a client that never reads."""

    def __init__(self, *, reads: bool = True) -> None:
        self.address = "127.0.0.1"
        self.reads = reads
        self.sent: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self._frames: asyncio.Queue[Frame | PeerGoneError] = asyncio.Queue()

    def say(self, frame: Frame | dict[str, Any]) -> None:
        self._frames.put_nowait(json.dumps(frame) if isinstance(frame, dict) else frame)

    def leave(self) -> None:
        self._frames.put_nowait(PeerGoneError(said_goodbye=True))

    def break_off(self) -> None:
        self._frames.put_nowait(PeerGoneError())

    async def receive(self) -> Frame:
        frame = await self._frames.get()
        if isinstance(frame, PeerGoneError):
            raise frame
        return frame

    async def send(self, frame: Frame) -> None:
        if not self.reads:
            await asyncio.sleep(1e6)
        self.sent.append(json.loads(frame))

    async def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)

    @property
    def kinds(self) -> list[str]:
        return [message["type"] for message in self.sent]


class House:
    """All services around an echo pool."""

    def __init__(
        self,
        folder: Path,
        *,
        tokens: Tokens | None = None,
        connections: int = 10,
        streams: int = 10,
        per_token: int = 10,
        rates: Rates | None = None,
        outbox_bytes: int = 1 << 20,
        registry: str = REGISTRY,
    ) -> None:
        path = folder / "models.yaml"
        path.write_text(registry)
        self.pool = EchoPool()
        self.runner, self.hub = build(self.pool)
        self.control = Control(
            pool=self.pool,
            registry=Registry.load(path),
            runner=self.runner,
            hub=self.hub,
            options=SessionOptions(),
            clock=lambda: 0.0,
        )
        self.services = Services(
            hub=self.hub,
            runner=self.runner,
            control=self.control,
            access=Access(host="127.0.0.1", tokens=tokens or Tokens({})),
            metrics=Metrics(),
            roster=Roster(),
            connections=Quota("connections", per_address=connections, per_token=per_token),
            streams=Quota("streams", per_address=streams, per_token=per_token),
            containers=container_quota(streams),
            rates=rates or Rates(),
            outbox_items=256,
            outbox_bytes=outbox_bytes,
            slow_client=10.0,
        )

    def admit(
        self,
        peer: FakePeer,
        *,
        speaks: bool = False,
        grant: Grant | None = ANYBODY,
        channel: str = "c",
    ) -> "asyncio.Task[None]":
        dialect = AudioDialect() if speaks else ControlDialect()
        connection = Connection(peer, dialect, self.services, grant=grant, channel=channel)
        return asyncio.get_running_loop().create_task(connection.run())
