"""Clients written for the original server work unchanged."""

import asyncio
import json
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from running import CLIPS, Caller, RunningDaemon, calling, start_daemon

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
CLIP = "flight"
TEXT = str(json.loads((CLIPS / "clips.json").read_text())[CLIP]["text"])
CLIENTS = {
    "python": (sys.executable, str(HERE / "seed_client.py")),
    "node": ("node", str(HERE / "node" / "seed_client.mjs")),
}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    running = start_daemon(tmp_path_factory.mktemp("daemon"))
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip as bare PCM16, and silence after it: those clients never say that they are done."""
    with wave.open(str(CLIPS / f"{CLIP}.wav")) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        audio = file.readframes(file.getnframes())
    path = tmp_path_factory.mktemp("recording") / "clip.pcm"
    path.write_bytes(audio + bytes(16_000))
    return path


async def run_client(kind: str, uri: str, recording: Path) -> list[dict[str, Any]]:
    process = await asyncio.create_subprocess_exec(
        *CLIENTS[kind], uri, str(recording), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(40):
            output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return [json.loads(line) for line in output.splitlines()]


async def hear_all(caller: Caller) -> list[dict[str, Any]]:
    """Return the transcripts up to the final."""
    await caller.hear("final_transcription", limit=40)
    return [m for m in caller.heard if m["type"].endswith("_transcription")]


@pytest.mark.parametrize("kind", CLIENTS)
def test_partials_while_speaking_and_finals_on_both_sockets(daemon: RunningDaemon, recording: Path, kind: str) -> None:
    async def main() -> None:
        async with calling(daemon.control) as control, calling(daemon.audio) as listener:
            assert (await control.hear("connected"))["current_model"] == "demo-en"
            lines, on_control, on_audio = await asyncio.gather(
                run_client(kind, daemon.audio, recording), hear_all(control), hear_all(listener)
            )
        kinds = [line["type"] for line in lines]
        assert set(kinds) == {"realtime_transcription", "final_transcription", "sent"}
        early = [line["text"] for line in lines[: kinds.index("sent")] if line["type"] == "realtime_transcription"]
        assert len(early) >= 3
        assert any(TEXT.startswith(text) for text in early if text)
        assert lines[-1 if kinds[-1] != "sent" else -2]["text"] == TEXT
        for heard in (on_control, on_audio):
            assert [(m["type"], m["text"]) for m in heard] == [
                (line["type"], line["text"]) for line in lines if line["type"] != "sent"
            ]

    asyncio.run(main())


@pytest.mark.parametrize("kind", CLIENTS)
def test_the_messages_carry_what_the_guide_shows(daemon: RunningDaemon, recording: Path, kind: str) -> None:
    async def main() -> None:
        async with calling(daemon.control) as control:
            _, heard = await asyncio.gather(run_client(kind, daemon.audio, recording), hear_all(control))
        partial, final = heard[0], heard[-1]
        assert {"type", "text", "timestamp", "is_final"} <= partial.keys()
        assert partial["is_final"] is False
        shown = {"text", "duration", "processing_time", "speed_ratio", "model", "timestamp", "is_final"}
        assert shown <= final.keys()
        assert (final["is_final"], final["model"]) == (True, "demo-en")
        assert final["duration"] > 1

    asyncio.run(main())
