"""Hours of the week and days in a region's own time zone, right through both changes of the clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from processors.arrays import BLOCKS, Bytes, Ints, Small
from processors.public_holidays import NO_HOLIDAYS, PublicHolidays
from schemas.detection import WeekPart

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
HOURS_A_DAY: Final = 24
HOURS_A_WEEK: Final = 168
#: 1970-01-01 was a Thursday: three days into a week that starts on Monday.
EPOCH_HOUR_OF_WEEK: Final = 72
SATURDAY: Final = 5
SUNDAY: Final = 6
#: Nights last from evening to morning.
EVENING: Final = 18
MORNING: Final = 6
NOON: Final = 12


def block_of_hours() -> Bytes:
    """The block (weekday day, weekday night, weekend day, weekend night) of each hour of the week, Monday 00 first.

    Night is 18:00 to 06:00; the weekend lasts from Friday 18:00 to Monday 06:00.
    """
    hours = np.arange(HOURS_A_WEEK)
    night = (hours % 24 >= EVENING) | (hours % 24 < MORNING)
    weekend = (hours >= 4 * 24 + EVENING) | (hours < MORNING)
    return (2 * weekend + night).astype(np.uint8)


def part_of_hours() -> Bytes:
    """The WeekPart of each hour of the week, Monday 00 first."""
    hours = np.arange(HOURS_A_WEEK)
    clock = hours % HOURS_A_DAY
    weekend = (hours >= 4 * HOURS_A_DAY + EVENING) & (hours < SUNDAY * HOURS_A_DAY + MORNING)
    night = np.where(weekend, WeekPart.WEEKEND_NIGHTS, WeekPart.NIGHTS)
    day = np.where(clock < NOON, WeekPart.MORNINGS, WeekPart.AFTERNOONS)
    day = np.where(hours >= SATURDAY * HOURS_A_DAY, WeekPart.WEEKEND_DAYS, day)
    return np.where((clock >= EVENING) | (clock < MORNING), night, day).astype(np.uint8)


PART_OF_HOUR: Final = part_of_hours()
BLOCK_OF_HOUR: Final = block_of_hours()
assert BLOCK_OF_HOUR.max() + 1 == BLOCKS


class Hours(NamedTuple):
    """A run of clock hours: hour of the week and day number (days since 1970-01-01) of each, local.

    A public holiday counts as a Sunday, and the evening before it as that of a Saturday.
    """

    first: int
    of_week: Small
    day: Ints
    holiday: Small
    """Number of the holiday that an hour belongs to, from the evening before to the morning after; 0 for none."""

    def part(self, hours: slice) -> Hours:
        """Some of the hours."""
        begin = self.first + (hours.start or 0)
        return Hours(begin, self.of_week[hours], self.day[hours], self.holiday[hours])

    @property
    def block(self) -> Bytes:
        """Block of the week of each hour."""
        return BLOCK_OF_HOUR[self.of_week]

    @property
    def week_part(self) -> Bytes:
        """WeekPart of each hour."""
        return PART_OF_HOUR[self.of_week]

    @property
    def clock(self) -> Bytes:
        """Hour of the day of each hour."""
        return (self.of_week % HOURS_A_DAY).astype(np.uint8)

    @property
    def six(self) -> Ints:
        """Number of the quarter of a day of each hour, on the local clock."""
        return self.day * 4 + self.of_week % HOURS_A_DAY // 6

    @property
    def week(self) -> Ints:
        """Number of the week, Monday to Sunday, of each hour."""
        return (self.day + 3) // 7


class LocalHours:
    """Hour of week and day of each hour of UTC, in one zone.

    An hour of UTC belongs to the local hour in which it starts. In zones that are off by half an hour the local
    hours are thus shifted by it, everywhere alike.
    """

    def __init__(self, zone: ZoneInfo, holidays: PublicHolidays = NO_HOLIDAYS) -> None:
        self._zone = zone
        self.holidays = holidays
        self._midnight: tuple[int, int] | None = None  # the day last asked for, and its beginning
        self._first_holiday = 0
        self._holidays: Small = np.empty(0, np.int32)  # of each local day from there on
        self._first_day = 0
        self._offsets: Small = np.empty((0, 24), np.int32)  # seconds east of UTC, a row for each UTC day

    def hours(self, first: int, last: int) -> Hours:
        """The hours numbered first..last, both included (hours since 1970 UTC)."""
        self._cover(first // 24, last // 24)
        start = first - self._first_day * 24
        offsets = self._offsets.ravel()[start : start + last - first + 1]
        local = np.arange(first, last + 1) * HOUR_S + offsets
        of_week = (local // HOUR_S + EPOCH_HOUR_OF_WEEK) % HOURS_A_WEEK
        day = local // DAY_S
        holiday = self._keep_holidays(day, of_week)
        return Hours(first, of_week.astype(np.int32), day, holiday)

    def _keep_holidays(self, day: Ints, of_week: Ints) -> Small:
        """Number of the holiday of each hour; changes the hours of the week to those of their kind of day."""
        begin, end = int(day[0]) - 1, int(day[-1]) + 1
        numbers = self._holidays_of(begin, end)
        clock, at = of_week % HOURS_A_DAY, day - begin
        today, tomorrow, yesterday = numbers[at], numbers[at + 1], numbers[at - 1]
        eve = (clock >= EVENING) & (tomorrow > 0)
        of_week[today > 0] = SUNDAY * HOURS_A_DAY + clock[today > 0]
        of_week[eve] = SATURDAY * HOURS_A_DAY + clock[eve]
        night = np.where(clock < MORNING, yesterday, 0)
        before = np.where(clock >= EVENING, tomorrow, 0)
        return np.where(today > 0, today, np.where(before > 0, before, night)).astype(np.int32)

    def _holidays_of(self, begin: int, end: int) -> Small:
        """Number of the holiday of each local day from begin to end, both included."""
        first = self._first_holiday
        if not first <= begin <= end < first + self._holidays.size:
            last = max(end, first + self._holidays.size - 1) if self._holidays.size else end
            first = self._first_holiday = min(begin, first) if self._holidays.size else begin
            days = range(first, last + 32)  # a month more, so that growing is rare
            self._holidays = np.array([self.holidays.number(day) for day in days], np.int32)
        return self._holidays[begin - first : end - first + 1]

    def day(self, moment: int) -> int:
        """The local day number of a moment."""
        return (moment + self._offset(moment)) // DAY_S

    def offsets(self, moments: Ints) -> Ints:
        """Seconds east of UTC at each moment."""
        if not moments.size:
            return np.zeros(0, np.int64)
        hour = moments // HOUR_S
        self._cover(int(hour.min()) // 24, int(hour.max()) // 24)
        east: Ints = self._offsets.ravel()[hour - self._first_day * 24].astype(np.int64)
        return east

    def week_parts(self, moments: Ints) -> Bytes:
        """WeekPart of each moment; there must be one."""
        hour = moments // HOUR_S
        first = int(hour.min())
        return self.hours(first, int(hour.max())).week_part[hour - first]

    def midnight(self, day: int) -> int:
        """The moment at which a local day begins, also where the clock skips or repeats midnight."""
        if self._midnight is not None and day == self._midnight[0]:
            return self._midnight[1]
        early, late = day * DAY_S - 2 * DAY_S, day * DAY_S + 2 * DAY_S
        while late - early > 1:
            middle = (early + late) // 2
            if self.day(middle) < day:
                early = middle
            else:
                late = middle
        self._midnight = (day, late)
        return late

    def _offset(self, moment: int) -> int:
        shift = datetime.fromtimestamp(moment, UTC).astimezone(self._zone).utcoffset()
        assert shift is not None
        return int(shift.total_seconds())

    def _cover(self, first_day: int, last_day: int) -> None:
        """Have offsets for these UTC days."""
        if not self._offsets.size:
            self._first_day = first_day
            self._offsets = self._table(first_day, last_day)
            return
        if first_day < self._first_day:
            earlier = self._table(first_day, self._first_day - 1)
            self._offsets = np.concatenate([earlier, self._offsets])
            self._first_day = first_day
        end = self._first_day + len(self._offsets)
        if last_day >= end:
            later = self._table(end, last_day + 31)  # a month more, so that growing is rare
            self._offsets = np.concatenate([self._offsets, later])

    def _table(self, first_day: int, last_day: int) -> Small:
        table = np.empty((last_day - first_day + 1, 24), np.int32)
        here = self._offset(first_day * DAY_S)
        for row, day in enumerate(range(first_day, last_day + 1)):
            there = self._offset((day + 1) * DAY_S)
            if here == there:
                table[row] = here
            else:
                table[row] = [self._offset(day * DAY_S + hour * HOUR_S) for hour in range(24)]
            here = there
        return table
