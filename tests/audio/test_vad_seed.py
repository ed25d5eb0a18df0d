import numpy as np
import pytest

from hotmic.audio.vad_seed import SeedVad


@pytest.mark.parametrize(("rms", "speech"), [(0.0199, 0.0), (0.0202, 1.0)])
def test_threshold_is_an_rms_of_two_hundredths(rms: float, speech: float) -> None:
    square = np.where(np.arange(1024) % 2, 1, -1) * round(rms * 32768)
    assert SeedVad().probabilities(square.astype(np.int16)) == [speech]
