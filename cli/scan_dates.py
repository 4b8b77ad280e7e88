"""Reads the dates of SaTScan's files: a year, a month or a day, year first or month first, with two-digit years."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

from schemas.scan import TimeUnit

_PARTS = re.compile(r"[0-9]{1,4}(?:[-/.*][0-9]{1,2}){0,2}|[0-9]{1,2}[-/.*](?:[0-9]{1,2}[-/.*])?[0-9]{4}")
_SEPARATOR = re.compile(r"[-/.*]")
_DEPTH = {TimeUnit.YEAR: 1, TimeUnit.MONTH: 2, TimeUnit.DAY: 3}


class Period(NamedTuple):
    """First and last day of a study."""

    start: date
    end: date


class ReadDate(NamedTuple):
    """A date as it was written: 0 stands for a month or day that was not."""

    year: int
    month: int
    day: int

    def first_day(self, precision: TimeUnit) -> date | None:
        """The first day of the year, month or day that is meant; None where the date is less precise than that."""
        depth = _DEPTH[precision]
        if sum(part > 0 for part in self) < depth:
            return None
        return date(self.year, self.month if depth > 1 else 1, self.day if depth > 2 else 1)


def parse_date(text: str, period: Period | None) -> ReadDate | None:
    """A date, or None where the text is none. Two-digit years, year first, are of the period's century.

    Where a period reaches into the next century, a year belongs to whichever of the two centuries has it in the period.
    """
    if not _PARTS.fullmatch(text):
        return None
    numbers = [int(part) for part in _SEPARATOR.split(text)]
    if len(numbers) > 1 and numbers[-1] > 999:  # month first; such a date always has all digits of its year
        *rest, year = numbers
    else:
        year, *rest = numbers
        year = _full_year(year, period)
    if 0 in rest:
        return None
    read = ReadDate(year, *(*rest, 0, 0)[:2])
    try:
        date(read.year, read.month or 1, read.day or 1)
    except ValueError:
        return None
    return read


def _full_year(year: int, period: Period | None) -> int:
    """All digits of a year; 0, which no date has, where they cannot be known."""
    if year > 999:
        return year
    if year > 99:
        return 0
    if period is None:
        return 1900 + year
    first, last = period.start.year, period.end.year
    if first // 100 == last // 100:
        return first // 100 * 100 + year
    if last - first >= 100:
        return 0
    if year >= first % 100:
        return first // 100 * 100 + year
    return last // 100 * 100 + year if year <= last % 100 else 0
