"""Looks for input that a parser treats otherwise than it should, guided by the lines that run: atheris, libFuzzer.

    python tests/fuzz/target.py npy -max_total_time=60 DIRECTORY                # what makes other lines run stays there
    python tests/fuzz/target.py npy -merge=1 tests/fuzz/corpus/npy DIRECTORY    # the fewest that make as many lines run

It needs atheris and the folders ``server`` and ``tests`` in ``PYTHONPATH``.
"""

import logging
import random
import sys
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import atheris
import structlog

OURS = ("hotmic", "websockets", "python_multipart")
"""Packages in which lines are counted."""
LONGEST = 4096
OUTCOMES = 1024


def main(arguments: list[str]) -> None:
    """Run libFuzzer with a parser's name, and with options and directories as libFuzzer takes them."""
    logging.disable()  # libraries warn of what they refuse
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    atheris.enabled_hooks.add("str")
    with atheris.instrument_imports(include=list(OURS)):
        from fuzz import planted
        from fuzz.parser import check
        from fuzz.table import PARSERS
    name, *options = arguments
    parser = (dict(PARSERS) | {"planted": planted.PARSER})[name]
    parser = parser._replace(call=atheris.instrument_func(parser.call))
    mark = _marker()
    with tempfile.TemporaryDirectory() as folder:
        words = Path(folder, "words")
        words.write_text("".join(f'"{_escaped(word)}"\n' for word in parser.words))
        if not any("merge" in option for option in options):
            first = Path(folder, "seeds")
            first.mkdir()
            for number, seed in enumerate(parser.seeds()):
                Path(first, str(number)).write_bytes(seed)
            options.append(str(first))
        limits = [
            *([f"-dict={words}"] if parser.words else []),
            f"-max_len={LONGEST}",
            "-timeout=60",
            "-report_slow_units=60",
            "-rss_limit_mb=4096",
        ]
        again = f"{sys.executable} {__file__} {name}"  # how libFuzzer runs this once more, to merge

        def mutate(data: bytes, most: int, seed: int) -> bytes:
            rng = random.Random(seed)
            return bytes(atheris.Mutate(data, most)) if rng.random() < 0.5 else parser.mutate(data, rng)[:most]

        own = {"custom_mutator": mutate} if parser.mutate else {}
        atheris.Setup([again, *limits, *options], lambda data: mark(check(parser, data)), **own)
        atheris.Fuzz()


def _marker() -> Callable[[object], None]:
    """Return what makes another line run for every other outcome, for libraries whose lines are not counted."""
    names: dict[str, Any] = {}
    exec("\n".join(f"def mark_{number}(): return {number}" for number in range(OUTCOMES)), names)
    marks = [atheris.instrument_func(names[f"mark_{number}"]) for number in range(OUTCOMES)]
    return lambda outcome: None if outcome is None else marks[zlib.crc32(repr(outcome).encode()) % OUTCOMES]()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main(sys.argv[1:])
