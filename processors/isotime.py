"""Reads many times in the plainest form of ISO 8601 at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numba import njit

from processors.arrays import Bytes, Ints
from processors.lines import NEWLINE, count_lines, lines_of

#: Stands for a text that is no time.
NO_TIME: Final = -(2**63)
_MINUTE_US: Final = 60_000_000
_DOT, _PLUS, _MINUS, _COLON, _T, _Z = (ord(sign) for sign in ".+-:TZ")
_ZERO: Final = ord("0")
_DIGITS: Final = 6


def read_times(texts: Sequence[str]) -> Ints:
    """Microseconds since 1970-01-01T00:00Z of each text of the form 2026-03-01T22:15:00.123456+01:00.

    The fraction may have one to six digits or be missing, and Z may stand for +00:00. Texts of any other form are
    NO_TIME; so are days that no month has and hours that no day has.
    """
    found: Ints = _read_lines(lines_of(texts))
    return found


@njit(cache=True, nogil=True)
def _read_lines(lines: Bytes) -> Ints:
    found = np.empty(count_lines(lines), np.int64)
    begin, n = 0, 0
    for i in range(lines.size):
        if lines[i] == NEWLINE:
            found[n] = _read(lines, begin, i)
            n += 1
            begin = i + 1
    return found


@njit(cache=True, nogil=True)
def _number(lines: Bytes, begin: int, end: int) -> int:
    """The number that digits make; far below zero where they are not all digits."""
    value = 0
    for i in range(begin, end):
        digit = int(lines[i]) - _ZERO
        if digit < 0 or digit > 9:
            return -1_000_000
        value = value * 10 + digit
    return value


@njit(cache=True, nogil=True)
def _read(lines: Bytes, begin: int, end: int) -> int:
    if end - begin < 20:
        return NO_TIME
    year, month = _number(lines, begin, begin + 4), _number(lines, begin + 5, begin + 7)
    day, hour = _number(lines, begin + 8, begin + 10), _number(lines, begin + 11, begin + 13)
    minute, second = _number(lines, begin + 14, begin + 16), _number(lines, begin + 17, begin + 19)
    if year < 1 or month < 1 or month > 12 or day < 1 or day > _days(year, month):
        return NO_TIME
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or second < 0 or second > 59:
        return NO_TIME
    if lines[begin + 4] != _MINUS or lines[begin + 7] != _MINUS or lines[begin + 10] != _T:
        return NO_TIME
    if lines[begin + 13] != _COLON or lines[begin + 16] != _COLON:
        return NO_TIME
    at = begin + 19
    micros = 0
    if lines[at] == _DOT:
        at += 1
        digits = 0
        while _ZERO <= lines[at] <= _ZERO + 9 and digits < _DIGITS:
            micros = micros * 10 + int(lines[at]) - _ZERO
            digits += 1
            at += 1
        if digits == 0:
            return NO_TIME
        for _ in range(digits, _DIGITS):
            micros *= 10
    minutes = (_epoch_day(year, month, day) * 24 + hour) * 60 + minute
    if lines[at] != _Z:
        if (lines[at] != _PLUS and lines[at] != _MINUS) or at + 6 != end or lines[at + 3] != _COLON:
            return NO_TIME
        off_hours, off_minutes = _number(lines, at + 1, at + 3), _number(lines, at + 4, end)
        if off_hours < 0 or off_hours > 23 or off_minutes < 0 or off_minutes > 59:
            return NO_TIME
        offset = off_hours * 60 + off_minutes
        minutes -= offset if lines[at] == _PLUS else -offset
    elif at + 1 != end:
        return NO_TIME
    return int(minutes * _MINUTE_US + second * 1_000_000 + micros)


@njit(cache=True, nogil=True)
def _days(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@njit(cache=True, nogil=True)
def _epoch_day(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar, with years that begin in March (Hinnant, `days_from_civil`)."""
    if month <= 2:
        year -= 1
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
