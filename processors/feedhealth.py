"""Signs that a feed is broken in a way that looks like data: default times, repeated volumes, a shifted hour.

What is found is told to people. Default times are gated besides: a place is no hotspot because a system writes
midnight where it knows no better. Silence is a matter of every look, and of feeds.py.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.arrays import Floats, Ints
from processors.localtime import DAY_S, HOUR_S, HOURS_A_DAY, LocalHours
from schemas.feeds import FeedProblem
from schemas.located import Gate, LocatedArray, Status, pack_cell, pick

#: Hours that systems write where they know none, on the clock of the region or of UTC.
DEFAULT_HOURS: Final = (0, 12)
#: One of them is a default time with so many times the places of the full hours around it, and so many more. Places
#: and not records: a club that is busy at midnight is one place.
DEFAULT_TIMES: Final = 3.0
DEFAULT_MORE: Final = 10
#: The same number of records in so many months on end, of at least so many, is no chance.
REPEATED_MONTHS: Final = 4
REPEATED_LEAST: Final = 10
#: A log likelihood ratio beyond which summer is an hour off, and the records that each half of the year must have.
SHIFT_RATIO: Final = 10.0
SHIFT_LEAST: Final = 300
#: Thin is less than this part of the usual over so many days, where at least so many records are usual.
THIN_PART: Final = 0.3
THIN_DAYS: Final = 14
THIN_USUAL_DAYS: Final = 182
THIN_LEAST: Final = 20.0


class DefaultTime(NamedTuple):
    """A full hour that a feed writes where it knows no time."""

    kind: int
    source: int
    utc: bool
    """Whether on the clock of UTC, or of the region."""
    hour: int


class Finding(NamedTuple):
    """Something wrong with a feed."""

    kind: int
    source: int
    problem: FeedProblem


class Health(NamedTuple):
    """What checks of all feeds found."""

    findings: tuple[Finding, ...]
    defaults: tuple[DefaultTime, ...]


NO_HEALTH: Final = Health((), ())


def check_feeds(rows: LocatedArray, at: int, local: LocalHours) -> Health:
    """Check every feed among all kept records, as of a moment (s)."""
    standing = (rows["status"] != Status.WITHDRAWN) & (
        (rows["gate"] == Gate.NONE) | (rows["gate"] == Gate.DEFAULT_TIME)
    )
    codes = np.where(standing, rows["kind"].astype(np.int64) << 16 | rows["source"], -1)
    occurred, cells = np.ascontiguousarray(rows["occurred"]), pack_cell(rows["ix"], rows["iy"])
    offsets, recorded = local.offsets(occurred), rows["recorded_us"] // 1_000_000
    findings: list[Finding] = []
    defaults: list[DefaultTime] = []
    for code in np.flatnonzero(np.bincount(codes[standing])).tolist():
        kind, source = code >> 16, code & 0xFFFF
        mine = np.flatnonzero(codes == code)
        when, clock = occurred[mine], occurred[mine] + offsets[mine]
        own = [
            DefaultTime(kind, source, utc, hour)
            for utc, times in ((False, clock), (True, when))
            for hour in default_hours(times, cells[mine])
        ]
        # A clock of the region that is UTC half of the year would name one default twice.
        defaults += [found for found in own if not found.utc or not any(not other.utc for other in own)]
        told = ~at_default_time(pick(rows, mine), tuple(own), local) if own else slice(None)
        tests = (
            (bool(own), FeedProblem.DEFAULT_TIMES),
            (repeats_volumes(clock // DAY_S, at), FeedProblem.REPEATED_VOLUMES),
            (shifts_an_hour(when[told], offsets[mine][told]), FeedProblem.SHIFTED_HOUR),
            (is_thin(recorded[mine], at), FeedProblem.THIN),
        )
        findings += [Finding(kind, source, problem) for wrong, problem in tests if wrong]
    return Health(tuple(findings), tuple(defaults))


def default_hours(times: Ints, cell: Ints) -> list[int]:
    """Default hours of the day that are written, exact to the second, in far more places than the hours around them."""
    exact = np.flatnonzero(times % HOUR_S == 0)
    hour = times[exact] // HOUR_S % HOURS_A_DAY
    found = []
    for default in DEFAULT_HOURS:
        before, n, after = (np.unique(cell[exact[hour == (default + by) % HOURS_A_DAY]]).size for by in (-1, 0, 1))
        if n > DEFAULT_TIMES * (before + after) / 2.0 + DEFAULT_MORE:
            found.append(default)
    return found


def at_default_time(rows: LocatedArray, defaults: tuple[DefaultTime, ...], local: LocalHours) -> NDArray[np.bool_]:
    """Which rows have a time that their feed writes where it knows none."""
    found = np.zeros(rows.size, np.bool_)
    exact = np.flatnonzero(rows["occurred"] % HOUR_S == 0) if defaults else np.zeros(0, np.int64)
    if not exact.size:
        return found
    some = pick(rows, exact)
    clocks = (some["occurred"] + local.offsets(some["occurred"]), some["occurred"])
    for default in defaults:
        same = (some["kind"] == default.kind) & (some["source"] == default.source)
        found[exact[same & (clocks[default.utc] // HOUR_S % HOURS_A_DAY == default.hour)]] = True
    return found


def repeats_volumes(day: Ints, at: int) -> bool:
    """Whether the last whole months have exactly the same number of records; `day` is the local day of each."""
    first = (date(1970, 1, 1) + timedelta(days=at // DAY_S)).replace(day=1)
    counts = []
    for _ in range(REPEATED_MONTHS):
        end = (first - date(1970, 1, 1)).days
        first = (first - timedelta(days=1)).replace(day=1)
        counts.append(int(((day >= (first - date(1970, 1, 1)).days) & (day < end)).sum()))
    return min(counts) == max(counts) >= REPEATED_LEAST


def shifts_an_hour(occurred: Ints, offset: Ints) -> bool:
    """Whether the hours of summer are likelier those of winter an hour earlier or later than those of winter."""
    hour = (occurred + offset) // HOUR_S % HOURS_A_DAY
    clocks = np.unique(offset)
    if clocks.size < 2:
        return False
    winter, summer = (np.bincount(hour[offset == clock], minlength=HOURS_A_DAY) for clock in (clocks[0], clocks[-1]))
    if min(summer.sum(), winter.sum()) < SHIFT_LEAST:
        return False
    profile: Floats = (winter + 1.0) / (winter + 1.0).sum()
    as_is, *shifted = (float((summer * np.log(np.roll(profile, by))).sum()) for by in (0, -1, 1))
    return max(shifted) - as_is > SHIFT_RATIO


def is_thin(recorded: Ints, at: int) -> bool:
    """Whether far fewer records came in the last days than usual."""
    begin, recent = at - THIN_USUAL_DAYS * DAY_S, at - THIN_DAYS * DAY_S
    known_for = (recent - max(begin, int(recorded.min(initial=recent)))) / DAY_S
    if known_for < 2 * THIN_DAYS:
        return False
    usual = float(((recorded > begin) & (recorded <= recent)).sum()) / known_for * THIN_DAYS
    return usual >= THIN_LEAST and float(((recorded > recent) & (recorded <= at)).sum()) < THIN_PART * usual
