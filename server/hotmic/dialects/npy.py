"""Sound in NumPy's ``.npy`` form, read without NumPy's own loader: one dtype, one shape, no pickle.

Source: the format's description in ``numpy/lib/format.py`` (NEP 1): magic, version, length of the header, the header
(a Python dictionary of three entries, padded with spaces).
"""

import re

from hotmic.errors import BadAudio

MAX_HEADER = 1024
"""Bytes of the longest header; NumPy writes 118 for a chunk of sound."""
_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
"""Bytes of the field that tells the header's length, by version."""
_ENTRY = re.compile(r"\s*'([a-z_]{1,16})'\s*:\s*('[^'\\]{0,16}'|True|False|\([0-9, ]{0,32}\))\s*(,|(?=\}))")
_SHAPE = re.compile(r"\(\s*(?:(?P<n>\d+)\s*,|1\s*,\s*(?P<row>\d+)\s*,?|(?P<column>\d+)\s*,\s*1\s*,?)\s*\)")
_ITEM_BYTES = 4


def samples_of(data: bytes) -> bytes:
    """Return the little-endian float32 samples of a ``.npy`` file.

    Args:
        data: Version 1.0, 2.0 or 3.0, dtype ``<f4``, shape ``(n,)``, ``(1, n)`` or ``(n, 1)``.

    Raises:
        BadAudio: It is anything else, or its size is not what its shape says.
    """
    begin, header = _split(data)
    entries = _entries(header)
    if set(entries) != {"descr", "fortran_order", "shape"}:
        raise BadAudio("The .npy header must hold 'descr', 'fortran_order' and 'shape', and nothing else.")
    if entries["descr"] != "'<f4'":
        raise BadAudio(f"The samples must be float32, dtype '<f4', and not {entries['descr'][:20]}.")
    if entries["fortran_order"] not in ("True", "False"):
        raise BadAudio("'fortran_order' in the .npy header must be True or False.")
    shape = _SHAPE.fullmatch(entries["shape"])
    if shape is None:
        raise BadAudio(f"The sound must be mono, with a shape like (1600,), and not {entries['shape'][:40]}.")
    if shape["n"] is None and entries["fortran_order"] == "True":
        raise BadAudio("'fortran_order' must be False for sound of two dimensions.")
    size = int(shape["n"] or shape["row"] or shape["column"]) * _ITEM_BYTES
    if len(data) - begin != size:
        raise BadAudio(f"The .npy header tells of {size} bytes of samples, and {len(data) - begin} follow it.")
    return data[begin:]


def _split(data: bytes) -> tuple[int, str]:
    """Return where the samples begin, and the header."""
    if data[:6] != _MAGIC:
        raise BadAudio("The frame is no .npy file: it must begin with the magic bytes of NumPy.")
    version = tuple(data[6:8])
    width = _LENGTH_BYTES.get(version)  # type: ignore[arg-type]
    if width is None:
        raise BadAudio("Unknown version of the .npy format; known are 1.0, 2.0 and 3.0.")
    field = data[8 : 8 + width]
    length = int.from_bytes(field, "little")
    if len(field) < width or length > MAX_HEADER or len(data) < 8 + width + length:
        raise BadAudio(f"The .npy header is cut off, or longer than {MAX_HEADER} bytes.")
    begin = 8 + width + length
    try:
        return begin, data[8 + width : begin].decode("ascii").strip()
    except UnicodeDecodeError as error:
        raise BadAudio("The .npy header is no ASCII text.") from error


def _entries(header: str) -> dict[str, str]:
    """Return the entries of a header as they are written, of one that is a dictionary of plain values."""
    entries: dict[str, str] = {}
    at = 1
    while entry := _ENTRY.match(header, at):
        if entry[1] in entries:
            raise BadAudio("The .npy header says something twice.")
        entries[entry[1]] = entry[2]
        at = entry.end()
    if header[:1] != "{" or header[at:].strip() != "}":
        raise BadAudio("The .npy header is no dictionary of plain values.")
    return entries
