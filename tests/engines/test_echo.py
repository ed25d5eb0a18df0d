import itertools
import time
from collections.abc import Callable

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from hotmic.engines import echo
from hotmic.engines.engine import Engine
from hotmic.errors import EngineFailed
from hotmic.values import DecodeJob, Samples

TALK = echo.speech(30, first=70, speaker=3)
NUMBERS = [300_070 + i for i in range(30)]


@given(st.lists(st.integers(0, len(TALK)), max_size=6))
def test_a_chunk_is_heard_by_exactly_one_of_two_windows(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(TALK)]
    # A piece shorter than half a chunk can take the larger part of none.
    borders = [b for i, b in enumerate(borders) if i == 0 or b - borders[i - 1] >= echo.CHUNK or b == len(TALK)]
    windows = [TALK[a:b] for a, b in itertools.pairwise(borders)]
    assert [n for window in windows for n in echo.heard(window)] == NUMBERS


@pytest.mark.parametrize("cut", [8000 + 799, 8000 + 800, 8000 + 801, 8000, 8001, 9599])
def test_borders_of_the_middle(cut: int) -> None:
    assert echo.heard(TALK[:cut]) + echo.heard(TALK[cut:]) == NUMBERS


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_numbers_survive_resampling(rate: int) -> None:
    there = soxr.resample(TALK.astype(np.float32) / 32768, 16_000, rate)
    back = soxr.resample(there, rate, 16_000)
    assert echo.heard((back * 32767).clip(-32768, 32767).astype(np.int16)) == NUMBERS


def test_numbers_survive_noise_and_gain() -> None:
    noise = np.random.default_rng(1).normal(0, 300, len(TALK))
    assert echo.heard((TALK * 0.3 + noise).astype(np.int16)) == NUMBERS


@pytest.mark.parametrize("sound", ["noise", "silence", "tone", "square"])
def test_nothing_else_has_numbers(sound: str) -> None:
    time_axis = np.arange(160_000)
    signal = {
        "noise": np.random.default_rng(2).normal(0, 6000, 160_000),
        "silence": np.zeros(160_000),
        "tone": 9000 * np.sin(time_axis / 5),
        "square": 9000 * np.sign(np.sin(time_axis * np.pi / 24)),
    }[sound]
    assert echo.heard(signal.astype(np.int16)) == []


def test_chunks_between_silences_have_their_times() -> None:
    gap: Samples = np.zeros(500, dtype=np.int16)
    samples = np.concatenate((gap, echo.chunk(1), gap, echo.chunk(2)))
    assert [(h.number, h.start) for h in echo.listen(samples)] == [(1, 500), (2, 2600)]


def test_loss_and_mixing_show() -> None:
    mixed = np.concatenate((echo.chunk(1), echo.chunk(1), echo.chunk(3), echo.chunk(2, speaker=1)))
    assert echo.heard(mixed) == [1, 1, 3, 100_002]


def test_numbers_have_bounds() -> None:
    assert echo.heard(echo.chunk(99_999, speaker=39_999)) == [3_999_999_999]
    with pytest.raises(ValueError, match="out of range"):
        echo.chunk(100_000)


def test_chunks_are_loud() -> None:
    blocks = echo.chunk(0).reshape(-1, 160).astype(float)
    assert (np.sqrt((blocks**2).mean(axis=1)) > 7000).all()


def test_scripts_are_checked(engine: Callable[..., Engine]) -> None:
    with pytest.raises(EngineFailed, match="no option 'speed'"):
        engine("echo", options={"speed": 1})
    with pytest.raises(EngineFailed, match=r"^No luck\.$"):
        engine("echo", options={"fail_load": "No luck."})


def test_one_number_can_fail(engine: Callable[..., Engine], job: Callable[..., DecodeJob]) -> None:
    jobs = [job(echo.chunk(n).tobytes(), f"j{n}") for n in (4, 5, 6)]
    results = engine("echo", options={"fail_on": 5}).decode(jobs)
    assert [(r.text, r.error_code) for r in results] == [("4", ""), ("", "engine_failed"), ("6", "")]


def test_speed_is_scripted(
    engine: Callable[..., Engine], job: Callable[..., DecodeJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    slow = engine("echo", options={"load_s": 3, "decode_s": 0.5, "batch_s": 1})
    slow.decode([job(TALK.tobytes()), job(TALK.tobytes())])
    assert slept[0] == 3
    assert slept[1] == pytest.approx(0.5 * 6 + 1, abs=0.2)
