"""Latest revisions: idempotent, in any order the same, and packed by week without loss."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.records import FEW_CHANGED, Outcome, RecordStore, unpack, week_name
from schemas.located import LOCATED, Gate, LocatedArray, Status, join, pick
from tests.builders_processors import MONDAY, located
from tests.naive import latest

WEEK = 7 * 86_400


@st.composite
def revisions(draw: st.DrawFn) -> LocatedArray:
    """Few records, many revisions, so that equal, older, withdrawn and conflicting ones all occur."""
    size = draw(st.integers(1, 25))

    def column(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=size, max_size=size))

    return located(
        record=column(1, 4),
        revision=column(1, 3),
        kind=column(0, 1),
        status=column(0, 2),
        gate=column(0, 1),
        ix=column(-2, 1),
        iy=column(-1, 1),
        occurred=np.array(column(-2, 2)) * WEEK // 2 + MONDAY,
        recorded_us=(np.array(column(-1, 1)) * WEEK + MONDAY) * 1_000_000,
        incident=column(0, 1),
    )


def state(store: RecordStore) -> list[tuple[int, ...]]:
    return [tuple(row) for row in store.rows().tolist()]


def expected_state(rows: LocatedArray) -> list[tuple[int, ...]]:
    found = latest(rows)
    return [found[record] for record in sorted(found)]


@given(revisions(), st.randoms(use_true_random=False), st.integers(1, 25))
@settings(max_examples=150, deadline=None)
def test_any_order_and_any_batches_end_in_the_same_state(rows, random, batch) -> None:
    order = list(range(rows.size))
    random.shuffle(order)
    store = RecordStore()
    for start in range(0, rows.size, batch):
        store.apply(rows[order[start : start + batch]])
    assert state(store) == expected_state(rows)


@given(revisions(), revisions())
@settings(max_examples=80, deadline=None)
def test_a_batch_reports_the_net_change_of_what_counts(first, second) -> None:
    store = RecordStore()
    counted: dict[int, tuple[int, ...]] = {}
    for rows in (first, second, first):
        applied = store.apply(rows)
        for row in applied.removed.tolist():
            assert counted.pop(row[0]) == row
        for row in applied.added.tolist():
            assert row[0] not in counted
            counted[row[0]] = row
        assert counted == {row[0]: row for row in store.counted().tolist()}


@given(revisions())
@settings(max_examples=60, deadline=None)
def test_applying_again_changes_nothing(rows) -> None:
    store = RecordStore()
    store.apply(rows)
    before = state(store)
    store.dirty_weeks()
    again = store.apply(rows)
    assert set(again.outcome.tolist()) <= {Outcome.DUPLICATE, Outcome.STALE}
    assert again.removed.size == again.added.size == 0
    assert state(store) == before
    assert store.dirty_weeks() == {}


@given(revisions(), st.integers(1, 25))
@settings(max_examples=80, deadline=None)
def test_weeks_as_they_changed_restore_the_state(rows, batch) -> None:
    store, saved = RecordStore(), {}
    for start in range(0, rows.size, batch):
        store.apply(rows[start : start + batch])
        saved.update(store.dirty_weeks())
    restored = RecordStore()
    restored.restore(saved.values())
    assert state(restored) == state(store)
    assert restored.dirty_weeks() == {}
    for name, packed in saved.items():
        assert all(week_name(int(week)) == name for week in (unpack(packed)["occurred"] + 3 * 86_400) // WEEK)


#: What may be done to a store, and how its holder then asks for what changed.
DEEDS = st.lists(
    st.tuples(revisions(), st.sampled_from(["apply", "apply", "apply", "prune", "gate"]), st.sampled_from("cccw")),
    min_size=1,
    max_size=8,
)


@given(DEEDS)
@settings(max_examples=150, deadline=None)
def test_weeks_and_what_changed_since_restore_the_state(deeds) -> None:
    store, saved = RecordStore(), {}
    added: list[bytes] = []
    for rows, deed, asked in deeds:
        if deed == "apply":
            store.apply(rows)
        elif deed == "prune":
            store.prune(MONDAY)
        else:
            store.gate(lambda held: held["ix"] < 0, Gate.INSTITUTION)
        changed = store.changed() if asked == "c" else None
        if changed is None:
            saved.update(store.dirty_weeks())
            added.clear()
        elif changed:
            added.append(changed)
        restored = RecordStore()
        restored.restore(saved.values(), reversed(added))
        assert state(restored) == state(store)
        # The heir can write weeks that need nothing beside them.
        alone = RecordStore()
        alone.restore({**saved, **restored.dirty_weeks()}.values())
        assert state(alone) == state(store)


def test_few_changed_records_are_told_by_themselves_and_many_by_their_weeks() -> None:
    store = RecordStore()
    store.apply(located(record=np.arange(1, FEW_CHANGED + 2), occurred=MONDAY))
    assert store.changed() is None
    store.dirty_weeks()
    assert store.changed() == b""
    store.apply(located(record=[7, 9, 7], revision=[2, 2, 3], occurred=MONDAY))
    assert sorted(unpack(store.changed() or b"")["record"].tolist()) == [7, 9]
    store.apply(located(record=[7], revision=[3], occurred=MONDAY))
    assert store.changed() == b""
    assert list(store.dirty_weeks()) == ["2022-W01"]


def test_outcomes_tell_what_each_row_did() -> None:
    store = RecordStore()
    rows = located(
        record=[1, 1, 1, 1, 2, 2, 3],
        revision=[1, 1, 3, 2, 2, 1, 1],
        status=[0, 0, 1, 1, 2, 0, 0],
    )
    outcome = [Outcome(code) for code in store.apply(rows).outcome]
    assert outcome == [
        Outcome.NEW,
        Outcome.DUPLICATE,
        Outcome.AMENDED,
        Outcome.STALE,
        Outcome.WITHDRAWN_UNSEEN,
        Outcome.STALE,
        Outcome.NEW,
    ]
    gone = store.apply(located(record=[3], revision=[9], status=[Status.WITHDRAWN], ix=[5], incident=[7]))
    assert [Outcome(code) for code in gone.outcome] == [Outcome.WITHDRAWN]
    assert gone.removed["record"].tolist() == [3]
    kept = store.rows()[2]
    assert (kept["status"], kept["ix"], kept["incident"]) == (Status.WITHDRAWN, 0, 0)


def test_a_record_that_moves_to_another_week_dirties_both() -> None:
    store = RecordStore()
    store.apply(located(record=[1], occurred=[MONDAY]))
    assert list(store.dirty_weeks()) == ["2022-W01"]
    store.apply(located(record=[1], revision=[2], occurred=[MONDAY - 1]))
    dirty = store.dirty_weeks()
    assert sorted(dirty) == ["2021-W52", "2022-W01"]
    assert dirty["2022-W01"] == b""


def test_gated_records_are_kept_and_do_not_count() -> None:
    store = RecordStore()
    assert store.apply(located(record=[1], gate=[Gate.INSTITUTION])).added.size == 0
    assert store.apply(located(record=[1], revision=[2], status=[1])).added.size == 1
    assert len(store) == 1


@given(revisions(), st.sets(st.integers(1, 6)))
@settings(max_examples=60, deadline=None)
def test_what_counts_but_for_some_records(rows: LocatedArray, but: set[int]) -> None:
    """`but` names records that are not there, too."""
    store = RecordStore()
    store.apply(rows)
    expected = [row for row in store.counted().tolist() if row[0] not in but]
    assert store.counted(but=np.array(sorted(but), np.uint64)).tolist() == expected


def test_pruned_rows_make_room_and_leave_empty_weeks() -> None:
    store = RecordStore()
    store.apply(located(occurred=MONDAY + np.arange(200) * 3600))
    store.dirty_weeks()
    dropped = store.prune(MONDAY + 100 * 3600)
    assert dropped.size == 100
    assert len(store) == 100
    assert store.dirty_weeks()["2022-W01"] != b""
    store.apply(located(record=np.arange(1000, 1090), occurred=MONDAY + 9 * 86_400))
    assert sorted(store.counted()["record"]) == [*range(101, 201), *range(1000, 1090)]
    assert store.prune(MONDAY + WEEK).size == 68
    assert store.dirty_weeks()["2022-W01"] == b""


def test_weeks_of_an_interrupted_write_heal() -> None:
    """One week was saved after a record moved into it, the week that it left was not."""
    store = RecordStore()
    store.apply(located(record=[1, 2], occurred=[MONDAY, MONDAY]))
    old = store.dirty_weeks()
    store.apply(located(record=[1], revision=[2], occurred=[MONDAY + WEEK]))
    new = store.dirty_weeks()
    restored = RecordStore()
    restored.restore([new["2022-W02"], old["2022-W01"]])
    assert state(restored) == state(store)
    assert restored.dirty_weeks() == {"2022-W01": new["2022-W01"]}


def test_names_of_weeks_are_those_of_iso() -> None:
    assert week_name(0) == "1970-W01"
    assert week_name((1_770_681_600 + 3 * 86_400) // WEEK) == "2026-W07"


@pytest.mark.parametrize("packed", [b"\x02" + bytes(LOCATED.itemsize), b"\x01" + bytes(10)])
def test_foreign_bytes_are_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="packed week"):
        RecordStore().restore([packed])


@pytest.mark.parametrize("rows", [np.zeros(3), np.zeros((2, 2), LOCATED)])
def test_other_arrays_are_refused(rows: np.ndarray) -> None:
    with pytest.raises(ValueError, match="LOCATED"):
        RecordStore().apply(rows)


def test_codes_out_of_range_are_refused_and_nothing_is_applied() -> None:
    store = RecordStore()
    with pytest.raises(ValueError, match="kind above 1"):
        store.apply(located(kind=[0, 2]))
    with pytest.raises(ValueError, match="status above 2"):
        store.apply(located(status=[0, 255]))
    assert len(store) == 0


def test_no_rows_are_no_change() -> None:
    applied = RecordStore().apply(np.zeros(0, LOCATED))
    assert applied.outcome.size == applied.removed.size == applied.added.size == 0


@given(revisions(), st.randoms())
def test_rows_are_picked_and_joined_as_numpy_does_it(rows: LocatedArray, random: Random) -> None:
    mask = np.array([random.random() < 0.5 for _ in range(rows.size)])
    places = np.array([random.randrange(rows.size) for _ in range(5)])
    for where in (mask, places):
        assert pick(rows, where).tolist() == rows[where].tolist()
    assert join([rows, rows[::2]]).tolist() == np.concatenate([rows, rows[::2]]).tolist()
    assert join([]).tolist() == []
