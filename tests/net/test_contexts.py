"""Clients of appended text over stand-in sockets: contexts kept apart and across connections, errors by closing."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import virtual_time
from hotmic.dialects.control import ControlDialect
from hotmic.dialects.dialect import Dialect, Frame
from hotmic.dialects.plain_text import PlainTextDialect
from hotmic.dialects.simul import SimulDialect
from hotmic.dialects.wish import Wish
from hotmic.engines import echo
from hotmic.net.connection import Connection
from net_support import ANYBODY, FakePeer, House, overload
from wire_support import npy

SECONDS = 0.1


class TextPeer(FakePeer):
    """A socket whose text frames are no JSON."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[Frame] = []

    async def send(self, frame: Frame) -> None:
        self.texts.append(frame)


def admit(
    house: House, peer: FakePeer, dialect: Dialect, *, client_id: str = "", channel: str = ""
) -> "asyncio.Task[None]":
    session = dialect.session_name(Wish(client_id=client_id))
    connection = Connection(peer, dialect, house.services, grant=ANYBODY, channel=channel, session=session)
    return asyncio.get_running_loop().create_task(connection.run())


def call(house: House, client_id: str, channel: str = "") -> tuple[FakePeer, "asyncio.Task[None]"]:
    peer = FakePeer()
    return peer, admit(house, peer, SimulDialect(client_id=client_id), client_id=client_id, channel=channel)


def array(number: int, speaker: int) -> bytes:
    return npy(echo.chunk(number, speaker=speaker).astype(np.float32) / np.float32(32768))


def heard(*peers: FakePeer) -> str:
    return "".join(message["text"] for peer in peers for message in peer.sent)


def numbers(speaker: int, said: Sequence[int]) -> str:
    return " ".join(str(speaker * echo.SPEAKER_STRIDE + number) for number in said)


def test_four_contexts_are_kept_apart_and_one_over_a_broken_connection(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        names = ("user", "system", "guest", "door")
        peers = [call(house, name) for name in names]
        again: FakePeer | None = None
        for number in range(24):
            if number == 9:
                peers[0][0].break_off()
                await peers[0][1]
            if number == 14:
                again, task = call(house, "user")
                peers.append((again, task))
            for speaker, (peer, _) in enumerate(peers[:4]):
                if speaker or number < 9:
                    peer.say(array(number, speaker))
            if again is not None:
                again.say(array(number, 0))
            await asyncio.sleep(SECONDS)
        assert again is not None
        await asyncio.sleep(3)
        assert heard(peers[0][0]) != ""
        assert again.sent[0]["client_id"] == "user"
        assert heard(peers[0][0], again) == numbers(0, [*range(9), *range(14, 24)])
        for speaker in (1, 2, 3):
            assert heard(peers[speaker][0]) == numbers(speaker, range(24))
            assert {message["client_id"] for message in peers[speaker][0].sent} == {names[speaker]}
        assert {message["type"] for peer, _ in peers for message in peer.sent} == {"transcript"}
        assert house.runner.session_count == 4
        for peer, _ in peers[1:]:
            peer.leave()
        await asyncio.gather(*(task for _, task in peers))
        await asyncio.sleep(31)
        assert house.runner.session_count == 0

    virtual_time.run(main())


def test_a_final_that_nobody_heard_is_told_to_who_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        house.pool.delay = 1.0
        first, task = call(house, "user")
        for number in range(8):
            first.say(array(number, 0))
            await asyncio.sleep(SECONDS)
        first.say(npy(np.zeros(16_000, dtype=np.float32)))  # it ends the utterance; the final is a second away
        await asyncio.sleep(0.2)
        first.break_off()
        await task
        await asyncio.sleep(5)
        second, _ = call(house, "user")
        second.say(array(30, 0))
        await asyncio.sleep(5)
        assert heard(first, second) == numbers(0, [*range(8), 30])
        second.leave()
        await asyncio.sleep(31)

    virtual_time.run(main())


def test_the_newer_of_two_connections_takes_over(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        first, task = call(house, "user")
        second, other = call(house, "user")
        for number in range(6):
            first.say(array(number, 0))
            await asyncio.sleep(SECONDS)
        for number in range(6, 12):
            second.say(array(number, 0))
            await asyncio.sleep(SECONDS)
        await task
        assert first.closed == (1000, "the session goes on elsewhere")
        await asyncio.sleep(3)
        assert heard(first, second) == numbers(0, range(12))
        second.leave()
        await other
        await asyncio.sleep(31)

    virtual_time.run(main())


def test_who_comes_back_to_another_channel_is_heard_in_that_one(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        for number, channel in enumerate(("hall-1", "", "hall-2", "hall-1")):
            listener = FakePeer()
            admit(house, listener, ControlDialect(), channel="hall-2")
            peer, task = call(house, "user", channel)
            for chunk in range(8 * number, 8 * number + 8):
                peer.say(array(chunk, 0))
                await asyncio.sleep(SECONDS)
            peer.say(npy(np.zeros(16_000, dtype=np.float32)))
            await asyncio.sleep(3)
            peer.break_off()
            await task
            finals = [m["text"] for m in listener.sent if m["type"] == "final_transcription"]
            assert finals == [numbers(0, range(16, 24))] * (channel == "hall-2")
            listener.leave()
        assert house.runner.session_count == 3
        await asyncio.sleep(31)

    virtual_time.run(main())


def test_the_same_name_at_two_addresses_is_two_clients(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        here, task = call(house, "user")
        there = FakePeer()
        there.address = "192.0.2.7"
        other = admit(house, there, SimulDialect(client_id="user"), client_id="user")
        for number in range(8):
            here.say(array(number, 0))
            there.say(array(number, 1))
            await asyncio.sleep(SECONDS)
        there.break_off()
        await other
        back = FakePeer()
        back.address = there.address
        other = admit(house, back, SimulDialect(client_id="user"), client_id="user")
        for number in range(8, 12):
            here.say(array(number, 0))
            back.say(array(number, 1))
            await asyncio.sleep(SECONDS)
        await asyncio.sleep(3)
        assert (heard(here), heard(there, back)) == (numbers(0, range(12)), numbers(1, range(12)))
        for peer in (here, back):
            peer.leave()
        await asyncio.gather(task, other)
        await asyncio.sleep(31)

    virtual_time.run(main())


def test_a_bad_array_costs_an_error_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        peer, task = call(house, "user")
        for number in range(8):
            peer.say(array(number, 0))
            if number == 4:
                peer.say(b"\x93NUMPY\1\0nonsense")
                peer.say("hello")
            await asyncio.sleep(SECONDS)
        await asyncio.sleep(3)
        errors = [message["code"] for message in peer.sent if message["type"] == "error"]
        assert errors == ["bad_audio", "invalid_json"]
        assert "".join(m["text"] for m in peer.sent if m["type"] == "transcript") == numbers(0, range(8))
        peer.leave()
        await task
        await asyncio.sleep(31)

    virtual_time.run(main())


def test_bare_text_for_every_utterance(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        peer = TextPeer()
        task = admit(house, peer, PlainTextDialect())
        for first in (0, 50):
            sound = echo.speech(8, first=first).tobytes()
            for begin in range(0, len(sound), 640):
                peer.say(sound[begin : begin + 640])
                await asyncio.sleep(0.02)
            await asyncio.sleep(2)
        assert peer.texts == ["0 1 2 3 4 5 6 7", "50 51 52 53 54 55 56 57"]
        peer.leave()
        await task
        assert peer.closed is None

    virtual_time.run(main())


def test_what_is_no_sound_closes_a_socket_of_bare_text(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        closes = []
        for frame in ("hello", '{"type":"start_recording"}', b"\1\2\3"):
            peer = TextPeer()
            task = admit(house, peer, PlainTextDialect())
            peer.say(frame)
            await task
            assert peer.texts == []
            closes.append(peer.closed)
        assert closes == [
            (1003, "bad_message: This socket takes sound in binary frames alone."),
            (1003, "bad_message: This socket takes sound in binary frames alone."),
            (1007, "bad_audio: PCM16 audio needs an even byte count, this chunk has an odd one: 3."),
        ]
        overload(house.runner, now=asyncio.get_running_loop().time())
        peer = TextPeer()
        task = admit(house, peer, PlainTextDialect())
        peer.say(b"\0\0")
        await task
        assert peer.closed is not None
        assert peer.closed[0] == 1013
        assert peer.closed[1].startswith("overloaded: ")

    virtual_time.run(main())
