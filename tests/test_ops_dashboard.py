"""The dashboard: generated, committed as generated, and readable; it and the rules ask only for metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.metrics import metric_names
from tests.servers.fixtures import missing

ROOT = Path(__file__).parent.parent
DASHBOARD = ROOT / "ops" / "grafana" / "dashboards" / "hotspot.json"
RULES = ROOT / "ops" / "prometheus" / "rules.yml"
OPERATIONS = ROOT / "docs" / "operations.md"
METRIC = re.compile(r"\bhotspot_[a-z_]+")


def panels() -> list[dict[str, Any]]:
    """Panels of the committed dashboard, rows left out."""
    board: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def expressions() -> list[str]:
    """Every query of the dashboard."""
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def metrics_in(text: str) -> set[str]:
    """Names of our metrics in a text; the series of a histogram stand for it."""
    return {re.sub(r"_(bucket|sum|count)$", "", name) for name in METRIC.findall(text)}


def test_the_committed_dashboard_is_what_the_code_makes() -> None:
    made = subprocess.run(
        [sys.executable, str(ROOT / "ops" / "dashboard.py")], capture_output=True, text=True, timeout=60, check=True
    )
    assert made.stdout == DASHBOARD.read_text(encoding="utf-8"), "run `make generated` and look at the difference"


def test_the_dashboard_keeps_its_address() -> None:
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    assert board["uid"] == "hotspot-monitor"
    identifiers = [panel["id"] for panel in board["panels"]]
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_panel_has_a_unit_a_description_and_our_source(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert len(panel["description"]) > 20
    assert panel["targets"]
    sources = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert panel["datasource"]["uid"] == sources["datasources"][0]["uid"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_every_panel_is_explained(panel: dict[str, Any]) -> None:
    assert f"| {panel['title']} |" in OPERATIONS.read_text(encoding="utf-8")


def test_queries_are_promql(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        missing("Prometheus' promtool is not installed: `make servers` does it where it may.")
    recorded = [{"record": f"panel:{place}", "expr": query} for place, query in enumerate(expressions())]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}), encoding="utf-8")
    done = subprocess.run(
        [program, "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_and_the_rules_ask_for_metrics_that_exist() -> None:
    asked = metrics_in("\n".join(expressions())) | metrics_in(RULES.read_text(encoding="utf-8"))
    assert asked - metric_names() == set()


def test_every_metric_is_shown() -> None:
    assert metric_names() - metrics_in("\n".join(expressions())) == set()
