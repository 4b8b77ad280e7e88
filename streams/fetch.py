"""Hands each fetched partition batch to its agent as one event, acknowledged once after its state is written.

Faust spends about 0.1 ms on a message before any work is done. Here that is spent once for each fetch, and of topics
whose agent does not care for partitions once for all that was fetched of them at a time. The subclass
replaces private parts of `faust.transport.consumer.Consumer` of 0.15.3, so the version is pinned and a test holds the
pin to it. Topics that are not named as fetch topics (changelogs) keep Faust's own path, but nothing of them is
lost on it.

Offsets: Faust keeps a list of acknowledged offsets and looks for gaps. A fetch is one span of offsets, so here each
partition has a queue of the fetches handed out, and what may be committed is the end of its acknowledged head.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import suppress
from math import inf
from typing import Any, NamedTuple

import uvloop
from aiokafka.errors import IllegalStateError
from aiokafka.structs import TopicPartition
from faust.serializers.schemas import Schema
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP
from faust.types.tuples import ConsumerMessage, ack_lock
from mode.utils.futures import notify

FAUST_VERSION = "0.15.3"
#: The broker is asked so long after the last time, seconds: an answer costs much the same with one record or many. What
#: comes meanwhile waits there, where aiokafka would ask at once and get it one record at a time.
GATHER_S = 0.02
#: Not amid a backlog: where the last fetch had records older than this, seconds.
FRESH_S = 1.0
#: While an agent is busy, what was fetched for it waits; so long nothing else is fetched from that broker. aiokafka's
#: own tenth of a second made alerts late.
PREFETCH_WAIT_S = 0.01


class Fetch(NamedTuple):
    """What one fetch brought of one partition, in order of offsets."""

    topic: str
    partition: int
    records: tuple[Any, ...]
    """aiokafka ConsumerRecord: offset, timestamp (ms), key, value, headers."""

    @property
    def end(self) -> tuple[TP, int]:
        """The partition, and the offset of its last record here."""
        return TP(self.topic, self.partition), self.records[-1].offset


class FetchSchema(Schema):  # type: ignore[type-arg]  # faust's generics are its own
    """Leaves keys and values as they are: the value is a tuple of fetches, one unless the topic is a joined one."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        """The key of the last record, as bytes."""
        return message.key

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        """The fetches."""
        return message.value


class Listed:
    """Partitions of which records are wanted, as they are at any time: none where there are none.

    aiokafka takes an empty set for all that there are. So what it had of a partition that Faust holds back, such as a
    standby's changelog, was handed over whenever all others were held back too, and was lost.
    """

    def __init__(self, partitions: Collection[Any]) -> None:
        self._partitions = partitions

    def __contains__(self, tp: object) -> bool:
        return tp in self._partitions


class FetchConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread, with a wait at the broker that may be set (Faust's is 1.5 s)."""

    heard_at = 0.0
    """When the group last took this worker for a member, on the monotonic clock; 0 before that."""
    _fresh = True
    """Whether all that was fetched the last time was."""
    _at_once = False
    """Whether something that workers send each other waits at the broker."""
    _missing: frozenset[str] = frozenset()
    """Topics that the leader of the group knows no partitions of."""

    async def on_start(self) -> None:
        """Start, pace the requests, and at heartbeats that are answered from then on see how the group is."""
        await super().on_start()
        self._fetcher = self._ensure_consumer()._fetcher
        self._pace(self._fetcher)
        coordinator = self._ensure_consumer()._coordinator
        heartbeat = coordinator._do_heartbeat

        async def noted() -> bool:
            answered = bool(await heartbeat())
            if answered:
                self.heard_at = time.monotonic()
                self._look_for_missing(coordinator)
            return answered

        coordinator._do_heartbeat = noted

    def _look_for_missing(self, coordinator: Any) -> None:
        """Have the leader of the group ask for topics that it knows no partitions of.

        While a broker starts, it answers without some or all of them, or not at all. A leader that assigns partitions
        then gives those to nobody; aiokafka asks again, and lets the group join anew, after five minutes.
        """
        known = coordinator._cluster.partitions_for_topic
        missing = frozenset(topic for topic in coordinator._group_subscription or () if not known(topic))
        if missing:
            coordinator._client.force_metadata_update()
            if missing != self._missing:
                self.log.warning("Nobody reads topics that brokers did not tell of; asked again: %s", sorted(missing))
        self._missing = missing

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109  # Faust's own signature
        max_records: int | None = None,
    ) -> Any:
        """As Faust does, of active partitions alone, and take note of whether it was fresh."""
        records = await super()._fetch_records(consumer, Listed(active_partitions), timeout, max_records)
        oldest_ms = min((of_partition[0].timestamp for of_partition in records.values() if of_partition), default=inf)
        self._fresh = oldest_ms > (time.time() - FRESH_S) * 1000
        return records

    def _pace(self, fetcher: Any) -> None:
        fetcher._prefetch_backoff = PREFETCH_WAIT_S
        actions = fetcher._get_actions_per_node
        asked_at = 0.0

        def paced(assignment: Any) -> Any:
            nonlocal asked_at
            requests, resets, timeout_s, *more = actions(assignment)
            at_once, self._at_once = self._at_once, False
            now = time.monotonic()
            early_s = asked_at + GATHER_S - now if self._fresh else 0.0
            if requests and early_s > 0:
                requests = self._of_workers(requests) if at_once else []
                timeout_s = min(timeout_s, early_s)
            elif requests:
                asked_at = now
            return requests, resets, timeout_s, *more

        fetcher._get_actions_per_node = paced

    def _of_workers(self, requests: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
        """The requests without the source topics, to be answered at once with what is there."""
        kept = []
        for node, request in requests:
            request._topics = [(topic, asked) for topic, asked in request.topics if topic not in self.app.joined_topics]
            request._max_wait_ms = 0
            if request.topics:
                kept.append((node, request))
        return kept

    def ask_at_once(self) -> None:
        """Ask the broker now for what workers send each other. From any thread."""
        with suppress(RuntimeError):  # the thread has ended
            self.thread_loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._at_once = True
        self._fetcher._notify(self._fetcher._wait_consume_future)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.app.fetch_wait_ms
        return consumer


class FetchConsumer(Consumer):
    """Consumer whose messages of fetch topics are whole fetches.

    Partition and offset of such a message are those of the last record of its first fetch.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fetch_topics: frozenset[str] = self.app.fetch_topics
        self.joined_topics: frozenset[str] = self.app.joined_topics
        # Fetches handed out and not yet committed, by last offset, in order; the message is there to tell apart the
        # same offset handed out again after a rebalance.
        self._handed_out: dict[TP, dict[int, ConsumerMessage]] = defaultdict(dict)
        self._committable: dict[TP, int] = {}
        # At the end of a recovery Faust lets partitions go, seeks, and then empties all queues: what came in between
        # would be lost. So nothing is handed out from a rebalance until the flow is resumed after the seek.
        self._held_back = True
        self._sought = False
        self._releases = 0
        self._dropped = False

    def _new_consumer_thread(self) -> FetchConsumerThread:
        # The loop of the thread reads what is fetched from the socket: Python's own takes several times as long.
        thread_loop = uvloop.new_event_loop()
        thread = FetchConsumerThread(self, loop=self.loop, beacon=self.beacon, thread_loop=thread_loop)
        thread._close_thread_loop_on_stop = True
        return thread

    @property
    def silent_s(self) -> float:
        """How long ago the group last took this worker for a member, seconds; 0 before it ever did."""
        heard_at: float = self._thread.heard_at
        return time.monotonic() - heard_at if heard_at else 0.0

    def ask_at_once(self) -> None:
        """Something that workers send each other waits at the broker, for this one perhaps."""
        self._thread.ask_at_once()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109  # Faust's own signature
        """Yield a message for each fetch of a fetch topic, for all of a joined one, and for each record of others."""
        if self._dropped and not self._held_back:
            self._dropped = not await self._start_over()
        releases = self._releases
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if records is None or self.should_stop:
            return
        to_come = {tp for tp, batch in records.items() if batch and tp.topic not in self.fetch_topics}
        if not self.flow_active:
            # What was fetched while the flow stood still is dropped; go back to what was committed.
            self._dropped |= not await self._start_over()
            await self._fetch_again(to_come)
            return
        too_early = self._held_back or self._releases != releases
        joined: dict[str, list[Fetch]] = {}
        for tp, batch in records.items():
            if not self._goes_on(generation):
                break  # a rebalance: the position is set again from the committed offsets
            if not batch or not (active is None or tp in active or tp in self._buffered_partitions):
                continue
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            if tp.topic in self.fetch_topics:
                read = self._read_offset[tp]
                fetch = Fetch(tp.topic, tp.partition, tuple(batch))
                if too_early:
                    self._dropped = True  # and fetched again from what was committed
                elif read is not None and batch[-1].offset < read:
                    continue
                elif tp.topic in self.joined_topics:
                    joined.setdefault(tp.topic, []).append(fetch)
                else:
                    yield tp, self._hand_out((fetch,))
            else:
                for record in batch:
                    if self._goes_on(generation):
                        yield tp, self._to_message(tp, record)
                if self._goes_on(generation):
                    to_come.discard(tp)
        for fetches in joined.values():
            if not self._goes_on(generation):
                break
            yield fetches[0].end[0], self._hand_out(tuple(fetches))
        await self._fetch_again(to_come)

    def _goes_on(self, generation: int) -> bool:
        """Whether there was no rebalance since then."""
        return bool(self.flow_active) and self.app.consumer_generation_id == generation

    async def _fetch_again(self, changelogs: set[TP]) -> None:
        """What was fetched of changelogs and is not handed on comes again, from where the state here is complete."""
        here = changelogs and changelogs & self.assignment()
        if not here:
            return
        try:
            await self._thread.seek_wait({tp: self.app.kept_up_to(tp) + 1 for tp in here})
        except IllegalStateError:  # another worker's meanwhile; its next assignment here begins with a seek
            return

    def _hand_out(self, fetches: tuple[Fetch, ...]) -> ConsumerMessage:
        message = self._to_message(fetches[0].end[0], fetches[0].records[-1])
        message.value = fetches
        for number, fetch in enumerate(fetches):
            tp, offset = fetch.end
            self._handed_out[tp][offset] = message
            if number:  # Faust does this for the first
                self._read_offset[tp] = offset
                self.app.monitor.stream_inbound_time[tp] = self.app.monitor.time()
        return message

    def ack(self, message: ConsumerMessage) -> bool:
        """Mark fetches as done. The acknowledged head of each partition's queue becomes committable."""
        if message.topic not in self.fetch_topics:
            return bool(super().ack(message))
        with ack_lock:
            if message.acked:
                return False
            message.acked = True
            self._unacked_messages.discard(message)
            current = [self._done(message, *fetch.end) for fetch in message.value]
            notify(self._waiting_for_ack)
            return any(current)

    def _done(self, message: ConsumerMessage, tp: TP, offset: int) -> bool:
        """Move on what may be committed of a partition. Returns whether the message still counts for it."""
        handed_out = self._handed_out[tp]
        if handed_out.get(offset) is not message:
            return False
        while handed_out and handed_out[(first := next(iter(handed_out)))].acked:
            del handed_out[first]
            self._committable[tp] = first + 1
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets within and between fetches are no gaps: each fetch covers all up to its last record."""
        if tp.topic not in self.fetch_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:
        yield from super()._filter_tps_with_pending_acks(topics)
        for tp in list(self._committable):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic in self.fetch_topics:
            return self._committable.get(tp)
        offset: int | None = super()._new_offset(tp)
        return offset

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Watch that a partition moves, as Faust does; but one whose position is not known yet is no reason to crash.

        Faust asks for it every 2.5 commit intervals, also amid a rebalance, and its consumer then ended on an assertion
        of aiokafka's.
        """
        try:
            super().verify_event_path(now, tp)
        except AssertionError:
            return

    async def perform_seek(self) -> None:
        """Go back to what is committed, as Faust does at the end of each recovery."""
        self._sought = await self._start_over()

    async def _start_over(self) -> bool:
        """All that is not committed comes again, so the queues start anew.

        What an agent has in hand meanwhile is done twice, which applying it must bear. Faust leaves partitions of which
        nothing is committed where they are, past what was dropped; they start at their beginning.

        Returns whether it was done: while a rebalance moves partitions it is not, and each rebalance has a seek at its
        end.
        """
        try:
            await super().perform_seek()
            self._handed_out.clear()
            fresh = [tp for tp in self.assignment() if tp.topic in self.fetch_topics and not self._read_offset[tp]]
            if fresh:
                await self._thread.seek_to_beginning(*(TopicPartition(*tp) for tp in fresh))
        except (IllegalStateError, AssertionError):  # aiokafka's: of a partition that is another's by now; of none
            return False
        return True

    def resume_flow(self) -> None:
        """Go on; after a rebalance Faust calls this last, when queues are emptied and partitions sought."""
        super().resume_flow()
        if self._held_back and self._sought:
            self._held_back = False
            self._releases += 1

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """A new member, or an old one that has come back.

        What is left of changelogs from before goes now, ahead of the question up to where the state is complete. Faust
        empties their queue each time it lets the flow go on; but at the end of a recovery, standbys' changelogs are
        being read by then, and what was in the queue was lost. So HotspotApp's queue is left alone by that.
        """
        self.app.tables.changelog_queue.clear()
        self._thread.heard_at = time.monotonic()
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget partitions that are gone; their next owner reads from the committed offset."""
        self._held_back, self._sought = True, False
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._handed_out.pop(tp, None)
            self._committable.pop(tp, None)


class FetchTransport(Transport):
    """Faust's aiokafka transport with the consumer above."""

    Consumer = FetchConsumer
