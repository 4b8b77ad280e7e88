"""Degrees to the region's metres and cells, and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from schemas.region import RegionFile

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Positions:
    """Places on the grid, one row each; cells of places that are not finite are meaningless."""

    easting: FloatArray
    northing: FloatArray
    ix: IntArray
    iy: IntArray


class Grid:
    """The square grid of a region in its CRS: cell (ix, iy) covers [ix·c, ix·c + c) × [iy·c, iy·c + c) metres."""

    def __init__(self, region: RegionFile) -> None:
        self.cell_m = region.cell_m
        self._to_metres = _between("EPSG:4326", region.crs)
        self._to_degrees = _between(region.crs, "EPSG:4326")

    def project(self, longitude: FloatArray, latitude: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Degrees (WGS 84) to eastings and northings in metres; infinite where the projection has no answer."""
        easting, northing = self._to_metres.transform(longitude, latitude)
        return np.asarray(easting, dtype=np.float64), np.asarray(northing, dtype=np.float64)

    def unproject(self, easting: FloatArray, northing: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Metres to degrees (WGS 84)."""
        longitude, latitude = self._to_degrees.transform(easting, northing)
        return np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64)

    def cells(self, easting: FloatArray, northing: FloatArray) -> Positions:
        """Cells of points in metres. A point on a border belongs to the cell east or north of it."""
        finite = np.isfinite(easting) & np.isfinite(northing)
        ix = np.floor(np.where(finite, easting, 0.0) / self.cell_m).astype(np.int64)
        iy = np.floor(np.where(finite, northing, 0.0) / self.cell_m).astype(np.int64)
        return Positions(easting, northing, ix, iy)

    def centre(self, ix: int, iy: int) -> tuple[float, float]:
        """Easting and northing of a cell's centre, metres."""
        return (ix + 0.5) * self.cell_m, (iy + 0.5) * self.cell_m

    def centre_degrees(self, ix: int, iy: int) -> tuple[float, float]:
        """Longitude and latitude of a cell's centre."""
        longitude, latitude = self._to_degrees.transform(*self.centre(ix, iy))
        return float(longitude), float(latitude)

    def radius_m(self, radius_cells: int) -> float:
        """From the centre of a window to the far edge of its outermost cell along an axis, metres."""
        return (radius_cells + 0.5) * self.cell_m


@cache
def _between(source: str, target: str) -> Transformer:
    """One for all regions of a CRS: to make it takes longer than all else that a region needs. Safe in any thread."""
    return Transformer.from_crs(source, target, always_xy=True)
