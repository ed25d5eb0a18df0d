"""The shell in virtual time, with the echo engine behind it: many sessions, exact texts."""

import asyncio
from collections.abc import Callable, Sequence

import virtual_time
from hotmic.audio.segmenter import Segmenter
from hotmic.audio.vad_seed import SeedVad
from hotmic.commands import EndAudio, SessionOptions, StopRecording
from hotmic.config.model import Bundled, ModelSpec
from hotmic.engines import echo
from hotmic.errors import EngineFailed
from hotmic.events import ErrorRaised, Event, FinalTranscribed
from hotmic.metrics import Metrics
from hotmic.net.hub import Hub
from hotmic.net.runner import Runner
from hotmic.policies.local_agreement import LocalAgreement
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
        self.delay, self.fails = delay, False
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
        return self._engine.decode(jobs)

    async def close(self) -> None:
        """Nothing to end."""


class Ear:
    is_speaker = False

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.heard: list[Event] = []

    def hear(self, event: Event, *, timestamp: str, key: str = "") -> None:
        self.heard.append(event)

    @property
    def numbers(self) -> list[int]:
        return [int(n) for e in self.heard if isinstance(e, FinalTranscribed) for n in e.text.split()]


def build_session(session_id: str, channel: str, options: SessionOptions) -> Session:
    return Session(
        session_id,
        channel=channel,
        settings=SessionSettings(),
        options=options,
        build_segmenter=lambda _: Segmenter(
            SeedVad(), min_speech=1024, min_silence=9600, pre_roll=4800, hang_over=3200, max_segment=30 * SAMPLE_RATE
        ),
        build_policy=LocalAgreement,
    )


def build(pool: EchoPool) -> tuple[Runner, Hub]:
    hub = Hub()
    runner = Runner(pool=pool, hub=hub, scheduler=Scheduler(), metrics=Metrics(), build_session=build_session)
    return runner, hub


async def talk(runner: Runner, session_id: str, speaker: int, count: int) -> None:
    for number in range(count):
        audio = echo.chunk(number, speaker=speaker).tobytes()
        runner.receive_audio(session_id, audio, encoding="pcm16", sample_rate=None)
        await asyncio.sleep(0.1)


def test_twenty_speakers_hear_their_own_words_exactly() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, hub = build(pool)
        ears = [Ear(f"c{i}") for i in range(20)]
        for ear in ears:
            hub.join(ear)
        sessions = [runner.open_session(ear.channel, SessionOptions(), owner=ear.heard.append) for ear in ears]
        await asyncio.gather(*(talk(runner, s, i, 30) for i, s in enumerate(sessions)))
        for session in sessions:
            runner.receive_command(session, EndAudio())
        await runner.finish()
        for i, ear in enumerate(ears):
            assert ear.numbers == [i * echo.SPEAKER_STRIDE + n for n in range(30)]
        assert max(pool.batches) > 1, "rows of several sessions share a batch"
        assert runner.session_count == 0

    virtual_time.run(main())


def test_silence_on_the_wire_is_an_endpoint_without_any_more_audio() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool())
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=ear.heard.append)
        await talk(runner, session, 0, 10)
        await asyncio.sleep(0.5)
        assert not ear.numbers
        await asyncio.sleep(1.0)
        assert ear.numbers == list(range(10))

    virtual_time.run(main())


def test_a_failed_batch_fails_its_segments_and_nothing_else() -> None:
    async def main() -> None:
        pool = EchoPool()
        runner, hub = build(pool)
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=ear.heard.append)
        pool.fails = True
        await talk(runner, session, 0, 10)
        await asyncio.sleep(2)
        assert [e.code for e in ear.heard if isinstance(e, ErrorRaised)] == ["engine_failed"]
        pool.fails = False
        await talk(runner, session, 1, 10)
        await asyncio.sleep(2)
        assert ear.numbers == [echo.SPEAKER_STRIDE + n for n in range(10)]

    virtual_time.run(main())


def test_without_a_model_audio_waits_for_one() -> None:
    async def main() -> None:
        pool = EchoPool()
        pool.current = None
        runner, hub = build(pool)
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=ear.heard.append)
        await talk(runner, session, 0, 10)
        await asyncio.sleep(5)
        assert not ear.numbers
        pool.current = "echo"
        runner.receive_pool_change()
        await asyncio.sleep(1)
        assert ear.numbers == list(range(10))

    virtual_time.run(main())


def test_stop_returns_after_the_last_final() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool(delay=3.0))
        ear = Ear("c")
        hub.join(ear)
        sessions = [runner.open_session("c", SessionOptions(), owner=ear.heard.append) for _ in range(2)]
        await asyncio.gather(*(talk(runner, s, i, 10) for i, s in enumerate(sessions)))
        await runner.stop(sessions, StopRecording())
        assert sorted(ear.numbers) == [*range(10), *(echo.SPEAKER_STRIDE + n for n in range(10))]
        await runner.stop([], StopRecording())

    virtual_time.run(main())


def test_slow_processing_is_warned_about_once() -> None:
    async def main() -> None:
        runner, hub = build(EchoPool(delay=1.5))
        ear = Ear("c")
        hub.join(ear)
        session = runner.open_session("c", SessionOptions(), owner=ear.heard.append)
        await talk(runner, session, 0, 100)
        assert list(runner.warnings) == ["slow"]

    virtual_time.run(main())
