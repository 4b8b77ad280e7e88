"""Times as partners' own files write them: read by what stands there, never by trying one order after the other."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from schemas.columns import DateOrder

Precision = Literal["minute", "day", "month"]

_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: n for n, name in enumerate(_NAMES, start=1)}
_DATE = re.compile(
    r"""\s*(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*\.?,?\s+)?(?:
      (?P<iso_y>\d{4})(?P<iso_gap>[-/.])(?P<iso_m>\d{1,2})(?:(?P=iso_gap)(?P<iso_d>\d{1,2}))?(?!\d)
    | (?P<plain_y>\d{4})(?P<plain_m>\d\d)(?P<plain_d>\d\d)(?!\d)
    | (?P<first>\d{1,2})(?P<gap>[-/.])(?P<second>\d{1,2})(?P=gap)(?P<num_y>\d{4}|\d\d)(?!\d)
    | (?P<dmy_d>\d{1,2})(?:st|nd|rd|th)?[-/.\s]*(?P<dmy_m>[a-z]{3,9})\.?[-/.,\s]*(?P<dmy_y>\d{4}|\d\d)(?![\d:])
    | (?P<mdy_m>[a-z]{3,9})\.?\s*(?P<mdy_d>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<mdy_y>\d{4})(?!\d)
    | (?P<my_m>[a-z]{3,9})\.?[-/\s]*(?P<my_y>\d{4})(?!\d)
    | (?P<slash_m>\d{1,2})/(?P<slash_y>\d{4})(?!\d)
    )""",
    re.VERBOSE | re.IGNORECASE,
)
_TIME = re.compile(
    r"""(?:T|[\s,]*)(?:
      (?P<h>\d{1,2})[:.h](?P<m>\d\d)(?:[:.](?P<s>\d\d)(?:[.,]\d+)?)?(?:\s*(?P<half>[ap])\.?m\.?)?
    | (?P<bare_h>\d{1,2})\s*(?P<bare_half>[ap])\.?m\.?
    | (?P<plain_h>\d{1,2})(?P<plain_min>\d\d)(?:h|hrs)?
    )\s*(?P<zone>Z|UTC|(?P<sign>[+-])(?P<zone_h>\d\d):?(?P<zone_m>\d\d)?)?\s*""",
    re.VERBOSE | re.IGNORECASE,
)
#: Programs that know no time without a date put one of these before it.
_DAY_OF_NO_MEANING = re.compile(
    r"\s*(?:1899-12-3[01]|1900-01-0[01]|3[01]/12/1899|12/3[01]/1899|0[01]/0[01]/1900)[T\s]+"
)
#: Others are a program's least and greatest dates.
_YEARS = range(1900, 2200)
_LAST_SECOND = time(23, 59, 59)


class PartnerTime(NamedTuple):
    """A time as it was written: without a zone unless the text has an offset."""

    moment: datetime
    precision: Precision


def read_time(text: str, order: DateOrder | None, time_of_day: str | None = None) -> PartnerTime | None:
    """What a cell, or a cell of a date and one of a time of day, say; None where that is not certain.

    A date without a time of day has the precision `day` and stands for its midnight, a month for its first one.
    """
    if len(text) > 80:  # no time is so long; patterns shall not be run over free text
        return None
    found = _DATE.match(text)
    if not found:
        return None
    dated = _date(found, order)
    if dated is None:
        return None
    day, precision = dated
    rest = text[found.end() :]
    if time_of_day is not None:
        if rest.strip() and not _clock(rest):
            return None
        rest = _DAY_OF_NO_MEANING.sub("", time_of_day)
    if not rest.strip():
        return PartnerTime(datetime.combine(day, time(0)), precision)  # a cell without a time of day is no midnight
    clock = _clock(rest)
    if clock is None or precision == "month":
        return None
    return PartnerTime(datetime.combine(day, clock), "minute")


def numbers_of(text: str) -> tuple[int, int] | None:
    """The first two numbers of a date such as 03/04/2026, whose order the text does not tell."""
    found = _DATE.match(text) if len(text) <= 80 else None
    return (int(found["first"]), int(found["second"])) if found and found["first"] else None


def in_zone(moment: datetime, zone: ZoneInfo, *, not_before: datetime | None = None) -> datetime:
    """A local time as a moment; one with an offset as it is.

    In the hour that comes twice when clocks go back, the first of the two is taken, unless that lies before
    `not_before` and the second does not. In the hour that is left out when they go forward, it counts on from the hour
    before: 01:30 in Britain is 02:30 summer time.
    """
    if moment.tzinfo is not None:
        return moment
    first = moment.replace(tzinfo=zone).astimezone(UTC)
    if not_before is not None and first < not_before:
        second = moment.replace(tzinfo=zone, fold=1).astimezone(UTC)
        return second if second >= not_before and second > first else first
    return first


def at_clock_change(moment: datetime, zone: ZoneInfo) -> Literal["twice", "left out"] | None:
    """Whether a local time comes twice on its day, or not at all."""
    if moment.tzinfo is not None:
        return None
    first, second = (moment.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None
    assert second is not None
    if first == second:
        return None
    return "twice" if first > second else "left out"


def end_of_day(moment: datetime) -> datetime:
    """The last second of a day."""
    return datetime.combine(moment.date(), _LAST_SECOND, moment.tzinfo)


def _date(found: re.Match[str], order: DateOrder | None) -> tuple[date, Precision] | None:
    part = found.groupdict()
    day: str | None = None
    if part["iso_y"]:
        year, month, day = part["iso_y"], part["iso_m"], part["iso_d"]
    elif part["plain_y"]:
        year, month, day = part["plain_y"], part["plain_m"], part["plain_d"]
    elif part["first"]:
        if order is None:
            return None
        year, month, day = part["num_y"], part["second"], part["first"]
        if order is DateOrder.MONTH_FIRST:
            month, day = day, month
    elif part["dmy_d"]:
        year, month, day = part["dmy_y"], part["dmy_m"], part["dmy_d"]
    elif part["mdy_m"]:
        year, month, day = part["mdy_y"], part["mdy_m"], part["mdy_d"]
    elif part["my_m"]:
        year, month = part["my_y"], part["my_m"]
    else:
        year, month = part["slash_y"], part["slash_m"]
    number = int(month) if month.isdigit() else _MONTHS.get(month[:3].lower(), 0)
    written = int(year) + 2000 * (len(year) == 2)
    if written not in _YEARS:
        return None
    try:
        return date(written, number, int(day or 1)), "day" if day else "month"
    except ValueError:
        return None


def _clock(text: str) -> time | None:
    found = _TIME.fullmatch(text)
    if not found:
        return None
    hour = int(found["h"] or found["bare_h"] or found["plain_h"])
    minute, second = int(found["m"] or found["plain_min"] or 0), int(found["s"] or 0)
    half = (found["half"] or found["bare_half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half == "p")
    try:
        return time(hour, minute, second, tzinfo=_offset(found))
    except ValueError:
        return None


def _offset(found: re.Match[str]) -> tzinfo | None:
    if not found["zone"]:
        return None
    if not found["sign"]:
        return UTC
    ahead = timedelta(hours=int(found["zone_h"]), minutes=int(found["zone_m"] or 0))
    return timezone(-ahead if found["sign"] == "-" else ahead)
