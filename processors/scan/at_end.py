"""Windows that end with the study period: the largest statistic of a replication, with few of them looked at.

Centres that lie together are judged together first. Their circles are covered by one list of locations, each with the
smallest mass of a circle of any of them that holds it: a circle has at most the events of those listed up to its own
mass. Where that many would not do for its mass, no circle of these centres needs a look.

Spans are judged in bands: the events of the longest against the expectation of the shortest. The counts of all bands
are packed into a few words, so that one addition counts in several bands and another one compares.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from processors.arrays import Bytes, Floats, Ints, Keys, Small
from processors.scan.circles import Circles
from processors.scan.kernels import Events, best_at_end, log_likelihood_ratio

Levels = NDArray[np.uint16]
Lanes = NDArray[np.uint16 | np.uint32]

#: Centres that are judged together.
TOGETHER: Final = 4
#: Words that the counts of a location are packed into; a constant, so that loops over them are unrolled.
WORDS: Final = 4
#: Masses are told by so many levels, each a little less than the masses that it stands for.
LEVELS: Final = 512
#: Statistics to exceed are told by steps of this size, up to so many.
STEP: Final = 0.25
STEPS: Final = 64
#: A factor that makes a solution from below one from above.
HAIR: Final = 1.0 + 1e-6
#: As much smaller is what a level stands for than the masses in it, so that rounding does not matter.
LESS: Final = 1.0 - 1e-9


class AtEnd(NamedTuple):
    """A scan of windows that end with the study period, whose expectation is mass × share / scale."""

    circles: Circles
    mass: Floats
    """[neighbour] of the circle up to it."""
    share: Floats
    """[span - 1]"""
    shortest: int
    low: int
    cases: int
    scale: float


class Lists(NamedTuple):
    """Locations of each circle, or of all circles of centres that are judged together, by level of mass."""

    start: Ints
    place: Small
    level: Levels


class Bounds(NamedTuple):
    """What passes over most windows. A lane is the part of a word that holds the count of one band."""

    scan: AtEnd
    """With the centres in an order in which those that lie together stand together."""
    circles: Lists
    tiles: Lists
    one: Keys
    """[intervals before the last one, word] what an event adds."""
    room: Keys
    """[statistic, level, word] what makes the highest bit of a lane one where the count may exceed the statistic."""
    full: int
    """Events that a lane has no room for."""


class Work(NamedTuple):
    """Arrays that replications use one after the other."""

    packed: Keys
    """[location, word], of those that hold events."""
    holds: Bytes
    found: Small
    """Positions in a list of the locations that hold events."""
    sums: Keys
    by_back: Ints


def bounds(scan: AtEnd, points: Floats, events: float) -> Bounds:
    """Of a scan in whose replications so many events are to be expected in its longest span."""
    bits = 16 if 2.0 * events + 1000.0 < 2**15 else 32
    lane = np.uint16 if bits == 16 else np.uint32
    lanes, full = 64 * WORDS // bits, 2 ** (bits - 1)
    band = _bands(scan.share, lanes)
    # No events are drawn for a span that expects none.
    allowed = (np.arange(scan.share.size) >= scan.shortest - 1) & (scan.share > 0.0)
    least = np.full(lanes, np.inf)
    np.minimum.at(least, band[allowed], scan.share[allowed])
    scan = _in_order(scan, _together(points))
    edges, level = _levels(scan.mass)
    circles = Lists(scan.circles.start, scan.circles.place, level)
    room = np.empty((STEPS, LEVELS, lanes), lane)
    _set_room(room, edges, least, scan.low, float(scan.cases), scan.scale, full)
    one = (np.arange(lanes) >= band[:, None]).astype(lane)
    tiles = Lists(*_tiles(*circles))
    return Bounds(scan, circles, tiles, one.view(np.uint64), room.view(np.uint64), full)


def _in_order(scan: AtEnd, order: Small) -> AtEnd:
    """A scan with its centres in another order."""
    first, sizes = scan.circles.start[order], np.diff(scan.circles.start)[order]
    start = np.concatenate([[0], np.cumsum(sizes)])
    at = np.repeat(first - start[:-1], sizes) + np.arange(start[-1])
    return scan._replace(circles=Circles(start, scan.circles.place[at]), mass=scan.mass[at])


def _bands(share: Floats, most: int) -> Ints:
    """[intervals before the last one] band of a span, of so many at most.

    Bands are as wide in the roots of shares, for so the largest count that chance makes differs by as much in each.
    """
    roots = np.sqrt(share / max(share[-1], 1e-300))
    width = 0.01
    while True:
        band = np.unique(np.floor(roots / width), return_inverse=True)[1]
        if band[-1] < most:
            return band
        width *= 1.1


def _levels(mass: Floats) -> tuple[Floats, Levels]:
    """What each level stands for at least, and the level of each mass. Level 0 is no mass at all."""
    some = mass[mass > 0.0]
    least, most = (float(some.min()), float(some.max())) if some.size else (1.0, 1.0)
    step = math.log(most / least) / (LEVELS - 3) or 1.0
    edges = np.concatenate([[0.0], least * np.exp(step * np.arange(LEVELS - 1)) * LESS])
    level = np.floor(np.log(np.maximum(mass, 1e-300) / least) / step) + 1.0
    return edges, np.clip(level, 0, LEVELS - 1).astype(np.uint16)


def _together(points: Floats) -> Small:
    """Centres in an order in which those that lie together stand together: halves of halves, across the longer side."""
    centres = points.shape[0]
    order = np.arange(centres)
    size = TOGETHER
    while size < centres:
        size *= 2
    while size > TOGETHER:
        part = np.arange(centres) // size
        first = np.arange(0, centres, size)
        here = points[order]
        longer = np.argmax(np.maximum.reduceat(here, first) - np.minimum.reduceat(here, first), axis=1)
        order = order[np.lexsort((here[np.arange(centres), longer[part]], part))]
        size //= 2
    return order.astype(np.int32)


@njit(cache=True, nogil=True)
def _tiles(start: Ints, place: Small, level: Levels) -> tuple[Ints, Small, Levels]:
    """For each TOGETHER centres the locations of their circles, by the smallest level of a circle that holds one."""
    centres = start.size - 1
    tiles = (centres + TOGETHER - 1) // TOGETHER
    begin = np.zeros(tiles + 1, np.int64)
    places, levels = np.empty(place.size, np.int32), np.empty(place.size, np.uint16)
    least = np.full(centres, LEVELS)
    members = np.empty(centres, np.int32)
    used = 0
    for t in range(tiles):
        many = 0
        for n in range(start[t * TOGETHER], start[min((t + 1) * TOGETHER, centres)]):
            p = place[n]
            if least[p] == LEVELS:
                members[many] = p
                many += 1
            least[p] = min(least[p], level[n])
        for p in members[np.argsort(least[members[:many]])]:
            places[used] = p
            levels[used] = least[p]
            least[p] = LEVELS
            used += 1
        begin[t + 1] = used
    return begin, places[:used].copy(), levels[:used].copy()


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
def _set_room(room: Lanes, edges: Floats, least: Floats, low: int, cases: float, scale: float, full: int) -> None:
    """[statistic, level, band] `full` less the smallest count that may exceed the statistic; 0 where none does."""
    limit = np.empty(min(int(cases), full) + 2)
    for k in range(room.shape[0]):
        known = low - 1
        for band in range(least.size):
            if least[band] == np.inf:  # a lane that no span uses
                room[k, :, band] = 0
                continue
            count = low
            for level in range(edges.size):
                product = edges[level] * least[band]
                while count < full and count <= cases:
                    if count > known:
                        start = limit[known] / scale / HAIR / HAIR if known >= low else 0.0
                        limit[count] = scale * HAIR * largest_expectation(count, k * STEP, cases, start)
                        known = count
                    if product < limit[count]:
                        break
                    count += 1
                room[k, level, band] = full - count if count <= cases else 0


@njit(cache=True, nogil=True)
def work_of(scan: AtEnd) -> Work:
    """Arrays for replications of a scan."""
    places = scan.circles.start.size - 1
    return Work(
        np.zeros((places, WORDS), np.uint64),
        np.zeros(places, np.uint8),
        np.zeros(places, np.int32),
        np.zeros(WORDS, np.uint64),
        np.zeros(scan.share.size, np.int64),
    )


@njit(cache=True, nogil=True)
def largest_at_end(bound: Bounds, events: Events, work: Work) -> float:
    """The largest statistic of all windows."""
    scan = bound.scan
    if events.number.sum() >= bound.full:
        plain: Floats = best_at_end(
            scan.circles, scan.mass, scan.share, scan.shortest, events, scan.low, float(scan.cases), scan.scale
        ).statistic
        return float(plain.max())
    packed, holds, found, sums, _ = work
    _pack(events.start, events.back, events.number, bound.one, packed, holds)
    start, place, level = bound.tiles
    circle_start, circle_place, circle_level = bound.circles
    room, high = bound.room, _high(bound.full)
    best, step = 0.0, 0
    for t in range(start.size - 1):
        many = _holding(place, start[t], start[t + 1], holds, found)
        last = -1
        at = _next(place, level, found, 0, many, packed, room, step, high, sums)
        while at < many:
            last = at
            at = _next(place, level, found, at + 1, many, packed, room, step, high, sums)
        if last < 0:
            continue
        # Whatever holds more than was listed up to the next one has too large a mass.
        below = level[found[last + 1]] if last + 1 < many else LEVELS
        for centre in range(t * TOGETHER, min((t + 1) * TOGETHER, circle_start.size - 1)):
            begin = circle_start[centre]
            end = _position(circle_level, begin, circle_start[centre + 1], below)
            many = _holding(circle_place, begin, end, holds, found)
            at = _next(circle_place, circle_level, found, 0, many, packed, room, step, high, sums)
            if at < many:
                best = _largest_of_circles(bound, at, many, events, best, work)
                step = min(int(best / STEP), STEPS - 1)
    return best


@njit(cache=True, nogil=True)
def _high(full: int) -> np.uint64:
    """The highest bit of each lane."""
    return np.uint64(0x8000800080008000) if full == 2**15 else np.uint64(0x8000000080000000)


@njit(cache=True, nogil=True)
def _pack(start: Small, back: Small, number: Small, one: Keys, packed: Keys, holds: Bytes) -> None:
    """Counts of each location that holds events."""
    for p in range(start.size - 1):
        holds[p] = start[p + 1] > start[p]
        if holds[p]:
            for w in range(WORDS):
                packed[p, w] = 0
        for e in range(start[p], start[p + 1]):
            for w in range(WORDS):
                packed[p, w] += np.uint64(number[e]) * one[back[e], w]


@njit(cache=True, nogil=True)
def _holding(place: Small, begin: int, end: int, holds: Bytes, found: Small) -> int:
    """Find locations that hold events, without branches, which would be guessed wrong half of the time."""
    many = 0
    for n in range(begin, end):
        found[many] = n
        many += holds[place[n]]
    return many


@njit(cache=True, nogil=True)
def _next(
    place: Small,
    level: Levels,
    found: Small,
    at: int,
    many: int,
    packed: Keys,
    room: Keys,
    step: int,
    high: np.uint64,
    sums: Keys,
) -> int:
    """The first of the found locations, from this one on, up to which events may exceed the best; or `many`.

    The events up to the one before are in the sums, if it is not the first.
    """
    if at == 0:
        for w in range(WORDS):
            sums[w] = 0
    for i in range(at, many):
        n = found[i]
        here, there = place[n], level[n]
        lanes = np.uint64(0)
        for w in range(WORDS):
            sum_ = sums[w] + packed[here, w]
            sums[w] = sum_
            lanes |= sum_ + room[step, there, w]
        if lanes & high:
            return i
    return many


@njit(cache=True, nogil=True)
def _position(level: Levels, begin: int, end: int, below: int) -> int:
    """Where a sorted list is no longer below something."""
    while begin < end:
        middle = (begin + end) // 2
        if level[middle] < below:
            begin = middle + 1
        else:
            end = middle
    return begin


@njit(cache=True, nogil=True)
def _largest_of_circles(bound: Bounds, at: int, many: int, events: Events, best: float, work: Work) -> float:
    """The best so far, or the largest statistic of a centre's circles up to so many of the found locations.

    The first that is worth a look is known, and the events up to it are in the sums.
    """
    _, place, level = bound.circles
    packed, _, found, sums, by_back = work
    by_back[:] = 0
    counted = 0
    while at < many:
        while counted <= at:
            here = place[found[counted]]
            for e in range(events.start[here], events.start[here + 1]):
                by_back[events.back[e]] += events.number[e]
            counted += 1
        best = max(best, _largest_of_spans(bound.scan, bound.scan.mass[found[at]], by_back, best))
        step = min(int(best / STEP), STEPS - 1)
        at = _next(place, level, found, at + 1, many, packed, bound.room, step, _high(bound.full), sums)
    return best


@njit(cache=True, nogil=True)
def _largest_of_spans(scan: AtEnd, mass: float, by_back: Ints, best: float) -> float:
    count = 0
    for back in range(scan.share.size):
        count += by_back[back]
        if count >= scan.low and back >= scan.shortest - 1:
            expected = mass * scan.share[back] / scan.scale
            # The ratio is less than c·ln(c/μ), and that less than c·(c - μ)/μ: most need no logarithm.
            if count * (count - expected) > expected * best:
                best = max(best, log_likelihood_ratio(float(count), expected, float(scan.cases)))
    return best
