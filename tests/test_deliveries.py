"""Routes on a real broker, in a process that is killed: every revision arrives, and is known again by its key."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import redis.asyncio as redis
from confluent_kafka import Consumer, KafkaException

from alerts.audit_verify import verify
from schemas.alert import Alert, alert_event
from schemas.base import utc_now
from schemas.deadletter import DeadLetter
from schemas.delivery import Delivery, DeliveryResult, key_of
from schemas.reasons import RejectReason
from schemas.routes import load_routes
from schemas.settings import Settings
from streams.alert_log import Logged
from streams.audit import entries_of, read_trail
from streams.deliveries import Deliveries, begin_routes, group_of, open_since
from streams.metrics import Metrics
from streams.sinks.feed import FeedStore
from streams.topics import Topics, create_topics
from tests.builders import NOW, FakeClock
from tests.builders_delivery import SECRET, discloser
from tests.receivers import answer, http_receiver
from tests.running import ROOT, Installation, publish, read_topic, until
from tests.test_route_work import GROWN, IN_ORDER, ONE, RETRACTED, TOLD, TWO, per_episode, story

ROUTES = """
[[routes]]
id = "{name}"
audience = "police"
give_up_after_hours = {hours}
[routes.sink]
kind = "webhook"
url = "{url}"
secret_env = "HOOK_SECRET"
allow_http = true
allow_private = ["127.0.0.1"]
timeout_s = 2.0
"""


@asynccontextmanager
async def delivering(settings: Settings, routes: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The routes in a process of their own."""
    given = {
        **os.environ,
        "HOOK_SECRET": SECRET,
        "HOTSPOT_BOOTSTRAP": settings.bootstrap,
        "HOTSPOT_PREFIX": settings.prefix,
        "HOTSPOT_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
        "HOTSPOT_ROUTES": str(routes),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.deliver_process", env=given, cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def write_routes(path: Path, *receivers: tuple[str, str], hours: float = 24) -> Path:
    """A routes file with a webhook for each name and address."""
    path.write_text("".join(ROUTES.format(name=name, url=url, hours=hours) for name, url in receivers))
    return path


def tell(settings: Settings, alerts: Sequence[Alert]) -> None:
    """Put revisions on their topic, as the monitor does."""
    events = [alert_event(one) for one in alerts]
    publish(
        settings,
        Topics(settings.prefix).alerts,
        [(event.subject.encode(), event.model_dump_json().encode()) for event in events],
    )


def facts(settings: Settings) -> list[Delivery]:
    """All facts on their topic."""
    found = read_topic(settings, Topics(settings.prefix).deliveries)
    return [Delivery.model_validate_json(value) for _, value, _ in found]


async def settled(settings: Settings, count: int, process: asyncio.subprocess.Process) -> None:
    """Until there are so many facts, or the process is dead. The receivers go on meanwhile: they are in this loop."""
    deadline = time.monotonic() + 90
    while process.returncode is None and len(await asyncio.to_thread(facts, settings)) < count:
        assert time.monotonic() < deadline, "not within 90 s"
        await asyncio.sleep(0.2)


@pytest.fixture
def settings(embedded: Installation) -> Settings:
    """Topics of this test's own, on a broker that is real."""
    found = embedded.settings()
    create_topics(found)
    return found


async def test_killed_between_send_and_commit_again_and_again(settings: Settings, tmp_path: Path) -> None:
    processes: list[asyncio.subprocess.Process] = []
    deaths = 3

    async with http_receiver() as receiver:

        async def kill_the_sender(_: asyncio.StreamWriter) -> None:
            """The message is here; the sender dies before it hears so."""
            processes[-1].kill()

        receiver.plan = [answer(200), kill_the_sender, kill_the_sender, answer(500), kill_the_sender]
        routes = write_routes(tmp_path / "routes.toml", ("control-room", receiver.url))
        begin_routes(settings, ["control-room"])
        tell(settings, TOLD)
        for _ in range(deaths + 1):
            async with delivering(settings, routes) as process:
                processes.append(process)
                await settled(settings, len(TOLD), process)
        assert per_episode(receiver.seen) == IN_ORDER
        assert len(receiver.keys) > len(TOLD), "some came twice, and are known by their key"
    found = facts(settings)
    assert {(fact.episode_id, fact.revision) for fact in found} == {(one.episode_id, one.revision) for one in TOLD}
    assert {fact.result for fact in found} == {DeliveryResult.SENT}


async def test_a_receiver_that_fails_holds_up_no_other_and_ends_as_a_dead_letter(
    settings: Settings, tmp_path: Path
) -> None:
    async with http_receiver() as good, http_receiver(*[answer(500)] * 10_000) as bad:
        routes = write_routes(tmp_path / "routes.toml", ("good", good.url), ("bad", bad.url), hours=2 / 3600)
        begin_routes(settings, ["good", "bad"])
        tell(settings, TOLD[:2])
        async with delivering(settings, routes) as process:
            await settled(settings, 4, process)
    assert per_episode(good.keys) == {ONE: [1], TWO: [1]}
    results = {(fact.route, fact.result) for fact in facts(settings)}
    assert results == {("good", DeliveryResult.SENT), ("bad", DeliveryResult.DEAD)}
    letters = read_topic(settings, Topics(settings.prefix).deadletter)
    assert len(letters) == 2
    for _, value, headers in letters:
        letter = DeadLetter.from_headers(headers)
        assert letter.reason is RejectReason.NOT_DELIVERED
        assert letter.origin_topic == Topics(settings.prefix).alerts
        assert Delivery.model_validate_json(value).route == "bad"


async def test_a_new_route_begins_with_what_comes_after_it(settings: Settings, tmp_path: Path) -> None:
    async with http_receiver() as receiver:
        routes = write_routes(tmp_path / "routes.toml", ("late", receiver.url))
        tell(settings, TOLD[:1])
        begin_routes(settings, ["late"])
        begin_routes(settings, ["late"])
        tell(settings, TOLD[1:2])
        async with delivering(settings, routes) as process:
            await settled(settings, 1, process)
    assert receiver.keys == [f"{TWO}.1"]


async def test_a_route_that_another_worker_begins_at_the_same_time_is_left_to_it(
    installation: Installation,
) -> None:
    """The other one has let it begin, and joined, after this one saw that nothing was committed."""
    settings = installation.settings()
    create_topics(settings)
    tell(settings, TOLD[:1])
    group = {
        "bootstrap.servers": settings.bootstrap,
        "group.id": group_of(settings, "late"),
        "enable.auto.commit": False,
    }
    member = Consumer({**group, "session.timeout.ms": 6000})
    member.subscribe([Topics(settings.prefix).alerts])
    try:
        await until(lambda: member.poll(0.1) is None and bool(member.assignment()), "it is a member")
        begin_routes(settings, ["late"])
        with pytest.raises(KafkaException):
            begin_routes(settings.model_copy(update={"bootstrap": "127.0.0.1:1"}), ["late"], timeout_s=1)
    finally:
        member.close()


# --- feeds ------------------------------------------------------------------------------------------------------------

FEED = """
[[routes]]
id = "partners"
audience = "police"
[routes.sink]
kind = "feed"
token_env = "FEED_TOKEN"
"""
KEPT = timedelta(hours=72)


@asynccontextmanager
async def feeding(settings: Settings, routes: Path, clock: FakeClock) -> AsyncIterator[FeedStore]:
    """The routes of a worker in this process."""
    file, environment = load_routes(routes), {"FEED_TOKEN": SECRET}
    deliveries = Deliveries(settings, file, environment, {"hampshire": discloser()}.get, Metrics(), clock)
    await deliveries.start()
    store = FeedStore(settings.redis_url, settings.prefix)
    try:
        yield store
    finally:
        await store.close()
        await deliveries.stop()


async def shows(store: FeedStore, clock: FakeClock, *keys: str) -> None:
    """Until the feed holds these revisions and no others."""
    deadline = time.monotonic() + 60
    while True:
        feed = await store.read("partners", KEPT, clock())
        found = {key_of(told) for told in feed.told} if feed else None
        if found == set(keys):
            return
        assert time.monotonic() < deadline, f"{found} within 60 s"
        await asyncio.sleep(0.1)


async def test_a_feed_begins_with_what_is_open_follows_it_and_is_filled_again(
    settings: Settings, tmp_path: Path
) -> None:
    """A worker is told of a new feed while episodes are open, Redis loses all, and another worker takes over."""
    routes = tmp_path / "routes.toml"
    routes.write_text(FEED, encoding="utf-8")
    clock = FakeClock(NOW + timedelta(hours=4))
    gone = story("hampshire-3", RETRACTED)
    tell(settings, [*gone, *TOLD[:3]])
    async with feeding(settings, routes, clock) as store:
        await shows(store, clock, f"{ONE}.2", f"{TWO}.1")
        tell(settings, TOLD[3:])
        await shows(store, clock, f"{ONE}.3", f"{TWO}.3")
        async with redis.from_url(settings.redis_url) as client:
            await client.delete(f"{settings.prefix}:feed:partners", f"{settings.prefix}:feed:partners:changed")
        assert await store.read("partners", KEPT, clock()) is None
        await shows(store, clock, f"{ONE}.3", f"{TWO}.3")
        assert len(facts(settings)) == len(TOLD), "filling again is no delivery"
    async with redis.from_url(settings.redis_url) as client:
        await client.delete(f"{settings.prefix}:feed:partners", f"{settings.prefix}:feed:partners:changed")
    clock.advance(days=30)
    async with feeding(settings, routes, clock) as store:
        await shows(store, clock, f"{TWO}.3")
    entries = entries_of(read_trail(settings))
    assert {entry.event.recipient for entry in entries} == {"sink/partners"}
    assert {entry.event.subject.id for entry in entries} == {f"{one.episode_id}.{one.revision}" for one in TOLD}
    assert verify(read_trail(settings), utc_now()).broken == []


def test_where_a_new_feed_begins() -> None:
    def logged(*alerts: Alert) -> list[Logged]:
        return [Logged(0, offset, alert_event(one)) for offset, one in enumerate(alerts)]

    over = story(ONE, RETRACTED)
    open_one = story(TWO, GROWN)
    assert open_since([]) == {}
    assert open_since(logged(*over)) == {}
    assert open_since(logged(over[0], open_one[0], over[1], open_one[1])) == {0: 1}
