"""What routes keep for good on Kafka: facts of deliveries, dead letters, and entries of the audit trail."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.audit import AuditEvent
from schemas.base import Clock
from schemas.deadletter import DeadLetter
from schemas.delivery import Delivery
from schemas.reasons import RejectReason
from schemas.settings import Settings
from streams.audit import AuditTrail, read_heads
from streams.metrics import Metrics
from streams.route_work import Arrival
from streams.topics import LARGEST_MESSAGE, Topics

_POLL_MS: Final = 500


class KafkaBooks:
    """Facts on `hotspot.deliveries`, dead letters on `hotspot.deadletter`, and a chain of their own in the trail.

    The chain is not that of the agents: a reader of feeds who comes often must not make detection wait for its turn.
    """

    def __init__(self, settings: Settings, clock: Clock, metrics: Metrics | None = None) -> None:
        self._settings, self._clock = settings, clock
        self._topics = Topics(settings.prefix)
        self._producer: Any = None
        self._trail = AuditTrail("routes", self._topics.audit, self._send, lambda: read_heads(settings), clock, metrics)

    async def start(self) -> None:
        """Connect. Raises aiokafka's KafkaError."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap, acks="all", max_request_size=LARGEST_MESSAGE
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def record(self, fact: Delivery) -> None:
        """Keep a fact; returns when the broker has it."""
        key = f"{fact.route}/{fact.episode_id}".encode()
        await self._producer.send_and_wait(self._topics.deliveries, fact.model_dump_json().encode(), key)

    async def audit(self, *events: AuditEvent) -> None:
        """Append events to the audit trail; returns when they are in it. Raises what sending raises."""
        await self._trail.record(*events)

    async def bury(self, arrival: Arrival, fact: Delivery) -> None:
        """A dead letter that holds the fact; the alert itself stays on its topic, where only few may read it."""
        letter = DeadLetter(
            reason=RejectReason.NOT_DELIVERED,
            detail=f"route {fact.route}: {fact.attempts} attempts, the last one failed: {fact.failure}.",
            origin_topic=self._topics.alerts,
            origin_partition=arrival.partition,
            origin_offset=arrival.offset,
            rejected_at=self._clock(),
        )
        value, key = fact.model_dump_json().encode(), fact.episode_id.encode()
        await self._producer.send_and_wait(self._topics.deadletter, value, key, headers=letter.headers())

    async def facts(self, route_id: str) -> list[Delivery]:
        """All facts of a route, oldest first."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            return [fact async for fact in self._read(consumer) if fact.route == route_id]
        finally:
            await consumer.stop()

    async def _read(self, consumer: Any) -> Any:
        topic = self._topics.deliveries
        places = [TopicPartition(topic, number) for number in await self._partitions(consumer, topic)]
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            consumer.seek(place, (await consumer.beginning_offsets([place]))[place])
            while True:
                records = (await consumer.getmany(place, timeout_ms=_POLL_MS)).get(place, [])
                for record in records:
                    yield Delivery.model_validate_json(record.value)
                # Not just up to the end: the embedded broker names the first message of the last batch for it.
                if not records and await consumer.position(place) >= end:
                    break

    async def _partitions(self, consumer: Any, topic: str) -> set[int]:
        await consumer._client.force_metadata_update()
        found = consumer.partitions_for_topic(topic)
        if found is None:
            await consumer.topics()
            found = consumer.partitions_for_topic(topic)
        return found or {0}

    async def _send(
        self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Awaitable[Any]:
        if self._producer is None:
            raise ConnectionError("the routes are not connected")
        sent: Awaitable[Any] = await self._producer.send(topic, value, key, headers=list(headers))
        return sent
