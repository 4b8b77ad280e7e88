"""Compiles every kernel, or loads it from the cache, so that the first record does not wait for it."""

from __future__ import annotations

from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from processors.detector import Detector
from processors.identifiers import are_impersonal, are_record_ids
from processors.isotime import read_times
from processors.localtime import DAY_S
from processors.runs import Steps
from processors.tracking import Tracker
from schemas.detection import DetectionSettings
from schemas.located import LOCATED, LocatedArray, Status

_DAYS: Final = 60
_START: Final = 19_000 * DAY_S  # any day will do
_SETTINGS: Final = DetectionSettings(
    radii_cells=(0, 1), min_history_days=28, guard_days=1, baseline_days=60, calibration_days=7, level_days=28
)


def warm_up() -> None:
    """Run a tiny detector through all that a detector does. Some seconds cold, a fraction of one from the cache."""
    detector = Detector(_SETTINGS, ZoneInfo("UTC"))
    rows = _rows()
    detector.apply(rows)
    last = int(rows["occurred"].max())
    look = detector.look(last)
    if look.calibration is None:
        raise RuntimeError("the records made up for warming up gave no baseline, so not every kernel was compiled")
    for n, row in enumerate(rows[-4:]):
        change = row.reshape(1).copy()
        change["revision"] = 2
        change["status"] = Status.WITHDRAWN if n == 0 else Status.AMENDED
        change["ix"] += 40
        detector.apply(change)
    for _ in detector.run(Steps(rows[:2], np.array([1, 2]), last + DAY_S + np.arange(2))):
        pass
    look = detector.look(last + DAY_S + 1)
    detector.evaluate(0, 0, 1, _SETTINGS.spans_s[0], last + DAY_S + 1)
    Tracker().step(look.detections, look.as_of, 0.0, 0.0)
    other = Detector(_SETTINGS, ZoneInfo("UTC"))
    other.restore(detector.snapshot())
    other.remember(look.detections[0])
    other.look(last + 40 * DAY_S)
    for read in (read_times, are_impersonal, are_record_ids):
        read(["2026-01-01T00:00:00Z"])


def _rows() -> LocatedArray:
    """Three incidents a day in a few cells, and on the last day enough in one to be found."""
    n = 3 * _DAYS
    rows = np.zeros(n + 12, LOCATED)
    rows["record"] = np.arange(1, rows.size + 1)
    rows["revision"] = 1
    rows["kind"] = 1
    rows["ix"][:n] = np.arange(n) % 7
    rows["iy"][:n] = np.arange(n) % 5
    rows["occurred"][:n] = _START + 617 + np.arange(n) * (DAY_S // 3)
    rows["occurred"][n:] = _START + _DAYS * DAY_S - 7_000 * np.arange(12)
    rows["recorded_us"] = rows["occurred"] * 1_000_000
    return rows
