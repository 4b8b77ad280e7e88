"""Episodes over a stretch of real history: few revisions, each with a reason, and one story for each episode."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median

import pytest

from alerts.monitor import RegionMonitor
from alerts.schedule import ReplaySchedule
from cli.incident_rows import read_rows
from evaluation.monitored import EARLY_DAYS, LOOK_S
from schemas.alert import Alert
from schemas.detection import DAY_S, DetectionSettings
from schemas.episodes import AlertReason
from schemas.located import pick
from schemas.region import load_region
from schemas.settings import Settings
from tests.builders import ROOT

CHICAGO = Path("/work/shared/data/chicago_aggravated_assault_2010_2019.csv.gz")
MICRO = 1_000_000
#: A stretch that holds a merge and a split; four years take minutes.
BEGIN, END = datetime(2015, 6, 1, tzinfo=UTC), datetime(2015, 8, 1, tzinfo=UTC)


def replayed(begin: datetime, end: datetime) -> list[Alert]:
    """All alerts of Chicago in a period, by the default settings but for a shorter calibration."""
    region = load_region(ROOT / "regions" / "chicago.toml")
    rows = read_rows(CHICAGO, region, date(end.year, end.month, end.day), Settings())
    settings = DetectionSettings(calibration_days=182)
    source, since, until = (1, 0), int(begin.timestamp()), int(end.timestamp())
    monitor = RegionMonitor(region, settings, schedule=ReplaySchedule(frozenset({source}), LOOK_S))
    early = rows["recorded_us"] <= (since - settings.spans_s[-1] - EARLY_DAYS * DAY_S) * MICRO
    monitor.apply(pick(rows, early))
    batches = [(pick(rows, ~early & (rows["recorded_us"] < until * MICRO)), source, until * MICRO)]
    told: list[Alert] = []
    while looks := monitor.advance(batches, 0)[1]:
        batches = []
        told += [alert for look in looks for alert in look.alerts]
    return told


@pytest.mark.timeout(1200)  # baselines of five years, on a machine that may be busy
@pytest.mark.skipif(not CHICAGO.exists(), reason=f"{CHICAGO} is not on this machine")
def test_episodes_of_chicago_are_told_seldom() -> None:
    """What must always hold is checked look by look by the fixture of tests/conftest.py."""
    told = replayed(BEGIN, END)
    revisions = Counter(alert.episode_id for alert in told)
    assert len(revisions) >= 3
    assert median(revisions.values()) <= 4
    assert max(revisions.values()) <= 12
    assert {alert.reason for alert in told} >= {AlertReason.OPENED, AlertReason.CLOSED}
    assert all("Chicago" in alert.region_name and alert.place for alert in told)
