import pytest

from hotmic.audio.vad_energy import LOWEST_DB, START_DB, EnergyVad, NoiseFloor
from sound import noise, to_samples


def test_floor_falls_at_once_and_rises_after_a_while() -> None:
    floor = NoiseFloor()
    assert floor.receive(-20.0) == START_DB
    assert floor.receive(-65.0) == -65.0
    rising = [floor.receive(-30.0) for _ in range(100)]
    assert rising[29] == -65.0
    assert rising[63] == -30.0


def test_floor_has_a_bottom() -> None:
    assert NoiseFloor().receive(-96.0) == LOWEST_DB


def test_gaps_between_words_hold_the_floor() -> None:
    floor = NoiseFloor()
    floors = [floor.receive(-50.0 if i % 40 < 3 else -20.0) for i in range(400)]
    assert max(floors) <= -50.0


def test_probability_is_a_half_at_the_rise() -> None:
    vad = EnergyVad(rise_db=9.0)
    for i in range(80):
        vad.probabilities(to_samples(noise(0.032, -50, seed=i)))
    (at_rise,) = vad.probabilities(to_samples(noise(0.032, -41, seed=99)))
    assert at_rise == pytest.approx(0.5, abs=0.25)
    assert vad.probabilities(to_samples(noise(0.032, -30, seed=98)))[0] > 0.95


def test_below_the_minimum_nothing_is_speech() -> None:
    vad = EnergyVad(minimum_db=-40)
    assert vad.probabilities(to_samples(noise(0.032, -45))) == [0.0]
