"""The web page in a real browser with a microphone that plays a recording."""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from browser_support import between_silences
from certificates import make_certificate
from hotmic.engines import echo
from nginx_support import HOST, free_ports, nginx_before
from running import CLIPS, RunningDaemon, calling, running_daemon

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
CLIP = "order_latte"
FLAGS = (
    "headless=new,no-sandbox,disable-gpu,disable-quic,no-first-run,disable-background-networking,"
    "disable-component-update,disable-sync,use-fake-device-for-media-stream,use-fake-ui-for-media-stream"
)
LIMIT = 20_000.0
"""Milliseconds for anything to appear; the machine may be busy."""
MODELS = """
default: demo-en
models:
  - {id: demo-en, name: Demo English, type: faster_whisper, source: {bundled: demo-en}, languages: [en],
     compute_type: int8, min_window_s: 1, max_window_s: 20, vram_gb: 0.3,
     notice: It knows a few words., phrases: [turn on the kitchen lights]}
  - {id: second, name: Second model, type: faster_whisper, source: {bundled: demo-en}, languages: [th],
     description: The same again., compute_type: int8, min_window_s: 1, max_window_s: 20, vram_gb: 0.3}
"""


@dataclass
class Visit:
    """A page, and what it did that nobody sees."""

    page: Page
    problems: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


@contextmanager
def visiting(tmp_path: Path, url: str, *, clip: str = CLIP, connects: bool = True) -> Iterator[Visit]:
    """Open the page in Chromium, which can reach this machine alone and hears a clip once recording starts."""
    rules = f"--host-resolver-rules=MAP {HOST} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    microphone = f"--use-file-for-fake-audio-capture={between_silences(clip, tmp_path)}%noloop"
    flags = [f"--{flag}" for flag in FLAGS.split(",")]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*flags, rules, microphone])
        try:
            context = browser.new_context(ignore_https_errors=True, viewport={"width": 1280, "height": 800})
            page = context.new_page()
            visit = Visit(page)
            page.on("console", lambda m: visit.problems.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: visit.problems.append(str(error)))
            page.on("request", lambda request: visit.hosts.add(urlsplit(request.url).hostname or ""))
            page.on("websocket", lambda ws: visit.hosts.add(urlsplit(ws.url).hostname or ""))
            page.set_default_timeout(LIMIT)
            expect.set_options(timeout=LIMIT)
            page.goto(url)
            if connects:
                expect(page.locator("#state")).to_have_attribute("data-state", "connected")
            yield visit
        finally:
            browser.close()


def sentences_of(clip: str) -> list[str]:
    return list(json.loads((CLIPS / "clips.json").read_text())[clip]["sentences"])


def text_of(clip: str = CLIP) -> str:
    return str(json.loads((CLIPS / "clips.json").read_text())[clip]["text"])


def fixed_ports() -> list[str]:
    """Return flags for ports that a daemon after the first can have again."""
    names = ("--control-port", "--audio-port", "--http-port")
    return [word for pair in zip(names, map(str, free_ports(3)), strict=True) for word in pair]


def kill(daemon: RunningDaemon) -> None:
    """End it without a goodbye."""
    daemon.process.kill()
    daemon.process.wait()


class Proxy:
    """A port before one of the daemon's that breaks its connections on demand.

    Args:
        target: URL of the daemon's port.
    """

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        (self._port,) = free_ports(1)
        self.address = f"ws://127.0.0.1:{self._port}"
        self._listener: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []

    def __enter__(self) -> "Proxy":
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Take connections."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Break every connection and take no more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for side in (side for pair in self._pairs for side in pair):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection((self._target.hostname, self._target.port))
                self._pairs.append((near, far))
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with source, suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)


def use(page: Page, **addresses: str) -> None:
    """Connect to other addresses than the page would of itself."""
    page.locator("#connection summary").click()
    for name, address in addresses.items():
        page.locator(f"#{name}").fill(address)
    page.get_by_role("button", name="Apply and connect").click()
    expect(page.locator("#state")).to_have_attribute("data-state", "connected")


def say(page: Page) -> None:
    """Record until the clip's text stands there as a final, then stop."""
    page.get_by_role("button", name="Record").click()
    expect(page.locator("#partials .text")).to_have_text(re.compile(r"\w"))
    expect(page.locator("#finals .text")).to_have_text([text_of()])
    expect(page.locator("#partials .text")).to_have_count(0)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Record")).to_be_enabled()


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("daemon")
    (folder / "models.yaml").write_text(MODELS)
    with running_daemon(folder, "--models", str(folder / "models.yaml"), "--allow-null-origin") as running:
        yield running


def test_spoken_words_stand_on_the_page(daemon: RunningDaemon, tmp_path: Path) -> None:
    with visiting(tmp_path, daemon.http) as visit:
        page = visit.page
        page.get_by_role("button", name="Record").click()
        partial = page.locator("#partials .text")
        expect(partial).to_have_text(re.compile(r"\w"))
        grey, before = partial.evaluate("e => getComputedStyle(e.lastChild).color"), partial.bounding_box()
        final = page.locator("#finals .text")
        expect(final).to_have_text([text_of()])
        after = final.bounding_box()
        assert before is not None
        assert after is not None
        assert (before["x"], before["y"], before["height"]) == (after["x"], after["y"], after["height"])
        assert final.evaluate("e => getComputedStyle(e).color") != grey
        assert final.get_attribute("lang") == "en"
        assert page.locator("#finals").get_attribute("aria-live") == "polite"
        assert page.locator("#partials").get_attribute("aria-live") == "off"
        expect(page.locator("#latency")).to_have_text(re.compile(r"^\d+ ms$"))
        expect(page.locator("#devices option")).not_to_have_count(1)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Record")).to_be_enabled()
    assert visit.problems == []
    assert visit.hosts == {"127.0.0.1"}


def test_stop_in_mid_sentence_brings_the_sentence(daemon: RunningDaemon, tmp_path: Path) -> None:
    with visiting(tmp_path, daemon.http, clip="three_sentences") as visit:
        page = visit.page
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#partials .text")).to_have_text(re.compile("meeting starts"))
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Record")).to_be_enabled(timeout=8000)
        expect(page.locator("#finals .text")).to_have_text(["good morning everyone", re.compile("^the meeting starts")])
        expect(page.locator("#partials .text")).to_have_count(0)
    assert visit.problems == []


def test_the_worklet_posts_every_sample(daemon: RunningDaemon, tmp_path: Path) -> None:
    """Two blocks come out as mono, clipped, and with the tail at the flush."""
    with visiting(tmp_path, daemon.http) as visit:
        posted = visit.page.evaluate(
            """() => {
              const posted = [];
              globalThis.sampleRate = 1600; // 96 samples a chunk
              globalThis.AudioWorkletProcessor = class { port = { postMessage: (message) => posted.push(message) } };
              let processor;
              globalThis.registerProcessor = (name, Processor) => (processor = new Processor());
              hotmic.recorderWorklet();
              const [left, right] = [new Float32Array(128).fill(0.75), new Float32Array(128).fill(0.25)];
              processor.process([[left, right]]);
              processor.process([[]]); // the device is being changed
              const wasLive = processor.process([[new Float32Array(128).fill(-2)]]);
              processor.port.onmessage({ data: "flush" });
              const isLive = processor.process([[left]]);
              const chunks = posted.filter((m) => m.pcm).map((m) => [[...new Int16Array(m.pcm)], m.peak]);
              return { chunks, last: posted.at(-1), wasLive, isLive };
            }"""
        )
    samples = [sample for chunk, _ in posted["chunks"] for sample in chunk]
    assert samples == [16384] * 128 + [-32767] * 128
    assert [(len(chunk), peak) for chunk, peak in posted["chunks"]] == [(96, 0.5), (96, 1), (64, 1)]
    assert (posted["last"], posted["wasLive"], posted["isLive"]) == ({"flushed": True}, True, False)


def test_export_and_clear(daemon: RunningDaemon, tmp_path: Path) -> None:
    with visiting(tmp_path, daemon.http) as visit:
        page = visit.page
        expect(page.locator("#export-srt")).to_be_disabled()
        say(page)
        files = {}
        for kind in ("TXT", "SRT", "VTT", "JSON"):
            with page.expect_download() as download:
                page.get_by_role("button", name=kind, exact=True).click()
            assert download.value.suggested_filename.endswith(f".{kind.lower()}")
            files[kind] = Path(download.value.path()).read_text("utf-8")
        page.get_by_role("button", name="Clear").click()
        expect(page.locator("#finals .text")).to_have_count(0)
        expect(page.locator("#empty")).to_be_visible()
    assert files["TXT"] == f"{text_of()}\n"
    times = r"\d\d:\d\d:\d\d,\d{3} --> \d\d:\d\d:\d\d,\d{3}"
    assert re.fullmatch(rf"1\n{times}\n{text_of()}\n\n", files["SRT"])
    assert files["VTT"] == "WEBVTT\n\n" + files["SRT"].removeprefix("1\n").replace(",", ".")
    (segment,) = json.loads(files["JSON"])["segments"]
    assert (segment["text"], segment["model"]) == (text_of(), "demo-en")
    assert [w["word"] for w in segment["words"]] == text_of().split()
    assert 0 < segment["start"] < segment["end"] < 8


def test_models_load_with_progress(daemon: RunningDaemon, tmp_path: Path) -> None:
    with visiting(tmp_path, daemon.http) as visit:
        page = visit.page
        expect(page.locator("#models option")).to_have_text(["Demo English", "Second model"])
        expect(page.locator("#limited-notice")).to_have_text("It knows a few words.")
        expect(page.locator("#phrases li")).to_have_text(["turn on the kitchen lights"])
        page.evaluate(
            """() => {
              globalThis.seen = [];
              const [bar, label] = [document.getElementById("progress"), document.getElementById("loading-text")];
              new MutationObserver(() => seen.push([bar.value, label.textContent]))
                .observe(label, { childList: true, characterData: true, subtree: true });
            }"""
        )
        page.locator("#models").select_option(label="Second model")
        expect(page.locator("#model-about")).to_contain_text("Thai")
        page.get_by_role("button", name="Load").click()
        expect(page.locator("#loading")).to_be_visible()
        expect(page.locator("#serving")).to_contain_text("Second model")
        expect(page.locator("#loading")).to_be_hidden()
        expect(page.locator("#limited")).to_be_hidden()
        seen = page.evaluate("seen")
        page.locator("#models").select_option(label="Demo English")
        page.get_by_role("button", name="Load").click()
        expect(page.locator("#serving")).to_contain_text("Demo English")
        expect(page.locator("#limited")).to_be_visible()
    assert any(text.startswith("Loading Second model") for _, text in seen)
    shares = [share for share, _ in seen]
    assert shares == sorted(shares)
    assert shares[-1] > 0.5
    assert visit.problems == []


def test_a_page_from_disk(daemon: RunningDaemon, tmp_path: Path) -> None:
    address = f"{(ROOT / 'web' / 'index.html').as_uri()}?control={daemon.control}&audio={daemon.audio}"
    with visiting(tmp_path, address) as visit:
        say(visit.page)
    assert visit.problems == []
    assert visit.hosts <= {"127.0.0.1", ""}


def test_two_pages_hear_the_same(daemon: RunningDaemon, tmp_path: Path) -> None:
    with visiting(tmp_path, f"{daemon.http}?channel=pair") as visit:
        listener = visit.page.context.new_page()
        listener.goto(f"{daemon.http}?channel=pair")
        stranger = visit.page.context.new_page()
        stranger.goto(f"{daemon.http}?channel=elsewhere")
        for page in (listener, stranger):
            expect(page.locator("#state")).to_have_attribute("data-state", "connected")
        say(visit.page)
        expect(listener.locator("#finals .text")).to_have_text([text_of()])
        expect(stranger.locator("#finals .text")).to_have_count(0)


def test_text_is_never_markup(daemon: RunningDaemon, tmp_path: Path) -> None:
    """What a transcript says goes in as text, with its language, and right to left where it is."""
    with visiting(tmp_path, daemon.http) as visit:
        result = visit.page.evaluate(
            """() => {
              const [paper, finals, partials] = [0, 0, 0].map(() => document.createElement("div"));
              document.body.append(paper, finals, partials);
              const transcript = new hotmic.Transcript({ paper, finals, partials });
              const said = (segment_id, text, more) => transcript.receive({
                type: "final_transcription", session_id: "s", segment_id, text, start: 1, end: 2, words: [],
                timestamp: "2025-09-03T10:30:02.500Z", ...more });
              said("1", "<img src=x onerror=alert(1)>", { language: "en" });
              said("2", "สวัสดีครับ", { language: "th" });
              said("3", "שלום עולם", { language: "he" });
              said("2", "สวัสดีครับ ผมชื่อโจน", { language: "th" });
              const lines = [...finals.querySelectorAll(".text")];
              return {
                images: finals.querySelectorAll("img").length,
                texts: lines.map((line) => line.textContent),
                languages: lines.map((line) => line.lang),
                directions: lines.map((line) => line.matches(":dir(rtl)")),
              };
            }"""
        )
    assert result == {
        "images": 0,
        "texts": ["<img src=x onerror=alert(1)>", "สวัสดีครับ ผมชื่อโจน", "שלום עולם"],
        "languages": ["en", "th", "he"],
        "directions": [False, False, True],
    }
    assert visit.problems == []


EVIL = "<img src=x onerror=\"document.title='evil'\"><script>document.title='evil'</script>"


def test_what_models_and_speakers_say_is_text_on_the_page(tmp_path: Path) -> None:
    """A hostile models.yaml and a hostile engine, all the way from the daemon."""
    registry = tmp_path / "models.yaml"
    entry = {"id": "evil", "name": EVIL, "type": "echo", "languages": ["en"], "description": EVIL, "notice": EVIL}
    registry.write_text(json.dumps({"default": "evil", "models": [{**entry, "phrases": [EVIL]}]}))
    with (
        running_daemon(tmp_path, "--models", str(registry), "--vad", "seed", plant="markup") as daemon,
        visiting(tmp_path, daemon.http) as visit,
    ):
        page = visit.page
        expect(page.locator("#models option")).to_contain_text([EVIL])
        expect(page.locator("#limited-notice")).to_have_text(EVIL)
        expect(page.locator("#phrases li")).to_have_text([EVIL])
        with ThreadPoolExecutor(1) as elsewhere:  # Playwright has a loop of its own here
            elsewhere.submit(lambda: asyncio.run(speak(daemon))).result()
        expect(page.get_by_text(EVIL).last).to_be_visible()
        assert page.locator("img[src=x]").count() == 0
        assert page.title() == "hotmic"
        policy = page.request.get(daemon.http).headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
    assert visit.problems == []
    assert visit.hosts == {"127.0.0.1"}


async def speak(daemon: RunningDaemon) -> None:
    """Say something, and hear that the daemon says something hostile."""
    async with calling(daemon.audio) as speaker:
        for number in range(20):
            await speaker.socket.send(echo.chunk(number).tobytes())
        await speaker.say(type="audio_end")
        assert (await speaker.hear("final_transcription"))["text"] == EVIL


def test_the_page_under_the_daemon_s_own_tls(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    flags = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    with running_daemon(tmp_path, *flags) as daemon, visiting(tmp_path, daemon.http) as visit:
        assert visit.page.locator("#audio").input_value() == f"{daemon.http.replace('http', 'ws', 1)}/ws/audio"
        say(visit.page)
    assert visit.problems == []


def test_a_session_that_counts_from_nought_again_keeps_its_place(daemon: RunningDaemon, tmp_path: Path) -> None:
    """A daemon that was started again knows the session's name, not its time: exported times go on."""
    with visiting(tmp_path, daemon.http) as visit:
        times = visit.page.evaluate(
            """() => {
              const [paper, finals, partials] = [0, 0, 0].map(() => document.createElement("div"));
              const transcript = new hotmic.Transcript({ paper, finals, partials });
              const said = (segment_id, start, second) => transcript.receive({
                type: "final_transcription", session_id: "s", segment_id, text: segment_id, start, end: start + 1,
                words: [], lag_ms: 0, timestamp: `2025-09-03T10:30:${second}.000Z` });
              said("s-7-1", 10, "11");
              said("s-7-2", 14, "15");
              said("s-9-1", 0, "31");
              return [transcript.segments.map((s) => [s.text, s.start]),
                      [...finals.querySelectorAll(".time")].map((time) => time.textContent)];
            }"""
        )
    assert times == [[["s-7-1", 10], ["s-7-2", 14], ["s-9-1", 30]], ["0:10", "0:14", "0:30"]]


def test_long_segments_become_readable_cues(daemon: RunningDaemon, tmp_path: Path) -> None:
    with visiting(tmp_path, daemon.http) as visit:
        cut = "segment => hotmic.cuesOf(segment).map((cue) => [cue.start, cue.end, cue.text])"
        spaced = segment_of([f"word{n}" for n in range(20)], " ")
        joined = segment_of(["คำ"] * 20, "")
        for segment, glue in ((spaced, " "), (joined, "")):
            cues = visit.page.evaluate(cut, segment)
            assert len(cues) > 2
            assert glue.join(text for _, _, text in cues) == segment["text"]
            assert all(end - start <= 6 and len(text) <= 84 for start, end, text in cues)
        lost = {**spaced, "text": "quite another text"}
        assert visit.page.evaluate(cut, lost) == [[0, 20, "quite another text"]]
        short = visit.page.evaluate("s => hotmic.FORMATS.vtt.write([s])", {**segment_of(["<b>&"], " ")})
        assert short.endswith("\n&lt;b&gt;&amp;\n\n")


def segment_of(words: list[str], glue: str) -> dict[str, object]:
    """Return a segment of one word a second."""
    rows = [{"word": word, "start": n, "end": n + 1} for n, word in enumerate(words)]
    return {"text": glue.join(words), "start": 0, "end": len(words), "words": rows}


def test_the_page_says_that_the_daemon_is_gone_and_comes_back(tmp_path: Path) -> None:
    ports = fixed_ports()
    with running_daemon(tmp_path, *ports) as first, visiting(tmp_path, first.http) as visit:
        page = visit.page
        first.stop()
        expect(page.locator("#state")).to_have_attribute("data-state", "reconnecting")
        expect(page.get_by_role("alert")).to_contain_text("The connection to the daemon")
        expect(page.get_by_role("button", name="Record")).to_be_disabled()
        with running_daemon(tmp_path, *ports):
            expect(page.locator("#state")).to_have_attribute("data-state", "connected")
            expect(page.get_by_role("alert")).not_to_contain_text("The connection to the daemon")
            say(page)


def test_sound_is_kept_while_the_connection_is_down(tmp_path: Path) -> None:
    """The daemon goes away before a word is said and is back after the last: the words come all the same."""
    ports = fixed_ports()
    with running_daemon(tmp_path, *ports) as first, visiting(tmp_path, first.http) as visit:
        page = visit.page
        page.get_by_role("button", name="Record").click()
        expect(page.get_by_role("button", name="Stop")).to_be_visible()
        kill(first)
        expect(page.locator("#state")).to_have_attribute("data-state", "reconnecting")
        expect(page.locator("#clock")).to_have_text("0:04")
        with running_daemon(tmp_path, *ports):
            expect(page.locator("#finals .text")).to_have_text([text_of()])
            page.get_by_role("button", name="Stop").click()
            expect(page.get_by_role("button", name="Record")).to_be_enabled()


@pytest.mark.parametrize("stops_first", [False, True])
def test_a_daemon_killed_in_mid_sentence_costs_no_word(tmp_path: Path, *, stops_first: bool) -> None:
    """Whether it is back before the speaker is done or after: every sentence stands there once."""
    ports = fixed_ports()
    with running_daemon(tmp_path, *ports) as first, visiting(tmp_path, first.http, clip="three_sentences") as visit:
        page = visit.page
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#partials .text")).to_have_text(re.compile("meeting starts"))
        kill(first)
        expect(page.locator("#state")).to_have_attribute("data-state", "reconnecting")
        if stops_first:
            expect(page.locator("#clock")).to_have_text("0:08")
            page.get_by_role("button", name="Stop").click()
            expect(page.get_by_role("button", name="Finishing")).to_be_visible()
        with running_daemon(tmp_path, *ports):
            expect(page.locator("#finals .text")).to_have_text(sentences_of("three_sentences"))
            expect(page.locator("#state")).to_have_attribute("data-state", "connected")
            if not stops_first:
                page.get_by_role("button", name="Stop").click()
            expect(page.get_by_role("button", name="Record")).to_be_enabled()
            expect(page.locator("#finals .text")).to_have_text(sentences_of("three_sentences"))
            expect(page.locator("#partials .text")).to_have_count(0)


def test_a_cut_of_the_sound_costs_no_word(daemon: RunningDaemon, tmp_path: Path) -> None:
    """The audio connection breaks in mid-sentence and stays away for a while; the page says so until it is back."""
    with Proxy(daemon.audio) as audio, visiting(tmp_path, daemon.http, clip="three_sentences") as visit:
        page = visit.page
        use(page, audio=audio.address)
        page.get_by_role("button", name="Record").click()
        expect(page.locator("#partials .text")).to_have_text(re.compile("meeting starts"))
        audio.close()
        expect(page.locator("#state")).to_have_attribute("data-state", "reconnecting")
        expect(page.get_by_role("alert")).to_contain_text("The connection for the sound is lost")
        audio.open()
        expect(page.locator("#state")).to_have_attribute("data-state", "connected")
        expect(page.get_by_role("alert")).not_to_contain_text("The connection for the sound is lost")
        expect(page.locator("#finals .text")).to_have_text(sentences_of("three_sentences"))
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Record")).to_be_enabled()
        expect(page.locator("#finals .text")).to_have_text(sentences_of("three_sentences"))
        expect(page.locator("#partials .text")).to_have_count(0)


def test_a_listener_that_was_cut_is_told_what_it_missed(daemon: RunningDaemon, tmp_path: Path) -> None:
    with Proxy(daemon.control) as control, visiting(tmp_path, f"{daemon.http}?channel=missed") as visit:
        listener = visit.page.context.new_page()
        listener.goto(f"{daemon.http}?channel=missed")
        use(listener, control=control.address)
        expect(listener.locator("#state")).to_have_attribute("data-state", "connected")
        control.close()
        expect(listener.locator("#state")).to_have_attribute("data-state", "reconnecting")
        say(visit.page)
        expect(listener.locator("#finals .text")).to_have_count(0)
        control.open()
        expect(listener.locator("#finals .text")).to_have_text([text_of()])
        late = visit.page.context.new_page()
        late.goto(f"{daemon.http}?channel=missed")
        use(late, control=control.address)
        control.close()
        expect(late.locator("#state")).to_have_attribute("data-state", "reconnecting")
        late.evaluate("document.getElementById('serving').textContent = ''")
        control.open()
        # The answer to a question that the page asks behind the one for finals.
        expect(late.locator("#serving")).to_contain_text("Demo English")
        expect(late.locator("#finals .text")).to_have_count(0)


SPEAKER = """async () => {
  const made = [];
  hotmic.Socket = class extends EventTarget {
    said = []; waitingBytes = 0; isClosed = false;
    constructor(address) { super(); this.address = address; made.push(this); }
    open() { this.name = this.address(); }
    close() { this.isClosed = true; }
    say(message) { this.said.push(message); }
    hear(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }
    tell(message) { this.hear("message", message); }
  };
  hotmic.Recorder = class extends EventTarget {
    sampleRate = 8000;
    async open() { globalThis.recorder = this; }
    async close() {}
  };
  const script = document.createElement("script");
  script.src = "speaker.js";
  await new Promise((resolve) => { script.onload = resolve; document.head.append(script); });
  const speaker = new hotmic.Speaker();
  const problems = [];
  speaker.addEventListener("problem", (event) => problems.push(event.detail));
  await speaker.start({ address: ({ session }) => session, token: "", catchUp: () => ({ type: "subscribe" }) });
  const speak = (seconds) => {
    for (let i = 0; i < seconds; i += 1) {
      recorder.dispatchEvent(new CustomEvent("chunk", { detail: { pcm: new ArrayBuffer(16_000), peak: 0 } }));
    }
  };
  const seqs = (socket) => socket.said.filter((m) => m.type === "audio_chunk").map((m) => m.seq);
  const kinds = (socket) => [...new Set(socket.said.map((m) => m.type))];
  return await (SCENE)({ made, speaker, problems, speak, seqs, kinds });
}"""
"""A speaker whose microphone and socket are played by the scene."""


def play(page: Page, scene: str) -> object:
    return page.evaluate(SPEAKER.replace("SCENE", scene))


def test_what_is_settled_is_not_sent_again(daemon: RunningDaemon, tmp_path: Path) -> None:
    with visiting(tmp_path, daemon.http) as visit:
        result = play(
            visit.page,
            """async ({ made: [socket], made, speaker, speak, seqs, kinds }) => {
              socket.hear("open");
              speak(6);
              const session = socket.name;
              socket.tell({ type: "ack", session_id: session, seq: 0 });
              speaker.settle({ type: "final_transcription", session_id: session, seq: 2 });
              speaker.settle({ type: "final_transcription", session_id: "another", seq: 5 });
              socket.hear("down");
              const wasCut = speaker.isCut;
              speak(1);
              socket.open();
              const heard = socket.said.length;
              socket.hear("open");
              const greeting = socket.said.slice(heard);
              socket.tell({ type: "error", code: "session_gone" });
              await speaker.stop();
              const ends = () => socket.said.filter((m) => m.type === "audio_end").length;
              const once = ends();
              socket.hear("down");
              socket.open();
              socket.hear("open");
              socket.tell({ type: "resumed", next_seq: 6 });
              const twice = ends();
              speaker.finish(session);
              const early = speaker.state;
              speaker.finish(socket.said.findLast((m) => m.type === "resume").session_id);
              return { greeting, seqs: seqs(socket), wasCut, isCut: speaker.isCut, once, twice, early,
                state: speaker.state, sockets: made.length, resumed: greeting[1].session_id === session };
            }""",
        )
    assert isinstance(result, dict)
    assert [m["type"] for m in result.pop("greeting")] == ["subscribe", "resume"]
    assert result == {
        "seqs": [0, 1, 2, 3, 4, 5, 3, 4, 5, 6, 6],
        "wasCut": True,
        "isCut": False,
        "once": 1,
        "twice": 2,
        "early": "finishing",
        "state": "idle",
        "sockets": 1,
        "resumed": True,
    }


def test_two_minutes_are_kept_and_the_loss_is_said_once(daemon: RunningDaemon, tmp_path: Path) -> None:
    with visiting(tmp_path, daemon.http) as visit:
        result = play(
            visit.page,
            """async ({ made, problems, speak, seqs }) => {
              const [first] = made;
              first.hear("open");
              speak(10);
              first.hear("down");
              speak(110);
              const before = problems.length;
              speak(30);
              first.open();
              first.hear("open");
              first.tell({ type: "resumed", next_seq: 10 });
              const [, second] = made;
              second.hear("open");
              return { before, problems: problems.length, closed: first.isClosed, again: seqs(second),
                kinds: [...new Set(second.said.map((m) => m.type))], isOther: second.name !== first.name };
            }""",
        )
    assert result == {
        "before": 0,
        "problems": 1,
        "closed": True,
        "again": list(range(30, 150)),
        "kinds": ["audio_chunk"],
        "isOther": True,
    }


def test_the_page_says_that_the_session_is_recorded(tmp_path: Path) -> None:
    recorded = "This session is being recorded to disk."
    with (
        running_daemon(tmp_path, "--record", str(tmp_path / "tapes")) as daemon,
        visiting(tmp_path, daemon.http) as visit,
    ):
        expect(visit.page.locator("#notices .notice.warning p").get_by_text(recorded)).to_be_visible()
    assert visit.problems == []


def test_a_token_is_asked_for_and_taken(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("alice:0123456789abcdef\n")
    with (
        running_daemon(tmp_path, "--tokens", str(tokens)) as daemon,
        visiting(tmp_path, daemon.http, connects=False) as visit,
    ):
        page = visit.page
        expect(page.locator("#state")).to_have_attribute("data-state", "refused")
        expect(page.get_by_role("alert")).to_contain_text("Enter a token")
        page.get_by_label("Token").fill("wrong-wrong-wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("Check the token")
        page.get_by_label("Token").fill("0123456789abcdef")
        page.keyboard.press("Enter")
        expect(page.locator("#state")).to_have_attribute("data-state", "connected")
        say(page)
    assert visit.problems == []


def test_behind_nginx_with_tls(tmp_path: Path) -> None:
    settings = tmp_path / "hotmic.yaml"
    settings.write_text(f"allowed_hosts: [{HOST}]\nauth: none\n")
    with (
        running_daemon(tmp_path, "--config", str(settings)) as daemon,
        nginx_before(daemon, tmp_path) as port,
        visiting(tmp_path, f"https://{HOST}:{port}/") as visit,
    ):
        assert visit.page.locator("#control").input_value() == f"wss://{HOST}:{port}/ws/control"
        say(visit.page)
        assert visit.page.request.get(f"https://127.0.0.1:{port}/metrics").status == 200
    assert visit.problems == []
    assert visit.hosts == {HOST}
