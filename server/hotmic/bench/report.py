"""Results for people: tables of what came out."""

from typing import Any

from rich.table import Table


def live_table(result: dict[str, Any]) -> Table:
    """Return a table of the runs of ``run_live``; seconds as p50 / p95 / p99."""
    title = "s: p50 / p95 / p99"
    table = _table(title, *(f"{run['server']}, {run['streams']} at once" for run in result["runs"]))
    for title, cell in _LIVE_ROWS:
        table.add_row(title, *(cell(run) for run in result["runs"]))
    return table


def capacity_table(result: dict[str, Any]) -> Table:
    """Return a table of all steps of ``run_capacity``."""
    table = _table("server", "streams", "final after endpoint", "partial age", "CPU s / audio s", "verdict")
    for kind, sweep in result["sweeps"].items():
        for run in sweep["steps"]:
            table.add_row(
                kind,
                str(run["streams"]),
                _times(run["final_after_endpoint_s"]),
                _times(run["partial_age_s"]),
                _cost(run, "cpu_s_per_audio_s"),
                "; ".join(run["broken"]) or "sustained",
            )
    return table


def capacity_sentences(result: dict[str, Any]) -> list[str]:
    """Return what a sweep found, in words."""
    sentences = []
    for kind, sweep in result["sweeps"].items():
        least = "at least " if sweep["limited_by_max_streams"] else ""
        sentence = f"{kind}: {least}{sweep['sustained']} streams sustained."
        if sweep.get("real_time_factor") is not None:
            sentence += f" One stream asks for {sweep['real_time_factor']:g} s of decoding a second."
        sentences.append(sentence)
    if result.get("ratio"):
        sentences.append(f"{result['ratio']:g} times the streams of the lock baseline.")
    return sentences


def engine_table(result: dict[str, Any]) -> Table:
    """Return a table of the runs of ``run_engine``."""
    table = _table(
        "always full", "hotmic, audio s / s", "bare CTranslate2", "share (turns)", "share of CPU time (turns)"
    )
    for run in result["saturation"]:
        table.add_row(
            f"{run['kind']}s of {run['window_s']:g} s",
            f"{run['worker_audio_s_per_s']:.0f}",
            f"{run['bare_audio_s_per_s']:.0f}",
            _percents(run, "share"),
            _percents(run, "share_of_cpu"),
        )
    return table


def engine_sentences(result: dict[str, Any]) -> list[str]:
    """Return what cropping the windows did to the texts, in words."""
    texts = result.get("texts")
    if texts is None:
        return []
    return [
        f"{texts['differing']} of {texts['clips']} clips read otherwise in windows of their own length than in stock "
        f"ones of 30 s (word error rates {_percent(texts['word_error_rate']['cropped'])} and "
        f"{_percent(texts['word_error_rate']['stock'])})."
    ]


def frontend_table(result: dict[str, Any]) -> Table:
    """Return a table of the measurements of ``run_frontend``."""
    table = _table("voice detection", "sound", "chunks", "gateway CPU, us / chunk", "streams per core", "gateway busy")
    for run in result["figures"]:
        table.add_row(
            run["vad"],
            run["sound"],
            run["encoding"],
            f"{run['us_per_chunk']:.0f}",
            str(run["streams_per_core"]),
            _percent(run["gateway_busy"]),
        )
    return table


def _table(*titles: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, title in enumerate(titles):
        table.add_column(title, justify="left" if place == 0 else "right", overflow="fold")
    return table


def _times(figures: dict[str, float]) -> str:
    if "p50" not in figures:
        return "-"
    return " / ".join(f"{figures[name]:.3f}" for name in ("p50", "p95", "p99"))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _percents(run: dict[str, Any], name: str) -> str:
    if name not in run:
        return "-"
    least, most = run[f"{name}_range"]
    return f"{_percent(run[name])} ({100 * least:.1f} to {100 * most:.1f})"


def _cost(run: dict[str, Any], name: str) -> str:
    if run["cost"] is None:
        return "-"
    parts = {part: figures[name] for part, figures in run["cost"].items()}
    if name == "resident_mb":
        return " + ".join(f"{memory['highest']:.0f}" for memory in parts.values())
    return " + ".join(f"{value:.4f}" for value in parts.values())


def _text(run: dict[str, Any]) -> str:
    text = run["text"]
    names = ("unheard", "lost", "duplicates", "unspoken")
    odd = [f"{text[name]} {name}" for name in names if text[name]]
    return f"{text['utterances']} and {text['finals']}" + (f" ({', '.join(odd)})" if odd else "")


_LIVE_ROWS: tuple[tuple[str, Any], ...] = (
    ("final after the endpoint, s", lambda run: _times(run["final_after_endpoint_s"])),
    ("final after the end of speech, s", lambda run: _times(run["final_after_speech_s"])),
    ("partial age, s", lambda run: _times(run["partial_age_s"])),
    ("between partials, s", lambda run: _times(run["partial_gap_s"])),
    ("segment's first word after its start, s", lambda run: _times(run["first_word_after_its_start_s"])),
    ("word shown after its end, s", lambda run: _times(run["word_first_shown_after_its_end_s"])),
    ("word stable after its end, s", lambda run: _times(run["word_stable_after_its_end_s"])),
    (
        "words shown otherwise, stable / other",
        lambda run: " / ".join(_percent(run["flicker"][n]) for n in ("stable", "unstable")),
    ),
    ("finals revised", lambda run: _percent(run["finals_revised"])),
    ("word error rate", lambda run: _percent(run["word_error_rate"])),
    ("utterances and finals", _text),
    ("finals slower at the end than at the start, s", lambda run: f"{run['drift']['grown_s']:+.3f}"),
    ("CPU s / audio s, gateway + workers", lambda run: _cost(run, "cpu_s_per_audio_s")),
    ("memory, MB, gateway + workers", lambda run: _cost(run, "resident_mb")),
    ("this sender itself was late by, s", lambda run: _times(run["sender"]["lateness_s"])),
    ("limits broken", lambda run: "; ".join(run["broken"]) or "none"),
)
