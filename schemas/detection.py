"""How a region is scanned, and what a look finds."""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from schemas.base import Contract

DAY_S = 86_400
HOUR_S = 3_600
PART_SPANS_S = tuple(days * DAY_S for days in (7, 14, 28))
#: Candidates among windows are noted in words of so many bits.
MOST_SHAPES = 64


class WeekPart(IntEnum):
    """Hours of the week, by the clock of the region, that some windows are confined to; each hour is in one of them.

    A public holiday counts as a Sunday, the evening before it as that of a Saturday.
    """

    ANY = 0
    MORNINGS = 1
    """Monday to Friday, 06:00 to 12:00."""
    AFTERNOONS = 2
    """Monday to Friday, 12:00 to 18:00."""
    NIGHTS = 3
    """18:00 to 06:00, Sunday evening to Friday morning."""
    WEEKEND_DAYS = 4
    """Saturday and Sunday, 06:00 to 18:00."""
    WEEKEND_NIGHTS = 5
    """18:00 to 06:00, Friday evening to Sunday morning."""


class Shape(NamedTuple):
    """The times that a window holds: some hours of the last so many seconds."""

    span_s: int
    part: WeekPart


class DetectionSettings(Contract):
    """Everything that the detector may be told; two detectors with equal settings and records agree."""

    radii_cells: tuple[int, ...] = (0, 1, 2, 3, 4, 6, 8)
    """Radii of the windows, in cells, smallest first."""
    spans_s: tuple[int, ...] = tuple(hours * HOUR_S for hours in (6, 12, 24, 48, 72, 168, 336, 672))
    """Lengths of the windows in seconds, shortest first."""
    part_spans_s: tuple[int, ...] = PART_SPANS_S
    """Lengths, of those above, of windows that hold one part of the week only; none for no such windows. Where spans
    are given and this is not, those of 7, 14 and 28 days that are among the spans."""
    span_penalty: float = Field(default=0.75, ge=0, le=2)
    """How far the bar is raised for windows shorter than a day or longer than two weeks: by this times the logarithm of
    how many times shorter or longer."""
    part_penalty: float = Field(default=1.0, ge=0, le=10)
    """How far it is raised for windows that hold one part of the week only."""
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

    @model_validator(mode="before")
    @classmethod
    def _parts_of_given_spans(cls, given: Any) -> Any:
        spans = given.get("spans_s") if isinstance(given, dict) else None
        if isinstance(spans, list | tuple) and "part_spans_s" not in given:
            return {**given, "part_spans_s": tuple(span for span in PART_SPANS_S if span in spans)}
        return given

    @model_validator(mode="after")
    def _increasing(self) -> DetectionSettings:
        for name in ("radii_cells", "spans_s"):
            values = getattr(self, name)
            if list(values) != sorted(set(values)) or not values:
                raise ValueError(f"{name} must increase")
        if self.radii_cells[0] < 0 or self.spans_s[0] < HOUR_S:
            raise ValueError("radii are at least 0 cells and spans at least an hour")
        if list(self.part_spans_s) != sorted(set(self.part_spans_s) & set(self.spans_s)):
            raise ValueError("part_spans_s must increase and be among spans_s")
        if len(self.shapes) > MOST_SHAPES:
            raise ValueError(
                f"windows have {len(self.shapes)} shapes, the spans and five for each of part_spans_s; "
                f"there is room for {MOST_SHAPES}"
            )
        return self

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """Which times windows hold. Those of any hour come last, the longest at the end."""
        in_parts = [Shape(span, part) for part in WeekPart if part is not WeekPart.ANY for span in self.part_spans_s]
        return (*in_parts, *(Shape(span, WeekPart.ANY) for span in self.spans_s))

    @property
    def penalties(self) -> tuple[float, ...]:
        """What is taken off the score of a window of each shape before it is compared with others.

        There are as many more windows to be wrong in as they are shorter (Dümbgen and Spokoiny 2001; Walther and Perry
        2022): without a penalty more than half of the alarm budget goes to bursts that are over within a night.
        """
        return tuple(
            self.span_penalty * max(math.log(DAY_S / shape.span_s), math.log(shape.span_s / (14 * DAY_S)), 0.0)
            + (self.part_penalty if shape.part is not WeekPart.ANY else 0.0)
            for shape in self.shapes
        )


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
    penalty: float = 0.0
    """Of its shape."""
    part: WeekPart = WeekPart.ANY
    """The window holds only these hours of its span."""

    @property
    def level(self) -> float:
        """What thresholds are about: the score less the penalty."""
        return self.score - self.penalty
