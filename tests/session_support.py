"""A session without sockets, and an engine played by the test."""

import numpy as np

from hotmic.audio.segmenter import Segmenter
from hotmic.commands import SessionOptions
from hotmic.events import Event
from hotmic.policies.local_agreement import LocalAgreement
from hotmic.session.planner import SessionSettings
from hotmic.session.session import Session
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeResult, Samples

CHUNK = SAMPLE_RATE // 10


class LoudVad:
    """Loud is speech."""

    frame = 512

    def probabilities(self, samples: Samples) -> list[float]:
        return [float(np.abs(frame).max() > 1000) for frame in samples.reshape(-1, self.frame)]

    def reset(self) -> None:
        """Nothing to forget."""


def loud(seconds: float) -> bytes:
    return np.full(int(seconds * SAMPLE_RATE), 8000, np.int16).tobytes()


def quiet(seconds: float) -> bytes:
    return bytes(2 * int(seconds * SAMPLE_RATE))


class Bench:
    """A session, a clock that follows the audio, and an engine that hears how long its window is."""

    def __init__(
        self,
        *,
        ring: float = 60.0,
        max_window: float = 28.0,
        max_segment: float = 30.0,
        vad: type[LoudVad] = LoudVad,
    ) -> None:
        self.now = 0.0
        self.jobs: list[DecodeJob] = []
        self.events: list[Event] = []
        self.session = Session(
            "s-1",
            channel="default",
            settings=SessionSettings(ring=ring),
            options=SessionOptions(),
            build_segmenter=lambda _: Segmenter(
                vad(),
                min_speech=1536,
                min_silence=9600,
                pre_roll=4800,
                hang_over=3200,
                max_segment=int(max_segment * SAMPLE_RATE),
            ),
            build_policy=lambda _: LocalAgreement(),
        )
        self.session.receive_model("model-a", Capabilities(max_window=max_window))

    def hear(self, audio: bytes) -> None:
        for begin in range(0, len(audio), 2 * CHUNK):
            self.now += 0.1
            self.session.receive_audio(audio[begin : begin + 2 * CHUNK], now=self.now)
            self.drain()

    def drain(self) -> None:
        self.jobs += self.session.jobs_to_run()
        self.events += self.session.events_to_send()

    def answer(self, text: str = "some words", **fields: object) -> None:
        jobs, self.jobs = self.jobs, []
        for job in jobs:
            self.session.receive_result(DecodeResult(job_id=job.job_id, text=text, **fields), now=self.now)  # type: ignore[arg-type]
        self.drain()

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]
