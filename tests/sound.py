"""Made-up sounds for the audio tests: things that are not speech."""

import numpy as np

from hotmic.values import Samples

RATE = 16_000


def to_samples(values: np.ndarray) -> Samples:
    return np.clip(np.rint(values), -32768, 32767).astype(np.int16)


def noise(seconds: float, level_db: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(int(seconds * RATE)) * 10 ** (level_db / 20) * 32768


def _pink(seconds: float, level_db: float) -> np.ndarray:
    spectrum = np.fft.rfft(noise(seconds, level_db))
    scale = np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    values = np.fft.irfft(spectrum / scale, int(seconds * RATE))
    return values / values.std() * 10 ** (level_db / 20) * 32768


def _clicks(seconds: float, level_db: float) -> np.ndarray:
    values = noise(seconds, -70)
    for start in range(3000, len(values) - 400, 11_213):
        burst = noise(400 / RATE, level_db, seed=start) * np.exp(-np.arange(400) / 60)
        values[start : start + 400] += 3 * burst
    return values


def not_speech(kind: str, level_db: float, seconds: float = 8.0) -> Samples:
    t = np.arange(int(seconds * RATE)) / RATE
    amplitude = 10 ** (level_db / 20) * 32768
    match kind:
        case "silence":
            return np.zeros(len(t), dtype=np.int16)
        case "white":
            return to_samples(noise(seconds, level_db))
        case "pink":
            return to_samples(_pink(seconds, level_db))
        case "hum":
            return to_samples(amplitude * sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, 8)))
        case "chord":
            return to_samples(amplitude * sum(np.sin(2 * np.pi * f * t) for f in (261.6, 329.6, 392.0)) / 2)
        case "clicks":
            return to_samples(_clicks(seconds, level_db))
    raise ValueError(kind)
