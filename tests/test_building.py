"""The parts of a daemon, as the settings and a session wish them."""

import asyncio

import msgspec
import numpy as np
import pytest

import virtual_time
from hotmic.audio.segmenter import Cuts, SpeechEnded
from hotmic.building import build_runner, build_segmenter, segmenter_settings
from hotmic.commands import Configure, SessionOptions
from hotmic.config.model import ModelSpec
from hotmic.config.settings import Settings
from hotmic.engines import echo
from hotmic.events import Event, PartialTranscribed
from hotmic.metrics import Metrics
from hotmic.net.hub import Hub
from hotmic.net.presence import Owner
from hotmic.values import SAMPLE_RATE, PolicyName, Samples
from net_support import SPEC, EchoPool

NUMBERS = segmenter_settings(Settings())


def burst(*, level: int = 8000) -> Samples:
    """Half a second of silence, half a second of noise, a second and a half of silence."""
    noise = np.random.default_rng(1).standard_normal(SAMPLE_RATE // 2) * level
    silence = np.random.default_rng(2).standard_normal(SAMPLE_RATE * 3 // 2)
    return np.concatenate([silence[: SAMPLE_RATE // 2], noise, silence]).clip(-32000, 32000).astype(np.int16)


def heard(cuts: Cuts, audio: Samples) -> list[tuple[float, float]]:
    made = build_segmenter(NUMBERS, cuts)
    made.receive(audio)
    return [
        (b.start / SAMPLE_RATE, b.end / SAMPLE_RATE) for b in made.boundaries_to_send() if isinstance(b, SpeechEnded)
    ]


def ended_after(cuts: Cuts) -> float:
    """Return the seconds of audio it takes until the end of the burst is told."""
    made, audio = build_segmenter(NUMBERS, cuts), burst()
    for begin in range(0, len(audio), 160):
        made.receive(audio[begin : begin + 160])
        if any(isinstance(b, SpeechEnded) for b in made.boundaries_to_send()):
            return begin / SAMPLE_RATE
    raise AssertionError("it never ended")


def test_a_session_may_wish_for_shorter_silences() -> None:
    usual, short = ended_after(Cuts(vad="energy")), ended_after(Cuts(vad="energy", min_silence_ms=200))
    assert usual - short == pytest.approx((NUMBERS.min_silence_ms - 200) / 1000, abs=0.05)


def test_a_session_may_wish_for_more_audio_before_the_start() -> None:
    ((usual, _),) = heard(Cuts(vad="energy"), burst())
    ((early, _),) = heard(Cuts(vad="energy", pre_roll_ms=450), burst())
    assert usual - early == pytest.approx(0.15, abs=0.01)


def test_what_hangs_over_is_never_longer_than_the_silence() -> None:
    ((_, end),) = heard(Cuts(vad="energy", min_silence_ms=100), burst())
    assert end <= 1.0 + 0.1 + 0.04


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_every_threshold_tells_noise_from_silence(threshold: float) -> None:
    assert len(heard(Cuts(vad="energy", vad_threshold=threshold), burst())) == 1


def test_a_higher_threshold_wants_clearer_speech() -> None:
    class Doubtful:
        frame = 512

        def probabilities(self, samples: Samples) -> list[float]:
            return [0.6 if np.abs(frame).max() > 1000 else 0.0 for frame in samples.reshape(-1, self.frame)]

        def reset(self) -> None:
            """No state."""

    def found(threshold: float | None) -> int:
        made = build_segmenter(NUMBERS, Cuts(vad_threshold=threshold))
        made._vad = Doubtful()
        made.receive(burst())
        return len([b for b in made.boundaries_to_send() if isinstance(b, SpeechEnded)])

    assert [found(threshold) for threshold in (None, 0.5, 0.7, 0.9)] == [1, 1, 1, 0]


class SpecPool(EchoPool):
    """An echo pool that knows what its model says about policies."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.told = spec

    def spec(self, model_id: str | None) -> ModelSpec | None:
        return self.told if model_id == self.current else None


def unstable_words(spec: ModelSpec, options: SessionOptions, configured: SessionOptions | None = None) -> int:
    """Return how many words, one of each 0.1 s, may still change in the newest partial of four seconds of talk."""
    heard: list[Event] = []

    class Ear:
        is_speaker, channel = False, "c"

        def hear(self, event: Event, *, timestamp: str, key: str = "") -> None:
            heard.append(event)

    async def main() -> None:
        hub = Hub()
        hub.join(Ear())
        runner = build_runner(Settings(), SpecPool(spec), hub, Metrics())  # type: ignore[arg-type]
        session = runner.open_session("c", options, owner=Owner(hear=lambda _: None))
        if configured is not None:
            runner.receive_command(session, Configure(options=configured))
        for number in range(40):
            runner.receive_audio(session, echo.chunk(number).tobytes(), encoding="pcm16", sample_rate=None)
            await asyncio.sleep(0.1)
        runner.close()

    virtual_time.run(main())
    partials = [event for event in heard if isinstance(event, PartialTranscribed)]
    assert len(partials) >= 10
    return len(partials[-1].unstable.split())


@pytest.mark.parametrize(
    ("policy", "agreement_n", "margin", "choice", "expected"),
    [
        # With a partial each 0.3 s, three words more wait for every further hypothesis that must agree.
        ("local_agreement", 1, 1.0, None, 0),
        ("local_agreement", 2, 1.0, None, 3),
        ("local_agreement", 3, 1.0, None, 6),
        ("align_att", 3, 1.0, None, 10),
        ("align_att", 3, 2.0, None, 20),
        ("local_agreement", 3, 1.0, "align_att", 10),
        ("align_att", 3, 1.0, "local_agreement", 6),
    ],
)
def test_words_become_stable_as_the_session_chose_or_the_model_says(
    policy: PolicyName, agreement_n: int, margin: float, choice: PolicyName | None, expected: int
) -> None:
    spec = msgspec.structs.replace(SPEC, policy=policy, agreement_n=agreement_n, attention_margin_s=margin)
    own = SessionOptions(vad="seed")
    wished = msgspec.structs.replace(own, policy=choice)
    assert unstable_words(spec, wished) == pytest.approx(expected, abs=1)
    assert unstable_words(spec, own, wished) == pytest.approx(expected, abs=1)
