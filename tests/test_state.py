"""The state of a region survives its holder, whatever the holder was about to write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert import alert_event
from streams.state import ADDED_BYTES, RegionState
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
    assert sorted(key.rpartition(b"|")[2] for key in table) == [
        b"baseline",
        b"journal",
        b"offset",
        b"save",
    ]


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


class Log(Table):
    """A table that remembers its writes one by one, as the changelog has them; None is a deletion."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.writes: list[tuple[bytes, bytes | None]] = []

    def __setitem__(self, key: bytes, value: bytes) -> None:
        super().__setitem__(key, value)
        self.writes.append((key, value))

    def __delitem__(self, key: bytes) -> None:
        super().__delitem__(key)
        self.writes.append((key, None))

    def pop(self, key: bytes, *default: Any) -> Any:
        """As of any mapping: by deleting."""
        if key not in self and default:
            return default[0]
        value = self[key]
        del self[key]
        return value

    def save_to(
        self, state: RegionState, parts: dict[str, bytes], number: int, add: bool
    ) -> list[tuple[bytes, bytes | None]]:
        """What a step writes here."""
        begin = len(self.writes)
        state.save(REGION, parts, [], number, add=add)
        return self.writes[begin:]

    def after(self, writes: int) -> Log:
        """What a recovery reads where the holder died after so many writes."""
        read: Log = Log()
        for key, value in self.writes[:writes]:
            if value is None:
                dict.pop(read, key, None)
            else:
                dict.__setitem__(read, key, value)
        return read


def weeks(save: int, sizes: Sequence[int]) -> dict[str, bytes]:
    """Parts of so many bytes, which tell what save they are of."""
    return {f"2026-W{number:02d}": b"%d" % save * size for number, size in enumerate(sizes)}


@given(st.lists(st.lists(st.integers(0, 60), max_size=6), min_size=1, max_size=4), st.data())
def test_a_journal_in_pieces_makes_a_batch_whole_wherever_its_holders_died(
    saves: list[list[int]], data: st.DataObject
) -> None:
    """Large and small batches in any order; each holder dies after any of its writes, and another goes on."""
    table = Log()
    state = RegionState(table, piece_bytes=40)
    state.load(REGION)
    before: dict[str, bytes] = {}
    for number, sizes in enumerate(saves, 1):
        begin = len(table.writes)
        state.save(REGION, weeks(number, sizes), [], number)
        assert all(len(value or b"") <= 60 + max(sizes, default=0) for _, value in table.writes[begin:])
        after = {name: part for name, part in {**before, **weeks(number, sizes)}.items() if part}
        died = table.after(data.draw(st.integers(begin, len(table.writes))))
        heir = RegionState(died, piece_bytes=40)
        found = heir.load(REGION, generation=number)
        expected = {number: after, number - 1: before}
        assert found.parts == expected[found.next_offset]
        assert heir.load(REGION, generation=number).parts == found.parts
        assert not [key for key in died if b"journal/" in key]
        if data.draw(st.booleans()):  # the heir goes on, and does the batch again if it was not in
            table, state = died, heir
            table.writes = [(key, value) for key, value in table.items()]
            if found.next_offset < number:
                state.save(REGION, weeks(number, sizes), [], number)
        before = after


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), min_size=1, max_size=12)


@given(STEPS, st.data())
def test_what_was_added_is_laid_over_the_parts_wherever_its_holders_died(
    steps: list[tuple[str, bool, bool]], data: st.DataObject
) -> None:
    """Steps that write parts and steps that add; each may be the last of its holder, who dies after any of its writes,
    or is stopped there and writes the rest when another has gone on."""
    changelog, late = Log(), list[tuple[bytes, bytes | None]]()
    table = changelog.after(0)
    kept_bytes = data.draw(st.sampled_from([0, 40, 1_000]))
    state = RegionState(table, kept_bytes=kept_bytes)
    state.load(REGION)
    expected: dict[str, bytes] = {}
    for number, (name, add, dies) in enumerate(steps, 1):
        before = present(expected)
        expected[name] = b"" if number % 5 == 0 else b"%d" % number
        written = table.save_to(state, {name: expected[name]}, number, add)
        if dies:
            done = data.draw(st.integers(0, len(written)))
            changelog.writes += written[:done]
            table = changelog.after(len(changelog.writes))
            state = RegionState(table, kept_bytes=kept_bytes)
            found = state.load(REGION, generation=number + 1)  # never one that another had
            changelog.writes += table.writes + late
            late, written = written[done:], []
            if found.next_offset < number:
                assert found.parts == before
                written = table.save_to(state, {name: expected[name]}, number, add)
        changelog.writes += written
        found = RegionState(changelog.after(len(changelog.writes))).load(REGION, generation=number + 1)
        assert found.parts == present(expected)
        assert found.next_offset == number


def present(parts: dict[str, bytes]) -> dict[str, bytes]:
    """Those that are not gone."""
    return {name: part for name, part in parts.items() if part}


def test_a_small_step_is_one_message_and_a_large_one_its_parts() -> None:
    table = Log()
    state = RegionState(table)
    state.load(REGION)
    state.save(REGION, {"2026-W01": b"one"}, [], 1, add=True)  # a holder begins with parts
    begin = len(table.writes)
    state.save(REGION, {"2026-W01": b"two", "held": b"x"}, [], 2, add=True)
    state.save(REGION, {"held": b""}, [], 3, add=True)
    assert [key for key, _ in table.writes[begin:]] == [b"hampshire|1|added/0", b"hampshire|1|added/1"]
    assert RegionState(Log(table)).load(REGION) == ({"2026-W01": b"two"}, [], 3)
    state.save(REGION, {"baseline": b"x" * ADDED_BYTES}, [], 4, add=True)
    assert table[b"hampshire|1|2026-W01"] == b"two"
    assert RegionState(Log(table)).load(REGION).next_offset == 4


def test_a_large_step_leaves_the_table_when_its_parts_are_written() -> None:
    table: Table = {}
    state = RegionState(table, kept_bytes=100)
    state.load(REGION)
    state.save(REGION, {}, [], 1)
    state.save(REGION, {"2026-W01": b"x" * 101}, [], 2, add=True)
    state.save(REGION, {"2026-W02": b"y"}, [], 3, add=True)
    heir = RegionState(table, kept_bytes=100)
    heir.load(REGION, generation=5)
    heir.save(REGION, {}, [], 4)
    found = {key.partition(b"|")[2]: len(part) for key, part in table.items() if b"added/" in key}
    assert found.pop(b"5|added/0") == 0
    assert list(found) == [b"1|added/1"]
    assert parts(table) == {"2026-W01": b"x" * 101, "2026-W02": b"y"}


def test_what_was_written_before_there_were_epochs_is_read() -> None:
    journal = msgpack.packb({"baseline": b"new", "offset": b"9"})
    table = {b"hampshire|baseline": b"old", b"hampshire|2026-W01": b"w", b"hampshire|journal": journal}
    state = RegionState(table)
    assert state.load(REGION) == ({"baseline": b"new", "2026-W01": b"w"}, [], 9)
    state.save(REGION, {"2026-W01": b"later"}, [], 10)
    assert parts(table) == {"baseline": b"new", "2026-W01": b"later"}
