"""When the replay clock looks: the same looks with the same rows, however the records arrive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.schedule import RECENT, Input, ReplaySchedule
from schemas.located import HEARTBEAT, LocatedArray, join
from tests.builders import MICRO, located

QUARTER = 900
A: Input = (0, 0)
B: Input = (1, 0)
C: Input = (1, 1)
Looks = list[tuple[int, list[int]]]


def row(record: int, at_s: float, revision: int = 1) -> LocatedArray:
    """A row recorded at a time after the start of the drawings, in seconds."""
    return located(record=record, revision=revision, recorded_us=round(at_s * MICRO))


def stepped(schedule: ReplaySchedule) -> list[tuple[int, LocatedArray]]:
    steps = schedule.due(10_000)
    return [(int(as_of), steps.part(n, n + 1).rows) for n, as_of in enumerate(steps.moments)]


def looks(schedule: ReplaySchedule) -> Looks:
    return [(as_of, rows["record"].tolist()) for as_of, rows in stepped(schedule)]


def offer(schedule: ReplaySchedule, source: Input, *rows: LocatedArray, until_s: float | None = None) -> Looks:
    """Rows of one input, whose watermark is their latest record time or what a heartbeat says; then the looks due."""
    batch = join(rows)
    times = [*batch["recorded_us"].tolist(), *([round(until_s * MICRO)] if until_s is not None else [])]
    schedule.offer(batch, source, max(times))
    return looks(schedule)


# --- watermarks --------------------------------------------------------------------------------------------------


def test_nothing_is_looked_at_before_every_input_was_heard() -> None:
    """
    A ──1──────────▶ 1800
    B                     not heard
    """
    schedule = ReplaySchedule(frozenset({A, B}), QUARTER)
    assert offer(schedule, A, row(1, 100), until_s=1800) == []
    assert schedule.watermark_us is None
    # B ──────────────▶ 1800
    assert offer(schedule, B, until_s=1800) == [(900, [1])]
    assert schedule.watermark_us == 1800 * MICRO


def test_a_look_waits_for_the_slowest_input() -> None:
    """
             0         900       1800      2700
    A        ──1────────|────2────|────5────|──▶ 2800
    B        ─────3─────|────────4|▶ 1790
    looks               ^1,3
    """
    schedule = ReplaySchedule(frozenset({A, B}), QUARTER)
    assert offer(schedule, A, row(1, 100), row(2, 1300), row(5, 2300), until_s=2800) == []
    assert offer(schedule, B, row(3, 500), row(4, 1790)) == [(900, [1, 3])]
    # B moves on:                     ─|──▶ 2000
    assert offer(schedule, B, until_s=2000) == [(1800, [2, 4])]
    assert offer(schedule, B, until_s=2701) == [(2700, [5])]


def test_a_look_is_due_only_when_the_watermark_is_past_it() -> None:
    """
             0         900
    A        ──1────────▶        a record at exactly 900 may still come
    A        ──1────────2▶       and belongs to the look at 900
    A        ──1────────2──▶
    """
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    assert offer(schedule, A, row(1, 100), until_s=900) == []
    assert offer(schedule, A, row(2, 900)) == []
    assert offer(schedule, A, until_s=900.000001) == [(900, [1, 2])]


def test_quarters_at_which_nothing_is_new_are_left_out() -> None:
    """
             0         900       1800      2700      3600
    A        ──1────────|─────────|─────────|──2──────|──▶
    looks               ^1                            ^2
    """
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    assert offer(schedule, A, row(1, 100), row(2, 3000), until_s=3700) == [(900, [1]), (3600, [2])]


def test_a_watermark_never_goes_back() -> None:
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    offer(schedule, A, until_s=1800)
    offer(schedule, A, until_s=100)
    assert schedule.watermark_us == 1800 * MICRO


def test_a_record_behind_the_watermark_is_known_when_the_watermark_was_reached() -> None:
    """
             0         900  1000     1800
    A        ──1────────|────▶
    looks               ^1
    A        ────2 (late)  ──────────────▶ 1801
    looks                            ^2
    """
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    assert offer(schedule, A, row(1, 100), until_s=1000) == [(900, [1])]
    assert offer(schedule, A, row(2, 500), until_s=1801) == [(1800, [2])]


def test_a_late_record_is_known_at_the_same_look_in_whatever_fetch_it_comes() -> None:
    """A heartbeat or a record before it in its input says when it came; looks that others caused do not."""
    log = [row(1, 100), row(9, 2000, revision=HEARTBEAT), row(2, 500), row(3, 9000)]
    whole, single = (ReplaySchedule(frozenset({A}), QUARTER) for _ in range(2))
    found = offer(whole, A, *log)
    assert found == [(900, [1]), (2700, [2])]
    assert [look for one in log for look in offer(single, A, one)] == found


def test_what_is_delivered_again_calls_for_no_look() -> None:
    """The worker before this one died after it had sent a fetch on, and before it had committed it."""
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    first, second = join([row(1, 100), row(2, 1000)]), join([row(1, 100), row(2, 1000), row(3, 9000)])
    schedule.offer(first, A, 1000 * MICRO, np.array([7, 8]))
    assert looks(schedule) == [(900, [1])]
    schedule.offer(first, A, 5000 * MICRO, np.array([7, 8]))
    again = ReplaySchedule(frozenset({A}), QUARTER)
    again.restore(*schedule.state())
    again.offer(second, A, 9000 * MICRO, np.array([7, 8, 12]))
    assert looks(again) == [(1800, [2])]
    assert offer(again, A, until_s=20_000) == [(9000, [3])]


def test_what_another_arrival_overtook_is_taken_when_it_comes_again() -> None:
    """The broker refused one fetch and took the next; the worker ended, and its successor sends both again."""
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    rows = join([row(number, 100 * number) for number in range(1, 5)])
    schedule.offer(rows[2:], A, 0, np.array([12, 13]))
    schedule.offer(rows, A, 0, np.array([10, 11, 12, 13]))
    assert sorted(record for _, records in offer(schedule, A, until_s=9000) for record in records) == [1, 2, 3, 4]


def test_what_is_kept_of_offsets_is_bounded() -> None:
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    for number in range(100):
        schedule.offer(row(number, 10 * number), A, 0, np.array([3 * number]))
    (of_input,) = schedule.state()[1]
    assert len(of_input) == 4 + 2 * RECENT
    schedule.offer(row(500, 1), A, 0, np.array([0]))
    assert not any(500 in records for _, records in offer(schedule, A, until_s=9000))


def test_rows_of_a_look_are_in_order_of_record_time_record_and_revision() -> None:
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    offered = [row(7, 300), row(2, 100, revision=2), row(2, 100, revision=1), row(1, 100), row(3, 100.000001)]
    schedule.offer(join(offered), A, 2000 * MICRO)
    ((_, found),) = stepped(schedule)
    order = [(1, 1), (2, 1), (2, 2), (3, 1), (7, 1)]
    assert list(zip(found["record"].tolist(), found["revision"].tolist(), strict=True)) == order


def test_an_input_that_nobody_waits_for_does_not_hold_up_the_others() -> None:
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    assert offer(schedule, C, row(9, 50), until_s=60) == []
    assert offer(schedule, A, row(1, 100), until_s=1000) == [(900, [9, 1])]


@pytest.mark.parametrize("look_s", [60, 900, 86_400])
def test_looks_fall_on_multiples_of_the_setting(look_s: int) -> None:
    schedule = ReplaySchedule(frozenset({A}), look_s)
    rows = [row(number, 12_345 * number) for number in range(1, 30)]
    moments = [as_of for as_of, _ in offer(schedule, A, *rows, until_s=10**7)]
    assert moments == sorted(set(moments))
    assert all(as_of % look_s == 0 for as_of in moments)


# --- any arrival gives the same looks ----------------------------------------------------------------------------

# Few distinct times, on and beside multiples of the quarter, so that ties and borders are common.
TIMES = st.integers(1, 60).flatmap(lambda tenth: st.sampled_from([tenth * 90 * MICRO + d for d in (-1, 0, 1)]))
Histories = dict[Input, LocatedArray]


@st.composite
def histories(draw: st.DrawFn) -> Histories:
    """Rows of three inputs, some in order of record time and some in none; a record stays with its input."""
    found: Histories = {}
    for number, source in enumerate((A, B, C)):
        drawn = draw(st.lists(st.tuples(TIMES, st.integers(0, 4)), max_size=10))
        drawn = sorted(drawn) if draw(st.booleans()) else drawn
        rows = [
            located(record=record * 3 + number, revision=revision, recorded_us=time)
            for revision, (time, record) in enumerate(drawn, start=1)
        ]
        found[source] = join(rows)
    return found


def expected_looks(history: Histories) -> list[tuple[int, bytes]]:
    """What the looks must be, said directly: a row becomes known when it, or a later one before it in its input, did,
    and belongs to the first multiple at or after that."""
    by_look: dict[int, list[tuple[int, LocatedArray]]] = {}
    for rows in history.values():
        known = 0
        for one in rows:
            known = max(known, int(one["recorded_us"]))
            look = next(at for at in range(0, known + 900 * MICRO, 900 * MICRO) if at >= known)
            by_look.setdefault(look // MICRO, []).append((known, one))
    return [
        (at, b"".join(one.tobytes() for _, one in sorted(rows, key=known_order)))
        for at, rows in sorted(by_look.items())
    ]


def known_order(known: tuple[int, LocatedArray]) -> tuple[int, ...]:
    at, one = known
    return at, int(one["recorded_us"]), int(one["record"]), int(one["revision"])


#: Batches in the order in which they arrive: of which input, how many rows, and how many before them once more.
STEPS = st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 4), st.integers(0, 3)), max_size=20)


Deliveries = Sequence[tuple[Input, int, int]]


def run(history: Histories, steps: Deliveries, restart: frozenset[int]) -> list[tuple[int, bytes]]:
    """Let batches arrive, and at last the rest; start again from the state after each step of `restart`."""
    schedule = ReplaySchedule(frozenset(history), QUARTER)
    place = dict.fromkeys(history, 0)
    found: list[tuple[int, bytes]] = []
    for number, (source, size, again) in enumerate(steps):
        begin = max(0, place[source] - again)
        rows = history[source][begin : place[source] + size]
        place[source] = begin + len(rows)
        seen = history[source]["recorded_us"][: place[source]]
        schedule.offer(rows, source, int(seen.max()) if len(seen) else 0, np.arange(begin, place[source]))
        found += [(at, known.tobytes()) for at, known in stepped(schedule)]
        if number in restart:
            state = schedule.state()
            schedule = ReplaySchedule(frozenset(history), QUARTER)
            schedule.restore(*state)
    for source, rows in history.items():
        schedule.offer(rows[place[source] :], source, 10**6 * MICRO, np.arange(place[source], len(rows)))
    return found + [(at, known.tobytes()) for at, known in stepped(schedule)]


@given(histories(), STEPS, st.frozensets(st.integers(0, 19)))
def test_neither_batches_nor_interleaving_nor_restarts_change_the_looks(
    history: Histories, steps: list[tuple[Input, int, int]], restart: frozenset[int]
) -> None:
    assert run(history, steps, restart) == expected_looks(history)


def test_a_state_holds_the_rows_that_wait() -> None:
    schedule = ReplaySchedule(frozenset({A, B}), QUARTER)
    offer(schedule, A, row(1, 100), row(2, 1000), until_s=5000)
    offer(schedule, B, row(3, 950))
    last_look_us, watermarks, held = schedule.state()
    assert last_look_us == 900 * MICRO
    assert watermarks == [(0, 0, 5000 * MICRO, 0), (1, 0, 950 * MICRO, 0)]
    again = ReplaySchedule(frozenset({A, B}), QUARTER)
    again.restore(last_look_us, watermarks, held)
    assert again.state() == schedule.state()
    assert offer(again, B, until_s=5000) == [(1800, [3, 2])] == offer(schedule, B, until_s=5000)


def test_a_fresh_schedule_has_a_state() -> None:
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    assert schedule.state() == (0, [], b"")
    schedule.restore(*schedule.state())
    assert looks(schedule) == []
