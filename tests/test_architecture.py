"""The layer rule, the purity of the cores and the size of files, read from the source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "server" / "hotmic"
LAYERS = (
    {"errors", "values"},
    {"commands", "events", "log", "metrics"},
    {"audio", "policies", "config", "engines"},
    {"session", "dialects", "scheduler", "worker"},
    {"net"},
    {"building"},
    {"app"},
    {"transcriber", "bench"},
    {"cli", "__main__"},
)
SIDEWAYS_FORBIDDEN = LAYERS[3]
PURE = {"audio", "policies", "session", "dialects", "scheduler", "commands", "events"}
IMPURE_MODULES = {"asyncio", "threading", "socket", "time", "random", "subprocess", "secrets", "uuid", "selectors"}
HEAVY = (
    "torch",
    "ctranslate2",
    "faster_whisper",
    "transformers",
    "onnxruntime",
    "noisereduce",
    "scipy",
    "fastapi",
    "av",
)
FORBIDDEN_NAMES = {"utils", "helpers", "common", "misc", "manager", "handler", "processor"}
MAX_FILE, MAX_FUNCTION = 500, 60
ALLOWED_IMPURE = {("audio", "vad_silero.py", "threading")}

FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def rank(name: str) -> int | None:
    return next((i for i, layer in enumerate(LAYERS) if name in layer), None)


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "hotmic":
                yield from (f"hotmic.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    here = part(path)
    if here == "__init__":
        return
    assert rank(here) is not None, f"{here} is in no layer"
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "hotmic" or len(parts) == 1 or rank(parts[1]) is None:
            continue
        there = parts[1]
        assert rank(there) <= rank(here), f"{path.name} imports {module}: upwards"  # type: ignore[operator]
        if here in SIDEWAYS_FORBIDDEN and there in SIDEWAYS_FORBIDDEN:
            assert here == there, f"{path.name} imports {module}: sideways"
        if there == "engines" and here != "engines":
            assert path == PACKAGE / "worker" / "child.py", f"{path.name} imports {module}: only the worker's child may"
        if here == "net":
            assert there not in {"worker", "engines"}, f"{path.name} imports {module}: net sees no workers"


@pytest.mark.parametrize("path", [f for f in FILES if part(f) in PURE], ids=lambda p: str(p.relative_to(PACKAGE)))
def test_cores_are_pure(path: Path) -> None:
    used = {module.split(".")[0] for module in imports(path)} & IMPURE_MODULES
    assert {m for m in used if (part(path), path.name, m) not in ALLOWED_IMPURE} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= MAX_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION, f"{node.name} is too long"


def test_names_say_something() -> None:
    assert [f for f in FILES if f.stem in FORBIDDEN_NAMES] == []


def test_clients_do_not_import_the_daemon() -> None:
    for path in (ROOT / "clients").rglob("*.py"):
        assert not any(module.split(".")[0] == "hotmic" for module in imports(path)), path.name


def test_import_is_light() -> None:
    code = f"import sys, hotmic; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
