"""What needs noisereduce itself (seconds to import) is marked; the guards return before it is needed."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from hotmic.audio.denoise import LEFT_CONTEXT, RIGHT_CONTEXT, denoise, estimate_snr_db, reduce_noise
from hotmic.values import Samples
from sound import noise, to_samples

EMPTY = np.zeros(0, dtype=np.int16)
HISS = to_samples(noise(0.5, -35, seed=1))


@pytest.mark.parametrize(
    ("samples", "profile"),
    [
        (HISS, EMPTY),
        (HISS, HISS[:1000]),
        (HISS, np.zeros(8000, dtype=np.int16)),
        (np.zeros(8000, dtype=np.int16), HISS),
        (HISS[:1000], HISS),
        (EMPTY, HISS),
    ],
)
def test_nothing_to_learn_or_to_clean_returns_the_input(samples: Samples, profile: Samples) -> None:
    assert denoise(samples, profile) is samples


def test_snr_of_speech_over_hiss(spoken: Callable[..., Samples]) -> None:
    quiet, loud = (
        estimate_snr_db(spoken(gain_db=gain, noise_db=-45), to_samples(noise(0.5, -45))) for gain in (-20, 0)
    )
    assert loud - quiet == pytest.approx(20, abs=2)
    assert estimate_snr_db(HISS, HISS) < 0
    assert estimate_snr_db(HISS, EMPTY) == math.inf
    assert estimate_snr_db(EMPTY, HISS) == -20.0


def test_off_and_clean_auto_leave_the_samples_alone(spoken: Callable[..., Samples]) -> None:
    samples = spoken()
    assert reduce_noise(samples, HISS, mode="off") is samples
    assert reduce_noise(samples, to_samples(noise(0.5, -78)), mode="auto") is samples


@pytest.mark.integration
def test_noise_goes_and_speech_stays(spoken: Callable[..., Samples]) -> None:
    samples = spoken(noise_db=-40)
    cleaned = denoise(samples, to_samples(noise(0.5, -40, seed=7)), prop_decrease=1.0)
    assert cleaned.dtype == np.int16
    assert len(cleaned) == len(samples)
    lead = slice(1000, 8000)
    assert np.square(cleaned[lead].astype(float)).mean() < 0.1 * np.square(samples[lead].astype(float)).mean()
    loud = np.abs(spoken().astype(int)) > 8000
    assert np.corrcoef(cleaned[loud], spoken()[loud])[0, 1] > 0.98


@pytest.mark.integration
def test_the_end_of_the_window_is_not_zeroed() -> None:
    for extra in range(0, 300, 37):
        samples = to_samples(noise(0.2, -20))[: 2000 + extra]
        assert denoise(samples, HISS)[-20:].any()


@pytest.mark.integration
def test_context_makes_a_window_agree_with_the_whole(spoken: Callable[..., Samples]) -> None:
    samples = spoken(noise_db=-40)
    whole = denoise(samples, HISS)
    first, last = 20_000, 36_000
    part = denoise(
        samples[first:last],
        HISS,
        left_context=samples[first - LEFT_CONTEXT : first],
        right_context=samples[last : last + RIGHT_CONTEXT],
    )
    error = np.square(part.astype(float) - whole[first:last]).mean()
    assert 10 * math.log10(np.square(whole[first:last].astype(float)).mean() / max(error, 1e-9)) > 34


@pytest.mark.integration
def test_on_and_noisy_auto_denoise(spoken: Callable[..., Samples]) -> None:
    samples = spoken(gain_db=-20, noise_db=-40)
    expected = denoise(samples, HISS)
    assert not np.array_equal(expected, samples)
    for mode in ("on", "auto"):
        assert np.array_equal(reduce_noise(samples, HISS, mode=mode), expected)


@pytest.mark.integration
def test_output_that_is_no_number_gives_the_input_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import noisereduce

    monkeypatch.setattr(noisereduce, "reduce_noise", lambda y, *_, **__: np.full(len(y), np.nan))
    assert denoise(HISS, HISS) is HISS
