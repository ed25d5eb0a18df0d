"""A connection over a stand-in socket, in virtual time: order, limits, slow readers, tokens."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

import virtual_time
from hotmic.commands import SessionOptions
from hotmic.engines import echo
from hotmic.events import PartialTranscribed
from hotmic.net.grant import Grant
from hotmic.net.security import Tokens
from hotmic.values import Capabilities
from net_support import ANYBODY, FakePeer, House, overload


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def partial(text: str, segment: str = "s-1") -> PartialTranscribed:
    return PartialTranscribed(
        session_id="s", channel="c", segment_id=segment, text=text, stable="", unstable=text, language="en",
        lag=0.1, cadence=0.3,
    )  # fmt: skip


def test_a_speaker_and_two_listeners_hear_the_same_final(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        speaker, ears = FakePeer(), [FakePeer(), FakePeer()]
        tasks = [house.admit(speaker, speaks=True), *(house.admit(ear) for ear in ears)]
        for number in range(10):
            speaker.say(echo.chunk(number).tobytes())
            await asyncio.sleep(0.1)
        speaker.say({"type": "audio_end"})
        await asyncio.sleep(2)
        finals = [[m["text"] for m in peer.sent if m["type"] == "final_transcription"] for peer in (speaker, *ears)]
        assert finals == [["0 1 2 3 4 5 6 7 8 9"]] * 3
        assert ears[0].kinds[0] == "connected"
        assert "recording_stopped" in ears[0].kinds
        assert set(speaker.kinds) == {"realtime_transcription", "final_transcription"}
        for peer in (speaker, *ears):
            peer.leave()
        await asyncio.gather(*tasks)
        assert house.runner.session_count == 0
        assert not house.hub.has("c")

    virtual_time.run(main())


def test_a_slow_engine_stretches_the_cadence_that_clients_are_told_and_a_fast_one_shortens_it(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        speaker, controller = FakePeer(), FakePeer()
        tasks = [house.admit(speaker, speaks=True), house.admit(controller)]
        told: list[list[int]] = []
        for delay in (0.05, 0.8, 0.05):
            house.pool.delay = delay
            speaker.sent.clear()
            for number in range(300):
                speaker.say(echo.chunk(number).tobytes())
                await asyncio.sleep(0.1)
            told.append([m["cadence_ms"] for m in speaker.sent if m["type"] == "realtime_transcription"])
            controller.say({"type": "get_status", "request_id": 1})
            await asyncio.sleep(0.01)
            assert controller.sent[-1]["cadence_ms"] == pytest.approx(told[-1][-1], abs=50)
        usual, slow, again = told
        assert set(usual) == {300}
        assert slow[0] == 300
        assert slow[-1] > 450
        assert again[0] > 450
        assert again[-1] < 350
        assert len(again) < 0.9 * len(usual), "partials are asked for as seldom as clients are told"
        for peer in (speaker, controller):
            peer.leave()
        await asyncio.gather(*tasks)

    virtual_time.run(main())


def test_a_client_that_does_not_read_is_cut_and_others_are_not(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        slow, good = FakePeer(reads=False), FakePeer()
        cut, stays = house.admit(slow), house.admit(good)
        await asyncio.sleep(1)
        for number in range(100):
            house.hub.publish(partial(f"word {number}"), channel="c")
        await asyncio.wait_for(cut, 15)
        assert slow.closed is not None
        assert slow.closed[0] == 1013
        assert not stays.done()
        assert good.sent[-1]["text"] == "word 99"
        assert good.kinds.count("realtime_transcription") == 1, "stale partials were overwritten while they waited"
        assert house.services.metrics.registry.get_sample_value("hotmic_slow_clients_total") == 1
        good.leave()
        await stays

    virtual_time.run(main())


def test_who_leaves_while_a_frame_is_sent_does_not_count_as_slow(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        peer = FakePeer(reads=False)
        task = house.admit(peer)
        await asyncio.sleep(1)
        peer.leave()
        await task
        await asyncio.sleep(100)
        assert house.services.metrics.registry.get_sample_value("hotmic_slow_clients_total") == 0

    virtual_time.run(main())


def test_too_many_waiting_bytes_cut_at_once(folder: Path) -> None:
    async def main() -> None:
        house = House(folder, outbox_bytes=20_000)
        slow = FakePeer(reads=False)
        cut = house.admit(slow)
        await asyncio.sleep(0.1)
        for number in range(30):
            house.hub.publish(partial("x" * 1000, segment=f"s-{number}"), channel="c")
        await asyncio.wait_for(cut, 2)
        assert slow.closed is not None
        assert slow.closed[0] == 1013

    virtual_time.run(main())


def test_streams_per_address_are_limited_and_given_back(folder: Path) -> None:
    async def main() -> None:
        house = House(folder, streams=1)
        first, second, third = FakePeer(), FakePeer(), FakePeer()
        one = house.admit(first, speaks=True)
        first.say(bytes(3200))
        await asyncio.sleep(0.1)
        two = house.admit(second, speaks=True)
        second.say(bytes(3200))
        await asyncio.wait_for(two, 5)
        assert second.sent[0]["code"] == "rate_limited"
        assert second.sent[0]["retry_after_ms"] > 0
        assert second.closed is not None
        assert second.closed[0] == 1013
        first.leave()
        await one
        three = house.admit(third, speaks=True)
        third.say(bytes(3200))
        await asyncio.sleep(0.1)
        assert third.sent == []
        third.leave()
        await three

    virtual_time.run(main())


def test_a_token_must_come_within_ten_seconds(folder: Path) -> None:
    async def main() -> None:
        (folder / "tokens").write_text("alice:0123456789abcdef\n")
        house = House(folder, tokens=Tokens.load(folder / "tokens"))
        silent, late, wrong = FakePeer(), FakePeer(), FakePeer()
        tasks = [house.admit(peer, grant=None) for peer in (silent, late, wrong)]
        house.hub.publish(partial("secret"), channel="c")
        wrong.say({"type": "authenticate", "token": "no"})
        await asyncio.sleep(5)
        late.say({"type": "authenticate", "token": "0123456789abcdef"})
        await asyncio.sleep(10)
        assert [peer.closed and peer.closed[0] for peer in (silent, late, wrong)] == [1008, None, 1008]
        assert late.kinds == ["authenticated", "connected"]
        assert [peer.sent[-1]["code"] for peer in (silent, wrong)] == ["not_authorized"] * 2
        late.leave()
        await asyncio.gather(*tasks)

    virtual_time.run(main())


def test_a_listener_may_not_speak_nor_control(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        grant = Grant(name="bob", scopes=("listen",))
        speaker, controller = FakePeer(), FakePeer()
        tasks = [house.admit(speaker, speaks=True, grant=grant), house.admit(controller, grant=grant)]
        speaker.say(bytes(3200))
        controller.say({"type": "start_recording", "request_id": 1})
        await asyncio.gather(*tasks)
        assert [peer.sent[-1]["code"] for peer in (speaker, controller)] == ["not_authorized"] * 2
        assert house.runner.session_count == 0

    virtual_time.run(main())


def test_options_of_a_channel_reach_present_and_future_sessions(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        control, speaker = FakePeer(), FakePeer()
        tasks = [house.admit(control), house.admit(speaker, speaks=True)]
        control.say({"type": "configure", "language": "th", "request_id": "r"})
        await asyncio.sleep(0.1)
        assert control.sent[-1] == {"type": "configured", "language": "th", "request_id": "r"}
        speaker.say({"type": "configure", "prompt": "a meeting"})
        await asyncio.sleep(0.1)
        assert speaker.sent[-1] == {"type": "configured", "language": "th", "prompt": "a meeting"}
        for peer in (control, speaker):
            peer.leave()
        await asyncio.gather(*tasks)
        assert house.control.options_of("c") == SessionOptions(), "an empty channel is forgotten"

    virtual_time.run(main())


def test_a_language_that_the_model_does_not_know_is_refused_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        house = House(folder)
        monkeypatch.setattr(house.pool, "capabilities", lambda _: Capabilities(languages=("en", "th")))
        control, speaker = FakePeer(), FakePeer()
        tasks = [house.admit(control), house.admit(speaker, speaks=True)]
        for peer in (control, speaker):
            peer.say({"type": "configure", "language": "th"})
            peer.say({"type": "configure", "language": "xx"})
        control.say({"type": "start_recording", "config": {"language": "yy"}})
        await asyncio.sleep(0.1)
        codes = [[m["type"] if m["type"] != "error" else m["code"] for m in p.sent] for p in (control, speaker)]
        assert codes == [["connected", "configured", "bad_field", "bad_field"], ["configured", "bad_field"]]
        assert "knows en, th" in speaker.sent[-1]["message"]
        assert house.control.options_of("c").language == "th"
        for peer in (control, speaker):
            peer.leave()
        await asyncio.gather(*tasks)

    virtual_time.run(main())


def numbered(seq: int) -> dict[str, Any]:
    return {"type": "audio_chunk", "seq": seq, "data": base64.b64encode(echo.chunk(seq).tobytes()).decode()}


def texts(peer: FakePeer) -> list[str]:
    return [m["text"] for m in peer.sent if m["type"] == "final_transcription"]


def test_a_broken_connection_is_resumed_and_its_finals_are_told_again(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        first, second = FakePeer(), FakePeer()
        task = house.admit(first, speaks=True)
        for seq in range(10):
            first.say(numbered(seq))
            await asyncio.sleep(0.1)
        await asyncio.sleep(2)
        assert texts(first) == ["0 1 2 3 4 5 6 7 8 9"]
        started, final = first.sent[0], next(m for m in first.sent if m["type"] == "final_transcription")
        assert started["type"] == "recording_started"
        for seq in range(10, 15):
            first.say(numbered(seq))
            await asyncio.sleep(0.1)
        first.break_off()
        await task
        await asyncio.sleep(5)
        task = house.admit(second, speaks=True)
        before = final["event_id"] - 1
        second.say({"type": "resume", "session_id": started["session_id"], "last_event_id": before, "request_id": 7})
        for seq in range(12, 20):
            second.say(numbered(seq))
            await asyncio.sleep(0.1)
        second.say({"type": "audio_end"})
        await asyncio.sleep(1)
        resumed = second.sent[0]
        assert (resumed["type"], resumed["next_seq"], resumed["request_id"]) == ("resumed", 15, 7)
        assert texts(second) == ["0 1 2 3 4 5 6 7 8 9", " ".join(map(str, range(10, 20)))]
        assert [m for m in second.sent if m["type"] in ("ack", "final_transcription")][-1]["seq"] == 19
        second.leave()
        await task
        assert house.runner.session_count == 0, "who says goodbye is not waited for"

    virtual_time.run(main())


def test_what_cannot_be_resumed_or_numbered_says_why(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        peer = FakePeer()
        task = house.admit(peer, speaks=True)
        peer.say({"type": "resume", "session_id": "nobody"})
        peer.say({"type": "resume", "session_id": "../x"})
        peer.say(numbered(0) | {"data": base64.b64encode(bytes(200_000)).decode()})
        peer.say(numbered(0) | {"seq": -1})
        peer.say(numbered(5))
        peer.say(numbered(7))
        peer.say({"type": "resume", "session_id": "s-1"})
        await asyncio.sleep(0.1)
        codes = [m["code"] for m in peer.sent if m["type"] == "error"]
        assert codes == ["session_gone", "bad_field", "bad_field", "bad_field", "sequence_gap", "bad_field"]
        peer.leave()
        await task

    virtual_time.run(main())


def test_a_listener_that_comes_back_hears_what_it_missed(folder: Path) -> None:
    async def main() -> None:
        house = House(folder)
        speaker, late = FakePeer(), FakePeer()
        task = house.admit(speaker, speaks=True)
        for word in range(2):
            for seq in range(10):
                speaker.say(numbered(10 * word + seq))
                await asyncio.sleep(0.1)
            await asyncio.sleep(2)
        speaker.leave()
        await task
        heard = [m for m in speaker.sent if m["type"] == "final_transcription"]
        task = house.admit(late)
        late.say({"type": "subscribe", "channel": "c", "last_event_id": heard[0]["event_id"]})
        await asyncio.sleep(0.1)
        assert [m["type"] for m in late.sent] == ["connected", "subscribed", "final_transcription"]
        assert late.sent[-1] == heard[1]
        late.leave()
        await task

    virtual_time.run(main())


def test_a_speaker_over_capacity_is_told_when_to_come_again_and_closed(folder: Path) -> None:
    async def main() -> None:
        house = House(folder, streams=1)
        overload(house.runner, now=asyncio.get_running_loop().time())
        speaker = FakePeer()
        task = house.admit(speaker, speaks=True)
        speaker.say(echo.chunk(0).tobytes())
        await asyncio.wait_for(task, 5)
        (error,) = speaker.sent
        assert (error["type"], error["code"], error["retryable"]) == ("error", "overloaded", True)
        assert error["retry_after_ms"] >= 5000
        assert speaker.closed is not None
        assert speaker.closed[0] == 1013
        assert house.runner.session_count == 0
        house.services.streams.enter(address=speaker.address)  # it holds no stream

    virtual_time.run(main())


def test_the_tenant_is_the_token_or_else_the_address(folder: Path) -> None:
    async def main() -> None:
        for tokens, grant, tenant in (
            (None, ANYBODY, "address:127.0.0.1"),
            (Tokens({b"x": Grant(name="desk")}), Grant(name="desk"), "token:desk"),
        ):
            house = House(folder, tokens=tokens)
            seen: list[str] = []
            open_session = house.runner.open_session
            house.runner.open_session = lambda *a, o=open_session, s=seen, **k: (s.append(k["tenant"]), o(*a, **k))[1]  # type: ignore[method-assign]
            speaker = FakePeer()
            task = house.admit(speaker, speaks=True, grant=grant)
            speaker.say(echo.chunk(0).tobytes())
            await asyncio.sleep(1)
            speaker.leave()
            await task
            assert seen == [tenant]

    virtual_time.run(main())
