"""Workers that end under a real daemon: why is told everywhere, and nothing of them is left behind."""

import asyncio
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hotmic.engines import echo
from running import Caller, RunningDaemon, calling, running_daemon, start_daemon

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != "linux", reason="/proc and signals")]

REGISTRY = """
default: echo
models:
  - {id: echo, name: Echo, type: echo, languages: [en]}
  - {id: slow, name: Slow, type: echo, languages: [en], options: {batch_s: 30}}
  - {id: loading, name: Loading, type: echo, languages: [en], options: {load_s: 30}}
  - {id: greedy, name: Greedy, type: echo, languages: [en], options: {exhaust_on: 13}}
"""
TOKENS = "boss:0123456789abcdef-boss:control\nears:0123456789abcdef-ears:listen\n"


@pytest.fixture
def models(tmp_path: Path) -> str:
    path = tmp_path / "models.yaml"
    path.write_text(REGISTRY)
    return str(path)


@pytest.fixture
def daemon(tmp_path: Path, models: str) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, "--models", models, "--vad", "seed") as running:
        yield running


def ask(daemon: RunningDaemon, path: str = "/health/extended", token: str = "") -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(daemon.http + path, headers=headers)) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


async def speak(audio: Caller, first: int, count: int) -> None:
    for number in range(first, first + count):
        await audio.socket.send(echo.chunk(number).tobytes())
    await audio.say(type="audio_end")


def children(pid: int) -> dict[int, str]:
    """Return the processes that a process has begun, with their states."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            if state := state_of(child):
                found[child] = state
    return found


def state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def await_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(state_of(pid) not in ("", "Z") for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived its daemon"
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["signal", "hang", "out_of_memory"])
def test_the_reason_is_told_to_clients_in_the_status_on_health_and_in_the_log(daemon: RunningDaemon, kind: str) -> None:
    async def main() -> None:
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            if kind == "out_of_memory":
                await control.say(type="load_model", model_id="greedy")
                await control.hear("model_loaded")
            _, before = ask(daemon)
            if kind == "out_of_memory":
                await speak(audio, 10, 20)
            else:
                os.kill(before["models"][0]["pid"], signal.SIGKILL if kind == "signal" else signal.SIGSTOP)
            told = await control.hear("worker_ended", reason=kind)
            assert told["message"].endswith(".")
            if kind == "out_of_memory":
                # It ends every worker that hears it.
                error = await control.hear("error", code="engine_failed")
                assert "left out" in error["message"]
                assert ask(daemon)[1]["models"][0]["quarantined"] >= 1
            else:
                await speak(audio, 0, 20)
                text = (await control.hear("final_transcription"))["text"]
                assert text == " ".join(map(str, range(20)))
                _, after = ask(daemon)
                (model,) = after["models"]
                assert (model["restarts"], model["breaker"], model["last_exit"]["reason"]) == (1, "closed", kind)
                assert model["pid"] not in (None, before["models"][0]["pid"])
            await control.say(type="get_status")
            status = await control.hear("status")
            assert status["models"][0]["last_exit"]["message"] == told["message"]
            assert status["models"][0]["last_exit"]["ago_s"] >= 0
            assert told["message"] in daemon.log.read_text()

    asyncio.run(main())


def test_health_says_what_the_processes_take(daemon: RunningDaemon) -> None:
    status, body = ask(daemon)
    assert (status, body["status"], body["sessions"], body["warnings"]) == (200, "ok", 0, body["warnings"])
    (model,) = body["models"]
    assert (model["state"], model["device"], model["in_flight"], model["quarantined"]) == ("serving", "cpu", 0, 0)
    assert model["pid"] in children(daemon.process.pid)
    assert 10 << 20 < model["memory_bytes"] < 10 << 30
    gateway = body["gateway"]
    assert gateway["pid"] == daemon.process.pid
    assert 0 < gateway["open_files"] < gateway["open_files_limit"]
    assert gateway["memory_bytes"] > 10 << 20
    assert body["disks"]["models_dir"]["free_bytes"] > 0


def test_health_in_full_needs_a_token_that_controls(tmp_path: Path, models: str) -> None:
    (tmp_path / "tokens").write_text(TOKENS)
    with running_daemon(tmp_path, "--models", models, "--tokens", str(tmp_path / "tokens")) as daemon:
        assert [ask(daemon, path)[0] for path in ("/health", "/health/live")] == [200, 200]
        assert ask(daemon)[0] == 401
        assert ask(daemon, token="0123456789abcdef-nobody")[0] == 403
        assert ask(daemon, token="0123456789abcdef-ears")[0] == 403
        assert ask(daemon, token="0123456789abcdef-boss")[0] == 200


def test_thirty_killed_workers_leave_nothing(daemon: RunningDaemon) -> None:
    pid = daemon.process.pid

    def belongings() -> tuple[int, int]:
        maps = Path(f"/proc/{pid}/maps").read_text()
        return len(os.listdir(f"/proc/{pid}/fd")), maps.count("memfd:hotmic-audio")

    async def main() -> list[int]:
        heard: list[int] = []
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            before = None
            for turn in range(31):
                await speak(audio, 20 * turn, 20)
                heard += map(int, (await control.hear("final_transcription"))["text"].split())
                await control.hear("recording_stopped")
                (worker,) = children(pid)
                # The first turn opens what is opened once.
                before = before or belongings()
                if turn < 30:
                    os.kill(worker, signal.SIGKILL)
                    await control.hear("worker_ended")
            assert belongings() == before
            assert "Z" not in children(pid).values()
            assert ask(daemon)[1]["models"][0]["restarts"] == 30
        return heard

    assert asyncio.run(main()) == list(range(620))


def test_two_busy_workers_end_with_a_killed_daemon(tmp_path: Path, models: str) -> None:
    daemon = start_daemon(tmp_path, "--models", models, "--model", "slow", "--vad", "seed")

    async def main() -> list[int]:
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            await speak(audio, 0, 20)
            while not ask(daemon)[1]["models"][0]["in_flight"]:
                await asyncio.sleep(0.02)
            await control.say(type="load_model", model_id="loading")
            await control.hear("model_loading", stage="loading")
            return list(children(daemon.process.pid))

    try:
        workers = asyncio.run(main())
        assert len(workers) == 2
    finally:
        daemon.process.kill()
        daemon.process.wait()
    await_end(workers)


def test_extended_health_knows_every_client(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with calling(daemon.control), calling(f"{daemon.audio}?channel=hall&session=one") as audio:
            await speak(audio, 0, 20)
            await audio.hear("final_transcription")
            _, body = await asyncio.to_thread(ask, daemon)
            rows = {row["dialect"]: row for row in body["clients"]}
            assert set(rows) == {"control", "audio"}
            assert (rows["audio"]["channel"], rows["audio"]["session_id"]) == ("hall", "one")
            assert rows["control"]["session_id"] == ""
            assert all(row["pending_items"] == row["pending_bytes"] == 0 for row in rows.values())

    asyncio.run(main())
