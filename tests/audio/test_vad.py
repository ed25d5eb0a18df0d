"""The contract every VAD keeps, and what the default promises beyond it."""

import typing
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hotmic.audio.segmenter import Segmenter, SpeechEnded
from hotmic.audio.vad import Vad, build_vad, segmenter_numbers
from hotmic.values import Samples, VadProfile
from sound import not_speech

PROFILES = typing.get_args(VadProfile)


def probabilities(vad: Vad, samples: Samples) -> list[float]:
    return vad.probabilities(samples[: len(samples) // vad.frame * vad.frame])


def segments(profile: VadProfile, samples: Samples) -> list[SpeechEnded]:
    numbers = segmenter_numbers(profile)
    segmenter = Segmenter(build_vad(profile), **{name: getattr(numbers, name) for name in numbers.__struct_fields__})
    segmenter.receive(samples)
    segmenter.finish()
    return [found for found in segmenter.boundaries_to_send() if isinstance(found, SpeechEnded)]


@pytest.mark.parametrize("profile", PROFILES)
def test_silence_is_not_speech(profile: VadProfile) -> None:
    assert max(probabilities(build_vad(profile), np.zeros(16000, dtype=np.int16))) < 0.25


@pytest.mark.parametrize("profile", PROFILES)
def test_speech_is_speech(profile: VadProfile, spoken: Callable[..., Samples]) -> None:
    found = probabilities(build_vad(profile), spoken())
    assert all(0.0 <= value <= 1.0 for value in found)
    assert sum(value >= 0.5 for value in found) >= 0.2 * len(found)


@pytest.mark.parametrize("profile", PROFILES)
def test_reset_is_a_fresh_stream(profile: VadProfile, spoken: Callable[..., Samples]) -> None:
    vad = build_vad(profile)
    first = probabilities(vad, spoken())
    vad.reset()
    assert probabilities(vad, spoken()) == first


@pytest.mark.parametrize("profile", PROFILES)
def test_streams_do_not_touch_each_other(profile: VadProfile, spoken: Callable[..., Samples]) -> None:
    one, other = build_vad(profile), build_vad(profile)
    speech, loud = spoken()[:24000], not_speech("white", -15, 1.5)
    mixed = []
    for i in range(0, len(speech) - one.frame + 1, one.frame):
        mixed += one.probabilities(speech[i : i + one.frame])
        other.probabilities(loud[i : i + one.frame])
    assert mixed == probabilities(build_vad(profile), speech)


@pytest.mark.parametrize("profile", PROFILES)
@settings(deadline=None, max_examples=10)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_how_many_frames_come_at_once_changes_no_bit(
    profile: VadProfile, spoken: Callable[..., Samples], sizes: list[int]
) -> None:
    speech = np.concatenate([spoken(gain_db=-20), spoken(lead=2.0, noise_db=-50)])
    whole, alone, pieces = build_vad(profile), build_vad(profile), build_vad(profile)
    frames = speech[: len(speech) // whole.frame * whole.frame].reshape(-1, whole.frame)
    found: list[float] = []
    while len(found) < len(frames):
        found += pieces.probabilities(frames[len(found) : len(found) + sizes[len(found) % len(sizes)]].ravel())
    assert found == [probability for frame in frames for probability in alone.probabilities(frame)]
    assert found == whole.probabilities(frames.ravel())


@pytest.mark.parametrize("gain_db", [0, -10, -20, -30, -35])
def test_default_hears_quiet_voices(gain_db: float, spoken: Callable[..., Samples], clip: Samples) -> None:
    found = segments("default", spoken(gain_db=gain_db))
    assert len(found) == 1
    loud = np.flatnonzero(np.abs(clip.astype(int)) > 1000)
    assert found[0].start <= 9600 + loud[0]
    assert found[0].end >= 9600 + loud[-1]
    assert found[0].speech_probability > 0.5


@pytest.mark.parametrize("level_db", [-45, -30, -15])
@pytest.mark.parametrize("kind", ["silence", "white", "pink", "hum", "chord", "clicks", "breath", "door"])
def test_default_hears_no_speech_elsewhere(kind: str, level_db: float) -> None:
    assert segments("default", not_speech(kind, level_db)) == []


def test_default_hears_speech_in_a_steady_noise(spoken: Callable[..., Samples]) -> None:
    assert len(segments("default", spoken(lead=3.0, noise_db=-42))) == 1


def test_seed_swallows_short_words_and_the_default_does_not(spoken: Callable[..., Samples], clip: Samples) -> None:
    loud = int(np.flatnonzero(np.abs(clip.astype(int)) > 2000)[0])
    word = np.concatenate([np.zeros(16000), clip[loud : loud + 8000], np.zeros(16000)]).astype(np.int16)
    assert segments("seed", word) == []
    assert len(segments("default", word)) == 1


def test_seed_numbers_are_the_first_systems() -> None:
    numbers = segmenter_numbers("seed")
    assert (numbers.min_speech, numbers.min_silence, build_vad("seed").frame) == (20 * 1024, 30 * 1024, 1024)


def test_default_numbers_are_96_and_600_ms() -> None:
    numbers = segmenter_numbers("default")
    assert (numbers.min_speech, numbers.min_silence) == (1536, 9600)
