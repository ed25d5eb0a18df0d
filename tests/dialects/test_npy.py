"""Forty hostile ``.npy`` files, and the few that are right."""

import pickle
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotmic.dialects.npy import MAX_HEADER, samples_of
from hotmic.errors import BadAudio
from wire_support import npy

DATA = np.array([0.25, -0.5, 1.0], dtype="<f4")
BODY = DATA.tobytes()
RIGHT = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"


def file(header: str | bytes = RIGHT, body: bytes = BODY, *, version: bytes = b"\1\0", length: int = -1) -> bytes:
    raw = header.encode() if isinstance(header, str) else header
    size = len(raw) if length < 0 else length
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\1\0" else "<I", size) + raw + body


def header(descr: object = "'<f4'", order: object = False, shape: object = "(3,)") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n"


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "magic alone": b"\x93NUMPY",
    "bare samples": BODY,
    "a pickle": pickle.dumps(DATA),
    "an npz": b"PK\x03\x04" + BODY,
    "another magic": b"\x94NUMPY" + file()[6:],
    "half a version": b"\x93NUMPY\1",
    "version 0": file(version=b"\0\0"),
    "version 4": file(version=b"\4\0"),
    "version 1.1": b"\x93NUMPY\1\1" + file()[8:],
    "no length": b"\x93NUMPY\1\0",
    "half a length": b"\x93NUMPY\2\0\1\0",
    "longer than the frame": file(length=2000),
    "four gigabytes of header": file(version=b"\2\0", length=0xFFFFFFFF),
    "a header over the bound": file(RIGHT + " " * MAX_HEADER),
    "no header": file(""),
    "header cut off": file(RIGHT[:30], b""),
    "not ASCII": file(RIGHT.replace("descr", "dëscr").encode("latin-1")),
    "a list": file("['<f4', False, (3,)]"),
    "no entries": file("{}"),
    "no shape": file("{'descr': '<f4', 'fortran_order': False, }"),
    "no dtype": file("{'fortran_order': False, 'shape': (3,), }"),
    "an entry too many": file(RIGHT[:-1] + "'extra': 'x', }"),
    "an entry twice": file(RIGHT[:-1] + "'shape': (3,), }"),
    "a call": file(header(descr="__import__('os').abort()")),
    "an expression": file(header(shape="(1+2,)")),
    "deep nesting": file("{'descr': " + "(" * 900),
    "a bad escape": file(header(descr="'\\d4'")),
    "objects": file(header(descr="'|O'"), pickle.dumps([DATA])),
    "float64": npy(DATA.astype("<f8")),
    "big-endian": npy(DATA.astype(">f4")),
    "int16": npy(np.array([1, 2, 3], dtype="<i2")),
    "a record": npy(np.zeros(3, dtype=[("a", "<f4")])),
    "complex": npy(DATA.astype("<c8")),
    "no dimension": npy(np.float32(1.0)),
    "stereo": npy(np.zeros((3, 2), dtype="<f4")),
    "three dimensions": npy(np.zeros((1, 3, 1), dtype="<f4")),
    "Fortran order in two dimensions": file(header(order=True, shape="(1, 3)")),
    "a negative size": file(header(shape="(-3,)")),
    "a size beyond all memory": file(header(shape="(99999999999999999999,)")),
    "a sample too few": file(header(shape="(4,)")),
    "a sample too many": file(header(shape="(2,)")),
    "an odd byte behind": file(body=BODY + b"\0"),
    "an order that is no truth value": file(header(order="'no'")),
    "text behind the header": file(RIGHT + "; import os"),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused(data: bytes) -> None:
    with warnings.catch_warnings(), pytest.raises(BadAudio) as caught:
        warnings.simplefilter("error")
        samples_of(data)
    assert caught.value.message.endswith(".")
    assert len(caught.value.message) < 200


RIGHT_ONES: dict[str, bytes] = {
    "as NumPy writes it": npy(DATA),
    "a row": npy(DATA.reshape(1, 3)),
    "a column": npy(DATA.reshape(3, 1)),
    "Fortran order in one dimension": file(header(order=True)),
    "version 2": file(version=b"\2\0"),
    "version 3": file(version=b"\3\0"),
    "another order": file("{'shape': (3,), 'fortran_order': False, 'descr': '<f4'}"),
    "no spaces": file("{'descr':'<f4','fortran_order':False,'shape':(3,)}"),
}


@pytest.mark.parametrize("data", RIGHT_ONES.values(), ids=RIGHT_ONES)
def test_right_files(data: bytes) -> None:
    assert samples_of(data) == BODY


def test_an_empty_array_is_no_mistake() -> None:
    assert samples_of(npy(DATA[:0])) == b""


@given(st.integers(0, 300), st.sampled_from(["flat", "row", "column"]))
def test_what_numpy_saves_is_read(count: int, shape: str) -> None:
    samples: Any = np.arange(count, dtype="<f4")
    shaped = {"flat": samples, "row": samples.reshape(1, count), "column": samples.reshape(count, 1)}[shape]
    assert samples_of(npy(shaped)) == samples.tobytes()


@given(st.integers(0, len(npy(DATA)) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_changes_the_sound_alone(at: int, value: int) -> None:
    data = bytearray(npy(DATA))
    data[at] = value
    try:
        assert len(samples_of(bytes(data))) == len(BODY)
    except BadAudio as error:
        assert error.code == "bad_audio"
