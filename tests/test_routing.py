"""Which routes get a revision, why not, and when: by the rules of a file and what was told before."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.disclosure import Discloser
from alerts.routing import Ledger, Told, decide, decide_all, digest_slot, holds, not_before
from schemas.alert import AlertReason, EpisodeState
from schemas.delivery import DeliveryResult, Verdict
from schemas.routes import FeedSink, MailSink, RoutesFileError, TeamsSink, WebhookSink, load_routes, secret
from schemas.settings import Settings
from streams.deliveries import Deliveries
from streams.metrics import Metrics
from tests.builders import NOW, ROOT, FakeClock, alert
from tests.builders_delivery import FEED, MAIL, SECRET, TEAMS, fact, route

LONDON = ZoneInfo("Europe/London")
NEW, HEARD = Told(), Told(1, ((1, NOW),))
SQUARE = ((-1.5, 50.8), (-1.3, 50.8), (-1.3, 51.0), (-1.5, 51.0))
ELSEWHERE = ((0.0, 50.8), (0.2, 50.8), (0.2, 51.0))
GROWN = {"revision": 2, "state": EpisodeState.GROWING, "reason": AlertReason.ESCALATED}
OVER = {"revision": 2, "state": EpisodeState.CLOSED, "reason": AlertReason.CLOSED}
RETRACTED = {"revision": 2, "state": EpisodeState.RETRACTED, "reason": AlertReason.EVIDENCE_WITHDRAWN}
CORRECTED = {"revision": 2, "reason": AlertReason.EVIDENCE_WITHDRAWN}

# fmt: off
VERDICTS: dict[str, tuple[dict[str, Any], dict[str, Any], Told, Verdict]] = {
    "everything is asked for": ({}, {}, NEW, Verdict.SEND),
    "its region": ({"regions": ("hampshire",)}, {}, NEW, Verdict.SEND),
    "another region": ({"regions": ("kent",)}, {}, NEW, Verdict.OTHER_REGION),
    "in its area": ({"area": SQUARE}, {}, NEW, Verdict.SEND),
    "outside of its area": ({"area": ELSEWHERE}, {}, NEW, Verdict.OUTSIDE_AREA),
    "as rare as asked": ({"min_recurrence_days": 190}, {}, NEW, Verdict.SEND),
    "too common": ({"min_recurrence_days": 191}, {}, NEW, Verdict.TOO_COMMON),
    "another state": ({"states": ("growing",)}, {}, NEW, Verdict.OTHER_STATE),
    "another reason": ({"reasons": ("escalated",)}, {}, NEW, Verdict.OTHER_REASON),
    "grown, where the opening was too common": ({"min_recurrence_days": 100}, GROWN, NEW, Verdict.SEND),
    "grown, told before, and now less rare": ({"min_recurrence_days": 500}, GROWN, HEARD, Verdict.SEND),
    "moved out of the area after it was told": ({"area": ELSEWHERE}, GROWN, HEARD, Verdict.SEND),
    "the end of what was told": ({"reasons": ("opened",), "states": ("emerging",)}, OVER, HEARD, Verdict.FOLLOW_UP),
    "the end of what was never told": ({}, OVER, NEW, Verdict.NEVER_TOLD),
    "taken back after it was told": ({"min_recurrence_days": 500}, RETRACTED, HEARD, Verdict.FOLLOW_UP),
    "taken back and never told": ({}, RETRACTED, NEW, Verdict.NEVER_TOLD),
    "corrected after it was told": ({"reasons": ("opened",)}, CORRECTED, HEARD, Verdict.FOLLOW_UP),
    "muted, for a program": ({}, {"muted": True}, NEW, Verdict.SEND),
    "muted, for people": ({"sink": MAIL}, {"muted": True}, NEW, Verdict.MUTED),
    "muted, for people in Teams": ({"sink": TEAMS}, {"muted": True}, NEW, Verdict.MUTED),
    "muted, for readers who come for it": ({"sink": FEED}, {"muted": True}, NEW, Verdict.SEND),
    "an end that is muted": ({"sink": MAIL}, {**OVER, "muted": True}, HEARD, Verdict.MUTED),
    "taken back while muted": ({"sink": MAIL}, {**RETRACTED, "muted": True}, HEARD, Verdict.FOLLOW_UP),
    "taken back while muted and never told": ({"sink": MAIL}, {**RETRACTED, "muted": True}, NEW, Verdict.MUTED),
}
# fmt: on


@pytest.mark.parametrize(("rules", "fields", "told", "verdict"), VERDICTS.values(), ids=VERDICTS)
def test_verdicts(rules: dict[str, Any], fields: dict[str, Any], told: Told, verdict: Verdict) -> None:
    assert decide(alert(**fields), route(**rules), told) is verdict


def test_every_verdict_of_a_route_is_above() -> None:
    assert {row[3] for row in VERDICTS.values()} == set(Verdict) - {Verdict.NOT_FOR_AUDIENCE}


def test_each_enabled_route_has_a_verdict_of_its_own() -> None:
    found = decide_all(
        alert(), [route(), route(id="kent", regions=("kent",)), route(id="off", enabled=False)], Ledger()
    )
    assert found == {"control-room": Verdict.SEND, "kent": Verdict.OTHER_REGION}


# --- what was told --------------------------------------------------------------------------------------------------


def test_facts_add_up_in_any_repetition() -> None:
    facts = [fact(1, DeliveryResult.SKIPPED), fact(2), fact(2), fact(1), fact(3, DeliveryResult.DEAD)]
    told = Ledger().take(facts).take(facts).told("control-room", alert().episode_id)
    assert told == Told(3, ((2, NOW), (3, NOW)))


def test_routes_and_episodes_are_kept_apart() -> None:
    ledger = Ledger().take([fact(), fact(route="other", result=DeliveryResult.SKIPPED)])
    assert ledger.told("control-room", alert().episode_id).is_told
    assert not ledger.told("other", alert().episode_id).is_told
    assert ledger.told("control-room", "another") == Told()


@given(
    rules=st.fixed_dictionaries(
        {
            "min_recurrence_days": st.sampled_from([0, 100, 1000]),
            "area": st.sampled_from([(), SQUARE, ELSEWHERE]),
            "regions": st.sampled_from([(), ("hampshire",), ("kent",)]),
            "states": st.sampled_from([(), ("emerging",), ("growing",)]),
            "reasons": st.sampled_from([(), ("opened",), ("escalated",)]),
        }
    ),
    story=st.lists(st.sampled_from([AlertReason.ESCALATED, AlertReason.MOVED, AlertReason.ASKED]), max_size=4),
    muted=st.lists(st.booleans(), min_size=6, max_size=6),
    for_people=st.booleans(),
)
def test_a_retraction_goes_exactly_where_the_episode_was_told(
    rules: dict[str, Any], story: list[AlertReason], muted: list[bool], for_people: bool
) -> None:
    way = route(**rules, **({"sink": MAIL} if for_people else {}))
    ledger = Ledger()
    reasons = [AlertReason.OPENED, *story]
    for revision, (reason, quiet) in enumerate(zip(reasons, muted, strict=False), 1):
        state = EpisodeState.GROWING if reason is AlertReason.ESCALATED else EpisodeState.EMERGING
        one = alert(revision=revision, reason=reason, state=state, muted=quiet)
        verdict = decide(one, way, ledger.told(way.id, one.episode_id))
        result = DeliveryResult.SENT if verdict.is_sent else DeliveryResult.SKIPPED
        ledger.take([fact(revision, result, verdict=verdict)])
    last = alert(**{**RETRACTED, "revision": len(reasons) + 1, "muted": muted[-1]})
    told = ledger.told(way.id, last.episode_id)
    assert decide(last, way, told).is_sent == told.is_told


# --- when -----------------------------------------------------------------------------------------------------------


def at(text: str) -> datetime:
    """A moment by the clock of London, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=LONDON).astimezone(UTC)


NIGHT = {"begins": "22:00", "ends": "07:00"}
WEEKEND = {"begins": "00:00", "ends": "00:00", "days": ["sat", "sun"]}
DIGEST = {"days": ["mon", "thu"], "at": "08:30"}

# fmt: off
MOMENTS: dict[str, tuple[dict[str, Any], dict[str, Any], Told, str, str]] = {
    "by day": ({"quiet": NIGHT}, {}, NEW, "2026-03-02 12:00", "2026-03-02 12:00"),
    "in the evening": ({"quiet": NIGHT}, {}, NEW, "2026-03-02 22:00", "2026-03-03 07:00"),
    "after midnight": ({"quiet": NIGHT}, {}, NEW, "2026-03-03 03:00", "2026-03-03 07:00"),
    "when they end": ({"quiet": NIGHT}, {}, NEW, "2026-03-03 07:00", "2026-03-03 07:00"),
    "in the night in which clocks go forward": ({"quiet": NIGHT}, {}, NEW, "2026-03-28 23:00", "2026-03-29 07:00"),
    "on a day of no quiet hours": ({"quiet": {**NIGHT, "days": ["sat"]}}, {}, NEW, "2026-03-02 23:00",
                                   "2026-03-02 23:00"),
    "all of a Saturday": ({"quiet": WEEKEND}, {}, NEW, "2026-03-07 10:00", "2026-03-08 00:00"),
    "an escalation by night": ({"quiet": NIGHT}, GROWN, HEARD, "2026-03-02 23:00", "2026-03-02 23:00"),
    "a retraction by night of what was told": ({"quiet": NIGHT}, RETRACTED, HEARD, "2026-03-02 23:00",
                                               "2026-03-02 23:00"),
    "a retraction by night of what is held itself": ({"quiet": NIGHT}, RETRACTED, NEW, "2026-03-02 23:00",
                                                     "2026-03-03 07:00"),
    "an escalation by night that is not let through": ({"quiet": {**NIGHT, "let_through": []}}, GROWN, HEARD,
                                                       "2026-03-02 23:00", "2026-03-03 07:00"),
    "for Monday's meeting": ({"sink": MAIL, "digest": DIGEST}, {}, NEW, "2026-02-28 12:00", "2026-03-02 08:30"),
    "just too late for it": ({"sink": MAIL, "digest": DIGEST}, {}, NEW, "2026-03-02 08:30", "2026-03-05 08:30"),
    "a digest in the week in which clocks go forward": ({"sink": MAIL, "digest": DIGEST}, {}, NEW, "2026-03-28 12:00",
                                                        "2026-03-30 08:30"),
}
# fmt: on


@pytest.mark.parametrize(("rules", "fields", "told", "came", "sent"), MOMENTS.values(), ids=MOMENTS)
def test_moments(rules: dict[str, Any], fields: dict[str, Any], told: Told, came: str, sent: str) -> None:
    found = not_before(alert(**fields), route(**rules), at(came), at(came), told, LONDON)
    assert found == at(sent)


def test_a_restart_after_the_meeting_does_not_wait_for_the_next() -> None:
    way = route(sink=MAIL, digest=DIGEST)
    came, now = at("2026-02-28 12:00"), at("2026-03-02 09:10")
    assert not_before(alert(), way, came, now, NEW, LONDON) == now
    assert digest_slot(way, came, LONDON) == at("2026-03-02 08:30")


@given(
    minutes=st.integers(0, 4 * 7 * 24 * 60),
    begins=st.times(),
    ends=st.times(),
    days=st.sets(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1, max_size=6),
)
def test_quiet_hours_end_within_two_days_and_outside_of_them(
    minutes: int, begins: time, ends: time, days: set[str]
) -> None:
    way = route(quiet={"begins": begins, "ends": ends, "days": sorted(days)})
    now = NOW + timedelta(minutes=minutes)
    until = not_before(alert(), way, now, now, NEW, LONDON)
    assert now <= until <= now + timedelta(hours=25)
    if until > now:
        assert until.astimezone(LONDON).time() == ends or until.astimezone(LONDON).utcoffset() != now.utcoffset()


def test_points_in_a_polygon() -> None:
    notched = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (2.0, 1.0), (0.0, 4.0))
    assert holds(notched, 1.0, 1.0)
    assert holds(notched, 3.5, 3.0)
    assert not holds(notched, 2.0, 3.0)
    assert not holds(notched, 5.0, 1.0)


# --- the file -------------------------------------------------------------------------------------------------------

GOOD = """
sender = "hotspot@vrp.example.org"

[[routes]]
id = "control-room"
audience = "police"
min_recurrence_days = 30
quiet = { begins = 22:00:00, ends = 07:00:00 }

[routes.sink]
kind = "webhook"
url = "https://control.example.org/hotspot"
secret_env = "CONTROL_ROOM_SECRET"

[[routes]]
id = "meeting"
audience = "partnership"
digest = { days = ["mon"], at = 08:30:00 }

[routes.sink]
kind = "mail"
host = "mail.example.org"
sender = "hotspot@vrp.example.org"
recipients = ["meeting@vrp.example.org"]

[[routes]]
id = "everybody"
audience = "public"

[routes.sink]
kind = "feed"
open = true
"""


def test_a_file_of_routes(tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    path.write_text(GOOD, encoding="utf-8")
    found = load_routes(path)
    assert [(one.id, one.audience, one.sink.kind) for one in found.routes] == [
        ("control-room", "police", "webhook"),
        ("meeting", "partnership", "mail"),
        ("everybody", "public", "feed"),
    ]
    assert found.ids_of_feeds == ("everybody",)


def no_region(_: str) -> Discloser | None:
    """Nothing is told in this installation."""
    return None


def test_the_example_has_a_route_of_every_kind_and_can_be_used() -> None:
    example = load_routes(ROOT / "ops" / "routes.example.toml")
    kinds = {sink.model_fields["kind"].default for sink in (WebhookSink, TeamsSink, MailSink, FeedSink)}
    assert {one.sink.kind for one in example.routes} == kinds
    named = {
        name
        for one in example.routes
        for key, name in one.sink.model_dump().items()
        if key.endswith("_env") and name is not None
    }
    environment = dict.fromkeys(named, SECRET) | {"ANALYSTS_WORKFLOW": "https://prod.example.org/workflows/1"}
    Deliveries(Settings(), example, environment, no_region, Metrics(), FakeClock())
    for name in named:
        with pytest.raises(RoutesFileError, match=name):
            lacking = {key: value for key, value in environment.items() if key != name}
            Deliveries(Settings(), example, lacking, no_region, Metrics(), FakeClock())


BAD = {
    "unknown field": ('id = "meeting"', 'id = "meeting"\ncolour = "red"', "colour"),
    "the same route twice": ('id = "meeting"', 'id = "control-room"', "'control-room' is there twice"),
    "quiet hours of a digest": (
        'days = ["mon"], at = 08:30:00 }',
        'days = ["mon"], at = 08:30:00 }\nquiet = { begins = 22:00:00, ends = 07:00:00 }',
        "quiet hours",
    ),
    "a digest to a program": ("quiet = {", 'digest = { days = ["mon"], at = 08:30:00 }\nquiet = {', "only mail"),
    "no audience": ('audience = "police"\n', "", "audience"),
    "http": ("https://control", "http://control", "allow_http"),
    "a secret in the address": ("https://control", "https://user:word@control", "url"),
    "hours that never end": ("ends = 07:00:00", "ends = 22:00:00", "never end"),
    "an area that is a line": (
        "min_recurrence_days = 30",
        "area = [[-1.4, 50.9], [-1.3, 50.9]]",
        "at least three corners",
    ),
    "latitude first": (
        "min_recurrence_days = 30",
        "area = [[50.9, -100.4], [50.8, -1.3], [50.7, -1.2]]",
        "longitude and latitude",
    ),
    "an open feed of what is not public": (
        'audience = "public"',
        'audience = "partnership"',
        "for the audience public",
    ),
    "a feed without a token": ("open = true", "", "either sink.token_env, or sink.open"),
    "a feed with a token and without": ("open = true", 'open = true\ntoken_env = "T"', "either sink.token_env, or"),
    "a feed that is quiet": (
        'audience = "public"',
        'audience = "public"\nquiet = { begins = 22:00:00, ends = 07:00:00 }',
        "disturbs nobody",
    ),
    "the monitor's own name": ('id = "everybody"', 'id = "redis"', "another id"),
    "not TOML": ("[[routes]]", "[[routes", "not TOML"),
}


@pytest.mark.parametrize(("good", "bad", "said"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, good: str, bad: str, said: str) -> None:
    path = tmp_path / "routes.toml"
    assert good in GOOD
    path.write_text(GOOD.replace(good, bad, 1), encoding="utf-8")
    with pytest.raises(RoutesFileError, match=said) as caught:
        load_routes(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RoutesFileError, match="There is no routes file"):
        load_routes(tmp_path / "none.toml")


def test_a_secret_that_is_not_set_is_named() -> None:
    assert secret("HOOK", "control-room", {"HOOK": "x"}) == "x"
    with pytest.raises(RoutesFileError, match="control-room needs the environment variable HOOK"):
        secret("HOOK", "control-room", {})
