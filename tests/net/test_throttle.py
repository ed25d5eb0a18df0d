"""Connections that send too fast, over a stand-in socket in virtual time: exact at the boundary, nothing lost."""

import asyncio
import base64
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import virtual_time
from hotmic.engines import echo
from hotmic.events import PartialTranscribed
from hotmic.net.grant import Grant
from hotmic.net.security import Tokens
from hotmic.net.throttle import CALM, Rates, Throttle
from net_support import FakePeer, House

ALICE = Grant(name="alice")
PING = {"type": "ping"}


def chunk(number: int, *, seq: bool = True) -> dict[str, Any]:
    data = base64.b64encode(echo.chunk(number).tobytes()).decode()
    return {"type": "audio_chunk", "data": data} | ({"seq": number} if seq else {})


def many(first: int, count: int) -> bytes:
    return b"".join(echo.chunk(number).tobytes() for number in range(first, first + count))


def words(peer: FakePeer) -> list[int]:
    return [int(n) for m in peer.sent if m["type"] == "final_transcription" for n in m["text"].split()]


def warnings(peer: FakePeer) -> list[dict[str, Any]]:
    return [m for m in peer.sent if m["type"] == "warning"]


def taken(house: House) -> float:
    """Return the seconds of audio that were taken."""
    return round(house.services.metrics.audio_seconds._value.get(), 3)


def test_a_burst_is_taken_at_once_and_what_follows_at_the_told_speed(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(audio=4.0, audio_burst=3.0))
        peer = FakePeer()
        task = house.admit(peer, speaks=True)
        for number in range(50):
            peer.say(chunk(number))
        peer.say({"type": "audio_end"})
        await asyncio.sleep(0.001)
        assert taken(house) == 3.0
        (warning,) = warnings(peer)
        assert (warning["code"], warning["retry_after_ms"]) == ("rate_limited", 25)
        assert "4 times real time" in warning["message"]
        assert warning["session_id"]
        await asyncio.sleep(0.0235)
        assert taken(house) == 3.0
        await asyncio.sleep(0.001)
        assert taken(house) == 3.1, "after exactly the told time"
        await asyncio.sleep(0.475 - 0.001)
        assert taken(house) == 4.9
        await asyncio.sleep(2)
        assert words(peer) == list(range(50))
        assert len(warnings(peer)) == 1
        (report,) = house.services.roster.reports()
        assert (report.held_s, report.dialect, report.session_id) == (0.5, "audio", warning["session_id"])
        peer.leave()
        await task
        assert house.services.roster.reports() == []

    virtual_time.run(main())


def test_who_keeps_to_the_speed_is_never_held(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(audio=4.0, audio_burst=1.0, messages=40.0, commands=1.0))
        peer = FakePeer()
        task = house.admit(peer, speaks=True)
        for number in range(200):
            peer.say(chunk(number))
            await asyncio.sleep(0.025)
        assert not warnings(peer)
        assert house.services.roster.reports()[0].held_s == 0
        peer.leave()
        await task

    virtual_time.run(main())


@pytest.mark.parametrize("pause", [CALM - 0.01, CALM + 0.01])
def test_the_client_is_told_once_until_it_was_calm(tmp_path: Path, pause: float) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(audio=1.0, audio_burst=1.0))
        peer = FakePeer()
        task = house.admit(peer, speaks=True)
        for turn in range(2):
            for number in range(20):
                peer.say(chunk(20 * turn + number))
            await asyncio.sleep(1.0 + pause)
        await asyncio.sleep(2)
        assert len(warnings(peer)) == (1 if pause < CALM else 2)
        assert not [m for m in peer.sent if m["type"] == "error"]
        peer.leave()
        await task

    virtual_time.run(main())


@pytest.mark.parametrize("numbered", [True, False])
def test_audio_that_is_held_back_is_no_silence(tmp_path: Path, numbered: bool) -> None:
    """A chunk waits longer than the wire may be silent; the sentence is not cut there."""

    async def main() -> None:
        house = House(tmp_path, rates=Rates(audio=0.5, audio_burst=1.0))
        peer = FakePeer()
        task = house.admit(peer, speaks=True)
        for turn in range(3):
            data = many(10 * turn, 10)
            peer.say(
                {"type": "audio_chunk", "data": base64.b64encode(data).decode(), "seq": turn} if numbered else data
            )
        await asyncio.sleep(12)
        finals = [m["text"] for m in peer.sent if m["type"] == "final_transcription"]
        assert finals == [" ".join(map(str, range(30)))]
        peer.leave()
        await task

    virtual_time.run(main())


def test_two_that_wait_at_once_do_not_pass_as_one() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        throttle = Throttle(Rates(audio=1.0, audio_burst=1.0), tell=lambda _: None, withhold=nullcontext)
        passed: list[float] = []

        async def bring() -> None:
            await throttle.admit_audio(1.0)
            passed.append(round(loop.time() - began, 3))

        began = loop.time()
        await asyncio.gather(*(bring() for _ in range(4)))
        assert passed == [0.0, 1.0, 2.0, 3.0]

    virtual_time.run(main())


def test_messages_are_held_and_none_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(messages=10.0))
        peer = FakePeer()
        task = house.admit(peer, speaks=True)
        for number in range(20):
            peer.say(chunk(number))
        peer.say({"type": "audio_end"})
        await asyncio.sleep(0.05)
        assert taken(house) == 1.0
        await asyncio.sleep(0.06)
        assert taken(house) == 1.1
        (warning,) = warnings(peer)
        assert (warning["code"], warning["retry_after_ms"]) == ("rate_limited", 100)
        await asyncio.sleep(2)
        assert words(peer) == list(range(20))
        peer.leave()
        await task

    virtual_time.run(main())


def test_commands_beyond_their_rate_are_refused_and_not_carried_out(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(commands=20.0))
        peer, other = FakePeer(), FakePeer()
        tasks = [house.admit(peer), house.admit(other)]
        for number in range(41):
            peer.say({"type": "subscribe", "channel": f"room-{number}", "request_id": number})
        await asyncio.sleep(0.01)
        assert peer.kinds == ["connected", *["subscribed"] * 40, "error"]
        error = peer.sent[-1]
        assert (error["code"], error["retry_after_ms"], error["request_id"]) == ("rate_limited", 50, 40)
        assert error["retryable"]
        assert not house.hub.has("room-40")
        assert house.hub.has("room-39")
        await asyncio.sleep(0.039)
        peer.say(PING)
        await asyncio.sleep(0.001)
        peer.say(PING)
        await asyncio.sleep(0.001)
        assert peer.kinds[-2:] == ["error", "pong"], "after exactly the told time"
        other.say(PING)
        await asyncio.sleep(0.001)
        assert other.kinds == ["connected", "pong"]
        assert peer.closed is None
        for one in (peer, other):
            one.leave()
        await asyncio.gather(*tasks)

    virtual_time.run(main())


def test_what_cannot_be_read_counts_as_a_command(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(commands=2.0))
        peer = FakePeer()
        task = house.admit(peer)
        for _ in range(6):
            peer.say("nonsense")
        await asyncio.sleep(0.01)
        assert [m["code"] for m in peer.sent[1:]] == ["invalid_json"] * 4 + ["rate_limited"] * 2
        assert peer.closed is None
        peer.leave()
        await task

    virtual_time.run(main())


def test_the_end_of_the_audio_is_held_and_never_refused(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(commands=1.0))
        peer = FakePeer()
        task = house.admit(peer, speaks=True)
        peer.say(PING)
        peer.say(PING)
        for number in range(10):
            peer.say(chunk(number))
        peer.say({"type": "audio_end"})
        await asyncio.sleep(0.9)
        assert "recording_stopped" not in peer.kinds
        await asyncio.sleep(0.5)
        assert words(peer) == list(range(10))
        assert peer.kinds[-1] == "recording_stopped"
        assert "error" not in peer.kinds
        peer.leave()
        await task

    virtual_time.run(main())


def test_a_connection_that_is_held_can_be_ended(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(audio=0.001, audio_burst=1.0))
        first, second = FakePeer(), FakePeer()
        task = house.admit(first, speaks=True)
        for number in range(12):
            first.say(chunk(number))
        await asyncio.sleep(0.1)
        held = warnings(first)[0]
        again = house.admit(second, speaks=True)
        second.say({"type": "resume", "session_id": held["session_id"]})
        await asyncio.sleep(0.1)
        assert (second.sent[0]["type"], second.sent[0]["next_seq"]) == ("resumed", 10)
        assert first.closed is not None
        assert task.done()
        for number in range(10, 20):
            second.say(chunk(number))
        second.say({"type": "audio_end"})
        await asyncio.sleep(2)
        assert words(second) == list(range(20))
        second.leave()
        await again

    virtual_time.run(main())


def test_connections_per_address_are_exact(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, connections=2)
        peers = [FakePeer() for _ in range(4)]
        tasks = [house.admit(peer, speaks=bool(place % 2)) for place, peer in enumerate(peers)]
        await asyncio.sleep(0.1)
        assert [peer.closed and peer.closed[0] for peer in peers] == [None, None, 1013, 1013]
        for peer in peers[2:]:
            (error,) = peer.sent
            assert (error["code"], error["retry_after_ms"], error["retryable"]) == ("rate_limited", 5000, True)
            assert "connections from this address" in error["message"]
        peers[0].leave()
        await tasks[0]
        late = FakePeer()
        task = house.admit(late)
        await asyncio.sleep(0.1)
        assert late.kinds == ["connected"]
        for peer in (peers[1], late):
            peer.leave()
        await asyncio.gather(*tasks, task)
        assert house.services.roster.reports() == []

    virtual_time.run(main())


def test_connections_per_token_count_however_the_token_comes(tmp_path: Path) -> None:
    async def main() -> None:
        (tmp_path / "tokens").write_text("alice:0123456789abcdef\nbob:fedcba9876543210\n")
        house = House(tmp_path, tokens=Tokens.load(tmp_path / "tokens"), per_token=2)
        present = {"type": "authenticate", "token": "0123456789abcdef"}
        peers = [FakePeer() for _ in range(5)]
        for peer in peers[1:3]:
            peer.say(present)
        peers[1].say(present)
        grants = (ALICE, None, None, ALICE, Grant(name="bob"))
        tasks = []
        for peer, grant in zip(peers, grants, strict=True):
            tasks.append(house.admit(peer, grant=grant))
            await asyncio.sleep(0.1)
        assert [peer.closed and peer.closed[0] for peer in peers] == [None, None, 1013, 1013, None]
        for peer in peers[2:4]:
            assert (peer.sent[-1]["code"], peer.sent[-1]["retry_after_ms"]) == ("rate_limited", 5000)
            assert "connections from this token" in peer.sent[-1]["message"]
        for peer in (peers[0], peers[1]):
            peer.leave()
        await asyncio.gather(*tasks[:4])
        late = [FakePeer(), FakePeer()]
        tasks += [house.admit(peer, grant=ALICE) for peer in late]
        await asyncio.sleep(0.1)
        assert [peer.kinds for peer in late] == [["connected"]] * 2
        for peer in (peers[4], *late):
            peer.leave()
        await asyncio.gather(*tasks)

    virtual_time.run(main())


def test_streams_per_token_are_exact(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, tokens=Tokens({b"x": ALICE}), per_token=1)
        house.services.connections = House(tmp_path).services.connections
        first, second, other = FakePeer(), FakePeer(), FakePeer()
        grants = (ALICE, ALICE, Grant(name="bob"))
        tasks = [house.admit(p, speaks=True, grant=g) for p, g in zip((first, second, other), grants, strict=True)]
        for peer in (first, second, other):
            peer.say(chunk(0))
            await asyncio.sleep(0.1)
        assert [peer.closed and peer.closed[0] for peer in (first, second, other)] == [None, 1013, None]
        assert "streams from this token" in second.sent[-1]["message"]
        for peer in (first, other):
            peer.leave()
        await asyncio.gather(*tasks)

    virtual_time.run(main())


def test_what_waits_for_a_client_is_reported(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        slow = FakePeer(reads=False)
        cut = house.admit(slow)
        await asyncio.sleep(0.1)
        for number in range(5):
            event = PartialTranscribed(
                session_id="s", channel="c", segment_id=f"g-{number % 2}", text="x", stable="", unstable="x",
                language="en", lag=0.1, cadence=0.3,
            )  # fmt: skip
            house.hub.publish(event, channel="c")
        (report,) = house.services.roster.reports()
        assert (report.dialect, report.address, report.channel, report.session_id) == ("control", "127.0.0.1", "c", "")
        assert (report.pending_items, report.coalesced) == (2, 3)
        assert report.pending_bytes > 100
        await cut
        assert house.services.roster.reports() == []

    virtual_time.run(main())


def test_who_asks_much_at_once_and_reads_is_not_cut(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path, rates=Rates(commands=20.0))
        peer = FakePeer()
        task = house.admit(peer)
        for _ in range(2000):
            peer.say(PING)
        await asyncio.sleep(1)
        assert peer.closed is None
        assert len(peer.sent) == 2001
        peer.leave()
        await task

    virtual_time.run(main())
