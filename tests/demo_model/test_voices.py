import ctypes
import itertools

import pytest

from demo_model import voices
from demo_model.speech import RecipeError


@pytest.mark.parametrize(
    "starts",
    [
        [0.0, 0.3, 0.8],
        [None, 0.3, None],
        [0.0, None, None],
        [0.2, 0.2, 0.2],
        [0.1, 0.9, 0.5],
        [0.1, 5.0, None],
    ],
)
def test_filled_starts_rise(starts: list[float | None]) -> None:
    filled = voices.spread_starts(starts, 1.2, ["one", "two", "three"])
    assert filled is not None
    assert len(filled) == 3
    assert all(before < after for before, after in itertools.pairwise(filled))


def test_known_starts_are_kept() -> None:
    assert voices.spread_starts([0.1, 0.4, 0.9], 1.2, ["a", "b", "c"]) == [0.1, 0.4, 0.9]


def test_no_start_at_all() -> None:
    assert voices.spread_starts([None, None], 1.0, ["a", "b"]) is None


def test_voices_are_held_out() -> None:
    assert not set(voices.VARIANTS) & set(voices.HELD_VARIANTS)
    assert not set(voices.FLITE_VOICES) & set(voices.HELD_FLITE_VOICES)


def test_missing_espeak_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(RecipeError, match="apt-get install espeak-ng"):
        voices.Espeak()


def test_missing_flite_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices.shutil, "which", lambda name: None)
    with pytest.raises(RecipeError, match="flite"):
        voices.flite("hello", voice="rms")
