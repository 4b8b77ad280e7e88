"""What a whole region may be expected to have shown in each span up to a moment, by feed and block of the week."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from processors.arrays import BLOCKS, Bytes, Floats, Ints, Rows, Small

HOUR = 3_600  # s
PARTS = 6  # of the week, with 0 for all of it: as many as schemas.detection.WeekPart has
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
def _add_piece(rates: Rates, feed: int, start: int, end: int, until: int, total: Floats) -> None:
    """Add what a feed, judged as of `until`, is expected to know of a piece of one clock hour."""
    n = start // HOUR - rates.first
    known = _known(rates.known, feed, rates.clock[n], until - 0.5 * (start + end))
    total[rates.part[n] * BLOCKS + rates.block[n]] += rates.rate[feed, n] * (end - start) * known


@njit(cache=True, nogil=True)
def _add_hours(rates: Rates, feed: int, newest: int, oldest: int, age_s: float, total: Floats) -> None:
    """Add what is expected to be known of whole clock hours, the newest of which has this age.

    From one hour to the next the age grows by just an hour, so that its fraction is worked out once.
    """
    known, rate, clock, block, part = rates.known, rates.rate, rates.clock, rates.block, rates.part
    below = int(age_s / HOUR)
    fraction = age_s / HOUR - below
    last = known.shape[2] - 1
    for n in range(newest - rates.first, oldest - rates.first - 1, -1):
        now = known[feed, clock[n], min(below, last)]
        if below < last and fraction > 0.0:
            now += (known[feed, clock[n], below + 1] - now) * fraction
        total[part[n] * BLOCKS + block[n]] += rate[feed, n] * HOUR * now
        below += 1


@njit(cache=True, nogil=True)
def exposure(rates: Rates, as_of: int, spans: Ints, parts: Ints) -> Floats:
    """Expected known incidents of the region in the part of (as_of - span, as_of]: [shape, feed and block].

    `spans` and `parts` are those of the shapes of windows; part 0 is all hours.
    """
    feeds = rates.heard.size
    result = np.zeros((spans.size, feeds * BLOCKS))
    total = np.empty(PARTS * BLOCKS)
    lengths = _lengths(spans)
    for f in range(feeds):
        until = known_until(rates, f, as_of)
        total[:] = 0.0
        end = min(as_of, until)
        for length in lengths:
            limit = as_of - length
            if end > limit:
                end = _add_down_to(rates, f, limit, end, until, total)
            _share_out(total, length, spans, parts, result[:, f * BLOCKS : (f + 1) * BLOCKS])
    return result


@njit(cache=True, nogil=True)
def _add_down_to(rates: Rates, feed: int, limit: int, end: int, until: int, total: Floats) -> int:
    """Add what is expected to be known of (limit, end]; returns the new end, which is `limit`."""
    start = max((end - 1) // HOUR * HOUR, limit)
    if end - start < HOUR:
        _add_piece(rates, feed, start, end, until, total)
        end = start
    if end - limit >= HOUR:  # at a full hour now
        newest, oldest = end // HOUR - 1, -(-limit // HOUR)
        _add_hours(rates, feed, newest, oldest, until - end + 0.5 * HOUR, total)
        end = oldest * HOUR
    if end > limit:
        _add_piece(rates, feed, limit, end, until, total)
    return limit


@njit(cache=True, nogil=True)
def _share_out(total: Floats, length: int, spans: Ints, parts: Ints, result: Floats) -> None:
    """Write what has been added up into the shapes of one length: [shape, block]."""
    for s in range(spans.size):
        if spans[s] == length:
            for b in range(BLOCKS):
                if parts[s] > 0:
                    result[s, b] = total[parts[s] * BLOCKS + b]
                else:
                    result[s, b] = 0.0
                    for part in range(1, PARTS):
                        result[s, b] += total[part * BLOCKS + b]


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
    total = np.empty(PARTS * BLOCKS)
    shown = np.empty((spans.size, BLOCKS))
    lengths = _lengths(spans)
    for now in range(begin // HOUR, (end - 1) // HOUR + 1):
        for f in range(feeds):
            until = _heard_by(rates, f, now * HOUR, begin)
            total[:] = 0.0
            newest = min(now, until // HOUR) - 1
            for length in lengths:
                oldest = -(-((now + 1) * HOUR - length) // HOUR)
                if oldest <= newest:
                    # The age of the last moment of each hour: it may be cut in two.
                    _add_hours(rates, f, newest, oldest, float(until - (newest + 1) * HOUR), total)
                    newest = oldest - 1
                _share_out(total, length, spans, parts, shown)
            for s in range(spans.size):
                of_feed = 0.0
                for b in range(BLOCKS):
                    of_feed += shown[s, b]
                    least[s, f * BLOCKS + b] = min(least[s, f * BLOCKS + b], shown[s, b] * ROUNDING)
                least_of_feed[s, f] = min(least_of_feed[s, f], of_feed * ROUNDING)
    return least, least_of_feed
