"""`hotspot region init`: a partnership's own CSV is read by the region file proposed from it; guesses are told."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from cli.incident_rows import read_rows
from cli.main import hotspot
from cli.region_columns import Role
from cli.region_sample import read_sample
from schemas.base import Contract, ToldError
from schemas.columns import DateOrder, PlaceColumns, RecordColumns, TimeColumns
from schemas.located import Gate, LocatedArray
from schemas.region import RegionFile, load_region
from schemas.settings import load_settings
from streams.csv_file import layout_of
from streams.partner_rows import partner_rows, read_number
from streams.partner_times import in_zone, read_time
from tests.builders import ROOT

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


# --- clock changes ------------------------------------------------------------------------------------------------


def test_local_times_at_both_clock_changes(tmp_path: Path) -> None:
    made = incidents()
    texts = ("31/03/2024 00:59", "31/03/2024 01:30", "31/03/2024 02:00", "27/10/2024 00:59", "27/10/2024 01:30",
             "27/10/2024 02:00")  # fmt: skip
    rows = [*usual(made), *((f"C{n}", text, "-1.40", "50.91", "robbery") for n, text in enumerate(texts))]
    region, told = proposed(write(tmp_path / "export.csv", HEADER, rows))
    found = located(tmp_path / "export.csv", region)
    expected = {
        int(datetime(2024, *parts, tzinfo=UTC).timestamp())
        for parts in ((3, 31, 0, 59), (3, 31, 1, 30), (3, 31, 1, 0), (10, 26, 23, 59), (10, 27, 0, 30), (10, 27, 2, 0))
    }
    assert expected <= set(found["occurred"].tolist())
    assert "clocks go back: " in told
    assert "The first of the two is taken." in told
    assert "clocks go forward: " in told


def test_a_record_of_the_second_hour_is_not_before_what_it_records() -> None:
    happened = in_zone(datetime(2024, 10, 27, 1, 50), LONDON)  # noqa: DTZ001  # a local time, as files write it
    recorded = in_zone(datetime(2024, 10, 27, 1, 10), LONDON, not_before=happened)  # noqa: DTZ001
    assert recorded - happened == timedelta(minutes=20)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)), st.sampled_from([LONDON, CHICAGO]))  # noqa: DTZ001
def test_local_times_are_the_moment_they_were_or_an_hour_earlier(moment: datetime, zone: ZoneInfo) -> None:
    moment = moment.replace(tzinfo=UTC, microsecond=0)
    local = moment.astimezone(zone)
    read = in_zone(local.replace(tzinfo=None, fold=0), zone)
    assert read == (moment - timedelta(hours=1) if local.fold else moment)


# --- bad files ----------------------------------------------------------------------------------------------------


def without(column: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        n = HEADER.index(column)
        rows = [tuple(row[:n]) + tuple(row[n + 1 :]) for row in (HEADER, *usual(incidents()))]
        return write(path, rows[0], rows[1:])

    return make


def placed(place: Callable[[float, float], tuple[float, float]]) -> Callable[[Path], Path]:
    return lambda path: write(path, HEADER, usual([(t, *place(x, y)) for t, x, y in incidents()]))


def timed(time: str) -> Callable[[Path], Path]:
    return lambda path: write(path, HEADER, usual(incidents(), time))


def content(data: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(data)
        return path

    return make


def ambiguous(path: Path) -> Path:
    return write(path, HEADER, usual([made for made in incidents() if made[0].day <= 12]))


def mixed_orders(path: Path) -> Path:
    made = incidents()
    return write(path, HEADER, usual(made[::2]) + usual(made[1::2], "%m/%d/%Y %H:%M"))


def lost_signs(path: Path) -> Path:
    return write(path, HEADER, usual([(t, -x if n % 3 else x, y) for n, (t, x, y) in enumerate(incidents())]))


def serials(path: Path) -> Path:
    return write(
        path, HEADER, [(row[0], f"{45_000 + n / 7:.4f}", *row[2:]) for n, row in enumerate(usual(incidents()))]
    )


def in_metres(crs: str, centre: tuple[float, float], swap: bool = False) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        to_crs = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        rows = [(t.strftime("%d/%m/%Y %H:%M"), *map("{:.1f}".format, to_crs.transform(x, y)[:: -1 if swap else 1]))
                for t, x, y in incidents(centre=centre)]  # fmt: skip
        return write(path, ("Date", "X", "Y"), rows)

    return make


GOOD = "\n".join(map(",".join, (HEADER, *usual(incidents())))) + "\n"
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda path: path, "There is no file "),
    "empty": (content(b""), " is empty."),
    "blank": (content(b"\n \n"), " is empty."),
    "header only": (content(GOOD.splitlines()[0].encode()), " has a header and no rows"),
    "no header": (content(GOOD.split("\n", 1)[1].encode()), "put a line of names before the records."),
    "no coordinates": (without("Longitude"), "name them with --column longitude=NAME"),
    "no times": (without("Occurred"), "name it with --column occurred=NAME"),
    "unreadable times": (timed("week %W"), "holds no times that can be read"),
    "spreadsheet's days": (serials, "format it as date and time before saving as CSV."),
    "all zero": (placed(lambda x, y: (0, 0)), "hold no coordinates but zeros and blanks"),
    "swapped": (placed(lambda x, y: (y, x)), "--column longitude='Latitude' --column latitude='Longitude'."),
    "swapped metres": (in_metres("EPSG:27700", SOUTHAMPTON, swap=True), "if they were swapped: say --column x='Y'"),
    "at sea": (placed(lambda x, y: (x - 20, y)), "is at sea: check the columns"),
    "mixed hemispheres": (lost_signs, "'Longitude' has lost its minus sign"),
    "two cities": (
        lambda path: write(path, HEADER, usual(incidents() + incidents(centre=(-3.18, 51.48)))),
        "a region is one area",
    ),
    "Web Mercator": (in_metres("EPSG:3857", SOUTHAMPTON), "they would lie in the zone Europe/London"),
    "metres of another country": (in_metres("EPSG:25832", (10.0, 53.55)), "say which coordinate reference system"),
    "Ireland or Britain": (in_metres("EPSG:29903", (-5.93, 54.60)), "may be in the grid of Britain or of Ireland"),
    "day or month first": (ambiguous, "say --dates day-first or --dates month-first."),
    "both orders": (mixed_orders, "export it again with all dates written alike."),
    "wrong delimiter": (content(GOOD.replace(",", "^").encode()), " has a single column: "),
    "ragged": (content(GOOD.encode() + b"R9,x\n"), "Line 302 of "),
    "open quote": (content(GOOD.encode() + b'"' + b"x" * 200_000), " cannot be read: "),
    "workbook": (content(b"PK\x03\x04\x00\x00"), " is a workbook or an archive"),
    "binary": (content(b"\x89PNG\r\n\x00\x01\x02abcdefgh"), " is no text"),
    "folder": (lambda path: path.parent, " cannot be read: "),
}


@pytest.mark.parametrize(("make", "finding"), BAD.values(), ids=BAD)
def test_a_bad_file_is_told_in_one_sentence(tmp_path: Path, make: Callable[[Path], Path], finding: str) -> None:
    assert finding in refused(make(tmp_path / "export.csv"))


def test_what_was_asked_for_is_taken(tmp_path: Path) -> None:
    path = ambiguous(tmp_path / "export.csv")
    options = ["--dates", "day-first", "--timezone", "Europe/Dublin", "--holidays", "none", "--kind", "ed"]
    region, _ = proposed(path, *options, "--column", "category=", "--id", "south", "--name", 'The "South"')
    assert (region.timezone, region.holidays, region.name) == ("Europe/Dublin", "", 'The "South"')
    assert region.sources[0].kind == "ed"
    assert region.columns is not None
    assert region.columns.record.category is None
    assert "which --column x names" in refused(path, "--column", "x=Nowhere")
    assert "is not an IANA zone" in refused(path, "--dates", "day-first", "--timezone", "Mars")
    assert init(path, "--column", "colour=red").exit_code == 2


def test_degrees_give_way_to_the_crs_that_is_asked_for(tmp_path: Path) -> None:
    made = incidents()
    to_grid = Transformer.from_crs("EPSG:4326", "EPSG:27700", always_xy=True)
    rows = [(*row, *map("{:.1f}".format, to_grid.transform(x, y)))
            for row, (_, x, y) in zip(usual(made), made, strict=True)]  # fmt: skip
    path = write(tmp_path / "export.csv", (*HEADER, "X", "Y"), rows)
    for options, pair in (((), ("Longitude", "Latitude")), (("--crs", "EPSG:27700", "--force"), ("X", "Y"))):
        region, _ = proposed(path, *options)
        assert region.columns is not None
        assert region.columns.place.pair == pair


# --- reading with columns -----------------------------------------------------------------------------------------


def test_a_file_without_a_column_of_its_region(tmp_path: Path) -> None:
    path = write(tmp_path / "export.csv", HEADER, usual(incidents()))
    region, _ = proposed(path)
    other = write(tmp_path / "other.csv", ("Ref", *HEADER[1:]), usual(incidents()))
    with pytest.raises(Exception, match=r"lacks the column 'Incident Ref', which \[columns\] of the region file names"):
        located(other, region)


@pytest.mark.parametrize(
    ("columns", "finding"),
    [
        ('place = { x = "X", y = "Y" }', "x and y need the crs"),
        ('place = { x = "X", latitude = "Y" }', "either longitude and latitude, or x and y"),
        ('place = { x = "X", y = "Y", crs = "EPSG:99" }', "is not a coordinate reference system"),
    ],
)
def test_columns_that_say_too_little(tmp_path: Path, columns: str, finding: str) -> None:
    path = write(tmp_path / "export.csv", HEADER, usual(incidents()))
    text = init(path).stdout
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("place = "))
    region = tmp_path / "region.toml"
    region.write_text(f"{kept}\n{columns}\n")
    with pytest.raises(Exception, match=finding):
        load_region(region)


def test_ids_that_no_message_may_carry_are_digests(tmp_path: Path) -> None:
    made = incidents()
    rows = [(f"Ref {n} / (a)", *row[1:]) for n, row in enumerate(usual(made))]
    path = write(tmp_path / "export.csv", HEADER, rows)
    region, _ = proposed(path)
    found = located(path, region)
    assert_holds(found, made)
    assert len(set(found["record"].tolist())) == len(made)


def test_records_without_ids_keep_theirs_in_a_longer_export(tmp_path: Path) -> None:
    rows = [row[1:] for row in usual(incidents())]
    path = write(tmp_path / "export.csv", HEADER[1:], rows)
    region, _ = proposed(path)
    short = set(located(path, region)["record"].tolist())
    longer = set(located(write(path, HEADER[1:], [*reversed(rows), rows[0]]), region)["record"].tolist())
    assert len(short) == 300
    assert short < longer
    assert len(longer) == 301


def test_the_page_explains_every_field_and_option() -> None:
    page = (ROOT / "docs" / "regions.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_.]+)`", page))
    assert set(RegionFile.model_fields) <= named
    parts: dict[str, type[Contract]] = {"times": TimeColumns, "place": PlaceColumns, "record": RecordColumns}
    assert {f"{name}.{field}" for name, part in parts.items() for field in part.model_fields} <= named
    help_text = init("--help").stdout
    for role in Role:
        assert re.search(rf"\b{role}\b", help_text)


def test_rows_whose_id_is_blank_are_records_of_their_own(tmp_path: Path) -> None:
    made = incidents()
    rows = [row if n % 3 else ("", *row[1:]) for n, row in enumerate(usual(made))]
    path = write(tmp_path / "export.csv", HEADER, rows)
    region, _ = proposed(path)
    assert region.columns is not None
    assert region.columns.record.id == HEADER[0]
    found = located(path, region)
    assert_holds(found, made)
    assert len(set(found["record"].tolist())) == len(made)


CELLS = st.lists(st.text(max_size=20), min_size=5, max_size=5)


@given(st.lists(CELLS, max_size=5))
def test_no_cell_stops_the_reading(rows: list[list[str]]) -> None:
    region = load_region_of_columns()
    assert region.columns is not None
    read = partner_rows(list(HEADER), rows, region.columns, region)
    assert len(read) == len(rows)
    assert all(isinstance(value, str) for row in read for value in row.values())


def load_region_of_columns() -> RegionFile:
    return RegionFile.model_validate(
        {
            "id": "south",
            "name": "South",
            "crs": "EPSG:27700",
            "timezone": "Europe/London",
            "bounds": {"west": -2, "south": 50, "east": 0, "north": 52},
            "sources": [{"id": "south/police", "kind": "police"}],
            "columns": {
                "times": {"occurred": "Occurred", "order": "day-first"},
                "place": {"longitude": "Longitude", "latitude": "Latitude"},
                "record": {"id": "Incident Ref", "category": "Offence"},
            },
        }
    )


FORMATS = {
    DateOrder.DAY_FIRST: ("%d/%m/%Y %H:%M", "%d.%m.%Y %H:%M:%S", "%d-%m-%y %I:%M %p"),
    DateOrder.MONTH_FIRST: ("%m/%d/%Y %H:%M", "%m-%d-%Y %I:%M:%S %p"),
    None: ("%Y-%m-%dT%H:%M:%S", "%d %b %Y %H:%M", "%B %d, %Y %H:%M", "%Y%m%d %H%M"),
}


@given(st.datetimes(datetime(2000, 1, 1), datetime(2068, 1, 1)), st.sampled_from(list(FORMATS)), st.data())  # noqa: DTZ001
def test_what_is_written_is_read(moment: datetime, order: DateOrder | None, data: st.DataObject) -> None:
    moment = moment.replace(second=0, microsecond=0)
    text = moment.strftime(data.draw(st.sampled_from(FORMATS[order])))
    read = read_time(text, order)
    assert read is not None
    assert (read.moment, read.precision) == (moment, "minute")
    if order is not None:
        assert read_time(text, None) is None


@given(st.floats(-1e9, 1e9), st.sampled_from([".", ","]))
def test_numbers_are_read_with_either_mark(value: float, decimal: str) -> None:
    text = f"{value:,.4f}"
    if decimal == ",":
        text = text.translate(str.maketrans(",.", ".,"))
    assert read_number(text, decimal) == pytest.approx(value, abs=1e-4)


def test_a_comma_in_free_text_is_no_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text('a;b\n"x, y, z";2\n"x, y, z";3\n')
    assert layout_of(path).delimiter == ";"
