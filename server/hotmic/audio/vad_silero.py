"""Silero's recurrent network, run frame by frame with the state of each stream kept apart."""

import importlib.util
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
    """32 ms frames; ~0.1 ms of CPU each. All streams share one set of weights, each has its own state.

    ``gain`` multiplies the samples first: ``GatedVad`` lifts quiet voices with it.

    Raises:
        ConfigError: The model that faster-whisper ships is not installed.
    """

    frame = 512

    def __init__(self) -> None:
        self._session = load_session()
        self.gain = 1.0
        self._window = np.zeros((1, _CONTEXT + self.frame), dtype=np.float32)
        self._hidden = self._cell = np.zeros((1, 1, _STATE), dtype=np.float32)
        self._context = np.zeros(_CONTEXT, dtype=np.float32)

    def probability(self, frame: Samples) -> float:
        """Return the network's output for the next 512 samples, scaled by ``gain`` and clipped to full scale."""
        window = self._window
        window[0, :_CONTEXT] = self._context
        scaled = window[0, _CONTEXT:]
        np.multiply(frame, np.float32(self.gain / FULL_SCALE), out=scaled, casting="same_kind")
        if self.gain != 1.0:
            np.clip(scaled, -1.0, 1.0, out=scaled)
        self._context = scaled[-_CONTEXT:].copy()
        speech, self._hidden, self._cell = self._session.run(
            None, {"input": window, "h": self._hidden, "c": self._cell}
        )
        return float(speech[0])

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
