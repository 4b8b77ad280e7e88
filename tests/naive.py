"""Slow and obvious twins of what processors compute. Imports nothing of the code that it judges."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

WITHDRAWN = 2
DAY = 86_400
HOUR = 3_600
Incident = tuple[int, int, int, int]
"""Kind, column, row, event time."""


def latest(rows: Iterable[Any]) -> dict[int, tuple[Any, ...]]:
    """The surviving revision of each record: highest revision, then by what it says, in a fixed order."""
    best: dict[int, tuple[Any, ...]] = {}
    for row in rows:
        fields = {name: int(row[name]) for name in row.dtype.names}
        fields["reserved"] = 0
        if fields["status"] == WITHDRAWN:
            fields.update(occurred=fields["recorded_us"] // 1_000_000, ix=0, iy=0, gate=0, weight=0, incident=0)
        telling = (
            "revision",
            "recorded_us",
            "occurred",
            "ix",
            "iy",
            "incident",
            "weight",
            "status",
            "gate",
            "kind",
            "source",
        )
        rank = tuple(fields[name] for name in telling)
        whole = (rank, tuple(fields[name] for name in row.dtype.names))
        if fields["record"] not in best or whole > best[fields["record"]]:
            best[fields["record"]] = whole
    return {record: whole[1] for record, whole in best.items()}


def incidents(rows: Iterable[Any], merge_s: int, reach_s: int) -> list[Incident]:
    """Walk each kind and cell in time: a record starts an incident unless something near before it says otherwise."""
    places: dict[tuple[int, int, int], list[tuple[int, int, int]]] = defaultdict(list)
    for row in rows:
        places[int(row["kind"]), int(row["ix"]), int(row["iy"])].append(
            (int(row["occurred"]), int(row["record"]), int(row["incident"]))
        )
    found = []
    for place, records in places.items():
        records.sort()
        for n, (when, _, reference) in enumerate(records):
            near = n > 0 and when - records[n - 1][0] <= merge_s
            shared = any(
                reference and other == reference and when - before <= reach_s for before, _, other in records[:n]
            )
            if not near and not shared:
                found.append((*place, when))
    return sorted(found)


def count(
    found: Iterable[Incident],
    kind: int,
    ix: int,
    iy: int,
    radius: int,
    span: int,
    as_of: int,
    part: int = 0,
    zone: ZoneInfo | None = None,
) -> int:
    """Incidents of a kind in a window, in a part of the week if one is given."""
    return sum(
        1
        for k, x, y, when in found
        if k == kind
        and (x - ix) ** 2 + (y - iy) ** 2 <= radius**2
        and as_of - span < when <= as_of
        and (part == 0 or (zone is not None and week_part(hour_of_week(when, zone)) == part))
    )


def surprise(observed: int, expected: float) -> float:
    """c·ln(c/μ) - (c - μ) where c > μ and anything was expected, else 0."""
    if observed <= expected or expected <= 0.0:
        return 0.0
    return observed * math.log(observed / expected) - (observed - expected)


def hour_of_week(moment: int, zone: ZoneInfo) -> int:
    """Hours since Monday 00:00 by the clock on the wall."""
    local = datetime.fromtimestamp(moment, UTC).astimezone(zone)
    return local.weekday() * 24 + local.hour


def day_number(moment: int, zone: ZoneInfo) -> int:
    """Days since 1970-01-01 by the calendar on the wall."""
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).date().toordinal() - 719_163


def block(hour: int) -> int:
    """Weekday day, weekday night, weekend day, weekend night, of an hour of the week."""
    night = hour % 24 >= 18 or hour % 24 < 6
    weekend = hour >= 4 * 24 + 18 or hour < 6
    return 2 * weekend + night


def week_part(hour: int) -> int:
    """1 mornings, 2 afternoons, 3 nights, 4 days of the weekend, 5 nights that end on a Saturday or Sunday."""
    if 6 <= hour % 24 < 18:
        if hour // 24 >= 5:
            return 4
        return 1 if hour % 24 < 12 else 2
    morning_after = (hour + 6) // 24 % 7
    return 5 if morning_after in (5, 6) else 3


def rate(harmonics: Sequence[float], level: float, week: Sequence[float], moment: int, zone: ZoneInfo) -> float:
    """Incidents a second of the whole region in the hour that begins at a moment."""
    angle = 2 * math.pi * day_number(moment, zone) / 365.2425
    waves = (1.0, math.cos(angle), math.sin(angle), math.cos(2 * angle), math.sin(2 * angle))
    yearly = math.exp(sum(a * b for a, b in zip(harmonics, waves, strict=True)))
    return yearly * level * week[hour_of_week(moment, zone)] / DAY


def known_at(cdf: Sequence[float], age_s: float) -> float:
    """Part known at an age, between whole hours by a straight line."""
    hours = age_s / HOUR
    if hours >= len(cdf) - 1:
        return cdf[-1]
    low = int(hours)
    return cdf[low] + (cdf[low + 1] - cdf[low]) * (hours - low)


def exposure(
    rate_at: Callable[[int], float],
    cdf: Sequence[Sequence[float]],
    as_of: int,
    spans: Sequence[int],
    zone: ZoneInfo,
    until: int | None = None,
    part: int = 0,
) -> list[list[float]]:
    """Expected known incidents of the region by block, for spans from short to long, in pieces of clock hours.

    Within a piece all incidents are taken to be of its middle's age. Pieces end where a clock hour or a span does.
    Nothing later than `until` is known, and ages are those at that moment. Of a part of the week if one is given.
    """
    last = as_of if until is None else min(until, as_of)
    first = as_of - max(spans)
    cuts = {as_of - span for span in spans} | {as_of} | set(range(first // HOUR * HOUR + HOUR, as_of, HOUR))
    result = []
    for span in spans:
        total = [0.0] * 4
        inside = sorted(cut for cut in cuts if cut >= as_of - span)
        for start, end in pairwise(inside):
            hour = start // HOUR * HOUR
            known_end = min(end, last)
            if known_end > start:
                age = last - (start + known_end) / 2
                of_week = hour_of_week(hour, zone)
                if part and week_part(of_week) != part:
                    continue
                total[block(of_week)] += rate_at(hour) * (known_end - start) * known_at(cdf[of_week % 24], age)
        result.append(total)
    return result


def disc(radius: int) -> list[tuple[int, int]]:
    """Offsets of a disc."""
    reach = range(-radius, radius + 1)
    return [(x, y) for x in reach for y in reach if x * x + y * y <= radius * radius]


def shrink(counts: dict[Any, float], total: float, children: int, a: float) -> tuple[dict[Any, float], float]:
    """Expected counts of the children of one parent, seen ones by key, and of each unseen one."""
    even = total / children
    raw = {key: even * (a + n) / (a + even) for key, n in counts.items()}
    other = even * a / (a + even)
    scale = total / (sum(raw.values()) + (children - len(raw)) * other)
    return {key: value * scale for key, value in raw.items()}, other * scale


def likelihood(counts: Sequence[float], even: float, children: int, a: float) -> float:
    """Negative binomial log likelihood of all children of one parent, unseen ones as zeros."""
    everyone = [*counts, *([0.0] * (children - len(counts)))]
    return sum(
        math.lgamma(a + n) - math.lgamma(a) - math.lgamma(n + 1) + a * math.log(a / (a + even))
        + n * math.log(even / (a + even))
        for n in everyone
    )  # fmt: skip


def touches(a: Any, b: Any) -> bool:
    """Whether two windows are about the same place."""
    return bool((a.ix - b.ix) ** 2 + (a.iy - b.iy) ** 2 <= (max(a.radius_cells, b.radius_cells) + 1) ** 2)


def choose(windows: Iterable[Any]) -> list[Any]:
    """Best first; what touches a better one goes."""
    kept: list[Any] = []
    for window in sorted(windows, key=lambda w: (-w.level, w.radius_cells, w.span_s, w.part, w.ix, w.iy)):
        if not any(touches(window, better) for better in kept):
            kept.append(window)
    return kept
