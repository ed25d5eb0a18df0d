import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotmic.audio.resample import Resampler
from hotmic.errors import BadAudio
from hotmic.values import Samples


def tone(rate: int, seconds: float, hertz: float = 440.0) -> Samples:
    t = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def resample(rate: int, chunks: list[Samples]) -> Samples:
    resampler = Resampler(rate)
    return np.concatenate([*(resampler.receive(chunk) for chunk in chunks), resampler.flush()])


@settings(deadline=None, max_examples=40)
@given(st.sampled_from([8000, 11025, 22050, 44100, 48000, 96000]), st.lists(st.integers(0, 6000), max_size=8))
def test_cuts_do_not_matter(rate: int, cuts: list[int]) -> None:
    signal = np.random.default_rng(rate).integers(-20000, 20000, 6000).astype(np.int16)
    assert np.array_equal(resample(rate, np.split(signal, sorted(cuts))), resample(rate, [signal]))


@pytest.mark.parametrize("rate", [4000, 8000, 44100, 48000, 192000])
def test_a_tone_keeps_pitch_length_and_level(rate: int) -> None:
    resampled = resample(rate, [tone(rate, 0.5)])
    assert abs(len(resampled) - 8000) <= 1
    expected = tone(16000, 0.5)[: len(resampled)]
    assert np.abs(resampled[800:7200].astype(int) - expected[800:7200]).max() < 40


def test_16_khz_passes_untouched() -> None:
    resampler = Resampler(16000)
    signal = tone(16000, 0.1)
    assert resampler.receive(signal) is signal
    assert len(resampler.flush()) == 0


def test_flush_starts_afresh() -> None:
    resampler = Resampler(48000)
    first = np.concatenate([resampler.receive(tone(48000, 0.1)), resampler.flush()])
    second = np.concatenate([resampler.receive(tone(48000, 0.1)), resampler.flush()])
    assert np.array_equal(first, second)


@pytest.mark.parametrize("rate", [-1, 0, 3999, 192001])
def test_impossible_rates_are_refused(rate: int) -> None:
    with pytest.raises(BadAudio, match=str(rate)):
        Resampler(rate)
