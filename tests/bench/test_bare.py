"""The bare side, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hotmic
from hotmic.bench.bare import Bare, Load, Run
from hotmic.bench.clip import bundled_clips, cut_windows
from hotmic.errors import EngineFailed
from hotmic.worker.heap import keep_freed_memory

pytestmark = pytest.mark.integration
MODEL = Path(hotmic.__file__).parent / "models" / "demo-en"


def load(folder: Path, directory: Path) -> Load:
    np.save(folder / "windows.npy", np.stack(cut_windows(bundled_clips(), 2.8, 5)))
    more = {"device": "cpu", "compute_type": "int8", "language": "en"}
    return Load(directory=directory, windows=folder / "windows.npy", window_s=3.0, **more)


def worker_threads() -> dict[str, str]:
    """Return what the libraries of a worker read of their threads."""
    program = "import json, os, hotmic.worker.child; print(json.dumps(dict(os.environ)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return {name: value for name, value in json.loads(done.stdout).items() if name.endswith("_NUM_THREADS")}


def test_batches_are_decoded_for_a_while(tmp_path: Path) -> None:
    bare = Bare()
    try:
        process = bare.ask(load(tmp_path, MODEL))
        # Set up as the worker is: its module sets what its libraries read, and its main the heap.
        assert process["keeps_freed_memory"] == keep_freed_memory()
        assert process["library_threads"] == worker_threads()
        for kind in ("partial", "final"):
            run = Run(kind=kind, beam=2, rows=3, lanes=2, threads=1, seconds=0.1)  # type: ignore[arg-type]
            answer = bare.ask(run)
            assert answer["audio_s_per_s"] > 0
            assert answer["audio_s_per_cpu_s"] > 0
    finally:
        bare.close()


def test_a_process_that_ended_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bare = Bare()
    with pytest.raises(EngineFailed, match="ended"):
        bare.ask(load(tmp_path, tmp_path))
    bare.close()
    assert capfd.readouterr().err
