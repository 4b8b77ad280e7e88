"""How much more a region's own history varies than chance alone has it.

A warm night brings more everywhere, a bad week more in one quarter, and violence is followed by violence near by
(followers.py). None of this is a hotspot that emerges; a null without it would be too quiet.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from processors.arrays import BLOCKS, KINDS, Bytes, Floats, Ints
from processors.baseline import Baseline, taught_period
from processors.followers import MEAN_LAGS_S, Followers, Following, measure_following
from processors.incidents import Incidents
from processors.localtime import DAY_S, HOUR_S, Hours, LocalHours
from processors.season import running_level
from processors.shares import find_rows, large_tile_totals
from schemas.detection import DetectionSettings
from schemas.located import pack_cell

#: Expected pairs of incidents in one unit that stand against an estimate: few pairs, and it is held near none.
PAIRS_STRENGTH: Final = 10.0
MOST: Final = 2.0


class Dispersion(NamedTuple):
    """Variance of gamma factors of mean 1, by kind: rates are multiplied by one of each scale."""

    common: tuple[float, ...]
    """One factor for the whole region, every six hours."""
    weekly: tuple[float, ...]
    """One for each large tile and week."""


class Variation(NamedTuple):
    """All that a region's history shows beyond independent incidents at the expected rates."""

    dispersion: Dispersion
    following: Following


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
    together: float
    """Followers of an incident within its own run."""


def measure_variation(
    found: Incidents, baseline: Baseline, settings: DetectionSettings, local: LocalHours
) -> Variation:
    """Measure over the days that the baseline was learned from; season and slow changes of level are no variation."""
    following = measure_following(found, *taught_period(baseline.fitted_at, settings))
    return Variation(measure_dispersion(found, baseline, following, settings, local), following)


def measure_dispersion(
    found: Incidents, baseline: Baseline, following: Following, settings: DetectionSettings, local: LocalHours
) -> Dispersion:
    """Over-dispersion beyond what followers bring, with runs of hours of the local clock."""
    begin, end = taught_period(baseline.fitted_at, settings)
    places = baseline.places
    cells = pack_cell(places.ix.astype(np.int64), places.iy.astype(np.int64))
    large = large_tile_totals(places, baseline.shares)
    measured = np.zeros((2, KINDS))
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
        tile = places.large_of[places.small_of[row[known]]]
        six, week = (_runs(past, hours.block, run) for run in (hours.six, hours.week))
        in_six, in_week = (run[hour[known]] - run[0] for run in (hours.six, hours.week))
        of_kind = large[:, k * BLOCKS : (k + 1) * BLOCKS]
        echoes = following.echoes[k]
        common = _excess(
            _Unit(np.ones((1, BLOCKS)), np.zeros(tile.size, np.int64), six, in_six, _together(echoes, 6 * HOUR_S))
        )
        weekly = _excess(_Unit(of_kind, tile, week, in_week, _together(echoes, 7 * DAY_S)))
        # Factors multiply, so what a larger scale explains is divided out of a smaller one.
        smoothed = common * float((six.sum(axis=1) ** 2).sum() / max((week.sum(axis=1) ** 2).sum(), 1e-9))
        measured[:, k] = common, max((1.0 + weekly) / (1.0 + smoothed) - 1.0, 0.0)
    return Dispersion(*(tuple(scale) for scale in measured.tolist()))


def _together(echoes: Followers, run_s: int) -> float:
    """Echoes of an incident that fall into its own run of hours; with those that follow echoes."""
    within = np.maximum(1.0 - MEAN_LAGS_S / run_s, 0.0)
    return echoes.part / (1.0 - echoes.part) * float((echoes.chance * within).sum())


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


def _runs(past: Floats, block: Bytes, run: Ints) -> Floats:
    """Sums over runs of hours, which are numbered: [run, block]."""
    first, n = int(run[0]), int(run[-1] - run[0]) + 1
    sums: Floats = np.bincount((run - first) * BLOCKS + block, past, n * BLOCKS).astype(float).reshape(n, BLOCKS)
    return sums


def _excess(unit: _Unit) -> float:
    """v = Σ((c - μ)² - c - pairs of followers) / Σμ², held to nothing where few pairs are expected.

    All sums without the empty units.
    """
    share, exposure = unit.share, unit.exposure
    at_incidents = (share[unit.place] * exposure[unit.run]).sum()
    _, counts = np.unique(unit.place * len(exposure) + unit.run, return_counts=True)
    squares = 0.0
    for a in range(BLOCKS):
        for b in range(BLOCKS):
            squares += float((share[:, a] * share[:, b]).sum() * (exposure[:, a] * exposure[:, b]).sum())
    followers = 2.0 * unit.together * float(unit.run.size)
    excess = float((counts * (counts - 1)).sum()) - followers - 2.0 * float(at_incidents) + squares
    return min(max(excess / (squares + PAIRS_STRENGTH), 0.0), MOST)
