"""The table of regions' state keeps what it has read and written, and knows how far that goes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.app import Worker
from streams.table import KeptStore, StateTable
from streams.topics import Topics
from tests.builders import hampshire, police_event, raw
from tests.running import Installation, publish, running_worker, until

PLACE, OTHER = TP("changelog", 0), TP("changelog", 1)


@pytest.fixture
def store() -> KeptStore:
    """That of a table of an app that does not run."""
    return new_store()


def new_store() -> KeptStore:
    """An empty one."""
    app = faust.App("test-table", broker="kafka://127.0.0.1:1", store="memory://")
    table = StateTable(app, name="state", key_type=bytes, value_type=bytes, partitions=2, default=None)
    kept: KeptStore = table.data
    return kept


def read(store: KeptStore, place: TP, offset: int, key: bytes, value: bytes | None) -> None:
    """A message of the changelog, as Faust hands it to its store."""
    message = SimpleNamespace(value=value, partition=place.partition, tp=place, offset=offset)
    store.apply_changelog_batch([SimpleNamespace(key=key, value=value, message=message)], bytes, lambda value: value)


def wrote(store: KeptStore, place: TP, offset: int, key: bytes, value: bytes | None) -> None:
    """A write of this worker's own that the broker has acknowledged."""
    if value is None:
        store.data.pop(key, None)
    else:
        store.data[key] = value
        store.note(place.partition, key)
    store.set_persisted_offset(place, offset)


def test_what_was_read_and_written_without_a_gap_need_not_be_read_again(store: KeptStore) -> None:
    assert store.persisted_offset(PLACE) is None
    read(store, PLACE, 7, b"a|1|week", b"1")
    wrote(store, PLACE, 8, b"a|2|week", b"2")
    assert store.persisted_offset(PLACE) == 8
    assert store.persisted_offset(OTHER) is None


def test_what_another_worker_wrote_in_between_is_read(store: KeptStore) -> None:
    read(store, PLACE, 7, b"a|1|week", b"1")
    wrote(store, PLACE, 9, b"a|1|week", b"3")
    assert store.persisted_offset(PLACE) == 7
    read(store, PLACE, 8, b"a|2|week", b"2")
    read(store, PLACE, 9, b"a|1|week", b"3")
    assert store.persisted_offset(PLACE) == 9
    assert store.data == {b"a|1|week": b"3", b"a|2|week": b"2"}


async def test_partitions_that_it_stands_by_for_are_kept_and_no_others(store: KeptStore) -> None:
    read(store, PLACE, 1, b"a|1|week", b"1")
    read(store, OTHER, 5, b"b|1|week", b"2")
    wrote(store, OTHER, 6, b"b|1|day", b"3")
    await store.on_recovery_completed({PLACE}, {OTHER})
    assert len(store.data) == 3
    await store.on_recovery_completed({PLACE}, set())
    assert store.data == {b"a|1|week": b"1"}
    assert (store.persisted_offset(PLACE), store.persisted_offset(OTHER)) == (1, None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["own", "other"]),
            st.sampled_from([b"a", b"b", b"c"]),
            st.sampled_from([b"", b"1", b"2", None]),
        )
    ),
    st.data(),
)
def test_reading_on_from_its_place_gives_what_reading_from_the_beginning_gives(
    log: list[tuple[str, bytes, bytes | None]], data: st.DataObject
) -> None:
    """Whatever of its own writes lie between those of others, and however often it is asked to read on."""
    store = new_store()
    for offset, (whose, key, value) in enumerate(log):
        if whose == "own":
            wrote(store, PLACE, offset, key, value)
        if data.draw(st.booleans()):
            catch_up(store, log[: offset + 1])
    catch_up(store, log)
    expected: dict[bytes, bytes] = {}
    for _, key, value in log:
        expected.pop(key, None)
        if value is not None:
            expected[key] = value
    assert store.data == expected


def catch_up(store: KeptStore, log: list[tuple[str, bytes, bytes | None]]) -> None:
    """Read what lies after the store's place."""
    place = store.persisted_offset(PLACE)
    for offset in range(0 if place is None else place + 1, len(log)):
        read(store, PLACE, offset, *log[offset][1:])


def changelogs(worker: Worker) -> set[TP]:
    """The partitions of state that are this worker's to write."""
    changelog = Topics(worker.settings.prefix).changelog
    return {place for place in worker.faust.assignor.assigned_actives() if place.topic == changelog}


@pytest.mark.connected
@pytest.mark.timeout(300)
async def test_a_standby_that_takes_over_reads_nothing_again(native: Installation) -> None:
    """On Apache Kafka: the second worker has copied the state before the first one leaves."""
    settings = native.settings(located_partitions=1, source_partitions=1)
    region = hampshire()
    again: list[Any] = []

    async def note(event: Any) -> None:
        again.append(event)

    async with AsyncExitStack() as both:
        first = await both.enter_async_context(running_worker(settings, region))
        publish(settings, Topics(settings.prefix).police, [(b"key", raw(police_event()))])
        await until(lambda: first.accounting.settled == 1, "the record is in the state")
        second = await both.enter_async_context(running_worker(settings, region))
        await until(lambda: first.unready() is None and second.unready() is None, "both are ready")
        holder, standby = (first, second) if changelogs(first) else (second, first)
        await until(lambda: set(standby._table.data.data) == set(holder._table.data.data), "the other has a copy")
        standby._table._on_changelog_event = note
        await holder.stop()
        await until(lambda: bool(changelogs(standby)), "it has taken over")
        await until(lambda: standby.unready() is None, "it is ready")
    assert again == []
