"""Live captions over sockets in memory and a pool that echoes, in virtual time: each word once, an answer per frame."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import virtual_time
from container_support import record
from hotmic.commands import AppendContainer
from hotmic.dialects.control_or_caption import ControlOrCaptionDialect
from hotmic.dialects.dialect import Frame
from hotmic.dialects.live_caption import LiveCaptionDialect
from hotmic.engines import echo
from hotmic.net.connection import Connection
from hotmic.net.container import ContainerStream
from hotmic.net.grant import Grant
from net_support import ANYBODY, FakePeer, House
from wav_support import pieces, wav


def admit(house: House, peer: FakePeer, *, grant: Grant = ANYBODY, channel: str = "") -> "asyncio.Task[None]":
    """Let somebody in at the port that control and captions share."""
    dialect = ControlOrCaptionDialect(LiveCaptionDialect())
    connection = Connection(peer, dialect, house.services, grant=grant, channel=channel)
    return asyncio.get_running_loop().create_task(connection.run())


def sound(first: int, last: int) -> bytes:
    """Return the numbered chunks of 100 ms."""
    return b"".join(echo.chunk(number).tobytes() for number in range(first, last))


def words(peer: FakePeer) -> list[str]:
    return " ".join(m["text"] for m in peer.sent if m["type"] == "transcription").split()


def answers(peer: FakePeer) -> list[dict[str, Any]]:
    return [m for m in peer.sent if m["type"] in ("transcription", "buffering", "error")]


def test_a_live_speaker_hears_every_word_once_and_the_last_ones_unasked(tmp_path: Path) -> None:
    async def main() -> None:
        house, peer = House(tmp_path), FakePeer()
        task = admit(house, peer)
        for number in range(40):
            peer.say(echo.chunk(number).tobytes())
            await asyncio.sleep(0.1)
            assert len(answers(peer)) == number + 1, "every frame is answered at once"
        assert len(words(peer)) > 20, "words come while one speaks"
        await asyncio.sleep(6)
        assert words(peer) == [str(number) for number in range(40)]
        unasked = answers(peer)[40:]
        assert {m["type"] for m in unasked} == {"transcription"}, "the last words come in messages of their own"
        peer.leave()
        await task
        assert house.runner.session_count == 0

    virtual_time.run(main())


def test_one_that_sends_a_file_and_waits_for_each_answer_hears_all_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        house, peer = House(tmp_path), FakePeer()
        house.pool.delay = 1.5
        task = admit(house, peer)
        frames = [sound(0, 10), sound(10, 20), sound(20, 25), bytes(32_000)]
        for number, frame in enumerate(frames):
            peer.say(frame)
            async with asyncio.timeout(60):
                while len(answers(peer)) == number:
                    await asyncio.sleep(0.01)
        assert words(peer) == [str(number) for number in range(25)]
        peer.leave()
        await task

    virtual_time.run(main())


def test_chunks_of_two_seconds_are_one_utterance(tmp_path: Path) -> None:
    async def main() -> None:
        house, peer, ear = House(tmp_path), FakePeer(), FakePeer()
        task, other = admit(house, peer), house.admit(ear, channel="default")
        for begin in (0, 20, 40):
            peer.say(sound(begin, begin + 20))
            await asyncio.sleep(2)
        await asyncio.sleep(6)
        assert words(peer) == [str(number) for number in range(60)]
        assert house.pool.batches, "something was decoded"
        assert ear.kinds == ["connected"], "captions are private"
        for one in (peer, ear):
            one.leave()
        await asyncio.gather(task, other)

    virtual_time.run(main())


def test_clearing_drops_what_is_being_said(tmp_path: Path) -> None:
    async def main() -> None:
        house, peer = House(tmp_path), FakePeer()
        task = admit(house, peer)
        peer.say(sound(0, 4))
        peer.say({"type": "clear_buffer"})
        peer.say(sound(50, 60))
        await asyncio.sleep(8)
        assert words(peer) == [str(number) for number in range(50, 60)]
        peer.leave()
        await task

    virtual_time.run(main())


def test_who_has_not_decided_hears_what_control_hears(tmp_path: Path) -> None:
    async def main() -> None:
        house, quiet, speaker = House(tmp_path), FakePeer(), FakePeer()
        tasks = [admit(house, quiet), house.admit(speaker, speaks=True, channel="default")]
        await asyncio.sleep(0.1)
        quiet.say({"type": "ping"})
        speaker.say(sound(0, 10))
        speaker.say({"type": "audio_end"})
        await asyncio.sleep(3)
        assert "final_transcription" in quiet.kinds
        assert quiet.kinds[:2] == ["connected", "pong"]
        house.control.announce_models()
        await asyncio.sleep(0.1)
        assert quiet.kinds[-1] == "models_changed"
        before = len(quiet.sent)
        quiet.say(bytes(3200))
        await asyncio.sleep(0.1)
        speaker.say(sound(0, 10))
        speaker.say({"type": "audio_end"})
        house.control.announce_models()
        await asyncio.sleep(3)
        assert quiet.kinds[before:] == ["buffering"], "from then on it is alone"
        for one in (quiet, speaker):
            one.leave()
        await asyncio.gather(*tasks)

    virtual_time.run(main())


def test_a_speaker_without_room_is_answered(tmp_path: Path) -> None:
    async def main() -> None:
        house, peer = House(tmp_path, streams=0), FakePeer()
        task = admit(house, peer)
        peer.say(bytes(3200))
        await asyncio.wait_for(task, 60)
        assert [(m["type"], m["code"]) for m in answers(peer)] == [("error", "rate_limited")]
        assert peer.closed is not None
        assert peer.closed[0] == 1013

    virtual_time.run(main())


def test_a_connection_that_ends_begins_no_container_behind_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    class SlowFeed:
        def __init__(self, **_: object) -> None:
            pass

        async def receive(self, command: AppendContainer) -> None:
            done.append("received")

        async def close(self) -> None:
            await asyncio.sleep(1)
            done.append("closed")

    class BrokenPeer(FakePeer):
        async def send(self, frame: Frame) -> None:
            raise RuntimeError("a bug")

    async def main() -> None:
        monkeypatch.setattr("hotmic.net.connection.ContainerFeed", SlowFeed)
        peer = BrokenPeer()
        connection = Connection(peer, LiveCaptionDialect(), House(tmp_path).services, grant=ANYBODY)
        task = asyncio.create_task(connection.run())
        await asyncio.sleep(0.5)
        peer.say(b"\x1a\x45\xdf\xa3" + bytes(100))
        await task

    virtual_time.run(main())
    assert done == ["closed"]


def test_a_token_of_patterns_alone_names_its_channel_in_the_url_and_is_told_so(tmp_path: Path) -> None:
    async def main() -> None:
        house, grant = House(tmp_path), Grant(name="halls", channels=("hall-*",))
        unnamed, named = FakePeer(), FakePeer()
        refused, task = admit(house, unnamed, grant=grant), admit(house, named, grant=grant, channel="hall-7")
        await refused
        assert unnamed.sent[-1]["code"] == "not_authorized"
        assert "?channel=NAME" in unnamed.sent[-1]["message"]
        assert unnamed.closed is not None
        assert unnamed.closed[0] == 1008
        named.say(sound(0, 10))
        named.say(bytes(32_000))
        await asyncio.sleep(6)
        assert words(named) == [str(number) for number in range(10)]
        named.leave()
        await task

    virtual_time.run(main())


@pytest.mark.parametrize("says_goodbye", [True, False])
def test_who_leaves_behind_the_last_blob_is_heard_to_its_end(tmp_path: Path, *, says_goodbye: bool) -> None:
    async def main() -> None:
        house, peer = House(tmp_path), FakePeer()
        task = admit(house, peer)
        for blob in pieces(record(np.frombuffer(sound(0, 30), np.int16), "webm"), 2_000):
            peer.say(blob)
        if says_goodbye:
            peer.leave()
        else:
            peer.break_off()
        async with asyncio.timeout(60):
            await task
        heard = house.services.metrics.registry.get_sample_value("hotmic_audio_seconds_total")
        assert heard == pytest.approx(3.0, abs=0.05)

    asyncio.run(main())


def test_bare_sound_behind_a_container_is_heard_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A WAV file ends the container before it, of which the decoder has not given everything yet."""

    async def main() -> None:
        house, peer = House(tmp_path), FakePeer()
        heard: list[bytes] = []
        receive_audio = house.runner.receive_audio

        def record_audio(session_id: str, data: bytes, **more: Any) -> None:
            heard.append(data)
            receive_audio(session_id, data, **more)

        monkeypatch.setattr(house.runner, "receive_audio", record_audio)
        task = admit(house, peer)
        for blob in pieces(record(np.frombuffer(sound(0, 30), np.int16), "webm"), 2_000):
            peer.say(blob)
        peer.say(wav(np.frombuffer(sound(30, 40), np.int16)))
        peer.leave()
        async with asyncio.timeout(60):
            await task
        whole = b"".join(heard)
        assert len(whole) / 32_000 == pytest.approx(4.0, abs=0.05)
        assert whole.endswith(sound(30, 40))

    asyncio.run(main())


def test_a_decoder_that_hangs_keeps_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotmic.net.container_feed.LAST_SOUND", 0.1)

    async def never(_: ContainerStream) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        house, peer = House(tmp_path, streams=1), FakePeer()
        task = admit(house, peer)
        peer.say(record(np.zeros(16_000, np.int16), "webm"))
        monkeypatch.setattr("hotmic.net.container.ContainerStream.finish", never)
        peer.leave()
        async with asyncio.timeout(60):
            await task
        house.services.containers.enter(address="another", token=None)()  # there is room for one

    asyncio.run(main())
