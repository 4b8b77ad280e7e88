"""Where a run ended: state of the regions, alerts, dead letters; and in what two runs differ."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from alerts.monitor import RegionMonitor
from alerts.schedule import ReplaySchedule
from chaos.records import Refused, Truth, canonical
from processors.record_parts import in_weeks
from schemas.alert import AlertEvent, EpisodeState
from schemas.deadletter import DeadLetter
from schemas.located import KIND_NAMES, Gate
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.state import RegionState
from streams.topics import Topics

READ_S = 30.0
MOST_SHOWN = 5
#: Episodes in these states are over.
_OVER = frozenset({EpisodeState.CLOSED, EpisodeState.RETRACTED})


@dataclass(frozen=True)
class RegionOutcome:
    """The state of a region as its changelog tells it."""

    records: dict[int, tuple[int, int]]
    """By identity: revision and status."""
    counted: int
    """Records that are scanned: neither withdrawn nor gated."""
    parts: dict[str, bytes]
    """All of the state: packed weeks, baseline, calibration, episodes and tracks, what is held back."""
    episodes: tuple[str, ...]
    """Open ones."""


@dataclass(frozen=True)
class Outcome:
    """What a run left behind."""

    regions: dict[str, RegionOutcome]
    alerts: dict[str, bytes]
    """By id."""
    refused: Counter[Refused]
    wrong: list[str] = field(default_factory=list)
    """What no run may leave behind, such as one id with two contents."""


def read_outcome(settings: Settings, regions: Sequence[RegionFile]) -> Outcome:
    """Read what a run left on its topics. Raises KafkaException when the broker does not answer."""
    topics = Topics(settings.prefix)
    changelog: dict[bytes, bytes] = {}
    for message in read_topic(settings.bootstrap, topics.changelog):
        key, value = message.key() or b"", message.value()
        if value is None:
            changelog.pop(key, None)
        else:
            changelog[key] = value
    state = RegionState(changelog)
    outcome = Outcome({region.id: _region(region, state, settings) for region in regions}, {}, Counter())
    for message in read_topic(settings.bootstrap, topics.alerts):
        _add_alert(outcome, message.value() or b"")
    for message in read_topic(settings.bootstrap, topics.deadletter):
        letter = DeadLetter.from_headers(message.headers() or [])
        kind = KIND_NAMES[topics.kind_of(letter.origin_topic)]
        where = letter.origin_partition, letter.origin_offset
        outcome.refused[Refused(kind, *where, letter.reason, canonical(message.value()))] += 1
    return outcome


def _region(region: RegionFile, state: RegionState, settings: Settings) -> RegionOutcome:
    saved = state.load(region.id)
    monitor = RegionMonitor(region, settings.detection, schedule=ReplaySchedule(frozenset(), 900))
    monitor.restore(saved.parts)
    rows = monitor.detector.store.rows()
    records = {
        int(record): (int(revision), int(status))
        for record, revision, status in zip(rows["record"], rows["revision"], rows["status"], strict=True)
    }
    counted = int(((rows["status"] < 2) & (rows["gate"] == Gate.NONE)).sum())
    episodes = tuple(sorted(episode.episode_id for episode in monitor.episodes.values()))
    return RegionOutcome(records, counted, {**in_weeks(saved.parts), "episodes": _comparable(saved.parts)}, episodes)


def _comparable(parts: dict[str, bytes]) -> bytes:
    """Episodes, tracks and schedule, but for the offsets that were taken last: these tell how fetches were cut."""
    state = json.loads(parts.get("episodes", b"{}"))
    if state.get("schedule"):
        last_look, inputs = state["schedule"]
        state["schedule"] = [last_look, [entry[:3] for entry in inputs]]
    return json.dumps(state).encode()


def _add_alert(outcome: Outcome, value: bytes) -> None:
    event = AlertEvent.model_validate_json(value)
    if outcome.alerts.setdefault(event.id, value) != value:
        outcome.wrong.append(f"alert {event.id} is on the topic with two contents")


def read_topic(bootstrap: str, topic: str) -> Iterator[Message]:
    """Every message of a topic, partition by partition."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "chaos-reader", "enable.auto.commit": False})
    try:
        for partition in consumer.list_topics(topic, timeout=READ_S).topics[topic].partitions:
            first, end = _edges(consumer, TopicPartition(topic, partition))
            consumer.assign([TopicPartition(topic, partition, first)])
            # Where a compacted partition ends cannot be told from its last message, so the position is asked for.
            while consumer.position([TopicPartition(topic, partition)])[0].offset < end and first < end:
                message = consumer.poll(READ_S)
                if message is None or message.error():
                    raise RuntimeError(f"{topic} cannot be read: {message and message.error()}")
                yield message
    finally:
        consumer.close()


def _edges(consumer: Consumer, partition: TopicPartition) -> tuple[int, int]:
    """First and last offset; a partition that was made a moment ago may have no leader yet."""
    deadline = time.monotonic() + READ_S
    while True:
        try:
            first, end = consumer.get_watermark_offsets(partition, timeout=READ_S)
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return int(first), int(end)


def differences_from_truth(outcome: Outcome, truth: Truth) -> Iterator[str]:
    """In what a run differs from what counting the log gives."""
    yield from outcome.wrong
    for region, expected in truth.records.items():
        found = outcome.regions[region].records
        yield from _sets(f"records of {region}", set(expected), set(found))
        other = [record for record in expected.keys() & found.keys() if expected[record] != found[record]]
        if other:
            yield f"{region}: {len(other)} records have another revision than the last, such as {other[0]:016x}"
    yield from _sets("dead letters", truth.refused, set(outcome.refused))


def differences(calm: Outcome, troubled: Outcome) -> Iterator[str]:
    """In what a disturbed run differs from an undisturbed one."""
    for region, expected in calm.regions.items():
        found = troubled.regions[region]
        if expected.counted != found.counted:
            yield f"{region}: {found.counted} records count, not {expected.counted}"
        if expected.episodes != found.episodes:
            yield f"{region}: open episodes are {list(found.episodes)}, not {list(expected.episodes)}"
        names = expected.parts.keys() | found.parts.keys()
        for name in sorted(names):
            if expected.parts.get(name) != found.parts.get(name):
                yield f"{region}: part {name!r} of the state is another: {_tell(expected, found, name)}"
    yield from _sets("alerts", set(calm.alerts), set(troubled.alerts))
    for ident in sorted(calm.alerts.keys() & troubled.alerts.keys()):
        if calm.alerts[ident] != troubled.alerts[ident]:
            told = _fields(_flat(calm.alerts[ident]), _flat(troubled.alerts[ident]))
            yield f"alert {ident} has another content: {told}"
    yield from _sets("dead letters", set(calm.refused), set(troubled.refused))


def open_by_alerts(outcome: Outcome) -> dict[str, set[str]]:
    """Episodes of each region whose last alert does not end them."""
    last: dict[str, AlertEvent] = {}
    for value in outcome.alerts.values():
        event = AlertEvent.model_validate_json(value)
        if event.subject not in last or last[event.subject].data.revision < event.data.revision:
            last[event.subject] = event
    found: dict[str, set[str]] = {region: set() for region in outcome.regions}
    for event in last.values():
        if event.data.state not in _OVER:
            found[event.data.region].add(event.subject)
    return found


def _tell(expected: RegionOutcome, found: RegionOutcome, name: str) -> str:
    a, b = expected.parts.get(name, b""), found.parts.get(name, b"")
    if name == "episodes" and a and b:
        return _fields(json.loads(a), json.loads(b))
    return f"{len(b)} bytes, not {len(a)}" if len(a) != len(b) else "as many bytes"


def _flat(alert: bytes) -> dict[str, object]:
    """The fields of an alert beside those of its envelope."""
    envelope: dict[str, object] = json.loads(alert)
    data = envelope.pop("data")
    assert isinstance(data, dict)
    return envelope | data


def _fields(expected: dict[str, object], found: dict[str, object]) -> str:
    """In what two objects of JSON differ."""
    names = [name for name in {**expected, **found} if expected.get(name) != found.get(name)]
    return "; ".join(f"{name} {found.get(name)} not {expected.get(name)}"[:200] for name in names)


def _sets(what: str, expected: AbstractSet[object], found: AbstractSet[object]) -> Iterator[str]:
    for name, some in (("missing", expected - found), ("too many", found - expected)):
        if some:
            shown = ", ".join(sorted(map(str, some))[:MOST_SHOWN])
            yield f"{len(some)} {what} {name}: {shown}"
