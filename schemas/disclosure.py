"""What of an alert each audience may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field

from schemas.alert import Compared, HoursName, Link, Paragraph, Polygons
from schemas.base import Contract, UtcTime
from schemas.episodes import AlertReason, EpisodeState, Handling, Passage
from schemas.feeds import FeedNotice

Audience = Literal["health", "police", "partnership", "public"]
"""Who reads: those with the health permission, the police, the rest of the partnership, anybody."""


@dataclass(frozen=True, slots=True)
class ShownCount:
    """A count as an audience may see it: somewhere from `low` to `high`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    low: int
    high: int
    words: str
    """Such as `5`, `1 to 7` or `about 20`."""


class Disclosed(Contract):
    """One alert revision as one audience may see it: headline and text are made from what is here, and nothing else."""

    audience: Audience
    episode_id: str
    revision: int = Field(ge=1)
    state: EpisodeState
    reason: AlertReason
    region: str
    region_name: str
    opened_at: UtcTime
    as_of: UtcTime
    start: UtcTime
    """Of the window, as `end`; whole days for the public."""
    end: UtcTime
    hours: HoursName
    place: str
    grid_reference: str
    polygons: Polygons
    """With at least eight addresses; empty where it is not known how many there are, or where too few are near."""
    addresses: int | None
    """In these polygons, at least; None where that is not known."""
    counts: dict[str, ShownCount]
    """By kind of source; a kind of which nothing may be told is left out."""
    usual: dict[str, float]
    """Of the kinds whose counts are exact."""
    evidence: Literal["police_only", "ed_only", "both"] | None
    alone_days: dict[str, float]
    """How often chance alone would do this, by kinds whose counts are exact, each by itself; days."""
    by_hour: dict[str, tuple[int, ...]]
    """Of the kinds whose counts are exact."""
    compared: Compared | None
    """Of the kinds whose counts are exact."""
    not_known: tuple[FeedNotice, ...]
    state_since: UtcTime | None
    history: tuple[Passage, ...]
    split_from: str
    merged_into: str
    absorbed: tuple[str, ...]
    people: Handling
    muted: bool
    muted_until: UtcTime | None
    review_at: UtcTime | None
    expires_at: UtcTime | None
    marking: str
    handling: str
    simulated: bool
    links: tuple[Link, ...]
    attribution: str
    headline: str
    paragraphs: tuple[Paragraph, ...]
