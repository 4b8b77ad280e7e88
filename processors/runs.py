"""Many looks in one call, for replays: what is alike for each is done without leaving the compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from processors.arrays import KINDS, Bytes, Floats, Ints, Keys, Small
from processors.board import Bar, Board
from processors.counting import revise
from processors.exposure import Rates, hear
from processors.kernels import describe, look
from processors.live import Live, change_live
from processors.lookup import cell_key, slot_of
from processors.records import Held, apply_rows
from schemas.located import LocatedArray

#: The event time of no row.
NEVER = 2**62


class Steps(NamedTuple):
    """Looks to come, and the rows that are new at each."""

    rows: LocatedArray
    """In the order of the looks."""
    ends: Ints
    """Where the rows of each look end."""
    moments: Ints
    """As of when each looks, increasing."""

    def part(self, first: int, last: int) -> Steps:
        """The looks numbered first..last - 1."""
        begin = int(self.ends[first - 1]) if first else 0
        end = int(self.ends[last - 1]) if last > first else begin
        return Steps(self.rows[begin:end], self.ends[first:last] - begin, self.moments[first:last])


class Region(NamedTuple):
    """All arrays of one region that a run of looks reads and writes."""

    held: Held
    live: Live
    board: Board
    bar: Bar
    rates: Rates
    keys: Keys
    """Of the cell index, with `table`."""
    table: Small
    cells: int


class Terms(NamedTuple):
    """What a run has to know besides."""

    as_of: int
    """The moment of the look before."""
    slack_s: int
    merge_s: int
    taught_begin: int
    taught_end: int
    """A run stops at rows in the period that the baseline was taught: they may call for a new one."""


class Findings(NamedTuple):
    """What a run did."""

    looks: int
    """Looks that were done. Of the next one the rows have been applied if the run stopped."""
    stopped: bool
    outcome: Bytes
    """Of each row applied."""
    weeks: Ints
    """Weeks that changed."""
    removed: LocatedArray
    added: LocatedArray
    """Net change of the rows of the look that the run stopped at."""
    first: int
    """No row that was added is older; NEVER without any."""
    found: Ints
    """[look] windows found."""
    window: Ints
    observed: Ints
    """[window, kind], as `around`, `expected` and `scores`."""
    around: Ints
    expected: Floats
    scores: Floats
    exposed: Floats
    """Of the last look done."""
    heard: Ints
    """[look, feed] when each feed was last heard, s."""
    missing: int
    """Records or incidents to be removed that were not there."""


@njit(cache=True, nogil=True)
def _cells_of(region: Region, removed: LocatedArray, added: LocatedArray) -> Ints:
    cells = np.empty(removed.size + added.size, np.int64)
    for i in range(cells.size):
        row = removed[i] if i < removed.size else added[i - removed.size]
        cells[i] = region.table[slot_of(region.keys, region.table, cell_key(row["ix"], row["iy"]))]
    return cells


@njit(cache=True, nogil=True)
def run_looks(region: Region, steps: Steps, terms: Terms) -> Findings:
    """Apply the rows of each look and look, until the end or until a look that asks for more than that.

    Stops before a look whose rows take anything back, or change what the baseline was taught. All cells of the rows
    must be in the index, and there must be room for all rows.
    """
    rows, ends, moments = steps
    outcome = np.empty(rows.size, np.uint8)
    before, after = np.empty_like(rows), np.empty_like(rows)
    weeks = np.empty(2 * rows.size, np.int64)
    found = np.zeros(moments.size, np.int64)
    heard = np.empty((moments.size, region.rates.heard.size), np.int64)
    window = np.empty(256, np.int64)
    observed, around = np.empty((256, KINDS), np.int64), np.empty((256, KINDS), np.int64)
    expected, scores = np.empty((256, KINDS)), np.empty((256, KINDS))
    exposed = np.zeros((region.board.spans.size, region.board.mass.shape[2]))
    horizon_s = region.board.spans[-1]
    as_of, first = terms.as_of, np.int64(NEVER)
    start = n = n_weeks = missing = looks = n_before = n_after = 0
    stopped = False
    while looks < moments.size and not stopped:
        end = ends[looks]
        n_before, n_after, more = apply_rows(
            rows[start:end], region.held, outcome[start:end], before, after, weeks[n_weeks:]
        )
        n_weeks += more
        hear(region.rates, rows[start:end])
        stopped = n_before > 0
        for i in range(n_after):
            first = min(first, after[i]["occurred"])
            stopped |= terms.taught_begin < after[i]["occurred"] <= terms.taught_end
        if n_before + n_after:
            removed, added = before[:n_before], after[:n_after]
            horizon = as_of - horizon_s
            changes, absent = change_live(
                region.live,
                removed,
                added,
                _cells_of(region, removed, added),
                horizon,
                horizon - terms.slack_s,
                terms.merge_s,
            )
            missing += absent + revise(region.board, changes)
        start = end
        if stopped:
            break
        as_of = moments[looks]
        windows, _, exposed = look(region.board, region.bar, region.rates, region.cells, as_of)
        if windows.size:
            counts, all_counts, means, kinds = describe(region.board, region.bar, exposed, windows)
            while n + windows.size > window.size:
                window = np.concatenate((window, np.empty_like(window)))
                observed = np.concatenate((observed, np.empty_like(observed)))
                around = np.concatenate((around, np.empty_like(around)))
                expected = np.concatenate((expected, np.empty_like(expected)))
                scores = np.concatenate((scores, np.empty_like(scores)))
            window[n : n + windows.size] = windows
            observed[n : n + windows.size] = counts
            around[n : n + windows.size] = all_counts
            expected[n : n + windows.size] = means
            scores[n : n + windows.size] = kinds
            n += windows.size
        found[looks] = windows.size
        heard[looks] = region.rates.heard
        looks += 1
    return Findings(
        looks,
        stopped,
        outcome[:start],
        weeks[:n_weeks],
        before[: n_before if stopped else 0],
        after[: n_after if stopped else 0],
        int(first),
        found[:looks],
        window[:n],
        observed[:n],
        around[:n],
        expected[:n],
        scores[:n],
        exposed,
        heard[:looks],
        missing,
    )
