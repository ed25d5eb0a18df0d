"""Models over the wire: listed, switched while people speak, downloaded, edited, killed."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from config.fake_hub import FakeHub
from hotmic.engines import echo
from running import CLIPS, Caller, RunningDaemon, calling, running_daemon, start_daemon

pytestmark = pytest.mark.integration

REGISTRY = """\
default: echo-a
models:
  - {id: echo-a, name: A, type: echo, languages: [en], options: {decode_s: 0.01}}
  - {id: echo-b, name: B, type: echo, languages: [en], options: {decode_s: 0.01}}
  - {id: broken, name: Broken, type: echo, languages: [en], options: {fail_load: "the weights are no weights"}}
  - {id: remote, name: Remote, type: faster_whisper, source: {hub: tests/demo}, languages: [en], min_window_s: 1}
"""
DEMO = CLIPS.parent / "demo-en"


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(REGISTRY)
    return path


@pytest.fixture
def daemon(tmp_path: Path, registry: Path) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, "--models", str(registry), "--vad", "seed") as running:
        yield running


async def count_aloud(caller: Caller, first: int, count: int, *, pace: float = 0.05) -> None:
    for number in range(first, first + count):
        await caller.socket.send(echo.chunk(number).tobytes())
        await asyncio.sleep(pace)


async def pause(caller: Caller) -> None:
    await caller.socket.send(np.zeros(16_000, np.int16).tobytes())


def numbers(caller: Caller) -> list[int]:
    return [int(n) for m in caller.heard if m["type"] == "final_transcription" for n in m["text"].split()]


def test_a_switch_between_models_loses_nothing(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            talk = asyncio.create_task(count_aloud(audio, 0, 80))
            for number, target in enumerate(["echo-b", "echo-a", "echo-b"]):
                await control.say(type="load_model", model_id=target, request_id=number)
                await control.hear("model_loading", request_id=number, model_id=target)
                assert (await control.hear("model_loaded", request_id=number))["status"] == "success"
            await talk
            await audio.say(type="audio_end")
            await control.hear("recording_stopped")
            await control.say(type="get_status")
            status = await control.hear("status")
            assert status["current_model"] == "echo-b"
            assert numbers(control) == list(range(80))

    asyncio.run(main())


def test_a_failing_load_says_why_and_the_old_model_serves_on(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            await control.say(type="load_model", model_id="broken")
            error = await control.hear("error")
            assert (error["code"], error["model_id"]) == ("model_unavailable", "broken")
            assert "the weights are no weights" in error["message"]
            await count_aloud(audio, 5, 20)
            await audio.say(type="audio_end")
            assert (await control.hear("final_transcription"))["model"] == "echo-a"
            await control.say(type="get_status")
            codes = {warning["code"] for warning in (await control.hear("status"))["warnings"]}
            assert "model_failed" in codes

    asyncio.run(main())


def test_killed_workers_cost_time_not_text(daemon: RunningDaemon) -> None:
    def workers() -> list[int]:
        tasks = Path(f"/proc/{daemon.process.pid}/task")
        return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]

    async def main() -> None:
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            talk = asyncio.create_task(count_aloud(audio, 0, 60, pace=0.1))
            for _ in range(3):
                await asyncio.sleep(1.5)
                for pid in workers():
                    os.kill(pid, signal.SIGKILL)
            await talk
            await audio.say(type="audio_end")
            await control.hear("recording_stopped")
            assert numbers(control) == list(range(60))
            await control.say(type="get_status")
            (model, *_) = (await control.hear("status"))["models"]
            assert model["restarts"] >= 1
            assert model["state"] == "serving"

    asyncio.run(main())


def test_edits_of_the_registry_are_picked_up(daemon: RunningDaemon, registry: Path) -> None:
    async def main() -> None:
        async with calling(daemon.control) as control:
            registry.write_text(REGISTRY.replace("echo-b", "echo-c"))
            changed = await control.hear("models_changed")
            assert "echo-c" in changed["models"]
            registry.write_text(REGISTRY.replace("type: echo,", "type: ekko,", 1))
            broken = await control.hear("models_changed")
            assert "models.yaml:3" in broken["problem"]
            assert "echo-c" in broken["models"], "the old registry stays"
            await control.say(type="load_model", model_id="echo-c")
            await control.hear("model_loaded")

    asyncio.run(main())


def test_load_model_downloads_what_is_missing(tmp_path: Path, registry: Path) -> None:
    files = {path.name: path.read_bytes() for path in DEMO.iterdir() if path.suffix in (".bin", ".json")}
    with FakeHub({"tests/demo": files}).running() as hub:
        env = {"HF_ENDPOINT": hub.endpoint, "HOTMIC_MODELS_DIR": str(tmp_path / "weights")}
        with running_daemon(tmp_path, "--models", str(registry), env=env) as daemon:

            async def main() -> None:
                async with calling(daemon.control) as control:
                    await control.say(type="load_model", model_id="remote")
                    await control.hear("model_loaded", model_id="remote")
                    stages = [m["stage"] for m in control.heard if m["type"] == "model_loading"]
                    assert stages[0] == "downloading"
                    progress = [m["progress"] for m in control.heard if m["type"] == "model_loading"]
                    assert progress == sorted(progress)

            asyncio.run(main())


@pytest.mark.parametrize("offline", [True, False])
def test_no_hub_is_an_error_within_ten_seconds(tmp_path: Path, registry: Path, offline: bool) -> None:
    env = {"HF_ENDPOINT": "http://127.0.0.1:9", "HOTMIC_MODELS_DIR": str(tmp_path / "weights")}
    with running_daemon(
        tmp_path, "--models", str(registry), env={**env, **({"HOTMIC_OFFLINE": "1"} if offline else {})}
    ) as d:

        async def main() -> None:
            async with calling(d.control) as control:
                await control.say(type="load_model", model_id="remote")
                assert (await control.hear("error", limit=10.0))["code"] == "download_failed"

        asyncio.run(main())


def test_a_daemon_whose_model_fails_still_answers(tmp_path: Path, registry: Path) -> None:
    running = start_daemon(tmp_path, "--models", str(registry), "--model", "broken", "--vad", "seed", ready=False)

    async def main() -> None:
        async with calling(running.control) as control, calling(running.audio) as audio:
            await count_aloud(audio, 0, 20, pace=0.01)
            await pause(audio)
            await control.say(type="load_model", model_id="echo-a")
            await control.hear("model_loaded")
            assert (await control.hear("final_transcription"))["text"].split() == [str(n) for n in range(20)]

    try:
        asyncio.run(main())
    finally:
        assert running.stop() == 0


def test_sigterm_delivers_every_final(tmp_path: Path, registry: Path) -> None:
    running = start_daemon(tmp_path, "--models", str(registry), "--vad", "seed")

    async def main() -> None:
        async with calling(running.control) as control, calling(running.audio) as audio:
            await count_aloud(audio, 0, 20)
            running.process.send_signal(signal.SIGTERM)
            await control.hear("final_transcription")
            assert numbers(control) == list(range(20))
            for caller in (control, audio):
                await caller.socket.wait_closed()
                assert caller.socket.close_code == 1012

    before = time.monotonic()
    asyncio.run(main())
    assert running.process.wait(60) == 0, "a second signal would cut it short"
    assert time.monotonic() - before < 60


def test_sessions_choose_models_of_their_own(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with (
            calling(daemon.control) as control,
            calling(f"{daemon.audio}?session=one") as one,
            calling(f"{daemon.audio}?session=two") as two,
        ):
            await one.say(type="configure", model="echo-b", request_id="mine")
            await one.hear("model_loading", request_id="mine", model_id="echo-b")
            assert (await one.hear("configured", request_id="mine"))["model"] == "echo-b"
            await asyncio.gather(count_aloud(one, 0, 20), count_aloud(two, 50, 20))
            for caller in (one, two):
                await caller.say(type="audio_end")
                await control.hear("recording_stopped")
            models = {m["session_id"]: m["model"] for m in control.heard if m["type"] == "final_transcription"}
            assert models == {"one": "echo-b", "two": "echo-a"}
            assert sorted(numbers(control)) == [*range(20), *range(50, 70)]
            await control.say(type="get_status")
            states = {m["model_id"]: (m["state"], m["sessions"]) for m in (await control.hear("status"))["models"]}
            assert states == {"echo-a": ("serving", 0), "echo-b": ("serving", 1)}
            for model_id, code in (("broken", "model_unavailable"), ("nobody", "unknown_model")):
                await one.say(type="configure", model=model_id, request_id=model_id)
                assert (await one.hear("error", request_id=model_id))["code"] == code
            await control.say(type="configure", model="echo-b", request_id="all")
            await control.hear("configured", request_id="all")
            await control.say(type="unload_model", model_id="echo-b", request_id="no")
            assert "in use" in (await control.hear("error", request_id="no"))["message"]
            await control.say(type="load_model", model_id="echo-b", request_id="swap")
            await control.hear("model_loaded", request_id="swap")
            await count_aloud(two, 70, 20)
            await two.say(type="audio_end")
            await control.hear("recording_stopped")
            finals = [(m["text"], m["model"]) for m in control.heard if m["type"] == "final_transcription"]
            assert finals[-1] == (" ".join(map(str, range(70, 90))), "echo-b")

    asyncio.run(main())


def test_two_controllers_ask_for_different_models_at_once(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with calling(daemon.control) as first, calling(daemon.control) as second:
            await first.say(type="load_model", model_id="echo-b", request_id=1)
            await first.hear("model_loading", request_id=1)
            await second.say(type="load_model", model_id="echo-a", request_id=2)
            assert (await first.hear("error", request_id=1))["code"] == "superseded"
            await second.hear("model_loaded", request_id=2, model_id="echo-a")
            await second.say(type="get_status")
            assert (await second.hear("status"))["current_model"] == "echo-a"

    asyncio.run(main())
