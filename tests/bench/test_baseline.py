"""One decode at a time, the newest audio for partials, every final."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import numpy as np

from hotmic import events as e
from hotmic.audio.segmenter import Segmenter
from hotmic.audio.vad_energy import EnergyVad
from hotmic.bench.baseline import Agreement, Heard, LockedModel, Stream
from hotmic.engines import echo
from hotmic.values import SAMPLE_RATE, Samples, Word

SILENCE = np.zeros(SAMPLE_RATE // 10, dtype=np.int16)


class GatedDecoder:
    """Says the numbers it hears, once the test lets it."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.asked: list[tuple[int, bool]] = []
        self.most_at_once = self._at_once = 0

    def __call__(self, samples: Samples, *, is_final: bool) -> Heard:
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        self.asked.append((len(samples), is_final))
        self.gate.wait()
        self._at_once -= 1
        words = tuple(
            Word(word=str(item.number), start=item.start / SAMPLE_RATE, end=0.1, probability=1.0)
            for item in echo.listen(samples)
        )
        return Heard(" ".join(word.word for word in words), words, "en", 0.5)


class Room:
    """Streams on one model, and what was told."""

    def __init__(self) -> None:
        self.decoder, self.events = GatedDecoder(), []
        self.model = LockedModel(self.decoder)

    def stream(self, name: str) -> Stream:
        segmenter = Segmenter(
            EnergyVad(), min_speech=1536, min_silence=4800, pre_roll=1600, hang_over=1600, max_segment=30 * SAMPLE_RATE
        )
        return Stream(
            name, channel=name, segmenter=segmenter, model=self.model, cadence=0.3, publish=self.events.append
        )

    def told(self, kind: type[e.Event]) -> list[e.Event]:
        return [event for event in self.events if isinstance(event, kind)]

    async def until_told(self, stream: Stream) -> None:
        while stream._tasks:
            await asyncio.sleep(0)

    async def until_asked(self, count: int) -> None:
        while len(self.decoder.asked) < count:
            await asyncio.sleep(0)


def speak(stream: Stream, count: int, *, first: int = 0) -> None:
    for number in range(first, first + count):
        stream.receive(echo.chunk(number))


def pause(stream: Stream, chunks: int = 6) -> None:
    for _ in range(chunks):
        stream.receive(SILENCE)


def work(test: Callable[[Room], Awaitable[None]]) -> Room:
    room = Room()

    async def main() -> None:
        try:
            async with asyncio.timeout(20):
                await test(room)
        finally:
            room.decoder.gate.set()

    asyncio.run(main())
    return room


def test_a_segment_gets_partials_and_a_final() -> None:
    async def test(room: Room) -> None:
        room.decoder.gate.set()
        stream = room.stream("a")
        pause(stream)
        for number in range(12):
            speak(stream, 1, first=number)
            await room.until_told(stream)
        pause(stream)
        await stream.finish()

    room = work(test)
    (final,) = room.told(e.FinalTranscribed)
    assert isinstance(final, e.FinalTranscribed)
    assert final.text == " ".join(str(number) for number in range(12))
    assert final.words[0].start == 0.6
    assert final.processing == 0.5
    assert not final.revised
    partials = room.told(e.PartialTranscribed)
    assert partials
    assert all(final.text.startswith(partial.text) for partial in partials)  # type: ignore[attr-defined]
    kinds = [type(event) for event in room.events]
    assert kinds[0] is e.RecordingStarted
    assert kinds[-1] is e.RecordingStopped


def test_one_decode_at_a_time_and_the_newest_audio_for_a_partial_that_waited() -> None:
    async def test(room: Room) -> None:
        first, second = room.stream("a"), room.stream("b")
        speak(first, 6)
        await room.until_asked(1)
        speak(second, 6)
        await asyncio.sleep(0)
        speak(second, 6, first=6)
        await asyncio.sleep(0)
        room.decoder.gate.set()
        await room.until_asked(2)
        assert room.decoder.asked[1] == (12 * len(SILENCE), False)
        await first.finish()
        await second.finish()

    room = work(test)
    assert room.decoder.most_at_once == 1
    assert [is_final for _, is_final in room.decoder.asked] == [False, False, True, True]


def test_a_partial_whose_segment_ended_is_dropped() -> None:
    async def test(room: Room) -> None:
        first, second = room.stream("a"), room.stream("b")
        speak(first, 6)
        await room.until_asked(1)
        speak(second, 6)
        await asyncio.sleep(0)
        pause(second)
        room.decoder.gate.set()
        await second.finish()
        await first.finish()

    room = work(test)
    assert [is_final for _, is_final in room.decoder.asked] == [False, True, True]
    assert {event.session_id for event in room.told(e.PartialTranscribed)} == {"a"}  # type: ignore[attr-defined]
    assert sorted(event.session_id for event in room.told(e.FinalTranscribed)) == ["a", "b"]  # type: ignore[attr-defined]


def test_a_long_stream_keeps_only_what_it_needs() -> None:
    async def test(room: Room) -> None:
        room.decoder.gate.set()
        stream = room.stream("a")
        for turn in range(20):
            speak(stream, 10, first=10 * turn)
            pause(stream, 20)
        assert len(stream._audio) < 3 * SAMPLE_RATE
        await stream.finish()

    finals = work(test).told(e.FinalTranscribed)
    wanted = [" ".join(str(10 * turn + n) for n in range(10)) for turn in range(20)]
    assert [final.text for final in finals] == wanted  # type: ignore[attr-defined]


def test_two_that_agree_make_words_stable_for_good() -> None:
    agreement = Agreement()
    assert agreement.receive("set a") == ("", "set a")
    assert agreement.receive("set a time") == ("set a", " time")
    assert agreement.receive("said a timer for") == ("set a", " timer for")
    assert agreement.receive("said a timer for ten") == ("set a timer for", " ten")
    assert agreement.receive("") == ("set a timer for", "")
