"""How much more a region's own history varies than chance alone has it, at three scales of place and time.

A warm night brings more everywhere, a bad week more in one quarter, and violence is followed by violence near by.
None of this is a hotspot that emerges; a null without it would be too quiet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from processors.arrays import BLOCKS, KINDS, Bytes, Floats, Ints
from processors.baseline import Baseline, taught_period
from processors.incidents import Incidents
from processors.localtime import DAY_S, HOUR_S, Hours, LocalHours
from processors.masses import find_rows
from processors.season import running_level
from processors.shares import large_tile_totals, small_tile_totals
from schemas.detection import DetectionSettings
from schemas.located import Kind, pack_cell

GROUP_HOURS: Final = 6
WEEK_HOURS: Final = 168
#: Expected pairs of incidents in one unit that stand against an estimate: few pairs, and it is held near none.
PAIRS_STRENGTH: Final = 10.0
MOST: Final = 2.0
#: How close an ED and a police incident must be to be taken for one event, and how far weeks are shifted to see chance.
TWIN_WITHIN_S: Final = 3 * HOUR_S
TWIN_WITHIN_CELLS: Final = 2
TWIN_SHIFTS: Final = (-4, -3, -2, -1, 1, 2, 3, 4)


class Dispersion(NamedTuple):
    """Variance of gamma factors of mean 1, by kind: rates are multiplied by one of each scale."""

    common: tuple[float, ...]
    """One factor for the whole region, every six hours."""
    weekly: tuple[float, ...]
    """One for each large tile and week."""
    local: tuple[float, ...]
    """One for each small tile, every six hours."""


class Twins(NamedTuple):
    """Events that both kinds report: an attendance whose assault the police know too. Never linked, only counted."""

    part: float
    """Part of the ED incidents with a police incident of the same event."""
    apart: Ints
    """[pair; columns, rows, seconds] how far the police incident lies from the ED one, in pairs that were seen."""


NO_TWINS: Final = Twins(0.0, np.zeros((0, 3), np.int64))


class _Unit(NamedTuple):
    """Counts of one kind by place and run of hours, against expectations that multiply share and exposure."""

    share: Floats
    """[place, block]"""
    place: Ints
    """Of each incident."""
    exposure: Floats
    """[run of hours, block]"""
    run: Ints
    """Of each incident."""


def measure_dispersion(
    found: Incidents, baseline: Baseline, settings: DetectionSettings, local: LocalHours
) -> Dispersion:
    """Measure over the days that the baseline was learned from; season and slow changes of level are no dispersion."""
    begin, end = taught_period(baseline.fitted_at, settings)
    places = baseline.places
    cells = pack_cell(places.ix.astype(np.int64), places.iy.astype(np.int64))
    small, large = small_tile_totals(places, baseline.shares), large_tile_totals(places, baseline.shares)
    measured = np.zeros((3, KINDS))
    for k in range(KINDS):
        mine = (found.kind == k) & (found.occurred > begin) & (found.occurred <= end)
        if not baseline.scored[k] or not mine.any():
            continue
        occurred = found.occurred[mine]
        row = find_rows(cells, pack_cell(found.ix[mine].astype(np.int64), found.iy[mine].astype(np.int64)))
        hours = local.hours(int(occurred.min()) // HOUR_S + 24, end // HOUR_S - 1)
        past = _past(baseline, k, hours, occurred, settings.level_days)
        hour = occurred // HOUR_S - hours.first
        known = (row >= 0) & (hour >= 0) & (hour < past.size)
        tile = places.small_of[row[known]]
        columns = slice(k * BLOCKS, (k + 1) * BLOCKS)
        six, week = (_runs(past, hours.block, length) for length in (GROUP_HOURS, WEEK_HOURS))
        in_six, in_week = ((past.size - 1 - hour[known]) // length for length in (GROUP_HOURS, WEEK_HOURS))
        nowhere = np.zeros(tile.size, np.int64)
        common = _excess(_Unit(np.ones((1, BLOCKS)), nowhere, six, in_six))
        weekly = _excess(_Unit(large[:, columns], places.large_of[tile], week, in_week))
        near = _excess(_Unit(small[:, columns], tile, six, in_six))
        # Factors multiply, so what a larger scale explains is divided out of a smaller one.
        smoothed = common * float((six.sum(axis=1) ** 2).sum() / max((week.sum(axis=1) ** 2).sum(), 1e-9))
        weekly = max((1.0 + weekly) / (1.0 + smoothed) - 1.0, 0.0)
        measured[:, k] = common, weekly, max((1.0 + near) / ((1.0 + common) * (1.0 + weekly)) - 1.0, 0.0)
    return Dispersion(*(tuple(scale) for scale in measured.tolist()))


def measure_twins(found: Incidents, begin: int, end: int) -> Twins:
    """Pairs of an ED and a police incident that are close in place and time, beyond those that chance makes.

    What chance makes is seen in the same weeks shifted: pairs as close in place, whole weeks apart in time.
    """
    taught = (found.occurred > begin) & (found.occurred <= end)
    ed, police = (np.flatnonzero(taught & (found.kind == k)) for k in (Kind.ED, Kind.POLICE))
    if not ed.size or not police.size:
        return NO_TWINS
    police = police[np.argsort(found.occurred[police], kind="stable")]
    close = _pairs(found, ed, police, 0)
    by_chance = [len(_pairs(found, ed, police, shift * 7 * DAY_S)) for shift in TWIN_SHIFTS]
    excess = len(close) - float(np.mean(by_chance))
    if excess <= 2.0 * np.sqrt(len(close) + 1.0):  # no more than chance may well make
        return NO_TWINS
    return Twins(min(excess / ed.size, 1.0), close)


def _pairs(found: Incidents, ed: Ints, police: Ints, shift: int) -> Ints:
    """How far apart the pairs are that are close once police times are shifted: [pair; columns, rows, seconds]."""
    when = found.occurred[police] + shift
    low = np.searchsorted(when, found.occurred[ed] - TWIN_WITHIN_S)
    high = np.searchsorted(when, found.occurred[ed] + TWIN_WITHIN_S, side="right")
    a = np.repeat(ed, high - low)
    place = np.arange(a.size) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + np.repeat(low, high - low)
    b = police[place]
    apart = np.stack(
        [
            found.ix[b].astype(np.int64) - found.ix[a],
            found.iy[b].astype(np.int64) - found.iy[a],
            found.occurred[b] + shift - found.occurred[a],
        ],
        axis=1,
    )
    near: Ints = apart[apart[:, 0] ** 2 + apart[:, 1] ** 2 <= TWIN_WITHIN_CELLS**2]
    return near


def _past(baseline: Baseline, kind: int, hours: Hours, occurred: Ints, level_days: int) -> Floats:
    """Incidents expected in each past hour, at the level of the weeks around it."""
    season = baseline.seasons[kind]
    assert season is not None
    first = int(hours.day[0])
    hour = occurred // HOUR_S - hours.first
    inside = (hour >= 0) & (hour < hours.day.size)
    days = int(hours.day[-1]) - first + 1
    totals = np.bincount(hours.day[hour[inside]] - first, minlength=days).astype(float)
    rate = season.rate(hours) * HOUR_S / season.level
    fitted: Floats = np.bincount(hours.day - first, rate, days).astype(float)
    past: Floats = rate * running_level(totals, fitted, level_days)[hours.day - first]
    return past


def _runs(past: Floats, block: Bytes, length: int) -> Floats:
    """Sums over runs of so many hours, counted back from the end: [run, block]."""
    run = (past.size - 1 - np.arange(past.size)) // length
    n = int(run[0]) + 1
    sums: Floats = np.bincount(run * BLOCKS + block, past, n * BLOCKS).astype(float).reshape(n, BLOCKS)
    return sums


def _excess(unit: _Unit) -> float:
    """v = Σ((c - μ)² - c) / Σμ², held to nothing where few pairs are expected; all sums without the empty units."""
    share, exposure = unit.share, unit.exposure
    at_incidents = (share[unit.place] * exposure[unit.run]).sum()
    _, counts = np.unique(unit.place * len(exposure) + unit.run, return_counts=True)
    squares = 0.0
    for a in range(BLOCKS):
        for b in range(BLOCKS):
            squares += float((share[:, a] * share[:, b]).sum() * (exposure[:, a] * exposure[:, b]).sum())
    excess = float((counts * (counts - 1)).sum()) - 2.0 * float(at_incidents) + squares
    return min(max(excess / (squares + PAIRS_STRENGTH), 0.0), MOST)


assert DAY_S % (GROUP_HOURS * HOUR_S) == 0
