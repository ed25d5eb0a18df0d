"""OpenAI's own library, Node.js and a browser in transcription sessions, with the bundled model."""

import asyncio
import base64
import json
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soxr
from openai import AsyncOpenAI
from playwright.sync_api import sync_playwright
from websockets.exceptions import ConnectionClosed, InvalidStatus

from hotmic.audio.pcm import parse
from running import CLIPS, RunningDaemon, running_daemon

pytestmark = pytest.mark.integration

TEXTS = {name: str(clip["text"]) for name, clip in json.loads((CLIPS / "clips.json").read_text()).items()}
KEY = "a-key-of-the-test-that-is-long-enough"
CHUNK = 0.1
PREFIX = "conversation.item.input_audio_transcription"
LIMIT = 60.0
NODE = Path(__file__).parent / "node" / "realtime_client.mjs"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("realtime")
    tokens = folder / "tokens"
    tokens.write_text(f"app:{KEY}:speak,listen\n")
    with running_daemon(folder, "--tokens", str(tokens)) as daemon:
        yield daemon


def sound(name: str, *, rate: int = 24_000, silence: float = 0.0) -> npt.NDArray[np.int16]:
    with wave.open(str(CLIPS / f"{name}.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return np.concatenate([soxr.resample(samples, 16_000, rate), np.zeros(int(silence * rate), np.int16)])


def g711(samples: npt.NDArray[np.int16], law: str) -> bytes:
    """Return every sample as the code whose value is nearest."""
    values = parse(bytes(range(256)), encoding=law).astype(np.int32)
    order = np.argsort(values, kind="stable")
    middles = (values[order][1:] + values[order][:-1]) / 2
    return order[np.searchsorted(middles, samples.astype(np.int32))].astype(np.uint8).tobytes()


class Session:
    """A connection of the library, and what it hears."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.heard: list[Any] = []
        self.sent_at: list[int] = []
        """How much was heard when each chunk was sent."""
        self._news, self._over = asyncio.Event(), asyncio.Event()
        self._code = 1000

    async def read(self) -> None:
        try:
            async for event in self.connection:
                self.heard.append(event)
                self._news.set()
        except ConnectionClosed as error:
            self._code = error.rcvd.code if error.rcvd else 1006
        self._over.set()

    async def close_code(self) -> int:
        async with asyncio.timeout(LIMIT):
            await self._over.wait()
        return self._code

    async def hear(self, kind: str, *, count: int = 1) -> Any:
        async with asyncio.timeout(LIMIT):
            while len(found := self.told(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return found[count - 1]

    def told(self, kind: str) -> list[Any]:
        return [event for event in self.heard if event.type == kind]

    async def update(self, **heard: Any) -> None:
        count = len(self.told("session.updated")) + 1
        await self.connection.session.update(session={"type": "transcription", "audio": {"input": heard}})
        await self.hear("session.updated", count=count)

    async def speak(self, data: bytes, *, per_second: int = 48_000, pace: float = 0.0) -> None:
        size = int(per_second * CHUNK)
        for begin in range(0, len(data), size):
            self.sent_at.append(len(self.heard))
            await self.connection.input_audio_buffer.append(audio=base64.b64encode(data[begin : begin + size]).decode())
            await asyncio.sleep(pace)

    async def transcript(self, *, count: int = 1) -> str:
        return str((await self.hear(f"{PREFIX}.completed", count=count)).transcript)


@asynccontextmanager
async def session(daemon: RunningDaemon, *, key: str = KEY, **more: Any) -> AsyncIterator[Session]:
    async with AsyncOpenAI(api_key=key, base_url=f"{daemon.http}/v1") as client:
        more = more or {"extra_query": {"intent": "transcription"}}
        async with client.realtime.connect(**more) as connection:
            made = Session(connection)
            reader = asyncio.create_task(made.read())
            try:
                await made.hear("session.created")
                yield made
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)


def test_deltas_come_before_the_sentence_ends(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with session(daemon) as one:
            await one.update(transcription={"model": "gpt-4o-transcribe", "language": "en"})
            speech = sound("flight")
            await one.speak(speech.tobytes(), pace=CHUNK)
            first = one.heard.index(one.told(f"{PREFIX}.delta")[0])
            assert first < one.sent_at[-1], "a delta came before the last chunk was sent"
            await one.speak(bytes(48_000))
            assert await one.transcript() == TEXTS["flight"]
            kinds = [event.type for event in one.heard]
            order = [
                "input_audio_buffer.speech_started",
                f"{PREFIX}.delta",
                "input_audio_buffer.speech_stopped",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                f"{PREFIX}.completed",
            ]
            assert sorted(order, key=kinds.index) == order
            ids = {getattr(event, "item_id", None) for event in one.heard} - {None}
            assert len(ids) == 1
            completed = one.told(f"{PREFIX}.completed")[0]
            assert completed.usage.type == "duration"
            assert completed.usage.seconds == pytest.approx(len(speech) / 24_000, abs=1.0)

    asyncio.run(main())


def test_every_turn_is_an_item(daemon: RunningDaemon) -> None:
    names = ["timer", "lights_kitchen", "digits_five"]

    async def main() -> None:
        async with session(daemon) as one:
            for name in names:
                await one.speak(sound(name, silence=1.2).tobytes())
            await one.transcript(count=3)
            assert [e.transcript for e in one.told(f"{PREFIX}.completed")] == [TEXTS[name] for name in names]
            committed = one.told("input_audio_buffer.committed")
            ids = [event.item_id for event in committed]
            assert [event.previous_item_id for event in committed] == [None, *ids[:-1]]
            starts = [event.audio_start_ms for event in one.told("input_audio_buffer.speech_started")]
            assert starts == sorted(starts)

    asyncio.run(main())


def test_without_turn_detection_a_commit_makes_the_item(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with session(daemon) as one:
            await one.update(turn_detection=None)
            await one.speak(sound("three_sentences").tobytes())
            await one.connection.input_audio_buffer.commit()
            assert await one.transcript() == TEXTS["three_sentences"]
            await one.speak(sound("reminder").tobytes())
            await one.connection.input_audio_buffer.clear()
            await one.hear("input_audio_buffer.cleared")
            await one.speak(sound("timer").tobytes())
            await one.connection.input_audio_buffer.commit()
            assert await one.transcript(count=2) == TEXTS["timer"]
            assert len(one.told("conversation.item.added")) == 2
            assert not one.told("input_audio_buffer.speech_started")
            await one.connection.input_audio_buffer.commit(event_id="again")
            error = (await one.hear("error")).error
            assert (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "again")

    asyncio.run(main())


@pytest.mark.parametrize(("kind", "law"), [("audio/pcmu", "mulaw"), ("audio/pcma", "alaw")])
def test_telephone_sound_is_understood(daemon: RunningDaemon, kind: str, law: str) -> None:
    async def main() -> None:
        async with session(daemon) as one:
            await one.update(format={"type": kind})
            await one.speak(g711(sound("lights_kitchen", rate=8_000, silence=1.2), law), per_second=8_000)
            assert await one.transcript() == TEXTS["lights_kitchen"]

    asyncio.run(main())


def test_sessions_at_the_same_time_do_not_mix(daemon: RunningDaemon) -> None:
    async def say(name: str) -> list[str]:
        async with session(daemon) as one:
            await one.speak(sound(name, silence=1.2).tobytes(), pace=0.02)
            await one.transcript()
            return [event.transcript for event in one.told(f"{PREFIX}.completed")]

    async def main() -> None:
        names = ["order_latte", "meeting_move"]
        assert await asyncio.gather(*map(say, names)) == [[TEXTS[name]] for name in names]

    asyncio.run(main())


def test_mistakes_cost_nothing(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with session(daemon) as one:
            await one.connection.send({"type": "response.create", "event_id": "r"})
            assert (await one.hear("error")).error.event_id == "r"
            await one.connection.session.update(session={"type": "realtime"}, event_id="s")
            assert (await one.hear("error", count=2)).error.param == "session.type"
            wish = {"type": "transcription", "audio": {"input": {"transcription": {"model": "gpt-nobody"}}}}
            await one.connection.session.update(session=wish)
            assert (await one.hear("error", count=3)).error.code == "model_not_found"
            await one.connection.session.update(
                session={"type": "transcription", "audio": {"input": {"transcription": {"language": "th"}}}}
            )
            assert (await one.hear("error", count=4)).error.code == "invalid_value"
            await one.connection.input_audio_buffer.append(audio=base64.b64encode(b"odd").decode())
            assert (await one.hear("error", count=5)).error.code == "bad_audio"
            await one.speak(sound("timer", silence=1.2).tobytes())
            assert await one.transcript() == TEXTS["timer"]

    asyncio.run(main())


def test_a_model_in_the_url(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with session(daemon, model="whisper-1") as one:
            assert one.heard[0].session.audio.input.transcription.model == "whisper-1"
            await one.speak(sound("timer", silence=1.2).tobytes())
            assert await one.transcript() == TEXTS["timer"]
        async with AsyncOpenAI(api_key=KEY, base_url=f"{daemon.http}/v1") as client:
            async with client.realtime.connect(model="gpt-realtime") as connection:
                assert (await connection.recv()).type == "session.created"
                error = await connection.recv()
                assert (error.type, error.error.code) == ("error", "model_not_found")
                with pytest.raises(ConnectionClosed) as caught:
                    await connection.recv()
            assert caught.value.rcvd is not None
            assert caught.value.rcvd.code == 1008, "the library does not come again on this one"

    asyncio.run(main())


def test_a_client_secret_brings_its_configuration(daemon: RunningDaemon) -> None:
    wish = {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
    }

    async def main() -> None:
        async with AsyncOpenAI(api_key=KEY, base_url=f"{daemon.http}/v1") as client:
            secret = await client.realtime.client_secrets.create(session=wish)  # type: ignore[arg-type]
        async with session(daemon, key=secret.value) as one:
            heard = one.heard[0].session.audio.input
            assert (heard.turn_detection, heard.transcription.model) == (None, "whisper-1")
            await one.speak(sound("timer").tobytes())
            await one.connection.input_audio_buffer.commit()
            assert await one.transcript() == TEXTS["timer"]
            assert not one.told("error")
        with pytest.raises(InvalidStatus):
            async with session(daemon, key=secret.value):
                pass

    asyncio.run(main())


def test_what_is_being_said_is_told_before_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        with running_daemon(tmp_path) as daemon:
            async with session(daemon) as one:
                await one.speak(sound("reminder").tobytes())
                await one.hear("input_audio_buffer.speech_started")
                stopping = asyncio.create_task(asyncio.to_thread(daemon.stop))
                assert await one.transcript() == TEXTS["reminder"]
                async with asyncio.timeout(LIMIT):
                    assert await stopping == 0
                assert await one.close_code() == 1012, "the library comes again on this one"

    asyncio.run(main())


def test_a_client_in_node(daemon: RunningDaemon, tmp_path: Path) -> None:
    file = tmp_path / "speech.pcm"
    file.write_bytes(sound("order_coffee").tobytes())
    url = f"{daemon.http.replace('http', 'ws', 1)}/v1/realtime?intent=transcription"

    async def main() -> list[dict[str, Any]]:
        process = await asyncio.create_subprocess_exec(
            "node", str(NODE), url, KEY, str(file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(LIMIT):
                output, complaint = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert process.returncode == 0, complaint.decode()
        return [json.loads(line) for line in output.splitlines()]

    lines = asyncio.run(main())
    assert lines[0]["type"] == "session.created"
    assert lines[-1] == {"type": f"{PREFIX}.completed", "text": TEXTS["order_coffee"]}


IN_THE_BROWSER = """([url, key, audio]) => new Promise((resolve) => {
    const heard = [];
    const ws = new WebSocket(url, ["realtime", `openai-insecure-api-key.${key}`]);
    ws.onopen = () => {
        for (const piece of audio) ws.send(JSON.stringify({ type: "input_audio_buffer.append", audio: piece }));
    };
    ws.onmessage = (message) => {
        const event = JSON.parse(message.data);
        heard.push(event.type);
        if (event.transcript !== undefined || event.error) {
            ws.close();
            resolve({ heard, protocol: ws.protocol, transcript: event.transcript, error: event.error });
        }
    };
    ws.onclose = (event) => resolve({ heard, code: event.code });
})"""


def test_a_page_in_a_browser(daemon: RunningDaemon) -> None:
    data = sound("lights_off", silence=1.2).tobytes()
    audio = [base64.b64encode(data[begin : begin + 4800]).decode() for begin in range(0, len(data), 4800)]
    url = f"{daemon.http.replace('http', 'ws', 1)}/v1/realtime?intent=transcription"
    with sync_playwright() as playwright:
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        rules = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*flags, rules])
        try:
            page = browser.new_page()
            page.set_default_timeout(LIMIT * 1000)
            page.goto(f"{daemon.http}/health/live")
            outcome = page.evaluate(IN_THE_BROWSER, [url, KEY, audio])
        finally:
            browser.close()
    assert outcome.get("transcript") == TEXTS["lights_off"], outcome
    assert outcome["protocol"] == "realtime"
