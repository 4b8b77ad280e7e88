"""Rolling counts, the bounds by which windows are passed over, and the choice among windows that touch."""

from __future__ import annotations

from collections import Counter
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.baseline import Baseline, fit_baseline
from processors.board import EPOCH_END, HOT, LISTED
from processors.exposure import exposure
from processors.incidents import Incidents, incidents
from processors.live import HOLD, INSERT, REMOVE
from processors.localtime import LocalHours
from processors.score import discs_touch, enough_for, surprise
from processors.windows import MOST_COUNTED, WindowCounts
from schemas.detection import DAY_S, HOUR_S, DetectionSettings
from tests import naive
from tests.builders_processors import MONDAY, SMALL, history

LONDON_ZONE = ZoneInfo("Europe/London")
LONDON = LocalHours(LONDON_ZONE)
SPANS = tuple(hours * HOUR_S for hours in (2, 5, 12))
TIGHT = DetectionSettings(radii_cells=(0, 1, 3), spans_s=SPANS, part_spans_s=SPANS[1:])
SHAPES = len(SMALL.shapes)


def change(windows: WindowCounts, what: int, incident: naive.Incident, records: int) -> None:
    """Have an incident come or go, and its cell hold so many records more."""
    kind, ix, iy, when = incident
    cell = int(windows.ensure(np.array([ix]), np.array([iy]))[0])
    windows.change(np.array([(HOLD, cell, 0, records), (what, cell, kind, when)]))


@pytest.fixture(scope="module")
def fitted() -> Baseline:
    rng = np.random.default_rng(12)
    rows = np.concatenate([history(rng, 84, 8.0), history(rng, 84, 2.0, kind=0, first_record=10_000)])
    baseline = fit_baseline(incidents(rows, 3600), rows, MONDAY + 84 * DAY_S, SMALL, LONDON)
    assert baseline is not None
    return baseline


@st.composite
def operations(draw: st.DrawFn) -> list[tuple[str, tuple[int, int, int, int]]]:
    """Incidents that come and go at whole hours, and looks ahead by whole hours, so that borders are hit often."""
    steps = []
    for _ in range(draw(st.integers(1, 40))):
        what = draw(st.sampled_from(["come", "come", "come", "go", "look"]))
        place = (draw(st.integers(0, 1)), draw(st.integers(-3, 3)), draw(st.integers(-1, 1)))
        steps.append((what, (*place, draw(st.integers(-14, 14)))))
    return steps


@given(operations())
@settings(max_examples=150, deadline=None)
def test_counts_follow_incidents_that_come_and_go(steps) -> None:
    windows, now = WindowCounts(TIGHT, LONDON), MONDAY
    windows.look(now)
    there: list[naive.Incident] = []
    for what, (kind, ix, iy, hours) in steps:
        when = now + hours * HOUR_S
        if what == "look":
            now += abs(hours) * HOUR_S
            windows.look(now)
        elif what == "come":
            there.append((kind, ix, iy, when))
            change(windows, INSERT, (kind, ix, iy, when), 1)
        elif there:
            change(windows, REMOVE, there.pop(hours % len(there)), -1)
    counts = windows.counts()
    assert counts.keys() == {incident[1:3] for incident in there}
    for (ix, iy), found in counts.items():
        for k in (0, 1):
            for r, radius in enumerate(TIGHT.radii_cells):
                for s, (span, part) in enumerate(TIGHT.shapes):
                    assert found[k, r, s] == naive.count(there, k, ix, iy, radius, span, now, part, LONDON_ZONE)
    rebuilt = WindowCounts(TIGHT, LONDON)
    cells = Counter(incident[1:3] for incident in there)
    ix, iy = np.array(list(cells), np.int32).reshape(-1, 2).T
    columns = np.array(there, np.int64).reshape(-1, 4).T
    found = Incidents(columns[0].astype(np.uint8), columns[1].astype(np.int32), columns[2].astype(np.int32), columns[3])
    rebuilt.rebuild(ix, iy, np.array(list(cells.values()), np.int64), found)
    rebuilt.look(now)
    again = rebuilt.counts()
    assert again.keys() == counts.keys()
    assert all((again[cell] == counts[cell]).all() for cell in counts)


@pytest.mark.parametrize("age_s", [0, 1, 2 * HOUR_S - 1, 2 * HOUR_S, 5 * HOUR_S, 12 * HOUR_S - 1, 12 * HOUR_S])
def test_a_window_holds_its_newest_moment_and_not_its_oldest(age_s: int) -> None:
    # span 2 h           (now-2h ......... now]
    # span 5 h   (now-5h ................. now]
    windows = WindowCounts(TIGHT, LONDON)
    windows.look(MONDAY - age_s)
    change(windows, INSERT, (1, 0, 0, MONDAY - age_s), 1)
    windows.look(MONDAY)
    assert windows.counts()[0, 0][1, 0, -len(SPANS) :].tolist() == [int(age_s < span) for span in SPANS]


def test_a_cell_that_appears_later_counts_what_was_there_before() -> None:
    windows = WindowCounts(TIGHT, LONDON)
    windows.look(MONDAY)
    change(windows, INSERT, (1, 0, 0, MONDAY - HOUR_S), 1)
    change(windows, INSERT, (1, 2, 1, MONDAY - DAY_S), 1)  # too long ago to be counted
    assert windows.counts()[2, 1][1, :, -len(SPANS) :].tolist() == [[0, 0, 0], [0, 0, 0], [1, 1, 1]]


def test_removing_what_is_not_there_is_an_error() -> None:
    windows = WindowCounts(TIGHT, LONDON)
    windows.look(MONDAY)
    change(windows, INSERT, (1, 0, 0, MONDAY), 1)
    with pytest.raises(RuntimeError, match="no longer follow"):
        change(windows, REMOVE, (0, 0, 0, MONDAY), 0)


@pytest.mark.parametrize("floor", [0.5, 4.0, 12.0])
def test_no_window_below_its_needed_count_can_reach_the_floor(fitted: Baseline, floor: float) -> None:
    windows = WindowCounts(SMALL, LONDON)
    start = fitted.fitted_at + 11 * HOUR_S + 700
    rows = history(np.random.default_rng(3), 3, 25.0, start=start - 3 * DAY_S)
    found = incidents(rows, 3600)
    cells = sorted({(int(x), int(y)) for x, y in zip(found.ix, found.iy, strict=True)})
    ix, iy = np.array(cells, np.int32).T
    windows.rebuild(ix.copy(), iy.copy(), np.ones(len(cells), np.int64), found)
    windows.expect(fitted, floor, np.full(2, start, np.int64))
    windows.look(start)
    board = windows._board
    rng = np.random.default_rng(1)
    moments = rng.integers(start, int(board.cursor[EPOCH_END]), 40)
    kinds = sum(fitted.scored)
    sharp = sharp_alone = 0
    for moment in [start, *moments.tolist()]:
        hours = LONDON.hours(moment // HOUR_S - 80, moment // HOUR_S)
        exposed = exposure(fitted.rates(hours, np.full(2, moment)), moment, board.spans, board.parts)
        for cell in range(0, windows.cells.size, 5):
            for k in (0, 1):
                for r in range(3):
                    for s in range(SHAPES):
                        mu = float(board.mass[cell, r, 4 * k : 4 * k + 4] @ exposed[s, 4 * k : 4 * k + 4])
                        need = int(board.need[cell, k, r, s])
                        bar = (floor + SMALL.penalties[s]) / kinds
                        assert naive.surprise(need - 1, mu) < bar
                        sharp += naive.surprise(need + 1, mu) >= bar
                        alone = int(board.alone[s, need])
                        assert alone >= need
                        assert naive.surprise(alone - 1, mu) < floor + SMALL.penalties[s]
                        sharp_alone += naive.surprise(alone + 2, mu) >= floor + SMALL.penalties[s]
    assert sharp > 0  # the bounds are not empty
    assert sharp_alone > 0
    hot = board.candidates[: board.cursor[HOT]].tolist()
    assert sorted(set(hot)) == sorted(hot) == np.flatnonzero(board.hot).tolist()
    listed = 0
    for cell in range(windows.cells.size):
        for r in range(3):
            for s in range(SHAPES):
                noted = int(board.listed[cell, r]) >> s & 1
                listed += noted
                counts, need = board.counts[cell, :, r, s], board.need[cell, :, r, s]
                whole = counts >= np.where(counts[::-1] > 0, need, board.alone[s, need])
                if whole.any() and counts.sum() >= SMALL.min_incidents:
                    assert noted
                    assert board.hot[cell]
    assert listed == board.cursor[LISTED]


def test_enough_is_the_largest_expectation_that_still_does() -> None:
    enough = enough_for(3.0, MOST_COUNTED)
    assert enough[0] < 0
    assert (np.diff(enough) > 0).all()
    for count in (1, 2, 3, 10, 400, MOST_COUNTED - 1):
        assert surprise(float(count), float(enough[count]) * (1 + 1e-9)) <= 3.0
        assert surprise(float(count), float(enough[count]) * (1 - 1e-9)) >= 3.0


def test_the_score_of_an_impossible_event_is_without_bound() -> None:
    assert surprise(3.0, 0.0) == 0.0  # nothing can be said
    assert surprise(0.0, 0.0) == surprise(2.0, 2.0) == surprise(1.0, 5.0) == 0.0
    assert surprise(5.0, 1.0) == naive.surprise(5, 1.0)


def test_discs_touch_up_to_one_cell_beyond_the_larger() -> None:
    assert discs_touch(0, 0, 0, 1, 0, 0)
    assert not discs_touch(0, 0, 0, 1, 1, 0)
    assert discs_touch(0, 0, 2, 3, 0, 1)
    assert not discs_touch(0, 0, 2, 3, 1, 1)
    assert not discs_touch(-(2**30), 0, 8, 2**30, 0, 8)
