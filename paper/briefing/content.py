"""What a briefing is made of: alerts as one audience may see them, and what lies around them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from processors.grid import Grid
from schemas.alert import Alert
from schemas.disclosure import Audience, Disclosed
from schemas.region import RegionFile

#: Episodes that ended so long ago, or less, are named on the summary.
ENDED_WITHIN = timedelta(days=7)


@dataclass(frozen=True)
class Surroundings:
    """What maps draw below an episode."""

    region: RegionFile
    grid: Grid
    addresses: Mapping[tuple[int, int], int] = field(default_factory=dict)
    """Addresses by cell: where people live, and so a likeness of streets. Empty where it is not known."""


@dataclass(frozen=True)
class Briefing:
    """All that is printed."""

    audience: Audience
    as_of: datetime
    opened: tuple[Disclosed, ...]
    """Open at that moment, the newest first."""
    ended: tuple[Disclosed, ...]
    """Closed or retracted in the days before it, the newest first."""
    around: Surroundings


def latest_at(alerts: Iterable[Alert], region: str, as_of: datetime) -> list[Alert]:
    """Of each episode of a region its newest revision as known at a moment, the newest episode first."""
    found: dict[str, Alert] = {}
    for alert in alerts:
        if alert.region != region or alert.as_of > as_of:
            continue
        if alert.episode_id not in found or alert.revision > found[alert.episode_id].revision:
            found[alert.episode_id] = alert
    return sorted(found.values(), key=lambda alert: (alert.opened_at, alert.episode_id), reverse=True)


def open_of(alerts: Iterable[Alert]) -> list[Alert]:
    """Those that are not over."""
    return [alert for alert in alerts if not alert.state.is_over]


def ended_of(alerts: Iterable[Alert], as_of: datetime) -> list[Alert]:
    """Those that are over since a few days."""
    return [alert for alert in alerts if alert.state.is_over and as_of - alert.as_of <= ENDED_WITHIN]
