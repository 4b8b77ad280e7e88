"""Tables of docs/evaluation.md from the metrics of one backtest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from schemas.backtest import BacktestMetrics, Capture, Effect, Fraction, MethodResult, NullCheck


def overall(runs: Sequence[tuple[str, BacktestMetrics]]) -> str:
    """The monitor beside the best other method, a row each backtest with hotspots and another method."""
    rows = [(title, *_beside(metrics.methods)) for title, metrics in runs if len(metrics.methods) > 1 and metrics.runs]
    if not rows:
        return ""
    head = ("hotspots", "monitor", "best other", "difference (95 %)", "median days", "of the other")
    return table(head, iter(rows))


def _beside(methods: Sequence[MethodResult]) -> tuple[str, ...]:
    monitor, *others = methods
    mine = monitor.all
    best = max(others, key=lambda other: other.all.fraction if other.all else 0.0)
    assert mine is not None and best.all is not None
    found = f"{mine.fraction:.0%}", f"{best.all.fraction:.0%} {best.method}"
    return *found, _apart(mine, best.all), _days(mine), _days(best.all)


def places(metrics: BacktestMetrics) -> str:
    """How much of the next week's incidents lay in the places that were ranked first, by each way to rank them."""
    ways = [(result.method, result.capture) for result in metrics.methods if result.method == "monitor"]
    ways += [(ranking.name, ranking.capture) for ranking in metrics.rankings]
    areas = [capture.area for capture in ways[0][1]]
    head = ("ranked by", *(f"PAI at {area:.0%}" for area in areas), *(f"PEI at {area:.0%}" for area in areas))
    return table(head, ((name, *_captured(captures)) for name, captures in ways)) if areas else ""


def _captured(captures: Sequence[Capture]) -> list[str]:
    return [f"{one.pai:.2f}" for one in captures] + [f"{one.pei:.2f}" for one in captures]


def expectations(metrics: BacktestMetrics) -> str:
    """How far expected counts lay from what happened, a row each way to expect and kind of record."""
    if metrics.expectation is None:
        return ""
    rows = [
        (kind.kind, forecast.method.replace("_", " "), f"{forecast.deviance:.4f}", f"{forecast.crps:.5f}")
        for kind in metrics.expectation.kinds
        for forecast in kind.forecasts
        if forecast.deviance is not None and forecast.crps is not None
    ]
    head = ("kind", "expected from", "Poisson deviance a cell-week", "CRPS a cell-week")
    return table(head, iter(rows)) if rows else ""


def tables(title: str, command: str, metrics: BacktestMetrics) -> str:
    """All that one backtest has to tell, as Markdown."""
    code = metrics.code
    commit = f"{(code.commit or 'no commit')[:10]}{' with changes' if code.changed else ''}"
    parts = [
        f"### {title}\n",
        f"`{command}` (commit {commit})\n",
    ]
    if metrics.runs:
        simulated = "Planted hotspots are simulated."
        if any(source.simulated for source in metrics.data.sources):
            simulated += " The second source is simulated."
        parts.append(f"{simulated} {metrics.runs} copies of the history.\n")
    if metrics.runs or len(metrics.methods) > 1:
        parts.append(table(("method", "episodes in 28 days", "found", "median days", "quartiles"), _methods(metrics)))
    if len(metrics.methods) > 1 and metrics.methods[0].by_trait:
        head = ("hotspots", "monitor", "best other", "difference (95 %)", "")
        parts.append(table(head, _strata(metrics.methods)))
    if metrics.null:
        parts.append(
            f"{metrics.null.years:g} simulated years: {metrics.null.episodes_per_28_days:.2f} episodes in 28 days.\n"
        )
        parts.append(table(("recurrence interval", "episodes", "expected", "ratio (95 %)"), _reliability(metrics.null)))
    if metrics.effects:
        parts.append(table(("monitor", "episodes in 28 days", "found", "median days"), _effects(metrics.effects)))
    return "\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under their head, as Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _methods(metrics: BacktestMetrics) -> Iterator[Sequence[str]]:
    for result in metrics.methods:
        rate = f"{result.episodes_per_28_days:.2f}"
        of = result.all
        if of is None:
            yield result.method, rate, "", "", ""
        else:
            quartiles = (
                ""
                if of.lower_quartile_days is None
                else f"{of.lower_quartile_days:.1f} to {of.upper_quartile_days:.1f}"
            )
            yield result.method, rate, part(of), _days(of), quartiles


def _strata(methods: Sequence[MethodResult]) -> Iterator[Sequence[str]]:
    monitor, *others = methods
    for trait, values in monitor.by_trait.items():
        for value, mine in values.items():
            best = max(others, key=lambda other: other.by_trait[trait][value].fraction)
            theirs = best.by_trait[trait][value]
            low, high = difference(mine, theirs)
            judged = "more" if low > 0 else "less" if high < 0 else "no clear difference"
            found = f"{mine.fraction:.0%}", f"{theirs.fraction:.0%} {best.method}"
            yield f"{trait} {value}", *found, _apart(mine, theirs), judged


def _apart(mine: Fraction, theirs: Fraction) -> str:
    """Percentage points, with the interval of 95 %."""
    low, high = difference(mine, theirs)
    return f"{100 * (mine.fraction - theirs.fraction):+.0f} ({100 * low:+.0f} to {100 * high:+.0f})"


def difference(a: Fraction, b: Fraction) -> tuple[float, float]:
    """Interval of 95 % of the difference of two fractions (Newcombe 1998, method 10), from their Wilson intervals."""
    apart = a.fraction - b.fraction
    low = apart - math.hypot(a.fraction - a.low, b.high - b.fraction)
    high = apart + math.hypot(a.high - a.fraction, b.fraction - b.low)
    return low, high


def _reliability(null: NullCheck) -> Iterator[Sequence[str]]:
    for row in null.reliability:
        ratio = f"{row.ratio:.2f} ({row.low:.2f} to {row.high:.2f})"
        yield f"{row.at_least_days:g} days and more", str(row.observed), f"{row.expected:.1f}", ratio


def _effects(effects: Sequence[Effect]) -> Iterator[Sequence[str]]:
    for effect in effects:
        of = effect.all
        yield effect.name, f"{effect.episodes_per_28_days:.2f}", part(of) if of else "", _days(of) if of else ""


def part(of: Fraction) -> str:
    """Found of planted, with the interval of 95 %."""
    return f"{of.fraction:.0%} of {of.planted} ({of.low:.0%} to {of.high:.0%})"


def _days(of: Fraction) -> str:
    return "" if of.median_days is None else f"{of.median_days:.2f}"
