"""The stage for what other servers' documents print: a copy runs unmodified and finds what it takes for granted."""

import asyncio
import json
import os
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect, sync_playwright

from running import CLIPS, RunningDaemon

INTEGRATION = Path(__file__).parent / "integration"
SEEDS, NODE = INTEGRATION / "seeds", INTEGRATION / "node"
TEXTS = {name: str(clip["text"]) for name, clip in json.loads((CLIPS / "clips.json").read_text()).items()}
CLIP = "flight"
FLAGS = (
    "headless=new,no-sandbox,disable-gpu,no-first-run,disable-background-networking,disable-component-update,"
    "disable-sync,use-fake-device-for-media-stream,use-fake-ui-for-media-stream"
)
OLD_HABITS = ("The ScriptProcessorNode is deprecated. Use AudioWorkletNode instead. (https://bit.ly/audio-worklet)",)
LIMIT = 30_000.0
"""Milliseconds for anything to appear; the machine may be busy."""
LIMIT_S = 90.0
"""Seconds for a program to end."""
POWER_OF_TWO = """
// The page asks for a buffer of 1600 samples, which no browser gives: only powers of two are allowed.
const create = AudioContext.prototype.createScriptProcessor;
AudioContext.prototype.createScriptProcessor = function (size, ...channels) {
    return create.call(this, 2 ** Math.ceil(Math.log2(size)), ...channels);
};
"""


def copy_of(name: str) -> str:
    """Return the text of a copy."""
    return (SEEDS / name).read_text("utf-8")


def messages_of(name: str) -> list[dict[str, Any]]:
    """Return the JSON messages of a copy; its comments tell who sends them."""
    text = "\n".join(line for line in copy_of(name).splitlines() if not line.startswith("//"))
    found, place = [], 0
    while (place := len(text) - len(text[place:].lstrip())) < len(text):
        message, place = json.JSONDecoder().raw_decode(text, place)
        found.append(message)
    return found


def assert_like(message: Any, printed: Any) -> None:
    """Assert that a message has every field that is printed, of its type; a time stamp must be one."""
    assert type(message) is type(printed), (message, printed)
    if isinstance(printed, dict):
        assert printed.keys() <= message.keys()
        assert message.get("type") == printed.get("type")
        for key, value in printed.items():
            assert_like(message[key], value)
            if key == "timestamp" and isinstance(value, str):
                datetime.fromisoformat(message[key])
    elif isinstance(printed, list):
        for one in message:
            assert_like(one, printed[0])


def port_of(url: str) -> int:
    port = urlsplit(url).port
    assert port
    return port


def sound(clip: str = CLIP, *, after: float = 0.0) -> bytes:
    """Return a clip as PCM16, and seconds of silence."""
    with wave.open(str(CLIPS / f"{clip}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        return file.readframes(file.getnframes()) + bytes(2 * int(after * 16_000))


def save_sound(path: Path, *, before: float = 0.0, after: float = 0.0) -> Path:
    """Write a clip between silences as a WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "NONE"))
        file.writeframes(bytes(2 * int(before * 16_000)) + sound(after=after))
    return path


@contextmanager
def browsing(url: str, folder: Path) -> Iterator[tuple[Page, list[str]]]:
    """Open a tab of Chromium whose microphone plays a clip and whose ``localhost`` is a daemon; and complaints.

    Args:
        url: An address of the daemon. Every port of ``localhost`` leads to its port.
        folder: Where the microphone's sound goes.
    """
    # A browser may miss the beginning, and plays on for ever unless told not to.
    recording = save_sound(folder / "microphone.wav", before=0.5, after=2.0)
    flags = [f"--{flag}" for flag in FLAGS.split(",")]
    flags.append("--disable-features=LocalNetworkAccessChecks")  # a page that a test makes up comes from nowhere
    flags.append(f"--host-resolver-rules=MAP localhost 127.0.0.1:{port_of(url)}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
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


def console(page: Page) -> Callable[[str], None]:
    """Return what types into the browser's console: names stay from one line to the next, and ``await`` waits."""
    session = page.context.new_cdp_session(page)

    def type_in(text: str) -> None:
        wishes = {"expression": text, "replMode": True, "awaitPromise": True, "userGesture": True}
        answer = session.send("Runtime.evaluate", wishes)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]

    return type_in


def run(*command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> list[str]:
    """Run a program; return the lines that it prints."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def run_python(snippet: str, url: str, *, cwd: Path | None = None) -> list[str]:
    """Run a snippet whose addresses lead to a daemon's; return the lines that it prints."""
    stage = [sys.executable, str(INTEGRATION / "seed_snippet.py")]
    return run(*stage, str(SEEDS / snippet), str(port_of(url)), str(CLIPS / f"{CLIP}.wav"), cwd=cwd)


def run_node(snippet: Path, doors: Mapping[str, int], folder: Path) -> list[list[Any]]:
    """Run a snippet in Node.js with a clip to speak; return what it did."""
    recording = folder / "clip.pcm"
    recording.write_bytes(sound(after=1.0))
    env = {"NODE_OPTIONS": f"--require={NODE / 'seed_doors.cjs'}", "SEED_DOORS": json.dumps(doors)}
    return [
        json.loads(line) for line in run("node", str(NODE / "seed_stage.cjs"), str(snippet), str(recording), env=env)
    ]


def shell_environment(folder: Path, doors: Mapping[str, int], **programs: str) -> dict[str, str]:
    """Return the environment of a shell in which documents' lines work.

    Args:
        folder: Where its programs and files go.
        doors: The document's addresses, such as ``localhost:8000``, and the ports on this machine they lead to, for
            curl and wscat.
        programs: Stand-ins for programs, as the text of a shell script.
    """
    tools = folder / "bin"
    tools.mkdir()
    for name, text in programs.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    lines = [f'connect-to = "{theirs}:127.0.0.1:{ours}"\n' for theirs, ours in doors.items()]
    (folder / ".curlrc").write_text("silent\nfail\n" + "".join(lines))
    return {
        "PATH": f"{tools}:{NODE / 'node_modules' / '.bin'}:{os.environ['PATH']}",
        "CURL_HOME": str(folder),
        "NODE_OPTIONS": f"--require={NODE / 'seed_doors.cjs'}",
        "SEED_DOORS": json.dumps(doors),
    }


def run_shell(copy: str, folder: Path, doors: Mapping[str, int] | None = None, **programs: str) -> list[str]:
    """Run the shell lines of a copy; return the lines that they print."""
    return run("bash", "-e", str(SEEDS / copy), cwd=folder, env=shell_environment(folder, doors or {}, **programs))


def python_at(url: str, recording: Path, program: Path) -> str:
    """Return a stand-in for ``python`` that runs a program of ours in place of a server's own, at a daemon's door."""
    return f'shift\nexec {sys.executable} {INTEGRATION / "seed_snippet.py"} {program} {port_of(url)} {recording} "$@"'


@asynccontextmanager
async def talking_shell(
    copy: str, folder: Path, doors: Mapping[str, int], **programs: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the shell lines of a copy, with pipes to what they run; its input ends at the end."""
    process = await asyncio.create_subprocess_exec(
        *("bash", "-e", str(SEEDS / copy)),
        cwd=folder,
        env={**os.environ, **shell_environment(folder, doors, **programs)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            yield process
            assert process.stdin is not None
            process.stdin.close()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_with(process: asyncio.subprocess.Process, words: str) -> str:
    """Return the next line that holds some words.

    Raises:
        AssertionError: The output ended before.
    """
    assert process.stdout is not None
    heard = []
    async for line in process.stdout:
        heard.append(line.decode())
        if words in heard[-1]:
            return heard[-1]
    raise AssertionError(f"{words!r} is not in {heard}")


def swapped(copy: str, swaps: Mapping[str, str]) -> str:
    """Return the text of a copy with other addresses and files; all that are swapped must be there."""
    text = copy_of(copy)
    for old, new in swaps.items():
        assert old in text, f"{copy} does not say {old!r}"
        text = text.replace(old, new)
    return text
