"""Redis by a queue of its own: away, slow or emptied, it holds up nothing, and has everything again when it is back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import redis.asyncio as redis

from schemas.alert import Alert, AlertEvent, AlertReason, EpisodeState, alert_event
from streams.accounting import Accounting
from streams.alert_log import Logged
from streams.deliver_agent import Deliver
from streams.episodes_sink import EpisodesSink
from streams.episodes_store import EpisodeStore
from streams.fetch import Fetch
from streams.metrics import Metrics
from tests.builders import NOW, FakeClock, alert
from tests.running import until
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.connected

OPENED = alert()
GROWN = alert(revision=2, state=EpisodeState.GROWING, reason=AlertReason.ESCALATED)
CLOSED = alert(revision=3, state=EpisodeState.CLOSED, reason=AlertReason.CLOSED)
OTHER = alert(episode_id="hampshire-2")


@dataclass
class Topic:
    """The alerts topic, and the worker that reads it."""

    url: str
    prefix: str = field(default_factory=lambda: f"hotspot.test-{secrets.token_hex(4)}")
    events: list[AlertEvent] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)

    def read(self) -> list[Logged]:
        """All that lies on it."""
        return [Logged(0, offset, event) for offset, event in enumerate(self.events)]

    def fetch(self, *alerts: Alert) -> Fetch:
        """What is published now, as a worker fetches it."""
        records = []
        for one in alerts:
            event = alert_event(one)
            records.append(SimpleNamespace(value=event.model_dump_json().encode(), offset=len(self.events)))
            self.events.append(event)
        return Fetch("hotspot.alerts", 0, tuple(records))

    @asynccontextmanager
    async def worker(self, *, stuck: bool = False) -> AsyncIterator[EpisodesSink]:
        """One that reads it; if it is stuck, it stores nothing of what it takes."""
        store = EpisodeStore(self.url, self.prefix)

        def notify(event: AlertEvent) -> None:
            self.told.append(event.id)

        async def soon(_: float) -> None:
            await asyncio.sleep(0.05)

        async def never(_: Fetch) -> None:
            await asyncio.Event().wait()

        deliver = Deliver(store, Accounting(self.metrics), notify, soon)
        sink = EpisodesSink(
            store,
            never if stuck else deliver.handle,
            self.read,
            notify,
            self.failures.append,
            self.metrics,
            FakeClock(),
            patience_s=0.3,
            check_s=0.1,
        )
        sink.start()
        try:
            yield sink
        finally:
            await sink.stop()
            await store.close()

    async def current(self) -> list[Alert]:
        """What Redis has."""
        store = EpisodeStore(self.url, self.prefix)
        try:
            return await store.current("hampshire")
        finally:
            await store.close()

    async def streamed(self) -> list[str]:
        """What those who wait at the stream heard."""
        async with redis.from_url(self.url) as client:
            entries: Any = await client.xrange(f"{self.prefix}:alerts")
        found = [Alert.model_validate_json(fields[b"alert"]) for _, fields in entries]
        return [alert_event(one).id for one in found]

    def gauge(self, name: str) -> float:
        """Of the monitor's own way to Redis."""
        found = self.metrics.registry.get_sample_value(name, {"route": "redis"})
        assert found is not None
        return found


@pytest.fixture
def topic(redis_server: RedisServer) -> Topic:
    return Topic(redis_server.url)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A Redis that a test may end."""
    server = RedisServer(tmp_path_factory.mktemp("own-redis")).start()
    yield server
    server.stop()


async def eventually(topic: Topic, wanted: Sequence[Alert]) -> None:
    """Until Redis has these and no others."""
    deadline = time.monotonic() + 30
    while await topic.current() != list(wanted):
        assert time.monotonic() < deadline, "not within 30 s"
        await asyncio.sleep(0.05)


async def test_in_good_times_what_is_acknowledged_is_stored(topic: Topic) -> None:
    async with topic.worker() as worker:
        await worker.handle(topic.fetch(OPENED, OTHER))
        assert {one.episode_id for one in await topic.current()} == {OPENED.episode_id, OTHER.episode_id}
        await worker.handle(topic.fetch(GROWN))
        await worker.handle(topic.fetch(CLOSED))
        assert await topic.current() == [OTHER]
    assert topic.told == [alert_event(one).id for one in (OPENED, OTHER, GROWN, CLOSED)]
    assert await topic.streamed() == topic.told


async def test_a_redis_that_is_away_holds_up_nothing_and_has_all_in_order_when_it_is_back(own: RedisServer) -> None:
    topic = Topic(own.url)
    async with topic.worker() as worker:
        await worker.handle(topic.fetch(OTHER))
        own.stop()
        began = time.monotonic()
        for number in range(1, 41):
            await worker.handle(topic.fetch(alert(revision=number, state=EpisodeState.GROWING)))
        assert time.monotonic() - began < 5, "the first waits for a moment, and no other"
        assert topic.gauge("hotspot_deliveries_waiting") == 40
        assert topic.gauge("hotspot_delivery_failing_since_timestamp_seconds") == NOW.timestamp()
        own.restart()
        await until(lambda: topic.gauge("hotspot_deliveries_waiting") == 0, "it has all", 30)
        assert topic.gauge("hotspot_delivery_failing_since_timestamp_seconds") == 0
    found = {one.episode_id: one.revision for one in await topic.current()}
    assert found[OPENED.episode_id] == 40
    assert [name for name in await topic.streamed() if name.startswith(OPENED.episode_id)] == [
        f"{OPENED.episode_id}.{number}" for number in range(1, 41)
    ]
    assert topic.failures == []


async def test_what_redis_has_lost_is_there_again_without_what_is_over(topic: Topic) -> None:
    async with topic.worker() as worker:
        await worker.handle(topic.fetch(OPENED, GROWN, CLOSED, OTHER))
        async with redis.from_url(topic.url) as client:
            keys = [key async for key in client.scan_iter(f"{topic.prefix}:*")]
            await client.delete(*keys)
        await eventually(topic, [OTHER])
        assert await topic.streamed() == [alert_event(OTHER).id]
        await worker.handle(topic.fetch(alert(episode_id="hampshire-2", revision=2)))
        assert [one.revision for one in await topic.current()] == [2]


async def test_what_a_worker_takes_with_it_is_stored_by_the_next(topic: Topic) -> None:
    async with topic.worker() as first:
        await first.handle(topic.fetch(OPENED, OTHER))
    async with topic.worker(stuck=True) as second:
        await second.handle(topic.fetch(GROWN))
        await second.handle(topic.fetch(CLOSED))
    assert {one.episode_id for one in await topic.current()} == {OPENED.episode_id, OTHER.episode_id}
    async with topic.worker() as third:
        third.owe()
        await eventually(topic, [OTHER])
    assert await topic.streamed() == [alert_event(one).id for one in (OPENED, OTHER, GROWN, CLOSED)]


async def test_what_cannot_be_waited_out_is_a_failure_of_the_worker(topic: Topic) -> None:
    class BrokenError(Exception):
        """Not Redis."""

    async def broken(_: Fetch) -> None:
        raise BrokenError

    store = EpisodeStore(topic.url, topic.prefix)
    sink = EpisodesSink(
        store, broken, topic.read, lambda _: None, topic.failures.append, Metrics(), FakeClock(), patience_s=0.2
    )
    sink.start()
    await sink.handle(topic.fetch(OPENED))
    await sink.stop()
    await store.close()
    assert [type(error) for error in topic.failures] == [BrokenError]
