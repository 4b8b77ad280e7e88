"""Running the system in tests: brokers of both kinds, a worker in this process, and what is on its topics."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.base import Clock, utc_now
from schemas.deadletter import DeadLetter
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.app import Worker
from streams.embedded import EMBEDDED_SETTINGS
from streams.topics import Topics, create_topics

ROOT = Path(__file__).resolve().parent.parent
HAMPSHIRE = ROOT / "regions" / "hampshire.toml"


@dataclass(frozen=True)
class Installation:
    """A broker and a Redis that a worker can be pointed at."""

    bootstrap: str
    redis_url: str

    def settings(self, **more: object) -> Settings:
        """Settings with topics of their own, so that tests share servers and nothing else."""
        given = {
            "bootstrap": self.bootstrap,
            "redis_url": self.redis_url,
            "prefix": f"hotspot.test-{secrets.token_hex(4)}",
            "metrics_port": 0,
            "source_partitions": 2,
            "located_partitions": 2,
            **EMBEDDED_SETTINGS,
            "session_timeout_s": 6,  # the least that Kafka allows unless it is told otherwise
            **more,
        }
        return Settings(**given)  # type: ignore[arg-type]  # pydantic checks them


@dataclass(frozen=True)
class Letter:
    """A dead letter as it lies on its topic."""

    headers: DeadLetter
    key: bytes | None
    value: bytes


@asynccontextmanager
async def running_worker(settings: Settings, region: RegionFile, clock: Clock = utc_now) -> AsyncIterator[Worker]:
    """A worker that has joined its group; stopped at the end."""
    worker = Worker(settings, [region], clock=clock)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def until(done: Callable[[], bool], what: str, timeout_s: float = 90.0) -> None:
    """Wait for something that happens in the background."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        await asyncio.sleep(0.05)


def publish(settings: Settings, topic: str, messages: Iterable[tuple[bytes | None, bytes]]) -> None:
    """Send (key, value) pairs as a partner would, creating the topics first."""
    create_topics(settings)
    producer = Producer({"bootstrap.servers": settings.bootstrap, "message.max.bytes": 8_000_000, "linger.ms": 5})
    for key, value in messages:
        while True:
            try:
                producer.produce(topic, value, key)
                break
            except BufferError:  # a broker with much to do: wait for it
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(60) == 0


def read_topic(settings: Settings, topic: str) -> list[tuple[bytes | None, bytes, list[tuple[str, bytes]]]]:
    """Everything on a topic: key, value, headers, partition by partition."""
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "reader", "enable.auto.commit": False})
    found = []
    try:
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            consumer.assign([TopicPartition(topic, partition, 0)])
            offset = 0
            while offset < end:
                message = consumer.poll(10)
                assert message is not None and message.error() is None
                offset = message.offset() + 1
                found.append((message.key(), message.value(), message.headers() or []))
    finally:
        consumer.close()
    return found


def dead_letters(settings: Settings) -> list[Letter]:
    """All dead letters of an installation."""
    return [
        Letter(DeadLetter.from_headers(headers), key, value)
        for key, value, headers in read_topic(settings, Topics(settings.prefix).deadletter)
    ]
