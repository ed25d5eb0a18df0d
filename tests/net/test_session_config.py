"""What a client secret says of a session counts in every dialect, or is told."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

import virtual_time
from hotmic.commands import SessionOptions
from hotmic.dialects.audio import AudioDialect
from hotmic.dialects.dialect import Dialect
from hotmic.dialects.openai_realtime import OpenaiRealtimeDialect
from hotmic.dialects.plain_text import PlainTextDialect
from hotmic.dialects.rnnt import RnntDialect
from hotmic.engines import echo
from hotmic.net.connection import Connection
from hotmic.net.grant import Grant
from hotmic.net.session_config import configure
from net_support import FakePeer, House

HEARD = {
    "transcription": {"model": "echo", "language": "en", "prompt": "kitchen", "keywords": ["lights"]},
    "noise_reduction": {"type": "far_field"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 700, "prefix_padding_ms": 200, "threshold": 0.4},
}
COUNTS = SessionOptions(
    language="en",
    prompt="kitchen",
    hotwords=("lights",),
    denoise="on",
    min_silence_ms=700,
    pre_roll_ms=200,
    vad_threshold=0.4,
)


def config(heard: dict[str, Any], **session: Any) -> str:
    return json.dumps({"type": "transcription", "audio": {"input": heard}, **session})


def test_what_every_dialect_knows_counts(tmp_path: Path) -> None:
    control = House(tmp_path).control
    assert configure(SessionOptions(), config(HEARD), control) == (COUNTS, "")
    assert configure(COUNTS, "", control) == (COUNTS, "")
    assert configure(COUNTS, "{}", control) == (COUNTS, "")
    off = configure(SessionOptions(), config({"noise_reduction": None}), control)
    assert off == (SessionOptions(denoise="off"), "")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (config({"transcription": {"model": "nobody"}}), "nobody"),
        (config({"transcription": {"model": "other"}}), "'model'"),
        (config({"transcription": {"language": "th"}}), "'th'"),
        (config({"format": {"type": "audio/pcmu"}}), "'format'"),
        (config({"turn_detection": None}), "'turn_detection'"),
        (config({}, include=["item.input_audio_transcription.logprobs"]), "'include'"),
        (config({"transcription": {"language": 3}}), "language"),
        ("[", "JSON"),
    ],
)
def test_what_cannot_be_had_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, word: str) -> None:
    models = "".join(f"  - {{id: {name}, name: E, type: echo, languages: [en]}}\n" for name in ("echo", "other"))
    house = House(tmp_path, registry=f"default: echo\nmodels:\n{models}")
    knows = msgspec.structs.replace(house.pool.capabilities("echo"), languages=("en",))
    monkeypatch.setattr(house.pool, "capabilities", lambda _: knows)
    with structlog.testing.capture_logs() as lines:
        options, problem = configure(SessionOptions(), text, house.control)
    assert options == SessionOptions()
    assert word in problem
    assert [line["event"] for line in lines] == [problem]


@pytest.mark.parametrize("dialect", [AudioDialect(), RnntDialect(), PlainTextDialect(), OpenaiRealtimeDialect()])
def test_a_session_begins_with_it(tmp_path: Path, dialect: Dialect) -> None:
    async def main() -> None:
        house, peer = House(tmp_path), FakePeer()
        begun: list[SessionOptions] = []
        build = house.runner._build_session

        def note(session_id: str, channel: str, options: SessionOptions, tenant: str) -> Any:
            begun.append(options)
            return build(session_id, channel, options, tenant)

        house.runner._build_session = note
        said = config({"transcription": {"language": "en", "prompt": "kitchen", "model": "nobody"}})
        grant = Grant(scopes=("speak", "listen"), is_delegated=True, session_config=said)
        task = asyncio.create_task(Connection(peer, dialect, house.services, grant=grant).run())
        with structlog.testing.capture_logs() as lines:
            if isinstance(dialect, OpenaiRealtimeDialect):
                peer.say({"type": "input_audio_buffer.append", "audio": "AAAAAAAA"})
            else:
                peer.say(echo.chunk(0).tobytes())
            await asyncio.sleep(0.2)
        told = [line for line in lines if "the client secret says" in line["event"]]
        assert len(begun) == 1
        if isinstance(dialect, OpenaiRealtimeDialect):
            assert told == [], "it reads the configuration by itself, from its URL's wish"
        else:
            assert (begun[0].language, begun[0].prompt, len(told)) == ("en", "kitchen", 1)
        if isinstance(dialect, RnntDialect):
            assert [m["code"] for m in peer.sent if m["type"] == "warning"] == ["session_config"]
        peer.leave()
        await task

    virtual_time.run(main())
