import io
from collections.abc import Callable
from pathlib import Path

import pytest

from hotmic.config.model import HubRepository, LocalDirectory, ModelSpec
from hotmic.errors import BadMessage
from hotmic.values import Capabilities, DecodeJob, DecodeResult, Word
from hotmic.worker import messages
from hotmic.worker.messages import Decode, Failed, Heartbeat, Loaded, Progress, Results, Start, Started


def there_and_back(message: messages.ToChild | messages.FromChild, parse: Callable[[bytes], object]) -> object:
    body = messages.read_frame(io.BytesIO(messages.encode_frame(message)))
    assert body is not None
    return parse(body)


def test_every_message_to_the_child_survives(
    start: Callable[..., Start], spec: Callable[..., ModelSpec], job: Callable[..., DecodeJob]
) -> None:
    sources = [LocalDirectory(path=Path("/m")), HubRepository(repository="a/b", revision="c")]
    starts = [Start(spec=spec(source=s), **{**PLAIN, "directory": Path("/x")}) for s in sources]
    for message in [
        *starts,
        start(),
        start(crash_on=3, fail_load="no"),
        Decode(batch_id=1, jobs=(job(b"\0\1", noise=b"n"),)),
    ]:
        assert there_and_back(message, messages.parse_to_child) == message


def test_every_message_from_the_child_survives() -> None:
    word = Word(word="a", start=0.0, end=1.0, probability=0.5)
    loaded = Loaded(device="cpu", compute_type="int8", reason="r", threads=2, capabilities=Capabilities())
    tried = [
        Started(pid=3),
        Progress(stage="loading", share=0.5),
        loaded,
        Heartbeat(busy_s=2.0),
        Results(batch_id=1, results=(DecodeResult(job_id="j", text="a", words=(word,)),)),
        Failed(code="engine_failed", message="m", batch_id=4),
    ]
    assert {type(message) for message in tried} == set(messages.FromChild.__args__)
    for message in tried:
        assert there_and_back(message, messages.parse_from_child) == message


@pytest.mark.parametrize("body", [b"", b"\xc1", b"nonsense", b"\x81\xa4type\xa4what"])
def test_nonsense_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessage, match="pool sent"):
        messages.parse_to_child(body)
    with pytest.raises(BadMessage, match="worker sent"):
        messages.parse_from_child(body)


def test_frames_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadMessage, match="longer than"):
        messages.read_frame(io.BytesIO(b"\xff\xff\xff\xff"))
    monkeypatch.setattr(messages, "MAX_FRAME_BYTES", 5)
    with pytest.raises(BadMessage, match="longer than"):
        messages.encode_frame(Heartbeat())


def test_streams_end_between_frames_only() -> None:
    frame = messages.encode_frame(Heartbeat())
    stream = io.BytesIO(frame * 2)
    assert messages.read_frame(stream) == messages.read_frame(stream)
    assert messages.read_frame(stream) is None
    for cut in (2, 6):
        with pytest.raises(BadMessage, match="cut off"):
            messages.read_frame(io.BytesIO(frame[:cut]))


PLAIN = {"device": "auto", "compute_type": "auto", "threads": 0, "batch_size": 8, "num_workers": 1}
