"""A parser with a fault that only a search finds which is guided: each byte of a word leads one line further."""

from collections.abc import Sequence

from fuzz.parser import Parser

WORD = b"tape"


def read(data: bytes) -> None:
    """Fail on input that begins with a word."""
    if data[:1] == b"t":  # noqa: SIM102 - one line each, to be seen
        if data[1:2] == b"a":  # noqa: SIM102
            if data[2:3] == b"p":  # noqa: SIM102
                if data[3:4] == b"e":
                    raise KeyError(data)


def seeds() -> Sequence[bytes]:
    """Return nothing near."""
    return [bytes(8)]


PARSER = Parser(call=read, seeds=seeds)
