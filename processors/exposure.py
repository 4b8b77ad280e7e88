"""What a whole region may be expected to have shown in each span up to a moment, by feed and block of the week."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from processors.arrays import BLOCKS, Bytes, Floats, Ints, Rows, Small

HOUR = 3_600  # s
PARTS = 5  # of the week, with 0 for all of it: as many as schemas.detection.WeekPart has
# A bound is a sum in another order than what it bounds; this much covers the rounding.
ROUNDING = 1.0 - 1e-9


class Rates(NamedTuple):
    """Expected incidents a second of the whole region, hour by hour, and how much of them is known. F feeds."""

    first: int
    """Number of the first hour (hours since 1970 UTC)."""
    rate: Floats
    """Incidents a second of the kind of each feed, [F, hour]. What part is the feed's is a matter of the place."""
    block: Bytes
    """Block of the week of each hour."""
    clock: Bytes
    """Local hour of the day of each hour."""
    part: Bytes
    """Part of the week of each hour."""
    known: Floats
    """Part of a feed's incidents that is known, [F, hour of the day it happened in, whole hours of age].

    Older than the last age: as the last. By hour of the day, for a source that sends a batch each morning knows all of
    last night then, and nothing of it before.
    """
    kind: Bytes
    source: Small
    heard: Ints
    """[F] the latest sign of life of each feed, s; filled in as records come."""
    lag_s: Ints
    """[F] a feed heard within this time is judged as of now, one that was not as of when it was heard."""
    quiet_s: Ints
    """[F] a feed not heard for longer is silent."""
    silent: Bytes
    """[F] whether it was so when bounds were last worked out."""


@njit(cache=True, nogil=True)
def _known(known: Floats, feed: int, clock: int, age_s: float) -> float:
    place = age_s / HOUR
    below = int(place)
    if below >= known.shape[2] - 1:
        return float(known[feed, clock, known.shape[2] - 1])
    low, high = known[feed, clock, below], known[feed, clock, below + 1]
    return float(low + (high - low) * (place - below))


@njit(cache=True, nogil=True)
def known_until(rates: Rates, feed: int, as_of: int) -> int:
    """As of when a feed is judged: now, or when it was last heard."""
    heard = rates.heard[feed]
    return as_of if as_of - heard <= rates.lag_s[feed] else min(heard, as_of)


@njit(cache=True, nogil=True)
def hear(rates: Rates, rows: Rows) -> None:
    """Take records for signs of life of their feeds."""
    kind, source, heard = rates.kind, rates.source, rates.heard
    for i in range(rows.size):
        latest = max(rows[i]["recorded_us"] // 1_000_000, rows[i]["occurred"])
        for f in range(heard.size):
            if kind[f] == rows[i]["kind"] and source[f] == rows[i]["source"]:
                heard[f] = max(heard[f], latest)


@njit(cache=True, nogil=True)
def note_silence(rates: Rates, as_of: int) -> bool:
    """Whether any feed fell silent or was heard again since this was last asked."""
    changed = False
    for f in range(rates.heard.size):
        silent = as_of - rates.heard[f] > rates.quiet_s[f]
        changed |= silent != (rates.silent[f] == 1)
        rates.silent[f] = 1 if silent else 0
    return changed


@njit(cache=True, nogil=True)
def _lengths(spans: Ints) -> Ints:
    """Each length once, increasing."""
    ordered = np.sort(spans)
    keep = np.ones(ordered.size, np.bool_)
    keep[1:] = ordered[1:] != ordered[:-1]
    return ordered[keep]


@njit(cache=True, nogil=True)
def exposure(rates: Rates, as_of: int, spans: Ints, parts: Ints) -> Floats:
    """Expected known incidents of the region in the part of (as_of - span, as_of]: [shape, feed and block].

    `spans` and `parts` are those of the shapes of windows; part 0 is all hours.
    """
    feeds = rates.heard.size
    total = np.zeros((PARTS, feeds * BLOCKS))
    result = np.empty((spans.size, feeds * BLOCKS))
    lengths = _lengths(spans)
    until = np.empty(feeds, np.int64)
    for f in range(feeds):
        until[f] = known_until(rates, f, as_of)
    end = as_of
    for length in lengths:
        limit = as_of - length
        while end > limit:
            hour = (end - 1) // HOUR
            start = max(hour * HOUR, limit)
            block, clock = rates.block[hour - rates.first], rates.clock[hour - rates.first]
            part = rates.part[hour - rates.first]
            for f in range(feeds):
                last = min(end, until[f])
                if last > start:
                    age = until[f] - 0.5 * (start + last)
                    more = rates.rate[f, hour - rates.first] * (last - start) * _known(rates.known, f, clock, age)
                    total[0, f * BLOCKS + block] += more
                    total[part, f * BLOCKS + block] += more
            end = start
        for s in range(spans.size):
            if spans[s] == length:
                result[s] = total[parts[s]]
    return result


@njit(cache=True, nogil=True)
def _heard_by(rates: Rates, feed: int, moment: int, begin: int) -> int:
    """The least that a feed will be judged as of, looked at from `moment` on, if it does not fall silent or awake."""
    heard, lag, quiet = rates.heard[feed], rates.lag_s[feed], rates.quiet_s[feed]
    if begin - heard > quiet:
        return int(min(heard, moment))
    if lag > 0:
        return moment
    return int(min(max(heard, moment - quiet), moment))


@njit(cache=True, nogil=True)
def least_exposure(rates: Rates, begin: int, end: int, spans: Ints, parts: Ints) -> tuple[Floats, Floats]:
    """Lower bounds of `exposure` at every moment from `begin` to `end`: by feed and block, and by feed.

    Whatever the moment within an hour, the clock hours that lie wholly in every window of that hour are counted in
    full, and an age only grows until the window is looked at. They hold while no feed falls silent or is heard again.
    """
    feeds = rates.heard.size
    least = np.full((spans.size, feeds * BLOCKS), np.inf)
    least_of_feed = np.full((spans.size, feeds), np.inf)
    total = np.empty((PARTS, feeds * BLOCKS))
    until = np.empty(feeds, np.int64)
    lengths = _lengths(spans)
    for now in range(begin // HOUR, (end - 1) // HOUR + 1):
        total[...] = 0.0
        for f in range(feeds):
            until[f] = _heard_by(rates, f, now * HOUR, begin)
        hour = now - 1
        for length in lengths:
            while hour * HOUR >= (now + 1) * HOUR - length:
                block, clock = rates.block[hour - rates.first], rates.clock[hour - rates.first]
                part = rates.part[hour - rates.first]
                for f in range(feeds):
                    if (hour + 1) * HOUR <= until[f]:
                        age = float(until[f] - (hour + 1) * HOUR)  # that of its last moment: an hour may be cut in two
                        more = rates.rate[f, hour - rates.first] * HOUR * _known(rates.known, f, clock, age)
                        total[0, f * BLOCKS + block] += more
                        total[part, f * BLOCKS + block] += more
                hour -= 1
            for s in range(spans.size):
                if spans[s] == length:
                    for f in range(feeds):
                        of_feed = 0.0
                        for b in range(BLOCKS):
                            column = f * BLOCKS + b
                            of_feed += total[parts[s], column]
                            least[s, column] = min(least[s, column], total[parts[s], column] * ROUNDING)
                        least_of_feed[s, f] = min(least_of_feed[s, f], of_feed * ROUNDING)
    return least, least_of_feed
