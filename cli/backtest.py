"""`hotspot backtest`: what the monitor would have raised on a past period, and which planted hotspots it finds."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import click
from pydantic import ValidationError

from cli.incident_rows import read_rows
from evaluation.backtest import COMPARATORS, Outcome, Plan, run_backtest
from evaluation.lateness import Lateness
from processors.localtime import DAY_S, LocalHours
from processors.public_holidays import PublicHolidays
from processors.warm import warm_up
from schemas.base import ToldError
from schemas.evaluation import BacktestMetrics, Fraction, HotspotSpec
from schemas.region import RegionFile, first_sentence, load_region
from schemas.settings import Settings, load_settings

DAY = click.DateTime(formats=["%Y-%m-%d"])
EPOCH = date(1970, 1, 1)


class BacktestError(ToldError, ValueError):
    """A backtest that cannot be made; the message is one sentence."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--region", "region_file", type=click.Path(path_type=Path), required=True, help="Region file (TOML).")
@click.option("--train-until", type=DAY, required=True, help="Last day that is only learned from.")
@click.option("--until", type=DAY, help="Last day that is looked at; the last of FILE where not given.")
@click.option("--budget", type=click.FloatRange(0, min_open=True), help="False episodes accepted in 28 days.")
@click.option("--inject", type=click.Path(path_type=Path), help="Hotspots to plant: a CSV, one sort a row.")
@click.option(
    "--delays",
    type=click.Choice([str(profile) for profile in Lateness]),
    default=str(Lateness.AS_RECORDED),
    show_default=True,
    help="When records become known.",
)
@click.option("--compare", default="", help=f"Other methods, with commas between: {', '.join(COMPARATORS)}; or all.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The same seed, the same result.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the result.")
def backtest(
    file: Path,
    region_file: Path,
    train_until: datetime,
    until: datetime | None,
    budget: float | None,
    inject: Path | None,
    delays: str,
    compare: str,
    seed: int,
    out: Path,
) -> None:
    """Run the monitor over a past period of FILE (CSV or CSV.gz) as it would have run, each record as it became known.

    Without a broker, with the detector and the episodes of the worker, on all cores. With --inject, hotspots are
    planted into copies of the history, and it is told how many are found and how soon; with --compare, other methods
    do the same, each at the level at which it raises as many episodes without planted hotspots as the monitor.
    Writes metrics.json into the folder --out. Planted hotspots are simulated; docs/backtest.md has the columns.

    \b
    Example:
      hotspot backtest records.csv.gz --region regions/chicago.toml --train-until 2013-12-31 --until 2014-12-31 \\
        --inject hotspots.csv --compare permutation,cusum --out backtest
    """
    methods = _methods(compare)
    specs = read_specs(inject) if inject else ()
    settings = load_settings()
    if budget is not None:
        detection = settings.detection.model_copy(update={"budget_per_28d": budget})
        settings = settings.model_copy(update={"detection": detection})
    region = load_region(region_file)
    plan, first, last = _plan(file, region, settings, (train_until, until), specs, Lateness(delays), methods, seed)
    out.mkdir(parents=True, exist_ok=True)
    warm_up()
    with click.progressbar(length=1, label="Runs", show_pos=True, file=click.get_text_stream("stderr")) as bar:

        def tell(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        outcomes, runs = run_backtest(plan, tell)
    metrics = BacktestMetrics(
        region=region.id,
        first=first,
        last=last,
        records=int(plan.rows.size),
        lateness=str(plan.lateness),
        budget_per_28_days=plan.settings.budget_per_28d,
        seed=seed,
        runs=runs,
        settings=plan.settings,
        methods=tuple(outcome.result for outcome in outcomes),
    )
    (out / "metrics.json").write_text(metrics.model_dump_json(indent=2) + "\n", encoding="utf-8")
    click.echo("\n".join(summary(metrics, outcomes)))


def read_specs(path: Path) -> tuple[HotspotSpec, ...]:
    """The rows of a file of hotspots to plant. Raises BacktestError."""
    found: list[HotspotSpec] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    found.append(HotspotSpec.model_validate_strings({k: v for k, v in row.items() if k and v}))
                except ValidationError as error:
                    raise BacktestError(f"Line {number} of {path}: {first_sentence(error)}.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BacktestError(f"The file {path} cannot be read: {error}.") from None
    if not found:
        raise BacktestError(f"The file {path} has no hotspot to plant.")
    twice = sorted({spec.name for spec in found if [other.name for other in found].count(spec.name) > 1})
    if twice:
        raise BacktestError(f"The file {path} has two hotspots named {twice[0]!r}.")
    return tuple(found)


def summary(metrics: BacktestMetrics, outcomes: list[Outcome]) -> Iterator[str]:
    """What was found, a line each."""
    yield f"{metrics.region}, {metrics.first} to {metrics.last}: budget {metrics.budget_per_28_days:g} in 28 days."
    for outcome in outcomes:
        result = outcome.result
        told = f"  {result.method:<12}{result.episodes:>6,} episodes, {result.episodes_per_28_days:.2f} in 28 days"
        yield told if result.all is None else f"{told}; {_found(result.all)}"
    if metrics.methods[0].all is not None:
        yield "Planted hotspots are simulated. Found by the monitor:"
        for name, of in metrics.methods[0].by_name.items():
            yield f"  {name:<32}{_found(of)}"


def _found(of: Fraction) -> str:
    part = f"{of.found} of {of.planted} planted found ({of.fraction:.0%}, {of.low:.0%} to {of.high:.0%})"
    return part if of.median_days is None else f"{part}, half of them within {of.median_days:.1f} days"


def _methods(compare: str) -> tuple[str, ...]:
    if compare == "all":
        return COMPARATORS
    names = tuple(name.strip() for name in compare.split(",") if name.strip())
    unknown = [name for name in names if name not in COMPARATORS]
    if unknown:
        raise click.UsageError(f"--compare does not know {unknown[0]!r}; it knows {', '.join(COMPARATORS)}, and all.")
    return tuple(dict.fromkeys(names))


def _plan(
    file: Path,
    region: RegionFile,
    settings: Settings,
    days: tuple[datetime, datetime | None],
    specs: tuple[HotspotSpec, ...],
    lateness: Lateness,
    methods: tuple[str, ...],
    seed: int,
) -> tuple[Plan, date, date]:
    """The plan, and the first and last day that are looked at."""
    first = days[0].date() + timedelta(days=1)
    last = days[1].date() if days[1] else date.max - timedelta(days=2)
    if last < first:
        raise click.UsageError("--until lies before the end of --train-until.")
    rows = read_rows(file, region, last, settings)
    local = LocalHours(region.zone, PublicHolidays(region.holidays))
    if not rows.size:
        raise BacktestError(f"No record of {file} could be used.")
    if days[1] is None:
        last = EPOCH + timedelta(days=local.day(int(rows["recorded_us"].max()) // 1_000_000))
    since, until = (local.midnight((day - EPOCH).days) for day in (first, last + timedelta(days=1)))
    if last < first or int(rows["occurred"].min()) > since - settings.detection.min_history_days * DAY_S:
        least = settings.detection.min_history_days
        raise BacktestError(f"The file {file} must reach from {least} days before {first} beyond it.")
    rows = rows[rows["recorded_us"].argsort(kind="stable")]
    return Plan(rows, region, local, settings.detection, since, until, lateness, specs, methods, seed), first, last
