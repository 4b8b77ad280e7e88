"""Feedback from its topic into the order of its region: what is taken, what is refused, and where it goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from alerts.monitor import RegionMonitor
from schemas.detection import DetectionSettings
from schemas.feedback import Feedback, FeedbackEvent, feedback_event
from schemas.reasons import RejectReason
from schemas.settings import Settings
from streams.accounting import Accounting
from streams.audit import AuditTrail
from streams.codec import Rejected
from streams.desks import Registry
from streams.feedback import parse_feedback
from streams.fetch import Fetch
from streams.ingest_agent import Ingest
from streams.located import LocatedBatch, said, tick
from streams.metrics import Metrics
from streams.monitor_agent import Monitoring
from streams.state import RegionState
from streams.topics import Topics
from tests.builders import NOW, FakeClock, Record, hampshire

EPISODE = "hampshire-20260301T120000Z-0a1b2c3d"
MOST = 1_048_576
TOPICS = Topics("hotspot")


def feedback(**fields: Any) -> dict[str, Any]:
    """Good feedback, as JSON has it."""
    return {
        "feedback_id": "f-1",
        "region": "hampshire",
        "episode_id": EPISODE,
        "at": NOW.isoformat(),
        "actor": "analyst@example.org",
        "said": {"action": "acknowledge"},
        **fields,
    }


def event(**fields: Any) -> dict[str, Any]:
    """The same as CloudEvents."""
    return feedback_event(Feedback.model_validate(feedback(**fields))).model_dump(mode="json")


# --- contract -------------------------------------------------------------------------------------------------------

GOOD = [
    {"action": "acknowledge"},
    {"action": "assign", "team": "city-nights"},
    {"action": "mute", "until": (NOW + timedelta(days=28)).isoformat()},
    {"action": "unmute"},
    {"action": "outcome", "outcome": "genuine_new"},
    {"action": "ask"},
]
BAD: dict[str, dict[str, Any]] = {
    "free text": {"said": {"action": "acknowledge", "note": "spoke to CANARY"}},
    "a person instead of a team": {"said": {"action": "assign", "team": "Jane Canary"}},
    "a mute without an end": {"said": {"action": "mute"}},
    "a mute that ended before it began": {"said": {"action": "mute", "until": NOW.isoformat()}},
    "a mute for too long": {"said": {"action": "mute", "until": (NOW + timedelta(days=28, seconds=1)).isoformat()}},
    "another action": {"said": {"action": "delete"}},
    "another outcome": {"said": {"action": "outcome", "outcome": "arrested"}},
    "no actor": {"actor": ""},
    "an id with blanks": {"feedback_id": "a b"},
}


@pytest.mark.parametrize("what", GOOD, ids=lambda what: str(what["action"]))
def test_what_can_be_said(what: dict[str, Any]) -> None:
    found = parse_feedback(json.dumps(event(said=what)).encode(), ["hampshire"], MOST)
    assert isinstance(found, FeedbackEvent)
    assert found.data.said.action == what["action"]
    assert (found.id, found.subject) == ("f-1", EPISODE)


@pytest.mark.parametrize("fields", BAD.values(), ids=BAD)
def test_what_cannot_be_said(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Feedback.model_validate(feedback(**fields))
    raw = json.dumps({**event(), "data": feedback(**fields)}).encode()
    found = parse_feedback(raw, ["hampshire"], MOST)
    assert isinstance(found, Rejected)
    assert "CANARY" not in found.detail and "Canary" not in found.detail
    assert found.raw == raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, RejectReason.NOT_JSON),
        (b"{", RejectReason.NOT_JSON),
        (b"[]", RejectReason.WRONG_TYPE),
        (b"x" * (MOST + 1), RejectReason.MESSAGE_TOO_LARGE),
        (json.dumps(event(region="elsewhere")).encode(), RejectReason.UNKNOWN_SOURCE),
        (json.dumps({**event(), "more": 1}).encode(), RejectReason.UNKNOWN_FIELD),
    ],
    ids=["nothing", "no JSON", "no object", "too large", "another region", "another field"],
)
def test_what_is_no_feedback(raw: bytes | None, reason: RejectReason) -> None:
    found = parse_feedback(raw, ["hampshire"], MOST)
    assert isinstance(found, Rejected)
    assert found.reason is reason


def test_a_located_message_of_feedback_comes_back_whole() -> None:
    batch = said(b'{"a": 1}', 5)
    (again,) = LocatedBatch.read(batch.to_bytes())
    assert (again.said, again.input, again.received_us, again.rows.size) == (batch.said, batch.input, 5, 0)
    assert batch.is_tick and tick(5).is_tick and not tick(5).said


# --- through the agents ---------------------------------------------------------------------------------------------


class Sent(list[tuple[str, bytes | None, bytes, list[tuple[str, bytes]]]]):
    """Remembers what was sent."""

    async def __call__(
        self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Awaitable[Any]:
        self.append((topic, key, value, list(headers)))
        return asyncio.sleep(0)


def settings() -> Settings:
    return Settings.model_construct(prefix="hotspot", max_message_bytes=MOST, clock="wall", future_tolerance_s=600)


async def test_feedback_goes_into_the_order_of_its_region_and_what_is_bad_to_the_dead_letters() -> None:
    sent, accounting = Sent(), Accounting(Metrics())
    ingest = Ingest(settings(), Registry([hampshire()]), FakeClock(), sent, accounting)
    good, bad = json.dumps(event()).encode(), b"{"
    await ingest.take_feedback(Fetch("hotspot.feedback", 0, (Record(7, b"hampshire", bad), Record(8, b"x", good))))
    (letter, located) = sent
    assert (letter[0], letter[2]) == (TOPICS.deadletter, bad)
    assert dict(letter[3])["hotspot-reason"] == b"not_json"
    assert located[:2] == (TOPICS.located, b"hampshire")
    assert Feedback.model_validate_json(LocatedBatch.read(located[2])[0].said).feedback_id == "f-1"
    assert accounting.metrics.rejected.labels("feedback", "not_json")._value.get() == 1
    assert accounting.settled == 0  # it is no record


async def test_the_monitor_takes_it_once_however_often_it_is_delivered() -> None:
    sent, table = Sent(), dict[bytes, bytes]()
    message = said(Feedback.model_validate(feedback()).model_dump_json().encode(), int(NOW.timestamp()) * 1_000_000)
    fetch = Fetch(TOPICS.located, 0, (Record(3, b"hampshire", message.to_bytes()),))

    async def flush() -> None: ...

    for _ in range(2):  # the second time another worker took over, and is handed the same again
        monitoring = Monitoring(
            settings(),
            {"hampshire"},
            lambda region: RegionMonitor(hampshire(), DetectionSettings()),
            sent,
            flush,
            Accounting(Metrics()),
            AuditTrail("worker", TOPICS.audit, sent, lambda: (), lambda: NOW).record,
            lambda: NOW,
        )
        await (await monitoring.handle(fetch, RegionState(table)))
        await (await monitoring.handle(fetch, RegionState(table)))
        (monitor,) = monitoring.regions.values()
        assert [one.feedback_id for one in monitor.memory.waiting] == ["f-1"]
        monitoring.stop()
