"""Cases: what happened as one source first sees it, in columns; police incidents and ED attendances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.located import Kind
from schemas.region import RegionFile
from simulation.days import DAY_S, HOUR_S
from simulation.delays import ed_recorded, heaped, police_recorded
from simulation.geography import FloatArray, IntArray, to_metres, within_bounds
from simulation.profile import (
    ED_CATEGORIES,
    INJURING_CATEGORIES,
    LOCATION_TYPES,
    MAPPABLE_LIKELIHOOD,
    POLICE_CATEGORIES,
    Profile,
)
from simulation.rhythm import Happenings
from simulation.surface import Surface

BoolArray = NDArray[np.bool_]

POLICE_NAMES = tuple(POLICE_CATEGORIES)
ED_NAMES = tuple(ED_CATEGORIES)
LOCATION_NAMES = tuple(LOCATION_TYPES)
#: Index into these is what `Cases.category` holds.
CATEGORY_NAMES = POLICE_NAMES + ED_NAMES
INJURING_ROWS = np.array([POLICE_NAMES.index(name) for name in INJURING_CATEGORIES], dtype=np.int64)

SITE_REACH_M = 6_000.0  # how far one goes past the nearest ED: chances fall by e in this distance
SAME_ASSAULT_MINUTES = 12.0  # two sources are told the same assault at slightly different times
SAME_ASSAULT_M = 60.0  # and places
ED_SCATTER_M = 30.0  # what a patient says is less exact than a police map point


@dataclass(frozen=True, eq=False)
class Cases:
    """One row a case. Times are seconds of the local clock; places are metres, NaN where not known."""

    kind: Kind
    occurred: IntArray
    recorded: IntArray
    source: IntArray
    """Index into the sources of the region."""
    category: IntArray
    location_type: IntArray
    easting: FloatArray
    northing: FloatArray
    true_easting: FloatArray
    """Where it happened, whether or not the source could say."""
    true_northing: FloatArray


class Site(NamedTuple):
    """An ED: its source, and where it stands."""

    source: int
    easting: float
    northing: float


def sources_of(region: RegionFile, kind: Kind) -> IntArray:
    """Places of a kind's sources in the region file."""
    return np.array([index for index, source in enumerate(region.sources) if source.kind_code is kind], dtype=np.int64)


def police_cases(
    rng: np.random.Generator, region: RegionFile, surface: Surface, happened: Happenings, profile: Profile
) -> Cases:
    """What the police record of what happened."""
    count = len(happened.local)
    occurred = heaped(rng, happened.local, profile.police_on_the_hour, HOUR_S)
    true_x, true_y = surface.places.easting[happened.place], surface.places.northing[happened.place]
    at_station = rng.random(count) < profile.station_share
    x = np.where(at_station, surface.places.easting[surface.station], true_x)
    y = np.where(at_station, surface.places.northing[surface.station], true_y)
    x, y = _at_institutions(rng, region, x, y, profile.institution_share)
    unknown = rng.random(count) < profile.police_without_place
    return Cases(
        kind=Kind.POLICE,
        occurred=occurred,
        recorded=police_recorded(rng, occurred),
        source=rng.choice(sources_of(region, Kind.POLICE), size=count),
        category=draw_named(rng, POLICE_CATEGORIES, count),
        location_type=draw_location_types(rng, happened.component),
        easting=np.where(unknown, np.nan, x),
        northing=np.where(unknown, np.nan, y),
        true_easting=true_x,
        true_northing=true_y,
    )


def ed_cases(
    rng: np.random.Generator,
    region: RegionFile,
    surface: Surface,
    happened: Happenings,
    police: Cases | None,
    profile: Profile,
) -> Cases:
    """What EDs record of what happened, some of it known to the police too."""
    count = len(happened.local)
    local = happened.local.copy()
    true_x, true_y = surface.places.easting[happened.place], surface.places.northing[happened.place]
    location_type = draw_location_types(rng, happened.component)
    if police is not None:
        mine, theirs = _same_assaults(rng, count, police, profile.ed_known_to_police)
        shift = np.round(rng.normal(0.0, SAME_ASSAULT_MINUTES, size=len(mine))).astype(np.int64) * 60
        local[mine] = police.occurred[theirs] + shift
        location_type[mine] = police.location_type[theirs]
        true_x[mine], true_y[mine] = scattered(
            rng, region, police.true_easting[theirs], police.true_northing[theirs], SAME_ASSAULT_M
        )
    occurred = heaped(rng, local, profile.ed_on_the_hour, HOUR_S)
    occurred = heaped(rng, occurred, profile.ed_at_midnight, DAY_S)
    sites = ed_sites(region, surface)
    site = _nearest_mostly(rng, sites, true_x, true_y)
    weekly = np.array([len(sites) - 1] if len(sites) > 1 else [], dtype=np.int64)
    x, y = scattered(rng, region, true_x, true_y, ED_SCATTER_M)
    x, y = _at_institutions(rng, region, x, y, profile.institution_share)
    unknown = ~_mappable(rng, location_type, profile.ed_mappable)
    return Cases(
        kind=Kind.ED,
        occurred=occurred,
        # Counted from the time that was true, not from a default of 00:00: nobody is recorded before arriving.
        recorded=ed_recorded(rng, local, site, weekly, profile.late_batch),
        source=np.array([s.source for s in sites], dtype=np.int64)[site],
        category=draw_named(rng, ED_CATEGORIES, count) + len(POLICE_NAMES),
        location_type=location_type,
        easting=np.where(unknown, np.nan, x),
        northing=np.where(unknown, np.nan, y),
        true_easting=true_x,
        true_northing=true_y,
    )


def ed_sites(region: RegionFile, surface: Surface) -> list[Site]:
    """Where the EDs stand: at the institution that bears the source's name, else in one of the town centres."""
    institutions = {institution.name: institution for institution in region.institutions}
    sites = []
    for number, source in enumerate(sources_of(region, Kind.ED)):
        institution = institutions.get(region.sources[source].name)
        if institution is None:
            centre = surface.centres[number % len(surface.centres)]
            sites.append(Site(int(source), centre.easting, centre.northing))
        else:
            x, y = to_metres(region, np.array([institution.longitude]), np.array([institution.latitude]))
            sites.append(Site(int(source), float(x[0]), float(y[0])))
    return sites


def scattered(
    rng: np.random.Generator, region: RegionFile, easting: FloatArray, northing: FloatArray, metres: float
) -> tuple[FloatArray, FloatArray]:
    """Points moved a little, in whole metres; those that would leave the region stay where they are."""
    moved = np.round(np.stack([easting, northing]) + rng.normal(0.0, metres, size=(2, len(easting))))
    inside = within_bounds(region, moved[0], moved[1])
    return np.where(inside, moved[0], easting), np.where(inside, moved[1], northing)


def draw_location_types(rng: np.random.Generator, component: IntArray) -> IntArray:
    """A type of location for each case, by what kind of violence it was."""
    weights = np.array([LOCATION_TYPES[name] for name in LOCATION_NAMES]).T
    cumulative = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
    chosen = (rng.random(len(component))[:, None] > cumulative[component]).sum(axis=1)
    types: IntArray = np.minimum(chosen, len(LOCATION_NAMES) - 1)
    return types


def draw_named(rng: np.random.Generator, mix: dict[str, float], count: int) -> IntArray:
    """Indices of names drawn from a mix."""
    weight = np.array(list(mix.values()))
    return rng.choice(len(weight), size=count, p=weight / weight.sum()).astype(np.int64)


def _at_institutions(
    rng: np.random.Generator, region: RegionFile, easting: FloatArray, northing: FloatArray, share: float
) -> tuple[FloatArray, FloatArray]:
    if not region.institutions:
        return easting, northing
    x, y = to_metres(
        region,
        np.array([institution.longitude for institution in region.institutions]),
        np.array([institution.latitude for institution in region.institutions]),
    )
    which = rng.integers(0, len(x), size=len(easting))
    wrong = rng.random(len(easting)) < share
    return np.where(wrong, np.round(x)[which], easting), np.where(wrong, np.round(y)[which], northing)


def _same_assaults(rng: np.random.Generator, count: int, police: Cases, share: float) -> tuple[IntArray, IntArray]:
    """Rows of ED cases and of the police incidents that they are, each used once."""
    candidates = np.flatnonzero(np.isin(police.category, INJURING_ROWS))
    known = min(round(count * share), len(candidates))
    mine = rng.choice(count, size=known, replace=False)
    return mine.astype(np.int64), rng.choice(candidates, size=known, replace=False).astype(np.int64)


def _nearest_mostly(rng: np.random.Generator, sites: list[Site], easting: FloatArray, northing: FloatArray) -> IntArray:
    distance = np.stack([np.hypot(easting - site.easting, northing - site.northing) for site in sites], axis=1)
    # Gumbel noise on the exponent draws from exp(-distance / reach) without ever dividing nothing by nothing.
    chosen: IntArray = np.argmax(-distance / SITE_REACH_M + rng.gumbel(size=distance.shape), axis=1)
    return chosen


def _mappable(rng: np.random.Generator, location_type: IntArray, share: float) -> BoolArray:
    likelihood = np.array([MAPPABLE_LIKELIHOOD[name] for name in LOCATION_NAMES])[location_type]
    if not len(likelihood):
        return np.zeros(0, dtype=np.bool_)
    chance = np.minimum(share * likelihood / likelihood.mean(), 1.0)
    # Where the likeliest are certain, the rest makes up what is missing, so that the share is met.
    missing = max(share - chance.mean(), 0.0) / max((1.0 - chance).mean(), 1e-12)
    return np.asarray(rng.random(len(chance)) < chance + (1.0 - chance) * missing, dtype=np.bool_)
