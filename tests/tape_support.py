"""Recorded sessions without a disk: random conversations, and what a replay makes of them."""

import io
import random

import numpy as np

from hotmic.building import build_policy, build_segmenter, segmenter_settings
from hotmic.commands import ClearAudio, Configure, EndAudio, SessionOptions, StartRecording, StopRecording
from hotmic.config.settings import Settings
from hotmic.events import Event
from hotmic.policies.policy import PolicySettings
from hotmic.session.planner import SessionSettings
from hotmic.session.recorder import RecordedSession
from hotmic.session.replay import Difference, Replay
from hotmic.session.tape import MAGIC, Entry, Header, Tape, encode
from hotmic.values import SAMPLE_RATE, Capabilities, DecodeJob, DecodeResult, VadProfile, Word

CHUNK = SAMPLE_RATE // 10
WORDS = ["turn", "on", "the", "lights", "in", "the", "kitchen", "and", "call", "my", "brother", "สวัสดี"]
POLICIES = (
    PolicySettings(),
    PolicySettings(agreement_n=1),
    PolicySettings(policy="align_att", attention_margin=0.2),
)
SESSION_SETTINGS = SessionSettings(ring=20.0)


class MemorySink:
    """A file in memory."""

    def __init__(self, header: Header) -> None:
        self.data = MAGIC + encode(header)
        self.is_open = True

    def write(self, entry: Entry) -> None:
        if self.is_open:
            self.data += encode(entry)

    def close(self) -> None:
        self.is_open = False


class Conversation:
    """A recorded session, and someone who does at random whatever can be done to it.

    Args:
        seed: Of the randomness.
        vad: The VAD to begin with.
    """

    def __init__(self, seed: int, *, vad: VadProfile = "seed") -> None:
        self.rng, self.noise = random.Random(seed), np.random.default_rng(seed)
        self.now, self.seq = 1000.0, self.rng.choice((None, 7))
        self.policy = POLICIES[0]
        self.jobs: list[DecodeJob] = []
        self.events: list[Event] = []
        segmenter = segmenter_settings(Settings.model_construct())
        options = SessionOptions(vad=vad)
        self.sink = MemorySink(
            Header(
                version="test",
                session_id="s-1",
                channel="room",
                settings=SESSION_SETTINGS,
                options=options,
                segmenter=segmenter,
            )
        )
        self.session = RecordedSession(
            "s-1",
            sink=self.sink,
            policy_settings=lambda: self.policy,
            channel="room",
            settings=SESSION_SETTINGS,
            options=options,
            build_segmenter=lambda cuts: build_segmenter(segmenter, cuts),
            build_policy=lambda name: build_policy(self.policy, name),
            tenant="token:secret",
        )
        self.session.label = "s-1-9"
        self.session.receive_model("model-a", Capabilities(max_window=8.0))

    def run(self, steps: int = 60, *, close: bool = True) -> bytes:
        """Do so many things, and close; return what the file holds."""
        for _ in range(steps):
            self.now += self.rng.random()
            (act,) = self.rng.choices((self.speak, self.answer, self.command, self.happen), weights=(6, 4, 1, 1))
            act()
            self.drain()
        if close:
            self.session.receive_close(now=self.now)
            self.drain()
            while self.jobs:
                self.answer()
                self.drain()
        return self.sink.data

    def drain(self) -> None:
        self.jobs += self.session.jobs_to_run()
        self.events += self.session.events_to_send()

    def speak(self) -> None:
        is_speech = self.rng.random() < 0.6
        for _ in range(self.rng.randrange(1, 40)):
            self.now += 0.1
            self.session.cadence = self.rng.choice((0.3, 0.3, 0.3, 1.1))
            level = 6000 if is_speech else 20
            samples = (self.noise.standard_normal(self.rng.choice((CHUNK, CHUNK // 3))) * level).astype(np.int16)
            data = samples.tobytes() + b"x" * (self.rng.random() < 0.02)
            rate = self.rng.choice((None, None, 8000))
            self.session.receive_audio(data, now=self.now, sample_rate=rate, seq=self.seq)
            if self.seq is not None:
                self.seq += self.rng.choice((1, 1, 1, 1, 1, 1, 1, 1, 2, 0))
                self.seq = min(self.seq, self.session.next_seq or self.seq)
            self.drain()

    def answer(self) -> None:
        """Answer some jobs in any order: well, with nothing, or with a failure."""
        self.rng.shuffle(self.jobs)
        for _ in range(self.rng.randrange(0, len(self.jobs) + 1)):
            job = self.jobs.pop()
            said = [self.rng.choice(WORDS) for _ in range(self.rng.randrange(0, 6))]
            words = tuple(
                Word(word=f" {word}", start=i * 0.31, end=i * 0.31 + 0.3, probability=self.rng.random())
                for i, word in enumerate(said)
            )
            error = "engine_failed" if self.rng.random() < 0.05 else ""
            result = DecodeResult(
                job_id=job.job_id,
                model_id="model-a",
                text=" ".join(said),
                words=words if job.word_times else (),
                language=self.rng.choice(("en", "th")),
                language_probability=self.rng.random(),
                decode_s=self.rng.random(),
                error_code=error,
                error_message=error,
            )
            self.session.receive_result(result, now=self.now)

    def command(self) -> None:
        options = SessionOptions(
            language=self.rng.choice((None, "", "th")),
            vad=self.rng.choice((None, "energy", "seed")),
            min_silence_ms=self.rng.choice((None, 300, 900)),
            policy=self.rng.choice((None, "align_att", "local_agreement")),
            hotwords=self.rng.choice((None, ("hotmic",))),
        )
        commands = (
            StartRecording(request_id="of somebody", config=options),
            StopRecording(request_id=4711),
            EndAudio(),
            ClearAudio(request_id=1, keeps_ended=self.rng.random() < 0.5),
            Configure(options=options),
        )
        self.session.receive_command(self.rng.choice(commands), now=self.now)

    def happen(self) -> None:
        match self.rng.randrange(5):
            case 0:
                self.session.receive_detach()
            case 1:
                self.session.receive_attach(now=self.now)
            case 2:
                self.session.handle_timer(now=self.now)
            case 3:
                self.policy = self.rng.choice(POLICIES)
            case _:
                window = self.rng.choice((4.0, 8.0))
                self.session.receive_model(self.rng.choice(("model-a", "model-b")), Capabilities(max_window=window))


def play(data: bytes) -> tuple[Replay, Difference | None, Tape]:
    """Replay a file's bytes."""
    tape = Tape(io.BytesIO(data))
    replay = Replay(tape.header, build_segmenter=build_segmenter, build_policy=build_policy)
    return replay, replay.run(tape), tape
