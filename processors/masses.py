"""Sums of shares over discs: multiplied by the region's exposure they give what is expected in a window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from processors.arrays import BLOCKS, KINDS, Bytes, Floats, Ints, Singles, Small
from processors.baseline import Baseline
from processors.cells import CellIndex, Offsets
from processors.shares import LARGE_SHIFT, SMALL_SHIFT
from schemas.located import pack_cell

SIDE = 1 << SMALL_SHIFT
assert BLOCKS == 4  # `_sum_discs` spells them out


class Surroundings(NamedTuple):
    """Which small tile an offset leads into, from each place that a cell can have within its own tile."""

    reach: int
    """Small tiles to either side that discs can touch."""
    tile: Small
    """[place in the tile, offset]: number of the tile in the square of tiles around."""


class _Shares(NamedTuple):
    """The share of every cell that there is: of seen cells by key, of unseen ones by the tile that they lie in."""

    cells: Ints
    """Packed keys of seen cells, sorted."""
    small: Ints
    large: Ints
    value: Floats
    """[row, kind and block]: seen cells, then unseen ones of small tiles, of large tiles, elsewhere."""
    of_feed: Floats
    """[row, feed and block] the part of it that is each feed's."""


@njit(cache=True, nogil=True)
def _key(column: int, line: int) -> int:
    return int((np.int64(column) << np.int64(32)) | (np.int64(line) & np.int64(0xFFFFFFFF)))


@njit(cache=True, nogil=True)
def _row(keys: Ints, key: int) -> int:
    """Place of a key among sorted keys, or -1."""
    row = int(np.searchsorted(keys, key))
    return row if row < keys.size and keys[row] == key else -1


@njit(cache=True, nogil=True)
def _tile_row(shares: _Shares, column: int, line: int) -> int:
    """Row of the share of an unseen cell in a small tile."""
    row = _row(shares.small, _key(column, line))
    if row >= 0:
        return int(shares.cells.size + row)
    step = LARGE_SHIFT - SMALL_SHIFT
    row = _row(shares.large, _key(column >> step, line >> step))
    beyond = shares.cells.size + shares.small.size
    return int(beyond + (row if row >= 0 else shares.large.size))


@njit(cache=True, nogil=True)
def _share_row(shares: _Shares, ix: int, iy: int) -> int:
    """Row of the share of any cell."""
    row = _row(shares.cells, _key(ix, iy))
    return row if row >= 0 else int(_tile_row(shares, ix >> SMALL_SHIFT, iy >> SMALL_SHIFT))


@njit(cache=True, nogil=True)
def _share_rows(shares: _Shares, ix: Ints, iy: Ints) -> Ints:
    rows = np.empty(ix.size, np.int64)
    for n in range(ix.size):
        rows[n] = _share_row(shares, ix[n], iy[n])
    return rows


@njit(cache=True, nogil=True)
def _look_around(shares: _Shares, reach: int, column: int, line: int, rows: Small) -> None:
    """Rows of the unseen shares of the square of small tiles around one."""
    n = 0
    for x in range(column - reach, column + reach + 1):
        for y in range(line - reach, line + reach + 1):
            rows[n] = _tile_row(shares, x, y)
            n += 1


@njit(cache=True, nogil=True)
def _look_around_all(shares: _Shares, reach: int) -> Small:
    """The same for each small tile with seen cells: [tile, tile of the square]."""
    rows = np.empty((shares.small.size, (2 * reach + 1) ** 2), np.int32)
    for tile in range(shares.small.size):
        key = shares.small[tile]
        _look_around(shares, reach, key >> np.int64(32), np.int64(np.int32(key & np.int64(0xFFFFFFFF))), rows[tile])
    return rows


@njit(cache=True, nogil=True)
def _sum_discs(
    cells: Ints,
    ix: Small,
    iy: Small,
    neighbours: Small,
    ring: Small,
    tile: Small,
    reach: int,
    shares: _Shares,
    around: Small,
    row_of: Small,
    mass: Singles,
) -> None:
    """Add up shares over the discs of each cell, nearest offset first: always the same order, so the same bits.

    `around` is `_look_around_all`; `row_of` the row of `shares.value` of the index's cells, filled in for these first.
    """
    for cell in cells:
        row_of[cell] = _share_row(shares, ix[cell], iy[cell])
    radii, value = mass.shape[1], shares.of_feed
    own = np.empty(around.shape[1], np.int32)
    rows = np.empty(ring.size, np.int32)
    for cell in cells:
        column, line = ix[cell] >> SMALL_SHIFT, iy[cell] >> SMALL_SHIFT
        known = _row(shares.small, _key(column, line))
        if known < 0:
            _look_around(shares, reach, column, line, own)
        else:
            own[:] = around[known]
        place = (ix[cell] % SIDE) * SIDE + iy[cell] % SIDE
        for o in range(ring.size):
            near, unseen = neighbours[cell, o], own[tile[place, o]]
            rows[o] = row_of[near] if near >= 0 else unseen
        for first in range(0, value.shape[1], BLOCKS):
            # One variable a block, for an array of them would go through memory at each step.
            a = b = c = d = 0.0
            o = 0
            for r in range(radii):
                while o < ring.size and ring[o] <= r:
                    row = rows[o]
                    a += value[row, first]
                    b += value[row, first + 1]
                    c += value[row, first + 2]
                    d += value[row, first + 3]
                    o += 1
                mass[cell, r, first] = a
                mass[cell, r, first + 1] = b
                mass[cell, r, first + 2] = c
                mass[cell, r, first + 3] = d


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

    The index must hold the cells that the baseline has seen: what it does not hold is taken for unseen. `before` may be
    those under an earlier baseline: what has not changed since is not worked out again.
    """

    def __init__(self, baseline: Baseline, cells: CellIndex, before: Masses | None = None) -> None:
        places, shares = baseline.places, baseline.shares
        value = np.concatenate([shares.cell, shares.small, shares.large, shares.beyond[None, :]])
        tile = np.concatenate(
            [places.large_of[places.small_of], places.large_of, np.arange(places.large.size + 1)]  # the last: elsewhere
        )
        self._shares = _Shares(
            pack_cell(places.ix.astype(np.int64), places.iy.astype(np.int64)),
            places.small,
            places.large,
            value,
            _by_feed(value, baseline.feeds.part[tile], baseline.feeds.kind),
        )
        self._cells = cells
        if before is not None and before._cells is cells:
            self._surroundings: Surroundings = before._surroundings
        else:
            before, self._surroundings = None, surroundings(cells.offsets)
        if before is not None and before._same_tiles(self._shares):
            # Rows are counted from the seen cells, which come first.
            self._around: Small = before._around + np.int32(self._shares.cells.size - before._shares.cells.size)
        else:
            self._around = _look_around_all(self._shares, self._surroundings.reach)
        self._row_of: Small = np.empty(0, np.int32)

    def _same_tiles(self, shares: _Shares) -> bool:
        """Whether tiles, small and large, have not changed, so that squares of them are the same."""
        mine = self._shares
        return np.array_equal(mine.small, shares.small) and np.array_equal(mine.large, shares.large)

    def shares(self, ix: Ints, iy: Ints) -> Floats:
        """The share of each cell, seen or not: [cell, kind and block]."""
        found: Floats = self._shares.value[_share_rows(self._shares, ix, iy)]
        return found

    def fill(self, cells: Ints, mass: Singles) -> None:
        """Write the masses of these cells of the index: `mass` is [cell, radius, feed and block].

        Neighbours of these cells must have been filled before, or be among them.
        """
        if self._row_of.size < mass.shape[0]:
            self._row_of = np.resize(self._row_of, mass.shape[0])
        index = self._cells
        _sum_discs(
            cells,
            index.ix,
            index.iy,
            index.neighbours,
            index.offsets.ring,
            self._surroundings.tile,
            self._surroundings.reach,
            self._shares,
            self._around,
            self._row_of,
            mass,
        )


def _by_feed(value: Floats, part: Floats, kind: Bytes) -> Floats:
    """Shares of kinds, [row, kind and block], cut into those of their feeds: [row, feed and block]."""
    of_kind = value.reshape(len(value), KINDS, BLOCKS)[:, kind, :]
    cut: Floats = (of_kind * part[:, :, None]).reshape(len(value), -1)
    return cut
