"""What a whole region may be expected to have shown in each span up to a moment, by kind and block of the week."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from processors.arrays import BLOCKS, COLUMNS, KINDS, Bytes, Floats, Ints

HOUR = 3_600  # s
# A bound is a sum in another order than what it bounds; this much covers the rounding.
ROUNDING = 1.0 - 1e-9


class Rates(NamedTuple):
    """Expected incidents a second of the whole region, hour by hour, and how much of an age is known."""

    first: int
    """Number of the first hour (hours since 1970 UTC)."""
    rate: Floats
    """Incidents a second, [kind, hour]."""
    block: Bytes
    """Block of the week of each hour."""
    clock: Bytes
    """Local hour of the day of each hour."""
    known: Floats
    """Part of the incidents that is known, [kind, hour of the day it happened in, whole hours of age].

    Older than the last age: as the last. By hour of the day, for a source that sends a batch each morning knows all of
    last night then, and nothing of it before.
    """


@njit(cache=True, nogil=True)
def _known(known: Floats, kind: int, clock: int, age_s: float) -> float:
    place = age_s / HOUR
    below = int(place)
    if below >= known.shape[2] - 1:
        return float(known[kind, clock, known.shape[2] - 1])
    low, high = known[kind, clock, below], known[kind, clock, below + 1]
    return float(low + (high - low) * (place - below))


@njit(cache=True, nogil=True)
def exposure(rates: Rates, as_of: int, spans: Ints) -> Floats:
    """Expected known incidents of the region in (as_of - span, as_of]: [span, kind and block]. Spans increase."""
    total = np.zeros(COLUMNS)
    result = np.empty((spans.size, COLUMNS))
    end = as_of
    for s in range(spans.size):
        limit = as_of - spans[s]
        while end > limit:
            hour = (end - 1) // HOUR
            start = max(hour * HOUR, limit)
            age = as_of - 0.5 * (start + end)
            block, clock = rates.block[hour - rates.first], rates.clock[hour - rates.first]
            for k in range(KINDS):
                total[k * BLOCKS + block] += (
                    rates.rate[k, hour - rates.first] * (end - start) * _known(rates.known, k, clock, age)
                )
            end = start
        result[s] = total
    return result


@njit(cache=True, nogil=True)
def least_exposure(rates: Rates, begin: int, end: int, spans: Ints) -> tuple[Floats, Floats]:
    """Lower bounds of `exposure` at every moment from `begin` to `end`: by kind and block, and by kind.

    Whatever the moment within an hour, the clock hours that lie wholly in every window of that hour are counted in
    full, and an age only grows until the window is looked at.
    """
    least = np.full((spans.size, COLUMNS), np.inf)
    least_of_kind = np.full((spans.size, KINDS), np.inf)
    total = np.empty(COLUMNS)
    for now in range(begin // HOUR, (end - 1) // HOUR + 1):
        total[:] = 0.0
        hour = now - 1
        for s in range(spans.size):
            while hour * HOUR >= (now + 1) * HOUR - spans[s]:
                age = (now - hour - 0.5) * HOUR
                block, clock = rates.block[hour - rates.first], rates.clock[hour - rates.first]
                for k in range(KINDS):
                    total[k * BLOCKS + block] += (
                        rates.rate[k, hour - rates.first] * HOUR * _known(rates.known, k, clock, age)
                    )
                hour -= 1
            for k in range(KINDS):
                of_kind = 0.0
                for b in range(BLOCKS):
                    column = k * BLOCKS + b
                    of_kind += total[column]
                    least[s, column] = min(least[s, column], total[column] * ROUNDING)
                least_of_kind[s, k] = min(least_of_kind[s, k], of_kind * ROUNDING)
    return least, least_of_kind
