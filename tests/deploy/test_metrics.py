"""Dashboard and alert rules speak of metrics that hub and edge have, and Prometheus takes them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

from edge.metrics import Metrics as EdgeMetrics
from hub.metrics import Metrics as HubMetrics

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
OURS = re.compile(r"\btongjie_[a-z0-9_]+")
ADDED_BY_PROMETHEUS = {"job", "instance", "le"}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true", reason="promtool is not installed"
)


def promtool(*words: str, given: str | None = None) -> str:
    done = subprocess.run(["promtool", *words], input=given, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def metrics() -> Iterator[MetricWrapperBase]:
    """Every metric that hub and edge make."""
    for made in (EdgeMetrics("251020"), HubMetrics()):
        yield from (value for value in vars(made).values() if isinstance(value, MetricWrapperBase))


def samples() -> dict[str, set[str]]:
    """Names as Prometheus stores them, with the labels each may carry."""
    found: dict[str, set[str]] = {}
    for metric in metrics():
        (family,) = metric.describe()
        endings = {Counter: ("_total",), Histogram: ("_bucket", "_sum", "_count"), Gauge: ("",)}[type(metric)]
        for ending in endings:
            found.setdefault(family.name + ending, set()).update(metric._labelnames)
    return found


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = board["panels"]
    return found


def expressions() -> list[tuple[str, str, str]]:
    """(where, expression, legend) of every query of every dashboard and every rule."""
    found = []
    for path in DASHBOARDS:
        for panel in panels(json.loads(path.read_text("utf-8"))):
            found += [(panel["title"], t["expr"], t["legendFormat"]) for t in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))
    for group in rules["groups"]:
        found += [(rule["alert"], rule["expr"], rule["annotations"]["summary"]) for rule in group["rules"]]
    return found


ALL = expressions()
NAMES = [where for where, _, _ in ALL]


@pytest.mark.parametrize(("where", "expression", "legend"), ALL, ids=NAMES)
def test_every_metric_and_label_in_a_query_exists(where: str, expression: str, legend: str) -> None:
    known = samples()
    used = set(OURS.findall(expression))
    assert used <= set(known), f"{where}: {used - set(known)}"
    assert used or expression == "up == 0"
    labels = set.union(ADDED_BY_PROMETHEUS, *(known[name] for name in used))
    named = set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", legend))
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        named |= {name.strip() for name in group.split(",")}
    named |= set(re.findall(r"[{,]\s*(\w+)\s*[=!]~?=?\s*\"", expression))
    assert named <= labels, f"{where}: {named - labels}"


def test_the_dashboard_shows_what_staff_ask_first() -> None:
    (overview,) = DASHBOARDS
    shown = " ".join(t["expr"] for panel in panels(json.loads(overview.read_text("utf-8"))) for t in panel["targets"])
    for name in (
        "tongjie_node_online",
        "tongjie_gate_passages_total",
        "tongjie_selfcheck_transactions_total",
        "tongjie_outbox_depth",
        "tongjie_outbox_oldest_timestamp_seconds",
        "tongjie_gate_decision_duration_seconds_bucket",
        "tongjie_hub_events_total",
        "tongjie_hub_ingest_duration_seconds_bucket",
    ):
        assert name in shown


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_a_place_each_and_the_provisioned_source(path: Path) -> None:
    board = json.loads(path.read_text("utf-8"))
    sources = yaml.safe_load(
        (DEPLOY / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text("utf-8")
    )
    uids = {source["uid"] for source in sources["datasources"]}
    taken: set[tuple[int, int]] = set()
    for panel in panels(board):
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken and place["x"] + place["w"] <= 24
        taken |= cells
        assert {panel["datasource"]["uid"], *(t["datasource"]["uid"] for t in panel["targets"])} <= uids
    assert len({panel["id"] for panel in panels(board)}) == len(panels(board))


def test_no_label_can_name_a_reader_a_card_or_an_item() -> None:
    labels = {label for metric in metrics() for label in metric._labelnames}
    assert labels <= {
        "library", "gate", "direction", "result", "device", "kiosk", "operation", "message", "kind", "name", "code",
        "function", "outcome", "node", "state", "what",
    }  # fmt: skip


@needs_promtool
def test_prometheus_takes_its_configuration_and_rules() -> None:
    promtool("check", "config", str(DEPLOY / "prometheus" / "prometheus.yml"))


@needs_promtool
def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", str(DEPLOY / "prometheus" / "rules_test.yml"))


def test_every_alert_is_tested() -> None:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text("utf-8"))
    tests = yaml.safe_load((DEPLOY / "prometheus" / "rules_test.yml").read_text("utf-8"))
    fired = {case["alertname"] for test in tests["tests"] for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for group in rules["groups"] for rule in group["rules"]}


@needs_promtool
def test_prometheus_takes_every_query_of_the_dashboards(tmp_path: Path) -> None:
    queries = [
        {"record": f"dashboard:query:{number}", "expr": expression} for number, (_, expression, _) in enumerate(ALL)
    ]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": queries}]}))
    promtool("check", "rules", str(tmp_path / "queries.yml"))


@needs_promtool
@pytest.mark.parametrize("made", [EdgeMetrics("251020"), HubMetrics()], ids=["edge", "hub"])
def test_prometheus_finds_nothing_wrong_with_our_metrics(made: EdgeMetrics | HubMetrics) -> None:
    for metric in vars(made).values():
        if isinstance(metric, MetricWrapperBase) and metric._labelnames:
            metric.labels(*("x" for _ in metric._labelnames))
    assert promtool("check", "metrics", given=generate_latest(made.registry).decode()) == ""
