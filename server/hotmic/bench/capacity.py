"""How many streams a machine sustains: more and more of them until a limit breaks, then the place in between."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from hotmic.bench.head import load_average
from hotmic.bench.live import LiveOptions, Report, describe, measure
from hotmic.bench.server import Kind
from hotmic.values import Value

FINENESS = 0.05
"""The answer is this near, or one stream."""
ATTEMPTS = 2
"""A number of streams that breaks a limit may try again: a machine has other things to do, too."""


class CapacityOptions(Value, frozen=True, kw_only=True):
    """What to sweep."""

    live: LiveOptions
    max_streams: int = 512
    baseline: bool = False
    """Repeat the sweep with the lock baseline."""


async def run_capacity(options: CapacityOptions, *, report: Report = lambda _what, _done: None) -> dict[str, Any]:
    """Sweep; return a plain mapping for JSON.

    Every step has a server of its own, unless one that runs already is measured, so that what an overloaded one has
    left over burdens nobody.

    Raises:
        HotmicError: The server does not start.
    """
    kinds: tuple[Kind, ...] = ("hotmic", "lock") if options.baseline else ("hotmic",)
    sweeps = {kind: await _sweep_server(options, kind, report) for kind in kinds}
    result: dict[str, Any] = {
        "load_average_after": load_average(),
        "options": describe(options.live) | {"max_streams": options.max_streams, "attempts": ATTEMPTS},
        "limits": msgspec.to_builtins(options.live.limits),
        "sweeps": sweeps,
    }
    if options.baseline:
        result["ratio"] = ratio_of(sweeps["hotmic"], sweeps["lock"])
    return result


def ratio_of(ours: dict[str, Any], baseline: dict[str, Any]) -> float | None:
    """Return how many times the baseline's streams were sustained; ``None`` where it could not carry one."""
    return round(ours["sustained"] / baseline["sustained"], 2) if baseline["sustained"] else None


async def sweep(
    sustains: Callable[[int], Awaitable[bool]], *, most: int, fineness: float = FINENESS
) -> tuple[int, bool]:
    """Return the most streams that are sustained, and whether ``most`` ended the search rather than a limit.

    Doubles from one until a step breaks, then halves the interval until it is narrow enough.
    """
    good, bad, count = 0, most + 1, 1
    while good < most and bad > most:
        if await sustains(count):
            good, count = count, min(most, 2 * count)
        else:
            bad = count
    while bad <= most and bad - good > max(1, int(good * fineness)):
        middle = (good + bad) // 2
        if await sustains(middle):
            good = middle
        else:
            bad = middle
    return good, good >= most


async def _sweep_server(options: CapacityOptions, kind: Kind, report: Report) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []

    async def sustains(streams: int) -> bool:
        for _ in range(ATTEMPTS):
            run = await measure(options.live, kind, streams, report)
            # The figures of single streams are for one run; a sweep has a dozen.
            del run["per_stream"]
            steps.append(run)
            if not run["broken"]:
                return True
        return False

    sustained, is_open = await sweep(sustains, most=options.max_streams)
    found: dict[str, Any] = {"sustained": sustained, "limited_by_max_streams": is_open, "steps": steps}
    if not sustained:
        found["real_time_factor"] = steps[-1]["real_time_factor"]
    return found
