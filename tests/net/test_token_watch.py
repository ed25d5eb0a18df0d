"""Tokens that end while their connections are open, and the channels a token is for."""

import asyncio
import base64
from pathlib import Path

import pytest

import virtual_time
from hotmic.config.token_file import TokenEntry, digest, save
from hotmic.engines import echo
from hotmic.net.grant import Grant
from hotmic.net.security import Tokens
from hotmic.net.token_watch import TokenWatch
from net_support import FakePeer, House

TOKEN = "correct-horse-battery-staple"
ENTRY = TokenEntry(name="alice", sha256=digest(TOKEN).hex())
BOB = TokenEntry(name="bob", sha256=digest("bob-0123456789abcdef").hex())


class Guarded:
    """A house with a tokens file of Alice and Bob, both of whom are connected."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens.yaml"
        save(self.path, (ENTRY, BOB))
        self.house = House(folder, tokens=Tokens.load(self.path))
        self.access = self.house.services.access
        self.watch = TokenWatch(self.path, self.access, self.house.services.roster)
        self.alice, self.bob = FakePeer(), FakePeer()
        self.tasks = [
            self.house.admit(self.alice, grant=self.access.grant_token(TOKEN)),
            self.house.admit(self.bob, grant=Grant.of(BOB)),
        ]

    async def settle(self) -> None:
        """Let an edit be seen and left alone, and the connections do what they do."""
        for _ in range(3):
            await self.watch.look()
        for _ in range(10):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for peer in (self.alice, self.bob):
            peer.leave()
        await asyncio.gather(*self.tasks)


EDITS = {
    "revoked": ((BOB,), "token_revoked"),
    "narrowed": ((TokenEntry(name="alice", sha256=ENTRY.sha256, scopes=("listen",)), BOB), "token_revoked"),
    "expired": ((TokenEntry(name="alice", sha256=ENTRY.sha256, expires="2001-01-01"), BOB), "token_revoked"),
    "all revoked": ((), "token_revoked"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_who_lost_its_token_is_shown_out_and_nobody_else(tmp_path: Path, edit: str) -> None:
    async def main() -> None:
        guarded = Guarded(tmp_path)
        await guarded.settle()
        assert guarded.alice.closed is None
        entries, code = EDITS[edit]
        save(guarded.path, entries)
        await guarded.settle()
        assert guarded.alice.sent[-1]["type"] == "error"
        assert guarded.alice.sent[-1]["code"] == code
        await asyncio.wait_for(guarded.tasks[0], 20)
        assert guarded.alice.closed is not None
        assert guarded.alice.closed[0] == 1008
        assert guarded.alice.closed[1].startswith(code)
        assert (guarded.bob.closed is None) == (BOB in entries)
        await guarded.close()

    asyncio.run(main())


def test_a_token_whose_time_is_over_shows_out(tmp_path: Path) -> None:
    async def main() -> None:
        guarded = Guarded(tmp_path)
        save(guarded.path, (TokenEntry(name="alice", sha256=ENTRY.sha256, expires="2027-01-01"), BOB))
        guarded.access._clock = lambda: 0.0
        await guarded.settle()
        late = FakePeer()
        task = guarded.house.admit(late, grant=guarded.access.grant_token(TOKEN))
        await guarded.settle()
        assert late.closed is None
        guarded.access._clock = lambda: 2e9
        await guarded.settle()
        assert late.sent[-1]["code"] == "token_expired"
        await asyncio.wait_for(task, 20)
        await guarded.close()

    asyncio.run(main())


@pytest.mark.parametrize("text", ["", "tokens: [", "tokens:\n  - {name: alice}\n", None])
def test_a_broken_edit_keeps_the_old_tokens_and_says_why(tmp_path: Path, text: str | None) -> None:
    async def main() -> None:
        guarded = Guarded(tmp_path)
        if text is None:
            guarded.path.unlink()
        else:
            guarded.path.write_text(text)
        await guarded.settle()
        assert "cannot be used" in guarded.watch.problem
        assert guarded.alice.closed is None
        assert guarded.access.grant_token(TOKEN).name == "alice"
        save(guarded.path, (ENTRY, BOB))
        await guarded.settle()
        assert guarded.watch.problem == ""
        await guarded.close()

    asyncio.run(main())


def test_a_client_secret_dies_with_its_token(tmp_path: Path) -> None:
    async def main() -> None:
        guarded = Guarded(tmp_path)
        grant = guarded.access.grant_token(TOKEN)
        waiting, _ = guarded.access.create_client_secret(grant, ttl=600, session_config="{}")
        used, _ = guarded.access.create_client_secret(grant, ttl=600, session_config="{}")
        peer = FakePeer()
        task = guarded.house.admit(peer, grant=guarded.access.grant_token(used))
        save(guarded.path, (BOB,))
        await guarded.settle()
        assert peer.sent[-1]["code"] == "token_revoked"
        await asyncio.wait_for(task, 20)
        with pytest.raises(Exception, match="revoked"):
            guarded.access.grant_token(waiting)
        await guarded.close()

    asyncio.run(main())


def test_what_was_said_before_a_token_ended_is_still_finalised(tmp_path: Path) -> None:
    async def main() -> None:
        guarded = Guarded(tmp_path)
        speaker, ear = FakePeer(), FakePeer()
        speaking = guarded.house.admit(speaker, speaks=True, grant=Grant.of(ENTRY))
        hearing = guarded.house.admit(ear, grant=Grant.of(BOB))
        for number in range(10):
            data = base64.b64encode(echo.chunk(number).tobytes()).decode()
            speaker.say({"type": "audio_chunk", "data": data, "seq": number})
            await asyncio.sleep(0.1)
        guarded.access.replace_tokens(Tokens.of((BOB,)))
        guarded.house.services.roster.check_grants()
        await asyncio.sleep(3)
        assert speaker.closed is not None
        assert speaker.closed[0] == 1008
        assert [m["text"] for m in ear.sent if m["type"] == "final_transcription"] == ["0 1 2 3 4 5 6 7 8 9"]
        assert guarded.house.runner.session_count == 0, "it does not wait for one that may not come back"
        ear.leave()
        await asyncio.gather(speaking, hearing)
        await guarded.close()

    virtual_time.run(main())


KITCHEN = Grant(name="kitchen", channels=("kitchen", "hall-*"))
HALLS = Grant(name="halls", channels=("hall-*",))


@pytest.mark.parametrize(
    ("grant", "channel", "is_let_in"),
    [
        (KITCHEN, "kitchen", True),
        (KITCHEN, "hall-7", True),
        (KITCHEN, "", True),
        (KITCHEN, "default", False),
        (KITCHEN, "Kitchen", False),
        (KITCHEN, "kitchen2", False),
        (HALLS, "hall-", True),
        (HALLS, "", False),
        (Grant(), "anything", True),
    ],
)
def test_a_token_is_for_its_channels(tmp_path: Path, grant: Grant, channel: str, is_let_in: bool) -> None:
    async def main() -> None:
        house = House(tmp_path, tokens=Tokens({digest(TOKEN): grant}))
        peer = FakePeer()
        task = house.admit(peer, grant=grant, channel=channel)
        await asyncio.sleep(0.1)
        late = FakePeer()
        waiting = house.admit(late, grant=None, channel=channel)
        late.say({"type": "authenticate", "token": TOKEN})
        await asyncio.sleep(0.1)
        for one in (peer, late):
            assert (one.closed is None) == is_let_in
            if one.closed is not None:
                assert one.closed[0] == 1008
                assert one.sent[-1]["code"] == "not_authorized"
            one.leave()
        await asyncio.gather(task, waiting)

    virtual_time.run(main())


def test_channels_are_asked_for_at_every_command_that_names_one(tmp_path: Path) -> None:
    async def main() -> None:
        house = House(tmp_path)
        for kind in ("subscribe", "start_recording", "stop_recording"):
            for channel in ("default", "kitchen"):
                peer = FakePeer()
                task = house.admit(peer, grant=KITCHEN, channel="")
                peer.say({"type": kind, "channel": channel, "request_id": 7})
                await asyncio.sleep(0.1)
                answer = peer.sent[-1]
                assert answer.get("request_id") == 7
                assert (answer.get("code") == "not_authorized") == (channel == "default"), answer
                peer.leave()
                await task

    virtual_time.run(main())


def test_a_token_may_bring_less_than_the_daemon_takes(tmp_path: Path) -> None:
    async def main() -> None:
        grant = Grant(name="small", connections=2, streams=1, audio_minutes_per_day=0.01)
        house = House(tmp_path, tokens=Tokens({digest(TOKEN): grant}))
        peers = [FakePeer() for _ in range(3)]
        tasks = [house.admit(peer, speaks=True, grant=grant) for peer in peers]
        await asyncio.sleep(0.1)
        assert [peer.closed is None for peer in peers] == [True, True, False]
        peers[0].say(echo.chunk(0).tobytes())
        await asyncio.sleep(0.1)
        peers[1].say(echo.chunk(0).tobytes())
        await asyncio.sleep(0.1)
        assert peers[1].closed is not None
        for number in range(5):
            assert peers[0].closed is None
            peers[0].say(echo.chunk(number).tobytes())
            await asyncio.sleep(0.1)
        peers[0].say(echo.chunk(9).tobytes())
        await asyncio.sleep(0.1)
        assert peers[0].closed is not None
        assert peers[0].closed[0] == 1013
        assert "minutes of audio" in peers[0].closed[1]
        await asyncio.gather(*tasks)

    virtual_time.run(main())


def test_tokens_expire_while_their_file_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        guarded = Guarded(tmp_path)
        await guarded.settle()
        guarded.access.replace_tokens(Tokens({}))

        def fail() -> None:
            raise RuntimeError("a mistake of ours")

        assert guarded.watch._file is not None
        monkeypatch.setattr(guarded.watch._file, "changed", fail)
        with pytest.raises(RuntimeError):
            await guarded.watch.look()
        await asyncio.wait_for(asyncio.gather(*guarded.tasks), 20)
        assert guarded.alice.closed is not None

    asyncio.run(main())
