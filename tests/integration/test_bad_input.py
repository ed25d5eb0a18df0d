"""Bad input of any kind: a clear coded error or a clean close, others undisturbed, nothing left behind."""

import asyncio
import base64
import json
import urllib.error
import urllib.request
import wave
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from running import CLIPS, Caller, RunningDaemon, calling, start_daemon

pytestmark = pytest.mark.integration

CLIP = "order_latte"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    running = start_daemon(tmp_path_factory.mktemp("daemon"))
    yield running
    assert running.stop() == 0


def pcm(name: str = CLIP) -> bytes:
    with wave.open(str(CLIPS / f"{name}.wav")) as file:
        return file.readframes(file.getnframes())


def text_of(name: str = CLIP) -> str:
    return str(json.loads((CLIPS / "clips.json").read_text())[name]["text"])


async def speak(caller: Caller, audio: bytes, *, pace: float = 0.01) -> None:
    for begin in range(0, len(audio), 3200):
        await caller.socket.send(audio[begin : begin + 3200])
        await asyncio.sleep(pace)


def beside_a_speaker(daemon: RunningDaemon, mischief: Callable[[], Awaitable[None]]) -> None:
    """Run mischief while somebody speaks; the speaker's text must be what it always is."""

    async def main() -> None:
        async with calling(f"{daemon.audio}?channel=good") as speaker:
            talk = asyncio.create_task(speak(speaker, pcm(), pace=0.03))
            await mischief()
            await talk
            await speaker.say(type="audio_end")
            final = await speaker.hear("final_transcription")
            assert final["text"] == text_of()
            assert not [m for m in speaker.heard if m["type"] == "error"]
        await nothing_left(daemon)

    asyncio.run(main())


async def nothing_left(daemon: RunningDaemon) -> None:
    """Every session ends once its connection is gone and its last final is told."""
    async with calling(daemon.control) as control:
        async with asyncio.timeout(10):
            while True:
                await control.say(type="get_status")
                if (await control.hear("status"))["sessions"] == 0:
                    return
                await asyncio.sleep(0.05)


ON_AUDIO = [
    ("nope", "invalid_json"),
    ("[" * 100_000, "invalid_json"),
    ('{"type": "bogus"}', "unknown_type"),
    ('{"type": "audio_chunk", "data": "!!!"}', "bad_audio"),
    (json.dumps({"type": "audio_chunk", "data": base64.b64encode(b"\0\0\0").decode()}), "bad_audio"),
    (b"\0" * 32_001, "bad_audio"),
    ('{"type": "audio_chunk"}', "bad_field"),
    ('{"type": "load_model", "model_id": "demo-en"}', "wrong_socket"),
    ('{"type": "start_recording"}', "wrong_socket"),
]
ON_CONTROL = [
    ("nope", "invalid_json"),
    ('{"type": "bogus"}', "unknown_type"),
    ('{"type": "audio_chunk", "data": "AAAA"}', "wrong_socket"),
    ('{"type": "audio_end"}', "wrong_socket"),
    (b"\0\0", "wrong_socket"),
    ('{"type": "load_model", "model_id": "demo-enn"}', "unknown_model"),
    ('{"type": "load_model", "model_id": "../../etc/passwd"}', "unknown_model"),
    ('{"type": "load_model", "model_id": "http://127.0.0.1/x"}', "unknown_model"),
]


def test_bad_frames_on_both_sockets(daemon: RunningDaemon) -> None:
    async def mischief() -> None:
        for uri, cases in ((daemon.audio, ON_AUDIO), (daemon.control, ON_CONTROL)):
            async with calling(f"{uri}?channel=bad") as caller:
                for frame, code in cases:
                    await caller.socket.send(frame)
                    assert (await caller.hear("error"))["code"] == code, frame[:60]
                await caller.say(type="ping", request_id=7)
                assert (await caller.hear("pong"))["request_id"] == 7, "the connection is still good"

    beside_a_speaker(daemon, mischief)


def test_an_error_carries_the_request_id(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with calling(daemon.control) as control:
            await control.say(type="load_model", model_id="demo-enn", request_id="r-1")
            error = await control.hear("error", request_id="r-1")
            assert (error["code"], error["model_id"]) == ("unknown_model", "demo-enn")
            assert "demo-en" in error["message"]

    asyncio.run(main())


def test_a_frame_of_ten_megabytes_closes_that_connection_alone(daemon: RunningDaemon) -> None:
    async def mischief() -> None:
        for uri in (daemon.audio, daemon.control):
            socket = await connect(f"{uri}?channel=bad", max_size=None)
            with pytest.raises(ConnectionClosed) as closed:
                await socket.send(b"\0" * 10_000_000)
                while True:
                    await socket.recv()
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1009

    beside_a_speaker(daemon, mischief)


def test_text_that_is_not_utf8_closes_cleanly(daemon: RunningDaemon) -> None:
    async def mischief() -> None:
        async with calling(f"{daemon.audio}?channel=bad") as caller:
            await caller.socket.send(b"\xff\xfe", text=True)
            with pytest.raises(ConnectionClosed) as closed:
                await caller.socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1007

    beside_a_speaker(daemon, mischief)


def test_leaving_in_mid_word_still_gives_listeners_the_words(daemon: RunningDaemon) -> None:
    async def mischief() -> None:
        async with calling(f"{daemon.control}?channel=cut") as listener:
            async with calling(f"{daemon.audio}?channel=cut") as speaker:
                await speak(speaker, pcm()[:60_000], pace=0.0)
                speaker.socket.transport.abort()
            final = await listener.hear("final_transcription")
            assert final["text"].split()[:3] == text_of().split()[:3]

    beside_a_speaker(daemon, mischief)


def test_audio_before_start_and_after_stop(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with (
            calling(f"{daemon.control}?channel=steps") as control,
            calling(f"{daemon.audio}?channel=steps") as audio,
        ):
            await speak(audio, pcm())
            await control.say(type="stop_recording", request_id="stop")
            assert (await control.hear("recording_stopped", request_id="stop"))["channel"] == "steps"
            kinds = [m["type"] for m in control.heard]
            assert kinds.index("final_transcription") < kinds.index("recording_stopped")
            await speak(audio, pcm())
            await control.hear("warning", code="paused")
            await control.say(type="start_recording")
            await control.hear("recording_started")
            await speak(audio, pcm("timer"))
            await audio.say(type="audio_end")
            assert (await audio.hear("final_transcription", text=text_of("timer")))["is_final"]
            finals = [m["text"] for m in audio.heard if m["type"] == "final_transcription"]
            assert finals == [text_of(), text_of("timer")], "what came between was ignored"

    asyncio.run(main())


def test_start_without_any_audio_connection_is_answered(daemon: RunningDaemon) -> None:
    async def main() -> None:
        async with calling(f"{daemon.control}?channel=nobody") as control:
            await control.say(type="start_recording")
            await control.hear("recording_started")
            await control.say(type="stop_recording")
            await control.hear("recording_stopped")

    asyncio.run(main())


@pytest.mark.parametrize("target", ["/nowhere", "/?channel=..%2Fx", "/?sample_rate=abc", "/?session=" + "x" * 65])
def test_bad_addresses_are_refused_before_they_are_sockets(daemon: RunningDaemon, target: str) -> None:
    async def main() -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with calling(daemon.audio + target):
                pass
        assert refused.value.response.status_code in (400, 404)
        body = json.loads(refused.value.response.body or b"")
        assert body["code"] in ("bad_field", "not_found")
        assert body.keys() == {"type", "code", "message", "retryable"}

    asyncio.run(main())


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}], ids=str
)
def test_foreign_pages_are_refused(daemon: RunningDaemon, headers: dict[str, str]) -> None:
    async def main() -> None:
        for uri in (daemon.audio, daemon.control):
            with pytest.raises(InvalidStatus) as refused:
                async with calling(uri, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == 403

    asyncio.run(main())
    request = urllib.request.Request(f"{daemon.http}/health", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(request)
    assert answer.value.code == 403
    answer.value.close()


def test_health_and_metrics(daemon: RunningDaemon) -> None:
    with urllib.request.urlopen(f"{daemon.http}/health") as answer:
        body = json.load(answer)
    assert (body["status"], body["current_model"]) == ("ok", "demo-en")
    assert body["models"][0]["device"] == "cpu"
    assert {w["code"] for w in body["warnings"]} >= {"cpu"}
    with urllib.request.urlopen(f"{daemon.http}/metrics") as answer:
        series = answer.read().decode()
    assert 'hotmic_model_serving{model="demo-en"} 1.0' in series
    assert "hotmic_rejections_total" in series


def test_tokens_by_header_and_by_first_message(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("alice:0123456789abcdef\nbob:fedcba9876543210:listen\n")
    running = start_daemon(tmp_path, "--tokens", str(tokens))

    async def main() -> None:
        bearer = {"Authorization": "Bearer 0123456789abcdef"}
        async with calling(running.control, additional_headers=bearer) as control:
            await control.hear("connected")
        async with calling(running.control) as control:
            await control.say(type="get_models")
            assert (await control.hear("error"))["code"] == "not_authorized"
            with pytest.raises(ConnectionClosed) as closed:
                await control.socket.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
        async with calling(running.control) as control:
            await control.say(type="authenticate", token="fedcba9876543210")
            await control.hear("connected")
            await control.say(type="load_model", model_id="demo-en")
            assert (await control.hear("error"))["code"] == "not_authorized"
        with pytest.raises(InvalidStatus):
            async with calling(running.audio, additional_headers={"Authorization": "Bearer wrong-wrong-wrong"}):
                pass

    try:
        asyncio.run(main())
    finally:
        assert running.stop() == 0
    assert "0123456789abcdef" not in running.log.read_text()


def test_a_network_bind_without_tokens_refuses_to_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="without tokens"):
        start_daemon(tmp_path, "--host", "0.0.0.0")
