"""Incidents as they would be if nothing but the usual happened: drawn from a fitted baseline, with its dispersion."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from processors.arrays import BLOCKS, COLUMNS, KINDS, Bytes, Floats, Ints, Small
from processors.baseline import Baseline
from processors.dispersion import GROUP_HOURS, WEEK_HOURS, Dispersion
from processors.exposure import Rates
from processors.localtime import HOUR_S, LocalHours
from processors.masses import find_rows
from processors.shares import CHILDREN, LARGE_SHIFT, SMALL_SHIFT, Places, unpack, unseen
from schemas.located import pack_cell


class NullIncidents(NamedTuple):
    """Simulated incidents, in the order in which they become known."""

    kind: Bytes
    ix: Small
    iy: Small
    occurred: Ints
    known: Ints
    """When the incident becomes known, s."""


class _Entries(NamedTuple):
    """Where an incident can fall: seen cells, then unseen cells lumped by small tile, large tile and elsewhere.

    Sorted by unit: a small tile with its cells, or a lump of no small tile, which local factors leave alone.
    """

    entry: Ints
    """Number of an entry before sorting; what `_cells` understands."""
    upto: Floats
    """[entry, kind and block] running sum of shares."""
    start: Ints
    """First entry of each unit; one more at the end."""
    large: Ints
    """Large tile of each unit; one past the last for elsewhere."""
    small: int
    """Units that are small tiles; they come first."""


def simulate_null(
    baseline: Baseline,
    dispersion: Dispersion,
    local: LocalHours,
    begin: int,
    weeks: int,
    merge_s: int,
    rng: np.random.Generator,
) -> NullIncidents:
    """Draw incidents over whole weeks from `begin` (s, cut to the hour), with gamma factors of each scale.

    Cell by cell, no two incidents are as close as records that would be merged.
    """
    first = begin // HOUR_S
    rates = baseline.rates(local.hours(first, first + weeks * WEEK_HOURS - 1))
    entries = _entries(baseline)
    kinds, places, times = [], [], []
    for week in range(weeks):
        for k in range(KINDS):
            if baseline.scored[k]:
                entry, when = _draw_week(entries, rates, dispersion, k, week, rng)
                kinds.append(np.full(entry.size, k, np.uint8))
                places.append(entry)
                times.append(when)
    kind, entry, occurred = np.concatenate(kinds), np.concatenate(places), np.concatenate(times)
    ix, iy = _cells(baseline.places, entry, rng)
    order = np.lexsort((occurred, iy, ix, kind))
    kind, ix, iy, occurred = kind[order], ix[order], iy[order], occurred[order]
    same = (np.diff(kind) == 0) & (np.diff(ix) == 0) & (np.diff(iy) == 0)
    alone = np.ones(kind.size, bool)
    alone[1:] = ~(same & (np.diff(occurred) <= merge_s))
    kind, ix, iy, occurred = kind[alone], ix[alone], iy[alone], occurred[alone]
    known = occurred + _delays(baseline.known, kind, rng)
    order = np.lexsort((iy, ix, kind, occurred, known))
    return NullIncidents(
        kind[order], ix[order].astype(np.int32), iy[order].astype(np.int32), occurred[order], known[order]
    )


def _entries(baseline: Baseline) -> _Entries:
    places, shares = baseline.places, baseline.shares
    cells, in_large, elsewhere = unseen(places)
    weight = np.concatenate(
        [
            shares.cell,
            shares.small * cells[:, None],
            shares.large * in_large[:, None],
            shares.beyond[None, :] * elsewhere,
        ]
    )
    n_small, n_large = places.small.size, places.large.size
    unit = np.concatenate([places.small_of, np.arange(n_small + n_large + 1)])
    order = np.argsort(unit, kind="stable")
    start = np.searchsorted(unit[order], np.arange(n_small + n_large + 2))
    large = np.concatenate([places.large_of, np.arange(n_large + 1)])
    upto = np.concatenate([np.zeros((1, COLUMNS)), np.cumsum(weight[order], axis=0)])
    return _Entries(order, upto, start, large, n_small)


def _factors(variance: float, shape: int | tuple[int, int], rng: np.random.Generator) -> Floats:
    if variance < 1e-6:
        return np.ones(shape)
    return rng.gamma(1.0 / variance, variance, shape)


def _draw_week(
    entries: _Entries, rates: Rates, dispersion: Dispersion, kind: int, week: int, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Entries and event times of one kind in one week."""
    columns = slice(kind * BLOCKS, (kind + 1) * BLOCKS)
    hours = slice(week * WEEK_HOURS, (week + 1) * WEEK_HOURS)
    block = rates.block[hours].astype(np.int64)
    groups = WEEK_HOURS // GROUP_HOURS
    group = np.arange(WEEK_HOURS) // GROUP_HOURS
    hourly = rates.rate[kind, hours] * HOUR_S
    upto = entries.upto[:, columns]
    share = upto[entries.start[1:]] - upto[entries.start[:-1]]  # [unit, block]
    exposure: Floats = np.bincount(group * BLOCKS + block, hourly, groups * BLOCKS).astype(float)
    exposure = exposure.reshape(groups, BLOCKS) * _factors(dispersion.common[kind], groups, rng)[:, None]
    mean = (share[:, None, :] * exposure[None, :, :]).sum(axis=2)
    mean *= _factors(dispersion.weekly[kind], int(entries.large.max()) + 1, rng)[entries.large][:, None]
    mean[: entries.small] *= _factors(dispersion.local[kind], (entries.small, groups), rng)
    counts = rng.poisson(mean)
    unit, run = np.nonzero(counts)
    repeats = counts[unit, run]
    unit, run = np.repeat(unit, repeats), np.repeat(run, repeats)
    # Within its six hours an incident falls in proportion to what is usual for its unit, hour by hour.
    within = run[:, None] * GROUP_HOURS + np.arange(GROUP_HOURS)[None, :]
    odds = np.cumsum(hourly[within] * share[unit[:, None], block[within]], axis=1)
    step = (odds < (rng.random(unit.size) * odds[:, -1])[:, None]).sum(axis=1)
    hour = run * GROUP_HOURS + np.minimum(step, GROUP_HOURS - 1)
    when = (rates.first + week * WEEK_HOURS + hour) * HOUR_S + rng.integers(0, HOUR_S, unit.size)
    entry = np.empty(unit.size, np.int64)
    chance = rng.random(unit.size)
    for b in range(BLOCKS):
        mine = block[hour] == b
        low, high = upto[entries.start[unit[mine]], b], upto[entries.start[unit[mine] + 1], b]
        place = np.searchsorted(upto[:, b], low + chance[mine] * (high - low), side="right") - 1
        place = np.clip(place, entries.start[unit[mine]], entries.start[unit[mine] + 1] - 1)
        entry[mine] = entries.entry[place]
    return entry, when


def _cells(places: Places, entry: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """A cell for each entry: lumped ones are resolved evenly over the unseen cells that they stand for."""
    n_cells, n_small, n_large = places.ix.size, places.small.size, places.large.size
    ix, iy = np.zeros(entry.size, np.int64), np.zeros(entry.size, np.int64)
    seen = entry < n_cells
    ix[seen], iy[seen] = places.ix[entry[seen]], places.iy[entry[seen]]
    side = 1 << (LARGE_SHIFT - SMALL_SHIFT)
    column, line = np.zeros(entry.size, np.int64), np.zeros(entry.size, np.int64)  # small tile

    beyond = np.flatnonzero(entry == n_cells + n_small + n_large)
    in_large = np.flatnonzero((entry >= n_cells + n_small) & (entry < n_cells + n_small + n_large))
    big_x, big_y = unpack(places.large)
    x, y = np.zeros(entry.size, np.int64), np.zeros(entry.size, np.int64)
    x[in_large], y[in_large] = (v[entry[in_large] - n_cells - n_small] for v in (big_x, big_y))
    pending = beyond
    while pending.size:
        x[pending] = rng.integers(big_x.min(), big_x.max() + 1, pending.size)
        y[pending] = rng.integers(big_y.min(), big_y.max() + 1, pending.size)
        pending = pending[find_rows(places.large, pack_cell(x[pending], y[pending])) >= 0]
    pending = np.concatenate([in_large, beyond])
    while pending.size:
        column[pending] = x[pending] * side + rng.integers(0, side, pending.size)
        line[pending] = y[pending] * side + rng.integers(0, side, pending.size)
        pending = pending[find_rows(places.small, pack_cell(column[pending], line[pending])) >= 0]

    in_small = np.flatnonzero((entry >= n_cells) & (entry < n_cells + n_small))
    column[in_small], line[in_small] = (v[entry[in_small] - n_cells] for v in unpack(places.small))
    side = 1 << SMALL_SHIFT
    keys = pack_cell(places.ix.astype(np.int64), places.iy.astype(np.int64))
    pending = np.flatnonzero(~seen)
    while pending.size:
        ix[pending] = column[pending] * side + rng.integers(0, side, pending.size)
        iy[pending] = line[pending] * side + rng.integers(0, side, pending.size)
        pending = pending[find_rows(keys, pack_cell(ix[pending], iy[pending])) >= 0]
    return ix, iy


def _delays(known: Floats, kind: Bytes, rng: np.random.Generator) -> Ints:
    """How long after it happened each incident becomes known, s."""
    chance = rng.random(kind.size)
    within = rng.random(kind.size)
    delay = np.zeros(kind.size, np.int64)
    for k in range(KINDS):
        mine = kind == k
        hours = np.searchsorted(known[k], chance[mine])
        delay[mine] = np.where(hours > 0, (hours - 1 + within[mine]) * HOUR_S, 0).astype(np.int64)
    return delay


assert CHILDREN == (1 << SMALL_SHIFT) ** 2
