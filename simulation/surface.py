"""How violence lies over the places of a region: night-time economies, a heavy tail of points, and homes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from schemas.region import RegionFile
from simulation.geography import FloatArray, IntArray, Places, places_of, to_metres

CORE_M = 250  # a place's core density counts the points of 3 × 3 squares of this size
CATCHMENT_M = 1_000  # and its catchment those of 7 × 7 squares of this size
CENTRE_SPACING_M = 4_000.0
MAX_CENTRES = 20

ZIPF_EXPONENT = 0.95
ZIPF_OFFSET = 4.0  # flattens the very top: the busiest nightclub is not alone
HOME_SPREAD = 0.9  # log-normal unevenness of homes: some estates see much more than others
NIGHT_DISTRICT_POWER = 1.25  # night life is more concentrated in the large towns than violence is
STATION_DISTANCE_M = 600.0  # the police station lies off the main centre, not in it


class Centre(NamedTuple):
    """A town centre found as a place of high density."""

    easting: float
    northing: float
    nearest: str
    """The postcode, or made-up place, nearest to it."""


class QuietPlace(NamedTuple):
    """A point with homes around it and no town centre."""

    easting: float
    northing: float
    nearest: str


@dataclass(frozen=True, eq=False)
class Surface:
    """Relative intensity by point. `night` and `home` each sum to one within every district that has points."""

    places: Places
    night: FloatArray
    home: FloatArray
    night_share: FloatArray
    """Part of the night-time violence by district."""
    home_share: FloatArray
    centres: tuple[Centre, ...]
    station: int
    """The point of a police station that records are wrongly placed at."""

    def overall(self, night_part: float = 0.5) -> FloatArray:
        """Intensity by point over the whole region; sums to one."""
        district = self.places.district
        return (
            night_part * self.night * self.night_share[district]
            + (1.0 - night_part) * self.home * self.home_share[district]
        )


@lru_cache(maxsize=4)
def surface_of(region: RegionFile) -> Surface:
    """The surface of a region. It is a fact of the place: every seed of records sees the same one."""
    places = places_of(region)
    rng = np.random.default_rng(list(f"surface of {region.id}".encode()))
    return build_surface(places, rng)


def build_surface(places: Places, rng: np.random.Generator) -> Surface:
    """Weigh the points by density, with a Zipf tail for the night and log-normal unevenness for homes."""
    core = neighbourhood(places.easting, places.northing, CORE_M, 1)
    catchment = neighbourhood(places.easting, places.northing, CATCHMENT_M, 3)
    centres = _centres(places, core * catchment)
    night = _zipf(np.log(core**3 * catchment * places.district_share[places.district]), rng)
    home = core**0.75 * rng.lognormal(0.0, HOME_SPREAD, size=len(core))
    night_share = places.district_share**NIGHT_DISTRICT_POWER
    return Surface(
        places=places,
        night=_within_districts(night, places),
        home=_within_districts(home, places),
        night_share=night_share / night_share.sum(),
        home_share=places.district_share,
        centres=centres,
        station=_station(places, centres[0]),
    )


def neighbourhood(easting: FloatArray, northing: FloatArray, square_m: int, reach: int) -> FloatArray:
    """For each point, how many points lie in the squares at most `reach` away from its own."""
    column = np.floor(easting / square_m).astype(np.int64)
    row = np.floor(northing / square_m).astype(np.int64)
    stride = 1 << 32
    key = column * stride + row
    squares, own, count = np.unique(key, return_inverse=True, return_counts=True)
    total = np.zeros(len(squares), dtype=np.int64)
    for right in range(-reach, reach + 1):
        for up in range(-reach, reach + 1):
            wanted = squares + right * stride + up
            at = np.minimum(np.searchsorted(squares, wanted), len(squares) - 1)
            total += np.where(squares[at] == wanted, count[at], 0)
    return total[own].astype(np.float64)


def quiet_place(region: RegionFile, surface: Surface) -> QuietPlace:
    """A place of quiet to medium intensity near the main centre, away from every centre and institution.

    The median by intensity of the built-up points that qualify; made for planting a hotspot that stands out.
    """
    places = surface.places
    far = _distance(places, surface.centres[0])
    ok = (far > 2_000.0) & (far < 8_000.0)
    ok &= neighbourhood(places.easting, places.northing, CORE_M, 1) >= 15
    for centre in surface.centres:
        ok &= _distance(places, centre) > 1_500.0
    for institution in region.institutions:
        x, y = to_metres(region, np.array([institution.longitude]), np.array([institution.latitude]))
        ok &= np.hypot(places.easting - x[0], places.northing - y[0]) > institution.radius_m + 1_000.0
    candidates = np.flatnonzero(ok) if ok.any() else np.arange(len(far))
    order = np.argsort(surface.overall()[candidates], kind="stable")
    chosen = int(candidates[order[len(order) // 2]])
    return QuietPlace(float(places.easting[chosen]), float(places.northing[chosen]), str(places.code[chosen]))


def _zipf(score: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Rank the points at random, denser ones likelier first (Gumbel ranks), and weigh them by a power of the rank."""
    order = np.argsort(-(score + rng.gumbel(size=len(score))), kind="stable")
    weight = np.empty(len(score))
    weight[order] = (np.arange(len(score)) + ZIPF_OFFSET) ** -ZIPF_EXPONENT
    return weight


def _within_districts(weight: FloatArray, places: Places) -> FloatArray:
    total = np.bincount(places.district, weights=weight, minlength=len(places.district_code))
    return weight / total[places.district]


def _distance(places: Places, centre: Centre | QuietPlace) -> FloatArray:
    return np.hypot(places.easting - centre.easting, places.northing - centre.northing)


def _centres(places: Places, density: FloatArray) -> tuple[Centre, ...]:
    """The densest points, each at least some kilometres from a denser one, densest first."""
    found: list[Centre] = []
    left: IntArray = np.argsort(-density, kind="stable").astype(np.int64)
    while len(left) and len(found) < MAX_CENTRES:
        best = int(left[0])
        found.append(Centre(float(places.easting[best]), float(places.northing[best]), str(places.code[best])))
        left = left[_distance(places, found[-1])[left] >= CENTRE_SPACING_M]
    return tuple(found)


def _station(places: Places, centre: Centre) -> int:
    return int(np.argmin(np.abs(_distance(places, centre) - STATION_DISTANCE_M)))
