"""Simulated years in which nothing emerges, through the whole monitor: whether recurrence intervals are reliable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from scipy.special import gammaincinv

from evaluation.measures import quartiles, run_lengths
from evaluation.monitored import Monitored, Told
from evaluation.plan import Plan
from processors.baseline import Baseline
from processors.detector import Detector
from processors.dispersion import Variation
from processors.localtime import DAY_S
from processors.verify import LEARNING_WEEKS, null_records
from schemas.backtest import NullCheck, Reliability
from schemas.base import ToldError
from schemas.located import LocatedArray, pick

MICRO: Final = 1_000_000
YEAR_WEEKS: Final = 52
#: Years of one history after the one that it is learned from: more of them would share their luck.
HISTORY_YEARS: Final = 4
INTERVALS_DAYS: Final = (14.0, 28.0, 50.0, 100.0, 200.0, 365.0)
#: An interval that is the threshold's own is reached by whatever opens, but for rounding.
ROUNDING: Final = 1e-9


class NoBaselineError(ToldError, ValueError):
    """There is nothing to simulate from."""


class Usual(NamedTuple):
    """What years are simulated from."""

    baseline: Baseline
    variation: Variation


class NullYears(NamedTuple):
    """The episodes of one history: when each opened, s, and the highest recurrence interval that it had, days."""

    days: int
    opened: tuple[int, ...]
    highest_days: tuple[float, ...]


def histories(years: int) -> tuple[int, ...]:
    """Years of each history."""
    whole, rest = divmod(years, HISTORY_YEARS)
    return (HISTORY_YEARS,) * whole + ((rest,) if rest else ())


def usual_of(plan: Plan, rows: LocatedArray) -> Usual:
    """What was fitted at the end of training. Raises NoBaselineError."""
    detector = Detector(plan.settings, plan.region.zone, plan.local.holidays)
    detector.apply(pick(rows, rows["recorded_us"] <= plan.since * MICRO))
    detector.look(plan.since)
    if detector.baseline is None:
        raise NoBaselineError("No years can be simulated: too little was known at the end of training for a baseline.")
    return Usual(detector.baseline, detector.variation())


def null_years(plan: Plan, usual: Usual, number: int, years: int) -> NullYears:
    """One history through a monitor that knows nothing: it learns from a year first.

    Each has random numbers of its own, those of its calibrations included: their errors are then not all one.
    """
    weeks = LEARNING_WEEKS + years * YEAR_WEEKS
    rng = np.random.default_rng([plan.seed, 5, number])
    rows = null_records(usual.baseline, usual.variation, plan.local, weeks, rng)
    since, until = (usual.baseline.fitted_at + n * 7 * DAY_S for n in (LEARNING_WEEKS, weeks))
    settings = plan.settings.model_copy(update={"seed": plan.settings.seed + number + 1})
    told: list[Told] = Monitored(plan.region, settings).watch(rows, since, until).since(since)
    opened = tuple(one.life.opened_at for one in told)
    return NullYears((until - since) // DAY_S, opened, tuple(one.highest_days for one in told))


def null_check(plan: Plan, of_histories: Sequence[NullYears]) -> NullCheck:
    """All histories together."""
    days = sum(one.days for one in of_histories)
    highest = np.array([value for one in of_histories for value in one.highest_days])
    least = 28.0 / plan.settings.budget_per_28d  # what opens at all
    return NullCheck(
        years=days / (YEAR_WEEKS * 7),
        histories=len(of_histories),
        episodes_per_28_days=highest.size / days * 28,
        run_length=quartiles([length for one in of_histories for length in run_lengths(one.opened)]),
        reliability=tuple(
            reliability(at_least, int((highest >= at_least * (1 - ROUNDING)).sum()), days / at_least)
            for at_least in INTERVALS_DAYS
            if at_least >= least * (1 - ROUNDING)
        ),
    )


def reliability(at_least_days: float, observed: int, expected: float) -> Reliability:
    """Observed by expected, with the exact interval of a Poisson mean (Garwood 1936)."""
    return Reliability(
        at_least_days=at_least_days,
        expected=expected,
        observed=observed,
        ratio=observed / expected,
        low=float(gammaincinv(observed, 0.025)) / expected if observed else 0.0,
        high=float(gammaincinv(observed + 1, 0.975)) / expected,
    )
