"""A modelled device: what a batch costs, for the simulation."""

from hotmic.scheduler.bucket import Bucket
from hotmic.values import Value

CPU_CURVE = ((1.0, 0.185), (4.0, 0.332), (16.0, 0.729), (32.0, 1.091))
"""Rows and seconds of whisper-tiny, 20 steps of decoding on one CPU core, as measured; linear in between and beyond."""


class Device(Value, frozen=True, kw_only=True):
    """What a batch costs on a made-up device.

    ``curve`` gives seconds over rows, all for a window of ``reference`` seconds. A share of that, ``fixed``, does not
    depend on the window (the decoder's steps); the rest grows with it (the encoder).
    """

    curve: tuple[tuple[float, float], ...] = CPU_CURVE
    speed: float = 1.0
    """How many times faster than the curve."""
    reference: float = 5.0
    fixed: float = 0.5
    final_factor: float = 1.5
    """Finals have a beam and word times."""

    def seconds(self, shape: Bucket, rows: int) -> float:
        """Return the time of a batch."""
        window = self.fixed + (1 - self.fixed) * shape.seconds / self.reference
        factor = self.final_factor if shape.kind == "final" else 1.0
        return self._base(rows) * window * factor / self.speed

    def _base(self, rows: int) -> float:
        points = self.curve
        last = next((i for i, (right, _) in enumerate(points) if i and rows <= right), len(points) - 1)
        (x, y), (right, top) = points[last - 1 : last + 1]
        return max(y + (top - y) * (rows - x) / (right - x), 0.0)


CPU = Device()
"""whisper-tiny on one CPU core."""
GPU = Device(speed=40.0)
"""The same curve forty times as fast: 27 ms for 32 rows. A made-up card, no measurement."""
BUNDLED = Device(speed=9.0)
"""The bundled model on two CPU cores: about 50 ms for 8 rows, 80 ms with a beam."""
