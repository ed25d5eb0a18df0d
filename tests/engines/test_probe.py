import pytest

from hotmic.engines import probe
from hotmic.engines.probe import Machine, choose_placement
from hotmic.errors import EngineFailed

CPU_TYPES = frozenset({"int8", "int8_float32", "float32"})
BARE = Machine(cuda_devices=0, obstacle="no CUDA device was found", compute_types={"cpu": CPU_TYPES})
GPU = Machine(
    cuda_devices=1, compute_types={"cpu": CPU_TYPES, "cuda": frozenset({"float16", "int8_float16", "float32"})}
)


def test_auto_takes_the_gpu() -> None:
    placement = choose_placement("auto", "auto", GPU)
    assert (placement.device, placement.compute_type, placement.reason) == ("cuda", "float16", "GPU in use.")


def test_auto_says_why_it_is_the_cpu() -> None:
    placement = choose_placement("auto", "auto", BARE)
    assert (placement.device, placement.compute_type) == ("cpu", "int8")
    assert placement.reason == "CPU in use: no CUDA device was found."


def test_cpu_is_obeyed() -> None:
    placement = choose_placement("cpu", "float32", GPU)
    assert (placement.device, placement.compute_type) == ("cpu", "float32")
    assert placement.reason == "CPU in use, as configured."


def test_cuda_is_never_silently_the_cpu() -> None:
    with pytest.raises(EngineFailed, match="CUDA was asked for, but no CUDA device was found"):
        choose_placement("cuda", "auto", BARE)
    assert choose_placement("cuda", "auto", GPU).reason == "GPU in use, as configured."


def test_impossible_compute_types_are_named() -> None:
    with pytest.raises(
        EngineFailed, match=r"float16 is not possible on this cpu; possible: float32, int8, int8_float32\."
    ):
        choose_placement("auto", "float16", BARE)


def test_auto_types_fall_to_what_there_is() -> None:
    old = Machine(cuda_devices=1, compute_types={"cpu": CPU_TYPES, "cuda": frozenset({"float32"})})
    assert choose_placement("auto", "auto", old).compute_type == "float32"


@pytest.mark.parametrize("model_type", ["echo", pytest.param("faster_whisper", marks=pytest.mark.integration)])
def test_this_machine_can_be_examined(model_type: str) -> None:
    machine = probe.examine(model_type)  # type: ignore[arg-type]
    assert choose_placement("auto", "auto", machine).reason
    assert machine.cuda_devices or machine.obstacle
