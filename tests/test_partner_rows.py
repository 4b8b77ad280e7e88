"""Files read by the columns of a region: local times, numbers, identities, and cells that hold anything."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.region_columns import Role
from schemas.base import Contract
from schemas.columns import DateOrder, PlaceColumns, RecordColumns, TimeColumns
from schemas.region import RegionFile, load_region
from streams.csv_file import layout_of
from streams.incident_file import Period, read_incidents
from streams.partner_rows import partner_rows, read_number
from streams.partner_times import in_zone, read_time
from tests.builders import ROOT
from tests.partner_files import (
    CHICAGO,
    HEADER,
    LONDON,
    assert_holds,
    incidents,
    init,
    located,
    proposed,
    usual,
    write,
)

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


def test_a_file_in_other_columns_may_say_that_it_is_simulated(tmp_path: Path) -> None:
    rows = usual(incidents())
    region, _ = proposed(write(tmp_path / "export.csv", HEADER, rows))
    marked = write(tmp_path / "marked.csv", (*HEADER, "simulated"), [(*row, "1") for row in rows])
    days = Period(None, None)
    assert not read_incidents(tmp_path / "export.csv", region, days).simulated
    assert read_incidents(marked, region, days).simulated


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
