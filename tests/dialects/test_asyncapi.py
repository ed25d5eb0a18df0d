"""The AsyncAPI document: sound in itself, and nothing of the protocols missing."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from hotmic.dialects import message
from hotmic.dialects.asyncapi import build_document
from hotmic.dialects.catalogue import EXCHANGES, SHARED, Exchange, Raw
from hotmic.dialects.negotiate import DIALECTS, GATEWAY_PATHS

SERVERS = {
    "gateway": "localhost:8000",
    "control": "localhost:8765",
    "audio": "localhost:8766",
    "audio-1": "localhost:9000",
    "live_caption-rnnt-2": "localhost:9001",
    "simul-3": "localhost:9002",
}
PATHS = {
    "gateway": GATEWAY_PATHS,
    "control": {"/": "control_or_caption", "/ws/control": "control", "/ws/audio": "control"},
    "audio": dict.fromkeys(("/", "/ws/control", "/ws/audio"), "audio"),
    "audio-1": {"*": "audio"},
    "live_caption-rnnt-2": {"/captions": "live_caption", "/more": "live_caption", "/ws/transcribe": "rnnt"},
    "simul-3": {"/ws/transcription": "rnnt", "*": "simul"},
}
DOCUMENT = build_document(EXCHANGES, paths=PATHS, servers=SERVERS, protocol="wss", version="1.2.3", any_path="*")


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nodes(inner)


def resolve(reference: str) -> Any:
    place: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        place = place[step]
    return place


def test_it_has_what_the_specification_requires() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= DOCUMENT["info"].keys()
    assert DOCUMENT["info"]["version"] == "1.2.3"
    for server in DOCUMENT["servers"].values():
        assert server["protocol"] == "wss"
        assert server["host"] in SERVERS.values()
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = resolve(operation["channel"]["$ref"])
        # An operation names messages of its channel, by reference to the channel and not to the components.
        assert operation["messages"]
        for said in operation["messages"]:
            assert said["$ref"].startswith(operation["channel"]["$ref"] + "/messages/")
            assert resolve(said["$ref"]) in channel["messages"].values()
    for channel in DOCUMENT["channels"].values():
        assert channel["address"].startswith("/")
        assert channel["servers"]
        assert channel["bindings"]["ws"]["query"]["properties"]
    names = [server["$ref"] for server in DOCUMENT["channels"]["audio"]["servers"]]
    assert names == ["#/servers/gateway", "#/servers/audio", "#/servers/audio-1"]
    keys = [key for part in ("messages", "schemas") for key in DOCUMENT["components"][part]]
    assert all(re.fullmatch(r"[a-zA-Z0-9._-]+", key) for key in (*keys, *DOCUMENT["channels"]))


def test_every_reference_resolves_and_nothing_is_left_over() -> None:
    references = {node["$ref"] for node in nodes(DOCUMENT) if "$ref" in node}
    for reference in references:
        assert isinstance(resolve(reference), dict)
    for part in ("messages", "schemas"):
        for name in DOCUMENT["components"][part]:
            assert f"#/components/{part}/{name}" in references


def test_it_is_fresh() -> None:
    assert [*EXCHANGES, *SHARED] == list(DIALECTS), "every dialect has its messages in dialects/catalogue.py"
    assert {DOCUMENT["channels"][dialect]["address"] for dialect in EXCHANGES} == set(GATEWAY_PATHS)
    for dialect, exchange in EXCHANGES.items():
        for action, said in (("receive", exchange.received), ("send", exchange.sent)):
            references = DOCUMENT["operations"][f"{dialect}.{action}"]["messages"]
            described = [resolve(resolve(r["$ref"])["$ref"]) for r in references]
            assert len(described) == len(said)
            for struct, shown in zip(said, described, strict=True):
                if isinstance(struct, Raw):
                    assert shown["contentType"] == struct.content_type
                    continue
                schema = resolve(shown["payload"]["$ref"])
                fields = {field.encode_name for field in msgspec.structs.fields(struct)}
                assert set(schema["properties"]) - {"type"} == fields - {"type"}
                assert shown["name"] == (struct.__struct_config__.tag or struct.__name__)


@pytest.mark.parametrize(
    ("dialect", "accepted"), [("control", message.CONTROL_MESSAGES), ("audio", message.AUDIO_MESSAGES)]
)
def test_all_that_is_accepted_is_described(dialect: str, accepted: tuple[type, ...]) -> None:
    assert set(accepted) == {m for m in EXCHANGES[dialect].received if not isinstance(m, Raw)}


def test_a_listener_stands_with_the_paths_it_has() -> None:
    found = {
        name: (channel["address"], [server["$ref"].rpartition("/")[2] for server in channel["servers"]])
        for name, channel in DOCUMENT["channels"].items()
    }
    assert found == {
        "control": ("/ws/control", ["gateway", "control"]),
        "audio": ("/ws/audio", ["gateway", "audio", "audio-1"]),
        "openai_realtime": ("/v1/realtime", ["gateway"]),
        "plain_text": ("/", ["gateway"]),
        "rnnt": ("/ws/transcribe", ["gateway", "live_caption-rnnt-2"]),
        "rnnt.simul-3": ("/ws/transcription", ["simul-3"]),
        "simul": ("/ws/transcription", ["gateway"]),
        "simul.simul-3": ("/", ["simul-3"]),
        "live_caption": ("/ws/live-caption", ["gateway"]),
        "live_caption.live_caption-rnnt-2": ("/captions", ["live_caption-rnnt-2"]),
    }


def test_a_name_means_one_frame() -> None:
    frames = {m for exchange in EXCHANGES.values() for m in (*exchange.received, *exchange.sent) if isinstance(m, Raw)}
    assert len({frame.name for frame in frames}) == len(frames)


def test_messages_of_two_dialects_may_have_one_name() -> None:
    one = msgspec.defstruct("Ping", [], tag="ping", module="dialects.one")
    two = msgspec.defstruct("Ping", [("n", int)], tag="ping", module="dialects.two")
    exchanges = {
        "a": Exchange(summary="A.", received=(one,), sent=(one,)),
        "b": Exchange(summary="B.", received=(two,), sent=(two,)),
    }
    document = build_document(
        exchanges,
        paths={"gateway": {"/a": "a", "/b": "b"}},
        servers=SERVERS,
        protocol="wss",
        version="1",
        any_path="*",
    )
    assert len(document["components"]["schemas"]) == len(document["components"]["messages"]) == 2
    assert [len(channel["messages"]) for channel in document["channels"].values()] == [1, 1]
