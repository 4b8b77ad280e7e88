"""`hotspot backtest`: what the monitor would have raised on a past period, and which planted hotspots it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import click
import numpy as np

from cli.incident_rows import read_history
from evaluation.backtest import Outcome, run_backtest
from evaluation.grid import FAMILIES
from evaluation.hotspot_files import specs_of
from evaluation.lateness import Lateness
from evaluation.plan import COMPARATORS, GROUPS, Group, Plan
from evaluation.provenance import code_facts, data_facts
from evaluation.report import ReportError, render_html, render_pdf
from evaluation.second import SECOND, split_second
from processors.localtime import DAY_S, LocalHours
from processors.public_holidays import PublicHolidays
from processors.warm import warm_up
from schemas.backtest import BacktestMetrics, Fraction
from schemas.base import ToldError
from schemas.region import load_region
from schemas.settings import Settings, load_settings

DAY = click.DateTime(formats=["%Y-%m-%d"])
EPOCH = date(1970, 1, 1)
Name = TypeVar("Name", bound=str)


class BacktestError(ToldError, ValueError):
    """A backtest that cannot be made; the message is one sentence."""


@dataclass(frozen=True)
class Asked:
    """The arguments of the command, as they count."""

    file: Path
    region_file: Path
    train_until: date
    until: date | None
    inject: tuple[str, ...]
    delays: Lateness
    compare: tuple[str, ...]
    effects: tuple[Group, ...]
    null_years: int
    split_second: float
    seed: int

    def options(self, last: date, budget: float) -> tuple[str, ...]:
        """As words of a command line: what was left out is said too, files are without their folders."""
        told = {
            "--region": self.region_file.name,
            "--train-until": str(self.train_until),
            "--until": str(last),
            "--budget": f"{budget:g}",
            "--delays": str(self.delays),
            "--compare": ",".join(self.compare),
            "--effects": ",".join(self.effects),
            "--null-years": str(self.null_years or ""),
            "--split-second": f"{self.split_second:g}" if self.split_second else "",
            "--seed": str(self.seed),
        }
        words = [self.file.name, *(word for option, value in told.items() if value for word in (option, value))]
        return (*words, *(word for name in self.inject for word in ("--inject", Path(name).name)))


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--region", "region_file", type=click.Path(path_type=Path), required=True, help="Region file (TOML).")
@click.option("--train-until", type=DAY, required=True, help="Last day that is only learned from.")
@click.option("--until", type=DAY, help="Last day that is looked at; the last of FILE where not given.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), help="False episodes accepted in 28 days.")
@click.option(
    "--inject",
    multiple=True,
    metavar="SPEC",
    help=f"Hotspots to plant: a CSV, one sort a row, or {', '.join(FAMILIES)}. May be given more than once.",
)
@click.option(
    "--delays",
    type=click.Choice([str(profile) for profile in Lateness]),
    default=str(Lateness.AS_RECORDED),
    show_default=True,
    help="When records become known.",
)
@click.option("--compare", default="", help=f"Other methods, with commas between: {', '.join(COMPARATORS)}; or all.")
@click.option("--effects", default="", help=f"The monitor with other {', '.join(GROUPS)}, with commas; or all.")
@click.option(
    "--null-years",
    type=click.IntRange(0, 1_000),
    default=0,
    help="Simulated years in which nothing emerges, to try recurrence intervals on; not tried where not given.",
)
@click.option(
    "--split-second",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Part of the incidents of a history of one source that a simulated second source tells.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same result.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the result.")
def backtest(
    file: Path,
    region_file: Path,
    train_until: datetime,
    until: datetime | None,
    budget: float | None,
    inject: tuple[str, ...],
    delays: str,
    compare: str,
    effects: str,
    null_years: int,
    split_second: float,
    seed: int,
    out: Path,
) -> None:
    """Run the monitor over a past period of FILE (CSV or CSV.gz) as it would have run, each record as it became known.

    Without a broker, with the detector and the episodes of the worker, on all cores. With --inject, hotspots are
    planted into copies of the history, and it is told how many are found and how soon; with --compare, other methods
    do the same, each at the level at which it raises as many episodes without planted hotspots as the monitor; with
    --effects, the monitor does so with one thing otherwise. Writes metrics.json, report.html and report.pdf into the
    folder --out. Planted hotspots, simulated years and a second source that is split off are simulated;
    docs/backtest.md tells it all.

    \b
    Example:
      hotspot backtest records.csv.gz --region regions/chicago.toml --train-until 2013-12-31 --until 2014-12-31 \\
        --inject grid --compare permutation,cusum --null-years 8 --effects delay --out backtest
    """
    asked = Asked(
        file,
        region_file,
        train_until.date(),
        until.date() if until else None,
        inject,
        Lateness(delays),
        _chosen("--compare", compare, COMPARATORS),
        _chosen("--effects", effects, GROUPS),
        null_years,
        split_second,
        seed,
    )
    settings = load_settings()
    if budget is not None:
        detection = settings.detection.model_copy(update={"budget_per_28d": budget})
        settings = settings.model_copy(update={"detection": detection})
    plan, first, last = _plan(asked, settings)
    out.mkdir(parents=True, exist_ok=True)
    warm_up()
    with click.progressbar(length=1, label="Runs", show_pos=True, file=click.get_text_stream("stderr")) as bar:

        def tell(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        outcome = run_backtest(plan, tell)
    metrics = _metrics(asked, plan, first, last, outcome)
    (out / "metrics.json").write_text(metrics.model_dump_json(indent=2) + "\n", encoding="utf-8")
    click.echo("\n".join(summary(metrics)))
    write_report(metrics, out)


def write_report(metrics: BacktestMetrics, out: Path) -> None:
    """Write report.html and report.pdf; where what they need is not installed, say so: the metrics are there."""
    try:
        page = render_html(metrics)
        (out / "report.html").write_text(page, encoding="utf-8")
        click.echo(f"The report is {out / 'report.html'}; for long ones the PDF takes a while.")
        (out / "report.pdf").write_bytes(render_pdf(page))
    except ReportError as error:
        click.echo(str(error), err=True)


def _chosen(option: str, text: str, known: tuple[Name, ...]) -> tuple[Name, ...]:
    """The names of a list with commas, in the order in which they are known."""
    names = {name.strip() for name in text.split(",") if name.strip()}
    if names == {"all"}:
        return known
    unknown = sorted(names - set(known))
    if unknown:
        raise click.UsageError(f"{option} does not know {unknown[0]!r}; it knows {', '.join(known)}, and all.")
    return tuple(name for name in known if name in names)


def _plan(asked: Asked, settings: Settings) -> tuple[Plan, date, date]:
    """The plan, and the first and last day that are looked at."""
    specs = specs_of(asked.inject)
    region = load_region(asked.region_file)
    first = asked.train_until + timedelta(days=1)
    last = asked.until or date.max - timedelta(days=2)
    if last < first:
        raise click.UsageError("--until lies before the end of --train-until.")
    rows, simulated = read_history(asked.file, region, last, settings)
    local = LocalHours(region.zone, PublicHolidays(region.holidays))
    if not rows.size:
        raise BacktestError(f"No record of {asked.file} could be used.")
    if asked.until is None:
        last = EPOCH + timedelta(days=local.day(int(rows["recorded_us"].max()) // 1_000_000))
    since, until = (local.midnight((day - EPOCH).days) for day in (first, last + timedelta(days=1)))
    if last < first or int(rows["occurred"].min()) > since - settings.detection.min_history_days * DAY_S:
        least = settings.detection.min_history_days
        raise BacktestError(f"The file {asked.file} must reach from {least} days before {first} beyond it.")
    if asked.split_second:
        rng = np.random.default_rng([asked.seed, 4])
        rows, region = split_second(rows, region, asked.split_second, rng)
    plan = Plan(rows, region, local, settings.detection, since, until, asked.delays, specs, asked.compare, asked.seed)
    return replace(plan, null_years=asked.null_years, effects=asked.effects, simulated=simulated), first, last


def _metrics(asked: Asked, plan: Plan, first: date, last: date, outcome: Outcome) -> BacktestMetrics:
    budget = plan.settings.budget_per_28d
    return BacktestMetrics(
        region=plan.region.id,
        region_name=plan.region.name,
        timezone=plan.region.timezone,
        first=first,
        last=last,
        records=int(plan.rows.size),
        lateness=str(plan.lateness),
        budget_per_28_days=budget,
        seed=asked.seed,
        runs=outcome.runs,
        options=asked.options(last, budget),
        data=data_facts(
            asked.file, plan.rows, plan.region, plan.local, SECOND if asked.split_second else None, plan.simulated
        ),
        code=code_facts(),
        settings=plan.settings,
        specs=plan.specs,
        methods=outcome.methods,
        episodes=outcome.episodes,
        expectation=outcome.expectation,
        rankings=outcome.rankings,
        null=outcome.null,
        effects=outcome.effects,
    )


def summary(metrics: BacktestMetrics) -> Iterator[str]:
    """What was found, a line each."""
    yield f"{metrics.region}, {metrics.first} to {metrics.last}: budget {metrics.budget_per_28_days:g} in 28 days."
    for source in metrics.data.sources:
        if source.simulated:
            yield f"The source {source.source} is simulated: {source.records:,} records of the other told by it."
    for result in metrics.methods:
        yield _line(result.method, result.episodes_per_28_days, result.all, f"{count_of(result.episodes, 'episode')}, ")
    monitor = metrics.methods[0]
    if monitor.all is not None:
        yield "Planted hotspots are simulated. Found by the monitor:"
        parts = monitor.by_trait or {"name": monitor.by_name}
        for trait, values in parts.items():
            for value, of in values.items():
                yield f"  {f'{trait} {value}':<32}{_found(of)}"
    if metrics.null:
        yield f"On {metrics.null.years:g} simulated years: {metrics.null.episodes_per_28_days:.2f} in 28 days."
        for row in metrics.null.reliability:
            ratio = f"{row.ratio:.2f}, {row.low:.2f} to {row.high:.2f}"
            told = f"{count_of(row.observed, 'episode')}, {row.expected:.1f} expected ({ratio})"
            yield f"  recurrence interval of {row.at_least_days:g} days and more: {told}"
    if metrics.effects:
        yield "The monitor otherwise:"
        for effect in metrics.effects:
            yield _line(effect.name, effect.episodes_per_28_days, effect.all)


def count_of(n: int, thing: str) -> str:
    """So many of a thing."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def _line(name: str, rate: float, of: Fraction | None, before: str = "") -> str:
    told = f"  {name:<28}{before}{rate:.2f} in 28 days"
    return told if of is None else f"{told}; {_found(of)}"


def _found(of: Fraction) -> str:
    part = f"{of.found} of {of.planted} planted found ({of.fraction:.0%}, {of.low:.0%} to {of.high:.0%})"
    return part if of.median_days is None else f"{part}, half of them within {of.median_days:.1f} days"
