"""`hotspot simulate`: a CSV of simulated records, the same bytes for the same arguments."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import click

from schemas.region import load_region
from simulation.table import simulate_to_file


@click.command()
@click.option("--region", "region_file", type=click.Path(path_type=Path), required=True, help="Region file (TOML).")
@click.option("--years", type=click.IntRange(1, 50), required=True, help="How many years.")
@click.option("--seed", type=click.IntRange(0), required=True, help="Seed; the same seed gives the same file.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="A .csv or .csv.gz file.")
@click.option(
    "--end",
    type=click.DateTime(formats=["%Y-%m-%d"]),
    default=datetime(2026, 1, 1),  # noqa: DTZ001  # a day of the region's calendar has no zone
    show_default=True,
    help="The day after the last.",
)
def simulate(region_file: Path, years: int, seed: int, out: Path, end: datetime) -> None:
    """Write simulated ED and police records. Every row is marked as simulated.

    \b
    Example:
      hotspot simulate --region regions/hampshire.toml --years 2 --seed 1 --out simulated.csv.gz
    """
    region = load_region(region_file)
    if not out.parent.is_dir():
        raise click.UsageError(f"There is no folder {out.parent}.")
    last: date = end.date()
    summary = simulate_to_file(region, years, seed, out, last)
    click.echo(
        f"{summary.rows} rows of {summary.records} simulated records ({summary.police} police, {summary.ed} ED), "
        f"{summary.start} to {summary.end}, in {summary.out}. {summary.attribution}",
        err=True,
    )
