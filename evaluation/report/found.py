"""What became of planted hotspots: tables of methods and sorts, a dot and its interval in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from evaluation.report import answer, words
from paper.svg import Axis, strip, strip_axis, strip_scale
from schemas.backtest import BacktestMetrics, Effect, Fraction, MethodResult, Quartiles

PARTS: Final = (0.0, 0.5, 1.0)
BY_NAME: Final = "By sort, as named in the file of hotspots to plant"


class Cell(NamedTuple):
    """One method and one sort."""

    of: Fraction | None
    strip: Markup
    verdict: str


class Row(NamedTuple):
    """One sort, or one variant."""

    name: str
    cells: tuple[Cell, ...]


class Matrix(NamedTuple):
    """Found parts by sort and method."""

    title: str
    rows: tuple[Row, ...]


class Soon(NamedTuple):
    """How soon hotspots of one sort were found."""

    name: str
    of: Fraction
    strip: Markup


class Variant(NamedTuple):
    """The monitor with one thing otherwise."""

    effect: Effect
    name: str
    rate: words.Interval
    cell: Cell
    rate_verdict: str


def part_axis() -> Axis:
    """From none to all."""
    return strip_axis(0.0, 1.0)


def part_scale() -> Markup:
    """The numbers over a column of parts."""
    return strip_scale(part_axis(), [(part, f"{part:.0%}") for part in PARTS])


def cell(of: Fraction | None, beside: Fraction | None, first: bool) -> Cell:
    """A part with its interval; `beside` is what it is compared with."""
    if of is None:
        return Cell(None, Markup(""), "")
    band = (beside.low, beside.high) if beside and not first else None
    picture = strip(part_axis(), of.low, of.fraction, of.high, ticks=PARTS, band=band, first=first)
    verdict = answer.found_beside(of, beside) if not first else None
    return Cell(of, picture, verdict or "")


def matrices(methods: Sequence[MethodResult]) -> list[Matrix]:
    """One of each trait that hotspots differ in, one of the places where that is no trait, and one of the sorts."""
    first = methods[0]
    found = [
        _matrix(words.name_of(trait), [method.by_trait.get(trait, {}) for method in methods])
        for trait in first.by_trait
    ]
    if "place" not in first.by_trait and len(first.by_place) > 1:
        found.append(_matrix(words.name_of("place"), [method.by_place for method in methods]))
    if first.by_name:
        found.append(_matrix(BY_NAME, [m.by_name for m in methods]))
    return found


def _matrix(title: str, by_method: Sequence[Mapping[str, Fraction]]) -> Matrix:
    rows = []
    for value in values_of(by_method[0]):
        base = by_method[0][value]
        rows.append(Row(value, tuple(cell(of.get(value), base, n == 0) for n, of in enumerate(by_method))))
    return Matrix(title, tuple(rows))


def values_of(of: Mapping[str, Fraction]) -> list[str]:
    """In the order of their size where all are numbers, else as they come."""
    try:
        return sorted(of, key=float)
    except ValueError:
        return list(of)


class Soons(NamedTuple):
    """How soon hotspots were found, one under the other on one scale."""

    groups: tuple[tuple[str, tuple[Soon, ...]], ...]
    """Each with its title, empty for none."""
    scale: Markup


def soon(methods: Sequence[MethodResult]) -> Soons:
    """How soon each method found what it found."""
    named = {words.name_of(m.method): m.all for m in methods if m.all is not None}
    return _soons([("", named)], compared=True)


def soon_by_sort(method: MethodResult) -> Soons:
    """How soon one method found what it found, by each trait and by sort."""
    groups: list[tuple[str, Mapping[str, Fraction]]] = [
        (words.name_of(trait), {words.name_of(value): of[value] for value in values_of(of)})
        for trait, of in method.by_trait.items()
    ]
    if method.by_name:
        groups.append((BY_NAME, method.by_name))
    return _soons(groups, compared=False)


def _soons(groups: Sequence[tuple[str, Mapping[str, Fraction]]], compared: bool) -> Soons:
    most = max((of.upper_quartile_days or 0.0 for _, named in groups for of in named.values()), default=0.0)
    axis = strip_axis(0.0, max(most, 1.0))
    told = tuple(
        (
            title,
            tuple(Soon(name, of, _middle(of, axis, n == 0 or not compared)) for n, (name, of) in enumerate(m.items())),
        )
        for title, m in groups
    )
    return Soons(told, strip_scale(axis, [(0.0, "0"), (axis.high, words.days(axis.high))]))


def _middle(of: Fraction, axis: Axis, first: bool) -> Markup:
    if of.median_days is None or of.lower_quartile_days is None or of.upper_quartile_days is None:
        return Markup("")
    low, high = of.lower_quartile_days, of.upper_quartile_days
    return strip(axis, low, of.median_days, high, ticks=(0.0, axis.high), first=first)


class Curve(NamedTuple):
    """How many of all planted hotspots a method had found by when."""

    method: str
    name: str
    planted: int
    days: tuple[float, ...]
    """Until each of those found was found, ascending."""


def curves(methods: Sequence[MethodResult]) -> list[Curve]:
    """Of the methods that kept them."""
    return [
        Curve(m.method, words.name_of(m.method), m.all.planted, tuple(sorted(m.found_days)))
        for m in methods
        if m.all is not None and m.found_days
    ]


class Delay(NamedTuple):
    """Conditional expected delay of a method, or its run length."""

    name: str
    of: Quartiles | None
    standing: int = 0
    """Hotspots left out, as an episode was open at their place."""


def delays(methods: Sequence[MethodResult]) -> list[Delay]:
    """Conditional expected delay of each."""
    return [Delay(words.name_of(m.method), m.conditional_delay, m.standing) for m in methods]


def run_lengths(methods: Sequence[MethodResult]) -> list[Delay]:
    """Days from one opening to the next, of each."""
    return [Delay(words.name_of(m.method), m.run_length) for m in methods]


class Capture(NamedTuple):
    """What one method captured in some part of the area."""

    method: str
    hit_rate: float
    pai: float
    pei: float


def captures(metrics: BacktestMetrics) -> list[tuple[float, list[Capture]]]:
    """By area, smallest first: the methods, and the plain rankings beside them."""
    ranked = [(words.name_of(m.method), m.capture) for m in metrics.methods]
    ranked += [(words.name_of(ranking.name), ranking.capture) for ranking in metrics.rankings]
    areas = sorted({c.area for _, of in ranked for c in of})
    return [
        (area, [Capture(name, c.hit_rate, c.pai, c.pei) for name, of in ranked for c in of if c.area == area])
        for area in areas
    ]


def variants(metrics: BacktestMetrics, group: str) -> list[Variant]:
    """The variants of a group, that which is the same as the monitor first."""
    mine = sorted((e for e in metrics.effects if e.group == group), key=lambda e: not e.same)
    same = next((e for e in mine if e.same), None)
    length = answer.period_days(metrics)
    found = []
    for effect in mine:
        rate = _rate(effect, length)
        verdict = ""
        if same is not None and not effect.same:
            base = _rate(same, length)
            verdict = words.against(rate.low, rate.high, base.low, base.high)
        of = cell(effect.all, same.all if same else None, effect.same)
        found.append(Variant(effect, words.name_of(effect.name), rate, of, verdict))
    return found


def _rate(effect: Effect, length_days: float) -> words.Interval:
    about = words.rate_interval(round(effect.episodes_per_28_days * length_days / 28), length_days)
    return about._replace(value=effect.episodes_per_28_days)
