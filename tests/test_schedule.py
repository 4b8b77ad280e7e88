"""When the replay clock looks: the same looks with the same rows, however the records arrive."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.schedule import Input, ReplaySchedule
from schemas.located import LocatedArray, join
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


def test_a_record_behind_the_watermark_is_known_at_the_next_look() -> None:
    """
             0         900       1800
    A        ──1────────|──▶
    looks               ^1
    A        ────2 (late, and alone)  ──▶ 1801
    looks                         ^2
    """
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    assert offer(schedule, A, row(1, 100), until_s=1000) == [(900, [1])]
    assert offer(schedule, A, row(2, 500), until_s=1801) == [(1800, [2])]


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
    """Rows of three inputs, each in order of record time; a record stays with its input."""
    found: Histories = {}
    for number, source in enumerate((A, B, C)):
        drawn = sorted(draw(st.lists(st.tuples(TIMES, st.integers(0, 4)), max_size=10)))
        rows = [
            located(record=record * 3 + number, revision=revision, recorded_us=time)
            for revision, (time, record) in enumerate(drawn, start=1)
        ]
        found[source] = join(rows)
    return found


def expected_looks(history: Histories) -> list[tuple[int, bytes]]:
    """What the looks must be, said directly: each row belongs to the first multiple at or after its record time."""
    by_look: dict[int, list[LocatedArray]] = {}
    for rows in history.values():
        for one in rows:
            known = int(one["recorded_us"])
            look = next(at for at in range(0, known + 900 * MICRO, 900 * MICRO) if at >= known)
            by_look.setdefault(look // MICRO, []).append(one)
    return [
        (
            at,
            b"".join(
                one.tobytes()
                for one in sorted(rows, key=lambda one: (one["recorded_us"], one["record"], one["revision"]))
            ),
        )
        for at, rows in sorted(by_look.items())
    ]


#: Batches in the order in which they arrive: of which input, and how many rows; none is a heartbeat.
STEPS = st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 4)), max_size=20)


def run(history: Histories, steps: Sequence[tuple[Input, int]], restart: frozenset[int]) -> list[tuple[int, bytes]]:
    """Let batches arrive, and at last the rest; start again from the state after each step of `restart`."""
    schedule = ReplaySchedule(frozenset(history), QUARTER)
    place = dict.fromkeys(history, 0)
    found: list[tuple[int, bytes]] = []
    for number, (source, size) in enumerate(steps):
        rows = history[source][place[source] : place[source] + size]
        place[source] += len(rows)
        seen = history[source]["recorded_us"][: place[source]]
        schedule.offer(rows, source, int(seen.max()) if len(seen) else 0)
        found += [(at, known.tobytes()) for at, known in stepped(schedule)]
        if number in restart:
            state = schedule.state()
            schedule = ReplaySchedule(frozenset(history), QUARTER)
            schedule.restore(*state)
    for source, rows in history.items():
        schedule.offer(rows[place[source] :], source, 10**6 * MICRO)
    return found + [(at, known.tobytes()) for at, known in stepped(schedule)]


@given(histories(), STEPS, st.frozensets(st.integers(0, 19)))
def test_neither_batches_nor_interleaving_nor_restarts_change_the_looks(
    history: Histories, steps: list[tuple[Input, int]], restart: frozenset[int]
) -> None:
    assert run(history, steps, restart) == expected_looks(history)


def test_a_state_holds_the_rows_that_wait() -> None:
    schedule = ReplaySchedule(frozenset({A, B}), QUARTER)
    offer(schedule, A, row(1, 100), row(2, 1000), until_s=5000)
    offer(schedule, B, row(3, 950))
    last_look_us, watermarks, held = schedule.state()
    assert last_look_us == 900 * MICRO
    assert watermarks == [(0, 0, 5000 * MICRO), (1, 0, 950 * MICRO)]
    again = ReplaySchedule(frozenset({A, B}), QUARTER)
    again.restore(last_look_us, watermarks, held)
    assert again.state() == schedule.state()
    assert offer(again, B, until_s=5000) == [(1800, [3, 2])] == offer(schedule, B, until_s=5000)


def test_a_fresh_schedule_has_a_state() -> None:
    schedule = ReplaySchedule(frozenset({A}), QUARTER)
    assert schedule.state() == (0, [], b"")
    schedule.restore(*schedule.state())
    assert looks(schedule) == []
