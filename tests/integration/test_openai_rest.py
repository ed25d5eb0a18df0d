"""Files over HTTP: OpenAI's own library, unmodified, and requests that it would not send, with the bundled model."""

import asyncio
import http.client
import json
import socket
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import openai
import pytest
from openai import OpenAI

from file_support import encoded, wav
from running import CLIPS, RunningDaemon, running_daemon

pytestmark = pytest.mark.integration

TEXTS = {name: str(clip["text"]) for name, clip in json.loads((CLIPS / "clips.json").read_text()).items()}
KEY, LISTENER = "a-key-of-the-test-that-is-long-enough", "another-key-that-may-only-listen-to-it"
NAMES = ("lights_kitchen", "meeting_monday", "order_latte")
LIMIT = 120.0


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDaemon]:
    folder = tmp_path_factory.mktemp("rest")
    tokens = folder / "tokens"
    tokens.write_text(f"app:{KEY}:speak,listen\near:{LISTENER}:listen\n")
    config = folder / "hotmic.yaml"
    config.write_text(f"tokens: {tokens}\nmax_file_mb: 3\nmax_file_s: 600\nmax_files_per_token: 2\n")
    with running_daemon(folder, "--config", str(config)) as daemon:
        yield daemon


@pytest.fixture(scope="module")
def client(daemon: RunningDaemon) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{daemon.http}/v1", api_key=KEY, max_retries=0, timeout=LIMIT) as client:
        yield client


def clip(name: str) -> np.ndarray[Any, np.dtype[np.int16]]:
    with wave.open(str(CLIPS / f"{name}.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def talk() -> bytes:
    """Return three clips with pauses between them."""
    pause = np.zeros(16_000, np.int16)
    return wav(np.concatenate([piece for name in NAMES for piece in (clip(name), pause)]))


TALK = " ".join(TEXTS[name] for name in NAMES)


# what the library asks


def test_a_file_is_a_text(client: OpenAI) -> None:
    with (CLIPS / "order_latte.wav").open("rb") as file:
        answer = client.audio.transcriptions.create(file=file, model="whisper-1")
    assert answer.text == TEXTS["order_latte"]
    assert answer.usage is not None
    assert answer.usage.type == "duration"


@pytest.mark.parametrize("model", ["demo-en", "gpt-4o-transcribe", "gpt-4o-mini-transcribe", "gpt-transcribe"])
def test_models_by_all_their_names(client: OpenAI, model: str) -> None:
    answer = client.audio.transcriptions.create(file=("a.wav", talk()), model=model, language="en", temperature=0)
    assert answer.text == TALK


@pytest.mark.parametrize(("name", "codec"), [("webm", "libopus"), ("mp3", "libmp3lame"), ("mp4", "aac")])
def test_containers(client: OpenAI, name: str, codec: str) -> None:
    import soxr

    sound = soxr.resample(clip("lights_kitchen"), 16_000, 48_000)
    data = encoded(name, codec, sound, 48_000)
    assert (
        client.audio.transcriptions.create(file=(f"a.{name}", data), model="whisper-1").text == TEXTS["lights_kitchen"]
    )


def test_words_and_segments(client: OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        file=("a.wav", talk()),
        model="whisper-1",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert (answer.text, answer.language) == (TALK, "en")
    assert answer.words is not None
    assert answer.segments is not None
    assert [word.word for word in answer.words] == TALK.split()
    assert [segment.text for segment in answer.segments] == [TEXTS[name] for name in NAMES]
    ends = [0.0, *(segment.end for segment in answer.segments)]
    assert all(a <= s.start < s.end <= answer.duration + 1 for a, s in zip(ends, answer.segments, strict=False))
    for segment in answer.segments:
        words = [w for w in answer.words if segment.start <= (w.start + w.end) / 2 <= segment.end]
        assert " ".join(w.word for w in words) == segment.text


def test_segments_alone_where_no_granularity_is_named(client: OpenAI) -> None:
    answer = client.audio.transcriptions.create(
        file=("a.wav", talk()), model="whisper-1", response_format="verbose_json"
    )
    assert answer.words is None
    assert answer.segments is not None
    assert len(answer.segments) == 3


def test_text_and_subtitles(client: OpenAI) -> None:
    def asked(form: Any) -> str:
        answer = client.audio.transcriptions.create(file=("a.wav", talk()), model="whisper-1", response_format=form)
        return str(answer)

    assert asked("text") == TALK + "\n"
    assert asked("srt").startswith("1\n00:00:0")
    assert asked("vtt").startswith("WEBVTT\n")
    for form in ("srt", "vtt"):
        assert all(TEXTS[name] in asked(form) for name in NAMES)


def test_a_stream_of_events(client: OpenAI) -> None:
    stream = client.audio.transcriptions.create(file=("a.wav", talk()), model="gpt-4o-transcribe", stream=True)
    events = list(stream)
    assert [event.type for event in events] == ["transcript.text.delta"] * 3 + ["transcript.text.done"]
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert deltas == TALK
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == TALK


def test_silence_is_an_empty_text(client: OpenAI) -> None:
    quiet = wav(np.zeros(32_000, np.int16))
    assert client.audio.transcriptions.create(file=("a.wav", quiet), model="whisper-1").text == ""


def test_models_are_listed(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"demo-en", "whisper-1", "gpt-4o-transcribe"} <= set(names)
    assert client.models.retrieve("whisper-1").owned_by == "hotmic"


# what is refused


def refused(client: OpenAI, kind: type[openai.APIStatusError], **more: Any) -> dict[str, Any]:
    asked = {"file": ("a.wav", talk()), "model": "whisper-1", **more}
    with pytest.raises(kind) as caught:
        answer = client.audio.transcriptions.create(**asked)
        list(answer)
    assert isinstance(caught.value.body, dict)
    assert {"message", "type", "param", "code"} <= caught.value.body.keys()
    return caught.value.body


@pytest.mark.parametrize(
    "model",
    ["nobody", "../../etc/passwd", "https://example.com/x", "a" * 3000, "DEMO-EN", "demo-en\x00", "ไทย", "hf/owner"],
    ids=[str(number) for number in range(8)],
)
def test_unknown_and_hostile_models(client: OpenAI, model: str) -> None:
    body = refused(client, openai.NotFoundError, model=model)
    assert (body["param"], body["code"]) == ("model", "model_not_found")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(model.replace("/", "%2F"))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": "gpt-4o-transcribe-diarize"}, "model"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"temperature": 0.7}, "temperature"),
        ({"include": ["logprobs"]}, "include"),
        ({"language": "th"}, "language"),
        ({"language": "english"}, "language"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        ({"stream": True, "response_format": "srt"}, "stream"),
        ({"chunking_strategy": {"type": "server_vad"}}, "chunking_strategy[type]"),
        ({"known_speaker_names": ["a"]}, "known_speaker_names"),
        ({"prompt": "x" * 5000}, "prompt"),
        ({"extra_body": {"nonsense": "1"}}, "nonsense"),
    ],
)
def test_what_cannot_be_done_names_its_field(client: OpenAI, fields: dict[str, Any], param: str) -> None:
    assert refused(client, openai.BadRequestError, **fields)["param"] == param


def test_the_bundled_model_does_not_translate(client: OpenAI) -> None:
    with (
        pytest.warns(DeprecationWarning, match="deprecated"),
        pytest.raises(openai.BadRequestError, match="cannot translate"),
    ):
        client.audio.translations.create(file=("a.wav", talk()), model="whisper-1")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "data",
    [b"", b"no audio at all " * 5000, b"RIFF\x00\x00", wav(np.zeros(0, np.int16))],
    ids=["empty", "text", "stump", "header"],
)
def test_garbage(client: OpenAI, data: bytes, stream: bool) -> None:
    assert refused(client, openai.BadRequestError, file=("a.wav", data), stream=stream)["code"] == "bad_audio"


def test_a_file_over_the_limit_in_bytes(client: OpenAI) -> None:
    for size in (3 << 20, 9 << 20):
        with pytest.raises(openai.APIStatusError) as caught:
            client.audio.transcriptions.create(file=("a.wav", wav(np.zeros(size // 2, np.int16))), model="whisper-1")
        assert caught.value.status_code == 413


def test_a_file_over_the_limit_in_seconds(client: OpenAI) -> None:
    bomb = encoded("flac", "flac", np.zeros(16_000 * 1200, np.int16), 16_000)
    with pytest.raises(openai.APIStatusError, match="600 s") as caught:
        client.audio.transcriptions.create(file=("a.flac", bomb), model="whisper-1")
    assert caught.value.status_code == 413


def test_tokens(daemon: RunningDaemon) -> None:
    asked = {"file": ("a.wav", talk()), "model": "whisper-1"}
    for key, kind in (
        ("wrong-key-of-the-test-that-is-long", openai.AuthenticationError),
        (LISTENER, openai.PermissionDeniedError),
    ):
        with OpenAI(base_url=f"{daemon.http}/v1", api_key=key, max_retries=0) as client, pytest.raises(kind):
            client.audio.transcriptions.create(**asked)  # type: ignore[call-overload]
    assert httpx.post(f"{daemon.http}/v1/audio/transcriptions").status_code == 401
    assert httpx.get(f"{daemon.http}/v1/models").status_code == 401


def test_another_model_needs_the_scope_to_load_it(client: OpenAI) -> None:
    with pytest.raises(openai.PermissionDeniedError, match="control"):
        client.audio.transcriptions.create(file=("a.wav", talk()), model="tiny")


# what the library would not send


def post(daemon: RunningDaemon, body: bytes, **headers: str) -> tuple[int, dict[str, Any]]:
    address = urlsplit(daemon.http)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=LIMIT)
    try:
        given = {"Authorization": f"Bearer {KEY}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        connection.request("POST", "/v1/audio/transcriptions", body, given)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


BOUNDARY = "multipart/form-data; boundary=x"


def part(name: str, value: bytes, *, filename: str = "") -> bytes:
    more = f'; filename="{filename}"' if filename else ""
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


def test_a_file_may_come_before_the_fields(daemon: RunningDaemon) -> None:
    body = (
        part("file", talk(), filename="a.wav")
        + part("model", b"whisper-1")
        + part("response_format", b"json")
        + b"--x--\r\n"
    )
    status, answer = post(daemon, body, Content_Type=BOUNDARY)
    assert (status, answer["text"]) == (200, TALK)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "application/json"),
        (b"{}", "application/json"),
        (b"nonsense", BOUNDARY),
        (b"", BOUNDARY),
        (part("model", b"whisper-1") + b"--x--\r\n", BOUNDARY),
        (part("file", b"x", filename="a") + b"--x--\r\n", BOUNDARY),
        (part("file", b"text") + part("model", b"whisper-1") + b"--x--\r\n", BOUNDARY),
        (part("file", b"", filename="a") + part("file", b"", filename="b") + b"--x--\r\n", BOUNDARY),
        (part("other", b"", filename="a") + b"--x--\r\n", BOUNDARY),
        (part("model", b"\xff\xfe") + b"--x--\r\n", BOUNDARY),
        (part("model", b"whisper-1") + part("file", bytes(5000), filename="a"), BOUNDARY),
        (b"".join(part("model", b"a") for _ in range(300)) + b"--x--\r\n", BOUNDARY),
        (part("prompt", bytes(100_000)) + b"--x--\r\n", BOUNDARY),
        (b"--x\r\n" + b"a" * 200_000, BOUNDARY),
    ],
    ids=[str(number) for number in range(14)],
)
def test_damaged_requests(daemon: RunningDaemon, body: bytes, kind: str) -> None:
    status, answer = post(daemon, body, Content_Type=kind)
    assert status in (400, 413)
    assert answer["error"]["message"].endswith(".")
    assert "Traceback" not in daemon.log.read_text()


def test_lying_lengths(daemon: RunningDaemon) -> None:
    body = part("model", b"whisper-1") + part("file", talk(), filename="a.wav") + b"--x--\r\n"
    status, _ = post(daemon, body, Content_Type=BOUNDARY, Content_Length=str(len(body) // 2))
    assert status == 400
    address = urlsplit(daemon.http)
    with socket.create_connection((address.hostname, address.port), timeout=LIMIT) as raw:
        head = (
            f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: {BOUNDARY}\r\nContent-Length: {len(body) + 1000}\r\n\r\n"
        )
        raw.sendall(head.encode() + body)
        raw.shutdown(socket.SHUT_WR)
        raw.recv(1 << 16)
    wait_for_quiet(daemon)


def children(daemon: RunningDaemon) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text() if entry.name.isdecimal() else ""
            if stat and int(stat.rpartition(")")[2].split()[1]) == daemon.process.pid:
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return [line for line in found if "hotmic.audio.decoder" in line]


def wait_for_quiet(daemon: RunningDaemon) -> None:
    """Wait until no decoder and no session is left."""

    async def wait() -> None:
        async with asyncio.timeout(LIMIT), httpx.AsyncClient() as web:
            while True:
                metrics = (await web.get(f"{daemon.http}/metrics", headers={"Authorization": f"Bearer {KEY}"})).text
                if not children(daemon) and "\nhotmic_sessions 0.0" in metrics:
                    return
                await asyncio.sleep(0.05)

    asyncio.run(wait())


def heard_seconds(daemon: RunningDaemon) -> float:
    metrics = httpx.get(f"{daemon.http}/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    return next(
        float(line.split()[1]) for line in metrics.splitlines() if line.startswith("hotmic_audio_seconds_total")
    )


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_work(daemon: RunningDaemon, client: OpenAI, stream: bool) -> None:
    sound = np.concatenate([clip("order_latte"), np.zeros(8000, np.int16)] * 200)[: 16_000 * 590]
    long = encoded("mp3", "libmp3lame", sound, 16_000)
    before = heard_seconds(daemon)
    if stream:
        events = client.audio.transcriptions.create(file=("a.mp3", long), model="whisper-1", stream=True)
        assert next(iter(events)).type == "transcript.text.delta"
        events.close()
    else:
        with pytest.raises(openai.APITimeoutError):
            client.with_options(timeout=0.7).audio.transcriptions.create(file=("a.mp3", long), model="whisper-1")
    wait_for_quiet(daemon)
    assert heard_seconds(daemon) - before < 500


def test_too_many_at_a_time(daemon: RunningDaemon, client: OpenAI) -> None:
    address = urlsplit(daemon.http)
    head = (
        f"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: {BOUNDARY}\r\nContent-Length: 100000\r\n\r\n"
    )
    held = [socket.create_connection((address.hostname, address.port)) for _ in range(2)]
    for raw in held:
        raw.sendall(head.encode() + part("file", b"RIFF", filename="a.wav")[:-2])

    async def busy() -> None:
        async with asyncio.timeout(LIMIT):
            while len(children(daemon)) < 2:
                await asyncio.sleep(0.02)

    try:
        asyncio.run(busy())
        with pytest.raises(openai.RateLimitError) as caught:
            client.audio.transcriptions.create(file=("a.wav", talk()), model="whisper-1")
        assert int(caught.value.response.headers["retry-after"]) > 0
    finally:
        for raw in held:
            raw.close()
    wait_for_quiet(daemon)
    assert client.audio.transcriptions.create(file=("a.wav", talk()), model="whisper-1").text == TALK


def test_nothing_is_left_over(daemon: RunningDaemon) -> None:
    wait_for_quiet(daemon)
    assert "Traceback" not in daemon.log.read_text()
    assert TALK not in daemon.log.read_text()
