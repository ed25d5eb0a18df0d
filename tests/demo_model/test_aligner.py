import json
import wave

import numpy as np

from demo_model.aligner import CrossAttentionAligner
from demo_model.prepare import SHIPPED
from demo_model.speech import Utterance

CLIPS = SHIPPED.parent / "clips"


def test_word_times_rise_and_lie_inside() -> None:
    known = json.loads((CLIPS / "clips.json").read_text())
    name = next(name for name, clip in known.items() if len(clip["text"].split()) > 4)
    with wave.open(str(CLIPS / f"{name}.wav"), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / np.float32(32768)
    utterance = Utterance(samples, known[name]["text"], None, "test")
    (words,) = CrossAttentionAligner(SHIPPED)([utterance])
    assert [word.text for word in words] == utterance.text.split()
    edges = [edge for word in words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert 0.3 < edges[0] < 1.2
    assert edges[-1] <= utterance.seconds - 0.5
