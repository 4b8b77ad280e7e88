"""The intervals in which a scan counts time: whole units laid from the end of the study period backwards."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from processors.arrays import Ints
from schemas.scan import ScanJob, TimeUnit


def interval_starts(job: ScanJob) -> Ints:
    """First day of each interval (ordinals), and after them the day after the last.

    The earliest interval is shorter where the study period is no whole number of them.
    """
    end = job.end + timedelta(days=1)
    starts = [end.toordinal()]
    n = 1
    while starts[-1] > job.start.toordinal():
        starts.append(max(_back(end, job.unit, n * job.interval).toordinal(), job.start.toordinal()))
        n += 1
    return np.array(starts[::-1], np.int64)


def _back(day: date, unit: TimeUnit, units: int) -> date:
    """The day so many units earlier."""
    if unit is TimeUnit.DAY:
        return day - timedelta(days=units)
    months = day.year * 12 + day.month - 1 - units * (12 if unit is TimeUnit.YEAR else 1)
    year, month = divmod(months, 12)
    if year < 1:
        return date.min
    return date(year, month + 1, min(day.day, _days_of(year, month + 1)))


def _days_of(year: int, month: int) -> int:
    following = date(year + month // 12, month % 12 + 1, 1)
    return (following - timedelta(days=1)).day


def window_lengths(job: ScanJob, intervals: int) -> tuple[int, int]:
    """Shortest and longest window, in intervals."""
    longest = intervals * job.max_time / 100.0 if job.max_time_is_percent else job.max_time / job.interval
    return max(1, -(-job.min_time // job.interval)), min(int(longest + 1e-9), intervals)
