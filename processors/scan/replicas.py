"""Replications: cases drawn under the null, and the largest statistic that they show."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from processors.arrays import Floats, Ints, Small
from processors.scan.at_end import AtEnd, Bounds, bounds, largest_at_end, work_of
from processors.scan.circles import Circles
from processors.scan.kernels import Events, largest, least_expected_dense

Seeds = NDArray[np.uint32]


class Drawn(Protocol):
    """A null from which replications are drawn, by any number of threads."""

    def largest(self, seeds: Seeds) -> Floats:
        """The largest statistic of each replication; one seed each, and nothing else chooses its cases."""
        ...


class PermutedAtEnd:
    """Places of the cases of the last intervals, drawn from all cases without replacement: both margins stay.

    The places of earlier cases play no part in windows that end with the study period.
    """

    def __init__(self, scan: AtEnd, points: Floats, place_of_case: Small, per_back: Ints) -> None:
        self._source, self._per_back, self._places = place_of_case, per_back, points.shape[0]
        self._bounds = bounds(scan, points, float(per_back.sum()))

    def largest(self, seeds: Seeds) -> Floats:
        """The largest statistic of each replication."""
        found: Floats = _permuted_at_end(seeds, self._bounds, self._source, self._per_back, self._places)
        return found

    def draw(self, seed: int) -> Events:
        """The cases of one replication."""
        events: Events = _draw_places(seed, self._source.copy(), self._per_back, self._places)
        return events


class PoissonAtEnd:
    """All cases by a population: how many fall into the last intervals, and where and when these do."""

    def __init__(self, scan: AtEnd, points: Floats, place_weight: Floats, back_weight: Floats, part: float) -> None:
        self._part = part
        self._bounds = bounds(scan, points, part * scan.cases)
        self._place, self._back = alias_table(place_weight), alias_table(back_weight)

    def largest(self, seeds: Seeds) -> Floats:
        """The largest statistic of each replication."""
        found: Floats = _poisson_at_end(seeds, self._bounds, self._part, *self._place, *self._back)
        return found


class Dense(NamedTuple):
    """A scan of any windows; `measure` [location, interval] of the intervals that are scanned."""

    circles: Circles
    measure: Floats
    shortest: int
    longest: int
    at_end: bool
    low: int
    cases: int


class PermutedDense:
    """Intervals of all cases, shuffled over their places; those before the scanned ones are left out."""

    def __init__(self, scan: Dense, place_of_case: Small, interval_of_case: Small) -> None:
        self._scan, self._place, self._interval = scan, place_of_case, interval_of_case

    def largest(self, seeds: Seeds) -> Floats:
        """The largest statistic of each replication."""
        found: Floats = _permuted_dense(seeds, self._scan, self._place, self._interval)
        return found


class PoissonDense:
    """All cases by a population over places and intervals."""

    def __init__(self, scan: Dense, part: float) -> None:
        self._scan, self._part = scan, part
        self._table = alias_table(scan.measure.ravel())

    def largest(self, seeds: Seeds) -> Floats:
        """The largest statistic of each replication."""
        found: Floats = _poisson_dense(seeds, self._scan, self._part, *self._table)
        return found


def alias_table(weight: Floats) -> tuple[Floats, Ints]:
    """Vose's alias method: the part of each entry that is its own, and whose the rest is."""
    own, other = _alias(weight * (weight.size / weight.sum()))
    return own, other


@njit(cache=True, nogil=True)
def _alias(scaled: Floats) -> tuple[Floats, Ints]:
    n = scaled.size
    own, other = np.ones(n), np.arange(n)
    small, large = np.empty(n, np.int64), np.empty(n, np.int64)
    smalls = larges = 0
    for i in range(n):
        if scaled[i] < 1.0:
            small[smalls] = i
            smalls += 1
        else:
            large[larges] = i
            larges += 1
    while smalls and larges:
        smalls -= 1
        i, j = small[smalls], large[larges - 1]
        own[i], other[i] = scaled[i], j
        scaled[j] -= 1.0 - scaled[i]
        if scaled[j] < 1.0:
            larges -= 1
            small[smalls] = j
            smalls += 1
    return own, other


@njit(cache=True, nogil=True)
def _pick(own: Floats, other: Ints) -> int:
    at = np.random.random() * own.size
    i = min(int(at), own.size - 1)
    return i if at - i < own[i] else int(other[i])


@njit(cache=True, nogil=True)
def _sorted_events(place: Small, back: Small, places: int) -> Events:
    """By location."""
    start = np.zeros(places + 1, np.int32)
    for p in place:
        start[p + 1] += 1
    for p in range(places):
        start[p + 1] += start[p]
    free = start[:-1].copy()
    sorted_back = np.empty(back.size, np.int32)
    for i in range(place.size):
        sorted_back[free[place[i]]] = back[i]
        free[place[i]] += 1
    return Events(start, sorted_back, np.ones(back.size, np.int32))


@njit(cache=True, nogil=True)
def _draw_places(seed: int, pool: Small, per_back: Ints, places: int) -> Events:
    np.random.seed(seed)  # of this thread; compiled code has a state of its own
    n = per_back.sum()
    back = np.empty(n, np.int32)
    i = 0
    for b in range(per_back.size):
        for _ in range(per_back[b]):
            j = i + min(int(np.random.random() * (pool.size - i)), pool.size - i - 1)
            pool[i], pool[j] = pool[j], pool[i]
            back[i] = b
            i += 1
    events: Events = _sorted_events(pool[:n], back, places)
    return events


@njit(cache=True, nogil=True)
def _draw_both(
    seed: int, cases: int, part: float, own: Floats, other: Ints, back_own: Floats, back_other: Ints
) -> Events:
    np.random.seed(seed)
    n = np.random.binomial(cases, part) if part < 1.0 else cases
    place, back = np.empty(n, np.int32), np.empty(n, np.int32)
    for i in range(n):
        place[i] = _pick(own, other)
        back[i] = _pick(back_own, back_other)
    events: Events = _sorted_events(place, back, own.size)
    return events


@njit(cache=True, nogil=True)
def _shuffle(seed: int, place: Small, interval: Small, places: int, intervals: int) -> Small:
    """Counts [location, interval] with the intervals shuffled; an interval below 0 is not scanned."""
    np.random.seed(seed)
    counts = np.zeros((places, intervals), np.int32)
    for i in range(interval.size):
        j = i + min(int(np.random.random() * (interval.size - i)), interval.size - i - 1)
        interval[i], interval[j] = interval[j], interval[i]
        if interval[i] >= 0:
            counts[place[i], interval[i]] += 1
    return counts


@njit(cache=True, nogil=True)
def _draw_dense(seed: int, cases: int, part: float, own: Floats, other: Ints, places: int, intervals: int) -> Small:
    np.random.seed(seed)
    n = np.random.binomial(cases, part) if part < 1.0 else cases
    counts = np.zeros((places, intervals), np.int32)
    for _ in range(n):
        entry = _pick(own, other)
        counts[entry // intervals, entry % intervals] += 1
    return counts


@njit(cache=True, nogil=True)
def _largest_dense(scan: Dense, counts: Small) -> float:
    least = np.full(counts.sum() + 1, np.inf)
    least_expected_dense(
        scan.circles.start,
        scan.circles.place,
        scan.measure,
        counts,
        scan.shortest,
        scan.longest,
        scan.at_end,
        least,
    )
    return float(largest(least, scan.low, float(scan.cases)))


@njit(cache=True, nogil=True)
def _permuted_at_end(seeds: Seeds, bound: Bounds, source: Small, per_back: Ints, places: int) -> Floats:
    found, work = np.empty(seeds.size), work_of(bound.scan)
    pool = source.copy()
    for i in range(seeds.size):
        pool[:] = source
        found[i] = largest_at_end(bound, _draw_places(seeds[i], pool, per_back, places), work)
    return found


@njit(cache=True, nogil=True)
def _poisson_at_end(
    seeds: Seeds,
    bound: Bounds,
    part: float,
    own: Floats,
    other: Ints,
    back_own: Floats,
    back_other: Ints,
) -> Floats:
    found, work = np.empty(seeds.size), work_of(bound.scan)
    for i in range(seeds.size):
        events = _draw_both(seeds[i], bound.scan.cases, part, own, other, back_own, back_other)
        found[i] = largest_at_end(bound, events, work)
    return found


@njit(cache=True, nogil=True)
def _permuted_dense(seeds: Seeds, scan: Dense, place: Small, interval: Small) -> Floats:
    found = np.empty(seeds.size)
    places, intervals = scan.measure.shape
    for i in range(seeds.size):
        found[i] = _largest_dense(scan, _shuffle(seeds[i], place, interval.copy(), places, intervals))
    return found


@njit(cache=True, nogil=True)
def _poisson_dense(seeds: Seeds, scan: Dense, part: float, own: Floats, other: Ints) -> Floats:
    found = np.empty(seeds.size)
    places, intervals = scan.measure.shape
    for i in range(seeds.size):
        counts = _draw_dense(seeds[i], scan.cases, part, own, other, places, intervals)
        found[i] = _largest_dense(scan, counts)
    return found
