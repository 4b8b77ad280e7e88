"""The page for operations staff: every metric, rule, setting, reason and header has its place there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.deadletter import DeadLetter
from schemas.detection import DetectionSettings
from schemas.reasons import RejectReason
from schemas.settings import Settings
from streams.metrics import metric_names

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
RULES: dict[str, Any] = yaml.safe_load((ROOT / "ops" / "prometheus" / "rules.yml").read_text(encoding="utf-8"))
ALERTS = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]


def rows_of(heading: str) -> set[str]:
    """First cells of the table under a heading, without their code marks."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return {match.strip("`") for match in re.findall(r"^\| (`[^`]+`) \|", section, re.MULTILINE)}


def test_the_table_of_metrics_is_that_of_the_worker() -> None:
    assert {row.split("{")[0] for row in rows_of("Metrics")} == metric_names()


def test_every_setting_is_explained() -> None:
    own = {f"HOTSPOT_{name.upper()}" for name in Settings.model_fields if name != "detection"}
    detection = {f"HOTSPOT_DETECTION__{name.upper()}" for name in DetectionSettings.model_fields}
    assert rows_of("Settings") == own | detection


@pytest.mark.parametrize("alert", ALERTS)
def test_every_rule_has_its_runbook(alert: str) -> None:
    section = PAGE.split(f"### {alert}\n", 1)[1].split("\n##", 1)[0]
    assert "**Means.**" in section
    assert "**Do.**" in section


def test_every_runbook_has_its_rule() -> None:
    assert sorted(re.findall(r"^### (Hotspot\w+)$", PAGE, re.MULTILINE)) == sorted(ALERTS)


def test_reasons_and_headers_of_dead_letters_are_listed() -> None:
    assert {row for row in rows_of("Dead letters") if "-" not in row} == {reason.value for reason in RejectReason}
    letter = DeadLetter(
        reason=RejectReason.NOT_JSON,
        detail="",
        origin_topic="hotspot.ed.attendances",
        origin_partition=0,
        origin_offset=0,
        rejected_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert {row for row in rows_of("Dead letters") if "-" in row} == {name for name, _ in letter.headers()}


def test_ports_are_those_of_the_compose_file() -> None:
    opened = {port.split(":")[1] for service in COMPOSE["services"].values() for port in service["ports"]}
    assert rows_of("Ports") == opened
