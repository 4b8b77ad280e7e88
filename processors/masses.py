"""Sums of shares over discs: multiplied by the region's exposure they give what is expected in a window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from processors.arrays import BLOCKS, COLUMNS, KINDS, Bytes, Floats, Ints, Small
from processors.baseline import Baseline
from processors.cells import CellIndex, Offsets
from processors.shares import LARGE_SHIFT, SMALL_SHIFT
from schemas.located import pack_cell

SIDE = 1 << SMALL_SHIFT


class Surroundings(NamedTuple):
    """Which small tile an offset leads into, from each place that a cell can have within its own tile."""

    reach: int
    """Small tiles to either side that discs can touch."""
    tile: Small
    """[place in the tile, offset]: number of the tile in the square of tiles around."""


@njit(cache=True, nogil=True)
def _sum_discs(
    cells: Ints,
    neighbours: Small,
    ring: Small,
    place: Small,
    tile: Small,
    around: Small,
    value: Floats,
    seen: Floats,
    fitted: Bytes,
    mass: Floats,
) -> None:
    """Add up shares over the discs of each cell, nearest offset first: always the same order, so the same bits.

    `around` [cell, tile number] are rows of `value`, the shares of unseen cells there; `seen` are those of seen cells.
    """
    radii = mass.shape[1]
    total = np.zeros(COLUMNS)
    for c in range(cells.size):
        cell = cells[c]
        total[:] = 0.0
        radius = 0
        for o in range(ring.size):
            while ring[o] > radius:
                mass[cell, radius] = total
                radius += 1
            near = neighbours[cell, o]
            row = -1 if near >= 0 else around[c, tile[place[c], o]]
            for k in range(KINDS):
                if fitted[k]:
                    for column in range(k * BLOCKS, (k + 1) * BLOCKS):
                        total[column] += seen[near, column] if near >= 0 else value[row, column]
        for r in range(radius, radii):
            mass[cell, r] = total


def surroundings(offsets: Offsets) -> Surroundings:
    """Tiles that the discs of these offsets touch."""
    farthest = int(np.abs(offsets.dx).max())
    reach = (farthest + SIDE - 1) // SIDE
    width = 2 * reach + 1
    table = np.empty((SIDE * SIDE, offsets.dx.size), np.int32)
    for x in range(SIDE):
        for y in range(SIDE):
            column = ((x + offsets.dx) >> SMALL_SHIFT) + reach
            row = ((y + offsets.dy) >> SMALL_SHIFT) + reach
            table[x * SIDE + y] = column * width + row
    return Surroundings(reach, table)


class Masses:
    """The share of any cell under one baseline, and its sums over the discs of a cell index's cells.

    The index must hold the cells that the baseline has seen: what it does not hold is taken for unseen.
    """

    def __init__(self, baseline: Baseline, cells: CellIndex) -> None:
        places, shares = baseline.places, baseline.shares
        self._places = places
        self._cell_keys = pack_cell(places.ix.astype(np.int64), places.iy.astype(np.int64))
        # One table for every cell that there is: seen ones, then unseen ones of small tiles, of large tiles, elsewhere.
        self._value = np.concatenate([shares.cell, shares.small, shares.large, shares.beyond[None, :]])
        self._fitted = np.array(baseline.scored, np.uint8)
        self._cells = cells
        self._around = surroundings(cells.offsets)
        self._seen: Floats = np.empty((0, COLUMNS))

    def shares(self, ix: Ints, iy: Ints) -> Floats:
        """The share of each cell, seen or not: [cell, kind and block]."""
        row = find_rows(self._cell_keys, pack_cell(ix, iy))
        tiles = self._cell_keys.size + self._tile_rows(ix >> SMALL_SHIFT, iy >> SMALL_SHIFT)
        found: Floats = self._value[np.where(row >= 0, row, tiles)]
        return found

    def fill(self, cells: Ints, mass: Floats) -> None:
        """Write the masses of these cells of the index: `mass` is [cell, radius, kind and block].

        Neighbours of these cells must have been filled before, or be among them.
        """
        if self._seen.shape[0] < mass.shape[0]:
            grown = np.zeros((mass.shape[0], COLUMNS))
            grown[: self._seen.shape[0]] = self._seen
            self._seen = grown
        ix, iy = self._cells.ix[cells].astype(np.int64), self._cells.iy[cells].astype(np.int64)
        self._seen[cells] = self.shares(ix, iy)
        _sum_discs(
            cells,
            self._cells.neighbours,
            self._cells.offsets.ring,
            ((ix % SIDE) * SIDE + iy % SIDE).astype(np.int32),
            self._around.tile,
            self._tiles_around(ix >> SMALL_SHIFT, iy >> SMALL_SHIFT),
            self._value[self._cell_keys.size :],
            self._seen,
            self._fitted,
            mass,
        )

    def _tiles_around(self, column: Ints, line: Ints) -> Small:
        """Rows of the unseen shares of the square of small tiles around each of these small tiles."""
        keys, inverse = np.unique(pack_cell(column, line), return_inverse=True)
        first = np.zeros(keys.size, np.int64)
        first[inverse.ravel()] = np.arange(column.size)
        steps = np.arange(-self._around.reach, self._around.reach + 1)
        x = column[first][:, None, None] + steps[None, :, None]
        y = line[first][:, None, None] + steps[None, None, :]
        x, y = np.broadcast_arrays(x, y)
        rows = self._tile_rows(x.ravel(), y.ravel()).reshape(keys.size, steps.size**2)
        return rows[inverse.ravel()].astype(np.int32)

    def _tile_rows(self, column: Ints, line: Ints) -> Ints:
        """Row, after the seen cells, of the share of an unseen cell in each of these small tiles."""
        places = self._places
        small = find_rows(places.small, pack_cell(column, line))
        step = LARGE_SHIFT - SMALL_SHIFT
        large = find_rows(places.large, pack_cell(column >> step, line >> step))
        rows = np.where(large >= 0, places.small.size + large, places.small.size + places.large.size)
        found: Ints = np.where(small >= 0, small, rows)
        return found


def find_rows(keys: Ints, wanted: Ints) -> Ints:
    """Place of each wanted key among sorted keys, or -1."""
    place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[place] == wanted, place, -1)
