"""Numba kernels of scans: the best window of each centre, and the largest statistic of a replication.

A replication is told by one number, so most windows need no look: those at the end of the study pass over what cannot
exceed the best so far; the others keep for each count the smallest expectation, and take logarithms once, at the end.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from processors.arrays import Floats, Ints, Small
from processors.scan.circles import Circles

#: Bands of spans that are judged together, each half as long as the one before; `largest_at_end` spells them out.
BANDS: Final = 4
#: Better than by rounding: of equal windows the first stays, the smaller circle and the shorter span.
MORE: Final = 1.0 + 1e-12
#: A factor that makes a solution from below one from above.
HAIR: Final = 1.0 + 1e-6


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
def largest_expectation(count: int, statistic: float, cases: float, start: float) -> float:
    """An expectation that is at least the largest with which a count can exceed a statistic.

    Solves c·ln(c/μ) - (c - μ) = λ - c²/2(C - c), which leaves out no solution, for the second term of the log
    likelihood ratio is between -(c - μ) and that plus (c - μ)²/2(C - c). Newton's method from below, then a hair more;
    `start` is 0 or known to be below, such as the solution for a smaller count.
    """
    if count >= cases:
        return float(count)
    wanted = statistic - 0.5 * count * count / (cases - count)
    if wanted <= 0.0:
        return float(count)
    mu = max(count * math.exp(-wanted / count - 1.0), start)
    for _ in range(100):
        above = mu * HAIR
        if above >= count or count * math.log(count / above) - count + above <= wanted:
            return min(above, float(count))
        mu += (count * math.log(count / mu) - count + mu - wanted) / (count / mu - 1.0)
    return float(count)


@njit(cache=True, nogil=True)
def _set_limits(limit: Floats, known: int, to: int, low: int, statistic: float, cases: float, scale: float) -> None:
    """Limits of expectation × scale for the counts known..to; -1 for counts that are too few.

    In place: to bind a name anew within a loop costs Numba a count of references at each step.
    """
    for count in range(known, to + 1):
        start = max(limit[count - 1], 0.0) / scale / HAIR / HAIR if count else 0.0
        limit[count] = scale * HAIR * largest_expectation(count, statistic, cases, start) if count >= low else -1.0


@njit(cache=True, nogil=True)
def _by_band(
    share: Floats, shortest: int, event_start: Small, event_back: Small, event_count: Small
) -> tuple[Ints, Floats]:
    """Of each location, by band of spans: its events in the band's longest span, and the share of the shortest span of
    the band that holds one (infinite where none does, and so no window of the band is changed by the location).

    Band k is the spans from share.size/2^(k+1) to share.size/2^k; the last one all that are left.
    """
    spans, places = share.size, event_start.size - 1
    many, nearest = np.zeros((places, BANDS), np.int64), np.full((places, BANDS), np.inf)
    for p in range(places):
        for e in range(event_start[p], event_start[p + 1]):
            for k in range(BANDS):
                low = 0 if k == BANDS - 1 else spans >> (k + 1)
                back = max(event_back[e], low, shortest - 1)
                if back < spans >> k:
                    many[p, k] += event_count[e]
                    nearest[p, k] = min(nearest[p, k], share[back])
    return many, nearest


@njit(cache=True, nogil=True)
def largest_at_end(
    start: Ints,
    place: Small,
    mass: Floats,
    share: Floats,
    scale: float,
    shortest: int,
    low: int,
    cases: float,
    event_start: Small,
    event_back: Small,
    event_count: Small,
) -> float:
    """The largest statistic of all windows. The expectation is mass × `share` [span - 1] / scale.

    A circle is passed over when in no band of spans all events of the band's longest span would do in the shortest one
    that its last location has a say in. What is worth a closer look is picked out without branches, which would be
    guessed wrong half of the time.
    """
    spans, places = share.size, event_start.size - 1
    many, nearest = _by_band(share, shortest, event_start, event_back, event_count)
    holds = np.zeros(places, np.uint8)
    for p in range(places):
        holds[p] = event_start[p + 1] > event_start[p]
    best, known = 0.0, low
    limit = np.empty(event_count.sum() + low + 1)
    _set_limits(limit, 0, known, low, best, cases, scale)
    by_back = np.empty(spans, np.int64)
    most = np.max(np.diff(start)) + 1
    holding, worth, events = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    for centre in range(start.size - 1):
        found = total = 0
        for n in range(start[centre], start[centre + 1]):
            holding[found] = n
            found += holds[place[n]]
        for i in range(found):
            total += many[place[holding[i]], 0]
        if total < low:
            continue
        if total > known:
            _set_limits(limit, known + 1, total, low, best, cases, scale)
            known = total
        chosen = 0
        a = b = c = d = 0
        for i in range(found):
            here, sum_ = place[holding[i]], mass[holding[i]]
            a += many[here, 0]
            b += many[here, 1]
            c += many[here, 2]
            d += many[here, 3]
            events[i] = a
            worth[chosen] = i
            chosen += (
                (sum_ * nearest[here, 0] < limit[a])
                | (sum_ * nearest[here, 1] < limit[b])
                | (sum_ * nearest[here, 2] < limit[c])
                | (sum_ * nearest[here, 3] < limit[d])
            )
        if chosen == 0:
            continue
        for back in range(spans):
            by_back[back] = 0
        counted = 0
        for j in range(chosen):
            i = worth[j]
            while counted <= i:
                there = place[holding[counted]]
                for e in range(event_start[there], event_start[there + 1]):
                    by_back[event_back[e]] += event_count[e]
                counted += 1
            here_mass, count = mass[holding[i]], 0
            for back in range(spans):
                product = here_mass * share[back]
                if product >= limit[events[i]]:
                    break  # longer spans hold no more than all events, and expect more
                count += by_back[back]
                if product < limit[count] and back >= shortest - 1:
                    statistic = log_likelihood_ratio(float(count), product / scale, cases)
                    if statistic > best:
                        best, known = statistic, total
                        _set_limits(limit, 0, known, low, best, cases, scale)
    return best


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
