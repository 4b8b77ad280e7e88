"""The heart of a region, driven as the agents drive it: records in, alerts out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from alerts.monitor import LookOutcome, RegionMonitor
from alerts.schedule import ReplaySchedule
from schemas.alert import Alert, AlertReason, EpisodeState
from schemas.detection import DAY_S, HOUR_S, DetectionSettings
from schemas.located import LOCATED, Kind, LocatedArray, Status
from tests.builders import hampshire

GOLDEN = Path(__file__).parent / "golden" / "alert.json"
START = int(datetime(2025, 1, 6, tzinfo=UTC).timestamp())
DAYS = 150
NOW = START + DAYS * DAY_S + 22 * HOUR_S
#: A short calibration: what is tested here is what follows from a threshold, not the threshold.
SETTINGS = DetectionSettings(calibration_days=84, baseline_days=365)
CENTRE = (1780, 460)


def background(seed: int = 7) -> LocatedArray:
    """Five police incidents a day over some 600 cells, a third of them also as ED attendances elsewhere; no hotspot."""
    rng = np.random.default_rng(seed)
    n = DAYS * 7
    rows = np.zeros(n, LOCATED)
    rows["record"] = np.arange(1, n + 1)
    rows["revision"] = 1
    rows["kind"] = np.where(rng.random(n) < 0.3, Kind.ED, Kind.POLICE)
    rows["ix"] = CENTRE[0] + rng.normal(0, 14, n).astype(np.int32)
    rows["iy"] = CENTRE[1] + rng.normal(0, 14, n).astype(np.int32)
    rows["occurred"] = START + np.sort(rng.integers(0, DAYS * DAY_S, n))
    rows["recorded_us"] = (rows["occurred"] + 1800) * 1_000_000
    rows["weight"] = 1
    return rows


def hotspot(count: int = 9) -> LocatedArray:
    """Incidents of the last 20 hours in two neighbouring cells of a quiet place, from both kinds."""
    rows = np.zeros(count, LOCATED)
    rows["record"] = np.arange(1_000_000, 1_000_000 + count)
    rows["revision"] = 1
    rows["kind"] = np.arange(count) % 2
    rows["ix"] = CENTRE[0] + 12 + np.arange(count) % 2
    rows["iy"] = CENTRE[1] - 12
    rows["occurred"] = NOW - np.arange(count) * 2 * HOUR_S - HOUR_S
    rows["recorded_us"] = (rows["occurred"] + 600) * 1_000_000
    rows["weight"] = 1
    return rows


def withdrawn(rows: LocatedArray) -> LocatedArray:
    """The withdrawal of each row."""
    gone = rows.copy()
    gone["revision"] += 1
    gone["status"] = Status.WITHDRAWN
    gone["ix"] = gone["iy"] = 0
    gone["recorded_us"] = (NOW + HOUR_S) * 1_000_000
    gone["occurred"] = NOW + HOUR_S
    return gone


@pytest.fixture(scope="module")
def quiet_parts() -> dict[str, bytes]:
    """State of a region with its background and a calibration, to start tests from."""
    monitor = RegionMonitor(hampshire(), SETTINGS)
    monitor.apply(background())
    monitor.look(NOW - DAY_S)
    return monitor.snapshot()


@pytest.fixture
def monitor(quiet_parts: dict[str, bytes]) -> RegionMonitor:
    """A calibrated region. What must always hold of its alerts is checked after the test (tests/conftest.py)."""
    restored = RegionMonitor(hampshire(), SETTINGS)
    restored.restore(quiet_parts)
    return restored


def only(outcome: LookOutcome) -> Alert:
    """The one alert of a look."""
    (alert,) = outcome.alerts
    return alert


def test_an_alert_is_as_it_always_was(monitor: RegionMonitor) -> None:
    """The whole alert against a file; make it again on purpose only (delete it, and run this)."""
    monitor.apply(hotspot())
    alert = json.loads(only(monitor.look(NOW)).model_dump_json())
    if not GOLDEN.exists():
        GOLDEN.write_text(json.dumps(alert, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        pytest.fail(f"{GOLDEN.name} was made anew: read it, and commit it if it is right")
    assert alert == json.loads(GOLDEN.read_text(encoding="utf-8"))


def test_a_hotspot_opens_an_episode_once(monitor: RegionMonitor) -> None:
    monitor.apply(hotspot())
    alert = only(monitor.look(NOW))
    assert (alert.reason, alert.state, alert.revision) == (AlertReason.OPENED, EpisodeState.EMERGING, 1)
    assert alert.evidence == "both"
    assert sum(alert.observed.values()) >= 6
    assert abs(alert.window.easting - (CENTRE[0] + 13) * 250) <= alert.window.radius_m
    assert [monitor.look(NOW + minutes * 60).alerts for minutes in (1, 15, 60)] == [(), (), ()]


def test_without_a_hotspot_nothing_is_said(monitor: RegionMonitor) -> None:
    assert monitor.look(NOW).alerts == ()


def test_withdrawing_all_its_records_retracts_an_episode(monitor: RegionMonitor) -> None:
    rows = hotspot()
    monitor.apply(rows)
    opened = only(monitor.look(NOW))
    monitor.apply(withdrawn(rows))
    alert = only(monitor.look(NOW + HOUR_S))
    assert (alert.reason, alert.state) == (AlertReason.EVIDENCE_WITHDRAWN, EpisodeState.RETRACTED)
    assert (alert.episode_id, alert.revision) == (opened.episode_id, 2)
    assert alert.headline.startswith("Taken back")
    assert sum(alert.observed.values()) <= 1
    assert monitor.episodes == {}
    assert monitor.look(NOW + 2 * HOUR_S).alerts == ()


def test_withdrawing_a_record_of_many_corrects_what_was_told(monitor: RegionMonitor) -> None:
    rows = hotspot(15)
    monitor.apply(rows)
    opened = only(monitor.look(NOW))
    monitor.apply(withdrawn(rows[:1]))
    alert = only(monitor.look(NOW + HOUR_S))
    assert alert.reason is AlertReason.EVIDENCE_WITHDRAWN
    assert alert.state is not EpisodeState.RETRACTED
    assert sum(alert.observed.values()) == sum(opened.observed.values()) - 1


def test_an_episode_closes_after_a_day_below(monitor: RegionMonitor) -> None:
    monitor.apply(hotspot(5))
    opened = only(monitor.look(NOW))
    alerts = [alert for day in range(1, 40) for alert in monitor.look(NOW + day * DAY_S).alerts]
    assert [alert.episode_id for alert in alerts] == [opened.episode_id] * len(alerts)
    assert alerts[-1].reason is AlertReason.CLOSED
    assert monitor.episodes == {}


def test_it_goes_on_after_a_restart_as_if_it_had_never_stopped(quiet_parts: dict[str, bytes]) -> None:
    """Snapshots after every step, restored at every step, against one that is never stopped."""
    steady = RegionMonitor(hampshire(), SETTINGS)
    steady.restore(quiet_parts)
    parts = dict(quiet_parts)
    rows = hotspot(8)
    gone = withdrawn(rows)
    for step, batch in enumerate([rows[:3], rows[3:6], rows[6:], gone[:2], gone[2:]]):
        moment = NOW + step * HOUR_S
        restarted = RegionMonitor(hampshire(), SETTINGS)
        restarted.restore(parts)
        restarted.apply(batch)
        steady.apply(batch)
        assert restarted.look(moment) == steady.look(moment)
        parts.update(restarted.snapshot())
        parts = {name: part for name, part in parts.items() if part}


def test_under_the_replay_clock_batches_and_interleaving_change_nothing(quiet_parts: dict[str, bytes]) -> None:
    """The same revisions in one batch of each input, or one by one in turns: the same looks, the same alerts."""
    rows = hotspot(10)
    ordered = rows[np.argsort(rows["recorded_us"])]
    ends = [(np.empty(0, LOCATED), (int(kind), 0), (NOW + DAY_S) * 1_000_000) for kind in Kind]
    whole = [(ordered[ordered["kind"] == kind], (int(kind), 0), NOW * 1_000_000) for kind in Kind]
    singly = [
        (ordered[i : i + 1], (int(ordered["kind"][i]), 0), int(ordered["recorded_us"][i])) for i in range(len(ordered))
    ]

    def run(batches: list[list[tuple[LocatedArray, tuple[int, int], int]]]) -> list[LookOutcome]:
        monitor = RegionMonitor(hampshire(), SETTINGS)
        monitor.restore(quiet_parts)
        schedule = ReplaySchedule(frozenset((int(kind), 0) for kind in Kind), 900)
        monitor._schedule = schedule
        return [look for batch in batches for look in monitor.advance(batch, 0)[1]]

    together = run([whole + ends])
    apart = run([[batch] for batch in singly] + [ends])
    assert together == apart
    assert sum(len(look.alerts) for look in together) >= 1
