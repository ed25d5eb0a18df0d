"""The clients that three other servers' documents print, unmodified, against this daemon and with right words."""

import asyncio
import base64
import json
import sys
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import soxr
from playwright.sync_api import Page, expect, sync_playwright

from running import CLIPS, RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration

HERE = Path(__file__).parent
SEEDS = HERE / "seeds"
TEXTS = {name: str(clip["text"]) for name, clip in json.loads((CLIPS / "clips.json").read_text()).items()}
CLIP = "flight"
FLAGS = (
    "headless=new,no-sandbox,disable-gpu,no-first-run,disable-background-networking,disable-component-update,"
    "disable-sync,use-fake-device-for-media-stream,use-fake-ui-for-media-stream"
)
OLD_HABITS = ("The ScriptProcessorNode is deprecated. Use AudioWorkletNode instead. (https://bit.ly/audio-worklet)",)
LIMIT = 30_000.0
"""Milliseconds for anything to appear; the machine may be busy."""
POWER_OF_TWO = """
// The page asks for a buffer of 1600 samples, which no browser gives: only powers of two are allowed.
const create = AudioContext.prototype.createScriptProcessor;
AudioContext.prototype.createScriptProcessor = function (size, ...channels) {
    return create.call(this, 2 ** Math.ceil(Math.log2(size)), ...channels);
};
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("seeds")
    with running_daemon(folder, "--compat", "simul", "--listen", "0/ws/transcription=simul") as daemon:
        yield daemon


def port_of(daemon: RunningDaemon) -> str:
    return str(urlsplit(daemon.http).port)


async def run(*command: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            output, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return output.decode().splitlines()


def test_the_address_of_the_original_is_not_taken_over(daemon: RunningDaemon) -> None:
    assert "The original listens on every address" in daemon.log.read_text()
    assert {urlsplit(url).hostname for url in daemon.addresses.values()} == {"127.0.0.1"}


def run_snippet(name: str, daemon: RunningDaemon, clip: str = CLIP) -> list[str]:
    return asyncio.run(
        run(str(HERE / "seed_snippet.py"), str(SEEDS / name), port_of(daemon), str(CLIPS / f"{clip}.wav"))
    )


def test_python_client_of_bare_text(daemon: RunningDaemon) -> None:
    assert run_snippet("plain_text_client.py", daemon) == [TEXTS[CLIP]]


def test_python_client_of_rnnt(daemon: RunningDaemon) -> None:
    lines = run_snippet("rnnt_client.py", daemon)
    heard = [line.removeprefix("Transcription: ") for line in lines if line.startswith("Transcription: ")]
    assert len(heard) == len(lines) > 1
    assert " ".join(heard).split() == TEXTS[CLIP].split()


@contextmanager
def browsing(daemon: RunningDaemon, folder: Path, *, clip: str = CLIP) -> Iterator[tuple[Page, list[str]]]:
    """Open a tab of Chromium whose microphone plays a clip and whose ``localhost`` is the daemon; and complaints."""
    with wave.open(str(CLIPS / f"{clip}.wav")) as file:
        parameters, frames = file.getparams(), file.readframes(file.getnframes())
    recording = folder / "microphone.wav"
    with wave.open(str(recording), "wb") as file:
        file.setparams(parameters)
        # A browser may miss the beginning, and plays on for ever unless told not to.
        file.writeframes(bytes(parameters.framerate) + frames + bytes(4 * parameters.framerate))
    flags = [f"--{flag}" for flag in FLAGS.split(",")]
    flags.append("--disable-features=LocalNetworkAccessChecks")  # a page that a test makes up comes from nowhere
    flags.append(f"--host-resolver-rules=MAP localhost 127.0.0.1:{port_of(daemon)}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    flags.append(f"--use-file-for-fake-audio-capture={recording}%noloop")
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        try:
            page = browser.new_page()
            page.on("console", lambda m: problems.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.set_default_timeout(LIMIT)
            expect.set_options(timeout=LIMIT)
            yield page, problems
        finally:
            browser.close()


def show(page: Page, daemon: RunningDaemon, html: str) -> None:
    """Open a page of somebody's own, as if it were served where the daemon is."""
    page.route("**/seed.html", lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{daemon.http}/seed.html")


def test_javascript_client_of_bare_text(daemon: RunningDaemon, tmp_path: Path) -> None:
    with wave.open(str(CLIPS / f"{CLIP}.wav")) as file:
        sound = base64.b64encode(file.readframes(file.getnframes()) + bytes(16_000)).decode()
    with browsing(daemon, tmp_path) as (page, problems):
        page.add_init_script(
            f"globalThis.audioBuffer = Uint8Array.from(atob('{sound}'), (c) => c.charCodeAt(0)).buffer;"
        )
        with page.expect_console_message(lambda message: message.text.startswith("Transcription:")) as told:
            script = (SEEDS / "plain_text_client.js").read_text()
            show(page, daemon, f"<link rel=icon href=data:><script>{script}</script>")
        assert told.value.text == f"Transcription: {TEXTS[CLIP]}"
        assert problems == []


def test_browser_client_of_rnnt(daemon: RunningDaemon, tmp_path: Path) -> None:
    with browsing(daemon, tmp_path) as (page, problems):
        page.add_init_script(POWER_OF_TWO)
        show(page, daemon, (SEEDS / "rnnt_client.html").read_text())
        page.locator("#start").click()
        expect(page.locator("#output")).to_have_text(TEXTS[CLIP])
        assert [problem for problem in problems if problem not in OLD_HABITS] == []


def test_the_smallest_client_that_comes_along(daemon: RunningDaemon, tmp_path: Path) -> None:
    with browsing(daemon, tmp_path) as (page, problems):
        page.goto(f"{daemon.http}/examples/simple-client.html")
        page.locator("#start").click()
        expect(page.locator("#output")).to_have_text(TEXTS[CLIP])
        assert [problem for problem in problems if problem not in OLD_HABITS] == []


def test_the_page_of_the_streaming_protocol(daemon: RunningDaemon, tmp_path: Path) -> None:
    with browsing(daemon, tmp_path) as (page, problems):
        page.goto(f"{daemon.http}/static/index.html")
        expect(page.locator("#state")).to_have_attribute("data-state", "connected")
        assert page.request.get(f"{daemon.http}/ws/status").json()["active_connections"] == 1
        page.locator("#record").click()
        expect(page.locator("#unstable, #stable").first).not_to_be_empty()
        expect(page.locator(".final .text")).to_have_text(TEXTS[CLIP])
        page.locator("#record").click()
        expect(page.locator("#record-text")).to_have_text("Record")
        words = [part.rsplit(" ", 1)[0] for part in page.locator("#words").inner_text().split(" · ")]
        assert words == TEXTS[CLIP].split()
        assert problems == []


def test_eight_clients_of_numpy_arrays_at_once(daemon: RunningDaemon) -> None:
    clips = list(TEXTS)[:4] * 2
    door = f"{daemon.addresses['simul-1']}/ws/transcription"

    async def main() -> list[list[str]]:
        client = str(HERE / "simul_client.py")
        runs = [run(client, f"{door}?client_id=c{n}", str(CLIPS / f"{clip}.wav")) for n, clip in enumerate(clips)]
        return await asyncio.gather(*runs)

    for number, (clip, lines) in enumerate(zip(clips, asyncio.run(main()), strict=True)):
        messages: list[dict[str, Any]] = [json.loads(line) for line in lines]
        assert all(message.keys() == {"type", "client_id", "text", "timestamp"} for message in messages)
        assert {(m["type"], m["client_id"]) for m in messages} == {("transcript", f"c{number}")}
        assert all(isinstance(message["timestamp"], float) for message in messages)
        assert "".join(message["text"] for message in messages) == TEXTS[clip]


@pytest.mark.parametrize("rate", [8_000, 16_000, 32_000, 48_000])
@pytest.mark.parametrize("frame_ms", [10, 20, 30])
def test_every_rate_and_frame_of_bare_text(daemon: RunningDaemon, tmp_path: Path, rate: int, frame_ms: int) -> None:
    with wave.open(str(CLIPS / f"{CLIP}.wav")) as file:
        sound = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    resampled = soxr.resample(sound, 16_000, rate).tobytes() + bytes(2 * rate)
    size = rate * frame_ms // 1000 * 2

    async def main() -> str:
        door = f"{daemon.http.replace('http', 'ws', 1)}/?sample_rate={rate}"
        async with calling(door) as client, asyncio.timeout(30):
            for begin in range(0, len(resampled), size):
                await client.socket.send(resampled[begin : begin + size])
            return str(await client.socket.recv())

    assert asyncio.run(main()) == TEXTS[CLIP]
