import ctypes
import itertools
import random

import numpy as np
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


def test_missing_festival_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voices.shutil, "which", lambda name: None)
    with pytest.raises(RecipeError, match="festvox"):
        voices.Festival()


@pytest.fixture(scope="module")
def espeak() -> voices.Espeak:
    return voices.Espeak()


@pytest.mark.integration
def test_festival_speaks_and_tells_when(espeak: voices.Espeak) -> None:
    festival = voices.Festival()
    speakers = voices.Speakers(espeak, festival, flite_share=0.0, festival_share=1.0)
    rng = random.Random(3)
    for text in ("one two three", "open the window"):
        said = speakers.say(text, rng)
        assert said.voice.startswith("festival:")
        assert said.words is not None
        assert [word.text for word in said.words] == text.split()
        assert all(before.start < after.start for before, after in itertools.pairwise(said.words))
        assert float(np.abs(said.samples).max()) > 0.05
        assert said.words[-1].end <= said.seconds + 0.05


@pytest.mark.integration
def test_festival_voices_are_never_held_out(espeak: voices.Espeak) -> None:
    speakers = voices.Speakers(espeak, voices.Festival(), held=True, festival_share=1.0)
    assert not any(speakers.say("yes", random.Random(seed)).voice.startswith("festival") for seed in range(20))
