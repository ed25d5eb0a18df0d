"""Sound in NumPy's form."""

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from fuzz.parser import Parser, judge_sound
from hotmic.audio.wire import Wire
from hotmic.dialects.npy import samples_of
from hotmic.errors import BadAudio
from wire_support import npy


def read(data: bytes) -> None:
    """Read an array; it is what NumPy says it is, where NumPy can read it too."""
    sound = samples_of(data)
    assert data.endswith(sound)
    assert len(sound) % 4 == 0
    with contextlib.suppress(ValueError, UserWarning):  # NumPy is stricter about spaces, and warns of some
        array = np.load(io.BytesIO(data), allow_pickle=False)
        assert array.dtype == "<f4"
        assert array.size == len(sound) // 4
        assert array.ndim == 1 or (array.ndim == 2 and 1 in array.shape)
        assert array.tobytes() == sound
    samples = Wire().receive(sound, encoding="float32", sample_rate=None)
    judge_sound(samples, most=len(sound) // 4)


def seeds() -> Sequence[bytes]:
    """Return arrays that are taken, and some that are not."""
    wave = np.sin(np.arange(40, dtype="<f4"))
    odd = np.array([0.5, np.nan, np.inf, -4.0], "<f4")
    arrays = [wave, wave[:1], wave[:0], wave.reshape(1, -1), wave.reshape(-1, 1), wave.reshape(2, -1), odd]
    arrays += [wave.astype(kind) for kind in ("<i2", ">f4", "<f8", "<c8", "S4")]
    files = [npy(array) for array in arrays]
    later = []
    for version in ((2, 0), (3, 0)):
        file = io.BytesIO()
        np.lib.format.write_array(file, wave, version=version, allow_pickle=False)
        later.append(file.getvalue())
    return [*files, *later, npy(np.asfortranarray(wave.reshape(-1, 1))), files[0][:-1], files[0] + b"\0"]


PARSER = Parser(
    call=read,
    seeds=seeds,
    allowed=(BadAudio,),
    words=(
        b"\x93NUMPY\1\0v\0", b"\x93NUMPY\2\0v\0\0\0", b"\x93NUMPY\3\0", b"'descr': ", b"'<f4'", b"'fortran_order': ",
        b"False", b"True", b"'shape': ", b"(40,), ", b"(1, 40)", b"(40, 1)", b"(99999999999999999999,)", b"{", b"}\n",
        b"\0\0\xc0\x7f", b"\0\0\x80\xff",
    ),
)  # fmt: skip
