"""When and where violence happens: counts by day and district, hours of the day, points within a district."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from simulation.days import DAY_S, HOUR_S, DayKind, day_kinds, day_number
from simulation.geography import FloatArray, IntArray
from simulation.profile import DAYS_PER_YEAR, Component, Profile
from simulation.surface import Surface

NIGHT_STARTS = 18  # a night belongs to the day on which it starts
#: Hours from 18:00 to 05:00, of nights before a day off and of other nights.
BIG_NIGHT = np.array([0.3, 0.4, 0.6, 0.9, 1.4, 1.8, 2.0, 1.9, 1.7, 1.3, 0.5, 0.2])
SMALL_NIGHT = np.array([0.6, 0.8, 1.0, 1.3, 1.5, 1.4, 0.9, 0.6, 0.4, 0.3, 0.2, 0.1])
#: Hours from 0:00 to 23:00.
AFTERNOON = np.array([0] * 12 + [0.4, 0.5, 0.8, 2.0, 2.2, 1.6, 0.8, 0.4, 0.2] + [0] * 3, dtype=np.float64)
SPREAD = np.array(
    [
        *(0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8),
        *(1.0, 1.0, 1.1, 1.2, 1.2, 1.3, 1.3, 1.3, 1.3, 1.3, 1.2, 1.1),
    ]
)

#: Relative volume by DayKind: working, eve, off, last day off.
DAY_WEIGHTS: dict[Component, FloatArray] = {
    Component.NIGHT: np.array([0.55, 1.9, 2.1, 0.75]),
    Component.AFTERNOON: np.array([1.25, 1.25, 0.5, 0.35]),
    Component.SPREAD: np.array([0.95, 1.0, 1.15, 1.1]),
}
SEASON_PEAK_DAY = 200  # of the year, in July
AFTERNOON_AT_CENTRES = 0.4  # the rest is near homes


class Happenings(NamedTuple):
    """What happened, before anybody wrote it down. Times are seconds of the local clock."""

    local: IntArray
    component: IntArray
    place: IntArray
    """Index into the places of the surface."""


class Calendar(NamedTuple):
    """The days of a simulation with what multiplies their volume."""

    first: int
    """Number of the first day since 1970-01-01."""
    kinds: IntArray
    season: FloatArray
    week: IntArray
    """Weeks since the first, by day."""
    usual: FloatArray
    """Parts of a year by DayKind, so that a year with its holidays has the volume asked for."""


def calendar_of(first: date, days: int, zone: ZoneInfo, profile: Profile) -> Calendar:
    """The days of a simulation."""
    number = np.arange(days)
    year_day = first.timetuple().tm_yday + number
    season = 1.0 + profile.season * np.cos(2.0 * np.pi * (year_day - SEASON_PEAK_DAY) / DAYS_PER_YEAR)
    week = (number + first.weekday()) // 7
    year = day_kinds(date(first.year, 1, 1), 365, zone)
    usual = np.bincount(year, minlength=len(DayKind)) / len(year)
    return Calendar(day_number(first), day_kinds(first, days, zone), season, week, usual)


def draw_dispersion(rng: np.random.Generator, calendar: Calendar, districts: int, shape: float) -> FloatArray:
    """Good and bad weeks: a gamma factor of mean one by week and district, felt by ED and police alike."""
    return rng.gamma(shape, 1.0 / shape, size=(int(calendar.week[-1]) + 1, districts))


def draw_happenings(
    rng: np.random.Generator,
    surface: Surface,
    calendar: Calendar,
    dispersion: FloatArray,
    per_day: float,
    mix: tuple[float, float, float],
) -> Happenings:
    """Draw what happened on every day in every district: Poisson counts, then hours, then places."""
    parts = [
        _draw_component(rng, surface, calendar, dispersion, component, per_day * mix[component])
        for component in Component
    ]
    return Happenings(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def night_hours(kinds: IntArray, rng: np.random.Generator) -> IntArray:
    """Hours after midnight of the day on which the night starts: 18 to 29."""
    big = (kinds == DayKind.EVE) | (kinds == DayKind.OFF)
    hours = np.where(big, _hours(rng, BIG_NIGHT, len(kinds)), _hours(rng, SMALL_NIGHT, len(kinds)))
    return hours + NIGHT_STARTS


def draw_places(rng: np.random.Generator, weight: FloatArray, district: IntArray, wanted: IntArray) -> IntArray:
    """One point a wanted district, by weights that sum to one within each district."""
    order = np.argsort(district, kind="stable")
    sorted_district = district[order]
    first = np.searchsorted(sorted_district, wanted, side="left")
    last = np.searchsorted(sorted_district, wanted, side="right") - 1
    cumulative = np.cumsum(weight[order])
    before = np.concatenate([[0.0], cumulative])[first]
    at = np.searchsorted(cumulative, before + rng.random(len(wanted)))
    return order[np.clip(at, first, last)]


def _draw_component(
    rng: np.random.Generator,
    surface: Surface,
    calendar: Calendar,
    dispersion: FloatArray,
    component: Component,
    per_day: float,
) -> Happenings:
    by_kind = DAY_WEIGHTS[component]
    by_day = by_kind[calendar.kinds] / (by_kind @ calendar.usual) * calendar.season
    share = surface.night_share if component is Component.NIGHT else surface.home_share
    count = rng.poisson(per_day * by_day[:, None] * dispersion[calendar.week] * share[None, :])
    day, district = (np.repeat(index.ravel(), count.ravel()) for index in np.indices(count.shape))
    hour = _component_hours(rng, component, calendar.kinds[day])
    local = (calendar.first + day) * DAY_S + hour * HOUR_S + rng.integers(0, 60, size=len(day)) * 60
    return Happenings(
        local=local.astype(np.int64),
        component=np.full(len(day), component, dtype=np.int64),
        place=_component_places(rng, surface, component, district),
    )


def _component_hours(rng: np.random.Generator, component: Component, kinds: IntArray) -> IntArray:
    if component is Component.NIGHT:
        return night_hours(kinds, rng)
    return _hours(rng, AFTERNOON if component is Component.AFTERNOON else SPREAD, len(kinds))


def _component_places(rng: np.random.Generator, surface: Surface, component: Component, district: IntArray) -> IntArray:
    own = surface.places.district
    if component is Component.NIGHT:
        return draw_places(rng, surface.night, own, district)
    at_home = draw_places(rng, surface.home, own, district)
    if component is Component.SPREAD:
        return at_home
    at_centres = draw_places(rng, surface.night, own, district)
    return np.where(rng.random(len(district)) < AFTERNOON_AT_CENTRES, at_centres, at_home)


def _hours(rng: np.random.Generator, weight: FloatArray, count: int) -> IntArray:
    return rng.choice(len(weight), size=count, p=weight / weight.sum()).astype(np.int64)
