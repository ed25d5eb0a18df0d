"""How near the worker comes to the bare limit when there is always something to decode, and what cropping changes.

Both sides decode the same windows with the same weights, threads, beam and number format, in turns within one run, so
that a busy machine hurts them alike; on a CPU the time they computed is compared too. The worker is the daemon's: a
pool, its child process and the channel between them, kept full. The bare side (``bare``) may choose its batch and how
it spreads threads, and its features are made before the clock starts.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hotmic.bench.bare import Bare, Load, Run
from hotmic.bench.clip import Clip, cut_windows, error_rate
from hotmic.bench.cpu import cpu_seconds
from hotmic.config.cores import count_cores
from hotmic.config.model import ComputeType, Device, ModelSpec
from hotmic.errors import EngineFailed, UnknownModel
from hotmic.values import SAMPLE_RATE, DecodeJob, DecodeKind, DecodeOptions, DecodeResult, Samples, Value
from hotmic.worker.loader import Loader
from hotmic.worker.pool import LocalPool

PADDING_S = 0.2
"""A window holds so much less audio than its bucket: the worker keeps padding behind every window."""
WINDOWS = 32
SHOWN = 20
"""Differing texts that are listed."""


class EngineOptions(Value, frozen=True, kw_only=True):
    """What to measure."""

    spec: ModelSpec
    directory: Path
    """The weights."""
    clips: tuple[Any, ...]
    """Recordings (``Clip``) that windows are cut from and texts compared on."""
    device: Device = "cpu"
    compute_type: ComputeType = "int8"
    threads: int = 0
    """Of one model; 0: as many as there are cores."""
    batch_size: int = 8
    language: str = "en"
    windows_s: tuple[float, ...] = (5.0, 10.0)
    kinds: tuple[DecodeKind, ...] = ("partial", "final")
    seconds: float = 3.0
    """Length of one turn."""
    turns: int = 5
    rows: tuple[int, ...] = (1, 2, 4, 8, 16)
    """Batches the bare side tries."""
    compare_texts: bool = True


async def run_engine(options: EngineOptions, report: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Measure; return a plain mapping for JSON.

    Args:
        options: What to measure.
        report: Told what is going on.

    Raises:
        HotmicError: The model cannot be loaded, or a window cannot be decoded.
    """
    options = msgspec.structs.replace(options, threads=options.threads or count_cores())
    result: dict[str, Any] = {
        "model": options.spec.id,
        "device": options.device,
        "compute_type": options.compute_type,
        "threads": options.threads,
        "batch_size": options.batch_size,
        "windows_s": [size for size in options.windows_s if size - PADDING_S <= options.spec.max_window_s],
        "saturation": [],
    }
    bare = await asyncio.to_thread(Bare)
    try:
        async with _Pool(options, options.spec) as pool:
            for window_s in result["windows_s"]:
                result["bare_process"] = await asyncio.to_thread(_load, bare, options, window_s)
                for kind in options.kinds:
                    report(f"{kind} of {window_s:g} s")
                    result["saturation"].append(await _saturate(pool, bare, options, kind, window_s))
    finally:
        await asyncio.to_thread(bare.close)
    if options.compare_texts:
        report("texts of cropped and of stock windows")
        result["texts"] = await compare_texts(options)
    return result


async def compare_texts(options: EngineOptions) -> dict[str, Any]:
    """Decode every clip in its own window and in the stock one of 30 s; return error rates and differences."""
    clips = [clip for clip in options.clips if clip.seconds <= options.spec.max_window_s]
    texts: dict[str, list[str]] = {}
    for name, floor in (("cropped", options.spec.min_window_s), ("stock", 30.0)):
        async with _Pool(options, msgspec.structs.replace(options.spec, min_window_s=floor)) as pool:
            results = [await pool.decode([clip.samples], "final") for clip in clips]
            texts[name] = [rows[0].text for rows in results]
    return summarise_texts(clips, texts["cropped"], texts["stock"], min_window_s=options.spec.min_window_s)


def summarise_texts(
    clips: Sequence[Clip], cropped: Sequence[str], stock: Sequence[str], *, min_window_s: float
) -> dict[str, Any]:
    """Return how texts of cropped and of stock windows differ from each other and from what was said."""
    known = [place for place, clip in enumerate(clips) if clip.text]
    rates = {
        name: error_rate((clips[place].text, texts[place]) for place in known)
        for name, texts in (("cropped", cropped), ("stock", stock))
    }
    differences = [
        {"clip": clip.name, "reference": clip.text, "cropped": one, "stock": other}
        for clip, one, other in zip(clips, cropped, stock, strict=True)
        if one != other
    ]
    return {
        "clips": len(clips),
        "min_window_s": min_window_s,
        "word_error_rate": {name: None if rate is None else round(rate, 4) for name, rate in rates.items()},
        "cropped_against_stock": error_rate(zip(stock, cropped, strict=True)),
        "differing": len(differences),
        "differences": differences[:SHOWN],
    }


async def _saturate(
    pool: "_Pool", bare: Bare, options: EngineOptions, kind: DecodeKind, window_s: float
) -> dict[str, Any]:
    runs = _candidates(options, kind)
    # Twice each: what slows one down for a moment shall not choose.
    passes = [[(await asyncio.to_thread(bare.ask, run))["audio_s_per_s"] for run in runs] for _ in range(2)]
    tried = [max(both) for both in zip(*passes, strict=True)]
    best = msgspec.structs.replace(runs[int(np.argmax(tried))], seconds=options.seconds)
    windows = cut_windows(options.clips, window_s - PADDING_S, WINDOWS)
    await pool.saturate(windows, kind, 0.5)
    turns: list[tuple[dict[str, float], dict[str, float]]] = []
    for turn in range(options.turns):
        if turn % 2:  # who goes first alternates, too
            theirs = await asyncio.to_thread(bare.ask, best)
            ours = await pool.saturate(windows, kind, options.seconds)
        else:
            ours = await pool.saturate(windows, kind, options.seconds)
            theirs = await asyncio.to_thread(bare.ask, best)
        turns.append((ours, theirs))
    return {
        "kind": kind,
        "window_s": window_s,
        "audio_s_of_a_window": round(window_s - PADDING_S, 3),
        **_compare(turns, "audio_s_per_s", "share"),
        **(_compare(turns, "audio_s_per_cpu_s", "share_of_cpu") if options.device == "cpu" else {}),
        "bare_batch": {"rows": best.rows, "lanes": best.lanes, "threads": best.threads},
        "turns": [{"worker": round(o["audio_s_per_s"], 2), "bare": round(b["audio_s_per_s"], 2)} for o, b in turns],
        "bare_tried": [
            {"rows": run.rows, "lanes": run.lanes, "audio_s_per_s": round(value, 2)}
            for run, value in zip(runs, tried, strict=True)
        ],
    }


def _compare(turns: Sequence[tuple[dict[str, float], dict[str, float]]], figure: str, share: str) -> dict[str, Any]:
    shares = [ours[figure] / bare[figure] for ours, bare in turns]
    return {
        f"worker_{figure}": round(statistics.median(ours[figure] for ours, _ in turns), 2),
        f"bare_{figure}": round(statistics.median(bare[figure] for _, bare in turns), 2),
        share: round(statistics.median(shares), 4),
        f"{share}_range": [round(min(shares), 4), round(max(shares), 4)],
    }


def _candidates(options: EngineOptions, kind: DecodeKind) -> list[Run]:
    """Return what the bare side may choose from: large batches on all threads, or small ones side by side."""
    layouts = [(1, options.threads)]
    if options.threads > 1:
        layouts.append((options.threads, 1))
    return [
        Run(kind=kind, beam=options.spec.beam, rows=rows, lanes=lanes, threads=threads, seconds=options.seconds / 4)
        for lanes, threads in layouts
        for rows in options.rows
    ]


def _load(bare: Bare, options: EngineOptions, window_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "windows.npy"
        np.save(path, np.stack(cut_windows(options.clips, window_s - PADDING_S, WINDOWS)))
        return bare.ask(
            Load(
                directory=options.directory,
                device="cuda" if options.device == "cuda" else "cpu",
                compute_type=options.compute_type,
                language=options.language,
                windows=path,
                window_s=max(window_s, options.spec.min_window_s),
            )
        )


class _Single:
    """A registry of one model."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec

    def get(self, model_id: str) -> ModelSpec:
        """Return the model."""
        if model_id != self._spec.id:
            raise UnknownModel(f"There is no model {model_id!r}.")
        return self._spec


class _Pool:
    """The daemon's pool with one model, fed by hand."""

    def __init__(self, options: EngineOptions, spec: ModelSpec) -> None:
        self._options, self._spec, self._number = options, spec, 0

        async def fetch(_spec: ModelSpec, _report: object) -> Path:
            return options.directory

        loader = Loader(
            device=options.device,
            compute_type=options.compute_type,
            threads=options.threads,
            batch_size=options.batch_size,
            num_workers=1,
            gpu_memory_fraction=0.9,
            fetch=fetch,
        )
        self._pool = LocalPool(_Single(spec), loader, on_change=lambda: None)

    async def __aenter__(self) -> "_Pool":
        try:
            await self._pool.load(self._spec.id, mode="beside", report=lambda _: None)
        except BaseException:
            await self._pool.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    async def decode(self, windows: Sequence[Samples], kind: DecodeKind) -> list[DecodeResult]:
        """Decode one batch.

        Raises:
            EngineFailed: A window could not be decoded.
        """
        results = await self._pool.decode(self._spec.id, [self._job(samples, kind) for samples in windows])
        for result in results:
            if result.error_code:
                raise EngineFailed(result.error_message)
        return results

    async def saturate(self, windows: Sequence[Samples], kind: DecodeKind, seconds: float) -> dict[str, float]:
        """Keep the worker full for a while; return audio seconds per second and per second of CPU.

        The CPU time is the child's and this process's: the pool and the channel count.
        """
        size = self._options.batch_size
        batches = [windows[at : at + size] for at in range(0, len(windows), size)]
        done = place = 0
        began, computed = time.perf_counter(), self._cpu_seconds()

        async def feed() -> None:
            nonlocal done, place
            while time.perf_counter() - began < seconds:
                batch = batches[place % len(batches)]
                place += 1
                await self.decode(batch, kind)
                done += sum(len(samples) for samples in batch)

        # As many batches at a time as the daemon hands out.
        lanes = self._pool.capabilities(self._spec.id).batches_in_flight
        await asyncio.gather(*(feed() for _ in range(lanes)))
        audio = done / SAMPLE_RATE
        spent, computed = time.perf_counter() - began, self._cpu_seconds() - computed
        return {"audio_s_per_s": audio / spent, "audio_s_per_cpu_s": audio / computed}

    def _cpu_seconds(self) -> float:
        if self._options.device != "cpu":
            # Next to the GPU it says nothing.
            return time.perf_counter()
        return time.process_time() + cpu_seconds(self._pool.status()[0].pid)

    def _job(self, samples: Samples, kind: DecodeKind) -> DecodeJob:
        self._number += 1
        return DecodeJob(
            job_id=str(self._number),
            session_id="bench",
            segment_id="bench",
            kind=kind,
            samples=samples.tobytes(),
            start=0,
            deadline=0.0,
            options=DecodeOptions(language=self._options.language),
            word_times=kind == "final",
        )
