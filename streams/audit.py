"""Writes the audit trail to Kafka, one chain for each process that writes, and reads it back."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from alerts.audit import Chain, entry_bytes, latest_heads
from alerts.audit_verify import Placed, read_entry
from schemas.audit import AuditEntry, AuditEvent, ChainHead
from schemas.base import Clock, ToldError
from schemas.settings import Settings
from streams.asked import asked
from streams.metrics import Metrics
from streams.tasks import seen
from streams.topics import ORDERLY, Topics

#: So many of the newest messages of each partition are read for the heads of other chains. What is older was named by
#: those who read when it was new: a writer reads when it begins, and again after each hundred entries or each day.
NEWEST = 5_000
NAMES_AFTER_ENTRIES = 100
NAMES_AFTER = timedelta(days=1)
#: Who looks at something waits so long for the broker, which must have it on record before, seconds.
PERSON_S = 10.0
_NO_LEADER_YET = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
)


class NoTrailError(ToldError, RuntimeError):
    """The topic of the trail is not there."""


class Send(Protocol):
    """Sends to the broker; the awaitable that comes back ends when the broker has the message."""

    async def __call__(
        self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Awaitable[Any]: ...


class Record(Protocol):
    """Records events; returns when they are in the trail."""

    async def __call__(self, *events: AuditEvent) -> None: ...


class AuditTrail:
    """The trail as one process writes it. When recording returns, it is in the trail; when it raises, it may be.

    A process that ends leaves its chain as it is; the next one begins a chain that names its head.
    """

    def __init__(
        self,
        role: str,
        topic: str,
        send: Send,
        heads: Callable[[], Sequence[ChainHead]],
        clock: Clock,
        metrics: Metrics | None = None,
    ) -> None:
        self._role, self._topic, self._send, self._heads = role, topic, send, heads
        self._clock, self._metrics = clock, metrics
        self._one_at_a_time = asyncio.Lock()
        self._chain = _new_chain(role)
        self._named_at: datetime | None = None
        self._reading: asyncio.Future[Sequence[ChainHead]] | None = None

    def begin(self) -> None:
        """Have the heads read that the first entry names, so that it need not wait for them."""
        if self._reading is None:
            self._reading = seen(asyncio.create_task(asked(self._heads)))

    async def record(self, *events: AuditEvent) -> None:
        """Append events, each after the broker has answered for the one before: so no chain has a gap.

        Raises what sending raises. The chain then ends where it was, and the next event begins another.
        """
        async with self._one_at_a_time:
            for event in events:
                await self._append(event)

    async def _append(self, event: AuditEvent) -> None:
        now = self._clock()
        entry = self._chain.link(event, now, await self._heads_to_name(now))
        try:
            await (await self._send(self._topic, event.actor.encode(), entry_bytes(entry)))
        except BaseException:
            # It may be there or not: whoever reads the heads next will see.
            self._chain, self._named_at, self._reading = _new_chain(self._role), None, None
            raise
        self._chain = self._chain.after(entry)
        if self._metrics is not None:
            self._metrics.audit_entries.labels(event.action.value).inc()

    async def _heads_to_name(self, now: datetime) -> Sequence[ChainHead]:
        """Those for the next entry. Later ones do not wait until they are read: the first after that names them."""
        done = self._chain.head.number if self._chain.head else 0
        if self._named_at is None or done % NAMES_AFTER_ENTRIES == 0 or now - self._named_at >= NAMES_AFTER:
            self.begin()
        if self._reading is None or (self._named_at is not None and not self._reading.done()):
            return ()
        reading, self._reading = self._reading, None
        heads = await reading
        self._named_at = now
        return heads


def _new_chain(role: str) -> Chain:
    return Chain(f"{role}-{secrets.token_hex(6)}")


def record_now(
    settings: Settings, role: str, events: Sequence[AuditEvent], clock: Clock, heads: Sequence[ChainHead] | None = None
) -> list[AuditEntry]:
    """Record events from a program that ends soon, as a chain of its own; back when the broker has them.

    The first entry names `heads`, or those that are found.
    Raises NoTrailError where there is no trail, KafkaException when the broker refuses.
    """
    topic = Topics(settings.prefix).audit
    named = read_heads(settings, timeout_s=PERSON_S) if heads is None else heads
    producer = Producer({"bootstrap.servers": settings.bootstrap, **ORDERLY})
    chain, entries, refused = _new_chain(role), list[AuditEntry](), list[KafkaException]()

    def answered(error: Any, _: object) -> None:
        if error is not None:
            refused.append(KafkaException(error))

    for event in events:
        entry = chain.link(event, clock(), named if chain.head is None else ())
        producer.produce(topic, entry_bytes(entry), event.actor.encode(), on_delivery=answered)
        left = producer.flush(PERSON_S)
        if refused:
            raise refused[0]
        if left:
            raise KafkaException(f"{topic}: no answer within {PERSON_S:.0f} s")
        chain = chain.after(entry)
        entries.append(entry)
    return entries


def read_heads(settings: Settings, *, timeout_s: float = 30.0) -> Sequence[ChainHead]:
    """How far each chain has come of which something is among the newest messages. Raises KafkaException."""
    return latest_heads(entries_of(read_trail(settings, newest=NEWEST, timeout_s=timeout_s)))


def entries_of(placed: Iterable[Placed]) -> list[AuditEntry]:
    """The entries that can be read."""
    return [entry for place in placed if (entry := read_entry(place.raw)) is not None]


def read_trail(settings: Settings, *, newest: int | None = None, timeout_s: float = 30.0) -> list[Placed]:
    """All messages of the trail, or the newest of each partition, partition by partition.

    Raises NoTrailError where there is no trail, KafkaException when the broker does not answer.
    """
    topic = Topics(settings.prefix).audit
    consumer = Consumer(
        {
            "bootstrap.servers": settings.bootstrap,
            "group.id": "none",
            "enable.auto.commit": False,
            "allow.auto.create.topics": False,
        }
    )
    try:
        found = consumer.list_topics(timeout=timeout_s).topics.get(topic)
        if found is None:
            raise NoTrailError(f"There is no topic {topic} on {settings.bootstrap}: no worker has begun a trail there.")
        placed: list[Placed] = []
        for partition in sorted(found.partitions):
            placed.extend(_read_partition(consumer, topic, partition, newest, timeout_s))
    finally:
        consumer.close()
    return placed


def _read_partition(
    consumer: Consumer, topic: str, partition: int, newest: int | None, timeout_s: float
) -> Iterable[Placed]:
    low, end = _bounds(consumer, TopicPartition(topic, partition), timeout_s)
    offset = low if newest is None else max(low, end - newest)
    consumer.assign([TopicPartition(topic, partition, offset)])
    while offset < end:
        message = consumer.poll(timeout_s)
        if message is None:
            raise KafkaException(f"{topic} stopped at offset {offset} of {end}")
        if message.error():
            raise KafkaException(message.error())
        offset = message.offset() + 1
        where = f"offset {message.offset()} of partition {partition}"
        yield Placed(where, str(partition), message.value() or b"", message.key() or b"")


def _bounds(consumer: Consumer, partition: TopicPartition, timeout_s: float) -> tuple[int, int]:
    """First offset and the one after the last; waits for a partition that was just made or is changing its leader."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            low, end = consumer.get_watermark_offsets(partition, timeout=timeout_s)
        except KafkaException as error:
            if error.args[0].code() not in _NO_LEADER_YET or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return low, end
