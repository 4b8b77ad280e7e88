"""How much there is of a kind over a whole region: level, season of the year, hour of the week and public holidays."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from processors.arrays import Floats, Ints
from processors.localtime import BLOCK_OF_HOUR, DAY_S, HOURS_A_WEEK, Hours

DAYS_A_YEAR: Final = 365.2425
#: Weight of a day halves with each year of age: habits of a place and recording practice drift.
HALF_LIFE_DAYS: Final = 365.0
#: Incidents' worth of trust in the year's level when the last weeks say otherwise.
LEVEL_STRENGTH: Final = 30.0
#: The newest level: the weight of a day halves with so many days of age, and so many incidents' worth of trust in the
#: level of the weeks before the guard gap stand against it.
NEWEST_DAYS: Final = 56
NEWEST_HALF_LIFE_DAYS: Final = 5.0
NEWEST_STRENGTH: Final = 100.0
#: The season is what is left once the level of so many days around each day is divided out.
TREND_DAYS: Final = 365
#: Incidents' worth of trust in like hours when one hour of the week says otherwise.
HOUR_STRENGTH: Final = 20.0
#: Incidents' worth of trust in all holidays together when one has been otherwise, and in a usual day.
HOLIDAY_STRENGTH: Final = 30.0
#: Ridge on the harmonics, as a part of the information in the data, with a whole year seen, and with half of it unseen.
RIDGE_WHOLE_YEAR: Final = 0.002
RIDGE_UNSEEN: Final = 50.0
_YEAR_PARTS: Final = 73  # of five days each


class Season(NamedTuple):
    """One kind over the whole region: expected incidents a second at any hour."""

    harmonics: Floats
    """Logarithm of the year's mean a day, then cosine and sine of the year and of its half."""
    level: float
    """The last weeks' level as a multiple of the year's."""
    week: Floats
    """Multiple for each hour of the week, Monday 00 first; their mean is 1."""
    holidays: Floats
    """Multiple for the hours of each holiday beyond their kind of day, by number; 1 for number 0."""

    def rate(self, hours: Hours) -> Floats:
        """Expected incidents a second in each of these hours, all known.

        Day by day, without vectors: an hour's rate is the same to the last bit in whatever run of hours it is asked.
        """
        first = int(hours.day[0])
        daily = [self._daily(day) for day in range(first, int(hours.day[-1]) + 1)]
        by_hour: Floats = np.array(daily)[hours.day - first] * self.week[hours.of_week] / DAY_S
        return by_hour * self.holidays[hours.holiday]

    def _daily(self, day: int) -> float:
        angle = 2.0 * math.pi * day / DAYS_A_YEAR
        mean, cos1, sin1, cos2, sin2 = self.harmonics.tolist()
        year = cos1 * math.cos(angle) + sin1 * math.sin(angle)
        half = cos2 * math.cos(2 * angle) + sin2 * math.sin(2 * angle)
        return math.exp(mean + year + half) * self.level


def fit_season(hour: Ints, hours: Hours, level_days: int, named: int) -> Season:
    """Learn from the hours of incidents, counted from the first of `hours`, which are whole local days.

    `named` is how many holidays have a name.
    """
    first, last = int(hours.day[0]), int(hours.day[-1])
    days = np.arange(first, last + 1)
    totals = np.bincount(hours.day[hour] - first, minlength=days.size).astype(float)
    harmonics, fitted = _fit_harmonics(days, totals, np.ones(days.size))
    # A rise from year to year is no season: left in, it bends the harmonics up towards the end of history.
    harmonics, fitted = _fit_harmonics(days, totals, running_level(totals, fitted, TREND_DAYS))
    recent = slice(-level_days, None)
    level = (totals[recent].sum() + LEVEL_STRENGTH) / (fitted[recent].sum() + LEVEL_STRENGTH)
    # Holidays have factors of their own; counted here, quiet ones would pull Sundays down.
    weight = 0.5 ** ((last - hours.day) / HALF_LIFE_DAYS) * (hours.holiday == 0)
    seen = np.bincount(hours.of_week, weight, HOURS_A_WEEK).astype(float)
    week = week_profile(np.bincount(hours.of_week[hour], weight[hour], HOURS_A_WEEK).astype(float), seen)
    usual = (fitted * running_level(totals, fitted, level_days))[hours.day - first] * week[hours.of_week] / 24
    observed = np.bincount(hours.holiday[hour], minlength=named + 1).astype(float)
    expected = np.bincount(hours.holiday, usual, named + 1).astype(float)
    return Season(harmonics, float(level), week, _holiday_factors(observed, expected))


def at_newest_level(season: Season, totals: Floats, usual: Floats) -> Season:
    """The season at the level of the newest days (oldest first), which end with the fit: the level has no guard gap.

    `usual` is what of the season's expectation for these days may be known by now. One hotspot changes the level of a
    whole region little; a level that is weeks old is wrong by more.
    """
    weight = 0.5 ** (np.arange(totals.size)[::-1] / NEWEST_HALF_LIFE_DAYS)
    factor = ((weight * totals).sum() + NEWEST_STRENGTH) / ((weight * usual).sum() + NEWEST_STRENGTH)
    return season._replace(level=season.level * float(factor))


def _holiday_factors(observed: Floats, expected: Floats) -> Floats:
    """Multiples of the usual for each holiday: shrunk to all holidays together, and these to any day."""
    together = (observed[1:].sum() + HOLIDAY_STRENGTH) / (expected[1:].sum() + HOLIDAY_STRENGTH)
    factor = (observed + HOLIDAY_STRENGTH * together) / (expected + HOLIDAY_STRENGTH)
    factor[0] = 1.0
    return np.asarray(factor, np.float64)


def week_profile(counts: Floats, hours_seen: Floats) -> Floats:
    """Multiple for each hour of the week: each is shrunk to its neighbours and to the same hour of like days."""
    rate = counts / np.maximum(hours_seen, 1.0)
    like_hour = BLOCK_OF_HOUR.astype(np.int64) * 24 + np.arange(HOURS_A_WEEK) % 24
    like = (np.bincount(like_hour, rate, 4 * 24) / np.maximum(np.bincount(like_hour, minlength=4 * 24), 1))[like_hour]
    smooth = (np.roll(rate, 1) + np.roll(rate, -1) + 2.0 * like) / 4.0
    smooth = 0.95 * smooth + 0.05 * rate.mean()  # an hour without incidents is rare, not impossible
    expected = smooth * hours_seen
    profile = smooth * (counts + HOUR_STRENGTH) / (expected + HOUR_STRENGTH)
    scaled: Floats = profile / profile.mean()
    return scaled


def _fit_harmonics(days: Ints, totals: Floats, level: Floats) -> tuple[Floats, Floats]:
    """Poisson regression of daily totals on the time of year, by iterated weighted least squares; and its means.

    Totals are at the given level of each day, the means at level 1.

    The less of the year has been seen, the harder the harmonics are held to zero: half a year's rise is no season.
    """
    angle = 2.0 * np.pi * days / DAYS_A_YEAR
    X = np.stack([np.ones(days.size), np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle)])
    weight = 0.5 ** ((days[-1] - days) / HALF_LIFE_DAYS)
    part = ((days % DAYS_A_YEAR) * (_YEAR_PARTS / DAYS_A_YEAR)).astype(np.int64)
    unseen = 1.0 - np.unique(part).size / _YEAR_PARTS
    information = max(float((weight * totals).sum()), 1.0)
    ridge = np.full(len(X), information * (RIDGE_WHOLE_YEAR + RIDGE_UNSEEN * unseen**2))
    ridge[0] = 0.0
    beta = np.zeros(len(X))
    beta[0] = np.log(max(float((weight * totals).sum() / (weight * level).sum()), 1e-9))
    for _ in range(25):
        mean = level * np.exp((beta[:, None] * X).sum(axis=0))
        # Sums and no matrix products: these depend on how memory happens to lie, and a refit must repeat to the bit.
        gradient = (X * (weight * (totals - mean))).sum(axis=1) - ridge * beta
        hessian = (X[:, None, :] * X[None, :, :] * (weight * mean)).sum(axis=2) + np.diag(ridge)
        step = np.linalg.solve(hessian, gradient)
        beta = beta + np.clip(step, -1.0, 1.0)
        if np.abs(step).max() < 1e-9:
            break
    return beta, np.exp((beta[:, None] * X).sum(axis=0))


def running_level(totals: Floats, fitted: Floats, width: int) -> Floats:
    """Observed by fitted over `width` days around each day (fewer at both ends), shrunk to 1."""
    half = width // 2
    low = np.maximum(np.arange(totals.size) - half, 0)
    high = np.minimum(np.arange(totals.size) + half + 1, totals.size)
    observed = np.concatenate([[0.0], np.cumsum(totals)])
    expected = np.concatenate([[0.0], np.cumsum(fitted)])
    running: Floats = (observed[high] - observed[low] + LEVEL_STRENGTH) / (
        expected[high] - expected[low] + LEVEL_STRENGTH
    )
    return running
