"""The page: what the templates are given."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alerts.phrases import span_words
from evaluation.matching import GRACE_S, HELD
from evaluation.report import answer, charts, fit, found, maps, words
from paper.errors import ReportError
from schemas.backtest import BacktestMetrics, Episode, Reliability
from schemas.detection import DAY_S

#: So many episodes are listed and numbered on the map; of more, the most unusual, and all in the annex.
LISTED: Final = 40
CHOSEN: Final = 20
GROUPS: Final = {"delay": "When records become known", "source": "Which sources there are", "setting": "Settings"}


class EpisodeRow(NamedTuple):
    """An episode of the list."""

    number: int
    episode: Episode
    opened: str
    at: str
    closed: str
    open_for: str
    place: str
    span: str
    observed: int
    expected: float
    kinds: str


class ReliabilityRow(NamedTuple):
    """One recurrence interval."""

    of: Reliability
    strip: Markup
    verdict: str


def page(metrics: BacktestMetrics) -> str:
    """The whole document. Raises ReportError where the metrics name a time zone that there is not."""
    try:
        zone = ZoneInfo(metrics.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ReportError(f"The metrics name the time zone {metrics.timezone!r}, which is not known.") from None
    css = resources.files("evaluation.report").joinpath("templates", "report.css").read_text(encoding="utf-8")
    given = {
        "m": metrics,
        "first": metrics.methods[0],
        "others": metrics.methods[1:],
        "css": Markup(css),  # noqa: S704 - a file of this package
        "period_days": answer.period_days(metrics),
        "budget": words.number(metrics.budget_per_28_days),
        "held": HELD,
        "grace_days": GRACE_S // DAY_S,
        "measured_by": answer.MEASURED_BY,
        "nothing": answer.NOTHING,
        "no_expectation": answer.NO_EXPECTATION,
        **_first_page(metrics),
        **_episodes(metrics, zone),
        **_planted(metrics),
        **_fit(metrics),
        **_provenance(metrics),
    }
    return _environment().get_template("report.html.j2").render(given)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": words.number,
        "percent": words.percent,
        "plural": words.plural,
        "days": words.days,
        "per_month": words.per_month,
        "metres": words.metres,
        "day": words.day,
        "recurrence_short": words.recurrence_short,
        "name": words.name_of,
        "part_name": words.part_name,
        "kind_name": words.kind_name,
        "promise": answer.promise_words,
    }
    return environment


def _first_page(metrics: BacktestMetrics) -> dict[str, object]:
    return {
        "figures": answer.key_figures(metrics),
        "answers": answer.answers(metrics),
        "unmeasured": answer.unmeasured(metrics),
        "split_sources": [s for s in metrics.data.sources if s.simulated],
        "real_ed": any(s.kind == "ed" and not s.simulated for s in metrics.data.sources) and not metrics.data.simulated,
    }


def _episodes(metrics: BacktestMetrics, zone: ZoneInfo) -> dict[str, object]:
    split = answer.split_kinds(metrics)
    rows = [_row(n, episode, split, zone) for n, episode in enumerate(metrics.episodes, start=1)]
    few = len(rows) <= LISTED
    chosen = rows
    if not few:
        most = sorted(rows, key=lambda row: (-row.episode.highest_recurrence_days, row.number))[:CHOSEN]
        chosen = sorted(most, key=lambda row: row.number)
    given: dict[str, object] = {"rows": rows, "chosen": chosen, "few": few}
    opened = charts.openings([e.opened for e in metrics.episodes], metrics.first, metrics.last, zone)
    given["openings"] = opened
    given["openings_chart"] = charts.openings_chart("openings", opened, metrics.budget_per_28_days)
    given["rate"] = answer.rate_of(metrics)
    given["rate_verdict"] = answer.beside(answer.rate_of(metrics), metrics.budget_per_28_days)
    given["run_lengths"] = found.run_lengths(metrics.methods)
    given["zone"] = metrics.timezone
    if not rows:
        return given | {"map": None, "yearly": [], "calendar": None, "key": None}
    bars = charts.bars(metrics.episodes, metrics.last, zone)
    given["calendar"] = charts.calendar_chart("calendar", bars, metrics.first, metrics.last, numbered=few)
    given["key"] = charts.key_of_evidence([e.evidence for e in metrics.episodes], sorted(split))
    return given | _maps(rows, chosen, zone)


def _maps(rows: Sequence[EpisodeRow], chosen: Sequence[EpisodeRow], zone: ZoneInfo) -> dict[str, object]:
    shown = [maps.Shown(row.number, row.episode) for row in rows]
    numbers = frozenset(row.number for row in chosen)
    episodes = [row.episode for row in rows]
    title = "Where episodes opened"
    whole = maps.episode_map("map", title, shown, maps.frame_of(episodes, 720, 800), numbers)
    years = sorted({e.opened.astimezone(zone).year for e in episodes})
    yearly = []
    if len(years) > 1 and len(rows) > len(chosen):
        frame = maps.frame_of(episodes, 230, 300)
        for year in years:
            mine = [one for one in shown if one.episode.opened.astimezone(zone).year == year]
            drawn = maps.episode_map(f"map-{year}", f"Where episodes opened in {year}", mine, frame, frozenset(), False)
            yearly.append((year, len(mine), drawn))
    return {"map": whole, "yearly": yearly}


def _row(number: int, e: Episode, split: frozenset[str], zone: ZoneInfo) -> EpisodeRow:
    opened = e.opened.astimezone(zone)
    latitude = f"{abs(e.latitude):.4f}°{words.NBSP}{'N' if e.latitude >= 0 else 'S'}"
    longitude = f"{abs(e.longitude):.4f}°{words.NBSP}{'E' if e.longitude >= 0 else 'W'}"
    closed = "still open at the end" if e.closed is None else words.day(e.closed.astimezone(zone))
    open_for = "" if e.closed is None else words.days((e.closed - e.opened).total_seconds() / DAY_S)
    names = {kind: words.name_of(kind) + (" (simulated)" if kind in split else "") for kind in e.observed}
    kinds = [
        f"{names[kind]} {n:,} against {words.number(e.expected.get(kind, 0.0))}"
        for kind, n in e.observed.items()
        if n or e.expected.get(kind)
    ]
    return EpisodeRow(
        number,
        e,
        words.day(opened),
        words.clock(e.opened, zone),
        closed,
        open_for,
        f"{latitude}, {longitude}",
        span_words(round(e.span_hours * 3600)),
        sum(e.observed.values()),
        sum(e.expected.values()),
        "; ".join(kinds),
    )


def _planted(metrics: BacktestMetrics) -> dict[str, object]:
    first = metrics.methods[0]
    curves = found.curves(metrics.methods)
    return {
        "verdicts": [answer.found_beside(m.all, first.all) for m in metrics.methods],
        "overall": [found.cell(m.all, first.all, n == 0) for n, m in enumerate(metrics.methods)],
        "matrices": found.matrices(metrics.methods) if first.all else [],
        "part_scale": found.part_scale(),
        "curve": charts.found_chart("found-curve", curves) if curves else None,
        "curves": curves,
        "soon": found.soon(metrics.methods),
        "soon_by_sort": found.soon_by_sort(first),
        "delays": [d for d in found.delays(metrics.methods) if d.of is not None],
        "overlaps": [(words.name_of(m.method), m.overlap) for m in metrics.methods if m.overlap is not None],
        "captures": found.captures(metrics),
        "groups": [(group, title, found.variants(metrics, group)) for group, title in GROUPS.items()],
    }


def _fit(metrics: BacktestMetrics) -> dict[str, object]:
    split = answer.split_kinds(metrics)
    kinds = metrics.expectation.kinds if metrics.expectation else ()
    good, broken = answer.kept(metrics)
    rate = answer.null_rate(metrics)
    return {
        "kinds": [fit.kind_view(kind, kind.kind in split, f"fit-{kind.kind}") for kind in kinds],
        "ratio_scale": fit.ratio_scale(),
        "wide_scale": fit.ratio_scale(wide=True),
        "kept": good,
        "broken": broken,
        "null_rate": rate,
        "null_promise": answer.null_promise(metrics),
        "null_verdict": answer.beside(rate, metrics.budget_per_28_days) if rate else None,
        "reliability": [_reliability(of) for of in metrics.null.reliability] if metrics.null else [],
    }


def _reliability(of: Reliability) -> ReliabilityRow:
    verdict = {"more": "more often than it says", "fewer": "less often than it says"}.get(
        words.against(of.low, of.high, 1.0, 1.0), "no clear difference"
    )
    return ReliabilityRow(of, fit.ratio_strip(words.Interval(of.ratio, of.low, of.high), wide=True), verdict)


def _provenance(metrics: BacktestMetrics) -> dict[str, object]:
    fields = type(metrics.settings).model_fields
    values = metrics.settings.model_dump(mode="json")
    return {
        "command": f"hotspot backtest {shlex.join(metrics.options)}",
        "settings": [
            (name, _plain(value), (fields[name].description or "").replace("\n", " ")) for name, value in values.items()
        ],
    }


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
