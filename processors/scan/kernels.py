"""Numba kernels of scans: the best window of each centre, and the largest statistic of a replication.

A replication is told by one number, so it keeps for each count the smallest expectation, and takes logarithms once, at
the end. Where windows end with the study period, most of them need no look: `at_end` passes over these.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from processors.arrays import Floats, Ints, Small
from processors.scan.circles import Circles

#: Better than by rounding: of equal windows the first stays, the smaller circle and the shorter span.
MORE: Final = 1.0 + 1e-12


class Events(NamedTuple):
    """Cases of the scanned intervals by location: of location l those from start[l] to start[l + 1]."""

    start: Small
    back: Small
    """Intervals before the last one."""
    number: Small


class Best(NamedTuple):
    """The best window of each centre; 0 observed where none has more than expected."""

    observed: Ints
    expected: Floats
    statistic: Floats
    size: Ints
    """Neighbours in the circle."""
    first: Ints
    """First interval of the window, and the one after its last."""
    after: Ints


@njit(cache=True, nogil=True)
def _nothing(centres: int) -> Best:
    return Best(
        np.zeros(centres, np.int64),
        np.zeros(centres),
        np.zeros(centres),
        np.zeros(centres, np.int64),
        np.zeros(centres, np.int64),
        np.zeros(centres, np.int64),
    )


@njit(cache=True, nogil=True)
def log_likelihood_ratio(count: float, expected: float, cases: float) -> float:
    """c·ln(c/μ) + (C - c)·ln((C - c)/(C - μ)) where c > μ, else 0 (Kulldorff 1997, 2001)."""
    if count <= expected:
        return 0.0
    ratio = count * math.log(count / expected)
    if cases > count:
        ratio += (cases - count) * math.log((cases - count) / (cases - expected))
    return ratio


@njit(cache=True, nogil=True)
def largest(least: Floats, low: int, cases: float) -> float:
    """The largest statistic, given the smallest expectation of each count."""
    best = 0.0
    for count in range(low, least.size):
        if least[count] < count:
            best = max(best, log_likelihood_ratio(float(count), least[count], cases))
    return best


# --- windows that end with the study period, expectation = mass of the circle × share of the span -------------------


@njit(cache=True, nogil=True)
def masses(circles: Circles, weight: Floats) -> Floats:
    """[neighbour] sum of the weights of a centre's neighbours up to this one."""
    result = np.empty(circles.place.size)
    for centre in range(circles.start.size - 1):
        total = 0.0
        for n in range(circles.start[centre], circles.start[centre + 1]):
            total += weight[circles.place[n]]
            result[n] = total
    return result


@njit(cache=True, nogil=True)
def best_at_end(
    circles: Circles, mass: Floats, share: Floats, shortest: int, events: Events, low: int, cases: float, scale: float
) -> Best:
    """The best window of each centre. The expectation is mass × share / scale."""
    centres, spans = circles.start.size - 1, share.size
    best: Best = _nothing(centres)
    by_back = np.empty(spans, np.int64)
    for centre in range(centres):
        by_back[:] = 0
        begin = circles.start[centre]
        for n in range(begin, circles.start[centre + 1]):
            place = circles.place[n]
            if events.start[place] == events.start[place + 1]:
                continue
            for e in range(events.start[place], events.start[place + 1]):
                by_back[events.back[e]] += events.number[e]
            count = 0
            for back in range(spans):
                count += by_back[back]
                if count < low or back < shortest - 1 or (by_back[back] == 0 and back != shortest - 1):
                    continue
                expected = mass[n] * share[back] / scale
                statistic = log_likelihood_ratio(float(count), expected, cases)
                if statistic > best.statistic[centre] * MORE:
                    best.observed[centre] = count
                    best.expected[centre] = expected
                    best.statistic[centre] = statistic
                    best.size[centre] = n - begin + 1
                    best.first[centre] = spans - 1 - back
                    best.after[centre] = spans
    return best


@njit(cache=True, nogil=True)
def apart(circles: Circles, size: Ints, order: Ints) -> Ints:
    """Centres, taken in an order, whose first `size` neighbours share no location with those of one before."""
    taken = np.zeros(circles.start.size - 1, np.bool_)
    chosen = np.empty(order.size, np.int64)
    n = 0
    for centre in order:
        members = circles.place[circles.start[centre] : circles.start[centre] + size[centre]]
        free = True
        for place in members:
            free &= not taken[place]
        if free:
            taken[members] = True
            chosen[n] = centre
            n += 1
    return chosen[:n].copy()


# --- any windows, any expectation --------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def least_expected_dense(
    start: Ints,
    place: Small,
    measure: Floats,
    counts: Small,
    shortest: int,
    longest: int,
    at_end: bool,
    least: Floats,
) -> None:
    """For each count the smallest expectation of a window with it. `measure`, `counts`: [location, interval]."""
    intervals = counts.shape[1]
    count = np.empty(intervals + 1, np.int64)
    expected = np.empty(intervals + 1)
    for centre in range(start.size - 1):
        count[:] = 0
        expected[:] = 0.0
        for n in range(start[centre], start[centre + 1]):
            here = place[n]
            some = _add(count, expected, counts, measure, here)
            if not some or count[intervals] < 2:
                continue
            for after in range(intervals if at_end else shortest, intervals + 1):
                for first in range(after - shortest, max(after - longest, 0) - 1, -1):
                    c = count[after] - count[first]
                    mu = expected[after] - expected[first]
                    if mu < least[c]:
                        least[c] = mu


@njit(cache=True, nogil=True)
def _add(count: Ints, expected: Floats, counts: Small, measure: Floats, place: int) -> bool:
    """Add a location to the sums up to each interval; whether it has cases."""
    more = 0
    mass = 0.0
    for t in range(counts.shape[1]):
        more += counts[place, t]
        mass += measure[place, t]
        count[t + 1] += more
        expected[t + 1] += mass
    return more > 0


@njit(cache=True, nogil=True)
def best_dense(
    circles: Circles,
    measure: Floats,
    counts: Small,
    shortest: int,
    longest: int,
    at_end: bool,
    low: int,
    cases: float,
) -> Best:
    """The best window of each centre."""
    centres, intervals = circles.start.size - 1, counts.shape[1]
    best: Best = _nothing(centres)
    count = np.empty(intervals + 1, np.int64)
    expected = np.empty(intervals + 1)
    for centre in range(centres):
        count[:] = 0
        expected[:] = 0.0
        begin = circles.start[centre]
        for n in range(begin, circles.start[centre + 1]):
            if not _add(count, expected, counts, measure, circles.place[n]):
                continue
            for after in range(intervals if at_end else shortest, intervals + 1):
                for first in range(after - shortest, max(after - longest, 0) - 1, -1):
                    c = count[after] - count[first]
                    mu = expected[after] - expected[first]
                    if c < low or c <= mu:
                        continue
                    statistic = log_likelihood_ratio(float(c), mu, cases)
                    if statistic > best.statistic[centre] * MORE:
                        best.observed[centre] = c
                        best.expected[centre] = mu
                        best.statistic[centre] = statistic
                        best.size[centre] = n - begin + 1
                        best.first[centre] = first
                        best.after[centre] = after
    return best
