"""Where a window is, in words that need no map: the nearest name, and a grid reference in Britain."""

from __future__ import annotations

from functools import cached_property
from math import atan2, degrees, hypot
from typing import Final, NamedTuple

import numpy as np
from pyproj import CRS

from processors.grid import Grid
from schemas.region import RegionFile

BRITISH_GRID: Final = 27700
#: A point so near to a place's own lies in it, metres.
IN_PLACE_M: Final = 750.0
#: Names of places that lie further away say nothing, metres.
FARTHEST_M: Final = 15_000.0
_WINDS: Final = ("north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west")
_REFERENCE_M: Final = 100
_COARSE_M: Final = 1_000


class Named(NamedTuple):
    """A point in words."""

    place: str
    """Such as `in Shirley` or `2.4 km north-east of Eastleigh`; empty where no named place is near."""
    grid_reference: str
    """Such as `SU 418 121`; empty outside of Britain."""


class Namer:
    """Names points of one region."""

    def __init__(self, region: RegionFile, grid: Grid) -> None:
        self._region, self._grid = region, grid
        self._british = CRS.from_user_input(region.crs).to_epsg() == BRITISH_GRID

    @cached_property
    def _places(self) -> tuple[tuple[str, ...], np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
        places = self._region.places
        longitude = np.array([place.longitude for place in places])
        latitude = np.array([place.latitude for place in places])
        easting, northing = self._grid.project(longitude, latitude) if places else (longitude, latitude)
        return tuple(place.name for place in places), np.stack([easting, northing], axis=1)

    def name(self, easting: float, northing: float, *, coarse: bool = False) -> Named:
        """A point of the region's own metres; coarse: to whole kilometres."""
        finest = _COARSE_M if coarse else _REFERENCE_M
        reference = grid_reference(easting, northing, finest) if self._british else ""
        return Named(self._near(easting, northing, coarse), reference)

    def _near(self, easting: float, northing: float, coarse: bool) -> str:
        names, points = self._places
        if not names:
            return ""
        distances = np.hypot(points[:, 0] - easting, points[:, 1] - northing)
        nearest = int(np.argmin(distances))
        if not distances[nearest] <= FARTHEST_M:  # also where a projection has no answer
            return ""
        return from_place(names[nearest], easting - points[nearest, 0], northing - points[nearest, 1], coarse=coarse)


def from_place(name: str, east_m: float, north_m: float, *, coarse: bool = False) -> str:
    """A point so far east and north of a place, in words."""
    distance = hypot(east_m, north_m)
    if distance <= IN_PLACE_M:
        return f"in {name}"
    wind = _WINDS[round(degrees(atan2(east_m, north_m)) / 45) % 8]
    kilometres = f"{max(distance / 1000, 1):.0f}" if coarse else f"{distance / 1000:.1f}"
    return f"{kilometres} km {wind} of {name}"


def grid_reference(easting: float, northing: float, finest_m: int = _REFERENCE_M) -> str:
    """On the British National Grid, to 100 m or as fine as is asked; empty for a point that lies off it."""
    # Imported where it is used: it brings shapely, which workers of other countries need not wait for.
    from osbng.errors import BNGExtentError
    from osbng.indexing import xy_to_bng

    try:
        return str(xy_to_bng(easting, northing, finest_m).bng_ref_formatted)
    except BNGExtentError:
        return ""
