"""Days off and local time: what sort of day a date is, and local clock times as moments."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import IntEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np

from simulation.geography import IntArray

EPOCH = date(1970, 1, 1)
DAY_S = 86_400
HOUR_S = 3_600

#: Bank holidays in England that no rule gives; and those that were moved away.
EXTRA_HOLIDAYS = frozenset({date(2020, 5, 8), date(2022, 6, 2), date(2022, 6, 3), date(2022, 9, 19), date(2023, 5, 8)})
MOVED_HOLIDAYS = frozenset({date(2020, 5, 4), date(2022, 5, 30)})


class DayKind(IntEnum):
    """A day by whether it and the next are off: what its evening is like."""

    WORKING = 0
    EVE = 1
    """A working day before a day off, such as most Fridays."""
    OFF = 2
    """A day off before another, such as most Saturdays."""
    LAST_OFF = 3
    """A day off before a working day, such as most Sundays."""


def easter(year: int) -> date:
    """Easter Sunday (the anonymous Gregorian computation)."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    f = d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114
    return date(year, f // 31, f % 31 + 1)


@lru_cache(maxsize=64)
def english_holidays(year: int) -> frozenset[date]:
    """Bank holidays in England and Wales, with their substitutes and the days declared for one year only."""
    sunday = easter(year)
    found = {sunday - timedelta(days=2), sunday + timedelta(days=1)}
    found.add(_monday_from(date(year, 5, 1)))
    found.add(_monday_from(date(year, 5, 25)))
    found.add(_monday_from(date(year, 8, 25)))
    for fixed in (date(year, 1, 1), date(year, 12, 25), date(year, 12, 26)):
        day = fixed
        while day.weekday() >= 5 or day in found:
            day += timedelta(days=1)
        found.add(day)
    found |= {day for day in EXTRA_HOLIDAYS if day.year == year}
    return frozenset(found - MOVED_HOLIDAYS)


def is_off(day: date, zone: ZoneInfo) -> bool:
    """Whether a date is at the weekend or a public holiday; abroad only 1 January and 25 December are known."""
    if day.weekday() >= 5 or (day.month, day.day) in {(1, 1), (12, 25)}:
        return True
    return zone.key == "Europe/London" and day in english_holidays(day.year)


def day_kinds(first: date, count: int, zone: ZoneInfo) -> IntArray:
    """The DayKind of `count` days from the first."""
    off = np.array([is_off(first + timedelta(days=number), zone) for number in range(count + 1)])
    today, tomorrow = off[:-1], off[1:]
    kinds = np.select(
        [today & tomorrow, today, tomorrow], [DayKind.OFF, DayKind.LAST_OFF, DayKind.EVE], DayKind.WORKING
    )
    return kinds.astype(np.int64)


def day_number(day: date) -> int:
    """Days since 1970-01-01; times 86,400 it is the local second at which that day begins."""
    return (day - EPOCH).days


def local_to_utc(local: IntArray, zone: ZoneInfo) -> IntArray:
    """Seconds of a local clock (since 1970-01-01 as that clock shows it) to seconds since 1970 UTC.

    An hour that the clock skips counts on from before; of an hour that it shows twice the first is meant.
    """
    hours, own = np.unique(local // HOUR_S, return_inverse=True)
    naive = [datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=int(hour)) for hour in hours]
    offset = np.array([_offset_s(shown.replace(tzinfo=zone)) for shown in naive], dtype=np.int64)
    return local - offset[own]


def local_midnight(day: date, zone: ZoneInfo) -> datetime:
    """The moment at which a local day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _offset_s(shown: datetime) -> int:
    offset = shown.utcoffset()
    assert offset is not None, "a time with a ZoneInfo has an offset"
    return int(offset.total_seconds())


def _monday_from(day: date) -> date:
    return day + timedelta(days=-day.weekday() % 7)
