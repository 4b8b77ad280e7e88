"""A calibrated region with a quiet history, a hotspot in it, its withdrawal, and what people say about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from alerts.monitor import LookOutcome, RegionMonitor
from schemas.alert import Alert
from schemas.base import moment
from schemas.detection import DAY_S, HOUR_S, DetectionSettings
from schemas.feedback import Acknowledge, Ask, Assign, Conclude, Feedback, Mute, Unmute
from schemas.located import LOCATED, Kind, LocatedArray, Status
from tests.builders import hampshire

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


def withdrawn(rows: LocatedArray, at: int = NOW + HOUR_S) -> LocatedArray:
    """The withdrawal of each row, at a moment, s."""
    gone = rows.copy()
    gone["revision"] += 1
    gone["status"] = Status.WITHDRAWN
    gone["ix"] = gone["iy"] = 0
    gone["recorded_us"] = at * 1_000_000
    gone["occurred"] = at
    return gone


@cache
def quiet() -> dict[str, bytes]:
    """State of a region with its background and a calibration, to start tests from; not to be changed."""
    monitor = RegionMonitor(hampshire(), SETTINGS)
    monitor.apply(background())
    monitor.look(NOW - DAY_S)
    return monitor.snapshot()


def restored(parts: Mapping[str, bytes]) -> RegionMonitor:
    """Whoever takes over a region."""
    monitor = RegionMonitor(hampshire(), SETTINGS)
    monitor.restore({name: part for name, part in parts.items() if part})
    return monitor


def only(outcome: LookOutcome) -> Alert:
    """The one alert of a look."""
    (alert,) = outcome.alerts
    return alert


def everything(monitor: RegionMonitor) -> dict[str, bytes]:
    """All parts of a state, also those that have not changed since the last snapshot."""
    store = monitor.detector.store
    store.rewrite((store.rows()["occurred"] + 3 * DAY_S) // (7 * DAY_S))
    monitor.detector._unsaved |= {"baseline", "calibration"}
    return monitor.snapshot()


Said = Acknowledge | Assign | Ask | Conclude | Mute | Unmute


def said(what: Said, alert: Alert, *, name: str = "f1", hours: float = 1) -> Feedback:
    """Feedback on the episode of an alert, so many hours after NOW."""
    at = moment(NOW) + timedelta(hours=hours)
    return Feedback(
        feedback_id=name, region="hampshire", episode_id=alert.episode_id, at=at, actor="CANARY@example.org", said=what
    )
