"""The sparse grid: a number for each cell that was ever seen, and who its neighbours are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from processors.arrays import Bools, Ints, Keys, Small
from processors.lookup import EMPTY, cell_key, new_table, slot_of
from schemas.located import pack_cell

ABSENT = -1
# Farthest cell from the origin that is taken. Sums of a cell and an offset, and tile numbers, then fit 32 bits.
FARTHEST = 2**30


class Offsets(NamedTuple):
    """The cells of the largest disc about its centre, nearest first (then by column, then by row)."""

    dx: Small
    dy: Small
    ring: Small
    """Index of the smallest radius whose disc holds the offset (dx² + dy² ≤ r²)."""
    opposite: Small
    """Place of the mirrored offset."""


def disc_offsets(radii: tuple[int, ...]) -> Offsets:
    """Offsets within the largest of the radii (cells, increasing)."""
    reach = range(-radii[-1], radii[-1] + 1)
    found = sorted((x * x + y * y, x, y) for x in reach for y in reach if x * x + y * y <= radii[-1] ** 2)
    place = {(x, y): n for n, (_, x, y) in enumerate(found)}
    ring = [next(i for i, r in enumerate(radii) if square <= r * r) for square, _, _ in found]
    return Offsets(
        np.array([x for _, x, _ in found], np.int32),
        np.array([y for _, _, y in found], np.int32),
        np.array(ring, np.int32),
        np.array([place[-x, -y] for _, x, y in found], np.int32),
    )


@njit(cache=True, nogil=True)
def _ensure(
    ix: Small,
    iy: Small,
    keys: Keys,
    table: Small,
    offsets: Offsets,
    cell_ix: Small,
    cell_iy: Small,
    neighbours: Small,
    used: int,
    index: Ints,
) -> int:
    """Number the cells; returns how many there are now, or ABSENT where one lies too far out: then nothing is done."""
    for i in range(ix.size):
        if max(abs(np.int64(ix[i])), abs(np.int64(iy[i]))) > FARTHEST:
            return ABSENT
    for i in range(ix.size):
        key = cell_key(ix[i], iy[i])
        slot = slot_of(keys, table, key)
        if table[slot] != EMPTY:
            index[i] = table[slot]
            continue
        cell = used
        used += 1
        keys[slot] = key
        table[slot] = cell
        cell_ix[cell] = ix[i]
        cell_iy[cell] = iy[i]
        index[i] = cell
        for o in range(offsets.dx.size):
            near = table[slot_of(keys, table, cell_key(ix[i] + offsets.dx[o], iy[i] + offsets.dy[o]))]
            neighbours[cell, o] = near
            if near != EMPTY:
                neighbours[near, offsets.opposite[o]] = cell
    return used


@njit(cache=True, nogil=True)
def _find(ix: int, iy: int, keys: Keys, table: Small) -> int:
    return int(table[slot_of(keys, table, cell_key(ix, iy))])


@njit(cache=True, nogil=True)
def _absent(ix: Small, iy: Small, keys: Keys, table: Small) -> Bools:
    """Which cells are not in the index."""
    absent = np.empty(ix.size, np.bool_)
    for i in range(ix.size):
        absent[i] = table[slot_of(keys, table, cell_key(ix[i], iy[i]))] == EMPTY
    return absent


class CellIndex:
    """Cells in the order in which they were first seen; each knows its neighbours within the largest radius."""

    def __init__(self, radii: tuple[int, ...]) -> None:
        self.offsets = disc_offsets(radii)
        self.size = 0
        self.ix: Small = np.empty(0, np.int32)
        self.iy: Small = np.empty(0, np.int32)
        self.neighbours: Small = np.empty((0, self.offsets.dx.size), np.int32)
        self._allocate(64)

    @property
    def capacity(self) -> int:
        """Cells for which there is room before arrays grow."""
        return self.ix.size

    def ensure(self, ix: Small, iy: Small) -> Ints:
        """Numbers of cells, adding those that are new. Growing replaces the arrays, so fetch them afterwards."""
        ix, iy = np.ascontiguousarray(ix, np.int32), np.ascontiguousarray(iy, np.int32)
        if self.size + ix.size > self.capacity:
            new = _absent(ix, iy, self._keys, self._table)
            needed = self.size + np.unique(pack_cell(ix[new].astype(np.int64), iy[new].astype(np.int64))).size
            if needed > self.capacity:  # a quarter more, for all that is held by cell grows with it
                self._allocate(max(self.capacity + self.capacity // 4, needed))
        index = np.empty(ix.size, np.int64)
        size = _ensure(
            ix,
            iy,
            self._keys,
            self._table,
            self.offsets,
            self.ix,
            self.iy,
            self.neighbours,
            self.size,
            index,
        )
        if size == ABSENT:
            raise ValueError(f"a cell lies more than {FARTHEST} cells from the origin of the grid")
        self.size = size
        return index

    @property
    def lookup(self) -> tuple[Keys, Small]:
        """The table from cell keys to numbers, for kernels."""
        return self._keys, self._table

    def find(self, ix: int, iy: int) -> int:
        """The number of a cell, or ABSENT."""
        return int(_find(ix, iy, self._keys, self._table))

    def _allocate(self, capacity: int) -> None:
        """Arrays for so many cells; what is there is carried over."""
        keys, table = new_table(capacity)
        ix, iy = np.zeros(capacity, np.int32), np.zeros(capacity, np.int32)
        neighbours = np.full((capacity, self.offsets.dx.size), ABSENT, np.int32)
        if self.size:
            ix[: self.size], iy[: self.size] = self.ix[: self.size], self.iy[: self.size]
            neighbours[: self.size] = self.neighbours[: self.size]
            _index_cells(keys, table, ix, iy, self.size)
        self._keys, self._table = keys, table
        self.ix, self.iy, self.neighbours = ix, iy, neighbours


@njit(cache=True, nogil=True)
def _index_cells(keys: Keys, table: Small, ix: Small, iy: Small, size: int) -> None:
    for cell in range(size):
        key = cell_key(ix[cell], iy[cell])
        slot = slot_of(keys, table, key)
        keys[slot] = key
        table[slot] = cell
