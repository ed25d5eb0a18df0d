"""Which faults strike when: drawn from a seed, so that a schedule that found something can be run again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

SECONDS = 5.0
"""Length of a schedule; the speakers go on a little longer."""
CLIENTS = 3
"""Clients whose network may break."""
GATEWAY_SHARE = 0.5
"""Share of schedules in which the gateway itself is ended."""

Where = Literal["control", "audio", "both"]


@dataclass(frozen=True, order=True)
class Step:
    """One fault.

    Args:
        at: Seconds since the talk began.
        kind: A key of ``KINDS``.
        client: Whose network; meaningless for faults of the daemon.
        where: On which of its sockets.
        amount: What the kind makes of it: seconds, bytes.
        seconds: How long it lasts.
    """

    at: float
    kind: str
    client: int = 0
    where: Where = "both"
    amount: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.at:.2f} s: {self.kind} client={self.client} where={self.where} "
            f"amount={self.amount:.3g} seconds={self.seconds:.2f}"
        )


@dataclass(frozen=True)
class Kind:
    """How a kind of fault is drawn.

    Args:
        weight: How often it comes.
        amount: Draws the amount.
        seconds: Shortest and longest.
        most: At most so many in one schedule.
        ends_gateway: Whether only clients that number their chunks survive it.
    """

    weight: float = 1.0
    amount: Callable[[random.Random], float] = lambda _: 0.0
    seconds: tuple[float, float] = (0.0, 0.0)
    most: int = 9
    ends_gateway: bool = False


NETWORK: dict[str, Kind] = {
    "reset": Kind(weight=3),
    "half_close": Kind(),
    "down": Kind(seconds=(0.2, 2.0)),
    "blackhole": Kind(seconds=(0.2, 2.0)),
    "latency": Kind(amount=lambda rng: rng.uniform(0.02, 0.4), seconds=(0.5, 2.0)),
    "slices": Kind(amount=lambda rng: rng.randint(1, 900), seconds=(0.5, 2.0)),
    "bandwidth": Kind(amount=lambda rng: rng.uniform(30_000, 200_000), seconds=(0.5, 2.0)),
    "limit": Kind(amount=lambda rng: rng.randint(1, 90_000), seconds=(0.3, 2.0)),
    "slow_close": Kind(amount=lambda rng: rng.uniform(0.1, 1.0), seconds=(0.5, 2.0)),
}
DAEMON: dict[str, Kind] = {
    # The same job alone in two workers that are killed would be blamed, so there are not many.
    "kill_worker": Kind(weight=3, most=2),
    "hang_worker": Kind(most=1),
    "swap": Kind(weight=3, amount=lambda rng: rng.randint(0, 1), most=3),
    "failing_load": Kind(most=2),
    "slow_listener": Kind(seconds=(0.5, 2.0)),
}
GATEWAY: dict[str, Kind] = {
    "kill_gateway": Kind(weight=2, most=2, ends_gateway=True),
    "stop_gateway": Kind(most=1, ends_gateway=True),
}
KINDS = NETWORK | DAEMON | GATEWAY


@dataclass(frozen=True)
class Schedule:
    """All faults of one run, in the order in which they strike."""

    seed: int
    steps: tuple[Step, ...] = field(default=())

    @property
    def ends_gateway(self) -> bool:
        """Whether the gateway is ended on the way."""
        return any(KINDS[step.kind].ends_gateway for step in self.steps)

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}", *(f"  {step}" for step in self.steps)])


def draw(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    rng = random.Random(seed)
    kinds = NETWORK | DAEMON
    steps: list[Step] = []
    for _ in range(rng.randint(1, 2) if rng.random() < GATEWAY_SHARE else 0):
        steps.append(_draw_step(rng, GATEWAY, steps))
    for _ in range(rng.randint(4, 8)):
        steps.append(_draw_step(rng, kinds, steps))
    return Schedule(seed, tuple(sorted(steps)))


def _draw_step(rng: random.Random, kinds: dict[str, Kind], drawn: list[Step]) -> Step:
    left = [name for name, kind in kinds.items() if sum(step.kind == name for step in drawn) < kind.most]
    name = rng.choices(left, [kinds[one].weight for one in left])[0]
    return Step(
        at=round(rng.uniform(0.2, SECONDS), 2),
        kind=name,
        client=rng.randrange(CLIENTS),
        where=rng.choice(("control", "audio", "both")),
        amount=kinds[name].amount(rng),
        seconds=round(rng.uniform(*kinds[name].seconds), 2),
    )
