import numpy as np

from hotmic.audio.noise import NoiseProfile
from hotmic.values import Samples


def frame(number: int) -> Samples:
    return np.full(100, number, dtype=np.int16)


def test_keeps_the_newest_up_to_its_length() -> None:
    profile = NoiseProfile(frame=100, guard=0, length=250)
    for number in range(10):
        profile.receive(frame(number), 0.0)
    assert profile.samples().tolist() == [7] * 50 + [8] * 100 + [9] * 100


def test_the_guard_before_speech_is_left_out() -> None:
    profile = NoiseProfile(frame=100, guard=200, length=1000)
    for number in range(5):
        profile.receive(frame(number), 0.0)
    profile.interrupt()
    assert set(profile.samples().tolist()) == {0, 1, 2}


def test_doubt_counts_as_speech() -> None:
    profile = NoiseProfile(frame=100, guard=100, length=1000)
    profile.receive(frame(1), 0.0)
    profile.receive(frame(2), 0.3)
    profile.receive(frame(3), 0.0)
    profile.receive(frame(4), 0.0)
    assert set(profile.samples().tolist()) == {3}


def test_empty_at_first() -> None:
    assert len(NoiseProfile(frame=100, guard=100).samples()) == 0


def test_holds_copies() -> None:
    profile = NoiseProfile(frame=100, guard=0)
    data = frame(1)
    profile.receive(data, 0.0)
    data[:] = 9
    assert profile.samples()[0] == 1
