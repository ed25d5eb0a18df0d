"""Real child processes with the echo engine and the bundled model."""

import asyncio
import errno
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from hotmic.engines import echo
from hotmic.errors import EngineFailed, WorkerDied
from hotmic.values import DecodeJob
from hotmic.worker import arena, messages, process
from hotmic.worker.messages import Loaded, Progress, Results, Start
from hotmic.worker.process import WorkerProcess

pytestmark = pytest.mark.integration
Build = Callable[..., DecodeJob]
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def ignore(_: Progress) -> None:
    pass


def work(start: Start, test: Callable[[WorkerProcess], Awaitable[None]], **timeouts: float) -> None:
    """Start a worker, run the test, stop the worker and see that the process is gone."""

    async def main() -> None:
        worker = WorkerProcess(**timeouts)
        async with asyncio.timeout(30):
            await worker.start(start, ignore)
            pid = worker.pid
            try:
                await test(worker)
            finally:
                await worker.stop()
        assert worker.is_dead
        assert not is_running(pid)

    asyncio.run(main())


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_echo_decodes(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        batches = [worker.decode([job(echo.speech(5, first=n).tobytes(), str(n))]) for n in range(6)]
        results = await asyncio.gather(*batches)
        assert [r[0].text for r in results] == [" ".join(str(n + i) for i in range(5)) for n in range(6)]
        assert worker.jobs_done == 6
        await worker.stop()
        assert (await worker.wait_dead()).kind == "stopped"

    work(start(), test)


def test_audio_of_a_batch_that_nobody_waits_for_is_left_alone(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        first = asyncio.create_task(worker.decode([job(echo.speech(3).tobytes(), "0")]))
        second = asyncio.create_task(worker.decode([job(echo.speech(3, first=10).tobytes(), "1")]))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        (third,) = await worker.decode([job(echo.speech(3, first=20).tobytes(), "2")])
        assert third.text == "20 21 22"
        assert [result.text for result in await first] == ["0 1 2"]
        assert worker.jobs_done == 2

    work(start(batch_s=0.2), test)


def test_a_batch_larger_than_the_shared_memory_is_decoded(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        rows = start().batch_size * arena.ROW_BYTES // (280 * 3200) + 2
        jobs = [job(echo.speech(280, first=n).tobytes(), str(n)) for n in range(rows)]
        results = await worker.decode(jobs)
        assert [r.text.split()[0] for r in results] == [str(n) for n in range(rows)]

    work(start(), test)


def test_the_bundled_model_decodes(start: Callable[..., Start], job: Build) -> None:
    import wave

    async def test(worker: WorkerProcess) -> None:
        with wave.open(str(Path(process.hotmic.__file__).parent / "models" / "clips" / "timer.wav")) as file:
            audio = file.readframes(file.getnframes())
        (result,) = await worker.decode([job(audio, word_times=True)])
        assert result.text == "set a timer for twenty minutes"
        assert len(result.words) == 6

    work(start("faster_whisper"), test)


def test_loading_is_reported(start: Callable[..., Start]) -> None:
    async def main() -> Loaded:
        told: list[Progress] = []
        worker = WorkerProcess()
        loaded = await worker.start(start(), told.append)
        await worker.stop()
        assert [p.stage for p in told] == ["loading", "warming", "warming"]
        return loaded

    loaded = asyncio.run(main())
    assert (loaded.device, loaded.threads, loaded.capabilities.batch) == ("cpu", 1, 8)
    assert loaded.reason == "CPU in use, as configured."


@pytest.mark.parametrize(
    ("model_type", "options", "message"),
    [
        ("echo", {"fail_load": "No weights."}, r"^No weights\.$"),
        ("echo", {"load_s": "soon"}, "could not be loaded; the log has the reason"),
        ("transformers", {}, "cannot be loaded"),
    ],
)
def test_failed_loads_say_why(start: Callable[..., Start], model_type: str, options: Any, message: str) -> None:
    async def main() -> None:
        worker = WorkerProcess()
        with pytest.raises(EngineFailed, match=message):
            await worker.start(start(model_type, **options), ignore)
        assert (await worker.wait_dead()).kind == "exception"

    asyncio.run(main())


@needs_posix
def test_a_killed_child_fails_its_batches_with_the_signal(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        batches = [asyncio.create_task(worker.decode([job(job_id=str(n))])) for n in range(3)]
        await asyncio.sleep(0.2)
        os.kill(worker.pid, signal.SIGKILL)
        for batch in batches:
            with pytest.raises(WorkerDied, match="SIGKILL"):
                await batch
        end = await worker.wait_dead()
        assert (end.kind, end.message) == ("signal", "The worker was ended by SIGKILL.")
        with pytest.raises(WorkerDied):
            await worker.decode([job()])

    work(start(batch_s=5), test)


@needs_posix
def test_a_frozen_child_is_found_by_its_silence(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        await worker.decode([job()])
        with pytest.raises(WorkerDied, match=r"no sign of life for 1\.5 s"):
            await worker.decode([job()])
        assert (await worker.wait_dead()).kind == "hang"

    work(start(hang_after_jobs=1), test, heartbeat_timeout=1.5)


def test_a_batch_that_never_ends_is_found_by_its_age(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        await worker.decode([job()])
        with pytest.raises(WorkerDied, match="did not finish a batch"):
            await worker.decode([job()])
        assert (await worker.wait_dead()).kind == "hang"

    work(start(stall_after_jobs=1), test, decode_timeout=0.5)


def test_a_long_batch_is_no_silence(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        assert len(await worker.decode([job()])) == 1

    work(start(batch_s=2.5), test, heartbeat_timeout=1.5)


@needs_posix
def test_signals_to_the_group_do_not_end_a_child(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(worker.pid, number)
        assert len(await worker.decode([job()])) == 1

    work(start(), test)


def test_a_start_that_is_given_up_leaves_no_process(start: Callable[..., Start]) -> None:
    async def main() -> None:
        worker = WorkerProcess()
        starting = asyncio.create_task(worker.start(start(load_s=60), ignore))
        while not worker.pid:
            await asyncio.sleep(0.01)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert not is_running(worker.pid)

    asyncio.run(main())


def test_a_busy_child_is_stopped_within_the_time(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        batch = asyncio.create_task(worker.decode([job()]))
        await asyncio.sleep(0.2)
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await worker.stop()
        assert loop.time() - begin < 2
        with pytest.raises(WorkerDied, match="was stopped"):
            await batch

    work(start(batch_s=60), test, stop_timeout=0.5)


def test_large_batches_pass_through_the_pipe(start: Callable[..., Start], job: Build) -> None:
    audio = echo.speech(280).tobytes()

    async def test(worker: WorkerProcess) -> None:
        results = await worker.decode([job(audio, str(n)) for n in range(8)])
        assert {r.text for r in results} == {" ".join(map(str, range(280)))}

    work(start(), test)


def test_what_the_engine_prints_is_no_message(start: Callable[..., Start], job: Build, tmp_path: Path) -> None:
    # A thread of a module that the child imports prints as soon as the child has taken its channel, and goes on.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, threading, time\n"
        "def talk():\n"
        "    while not os.path.sameopenfile(1, 2):\n"
        "        time.sleep(0.001)\n"
        "    while True:\n"
        "        print('noise', flush=True); os.write(1, b'more noise\\n'); time.sleep(0.01)\n"
        "threading.Thread(target=talk, daemon=True).start()\n"
    )
    import os as system

    before = system.environ.get("PYTHONPATH")
    system.environ["PYTHONPATH"] = str(tmp_path)
    try:

        async def test(worker: WorkerProcess) -> None:
            for _ in range(5):
                assert len(await worker.decode([job()])) == 1

        work(start(batch_s=0.2), test)
    finally:
        if before is None:
            del system.environ["PYTHONPATH"]
        else:
            system.environ["PYTHONPATH"] = before


@pytest.mark.parametrize("nonsense", ["other job", "too few", "no message"])
def test_answers_that_are_nonsense_end_the_child(
    start: Callable[..., Start], job: Build, monkeypatch: pytest.MonkeyPatch, nonsense: str
) -> None:
    parse = messages.parse_from_child

    def distort(body: bytes) -> messages.FromChild:
        message = parse(body)
        if not isinstance(message, Results):
            return message
        if nonsense == "no message":
            return parse(b"nonsense")
        wrong = tuple(msgspec.structs.replace(result, job_id="other") for result in message.results)
        return Results(batch_id=message.batch_id, results=wrong if nonsense == "other job" else wrong[:0])

    async def test(worker: WorkerProcess) -> None:
        with pytest.raises(WorkerDied, match=r"worker (answered for other jobs|sent something)"):
            await worker.decode([job()])
        assert (await worker.wait_dead()).kind == "nonsense"

    monkeypatch.setattr(messages, "parse_from_child", distort)
    work(start(), test)


def test_a_child_without_memory_ends_and_its_jobs_can_go_to_another(start: Callable[..., Start], job: Build) -> None:
    async def test(worker: WorkerProcess) -> None:
        with pytest.raises(WorkerDied, match="no more memory"):
            await worker.decode([job(echo.speech(3).tobytes())])
        assert (await worker.wait_dead()).kind == "out_of_memory"

    work(start(exhaust_on=1), test)


@needs_posix
def test_the_last_words_of_a_library_without_memory_are_understood(
    start: Callable[..., Start], job: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As the C++ runtime ends a process in which nobody catches the exception.
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys, threading\n"
        "def end():\n"
        "    os.write(2, b\"terminate called after throwing an instance of 'std::bad_alloc'\\n\")\n"
        "    os.abort()\n"
        "if 'hotmic.worker.child' in sys.orig_argv:\n"
        "    threading.Timer(1.5, end).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def test(worker: WorkerProcess) -> None:
        assert (await worker.wait_dead()).kind == "out_of_memory"

    work(start(), test)


def test_a_child_whose_thread_fails_ends_with_an_exception(
    start: Callable[..., Start], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, threading\n"
        "if 'hotmic.worker.child' in sys.orig_argv:\n"
        "    threading.Timer(1.5, lambda: 1 / 0).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    async def test(worker: WorkerProcess) -> None:
        assert (await worker.wait_dead()).kind == "exception"

    work(start(), test)


def test_a_child_that_cannot_be_started_has_died(start: Callable[..., Start], monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "no")

    async def main() -> None:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        worker = WorkerProcess()
        with pytest.raises(WorkerDied, match="could not be started \\(too many open files\\)"):
            await worker.start(start(), ignore)
        assert worker.is_dead
        await worker.stop()

    before = os.listdir("/proc/self/fd") if sys.platform == "linux" else []
    asyncio.run(main())
    if before:
        assert len(os.listdir("/proc/self/fd")) <= len(before)
