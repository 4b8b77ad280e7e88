"""What was at the place of a window before, by hour of the day, and how much of such a window is not known yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alerts.outline import disc
from processors.arrays import BLOCKS, KINDS, Floats, Ints
from processors.baseline import Baseline
from processors.incidents import incidents
from processors.localtime import HOURS_A_DAY, HOURS_A_WEEK, LocalHours
from schemas.alert import Compared, Spell
from schemas.base import moment
from schemas.detection import DAY_S, HOUR_S, Detection, WeekPart
from schemas.located import KIND_NAMES, Gate, Kind, LocatedArray, pick

WEEK_S: Final = 7 * DAY_S
BEFORE_S: Final = 8 * WEEK_S
CHART_WEEKS: Final = 12
YEAR_S: Final = 52 * WEEK_S
LEAST_YEAR_S: Final = 4 * WEEK_S


class AtPlace(NamedTuple):
    """Incidents in the disc of a window at any time, those of the hours of the week that it is confined to."""

    kind: Ints
    occurred: Ints


def at_place(rows: LocatedArray, window: Detection, merge_s: int, local: LocalHours) -> AtPlace:
    """Incidents among rows that count."""
    found = incidents(pick(rows, within(rows, window)), merge_s)
    kind, occurred = found.kind.astype(np.int64), found.occurred
    if window.part is not WeekPart.ANY and occurred.size:
        here = local.week_parts(occurred) == window.part
        kind, occurred = kind[here], occurred[here]
    return AtPlace(kind, occurred)


def within(rows: LocatedArray, window: Detection) -> NDArray[np.bool_]:
    """Whether rows lie in the disc of a window."""
    x, y = rows["ix"].astype(np.int64) - window.ix, rows["iy"].astype(np.int64) - window.iy
    near: NDArray[np.bool_] = x * x + y * y <= window.radius_cells**2
    return near


def during(occurred: Ints, begin: int, end: int) -> NDArray[np.bool_]:
    """Whether moments lie in (begin, end]."""
    return (occurred > begin) & (occurred <= end)


def counts_in(found: AtPlace, begin: int, end: int) -> tuple[int, ...]:
    """Incidents in (begin, end], by kind."""
    return tuple(np.bincount(found.kind[during(found.occurred, begin, end)], minlength=len(Kind)).tolist())


def by_hour(found: AtPlace, window: Detection, local: LocalHours) -> dict[str, tuple[int, ...]]:
    """Incidents of the window by local hour of the day, 24 numbers for each kind."""
    held = during(found.occurred, window.as_of - window.span_s, window.as_of)
    kind, occurred = found.kind[held], found.occurred[held]
    clock = (occurred + local.offsets(occurred)) // HOUR_S % HOURS_A_DAY
    table = np.bincount(kind * HOURS_A_DAY + clock, minlength=len(Kind) * HOURS_A_DAY).reshape(-1, HOURS_A_DAY)
    return {name: tuple(row) for name, row in zip(KIND_NAMES, table.tolist(), strict=True)}


def compared(found: AtPlace, window: Detection, known_from: int, usual_week: Mapping[str, float]) -> Compared:
    """Beside the eight weeks before, and the same time last year; `known_from` is when the records begin, s."""
    begin, end = window.as_of - window.span_s, window.as_of
    year = max(window.span_s, LEAST_YEAR_S)

    def spell(first: int, last: int) -> Spell | None:
        if first < known_from:
            return None
        counts = counts_in(found, first, last)
        per_window = [round(count * window.span_s / (last - first), 2) for count in counts]
        return Spell(
            moment(first),
            moment(last),
            dict(zip(KIND_NAMES, counts, strict=True)),
            dict(zip(KIND_NAMES, per_window, strict=True)),
        )

    weeks = [spell(end - (n + 1) * WEEK_S, end - n * WEEK_S) for n in reversed(range(CHART_WEEKS))]
    return Compared(
        last_8_weeks=spell(begin - BEFORE_S, begin),
        last_year=spell(end - YEAR_S - year, end - YEAR_S),
        weeks=tuple(week for week in weeks if week is not None),
        usual_week=dict(usual_week),
    )


def usual_in_a_week(
    baseline: Baseline, shares_of: Callable[[Ints, Ints], Floats], window: Detection, local: LocalHours
) -> dict[str, float]:
    """Incidents that are usual in the disc and hours of a window in the week up to its end, all known; by kind.

    `shares_of` gives the share of cells under the baseline: [cell, kind and block].
    """
    last = window.as_of // HOUR_S
    hours = local.hours(last - HOURS_A_WEEK, last - 1)
    rate = baseline.hourly(hours) * HOUR_S
    if window.part is not WeekPart.ANY:
        rate = np.where(hours.week_part == window.part, rate, 0.0)
    cells = np.array(disc(window.ix, window.iy, window.radius_cells), np.int64)
    shares = shares_of(cells[:, 0], cells[:, 1]).sum(axis=0).reshape(KINDS, BLOCKS)
    exposure = np.stack([np.bincount(hours.block, rate[k], BLOCKS) for k in range(KINDS)])
    usual: Floats = (shares * exposure).sum(axis=1)
    return {name: float(f"{value:.4g}") for name, value in zip(KIND_NAMES, usual.tolist(), strict=True)}


def late_share(
    baseline: Baseline, heard: tuple[int, ...], window: Detection, as_of: int, local: LocalHours
) -> dict[str, float]:
    """Of each kind, the part of such a window's incidents that is usually not known by `as_of`, s.

    Feeds were last `heard`.
    """
    feeds = baseline.feeds
    last = window.as_of // HOUR_S
    hours = local.hours(last - max(window.span_s // HOUR_S, 1), last - 1)
    rate = baseline.hourly(hours)
    if window.part is not WeekPart.ANY:
        rate = np.where(hours.week_part == window.part, rate, 0.0)
    ends = (hours.first + 1 + np.arange(hours.day.size)) * HOUR_S
    all_of, known_of = np.zeros(KINDS), np.zeros(KINDS)
    for f, last_heard in enumerate(heard):
        kind = int(feeds.kind[f])
        until = as_of if as_of - last_heard <= feeds.lag_s[f] else min(last_heard, as_of)
        age = np.minimum((until - ends) // HOUR_S, feeds.known.shape[2] - 1)
        known = np.where(age >= 0, feeds.known[f, hours.clock, np.maximum(age, 0)], 0.0)
        all_of[kind] += feeds.part_of_all[f] * rate[kind].sum()
        known_of[kind] += feeds.part_of_all[f] * (rate[kind] * known).sum()
    return {KIND_NAMES[k]: round(1.0 - float(known_of[k] / all_of[k]), 3) for k in range(KINDS) if all_of[k] > 0}


def unlocated_share(kept: LocatedArray, as_of: int) -> dict[str, float]:
    """Of each kind, the part of the last eight weeks' records that no place or time good enough puts on the grid."""
    recent = pick(kept, (kept["recorded_us"] // 1_000_000 > as_of - BEFORE_S))
    shares = {}
    for kind in Kind:
        gates = recent["gate"][recent["kind"] == kind]
        if gates.size:
            shares[KIND_NAMES[kind]] = round(float(np.isin(gates, _VAGUE).mean()), 3)
    return shares


_VAGUE: Final = (Gate.NO_LOCATION, Gate.IMPRECISE_TIME, Gate.DEFAULT_TIME)
