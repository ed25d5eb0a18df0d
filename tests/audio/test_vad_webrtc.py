from collections.abc import Callable

from hotmic.audio.vad_webrtc import WebrtcVad
from hotmic.values import Samples


def test_a_stricter_mode_lets_less_through(spoken: Callable[..., Samples]) -> None:
    samples = spoken(noise_db=-40)
    counts = []
    for mode in (0, 3):
        vad = WebrtcVad(mode=mode)
        counts.append(sum(vad.probabilities(samples[: len(samples) // 480 * 480])))
    assert counts[0] > counts[1] > 10
