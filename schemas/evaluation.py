"""What an evaluation is told: hotspots to plant."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field, model_validator

from schemas.base import Contract


class Busyness(StrEnum):
    """What sort of place a hotspot is planted in, by how much usually happens near it."""

    QUIET = "quiet"
    MEDIUM = "medium"
    BUSY = "busy"


class HoursOfWeek(StrEnum):
    """When in the week a hotspot is active."""

    USUAL = "usual"
    """As violence in general."""
    AFTERNOONS = "afternoons"
    """Monday to Friday, 14:00 to 18:00."""
    WEEKEND_NIGHTS = "weekend-nights"
    """Friday and Saturday from 20:00 to 04:00."""


class Growth(StrEnum):
    """How a hotspot's incidents lie in its time."""

    FLAT = "flat"
    GROWING = "growing"
    """From nothing at its begin, evenly more and more."""


class HotspotSpec(Contract):
    """A sort of hotspot: a row of the file that `hotspot backtest --inject` reads."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    repeats: int = Field(default=1, ge=1, le=100_000)
    radius_m: float = Field(ge=0, le=5_000)
    days: float = Field(gt=0, le=90)
    incidents: int | None = Field(default=None, ge=1, le=1_000)
    relative_risk: float | None = Field(default=None, gt=1, le=1_000)
    """Instead of `incidents`: how many times the usual happens in its disc and time, itself included."""
    place: Busyness | None = None
    """None: anywhere, as often as incidents are there."""
    second_part: float = Field(default=0.0, ge=0, le=1)
    """Part of its incidents that only the second kind of source sees."""
    hours: HoursOfWeek = HoursOfWeek.USUAL
    growth: Growth = Growth.FLAT
    start: AwareDatetime | None = None
    """Where it is given, with offset from UTC, the hotspot begins then; else at any time of the period."""
    longitude: float | None = Field(default=None, ge=-180, le=180)
    latitude: float | None = Field(default=None, ge=-90, le=90)

    @model_validator(mode="after")
    def _told_once(self) -> HotspotSpec:
        if (self.incidents is None) == (self.relative_risk is None):
            raise ValueError("a hotspot has either incidents or a relative_risk")
        if (self.longitude is None) != (self.latitude is None):
            raise ValueError("a hotspot has both longitude and latitude, or neither")
        if self.longitude is not None and self.place is not None:
            raise ValueError("a hotspot has either longitude and latitude or a sort of place")
        return self
