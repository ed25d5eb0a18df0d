import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
    found = [probability for frame in samples.reshape(-1, 512) for probability in vad.probabilities(frame)]
    assert found == pytest.approx(whole.tolist(), abs=1e-4)


def test_gain_is_the_same_as_louder_audio(spoken: Callable[..., Samples]) -> None:
    samples = spoken()[9600 : 9600 + 512 * 20] // 4
    louder = SileroVad().probabilities(samples * 4)
    assert SileroVad().probabilities(samples, (4.0,)) == pytest.approx(louder, abs=1e-4)


def test_what_is_lifted_beyond_full_scale_is_clipped(spoken: Callable[..., Samples]) -> None:
    samples = spoken()[9600 : 9600 + 512 * 20]
    clipped = np.clip(samples * 30.0, -32768, 32767).astype(np.int16)
    expected = SileroVad().probabilities(clipped)
    assert SileroVad().probabilities(samples, (30.0,)) == pytest.approx(expected, abs=1e-3)


def test_each_frame_has_its_gain(spoken: Callable[..., Samples]) -> None:
    samples = spoken()[9600 : 9600 + 512 * 20] // 4
    gains = [1.0, 4.0, 2.5, 30.0] * 5
    one = SileroVad()
    alone = [one.probabilities(frame, (gain,))[0] for frame, gain in zip(samples.reshape(-1, 512), gains, strict=True)]
    assert SileroVad().probabilities(samples, gains) == alone


def test_a_missing_model_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="reinstall faster-whisper"):
        vad_silero.find_model()


WATCH = """
import os
from pathlib import Path

from hotmic.audio.vad_silero import load_session

load_session()
links = [os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.exists()]
print(*[link for link in links if "onnxruntime" in link and not link.endswith(".onnx")], sep="\\n")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_the_library_gathers_nothing_to_report_to_its_makers(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", WATCH], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    assert list(tmp_path.rglob("*")) == []
