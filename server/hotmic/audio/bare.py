"""Samples without any header: told apart by how they look."""

import numpy as np

from hotmic.audio.pcm import parse
from hotmic.values import Samples

ENOUGH = 64
"""Words of four bytes, other than zero, from which the kind is told: 8 ms of PCM16 or 4 ms of float32 at 16 kHz."""
MOST_HELD = 16_384
"""Bytes after which it is told from what there is."""
_FAINTEST, _LOUDEST = 2.0**-40, 4.0
"""Between these lie the samples of float sound other than zero; full scale is 1."""
_SHARE = 0.9


class BareReader:
    """A stream of float32 or PCM16 samples, mono, little-endian, cut anywhere.

    Read as float32, nearly all samples of float sound lie between 2^-40 and 4. Of PCM16 the upper one of two samples
    becomes sign and exponent, and then only values from 11,136 to 16,511 and from -21,632 to -16,257 do: fewer than one
    in five of loud noise, none of soft sound. A wave swings through zero, so it cannot stay there for the time that
    the decision takes. Sound that is shifted that far from zero for all of that time is mistaken for float32, and
    floats whose full scale is 32,768 for PCM16. Zeros say nothing and are told as silence at once.
    """

    def __init__(self) -> None:
        self.encoding = ""
        """``float32`` or ``pcm16``; empty until it is told."""
        self._held = b""

    def receive(self, data: bytes) -> Samples:
        """Return what is ready after a piece, shape ``[n]``, possibly empty.

        Raises:
            BadAudio: A float that is no finite number; the piece is left out, and the next begins a new sample.
        """
        data, self._held = self._held + data, b""
        if not self.encoding:
            self.encoding = _tell(data)
        if not self.encoding:
            silent = len(data) - len(data.lstrip(b"\0"))
            silent -= silent % 4
            self._held = data[silent:]
            return np.zeros(silent // 2, dtype=np.int16)
        rest = len(data) % (4 if self.encoding == "float32" else 2)
        samples = parse(data[: len(data) - rest], encoding=self.encoding)
        self._held = data[len(data) - rest :]
        return samples


def _tell(data: bytes) -> str:
    words = np.frombuffer(data[: len(data) - len(data) % 4], dtype="<f4")
    words = words[words.view("<u4") != 0]
    if len(words) < ENOUGH and (len(data) < MOST_HELD or not len(words)):
        return ""
    with np.errstate(invalid="ignore"):
        sizes = np.abs(words)
        share = np.mean((sizes > _FAINTEST) & (sizes < _LOUDEST))
    return "float32" if share >= _SHARE else "pcm16"
