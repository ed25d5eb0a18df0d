import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotmic.engines.mel import HOP, Float32, MelBank
from hotmic.engines.spectrum import GrowingSpectrum
from hotmic.values import Samples

KEY = ("s", "s-1")
TALK: Samples = (np.random.default_rng(1).normal(0, 1, 80_000) * np.linspace(50, 9000, 80_000)).astype(np.int16)


class CountingBank(MelBank):
    """A bank that knows how many frames it has computed."""

    def __init__(self) -> None:
        super().__init__(80)
        self.frames = 0

    def log_mel(self, samples: Samples, first: int, stop: int) -> Float32:
        self.frames += stop - first
        return super().log_mel(samples, first, stop)


def window(spectrum: GrowingSpectrum, start: int, stop: int) -> Float32:
    return spectrum.features(KEY, TALK[start:stop], start=start)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40_000), st.integers(1600, 40_000), st.booleans()), min_size=1, max_size=5),
)
def test_any_windows_give_what_the_bank_gives(windows: list[tuple[int, int, bool]]) -> None:
    bank = MelBank(80)
    spectrum = GrowingSpectrum(bank)
    for start, length, on_hop in windows:
        start = start // HOP * HOP if on_hop else start
        expected = bank.features(TALK[start : start + length])
        found = window(spectrum, start, start + length)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-5


def test_only_new_frames_and_edges_are_computed() -> None:
    bank = CountingBank()
    spectrum = GrowingSpectrum(bank)
    window(spectrum, 0, 64_000)
    bank.frames = 0
    window(spectrum, 0, 68_800)
    # 30 new frames, two at the beginning, the last two of the old window and the one of the padding.
    assert bank.frames <= 30 + 5
    bank.frames = 0
    window(spectrum, 16_000, 70_400)
    assert bank.frames <= 10 + 5


@pytest.mark.parametrize("start", [80, 161])
def test_windows_between_hops_are_computed_whole(start: int) -> None:
    bank = CountingBank()
    spectrum = GrowingSpectrum(bank)
    window(spectrum, 0, 64_000)
    bank.frames = 0
    window(spectrum, start, 64_000)
    assert bank.frames >= (64_000 - start) // HOP


def test_other_audio_under_the_same_key_is_seen() -> None:
    bank = MelBank(80)
    spectrum = GrowingSpectrum(bank)
    window(spectrum, 0, 32_000)
    changed = TALK[:34_000].copy()
    changed[20_000] += 500
    assert np.array_equal(spectrum.features(KEY, changed, start=0), bank.features(changed))


def test_audio_that_is_overwritten_in_place_is_seen() -> None:
    bank = MelBank(80)
    spectrum = GrowingSpectrum(bank)
    shared = TALK[:32_000].copy()
    spectrum.features(KEY, shared, start=0)
    shared[:] = TALK[40_000:72_000]
    assert np.array_equal(spectrum.features(KEY, shared, start=0), bank.features(shared))


def test_what_is_kept_is_bounded_and_the_quietest_goes_first() -> None:
    bank = CountingBank()
    one = GrowingSpectrum(bank)
    window(one, 0, 32_000)
    size = one.held_bytes
    spectrum = GrowingSpectrum(bank, max_bytes=3 * size)
    for name in "abcad":
        spectrum.features(("s", name), TALK[:32_000], start=0)
        assert spectrum.held_bytes <= 3 * size
    bank.frames = 0
    spectrum.features(("s", "a"), TALK[:32_000], start=0)
    assert bank.frames < 10
    spectrum.features(("s", "b"), TALK[:32_000], start=0)
    assert bank.frames > 200


def test_a_segment_that_is_over_holds_nothing() -> None:
    spectrum = GrowingSpectrum(MelBank(80))
    window(spectrum, 0, 32_000)
    assert spectrum.held_bytes > 0
    spectrum.forget(KEY)
    spectrum.forget(KEY)
    assert spectrum.held_bytes == 0
