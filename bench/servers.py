"""Apache Kafka and Redis for benchmarks, installations of their own on them, and messages to put there."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from bench.source import BenchDataMissingError
from schemas.settings import Settings
from streams.topics import LARGEST_MESSAGE, ORDERLY, create_topics
from tests.servers.kafka import KafkaServer
from tests.servers.process import ServerMissingError
from tests.servers.redis_server import RedisServer

#: The least that Apache Kafka allows unless its broker is told otherwise, seconds.
SESSION_TIMEOUT_S = 6


class Message(NamedTuple):
    """One message for a topic."""

    topic: str
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Servers:
    """A broker and a Redis that every contender of a run shares."""

    bootstrap: str
    redis_url: str
    data: Path
    """Where the broker keeps its topics: a folder for each partition."""

    def installation(self, **more: object) -> Settings:
        """Default settings with topics of their own."""
        given: dict[str, object] = {
            "bootstrap": self.bootstrap,
            "redis_url": self.redis_url,
            "prefix": f"hotspot.bench-{secrets.token_hex(4)}",
            "metrics_port": 0,
            "session_timeout_s": SESSION_TIMEOUT_S,
            "simulated": True,
            **more,
        }
        settings = Settings(**given)  # type: ignore[arg-type]  # pydantic checks them
        create_topics(settings)
        return settings


@contextmanager
def bench_servers() -> Iterator[Servers]:
    """Start both on free ports, and end them. Raises BenchDataMissingError where they are not installed."""
    with tempfile.TemporaryDirectory(prefix="hotspot-bench-") as folder:
        try:
            with KafkaServer(Path(folder) / "kafka") as kafka, RedisServer(Path(folder) / "redis") as redis:
                yield Servers(kafka.bootstrap, redis.url, kafka.data)
        except ServerMissingError as missing:
            raise BenchDataMissingError(str(missing)) from None


def publish(settings: Settings, messages: Iterable[Message]) -> int:
    """Put messages on their topics as fast as the broker takes them; returns how many."""
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap,
            "linger.ms": 20,
            "message.max.bytes": LARGEST_MESSAGE,
            **ORDERLY,
        }
    )
    refused: list[object] = []

    def told(error: object, _: object) -> None:
        if error is not None:
            refused.append(error)

    sent = 0
    for message in messages:
        while True:
            try:
                producer.produce(message.topic, message.value, message.key, on_delivery=told)
            except BufferError:
                producer.poll(0.1)
                continue
            break
        sent += 1
        producer.poll(0)
    producer.flush()
    if refused:
        raise RuntimeError(f"the broker refused {len(refused)} messages: {refused[0]}")
    return sent
