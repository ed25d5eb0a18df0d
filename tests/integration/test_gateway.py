"""The HTTP port of a real daemon: readiness through a life, models by POST, labels under hostile input."""

import asyncio
import json
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.exceptions import InvalidStatus

from hotmic.dialects.negotiate import DIALECTS
from hotmic.engines import echo
from hotmic.errors import codes
from hotmic.net.series import STATES
from running import RunningDaemon, calling, running_daemon

pytestmark = [pytest.mark.integration, pytest.mark.skipif(sys.platform != "linux", reason="signals")]

REGISTRY = """
default: echo
models:
  - {id: first, name: First, type: echo, languages: [en], options: {load_s: 6}}
  - {id: echo, name: Echo, type: echo, languages: [en]}
  - {id: other, name: Other, type: echo, languages: [en]}
  - {id: slow, name: Slow, type: echo, languages: [en], options: {batch_s: 2}}
"""
MODELS = ("first", "echo", "other", "slow")
HANG = 60.0


@pytest.fixture
def flags(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "models.yaml").write_text(REGISTRY)
    return "--models", str(tmp_path / "models.yaml"), "--vad", "seed"


@pytest.fixture
def daemon(tmp_path: Path, flags: tuple[str, ...]) -> Iterator[RunningDaemon]:
    with running_daemon(tmp_path, *flags) as running:
        yield running


def fetch(daemon: RunningDaemon, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
    """Return the status and the body of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(daemon.http + path, method=method, data=body, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=HANG) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def ask(daemon: RunningDaemon, path: str, method: str = "GET") -> tuple[int, dict[str, Any]]:
    status, body = await asyncio.to_thread(fetch, daemon, path, method)
    return status, json.loads(body)


async def verdict(daemon: RunningDaemon) -> tuple[int, int, int, str]:
    """Return what /health, /health/live and /health/ready answer, and the reason."""
    (first, _), (second, _) = await ask(daemon, "/health"), await ask(daemon, "/health/live")
    third, body = await ask(daemon, "/health/ready")
    return first, second, third, body.get("reason", "")


async def become(daemon: RunningDaemon, status: int, reason: str) -> None:
    async with asyncio.timeout(HANG):
        while (told := (await verdict(daemon))[2:]) != (status, reason):
            await asyncio.sleep(0.05)
        assert told == (status, reason)


def test_readiness_through_a_life(tmp_path: Path, flags: tuple[str, ...]) -> None:
    with running_daemon(tmp_path, *flags, "--model", "first", ready=False) as daemon:
        asyncio.run(live_through(daemon))
        assert daemon.process.wait(HANG) == 0


async def live_through(daemon: RunningDaemon) -> None:
    assert await verdict(daemon) == (503, 200, 503, "a model is being loaded")
    await become(daemon, 200, "")
    assert (await ask(daemon, "/v1/models/echo/load", "POST"))[1]["type"] == "model_loaded"
    assert await verdict(daemon) == (200, 200, 200, "")
    assert (await ask(daemon, "/v1/models/echo/unload", "POST"))[1]["type"] == "model_unloaded"
    await become(daemon, 503, "no model is serving")
    await ask(daemon, "/v1/models/echo/load", "POST")
    given_up = "the model echo keeps crashing and is given up"
    async with asyncio.timeout(HANG):
        while (await verdict(daemon))[3] != given_up:
            (model,) = (m for m in (await ask(daemon, "/health/extended"))[1]["models"] if m["model_id"] == "echo")
            if model["pid"]:
                os.kill(model["pid"], signal.SIGKILL)
            await asyncio.sleep(0.02)
    assert await verdict(daemon) == (503, 200, 503, given_up)
    assert (await ask(daemon, "/v1/models/slow/load", "POST"))[0] == 200
    assert await verdict(daemon) == (200, 200, 200, "")
    async with calling(daemon.audio) as audio:
        for number in range(20):
            await audio.socket.send(echo.chunk(number).tobytes())
        await audio.say(type="ping")
        await audio.hear("pong")
        daemon.process.send_signal(signal.SIGTERM)
        await become(daemon, 503, "stopping")
        assert await verdict(daemon) == (503, 200, 503, "stopping")
        assert (await ask(daemon, "/v1/models/echo/load", "POST"))[1]["code"] == "shutting_down"
        final = await audio.hear("final_transcription")
        assert final["text"] == " ".join(map(str, range(20)))


def test_a_model_loaded_by_post_is_told_to_websockets_and_speakers_lose_nothing(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with calling(daemon.control) as control, calling(daemon.audio) as audio:
            for number in range(10):
                await audio.socket.send(echo.chunk(number).tobytes())
            status, body = await ask(daemon, "/v1/models/other/load", "POST")
            assert (status, body["model_id"], body["load_seconds"] > 0) == (200, "other", True)
            await control.hear("model_loaded", model_id="other")
            for number in range(10, 20):
                await audio.socket.send(echo.chunk(number).tobytes())
            await audio.say(type="audio_end")
            final = await control.hear("final_transcription")
            assert (final["text"], final["model"]) == (" ".join(map(str, range(20))), "other")
            status, body = await ask(daemon, "/v1/models/echo/unload", "POST")
            assert (status, body["code"]) == (404, "unknown_model")

    asyncio.run(main())


HOSTILE = ["<script>", "a" * 60, "..", "{}", 'x"y', "x\ny", "é", "0", "unknown", "hotmic_x"]


def test_no_label_grows_under_hostile_input(daemon: RunningDaemon) -> None:
    async def attack(turn: int) -> None:
        word = f"{turn}-{HOSTILE[turn % len(HOSTILE)]}"
        name = re.sub(r"[^A-Za-z0-9._-]", "", word)
        for path, method in (
            (f"/v1/models/{quote(word, safe='')}/load", "POST"),
            (f"/{quote(word, safe='')}", "GET"),
            ("/health", quote(word, safe="")),
        ):
            await asyncio.to_thread(fetch, daemon, path, method)
        await asyncio.to_thread(fetch, daemon, "/metrics", Origin=f"https://{turn}.example")
        await asyncio.to_thread(fetch, daemon, "/metrics", Authorization=f"Bearer {turn}", X_Forwarded_For=name)
        with pytest.raises(InvalidStatus):
            async with calling(f"{daemon.http.replace('http', 'ws', 1)}/ws/{name}"):
                pass
        async with calling(f"{daemon.audio}?channel={name}&session={name}") as audio:
            await audio.say(type=word)
            await audio.say(type="audio_chunk", data=word, encoding=word)
            await audio.say(type="configure", language="xx", model=word, vad=word)
            await audio.say(type="resume", session_id=name)
            await audio.socket.send(b"odd")
            for number in range(20):
                await audio.socket.send(echo.chunk(number).tobytes())
            await audio.say(type="audio_end")
            await audio.hear("final_transcription")
        async with calling(f"{daemon.control}?channel={name}") as control:
            await control.say(type="load_model", model_id=word, request_id=1)
            await control.hear("error", request_id=1)
            await control.say(type="start_recording", session=name, request_id=2)
            await control.hear("error", request_id=2)

    async def main() -> tuple[str, str]:
        pages = []
        # The outboxes have a series per dialect that is connected: both are, whoever else has gone already.
        async with calling(daemon.control), calling(daemon.audio):
            for turns in (range(1, 4), range(4, 16)):
                for turn in turns:
                    await attack(turn)
                pages.append(str((await asyncio.to_thread(fetch, daemon, "/metrics"))[1]))
        return pages[0], pages[1]

    allowed = {
        "dialect": set(DIALECTS),
        "kind": {"final", "partial", "file"},
        "model": set(MODELS),
        "state": set(STATES),
        "code": set(codes()),
        "guard": {"no_speech", "loop", "token_rate", "known_phrase"},
    }
    before, after = (
        {(s.name, *sorted(s.labels.items())) for f in text_string_to_metric_families(page) for s in f.samples}
        for page in asyncio.run(main())
    )
    for name, *labels in after:
        for label, value in labels:
            assert label == "le" or value in allowed[label], (name, label, value)
    rejected = {dict(labels)["code"] for name, *labels in after if name == "hotmic_rejections_total"}
    assert rejected >= {"unknown_type", "bad_field", "unknown_model", "not_authorized", "not_found", "session_gone"}
    # Twelve more turns of new words bring no new series: what is new may be a code or a kind that came late.
    new = {(name, *labels) for name, *labels in after - before if name != "hotmic_rejections_total"}
    assert new == set()
