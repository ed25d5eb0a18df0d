"""Silero's recurrent network, with the state of each stream kept apart."""

import importlib.util
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hotmic.audio.pcm import FULL_SCALE
from hotmic.errors import ConfigError
from hotmic.values import Samples

_CONTEXT = 64
_STATE = 128
_MODEL = "silero_vad_v6.onnx"


class SileroVad:
    """32 ms frames; ~0.1 ms of CPU for one, a quarter less each where three come at once.

    The network takes frames in a row in one run, its state passing from one to the next, and says the same of them as
    in runs of their own. All streams share one set of weights, each has its own state.

    Raises:
        ConfigError: The model that faster-whisper ships is not installed.
    """

    frame = 512

    def __init__(self) -> None:
        self._session = load_session()
        self._hidden = self._cell = np.zeros((1, 1, _STATE), dtype=np.float32)
        self._context = np.zeros(_CONTEXT, dtype=np.float32)

    def probabilities(self, samples: Samples, gains: Sequence[float] = (1.0,)) -> list[float]:
        """Return the network's output for each of the next frames.

        Args:
            samples: A whole number of frames.
            gains: What each frame is multiplied with first, or one for all; ``GatedVad`` lifts quiet voices with it.
                What it lifts beyond full scale is clipped.
        """
        frames = samples.reshape(-1, self.frame)
        scales = (np.array(gains) / FULL_SCALE).astype(np.float32)[:, None]
        windows = np.empty((len(frames), _CONTEXT + self.frame), dtype=np.float32)
        scaled = windows[:, _CONTEXT:]
        np.multiply(frames, scales, out=scaled, casting="same_kind")
        if max(gains) > 1.0:
            np.clip(scaled, -1.0, 1.0, out=scaled)
        windows[0, :_CONTEXT] = self._context
        windows[1:, :_CONTEXT] = scaled[:-1, -_CONTEXT:]
        self._context = scaled[-1, -_CONTEXT:].copy()
        speech, self._hidden, self._cell = self._session.run(
            None, {"input": windows, "h": self._hidden, "c": self._cell}
        )
        found: list[float] = speech.tolist()
        return found

    def reset(self) -> None:
        """Clear the recurrent state and the context."""
        self._hidden = self._cell = np.zeros((1, 1, _STATE), dtype=np.float32)
        self._context = np.zeros(_CONTEXT, dtype=np.float32)


def find_model() -> Path:
    """Return the path of the ONNX file without importing faster-whisper, which takes seconds.

    Raises:
        ConfigError: It is not there.
    """
    package = importlib.util.find_spec("faster_whisper")
    for folder in (package.submodule_search_locations or ()) if package else ():
        path = Path(folder) / "assets" / _MODEL
        if path.is_file():
            return path
    raise ConfigError(
        f"The Silero VAD model ({_MODEL}) is missing: reinstall faster-whisper, or choose the VAD profile energy or "
        "webrtc."
    )


@cache
def load_session() -> Any:
    """Load the network once per process, single-threaded: a frame is too small to share out."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(find_model()), options, providers=["CPUExecutionProvider"])
