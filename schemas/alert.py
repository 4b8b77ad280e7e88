"""What leaves the monitor: detections of a look, and alerts about episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final, Literal

from pydantic import ConfigDict, Field

from schemas.base import Contract, UtcTime
from schemas.episodes import AlertReason as AlertReason
from schemas.episodes import EpisodeState as EpisodeState
from schemas.episodes import Handling, Passage
from schemas.feeds import FeedNotice

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


Position = tuple[float, float]
"""Longitude and latitude, degrees."""
Polygons = tuple[tuple[tuple[Position, ...], ...], ...]
"""Coordinates of a GeoJSON MultiPolygon (RFC 7946): polygons of rings of positions; the first ring is the outside."""


@dataclass(frozen=True, slots=True)
class Spell:
    """Incidents at the place of a window in another time."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    start: UtcTime
    end: UtcTime
    observed: dict[str, int]
    """By kind, in the hours of the week that the window is confined to."""
    per_window: dict[str, float]
    """The same for as long a time as the window has."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What was at this place before; all as known at the moment of the alert."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    last_8_weeks: Spell | None
    """The eight weeks before the window began; None where the records do not reach back so far."""
    last_year: Spell | None
    """Four weeks, or as long as the window where that is longer, that ended 52 weeks before it did."""
    weeks: tuple[Spell, ...]
    """Each of the twelve weeks up to the end of the window, oldest first, as far as records reach back: for a chart."""
    usual_week: dict[str, float]
    """What is usual in a week at present, by kind."""


ParagraphName = Literal[
    "where", "when", "how_many", "how_unusual", "compared", "not_known", "history", "review", "marking", "links"
]


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A part of the text of an alert."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    name: ParagraphName
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where more is to be seen."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    title: str
    href: str


@dataclass(frozen=True, slots=True)
class UnitWeek:
    """A unit of publication in one ISO week: what may be told of it to those without the health permission."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    unit: str
    """`level/column/row` of a square tile of cells."""
    week: str
    """Such as 2026-W09, Monday to Sunday by the region's clock."""
    observed: dict[str, int]
    """Incidents by kind, as known when this unit and week was first told of; never changed after that."""


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
    handling: str = ""
    """Who may read it, and what they may do with it."""
    paragraphs: tuple[Paragraph, ...] = ()
    """The text below the headline, in the order in which it is read."""
    place: str = ""
    """Where, by the name of the nearest place."""
    grid_reference: str = ""
    """Of the centre on the British National Grid, to 100 m; empty elsewhere."""
    polygons: Polygons = ()
    """Outline of the cells of the window."""
    by_hour: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    """Incidents of the window by hour of the day on the region's clock, 24 numbers for each kind."""
    kind_scores: dict[str, float] = Field(default_factory=dict)
    """What each kind adds to the score."""
    alone_days: dict[str, float] = Field(default_factory=dict)
    """The recurrence interval that each kind alone would have, days."""
    compared: Compared | None = None
    late_share: dict[str, float] = Field(default_factory=dict)
    """Of each kind, the part of such a window's incidents that is usually not known yet."""
    unlocated_share: dict[str, float] = Field(default_factory=dict)
    """Of each kind, the part of the region's newer records that has no place, or no time, good enough to be scanned."""
    state_since: UtcTime | None = None
    history: tuple[Passage, ...] = ()
    """Every revision up to this one, oldest first; of very long stories the first and the newest."""
    split_from: str = ""
    """The episode of which this one was a part when it opened."""
    merged_into: str = ""
    """The episode whose window lies over this one's, where this one ended because of it."""
    absorbed: tuple[str, ...] = ()
    """Episodes that went on in this one."""
    people: Handling = Handling()
    """What people did about it."""
    muted: bool = False
    """A mute holds this revision: it is kept and listed, and nobody is to be disturbed by it."""
    muted_until: UtcTime | None = None
    """Of the mute that holds this place, whether or not it holds this revision."""
    review_at: UtcTime | None = None
    """When a person should look at it again at the latest; None when it is over."""
    expires_at: UtcTime | None = None
    """What it says is not to be relied on after that."""
    links: tuple[Link, ...] = ()
    attribution: str = ""
    """Owed to those whose data name the place."""
    published: tuple[UnitWeek, ...] = ()
    """What `alerts.disclosure` makes the figures of readers without the health permission from."""


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
