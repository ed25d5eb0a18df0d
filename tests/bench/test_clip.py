"""Recordings, windows cut from them, word errors."""

import wave
from pathlib import Path

import numpy as np
import pytest

from hotmic.bench.clip import Clip, bundled_clips, cut_windows, error_rate, read_clip, word_errors
from hotmic.errors import ConfigError


def write(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def test_a_wav_file_is_read(tmp_path: Path) -> None:
    clip = read_clip(write(tmp_path / "a.wav", np.arange(8000)), "hello")
    assert (clip.name, clip.text, clip.seconds) == ("a", "hello", 0.5)
    assert clip.samples.tolist() == list(range(8000))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="16000 Hz"):
        read_clip(write(tmp_path / "a.wav", np.arange(10), rate=8000))
    (tmp_path / "b.wav").write_bytes(b"RIFF")
    with pytest.raises(ConfigError, match=r"b\.wav"):
        read_clip(tmp_path / "b.wav")


def test_bundled_clips_say_something() -> None:
    clips = bundled_clips()
    assert len(clips) > 5
    assert all(clip.text and clip.seconds > 1 for clip in clips)


def test_windows_go_on_where_the_last_one_ended() -> None:
    clips = [Clip("a", np.arange(16_000, dtype=np.int16)), Clip("b", np.arange(16_000, 24_000, dtype=np.int16))]
    windows = cut_windows(clips, 1.0, 4)
    joined = np.concatenate(windows)
    assert joined.tolist() == (list(range(24_000)) * 3)[:64_000]


@pytest.mark.parametrize(
    ("reference", "heard", "errors"),
    [
        ("a b c", "a b c", 0),
        ("A b, c.", "a b c", 0),
        ("a b c", "", 3),
        ("a b c", "a c", 1),
        ("a b c", "x a b c y", 2),
        ("a b c", "b a c", 2),
    ],
)
def test_word_errors_are_the_fewest_changes(reference: str, heard: str, errors: int) -> None:
    assert word_errors(reference, heard) == (errors, 3)


def test_the_rate_is_over_all_words() -> None:
    assert error_rate([("a b c", "a b c"), ("d", "e")]) == 0.25
    assert error_rate([("", "a")]) is None
