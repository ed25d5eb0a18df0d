"""The scheduler under up to 10,000 made-up speakers on modelled devices, in virtual time.

python tests/bench/simulate.py            writes tests/bench/results/simulation.json and docs/images/scheduler.svg
python tests/bench/simulate.py --quick    a tenth of the speakers, printed only

The devices are models (``hotmic/bench/device.py``); the scheduler and its admission are the real ones.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import msgspec

from hotmic.bench.device import BUNDLED, GPU
from hotmic.bench.head import head
from hotmic.bench.simulation import Report, Scenario, knee, simulate
from hotmic.scheduler.capacity import PARTIAL_SHARE

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "tests" / "bench" / "results" / "simulation.json"
PLOT = ROOT / "docs" / "images" / "scheduler.svg"
GPU_SPEAKERS = (100, 250, 500, 750, 1000, 1250, 1500, 1750, 2000, 2500, 3000, 4000, 6000, 8000, 10_000)
BUNDLED_SPEAKERS = (16, 32, 64, 100, 150, 200, 250, 300, 400, 600)
DOORS: dict[str, dict[str, Any]] = {
    "open": {"admission": False},
    "admission": {"partial_share": PARTIAL_SHARE},
    "strict": {"partial_share": 1.0},
}
"""No admission; refuse where finals would not keep up; refuse where the slowest partials would not either."""


def run(title: str, scenario: Scenario) -> Report:
    """Run one scenario and print a line about it."""
    started = time.perf_counter()
    r = simulate(scenario)
    print(
        f"{title:>18} {r.offered:>6} {r.admitted:>6} {r.final_latency.p50:8.3f} {r.final_latency.p95:7.3f}"
        f" {r.final_latency.p99:7.3f} {r.partial_age.p50:8.3f} {r.partial_age.p95:7.3f} {r.partial_age.p99:7.3f}"
        f" {r.cadence:7.2f} {r.session_fairness:6.3f} {r.tenant_fairness:6.3f} {r.rows:5.1f} {r.dropped:6.3f}"
        f" {time.perf_counter() - started:6.1f}",
        flush=True,
    )
    return r


def sweep(scale: int) -> dict[str, Any]:
    """Run everything; ``scale`` divides the number of speakers on the modelled card."""
    print(
        f"{'':>18} {'asked':>6} {'in':>6} {'final50':>8} {'95':>7} {'99':>7} {'partial50':>8} {'95':>6} {'99':>7}"
        f" {'cadence':>7} {'Jain':>5} {'tenant':>6} {'rows':>5} {'dropped':>6} {'cpu_s':>6}"
    )
    gpu = Scenario(device=GPU, duration=60.0, ramp=10.0)
    cpu = Scenario(device=BUNDLED, duration=60.0, ramp=10.0, max_rows=8, max_in_flight=1)
    results: dict[str, Any] = {}
    for name, base, counts in (("gpu", gpu, GPU_SPEAKERS), ("bundled", cpu, BUNDLED_SPEAKERS)):
        for door, extra in DOORS.items():
            fields = {f: getattr(base, f) for f in base.__struct_fields__}
            offered = [max(2, count // scale) for count in counts]
            reports = [run(f"{name} {door}", Scenario(**{**fields, **extra, "tenants": (n,)})) for n in offered]
            results[f"{name}_{door}"] = {"knee": knee(reports), "reports": reports}
            print(f"{name} {door}: sustained {knee(reports)}")
    results["a_token_each"] = run("a token each", _with(gpu, tenants=(1,) * (1500 // scale), admission=False))
    results["hundred_against_two"] = run("100 against 2", _with(cpu, tenants=(100, 2), pause=0.5))
    results["crowd_against_two"] = run("300 against 2", _with(cpu, tenants=(300, 2), admission=False))
    return results


def _with(scenario: Scenario, **changes: Any) -> Scenario:
    return msgspec.structs.replace(scenario, **changes)


def plot(results: dict[str, Any], target: Path) -> None:
    """Draw latency and admission over the speakers of the modelled card."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "hotmic", "svg.fonttype": "none", "font.size": 9, "axes.grid": True})
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
    opened, guarded = (results[f"gpu_{door}"]["reports"] for door in ("open", "admission"))
    asked = [r.offered for r in opened]
    left.plot(asked, [r.partial_age.p95 for r in opened], "o-", ms=3, color="tab:blue", label="partial age, open door")
    left.plot(asked, [r.partial_age.p95 for r in guarded], "o--", ms=3, color="tab:blue", label="with admission")
    left.plot(asked, [r.final_latency.p95 for r in opened], "s-", ms=3, color="tab:red", label="final, open door")
    left.plot(asked, [r.final_latency.p95 for r in guarded], "s--", ms=3, color="tab:red", label="with admission")
    sustained = results["gpu_open"]["knee"]
    left.axvline(sustained, color="0.5", lw=1, ls=":", label=f"sustained: {sustained}")
    left.set(xscale="log", yscale="log", xlabel="speakers, half of the time talking", ylabel="p95, seconds")
    left.legend(fontsize=7)
    right.plot(asked, asked, color="0.7", lw=1, label="everybody")
    for door, mark in (("admission", "o-"), ("strict", "^-")):
        reports = results[f"gpu_{door}"]["reports"]
        right.plot(asked, [r.admitted for r in reports], mark, ms=3, label=f"let in, {door}")
    right.set(xscale="log", yscale="log", xlabel="speakers at the door", ylabel="speakers let in")
    cadence = right.twinx()
    cadence.grid(visible=False)
    cadence.plot(asked, [r.cadence for r in guarded], "k:", lw=1, label="cadence (right)")
    cadence.set(ylim=(0, 2.2), ylabel="cadence, seconds")
    lines = right.get_lines() + cadence.get_lines()
    right.legend(lines, [str(line.get_label()) for line in lines], fontsize=7)
    figure.suptitle("Scheduler, simulated: a modelled card of 27 ms for 32 rows (no measurement)", fontsize=10)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, metadata={"Date": None})


def main() -> None:
    """Run the sweeps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    above = head()
    started = time.perf_counter()
    results = sweep(10 if quick else 1)
    if quick:
        return
    document = {
        **above,
        "devices": {"gpu": GPU, "bundled": BUNDLED},
        "seconds": round(time.perf_counter() - started, 1),
        **results,
    }
    RESULT.write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    plot(results, PLOT)
    print(f"wrote {RESULT.relative_to(ROOT)} and {PLOT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
