"""Rooms, noises and channels: what happens to a voice between the mouth and the server.

All randomness comes from the given ``random.Random``, so a seed reproduces a shard.
"""

import math
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy import signal

from demo_model.speech import SAMPLE_RATE, Samples

_NYQUIST = SAMPLE_RATE / 2


def _gauss(count: int, rng: random.Random) -> Samples:
    """Return white noise; numpy draws it, seeded from ``rng``."""
    return np.random.default_rng(rng.getrandbits(64)).standard_normal(count, dtype=np.float32)


def _filtered(taps: Any, samples: Samples) -> Samples:
    """Return samples through an IIR filter ``(numerator, denominator)``."""
    result: Samples = signal.lfilter(*taps, samples).astype(np.float32)
    return result


def _white(count: int, rng: random.Random) -> Samples:
    return _gauss(count, rng)


def _pink(count: int, rng: random.Random) -> Samples:
    """Pink noise by Paul Kellet's three-pole filter."""
    taps = [0.049922, -0.095993, 0.050612, -0.004408], [1, -2.494956, 2.017265, -0.522189]
    return _filtered(taps, _gauss(count, rng))


def _brown(count: int, rng: random.Random) -> Samples:
    return _filtered(([1], [1, -0.98]), _gauss(count, rng))


def _band(count: int, rng: random.Random) -> Samples:
    low = rng.uniform(100, 3000)
    high = min(0.95 * _NYQUIST, low * rng.uniform(1.3, 3))
    return _filtered(signal.butter(2, [low / _NYQUIST, high / _NYQUIST], "band"), _gauss(count, rng))


def _hum(count: int, rng: random.Random) -> Samples:
    pitch = rng.choice((50.0, 60.0, 100.0, 120.0, rng.uniform(80, 400)))
    time = np.arange(count) / SAMPLE_RATE
    tilt = rng.uniform(0.5, 2)
    noise = 0.05 * _gauss(count, rng)
    for partial in range(1, rng.randint(3, 8)):
        noise += np.sin(2 * np.pi * pitch * partial * time + rng.random() * 6).astype(np.float32) / partial**tilt
    return noise


def _swell(count: int, rng: random.Random) -> Samples:
    """White noise whose level wanders."""
    knots = np.arange(0, count + 2000, 2000)
    levels = [rng.random() for _ in knots]
    return _gauss(count, rng) * (0.3 + np.interp(np.arange(count), knots, levels)).astype(np.float32)


def _bursts(count: int, rng: random.Random, *, per_second: tuple[float, float], length: tuple[int, int]) -> Samples:
    noise = 0.02 * _gauss(count, rng)
    for _ in range(max(1, int(count / SAMPLE_RATE * rng.uniform(*per_second)))):
        start = rng.randrange(count)
        size = min(rng.randint(*length), count - start)
        decay = np.exp(-np.arange(size) / (size / 5)).astype(np.float32)
        noise[start : start + size] += _gauss(size, rng) * decay * rng.uniform(1, 6)
    return noise


def _clicks(count: int, rng: random.Random) -> Samples:
    return _bursts(count, rng, per_second=(1, 6), length=(20, 800))


def _thumps(count: int, rng: random.Random) -> Samples:
    """A door, a desk, a microphone that is put down: low bursts."""
    bursts = _bursts(count, rng, per_second=(0.3, 2), length=(1500, 6000))
    return _filtered(signal.butter(2, rng.uniform(80, 500) / _NYQUIST), bursts)


def _breath(count: int, rng: random.Random) -> Samples:
    """Breathing: filtered noise with a slow envelope."""
    band = signal.butter(1, [rng.uniform(300, 700) / _NYQUIST, rng.uniform(2000, 5000) / _NYQUIST], "band")
    phase = 2 * np.pi * rng.uniform(0.3, 1.2) * np.arange(count) / SAMPLE_RATE + rng.random() * 6
    return _filtered(band, _gauss(count, rng)) * np.maximum(0.02, np.sin(phase)).astype(np.float32) ** 2


def _music(count: int, rng: random.Random) -> Samples:
    """Notes and chords of decaying harmonics."""
    noise = np.zeros(count, np.float32)
    chord = rng.choice(((0,), (0,), (0, 4, 7), (0, 3, 7), (0, 7, 12)))
    position = 0
    while position < count:
        size = min(int(rng.uniform(0.1, 0.9) * SAMPLE_RATE), count - position)
        time = np.arange(size) / SAMPLE_RATE
        root = rng.randint(0, 36)
        for step in chord:
            pitch = 110 * 2 ** ((root + step) / 12)
            for partial in range(1, 5):
                decay = np.exp(-time * rng.uniform(0.5, 6)) / partial
                noise[position : position + size] += np.sin(2 * np.pi * pitch * partial * time) * decay
        position += size
    return noise + 0.003 * _gauss(count, rng)


NOISES: dict[str, Callable[[int, random.Random], Samples]] = {
    "white": _white,
    "pink": _pink,
    "brown": _brown,
    "band": _band,
    "hum": _hum,
    "swell": _swell,
    "clicks": _clicks,
    "thumps": _thumps,
    "breath": _breath,
    "music": _music,
}


def noise(count: int, rng: random.Random, kind: str | None = None) -> Samples:
    """Return ``count`` samples of noise of unit power, of a random kind unless told."""
    made = NOISES[kind or rng.choice(list(NOISES))](count, rng)
    return (made / (float(np.std(made)) + 1e-9)).astype(np.float32)


def room(samples: Samples, rng: random.Random) -> Samples:
    """Convolve with a random exponentially decaying impulse response of 80 to 450 ms."""
    size = int(SAMPLE_RATE * rng.uniform(0.08, 0.45))
    decay = np.exp(-np.arange(size) / size * rng.uniform(5, 9)).astype(np.float32)
    response = _gauss(size, rng) * decay * rng.uniform(0.02, 0.12)
    response[: int(SAMPLE_RATE * rng.uniform(0.001, 0.01))] = 0
    response[0] = 1
    result: Samples = signal.fftconvolve(samples, response)[: len(samples)].astype(np.float32)
    return result


def speech_level(samples: Samples) -> float:
    """Return the root mean square over the samples that are not nearly silent."""
    loud = samples[np.abs(samples) > 0.01 * float(np.abs(samples).max(initial=0.0))]
    return math.sqrt(float(np.mean(loud**2)) + 1e-9) if len(loud) else 1e-4


def with_noise(samples: Samples, snr_db: float, rng: random.Random, kind: str | None = None) -> Samples:
    """Add noise ``snr_db`` below the level of the speech."""
    return samples + noise(len(samples), rng, kind) * np.float32(speech_level(samples) * 10 ** (-snr_db / 20))


def denoiser(samples: Samples, rng: random.Random) -> Samples:
    """Imitate the artefacts of spectral gating, which the server's noise reduction uses."""
    _, _, spectrum = signal.stft(samples, SAMPLE_RATE, nperseg=512, noverlap=384)
    level = np.abs(spectrum)
    threshold = np.quantile(level, rng.uniform(0.2, 0.5), axis=1, keepdims=True) * rng.uniform(1, 2)
    slope = np.clip((level - threshold) / (threshold * 0.3 + 1e-7), -40, 40)
    strength = rng.uniform(0.6, 1.0)
    gain = 1 - strength + strength / (1 + np.exp(-slope))
    _, gated = signal.istft(spectrum * gain, SAMPLE_RATE, nperseg=512, noverlap=384)
    return np.resize(gated[: len(samples)], len(samples)).astype(np.float32)


@cache
def _telephone_band(low: int, high: int) -> Any:
    return signal.butter(3, [low / _NYQUIST, high / _NYQUIST], "band")


def telephone(samples: Samples, rng: random.Random) -> Samples:
    """Limit to the telephone band; half of the time with mu-law companding (ITU-T G.711, continuous form)."""
    band = _telephone_band(rng.randrange(200, 351, 10), rng.randrange(3000, 3701, 50))
    limited = _filtered(band, samples)
    if rng.random() < 0.5:
        peak = float(np.abs(limited).max()) + 1e-6
        coded = np.round(np.sign(limited) * np.log1p(255 * np.abs(limited) / peak) / np.log(256) * 127) / 127
        limited = (np.sign(coded) * (256 ** np.abs(coded) - 1) / 255 * peak).astype(np.float32)
    return limited


def clipped(samples: Samples, rng: random.Random) -> Samples:
    """Cut the peaks off."""
    limit = float(np.abs(samples).max()) * rng.uniform(0.3, 0.8)
    return np.clip(samples, -limit, limit)


def with_gain(samples: Samples, rng: random.Random) -> Samples:
    """Set the peak to 0 to -26 dB of full scale."""
    peak = float(np.abs(samples).max(initial=0.0)) + 1e-9
    return (samples / peak * 10 ** (-rng.uniform(0, 26) / 20)).astype(np.float32)


def surroundings(
    samples: Samples, rng: random.Random, *, strength: float = 1.0, babble: Samples | None = None
) -> Samples:
    """Put speech into a random place: room, tilt, floor noise, noise, gating, telephone, clipping, gain.

    Args:
        strength: Scales how often each happens; recordings of people bring a room of their own.
        babble: Voices in the background, mixed in when given.
    """
    level = speech_level(samples)
    if rng.random() < 0.35 * strength:
        samples = room(samples, rng)
    if rng.random() < 0.3 * strength:
        samples = _filtered(([1, rng.uniform(-0.6, 0.6)], [1]), samples)
    if rng.random() < 0.7:
        floor = level * 10 ** (-rng.uniform(30, 60) / 20)
        samples = samples + noise(len(samples), rng, rng.choice(("white", "pink", "brown"))) * np.float32(floor)
    if rng.random() < 0.62 * strength:
        snr_db = rng.uniform(5, 35) if rng.random() < 0.7 else rng.uniform(15, 40)
        samples = with_noise(samples, snr_db, rng)
    if babble is not None:
        gain = level / (float(np.std(babble)) + 1e-9) * 10 ** (-rng.uniform(14, 30) / 20)
        samples = samples + np.resize(babble, len(samples)) * np.float32(gain)
    if rng.random() < 0.15 * strength:
        samples = denoiser(samples, rng)
    if rng.random() < 0.12 * strength:
        samples = telephone(samples, rng)
    if rng.random() < 0.05 * strength:
        samples = clipped(samples, rng)
    return with_gain(samples, rng)


def nobody(rng: random.Random, *, babble: Samples | None = None) -> Samples:
    """Return 0.3 to 6 s in which nobody can be understood: silence, noises, or half a second of babble."""
    count = int(rng.uniform(0.3, 6) * SAMPLE_RATE)
    kind = rng.random()
    if kind < 0.2:
        level = 10 ** rng.uniform(-5, -3.5) if rng.random() < 0.7 else 0.0
        return _gauss(count, rng) * np.float32(level)
    if kind < 0.25 and babble is not None:
        mumble = np.resize(babble, SAMPLE_RATE // 2) * np.hanning(SAMPLE_RATE // 2)
        samples = np.concatenate([np.zeros(count // 2), mumble, np.zeros(count // 2)]).astype(np.float32)
        return with_gain(with_noise(samples, rng.uniform(5, 30), rng), rng)
    samples = noise(count, rng)
    if rng.random() < 0.4:
        samples = samples + noise(count, rng) * np.float32(rng.uniform(0.05, 1))
    return (samples / float(np.abs(samples).max()) * 10 ** rng.uniform(-2.6, 0)).astype(np.float32)
