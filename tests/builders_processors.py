"""Located records for the tests of processors, made by hand or drawn with a seed."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.detection import DAY_S, HOUR_S, DetectionSettings
from schemas.located import LOCATED, LocatedArray

#: A Monday, midnight UTC: 2022-01-03.
MONDAY = 1_641_168_000

SMALL = DetectionSettings(
    radii_cells=(0, 1, 2),
    spans_s=(6 * HOUR_S, 24 * HOUR_S, 72 * HOUR_S),
    part_spans_s=(72 * HOUR_S,),
    baseline_days=84,
    guard_days=2,
    min_history_days=28,
    level_days=28,
    calibration_days=14,
    min_incidents=2,
)


def located(**columns: Any) -> LocatedArray:
    """Rows of the given columns; what is not given is as of an ordinary first revision of a police record."""
    size = max([np.size(value) for value in columns.values() if np.ndim(value)], default=1)
    rows = np.zeros(size, LOCATED)
    rows["record"] = np.arange(1, size + 1)
    rows["revision"] = 1
    rows["kind"] = 1
    rows["weight"] = 1
    rows["occurred"] = MONDAY
    for name, value in columns.items():
        rows[name] = value
    if "recorded_us" not in columns:
        rows["recorded_us"] = rows["occurred"] * 1_000_000
    return rows


def history(
    rng: np.random.Generator,
    days: int,
    per_day: float,
    *,
    start: int = MONDAY,
    side: int = 14,
    kind: int = 1,
    first_record: int = 1,
    delay_s: int = 0,
) -> LocatedArray:
    """Incidents without any hotspot: some places busier than others, evenings busier than mornings."""
    n = int(rng.poisson(days * per_day))
    busy = rng.gamma(0.7, 1.0, side * side)
    cell = rng.choice(side * side, n, p=busy / busy.sum())
    hour = rng.choice(24, n, p=(2.0 + np.cos((np.arange(24) - 22) / 24 * 2 * np.pi)) / 48.0)
    occurred = start + rng.integers(0, days, n) * DAY_S + hour * HOUR_S + rng.integers(0, HOUR_S, n)
    late = (rng.exponential(delay_s, n) if delay_s else np.zeros(n)).astype(np.int64)
    rows = located(
        record=np.arange(first_record, first_record + n),
        kind=kind,
        ix=cell % side - side // 2,
        iy=cell // side - side // 2,
        occurred=occurred,
        recorded_us=(occurred + late) * 1_000_000,
    )
    return rows[np.argsort(rows["recorded_us"], kind="stable")]
