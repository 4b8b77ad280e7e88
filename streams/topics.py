"""The topics in one table: name, partitions, how long they keep, and how large a message may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from aiokafka.partitioner import DefaultPartitioner
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.audit import KEPT
from schemas.base import ToldError
from schemas.located import Kind
from schemas.settings import Settings

DAY_MS = 86_400_000
#: No message of ours is larger: packed weeks of a big region, dead letters of the largest message that is read.
LARGEST_MESSAGE = 16 * 1024 * 1024
#: For a producer whose messages must all come, once, in order. So it has one request under way: where the first to a
#: new leader of a partition is refused and the next is taken, the first, sent again, passes for one that is there.
ORDERLY: Final = {"acks": "all", "enable.idempotence": True, "max.in.flight.requests.per.connection": 1}
#: A worker that takes over reads what the broker has not compacted yet, above all the open segment. So segments are
#: small, and compacted when a quarter of them is out of date.
CHANGELOG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(2 * LARGEST_MESSAGE),
    "min.cleanable.dirty.ratio": "0.25",
}


class PartitionsError(ToldError, RuntimeError):
    """Two topics that must have equally many partitions have not."""

    def __init__(self, one: str, of_one: int, other: str, of_other: int) -> None:
        super().__init__(
            f"Topic {one} has {of_one} partitions and {other} has {of_other}. They must have equally many, for the "
            "state of a region lies where its records do: docs/scale.md tells what to do."
        )


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of the topics of one installation; every name begins with its prefix."""

    prefix: str

    @property
    def app_id(self) -> str:
        """Consumer group of the workers."""
        return f"{self.prefix}-worker"

    @property
    def ed(self) -> str:
        """ED attendances, key source + record id."""
        return f"{self.prefix}.ed.attendances"

    @property
    def police(self) -> str:
        """Police incidents, key source + record id."""
        return f"{self.prefix}.police.incidents"

    @property
    def located(self) -> str:
        """Micro-batches of located records, heartbeats and ticks, key region."""
        return f"{self.prefix}.located"

    @property
    def detections(self) -> str:
        """What each look that found something found, key region."""
        return f"{self.prefix}.detections"

    @property
    def alerts(self) -> str:
        """Alert revisions, key episode id."""
        return f"{self.prefix}.alerts"

    @property
    def feedback(self) -> str:
        """What people say about episodes, key region."""
        return f"{self.prefix}.feedback"

    @property
    def deliveries(self) -> str:
        """What became of each alert revision on each route, key route and episode id."""
        return f"{self.prefix}.deliveries"

    @property
    def deadletter(self) -> str:
        """Refused messages, whole, key as it was."""
        return f"{self.prefix}.deadletter"

    @property
    def audit(self) -> str:
        """Who did or saw what, key actor."""
        return f"{self.prefix}.audit"

    @property
    def changelog(self) -> str:
        """State of the regions; Faust names it after the app and the table."""
        return f"{self.app_id}-state-changelog"

    def source(self, kind: Kind) -> str:
        """Source topic of a kind."""
        return self.ed if kind is Kind.ED else self.police

    def kind_of(self, topic: str) -> Kind:
        """Kind of a source topic."""
        return Kind.ED if topic == self.ed else Kind.POLICE


def topic_table(topics: Topics, settings: Settings) -> list[NewTopic]:
    """Every topic as it is created when it is not there: partitions, retention, largest message."""

    def topic(name: str, partitions: int, days: int, **config: str) -> NewTopic:
        kept = {"retention.ms": str(days * DAY_MS)} if days else {}
        return NewTopic(
            name,
            num_partitions=partitions,
            replication_factor=settings.replication,
            config={"max.message.bytes": str(LARGEST_MESSAGE), **kept, **config},
        )

    return [
        topic(topics.ed, settings.source_partitions, 35),
        topic(topics.police, settings.source_partitions, 35),
        topic(topics.located, settings.located_partitions, 35),
        topic(topics.detections, settings.located_partitions, 7),
        topic(topics.alerts, 1, 400),
        topic(topics.feedback, 1, 400),
        # As long as what was told can be taken back: while the records behind it are kept, and some weeks.
        topic(topics.deliveries, 1, settings.detection.baseline_days + 105),
        topic(topics.deadletter, 1, 90),
        # One partition: what is little is best in one order. The chains do not rely on it.
        topic(topics.audit, 1, KEPT.days),
        topic(topics.changelog, settings.located_partitions, 0, **CHANGELOG),
    ]


def create_topics(settings: Settings, *, timeout_s: float = 30.0) -> None:
    """Create the topics that are not there.

    Raises KafkaException when the broker does not answer in time or refuses.
    """
    admin = AdminClient({"bootstrap.servers": settings.bootstrap, "socket.timeout.ms": int(timeout_s * 1000)})
    wanted = topic_table(Topics(settings.prefix), settings)
    existing = admin.list_topics(timeout=timeout_s).topics
    missing = [topic for topic in wanted if topic.topic not in existing]
    if not missing:
        return
    for future in admin.create_topics(missing, operation_timeout=timeout_s).values():
        try:
            future.result(timeout=timeout_s)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def delete_topics(settings: Settings, *, timeout_s: float = 30.0) -> list[str]:
    """Delete every topic of this prefix's table; for replays, whose topics are their own. Returns those left behind."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    names = [topic.topic for topic in topic_table(Topics(settings.prefix), settings)]
    deleted = admin.delete_topics(names, operation_timeout=timeout_s)
    return [name for name, future in deleted.items() if future.exception(timeout=timeout_s) is not None]


def partition_counts(settings: Settings, *, timeout_s: float = 30.0) -> dict[str, int]:
    """How many partitions the topics have on the broker by which it is settled who works on what."""
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    topics = Topics(settings.prefix)
    found = admin.list_topics(timeout=timeout_s).topics
    return {name: len(found[name].partitions) for name in (topics.ed, topics.police, topics.located, topics.changelog)}


def partition_of(key: bytes, partitions: int) -> int:
    """Of so many partitions, the one where workers and all clients of Kafka's own way put what has this key.

    A producer tells it only while it knows of the topic, and may forget it when brokers start.
    """
    found: int = DefaultPartitioner()(key, range(partitions), ())
    return found
