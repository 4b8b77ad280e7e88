"""Whether expectations and recurrence intervals are right: ratios of observed to expected, with strips and charts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from markupsafe import Markup

from evaluation.report import words
from evaluation.report.charts import counts_chart
from paper.svg import Axis, strip, strip_axis, strip_scale
from schemas.heldout import PART_WITHIN, CalibrationBin, KindReport, Part

TICKS: Final = (0.5, 1.0, 2.0)
WIDE_TICKS: Final = (0.1, 1.0, 10.0)


class PartRow(NamedTuple):
    """One part of the period."""

    name: str
    part: Part
    strip: Markup
    verdict: str


class PartTable(NamedTuple):
    """All parts of one sort."""

    title: str
    rows: tuple[PartRow, ...]


class BinRow(NamedTuple):
    """Cell-weeks of some expectation."""

    name: str
    bin: CalibrationBin
    ratio: words.Interval | None
    strip: Markup
    verdict: str


class MethodRow(NamedTuple):
    """One way to expect."""

    name: str
    deviance: float | None
    crps: float | None
    verdict: str


class KindView(NamedTuple):
    """One kind of record."""

    report: KindReport
    name: str
    simulated: bool
    months: Markup | None
    hours: Markup | None
    tables: tuple[PartTable, ...]
    """Short ones."""
    long_tables: tuple[PartTable, ...]
    bins: tuple[BinRow, ...]
    methods: tuple[MethodRow, ...]


def ratio_axis(wide: bool = False) -> Axis:
    """Half to double, or a tenth to tenfold."""
    ticks = WIDE_TICKS if wide else TICKS
    return strip_axis(ticks[0], ticks[-1], log=True)


def ratio_scale(wide: bool = False) -> Markup:
    """The numbers over a column of ratios."""
    return strip_scale(ratio_axis(wide), [(tick, f"{tick:g}") for tick in (WIDE_TICKS if wide else TICKS)])


def ratio_strip(ratio: words.Interval, wide: bool = False, band: tuple[float, float] | None = None) -> Markup:
    """A ratio on its interval, beside 1."""
    ticks = WIDE_TICKS if wide else TICKS
    return strip(ratio_axis(wide), ratio.low, ratio.value, ratio.high, ticks=ticks, band=band)


def kind_view(report: KindReport, simulated: bool, key: str) -> KindView:
    """Everything that the page shows of one kind."""
    name = words.name_of(report.kind) + (" (simulated split)" if simulated else "")
    months = hours = None
    whole = [part for part in report.by_month if part.whole]
    if whole:
        title = f"Incidents by month, {name}: expected and observed"
        labels = [_short_month(part.name) for part in whole]
        months = counts_chart(f"{key}-months", title, whole, labels, PART_WITHIN)
    if report.by_hour:
        title = f"Incidents by hour of the day, {name}: expected and observed"
        hours = counts_chart(f"{key}-hours", title, report.by_hour, [p.name for p in report.by_hour], PART_WITHIN)
    return KindView(
        report,
        name,
        simulated,
        months,
        hours,
        (
            _table("By year", report.by_year),
            _table("By part of the week", report.by_block),
            _table("By day of the week", report.by_weekday),
        ),
        (_table("By month", report.by_month), _table("By hour of the day", report.by_hour)),
        tuple(_bin(of) for of in report.calibration),
        _methods(report),
    )


def _short_month(name: str) -> str:
    return f"{words.part_name(name)[:3]}{words.NBSP}{name[2:4]}"


def _table(title: str, parts: Sequence[Part]) -> PartTable:
    return PartTable(title, tuple(_row(part) for part in parts))


def _row(part: Part) -> PartRow:
    name = words.part_name(part.name) + ("" if part.whole else " (part)")
    if part.ratio is None:
        return PartRow(name, part, Markup(""), "nothing expected")
    band = None if part.chance is None else (max(1 - part.chance, 0.01), 1 + part.chance)
    picture = ratio_strip(words.Interval(part.ratio, part.ratio, part.ratio), band=band)
    if part.chance is None:
        return PartRow(name, part, picture, "")
    within = abs(part.ratio - 1) <= part.chance
    verdict = "as chance would have it" if within else "more than expected" if part.ratio > 1 else "less than expected"
    return PartRow(name, part, picture, verdict)


def _bin(of: CalibrationBin) -> BinRow:
    name = f"{of.at_least:g} and more" if of.below is None else f"{of.at_least:g} to {of.below:g}"
    if of.ratio is None or of.expected <= 0:
        return BinRow(name, of, None, Markup(""), "nothing to judge by")
    # words.rate_interval of as many lots of 28 days as were expected: the interval of observed by expected
    ratio = words.rate_interval(of.observed, of.expected * 28)._replace(value=of.ratio)
    verdict = {"more": "more than expected", "fewer": "less than expected"}.get(
        words.against(ratio.low, ratio.high, 1.0, 1.0), "no clear difference"
    )
    return BinRow(name, of, ratio, ratio_strip(ratio), verdict)


def _methods(report: KindReport) -> tuple[MethodRow, ...]:
    if not report.forecasts:
        return ()
    first = report.forecasts[0]
    rows = [MethodRow(words.name_of(first.method), first.deviance, first.crps, "")]
    for other in report.forecasts[1:]:
        said = [_less(first.deviance, other.deviance, "deviance"), _less(first.crps, other.crps, "CRPS")]
        verdict = "; ".join(filter(None, said)) or "history is too short for it"
        rows.append(MethodRow(words.name_of(other.method), other.deviance, other.crps, verdict))
    return tuple(rows)


def _less(ours: float | None, theirs: float | None, score: str) -> str:
    if ours is None or not theirs:
        return ""
    less = 1 - ours / theirs
    return f"the baseline has {words.percent(abs(less))} {'less' if less > 0 else 'more'} {score}"
