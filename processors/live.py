"""The records behind the live incidents, and what a change of records does to the incidents of their kind and cell."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit

from processors.arrays import Bytes, Ints, Keys, Small
from processors.incidents import REFERENCE_REACH_S
from schemas.located import LocatedArray

#: What a row of changes does: (HOLD, cell, 0, records more), (REMOVE or INSERT, cell, kind, event time).
HOLD, REMOVE, INSERT = 0, 1, 2
# Places in `Live.cursor`.
BEGIN: Final = 0
"""The first record that still bears on anything."""
END: Final = 1


class Live(NamedTuple):
    """Records as columns, sorted by event time, then record."""

    occurred: Ints
    record: Keys
    incident: Keys
    cell: Small
    kind: Bytes
    cursor: Ints


def _room_for(records: int) -> Live:
    return Live(
        np.zeros(records, np.int64),
        np.zeros(records, np.uint64),
        np.zeros(records, np.uint64),
        np.zeros(records, np.int32),
        np.zeros(records, np.uint8),
        np.zeros(2, np.int64),
    )


class LiveRecords:
    """Records that count and occurred recently enough to bear on an incident after a horizon."""

    def __init__(self, merge_s: int) -> None:
        self._merge_s = merge_s
        self.slack_s = max(merge_s, REFERENCE_REACH_S)
        self._live = _room_for(256)

    def replace(self, rows: LocatedArray, cells: Ints, horizon: int) -> None:
        """Start again from all rows that count, with the numbers of their cells."""
        recent = np.flatnonzero(rows["occurred"] > horizon - self.slack_s)
        order = recent[np.lexsort((rows["record"][recent], rows["occurred"][recent]))]
        n = order.size
        self._live = _room_for(max(2 * n, 256))
        for name in ("occurred", "record", "incident", "kind"):
            getattr(self._live, name)[:n] = rows[name][order]
        self._live.cell[:n] = cells[order]
        self._live.cursor[END] = n

    def change(self, removed: LocatedArray, added: LocatedArray, cells: Ints, horizon: int) -> Ints:
        """Take records out and in; `cells` are the numbers of theirs, removed ones first.

        Returns what to do to the counts, a row each: records that cells hold more or fewer, and incidents after the
        horizon that are no more or are new. Raises RuntimeError where a record to be removed is not there.
        """
        changes, missing = change_live(
            self.reserve(added.size), removed, added, cells, horizon, horizon - self.slack_s, self._merge_s
        )
        if missing:
            raise RuntimeError(f"{missing} live records to be removed were not there: incidents do not follow records")
        found: Ints = changes
        return found

    def reserve(self, more: int) -> Live:
        """The arrays, with room for so many more records."""
        begin, end = self._live.cursor.tolist()
        if end + more <= self._live.occurred.size:
            return self._live
        larger = _room_for(2 * (end - begin + more))
        for name in ("occurred", "record", "incident", "cell", "kind"):
            getattr(larger, name)[: end - begin] = getattr(self._live, name)[begin:end]
        larger.cursor[END] = end - begin
        self._live = larger
        return larger


@njit(cache=True, nogil=True)
def _place(live: Live, occurred: int, record: np.uint64) -> int:
    """Where a record is, or would go."""
    low, high = live.cursor[BEGIN], live.cursor[END]
    while low < high:
        middle = (low + high) // 2
        when = live.occurred[middle]
        if when < occurred or (when == occurred and live.record[middle] < record):
            low = middle + 1
        else:
            high = middle
    return int(low)


@njit(cache=True, nogil=True)
def _starts(live: Live, cell: int, kind: int, horizon: int, merge_s: int, mine: Ints, starts: Ints) -> int:
    """Event times of the incidents of one kind and cell after the horizon; `mine` is room to work in."""
    n = 0
    found = 0
    for i in range(live.cursor[BEGIN], live.cursor[END]):
        if live.cell[i] != cell or live.kind[i] != kind:
            continue
        when, reference = live.occurred[i], live.incident[i]
        linked = n > 0 and when - live.occurred[mine[n - 1]] <= merge_s
        if reference != 0 and not linked:
            for earlier in range(n - 1, -1, -1):
                if when - live.occurred[mine[earlier]] > REFERENCE_REACH_S:
                    break
                if live.incident[mine[earlier]] == reference:
                    linked = True
                    break
        mine[n] = i
        n += 1
        if not linked and when > horizon:
            starts[found] = when
            found += 1
    return found


@njit(cache=True, nogil=True)
def _take_out(live: Live, occurred: int, record: np.uint64) -> bool:
    place = _place(live, occurred, record)
    end = live.cursor[END]
    if place == end or live.occurred[place] != occurred or live.record[place] != record:
        return False
    live.cursor[END] = end - 1
    for i in range(place, end - 1):
        _copy(live, i + 1, i)
    return True


@njit(cache=True, nogil=True)
def _copy(live: Live, source: int, target: int) -> None:
    live.occurred[target] = live.occurred[source]
    live.record[target] = live.record[source]
    live.incident[target] = live.incident[source]
    live.cell[target] = live.cell[source]
    live.kind[target] = live.kind[source]


@njit(cache=True, nogil=True)
def change_live(
    live: Live,
    removed: LocatedArray,
    added: LocatedArray,
    cells: Ints,
    horizon: int,
    since: int,
    merge_s: int,
) -> tuple[Ints, int]:
    """What `LiveRecords.change` does, and how many records to be removed were not there."""
    while live.cursor[BEGIN] < live.cursor[END] and live.occurred[live.cursor[BEGIN]] <= since:
        live.cursor[BEGIN] += 1
    rows = removed.size + added.size
    most = live.cursor[END] - live.cursor[BEGIN] + added.size
    mine = np.empty(most, np.int64)
    changes = np.empty((rows, 4), np.int64)
    cell_of, kind_of = np.empty(rows, np.int64), np.empty(rows, np.int64)
    before = np.empty(rows + 1, np.int64)  # where the old incidents of each place begin
    old = np.empty(most, np.int64)
    new = np.empty(most, np.int64)
    places = 0
    before[0] = 0
    for i in range(rows):
        row = removed[i] if i < removed.size else added[i - removed.size]
        changes[i, 0], changes[i, 1], changes[i, 2] = HOLD, cells[i], 0
        changes[i, 3] = -1 if i < removed.size else 1
        if row["occurred"] <= since:
            continue
        place = 0
        while place < places and (cell_of[place] != cells[i] or kind_of[place] != row["kind"]):
            place += 1
        if place == places:
            cell_of[place], kind_of[place] = cells[i], row["kind"]
            first = before[place]
            found = _starts(live, cell_of[place], kind_of[place], horizon, merge_s, mine, old[first:])
            before[place + 1] = first + found
            places += 1
    missing = 0
    for row in removed:
        if row["occurred"] > since and not _take_out(live, row["occurred"], row["record"]):
            missing += 1
    for i in range(added.size):
        row = added[i]
        if row["occurred"] > since:
            place = _place(live, row["occurred"], row["record"])
            for n in range(live.cursor[END], place, -1):
                _copy(live, n - 1, n)
            live.occurred[place], live.record[place] = row["occurred"], row["record"]
            live.incident[place], live.kind[place] = row["incident"], row["kind"]
            live.cell[place] = cells[removed.size + i]
            live.cursor[END] += 1
    moved = np.empty((before[places] + most, 4), np.int64)
    n = 0
    for place in range(places):
        found = _starts(live, cell_of[place], kind_of[place], horizon, merge_s, mine, new)
        a, b = before[place], 0
        while a < before[place + 1] or b < found:
            if b == found or (a < before[place + 1] and old[a] < new[b]):
                moved[n, 0], moved[n, 3] = REMOVE, old[a]
                a += 1
            elif a == before[place + 1] or new[b] < old[a]:
                moved[n, 0], moved[n, 3] = INSERT, new[b]
                b += 1
            else:
                a += 1
                b += 1
                continue
            moved[n, 1], moved[n, 2] = cell_of[place], kind_of[place]
            n += 1
    return np.concatenate((changes, moved[:n])), missing
