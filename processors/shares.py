"""Where incidents happen: the share of each cell in its region by block of the week, shrunk from above.

Top down: region, tile of 16 cells a side (4 km at 250 m), tile of 4 cells a side (1 km), cell. A parent's total is
spread evenly over its children; a child that saw n where e was expected gets e·(a + n)/(a + e), and the children are
then scaled to keep the parent's total. The shape a of each level maximises the negative binomial likelihood of its
children, those without incidents included. The region's area is the bounding box of the large tiles that saw any
incident.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from processors.arrays import BLOCKS, COLUMNS, KINDS, Bytes, Floats, Ints, Small
from schemas.located import pack_cell

SMALL_SHIFT: Final = 2  # cells to small tiles: 4 a side
LARGE_SHIFT: Final = 4  # cells to large tiles: 16 a side
CHILDREN: Final = 16  # small tiles in a large one, cells in a small one
#: Incidents' worth of trust in the pattern of the tile above.
PATTERN_STRENGTH: Final = 10.0
SHAPES: Final = np.geomspace(0.02, 50.0, 30)


class Places(NamedTuple):
    """The sparse grid of a fit. Cells and tiles are sorted by packed key; `*_of` point from child to parent row."""

    ix: Small
    iy: Small
    small: Ints
    """Packed keys of small tiles."""
    large: Ints
    small_of: Ints
    large_of: Ints
    """Row of the large tile of each small tile."""
    n_large: int
    """Large tiles in the region's bounding box, seen or not."""


class Shares(NamedTuple):
    """Expected part of the region's incidents of a kind and block (columns, kind first) in one cell.

    Over all cells of the region each column of a fitted kind sums to 1.
    """

    cell: Floats
    """Of each seen cell."""
    small: Floats
    """Of each unseen cell of a seen small tile."""
    large: Floats
    """Of each cell of an unseen small tile within a seen large tile."""
    beyond: Floats
    """Of each cell elsewhere."""


def find_places(ix: Small, iy: Small) -> tuple[Places, Ints]:
    """The grid that holds these cells, and the row of each."""
    keys, row = np.unique(pack_cell(ix.astype(np.int64), iy.astype(np.int64)), return_inverse=True)
    column, line = unpack(keys)
    small, small_of = np.unique(pack_cell(column >> SMALL_SHIFT, line >> SMALL_SHIFT), return_inverse=True)
    tile_column, tile_line = unpack(small)
    step = LARGE_SHIFT - SMALL_SHIFT
    large, large_of = np.unique(pack_cell(tile_column >> step, tile_line >> step), return_inverse=True)
    x, y = unpack(large)
    n_large = int((x.max() - x.min() + 1) * (y.max() - y.min() + 1))
    places = Places(
        column.astype(np.int32), line.astype(np.int32), small, large, small_of.ravel(), large_of.ravel(), n_large
    )
    return places, row.ravel()


def unpack(keys: Ints) -> tuple[Ints, Ints]:
    """Columns and rows of packed keys."""
    return keys >> 32, ((keys & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000


def unseen(places: Places) -> tuple[Ints, Ints, int]:
    """Cells not seen: of each small tile, of the unseen small tiles of each large tile, of all unseen large tiles."""
    cells = CHILDREN - np.bincount(places.small_of, minlength=places.small.size)
    tiles = CHILDREN - np.bincount(places.large_of, minlength=places.large.size)
    return cells, tiles * CHILDREN, (places.n_large - places.large.size) * CHILDREN**2


def fit_shares(
    places: Places,
    row: Ints,
    kind: Bytes,
    block: Bytes,
    weight: Floats,
    weekly: Floats,
    fitted: NDArray[np.bool_],
) -> tuple[Shares, Floats]:
    """Learn from incidents (row of the cell, kind, block, weight). `weekly`: part of a kind's incidents in each block.

    Returns the shares, and how sure they are: the variance of a cell's true share about the fitted one, relative to its
    square, 1/(a + n): [seen cells, then one row for any unseen cell; kind].
    """
    counts = np.zeros((places.ix.size, COLUMNS))
    np.add.at(counts, (row, kind.astype(np.int64) * BLOCKS + block), weight)
    small_counts = _sum_up(counts, places.small_of, places.small.size)
    large_counts = _sum_up(small_counts, places.large_of, places.large.size)
    shares = Shares(np.zeros_like(counts), np.zeros_like(small_counts), np.zeros_like(large_counts), np.zeros(COLUMNS))
    variance = np.zeros((places.ix.size + 1, KINDS))
    for k in range(KINDS):
        if fitted[k]:
            columns = slice(k * BLOCKS, (k + 1) * BLOCKS)
            one, a = _fit_kind(
                places, counts[:, columns], small_counts[:, columns], large_counts[:, columns], weekly[k]
            )
            for whole, part in zip(shares, one, strict=True):
                whole[..., columns] = part
            variance[:, k] = 1.0 / (a + np.append(counts[:, columns].sum(axis=1), 0.0))
    return shares, variance


def _fit_kind(places: Places, cell_n: Floats, small_n: Floats, large_n: Floats, weekly: Floats) -> tuple[Shares, float]:
    n = large_n.sum()
    root = np.zeros(large_n.shape[0], np.int64)
    large, beyond, _ = shrink_children(large_n.sum(axis=1), root, np.array([n]), places.n_large)
    small, in_large, _ = shrink_children(small_n.sum(axis=1), places.large_of, large, CHILDREN)
    cell, in_small, a = shrink_children(cell_n.sum(axis=1), places.small_of, small, CHILDREN)
    # A place's own distribution over the blocks, shrunk to that of the tile above.
    large_pattern = shrink_pattern(large_n, weekly[None, :])
    small_pattern = shrink_pattern(small_n, large_pattern[places.large_of])
    cell_pattern = shrink_pattern(cell_n, small_pattern[places.small_of])
    raw = Shares(
        (cell / n)[:, None] * cell_pattern / weekly,
        (in_small / n)[:, None] * small_pattern / weekly,
        (in_large / (n * CHILDREN))[:, None] * large_pattern / weekly,
        np.full(BLOCKS, beyond[0] / (n * CHILDREN**2)),
    )
    total = region_total(places, raw)
    return Shares(raw.cell / total, raw.small / total, raw.large / total, raw.beyond / total), a


def region_total(places: Places, shares: Shares) -> Floats:
    """Sum over all cells of the region, by column."""
    cells, in_large, elsewhere = unseen(places)
    small = (cells[:, None] * shares.small).sum(axis=0)
    large = (in_large[:, None] * shares.large).sum(axis=0)
    total: Floats = shares.cell.sum(axis=0) + small + large + elsewhere * shares.beyond
    return total


def small_tile_totals(places: Places, shares: Shares) -> Floats:
    """Sum over the cells of each seen small tile, by column."""
    cells, _, _ = unseen(places)
    total: Floats = _sum_up(shares.cell, places.small_of, places.small.size) + cells[:, None] * shares.small
    return total


def large_tile_totals(places: Places, shares: Shares) -> Floats:
    """Sum over the cells of each seen large tile, by column."""
    _, in_large, _ = unseen(places)
    small = small_tile_totals(places, shares)
    total: Floats = _sum_up(small, places.large_of, places.large.size) + in_large[:, None] * shares.large
    return total


def shrink_children(n: Floats, parent: Ints, totals: Floats, children: int) -> tuple[Floats, Floats, float]:
    """Expected counts of seen children, that of each unseen child of a parent, and the shape; parents keep totals."""
    seen = np.bincount(parent, minlength=totals.size)
    e = totals / children
    a = fit_shape(n, parent, e, seen, children)
    child = e[parent] * (a + n) / (a + e[parent])
    absent = e * a / (a + e)
    scale = totals / (np.bincount(parent, child, totals.size) + (children - seen) * absent)
    return child * scale[parent], absent * scale, a


def fit_shape(n: Floats, parent: Ints, e: Floats, seen: Ints, children: int) -> float:
    """The shape, of a fixed list, that makes the children's counts likeliest (negative binomial, mean e).

    Only parents that saw something are asked: the others say nothing of how children differ.
    """
    counts = np.bincount(parent, n, e.size)
    asked = counts > 0
    if not asked.any():
        return float(SHAPES[-1])
    size, times = np.unique(n, return_counts=True)
    a = SHAPES[:, None]
    gammas = ((gammaln(a + size) - gammaln(a)) * times).sum(axis=1)
    mean = e[asked]
    spread = (counts[asked] * np.log(mean) - (counts[asked] + children * a) * np.log(a + mean)).sum(axis=1)
    spread = spread + children * asked.sum() * SHAPES * np.log(SHAPES)
    assert (seen <= children).all()
    return float(SHAPES[np.argmax(gammas + spread)])


def shrink_pattern(n: Floats, above: Floats) -> Floats:
    """Distributions over the blocks of places with counts n, held to the distribution above them."""
    shrunk: Floats = (n + PATTERN_STRENGTH * above) / (n.sum(axis=1, keepdims=True) + PATTERN_STRENGTH)
    return shrunk


def _sum_up(values: Floats, parent: Ints, parents: int) -> Floats:
    return np.stack([np.bincount(parent, column, parents) for column in values.T], axis=1)


def find_rows(keys: Ints, wanted: Ints) -> Ints:
    """Place of each wanted key among sorted keys, or -1."""
    place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[place] == wanted, place, -1)
