"""The circles of a scan: for each centre its neighbours, nearest first, one at a time."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from processors.arrays import Floats, Ints, Small

#: Mean radius of the earth as the established tool has it, km.
EARTH_KM: Final = 6367.0
# A centre's neighbours are cut where the population is more than allowed; sums of parts may round a little over it.
ROUNDING: Final = 1e-9


class Circles(NamedTuple):
    """Neighbours of all centres, centre after centre."""

    start: Ints
    """[centre, one more at the end] where its neighbours begin. The first of them is the centre itself."""
    place: Small
    """Location of each neighbour."""


def coordinates(first: Floats, second: Floats, spherical: bool) -> Floats:
    """[location, dimension]: x and y, or the point on a sphere of radius 1 where these are latitude and longitude."""
    if not spherical:
        return np.stack([first, second], axis=1)
    latitude, longitude = np.radians(first), np.radians(second)
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )


def find_circles(
    points: Floats, spherical: bool, max_radius: float, weight: Floats, max_weight: float, threads: int = 1
) -> Circles:
    """Each centre's neighbours within a distance, as long as their weights together are no more than allowed.

    Locations at equal distance come in order of their coordinates, component by component, and enter one at a time.
    """
    order = np.lexsort(points.T[::-1]).astype(np.int32)
    limit = max_weight * (1.0 + ROUNDING)
    first = points[order, 0]
    straight = 2.0 * math.sin(min(0.5 * max_radius / EARTH_KM, 0.5 * math.pi)) if spherical else max_radius
    reach = straight + ROUNDING * (straight + np.abs(points[:, 0]))
    begin = np.searchsorted(first, points[:, 0] - reach)
    end = np.searchsorted(first, points[:, 0] + reach, side="right")

    def of(centres: Ints) -> tuple[Ints, Small]:
        found: tuple[Ints, Small] = _neighbours(
            centres, points, order, begin[centres], end[centres], spherical, max_radius, weight, limit
        )
        return found

    with ThreadPoolExecutor(threads) as pool:
        sizes, places = zip(*pool.map(of, np.array_split(np.arange(len(points)), threads)), strict=True)
    return Circles(np.concatenate([[0], np.cumsum(np.concatenate(sizes))]), np.concatenate(places))


@njit(cache=True, nogil=True)
def distance(a: Floats, b: Floats, spherical: bool) -> float:
    """Metres or whatever the coordinates are in; kilometres on the sphere."""
    square = 0.0
    for i in range(a.size):
        square += (a[i] - b[i]) ** 2
    if not spherical:
        return math.sqrt(square)
    return EARTH_KM * 2.0 * math.asin(min(1.0, 0.5 * math.sqrt(square)))


@njit(cache=True, nogil=True)
def _neighbours(
    centres: Ints,
    points: Floats,
    order: Small,
    begin: Ints,
    end: Ints,
    spherical: bool,
    max_radius: float,
    weight: Floats,
    max_weight: float,
) -> tuple[Ints, Small]:
    """How many neighbours each centre has, and these. Those of a centre are within begin..end of the order."""
    n = points.shape[0]
    sizes = np.zeros(centres.size, np.int64)
    flat = np.empty(max(16 * centres.size, 64), np.int32)
    used = 0
    near = np.empty(n)
    who = np.empty(n, np.int32)
    for c in range(centres.size):
        found = 0
        for i in order[begin[c] : end[c]]:
            apart = distance(points[centres[c]], points[i], spherical)
            if apart <= max_radius:
                near[found] = apart
                who[found] = i
                found += 1
        ranked = np.argsort(near[:found], kind="mergesort")  # stable: ties stay in order of coordinates
        total = 0.0
        while used + found > flat.size:
            flat = np.concatenate((flat, np.empty_like(flat)))
        for place in ranked:
            total += weight[who[place]]
            if total > max_weight:
                break
            flat[used] = who[place]
            used += 1
            sizes[c] += 1
    return sizes, flat[:used].copy()
