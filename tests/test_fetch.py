"""Whole fetches as one event: the offsets that may be committed, and the Faust version that this was made for."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any, NamedTuple

import faust
import pytest
from aiokafka.consumer.fetcher import Fetcher as AioKafkaFetcher
from aiokafka.errors import IllegalStateError
from aiokafka.protocol.fetch import FetchRequest
from faust.types import TP

from streams.fetch import FAUST_VERSION, GATHER_S, Fetch, FetchConsumer, FetchTransport

LOCATED = TP("located", 0)
CHANGELOG = TP("state-changelog", 1)
NORTH, SOUTH = TP("police", 0), TP("police", 3)


class Record(NamedTuple):
    """What the fetcher hands over, as far as the consumer looks at it."""

    topic: str
    partition: int
    offset: int
    timestamp: int = 1_700_000_000_000
    timestamp_type: int = 0
    headers: tuple[Any, ...] = ()
    key: bytes = b"k"
    value: bytes = b"v"
    checksum: None = None
    serialized_key_size: int = 1
    serialized_value_size: int = 1


@pytest.fixture
async def consumer() -> Any:
    """A consumer that is not connected; its topics are acknowledged."""
    app = faust.App("test-fetch", broker="kafka://127.0.0.1:1", store="memory://")
    app.fetch_topics = frozenset({"located", "police"})
    app.joined_topics = frozenset({"police"})
    app.fetch_wait_ms = 500
    app.transport = FetchTransport(app.conf.broker_consumer, app)
    app.kept_up_to = lambda tp: 3
    app.topics._acking_topics.update({"located", "police"})
    return FetchConsumer(
        app.transport, callback=_nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing
    )


async def _nothing(*_: Any, **__: Any) -> None:
    return None


def fetch(consumer: FetchConsumer, first: int, last: int) -> Any:
    """Hand out offsets first to last as one message."""
    return consumer._hand_out((fetched(LOCATED, *range(first, last + 1)),))


def fetched(tp: TP, *offsets: int) -> Fetch:
    """What a fetch brought."""
    return Fetch(tp.topic, tp.partition, tuple(Record(tp.topic, tp.partition, offset) for offset in offsets))


def committable(consumer: FetchConsumer, tp: TP = LOCATED) -> int | None:
    """The offset that a commit would write now."""
    found: int | None = consumer._filter_committable_offsets(consumer._filter_tps_with_pending_acks()).get(tp)
    return found


def test_the_version_is_the_one_this_was_made_for() -> None:
    assert version("faust-streaming") == FAUST_VERSION


async def test_nothing_is_committed_before_a_fetch_is_acknowledged(consumer: FetchConsumer) -> None:
    message = fetch(consumer, 0, 99)
    assert committable(consumer) is None
    assert consumer.ack(message)
    assert committable(consumer) == 100


async def test_a_message_is_a_whole_fetch(consumer: FetchConsumer) -> None:
    message = fetch(consumer, 5, 7)
    (whole,) = message.value
    assert [record.offset for record in whole.records] == [5, 6, 7]
    assert message.offset == 7


async def test_a_later_fetch_does_not_carry_an_unfinished_one_with_it(consumer: FetchConsumer) -> None:
    # handed out   [0 ──── 99][100 ──── 149][150 ─ 160]
    # done                     ^^^^^^^^^^^^^
    first, second, third = fetch(consumer, 0, 99), fetch(consumer, 100, 149), fetch(consumer, 150, 160)
    consumer.ack(second)
    assert committable(consumer) is None
    consumer.ack(first)
    assert committable(consumer) == 150
    consumer.ack(third)
    assert committable(consumer) == 161


async def test_holes_in_offsets_are_no_gaps(consumer: FetchConsumer) -> None:
    """A compacted topic, or a transaction marker, leaves holes within and between fetches."""
    await consumer._add_gap(LOCATED, 0, 500)
    message = consumer._hand_out((fetched(LOCATED, 3, 700),))
    consumer.ack(message)
    assert committable(consumer) == 701


async def test_what_was_handed_out_before_a_seek_counts_no_more(
    consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Faust went back to the committed offset, only what comes again moves it."""
    lost = fetch(consumer, 0, 99)

    async def committed() -> dict[TP, int]:
        return {LOCATED: 0}

    begun: list[TP] = []

    async def to_beginning(*partitions: TP) -> None:
        begun.extend(partitions)

    monkeypatch.setattr(consumer, "seek_to_committed", committed)
    monkeypatch.setattr(consumer._thread, "seek_to_beginning", to_beginning)
    monkeypatch.setattr(consumer, "assignment", lambda: {LOCATED, TP("changelog", 0)})
    await consumer.perform_seek()
    assert begun == [LOCATED]  # nothing of it is committed, and Faust would leave it where it is
    again = fetch(consumer, 0, 120)
    assert not consumer.ack(lost)
    assert committable(consumer) is None
    consumer.ack(again)
    assert committable(consumer) == 121


async def test_a_joined_topic_is_one_message_that_moves_all_its_partitions(
    consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(consumer, monkeypatch, {NORTH: [4, 5], LOCATED: [9], SOUTH: [70]})
    messages = [message async for _, message in consumer.getmany(1.0)]
    located, joined = messages
    assert located.value == (fetched(LOCATED, 9),)
    assert joined.value == (fetched(NORTH, 4, 5), fetched(SOUTH, 70))
    assert (joined.tp, joined.offset) == (NORTH, 5)
    assert consumer._read_offset[SOUTH] == 70  # Faust itself moves that of the first
    assert (committable(consumer, NORTH), committable(consumer, SOUTH)) == (None, None)
    assert consumer.ack(joined)
    assert (committable(consumer, NORTH), committable(consumer, SOUTH)) == (6, 71)


async def test_a_partition_of_a_joined_message_waits_for_what_came_of_it_before(
    consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # north  [4 5]  [6]          south  [70]  [71 72]
    # done          ^^^                       ^^^^^^^   (as one message)
    ready(consumer, monkeypatch, {NORTH: [4, 5]})
    (first,) = [message async for _, message in consumer.getmany(1.0)]
    ready(consumer, monkeypatch, {NORTH: [6], SOUTH: [70, 71]})
    (second,) = [message async for _, message in consumer.getmany(1.0)]
    assert consumer.ack(second)
    assert (committable(consumer, NORTH), committable(consumer, SOUTH)) == (None, 72)
    assert consumer.ack(first)
    assert committable(consumer, NORTH) == 7


async def test_a_partition_that_is_another_workers_now_does_not_move_with_the_rest(
    consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(consumer, monkeypatch, {NORTH: [4], SOUTH: [70]})
    (joined,) = [message async for _, message in consumer.getmany(1.0)]
    await consumer.on_partitions_revoked({NORTH})
    assert consumer.ack(joined)
    assert (committable(consumer, NORTH), committable(consumer, SOUTH)) == (None, 71)


def ready(consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch, offsets: dict[TP, list[int]]) -> None:
    """So much has been fetched, and may be handed out."""

    async def arrives(_: float) -> tuple[Any, Any]:
        return {tp: list(fetched(tp, *found).records) for tp, found in offsets.items()}, set(offsets)

    monkeypatch.setattr(consumer, "_wait_next_records", arrives)
    monkeypatch.setattr(consumer, "highwater", lambda tp: 1_000)
    consumer._sought = True
    consumer.resume_flow()


async def test_a_message_is_acknowledged_once(consumer: FetchConsumer) -> None:
    message = fetch(consumer, 0, 9)
    assert consumer.ack(message)
    assert not consumer.ack(message)


async def test_nothing_is_handed_out_until_the_flow_goes_on_after_the_seek(
    consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust lets partitions go, seeks and then empties its queues: what comes early is fetched again."""
    # recovery   resume partitions ── seek ── queues emptied, flow resumed
    # fetches              x      x         x (still under way)         ✓
    seeks = 0

    async def committed() -> dict[TP, int]:
        nonlocal seeks
        seeks += 1
        return {LOCATED: 5}

    async def arrives(_: float) -> tuple[Any, Any]:
        return {LOCATED: [Record("located", 0, 5), Record("located", 0, 6)]}, {LOCATED}

    async def getmany() -> list[int]:
        return [message.offset async for _, message in consumer.getmany(1.0)]

    monkeypatch.setattr(consumer, "seek_to_committed", committed)
    monkeypatch.setattr(consumer, "_wait_next_records", arrives)
    monkeypatch.setattr(consumer, "highwater", lambda tp: 7)
    monkeypatch.setattr(consumer, "assignment", lambda: {LOCATED})
    consumer.resume_flow()  # as for the changelog, before recovery is done
    assert await getmany() == []
    await consumer.perform_seek()
    assert await getmany() == []

    async def still_under_way(wait_s: float) -> tuple[Any, Any]:
        consumer.resume_flow()
        return await arrives(wait_s)

    monkeypatch.setattr(consumer, "_wait_next_records", still_under_way)
    assert await getmany() == []
    assert seeks == 1
    monkeypatch.setattr(consumer, "_wait_next_records", arrives)
    assert await getmany() == [6]
    assert seeks == 2
    await consumer.on_partitions_revoked(set())
    assert await getmany() == []


@pytest.mark.parametrize("error", [IllegalStateError("no current assignment"), AssertionError("none are assigned")])
async def test_a_seek_amid_a_rebalance_is_made_up_for(
    consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A partition is another worker's by the time it is sought: that did end the worker."""
    moving = True
    seeks = 0

    async def committed() -> dict[TP, int]:
        nonlocal seeks
        if moving:
            raise error
        seeks += 1
        return {LOCATED: 5}

    async def arrives(_: float) -> tuple[Any, Any]:
        return {LOCATED: [Record("located", 0, 5), Record("located", 0, 6)]}, {LOCATED}

    monkeypatch.setattr(consumer, "seek_to_committed", committed)
    monkeypatch.setattr(consumer, "_wait_next_records", arrives)
    monkeypatch.setattr(consumer, "highwater", lambda tp: 7)
    monkeypatch.setattr(consumer, "assignment", lambda: {LOCATED})
    await consumer.perform_seek()
    consumer.stop_flow()
    assert [message async for message in consumer.getmany(1.0)] == []
    consumer.resume_flow()
    assert [message async for message in consumer.getmany(1.0)] == []  # not sought since the rebalance
    moving = False
    await consumer.perform_seek()
    consumer.resume_flow()
    assert [message.offset async for _, message in consumer.getmany(1.0)] == [6]
    assert seeks == 2  # at the end of the rebalance, and for what was dropped in it


@pytest.fixture
def sought(consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch) -> dict[TP, int]:
    """Where the consumer of a changelog, of which five records arrive, was told to go on."""
    found: dict[TP, int] = {}

    async def arrives(_: float) -> tuple[Any, Any]:
        records = [Record(CHANGELOG.topic, CHANGELOG.partition, offset) for offset in range(4, 9)]
        return {CHANGELOG: records}, consumer._active_partitions

    async def seek(places: dict[TP, int]) -> None:
        found.update(places)

    async def seek_to_committed() -> dict[TP, int]:
        return {}

    monkeypatch.setattr(consumer, "_wait_next_records", arrives)
    monkeypatch.setattr(consumer, "seek_to_committed", seek_to_committed)
    monkeypatch.setattr(consumer, "highwater", lambda tp: 9)
    monkeypatch.setattr(consumer, "assignment", lambda: {CHANGELOG})
    monkeypatch.setattr(consumer._thread, "seek_wait", seek)
    consumer._active_partitions = {CHANGELOG}
    return found


async def test_a_changelog_is_handed_on_record_by_record(consumer: FetchConsumer, sought: dict[TP, int]) -> None:
    assert [message.offset async for _, message in consumer.getmany(1.0)] == [4, 5, 6, 7, 8]
    assert sought == {}


async def test_what_is_fetched_of_a_changelog_that_is_held_back_comes_again(
    consumer: FetchConsumer, sought: dict[TP, int]
) -> None:
    consumer._active_partitions = set()
    assert [message.offset async for _, message in consumer.getmany(1.0)] == []
    assert sought == {CHANGELOG: 4}


async def test_what_is_fetched_of_a_changelog_while_the_flow_stands_still_comes_again(
    consumer: FetchConsumer, sought: dict[TP, int]
) -> None:
    consumer.stop_flow()
    assert [message.offset async for _, message in consumer.getmany(1.0)] == []
    assert sought == {CHANGELOG: 4}


async def test_the_rest_of_a_changelog_comes_again_after_a_rebalance(
    consumer: FetchConsumer, sought: dict[TP, int]
) -> None:
    """From where the state is complete: what was handed on may have been in a queue that was emptied."""
    seen = []
    async for _, message in consumer.getmany(1.0):
        seen.append(message.offset)
        if message.offset == 5:
            consumer.stop_flow()
    assert seen == [4, 5]
    assert sought == {CHANGELOG: 4}


async def test_a_changelog_that_is_another_workers_by_now_is_left_to_it(
    consumer: FetchConsumer, sought: dict[TP, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: dict[TP, int]) -> None:
        raise IllegalStateError("not assigned")

    consumer.stop_flow()
    monkeypatch.setattr(consumer._thread, "seek_wait", gone)
    assert [message.offset async for _, message in consumer.getmany(1.0)] == []
    monkeypatch.setattr(consumer, "assignment", set)
    assert [message.offset async for _, message in consumer.getmany(1.0)] == []
    assert sought == {}


class Fetcher:
    """aiokafka's, which would ask one node whenever it is asked what to do."""

    def _get_actions_per_node(self, _: Any) -> Any:
        topics = [("police", [(0, 7, 99)]), ("located", [(0, 4, 99), (1, 5, 99)])]
        return [(1, FetchRequest(500, 1, 99, 0, topics))], {2: {LOCATED}}, 0.2, False, []

    _notify = AioKafkaFetcher._notify


async def test_the_broker_is_asked_at_a_pace_unless_there_is_a_backlog(consumer: FetchConsumer) -> None:
    fetcher: Any = Fetcher()
    thread = consumer._thread
    thread._pace(fetcher)
    assert len(asked(fetcher)) == 2
    requests, resets, wait_s, *more = fetcher._get_actions_per_node(None)
    assert (requests, resets, more) == ([], {2: {LOCATED}}, [False, []])
    assert 0 < wait_s <= GATHER_S
    await asyncio.sleep(wait_s)
    assert len(asked(fetcher)) == 2
    thread._fresh = False
    assert len(asked(fetcher)) == 2


async def test_what_workers_send_each_other_is_asked_for_at_once(
    consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.fetch.GATHER_S", 60.0)
    fetcher: Any = Fetcher()
    thread = consumer._thread
    thread._fetcher = fetcher
    thread._pace(fetcher)
    assert asked(fetcher) == {"police": [(0, 7, 99)], "located": [(0, 4, 99), (1, 5, 99)]}
    assert asked(fetcher) == {}
    fetcher._wait_consume_future = asyncio.Future()

    def run_once() -> None:
        consumer.ask_at_once()
        thread.thread_loop.call_soon(thread.thread_loop.stop)
        thread.thread_loop.run_forever()

    await asyncio.to_thread(run_once)
    assert fetcher._wait_consume_future.done()  # so aiokafka asks what to do
    assert asked(fetcher, wait_ms=0) == {"located": [(0, 4, 99), (1, 5, 99)]}
    assert asked(fetcher) == {}
    thread.thread_loop.close()
    consumer.ask_at_once()  # of a thread that has ended


def asked(fetcher: Any, wait_ms: int = 500) -> dict[str, Any]:
    """What the broker is asked for now."""
    topics = {}
    for _, request in fetcher._get_actions_per_node(None)[0]:
        topics.update(request.topics)
        assert request._max_wait_ms == wait_ms
    return topics


async def test_a_partition_without_a_position_does_not_end_the_consumer(
    consumer: FetchConsumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust watches that partitions move, and aiokafka asserts that there is a position: not so amid a rebalance."""

    def unknown(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(consumer._thread, "verify_event_path", unknown)
    consumer.verify_event_path(0.0, LOCATED)
