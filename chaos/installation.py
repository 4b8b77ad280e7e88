"""One run of the system for a round: topics of its own, its records published, and how far its workers have come."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from chaos.outcome import read_topic
from chaos.plan import Plan
from chaos.records import Log, Message
from schemas.detection import HOUR_S, DetectionSettings
from schemas.located import Kind
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.topics import LARGEST_MESSAGE, ORDERLY, Topics, create_topics, delete_topics

#: Small enough to be learned from a few weeks, within a second.
DETECTION = DetectionSettings(
    radii_cells=(0, 1, 2),
    spans_s=(6 * HOUR_S, 24 * HOUR_S, 72 * HOUR_S),
    baseline_days=84,
    guard_days=2,
    min_history_days=28,
    level_days=28,
    calibration_days=7,
    calibration_max_age_days=364,
)
ANSWER_S = 5.0
MOST_AT_ONCE = 120


def chaos_settings(plan: Plan, name: str, bootstrap: str, redis_url: str, regions: Sequence[Path]) -> Settings:
    """Settings of a worker of a round, in the run of this name."""
    return Settings(
        bootstrap=bootstrap,
        redis_url=redis_url,
        regions=tuple(regions),
        prefix=f"hotspot.{name}-{plan.seed}-{plan.number}",
        source_partitions=plan.source_partitions,
        located_partitions=plan.located_partitions,
        clock="replay",
        metrics_port=0,
        commit_seconds=0.3,
        session_timeout_s=plan.scale.session_s,
        fetch_wait_ms=100,
        simulated=True,
        detection=DETECTION,
    )


def write_region(region: RegionFile, path: Path) -> Path:
    """A region file."""
    bounds = region.bounds
    lines = [f"{name} = {json.dumps(getattr(region, name))}" for name in ("id", "name", "crs", "timezone", "holidays")]
    lines += [f"cell_m = {region.cell_m}", "[bounds]"]
    lines += [f"{name} = {value}" for name, value in bounds.model_dump().items()]
    for table, entries in (("sources", region.sources), ("institutions", region.institutions)):
        for entry in entries:
            lines += [f"[[{table}]]", *(f"{name} = {json.dumps(value)}" for name, value in entry.model_dump().items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class Run:
    """The topics of one prefix, by the way to the broker that is never disturbed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topics = Topics(settings.prefix)
        self.published = 0
        create_topics(settings)
        # In the name of the workers' group, of which it is no member: it is only asked what they have committed.
        self._reader = Consumer(
            {"bootstrap.servers": settings.bootstrap, "group.id": self.topics.app_id, "log_level": 0}
        )

    def publish(self, messages: Sequence[Message], over_s: float, choice: random.Random) -> None:
        """Publish in bursts, each partition in the order of the log, through all that happens to the broker.

        Raises KafkaException where the broker refuses for good.
        """
        failed: list[object] = []
        producer = Producer(
            {
                "bootstrap.servers": self.settings.bootstrap,
                **ORDERLY,
                "message.max.bytes": LARGEST_MESSAGE,
                "linger.ms": 2,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )
        started, sent = time.monotonic(), 0
        while sent < len(messages):
            size = choice.randint(1, MOST_AT_ONCE)
            for message in messages[sent : sent + size]:
                producer.produce(
                    self.topics.source(message.kind),
                    message.value,
                    message.key,
                    message.partition,
                    on_delivery=lambda error, _: failed.append(error) if error else None,
                    headers=list(message.headers),
                )
            sent += size
            producer.poll(0)
            due_s = over_s * sent / len(messages)
            time.sleep(max(0.0, started + due_s - time.monotonic()))
        while producer.flush(1.0) and not failed:
            pass
        if failed:
            raise KafkaException(failed[0])
        self.published = len(messages)

    def differences_from_log(self, log: Log) -> list[str]:
        """In what the source topics differ from the log: two runs must have read the same."""
        wrong = []
        partitions = log.of_partitions()
        for kind in Kind:
            found: dict[int, list[Message]] = {}
            for read in read_topic(self.settings.bootstrap, self.topics.source(kind)):
                partition = read.partition()
                headers = tuple(read.headers() or ())
                message = Message(kind, partition, read.key(), read.value(), headers)
                found.setdefault(partition, []).append(message)
            for partition in range(self.settings.source_partitions):
                if found.get(partition, []) != partitions.get((kind, partition), []):
                    wrong.append(f"the log: partition {partition} of {self.topics.source(kind)} is not as planned")
        return wrong

    def behind(self) -> dict[str, int] | None:
        """Messages of each topic that the workers have not acknowledged; None while the broker does not answer."""
        topics = (self.topics.ed, self.topics.police, self.topics.located, self.topics.alerts)
        try:
            ends = self._ends(topics)
            committed = self._committed(ends)
        except KafkaException:
            return None
        behind = dict.fromkeys(topics, 0)
        for (topic, partition), end in ends.items():
            behind[topic] += end - max(0, committed.get((topic, partition), 0))
        return behind

    def ends(self) -> dict[tuple[str, int], int]:
        """Where each partition that is read ends. Raises KafkaException."""
        return self._ends((self.topics.ed, self.topics.police, self.topics.located, self.topics.alerts))

    def close(self, *, delete: bool) -> None:
        """Delete the topics perhaps, to keep the broker quick; nothing can be asked any more."""
        self._reader.close()
        if delete:
            delete_topics(self.settings)

    def _ends(self, topics: Sequence[str]) -> dict[tuple[str, int], int]:
        known = self._reader.list_topics(timeout=ANSWER_S).topics
        return {
            (topic, partition): self._reader.get_watermark_offsets(TopicPartition(topic, partition), ANSWER_S)[1]
            for topic in topics
            for partition in known[topic].partitions
        }

    def _committed(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        asked = [TopicPartition(*partition) for partition in partitions]
        return {(found.topic, found.partition): found.offset for found in self._reader.committed(asked, ANSWER_S)}
