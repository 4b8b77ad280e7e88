"""Incidents as they would be if nothing but the usual happened: drawn from a fitted baseline, with its dispersion."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from processors.arrays import BLOCKS, COLUMNS, KINDS, Bytes, Floats, Ints, Small
from processors.baseline import Baseline
from processors.dispersion import Dispersion, Variation
from processors.feeds import Feeds
from processors.followers import Followers, Following, draw_followers
from processors.localtime import DAY_S, HOUR_S, HOURS_A_DAY, HOURS_A_WEEK, LocalHours
from processors.masses import SIDE
from processors.shares import CHILDREN, LARGE_SHIFT, SMALL_SHIFT, Places, find_rows, unpack, unseen
from schemas.located import Kind, pack_cell


class NullIncidents(NamedTuple):
    """Simulated incidents, in the order in which they become known."""

    kind: Bytes
    ix: Small
    iy: Small
    occurred: Ints
    feed: Bytes
    """Place among the baseline's feeds."""
    known: Ints
    """When the incident becomes known, s."""


#: How long a cell's true share stays what it is: held-out months showed errors of shares to last about so long.
SHARES_WEEKS: Final = 26
#: A quarter of a day has so many hours at most, where the clock is set back.
MOST_HOURS: Final = 7


class _Entries(NamedTuple):
    """Where an incident can fall: every cell of seen small tiles, then lumps of cells by large tile and elsewhere.

    Sorted by unit: a small tile with its cells, or a lump of no small tile, which local factors leave alone.
    """

    ix: Ints
    """Of a cell; of a lump the number of its large tile, or one past the last."""
    iy: Ints
    weight: Floats
    """[entry, kind and block] fitted share."""
    variance: Floats
    """[entry, kind] of a factor on it."""
    start: Ints
    """First entry of each unit; one more at the end."""
    large: Ints
    """Large tile of each unit; one past the last for elsewhere."""
    small: int
    """Units that are small tiles; they come first."""


def simulate_null(
    baseline: Baseline,
    variation: Variation,
    local: LocalHours,
    begin: int,
    weeks: int,
    rng: np.random.Generator,
) -> NullIncidents:
    """Draw incidents over whole weeks from `begin` (s, cut to the hour), with gamma factors and followers.

    What is drawn are incidents, not records: two that would have been one had they been records stay two, for the
    dispersion was measured among incidents, where such pairs are missing already.
    """
    first = begin // HOUR_S
    hours = local.hours(first, first + weeks * HOURS_A_WEEK - 1)
    rate, block = baseline.hourly(hours), hours.block.astype(np.int64)
    dispersion, following = variation
    rate *= _leading(rate, following)[:, None]
    entries = _entries(baseline)
    kinds, places, times = [], [], []
    for week in range(weeks):
        if week % SHARES_WEEKS == 0:
            running = _running_shares(entries, rng)
        for k in range(KINDS):
            if baseline.scored[k]:
                entry, when = _draw_week(entries, running, rate[k], block, hours.six, dispersion, k, week, rng)
                kinds.append(np.full(entry.size, k, np.uint8))
                places.append(entry)
                times.append(when + hours.first * HOUR_S)
    kind, entry, occurred = np.concatenate(kinds), np.concatenate(places), np.concatenate(times)
    ix, iy = _cells(baseline.places, entries, entry, rng)
    kind, ix, iy, occurred = _with_followers(kind, ix, iy, occurred, following, rng)
    feed = _draw_feeds(baseline, kind, ix, iy, rng)
    clock = hours.clock[np.clip(occurred // HOUR_S - hours.first, 0, hours.clock.size - 1)]
    known = _draw_known(baseline.feeds, feed, occurred, clock, first * HOUR_S, rng)
    order = np.lexsort((iy, ix, kind, occurred, known))
    return NullIncidents(
        kind[order],
        ix[order].astype(np.int32),
        iy[order].astype(np.int32),
        occurred[order],
        feed[order],
        known[order],
    )


def _leading(rate: Floats, following: Following) -> Floats:
    """Part of each kind's incidents that follow none and so come by themselves."""
    part = np.ones(KINDS)
    ed, police = rate[Kind.ED].sum(), rate[Kind.POLICE].sum()
    if police > 0:
        part[Kind.POLICE] -= min(float(following.twins.part * ed / police), 1.0)
    return part * (1.0 - np.array([echoes.part for echoes in following.echoes]))


def _with_followers(
    kind: Bytes, ix: Ints, iy: Ints, occurred: Ints, following: Following, rng: np.random.Generator
) -> tuple[Bytes, Ints, Ints, Ints]:
    """Add what follows the incidents, what follows that, and police incidents of events that ED ones are of."""
    kinds, columns = [kind], [(ix, iy, occurred)]
    for k, echoes in enumerate(following.echoes):
        mine = kind == k
        _follow(echoes, k, (ix[mine], iy[mine], occurred[mine]), kinds, columns, rng)
    ed = np.concatenate(kinds) == Kind.ED
    x, y, when = (np.concatenate(column) for column in zip(*columns, strict=True))
    twins = draw_followers(following.twins, x[ed], y[ed], when[ed], rng)
    kinds.append(np.full(twins[0].size, Kind.POLICE, np.uint8))
    columns.append(twins)
    x, y, when = (np.concatenate(column) for column in zip(*columns, strict=True))
    return np.concatenate(kinds), x, y, when


def _follow(
    echoes: Followers,
    kind: int,
    leaders: tuple[Ints, Ints, Ints],
    kinds: list[Bytes],
    columns: list[tuple[Ints, Ints, Ints]],
    rng: np.random.Generator,
) -> None:
    """Add what follows the leaders, what follows that, and so on."""
    while leaders[0].size:
        leaders = draw_followers(echoes, *leaders, rng)
        kinds.append(np.full(leaders[0].size, kind, np.uint8))
        columns.append(leaders)


def _entries(baseline: Baseline) -> _Entries:
    places, shares = baseline.places, baseline.shares
    _, in_large, elsewhere = unseen(places)
    n_small, n_large = places.small.size, places.large.size
    column, line = unpack(places.small)
    inside = np.arange(SIDE)
    ix = np.broadcast_to(column[:, None, None] * SIDE + inside[:, None], (n_small, SIDE, SIDE)).ravel()
    iy = np.broadcast_to(line[:, None, None] * SIDE + inside[None, :], (n_small, SIDE, SIDE)).ravel()
    row = find_rows(pack_cell(places.ix.astype(np.int64), places.iy.astype(np.int64)), pack_cell(ix, iy))
    unit = np.repeat(np.arange(n_small), CHILDREN)
    cell = np.where((row >= 0)[:, None], shares.cell[row], shares.small[unit])
    lumps = np.arange(n_large + 1)
    return _Entries(
        np.concatenate([ix, lumps]),
        np.concatenate([iy, np.zeros_like(lumps)]),
        np.concatenate([cell, shares.large * in_large[:, None], shares.beyond[None, :] * elsewhere]),
        np.concatenate([baseline.share_variance[row], np.zeros((lumps.size, KINDS))]),
        np.concatenate([np.arange(n_small + 1) * CHILDREN, n_small * CHILDREN + 1 + lumps]),
        np.concatenate([places.large_of, lumps]),
        n_small,
    )


def _running_shares(entries: _Entries, rng: np.random.Generator) -> Floats:
    """Running sums over the entries of shares as they might truly be, by column; from 0."""
    variance = entries.variance
    shape = 1.0 / np.maximum(variance, 1e-9)
    factor = np.where(variance > 1e-6, rng.gamma(np.minimum(shape, 1e6)) / np.minimum(shape, 1e6), 1.0)
    weight = entries.weight * np.repeat(factor, BLOCKS, axis=1)
    return np.concatenate([np.zeros((1, COLUMNS)), np.cumsum(weight, axis=0)])


def _factors(variance: float, shape: int | tuple[int, int], rng: np.random.Generator) -> Floats:
    if variance < 1e-6:
        return np.ones(shape)
    return rng.gamma(1.0 / variance, variance, shape)


def _draw_week(
    entries: _Entries,
    running: Floats,
    rate: Floats,
    block: Ints,
    six: Ints,
    dispersion: Dispersion,
    kind: int,
    week: int,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Entries of one kind in one week, and their times since the beginning of all weeks."""
    columns = slice(kind * BLOCKS, (kind + 1) * BLOCKS)
    hours = slice(week * HOURS_A_WEEK, (week + 1) * HOURS_A_WEEK)
    block = block[hours]
    group = six[hours] - six[hours.start]
    groups = int(group[-1]) + 1
    begins = np.searchsorted(group, np.arange(groups + 1))
    hourly = rate[hours] * HOUR_S
    upto = running[:, columns]
    share = upto[entries.start[1:]] - upto[entries.start[:-1]]  # [unit, block]
    exposure: Floats = np.bincount(group * BLOCKS + block, hourly, groups * BLOCKS).astype(float)
    exposure = exposure.reshape(groups, BLOCKS) * _factors(dispersion.common[kind], groups, rng)[:, None]
    mean = (share[:, None, :] * exposure[None, :, :]).sum(axis=2)
    mean *= _factors(dispersion.weekly[kind], int(entries.large.max()) + 1, rng)[entries.large][:, None]
    counts = rng.poisson(mean)
    unit, run = np.nonzero(counts)
    repeats = counts[unit, run]
    unit, run = np.repeat(unit, repeats), np.repeat(run, repeats)
    # Within its six hours an incident falls in proportion to what is usual for its unit, hour by hour.
    within = np.minimum(begins[run][:, None] + np.arange(MOST_HOURS)[None, :], HOURS_A_WEEK - 1)
    odds = hourly[within] * share[unit[:, None], block[within]] * (group[within] == run[:, None])
    odds = np.cumsum(odds, axis=1)
    step = (odds < (rng.random(unit.size) * odds[:, -1])[:, None]).sum(axis=1)
    hour = np.minimum(begins[run] + step, begins[run + 1] - 1)
    when = (week * HOURS_A_WEEK + hour) * HOUR_S + rng.integers(0, HOUR_S, unit.size)
    entry = np.empty(unit.size, np.int64)
    chance = rng.random(unit.size)
    for b in range(BLOCKS):
        mine = block[hour] == b
        low, high = upto[entries.start[unit[mine]], b], upto[entries.start[unit[mine] + 1], b]
        place = np.searchsorted(upto[:, b], low + chance[mine] * (high - low), side="right") - 1
        entry[mine] = np.clip(place, entries.start[unit[mine]], entries.start[unit[mine] + 1] - 1)
    return entry, when


def _cells(places: Places, entries: _Entries, entry: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """The cell of each entry: lumps are resolved evenly over the unseen cells that they stand for."""
    ix, iy = entries.ix[entry].copy(), entries.iy[entry].copy()
    lumped = np.flatnonzero(entry >= entries.start[entries.small])
    x, y = unpack(places.large)
    tile = ix[lumped]
    column, line = np.append(x, 0)[tile], np.append(y, 0)[tile]
    pending = np.flatnonzero(tile == x.size)
    while pending.size:
        column[pending] = rng.integers(x.min(), x.max() + 1, pending.size)
        line[pending] = rng.integers(y.min(), y.max() + 1, pending.size)
        pending = pending[find_rows(places.large, pack_cell(column[pending], line[pending])) >= 0]
    pending = np.arange(lumped.size)
    side = 1 << LARGE_SHIFT
    while pending.size:
        at = lumped[pending]
        ix[at] = column[pending] * side + rng.integers(0, side, pending.size)
        iy[at] = line[pending] * side + rng.integers(0, side, pending.size)
        tiles = pack_cell(ix[at] >> SMALL_SHIFT, iy[at] >> SMALL_SHIFT)
        pending = pending[find_rows(places.small, tiles) >= 0]
    return ix, iy


def _draw_feeds(baseline: Baseline, kind: Bytes, ix: Ints, iy: Ints, rng: np.random.Generator) -> Bytes:
    """The feed of each incident, in proportion to the parts that feeds have where it happened."""
    feeds, large = baseline.feeds, baseline.places.large
    tile = find_rows(large, pack_cell(ix.astype(np.int64) >> LARGE_SHIFT, iy.astype(np.int64) >> LARGE_SHIFT))
    feed = np.zeros(kind.size, np.uint8)
    chance = rng.random(kind.size)
    for k in range(KINDS):
        mine = np.flatnonzero(kind == k)
        begin, end = feeds.first[k : k + 2]
        upto = np.cumsum(feeds.part[tile[mine], begin:end], axis=1)  # elsewhere is the last row, and -1
        feed[mine] = begin + np.minimum((upto < chance[mine, None]).sum(axis=1), max(end - begin - 1, 0))
    return feed


def _draw_known(feeds: Feeds, feed: Bytes, occurred: Ints, clock: Bytes, begin: int, rng: np.random.Generator) -> Ints:
    """When each incident becomes known, s: after its delay, or by the delivery that finds it old enough."""
    chance, within = rng.random(feed.size), rng.random(feed.size)
    known = occurred.copy()
    for f in range(feeds.kind.size):
        for hour in range(HOURS_A_DAY):
            mine = (feed == f) & (clock == hour)
            late = np.searchsorted(feeds.known[f, hour], chance[mine])
            known[mine] += np.where(late > 0, (late - 1 + within[mine]) * HOUR_S, 0).astype(np.int64)
        if feeds.batches[f]:
            mine = feed == f
            deliveries = _repeated(feeds, f, begin, int(known[mine].max(initial=begin)))
            known[mine] = deliveries[np.searchsorted(deliveries, known[mine])]
    return known


def _repeated(feeds: Feeds, feed: int, begin: int, end: int) -> Ints:
    """The deliveries of a feed, over and over in the rhythm of its last weeks, to beyond an end."""
    pattern = feeds.deliveries[feeds.delivered[feed] : feeds.delivered[feed + 1]]
    if not pattern.size:
        return np.array([end], np.int64)
    weeks = -(-int(-pattern[0]) // (7 * DAY_S))
    times = -(-(end - begin) // (weeks * 7 * DAY_S)) + 2
    return (begin + np.arange(times)[:, None] * weeks * 7 * DAY_S + pattern[None, :]).ravel()


assert CHILDREN == SIDE**2
