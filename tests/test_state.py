"""The state of a region survives its holder, whatever the holder was about to write."""

from __future__ import annotations

import msgpack
import pytest

from schemas.alert import alert_event
from streams.state import RegionState
from tests.builders import alert

REGION = "hampshire"
Table = dict[bytes, bytes]


def parts(table: Table) -> dict[str, bytes]:
    """What the next holder would go on from."""
    return RegionState(dict(table)).load(REGION).parts


def test_what_was_saved_is_loaded() -> None:
    table: Table = {}
    state = RegionState(table)
    assert state.load(REGION) == ({}, [], 0)
    event = alert_event(alert())
    state.save(REGION, {"2026-W01": b"one", "held": b"x"}, [event], 7)
    state.save(REGION, {"2026-W02": b"two", "held": b""}, [event], 8)
    assert RegionState(dict(table)).load(REGION) == ({"2026-W01": b"one", "2026-W02": b"two"}, [event], 8)


def test_regions_do_not_meet() -> None:
    table: Table = {}
    state = RegionState(table)
    for region in ("kent", "kent-east"):
        state.load(region)
        state.save(region, {"baseline": region.encode()}, [], 1)
    assert RegionState(table).load("kent").parts == {"baseline": b"kent"}


def test_one_who_was_stopped_overwrites_nothing_of_his_successor() -> None:
    """
    first    ─ W01, W02 ─ stopped ································ goes on: writes W01 as it knew it ─
    second                          ─ takes over: W01 ─ W03 ─                                         ─ killed
    """
    table: Table = {}
    first = RegionState(table)
    first.load(REGION, generation=4)
    first.save(REGION, {"2026-W01": b"old", "2026-W02": b"kept"}, [], 10)
    second = RegionState(table)
    second.load(REGION, generation=5)
    second.save(REGION, {"2026-W01": b"new"}, [], 11)
    second.save(REGION, {"2026-W03": b"three"}, [], 12)
    first.save(REGION, {"2026-W01": b"stale"}, [alert_event(alert())], 11)
    found = RegionState(dict(table)).load(REGION, generation=6)
    assert found.parts == {"2026-W01": b"new", "2026-W02": b"kept", "2026-W03": b"three"}
    assert (found.outbox, found.next_offset) == ([], 12)


def test_what_the_successor_took_away_does_not_come_back() -> None:
    table: Table = {}
    first = RegionState(table)
    first.load(REGION)
    first.save(REGION, {"2026-W01": b"old"}, [], 10)
    second = RegionState(table)
    second.load(REGION)
    second.save(REGION, {"2026-W01": b""}, [], 11)
    first.save(REGION, {"2026-W01": b"stale"}, [], 11)
    assert parts(table) == {}


def test_an_epoch_is_later_than_all_that_was_read_even_where_the_group_began_anew() -> None:
    table: Table = {}
    for generation, value in ((40, b"a"), (1, b"b"), (2, b"c")):
        holder = RegionState(table)
        holder.load(REGION, generation)
        holder.save(REGION, {"baseline": value}, [], 1)
        assert parts(table) == {"baseline": value}


def test_each_part_is_kept_once() -> None:
    table: Table = {}
    for generation in range(1, 6):
        holder = RegionState(table)
        holder.load(REGION, generation)
        holder.save(REGION, {"baseline": b"%d" % generation}, [], generation)
    assert sorted(key.rpartition(b"|")[2] for key in table) == [b"baseline", b"journal", b"offset"]


@pytest.mark.parametrize("written", range(4))
def test_a_batch_is_whole_wherever_its_holder_died(written: int) -> None:
    """The journal is written first; so many of the parts after it were."""
    table: Table = {}
    first = RegionState(table)
    first.load(REGION)
    first.save(REGION, {"a": b"1", "b": b"1"}, [], 1)
    before: Table = dict(table)
    first.save(REGION, {"a": b"2", "b": b"2"}, [], 2)
    order = [b"hampshire|1|journal", b"hampshire|1|a", b"hampshire|1|b", b"hampshire|1|offset"]
    died: Table = {**before, **{key: table[key] for key in order[: written + 1]}}
    second = RegionState(died)
    assert second.load(REGION) == ({"a": b"2", "b": b"2"}, [], 2)
    second.save(REGION, {"a": b"3"}, [], 3)
    assert RegionState(died).load(REGION) == ({"a": b"3", "b": b"2"}, [], 3)


def test_what_was_written_before_there_were_epochs_is_read() -> None:
    journal = msgpack.packb({"baseline": b"new", "offset": b"9"})
    table = {b"hampshire|baseline": b"old", b"hampshire|2026-W01": b"w", b"hampshire|journal": journal}
    state = RegionState(table)
    assert state.load(REGION) == ({"baseline": b"new", "2026-W01": b"w"}, [], 9)
    state.save(REGION, {"2026-W01": b"later"}, [], 10)
    assert parts(table) == {"baseline": b"new", "2026-W01": b"later"}
