"""A scan statistic job as established tools state it, and its result: the contract of `hotspot scan`."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated

from pydantic import Field, model_validator

from schemas.base import Contract


class ScanModel(StrEnum):
    """Under which null the cases are drawn."""

    PERMUTATION = "permutation"
    """Places and days of the cases are independent (Kulldorff et al. 2005)."""
    POISSON = "poisson"
    """Cases are in proportion to the population (Kulldorff 2001)."""


class TimeUnit(StrEnum):
    """Unit of dates and of the intervals that cases are counted in."""

    YEAR = "year"
    MONTH = "month"
    DAY = "day"


class Inference(StrEnum):
    """How many replications are made and how p-values are read."""

    STANDARD = "standard"
    """All replications; the rank of a cluster among them."""
    SEQUENTIAL = "sequential"
    """Stops when the most likely cluster has been reached often enough."""
    DEFAULT = "default"
    """Sequential, and the Gumbel tail where the rank is too small to tell."""


class ScanJob(Contract):
    """One scan: model, windows, inference. Files are read apart from it."""

    model: ScanModel
    prospective: bool = True
    """Windows end with the study period; else anywhere in it."""
    start: date
    end: date
    spherical: bool = False
    """Coordinates are latitude and longitude in degrees, distances kilometres along great circles."""
    unit: TimeUnit = TimeUnit.DAY
    """Of the length of windows and of `interval`."""
    interval: Annotated[int, Field(ge=1)] = 1
    """Units that are counted together (time aggregation). Intervals are laid from the end of the study period."""
    case_precision: TimeUnit = TimeUnit.DAY
    max_radius: Annotated[float, Field(gt=0)] | None = None
    """In units of the coordinates, or kilometres where they are spherical."""
    max_population_percent: Annotated[float, Field(gt=0, le=50)] = 50.0
    """Largest circle, as part of the population at risk (of the cases, for the permutation model)."""
    max_time: Annotated[float, Field(gt=0)]
    """Longest window, in units, or in percent of the study period."""
    max_time_is_percent: bool = False
    min_time: Annotated[int, Field(ge=1)] = 1
    """Shortest window, units."""
    min_cases: Annotated[int, Field(ge=2)] = 2
    replications: Annotated[int, Field(ge=0, le=999_999)] = 999
    inference: Inference = Inference.STANDARD
    stop_after: Annotated[int, Field(ge=1)] = 50
    """Sequential inference ends when so many replications reached the most likely cluster."""
    seed: Annotated[int, Field(ge=0)] = 20260101
    threads: Annotated[int, Field(ge=1, le=256)] = 1

    @model_validator(mode="after")
    def _ordered(self) -> ScanJob:
        if self.end < self.start:
            raise ValueError("the study period ends before it starts")
        if self.max_time_is_percent and self.max_time > 90:
            raise ValueError("windows are at most 90 % of the study period")
        return self


class ScanCluster(Contract):
    """One cluster; no two of a result share a location."""

    rank: int
    location_id: str
    """Its centre."""
    x: float
    """Of the centre as in the coordinates file: x, or longitude."""
    y: float
    """y, or latitude."""
    radius: float
    """Distance from the centre to the farthest location, in units of the coordinates or kilometres."""
    start: date
    end: date
    locations: tuple[str, ...]
    """Nearest first."""
    observed: int
    expected: float
    statistic: float
    """Log likelihood ratio."""
    p_value: float | None
    """Part of the replications, and the data themselves, whose largest statistic is at least this one."""
    gumbel_p_value: float | None
    recurrence_interval_days: float | None
    """Prospective scans only: how often chance alone would show this, days; at most 100 years."""


class ScanResult(Contract):
    """What a scan found, best first."""

    model: ScanModel
    prospective: bool
    start: date
    end: date
    cases: int
    locations: int
    replications: int
    """That were made."""
    seed: int
    threads: int
    seconds: float
    """For reading clusters off the data and for all replications; without reading files and compiling."""
    clusters: tuple[ScanCluster, ...]
