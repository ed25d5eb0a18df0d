"""Every program that the document of the streaming server prints, unmodified, with right words."""

import asyncio
import base64
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from hotmic.config.compat import preset_of
from hotmic.config.settings import load_settings
from nginx_support import free_ports, nginx_with
from running import RunningDaemon, calling, running_daemon
from seed_stage import (
    CLIP,
    NODE,
    OLD_HABITS,
    POWER_OF_TWO,
    SEEDS,
    TEXTS,
    browsing,
    console,
    copy_of,
    line_with,
    port_of,
    run,
    run_node,
    run_python,
    run_shell,
    show,
    sound,
    swapped,
    talking_shell,
)

pytestmark = pytest.mark.integration

TEXT = TEXTS[CLIP]
KEPT_SOCKETS = """
globalThis.sockets = [];
globalThis.WebSocket = class extends WebSocket {
    constructor(...address) {
        super(...address);
        sockets.push(this);
    }
};
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("rnnt")
    (folder / "hotmic.yaml").write_text("allowed_hosts: [your-server]\nauth: none\n")
    with running_daemon(folder, "--compat", "rnnt", "--config", str(folder / "hotmic.yaml")) as daemon:
        yield daemon


def words(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())


def test_python_client(daemon: RunningDaemon) -> None:
    lines = run_python("rnnt_client.py", daemon.http)
    heard = [line.removeprefix("Transcription: ") for line in lines if line.startswith("Transcription: ")]
    assert len(heard) == len(lines) > 1
    assert words(heard) == TEXT


def test_browser_client(daemon: RunningDaemon, tmp_path: Path) -> None:
    with browsing(daemon.http, tmp_path) as (page, problems):
        page.add_init_script(POWER_OF_TWO)
        show(page, daemon, copy_of("rnnt_client.html"))
        page.locator("#start").click()
        expect(page.locator("#output")).to_have_text(TEXT)
        assert [problem for problem in problems if problem not in OLD_HABITS] == []


def test_basic_usage_in_a_console(daemon: RunningDaemon, tmp_path: Path) -> None:
    """It sends before the socket is open, so it is typed in: the first statement, and the others once it is."""
    first, *others = copy_of("rnnt_basic.js").split("\n\n")
    assert (first.splitlines()[0], len(others)) == ("// Connect", 3)
    pcm = base64.b64encode(sound(after=1.5)).decode()
    with browsing(daemon.http, tmp_path) as (page, problems):
        show(page, daemon, "<link rel=icon href=data:>")
        heard: list[str] = []
        page.on("console", lambda message: heard.append(message.text))
        type_in = console(page)
        type_in(f"const pcm16AudioBuffer = Uint8Array.from(atob('{pcm}'), (c) => c.charCodeAt(0)).buffer")
        type_in(first)
        page.wait_for_function("ws.readyState === WebSocket.OPEN")
        with page.expect_console_message(lambda _: words(heard) == TEXT):
            # In one go, as pasted: no answer can come before the last statement listens for it.
            type_in("\n\n".join(others))
        assert problems == []


def test_react_component(daemon: RunningDaemon, tmp_path: Path) -> None:
    script = "\n".join(run("node", str(NODE / "seed_page.mjs"), str(SEEDS / "rnnt_recorder.jsx"), "RNNTRecorder"))
    with browsing(daemon.http, tmp_path) as (page, problems):
        page.add_init_script(POWER_OF_TWO)
        page.add_init_script(KEPT_SOCKETS)
        page.route("**/seed.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
        with page.expect_websocket() as opened:
            show(page, daemon, "<link rel=icon href=data:><div id=root></div><script src=/seed.js></script>")
        page.wait_for_function("sockets[0].readyState === WebSocket.OPEN")
        page.get_by_role("button", name="Start Recording").click()
        expect(page.locator("#root > div > div")).to_have_text(TEXT)
        with opened.value.expect_event("framereceived", lambda frame: "recording_stopped" in str(frame)):
            page.get_by_role("button", name="Stop Recording").click()
        expect(page.get_by_role("button")).to_have_text("Start Recording")
        assert [problem for problem in problems if problem not in OLD_HABITS] == []


def spoken(told: list[list[object]]) -> str:
    return words([str(text) for kind, text in told if kind == "transcription"])


def test_react_native_app(daemon: RunningDaemon, tmp_path: Path) -> None:
    """It opens a socket and prepares the recorder; the sound then goes over its socket."""
    told = run_node(SEEDS / "rnnt_native.jsx", {"your-server:8000": port_of(daemon.http)}, tmp_path)
    assert told[0] == ["init", {"sampleRate": 16_000, "channels": 1, "bitsPerSample": 16}]
    assert spoken(told) == TEXT
    assert told[-1][0] == "recording_stopped"


def test_electron_main_process(daemon: RunningDaemon, tmp_path: Path) -> None:
    """Its first half opens a socket. The second, for the renderer, is no JavaScript: a comment in place of a value."""
    main, comment, renderer = copy_of("rnnt_electron.js").partition("// Renderer process audio capture")
    assert comment
    (tmp_path / "renderer.js").write_text(renderer)
    parsed = subprocess.run(["node", "--check", tmp_path / "renderer.js"], capture_output=True, text=True, check=False)
    assert re.search(r"=> /\* process audio \*/\);\s+\^\s+SyntaxError: Unexpected token '\)'", parsed.stderr)
    (tmp_path / "main.js").write_text(main)
    told = run_node(tmp_path / "main.js", {"localhost:8000": port_of(daemon.http)}, tmp_path)
    assert spoken(told) == TEXT


def test_microphone_permission(daemon: RunningDaemon, tmp_path: Path) -> None:
    """On a page of the daemon, whose headers could keep the microphone from it."""
    with browsing(daemon.http, tmp_path) as (page, problems):
        page.goto(f"{daemon.http}/static/index.html")
        with page.expect_console_message(lambda message: message.text.startswith("Mic access")) as told:
            console(page)(copy_of("rnnt_microphone.js"))
        assert told.value.text == "Mic access granted"
        assert problems == []


@pytest.mark.parametrize("copy", ["rnnt_open.sh", "rnnt_open_page.sh"])
def test_pages_that_are_opened(daemon: RunningDaemon, tmp_path: Path, copy: str) -> None:
    pages = run_shell(copy, tmp_path, open='echo "$1"')
    assert pages[-1] == "http://localhost:8000/examples/simple-client.html"
    for url in pages:
        with browsing(daemon.http, tmp_path) as (page, problems):
            page.goto(url)
            page.locator("#start, #record").click()
            expect(page.locator("#output, .final .text")).to_have_text(TEXT)
            assert [problem for problem in problems if problem not in OLD_HABITS] == []


def test_the_page_of_the_streaming_protocol(daemon: RunningDaemon, tmp_path: Path) -> None:
    with browsing(daemon.http, tmp_path) as (page, problems):
        page.goto(f"{daemon.http}/static/index.html")
        expect(page.locator("#state")).to_have_attribute("data-state", "connected")
        assert page.request.get(f"{daemon.http}/ws/status").json()["active_connections"] == 1
        page.locator("#record").click()
        expect(page.locator("#unstable, #stable").first).not_to_be_empty()
        expect(page.locator(".final .text")).to_have_text(TEXT)
        page.locator("#record").click()
        expect(page.locator("#record-text")).to_have_text("Record")
        parts = [part.rsplit(" ", 1)[0] for part in page.locator("#words").inner_text().split(" · ")]
        assert parts == TEXT.split()
        assert problems == []


def test_environment_of_the_server(tmp_path: Path) -> None:
    lines = run_shell("rnnt_environment.sh", tmp_path, python='[ "$1" = docker/rnnt-server-websocket.py ] && env')
    environment = dict(line.split("=", 1) for line in lines if line.startswith(("RNNT_", "DEV_", "LOG_")))
    assert len(environment) == 4
    found = load_settings(preset=preset_of("rnnt", environment))
    assert (found.host, found.http_port, found.log_level) == ("0.0.0.0", 8000, "info")


def test_monitoring_with_curl(daemon: RunningDaemon, tmp_path: Path) -> None:
    lines = run_shell("rnnt_monitoring.sh", tmp_path, {"localhost:8000": port_of(daemon.http)})
    decoder, text = json.JSONDecoder(), "".join(lines)
    health, end = decoder.raw_decode(text)
    status, end = decoder.raw_decode(text, end)
    assert end == len(text)
    assert (health["status"], status["active_connections"]) == ("ok", 0)


def test_check_with_curl_and_wscat(daemon: RunningDaemon, tmp_path: Path) -> None:
    async def main() -> None:
        async with talking_shell("rnnt_check.sh", tmp_path, {"localhost:8000": port_of(daemon.http)}) as shell:
            # What curl prints has no end of line.
            health, greeting = (await line_with(shell, "connection")).replace("}{", "}\n{").splitlines()
            assert json.loads(health)["status"] == "ok"
            assert json.loads(greeting)["status"] == "connected"
            assert shell.stdin is not None
            shell.stdin.write(b'{"type": "start_recording"}\n')
            await line_with(shell, '"recording_started"')

    asyncio.run(main())


def test_behind_the_nginx_of_the_document(daemon: RunningDaemon, tmp_path: Path) -> None:
    """Two servers that take turns: here both are the same daemon."""
    (port,) = free_ports(1)
    ours = f"127.0.0.1:{port_of(daemon.http)}"
    swaps = {"10.0.0.1:8000": ours, "10.0.0.2:8000": ours, "listen 80;": f"listen 127.0.0.1:{port};"}

    async def speak() -> str:
        url = f"ws://your-server:{port}/ws/transcribe?client_id=kitchen"
        async with calling(url, host="127.0.0.1") as caller:
            await caller.hear("connection", client_id="kitchen")
            await caller.say(type="start_recording", config={"sample_rate": 16_000})
            await caller.socket.send(sound(after=0.5))
            await caller.say(type="stop_recording")
            await caller.hear("recording_stopped", limit=60)
            return words([message["text"] for message in caller.heard if message["type"] == "transcription"])

    with nginx_with(swapped("rnnt_nginx.conf", swaps), tmp_path, port):
        assert [asyncio.run(speak()) for _ in range(2)] == [TEXT, TEXT]
