import numpy as np
import pytest

from hotmic.engines.mel import MelBank


def sound(count: int) -> np.ndarray:  # type: ignore[type-arg]
    time = np.arange(count) / 16_000
    noise = np.random.default_rng(0).normal(0, 500, count)
    return (8000 * np.sin(2 * np.pi * (200 + 900 * time) * time) + noise).astype(np.int16)


@pytest.mark.integration
@pytest.mark.parametrize("n_mels", [80, 128])
@pytest.mark.parametrize("count", [1600, 16_000, 80_037])
def test_equal_to_faster_whisper(n_mels: int, count: int) -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    samples = sound(count)
    theirs = FeatureExtractor(feature_size=n_mels)(samples.astype(np.float32) / 32768)[:, :-1]
    ours = MelBank(n_mels).features(samples)
    assert ours.shape == theirs.shape == (n_mels, count // 160)
    assert np.abs(ours - theirs).max() < 1e-4


def test_a_tone_is_loudest_in_its_band() -> None:
    tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)).astype(np.int16)
    features = MelBank(80).features(tone)
    assert features.dtype == np.float32
    # Slaney's scale puts 1 kHz at 15 of 45.2 mel, the 80 filters evenly between.
    assert set(features[:, 10:90].argmax(axis=0)) == {26}


def test_silence_is_flat() -> None:
    features = MelBank(80).features(np.zeros(16_000, dtype=np.int16))
    assert np.allclose(features, (-10 + 4) / 4)


def test_read_only_samples_will_do() -> None:
    samples = np.frombuffer(sound(3200).tobytes(), dtype="<i2")
    assert MelBank(80).features(samples).shape == (80, 20)
