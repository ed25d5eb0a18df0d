"""One fault of the network that strikes one client, weak, middling or strong."""

from dataclasses import dataclass

from fault_schedule import Step, Where

SPAN = 2.0
"""Seconds a fault lasts that has an end of its own."""
STRENGTHS: dict[str, tuple[tuple[float, float], ...]] = {
    "latency": ((0.01, 0.1), (0.1, 0.4), (0.4, 1.0)),
    "bandwidth": ((100_000, 200_000), (40_000, 100_000), (15_000, 40_000)),
    "slices": ((200, 2_000), (20, 200), (3, 20)),
    "reset": ((1, 1), (2, 4), (5, 8)),
    "half_close": ((1, 1), (2, 3), (4, 6)),
    "blackhole": ((0.05, 0.5), (0.5, 1.5), (1.5, 3.0)),
    "limit": ((30_000, 90_000), (3_000, 30_000), (1, 3_000)),
    "slow_close": ((0.05, 0.2), (0.2, 0.7), (0.7, 1.5)),
}
"""What the amount of each fault is drawn from: weak, middling, strong. Seconds, bytes a second, bytes, how often."""
REPEATED = ("reset", "half_close")


@dataclass(frozen=True)
class Case:
    """A fault that strikes one client.

    Args:
        number: Whose words the client says.
        kind: The fault.
        where: On which sockets.
        amount: How strong.
        at: Seconds since the client began to speak.
        is_numbered: Whether the client numbers its chunks, and so comes back.
    """

    number: int
    kind: str
    where: Where
    amount: float
    at: float
    is_numbered: bool = True

    def steps(self) -> list[Step]:
        """Return the fault as steps of a schedule."""
        if self.kind in REPEATED:
            times = round(self.amount)
            return [Step(self.at + SPAN * n / times, self.kind, where=self.where) for n in range(times)]
        seconds = self.amount if self.kind == "blackhole" else SPAN
        return [Step(self.at, self.kind, where=self.where, amount=self.amount, seconds=seconds)]
