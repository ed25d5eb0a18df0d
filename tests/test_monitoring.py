"""The dashboard and the alert rules: sound files, and no name in them that the daemon does not print."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway_support import Front
from hotmic.errors import codes
from hotmic.net.series import STATES
from hotmic.values import ModelStatus

DEPLOY = Path(__file__).parents[1] / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"] for rule in group["rules"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
ALERTS = [rule for rule in RULES if "alert" in rule]
WORDS = {"sum", "min", "max", "by", "and", "on", "or", "rate", "increase", "deriv", "absent", "histogram_quantile"}


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (str(rule["expr"]) for rule in RULES)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Return every series a daemon prints with its labels."""
    front = Front(tmp_path_factory.mktemp("front"), models=(ModelStatus(model_id="echo", state="serving"),))
    text = asyncio.run(front.ask("/metrics")).text
    kinds = dict(re.findall(r"^# TYPE (hotmic_\w+) (\w+)$", text, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set(_LABELLED.get(name, ())) for name in kinds}
    for collector in vars(front.house.services.metrics).values():
        for family in getattr(collector, "describe", list)():
            for name in (family.name, f"{family.name}_total"):
                labels.get(name, set()).update(collector._labelnames)
    return {
        f"{name}{suffix}": labels[name]
        for name, kind in kinds.items()
        if not name.endswith("_created")
        for suffix in (("_bucket", "_count", "_sum") if kind == "histogram" else ("",))
    }


_LABELLED = {
    **dict.fromkeys(("hotmic_outbox_items", "hotmic_outbox_bytes"), ("dialect",)),
    **dict.fromkeys(("hotmic_worker_restarts_total", "hotmic_jobs_resent_total"), ("model",)),
    "hotmic_model_state": ("model", "state"),
}
"""Labels of series that are made when somebody asks."""


def test_every_name_is_printed(printed: dict[str, set[str]]) -> None:
    used = {name for text in expressions() for name in re.findall(r"\bhotmic[a-z0-9_:]*", _bare(text))}
    used |= set(re.findall(r"\bhotmic_[a-z_]+", json.dumps(DASHBOARD["templating"])))
    assert used - RECORDED - printed.keys() == set()


def test_every_label_that_is_asked_for_is_there(printed: dict[str, set[str]]) -> None:
    for text in expressions():
        for name, condition in re.findall(r"(hotmic_[a-z_]+)\{([^}]*)\}", text):
            for label, value in re.findall(r'(\w+)\s*[=!]~?\s*"([^"]*)"', condition):
                known = {"instance", "job"} | printed[name]
                assert label in known, (name, label)
                allowed = {"state": set(STATES), "code": set(codes())}.get(label)
                assert allowed is None or set(value.split("|")) <= allowed, (name, value)


def test_every_series_of_ours_is_on_the_dashboard(printed: dict[str, set[str]]) -> None:
    shown = {re.sub(r"_(bucket|sum|count)$", "", n) for t in expressions() for n in re.findall(r"\bhotmic_[a-z_]+", t)}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in printed}
    unimportant = {"hotmic_process_virtual_memory_bytes", "hotmic_process_start_time_seconds", "hotmic_model_serving"}
    assert families - shown - unimportant == set()


def test_expressions_are_balanced_and_of_known_words() -> None:
    for text in expressions():
        for opening, closing in ("()", "{}", "[]"):
            assert text.count(opening) == text.count(closing), text
        bare = re.sub(r"(by|on) \([^)]*\)", "", _bare(text))
        words = set(re.findall(r"\b[a-z_]+\b", bare)) - {"up"}
        assert {word for word in words if not word.startswith("hotmic")} <= WORDS, text


def test_panels_have_places_of_their_own() -> None:
    places: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & places, panel["title"]
        assert place["x"] + place["w"] <= 24
        places |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert {v["name"] for v in DASHBOARD["templating"]["list"]} == {"datasource", "instance"}


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("page", "warn")
        assert rule["annotations"].keys() == {"summary", "action"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))


def _bare(text: str) -> str:
    """Return an expression without its conditions and ranges."""
    return re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", text)
