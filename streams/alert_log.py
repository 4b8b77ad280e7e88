"""All alert revisions as they lie on their topic: what views of them are filled from again."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition
from pydantic import ValidationError

from schemas.alert import AlertEvent
from schemas.settings import Settings
from streams.topics import Topics

log = logging.getLogger(__name__)

#: What comes within so long after the end is read too, seconds: what the embedded broker names for the end of a
#: partition is the first message of its last batch.
_LINGER_S: Final = 0.5


class Logged(NamedTuple):
    """One revision and its place."""

    partition: int
    offset: int
    event: AlertEvent


def read_alert_log(settings: Settings, *, timeout_s: float = 30.0) -> list[Logged]:
    """All revisions that the topic still has, in order within each partition. Raises KafkaException."""
    topic = Topics(settings.prefix).alerts
    consumer = Consumer({"bootstrap.servers": settings.bootstrap, "group.id": "none", "enable.auto.commit": False})
    try:
        partitions = sorted(consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions)
        return [one for number in partitions for one in _read(consumer, TopicPartition(topic, number), timeout_s)]
    finally:
        consumer.close()


def _read(consumer: Consumer, place: TopicPartition, timeout_s: float) -> Iterator[Logged]:
    offset, end = consumer.get_watermark_offsets(place, timeout=timeout_s)
    consumer.assign([TopicPartition(place.topic, place.partition, offset)])
    while True:
        message = consumer.poll(timeout_s if offset < end else _LINGER_S)
        if message is None and offset >= end:
            return
        if message is None:
            raise KafkaException(f"{place.topic} stopped at offset {offset} of {end}")
        if message.error():
            raise KafkaException(message.error())
        offset = message.offset() + 1
        try:
            event = AlertEvent.model_validate_json(message.value() or b"")
        except ValidationError:
            log.error("message at offset %d of %s is not an alert", offset - 1, place.topic)  # noqa: TRY400  # the finding would quote it
            continue
        yield Logged(place.partition, offset - 1, event)
