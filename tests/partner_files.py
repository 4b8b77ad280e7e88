"""A partnership's own CSV files for tests: incidents as local times and degrees, written in its way, and read back."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from click.testing import CliRunner, Result

from cli.incident_rows import read_rows
from cli.main import hotspot
from schemas.base import ToldError
from schemas.located import Gate, LocatedArray
from schemas.region import RegionFile, load_region
from schemas.settings import load_settings

LONDON = ZoneInfo("Europe/London")
CHICAGO = ZoneInfo("America/Chicago")
SOUTHAMPTON = (-1.40, 50.91)
Row = Sequence[str]
Made = tuple[datetime, float, float]
HEADER = ("Incident Ref", "Occurred", "Longitude", "Latitude", "Offence")


def incidents(n: int = 300, centre: tuple[float, float] = SOUTHAMPTON, zone: ZoneInfo = LONDON) -> list[Made]:
    """Local times of a year, and degrees about a centre; the first lies on the 25th, which tells the order of dates."""
    rng = np.random.default_rng(5)
    start = datetime(2024, 1, 25, 9, 30, tzinfo=zone).astimezone(UTC)
    minutes = np.concatenate([[0], rng.integers(1, 300 * 1440, n - 1)])
    return [
        ((start + timedelta(minutes=int(m))).astimezone(zone), float(x), float(y))
        for m, x, y in zip(minutes, rng.normal(centre[0], 0.03, n), rng.normal(centre[1], 0.02, n), strict=True)
    ]


def usual(made: Sequence[Made], time: str = "%d/%m/%Y %H:%M") -> list[Row]:
    return [(f"R{n}", t.strftime(time), f"{x:.6f}", f"{y:.6f}", "robbery") for n, (t, x, y) in enumerate(made)]


def write(path: Path, header: Row, rows: Sequence[Row], *, delimiter: str = ",", encoding: str = "utf-8") -> Path:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows([header, *rows])
    content = text.getvalue().encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def init(*arguments: object) -> Result:
    return CliRunner().invoke(hotspot, ["region", "init", *map(str, arguments)])


def proposed(path: Path, *options: object) -> tuple[RegionFile, str]:
    """The region proposed for a file, and what was told."""
    out = path.with_suffix(".toml")
    result = init(path, "--out", out, *options)
    assert result.exit_code == 0, result.output
    return load_region(out), result.stderr


def refused(path: Path, *options: object) -> str:
    """The one sentence of an init that fails."""
    result = init(path, *options)
    assert result.exit_code != 0
    assert isinstance(result.exception, ToldError)  # which the command line tells with exit code 2
    sentence = str(result.exception)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert result.stdout == ""
    return sentence


def located(path: Path, region: RegionFile) -> LocatedArray:
    rows = read_rows(path, region, datetime(2030, 1, 1, tzinfo=UTC).date(), load_settings())
    return rows[np.argsort(rows["occurred"], kind="stable")]


def assert_holds(rows: LocatedArray, made: Sequence[Made]) -> None:
    """All incidents, at their minutes, to be scanned."""
    assert len(rows) == len(made)
    assert set(rows["gate"]) == {Gate.NONE}
    expected = sorted(int(t.replace(second=0).timestamp()) for t, _, _ in made)
    assert rows["occurred"].tolist() == expected
