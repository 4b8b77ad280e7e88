"""`hotspot region init`: a partnership's own CSV is read by the region file proposed from it; guesses are told."""

from __future__ import annotations

import json
import tomllib
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner
from pyproj import Transformer

from cli.main import hotspot
from cli.region_sample import read_sample
from schemas.columns import DateOrder
from schemas.located import Gate
from schemas.region import load_region
from tests.partner_files import (
    CHICAGO,
    HEADER,
    LONDON,
    SOUTHAMPTON,
    Row,
    assert_holds,
    incidents,
    init,
    located,
    proposed,
    refused,
    usual,
    write,
)

# --- round trips --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_file_is_read_whatever_its_encoding_and_delimiter(tmp_path: Path, delimiter: str, encoding: str) -> None:
    made = incidents()
    path = write(tmp_path / "export.csv", (*HEADER, "Café"), [(*row, "é;,\n|x") for row in usual(made)],
                 delimiter=delimiter, encoding=encoding)  # fmt: skip
    region, _ = proposed(path)
    assert_holds(located(path, region), made)


@pytest.mark.parametrize(
    ("time", "order"),
    [
        ("%d/%m/%Y %H:%M", DateOrder.DAY_FIRST),
        ("%m/%d/%Y %I:%M %p", DateOrder.MONTH_FIRST),
        ("%d.%m.%y %H:%M:%S", DateOrder.DAY_FIRST),
        ("%Y-%m-%dT%H:%M:%S.000", None),
        ("%Y/%m/%d %H%M", None),
        ("%d-%b-%Y %H:%M", None),
        ("%a %d %B %Y, %H.%M", None),
        ("%b %d, %Y %I:%M%p", None),
        ("%Y-%m-%d %H:%M:%S%z", None),
        ("%Y%m%d %H:%M", None),
    ],
)
def test_times_are_read_as_they_are_written(tmp_path: Path, time: str, order: DateOrder | None) -> None:
    made = incidents()
    path = write(tmp_path / "export.csv", HEADER, usual(made, time))
    region, told = proposed(path)
    assert region.columns is not None
    assert region.columns.times.order == order
    assert ("can be read in no other way" in told) == (order is not None)
    assert_holds(located(path, region), made)


def test_date_and_time_in_two_columns_and_a_record_date(tmp_path: Path) -> None:
    made = incidents()
    rows = [
        (t.strftime("%d/%m/%Y"), t.strftime("%H:%M"), t.strftime("%d/%m/%Y"), f"{x:.6f}", f"{y:.6f}")
        for t, x, y in made
    ]
    path = write(tmp_path / "export.csv", ("Date", "Time", "Date Reported", "Long", "Lat"), rows)
    region, told = proposed(path)
    found = located(path, region)
    assert_holds(found, made)
    assert "No column has an id" in told
    # A date of recording means by the end of that day.
    days = sorted({t.date() for t, _, _ in made})
    ends = {int(datetime(d.year, d.month, d.day, 23, 59, 59, tzinfo=LONDON).timestamp()) for d in days}
    assert set((found["recorded_us"] // 1_000_000).tolist()) == ends


PROJECTED = [
    ("EPSG:27700", SOUTHAMPTON, LONDON, (), "EPSG:27700", "Europe/London", "GB-ENG"),
    ("EPSG:27700", (-4.25, 55.86), LONDON, (), "EPSG:27700", "Europe/London", "GB-SCT"),
    ("EPSG:27700", (-3.18, 51.48), LONDON, (), "EPSG:27700", "Europe/London", "GB-WLS"),
    ("EPSG:29903", (-5.93, 54.60), LONDON, ("--crs", "EPSG:29903"), "EPSG:29903", "Europe/London", "GB-NIR"),
    ("EPSG:3435", (-87.65, 41.85), CHICAGO, ("--crs", "EPSG:3435"), "EPSG:32616", "America/Chicago", "US"),
    ("EPSG:3857", (-1.40, 50.91), LONDON, ("--crs", "EPSG:3857"), "EPSG:27700", "Europe/London", "GB-ENG"),
    ("EPSG:25832", (10.0, 53.55), ZoneInfo("Europe/Berlin"), ("--crs", "EPSG:25832"), "EPSG:25832", "Europe/Berlin",
     "DE"),
    ("EPSG:4326", (151.1, -33.87), ZoneInfo("Australia/Sydney"), (), "EPSG:32756", "Australia/Sydney", "AU"),
    ("EPSG:4326", (-6.26, 53.35), ZoneInfo("Europe/Dublin"), (), "EPSG:2157", "Europe/Dublin", "IE"),
]  # fmt: skip


@pytest.mark.parametrize(("crs", "centre", "zone", "options", "grid", "timezone", "holidays"), PROJECTED)
def test_coordinates_of_any_crs_come_to_the_same_cells(
    tmp_path: Path,
    crs: str,
    centre: tuple[float, float],
    zone: ZoneInfo,
    options: tuple[str, ...],
    grid: str,
    timezone: str,
    holidays: str,
) -> None:
    made = incidents(centre=centre, zone=zone)
    to_crs = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    rows = [(t.strftime("%d/%m/%Y %H:%M"), *map("{:.7f}".format, to_crs.transform(x, y))) for t, x, y in made]
    path = write(tmp_path / "export.csv", ("Date", "X", "Y"), rows)
    region, _ = proposed(path, *options)
    assert (region.crs, region.timezone, region.holidays) == (grid, timezone, holidays)
    found = located(path, region)
    assert_holds(found, made)
    to_grid = Transformer.from_crs("EPSG:4326", grid, always_xy=True)
    cells = {tuple(np.floor_divide(to_grid.transform(x, y), region.cell_m).astype(int)) for _, x, y in made}
    assert {(int(x), int(y)) for x, y in zip(found["ix"], found["iy"], strict=True)} == cells


def test_decimal_commas_and_parted_thousands(tmp_path: Path) -> None:
    made = incidents()
    to_grid = Transformer.from_crs("EPSG:4326", "EPSG:27700", always_xy=True)
    degrees = [(t.strftime("%d/%m/%Y %H:%M"), f"{x:.6f}".replace(".", ","), f"{y:.6f}".replace(".", ","))
               for t, x, y in made]  # fmt: skip
    metres = [(t.strftime("%d/%m/%Y %H:%M"), *(f"{v:,.1f}" for v in to_grid.transform(x, y))) for t, x, y in made]
    for path in (
        write(tmp_path / "degrees.csv", ("Date", "Lon", "Lat"), degrees, delimiter=";"),
        write(tmp_path / "metres.csv", ("Date", "Easting", "Northing"), metres),
    ):
        region, _ = proposed(path)
        assert_holds(located(path, region), made)


def test_sources_keep_their_kinds(tmp_path: Path) -> None:
    made = incidents()
    names = ("Hampshire Constabulary", "Southampton General Hospital", "RHM01/A&E", "Wardens")
    rows = [(*row, names[n % 4]) for n, row in enumerate(usual(made))]
    path = write(tmp_path / "export.csv", (*HEADER, "Source"), rows)
    region, told = proposed(path, "--id", "south")
    kinds = {source.name: source.kind for source in region.sources}
    assert kinds == {names[0]: "police", names[1]: "ed", names[2]: "ed", names[3]: "police"}
    assert {source.id for source in region.sources} == {
        "south/hampshire-constabulary",
        "south/wardens",
        "south/ed/SITE1",
        "south/ed/SITE2",
    }
    assert "'Source'" in told
    found = located(path, region)
    assert_holds(found, made)
    assert sorted(np.bincount(found["source"]).tolist()) == [75, 75, 75, 75]


def test_columns_that_only_eds_have_make_it_an_ed(tmp_path: Path) -> None:
    rows = [(*row, "RHM01") for row in usual(incidents())]
    path = write(tmp_path / "export.csv", ("Attendance ID", "Assault Date", *HEADER[2:4], "Method", "Site Code"), rows)
    region, told = proposed(path)
    assert [(source.id, source.kind) for source in region.sources] == [("export/ed/RHM01", "ed")]
    assert "of kind ed, by the names of columns" in told
    assert_holds(located(path, region), incidents())
    assert proposed(path, "--kind", "police", "--force")[0].sources[0].kind == "police"


def test_our_own_columns_need_no_section(tmp_path: Path) -> None:
    header = ("event_id", "occurred_at", "longitude", "latitude", "category", "source")
    made = incidents()
    own = [(*row, "force/police") for row in usual(made, "%Y-%m-%dT%H:%M:%S%z")]
    path = write(tmp_path / "export.csv", header, own)
    region, _ = proposed(path)
    assert region.columns is None
    assert_holds(located(path, region), made)
    local = write(tmp_path / "local.csv", header, [(*row, "force/police") for row in usual(made, "%Y-%m-%d %H:%M")])
    region, _ = proposed(local)
    assert region.columns is not None
    assert_holds(located(local, region), made)
    # A region of another layout reads our own all the same.
    assert_holds(located(path, proposed(write(tmp_path / "other.csv", (*HEADER, "Force"),
                 [(*row, "force/police") for row in usual(made)]))[0]), made)  # fmt: skip


def test_the_proposal_is_short_and_says_what_is_a_guess(tmp_path: Path) -> None:
    result = init(write(tmp_path / "West force 2024.csv.gz", HEADER, usual(incidents())))
    assert result.exit_code == 0
    lines = [line for line in result.stdout.splitlines() if not line.startswith("#")]
    assert len(lines) == 11
    assert result.stdout.startswith("# Proposed from West force 2024.csv.gz: 300 of 300 rows can be scanned.")
    values = tomllib.loads(result.stdout)
    assert (values["id"], values["name"]) == ("west-force-2024", "West force 2024")
    for field in ("crs", "timezone", "holidays", "bounds", "sources"):
        assert any(line.startswith(f"{field} = ") and "  # " in line for line in lines)


def test_the_other_commands_take_the_file_with_its_region(tmp_path: Path) -> None:
    """And say of it what they say of the same records in our own columns."""
    made = incidents(6_000)
    header = ("event_id", "occurred_at", "longitude", "latitude", "category", "source")
    reports = []
    for path in (
        write(tmp_path / "export.csv", HEADER, usual(made)),
        write(tmp_path / "own.csv", header, [(*row, "p/police") for row in usual(made, "%Y-%m-%dT%H:%M%z")]),
    ):
        proposed(path, "--id", "p")
        out = path.with_suffix(".json")
        asked = ["--from", "2024-10-01", "--to", "2024-10-31", "--out", str(out)]
        result = CliRunner().invoke(
            hotspot, ["baseline", str(path), "--region", str(path.with_suffix(".toml")), *asked]
        )
        assert result.exit_code == 0, result.output
        reports.append(json.loads(out.read_text()))
    assert reports[0] == reports[1]
    assert reports[0]["kinds"][0]["total"]["observed"] > 500


def test_out_is_not_overwritten_without_force(tmp_path: Path) -> None:
    path = write(tmp_path / "export.csv", HEADER, usual(incidents()))
    out = tmp_path / "export.toml"
    out.write_text("mine")
    assert "is there already" in refused(path, "--out", out)
    assert out.read_text() == "mine"
    assert init(path, "--out", out, "--force").exit_code == 0
    assert load_region(out).id == "export"


# --- what is told -------------------------------------------------------------------------------------------------


def test_odd_rows_are_told_and_kept_out_of_the_bounds(tmp_path: Path) -> None:
    made = incidents(1000)
    x, y = map("{:.6f}".format, SOUTHAMPTON)
    odd: list[Row] = [(f"O{n}", "01/02/2024 10:00", "0", "0", "robbery") for n in range(3)]
    odd += [("S1", "01/02/2024 10:00", y, x, "robbery"), ("M1", "01/02/2024 10:00", x[1:], y, "robbery")]
    odd += [("T1", "yesterday", x, y, "robbery"), ("E1", "01/02/2024 10:00", "", "", "robbery")]
    path = write(tmp_path / "export.csv", HEADER, [*usual(made), *odd])
    region, told = proposed(path)
    assert region.bounds.east < 0 < region.bounds.south
    for sentence in (
        "with latitude and longitude swapped: 1.",
        "lost a minus sign, or have one too many: 1.",
        "Rows without coordinates: 4.",
        "Rows refused as time_malformed: 1.",
        "Of 1,007 rows, 1,004 can be read and 1,000 scanned.",
    ):
        assert sentence in told
    assert len(located(path, region)) == 1004


def test_free_text_and_personal_data_are_never_told(tmp_path: Path) -> None:
    secret = "Jo Bloggs, 943 476 5919, 07700 900123"
    rows = [("9434765919", *row[1:], secret) for row in usual(incidents())]
    path = write(tmp_path / "export.csv", ("id", *HEADER[1:], "Description"), rows)
    result = init(path)
    assert result.exit_code == 0
    assert "The column 'id' is not used" in result.stderr
    assert "Bloggs" not in result.output
    assert "943" not in result.output


def test_days_and_months_have_no_hour_to_scan(tmp_path: Path) -> None:
    for time in ("%d/%m/%Y", "%Y-%m"):
        path = write(tmp_path / "export.csv", HEADER, usual(incidents(), time))
        result = init(path, "--out", path.with_suffix(".toml"), "--force")
        assert "none can be scanned: ask for an export with the time of day" in result.stderr
        found = located(path, load_region(path.with_suffix(".toml")))
        assert set(found["gate"]) == {Gate.IMPRECISE_TIME}


def test_midnights_only_are_told(tmp_path: Path) -> None:
    _, told = proposed(write(tmp_path / "export.csv", HEADER, usual(incidents(), "%d/%m/%Y 00:00")))
    assert "300 of 300 times are 00:00" in told


def test_a_large_file_is_sampled_evenly(tmp_path: Path) -> None:
    path = write(tmp_path / "export.csv", HEADER, usual(incidents(1000)))
    sample = read_sample(path, keep=100)
    assert (sample.total, len(sample.rows)) == (1000, 125)
    assert [row[0] for row in sample.rows[:3]] == ["R0", "R8", "R16"]
    assert not sample.whole
