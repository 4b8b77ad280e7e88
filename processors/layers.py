"""The two map layers that analysts know: Getis-Ord Gi* of cells, and emerging hotspot classes of larger places.

Both look at one study area: all cells of the places (squares of `place_cells` cells a side) that ever saw an incident.
Where nothing was ever recorded (sea, moor) takes no part; cells and places without an incident now count as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

from processors.arrays import Floats, Ints, Small
from processors.cells import ABSENT, FARTHEST, CellIndex
from processors.grid import Grid
from processors.incidents import Incidents
from processors.localtime import DAY_S
from schemas.base import moment
from schemas.layers import (
    FEWEST_STEPS,
    CellLayer,
    EmergingPattern,
    LayerCell,
    LayerPlace,
    LayerSettings,
    MapLayers,
    PlaceLayer,
)
from schemas.located import Kind

Bins = NDArray[np.int8]
Flags = NDArray[np.bool_]

#: Parts of false discoveries below which a bin is ±1, ±2, ±3 (confidence of 90, 95, 99 %).
LEVELS: Final = (0.10, 0.05, 0.01)
#: The bin that a confidence asks for.
BIN_OF: Final = {90: 1, 95: 2, 99: 3}
#: Codes of patterns, from 1 for new to 8 for historical; those of cold spots are negative. 0 is none.
PATTERNS: Final = tuple(EmergingPattern)
HISTORICAL: Final = PATTERNS.index(EmergingPattern.HISTORICAL) + 1
#: Rows of either layer in one message: it stays well below the size that a broker takes.
ROWS_A_MESSAGE: Final = 1_500


class StudyArea(NamedTuple):
    """Where an incident might be. Cells and places are sorted by column, then row."""

    ix: Small
    iy: Small
    place: Ints
    """Row of the place of each cell."""
    place_ix: Small
    place_iy: Small
    place_cells: int


class Significance(NamedTuple):
    """Gi* of bins (cells, or places and steps), all arrays of one shape."""

    z: Floats
    p: Floats
    q: Floats
    bin: Bins


class Squares(NamedTuple):
    """Cells or places, and incidents of all kinds in each of them."""

    ix: Small
    iy: Small
    observed: Ints
    ed_only: Flags
    """Whether there are incidents, and all of them are of ED."""


class HotCells(NamedTuple):
    """The significant cells, one row each."""

    start: int
    area: int
    incidents: int
    squares: Squares
    found: Significance


class EmergingPlaces(NamedTuple):
    """The places that have a pattern, one row each; `found` has a column for each step, oldest first."""

    start: int
    steps: int
    area: int
    incidents: int
    squares: Squares
    found: Significance
    trend_z: Floats
    trend_p: Floats
    pattern: Bins


Columns = TypeVar("Columns", Incidents, Squares, Significance)


class Layers(NamedTuple):
    """Both layers as columns; times are seconds since 1970 UTC."""

    as_of: int
    end: int
    settings: LayerSettings
    cells: HotCells
    places: EmergingPlaces


def layers(found: Incidents, as_of: int, settings: LayerSettings, area: StudyArea | None = None) -> Layers:
    """Both layers from all incidents known at `as_of`, seconds since 1970 UTC.

    The more history, the truer the study area: without one given, it is that of the incidents up to `as_of`. Incidents
    after `as_of` or outside of a given area are left out. Raises ValueError for cells beyond 2^30, and for an area of
    places of another size than that of the settings.
    """
    found = _pick(found, found.occurred <= as_of)
    if area is None:
        area = study_area(found.ix, found.iy, settings.place_cells)
    if area.place_cells != settings.place_cells:
        raise ValueError(f"the places of the area are {area.place_cells} cells wide, not {settings.place_cells}")
    row = _rows(area, found.ix, found.iy)
    end = as_of - settings.settle_days * DAY_S
    inside = (row != ABSENT) & (found.occurred <= end)
    row, occurred, ed = row[inside], found.occurred[inside], found.kind[inside] == Kind.ED
    cells = _hot_cells(area, row, occurred, ed, end, settings)
    return Layers(as_of, end, settings, cells, _emerging(area, area.place[row], occurred, ed, end, settings))


def study_area(ix: Small, iy: Small, place_cells: int) -> StudyArea:
    """All cells of the places, squares of `place_cells` cells a side, that hold any of these cells.

    Raises ValueError for cells beyond 2^30.
    """
    if ix.size and max(int(np.abs(axis.astype(np.int64)).max()) for axis in (ix, iy)) > FARTHEST - place_cells:
        raise ValueError(f"a cell lies more than {FARTHEST - place_cells} cells from the origin of the grid")
    keys = np.unique(_key(ix // place_cells, iy // place_cells))
    x, y = _unkey(keys)
    within = np.arange(place_cells)
    columns = x[:, None, None] * place_cells + within[:, None]
    rows = y[:, None, None] * place_cells + within
    cells = _key(*np.broadcast_arrays(columns, rows)).ravel()
    order = np.argsort(cells)
    axes = [axis.astype(np.int32) for axis in (*_unkey(cells[order]), x, y)]
    return StudyArea(axes[0], axes[1], order // place_cells**2, axes[2], axes[3], place_cells)


def significance(near: Ints, size: Ints, values: Ints) -> Significance:
    """Standardised Gi* with binary weights, the bin itself included.

    `near`: sums of `values` over each bin's neighbourhood of `size` bins, all of one shape. With n values of mean m and
    variance s² (divided by n), z = (near - m·size) / (s·√((n·size - size²)/(n - 1))): Getis & Ord 1992 as standardised
    by Ord & Getis 1995. Where that is 0/0 (values do not differ, or a neighbourhood is the whole area) z is 0.
    """
    n, total = values.size, int(values.sum())
    spread = n * int((values * values).sum()) - total * total  # n²s²
    z = np.zeros(near.shape)
    if spread > 0:
        some = np.broadcast_to(size < n, near.shape)
        free = np.broadcast_to(size, near.shape)[some]
        # Whole numbers up to the division, so that equal sums have equal z: the trend test counts ties.
        z[some] = (n * near[some] - total * free) / np.sqrt(spread * (free * (n - free) / (n - 1)))
    p = _two_sided(z)
    q = false_discovery(p)
    depth = sum((q <= level).astype(np.int8) for level in LEVELS)
    return Significance(z, p, q, (np.sign(z) * depth).astype(np.int8))


def false_discovery(p: Floats) -> Floats:
    """P-values of any shape, corrected for as many tests as there are (Benjamini & Hochberg 1995), same shape.

    q ≤ α just where their procedure rejects at a false discovery rate of α.
    """
    order = np.argsort(p, axis=None)
    scaled = p.ravel()[order] * (p.size / np.arange(1, p.size + 1))
    q = np.empty(p.size)
    q[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return q.reshape(p.shape)


def mann_kendall(series: Floats) -> tuple[Floats, Floats]:
    """Trend of each row: standard normal score, above 0 where values rise with the columns, and two-sided p.

    Mann 1945, Kendall 1975, with the variance corrected for ties and the score for continuity. Rows of values that do
    not differ have a score of 0.
    """
    rows, n = series.shape
    rises, ties = np.zeros(rows), np.zeros(series.shape)
    for lag in range(1, n):
        step = series[:, lag:] - series[:, :-lag]
        rises += np.sign(step).sum(axis=1)
        same = step == 0
        ties[:, lag:] += same
        ties[:, :-lag] += same
    # A value tied with t - 1 others stands for its part, (t - 1)(2t + 5), of the t(t - 1)(2t + 5) of its group.
    tied = (ties * (2 * ties + 7)).sum(axis=1)
    variance = (n * (n - 1) * (2 * n + 5) - tied) / 18.0
    score = np.zeros(rows)
    varied = variance > 0
    score[varied] = (rises - np.sign(rises))[varied] / np.sqrt(variance[varied])
    return score, _two_sided(score)


def patterns(bins: Bins, trend_z: Floats, trend_p: Floats, confidence: int) -> Bins:
    """The pattern of each row of bins [places, steps], as a code (see PATTERNS); definitions are EmergingPattern's.

    Where the last step is cold and all the earlier ones were hot, or the reverse, the last step decides.
    """
    level = BIN_OF[confidence]
    hot, cold = bins >= level, bins <= -level
    trend = np.sign(trend_z) * (trend_p <= LEVELS[level - 1])
    warm, cool = _one_sided(hot, cold, trend), _one_sided(cold, hot, -trend)
    return np.where(((warm > 0) & (warm < HISTORICAL)) | (cool == 0), warm, -cool).astype(np.int8)


def layer_messages(region: str, grid: Grid, found: Layers, *, series: bool = False) -> Iterator[MapLayers]:
    """The layers for the map: one message, or several where there are many cells or places.

    `series` adds the z of each step to each place.
    """
    cells, places = _cell_rows(grid, found.cells), _place_rows(grid, found.places, found.settings, series)
    parts = max(1, -(-max(len(cells), len(places)) // ROWS_A_MESSAGE))
    for part in range(1, parts + 1):
        rows = slice((part - 1) * ROWS_A_MESSAGE, part * ROWS_A_MESSAGE)
        yield MapLayers(
            region=region,
            as_of=moment(found.as_of),
            part=part,
            parts=parts,
            settings=found.settings,
            gi_star=CellLayer(
                moment(found.cells.start),
                moment(found.end),
                float(grid.cell_m),
                found.cells.area,
                found.cells.incidents,
                tuple(cells[rows]),
            ),
            emerging=PlaceLayer(
                moment(found.places.start),
                moment(found.end),
                float(grid.cell_m * found.settings.place_cells),
                found.places.steps,
                found.places.area,
                found.places.incidents,
                tuple(places[rows]),
            ),
        )


def _hot_cells(area: StudyArea, row: Ints, occurred: Ints, ed: Flags, end: int, settings: LayerSettings) -> HotCells:
    start = end - settings.period_days * DAY_S
    now = occurred > start
    squares = _squares(area.ix, area.iy, row[now], ed[now])
    near = _neighbours(area.ix, area.iy, settings.cell_radius)
    found = significance(_sums(squares.observed, near), (near != ABSENT).sum(axis=1), squares.observed)
    telling = found.bin != 0
    return HotCells(start, area.ix.size, int(now.sum()), _pick(squares, telling), _pick(found, telling))


def _emerging(
    area: StudyArea, place: Ints, occurred: Ints, ed: Flags, end: int, settings: LayerSettings
) -> EmergingPlaces:
    step_s = settings.step_days * DAY_S
    # A step before the first incident of all is not one without incidents: nobody was counting yet.
    steps = min(settings.steps, int(end - occurred.min()) // step_s) if occurred.size else 0
    steps = steps if steps >= FEWEST_STEPS else 0
    start, n = end - steps * step_s, area.place_ix.size
    now = occurred > start
    place = place[now]
    squares = _squares(area.place_ix, area.place_iy, place, ed[now])
    step = steps - 1 - (end - occurred[now]) // step_s
    cube = np.bincount(place * steps + step, minlength=n * steps).reshape(n, steps)
    near = _neighbours(area.place_ix, area.place_iy, settings.place_radius)
    sums = _sums(cube, near)
    sums[:, 1:] += sums[:, :-1].copy()
    depth = np.where(np.arange(steps) > 0, 2, 1)  # the first step has none before it
    found = significance(sums, (near != ABSENT).sum(axis=1)[:, None] * depth, cube)
    trend_z, trend_p = mann_kendall(found.z)
    pattern = patterns(found.bin, trend_z, trend_p, settings.confidence) if steps else np.zeros(n, np.int8)
    telling = pattern != 0
    trend = (trend_z[telling], trend_p[telling], pattern[telling])
    return EmergingPlaces(start, steps, n, place.size, _pick(squares, telling), _pick(found, telling), *trend)


def _one_sided(hot: Flags, cold: Flags, trend: Floats) -> Bins:
    """Codes of hot spots; with hot and cold exchanged and the trend reversed, those of cold spots."""
    times = hot.sum(axis=1)
    often = 10 * times >= 9 * hot.shape[1]
    now = hot[:, -1]
    run = np.cumprod(hot[:, ::-1], axis=1).sum(axis=1)  # hot steps at the end without a break
    first = times == run
    rules = {
        EmergingPattern.NEW: now & first & (run == 1),
        EmergingPattern.CONSECUTIVE: now & first & ~often,
        EmergingPattern.INTENSIFYING: now & often & (trend > 0),
        EmergingPattern.DIMINISHING: now & often & (trend < 0),
        EmergingPattern.PERSISTENT: now & often,
        EmergingPattern.OSCILLATING: now & cold.any(axis=1),
        EmergingPattern.SPORADIC: now,
        EmergingPattern.HISTORICAL: often,
    }
    # The first rule that holds counts, so that each may leave out what those before it have taken.
    codes = [PATTERNS.index(pattern) + 1 for pattern in rules]
    return np.select(list(rules.values()), codes, 0).astype(np.int8)


def _squares(ix: Small, iy: Small, row: Ints, ed: Flags) -> Squares:
    """Squares with the incidents in them, given the row of the square of each incident."""
    observed = np.bincount(row, minlength=ix.size)
    return Squares(ix, iy, observed, (observed > 0) & (np.bincount(row[ed], minlength=ix.size) == observed))


def _pick(columns: Columns, rows: Flags) -> Columns:
    return type(columns)._make(column[rows] for column in columns)


def _neighbours(ix: Small, iy: Small, radius: int) -> Small:
    """Rows of the squares within a radius of each, itself included; ABSENT for those outside of the study area."""
    index = CellIndex((radius,))
    index.ensure(ix, iy)
    return index.neighbours[: ix.size]


def _sums(values: Ints, near: Small) -> Ints:
    """Sums over neighbourhoods of values [squares] or [squares, steps]."""
    padded = np.concatenate([values, np.zeros_like(values, shape=(1, *values.shape[1:]))])  # ABSENT takes the last
    total = np.zeros_like(values)
    for column in near.T:
        total += padded[column]
    return total


def _rows(area: StudyArea, ix: Small, iy: Small) -> Ints:
    """The row of each cell in the area, or ABSENT."""
    keys, wanted = _key(area.ix, area.iy), _key(ix, iy)
    if not keys.size:
        return np.full(ix.size, ABSENT, np.int64)
    row = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[row] == wanted, row, ABSENT)


def _key(x: NDArray[np.integer], y: NDArray[np.integer]) -> Ints:
    """One number a square, in order of column, then row."""
    key: Ints = (x.astype(np.int64) << 32) + y.astype(np.int64)
    return key


def _unkey(keys: Ints) -> tuple[Ints, Ints]:
    x = (keys + 2**31) >> 32
    return x, keys - (x << 32)


def _two_sided(score: Floats) -> Floats:
    p: Floats = erfc(np.abs(score) / sqrt(2.0))
    return p


def _where(grid: Grid, squares: Squares, side_cells: int) -> Iterator[list[Any]]:
    """The columns that cells and places begin with: from `ix` to `count`."""
    side = float(grid.cell_m * side_cells)
    easting, northing = ((axis.astype(np.float64) + 0.5) * side for axis in (squares.ix, squares.iy))
    yield from (squares.ix.tolist(), squares.iy.tolist())
    yield from (degrees.round(6).tolist() for degrees in grid.unproject(easting, northing))
    yield from (easting.tolist(), northing.tolist())
    yield [None if ed_only else n for n, ed_only in zip(squares.observed.tolist(), squares.ed_only, strict=True)]


def _brief(values: Floats) -> list[float]:
    """Three significant digits: probabilities are told to no more."""
    return [float(f"{value:.3g}") for value in values.tolist()]


def _cell_rows(grid: Grid, cells: HotCells) -> list[LayerCell]:
    z, p, q, bins = cells.found
    columns = (z.round(3).tolist(), _brief(p), _brief(q), bins.tolist())
    return [LayerCell(*row) for row in zip(*_where(grid, cells.squares, 1), *columns, strict=True)]


def _place_rows(grid: Grid, places: EmergingPlaces, settings: LayerSettings, series: bool) -> list[LayerPlace]:
    level, bins, n = BIN_OF[settings.confidence], places.found.bin, places.pattern.size
    columns = (
        ["hot" if code > 0 else "cold" for code in places.pattern],
        [PATTERNS[abs(int(code)) - 1] for code in places.pattern],
        (bins >= level).sum(axis=1).tolist(),
        (bins <= -level).sum(axis=1).tolist(),
        places.trend_z.round(3).tolist(),
        _brief(places.trend_p),
        [tuple(row) for row in places.found.z.round(3).tolist()] if series else [()] * n,
    )
    where = _where(grid, places.squares, settings.place_cells)
    return [LayerPlace(*row) for row in zip(*where, *columns, strict=True)]
