"""Episodes over a stretch of real history: few revisions, one story for each, and all can be taken back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from statistics import median

import pytest

from alerts.monitor import RegionMonitor
from alerts.schedule import ReplaySchedule
from bench.source import CHICAGO, data_path
from cli.incident_rows import read_rows
from evaluation.monitored import EARLY_DAYS, LOOK_S
from schemas.alert import Alert
from schemas.detection import DAY_S, DetectionSettings
from schemas.episodes import AlertReason, EpisodeState
from schemas.located import LocatedArray, Status, pick
from schemas.region import load_region
from schemas.settings import Settings
from tests.builders import ROOT

HISTORY = data_path(CHICAGO)
MICRO = 1_000_000
#: A stretch that holds a merge and a split; four years take minutes.
BEGIN, END = datetime(2015, 6, 1, tzinfo=UTC), datetime(2015, 8, 1, tzinfo=UTC)


def replayed(begin: datetime, end: datetime) -> tuple[RegionMonitor, list[Alert]]:
    """Chicago at the end of a period, and all alerts in it, by the default settings but for a shorter calibration."""
    region = load_region(ROOT / "regions" / "chicago.toml")
    rows = read_rows(HISTORY, region, date(end.year, end.month, end.day), Settings())
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
    return monitor, told


def withdrawn(rows: LocatedArray, at: int) -> LocatedArray:
    """The withdrawal of each row, at a moment, s."""
    gone = rows.copy()
    gone["revision"] += 1
    gone["status"] = Status.WITHDRAWN
    gone["recorded_us"] = at * MICRO
    return gone


@pytest.mark.timeout(1200)  # baselines of five years, on a machine that may be busy
@pytest.mark.skipif(not HISTORY.exists(), reason=f"{CHICAGO} is not here; name its folder in HOTSPOT_DATA")
def test_episodes_of_chicago_are_told_seldom() -> None:
    """What must always hold is checked look by look by the fixture of tests/conftest.py."""
    monitor, told = replayed(BEGIN, END)
    revisions = Counter(alert.episode_id for alert in told)
    assert len(revisions) >= 3
    assert median(revisions.values()) <= 4
    assert max(revisions.values()) <= 12
    assert {alert.reason for alert in told} >= {AlertReason.OPENED, AlertReason.CLOSED}
    assert all("Chicago" in alert.region_name and alert.place for alert in told)

    # Then all records behind these episodes are withdrawn: each is taken back, open, closed, merged or split off.
    assert {True, False} == {one.state.is_over for one in {one.episode_id: one for one in told}.values()}
    assert [one for one in told if one.merged_into] and [one for one in told if one.split_from]
    first, at = min(alert.window.start for alert in told), int(END.timestamp()) + LOOK_S
    rows = monitor.detector.store.counted()
    monitor.apply(withdrawn(pick(rows, rows["occurred"] >= int(first.timestamp())), at))
    gone = monitor.look(at).alerts
    assert {alert.state for alert in gone} == {EpisodeState.RETRACTED}
    assert sorted(alert.episode_id for alert in gone) == sorted(revisions)
    assert (len(monitor.episodes), len(monitor.closed)) == (0, 0)
