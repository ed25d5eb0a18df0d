import random

import numpy as np
import pytest

from demo_model import augment
from demo_model.speech import SAMPLE_RATE, Samples


@pytest.fixture
def voice() -> Samples:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    return (0.3 * np.sin(2 * np.pi * 220 * time) * np.sin(2 * np.pi * 2 * time)).astype(np.float32)


@pytest.mark.parametrize("kind", list(augment.NOISES))
def test_noise_has_unit_power(kind: str) -> None:
    made = augment.noise(SAMPLE_RATE, random.Random(1), kind)
    assert made.shape == (SAMPLE_RATE,)
    assert made.dtype == np.float32
    assert float(np.std(made)) == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize("seed", range(20))
def test_surroundings_keep_shape_and_range(voice: Samples, seed: int) -> None:
    heard = augment.surroundings(voice, random.Random(seed), babble=voice)
    assert heard.shape == voice.shape
    assert heard.dtype == np.float32
    assert np.isfinite(heard).all()
    assert 0 < float(np.abs(heard).max()) <= 1.0


@pytest.mark.parametrize("effect", [augment.room, augment.denoiser, augment.telephone, augment.clipped])
def test_effects_keep_the_length(voice: Samples, effect) -> None:
    heard = effect(voice, random.Random(2))
    assert heard.shape == voice.shape
    assert np.isfinite(heard).all()


def test_noise_is_as_loud_as_told(voice: Samples) -> None:
    heard = augment.with_noise(voice, 10.0, random.Random(3), "white")
    ratio = augment.speech_level(voice) / float(np.std(heard - voice))
    assert 20 * np.log10(ratio) == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_finite_and_short(seed: int) -> None:
    heard = augment.nobody(random.Random(seed), babble=np.ones(16_000, np.float32))
    assert np.isfinite(heard).all()
    assert 0.2 * SAMPLE_RATE < len(heard) < 8 * SAMPLE_RATE


def test_a_seed_reproduces(voice: Samples) -> None:
    first, second = (augment.surroundings(voice, random.Random(4)) for _ in range(2))
    assert np.array_equal(first, second)
