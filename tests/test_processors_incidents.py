"""Incidents, cells and hours: what is counted, where, and in which hour of the week."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.cells import ABSENT, CellIndex, disc_offsets
from processors.incidents import REFERENCE_REACH_S, incidents
from processors.live import HOLD, INSERT, REMOVE, LiveRecords
from processors.localtime import BLOCK_OF_HOUR, LocalHours
from processors.lookup import cell_key, new_table, slot_of
from tests import naive
from tests.builders_processors import MONDAY, located

HOUR = 3_600


@st.composite
def crowded(draw: st.DrawFn):
    """Records in three cells, close in time, some with incident references; far cells make the sort fall back."""
    size = draw(st.integers(0, 30))
    far = draw(st.sampled_from([1, 2**29]))

    def column(low: int, high: int) -> np.ndarray:
        return np.array(draw(st.lists(st.integers(low, high), min_size=size, max_size=size)), np.int64)

    return located(
        record=np.random.default_rng(draw(st.integers(0, 99))).permutation(size),
        kind=column(0, 1),
        ix=column(-1, 0) * far,
        iy=column(0, 1) * far,
        occurred=MONDAY + column(0, 20) * draw(st.sampled_from([900, HOUR, 86_400])),
        incident=column(0, 2),
    )


@given(crowded(), st.sampled_from([0, 1800, HOUR]))
@settings(max_examples=200, deadline=None)
def test_incidents_are_those_of_a_walk_through_time(rows, merge_s: int) -> None:
    found = incidents(rows, merge_s)
    listed = list(zip(*(column.tolist() for column in found), strict=True))
    assert listed == naive.incidents(rows, merge_s, REFERENCE_REACH_S)


@given(
    crowded(), st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 3))), st.sampled_from([0, HOUR])
)
@settings(max_examples=200, deadline=None)
def test_live_incidents_follow_records_that_come_and_go(rows, steps, merge_s: int) -> None:
    rows["ix"] = np.sign(rows["ix"])  # by number: no cell lies far out here
    rows["iy"] = np.sign(rows["iy"])
    live = LiveRecords(merge_s)
    horizon = MONDAY - 9 * 86_400
    there, waiting, found, held = rows[:0], list(range(rows.size)), set(), np.zeros(4, np.int64)
    for coming, going, days in steps:
        horizon += days * 86_400
        gone, there = there[:going], there[going:]
        come = rows[waiting[:coming]] if waiting else rows[:0]
        waiting = waiting[coming:]
        there = np.concatenate([there, come])
        cells = np.concatenate([(part["ix"].astype(np.int64) + 1) * 2 + part["iy"] for part in (gone, come)])
        for what, cell, kind, value in live.change(gone, come, cells, horizon).tolist():
            if what == HOLD:
                held[cell] += value
            elif what == REMOVE:
                found.remove((kind, cell, value))
            else:
                assert what == INSERT
                assert (kind, cell, value) not in found
                found.add((kind, cell, value))
        expected = naive.incidents(there, merge_s, REFERENCE_REACH_S)
        assert {incident for incident in found if incident[2] > horizon} == {
            (kind, (ix + 1) * 2 + iy, when) for kind, ix, iy, when in expected if when > horizon
        }
        assert held.tolist() == np.bincount((there["ix"].astype(np.int64) + 1) * 2 + there["iy"], minlength=4).tolist()


def test_a_live_record_that_is_not_there_cannot_go() -> None:
    row = located(occurred=MONDAY)
    with pytest.raises(RuntimeError, match="1 live records to be removed were not there"):
        LiveRecords(HOUR).change(row, row[:0], np.array([0]), MONDAY - HOUR)


@given(crowded(), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_order_of_records_plays_no_part(rows, random) -> None:
    order = list(range(rows.size))
    random.shuffle(order)
    for one, other in zip(incidents(rows, HOUR), incidents(rows[order], HOUR), strict=True):
        np.testing.assert_array_equal(one, other)


def test_records_chain_within_the_merge_time_and_victims_count_once() -> None:
    # 0 min --50--> 50 --50--> 100   --61-->  161
    # [ one incident, singly linked ]         [ the next ]
    times = MONDAY + 60 * np.array([0, 0, 50, 100, 161])
    assert incidents(located(occurred=times), HOUR).occurred.tolist() == [MONDAY, MONDAY + 161 * 60]


def test_a_shared_reference_reaches_a_week_and_not_into_other_cells() -> None:
    rows = located(
        occurred=MONDAY + np.array([0, 2 * 86_400, 2 * 86_400, 8 * 86_400, 16 * 86_400]),
        ix=[0, 0, 1, 0, 0],
        incident=5,
    )
    found = incidents(rows, HOUR)
    assert sorted(zip(found.ix.tolist(), found.occurred.tolist(), strict=True)) == [
        (0, MONDAY),
        (0, MONDAY + 16 * 86_400),
        (1, MONDAY + 2 * 86_400),
    ]


def test_all_at_one_instant_in_one_cell_is_one_incident() -> None:
    assert incidents(located(record=np.arange(500)), 0).occurred.tolist() == [MONDAY]


@pytest.mark.parametrize("radii", [(0,), (0, 1, 2, 3), (2, 5), (0, 1, 2, 3, 4, 6, 8)])
def test_offsets_are_nearest_first_and_mirrored(radii: tuple[int, ...]) -> None:
    offsets = disc_offsets(radii)
    pairs = list(zip(offsets.dx.tolist(), offsets.dy.tolist(), strict=True))
    assert set(pairs) == set(naive.disc(radii[-1]))
    squares = [(x * x + y * y, x, y) for x, y in pairs]
    assert squares == sorted(squares)
    for (x, y), ring, opposite in zip(pairs, offsets.ring.tolist(), offsets.opposite.tolist(), strict=True):
        assert pairs[opposite] == (-x, -y)
        assert x * x + y * y <= radii[ring] ** 2
        assert ring == 0 or x * x + y * y > radii[ring - 1] ** 2


def test_neighbours_are_set_both_ways_however_cells_arrive() -> None:
    rng = np.random.default_rng(5)
    index = CellIndex((0, 2, 4))
    points = rng.integers(-15, 15, (400, 2)).astype(np.int32)
    for part in np.array_split(points, 37):
        numbers = index.ensure(part[:, 0], part[:, 1])
        assert index.ix[numbers].tolist() == part[:, 0].tolist()
    assert index.size == len({tuple(p) for p in points.tolist()})
    number = {(int(index.ix[c]), int(index.iy[c])): c for c in range(index.size)}
    for (x, y), cell in number.items():
        for o, (dx, dy) in enumerate(zip(index.offsets.dx.tolist(), index.offsets.dy.tolist(), strict=True)):
            assert index.neighbours[cell, o] == number.get((x + dx, y + dy), ABSENT)
    assert index.find(99, 99) == ABSENT


def test_cells_beyond_the_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="cells from the origin"):
        CellIndex((0,)).ensure(np.array([-(2**31)], np.int32), np.array([0], np.int32))


def test_the_map_keeps_colliding_keys_apart() -> None:
    keys, rows = new_table(4)
    wanted = [np.uint64(cell_key(x, y)) for x, y in [(0, 0), (-1, 0), (0, -1), (2**30, -(2**30))]]
    for row, key in enumerate(wanted):
        slot = slot_of(keys, rows, key)
        keys[slot], rows[slot] = key, row
    assert [int(rows[slot_of(keys, rows, key)]) for key in wanted] == [0, 1, 2, 3]


CHANGES = [
    ("Europe/London", datetime(2024, 3, 31, 1, tzinfo=UTC)),
    ("Europe/London", datetime(2024, 10, 27, 1, tzinfo=UTC)),
    ("America/Chicago", datetime(2016, 3, 13, 8, tzinfo=UTC)),
    ("America/Chicago", datetime(2016, 11, 6, 7, tzinfo=UTC)),
    ("Asia/Kolkata", datetime(2024, 3, 31, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_hours_and_days_are_those_of_the_clock_on_the_wall(name: str, change: datetime) -> None:
    zone = ZoneInfo(name)
    first = int(change.timestamp()) // HOUR - 60
    hours = LocalHours(zone).hours(first, first + 120)
    for n in range(121):
        assert hours.of_week[n] == naive.hour_of_week((first + n) * HOUR, zone)
        assert hours.day[n] == naive.day_number((first + n) * HOUR, zone)
        assert hours.block[n] == naive.block(naive.hour_of_week((first + n) * HOUR, zone))


@pytest.mark.parametrize(("name", "change"), CHANGES)
def test_the_day_of_a_change_begins_at_midnight_and_lasts_as_long_as_it_does(name: str, change: datetime) -> None:
    zone = ZoneInfo(name)
    local = LocalHours(zone)
    day = naive.day_number(int(change.timestamp()), zone)
    begin, end = local.midnight(day), local.midnight(day + 1)
    assert (end - begin) in ({86_400} if name == "Asia/Kolkata" else {82_800, 90_000})
    for moment in (begin, end):
        assert datetime.fromtimestamp(moment, zone).strftime("%H:%M:%S") == "00:00:00"
    assert local.day(begin - 1) == day - 1
    assert local.day(begin) == local.day(end - 1) == day


def test_a_day_whose_midnight_is_skipped_begins_at_one() -> None:
    local = LocalHours(ZoneInfo("America/Sao_Paulo"))
    begin = local.midnight((datetime(2015, 10, 18, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days)
    assert datetime.fromtimestamp(begin, ZoneInfo("America/Sao_Paulo")).isoformat() == "2015-10-18T01:00:00-02:00"


def test_hours_asked_for_in_any_order_are_the_same() -> None:
    zone = ZoneInfo("Europe/London")
    whole, grown = LocalHours(zone), LocalHours(zone)
    first = MONDAY // HOUR
    expected = whole.hours(first - 5000, first + 5000)
    grown.hours(first, first + 1)
    grown.hours(first + 4000, first + 4001)
    got = grown.hours(first - 5000, first + 5000)
    assert got.of_week.tolist() == expected.of_week.tolist()
    assert got.day.tolist() == expected.day.tolist()


def test_blocks_cover_the_week() -> None:
    hours = {b: int((b == BLOCK_OF_HOUR).sum()) for b in range(4)}
    assert hours == {0: 60, 1: 48, 2: 24, 3: 36}
    friday = datetime(2024, 1, 5, 18, tzinfo=UTC)
    for shift, block in [(-1, 0), (0, 3), (12, 2), (24, 3), (59, 3), (60, 0)]:
        moment = friday + timedelta(hours=shift)
        assert BLOCK_OF_HOUR[naive.hour_of_week(int(moment.timestamp()), ZoneInfo("UTC"))] == block
