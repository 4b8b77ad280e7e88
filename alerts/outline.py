"""The outline of cells as polygons in degrees, as GeoJSON has them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

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
    # Imported where it is used: it takes longer to load than most commands take to run.
    from shapely import MultiPolygon, box, union_all
    from shapely.geometry.polygon import orient

    joined = union_all([box(ix, iy, ix + side, iy + side) for ix, iy in cells]).simplify(0)
    parts = list(joined.geoms) if isinstance(joined, MultiPolygon) else [joined]
    parts = sorted((orient(part) for part in parts if not part.is_empty), key=lambda part: part.bounds)
    return tuple(tuple(_ring(list(ring.coords), grid) for ring in (part.exterior, *part.interiors)) for part in parts)


def _ring(corners: list[tuple[float, float]], grid: Grid) -> tuple[Position, ...]:
    metres = np.array(corners) * grid.cell_m
    longitude, latitude = grid.unproject(metres[:, 0], metres[:, 1])
    return tuple(
        (round(x, DIGITS), round(y, DIGITS)) for x, y in zip(longitude.tolist(), latitude.tolist(), strict=True)
    )
