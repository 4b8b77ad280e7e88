"""A planted hotspot: simulated records around one place that a detector ought to find."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from schemas.base import seconds
from schemas.located import Kind
from schemas.region import RegionFile
from simulation.cases import (
    POLICE_NAMES,
    BoolArray,
    Cases,
    draw_location_types,
    draw_named,
    ed_sites,
    sources_of,
)
from simulation.geography import FloatArray, IntArray, within_bounds
from simulation.profile import ED_CATEGORIES, INJURING_CATEGORIES, POLICE_CATEGORIES, Component
from simulation.revisions import first_revisions
from simulation.rhythm import BIG_NIGHT, NIGHT_STARTS, SPREAD
from simulation.simulated import ID_PREFIX, SimulatedRecord, SimulatedRecords, as_records, known_order
from simulation.surface import surface_of

PLANTED_PREFIX = f"{ID_PREFIX}HOT-"
POLICE_DELAY_MEAN_S = 25 * 60.0
ED_DELAY_MEAN_S = 75 * 60.0
#: A planted hotspot holds assaults and robberies; a weapon found or a death would be another story.
PLANTED_POLICE_MIX = {
    name: POLICE_CATEGORIES[name] if name in INJURING_CATEGORIES and name != "homicide" else 0.0
    for name in POLICE_NAMES
}
SHORTEST_DELAY_S = 5 * 60


def inject(
    region: RegionFile,
    rng: np.random.Generator,
    *,
    at: datetime,
    centre: tuple[float, float],
    radius_m: float,
    count: int,
    within: timedelta,
    ed_share: float = 0.4,
    id_prefix: str = PLANTED_PREFIX,
) -> SimulatedRecords:
    """Records of `count` assaults within a radius of a centre (metres), happening from `at` on.

    Records become known within hours (EDs here report at once, not in a batch), all have places, none is revised. Times
    are spread over the span, denser at night, so that few fall so close together as to be taken for one incident. A
    region with sources of one kind gets that kind only.
    """
    if count < 1 or radius_m <= 0 or within < timedelta(minutes=1):
        raise ValueError("a planted hotspot needs a count of at least 1, a radius and a span of at least a minute")
    if not id_prefix.startswith(PLANTED_PREFIX):
        raise ValueError(f"id_prefix must start with {PLANTED_PREFIX!r}")
    occurred = _times(rng, region, at, count, within)
    x, y = _points(rng, region, centre, radius_m, count)
    is_ed = _ed_rows(rng, region, count, ed_share)
    found: list[SimulatedRecord] = []
    for kind, rows in ((Kind.ED, is_ed), (Kind.POLICE, ~is_ed)):
        if rows.any():
            found += _of_kind(rng, region, kind, occurred[rows], x[rows], y[rows], id_prefix)
    attribution = surface_of(region).places.attribution
    return SimulatedRecords(tuple(sorted(found, key=known_order)), region.zone, attribution)


def _times(rng: np.random.Generator, region: RegionFile, at: datetime, count: int, within: timedelta) -> IntArray:
    """One time from each of `count` equally likely parts of the span, in seconds UTC."""
    by_hour = SPREAD + np.roll(np.concatenate([BIG_NIGHT, np.zeros(24 - len(BIG_NIGHT))]), NIGHT_STARTS)
    minutes = int(within.total_seconds() // 60)
    local_hours = [(at + timedelta(minutes=minute)).astimezone(region.zone).hour for minute in range(minutes)]
    cumulative = np.cumsum(by_hour[local_hours])
    part = (np.arange(count) + rng.random(count)) / count
    minute = np.minimum(np.searchsorted(cumulative, part * cumulative[-1]), minutes - 1)
    occurred: IntArray = seconds(at) + minute.astype(np.int64) * 60
    return occurred


def _points(
    rng: np.random.Generator, region: RegionFile, centre: tuple[float, float], radius_m: float, count: int
) -> tuple[FloatArray, FloatArray]:
    """Points spread evenly over the disc, in whole metres."""
    angle = rng.uniform(0.0, 2.0 * np.pi, size=count)
    distance = radius_m * np.sqrt(rng.random(count))
    # Towards the centre, not to the nearest metre: no point may leave the disc.
    x = centre[0] + np.trunc(distance * np.cos(angle))
    y = centre[1] + np.trunc(distance * np.sin(angle))
    if not within_bounds(region, x, y).all():
        raise ValueError("the planted hotspot reaches outside of the region's bounds")
    return x, y


def _ed_rows(rng: np.random.Generator, region: RegionFile, count: int, ed_share: float) -> BoolArray:
    has_ed, has_police = (bool(len(sources_of(region, kind))) for kind in (Kind.ED, Kind.POLICE))
    eds = round(count * ed_share) if has_ed and has_police else count * has_ed
    return rng.permutation(np.arange(count)) < eds


def _of_kind(
    rng: np.random.Generator,
    region: RegionFile,
    kind: Kind,
    occurred: IntArray,
    x: FloatArray,
    y: FloatArray,
    id_prefix: str,
) -> list[SimulatedRecord]:
    count = len(occurred)
    police = kind is Kind.POLICE
    delay = rng.exponential(POLICE_DELAY_MEAN_S if police else ED_DELAY_MEAN_S, size=count).astype(np.int64)
    recorded = occurred + SHORTEST_DELAY_S + delay
    # Nothing here turns local clocks into moments: the columns of these cases hold UTC already.
    cases = Cases(
        kind=kind,
        occurred=occurred,
        recorded=recorded,
        source=rng.choice(sources_of(region, kind), size=count) if police else _nearest_ed(region, x, y),
        category=_categories(rng, kind, count),
        location_type=draw_location_types(rng, np.full(count, Component.NIGHT, dtype=np.int64)),
        easting=x,
        northing=y,
        true_easting=x,
        true_northing=y,
    )
    return as_records(region, cases, first_revisions(cases, recorded), occurred, id_prefix)


def _categories(rng: np.random.Generator, kind: Kind, count: int) -> IntArray:
    if kind is Kind.POLICE:
        return draw_named(rng, PLANTED_POLICE_MIX, count)
    return draw_named(rng, ED_CATEGORIES, count) + len(POLICE_NAMES)


def _nearest_ed(region: RegionFile, x: FloatArray, y: FloatArray) -> IntArray:
    sites = ed_sites(region, surface_of(region))
    distance = np.stack([np.hypot(x - site.easting, y - site.northing) for site in sites], axis=1)
    nearest: IntArray = np.array([site.source for site in sites], dtype=np.int64)[np.argmin(distance, axis=1)]
    return nearest
