"""Which routes get an alert revision, why not, and when: pure, from the revision, the rules and what was told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from schemas.alert import Alert, AlertReason, EpisodeState, Position
from schemas.delivery import Delivery, Verdict
from schemas.routes import WEEKDAYS, Quiet, Route, Weekday

#: Told to whoever was told of the episode before, whatever a route filters by.
_FOLLOW_UPS: Final = frozenset({AlertReason.CLOSED, AlertReason.MERGED, AlertReason.EVIDENCE_WITHDRAWN})


@dataclass(frozen=True, slots=True)
class Told:
    """How far one route has come with one episode."""

    settled: int = 0
    """The latest revision of which it is known what became."""
    sent: tuple[tuple[int, datetime], ...] = ()
    """Revisions that the receiver has, or may have: number and `as_of` as told, oldest first."""

    @property
    def is_told(self) -> bool:
        """Whether the receiver knows of the episode."""
        return bool(self.sent)

    def after(self, fact: Delivery) -> Told:
        """With one fact more; a fact that is known already changes nothing."""
        if fact.revision <= self.settled:
            return self
        # A dead letter may have arrived although no answer came back: it has a `told_as_of`, and counts as told.
        more = () if fact.told_as_of is None else ((fact.revision, fact.told_as_of),)
        return Told(fact.revision, self.sent + more)


@dataclass(slots=True)
class Ledger:
    """What each route was told, by route and episode: the sum of all facts."""

    _told: dict[tuple[str, str], Told] = field(default_factory=dict)

    def take(self, facts: Iterable[Delivery]) -> Ledger:
        """Add facts, oldest first; the same again changes nothing."""
        for fact in facts:
            key = (fact.route, fact.episode_id)
            self._told[key] = self._told.get(key, Told()).after(fact)
        return self

    def told(self, route_id: str, episode_id: str) -> Told:
        """How far a route has come with an episode."""
        return self._told.get((route_id, episode_id), Told())


def decide(alert: Alert, route: Route, told: Told) -> Verdict:
    """Whether a route gets a revision, and why (not). Whether its audience may be told is for disclosure to say."""
    retracted = alert.state is EpisodeState.RETRACTED
    if alert.muted and route.is_for_people and not (retracted and told.is_told):
        return Verdict.MUTED
    if alert.state.is_over or alert.reason in _FOLLOW_UPS:
        return Verdict.FOLLOW_UP if told.is_told else Verdict.NEVER_TOLD
    if route.regions and alert.region not in route.regions:
        return Verdict.OTHER_REGION
    if route.states and alert.state not in route.states:
        return Verdict.OTHER_STATE
    if route.reasons and alert.reason not in route.reasons:
        return Verdict.OTHER_REASON
    if told.is_told:
        return Verdict.SEND
    if route.area and not holds(route.area, alert.window.longitude, alert.window.latitude):
        return Verdict.OUTSIDE_AREA
    return Verdict.SEND if alert.recurrence_interval_days >= route.min_recurrence_days else Verdict.TOO_COMMON


def decide_all(alert: Alert, routes: Iterable[Route], ledger: Ledger) -> Mapping[str, Verdict]:
    """The verdict of each enabled route, by its id."""
    return {
        route.id: decide(alert, route, ledger.told(route.id, alert.episode_id)) for route in routes if route.enabled
    }


def not_before(alert: Alert, route: Route, came_at: datetime, now: datetime, told: Told, zone: ZoneInfo) -> datetime:
    """When a revision that came at a moment may be sent: `now`, or a later moment until which it is held.

    A digest's time follows from when the revision came, so that a restart does not put it off to the next meeting.
    """
    retraction = alert.state is EpisodeState.RETRACTED and told.is_told
    if route.digest is not None:
        return max(now, _next(came_at, route.digest.days, route.digest.at, zone))
    if route.quiet is not None and alert.reason not in route.quiet.let_through and not retraction:
        return max(now, _quiet_until(now, route.quiet, zone))
    return now


def digest_slot(route: Route, came_at: datetime, zone: ZoneInfo) -> datetime:
    """The meeting whose digest tells of what came at a moment. Raises ValueError for a route without digests."""
    if route.digest is None:
        raise ValueError(f"route {route.id} has no digest")
    return _next(came_at, route.digest.days, route.digest.at, zone)


def holds(polygon: tuple[Position, ...], x: float, y: float) -> bool:
    """Whether a point lies in a polygon (even-odd rule), as on a plane."""
    inside = False
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


def _next(after: datetime, days: tuple[Weekday, ...], at: time, zone: ZoneInfo) -> datetime:
    """The first such moment of the week that is later."""
    local = after.astimezone(zone)
    moments = (
        datetime.combine(local.date() + timedelta(days=ahead), at, zone)
        for ahead in range(8)
        if WEEKDAYS[(local.weekday() + ahead) % 7] in days
    )
    return next(moment for moment in moments if moment > after).astimezone(after.tzinfo)


def _quiet_until(now: datetime, quiet: Quiet, zone: ZoneInfo) -> datetime:
    """When the quiet hours in which `now` lies end; `now` itself outside of them."""
    local = now.astimezone(zone)
    for back in (1, 0):
        day = local.date() - timedelta(days=back)
        if WEEKDAYS[day.weekday()] not in quiet.days:
            continue
        begins = datetime.combine(day, quiet.begins, zone)
        last = day if quiet.ends > quiet.begins else day + timedelta(days=1)
        ends = datetime.combine(last, quiet.ends, zone)
        if begins <= now < ends:
            return ends.astimezone(now.tzinfo)
    return now


def due(
    waiting: Sequence[tuple[Alert, datetime]], route: Route, now: datetime, told: Told, zone: ZoneInfo
) -> datetime | None:
    """When the first of those revisions of an episode that wait may go; None if none of them is sent.

    Each came at the moment beside it. None overtakes another, so the first goes as soon as any of them may.
    """
    as_if_told = told if told.is_told else Told(told.settled, ((told.settled, now),))
    moments = [
        not_before(alert, route, came_at, now, told, zone)
        for place, (alert, came_at) in enumerate(waiting)
        if decide(alert, route, as_if_told if place else told).is_sent
    ]
    return min(moments, default=None)
