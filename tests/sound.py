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


def _breath(seconds: float, level_db: float) -> np.ndarray:
    t = np.arange(int(seconds * RATE)) / RATE
    hiss = np.diff(_pink(seconds, level_db), prepend=0.0) + 0.3 * _pink(seconds, level_db)
    # In and out every two seconds.
    return hiss * np.sin(np.pi * t / 1.0) ** 2


def _door(seconds: float, level_db: float) -> np.ndarray:
    values = noise(seconds, -70)
    t = np.arange(RATE // 4) / RATE
    for start in range(RATE // 10, len(values) - len(t), 2 * RATE):
        thump = np.sin(2 * np.pi * 70 * t) * np.exp(-t / 0.06) + 0.3 * np.sin(2 * np.pi * 180 * t) * np.exp(-t / 0.03)
        values[start : start + len(t)] += 3 * 10 ** (level_db / 20) * 32768 * thump
    return values


def _music(seconds: float, level_db: float) -> np.ndarray:
    # A tune of a quarter of a second a note, each with overtones and a soft end.
    t = np.arange(int(seconds * RATE)) / RATE
    tune = 220 * 2 ** (np.array((0, 4, 7, 12, 7, 4, 5, 9)) / 12)
    pitch = tune[(t * 4).astype(int) % len(tune)]
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tone = sum(np.sin(k * phase) / k for k in (1, 2, 3, 4))
    return 10 ** (level_db / 20) * 32768 * tone * np.exp(-((t * 4) % 1) * 2)


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
        case "breath":
            return to_samples(_breath(seconds, level_db))
        case "door":
            return to_samples(_door(seconds, level_db))
        case "music":
            return to_samples(_music(seconds, level_db))
    raise ValueError(kind)
