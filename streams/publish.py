"""Publishes source messages with confluent-kafka, as an integrator would."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import pydantic_core
from confluent_kafka import KafkaException, Producer

from schemas.located import Kind
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.incident_file import SourceMessage
from streams.topics import LARGEST_MESSAGE, ORDERLY, Topics


class Publisher:
    """Sends source messages; counts what the broker has taken."""

    def __init__(self, settings: Settings) -> None:
        self._topics = Topics(settings.prefix)
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap,
                "linger.ms": 5,
                **ORDERLY,
                "message.max.bytes": LARGEST_MESSAGE,
                "queue.buffering.max.messages": 50_000,
            }
        )
        self.delivered = 0
        self._error: KafkaException | None = None

    def send(self, message: SourceMessage) -> None:
        """Queue one message; waits while the queue is full."""
        self._produce(self._topics.source(message.kind), message.key, message.value, partition=-1)

    def send_all(self, messages: Iterable[SourceMessage], done: Callable[[int], None]) -> None:
        """Queue many, telling now and then how many the broker has taken."""
        for number, message in enumerate(messages):
            self.send(message)
            if number % 500 == 0:
                done(self.delivered)
        self.flush()
        done(self.delivered)

    def heartbeat(self, region: RegionFile, recorded_at: datetime, partitions: int) -> None:
        """Tell every partition of every source topic how far the record time has come."""
        for kind in Kind:
            source = next((source for source in region.sources if source.kind_code is kind), None)
            for partition in range(partitions):
                if source is not None:
                    value = heartbeat_event(source.id, recorded_at)
                    self._produce(self._topics.source(kind), source.id.encode(), value, partition)

    def flush(self) -> None:
        """Wait until the broker has all. Raises KafkaException when it refused any."""
        self._producer.flush()
        if self._error is not None:
            raise self._error

    def _produce(self, topic: str, key: bytes, value: bytes, partition: int) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, partition, on_delivery=self._on_delivery)
            except BufferError:
                self._producer.poll(0.1)
                continue
            self._producer.poll(0)
            return

    def _on_delivery(self, error: object, _: object) -> None:
        if error is not None:
            self._error = KafkaException(error)
        else:
            self.delivered += 1


def heartbeat_event(source: str, recorded_at: datetime) -> bytes:
    """A feed heartbeat as CloudEvents JSON."""
    return pydantic_core.to_json(
        {
            "specversion": "1.0",
            "id": f"heartbeat:{recorded_at.isoformat()}",
            "source": source,
            "type": "hotspot.feed.heartbeat.v1",
            "data": {"recorded_at": recorded_at},
        }
    )
