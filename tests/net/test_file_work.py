"""What a token says of a file: how much audio, and for how long; what is told meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

import virtual_time
from hotmic.commands import SessionOptions
from hotmic.engines import echo
from hotmic.errors import QuotaReached, TokenRevoked
from hotmic.events import FinalTranscribed
from hotmic.net import file_work
from hotmic.net.container import ContainerLimits
from hotmic.net.file_work import FileWork
from hotmic.net.grant import Grant
from hotmic.net.security import Tokens
from hotmic.net.throttle import Rates
from hotmic.values import Samples
from net_support import House

ALICE = Grant(name="alice", token_id="a1")
PIECE = np.concatenate([echo.speech(30, first=0), np.zeros(48_000, np.int16)])
SECONDS = len(PIECE) / 16_000
BURST = 2.0


class Stream:
    """A container of three pieces, without a decoder."""

    def __init__(self, _: ContainerLimits) -> None:
        self._left = 3

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Samples:
        if not self._left:
            raise StopAsyncIteration
        self._left -= 1
        return PIECE

    async def close(self) -> None:
        """There is no child."""


def begin(folder: Path, monkeypatch: pytest.MonkeyPatch, grant: Grant) -> tuple[House, FileWork]:
    monkeypatch.setattr("hotmic.net.file_work.ContainerStream", Stream)
    house = House(folder, tokens=Tokens({b"digest": ALICE}), rates=Rates(audio_burst=BURST))
    work = FileWork(house.services, house.pool, ContainerLimits(), grant)
    work.start(SessionOptions(), tenant="token:alice")
    return house, work


def test_a_file_counts_with_the_audio_of_the_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        house, work = begin(tmp_path, monkeypatch, Grant(name="alice", token_id="a1", audio_minutes_per_day=0.15))
        with pytest.raises(QuotaReached):
            while await work.next_final() is not None:
                pass
        await work.close()
        with pytest.raises(QuotaReached):
            house.services.access.spend(Grant(name="alice", audio_minutes_per_day=0.15), 9 - SECONDS + 0.1)
        assert house.runner.session_count == 0

    virtual_time.run(main())


def test_a_file_comes_as_fast_as_the_token_s_audio_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        _, work = begin(tmp_path, monkeypatch, Grant(name="alice", token_id="a1", audio_speed=2))
        finals = []
        while (final := await work.next_final()) is not None:
            finals.append(final.text)
        assert len(finals) == 3, "it waits, and loses nothing"
        assert asyncio.get_running_loop().time() >= 2 * SECONDS / 2, "two pieces behind the first"
        await work.close()

    virtual_time.run(main())


def test_a_file_whose_token_is_revoked_ends_before_anything_of_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        house, work = begin(tmp_path, monkeypatch, ALICE)
        house.pool.delay = 1e6
        await asyncio.sleep(1)  # all of the sound is taken, nothing decoded
        house.services.roster.check_grants()
        house.services.access.replace_tokens(Tokens({}))
        for _ in range(2):
            house.services.roster.check_grants()
        with pytest.raises(TokenRevoked):
            await work.next_final()
        with pytest.raises(TokenRevoked):
            work.receive_bytes(b"more of it")
        with pytest.raises(TokenRevoked):
            await work.barred()
        await asyncio.sleep(1)
        assert house.runner.session_count == 0
        await work.close()
        assert asyncio.get_running_loop().time() < 10
        house.services.access.replace_tokens(Tokens({}))
        house.services.roster.check_grants()

    virtual_time.run(main())


def test_who_lost_the_token_hears_no_more_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        house, work = begin(tmp_path, monkeypatch, ALICE)
        house.pool.delay = 5.0
        await asyncio.sleep(1)  # all of the sound is taken, nothing decoded
        house.services.access.replace_tokens(Tokens({}))
        with pytest.raises(TokenRevoked):
            await work.next_final()
        await work.close()
        assert house.runner.session_count == 0

    virtual_time.run(main())


class Quiet:
    """A transcription of audio in which nobody speaks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.began, self.ends = asyncio.Event(), asyncio.Event()

    async def __aiter__(self) -> AsyncIterator[FinalTranscribed]:
        self.began.set()
        await self.ends.wait()
        return
        yield

    async def close(self) -> None:
        self.ends.set()


def test_how_far_it_is_does_not_wait_for_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        quiet = Quiet()
        monkeypatch.setattr(file_work, "Transcription", lambda *_, **__: quiet)
        house = House(tmp_path)
        work = file_work.FileWork(house.services, house.pool, ContainerLimits(), Grant())
        assert work.seconds == 0.0
        work.start(SessionOptions(), tenant="t")
        await quiet.began.wait()
        quiet.seconds = 12.5
        assert work.seconds == 12.5
        quiet.ends.set()
        assert await work.next_final() is None
        assert work.seconds == 12.5
        await work.close()

    asyncio.run(main())
