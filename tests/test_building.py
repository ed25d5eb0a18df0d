"""The parts of a daemon, as the settings and a session wish them."""

import numpy as np
import pytest

from hotmic.audio.segmenter import Cuts, SpeechEnded
from hotmic.building import build_segmenter, segmenter_settings
from hotmic.config.settings import Settings
from hotmic.values import SAMPLE_RATE, Samples

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

        def probability(self, frame: Samples) -> float:
            return 0.6 if np.abs(frame).max() > 1000 else 0.0

        def reset(self) -> None:
            """No state."""

    def found(threshold: float | None) -> int:
        made = build_segmenter(NUMBERS, Cuts(vad_threshold=threshold))
        made._vad = Doubtful()
        made.receive(burst())
        return len([b for b in made.boundaries_to_send() if isinstance(b, SpeechEnded)])

    assert [found(threshold) for threshold in (None, 0.5, 0.7, 0.9)] == [1, 1, 1, 0]
