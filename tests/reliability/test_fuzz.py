"""Every parser of bytes from strangers under input that is looked for by the lines it makes run."""

import asyncio
import base64
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fuzz import planted
from fuzz.parser import Parser, check, judge
from fuzz.table import PARSERS
from hotmic.errors import BadMessage, HotmicError, PeerError
from hotmic.net.container import ContainerStream
from reliability_support import Figures, both

TESTS = Path(__file__).parents[1]
CORPUS, TARGET = TESTS / "fuzz" / "corpus", TESTS / "fuzz" / "target.py"
RUNS, SECONDS = 5_000, 1_800
"""Of the short form and of the long."""
HANG = 600.0
PYTHON = "Uncaught Python exception"
"""What atheris says of a fault that is none of a library in C."""
_LAST = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/")
_RUNS = re.compile(r"^stat::number_of_executed_units: *(\d+)$", re.MULTILINE)
on_linux = pytest.mark.skipif(
    (sys.platform, platform.machine()) != ("linux", "x86_64"), reason="atheris is built for Linux on x86-64 alone"
)


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    """Trace no memory in the tests behind."""
    yield
    tracemalloc.stop()


def environment() -> dict[str, str]:
    """Return what the search runs in: it imports the daemon and what the tests share."""
    paths = [str(TESTS), str(TESTS.parent / "server"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def search(name: str, folder: Path, options: Sequence[str], *, limit: float) -> tuple[int, str, list[Path]]:
    """Return libFuzzer's exit status, what it printed, and the inputs that a parser treats as it should not."""
    faults = Path(tempfile.mkdtemp(prefix="faults-", dir=folder))
    found = folder / "found"
    found.mkdir(exist_ok=True)
    command = [sys.executable, str(TARGET), name, *options, f"-artifact_prefix={faults}/", "-print_final_stats=1"]
    known = [str(CORPUS / name)] if (CORPUS / name).is_dir() else []
    run = subprocess.run(
        [*command, str(found), *known], capture_output=True, timeout=limit, cwd=folder, env=environment(), check=False
    )
    return run.returncode, (run.stdout + run.stderr).decode("utf-8", "replace"), sorted(faults.iterdir())


@pytest.mark.parametrize("name", PARSERS)
def test_inputs_found_before(name: str) -> None:
    known = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    assert known
    for data in [*PARSERS[name].seeds(), *known]:
        check(PARSERS[name], data)


def test_the_process_that_decodes_answers() -> None:
    for path in sorted((CORPUS / "containers").iterdir())[::3]:
        asyncio.run(answer_of_the_child(path.read_bytes()[1:]))


@on_linux
@pytest.mark.parametrize("seconds", both(0, SECONDS))
@pytest.mark.parametrize("name", PARSERS)
def test_guided_search(name: str, seconds: int, tmp_path: Path, figures: Figures) -> None:
    end, runs, crashes = time.monotonic() + seconds, 0, 0
    while True:
        left = max(1, round(end - time.monotonic()))
        options = [f"-max_total_time={left}"] if seconds else [f"-runs={RUNS}", "-seed=1"]
        status, said, faults = search(name, tmp_path, options, limit=HANG + left)
        runs += sum(map(int, _RUNS.findall(said)))
        if not status and not faults:
            break
        assert faults, said[-4000:]
        for fault in faults:
            if not PARSERS[name].is_foreign or PYTHON in said:
                print("input:", base64.b64encode(fault.read_bytes()).decode())
                check(PARSERS[name], fault.read_bytes())
            asyncio.run(answer_of_the_child(fault.read_bytes()[1:]))
        assert PARSERS[name].is_foreign, said[-4000:]
        assert PYTHON not in said, said[-4000:]
        crashes += 1
        if time.monotonic() >= end:
            break
    edges, features, inputs = map(int, _LAST.findall(said)[-1])
    figures.note(runs=runs, edges=edges, features=features, inputs=inputs, crashes=crashes)
    assert runs >= RUNS or crashes


def allocate(data: bytes) -> None:
    """Believe a number in a header."""
    bytes(int.from_bytes(data, "big"))


def invent(data: bytes) -> None:
    """Make up a code."""
    error = BadMessage("It is no message.")
    error.code = "made_up"  # type: ignore[misc]
    raise error


def blab(data: bytes) -> None:
    """Tell what went wrong inside."""
    try:
        {}[data]  # type: ignore[index]
    except KeyError as error:
        raise BadMessage(repr(ValueError(error))) from error


def stumble(data: bytes) -> None:
    """Let an exception out."""
    {}[data]  # type: ignore[index]


@pytest.mark.parametrize("fault", [allocate, invent, blab, stumble])
def test_planted_faults(fault: Callable[[bytes], None]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        check(Parser(call=fault, seeds=list, allowed=(PeerError,)), b"\x7f\xff\xff")


@on_linux
def test_a_planted_fault_is_searched_out(tmp_path: Path) -> None:
    status, said, faults = search("planted", tmp_path, ["-runs=1000000", "-seed=1"], limit=HANG)
    assert status
    assert [path.read_bytes()[: len(planted.WORD)] for path in faults] == [planted.WORD], said[-4000:]


async def answer_of_the_child(data: bytes) -> None:
    """Pass if the process that decodes files answers what may be told, whatever becomes of it."""
    async with ContainerStream() as stream:

        async def feed() -> None:
            await stream.feed(data)
            await stream.finish()

        feeding = asyncio.create_task(feed())
        try:
            async for samples in stream:
                assert samples.dtype == "int16"
        except HotmicError as error:
            judge(error)
        finally:
            await asyncio.gather(feeding, return_exceptions=True)
