"""The baseline as a process, driven by the client that drives the daemon."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import hotmic
from hotmic_client import Client
from hotmic_speech import read_wav

MODELS = Path(hotmic.__file__).parent / "models"

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="signals"),
]


def start(*args: str) -> "tuple[subprocess.Popen[str], dict[str, str]]":
    command = [sys.executable, "-m", "hotmic.bench.lock", "--model", str(MODELS / "demo-en"), "--threads", "1", *args]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert process.stdout is not None
    addresses: dict[str, str] = {}
    for line in process.stdout:
        match line.split():
            case ["listening", name, url]:
                addresses[name] = url
            case ["ready"]:
                return process, addresses
    raise RuntimeError("the baseline ended")


def test_a_clip_is_transcribed_over_the_same_wire() -> None:
    process, addresses = start("--language", "en", "--vad", "energy")

    async def main() -> list[dict[str, object]]:
        async with Client(addresses["control"], addresses["audio"]) as client:
            assert client.connected["server"] == "hotmic lock baseline"
            assert (await client.request("get_status", until="status"))["model"] == "lock"
            rate, pcm = read_wav(MODELS / "clips" / "timer.wav")
            half = len(pcm) // 4 * 2
            events = []
            await client.send_audio(pcm[:half], sample_rate=rate)
            async for event in client.events():
                events.append(event)
                if event["type"] == "realtime_transcription" and half:
                    await client.send_audio(pcm[half:], sample_rate=rate)
                    await client.end_audio()
                    half = 0
                if event["type"] == "recording_stopped":
                    break
            return events

    try:
        events = asyncio.run(main())
    finally:
        process.send_signal(signal.SIGTERM)
        with process:
            assert process.wait() == 0
    finals = [event for event in events if event["type"] == "final_transcription"]
    assert " ".join(str(event["text"]) for event in finals) == "set a timer for twenty minutes"
    assert {"speech_started", "realtime_transcription", "recording_stopped"} <= {event["type"] for event in events}
