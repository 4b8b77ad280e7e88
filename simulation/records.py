"""Simulated records of a region, revision by revision, as its sources would publish them."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from schemas.base import seconds
from schemas.located import Kind
from schemas.region import RegionFile
from simulation.cases import Cases, ed_cases, police_cases, sources_of
from simulation.days import local_to_utc
from simulation.planted import inject
from simulation.profile import DAYS_PER_YEAR, HAMPSHIRE, Profile
from simulation.revisions import revise
from simulation.rhythm import calendar_of, draw_dispersion, draw_happenings
from simulation.simulated import ID_PREFIX, SimulatedRecord, SimulatedRecords, as_records, known_order
from simulation.surface import surface_of

__all__ = ["ID_PREFIX", "SimulatedRecord", "SimulatedRecords", "inject", "known_order", "simulate"]

SHORTEST_DELAY_S = 60  # nothing is recorded before it happened, whatever the clocks did that night


def simulate(
    region: RegionFile,
    start: datetime,
    days: int,
    rng: np.random.Generator,
    *,
    profile: Profile = HAMPSHIRE,
    id_prefix: str = ID_PREFIX,
) -> SimulatedRecords:
    """Records of everything that happens from `start` for some days, late ones and later revisions included.

    Two runs that meet in one monitor need different prefixes, or the records of one would revise the other's.
    """
    _check(start, days, id_prefix)
    surface = surface_of(region)
    end = start + timedelta(days=days)
    # A day more at either end: nights reach into the next day, and the first local day may have begun already.
    first = start.astimezone(region.zone).date() - timedelta(days=1)
    calendar = calendar_of(first, days + 3, region.zone, profile)
    districts = len(surface.places.district_code)
    dispersion = draw_dispersion(rng, calendar, districts, profile.dispersion_shape)
    police: Cases | None = None
    found: list[SimulatedRecord] = []
    if len(sources_of(region, Kind.POLICE)):
        per_day = profile.police_per_year / DAYS_PER_YEAR
        happened = draw_happenings(rng, surface, calendar, dispersion, per_day, profile.police_mix)
        police = police_cases(rng, region, surface, happened, profile)
        found += _records(rng, region, police, start, end, profile, id_prefix)
    if len(sources_of(region, Kind.ED)):
        happened = draw_happenings(rng, surface, calendar, dispersion, profile.ed_per_day, profile.ed_mix)
        ed = ed_cases(rng, region, surface, happened, police, profile)
        found += _records(rng, region, ed, start, end, profile, id_prefix)
    return SimulatedRecords(tuple(sorted(found, key=known_order)), region.zone, surface.places.attribution)


def _records(
    rng: np.random.Generator,
    region: RegionFile,
    cases: Cases,
    start: datetime,
    end: datetime,
    profile: Profile,
    id_prefix: str,
) -> list[SimulatedRecord]:
    occurred = local_to_utc(cases.occurred, region.zone)
    recorded = np.maximum(local_to_utc(cases.recorded, region.zone), occurred + SHORTEST_DELAY_S)
    revisions = revise(rng, region, cases, recorded, profile)
    inside = (occurred >= seconds(start)) & (occurred < seconds(end))
    return as_records(region, cases, revisions.of(inside), occurred, id_prefix)


def _check(start: datetime, days: int, id_prefix: str) -> None:
    if start.utcoffset() is None:
        raise ValueError("start must have a time zone")
    if start.microsecond:
        raise ValueError("start must be a whole second")
    if days < 1:
        raise ValueError("days must be at least 1")
    if not id_prefix.startswith(ID_PREFIX):
        raise ValueError(
            f"id_prefix must start with {ID_PREFIX!r}, so that simulated records can be told from real ones"
        )
