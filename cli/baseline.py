"""`hotspot baseline`: how good the baseline was on a past period, each week expected from what was known before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path

import click

from cli.incident_rows import read_rows
from processors.heldout import hold_out
from processors.localtime import LocalHours
from processors.public_holidays import PublicHolidays
from schemas.base import ToldError
from schemas.heldout import BaselineReport, Forecast, KindReport, Part, Promise
from schemas.located import LocatedArray
from schemas.region import RegionFile, load_region
from schemas.settings import Settings, load_settings

DAY = click.DateTime(formats=["%Y-%m-%d"])
#: Worst months and hours in the summary; the report has all.
SHOWN = 3
METHODS = {
    "baseline": "the baseline",
    "same_weeks_of_two_years": "same weeks of the last two years",
    "last_8_weeks": "mean of the last 8 weeks",
    "all_past_weeks": "mean of all the past",
}


class BaselineReportError(ToldError, RuntimeError):
    """A report that cannot be made; the message is one sentence."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--region", "region_file", type=click.Path(path_type=Path), required=True, help="Region file (TOML).")
@click.option("--from", "first", type=DAY, required=True, help="First day reported on, in the region's zone.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, included.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="The whole report, as JSON.")
def baseline(file: Path, region_file: Path, first: datetime, last: datetime, out: Path | None) -> None:
    """Compare what the baseline expected with what happened, in a period of FILE (CSV or CSV.gz) that is past.

    The baseline is fitted anew each week from what had been recorded by then, as the worker does it, and expects the
    week that follows: no week teaches its own expectation. FILE must reach back before the period; two years are
    best. Tells observed and expected incidents by year, month and hour of the week, how much better the baseline is
    than three naive methods, and which promises it kept; docs/baseline.md says how to read it.

    \b
    Example:
      hotspot baseline records.csv.gz --region regions/chicago.toml --from 2014-01-01 --to 2016-12-31 --out report.json
    """
    if last < first:
        raise click.UsageError("--to lies before --from.")
    if out and not out.parent.is_dir():
        raise click.UsageError(f"There is no folder {out.parent}.")
    settings = load_settings()
    region = load_region(region_file)
    rows = read_rows(file, region, last.date(), settings)
    report = make_report(rows, region, first.date(), last.date(), settings)
    if out:
        _write(report, out)
    click.echo("\n".join(summary(report)))


def make_report(rows: LocatedArray, region: RegionFile, first: date, last: date, settings: Settings) -> BaselineReport:
    """The report, with a progress bar on stderr. Raises BaselineReportError where there is nothing to report on."""
    if not rows.size:
        raise BaselineReportError(f"No record up to {last} could be used.")
    weeks = ((last - first).days + first.weekday()) // 7 + 1
    with click.progressbar(length=weeks, label="Weeks", show_pos=True, file=click.get_text_stream("stderr")) as bar:
        local = LocalHours(region.zone, PublicHolidays(region.holidays))
        found = hold_out(rows, first, last, settings.detection, local, lambda done: bar.update(done - bar.pos))
    if not found.kinds:
        needed = settings.detection.min_history_days + settings.detection.guard_days
        raise BaselineReportError(
            f"There is no baseline for any week from {first} to {last}: "
            f"it needs {needed} days of records before a week, and enough of them."
        )
    return BaselineReport(
        region=region.id,
        first=first,
        last=last,
        fits=found.fits,
        settings=settings.detection,
        kinds=tuple(found.kinds),
    )


def summary(report: BaselineReport) -> Iterator[str]:
    """The report as text, a line each."""
    yield f"{report.region}, {report.first} to {report.last}: {report.fits} fits, each week expected before it began."
    for kind in report.kinds:
        yield ""
        yield from _of_kind(kind)
    yield ""
    broken = len(report.broken)
    yield "Every promise that could be judged was kept." if not broken else f"Promises not kept: {broken}."


def _of_kind(kind: KindReport) -> Iterator[str]:
    without = f", {kind.days_without:,} more without an expectation" if kind.days_without else ""
    name = "ED" if kind.kind == "ed" else "Police"
    yield f"{name} incidents, {kind.days:,} days{without}"
    yield f"  {'':<16}{'observed':>10}{'expected':>12}{'ratio':>8}{'chance':>9}"
    yield _line(kind.total)
    for part in kind.by_year:
        yield _line(part)
    yield from _worst("months", [part for part in kind.by_month if part.whole])
    for part in (*kind.by_block, *kind.by_weekday):
        yield _line(part)
    yield from _worst("hours of the day", kind.by_hour)
    if kind.forecasts:
        yield f"  Mean deviance and CRPS a cell-week, {kind.cell_weeks:,} of them in {kind.weeks:,} whole weeks"
        yield from map(_deviance, kind.forecasts)
        yield "  Cell-weeks by what was expected in them"
        yield f"  {'at least':<10}{'cell-weeks':>14}{'observed':>10}{'expected':>12}{'ratio':>8}"
        for row in kind.calibration:
            sums = f"{row.cell_weeks:>14,}{row.observed:>10,}{row.expected:>12,.1f}"
            yield f"  {row.at_least:<10g}{sums}{_ratio(row.ratio)}"
    yield "  Promises"
    yield from map(_promise, kind.promises)


def _worst(what: str, parts: Sequence[Part]) -> Iterator[str]:
    """The parts that were farthest off, worst first."""
    judged = sorted(parts, key=lambda part: -abs((part.ratio or 1.0) - 1.0))[:SHOWN]
    if judged:
        yield f"  worst {what}:"
        yield from map(_line, judged)


def _line(part: Part) -> str:
    name = part.name if part.whole else f"{part.name} (part)"
    chance = "" if part.chance is None else f"{'±':>4}{part.chance:.3f}"
    return f"  {name:<16}{part.observed:>10,}{part.expected:>12,.1f}{_ratio(part.ratio)}{chance}"


def _ratio(ratio: float | None) -> str:
    return f"{'-':>8}" if ratio is None else f"{ratio:>8.3f}"


def _deviance(forecast: Forecast) -> str:
    value = "history too short" if forecast.deviance is None else f"{forecast.deviance:.5f}"
    value += "" if forecast.crps is None else f"   {forecast.crps:.6f}"
    return f"  {METHODS[forecast.method]:<36}{value}"


def _promise(promise: Promise) -> str:
    verdict = {True: "kept", False: "NOT KEPT", None: "not judged"}[promise.holds]
    text = promise.text
    for method, name in METHODS.items():
        text = text.replace(method, f"'{name}'")
    at = "" if promise.value is None else f" ({promise.value:.3f}"
    where = "" if promise.worst is None or promise.worst in METHODS else f", {promise.worst}"
    return f"  {verdict:<11}{text}{at}{where}{')' if at else ''}"


def _write(report: BaselineReport, path: Path) -> None:
    try:
        path.write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise BaselineReportError(f"The file {path} cannot be written: {error.strerror}.") from None
