"""The log of a round: what is published on the source topics, in which order, and what must come of it."""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from chaos.partners import Event, Item, draw_items
from chaos.plan import Plan
from chaos.poison import Headers, spoil, spoil_element
from schemas.located import KIND_NAMES, Kind, Status, record_hash
from schemas.reasons import RejectReason
from schemas.region import RegionFile, Source

HEARTBEAT_EVERY = timedelta(days=7)
#: Shares of the messages: repeated, moved, spoilt, put into a batch, sent in binary mode.
REPEATED, MOVED, SPOILT, BATCHED, BINARY = 0.06, 0.10, 0.04, 0.04, 0.05
FARTHEST = 400
LARGEST_BATCH = 6
STATUSES = {status.name.lower(): status for status in Status}


class Message(NamedTuple):
    """One message of the log; its offset is its place among those of its partition."""

    kind: Kind
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Refused(NamedTuple):
    """What must lie on the dead letter, and from where it came."""

    kind: str
    partition: int
    offset: int
    reason: RejectReason
    content: str
    """As `canonical` writes it."""


@dataclass(frozen=True)
class Truth:
    """What must come of a log, by nothing but counting."""

    records: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    """Of each region, by identity of the record: the highest revision, and what it says (`Status`)."""
    refused: set[Refused] = field(default_factory=set)


@dataclass(frozen=True)
class Log:
    """Messages in the order in which they are published, and what must come of them."""

    messages: tuple[Message, ...]
    truth: Truth

    def of_partitions(self) -> dict[tuple[Kind, int], list[Message]]:
        """The messages of each partition, in order of their offsets."""
        found: dict[tuple[Kind, int], list[Message]] = {}
        for message in self.messages:
            found.setdefault((message.kind, message.partition), []).append(message)
        return found


def canonical(value: bytes | None) -> str:
    """The same text for JSON that says the same; other bytes as they are."""
    try:
        return json.dumps(json.loads(value or b""), sort_keys=True)
    except ValueError:
        return (value or b"").hex()


def chaos_region(template: RegionFile, number: int) -> RegionFile:
    """A region with sources of its own, on the ground of another; its places have no names."""
    name = f"chaos-{'abcdefghijklmnopqrstuvwxyz'[number]}"
    wanted = [source for source in template.sources if source.kind == "police"][:1]
    wanted += [source for source in template.sources if source.kind == "ed"][:2]
    sources = tuple(
        Source(id=f"{name}/{source.id.partition('/')[2]}", kind=source.kind, name=source.name) for source in wanted
    )
    told = {"id": name, "name": f"Simulated region {name}", "sources": sources}
    return template.model_copy(update={**told, "gazetteer": "", "places": (), "addresses": ""})


def build_log(plan: Plan, regions: Sequence[RegionFile]) -> Log:
    """Records of all regions, with what partners do to them: repeated, shuffled, spoilt, batched."""
    choice = plan.choice(f"log {plan.log}/order")
    days = plan.scale.days
    items = [
        item for region in regions for item in draw_items(plan.choice(f"log {plan.log}/{region.id}"), region, days)
    ]
    items.sort(key=lambda item: (item.recorded_at, item.key))
    end = items[-1].recorded_at
    log = _Writer(plan.source_partitions, regions)
    next_heartbeat = items[0].recorded_at
    for run in _runs(choice, _shuffled(choice, _repeated(choice, items))):
        if run[0].recorded_at >= next_heartbeat:
            log.heartbeats(next_heartbeat)
            next_heartbeat += HEARTBEAT_EVERY
        log.write(choice, run)
    log.heartbeats(end + timedelta(hours=2))
    return Log(tuple(log.messages), log.truth)


def _repeated(choice: random.Random, items: Iterable[Item]) -> list[Item]:
    """Some are sent again: at once, as by a producer that tries again, or much later, as by an export that is rerun."""
    found: list[Item] = []
    later: list[tuple[int, Item]] = []
    for place, item in enumerate(items):
        found.append(item)
        if choice.random() < REPEATED:
            later.append((place + choice.choice((0, 1, 5, 40, FARTHEST)), item))
        while later and later[0][0] <= place:
            found.append(later.pop(0)[1])
    return found + [item for _, item in later]


def _shuffled(choice: random.Random, items: Sequence[Item]) -> list[Item]:
    """Some overtake others, seldom by far."""
    places = [place + (choice.expovariate(1 / 12) if choice.random() < MOVED else 0.0) for place in range(len(items))]
    return [items[place] for place in sorted(range(len(items)), key=lambda place: (places[place], place))]


def _runs(choice: random.Random, items: Sequence[Item]) -> Iterator[list[Item]]:
    """Most alone, some as many as a batch holds, all of one kind."""
    place = 0
    while place < len(items):
        size = choice.randint(2, LARGEST_BATCH) if choice.random() < BATCHED else 1
        run = [items[place]]
        while len(run) < size and place + len(run) < len(items) and items[place + len(run)].kind is run[0].kind:
            run.append(items[place + len(run)])
        yield run
        place += len(run)


class _Writer:
    """Puts messages into partitions, and keeps account of what must come of them."""

    def __init__(self, partitions: int, regions: Sequence[RegionFile]) -> None:
        self.messages: list[Message] = []
        self.truth = Truth({region.id: {} for region in regions})
        self._partitions, self._regions = partitions, regions
        self._ends = {(kind, partition): 0 for kind in Kind for partition in range(partitions)}
        self._spoilt = 0

    def write(self, choice: random.Random, run: Sequence[Item]) -> None:
        """One message of one event or of many, and perhaps poison before it."""
        first = run[0]
        if choice.random() < SPOILT:
            self._poison(choice, first)
        for item in run:
            self._count(item)
        if len(run) > 1:
            self._batch(choice, run)
        elif choice.random() < BINARY:
            attributes = tuple((f"ce_{name}", str(v).encode()) for name, v in first.event.items() if name != "data")
            self._put(first.kind, first.key, json.dumps(first.event["data"]).encode(), attributes)
        else:
            self._put(first.kind, first.key, json.dumps(first.event).encode())

    def heartbeats(self, at: datetime) -> None:
        """All that was recorded up to then has been sent: said of each region, to each partition."""
        for region in self._regions:
            for kind in Kind:
                source = next(source for source in region.sources if source.kind_code is kind)
                event = {
                    "specversion": "1.0",
                    "id": f"heartbeat:{at.isoformat()}",
                    "source": source.id,
                    "type": "hotspot.feed.heartbeat.v1",
                    "data": {"recorded_at": at.isoformat()},
                }
                for partition in range(self._partitions):
                    self._put(kind, source.id.encode(), json.dumps(event).encode(), partition=partition)

    def _batch(self, choice: random.Random, run: Sequence[Item]) -> None:
        events = [item.event for item in run]
        spoilt: list[tuple[Event, RejectReason]] = []
        if choice.random() < 0.5:
            element, reason = spoil_element(choice, self._new(run[0].event))
            events.insert(choice.randrange(len(events) + 1), element)
            spoilt.append((element, reason))
        kind, partition, offset = self._put(run[0].kind, run[0].key, json.dumps(events).encode())
        for element, reason in spoilt:
            self._refuse(kind, partition, offset, reason, json.dumps(element).encode())

    def _poison(self, choice: random.Random, near: Item) -> None:
        region = next(region for region in self._regions if region.id == near.region)
        other = next(source.id for source in region.sources if source.kind_code is not near.kind)
        poison = spoil(choice, self._new(near.event), other)
        where = self._put(near.kind, near.key, poison.value, poison.headers)
        self._refuse(*where, poison.reason, poison.value)

    def _new(self, event: Event) -> Event:
        """The event as the first revision of a record that nobody knows: were it taken in, it would be one too many."""
        self._spoilt += 1
        stem = event["type"].rsplit(".", 2)[0]
        data = {**event["data"], "record_id": f"SPOILT-{self._spoilt}", "revision": 1}
        data.setdefault("occurred_at", data["recorded_at"])
        if stem.startswith("hotspot.police"):
            data.setdefault("category", "robbery")
        else:
            for name, value in (("site_code", "RHM01"), ("assault_method", "other"), ("location_type", "street")):
                data.setdefault(name, value)
            data.setdefault("arrived_at", data["occurred_at"])
        return {**event, "id": f"SPOILT-{self._spoilt}:1", "type": f"{stem}.recorded.v1", "data": data}

    def _refuse(self, kind: Kind, partition: int, offset: int, reason: RejectReason, value: bytes | None) -> None:
        self.truth.refused.add(Refused(KIND_NAMES[kind], partition, offset, reason, canonical(value)))

    def _count(self, item: Item) -> None:
        data = item.event["data"]
        identity = record_hash(item.event["source"], data["record_id"])
        status = STATUSES[item.event["type"].split(".")[3]]
        records = self.truth.records[item.region]
        revision = int(data["revision"])
        if identity not in records or revision >= records[identity][0]:
            records[identity] = (revision, int(status))

    def _put(
        self, kind: Kind, key: bytes, value: bytes | None, headers: Headers = (), partition: int | None = None
    ) -> tuple[Kind, int, int]:
        place = zlib.crc32(key) % self._partitions if partition is None else partition
        offset = self._ends[kind, place]
        self._ends[kind, place] += 1
        self.messages.append(Message(kind, place, key, value, headers))
        return kind, place, offset
