"""One route at work against a real receiver: exactly once by key, in order per episode, whatever fails in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from alerts.disclosure import Discloser
from alerts.routing import Ledger
from schemas.alert import Alert, AlertEvent, AlertReason, EpisodeState, alert_event
from schemas.audit import AuditEvent
from schemas.delivery import Delivery, DeliveryResult, DisclosedEvent, Failure, Verdict
from schemas.routes import MailSink, Route, WebhookSink
from streams.metrics import Metrics
from streams.route_work import Arrival, RouteWork
from streams.sinks.mail import MailAdapter
from streams.sinks.parcel import Adapter, Parcel
from streams.sinks.web import WebhookAdapter
from tests.builders import NOW, FakeClock, alert, hampshire
from tests.builders_delivery import MAIL, SECRET, discloser, full_alert, route
from tests.receivers import (
    HttpReceiver,
    answer,
    break_off,
    hang_up,
    http_receiver,
    mail_server,
    never_answer,
)
from tests.running import until

ONE, TWO = "hampshire-1", "hampshire-2"
GROWN = {"state": EpisodeState.GROWING, "reason": AlertReason.ESCALATED}
RETRACTED = {"state": EpisodeState.RETRACTED, "reason": AlertReason.EVIDENCE_WITHDRAWN}


class DiedError(Exception):
    """The worker is killed here."""


@dataclass
class Shelf:
    """Facts and dead letters as topics keep them: they outlive a worker."""

    facts: list[Delivery] = field(default_factory=list)
    buried: list[AlertEvent] = field(default_factory=list)
    trail: list[AuditEvent] = field(default_factory=list)
    records_left: float = float("inf")
    """A worker dies after so many facts: when something is sent, and before that is known."""

    async def record(self, fact: Delivery) -> None:
        if self.records_left <= 0:
            raise DiedError
        self.records_left -= 1
        self.facts.append(fact)

    async def bury(self, arrival: Arrival, fact: Delivery) -> None:
        self.buried.append(arrival.event)

    async def audit(self, *events: AuditEvent) -> None:
        self.trail.extend(events)


def disclosers(region: str) -> Discloser | None:
    """The one region that this installation has."""
    return discloser() if region == "hampshire" else None


def story(episode_id: str, *steps: dict[str, Any]) -> list[Alert]:
    """An opening and what follows."""
    return [
        full_alert(episode_id=episode_id, revision=number, as_of=NOW + timedelta(hours=number), **step)
        for number, step in enumerate([{}, *steps], 1)
    ]


def arrivals(alerts: Sequence[Alert], came_at: datetime = NOW) -> list[Arrival]:
    """As they lie on their topic."""
    return [Arrival(alert_event(one), offset, came_at) for offset, one in enumerate(alerts)]


@asynccontextmanager
async def working(
    shelf: Shelf, adapter: Adapter, way: Route | None = None, clock: FakeClock | None = None
) -> AsyncIterator[RouteWork]:
    """A route at work from what the shelf holds; waits are hundredths of a second."""
    work = RouteWork(
        way or route(),
        adapter,
        disclosers,
        Ledger().take(shelf.facts),
        shelf,
        Metrics(),
        hampshire().zone,
        clock or FakeClock(),
        first_wait_s=0.01,
    )
    try:
        yield work
    finally:
        await work.stop()


def webhook(receiver: HttpReceiver, timeout_s: float = 1.0) -> WebhookAdapter:
    """To a receiver on this machine."""
    sink = WebhookSink(
        url=receiver.url, secret_env="S", allow_http=True, allow_private=("127.0.0.1",), timeout_s=timeout_s
    )
    return WebhookAdapter(sink, SECRET, "hotspot", FakeClock())


async def run(
    shelf: Shelf, receiver: HttpReceiver, came: Sequence[Arrival], way: Route | None = None, **more: Any
) -> RouteWork:
    """Until everything is settled, or the worker died."""
    async with working(shelf, webhook(receiver), way, **more) as work:
        for one in came:
            work.take(one)
        await until(lambda: work.failed.done() or work.committable() == len(came), "all is settled", 60)
        if work.failed.done():
            with pytest.raises(DiedError):
                work.failed.result()
        return work


def per_episode(keys: Sequence[str]) -> dict[str, list[int]]:
    """The revisions of each episode in the order in which they came."""
    found: dict[str, list[int]] = {}
    for key in keys:
        name, _, revision = key.rpartition(".")
        found.setdefault(name, []).append(int(revision))
    return found


TOLD = [one for pair in zip(story(ONE, GROWN, RETRACTED), story(TWO, GROWN, GROWN), strict=True) for one in pair]
IN_ORDER = {ONE: [1, 2, 3], TWO: [1, 2, 3]}


async def test_all_arrives_once_and_in_order_where_nothing_fails() -> None:
    shelf = Shelf()
    async with http_receiver() as receiver:
        await run(shelf, receiver, arrivals(TOLD))
    assert per_episode(receiver.keys) == IN_ORDER
    assert {fact.result for fact in shelf.facts} == {DeliveryResult.SENT}
    assert {fact.receiver for fact in shelf.facts} == {"127.0.0.1"}


async def test_what_is_disclosed_is_in_the_trail_before_it_is_sent_and_what_is_skipped_is_not() -> None:
    shelf = Shelf()
    common = [one.model_copy(update={"recurrence_interval_days": 5.0}) for one in story(TWO, RETRACTED)]

    class Witness:
        """Sees what is in the trail when something is sent."""

        receiver = "witness"

        async def send(self, parcel: Parcel) -> None:
            assert f"{parcel.told.episode_id}.{parcel.told.revision}" in {event.subject.id for event in shelf.trail}

    async with working(shelf, Witness(), route(min_recurrence_days=30)) as work:
        for one in arrivals([*story(ONE, GROWN, RETRACTED), *common]):
            work.take(one)
        await until(lambda: len(shelf.facts) == 5, "all is settled", 60)
    assert [(event.subject.id, event.recipient, event.why) for event in shelf.trail] == [
        (f"{ONE}.1", "sink/control-room", "opened"),
        (f"{ONE}.2", "sink/control-room", "escalated"),
        (f"{ONE}.3", "sink/control-room", "evidence_withdrawn"),
    ]


async def test_since_when_a_delivery_fails_is_told_and_that_it_no_longer_does() -> None:
    def since(metrics: Metrics) -> float:
        found = metrics.registry.get_sample_value(
            "hotspot_delivery_failing_since_timestamp_seconds", {"route": "control-room"}
        )
        assert found is not None
        return found

    metrics, clock = Metrics(), FakeClock()
    async with http_receiver(*[answer(500)] * 3) as receiver:
        work = RouteWork(
            route(),
            webhook(receiver),
            disclosers,
            Ledger(),
            Shelf(),
            metrics,
            hampshire().zone,
            clock,
            first_wait_s=0.3,
        )
        work.take(arrivals(TOLD)[0])
        await until(lambda: bool(receiver.requests) and since(metrics) > 0, "it fails", 60)
        assert since(metrics) == NOW.timestamp()
        clock.advance(minutes=5)
        await until(lambda: work.committable() == 1, "it is sent", 60)
        assert since(metrics) == 0
        await work.stop()


async def test_all_arrives_once_and_in_order_by_key_from_a_receiver_that_fails_in_every_way() -> None:
    shelf = Shelf()
    plan = [answer(500), answer(429, "Retry-After: 1"), never_answer, break_off, hang_up, answer(302), answer(404)]
    async with http_receiver(*plan) as receiver:
        await run(shelf, receiver, arrivals(TOLD))
    assert per_episode(receiver.seen) == IN_ORDER
    assert len(receiver.keys) == len(TOLD) + len(plan)
    assert {fact.result for fact in shelf.facts} == {DeliveryResult.SENT}
    assert max(fact.attempts for fact in shelf.facts) > 1


@pytest.mark.parametrize("life", range(7))
async def test_a_worker_that_dies_between_send_and_commit_doubles_no_key_and_loses_none(life: int) -> None:
    shelf = Shelf(records_left=life)
    async with http_receiver() as receiver:
        died = await run(shelf, receiver, arrivals(TOLD))
        assert len(shelf.facts) == life
        assert died.committable() <= len(TOLD)
        shelf.records_left = float("inf")
        left = [one for one in arrivals(TOLD) if one.offset >= died.committable()]
        async with working(shelf, webhook(receiver)) as again:
            for one in left:
                again.take(one)
            await until(lambda: again.committable() >= len(TOLD) or not left, "all is settled", 60)
    assert per_episode(receiver.seen) == IN_ORDER
    facts = [(fact.episode_id, fact.revision) for fact in shelf.facts]
    assert len(facts) == len(set(facts)) == len(TOLD), "what is settled is not settled again"


async def test_one_episode_that_fails_holds_up_no_other() -> None:
    class Picky:
        """Takes nothing of one episode."""

        receiver = "picky"

        def __init__(self, inner: WebhookAdapter, refuse: str) -> None:
            self.inner, self.refuse = inner, refuse

        async def send(self, parcel: Parcel) -> None:
            if parcel.told.episode_id == self.refuse:
                raise ValueError("a fault in a format")
            await self.inner.send(parcel)

    shelf = Shelf()
    async with http_receiver() as receiver, working(shelf, Picky(webhook(receiver), ONE)) as work:
        for one in arrivals(TOLD):
            work.take(one)
        await until(lambda: len(shelf.facts) == 3, "the other is settled", 60)
        assert per_episode(receiver.keys) == {TWO: [1, 2, 3]}
        assert work.committable() == 0, "nothing is committed past what is not settled"


async def test_a_dead_letter_comes_after_the_budget_and_what_follows_is_told() -> None:
    shelf = Shelf()
    way = route(give_up_after_hours=0.3 / 3600)
    async with http_receiver(*[answer(500)] * 200) as receiver:
        async with working(shelf, webhook(receiver), way) as work:
            work.take(arrivals(TOLD)[0])
            await until(lambda: work.committable() == 1, "it is given up", 60)
        (fact,) = shelf.facts
        assert (fact.result, fact.failure) == (DeliveryResult.DEAD, Failure.SERVER_ERROR)
        assert fact.attempts > 1
        assert [event.id for event in shelf.buried] == [f"{ONE}.1"]
        receiver.plan.clear()
        await run(shelf, receiver, arrivals(TOLD), way)
    assert per_episode(receiver.seen)[ONE] == [1, 2, 3], "it may have arrived, so its end is told"


async def test_withdrawing_all_records_is_told_wherever_the_episode_was_told_and_nowhere_else() -> None:
    shelf = Shelf()
    rare = story(ONE, RETRACTED)
    common = [one.model_copy(update={"recurrence_interval_days": 5.0}) for one in story(TWO, RETRACTED)]
    way = route(min_recurrence_days=30)
    async with http_receiver() as receiver:
        await run(shelf, receiver, arrivals([*rare, *common]), way)
    assert receiver.keys == [f"{ONE}.1", f"{ONE}.2"]
    last = DisclosedEvent.model_validate_json(receiver.requests[-1].body).data
    assert last.state is EpisodeState.RETRACTED
    verdicts = [fact.verdict for fact in shelf.facts if fact.episode_id == TWO]
    assert verdicts == [Verdict.TOO_COMMON, Verdict.NEVER_TOLD]


async def test_the_public_is_told_of_the_end_of_what_it_was_told_and_of_nothing_that_health_shows() -> None:
    def by_the_police(one: Alert) -> Alert:
        return one.model_copy(update={"evidence": "police_only"})

    opened, grown, retracted = story(ONE, GROWN, RETRACTED)
    hidden = story(TWO, RETRACTED)
    shelf = Shelf()
    async with http_receiver() as receiver:
        came = arrivals([by_the_police(opened), grown, retracted, *hidden])
        await run(shelf, receiver, came, route(audience="public"))
    assert receiver.keys == [f"{ONE}.1", f"{ONE}.3"]
    verdicts = {(fact.episode_id, fact.revision): fact.verdict for fact in shelf.facts}
    assert verdicts[ONE, 2] is Verdict.NOT_FOR_AUDIENCE
    assert verdicts[TWO, 1] is Verdict.NOT_FOR_AUDIENCE
    assert verdicts[TWO, 2] is Verdict.NEVER_TOLD


NIGHT = {"begins": "22:00", "ends": "07:00"}


async def test_what_comes_by_night_is_held_and_an_escalation_brings_it_along() -> None:
    shelf = Shelf()
    clock = FakeClock(NOW.replace(hour=23))
    way = route(quiet=NIGHT)
    first, second = arrivals(story(ONE, GROWN), clock.now)
    (other,) = arrivals(story(TWO), clock.now)
    async with http_receiver() as receiver, working(shelf, webhook(receiver), way, clock) as work:
        work.take(first)
        work.take(Arrival(other.event, 1, clock.now))
        await asyncio.sleep(0.5)
        assert receiver.keys == []
        work.take(Arrival(second.event, 2, clock.now))
        await until(lambda: len(shelf.facts) == 2, "the escalation goes out", 60)
        assert receiver.keys == [f"{ONE}.1", f"{ONE}.2"], "and nothing overtakes"
        assert work.committable() == 1
    clock.advance(hours=9)
    async with http_receiver() as receiver, working(shelf, webhook(receiver), way, clock) as work:
        for one in (first, Arrival(other.event, 1, clock.now), Arrival(second.event, 2, clock.now)):
            work.take(one)
        await until(lambda: work.committable() == 3, "the rest goes out in the morning", 60)
        assert receiver.keys == [f"{TWO}.1"]


async def test_a_slow_receiver_does_not_hold_up_the_loop() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with http_receiver(never_answer) as receiver:
        await run(Shelf(), receiver, arrivals([alert(episode_id=ONE)]))
    ticking.cancel()
    assert ticks > 20


async def test_a_digest_tells_all_that_came_before_the_meeting_in_one_mail() -> None:
    shelf = Shelf()
    clock = FakeClock()  # Sunday
    way = route(sink=MAIL, digest={"days": ["mon"], "at": "08:30"})
    slot = NOW.replace(day=2, hour=8, minute=30)
    common = [one.model_copy(update={"recurrence_interval_days": 5.0}) for one in story("hampshire-3", RETRACTED)]
    way = way.model_copy(update={"min_recurrence_days": 30.0})
    async with mail_server() as mailbox:
        sink = MailSink.model_validate({**MAIL, "host": "127.0.0.1", "port": mailbox.port, "security": "none"})
        adapter = MailAdapter(sink, way.id, "", hampshire().zone)

        async def to_the_meeting(_: float) -> None:
            assert mailbox.mails == []
            clock.now = slot

        work = RouteWork(
            way, adapter, disclosers, Ledger(), shelf, Metrics(), hampshire().zone, clock, sleep=to_the_meeting
        )
        for one in arrivals([*TOLD, *common], NOW):
            work.take(one)
        await until(lambda: work.committable() == 8, "the digest is sent", 60)
        await work.stop()
    (mail,) = mailbox.mails
    assert per_episode(mail["X-Hotspot-Keys"].split()) == IN_ORDER
    assert mail["Message-ID"].startswith("<digest.20260302T083000Z.")
    assert [fact.verdict for fact in shelf.facts[-2:]] == [Verdict.TOO_COMMON, Verdict.NEVER_TOLD]
    assert [event.subject.id for event in shelf.trail] == [f"{one.episode_id}.{one.revision}" for one in TOLD]
