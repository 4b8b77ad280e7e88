"""From episodes and planted hotspots to the numbers of the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from evaluation.matching import Found
from processors.localtime import DAY_S
from schemas.backtest import Fraction, Overlap, Quartiles
from schemas.evaluation import HotspotSpec

_Z95: Final = 1.959964
#: Traits in which hotspots may differ, in the order in which they are told.
TRAITS: Final[Mapping[str, Callable[[HotspotSpec], object]]] = {
    "incidents": lambda spec: spec.incidents or f"{spec.relative_risk:g} times the usual",
    "days": lambda spec: f"{spec.days:g}",
    "radius_m": lambda spec: f"{spec.radius_m:g}",
    "place": lambda spec: spec.place or "anywhere",
    "hours": lambda spec: spec.hours,
    "growth": lambda spec: spec.growth,
    "second_part": lambda spec: f"{spec.second_part:g}",
}


def fraction(planted: Sequence[Found]) -> Fraction:
    """How many were found, and how soon."""
    days = [f.days for f in planted if f.days is not None]
    n, part = len(planted), len(days) / len(planted)
    middle = (part + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    wide = _Z95 / (1 + _Z95**2 / n) * float(np.sqrt(part * (1 - part) / n + _Z95**2 / (4 * n**2)))
    lower, median, upper = np.percentile(days, [25, 50, 75]).tolist() if days else (None, None, None)
    return Fraction(
        planted=n,
        found=len(days),
        fraction=part,
        low=max(middle - wide, 0.0),
        high=min(middle + wide, 1.0),
        median_days=median,
        lower_quartile_days=lower,
        upper_quartile_days=upper,
    )


def fractions(found: Iterable[Found], key: Callable[[HotspotSpec], object]) -> dict[str, Fraction]:
    """The same for each value of something that hotspots differ in, in the order of the first with it."""
    groups: dict[str, list[Found]] = {}
    for one in sorted(found, key=lambda f: f.hotspot.row):
        groups.setdefault(str(key(one.hotspot.spec)), []).append(one)
    return {value: fraction(some) for value, some in groups.items()}


def by_trait(found: Sequence[Found]) -> dict[str, dict[str, Fraction]]:
    """By each trait that not all of the hotspots have in common."""
    split = {name: fractions(found, key) for name, key in TRAITS.items()}
    return {name: values for name, values in split.items() if len(values) > 1}


def quartiles(days: Sequence[float]) -> Quartiles | None:
    """Mean and quartiles; None of nothing."""
    if not days:
        return None
    lower, median, upper = np.percentile(days, [25, 50, 75]).tolist()
    return Quartiles(n=len(days), mean=float(np.mean(days)), lower=lower, median=median, upper=upper)


def run_lengths(openings: Sequence[int]) -> list[float]:
    """Days from one opening to the next, of openings in order of time, s."""
    lengths: list[float] = (np.diff(np.array(openings, np.int64)) / DAY_S).tolist()
    return lengths


def conditional_delay(found: Sequence[Found]) -> Quartiles | None:
    """Days until found, given that no alarm stood when the hotspot began.

    The conditional expected delay E(T - τ | T ≥ τ) of a change at τ that is signalled at T (Frisén 1992, Statistics in
    Medicine 11; Kenett and Pollak 2012, Quality and Reliability Engineering International 28), by place: a hotspot at
    whose place an episode was open when it began is left out, found or not, for its incidents go to that episode and
    may never open one. What counts as found opened after the begin in any case. Of hotspots that were found, for one
    that nothing finds until two days after its end has no delay: read it beside the part that was found.
    """
    return quartiles([f.days for f in found if f.days is not None and not f.stood])


def overlap(found: Sequence[Found]) -> Overlap | None:
    """Means over those found."""
    pairs = [(f.precision, f.recall) for f in found if f.precision is not None and f.recall is not None]
    if not pairs:
        return None
    precision, recall = np.mean(pairs, axis=0).tolist()
    return Overlap(found=len(pairs), precision=precision, recall=recall)
