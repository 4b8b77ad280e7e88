"""`hotspot scan`: a scan statistic, asked for as SaTScan is, so that what it says can be checked against SaTScan."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import click

from cli.satscan_prm import ParameterFile, make_job, read_parameter_file
from cli.scan_files import LeftOut, ScanFiles, read_scan_files
from cli.scan_output import Circle, projected_circle, spherical_circle, write_csv, write_geojson, write_json
from processors.scan.run import run_scan
from processors.scan.warm import warm_up
from schemas.scan import ScanCluster, ScanJob, ScanModel, ScanResult

DAY = click.DateTime(formats=["%Y-%m-%d"])
INPUT = click.Path(path_type=Path)
OUTPUT = click.Path(path_type=Path, dir_okay=False)
#: What replaces a parameter file: each option by the name of its parameter; True where it must be given.
INSTEAD_OF_JOB = {
    "--model": True,
    "--cases": True,
    "--geo": True,
    "--pop": False,
    "--start": True,
    "--end": True,
    "--max-radius": True,
    "--max-days": True,
    "--spherical": False,
    "--retrospective": False,
    "--min-cases": False,
}
#: Intervals are cut at 100 years, so one as long as this may be longer than it says.
LONGEST_TOLD_DAYS = 99 * 365.25
_NAMES = {"replications": "--replications", "seed": "--seed", "threads": "--threads"}


class Options(NamedTuple):
    """What replaces a parameter file; None or False where it was not given."""

    model: str | None
    cases: Path | None
    geo: Path | None
    pop: Path | None
    start: datetime | None
    end: datetime | None
    max_radius: float | None
    max_days: int | None
    spherical: bool
    retrospective: bool
    min_cases: int | None

    @property
    def given(self) -> list[str]:
        """Names of the options that were given."""
        return [
            name for name, value in zip(INSTEAD_OF_JOB, self, strict=True) if value is not None and value is not False
        ]


@click.command()
@click.argument("job_file", metavar="[JOB.prm]", type=INPUT, required=False)
@click.option("--out", type=OUTPUT, required=True, help="The result, as JSON.")
@click.option("--geojson", type=OUTPUT, help="Clusters as circles for a map, too.")
@click.option("--crs", metavar="EPSG:N", help="Projection of x and y, which --geojson needs to know.")
@click.option("--csv", "csv_file", type=OUTPUT, help="Clusters as a table with SaTScan's columns, too.")
@click.option("--replications", type=int, help="Monte Carlo replications; 999 where no parameter file says.")
@click.option("--seed", type=int, help="Seed; the same seed gives the same p-values.")
@click.option("--threads", type=int, help="Threads; their number changes no result.")
@click.option("--model", type=click.Choice([*map(str, ScanModel)]), help="Without JOB.prm: the null model.")
@click.option("--cases", type=INPUT, help="Without JOB.prm: case file (location, count, date).")
@click.option("--geo", type=INPUT, help="Without JOB.prm: coordinates file (location, x, y or latitude, longitude).")
@click.option("--pop", type=INPUT, help="Poisson without JOB.prm: population file (location, date, persons).")
@click.option("--start", type=DAY, help="Without JOB.prm: first day of the study.")
@click.option("--end", type=DAY, help="Without JOB.prm: last day of the study.")
@click.option("--max-radius", type=float, help="Without JOB.prm: largest radius; kilometres with --spherical.")
@click.option("--max-days", type=int, help="Without JOB.prm: longest window, days.")
@click.option("--spherical", is_flag=True, help="Coordinates are latitude and longitude in degrees.")
@click.option("--retrospective", is_flag=True, help="Windows anywhere in the study, not only up to its last day.")
@click.option("--min-cases", type=int, help="Fewest cases of a cluster; 2 where not given.")
def scan(
    job_file: Path | None,
    out: Path,
    geojson: Path | None,
    crs: str | None,
    csv_file: Path | None,
    replications: int | None,
    seed: int | None,
    threads: int | None,
    **instead_of_job: object,
) -> None:
    """Search a study area and period for the cylinders of space and time with more cases than chance explains.

    JOB.prm is a parameter file of SaTScan; what it asks for and is not supported is refused by name. Without it,
    options say what to do. Writes the clusters to a JSON file, and tells the most likely one.

    \b
    Examples:
      hotspot scan job.prm --out result.json --csv clusters.csv
      hotspot scan --model permutation --cases week.cas --geo cells.geo --start 2025-01-01 --end 2025-12-31 \\
        --max-radius 2000 --max-days 28 --out result.json --geojson clusters.geojson --crs EPSG:27700
    """
    asked = _asked(job_file, Options(**instead_of_job))  # type: ignore[arg-type]  # click has checked them
    run_options = {"replications": replications, "seed": seed, "threads": threads}
    own = {name: value for name, value in run_options.items() if value is not None}
    job = make_job(asked.job.model_dump() | own, _NAMES)
    circle = _circle(job, geojson, crs)  # refuses what cannot be drawn before any work
    for path in (out, geojson, csv_file):
        if path and not path.parent.is_dir():
            raise click.UsageError(f"There is no folder {path.parent}.")
    data = read_scan_files(asked.files, job, asked.left_out)
    if data.outside_period or data.unknown_place:
        click.echo(
            f"Left out: {_counted(data.outside_period, 'line')} with a date outside the study period, "
            f"{_counted(data.unknown_place, 'line')} with an unknown location.",
            err=True,
        )
    warm_up(job, data.given)
    with _bar(job.replications) as progress:
        result = run_scan(job, data.given, progress)
    write_json(result, out)
    if geojson:
        write_geojson(result, circle, geojson)
    if csv_file:
        write_csv(result, job.spherical, csv_file)
    click.echo(summary(result, job), err=True)


def summary(result: ScanResult, job: ScanJob) -> str:
    """The most likely cluster in plain sentences."""
    if not result.clusters:
        return f"No cluster among {_counted(result.cases, 'case')} at {_counted(result.locations, 'location')}."
    best = result.clusters[0]
    expected = f"{best.expected:.2f}" if best.expected < 10 else f"{best.expected:,.1f}"
    others = len(result.clusters) - 1
    return (
        f"Most likely cluster: {_counted(best.observed, 'case')} where {expected} were expected, "
        f"{_span(best)}, {_place(best, job)}. {_chance(best, result)} "
        + (f"{_counted(others, 'other cluster')} shares no location with it." if others == 1 else "")
        + (f"{_counted(others, 'other cluster')} share no location with it or each other." if others > 1 else "")
    ).rstrip()


def _span(best: ScanCluster) -> str:
    return f"on {best.start}" if best.start == best.end else f"from {best.start} to {best.end}"


def _place(best: ScanCluster, job: ScanJob) -> str:
    if len(best.locations) == 1:
        return f"at the location {best.location_id}"
    unit = " km" if job.spherical else ""
    radius = f"{best.radius:,.1f}" if best.radius >= 10 else f"{best.radius:.2g}"
    return f"at {len(best.locations)} locations within {radius}{unit} of {best.location_id}"


def _chance(best: ScanCluster, result: ScanResult) -> str:
    if best.p_value is None:
        return "No replications were made, so how likely this is by chance is not known."
    replications = _counted(result.replications, "replication")
    # Ranks cannot tell less than this; a smaller one is read off a distribution fitted to the replications.
    fitted = best.p_value * (result.replications + 1) < 1 - 1e-9
    told = f"p = {best.p_value:.3g} from " + (f"a Gumbel tail fitted to {replications}" if fitted else replications)
    days = best.recurrence_interval_days
    if days is None:
        return f"{told}."
    if days >= LONGEST_TOLD_DAYS:
        return f"{told}: chance alone shows as much less than once in 99 years."
    return f"{told}: chance alone shows as much about once in {days:,.0f} days."


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _asked(job_file: Path | None, options: Options) -> ParameterFile:
    if job_file:
        if options.given:
            raise click.UsageError(f"JOB.prm and {options.given[0]} exclude each other: the file says it already.")
        return read_parameter_file(job_file)
    missing = [name for name, needed in INSTEAD_OF_JOB.items() if needed and name not in options.given]
    if missing:
        raise click.UsageError(f"Without JOB.prm, {missing[0]} is needed.")
    if options.model == ScanModel.PERMUTATION and options.pop:
        raise click.UsageError("The permutation model takes no population: --pop is for --model poisson.")
    assert options.cases and options.geo and options.start and options.end
    fields: dict[str, object] = {
        "model": options.model,
        "prospective": not options.retrospective,
        "start": options.start.date(),
        "end": options.end.date(),
        "spherical": options.spherical,
        "max_radius": options.max_radius,
        "max_time": options.max_days,
    }
    if options.min_cases is not None:
        fields["min_cases"] = options.min_cases
    names = {"max_radius": "--max-radius", "max_time": "--max-days", "min_cases": "--min-cases"}
    files = ScanFiles(options.cases, options.geo, options.pop)
    return ParameterFile(make_job(fields, names), files, LeftOut())


def _circle(job: ScanJob, geojson: Path | None, crs: str | None) -> Circle:
    if crs and not geojson:
        raise click.UsageError("--crs is for --geojson alone.")
    if crs and job.spherical:
        raise click.UsageError("--crs is for x and y; these coordinates are latitude and longitude already.")
    if crs:
        return projected_circle(crs)
    if geojson and not job.spherical:
        raise click.UsageError("To draw x and y on a map, --geojson needs their projection: --crs EPSG:27700, say.")
    return spherical_circle


@contextmanager
def _bar(replications: int) -> Iterator[Callable[[int, int], None]]:
    """Tells how far the replications are, to a person who watches."""
    if not replications or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=replications, label="Replications", show_pos=True, file=sys.stderr) as bar:
        yield lambda done, _total: bar.update(done - bar.pos)
