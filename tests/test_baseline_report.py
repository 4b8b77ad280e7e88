"""`hotspot baseline`: the command, and what it says of three years of Chicago."""

from __future__ import annotations

import csv
import gzip
import math
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import source
from cli.baseline import make_report
from cli.incident_rows import read_rows
from cli.main import hotspot, main
from processors.heldout import WINDOWS
from schemas.detection import DAY_S, DetectionSettings
from schemas.heldout import BaselineReport, CalibrationBin, Forecast, KindReport, Part, Promise, promises_of
from schemas.region import load_region
from schemas.settings import Settings
from tests.builders import GUILDHALL, POLICE_SOURCE, ROOT
from tests.builders_processors import MONDAY

HAMPSHIRE = ROOT / "regions" / "hampshire.toml"


def incident_file(directory: Path, days: int = 200) -> Path:
    """Police incidents about the Guildhall from 2022-01-03 on, and two rows that are refused."""
    rng = np.random.default_rng(8)
    path = directory / "records.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["event_id", "occurred_at", "latitude", "longitude", "category", "source"])
        for n, second in enumerate(sorted(rng.integers(0, days * DAY_S, days * 6).tolist())):
            moment = datetime.fromtimestamp(MONDAY + second, UTC).isoformat()
            x, y = rng.normal(0, 0.02, 2)
            place = [GUILDHALL["latitude"] + y / 2, GUILDHALL["longitude"] + x]
            writer.writerow([f"P-{n}", moment, *place, "robbery", POLICE_SOURCE])
        writer.writerow(["X-1", "2022-05-01T00:00:00+00:00", 10.0, 10.0, "robbery", POLICE_SOURCE])
        writer.writerow(["X-2", "yesterday", 50.9, -1.4, "robbery", POLICE_SOURCE])
    return path


def test_the_command_tells_and_writes_its_report(tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    asked = ["--from", "2022-05-10", "--to", "2022-07-15", "--out", str(out)]
    result = CliRunner().invoke(
        hotspot, ["baseline", str(incident_file(tmp_path)), "--region", str(HAMPSHIRE), *asked], catch_exceptions=False
    )
    assert result.exit_code == 0
    report = BaselineReport.model_validate_json(out.read_text(encoding="utf-8"))
    (police,) = report.kinds
    assert (report.region, report.fits, police.weeks) == ("hampshire", 10, 8)
    assert police.days == 67
    assert abs(police.total.observed - 67 * 6) < 4 * math.sqrt(67 * 6)
    assert police.total.ratio is not None
    assert abs(police.total.ratio - 1) < 0.2
    assert "2 of 1,173 records were refused" in result.stderr
    assert "hampshire, 2022-05-10 to 2022-07-15: 10 fits" in result.stdout
    for line in (
        f"  all             {police.total.observed:>10}{police.total.expected:>12,.1f}{police.total.ratio:>8.3f}",
        "  2022-06 ",
        "  2022 (part)",
        "  weekend night",
        "  same weeks of the last two years    history too short",
        "  not judged each year within 5 %",
        "  kept       less deviance than 'mean of the last 8 weeks'",
    ):
        assert line in result.stdout, line
    assert max(map(len, result.stdout.splitlines())) <= 110


def test_what_comes_after_the_period_plays_no_part(tmp_path: Path) -> None:
    region, first, last, settings = load_region(HAMPSHIRE), date(2022, 5, 2), date(2022, 6, 12), Settings()
    path = incident_file(tmp_path)
    whole = make_report(read_rows(path, region, last, settings), region, first, last, settings)
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.split(",")[1] < "2022-06-12T23:00:00"]  # midnight, by summer time
    assert len(kept) < len(lines) - 100
    path.write_text("\n".join([header, *kept]) + "\n", encoding="utf-8")
    assert whole == make_report(read_rows(path, region, last, settings), region, first, last, settings)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--from", "2022-01-10", "--to", "2022-02-20"], "There is no baseline for any week from 2022-01-10 to "),
        (["--from", "2022-06-10", "--to", "2022-06-09"], "--to lies before --from."),
        (["--from", "2022-06-01", "--to", "2022-06-09", "--out", "nowhere/r.json"], "There is no folder nowhere."),
        (["--from", "2021-06-01", "--to", "2021-06-09"], "No record up to 2021-06-09 could be used."),
        (["--from", "2022-06-01"], "Missing option '--to'."),
    ],
)
def test_what_cannot_be_reported_is_told_in_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: list[str],
    sentence: str,
) -> None:
    file = str(incident_file(tmp_path))
    monkeypatch.setattr(sys, "argv", ["hotspot", "baseline", file, "--region", str(HAMPSHIRE), *asked])
    with pytest.raises(SystemExit) as exited:
        main()
    told = capsys.readouterr()
    assert exited.value.code == 2
    assert sentence in told.err
    assert told.out == ""


def test_a_missing_incident_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "none.csv"
    asked = ["baseline", str(path), "--region", str(HAMPSHIRE), "--from", "2022-01-01", "--to", "2022-01-31"]
    monkeypatch.setattr(sys, "argv", ["hotspot", *asked])
    with pytest.raises(SystemExit) as exited:
        main()
    assert exited.value.code == 2
    assert capsys.readouterr().err == f"There is no file {path}.\n"


def test_the_page_names_every_field_of_the_report() -> None:
    page = (ROOT / "docs" / "baseline.md").read_text(encoding="utf-8")
    for model in (BaselineReport, KindReport, Part, CalibrationBin, Forecast, Promise):
        for name in model.model_fields:
            assert f"`{name}`" in page, name


# --- real incidents ----------------------------------------------------------------------------------------------

CHICAGO = source.data_path(source.CHICAGO)


@pytest.fixture(scope="module")
def chicago(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KindReport]:
    """2014-2016; later years are kept for a last judgement, so they are not even read."""
    if not CHICAGO.exists():
        pytest.skip(f"There is no {CHICAGO}: name the folder of the published incidents with HOTSPOT_DATA.")
    path = tmp_path_factory.mktemp("chicago") / "until_2016.csv"
    with gzip.open(CHICAGO, "rt", encoding="utf-8") as file:
        lines = [line for n, line in enumerate(file) if n == 0 or line.split(",")[1] < "2017"]
    path.write_text("".join(lines), encoding="utf-8")
    region, settings = load_region(ROOT / "regions" / "chicago.toml"), Settings(detection=DetectionSettings())
    first, last = date(2014, 1, 1), date(2016, 12, 31)
    report = make_report(read_rows(path, region, last, settings), region, first, last, settings)
    (police,) = report.kinds
    assert (police.days, police.days_without, police.weeks) == (1096, 0, 155)
    yield police


PROMISES = [promise.text for promise in promises_of([], [], [], [], [], [Forecast(method="baseline", deviance=1.0)])]
PROMISES += [f"less deviance than {method}" for method in WINDOWS]


@pytest.mark.parametrize("text", PROMISES)
def test_promises_hold_on_three_years_of_chicago(chicago: KindReport, text: str) -> None:
    (promise,) = [promise for promise in chicago.promises if promise.text == text]
    assert promise.holds, f"{text}: {promise.worst} at {promise.value}"
