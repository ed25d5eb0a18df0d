"""Which device and number format a model runs on, and why."""

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

from hotmic.config.model import ComputeType, Device, ModelType
from hotmic.errors import EngineFailed
from hotmic.values import Value

AUTO_TYPES = {"cuda": ("float16", "int8_float16", "float32"), "cpu": ("int8", "int8_float32", "float32")}
"""What ``auto`` tries, best first."""

_CUBLAS = {"win32": ("cublas64_12.dll",)}.get(sys.platform, ("libcublas.so.12",))


class Placement(Value, frozen=True, kw_only=True):
    """Where and how a model runs."""

    device: str
    compute_type: str
    reason: str
    """One sentence saying why."""


class Machine(Value, frozen=True, kw_only=True):
    """What the inference library finds on this machine."""

    cuda_devices: int
    """Devices that can really be used."""
    obstacle: str = ""
    """Why there is none, as a clause."""
    compute_types: dict[str, frozenset[str]]
    """Number formats by device."""


def choose_placement(device: Device, compute_type: ComputeType, machine: Machine) -> Placement:
    """Choose where a model runs.

    Raises:
        EngineFailed: CUDA or a number format was asked for by name and is not possible here.
    """
    if device == "cuda" and not machine.cuda_devices:
        raise EngineFailed(f"CUDA was asked for, but {machine.obstacle}.")
    chosen = "cuda" if device != "cpu" and machine.cuda_devices else "cpu"
    possible = machine.compute_types[chosen]
    if compute_type != "auto" and compute_type not in possible:
        raise EngineFailed(
            f"The compute type {compute_type} is not possible on this {chosen}; "
            f"possible: {', '.join(sorted(possible))}."
        )
    chosen_type = next(t for t in AUTO_TYPES[chosen] if t in possible) if compute_type == "auto" else compute_type
    if chosen == "cuda":
        reason = "GPU in use." if device == "auto" else "GPU in use, as configured."
    else:
        reason = "CPU in use, as configured." if device == "cpu" else f"CPU in use: {machine.obstacle}."
    return Placement(device=chosen, compute_type=chosen_type, reason=reason)


def examine(model_type: ModelType) -> Machine:
    """Look what the library of a model type finds here."""
    if model_type == "echo":
        formats = frozenset({"float32"})
        return Machine(cuda_devices=0, obstacle="the echo engine has no other", compute_types={"cpu": formats})
    if model_type == "transformers":
        return _examine_torch()
    return _examine_ctranslate2()


def _examine_ctranslate2(load: Callable[[str], object] = ctypes.CDLL) -> Machine:
    import ctranslate2

    compute_types = {"cpu": frozenset(ctranslate2.get_supported_compute_types("cpu"))}
    if not ctranslate2.get_cuda_device_count():
        return Machine(cuda_devices=0, obstacle="no CUDA device was found", compute_types=compute_types)
    if not any(_loadable(name, load) for name in (*_CUBLAS, *_packaged_cublas())):
        obstacle = f"{_CUBLAS[0]} cannot be loaded (install nvidia-cublas-cu12)"
        return Machine(cuda_devices=0, obstacle=obstacle, compute_types=compute_types)
    compute_types["cuda"] = frozenset(ctranslate2.get_supported_compute_types("cuda"))
    return Machine(cuda_devices=ctranslate2.get_cuda_device_count(), compute_types=compute_types)


def _examine_torch() -> Machine:
    import torch

    compute_types = {"cpu": frozenset({"float32", "bfloat16"})}
    if not torch.cuda.is_available():
        return Machine(cuda_devices=0, obstacle="no CUDA device was found", compute_types=compute_types)
    compute_types["cuda"] = frozenset({"float16", "bfloat16", "float32"})
    return Machine(cuda_devices=torch.cuda.device_count(), compute_types=compute_types)


def _packaged_cublas() -> list[str]:
    # CTranslate2 looks the library up by its bare name; one that is loaded already is found whatever its directory.
    folders = (Path(entry) / "nvidia" / "cublas" / "lib" for entry in sys.path if entry)
    return [str(file) for folder in folders for file in sorted(folder.glob("libcublas*.so.12"))]


def _loadable(name: str, load: Callable[[str], object]) -> bool:
    try:
        load(name)
    except OSError:
        return False
    return True
