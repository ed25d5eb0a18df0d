"""Write the tables of ``docs/performance.md`` from the raw output beside this file.

Each table stands between two comments of the page, ``<!-- table NAME -->`` and ``<!-- end -->``, and is written by the
function of that name. What the page says in words is not written here.

    python tests/bench/page.py
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[2] / "docs" / "performance.md"

TALKS = (51, 52, 53, 54)
"""Seeds of talks that nobody had looked at."""
STEP = (31, 32, 41, 42, 43, 44, 46)
"""Talks of the same day with the step before, of which two had been looked at."""

Row = list[str]
_TABLE = re.compile(r"(<!-- table (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_DASH = "–"


def load(name: str) -> dict[str, Any]:
    """Return the raw output of a benchmark."""
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def table(head: Row, rows: list[Row]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(share: float | None) -> str:
    """Write a share of one."""
    return _DASH if share is None else f"{100 * share:.1f} %"


def spread(figures: dict[str, float], *keys: str) -> str:
    """Write percentiles beside each other."""
    return " / ".join(f"{figures[key]:.3f}" for key in keys) if figures.get("count", 1) else _DASH


def live() -> str:
    runs = load("live")["runs"] + load("live150")["runs"]
    percentiles = {
        "final after the endpoint": "final_after_endpoint_s",
        "final after the end of speech": "final_after_speech_s",
        "age of partials": "partial_age_s",
        "between partials": "partial_gap_s",
        "a segment's first word after it began": "first_word_after_its_start_s",
        "a word shown after its end": "word_first_shown_after_its_end_s",
        "a word stable after its end": "word_stable_after_its_end_s",
    }
    rows = [[name, *(spread(run[key], "p50", "p95", "p99") for run in runs)] for name, key in percentiles.items()]
    others: dict[str, Callable[[dict[str, Any]], str]] = {
        "words shown otherwise, stable / other": lambda run: " / ".join(
            percent(run["flicker"][key]) for key in ("stable", "unstable")
        ),
        "words taken back / final words": lambda run: percent(run["flicker"]["retracted"]),
        "utterances, finals, lost": lambda run: ", ".join(
            str(n)
            for n in (run["text"]["utterances"], run["text"]["finals"], run["text"]["lost"] + run["text"]["unheard"])
        ),
        "word error rate": lambda run: percent(run["word_error_rate"]),
        "CPU s per audio s, gateway + workers": lambda run: " + ".join(
            f"{cost['cpu_s_per_audio_s']:.4f}" for cost in run["cost"].values()
        ),
        "limits broken": lambda run: "; ".join(run["broken"]) or "none",
    }
    rows += [[name, *(write(run) for run in runs)] for name, write in others.items()]
    return table(["", *(f"{run['streams']} at once" for run in runs)], rows)


def capacity() -> str:
    rows = []
    for name, file in (("`demo-en`", "capacity-demo-en"), ("whisper-tiny shape", "capacity-tiny")):
        result = load(file)
        ours, lock = result["sweeps"]["hotmic"], result["sweeps"]["lock"]
        least = "at least " if ours["limited_by_max_streams"] else ""
        factor = lock.get("real_time_factor")
        rows.append(
            [
                name,
                f"{least}{ours['sustained']}",
                str(lock["sustained"]),
                str(factor or _DASH),
                str(result["ratio"] or _DASH),
            ]
        )
    head = ["model", "hotmic sustains", "the lock sustains", "what one stream asks of the lock, s per s", "ratio"]
    return table(head, rows)


def half_load() -> str:
    rows = []
    for name, file in (("`demo-en`", "half-load-demo-en"), ("whisper-tiny shape", "half-load-tiny")):
        result = load(file)
        final, bare = result["final_lag_s"], result["bare_decode_s"]
        rows.append(
            [
                name,
                str(result["streams"]),
                spread(final, "p50", "p95"),
                spread(bare, "p50", "p95"),
                str(result["ratio_p95"]),
            ]
        )
    return table(["model", "streams", "final", "bare decode", "p95 against p95"], rows)


def engine() -> str:
    rows = []
    for name, file in (("`demo-en`", "engine-demo-en"), ("whisper-tiny shape", "engine-tiny")):
        for one in load(file)["saturation"]:
            rows.append(
                [
                    name,
                    f"{one['kind']}s of {one['window_s']:g} s",
                    f"{one['worker_audio_s_per_s']:.0f}",
                    f"{one['bare_audio_s_per_s']:.0f}",
                    percent(one["share"]),
                    percent(one["share_of_cpu"]),
                ]
            )
    return table(["model", "windows", "hotmic, audio s / s", "bare", "share", "share of CPU time"], rows)


def frontend() -> str:
    figures = load("frontend")["figures"]
    rows = [
        [one["vad"], one["sound"], one["encoding"], f"{one['us_per_chunk']:.0f} us", percent(one["gateway_busy"])]
        for one in figures
    ]
    return table(["voice detection", "sound", "chunks as", "CPU per chunk", "gateway busy"], rows)


def channel() -> str:
    rows = [
        [f"{name}, {window}", f"{one['p50_ms']:.2f}", f"{one['p95_ms']:.2f}"]
        for name, windows in load("channel")["round_trip"].items()
        for window, one in windows.items()
    ]
    return table(["", "p50, ms", "p95, ms"], rows)


def talk() -> str:
    talks = {f"seed {seed}": load(f"talk-{seed}") for seed in TALKS}
    step = [load(f"talk-{seed}-step") for seed in STEP]
    sums = {
        "together": together([*talks.values()]),
        "with seven of the step before": together([*talks.values(), *step]),
    }
    rows = []
    for name, one in [*talks.items(), *sums.items()]:
        lag, memory, more = one.get("final_lag_s"), one.get("memory_over_time", []), one["difference_points"]
        rows.append(
            [
                name,
                f"{one['words']:,}",
                f"{100 * one['word_error_rate_talk']:.2f} %",
                f"{100 * one['word_error_rate_pieces']:.2f} %",
                f"{more['points']:+.2f} ({more['low']:+.2f} to {more['high']:+.2f})",
                spread(lag, "p50", "p95") + " s" if lag else "",
                spread(lag, "mean_first_half", "mean_second_half") + " s" if lag else "",
                # The first sample is taken before the talk begins.
                " / ".join(f"{memory[at][1]:.0f}" for at in (1, len(memory) // 2, -1)) + " MB" if memory else "",
            ]
        )
    head = [
        "talk",
        "words",
        "word error rate of the talk",
        "of its pieces",
        "difference, 95 %",
        "lag of finals p50 / p95",
    ]
    return table([*head, "first half / second half (mean)", "memory early / half-way / at the end"], rows)


def together(talks: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what several talks come to, each by its words; their intervals add up as those of independent sums."""
    words = sum(one["words"] for one in talks)

    def mean(value: Callable[[dict[str, Any]], float]) -> float:
        return sum(value(one) * one["words"] for one in talks) / words

    points = mean(lambda one: one["difference_points"]["points"])
    margins = [(one["difference_points"]["high"] - one["difference_points"]["points"]) * one["words"] for one in talks]
    margin = math.hypot(*margins) / words
    return {
        "words": words,
        "word_error_rate_talk": mean(lambda one: one["word_error_rate_talk"]),
        "word_error_rate_pieces": mean(lambda one: one["word_error_rate_pieces"]),
        "difference_points": {"points": points, "low": points - margin, "high": points + margin},
    }


def streaming_sets() -> dict[str, Any]:
    """Return the figures by policy and set; what stands above them is left out."""
    return {name: figures for name, figures in load("streaming").items() if "," in name}


def streaming() -> str:
    rows = []
    for name, one in streaming_sets().items():
        rows.append(
            [
                name,
                percent(one["word_error_rate_streaming"]),
                percent(one["word_error_rate_offline"]),
                percent(one["stable_words_not_in_final"]),
                percent(one["final_words_shown_otherwise"]),
                percent(one["finals_revised"]),
                *(spread(one[key], "p50", "p95") for key in ("first_word_s", "word_first_shown_s", "word_stable_s")),
            ]
        )
    head = ["policy, set", "WER streaming", "WER stock", "stable words not in the final"]
    head += ["final words ever shown otherwise", "finals revised"]
    return table([*head, "first word p50 / p95", "word shown p50 / p95", "word stable p50 / p95"], rows)


def simulation() -> str:
    rows = []
    for name, words in (("gpu_open", "everybody"), ("gpu_admission", "admission"), ("gpu_strict", "strict admission")):
        for one in load("simulation")[name]["reports"]:
            if one["offered"] in (500, 1000, 10_000):
                rows.append(
                    [
                        words,
                        f"{one['offered']:,}",
                        f"{one['admitted']:,}",
                        spread(one["partial_age"], "p50", "p95", "p99"),
                        spread(one["final_latency"], "p50", "p95", "p99"),
                        f"{one['session_fairness']:.2f}",
                    ]
                )
    head = ["who is let in", "offered", "let in", "age of partials p50 / p95 / p99", "finals p50 / p95 / p99"]
    return table([*head, "fairness (Jain)"], rows)


def recognition() -> str:
    columns = load("recognition")["sets"]
    named = [name for name in columns if not name.endswith("nobody")]
    sets = columns[named[0]]
    rows = [
        [f"{name} ({one['clips']})", *(percent(columns[column][name]["word_error_rate"]) for column in named)]
        for name, one in sets.items()
    ]
    return table(["set", *(name.removeprefix("denoise ") for name in named)], rows)


def swap() -> str:
    one = load("swap")
    rows = [
        [words, spread(one[key], "p50", "p95", "p99") + " s"]
        for words, key in (("while the model changes", "gap_during_swaps_s"), ("otherwise", "gap_outside_s"))
    ]
    return table(["between two partials", "p50 / p95 / p99"], rows)


def footprint() -> str:
    one = load("footprint")
    (worker,) = one["worker_mb"]
    figures = {
        "process start to all three ports listening": f"{one['start_to_listening_s']} s",
        "process start to `demo-en` serving": f"{one['start_to_serving_s']} s",
        "a bare process from its start until the same model is loaded": f"{one['bare_start_to_loaded_s']} s",
        "of that the load alone": f"{one['bare_load_alone_s']} s",
        "gateway, idle": f"{one['gateway_idle_mb']:.0f} MB",
        "worker with `demo-en`": f"{worker:.0f} MB",
        "per idle connection": f"{one['per_connection_kb']} KB",
        "per stream that speaks 20 s without a pause": f"{one['per_stream_kb'] / 1024:.2f} MB",
    }
    return table(["figure", ""], [[name, figure] for name, figure in figures.items()])


@dataclass(frozen=True)
class Aim:
    """A figure that the project is held to: where it is met, ``value`` is on the right side of ``limit``."""

    name: str
    limit: float
    value: float
    shown: str
    is_floor: bool = False

    @property
    def row(self) -> Row:
        """The line of the table."""
        met = self.value >= self.limit if self.is_floor else self.value <= self.limit
        return [self.name, self.shown, "yes" if met else "**no**"]


def _load_aims() -> list[Aim]:
    runs = {run["streams"]: run for run in load("live")["runs"] + load("live150")["runs"]}
    p95 = {streams: run["final_after_endpoint_s"]["p95"] for streams, run in runs.items()}
    ratio = load("capacity-demo-en")["ratio"]
    shares = [one["share"] for file in ("engine-demo-en", "engine-tiny") for one in load(file)["saturation"]]
    halves = {file: load(file)["ratio_p95"] for file in ("half-load-demo-en", "half-load-tiny")}
    return [
        Aim("streams sustained against the lock: 10 times", 10, ratio, f"{ratio} times", is_floor=True),
        Aim("64 talk at once: p95 of finals 1.5 s after the endpoint", 1.5, p95[64], f"{p95[64]:.2f} s"),
        Aim("150 talk at once: the same", 1.5, p95[150], f"{p95[150]:.2f} s"),
        Aim(
            "audio per second at saturation: 90 % of bare CTranslate2",
            0.9,
            min(shares),
            ", ".join(percent(share) for share in shares),
            is_floor=True,
        ),
        Aim(
            "final at half of the load: 1.5 times a bare decode (p95)",
            1.5,
            max(halves.values()),
            ", ".join(f"{value}" for value in halves.values()) + " (`demo-en`, tiny shape)",
        ),
    ]


def _path_aims() -> list[Aim]:
    chunks = [one["us_per_chunk"] for one in load("frontend")["figures"] if one["vad"] == "energy"]
    window = load("channel")["round_trip"]["now uvloop"]["10 s"]["p50_ms"]
    change = load("swap")
    size = load("footprint")
    lost = change["text"]["lost"] + change["text"]["unheard"]
    return [
        Aim(
            "gateway CPU per chunk: 60 us (energy gate)", 60, max(chunks), f"{min(chunks):.0f} to {max(chunks):.0f} us"
        ),
        Aim("a window of 10 s to the worker and back: 0.3 ms (p50)", 0.3, window, f"{window:.2f} ms"),
        Aim(
            "memory of an idle connection: 64 KB",
            64,
            size["per_connection_kb"],
            f"{size['per_connection_kb']} KB",
        ),
        Aim(
            "memory of a stream that speaks: 2.5 MB",
            2560,
            size["per_stream_kb"],
            f"{size['per_stream_kb'] / 1024:.2f} MB",
        ),
        Aim(
            "a change of the model under load: no text lost",
            0,
            lost,
            f"{lost} segments of {change['text']['utterances']}",
        ),
        Aim(
            "the same: partials at most a cadence and 0.3 s apart (p99)",
            0.3,
            change["p99_above_cadence_s"],
            f"cadence {change['p99_above_cadence_s']:+.2f} s",
        ),
        Aim(
            "process start to listening: 1 s",
            1,
            size["start_to_listening_s"],
            f"{size['start_to_listening_s']} s",
        ),
        Aim(
            "process start to serving: 1.2 times a bare load",
            1.2,
            size["serving_against_bare_start"],
            f"{size['serving_against_bare_start']} times",
        ),
    ]


def _text_aims() -> list[Aim]:
    sets = streaming_sets()
    worse = {
        name: 100 * (one["word_error_rate_streaming"] - one["word_error_rate_offline"]) for name, one in sets.items()
    }
    default = {name: one for name, one in sets.items() if name.startswith("local_agreement")}
    stable = [one["stable_words_not_in_final"] for one in default.values()]
    other = [one["final_words_shown_otherwise"] for one in default.values()]
    return [
        Aim(
            "streaming against offline text: 0.5 points of word error rate",
            0.5,
            max(worse.values()),
            f"{min(worse.values()):+.1f} to {max(worse.values()):+.1f}",
        ),
        Aim(
            "stable words not in the final: 1 %", 0.01, max(stable), f"{percent(min(stable))} to {percent(max(stable))}"
        ),
        Aim(
            "final words ever shown otherwise: 30 %", 0.3, max(other), f"{percent(min(other))} to {percent(max(other))}"
        ),
    ]


def aims() -> str:
    rows = [aim.row for aim in (*_load_aims(), *_path_aims(), *_text_aims())]
    return table(["aim", "found", "met"], rows)


TABLES: dict[str, Callable[[], str]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        live,
        capacity,
        half_load,
        engine,
        frontend,
        channel,
        talk,
        streaming,
        simulation,
        recognition,
        swap,
        footprint,
        aims,
    )
}


def written(page: str) -> str:
    """Return the page with its tables written anew.

    Raises:
        KeyError: The page asks for a table that nobody writes.
    """
    return _TABLE.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
