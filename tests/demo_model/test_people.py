import json
import random
import wave
from pathlib import Path

import numpy as np
import pytest

from demo_model import people
from demo_model.people import Recordings
from demo_model.speech import RecipeError, Utterance, Word


def _tone(seconds: float, text: str = "one") -> Utterance:
    samples = np.sin(np.arange(int(16_000 * seconds)) / 10).astype(np.float32) * np.float32(0.5)
    return Utterance(samples, text, (Word(text, 0.0, seconds),), "test")


@pytest.fixture
def recordings() -> Recordings:
    return Recordings(
        orders=[_tone(1.5, "coffee")],
        keywords=[_tone(0.6, "jarvis")],
        commands=[_tone(0.4, "bird"), _tone(0.5, "go")],
        digits={"anna": [_tone(0.3, "one"), _tone(0.4, "two")]},
    )


def _assert_times(utterance: Utterance) -> None:
    assert utterance.words is not None
    assert " ".join(word.text for word in utterance.words) == utterance.text
    edges = [edge for word in utterance.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert edges[-1] <= utterance.seconds + 1e-3


@pytest.mark.parametrize("seed", range(30))
def test_spoken_word_times_rise(recordings: Recordings, seed: int) -> None:
    _assert_times(people.spoken(recordings, random.Random(seed)))


def test_spans_are_whole_words() -> None:
    words = (Word("one", 0.0, 0.3), Word("two", 0.3, 0.7), Word("three", 0.7, 1.0))
    whole = Utterance(_tone(1.0).samples, "one two three", words, "test")
    for seed in range(20):
        span = people._span(whole, random.Random(seed))
        _assert_times(span)
        assert span.text in whole.text


def test_digit_strings_have_the_length_asked_for(recordings: Recordings) -> None:
    utterance = people.digit_string(recordings, random.Random(1), 6)
    assert len(utterance.text.split()) == 6
    _assert_times(utterance)


def test_speed_moves_words() -> None:
    faster = people.at_speed(_tone(1.0), 1.25)
    assert faster.seconds == pytest.approx(0.8, abs=0.01)
    assert faster.words is not None
    assert faster.words[0].end == pytest.approx(0.8)


def test_alignment_is_cached(tmp_path: Path, recordings: Recordings) -> None:
    cache = tmp_path / "alignment.json"
    calls = []

    def aligner(utterances):
        calls.append(len(utterances))
        return [(Word(utterance.text, 0.1, 0.4),) for utterance in utterances]

    people.align(Recordings(orders=recordings.orders), aligner, cache)
    again = Recordings(orders=[_tone(1.5, "coffee")])
    people.align(again, aligner, cache)
    assert calls == [1]
    assert again.orders[0].words == (Word("coffee", 0.1, 0.4),)
    assert json.loads(cache.read_text())


def _write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((np.sin(np.arange(4000) / 5) * 9000).astype("<i2").tobytes())


def test_loading_holds_people_out(tmp_path: Path) -> None:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders" / "transcripts.json").write_text("{}")
    for take in (0, 4, 5, 30):
        _write(tmp_path / "digits" / f"7_theo_{take}.wav")
    _write(tmp_path / "commands" / f"bed_{people.HELD_SPEAKERS[0]}_0.wav")
    _write(tmp_path / "commands" / "bed_2f813234_0.wav")
    training, held = people.load(tmp_path)
    assert [len(half.digits["theo"]) for half in (training, held)] == [2, 2]
    assert [utterance.voice for utterance in held.commands] == [f"command:bed_{people.HELD_SPEAKERS[0]}_0"]
    assert training.digits["theo"][0].text == "seven"
    assert training.digits["theo"][0].seconds == pytest.approx(0.5, abs=0.05)


def test_wrong_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"transcripts\.json"):
        people.load(tmp_path)
