"""How long it takes until a partner has recorded what happened. Times are seconds of the local clock."""

from __future__ import annotations

import numpy as np

from simulation.days import DAY_S, HOUR_S
from simulation.geography import FloatArray, IntArray

#: Police: parts of incidents recorded on the same day, the next, and 2 to 7 days later. The rest takes longer.
SAME_TO_SEVEN_DAYS = np.array([0.77, 0.145, 0.018, 0.013, 0.010, 0.008, 0.006, 0.005])
TAIL_STARTS_DAYS = 7.0
TAIL_EXPONENT = 0.63  # of the 2.5 % beyond a week, 40 % beyond 30 days
TAIL_ENDS_DAYS = 1_500.0  # reports of violence years ago exist, but not without end

SAME_DAY_MEAN_S = 45 * 60.0
AFTER_MIDNIGHT_MEAN_S = 2 * HOUR_S
LATE_EVENING_S = 21 * HOUR_S
OFFICE_OPENS_S, OFFICE_CLOSES_S = 8 * HOUR_S, 20 * HOUR_S

ED_ARRIVAL_MEDIAN_S = 75 * 60.0
ED_ARRIVAL_SPREAD = 1.1  # of the logarithm; some come in days later
ED_BATCH_S = 6 * HOUR_S + 15 * 60
ED_SITE_STAGGER_S = 17 * 60
ED_BATCH_JITTER_MEAN_S = 12 * 60.0
ED_BATCH_WRITES_S = 90  # a batch is written within this time
REVISION_SPREAD = 1.2  # of the logarithm
ED_WEEKLY_WEEKDAY = 0  # the weekly batch comes on Monday mornings


def heaped(rng: np.random.Generator, local: IntArray, share: float, unit_s: int) -> IntArray:
    """Times of which a share is rounded down to a unit, as people round what they were told."""
    return np.where(rng.random(len(local)) < share, local // unit_s * unit_s, local)


def police_recorded(rng: np.random.Generator, occurred: IntArray) -> IntArray:
    """When the police record an incident: usually at once, sometimes days later, seldom years."""
    days = _police_days(rng, len(occurred))
    midnight = occurred // DAY_S * DAY_S
    into_day = occurred - midnight
    same = into_day + _exponential_below(rng, SAME_DAY_MEAN_S, (DAY_S - into_day).astype(np.float64))
    office = rng.uniform(OFFICE_OPENS_S, OFFICE_CLOSES_S, size=len(occurred))
    overnight = _exponential_below(rng, AFTER_MIDNIGHT_MEAN_S, np.full(len(occurred), float(DAY_S)))
    soon = (days == 1) & (into_day >= LATE_EVENING_S)
    clock = np.where(days == 0, same, np.where(soon, overnight, office))
    recorded: IntArray = np.maximum(midnight + days * DAY_S + clock.astype(np.int64), occurred)
    return recorded


def ed_recorded(
    rng: np.random.Generator, occurred: IntArray, site: IntArray, weekly: IntArray, late_batch: float
) -> IntArray:
    """When an ED's batch with the attendance arrives: the morning after, or on Monday for the weekly sites."""
    if not len(occurred):
        return occurred
    on_the_way: FloatArray = rng.lognormal(np.log(ED_ARRIVAL_MEDIAN_S), ED_ARRIVAL_SPREAD, size=len(occurred))
    arrival = occurred + on_the_way.astype(np.int64)
    day = arrival // DAY_S + 1
    to_weekday = (ED_WEEKLY_WEEKDAY - (day + 3)) % 7  # 1970-01-01 was a Thursday
    day = day + np.where(np.isin(site, weekly), to_weekday, 0)
    batches, own = np.unique(np.stack([site, day]), axis=1, return_inverse=True)
    jitter = rng.exponential(ED_BATCH_JITTER_MEAN_S, size=len(batches[1]))
    late = rng.random(len(batches[1])) < late_batch
    batch: IntArray = batches[1] * DAY_S + ED_BATCH_S + batches[0] * ED_SITE_STAGGER_S + jitter.astype(np.int64)
    batch = batch + np.where(late, DAY_S, 0)
    recorded: IntArray = batch[own.ravel()] + rng.integers(0, ED_BATCH_WRITES_S, size=len(occurred))
    return recorded


def revision_delay(rng: np.random.Generator, count: int, median_days: float) -> IntArray:
    """Seconds from one revision to the next; at least a minute."""
    delay: FloatArray = rng.lognormal(np.log(median_days * DAY_S), REVISION_SPREAD, size=count)
    whole: IntArray = np.maximum(delay.astype(np.int64), 60)
    return whole


def _police_days(rng: np.random.Generator, count: int) -> IntArray:
    slow = 1.0 - SAME_TO_SEVEN_DAYS.sum()
    days = rng.choice(len(SAME_TO_SEVEN_DAYS) + 1, size=count, p=[*SAME_TO_SEVEN_DAYS, slow])
    tail = TAIL_STARTS_DAYS * (1.0 - rng.random(count)) ** (-1.0 / TAIL_EXPONENT)
    tail_days = np.floor(np.minimum(tail, TAIL_ENDS_DAYS)) + 1
    return np.where(days == len(SAME_TO_SEVEN_DAYS), tail_days, days).astype(np.int64)


def _exponential_below(rng: np.random.Generator, mean: float, limit: FloatArray) -> FloatArray:
    """Exponential times, given that they are below a limit."""
    return -mean * np.log1p(-rng.random(len(limit)) * -np.expm1(-limit / mean))
