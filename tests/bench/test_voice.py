"""What is said, and when."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest

from hotmic.bench.clip import Clip
from hotmic.bench.voice import Utterance, Voice, find_sound, last_speech, load_voices
from hotmic.errors import ConfigError
from hotmic.values import SAMPLE_RATE


def tone(*, lead: float, sound: float, tail: float, noise: float = 0.0, name: str = "tone", text: str = "") -> Clip:
    samples = np.random.default_rng(1).normal(0, noise, round((lead + sound + tail) * SAMPLE_RATE))
    first, last = round(lead * SAMPLE_RATE), round((lead + sound) * SAMPLE_RATE)
    samples[first:last] += 8000 * np.sin(np.arange(last - first) / 5)
    return Clip(name, samples.astype(np.int16), text)


@pytest.mark.parametrize("noise", [0.0, 30.0, 300.0])
def test_sound_is_found_in_silence_and_in_noise(noise: float) -> None:
    (span,) = find_sound(tone(lead=0.3, sound=1.0, tail=0.5, noise=noise))
    assert span == pytest.approx((0.3, 1.3), abs=0.011)


def test_a_clip_without_a_pause_is_one_sound() -> None:
    assert find_sound(tone(lead=0, sound=1.0, tail=0)) == ((0.0, 1.0),)


def test_short_gaps_are_none() -> None:
    parts = [tone(lead=0, sound=0.5, tail=gap).samples for gap in (0.04, 0.2, 0.0)]
    spans = find_sound(Clip("gaps", np.concatenate(parts)))
    assert [span[0] for span in spans] == pytest.approx([0.0, 1.24], abs=0.011)


@pytest.mark.parametrize("samples", [np.zeros(SAMPLE_RATE, np.int16), np.zeros(0, np.int16)])
def test_silence_cannot_be_spoken(samples: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="no sound in nothing"):
        find_sound(Clip("nothing", samples))


def test_clips_take_turns_with_room_for_the_endpoint() -> None:
    clips = [tone(lead=0.1, sound=1.0, tail=0.1, text=str(n)) for n in range(3)]
    voice = Voice(clips, seconds=5.0, duty=1.0, endpoint_delay=0.6, first=2)
    assert [u.text for u in voice.utterances] == ["2", "0", "1"]
    assert [u.start for u in voice.utterances] == pytest.approx([0.1, 2.3, 4.5], abs=0.011)
    assert [u.end for u in voice.utterances] == pytest.approx([1.1, 3.3, 5.5], abs=0.011)
    assert voice.seconds == pytest.approx(6.6)


def loud_share(voice: Voice) -> float:
    audio = np.frombuffer(b"".join(voice.chunks(1600)), "<i2")
    frames = audio[: len(audio) // 160 * 160].reshape(-1, 160).astype(np.float64)
    return float((np.sqrt((frames**2).mean(axis=1)) > 1000).mean())


def test_half_duty_is_silent_for_twice_as_long() -> None:
    clips = [tone(lead=0.1, sound=1.0, tail=0.1)]
    whole, half = (Voice(clips, seconds=22.0, duty=duty, endpoint_delay=0.6, first=0) for duty in (1.0, 0.5))
    assert [loud_share(voice) for voice in (whole, half)] == pytest.approx([1 / 2.2, 1 / 4.4], abs=0.005)
    assert np.diff([utterance.start for utterance in half.utterances]) == pytest.approx(4.4, abs=0.011)


@pytest.mark.parametrize("size", [160, 1600, 1601, 48_000])
def test_chunks_hold_the_audio_at_its_place(size: int) -> None:
    clips = [tone(lead=0.2, sound=0.7, tail=0.05), tone(lead=0.0, sound=0.3, tail=0.3)]
    voice = Voice(clips, seconds=4.0, duty=0.7, endpoint_delay=0.6, first=0)
    chunks = list(voice.chunks(size))
    assert {len(chunk) for chunk in chunks} == {2 * size}
    audio = np.frombuffer(b"".join(chunks), "<i2")
    assert 0 <= len(audio) / SAMPLE_RATE - voice.seconds < size / SAMPLE_RATE
    loud = np.zeros(len(audio), bool)
    for utterance in voice.utterances:
        for start, end in utterance.speech:
            loud[round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)] = True
    assert np.abs(audio[loud]).mean() > 3000
    assert np.abs(audio[~loud]).mean() < 200
    assert np.abs(audio[~loud]).max() > 0, "a microphone is never digitally silent"


def test_the_last_speech_before_a_moment() -> None:
    utterances = (Utterance("a", ((1.0, 2.0), (2.3, 3.0))), Utterance("b", ((5.0, 6.0),)))
    found = {moment: last_speech(utterances, moment) for moment in (0.5, 1.5, 2.1, 3.5, 5.0, 9.0)}
    assert found == {0.5: None, 1.5: 1.5, 2.1: 2.0, 3.5: 3.0, 5.0: 3.0, 9.0: 6.0}


def write(path: Path, clip: Clip) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(clip.samples.tobytes())


def test_references_come_from_either_place(tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        write(tmp_path / f"{name}.wav", tone(lead=0, sound=0.5, tail=0))
    (tmp_path / "references.json").write_text(json.dumps({"a.wav": "from a", "b": {"text": "from b"}}))
    (tmp_path / "c.txt").write_text("from c\n")
    assert [(clip.name, clip.text) for clip in load_voices(tmp_path)] == [
        ("a", "from a"),
        ("b", "from b"),
        ("c", "from c"),
        ("d", ""),
    ]


@pytest.mark.parametrize("body", ["[]", "{", '{"a": {"words": 1}}'])
def test_broken_references_are_explained(tmp_path: Path, body: str) -> None:
    write(tmp_path / "a.wav", tone(lead=0, sound=0.5, tail=0))
    (tmp_path / "references.json").write_text(body)
    with pytest.raises(ConfigError, match=r"references\.json"):
        load_voices(tmp_path)


def test_an_empty_folder_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no WAV files"):
        load_voices(tmp_path)


def test_the_bundled_clips_can_be_spoken() -> None:
    clips = load_voices(None)
    voice = Voice(clips, seconds=30.0, duty=1.0, endpoint_delay=0.6, first=0)
    assert all(utterance.text and 0.5 < utterance.end - utterance.start < 9 for utterance in voice.utterances)
