"""The shipped directory: small, complete, and it hears its own clips."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from demo_model import grammar
from demo_model.corpus import features
from demo_model.evaluate import Listener

MODELS = Path(__file__).resolve().parents[2] / "server" / "hotmic" / "models"
CLIPS = json.loads((MODELS / "clips" / "clips.json").read_text())


@pytest.fixture(scope="module")
def listener() -> Listener:
    return Listener(MODELS / "demo-en")


@pytest.mark.parametrize("name", [name for name, clip in CLIPS.items() if "sentences" not in clip])
@pytest.mark.parametrize("beam", [1, 5])
def test_clips_are_heard_exactly(listener: Listener, name: str, beam: int) -> None:
    with wave.open(str(MODELS / "clips" / f"{name}.wav"), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32768)
    assert listener.transcribe(features(samples), beam=beam) == CLIPS[name]["text"]


def test_directory_is_complete_and_small() -> None:
    files = {path.name: path.stat().st_size for path in (MODELS / "demo-en").iterdir()}
    assert sum(files.values()) <= 8_000_000
    assert {"model.bin", "config.json", "vocabulary.json", "tokenizer.json", "preprocessor_config.json"} <= files.keys()
    assert {"MODEL_CARD.md", "words.txt", "phrases.txt"} <= files.keys()
    assert sum(path.stat().st_size for path in (MODELS / "clips").iterdir()) < 1_600_000


def test_word_list_is_the_grammars() -> None:
    assert tuple((MODELS / "demo-en" / "words.txt").read_text().split()) == grammar.vocabulary()
    known = set(grammar.vocabulary())
    assert all(set(clip["text"].split()) <= known for clip in CLIPS.values())
