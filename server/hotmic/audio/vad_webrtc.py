"""The GMM detector of WebRTC: cheap, quick, and easily taken in by music."""

import webrtcvad

from hotmic.values import SAMPLE_RATE, Samples


class WebrtcVad:
    """30 ms frames, a yes or no each.

    Args:
        mode: 0 lets nearly everything through, 3 is the strictest.
    """

    frame = 480

    def __init__(self, *, mode: int = 2) -> None:
        self._mode = mode
        self.reset()

    def probabilities(self, samples: Samples) -> list[float]:
        """Return 1 or 0 for each frame."""
        frames = samples.reshape(-1, self.frame)
        return [1.0 if self._detector.is_speech(frame.tobytes(), SAMPLE_RATE) else 0.0 for frame in frames]

    def reset(self) -> None:
        """Start a new detector: the library has no reset."""
        self._detector = webrtcvad.Vad(self._mode)
