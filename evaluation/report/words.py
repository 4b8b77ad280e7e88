"""Numbers, dates and comparisons as people say them: no digit that is noise, no claim stronger than its interval."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from scipy import stats

from processors.calibration import MOST_DAYS

NBSP: Final = "\N{NO-BREAK SPACE}"
MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
NAMES: Final = {
    "monitor": "Monitor",
    "permutation": "Space-time permutation scan",
    "threshold": "Threshold of last week’s count",
    "ears-c2": "EARS C2",
    "gi-star": "Getis-Ord Gi*",
    "cusum": "CUSUM",
    "baseline": "The monitor’s baseline",
    "same_weeks_of_two_years": "Same weeks of the last two years",
    "last_8_weeks": "Mean of the last 8 weeks",
    "all_past_weeks": "Mean of all the past",
    "incidents": "By number of incidents planted",
    "days": "By length, days",
    "radius_m": "By radius, metres",
    "place": "By how busy the place usually is",
    "hours": "By hours of the week",
    "growth": "By growth",
    "second_part": "By part of the incidents that only the second kind of source sees",
    "police": "police",
    "ed": "ED",
    "police_only": "police only",
    "ed_only": "ED only",
    "both": "both kinds",
    "as-recorded": "as recorded in the file",
    "weekend-nights": "weekend nights",
    "expectation": "The monitor’s expectation alone",
    "last_two_years": "Counts of the last two years",
}


class Interval(NamedTuple):
    """A number and the interval of 95 % about it."""

    value: float
    low: float
    high: float


Verdict = Literal["more", "fewer", "no clear difference"]


def name_of(key: str) -> str:
    """What people call it; what has no name here keeps its own."""
    return NAMES.get(key, key)


def kind_name(kind: str) -> str:
    """A kind of record in full."""
    return {"ed": "emergency departments (ED)", "police": "the police"}.get(kind, kind)


def number(value: float) -> str:
    """Three figures at most: 0.042, 1.25, 12.5, 1,250; what is not nothing is never written as 0."""
    size = abs(value)
    if value == round(value) and size < 1e15:
        return f"{value:,.0f}"
    if size < 0.001:
        return "less than 0.001" if value > 0 else f"{value:.1g}"
    if size < 0.0995:
        return f"{value:.2g}"
    if size < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if size < 99.95 else f"{value:,.0f}"


def percent(part: float) -> str:
    """Whole percents; with one decimal where all but all, or all but none, would be written as all or none."""
    part = round(part, 9)  # intervals end at all or none but for rounding
    if 0 < part < 0.01 or 0.99 < part < 1:
        return "less than 0.1%" if part < 0.0005 else "more than 99.9%" if part > 0.9995 else f"{part:.1%}"
    return f"{part:.0%}"


def plural(n: int, thing: str, things: str | None = None) -> str:
    """1 episode, 2 episodes."""
    return f"{n:,}{NBSP}{thing if n == 1 else things or thing + 's'}"


def days(value: float) -> str:
    """A length of time given in days, in the unit that suits it."""
    if value < 1 / 24:
        return "less than an hour"
    if value < 0.995:
        return plural(max(round(value * 24), 1), "hour")
    if value >= 2 * 365.25:
        return f"{value / 365.25:.1f}{NBSP}years"
    if value >= 9.95 or value == round(value):
        return plural(round(value), "day")
    return f"{value:.1f}{NBSP}days"


def per_month(rate: float) -> str:
    """Episodes in 28 days."""
    return f"{rate:.2f}" if rate < 9.995 else f"{rate:,.1f}"


def metres(value: float) -> str:
    """A distance."""
    return f"{value / 1000:.1f}".removesuffix(".0") + f"{NBSP}km" if value >= 1000 else f"{value:.0f}{NBSP}m"


def day(value: date | datetime) -> str:
    """12 March 2014."""
    return f"{value.day}{NBSP}{MONTHS[value.month - 1]}{NBSP}{value.year}"


def short_day(value: date | datetime) -> str:
    """12 Mar 2014."""
    return f"{value.day}{NBSP}{MONTHS[value.month - 1][:3]}{NBSP}{value.year}"


def part_name(name: str) -> str:
    """March 2014 for 2014-03, 08:00 for 08, Weekend night for weekend night."""
    if len(name) == 2 and name.isdigit():
        return f"{name}:00"
    year, _, of_year = name.partition("-")
    if year.isdigit() and of_year.isdigit() and 1 <= int(of_year) <= 12:
        return f"{MONTHS[int(of_year) - 1]}{NBSP}{year}"
    return name[:1].upper() + name[1:]


def clock(value: datetime, zone: ZoneInfo) -> str:
    """The time of day in the region."""
    return value.astimezone(zone).strftime("%H:%M")


def recurrence_short(value: float) -> str:
    """How often chance alone would do this, for a column of a table."""
    return f"over {MOST_DAYS / 365.25:.0f}{NBSP}years" if value >= MOST_DAYS else days(value)


def listed(things: Sequence[str], last: str = "and") -> str:
    """One, two and three."""
    if len(things) < 2:
        return "".join(things)
    return f"{', '.join(things[:-1])} {last} {things[-1]}"


def rate_interval(n: int, length_days: float) -> Interval:
    """Episodes in 28 days with the exact Poisson interval of 95 % (Garwood 1936), as if they came independently."""
    months = length_days / 28
    low = float(stats.chi2.ppf(0.025, 2 * n)) / 2 if n else 0.0
    return Interval(n / months, low / months, float(stats.chi2.ppf(0.975, 2 * n + 2)) / 2 / months)


def against(low: float, high: float, other_low: float, other_high: float) -> Verdict:
    """What may be said of two intervals: nothing where they overlap."""
    if low > other_high:
        return "more"
    return "fewer" if high < other_low else "no clear difference"
