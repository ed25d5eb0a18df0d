"""Containers through real decoders into something that keeps the sound."""

import asyncio
import os
from collections.abc import Callable

import numpy as np
import pytest

from container_support import record
from hotmic.commands import AppendAudio, AppendContainer
from hotmic.errors import BadAudio, HotmicError, QuotaReached
from hotmic.events import ContainerDecoded, ContainerEnded, Event
from hotmic.net.container_feed import ContainerFeed, container_quota
from hotmic.values import SAMPLE_RATE, Samples
from wav_support import pieces

LIMIT = 60.0
"""Seconds for anything; the machine may be busy."""


def tone(hertz: int) -> Samples:
    return (8000 * np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.int16)


def pitch(samples: Samples) -> int:
    spectrum = np.abs(np.fft.rfft(samples))
    return round(float(spectrum.argmax()) * SAMPLE_RATE / len(samples))


class Speaker:
    """What a connection does for its containers."""

    def __init__(self, *, most: int = 1) -> None:
        self.sound: list[bytes] = []
        self.events: list[Event] = []
        self.errors: list[HotmicError] = []
        self.quota = container_quota(most)
        self.left = 0
        self.feed = ContainerFeed(
            append=self._append, tell=self.events.append, fail=self.errors.append, enter=self._enter
        )

    async def _append(self, command: AppendAudio) -> None:
        self.sound.append(command.data)

    def _enter(self) -> Callable[[], None]:
        leave = self.quota.enter(address="here")

        def left() -> None:
            self.left += 1
            leave()

        return left

    @property
    def samples(self) -> Samples:
        return np.frombuffer(b"".join(self.sound), np.int16)

    async def say(self, data: bytes, size: int = 2_000) -> None:
        for number, piece in enumerate(pieces(data, size)):
            await self.feed.receive(AppendContainer(data=piece, is_first=number == 0))


def run(main: Callable[[Speaker], object], speaker: Speaker) -> None:
    async def guarded() -> None:
        async with asyncio.timeout(LIMIT):
            await main(speaker)  # type: ignore[misc]
        await speaker.feed.close()

    asyncio.run(guarded())


def test_containers_are_heard_one_after_the_other() -> None:
    async def main(speaker: Speaker) -> None:
        for hertz in (440, 1000):
            await speaker.say(record(tone(hertz), "webm"))
        await speaker.feed.finish()
        sound = speaker.samples
        assert len(sound) == pytest.approx(2 * SAMPLE_RATE, abs=2_000)
        assert [pitch(part[2_000:-2_000]) for part in np.array_split(sound, 2)] == pytest.approx([440, 1000], abs=3)
        decoded = [event.seconds for event in speaker.events if isinstance(event, ContainerDecoded)]
        assert sum(decoded) == pytest.approx(len(sound) / SAMPLE_RATE)
        assert (speaker.errors, speaker.left) == ([], 2)

    run(main, Speaker())


def test_a_bad_one_is_told_and_the_next_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hotmic.net.container_feed.FIRST_SOUND", 0.5)

    async def main(speaker: Speaker) -> None:
        await speaker.feed.receive(AppendContainer(data=b"fLaC" + b"rubbish" * 90_000, is_first=True))
        while not speaker.errors:
            await asyncio.sleep(0.01)
        assert [type(error) for error in speaker.errors] == [BadAudio]
        assert speaker.events == [ContainerEnded()]
        monkeypatch.undo()
        with pytest.raises(BadAudio):
            await speaker.feed.receive(AppendContainer(data=b"more", is_first=False))
        await speaker.say(record(tone(440), "ogg"))
        await speaker.feed.finish()
        assert pitch(speaker.samples) == pytest.approx(440, abs=3)
        assert len(speaker.errors) == 1

    run(main, Speaker())


def test_one_that_was_cut_is_told_when_the_next_begins_which_goes_on() -> None:
    async def main(speaker: Speaker) -> None:
        await speaker.feed.receive(AppendContainer(data=record(tone(440), "webm")[:60], is_first=True))
        await speaker.say(record(tone(1000), "webm"))
        await speaker.feed.finish()
        assert [error.code for error in speaker.errors] == ["bad_audio"]
        assert pitch(speaker.samples) == pytest.approx(1000, abs=3)
        assert ContainerEnded() not in speaker.events

    run(main, Speaker())


def test_there_is_an_end_to_them_and_closing_makes_room() -> None:
    async def main(speaker: Speaker) -> None:
        other = Speaker()
        other.quota = speaker.quota
        await speaker.feed.receive(AppendContainer(data=record(tone(440), "webm")[:500], is_first=True))
        child = _child(speaker)
        with pytest.raises(QuotaReached):
            await other.say(record(tone(440), "webm"))
        await speaker.feed.close()
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
        await other.say(record(tone(440), "webm"))
        await other.feed.finish()
        assert pitch(other.samples) == pytest.approx(440, abs=3)
        await other.feed.close()

    run(main, Speaker())


@pytest.mark.parametrize(("most", "share"), [(1, 1), (2, 1), (5, 3), (32, 16)])
def test_one_address_takes_at_most_half_of_them(most: int, share: int) -> None:
    quota = container_quota(most)
    leaves = [quota.enter(address="greedy", token=f"token-{number}") for number in range(share)]
    with pytest.raises(QuotaReached, match="Too many containers from this address" if most > 1 else "as many") as full:
        quota.enter(address="greedy", token="another")
    assert full.value.code == "rate_limited"
    others = [quota.enter(address="other", token=None) for _ in range(most - share)]
    with pytest.raises(QuotaReached, match="as many containers as it may"):
        quota.enter(address="third", token=None)
    for leave in (*leaves, *others):
        leave()
    quota.enter(address="greedy", token="another")


def _child(speaker: Speaker) -> int:
    stream = speaker.feed._stream
    assert stream is not None
    return stream.pid
