"""How a region is scanned, and what a look finds."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field, model_validator

from schemas.base import Contract

DAY_S = 86_400
HOUR_S = 3_600


class DetectionSettings(Contract):
    """Everything that the detector may be told; two detectors with equal settings and records agree."""

    radii_cells: tuple[int, ...] = (0, 1, 2, 3, 4, 6, 8)
    """Radii of the windows, in cells, smallest first."""
    spans_s: tuple[int, ...] = tuple(hours * HOUR_S for hours in (6, 12, 24, 48, 72, 168, 336, 672))
    """Lengths of the windows in seconds, shortest first."""
    min_incidents: int = Field(default=3, ge=2, le=100)
    """A window with fewer incidents, all kinds together, is never a detection."""
    baseline_days: int = Field(default=1095, ge=60, le=3650)
    """How far back the baseline looks, days."""
    guard_days: int = Field(default=14, ge=0, le=90)
    """The newest days, which do not teach the baseline."""
    min_history_days: int = Field(default=90, ge=28, le=730)
    """No detection before the baseline has seen this many days."""
    refit_days: int = Field(default=7, ge=1, le=28)
    """The baseline is fitted again this often, at local midnight."""
    level_days: int = Field(default=56, ge=7, le=365)
    """The level of a kind is that of this many days before the guard gap."""
    merge_minutes: int = Field(default=60, ge=0, le=1440)
    """Records of one kind in one cell at most this far apart are one incident."""
    budget_per_28d: float = Field(default=2.0, gt=0, le=100)
    """False episodes that the partnership accepts in 28 days, over the whole region."""
    calibration_days: int = Field(default=546, ge=7, le=3650)
    """Simulated days of one calibration."""
    calibration_max_age_days: int = Field(default=364, ge=1, le=3650)
    """A calibration older than this is renewed at the next refit."""
    close_fraction: float = Field(default=0.75, gt=0, le=1)
    """Hysteresis: a window stays a detection of its episode down to this part of the threshold."""
    seed: int = Field(default=20260101, ge=0)
    """Seed of the null simulation."""

    @model_validator(mode="after")
    def _increasing(self) -> DetectionSettings:
        for name in ("radii_cells", "spans_s"):
            values = getattr(self, name)
            if list(values) != sorted(set(values)) or not values:
                raise ValueError(f"{name} must increase")
        if self.radii_cells[0] < 0 or self.spans_s[0] < HOUR_S:
            raise ValueError("radii are at least 0 cells and spans at least an hour")
        return self


class Detection(NamedTuple):
    """A window above threshold at one look. Arrays of two are per kind: ED, police."""

    ix: int
    iy: int
    radius_cells: int
    span_s: int
    as_of: int
    """Seconds since 1970 UTC; the window is (as_of - span_s, as_of]."""
    observed: tuple[int, ...]
    expected: tuple[float, ...]
    score: float
    kind_scores: tuple[float, ...]
    around: tuple[int, ...] = (0, 0)
    """Incidents of the whole region in the same span."""
