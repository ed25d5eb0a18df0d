"""What is asked of every parser of bytes from strangers, whatever the bytes are.

A parser is a function of bytes that raises only what it may. What it raises has a code and a sentence that may be
shown; what it allocates is a small multiple of what came. Each checks besides what holds for its own results.
"""

import random
import re
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from hotmic.errors import HotmicError, PeerError, codes
from hotmic.values import SAMPLE_RATE, Samples

CODES = codes(PeerError)
"""The codes that a stranger's mistake may get, as docs/protocol.md lists them."""
LONGEST_SENTENCE = 500
FLOOR = 256 << 10
"""Bytes that any input may cost: caches, tables and filters that are made once, small objects."""
MARK = b"\n=>"
"""Parts a sequence of frames; a sequence is easily cut, joined and repeated so."""
_TRACES = re.compile(r"Traceback \(|[a-z](Error|Exception)\b| object at 0x|<class '")
"""What only the text of an exception of Python holds."""


class Parser(NamedTuple):
    """One parser."""

    call: Callable[[bytes], object]
    """What it returns tells what became of the input, where that cannot be seen by the lines that ran."""
    seeds: Callable[[], Sequence[bytes]]
    """Good and nearly good input, from which the search begins."""
    words: tuple[bytes, ...] = ()
    """What may be written into an input as a whole."""
    allowed: tuple[type[HotmicError], ...] = ()
    """What may be raised; a sequence of frames meets its errors itself."""
    factor: int = 64
    """Bytes that may be allocated for every byte that comes."""
    floor: int = FLOOR
    mutate: Callable[[bytes, random.Random], bytes] | None = None
    """Changes input into other input as bytes alone hardly come by it."""
    is_foreign: bool = False
    """Whether most of it is no code of ours, may crash, and runs in a process that may."""


def check(parser: Parser, data: bytes) -> object:
    """Pass if a parser treats an input as it should; return what became of it."""
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    outcome: object = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            outcome = parser.call(data)
        except parser.allowed as error:
            judge(error)
    _, peak = tracemalloc.get_traced_memory()
    most = parser.floor + parser.factor * len(data)
    assert peak - before <= most, f"{peak - before} bytes were allocated for {len(data)}"
    return outcome


def judge(error: HotmicError) -> None:
    """Pass if an error may be told to a stranger."""
    assert error.code in CODES, error.code
    assert error.message, error.code
    assert len(error.message) <= LONGEST_SENTENCE, error.message
    error.message.encode()
    assert not _TRACES.search(error.message), error.message


def judge_sound(samples: Samples, *, most: float) -> None:
    """Pass if samples are sound, and not more than can have come."""
    assert samples.dtype == "int16"
    assert samples.ndim == 1
    assert len(samples) <= most, (len(samples), most)


def longest(data: bytes, *, width: int, rate: int) -> float:
    """Return how many samples at 16 kHz bytes can be, and some that a filter still held."""
    return len(data) / width * SAMPLE_RATE / rate + SAMPLE_RATE


def pieces(data: bytes, cuts: bytes) -> Iterator[bytes]:
    """Cut bytes into pieces whose lengths stand in other bytes, over and over."""
    begin, number = 0, 0
    while begin < len(data):
        size = cuts[number % len(cuts)] + 1 if cuts else len(data)
        yield data[begin : begin + size]
        begin, number = begin + size, number + 1
