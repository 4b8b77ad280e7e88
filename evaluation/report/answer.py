"""The first page: key figures, and sentences that choose their words by the figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from evaluation.report import words
from evaluation.report.words import Interval, Verdict
from schemas.backtest import BacktestMetrics, Fraction, MethodResult
from schemas.heldout import Promise

YEAR_DAYS: Final = 365.25
#: Which option of `hotspot backtest` measures what.
MEASURED_BY: Final = {
    "planted": "--inject",
    "methods": "--compare",
    "null": "--null-years",
    "effects": "--effects",
}
#: The rate on simulated years of the usual is promised to be within this part of the budget (docs/detection.md).
NULL_WITHIN: Final = 0.25


class KeyFigure(NamedTuple):
    """A figure of the first page with its sentence."""

    figure: str
    about: str
    sentence: str
    simulated: bool = False
    option: str = ""
    """Which measures it, where it was not measured."""


def period_days(metrics: BacktestMetrics) -> int:
    """Days that were looked at."""
    return (metrics.last - metrics.first).days + 1


def split_kinds(metrics: BacktestMetrics) -> frozenset[str]:
    """Kinds of record of which a source is simulated."""
    return frozenset(source.kind for source in metrics.data.sources if source.simulated)


def rate_of(metrics: BacktestMetrics) -> Interval:
    """The monitor's episodes in 28 days, with nothing planted."""
    about = words.rate_interval(metrics.methods[0].episodes, period_days(metrics))
    return about._replace(value=metrics.methods[0].episodes_per_28_days)


def null_rate(metrics: BacktestMetrics) -> Interval | None:
    """The same of simulated years in which nothing emerged."""
    if metrics.null is None:
        return None
    length = metrics.null.years * YEAR_DAYS
    about = words.rate_interval(round(metrics.null.episodes_per_28_days * length / 28), length)
    return about._replace(value=metrics.null.episodes_per_28_days)


def beside(of: Interval, budget: float) -> Verdict:
    """A rate against the budget."""
    return words.against(of.low, of.high, budget, budget)


def found_beside(one: Fraction | None, other: Fraction | None) -> Verdict | None:
    """What `one` found against what `other` found; None where either found nothing because nothing was planted."""
    if one is None or other is None:
        return None
    return words.against(one.low, one.high, other.low, other.high)


def kept(metrics: BacktestMetrics) -> tuple[list[Promise], list[Promise]]:
    """Promises about expected counts that could be judged: kept and broken."""
    promises = [p for kind in metrics.expectation.kinds for p in kind.promises] if metrics.expectation else []
    return [p for p in promises if p.holds], [p for p in promises if p.holds is False]


def key_figures(metrics: BacktestMetrics) -> list[KeyFigure]:
    """Those of the first page."""
    raised, found, soon = _raised(metrics), _found(metrics), _soon(metrics)
    return [raised, _in_vain(metrics), found, soon, _others(metrics), _expected(metrics)]


def _missing(about: str, what: str) -> KeyFigure:
    return KeyFigure("Not measured", about, NOTHING[what], option=MEASURED_BY[what])


def _raised(metrics: BacktestMetrics) -> KeyFigure:
    rate, budget = rate_of(metrics), words.number(metrics.budget_per_28_days)
    judged = {
        "more": f"clearly more than the budget of {budget} false ones: some may be real, or it is not kept here",
        "fewer": f"clearly fewer than the budget of {budget} false ones",
        "no clear difference": f"not clearly different from the budget of {budget} false ones",
    }[beside(rate, metrics.budget_per_28_days)]
    told = (
        f"{words.plural(metrics.methods[0].episodes, 'episode')} over {words.days(period_days(metrics))}. The true "
        f"rate may lie between {words.per_month(rate.low)} and {words.per_month(rate.high)}: {judged}."
    )
    return KeyFigure(f"{words.per_month(rate.value)} episodes", "raised in 28 days", told)


def _found(metrics: BacktestMetrics) -> KeyFigure:
    of = metrics.methods[0].all
    if of is None:
        return _missing("of planted hotspots found", "planted")
    told = (
        f"{of.found:,} of {of.planted:,}; the true part may lie between {words.percent(of.low)} and "
        f"{words.percent(of.high)}. It depends on the sort of hotspot: see what was found and what was missed."
    )
    return KeyFigure(words.percent(of.fraction), "of planted hotspots found", told, metrics.planted_are_simulated)


def _soon(metrics: BacktestMetrics) -> KeyFigure:
    of = metrics.methods[0].all
    about = "from a hotspot’s begin to an episode about it"
    if of is None:
        return _missing(about, "planted")
    if of.median_days is None:
        return KeyFigure("None found", about, "No planted hotspot was found, so none was found early.", True)
    told = "Half of those found were found sooner than this, half later"
    if of.lower_quartile_days is not None and of.upper_quartile_days is not None:
        told += f"; the middle half took {words.days(of.lower_quartile_days)} to {words.days(of.upper_quartile_days)}"
    return KeyFigure(words.days(of.median_days), about, f"{told}. Those missed do not count here.", True)


def _in_vain(metrics: BacktestMetrics) -> KeyFigure:
    rate, budget = null_rate(metrics), words.number(metrics.budget_per_28_days)
    about = "raised in 28 days when nothing emerges"
    if rate is None or metrics.null is None:
        return _missing(about, "null")
    judged = {
        "more": f"clearly more than the budget of {budget}: the budget is not kept",
        "fewer": f"clearly fewer than the budget of {budget}: the monitor is more cautious than it need be",
        "no clear difference": f"not clearly different from the budget of {budget}",
    }[beside(rate, metrics.budget_per_28_days)]
    told = (
        f"In {words.number(metrics.null.years)} simulated years of the usual, all of it in vain. The true rate may lie "
        f"between {words.per_month(rate.low)} and {words.per_month(rate.high)}: {judged}. {null_promise(metrics)}"
    )
    return KeyFigure(f"{words.per_month(rate.value)} episodes", about, told, True)


def null_promise(metrics: BacktestMetrics) -> str:
    """Whether the rate on simulated years of the usual is as near to the budget as promised."""
    if metrics.null is None:
        return ""
    off = metrics.null.episodes_per_28_days / metrics.budget_per_28_days - 1
    which = "is kept" if abs(off) <= NULL_WITHIN else "is not kept"
    return f"The promise to stay within {words.percent(NULL_WITHIN)} of the budget {which}."


def _others(metrics: BacktestMetrics) -> KeyFigure:
    about = "other methods find clearly fewer than the monitor"
    verdicts = [found_beside(metrics.methods[0].all, other.all) for other in metrics.methods[1:]]
    if not verdicts:
        return _missing("against other methods", "methods")
    if None in verdicts:
        return _missing("against other methods", "planted")
    n = {verdict: verdicts.count(verdict) for verdict in ("more", "fewer", "no clear difference")}
    told = (
        f"{n['fewer'] or 'None'} find{'s' if n['fewer'] == 1 else ''} clearly more; for "
        f"{n['no clear difference'] or 'none'} there is no clear difference. Each was set to raise no more episodes "
        "than the monitor."
    )
    return KeyFigure(f"{n['more']} of {len(verdicts)}", about, told, metrics.planted_are_simulated)


def _expected(metrics: BacktestMetrics) -> KeyFigure:
    about = "what came against what was expected"
    if metrics.expectation is None:
        return KeyFigure("Not measured", about, NO_EXPECTATION)
    totals = [(kind.kind, kind.total) for kind in metrics.expectation.kinds if kind.total.ratio is not None]
    if not totals:
        return KeyFigure("Not judged", about, "Nothing was expected in the period.")
    _, worst = max(totals, key=lambda of: abs((of[1].ratio or 1.0) - 1.0))
    good, broken = kept(metrics)
    names = {"police": "Police", "ed": "ED"}
    names |= {kind: f"{names[kind]} (simulated split)" for kind in split_kinds(metrics)}
    told = (
        "; ".join(
            f"{names[kind]}: {total.observed:,} came, {words.number(total.expected)} expected" for kind, total in totals
        )
        + f". {len(good)} of {words.plural(len(good) + len(broken), 'promise')} about expected counts that could be "
        f"judged {'was' if len(good) == 1 else 'were'} kept."
    )
    if len(totals) > 1:
        about += ", the worse kind"
    return KeyFigure(difference((worst.ratio or 1.0) - 1.0), about, told)


def difference(part: float) -> str:
    """A part more or less, in words."""
    if abs(part) < 0.0005:
        return "No difference"
    size = f"{abs(part):.1%}" if abs(part) < 0.0995 else f"{abs(part):.0%}"
    return f"{size} {'more' if part > 0 else 'less'}"


def answers(metrics: BacktestMetrics) -> list[str]:
    """What can be said to “does it work here?”, a sentence each."""
    return [*_of_finding(metrics), *_of_others(metrics), *_of_false_ones(metrics), *_of_promises(metrics)]


def _of_finding(metrics: BacktestMetrics) -> Iterator[str]:
    first = metrics.methods[0]
    if first.all is None:
        yield "Whether it finds hotspots was not measured: none was planted, and nobody knows all the real ones."
        return
    best, worst = extremes(first)
    if best and worst:
        yield (
            f"What it finds depends on the hotspot: it found {best[1].found:,} of {best[1].planted:,} planted hotspots "
            f"of the sort “{best[0]}” and {worst[1].found:,} of {worst[1].planted:,} of the sort “{worst[0]}”, a clear "
            "difference."
        )
    elif len(first.by_name) > 1:
        yield "Between the sorts of hotspot that were planted there is no clear difference in how many it finds."


def extremes(method: MethodResult) -> tuple[tuple[str, Fraction] | None, tuple[str, Fraction] | None]:
    """The sorts of which most and fewest were found, if their intervals do not overlap."""
    if len(method.by_name) < 2:
        return None, None
    best = max(method.by_name.items(), key=lambda of: of[1].fraction)
    worst = min(method.by_name.items(), key=lambda of: of[1].fraction)
    return (best, worst) if found_beside(best[1], worst[1]) == "more" else (None, None)


def _of_others(metrics: BacktestMetrics) -> Iterator[str]:
    first, others = metrics.methods[0], metrics.methods[1:]
    if not others:
        yield "It was not compared with other methods."
        return
    sorted_out: dict[Verdict | None, list[str]] = {"more": [], "fewer": [], "no clear difference": []}
    for other in others:
        verdict = found_beside(first.all, other.all)
        if verdict:
            sorted_out[verdict].append(words.name_of(other.method))
    how_many: tuple[tuple[Verdict, str], ...] = (
        ("more", "Clearly fewer planted hotspots than by the monitor were found by"),
        ("fewer", "Clearly more planted hotspots than by the monitor were found by"),
        ("no clear difference", "In how many were found, there is no clear difference from"),
    )
    for verdict, how in how_many:
        if sorted_out[verdict]:
            yield f"{how} {words.listed(sorted_out[verdict])}."


def _of_false_ones(metrics: BacktestMetrics) -> Iterator[str]:
    if metrics.null is None:
        return
    over = [r for r in metrics.null.reliability if r.low > 1]
    if over:
        at = ", ".join(words.days(r.at_least_days) for r in over)
        yield (
            "Recurrence intervals promise too much in places: on simulated years of the usual, episodes said to be as "
            f"rare as once in {at} or rarer came clearly more often than that."
        )
    elif metrics.null.reliability:
        yield "On simulated years of the usual, no recurrence interval came clearly more often than it says."


def _of_promises(metrics: BacktestMetrics) -> Iterator[str]:
    _, broken = kept(metrics)
    if broken:
        told = words.listed(list(dict.fromkeys(p.text for p in broken)))
        yield f"Promises about expected counts that were not kept: {promise_words(told)}."


def promise_words(text: str) -> str:
    """A promise with the names that people use."""
    for key in ("same_weeks_of_two_years", "last_8_weeks", "all_past_weeks"):
        text = text.replace(key, f"“{words.name_of(key)}”")
    return text.replace(" %", "%")


#: What is said where something was not measured.
NOTHING: Final = {
    "planted": "How many hotspots would be found, and how soon, was not measured: none was planted.",
    "methods": "Other methods were not compared with.",
    "null": "How often episodes open when nothing emerges, and how reliable recurrence intervals are, was not tried.",
    "effects": "What later records, fewer sources or other settings would change was not measured.",
}
NO_EXPECTATION: Final = (
    "Whether expected counts are right was not measured: the history before the period was too short."
)


def unmeasured(metrics: BacktestMetrics) -> list[tuple[str, str]]:
    """What was not measured, and the option that measures it."""
    groups = {effect.group for effect in metrics.effects}
    titles = {
        "delay": "later records",
        "source": "fewer sources",
        "setting": "other settings",
    }
    missing = [
        ("planted", metrics.methods[0].all is None),
        ("methods", len(metrics.methods) == 1),
        ("null", metrics.null is None),
        ("effects", not groups),
    ]
    found = [(NOTHING[what], MEASURED_BY[what]) for what, lacks in missing if lacks]
    if metrics.expectation is None:
        found.append((NO_EXPECTATION, ""))
    if groups and len(groups) < len(titles):
        lacking = words.listed([title for group, title in titles.items() if group not in groups], "or")
        found.append((f"What {lacking} would change was not measured.", MEASURED_BY["effects"]))
    return found
