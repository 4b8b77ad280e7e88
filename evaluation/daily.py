"""What methods share that look once a day: the records then known, by square of the grid and days back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from processors.arrays import Floats, Ints
from processors.localtime import DAY_S, HOUR_S, LocalHours
from processors.records import RecordStore
from schemas.located import LocatedArray, pack_cell, pick

#: Looks are at this hour of the local day, when the night is over and the batches of the morning have come.
LOOK_HOUR: Final = 8
MICRO: Final = 1_000_000


class Squares(NamedTuple):
    """Squares of the grid that ever saw a record, sorted by column, then row."""

    code: Ints
    column: Ints
    row: Ints
    side: int
    """Cells along a side."""

    @property
    def ix(self) -> Ints:
        """Cell at the middle of each."""
        return self.column * self.side + self.side // 2

    @property
    def iy(self) -> Ints:
        """Cell at the middle of each."""
        return self.row * self.side + self.side // 2

    @property
    def radius(self) -> int:
        """Cells from the middle to the border, rounded down."""
        return self.side // 2

    def place(self, rows: LocatedArray) -> Ints:
        """Square of each row; all must be among those that made the squares."""
        code = pack_cell(rows["ix"].astype(np.int64) // self.side, rows["iy"].astype(np.int64) // self.side)
        found: Ints = np.searchsorted(self.code, code)
        return found


class Day(NamedTuple):
    """What was known at one look."""

    as_of: int
    place: Ints
    """Square of each record of the last days."""
    back: Ints
    """Whole days back: 0 for the last 24 hours."""

    def counts(self, squares: int, days: int) -> Floats:
        """[square, days back] of the last days."""
        near = self.back < days
        flat = np.bincount(self.place[near] * days + self.back[near], minlength=squares * days)
        return flat.reshape(squares, days).astype(float)


def squares_of(rows: LocatedArray, side: int) -> Squares:
    """The squares of all rows."""
    code = np.unique(pack_cell(rows["ix"].astype(np.int64) // side, rows["iy"].astype(np.int64) // side))
    row = (code & 0xFFFFFFFF).astype(np.uint32).view(np.int32).astype(np.int64)
    return Squares(code, code >> 32, row, side)


def days(rows: LocatedArray, squares: Squares, local: LocalHours, since: int, until: int, most: int) -> Iterator[Day]:
    """Each day's look, with the records of so many days that are then known and count; rows as they become known."""
    store = RecordStore()
    known = np.ascontiguousarray(rows["recorded_us"])
    done = 0
    for day in range(local.day(since), local.day(until) + 1):
        as_of = local.midnight(day) + LOOK_HOUR * HOUR_S
        if not since <= as_of < until:
            continue
        upto = int(np.searchsorted(known, as_of * MICRO, side="right"))
        if upto > done:
            store.apply(rows[done:upto])
            done = upto
        store.prune(as_of - (most + 1) * DAY_S)
        counted = store.counted()
        back = (as_of - counted["occurred"]) // DAY_S
        recent = (back >= 0) & (back < most)
        yield Day(as_of, squares.place(pick(counted, recent)), back[recent])
