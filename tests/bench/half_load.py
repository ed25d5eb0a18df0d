"""What a final costs at half of the load a machine sustains, beside one bare decode of the same clips.

    python tests/bench/half_load.py --streams 78 --json result.json
    python tests/bench/half_load.py --streams 8 --shape tiny

The daemon's figure is from the moment the endpoint is known to the final. The bare one is encoder, decoder and
alignment in CTranslate2 on one core or on all, whichever is faster, one clip at a time, with features made beforehand.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hotmic.bench.bare import Bare, Load, Run
from hotmic.bench.clip import Clip, bundled_clips
from hotmic.bench.head import head
from hotmic.bench.shape import shape_directory
from hotmic.config.cores import count_cores
from hotmic.config.registry import Registry

ROOT = Path(__file__).parents[2]
AROUND = 0.5
"""Seconds of pre-roll and hang-over that the daemon's segments have around the speech."""


def under_load(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Return what ``hotmic bench live`` measured with so many streams."""
    result = folder / "live.json"
    flags = ["--streams", str(options.streams), "--seconds", str(options.seconds), "--json", str(result)]
    flags += ["--shape", options.shape] if options.shape else []
    subprocess.run([sys.executable, "-m", "hotmic", "bench", "live", *flags], check=True)
    run: dict[str, Any] = json.loads(result.read_text())["runs"][0]
    return run


def alone(clip: Clip, directory: Path, beam: int, folder: Path, bare: Bare) -> float:
    """Return the seconds that one bare final of a clip takes."""
    path = folder / f"{clip.name}.npy"
    silence = np.zeros(int(AROUND * 16_000), np.int16)
    samples = np.concatenate([clip.samples, silence])
    np.save(path, samples[None])
    seconds = len(samples) / 16_000
    bare.ask(
        Load(
            directory=directory,
            device="cpu",
            compute_type="int8",
            language="en",
            windows=path,
            window_s=float(np.ceil(seconds)),
        )
    )
    # Small models are slower with all cores than with one.
    runs = [Run(kind="final", beam=beam, rows=1, lanes=1, threads=n, seconds=1.0) for n in {1, count_cores()}]
    return seconds / max(float(bare.ask(run)["audio_s_per_s"]) for run in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, required=True, help="half of what 'hotmic bench capacity' found")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--shape", choices=("tiny", "base", "small"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    above = head()
    spec = Registry.load(ROOT / "models.yaml").get("demo-en")
    directory = shape_directory(options.shape) if options.shape else ROOT / "server" / "hotmic" / "models" / "demo-en"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = under_load(options, folder)
        bare = Bare()
        try:
            decodes = [
                alone(clip, directory, 5 if options.shape else spec.beam, folder, bare) for clip in bundled_clips()
            ]
        finally:
            bare.close()
    figures = above | {
        "streams": options.streams,
        "shape": options.shape or "demo-en",
        "final_lag_s": run["final_lag_by_server_s"],
        "final_after_endpoint_s": run["final_after_endpoint_s"],
        "bare_decode_s": {f"p{p}": round(float(np.percentile(decodes, p)), 4) for p in (50, 95)},
        "ratio_p95": round(run["final_lag_by_server_s"]["p95"] / float(np.percentile(decodes, 95)), 2),
        "broken": run["broken"],
    }
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
