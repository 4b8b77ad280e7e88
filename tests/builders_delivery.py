"""Alerts as they are told, and routes by which they go, for tests of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from alerts.disclosure import Discloser
from alerts.outline import disc, outline
from alerts.publication import Publication
from alerts.wording import worded
from processors.grid import Grid
from schemas.alert import Alert, Link, Paragraph, UnitWeek
from schemas.delivery import Delivery, DeliveryResult, Verdict
from schemas.disclosure import Audience, Disclosed
from schemas.episodes import Passage
from schemas.routes import Route, RoutesFile
from tests.builders import GUILDHALL_CELL, NOW, alert, hampshire

SECRET = "whsec_" + "c2VjcmV0LW9mLWEtd2ViaG9vay1mb3ItdGVzdHM="
WEBHOOK: dict[str, Any] = {"kind": "webhook", "url": "https://example.org/hook", "secret_env": "HOOK_SECRET"}
MAIL: dict[str, Any] = {
    "kind": "mail",
    "host": "mail.example.org",
    "sender": "hotspot@vrp.example.org",
    "recipients": ["analysts@vrp.example.org", "chair@vrp.example.org"],
}
TEAMS: dict[str, Any] = {"kind": "teams", "url_env": "TEAMS_URL"}
FEED: dict[str, Any] = {"kind": "feed", "token_env": "FEED_TOKEN"}


def full_alert(**fields: Any) -> Alert:
    """A revision with all that a meeting is told, worded; the history follows from the number of the revision."""
    revision = fields.get("revision", 1)
    base = alert(
        **{
            "place": "2.4 km north-east of Eastleigh",
            "grid_reference": "SU 418 121",
            "polygons": outline(disc(*GUILDHALL_CELL, 1), Grid(hampshire())),
            "by_hour": {"ed": (0,) * 23 + (2,), "police": (1,) + (0,) * 22 + (2,)},
            "alone_days": {"ed": 3.0, "police": 40.0},
            "published": (UnitWeek("2/441/112", "2026-W09", {"ed": 2, "police": 3}),),
            "review_at": NOW + timedelta(days=1, hours=-3),
            "expires_at": NOW + timedelta(days=7),
            "state_since": NOW,
            "handling": "For the meeting. Do not pass it on.",
            "links": (Link("Episode", "https://hotspot.example.org/episodes/hampshire-1"),),
            **fields,
        }
    )
    history = tuple(
        Passage(number, base.as_of - timedelta(days=revision - number), base.state, base.reason)
        for number in range(1, revision + 1)
    )
    return worded(base.model_copy(update={"history": history}), hampshire().zone)


@cache
def discloser() -> Discloser:
    """Of Hampshire, where it is not known how many addresses there are."""
    return Discloser(hampshire(), Publication())


_TOLD: dict[str, Disclosed] = {}
"""Made before, as making one takes long."""


def told(audience: Audience = "police", **fields: Any) -> Disclosed:
    """The same as an audience may see it, where it is not known how many addresses there are."""
    name = f"{audience} {sorted(fields.items())}"
    if name not in _TOLD:
        found = discloser().disclose(full_alert(**fields), audience)
        assert found is not None
        _TOLD[name] = found
    return _TOLD[name]


def plainly(told: Disclosed) -> Disclosed:
    """With a short text that stays when the words of alerts change: for tests of what is around it."""
    exercise = "[SIMULATED] " if told.simulated else ""
    return told.model_copy(
        update={
            "headline": f"{exercise}Violence in Southampton, told because it was {told.reason.value}.",
            "paragraphs": (
                Paragraph("where", "Where", f"{told.place}. Not <Bow & Arrow>."),
                Paragraph("how_many", "How many", "3 – usually 0.3."),
                Paragraph("review", "Review", "Look at it on Monday."),
                Paragraph("links", "Links", "Episode: https://hotspot.example.org/episodes/hampshire-1"),
            ),
        }
    )


def route(**fields: Any) -> Route:
    """A webhook for the police that wants everything."""
    return Route.model_validate({"id": "control-room", "audience": "police", "sink": WEBHOOK, **fields})


def routes(*found: Route, **fields: Any) -> RoutesFile:
    """A file with these routes."""
    return RoutesFile(routes=found, sender="hotspot@vrp.example.org", **fields)


def fact(revision: int = 1, result: DeliveryResult = DeliveryResult.SENT, **fields: Any) -> Delivery:
    """What became of a revision of the episode of `alert` on the route of `route`."""
    skipped = result is DeliveryResult.SKIPPED
    given: dict[str, Any] = {
        "route": "control-room",
        "episode_id": alert().episode_id,
        "revision": revision,
        "result": result,
        "verdict": Verdict.TOO_COMMON if skipped else Verdict.SEND,
        "at": NOW,
        "audience": "police",
        "told_as_of": None if skipped else NOW,
        **fields,
    }
    return Delivery(**given)


def earlier(count: int) -> Sequence[tuple[int, datetime]]:
    """So many revisions told before, a day apart."""
    return [(number, NOW - timedelta(days=count - number + 1)) for number in range(1, count + 1)]
