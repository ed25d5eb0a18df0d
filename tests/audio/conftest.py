"""Speech for the audio tests: one bundled clip."""

import io
import wave
from collections.abc import Callable
from importlib.resources import files

import numpy as np
import pytest

from hotmic.values import Samples
from sound import RATE, noise, to_samples


@pytest.fixture(scope="session")
def clip() -> Samples:
    """``turn on the kitchen lights``, 16 kHz."""
    data = (files("hotmic") / "models" / "clips" / "lights_kitchen.wav").read_bytes()
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")


@pytest.fixture(scope="session")
def spoken(clip: Samples) -> Callable[..., Samples]:
    """Return a function that gives the clip between two silences over a faint noise."""

    def make(*, gain_db: float = 0.0, lead: float = 0.6, tail: float = 1.0, noise_db: float = -78.0) -> Samples:
        quiet = np.concatenate([np.zeros(int(lead * RATE)), clip, np.zeros(int(tail * RATE))])
        return to_samples(quiet * 10 ** (gain_db / 20) + noise(len(quiet) / RATE, noise_db)[: len(quiet)])

    return make
