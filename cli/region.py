"""`hotspot region init`: proposes a region file from a partnership's own file of records, and tells every guess."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from cli.region_columns import RegionInitError, Role
from cli.region_proposal import Asked, propose
from cli.region_sample import read_sample
from cli.region_toml import render
from cli.region_trial import try_out
from schemas.columns import DateOrder
from schemas.settings import load_settings

_SUFFIXES = re.compile(r"(\.csv|\.txt|\.tsv|\.gz)+$", re.IGNORECASE)


@click.group()
def region() -> None:
    """Region files: the area of one partnership, its grid, sources and the columns of its own files.

    \b
    Example:
      hotspot region init incidents.csv --out regions/ours.toml
    """


@region.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there, not to stdout.")
@click.option("--force", is_flag=True, help="Overwrite the file of --out.")
@click.option("--id", "region_id", metavar="ID", help="Id of the region: a-z, 0-9 and -; else from the file's name.")
@click.option("--name", help="Name of the region, as people call it.")
@click.option("--crs", metavar="EPSG:CODE", help="What the coordinates are in, where they are not degrees.")
@click.option("--timezone", metavar="ZONE", help="IANA zone, such as Europe/London; else that of the data's middle.")
@click.option("--holidays", metavar="CODE", help="Whose public holidays, such as GB-ENG; 'none' for none.")
@click.option("--dates", type=click.Choice([order.value for order in DateOrder]), help="Of dates such as 03/04/2026.")
@click.option("--decimal", type=click.Choice([".", ","]), help="Mark before the decimals of coordinates.")
@click.option("--kind", type=click.Choice(["ed", "police"]), help="Of sources that do not tell it themselves.")
@click.option("--column", "columns", multiple=True, metavar="ROLE=NAME", help="Which column; ROLE= for none of a role.")
def init(
    file: Path,
    out: Path | None,
    force: bool,
    region_id: str | None,
    name: str | None,
    crs: str | None,
    timezone: str | None,
    holidays: str | None,
    dates: str | None,
    decimal: str | None,
    kind: str | None,
    columns: tuple[str, ...],
) -> None:
    """Propose a region file for FILE (CSV or CSV.gz, as it was exported), so that the other commands can read it.

    Columns are found by their names and values; degrees, British National Grid or, with --crs, any other coordinates
    are understood; the grid, the time zone and the holidays come from where the records lie. What was taken for what,
    and how many rows can be used, is told on stderr and in comments. Check it: what it guesses may be wrong.

    Roles for --column: occurred, occurred_time, recorded, recorded_time, longitude, latitude, x, y, id, source,
    category, revision, status. docs/regions.md has all fields of the file.

    \b
    Example:
      hotspot region init incidents.csv --out regions/ours.toml
      hotspot region init export.csv --crs EPSG:3435 --dates month-first --column occurred="Start of event" > ours.toml
    """
    settings = load_settings()
    _check_out(out, force)
    stem = _SUFFIXES.sub("", file.name)
    asked = Asked(
        id=region_id or _id_of(stem),
        name=name or re.sub(r"[\s_-]+", " ", stem).strip().capitalize() or "Region",
        crs=crs,
        timezone=timezone,
        holidays=holidays,
        order=DateOrder(dates) if dates else None,
        decimal=decimal,
        kind=kind,
        columns=_roles(columns),
    )
    sample = read_sample(file)
    proposal = propose(sample, asked)
    outcome = try_out(sample, proposal.region, settings)
    for note in (*proposal.notes, *outcome.notes):
        click.echo(note, err=True)
    text = render(proposal, outcome, file.name)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RegionInitError(f"The file {out} cannot be written: {error.strerror}.") from None
    click.echo(f"Proposed in {out}: read it, and correct what is not so.", err=True)


def _check_out(out: Path | None, force: bool) -> None:
    if out is None:
        return
    if not out.parent.is_dir():
        raise click.UsageError(f"There is no folder {out.parent}.")
    if out.exists() and not force:
        raise RegionInitError(
            f"The file {out} is there already: name another with --out, or overwrite it with --force."
        )


def _id_of(stem: str) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", stem.casefold()).lstrip("-0123456789")[:40].strip("-")
    return plain or "region"


def _roles(columns: tuple[str, ...]) -> Mapping[Role, str]:
    found: dict[Role, str] = {}
    for text in columns:
        role, equals, name = text.partition("=")
        if not equals or role not in list(Role):
            raise click.UsageError(f"--column takes ROLE=NAME with one of the roles {', '.join(Role)}.")
        found[Role(role)] = name.strip()
    return found
