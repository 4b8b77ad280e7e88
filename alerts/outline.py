"""The outline of cells as polygons in degrees, as GeoJSON has them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import numpy as np

from processors.arrays import Floats
from processors.grid import Grid
from schemas.alert import Polygons, Position

Cell = tuple[int, int]
#: Degrees are told to this many digits: about 10 cm.
DIGITS = 6


def disc(ix: int, iy: int, radius_cells: int) -> list[Cell]:
    """The cells of a window: those whose centres lie within so many cells of its centre."""
    reach = range(-radius_cells, radius_cells + 1)
    return [(ix + x, iy + y) for x in reach for y in reach if x * x + y * y <= radius_cells * radius_cells]


def outline(cells: Iterable[Cell], grid: Grid, side: int = 1) -> Polygons:
    """The outline of squares of `side` cells, each by the cell at its south-western corner.

    Outer rings run counter-clockwise and holes clockwise; the first position of a ring is also its last.
    """
    return _in_degrees(_polygons(cells, side), grid)


def outline_of_disc(ix: int, iy: int, radius_cells: int, grid: Grid) -> Polygons:
    """The same of the cells of a window. Discs of one radius have one shape, which is joined once."""
    return _in_degrees(_disc_polygons(radius_cells), grid, (ix, iy))


@cache
def _disc_polygons(radius_cells: int) -> list[list[Floats]]:
    return _polygons(disc(0, 0, radius_cells), 1)


def _polygons(cells: Iterable[Cell], side: int) -> list[list[Floats]]:
    """Polygons, each as its rings of corners in cells: [corner, x and y]."""
    # Imported where it is used: it takes longer to load than most commands take to run.
    from shapely import MultiPolygon, box, union_all
    from shapely.geometry.polygon import orient

    joined = union_all([box(ix, iy, ix + side, iy + side) for ix, iy in cells]).simplify(0)
    parts = list(joined.geoms) if isinstance(joined, MultiPolygon) else [joined]
    parts = sorted((orient(part) for part in parts if not part.is_empty), key=lambda part: part.bounds)
    return [[np.array(ring.coords) for ring in (part.exterior, *part.interiors)] for part in parts]


def _in_degrees(polygons: list[list[Floats]], grid: Grid, origin: Cell = (0, 0)) -> Polygons:
    return tuple(tuple(_ring(corners + np.array(origin), grid) for corners in polygon) for polygon in polygons)


def _ring(corners: Floats, grid: Grid) -> tuple[Position, ...]:
    metres = corners * grid.cell_m
    longitude, latitude = grid.unproject(metres[:, 0], metres[:, 1])
    return tuple(
        (round(x, DIGITS), round(y, DIGITS)) for x, y in zip(longitude.tolist(), latitude.tolist(), strict=True)
    )
