from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotmic.audio.chunker import pauses, windows
from hotmic.values import Samples
from sound import RATE

WINDOW = 10 * RATE


def speech(seconds: float, pauses: list[tuple[float, float]] = [], *, decibels: float = 60) -> Samples:  # noqa: B006
    """Noise with syllables of 250 ms; ``pauses`` are (start, length) in seconds, so many decibels under it."""
    t = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(t)) * 4000
    values = noise * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t))
    for start, length in pauses:
        pause = slice(int(start * RATE), int((start + length) * RATE))
        values[pause] = noise[pause] * 10 ** (-decibels / 20)
    return values.clip(-32000, 32000).astype(np.int16)


def test_short_segment_is_one_window() -> None:
    assert windows(speech(10), max_window=WINDOW) == [(0, WINDOW)]
    assert windows(speech(0), max_window=WINDOW) == [(0, 0)]


def test_pause_is_cut_in_its_middle_without_overlap() -> None:
    (start, stop), (after, end) = windows(speech(14, [(8, 0.4)]), max_window=WINDOW)
    assert (start, end) == (0, 14 * RATE)
    assert stop == after
    assert abs(stop - 8.2 * RATE) < 0.1 * RATE


def test_without_a_pause_windows_overlap() -> None:
    (_, stop), (after, _) = windows(speech(14), max_window=WINDOW)
    assert stop - after == RATE


def test_a_short_dip_is_the_centre_of_the_overlap() -> None:
    (_, stop), (after, _) = windows(speech(14, [(8, 0.1)]), max_window=WINDOW)
    assert stop - after == RATE
    assert abs((stop + after) / 2 - 8.05 * RATE) < 0.05 * RATE


def test_the_cut_leaves_no_scrap() -> None:
    found = windows(speech(10.01, [(9.75, 0.26)]), max_window=WINDOW)
    assert found[1][1] - found[1][0] >= RATE // 2


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.floats(0, 44), st.floats(0.05, 0.6)), max_size=12), st.integers(0, 45 * RATE))
def test_windows_cover_all_fit_and_stay(pauses: list[tuple[float, float]], heard: int) -> None:
    samples = speech(45, pauses)
    found = windows(samples, max_window=WINDOW)
    assert found[0][0] == 0
    assert found[-1][1] == len(samples)
    for (start, stop), (after, _) in pairwise(found):
        assert start < after <= stop
        assert stop - start <= WINDOW
    assert found[-1][1] - found[-1][0] <= WINDOW
    earlier = windows(samples[:heard], max_window=WINDOW)
    assert earlier[:-1] == found[: len(earlier) - 1]


def test_window_too_short_for_its_overlap_is_refused() -> None:
    with pytest.raises(ValueError, match="four overlaps"):
        windows(speech(3), max_window=3 * RATE, overlap=RATE)


def test_a_window_that_has_enough_ends_at_the_next_long_pause() -> None:
    samples = speech(14, [(1, 0.4), (3, 0.1), (5, 0.4), (7, 0.4), (13.4, 0.4)])
    cuts = [stop for _, stop in windows(samples, max_window=WINDOW, pause_after=2 * RATE, is_over=True)]
    assert np.allclose(np.array(cuts) / RATE, [5.2, 7.2, 14], atol=0.1), "the first is too early, the last a scrap"
    assert len(windows(samples, max_window=WINDOW, is_over=True)) == 2


@pytest.mark.parametrize(
    ("length", "decibels", "ends", "doubtful"),
    [(0.35, 60, 1, 0), (0.2, 60, 0, 1), (0.2, 25, 0, 1), (0.4, 25, 1, 0), (0.4, 15, 1, 0), (0.4, 9, 0, 0)],
)
def test_a_long_pause_ends_a_window_and_a_short_one_may_end_a_sentence(
    length: float, decibels: float, ends: int, doubtful: int
) -> None:
    samples = speech(6, [(3, length)], decibels=decibels)
    assert len(windows(samples, max_window=WINDOW, pause_after=2 * RATE, is_over=True)) == 1 + ends
    if not ends:
        assert len(pauses(samples)) == doubtful


def test_the_longest_pauses_are_told_in_order() -> None:
    samples = speech(8, [(0, 1.2), (2, 0.2), (3, 0.12), (4, 0.15), (5, 0.17), (7.5, 0.3)])
    found = pauses(samples)
    assert np.allclose([p.middle / RATE for p in found], [2.1, 4.075, 5.085], atol=0.02), "the edges are no pauses"
    assert np.allclose([p.length / RATE for p in found], [0.2, 0.15, 0.17], atol=0.021)
    assert pauses(speech(8)) == pauses(samples[:0]) == []


def test_a_full_window_ends_at_its_longest_short_pause() -> None:
    samples = speech(12.5, [(1, 0.24), (3, 0.2), (8, 0.15)])
    found = windows(samples, max_window=WINDOW, pause_after=2 * RATE)
    assert np.allclose(np.array(found) / RATE, [(0, 3.1), (3.1, 12.5)], atol=0.02)


def test_a_full_window_prefers_a_long_pause_to_a_short_dip() -> None:
    samples = speech(14, [(3, 0.13)])
    samples[int(8 * RATE) : int(8.5 * RATE)] = speech(14, [(8, 0.5)], decibels=25)[int(8 * RATE) : int(8.5 * RATE)]
    (_, stop), _ = windows(samples, max_window=WINDOW, pause_after=2 * RATE)
    assert abs(stop / RATE - 8.25) < 0.02
    (_, stop), _ = windows(speech(12.5, [(3, 0.13)]), max_window=WINDOW, pause_after=2 * RATE)
    assert abs(stop / RATE - 3.065) < 0.02, "before it overlaps, it takes the dip"


def test_where_there_is_silence_nothing_else_is_a_pause() -> None:
    samples = speech(6, [(1, 0.4)])
    room = speech(6, [(3, 0.4)], decibels=25)
    both = np.where(np.arange(len(samples)) < 2 * RATE, samples, room)
    assert len(windows(both, max_window=WINDOW, pause_after=2 * RATE, is_over=True)) == 1
    assert len(windows(room, max_window=WINDOW, pause_after=2 * RATE, is_over=True)) == 2


def test_a_segment_that_grows_is_not_cut_where_it_stands() -> None:
    samples = speech(9, [(3, 0.4)])
    assert windows(samples, max_window=WINDOW, pause_after=2 * RATE) == [(0, 9 * RATE)]
    assert len(windows(samples, max_window=WINDOW, pause_after=2 * RATE, is_over=True)) == 2


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(st.floats(0, 44), st.floats(0.05, 0.6)), max_size=24), st.integers(0, 45 * RATE))
def test_windows_that_end_early_cover_all_fit_and_stay(pauses: list[tuple[float, float]], heard: int) -> None:
    samples = speech(45, pauses)
    found = windows(samples, max_window=WINDOW, pause_after=2 * RATE, is_over=True)
    assert (found[0][0], found[-1][1]) == (0, len(samples))
    for (start, stop), (after, _) in pairwise(found):
        assert start < after <= stop
        assert RATE <= stop - start <= WINDOW
    earlier = windows(samples[:heard], max_window=WINDOW, pause_after=2 * RATE)
    assert earlier[:-1] == found[: len(earlier) - 1]
