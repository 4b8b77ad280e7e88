"""What feeds do to alerts: batches, silence and backlogs raise nothing, and alerts say what is not known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from alerts.monitor import RegionMonitor
from schemas.alert import Alert, AlertReason
from schemas.detection import DAY_S, HOUR_S, DetectionSettings
from schemas.feeds import FeedProblem
from schemas.located import LOCATED, Gate, Kind, LocatedArray
from tests.builders import hampshire
from tests.builders_processors import MONDAY

DAYS = 230
SETTINGS = DetectionSettings(
    radii_cells=(0, 1, 2, 4), spans_s=tuple(hours * HOUR_S for hours in (6, 24, 72, 168)), calibration_days=182
)
WEST, EAST = (1700, 460), (1760, 460)
#: The third place of the region's file, and what it is called there.
WEEKLY = 2


class Site(NamedTuple):
    """A feed of the made-up history."""

    kind: Kind
    source: int
    per_day: float
    place: tuple[int, int]
    every_s: int
    """It delivers this often, at six in the morning; 0 for each record at once."""


SITES = (
    Site(Kind.POLICE, 0, 7.0, WEST, 0),
    Site(Kind.POLICE, 0, 5.0, EAST, 0),
    Site(Kind.ED, 1, 3.0, EAST, DAY_S),
    Site(Kind.ED, WEEKLY, 5.0, WEST, 7 * DAY_S),
)


def feed_rows(site: Site, rng: np.random.Generator) -> LocatedArray:
    """Its records over all days, spread over some hundred cells around its place, as late as it delivers."""
    n = int(rng.poisson(site.per_day * DAYS))
    rows = np.zeros(n, LOCATED)
    rows["kind"], rows["source"], rows["revision"], rows["weight"] = site.kind, site.source, 1, 1
    rows["ix"] = site.place[0] + rng.normal(0, 6, n).astype(np.int32)
    rows["iy"] = site.place[1] + rng.normal(0, 6, n).astype(np.int32)
    rows["occurred"] = MONDAY + rng.integers(0, DAYS * DAY_S, n)
    recorded = rows["occurred"] + rng.integers(60, 3600, n)
    if site.every_s:
        recorded = MONDAY + (-(-(recorded - MONDAY) // site.every_s)) * site.every_s + 6 * HOUR_S
    rows["recorded_us"] = recorded * 1_000_000 + np.arange(n)
    return rows


def history(seed: int = 1) -> LocatedArray:
    rng = np.random.default_rng(seed)
    rows = np.concatenate([feed_rows(site, rng) for site in SITES])
    rows["record"] = np.arange(1, rows.size + 1)
    return rows


def drive(monitor: RegionMonitor, rows: LocatedArray, begin: int, end: int) -> list[Alert]:
    """Apply what becomes known and look, at each quarter of an hour at which there is something and once an hour."""
    rows = rows[np.argsort(rows["recorded_us"], kind="stable")]
    quarter = -(-rows["recorded_us"] // 900_000_000) * 900
    told: list[Alert] = []
    monitor.apply(rows[quarter <= begin])
    told += monitor.look(begin).alerts
    moments = np.unique(np.concatenate([quarter[(quarter > begin) & (quarter <= end)], np.arange(begin, end, HOUR_S)]))
    for moment in moments[moments > begin].tolist():
        monitor.apply(rows[quarter == moment])
        told += monitor.look(moment).alerts
    return told


def silenced(rows: LocatedArray, begin: int, end: int) -> LocatedArray:
    """What one feed would have delivered from `begin` on comes at `end`, all at once and up to then."""
    late = rows.copy()
    recorded_s = rows["recorded_us"] // 1_000_000
    held = (rows["source"] == WEEKLY) & (recorded_s > begin) & (rows["occurred"] < end - 6 * HOUR_S)
    late["recorded_us"][held] = end * 1_000_000 + np.arange(int(held.sum()))
    return late


BEGIN = MONDAY + 196 * DAY_S  # a Monday


def opened(alerts: list[Alert]) -> int:
    return sum(alert.reason is AlertReason.OPENED for alert in alerts)


def test_weekly_batches_raise_no_more_than_the_budget() -> None:
    """Four weeks with four batches and a tenfold expectation on Mondays, were they judged by the age of records."""
    told = 0
    for seed in (1, 2):
        monitor = RegionMonitor(hampshire(), SETTINGS)
        told += opened(drive(monitor, history(seed), BEGIN, BEGIN + 28 * DAY_S))
        feeds = monitor.detector.baseline.feeds if monitor.detector.baseline else None
        assert feeds is not None
        assert feeds.batches.tolist() == [1, 1, 0]
    assert told <= 9  # four are expected by chance


def test_ten_silent_days_are_neither_calm_nor_an_outbreak_and_are_told() -> None:
    rows = history()
    quiet_from, back = BEGIN, BEGIN + 17 * DAY_S + 6 * HOUR_S  # ten days beyond its weekly batch
    usual, silent = RegionMonitor(hampshire(), SETTINGS), RegionMonitor(hampshire(), SETTINGS)
    before = back - HOUR_S
    drive(usual, rows, BEGIN - DAY_S, before)
    drive(silent, silenced(rows, quiet_from, back), BEGIN - DAY_S, before)
    assert usual.notices() == ()
    notice = next(notice for notice in silent.notices() if notice.problem is FeedProblem.SILENT)
    assert notice.source == hampshire().sources[WEEKLY].id
    assert notice.since is not None
    assert "has sent nothing since" in notice.sentence
    # What is expected of the last week where the silent feed reports is what the others bring; elsewhere it is as ever.
    there = [monitor.detector.evaluate(*WEST, 4, 168 * HOUR_S, before) for monitor in (usual, silent)]
    elsewhere = [monitor.detector.evaluate(*EAST, 4, 168 * HOUR_S, before) for monitor in (usual, silent)]
    assert there[1].expected[Kind.ED] < 0.1 * there[0].expected[Kind.ED]
    assert there[1].expected[Kind.POLICE] == pytest.approx(there[0].expected[Kind.POLICE], rel=0.05)
    assert elsewhere[1].expected[Kind.ED] == pytest.approx(elsewhere[0].expected[Kind.ED], rel=0.1)
    # All comes back at once: nothing new is raised by what is as ever, and nothing is said to be silent.
    told = drive(silent, silenced(rows, quiet_from, back), before, back + 2 * DAY_S)
    same = drive(usual, rows, before, back + 2 * DAY_S)
    assert opened(told) <= opened(same)
    assert [notice for notice in silent.notices() if notice.problem is FeedProblem.SILENT] == []
    caught_up = silent.detector.evaluate(*WEST, 4, 168 * HOUR_S, silent.last_look)
    assert caught_up.expected[Kind.ED] > 0.5 * there[0].expected[Kind.ED]


def hotspot(at: int) -> LocatedArray:
    """Nine police incidents within a day in one quiet cell."""
    rows = np.zeros(9, LOCATED)
    rows["record"], rows["revision"], rows["weight"], rows["kind"] = np.arange(900_001, 900_010), 1, 1, Kind.POLICE
    rows["ix"], rows["iy"] = EAST[0] + 18, EAST[1] + 18
    rows["occurred"] = at - np.arange(9) * 9_000 - 600
    rows["recorded_us"] = (rows["occurred"] + 300) * 1_000_000
    return rows


def test_an_alert_names_the_feed_that_is_silent() -> None:
    at = BEGIN + 15 * DAY_S
    rows = silenced(history(), BEGIN, BEGIN + 30 * DAY_S)
    monitor = RegionMonitor(hampshire(), SETTINGS)
    told = drive(monitor, np.concatenate([rows, hotspot(at)]), BEGIN + 12 * DAY_S, at)
    found = [alert for alert in told if alert.window.easting > 0 and sum(alert.observed.values()) >= 3]
    assert found
    assert [notice.problem for notice in found[-1].not_known] == [FeedProblem.SILENT]
    again = RegionMonitor(hampshire(), SETTINGS)
    again.restore(monitor.snapshot())
    again.look(at)
    assert again.notices() == monitor.notices()  # a restart forgets no silence


def test_default_times_are_kept_and_not_scanned() -> None:
    rng = np.random.default_rng(3)
    rows = history()
    unknown = rng.random(rows.size) < 0.25
    unknown &= rows["source"] == 0
    rows["occurred"][unknown] = rows["occurred"][unknown] // DAY_S * DAY_S
    monitor = RegionMonitor(hampshire(), SETTINGS)
    monitor.apply(rows[rows["recorded_us"] <= BEGIN * 1_000_000])
    monitor.look(BEGIN)
    kept = monitor.detector.store.rows()
    assert (kept["gate"] == Gate.DEFAULT_TIME).sum() > 300
    assert [notice.problem for notice in monitor.notices()] == [FeedProblem.DEFAULT_TIMES]
    # A bunch at that minute is no hotspot; the same an hour later is.
    parts = monitor.snapshot()
    for hours, wanted in ((0, 0), (1, 1)):
        other = RegionMonitor(hampshire(), SETTINGS)
        other.restore(parts)
        bunch = hotspot(BEGIN + DAY_S)
        bunch["ix"] += np.arange(9) - 4
        bunch["occurred"] = BEGIN + hours * HOUR_S
        tally = other.apply(bunch)
        assert opened(list(other.look(BEGIN + 2 * HOUR_S).alerts)) == wanted
        assert tally[Kind.POLICE, "gated"] == (0 if wanted else 9)


def test_four_victims_at_one_place_in_one_minute_are_one_incident() -> None:
    monitor = RegionMonitor(hampshire(), SETTINGS)
    rows = history()
    monitor.apply(rows[rows["recorded_us"] <= BEGIN * 1_000_000])
    monitor.look(BEGIN)
    victims = hotspot(BEGIN + HOUR_S)[:4]
    victims["occurred"] = BEGIN + 600 + np.arange(4) * 15
    monitor.apply(victims)
    outcome = monitor.look(BEGIN + HOUR_S)
    assert outcome.alerts == ()
    window = monitor.detector.evaluate(int(victims["ix"][0]), int(victims["iy"][0]), 0, 6 * HOUR_S, BEGIN + HOUR_S)
    assert window.observed == (0, 1)


def test_a_nightclub_that_is_always_busy_on_saturdays_raises_nothing_on_a_usual_one() -> None:
    rng = np.random.default_rng(6)
    saturdays = MONDAY + 5 * DAY_S + np.arange(DAYS // 7) * 7 * DAY_S
    nights = np.repeat(saturdays + 22 * HOUR_S, rng.poisson(4.0, saturdays.size))
    club = np.zeros(nights.size, LOCATED)
    club["revision"], club["weight"], club["kind"] = 1, 1, Kind.POLICE
    club["record"] = np.arange(500_001, 500_001 + club.size)
    club["ix"], club["iy"] = WEST[0] + 20, WEST[1] + 20
    club["occurred"] = nights + rng.integers(0, 5 * HOUR_S, nights.size)
    club["recorded_us"] = (club["occurred"] + 600) * 1_000_000
    rows = np.concatenate([history(), club])
    told = drive(RegionMonitor(hampshire(), SETTINGS), rows, BEGIN + 4 * DAY_S, BEGIN + 27 * DAY_S)
    near = [
        alert
        for alert in told
        if abs(alert.window.easting - (WEST[0] + 20.5) * 250) < 800
        and abs(alert.window.northing - (WEST[1] + 20.5) * 250) < 800
    ]
    assert near == []
