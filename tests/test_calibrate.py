"""`hotspot calibrate`: the artefact, its summary, and failures in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.main import hotspot
from schemas.base import ToldError
from schemas.calibration import CalibrationReport
from tests.test_baseline_report import HAMPSHIRE, incident_file

#: A small scan and a short simulation: what is tested is the command, not the threshold.
SMALL = {
    "HOTSPOT_DETECTION__RADII_CELLS": "[0, 1, 2]",
    "HOTSPOT_DETECTION__SPANS_S": "[21600, 86400, 259200]",
    "HOTSPOT_DETECTION__CALIBRATION_DAYS": "84",
}


def _calibrate(*arguments: str) -> str:
    found = CliRunner(env=SMALL).invoke(hotspot, ["calibrate", *arguments], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def test_the_artefact_says_what_it_is_and_how_well_it_does(tmp_path: Path) -> None:
    file, out = incident_file(tmp_path), tmp_path / "calibration.json"
    asked = ["--region", str(HAMPSHIRE), "--as-of", "2022-07-17", "--out", str(out)]
    told = _calibrate(str(file), *asked, "--budget", "4", "--check-years", "1")
    made = CalibrationReport.model_validate_json(out.read_text(encoding="utf-8"))
    assert (made.region, made.budget_per_28d, made.simulated_days) == ("hampshire", 4.0, 84)
    assert made.closing_level == pytest.approx(0.75 * made.threshold, rel=1e-3)
    assert 0 < made.threshold_error < 3
    days = [row.days for row in made.recurrence]
    assert days == sorted(days)
    at_threshold = min(made.recurrence, key=lambda row: abs(row.score - made.threshold))
    assert at_threshold.score == pytest.approx(made.threshold, abs=0.001)
    assert at_threshold.days == pytest.approx(7, abs=0.1)
    assert [kind.kind for kind in made.variation] == ["ed", "police"]
    assert made.check is not None
    assert 0 <= made.check.per_28_days < 20
    assert f"threshold {made.threshold:.2f}" in told
    assert "On 1 fresh simulated years" in told
    again = tmp_path / "again.json"
    _calibrate(str(file), *asked[:-1], str(again), "--budget", "4")
    second = CalibrationReport.model_validate_json(again.read_text(encoding="utf-8"))
    assert second == made.model_copy(update={"check": None})


def test_too_little_history_is_told_in_a_sentence(tmp_path: Path) -> None:
    asked = [str(incident_file(tmp_path, 40)), "--region", str(HAMPSHIRE), "--as-of", "2022-02-10"]
    with pytest.raises(ToldError, match=r"^There is no baseline as of 2022-02-10: it needs 104 days of records"):
        CliRunner(env=SMALL).invoke(hotspot, ["calibrate", *asked], catch_exceptions=False)
