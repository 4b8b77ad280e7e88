"""Fetches of several partitions are taken in at once, and each record keeps its place."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.deadletter import DeadLetter
from schemas.located import Kind, record_hash
from schemas.settings import Settings
from streams.accounting import Accounting
from streams.desks import Registry
from streams.fetch import Fetch
from streams.ingest_agent import Ingest
from streams.located import FEEDBACK, TICK, LocatedBatch, LocatedFormatError, said, tick
from streams.metrics import Metrics
from streams.topics import Topics
from tests.builders import NOW, hampshire, police_event, raw

TOPICS = Topics(Settings().prefix)
POLICE = int(Kind.POLICE)
SOURCE = police_event()["source"]


def fetch(partition: int, values: dict[int, bytes], timestamp: int = 0) -> Fetch:
    """What was fetched of a partition, by offset."""
    records = [
        SimpleNamespace(
            topic=TOPICS.police,
            partition=partition,
            key=b"k",
            value=value,
            headers=(),
            offset=offset,
            timestamp=timestamp,
        )
        for offset, value in values.items()
    ]
    return Fetch(TOPICS.police, partition, tuple(records))


def record(name: str) -> bytes:
    return raw(police_event(record_id=name))


async def sent_for(fetches: Sequence[Fetch]) -> list[tuple[str, bytes, dict[str, bytes]]]:
    """Topic, value and headers of all that an ingest agent sends."""
    sent = []

    async def send(topic: str, key: bytes | None, value: bytes, headers: Any = ()) -> Awaitable[Any]:
        sent.append((topic, value, dict(headers)))
        return asyncio.sleep(0)

    ingest = Ingest(Settings(), Registry([hampshire()]), lambda: NOW, send, Accounting(Metrics()))
    await (await ingest.handle(Kind.POLICE, fetches))
    ingest.stop()
    return sent


def places(batches: Sequence[LocatedBatch], names: Sequence[str]) -> dict[str, tuple[tuple[int, int], int]]:
    """Input and offset of each record."""
    by_hash = {record_hash(SOURCE, name): name for name in names}
    return {
        by_hash[int(row["record"])]: (batch.input, int(offset))
        for batch in batches
        for row, offset in zip(batch.rows, batch.offsets, strict=True)
    }


async def test_a_region_has_one_message_in_which_each_record_has_its_own_input_and_offset() -> None:
    north = fetch(0, {4: record("P-1"), 9: record("P-2")}, timestamp=1_000)
    south = fetch(3, {70: record("P-3")}, timestamp=2_000)
    ((topic, value, _),) = await sent_for([north, south])
    assert topic == TOPICS.located
    batches = LocatedBatch.read(value)
    assert places(batches, ["P-1", "P-2", "P-3"]) == {
        "P-1": ((POLICE, 0), 4),
        "P-2": ((POLICE, 0), 9),
        "P-3": ((POLICE, 3), 70),
    }
    assert [batch.published_ms for batch in batches] == [1_000, 2_000]


async def test_what_is_refused_names_its_own_partition() -> None:
    sent = await sent_for([fetch(0, {4: record("P-1"), 5: b"no"}), fetch(3, {70: b"<poison/>", 71: record("P-2")})])
    letters = [
        DeadLetter.from_headers(list(headers.items())) for topic, _, headers in sent if topic == TOPICS.deadletter
    ]
    assert sorted((letter.origin_partition, letter.origin_offset) for letter in letters) == [(0, 5), (3, 70)]
    (located,) = [value for topic, value, _ in sent if topic == TOPICS.located]
    assert places(LocatedBatch.read(located), ["P-1", "P-2"]) == {"P-1": ((POLICE, 0), 4), "P-2": ((POLICE, 3), 71)}


async def test_offsets_too_far_apart_to_be_counted_are_told_apart() -> None:
    far = 5 + 2**16
    ((_, value, _),) = await sent_for([fetch(1, {5: record("P-1"), far - 1: record("P-2"), far: record("P-3")})])
    batches = LocatedBatch.read(value)
    assert [batch.first_offset for batch in batches] == [5, far]
    assert [offset for _, offset in places(batches, ["P-1", "P-2", "P-3"]).values()] == [5, far - 1, far]


def test_a_message_is_read_as_what_it_was_made_of() -> None:
    one, other = tick(7), tick(8)
    assert [batch.received_us for batch in LocatedBatch.read(one.to_bytes() + other.to_bytes())] == [7, 8]
    ended = LocatedBatch.read(one.to_bytes() + said(b"{}", 9).to_bytes())
    assert [(batch.input[0], batch.said) for batch in ended] == [(TICK, b""), (FEEDBACK, b"{}")]


@pytest.mark.parametrize("wrong", [b"", b"\x01", tick(7).to_bytes()[:-1], tick(7).to_bytes() + b"\x02"])
def test_bytes_that_no_version_wrote_are_refused(wrong: bytes) -> None:
    with pytest.raises(LocatedFormatError):
        LocatedBatch.read(wrong)
