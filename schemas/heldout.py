"""How good the baseline was on days that it had not learned from: the contract of `hotspot baseline`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, Literal

from pydantic import Field

from schemas.base import Contract
from schemas.detection import DetectionSettings

#: What is promised: |observed / expected − 1| at most this, for a whole year, and for each part of it.
YEAR_WITHIN: Final = 0.05
PART_WITHIN: Final = 0.10


class Part(Contract):
    """Observed and expected incidents of the whole region in a part of the period."""

    name: str
    whole: bool = True
    """Whether the period holds all of it, with an expectation on each day; a promise is judged by whole parts only."""
    observed: int
    expected: float
    ratio: float | None
    """Observed by expected; None where nothing was expected."""
    chance: float | None
    """Were incidents independent and the expectation true, 95 of 100 ratios would lie within 1 ± this."""


class CalibrationBin(Contract):
    """Cell-weeks whose expectation lay between two bounds."""

    at_least: float
    """Incidents a cell-week, as `below`."""
    below: float | None
    """None: no upper bound."""
    cell_weeks: int
    observed: int
    expected: float
    ratio: float | None


Method = Literal["baseline", "same_weeks_of_two_years", "last_8_weeks", "all_past_weeks"]


class Forecast(Contract):
    """How far one method's expectations lay from what happened in the cells, whole weeks only."""

    method: Method
    deviance: float | None
    """Mean Poisson deviance a cell-week, 2·(c·ln(c/μ) − (c − μ)); None where history is too short for the method."""
    crps: float | None = None
    """Mean continuous ranked probability score a cell-week of the Poisson forecast, incidents; None as `deviance`."""
    floor_seen: float | None = None
    """Least expectation of a cell that had seen an incident before, incidents a week; None for the baseline."""
    floor_new: float | None = None
    """Expectation of each cell that had never seen one, incidents a week; None for the baseline."""


class Promise(Contract):
    """One thing that the baseline is to keep, and whether it did."""

    text: str
    limit: float
    """Largest |ratio − 1|; for a comparison, what the quotient of the two deviances must stay below."""
    worst: str | None
    """The part that was worst, or the method compared with; None where there was nothing to judge by."""
    value: float | None
    """Its ratio, or the quotient."""
    holds: bool | None
    """None where there was nothing to judge by."""


class KindReport(Contract):
    """One kind of record."""

    kind: Literal["ed", "police"]
    days: int
    """With an expectation; only these are counted."""
    days_without: int
    """Days of the period without: too little had been learned."""
    total: Part
    by_year: tuple[Part, ...]
    by_month: tuple[Part, ...]
    """Each calendar month, such as 2016-02."""
    by_block: tuple[Part, ...]
    """The four parts of the week in which a place has its own share."""
    by_hour: tuple[Part, ...]
    """Local hours of the day."""
    by_weekday: tuple[Part, ...]
    weeks: int
    """Whole weeks, Monday to Sunday: the ones of `cell_weeks`, `forecasts` and `calibration`."""
    cell_weeks: int
    forecasts: tuple[Forecast, ...]
    """The baseline first."""
    calibration: tuple[CalibrationBin, ...]
    promises: tuple[Promise, ...]


class BaselineReport(Contract):
    """Held-out quality of the baseline of one region over a period."""

    region: str
    first: date
    """Days in the region's zone, both included."""
    last: date
    fits: int
    """Times that the baseline was fitted."""
    settings: DetectionSettings
    kinds: tuple[KindReport, ...] = Field(min_length=1)

    @property
    def broken(self) -> tuple[Promise, ...]:
        """Promises that were not kept, of all kinds."""
        return tuple(promise for kind in self.kinds for promise in kind.promises if promise.holds is False)


def promises_of(
    by_year: Sequence[Part],
    by_month: Sequence[Part],
    by_block: Sequence[Part],
    by_hour: Sequence[Part],
    by_weekday: Sequence[Part],
    forecasts: Sequence[Forecast],
) -> tuple[Promise, ...]:
    """All promises to one kind, judged. The baseline's forecast is the first, if there is any."""
    return (
        _within("each year within 5 %", YEAR_WITHIN, [part for part in by_year if part.whole]),
        _within("each month within 10 %", PART_WITHIN, [part for part in by_month if part.whole]),
        _within("each block of the week within 10 %", PART_WITHIN, by_block),
        _within("each hour of the day within 10 %", PART_WITHIN, by_hour),
        _within("each day of the week within 10 %", PART_WITHIN, by_weekday),
        *(_better(forecasts[0], other) for other in forecasts[1:]),
    )


def _within(text: str, limit: float, parts: Sequence[Part]) -> Promise:
    judged = [(part.ratio, part.name) for part in parts if part.ratio is not None]
    if not judged:
        return Promise(text=text, limit=limit, worst=None, value=None, holds=None)
    value, worst = max(judged, key=lambda part: abs(part[0] - 1.0))
    return Promise(text=text, limit=limit, worst=worst, value=value, holds=abs(value - 1.0) <= limit)


def _better(baseline: Forecast, other: Forecast) -> Promise:
    text = f"less deviance than {other.method}"
    if baseline.deviance is None or not other.deviance:
        return Promise(text=text, limit=1.0, worst=None, value=None, holds=None)
    value = baseline.deviance / other.deviance
    return Promise(text=text, limit=1.0, worst=other.method, value=value, holds=value < 1.0)
