"""What the lock baseline does with a stream: whole segments, one decode at a time (see ``lock``)."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hotmic import events as e
from hotmic.audio.segmenter import Segmenter, SpeechEnded, SpeechStarted
from hotmic.values import SAMPLE_RATE, Samples, Word

SHORTEST = SAMPLE_RATE // 5
"""Fewer samples than this are not worth a partial."""


@dataclass(frozen=True)
class Heard:
    """What the library made of one audio."""

    text: str
    words: tuple[Word, ...]
    language: str
    seconds: float
    """How long it took."""


class Decoder(Protocol):
    """Takes one audio at a time; asked while the lock is held."""

    def __call__(self, samples: Samples, *, is_final: bool) -> Heard:
        """Decode one audio."""


class LockedModel:
    """The library's model, as it is, and the lock in front of it.

    Args:
        decode: Decodes; called in a thread.
    """

    def __init__(self, decode: Decoder) -> None:
        self._decode, self._lock = decode, asyncio.Lock()

    async def run(self, audio: Callable[[], Samples | None], *, is_final: bool) -> Heard | None:
        """Wait for the lock and decode what ``audio`` returns then; ``None`` where it returns nothing."""
        async with self._lock:
            samples = audio()
            return None if samples is None else await asyncio.to_thread(self._decode, samples, is_final=is_final)


class Agreement:
    """Shows partials: words that two in a row begin with are stable and stay (LocalAgreement-2)."""

    def __init__(self) -> None:
        self._stable: list[str] = []
        self._last: list[str] = []

    def receive(self, text: str) -> tuple[str, str]:
        """Take a hypothesis; return the stable text and what follows it."""
        words = text.split()
        agreed = 0
        while agreed < min(len(words), len(self._last)) and words[agreed] == self._last[agreed]:
            agreed += 1
        if agreed > len(self._stable):
            # What was told as stable is not taken back.
            self._stable += words[len(self._stable) : agreed]
        self._last = words
        stable, rest = " ".join(self._stable), " ".join(words[len(self._stable) :])
        return stable, f" {rest}" if stable and rest else rest


@dataclass
class OpenSegment:
    """A stretch of speech that is not told yet."""

    segment_id: str
    start: int
    agreement: Agreement
    stable: str = ""
    asked_until: int = 0
    has_partial: bool = False
    is_closed: bool = False


class Stream:
    """One speaker.

    Args:
        session_id: Name on the wire.
        channel: Who hears it.
        segmenter: Finds the segments.
        model: Decodes them.
        cadence: Seconds between partials.
        publish: Tells the channel.
    """

    def __init__(
        self,
        session_id: str,
        *,
        channel: str,
        segmenter: Segmenter,
        model: LockedModel,
        cadence: float,
        publish: Callable[[e.SessionEvent], None],
    ) -> None:
        self._session: dict[str, Any] = {"session_id": session_id, "channel": channel}
        self._segmenter, self._model, self._cadence, self._publish = segmenter, model, cadence, publish
        self._audio = np.zeros(0, dtype=np.int16)
        self._begin = 0
        self._open: OpenSegment | None = None
        self._count = 0
        self._is_recording = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_open(self) -> bool:
        """Whether a segment is open."""
        return self._open is not None

    def receive(self, samples: Samples) -> None:
        """Take audio."""
        if not self._is_recording:
            self._is_recording = True
            self._publish(e.RecordingStarted(**self._session))
        self._audio = np.concatenate((self._audio, samples))
        self._segmenter.receive(samples)
        self._take_boundaries()
        segment = self._open
        if segment is not None and not segment.has_partial:
            due = self._segmenter.position - segment.asked_until >= self._cadence * SAMPLE_RATE
            if due and self._segmenter.position - segment.start >= SHORTEST:
                segment.has_partial = True
                self._spawn(self._tell_partial(segment))
        keep = self._segmenter.keep_from
        if keep - self._begin > SAMPLE_RATE:
            self._audio, self._begin = self._audio[keep - self._begin :], keep

    def end_segment(self) -> None:
        """End the open segment: the wire is silent."""
        self._segmenter.finish()
        self._take_boundaries()

    async def finish(self) -> None:
        """End the recording and wait until all finals are told."""
        self.end_segment()
        await asyncio.gather(*self._tasks)
        if self._is_recording:
            self._is_recording = False
            self._publish(e.RecordingStopped(**self._session))

    def _take_boundaries(self) -> None:
        for boundary in self._segmenter.boundaries_to_send():
            match boundary:
                case SpeechStarted(start=start):
                    self._count += 1
                    name = f"{self._session['session_id']}-{self._count}"
                    self._open = OpenSegment(name, start, Agreement(), asked_until=start)
                    self._publish(e.SpeechStarted(**self._session, segment_id=name, start=start / SAMPLE_RATE))
                case SpeechEnded(start=start, end=end):
                    segment, self._open = self._open, None
                    assert segment is not None
                    segment.is_closed = True
                    first, last = start / SAMPLE_RATE, end / SAMPLE_RATE
                    name = segment.segment_id
                    self._publish(e.SpeechEnded(**self._session, segment_id=name, start=first, end=last))
                    self._spawn(self._tell_final(segment, self._read(start, end), first, last))

    def _read(self, start: int, end: int) -> Samples:
        return self._audio[start - self._begin : end - self._begin].copy()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_partial(self, segment: OpenSegment) -> None:
        taken = time.monotonic()

        def newest() -> Samples | None:
            nonlocal taken
            if segment.is_closed:
                return None
            taken, segment.asked_until = time.monotonic(), self._segmenter.position
            return self._read(segment.start, segment.asked_until)

        heard = await self._model.run(newest, is_final=False)
        segment.has_partial = False
        if heard is None or segment.is_closed or not heard.text:
            return
        segment.stable, unstable = segment.agreement.receive(heard.text)
        self._publish(
            e.PartialTranscribed(
                **self._session,
                segment_id=segment.segment_id,
                text=segment.stable + unstable,
                stable=segment.stable,
                unstable=unstable,
                language=heard.language,
                lag=time.monotonic() - taken,
                cadence=self._cadence,
            )
        )

    async def _tell_final(self, segment: OpenSegment, samples: Samples, start: float, end: float) -> None:
        ended = time.monotonic()
        heard = await self._model.run(lambda: samples, is_final=True)
        if heard is None or not heard.text:
            return
        words = tuple(
            Word(word=w.word, start=w.start + start, end=w.end + start, probability=w.probability) for w in heard.words
        )
        self._publish(
            e.FinalTranscribed(
                **self._session,
                segment_id=segment.segment_id,
                text=heard.text,
                words=words,
                language=heard.language,
                model_id="lock",
                start=start,
                end=end,
                processing=heard.seconds,
                lag=time.monotonic() - ended,
                revised=not heard.text.startswith(segment.stable),
            )
        )
