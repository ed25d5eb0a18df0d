import importlib.util
from collections.abc import Callable

import numpy as np
import pytest

from hotmic.audio import vad_silero
from hotmic.audio.vad_silero import SileroVad
from hotmic.errors import ConfigError
from hotmic.values import Samples


def test_all_streams_share_one_session() -> None:
    assert vad_silero.load_session() is vad_silero.load_session()


def test_frame_by_frame_equals_the_whole_file(spoken: Callable[..., Samples]) -> None:
    samples = spoken()[: 512 * 60]
    frames = samples.reshape(-1, 512).astype(np.float32) / 32768
    context = np.concatenate([np.zeros((1, 64), dtype=np.float32), frames[:-1, -64:]])
    state = np.zeros((1, 1, 128), dtype=np.float32)
    whole, _, _ = vad_silero.load_session().run(
        None, {"input": np.concatenate([context, frames], axis=1), "h": state, "c": state}
    )
    vad = SileroVad()
    assert [vad.probability(frame) for frame in samples.reshape(-1, 512)] == pytest.approx(whole.tolist(), abs=1e-4)


def test_gain_is_the_same_as_louder_audio(spoken: Callable[..., Samples]) -> None:
    loud, quiet = SileroVad(), SileroVad()
    quiet.gain = 4.0
    frames = (spoken()[9600 : 9600 + 512 * 20] // 4).reshape(-1, 512)
    assert [quiet.probability(f) for f in frames] == pytest.approx([loud.probability(f * 4) for f in frames], abs=1e-4)


def test_a_missing_model_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="reinstall faster-whisper"):
        vad_silero.find_model()
