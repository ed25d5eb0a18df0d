import pytest

from hotmic.bench.device import CPU, CPU_CURVE, GPU
from hotmic.scheduler.bucket import Bucket


def shape(seconds: float = 5.0, kind: str = "partial") -> Bucket:
    return Bucket(kind, seconds, "transcribe", 1, 1, 0)  # type: ignore[arg-type]


def test_the_curve_goes_through_its_points() -> None:
    assert [CPU.seconds(shape(), int(rows)) for rows, _ in CPU_CURVE] == pytest.approx([s for _, s in CPU_CURVE])
    assert CPU.seconds(shape(), 10) == pytest.approx((0.332 + 0.729) / 2)
    assert CPU.seconds(shape(), 48) == pytest.approx(1.091 + 0.362)


def test_windows_lanes_and_speed_scale_it() -> None:
    assert CPU.seconds(shape(10.0), 1) == pytest.approx(0.185 * 1.5)
    assert CPU.seconds(shape(kind="final"), 1) == pytest.approx(0.185 * 1.5)
    assert GPU.seconds(shape(), 32) == pytest.approx(1.091 / 40)
