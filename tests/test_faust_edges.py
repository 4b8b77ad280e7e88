"""Faust as it is: what each of its sharp edges does to a naive program, and that ours does not touch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.cluster import ClusterMetadata
from faust.exceptions import KeyDecodeError
from faust.transport.drivers.aiokafka import Consumer
from faust.types import TP

from schemas.settings import Settings
from streams import app as composition
from streams.app import Worker
from streams.fetch import Fetch, FetchConsumer, Listed
from streams.topics import Topics, create_topics
from tests.builders import hampshire
from tests.running import Installation, publish, running_worker, until

AGENTS = {"hotspot.ingest.ed", "hotspot.ingest.police", "hotspot.ingest.feedback", "hotspot.monitor", "hotspot.deliver"}
PLACE = TP("located", 0)


@pytest.fixture
def worker() -> Worker:
    """One that is not started: nothing connects before."""
    return Worker(Settings(metrics_port=0), [hampshire()])


@pytest.fixture
def app() -> Iterator[Any]:
    """A plain Faust app."""
    yield faust.App("test-edges", broker="kafka://127.0.0.1:1", store="memory://")


async def _nothing(*_: Any, **__: Any) -> None:
    return None


@dataclass(eq=False)
class Message:
    """A fetch that was handed out."""

    offset: int
    topic: str = PLACE.topic
    acked: bool = False

    @property
    def value(self) -> tuple[Fetch, ...]:
        """The fetch, of one record."""
        return (Fetch(PLACE.topic, PLACE.partition, (SimpleNamespace(offset=self.offset),)),)


# --- agents ------------------------------------------------------------------------------------------------------


def test_agents_of_one_name_replace_each_other_so_each_has_a_name_of_its_own(app: Any, worker: Worker) -> None:
    for topic in ("one", "other"):
        app.agent(app.topic(topic), name="same")(_nothing)
    assert len(app.agents) == 1  # and nobody was told
    assert set(worker.faust.agents) == AGENTS


def test_agents_work_on_one_event_at_a_time(worker: Worker) -> None:
    assert {agent.concurrency for agent in worker.faust.agents.values()} == {1}


def test_faust_commits_past_an_unfinished_event_and_the_fetch_consumer_does_not(app: Any) -> None:
    """With a concurrency above 1 events end in any order: the second of three is done, the first is not (issue 606)."""
    app.fetch_topics, app.joined_topics, app.fetch_wait_ms = frozenset({"located"}), frozenset(), 500
    consumers = [
        kind(app.transport, callback=_nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing)
        for kind in (Consumer, FetchConsumer)
    ]
    naive, ours = consumers
    naive._committed_offset[PLACE] = None
    naive._acked[PLACE] = [1]
    naive._acked_index[PLACE] = {1}
    assert naive._new_offset(PLACE) == 2  # the first event is lost, should the worker die now
    first, second = Message(0), Message(1)
    ours._handed_out[PLACE] = {0: first, 1: second}
    ours.ack(second)
    assert ours._new_offset(PLACE) is None
    ours.ack(first)
    assert ours._new_offset(PLACE) == 2


class Stream:
    """A stream of one event, which acknowledges what its agent has left unless it was told not to, as Faust's does."""

    def __init__(self) -> None:
        self.acknowledged = False
        self._by_itself = True
        value = (Fetch("hotspot.police.incidents", 0, (SimpleNamespace(timestamp=0),)),)
        self._event = SimpleNamespace(value=value, ack=self._ack)

    def _ack(self) -> None:
        self.acknowledged = True

    def noack(self) -> Stream:
        """The agent acknowledges."""
        self._by_itself = False
        return self

    async def events(self) -> AsyncIterator[Any]:
        """The event."""
        try:
            yield self._event
        finally:
            if self._by_itself:
                self._ack()


async def test_an_agent_that_raises_acknowledges_nothing_and_ends_its_worker(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust acknowledges an event also when its agent raises; so it must not be Faust who acknowledges."""

    async def naive(stream: Any) -> None:
        async with aclosing(stream.events()) as events:
            async for _ in events:
                raise OSError("the broker is away")

    async def raises(*_: Any) -> None:
        raise OSError("the broker is away")

    lost, kept = Stream(), Stream()
    with pytest.raises(OSError, match="away"):
        await naive(lost)
    monkeypatch.setattr(worker.ingest, "handle", raises)
    with pytest.raises(OSError, match="away"):
        await worker.faust.agents["hotspot.ingest.ed"].fun(kept)
    assert lost.acknowledged
    assert not kept.acknowledged
    assert isinstance(worker.failure, OSError)
    assert worker.stopped.is_set()


async def test_an_event_is_acknowledged_after_its_work_is_done(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream()
    seen: list[bool] = []

    async def handle(*_: Any) -> None:
        seen.append(stream.acknowledged)

    monkeypatch.setattr(worker.ingest, "handle", handle)
    await worker.faust.agents["hotspot.ingest.police"].fun(stream)
    assert (seen, stream.acknowledged) == ([False], True)


async def test_a_worker_stops_in_time_whatever_ignores_its_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of Faust's services wait on after they were cancelled: a deadline that cancels and waits is none."""
    worker = Worker(Settings(metrics_port=0), [hampshire()])
    released = asyncio.Event()

    async def deaf() -> None:
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    monkeypatch.setattr(worker, "_stop", deaf)
    monkeypatch.setattr(composition, "STOP_S", 0.2)
    assert not await asyncio.wait_for(asyncio.shield(asyncio.create_task(worker.stop())), 5)
    released.set()


async def test_a_worker_whose_services_cannot_start_fails_and_does_not_wait_for_them(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that did start ignore that they are cancelled: a program that leaves it to its event loop never ends."""
    worker = Worker(installation.settings(), [hampshire()])

    async def away() -> None:
        raise OSError("the broker is away")

    monkeypatch.setattr(worker.faust, "start", away)
    await worker.start()
    assert isinstance(worker.failure, OSError)
    assert worker.stopped.is_set()
    assert not worker.faust.conf.stream_wait_empty  # what a failed agent had in hand is never acknowledged
    assert await worker.stop()


async def test_a_worker_whose_ticks_end_fails(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that ends with an error tells nobody; the regions would be looked at only when records come."""
    worker = Worker(installation.settings(), [hampshire()])

    async def refused() -> None:
        raise OSError("the broker takes no tick")

    monkeypatch.setattr(worker.faust, "start", _nothing)
    monkeypatch.setattr(worker, "_tick_forever", refused)
    await worker.start()
    await asyncio.wait_for(worker.stopped.wait(), 10)
    assert isinstance(worker.failure, OSError)
    assert await worker.stop()


# --- tables and settings -----------------------------------------------------------------------------------------


async def test_a_flush_of_faust_leaves_writes_behind_and_the_state_waits_for_them(worker: Worker) -> None:
    """While the broker is slow, Faust's flush gives up after a tenth of a second; alerts must not go out then."""
    buffer = worker.faust.producer.buffer
    buffer._started.set()  # it runs, and its way to the broker stands still
    table = worker._table
    sent = [table.send_changelog(0, b"hampshire|1|offset", number) for number in (b"1", b"2")]
    await buffer.flush()
    assert buffer.size == 2
    written = asyncio.create_task(table.written())
    for done in sent:
        await asyncio.sleep(0.2)
        assert not written.done()
        done.set_result(None)
    await asyncio.wait_for(written, 5)


async def test_a_write_outlives_the_event_that_it_came_of(worker: Worker) -> None:
    """Faust asks the event in hand for the partition, and knows of none once that is gone: what a step writes late, or
    after a calibration, would end the worker. A key of ours lies where its region does."""
    key = b"hampshire|3|calibration"
    with pytest.raises(TypeError, match="outside of stream iteration"):
        faust.Table.partition_for_key(worker._table, key)
    worker._places = {"hampshire": TP(worker.topics.located, 1)}
    worker._table[key] = b"{}"
    (sent,) = worker._table._sent
    assert sent.message.partition == 1


async def test_a_write_that_the_broker_refuses_is_an_error_of_who_waits_for_it(worker: Worker) -> None:
    refused = worker._table.send_changelog(0, b"hampshire|1|week", b"too much")
    refused.set_exception(OSError("the broker does not take it"))
    with pytest.raises(OSError, match="does not take it"):
        await worker._table.written()


@pytest.mark.connected
async def test_aiokafka_takes_no_partitions_for_all_of_them_and_ours_gets_none(native: Installation) -> None:
    """Where all others are held back, a standby would read its changelog into the void."""
    settings = native.settings()
    create_topics(settings)
    located = Topics(settings.prefix).located
    publish(settings, located, [(b"key", b"value")] * 3)
    places = [TopicPartition(located, number) for number in range(2)]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(places)
        await until(lambda: bool(consumer._fetcher._records), "records are fetched")
        wanted: set[TopicPartition] = set()
        listed = Listed(wanted)
        assert await consumer._fetcher.fetched_records(listed, timeout=0.1) == {}
        naive = await consumer._fetcher.fetched_records(wanted, timeout=0.1)
        assert sum(map(len, naive.values())) == 3
        # one that is let go on is handed over, also where it is asked for already
        await consumer.seek_to_beginning(*places)
        await until(lambda: bool(consumer._fetcher._records), "they are fetched again")
        wanted.update(places)
        again = await consumer._fetcher.fetched_records(listed, timeout=5)
        assert sum(map(len, again.values())) == 3
    finally:
        await consumer.stop()


@pytest.mark.connected
async def test_a_leader_that_knew_of_no_topics_assigns_them_soon(
    native: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that just starts answers without them: aiokafka's leader then asked again after five minutes."""
    settings = native.settings()
    tell, starting = ClusterMetadata.update_metadata, True

    def told(cluster: ClusterMetadata, answer: Any) -> Any:
        if starting:
            answer.topics = []
        return tell(cluster, answer)

    monkeypatch.setattr(ClusterMetadata, "update_metadata", told)
    async with running_worker(settings, hampshire()) as worker:
        await until(lambda: worker.faust.consumer_generation_id > 0, "the group has met")
        assert worker.faust.consumer.assignment() == set()
        starting = False
        located = TP(Topics(settings.prefix).located, 0)
        await until(lambda: located in worker.faust.consumer.assignment(), "partitions are assigned", 20.0)


async def test_faust_empties_the_queue_of_a_standby_as_it_lets_the_flow_go_on_and_ours_does_not(
    app: Any, worker: Worker
) -> None:
    for faust_app, left in ((app, 0), (worker.faust, 1)):
        queue = faust_app.tables.changelog_queue
        queue.force_put_nowait("what a standby has read")
        faust_app.flow_control.resume()
        assert queue.qsize() == left
    assert queue.maxsize == worker.faust.conf.stream_buffer_maxsize
    # but an assignment begins anew, from where the state is complete
    with suppress(Exception):  # without a broker it gets no further
        await worker.faust.consumer.on_partitions_assigned(set())
    assert queue.qsize() == 0


async def test_state_comes_back_from_the_changelog_as_the_bytes_that_were_written(app: Any, worker: Worker) -> None:
    """A table that is told nothing of its types reads its changelog as JSON; one with a raw schema recovers as JSON."""
    message = SimpleNamespace(key=b"hampshire|1|2026-W01", value=b"\x01\xff\x00", headers=None, topic="t")
    naive = app.Table("naive", default=None)
    with pytest.raises(KeyDecodeError):
        await naive.changelog_topic.decode(message, propagate=True)
    table = worker.faust.tables["state"]
    event = await table.changelog_topic.decode(message, propagate=True)
    assert (event.key, event.value) == (message.key, message.value)


def test_no_table_is_windowed_as_these_expire_by_the_wall_clock(worker: Worker) -> None:
    assert set(worker.faust.tables) == {"state"}
    assert isinstance(worker.faust.tables["state"], faust.Table)


def test_nothing_rests_on_exactly_once_and_every_write_is_acknowledged_by_the_broker(worker: Worker) -> None:
    conf = worker.faust.conf
    assert conf.processing_guarantee.value == "at_least_once"
    assert conf.producer_acks == -1


def test_a_group_settles_within_a_session_and_a_fetch_is_not_held_for_ever(worker: Worker) -> None:
    """With Faust's own settings joining takes half a minute on some brokers, and a stop is noticed after one."""
    conf, settings = worker.faust.conf, worker.settings
    assert conf.broker_session_timeout == conf.broker_rebalance_timeout == settings.session_timeout_s
    assert conf.broker_heartbeat_interval <= settings.session_timeout_s / 3
    assert worker.faust.fetch_wait_ms == settings.fetch_wait_ms


def test_what_waits_for_an_agent_is_bounded(worker: Worker) -> None:
    """Faust holds 4,096 events for each stream by itself; here an event is a whole fetch, a thousand messages."""
    assert worker.faust.conf.stream_buffer_maxsize <= 8
