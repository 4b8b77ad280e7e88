"""What leaves the monitor: detections of a look, and alerts about episodes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from schemas.base import Contract, UtcTime
from schemas.feeds import FeedNotice


class EpisodeState(StrEnum):
    """Where an episode stands in its life."""

    EMERGING = "emerging"
    """It was opened, and has not changed much since."""
    GROWING = "growing"
    """Its score is clearly above that of the last alert."""
    STEADY = "steady"
    """It is still above threshold, and has not grown for a day."""
    RECEDING = "receding"
    """Its score has fallen below the threshold, but not below the closing level."""
    CLOSED = "closed"
    """It was below the closing level for a day."""
    RETRACTED = "retracted"
    """The records that opened it were withdrawn or amended away."""


class AlertReason(StrEnum):
    """Why this revision was sent; nothing else is ever sent."""

    OPENED = "opened"
    """A window reached the threshold where no episode was open."""
    ESCALATED = "escalated"
    """The score is 1.5 times that of the last alert, with at least two incidents more."""
    EVIDENCE_WITHDRAWN = "evidence_withdrawn"
    """Records of what was told were withdrawn or amended; with state `retracted` where too little is left."""
    CLOSED = "closed"
    """It was below the closing level for a day."""


HoursName = Literal["any", "mornings", "afternoons", "nights", "weekend_days", "weekend_nights"]
HOURS_NAMES: Final[tuple[HoursName, ...]] = (
    "any",
    "mornings",
    "afternoons",
    "nights",
    "weekend_days",
    "weekend_nights",
)
"""By WeekPart."""

#: Config of the plain dataclasses below: made by the thousand from our own numbers, validated only when read.
_CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Window:
    """A cylinder: the cells whose centres lie within a radius of a centre cell, over a span of time."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    longitude: float
    latitude: float
    easting: float
    northing: float
    radius_m: Annotated[float, Field(ge=0)]
    """From the centre to the far edge of the outermost cells, metres."""
    start: UtcTime
    end: UtcTime
    hours: HoursName = "any"
    """Only these hours of the span, by the clock of the region: from Monday to Friday mornings (06:00 to 12:00) or
    afternoons (12:00 to 18:00), weekend days (06:00 to 18:00), weekend nights (18:00 to 06:00, Friday evening to Sunday
    morning), or all other nights."""


@dataclass(frozen=True, slots=True)
class DetectedWindow:
    """A window above the closing level at one look."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    window: Window
    observed: dict[str, int]
    """Incidents per kind of source."""
    expected: dict[str, float]
    """Usual incidents of this window per kind of source."""
    score: float
    recurrence_interval_days: float


@dataclass(frozen=True, slots=True)
class LookReport:
    """A look that found something."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    as_of: UtcTime
    threshold: float
    detections: tuple[DetectedWindow, ...]


class LookReports(Contract):
    """What each look that found something found, oldest first (topic hotspot.detections)."""

    region: str
    looks: tuple[LookReport, ...]


class Alert(Contract):
    """One revision of what the partnership is told about an episode (topic hotspot.alerts)."""

    episode_id: str
    revision: int = Field(ge=1)
    state: EpisodeState
    reason: AlertReason
    region: str
    region_name: str
    opened_at: UtcTime
    as_of: UtcTime
    """What was known at this moment is what is told here."""
    window: Window
    observed: dict[str, int]
    expected: dict[str, float]
    score: float
    recurrence_interval_days: float
    """How often chance alone would do this in the whole region, days; capped."""
    permutation_p_value: float | None
    """A second opinion that asks nothing of the expectation: chance of as many incidents in this window, were the times
    of all incidents shuffled over their places. Of this window alone. None for an alert that brings no new window."""
    evidence: Literal["police_only", "ed_only", "both"]
    """Which kinds of source stand above what is usual for them."""
    effect: dict[str, float]
    """Of each kind of source, observed by expected; 0 where nothing is expected."""
    headline: str
    not_known: tuple[FeedNotice, ...] = ()
    """Feeds that are silent or look broken as of this alert: what they would have told is not in it."""
    simulated: bool = False
    """The records behind it are simulated: an exercise, never a real alert."""
    marking: str = "OFFICIAL-SENSITIVE"


class AlertEvent(Contract):
    """An alert as CloudEvents 1.0."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    """`<episode_id>.<revision>`: the idempotency key of every sink."""
    source: str
    type: Literal["hotspot.alert.v1"] = "hotspot.alert.v1"
    time: UtcTime
    subject: str
    datacontenttype: Literal["application/json"] = "application/json"
    data: Alert


def alert_event(alert: Alert) -> AlertEvent:
    """Wrap an alert for the topic; a function of the alert alone."""
    return AlertEvent(
        id=f"{alert.episode_id}.{alert.revision}",
        source=f"hotspot/{alert.region}",
        time=alert.as_of,
        subject=alert.episode_id,
        data=alert,
    )
