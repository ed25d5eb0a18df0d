"""The shells around an echo engine, for tests in virtual time."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from hotmic.audio.segmenter import Segmenter
from hotmic.audio.vad_seed import SeedVad
from hotmic.commands import SessionOptions
from hotmic.config.model import Bundled, ModelSpec
from hotmic.engines import echo
from hotmic.errors import EngineFailed
from hotmic.metrics import Metrics
from hotmic.net.hub import Hub
from hotmic.net.runner import Runner
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
    LoadMode,
    LoadProgress,
    ModelStatus,
)

SPEC = ModelSpec(id="echo", name="Echo", type="echo", source=Bundled(name="echo"), languages=("en",))


class EchoPool:
    """A pool whose worker is the echo engine itself; a batch takes ``delay`` of the loop's time."""

    def __init__(self, *, delay: float = 0.05) -> None:
        self.current: str | None = "echo"
        self.delay, self.fails, self.changes_its_mind = delay, False, False
        self.batches: list[int] = []
        self._engine = echo.EchoEngine(SPEC, batch_size=8)

    def capabilities(self, model_id: str) -> Capabilities:
        return self._engine.capabilities

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
        results = self._engine.decode(jobs)
        if self.changes_its_mind:
            results = [self._otherwise(job, result) for job, result in zip(jobs, results, strict=True)]
        return results

    @staticmethod
    def _otherwise(job: DecodeJob, result: DecodeResult) -> DecodeResult:
        if job.kind == "partial":
            return result
        words = tuple(msgspec.structs.replace(word, word=f"{word.word}7") for word in result.words)
        return msgspec.structs.replace(result, text=" ".join(word.word for word in words), words=words)

    async def close(self) -> None:
        """Nothing to end."""


def build_session(session_id: str, channel: str, options: SessionOptions, tenant: str) -> Session:
    return Session(
        session_id,
        channel=channel,
        settings=SessionSettings(),
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
        scheduler=Scheduler(),
        metrics=metrics or Metrics(),
        build_session=build_session,
        first_number=first_number,
    )
    return runner, hub


def overload(runner: Runner, *, now: float) -> None:
    """Make the scheduler believe that finals have taken all of the device for a while."""
    shape = Bucket("final", 5.0, "transcribe", 1, 1, 0)
    for number in range(60):
        runner.scheduler.capacity.receive_job(f"other-{number}", shape, now=now)
        runner.scheduler.capacity.receive_batch(shape, 1, seconds=1.0, now=now)
