"""Expected cases of each location and interval under the null: from the margins, or from a population."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from processors.arrays import Floats, Ints
from processors.scan.inputs import PopulationRows, ScanInput

#: Day of the year that a population of a year, and of the month that one of a month, is of.
MID_YEAR: Final = (7, 1)
MID_MONTH: Final = 15


class PopulationError(ValueError):
    """A population that tells nothing of what is asked."""


class Expected(NamedTuple):
    """Cases under the null."""

    by_place: Floats
    """Of each location over the whole study; together all cases."""
    scanned: Floats
    """[location, interval], of the intervals that windows may hold."""


def expected_cases(given: ScanInput, starts: Ints, first: int, day: Ints, count: Ints) -> Expected:
    """Indirectly standardised; windows hold intervals from the `first` on.

    Each stratum's cases are spread in proportion to its person-time (Kulldorff 1997, section on covariates).
    Raises PopulationError where a stratum has cases and no population.
    """
    population = given.population
    assert population is not None
    places = len(given.places.ids)
    by_place, scanned = np.zeros(places), np.zeros((places, starts.size - 1 - first))
    population = _with_days_after(population)
    dates, when = np.unique(_dates(population), return_inverse=True)
    weight = _date_weights(dates, starts)
    for stratum in range(given.strata):
        mine = population.stratum == stratum
        cases = float(count[given.cases.stratum == stratum].sum())
        persons = np.zeros((places, dates.size))
        np.add.at(persons, (population.place[mine], when[mine]), population.persons[mine])
        time = persons @ weight.sum(axis=1)
        total = time.sum()
        if cases and not total:
            raise PopulationError(f"{cases:.0f} cases have covariates that the population file gives no population of")
        if total:
            by_place += time * (cases / total)
            scanned += persons @ weight[:, first:] * (cases / total)
    return Expected(by_place, scanned)


def _with_days_after(population: PopulationRows) -> PopulationRows:
    """A population of one day also holds the next morning, unless there is another of that day."""
    dated = list(zip(population.year.tolist(), population.month.tolist(), population.day.tolist(), strict=True))
    known = set(dated)
    rows = []
    for row, (year, month, day) in enumerate(dated):
        if day:
            after = date(year, month, day) + timedelta(days=1)
            if (after.year, after.month, after.day) not in known:
                rows.append((row, after.year, after.month, after.day))
    if not rows:
        return population
    which, years, months, following = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return PopulationRows(
        np.concatenate([population.place, population.place[which]]),
        np.concatenate([population.year, years]),
        np.concatenate([population.month, months]),
        np.concatenate([population.day, following]),
        np.concatenate([population.persons, population.persons[which]]),
        np.concatenate([population.stratum, population.stratum[which]]),
    )


def _dates(population: PopulationRows) -> Ints:
    rows = zip(population.year.tolist(), population.month.tolist(), population.day.tolist(), strict=True)
    return np.array(
        [
            date(year, month or MID_YEAR[0], day or (MID_MONTH if month else MID_YEAR[1])).toordinal()
            for year, month, day in rows
        ],
        np.int64,
    )


def _date_weights(dates: Ints, starts: Ints) -> Floats:
    """[date, interval]: how much of the person-days of an interval each date's population makes.

    The population is that of the beginning of the day, a straight line between two dates, and constant before the
    first and after the last.
    """
    mornings = np.arange(starts[0], starts[-1] + 1)
    at = np.stack([np.interp(mornings, dates, one) for one in np.eye(dates.size)])
    whole_days = 0.5 * (at[:, :-1] + at[:, 1:])
    return np.add.reduceat(whole_days, starts[:-1] - starts[0], axis=1)
