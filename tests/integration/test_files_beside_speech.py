"""Files over HTTP while people speak, with the echo engine: every text is exact and the daemon's memory is bounded."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from file_support import encoded, wav
from hotmic.engines import echo
from reliability_support import write_registry
from running import RunningDaemon, running_daemon
from speaking import BURST, PAUSE, Voice, voices, wrong

pytestmark = pytest.mark.integration

LIMIT = 300.0
FILES, VOICES, ROUNDS = 3, 6, 3
SILENCE = np.zeros(PAUSE * echo.CHUNK, np.int16)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("files")
    config = folder / "hotmic.yaml"
    models = write_registry(
        folder,
        "echo: options: {decode_s: 0.02}",
        "other",
        "crashing: options: {crash_after_jobs: 4}",
        "broken: options: {fail_load: It is broken.}",
    )
    config.write_text(f"models: {models}\nvad: seed\nmax_file_mb: 64\n")
    with running_daemon(folder, "--config", str(config)) as daemon:
        yield daemon


def counting(speaker: int, seconds: float) -> tuple[bytes, list[str]]:
    """Return a WAV file in which somebody counts, and the numbers."""
    pieces, numbers = [], []
    for first in range(0, int(seconds * 10), BURST + PAUSE):
        pieces += [echo.speech(BURST, first=first, speaker=speaker), SILENCE]
        numbers += [str(speaker * echo.SPEAKER_STRIDE + first + n) for n in range(BURST)]
    return wav(np.concatenate(pieces)), numbers


async def transcribe(web: httpx.AsyncClient, data: bytes, *, model: str = "echo") -> list[str]:
    files, fields = {"file": ("a.wav", data)}, {"model": model}
    answer = await web.post("/v1/audio/transcriptions", files=files, data=fields)
    assert answer.status_code == 200, answer.text
    return [word for word in answer.json()["text"].split() if word.isdecimal()]


def test_several_files_and_those_who_speak_keep_every_word(daemon: RunningDaemon) -> None:
    async def speak(voice: Voice) -> None:
        await voice.talk(ROUNDS * (BURST + PAUSE))
        await voice.end()

    async def main() -> None:
        files = [counting(100 + number, 120.0) for number in range(FILES)]
        async with (
            asyncio.timeout(LIMIT),
            httpx.AsyncClient(base_url=daemon.http, timeout=LIMIT) as web,
            voices(daemon.audio, range(1, 1 + VOICES)) as speakers,
        ):
            texts = asyncio.gather(*(transcribe(web, data) for data, _ in files))
            await asyncio.gather(*(speak(voice) for voice in speakers))
            assert await texts == [numbers for _, numbers in files]
            assert not wrong(speakers)

    asyncio.run(main())


def resident(daemon: RunningDaemon) -> int:
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024


def test_twenty_minutes_take_bounded_memory(daemon: RunningDaemon) -> None:
    data, numbers = counting(7, 1200.0)

    async def main() -> list[str]:
        async with asyncio.timeout(LIMIT), httpx.AsyncClient(base_url=daemon.http, timeout=LIMIT) as web:
            return await transcribe(web, data)

    before = resident(daemon)
    assert len(data) > 36 << 20
    assert asyncio.run(main()) == numbers
    assert resident(daemon) - before < len(data) + (64 << 20)


def test_twenty_minutes_in_a_small_file_take_little(daemon: RunningDaemon) -> None:
    quiet = encoded("flac", "flac", np.zeros(16_000 * 1200, np.int16), 16_000)

    async def main() -> list[str]:
        async with asyncio.timeout(LIMIT), httpx.AsyncClient(base_url=daemon.http, timeout=LIMIT) as web:
            return await transcribe(web, quiet)

    before = resident(daemon)
    assert asyncio.run(main()) == []
    assert resident(daemon) - before < 32 << 20


@pytest.mark.parametrize("model", ["other", "crashing"])
def test_a_file_may_choose_its_model_and_outlives_its_worker(daemon: RunningDaemon, model: str) -> None:
    data, numbers = counting(9, 100.0)

    async def main() -> list[str]:
        async with asyncio.timeout(LIMIT), httpx.AsyncClient(base_url=daemon.http, timeout=LIMIT) as web:
            return await transcribe(web, data, model=model)

    assert asyncio.run(main()) == numbers


def test_a_model_that_cannot_be_loaded_is_told(daemon: RunningDaemon) -> None:
    files, fields = {"file": ("a.wav", counting(9, 10.0)[0])}, {"model": "broken"}
    answer = httpx.post(f"{daemon.http}/v1/audio/transcriptions", files=files, data=fields, timeout=LIMIT)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_unavailable")
    assert int(answer.headers["retry-after"]) > 0


def test_a_daemon_that_stops_says_so(tmp_path: Path) -> None:
    config = tmp_path / "hotmic.yaml"
    config.write_text(f"models: {write_registry(tmp_path, 'echo: options: {decode_s: 0.5}')}\nvad: seed\n")
    with running_daemon(tmp_path, "--config", str(config)) as daemon:
        files, fields = {"file": ("a.wav", counting(1, 300.0)[0])}, {"model": "echo", "stream": "true"}
        url = f"{daemon.http}/v1/audio/transcriptions"
        with httpx.stream("POST", url, files=files, data=fields, timeout=LIMIT) as answer:
            lines = answer.iter_lines()
            assert "delta" in next(lines)
            daemon.process.send_signal(signal.SIGTERM)
            last = [json.loads(line[6:]) for line in lines if line.startswith("data: ")][-1]
        assert last["error"]["code"] == "shutting_down"
        assert daemon.process.wait(60) == 0
