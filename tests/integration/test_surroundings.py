"""A daemon on a bad machine: no room for the log, few files, half a models.yaml. It serves, or names the error."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from config.fake_hub import FakeHub, whisper_files
from hotmic.engines import echo
from running import Caller, RunningDaemon, calling, running_daemon

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and prlimit")]

REGISTRY = "default: echo\nmodels:\n  - {id: echo, name: Echo, type: echo, languages: [en]}\n"
HUB = "  - {id: far, name: Far, type: faster_whisper, source: {hub: owner/name}, languages: [en]}\n"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(REGISTRY)
    return path


def serve(*args: str) -> "subprocess.CompletedProcess[str]":
    ports = ("--control-port", "0", "--audio-port", "0", "--http-port", "0")
    return subprocess.run(
        [sys.executable, "-m", "hotmic", "serve", *ports, *args], capture_output=True, text=True, timeout=60
    )


def health(daemon: RunningDaemon) -> dict[str, Any]:
    with urllib.request.urlopen(f"{daemon.http}/health/extended") as answer:
        return json.loads(answer.read())  # type: ignore[no-any-return]


async def converse(daemon: RunningDaemon, count: int = 20) -> None:
    async with calling(daemon.control) as control, calling(daemon.audio) as audio:
        for number in range(count):
            await audio.socket.send(echo.chunk(number).tobytes())
        await audio.say(type="audio_end")
        final = await control.hear("final_transcription")
        assert final["text"] == " ".join(map(str, range(count)))


async def warning(control: Caller, code: str) -> str:
    """Return the sentence of a warning once the status has it."""
    async with asyncio.timeout(30):
        while True:
            await control.say(type="get_status")
            found = {w["code"]: w["message"] for w in (await control.hear("status"))["warnings"]}
            if code in found:
                return str(found[code])
            await asyncio.sleep(0.1)


def test_a_log_on_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path, models: Path) -> None:
    with running_daemon(tmp_path, "--models", str(models), "--vad", "seed", "--log-file", "/dev/full") as daemon:

        async def main() -> None:
            async with calling(daemon.control) as control:
                assert "no space left on device" in await warning(control, "log")
                os.kill(health(daemon)["models"][0]["pid"], signal.SIGKILL)
                await control.hear("worker_ended")
                assert [m["code"] for m in control.heard if m["type"] == "warning" and m["code"] == "log"] in (
                    [],
                    ["log"],
                )
            await converse(daemon)

        asyncio.run(main())
        assert daemon.stop() == 0


def test_a_daemon_whose_output_nobody_reads_serves(tmp_path: Path, models: Path) -> None:
    with running_daemon(tmp_path, "--models", str(models), "--vad", "seed", errors="/dev/full") as daemon:
        asyncio.run(converse(daemon))
        assert daemon.stop() == 0


@pytest.mark.parametrize("place", ["missing/hotmic.log", "."])
def test_a_log_that_cannot_be_opened_is_named(tmp_path: Path, models: Path, place: str) -> None:
    done = serve("--models", str(models), "--log-file", str(tmp_path / place))
    assert (done.returncode, "log_file: " in done.stderr, "Traceback" in done.stderr) == (2, True, False)


@pytest.mark.parametrize(("folder", "limit"), [("file/models", ""), ("models", "--fsize=20000000:20000000")])
def test_weights_that_cannot_be_stored_leave_the_daemon_serving(
    tmp_path: Path, models: Path, folder: str, limit: str
) -> None:
    models.write_text(REGISTRY + HUB)
    (tmp_path / "file").write_text("not a folder")
    with FakeHub({"owner/name": whisper_files(24_000_000)}).running() as hub:
        environment = {"HOTMIC_MODELS_DIR": str(tmp_path / folder), "HF_ENDPOINT": hub.endpoint}
        with running_daemon(tmp_path, "--models", str(models), "--vad", "seed", env=environment, limit=limit) as daemon:

            async def main() -> None:
                async with calling(daemon.control) as control:
                    await control.say(type="load_model", model_id="far")
                    assert "cannot be written" in (await control.hear("error", limit=60))["message"]
                    assert "cannot be written" in await warning(control, "model_failed")
                await converse(daemon)

            asyncio.run(main())
            assert health(daemon)["disks"]["models_dir"]["free_bytes"] > 0


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit")
def test_few_files_are_told_and_more_connections_than_fit_do_no_harm(tmp_path: Path, models: Path) -> None:
    with running_daemon(tmp_path, "--models", str(models), "--vad", "seed", limit="--nofile=64:64") as daemon:

        async def main() -> None:
            async with calling(daemon.control) as control:
                assert "At most 64 files may be open" in await warning(control, "few_files")
                crowd = flood(daemon)
                # While nothing can be opened the worker cannot be replaced, and is not given up for that.
                os.kill(worker, signal.SIGKILL)
                for _ in range(6):
                    await control.hear("worker_ended", limit=60)
                for one in crowd:
                    one.close()
            await converse(daemon)

        worker = health(daemon)["models"][0]["pid"]
        asyncio.run(main())
        assert health(daemon)["models"][0]["state"] == "serving"
        assert "At most 64 files may be open" in daemon.log.read_text()


def flood(daemon: RunningDaemon) -> list[socket.socket]:
    """Open more connections than fit until the daemon has no descriptor left."""
    host, _, port = daemon.http.rpartition("/")[2].partition(":")
    return [socket.create_connection((host, int(port))) for _ in range(80)]


def test_half_a_models_yaml_at_the_start_is_named(tmp_path: Path, models: Path) -> None:
    models.write_text(REGISTRY[:-20])
    done = serve("--models", str(models))
    assert done.returncode == 2
    assert f"{models}:" in done.stderr
    assert "Traceback" not in done.stderr


def test_half_an_edit_that_stays_changes_nothing_until_it_is_whole(tmp_path: Path, models: Path) -> None:
    with running_daemon(tmp_path, "--models", str(models)) as daemon:

        async def main() -> None:
            async with calling(daemon.control) as control:
                whole = REGISTRY + HUB + HUB.replace("far", "near")
                models.write_text(whole[:-60])
                broken = await control.hear("models_changed")
                assert "models.yaml:" in broken["problem"]
                assert broken["models"] == ["echo"]
                with models.open("a") as file:
                    file.write(whole[-60:])
                assert (await control.hear("models_changed"))["models"] == ["echo", "far", "near"]
            assert daemon.process.poll() is None

        asyncio.run(main())
