"""Incident files: which rows become messages, what they say, and how an unusable file is told."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from schemas.located import Kind
from schemas.reasons import RejectReason
from streams.codec import Accepted, parse
from streams.desks import Registry
from streams.incident_file import (
    REQUIRED,
    UNREADABLE,
    IncidentFileError,
    Incidents,
    Period,
    SourceMessage,
    read_incidents,
    row_messages,
)
from streams.ingest import RawMessage, take_in
from tests.builders import ED_SOURCE, NOW, POLICE_SOURCE, hampshire

ALWAYS = Period(None, None)
Row = dict[str, str]


def row(**fields: str) -> Row:
    """A good row."""
    return {
        "event_id": "P-1",
        "occurred_at": "2026-02-28T23:00:00+00:00",
        "latitude": "50.9075",
        "longitude": "-1.4065",
        "category": "robbery",
        "source": POLICE_SOURCE,
        **fields,
    }


def text_of(*rows: Row) -> str:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def read(directory: Path, *rows: Row, period: Period = ALWAYS) -> Incidents:
    path = directory / "records.csv"
    path.write_text(text_of(*rows), encoding="utf-8")
    return read_incidents(path, hampshire(), period)


def event_of(message: SourceMessage) -> Any:
    return json.loads(message.value)


def accepted(message: SourceMessage) -> Accepted:
    (found,) = parse(message.kind, message.value, (), 65_536)
    assert isinstance(found, Accepted), found
    return found


def problem(path: Path, period: Period = ALWAYS) -> str:
    with pytest.raises(IncidentFileError) as raised:
        read_incidents(path, hampshire(), period)
    sentence = str(raised.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


# --- what rows become --------------------------------------------------------------------------------------------


def test_a_police_row_becomes_the_event_that_a_force_would_send(tmp_path: Path) -> None:
    (message,) = read(
        tmp_path,
        row(location_type="street", time_precision="hour", recorded_at="2026-03-01T01:00:00Z", status="amended")
        | {"record_id": "R-9", "revision": "2"},
    ).messages
    assert (message.kind, message.key) == (Kind.POLICE, b"hampshire/police/R-9")
    assert message.recorded_at == datetime(2026, 3, 1, 1, tzinfo=UTC)
    assert event_of(message) == {
        "specversion": "1.0",
        "id": "R-9:2",
        "source": POLICE_SOURCE,
        "type": "hotspot.police.incident.amended.v1",
        "data": {
            "record_id": "R-9",
            "revision": 2,
            "recorded_at": "2026-03-01T01:00:00Z",
            "occurred_at": "2026-02-28T23:00:00+00:00",
            "category": "robbery",
            "location_type": "street",
            "time_precision": "hour",
            "place": {"longitude": -1.4065, "latitude": 50.9075},
        },
    }
    assert accepted(message)


def test_an_ed_row_becomes_the_event_that_a_hospital_would_send(tmp_path: Path) -> None:
    given = row(source=ED_SOURCE, event_id="A-1", category="knife", latitude="", longitude="", easting="441825.5")
    (message,) = read(tmp_path, given | {"northing": "112170"}).messages
    event = accepted(message).event
    assert (message.kind, event.type) == (Kind.ED, "hotspot.ed.attendance.recorded.v1")
    assert event.data.model_dump(exclude_defaults=True, exclude={"place"}) == {
        "record_id": "A-1",
        "recorded_at": datetime(2026, 2, 28, 23, tzinfo=UTC),
        "arrived_at": datetime(2026, 2, 28, 23, tzinfo=UTC),
        "occurred_at": datetime(2026, 2, 28, 23, tzinfo=UTC),
        "site_code": "RHM01",
        "assault_method": "knife",
        "location_type": "unknown",
    }
    assert event_of(message)["data"]["place"] == {"easting": 441825.5, "northing": 112170}


@pytest.mark.parametrize(("source", "kind"), [(ED_SOURCE, "ed.attendance"), (POLICE_SOURCE, "police.incident")])
def test_a_withdrawn_row_says_nothing_but_that(tmp_path: Path, source: str, kind: str) -> None:
    (message,) = read(tmp_path, row(source=source, status="withdrawn", revision="3")).messages
    assert accepted(message).event.type == f"hotspot.{kind}.withdrawn.v1"
    assert set(event_of(message)["data"]) == {"record_id", "revision", "recorded_at"}


def test_messages_are_in_order_of_record_time(tmp_path: Path) -> None:
    times = ["2026-03-01T09:00:00Z", "2026-03-01T07:30:00-02:00", "2026-03-01T08:00:00Z", "2026-03-01T10:00:00+02:00"]
    rows = [row(event_id=f"P-{number}", recorded_at=time) for number, time in enumerate(times)]
    found = read(tmp_path, *rows)
    assert [event_of(message)["data"]["record_id"] for message in found.messages] == ["P-2", "P-3", "P-0", "P-1"]
    assert found.has_record_times


@pytest.mark.parametrize(("said", "simulated"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_a_file_may_say_that_its_records_are_simulated(tmp_path: Path, said: str, simulated: bool) -> None:
    assert (
        read(tmp_path, row(event_id="P-1", simulated="0"), row(event_id="P-2", simulated=said)).simulated is simulated
    )
    assert not read(tmp_path, row()).simulated


def test_without_record_times_records_count_as_recorded_when_they_happened(tmp_path: Path) -> None:
    found = read(tmp_path, row())
    assert not found.has_record_times
    assert found.messages[0].recorded_at == datetime(2026, 2, 28, 23, tzinfo=UTC)


# --- bad rows are sent, and refused where every sender's would be --------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"occurred_at": "last night"}, RejectReason.TIME_MALFORMED),
        ({"occurred_at": ""}, RejectReason.TIME_MALFORMED),
        ({"occurred_at": "2026-02-28T23:00:00"}, RejectReason.TIME_NAIVE),
        ({"recorded_at": "28/02/2026 23:00"}, RejectReason.TIME_MALFORMED),
        ({"recorded_at": "0001-01-01T00:00:00+05:00"}, RejectReason.TIME_BEFORE_2000),
        ({"recorded_at": "9999-12-31T23:00:00-05:00"}, RejectReason.TIME_IN_FUTURE),
        ({"latitude": "nan"}, RejectReason.COORDINATE_NOT_FINITE),
        ({"latitude": "inf"}, RejectReason.COORDINATE_NOT_FINITE),
        ({"latitude": "north"}, RejectReason.WRONG_TYPE),
        ({"latitude": ""}, RejectReason.INVALID_VALUE),
        ({"latitude": "-1.4065", "longitude": "50.9075"}, RejectReason.COORDINATES_SWAPPED),
        ({"source": "nobody"}, RejectReason.UNKNOWN_SOURCE),
        ({"revision": "one"}, RejectReason.WRONG_TYPE),
        ({"status": "deleted"}, RejectReason.UNKNOWN_EVENT_TYPE),
        ({"category": ""}, RejectReason.INVALID_VALUE),
        ({"event_id": ""}, RejectReason.INVALID_VALUE),
    ],
)
def test_a_bad_row_is_published_and_refused(tmp_path: Path, fields: dict[str, str], reason: RejectReason) -> None:
    columns = dict.fromkeys(("recorded_at", "revision", "status"), "")
    found = read(tmp_path, row(**columns), row(**{**columns, **fields}), period=ALWAYS)
    assert len(found.messages) == 2
    messages = [RawMessage(message.value, ()) for message in found.messages]
    intake = take_in(Kind.POLICE, messages, Registry([hampshire()]), NOW, max_bytes=65_536, tolerance_s=600)
    assert [refusal.rejected.reason for refusal in intake.refusals] == [reason]
    assert len(intake.rows["hampshire"]) == 1


def test_a_row_whose_time_cannot_be_read_is_in_every_period_and_goes_first(tmp_path: Path) -> None:
    period = Period(date(2026, 3, 1), date(2026, 3, 1))
    rows = [row(event_id="P-in", occurred_at="2026-03-01T12:00:00Z"), row(event_id="P-out")]
    found = read(tmp_path, *rows, row(event_id="P-when", occurred_at="?"), period=period)
    assert [event_of(message)["data"]["record_id"] for message in found.messages] == ["P-when", "P-in"]
    assert found.messages[0].recorded_at == UNREADABLE


def test_rows_of_unknown_sources_have_the_kind_of_the_region_first_source() -> None:
    (message,) = row_messages([row(source="nobody")], hampshire())
    assert message.kind is hampshire().sources[0].kind_code


# --- periods -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-03-28T23:59:59+00:00", False),
        ("2026-03-29T00:00:00+00:00", True),  # winter time until 01:00
        ("2026-03-29T22:59:59+00:00", True),  # 23:59:59 in summer time
        ("2026-03-29T23:00:00+00:00", False),  # midnight in summer time
    ],
)
def test_a_day_on_which_the_clock_goes_forward_has_23_hours(moment: str, inside: bool) -> None:
    day = Period(date(2026, 3, 29), date(2026, 3, 29))
    assert day.holds(datetime.fromisoformat(moment), hampshire()) is inside
    assert day.end(hampshire()) == datetime(2026, 3, 29, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "inside"),
    [
        ("2026-10-24T22:59:59+00:00", False),
        ("2026-10-24T23:00:00+00:00", True),  # midnight in summer time
        ("2026-10-25T23:59:59+00:00", True),  # winter time
        ("2026-10-26T00:00:00+00:00", False),
    ],
)
def test_a_day_on_which_the_clock_goes_back_has_25_hours(moment: str, inside: bool) -> None:
    day = Period(date(2026, 10, 25), date(2026, 10, 25))
    assert day.holds(datetime.fromisoformat(moment), hampshire()) is inside
    assert day.end(hampshire()) == datetime(2026, 10, 26, tzinfo=UTC)


def test_a_period_is_open_where_it_has_no_day() -> None:
    long_ago, some_day = datetime(1980, 1, 1, tzinfo=UTC), datetime(2080, 1, 1, tzinfo=UTC)
    assert ALWAYS.holds(long_ago, hampshire())
    assert ALWAYS.end(hampshire()) is None
    assert not Period(date(2020, 1, 1), None).holds(long_ago, hampshire())
    assert not Period(None, date(2020, 1, 1)).holds(some_day, hampshire())


def test_the_period_chooses_by_record_time(tmp_path: Path) -> None:
    period = Period(date(2026, 3, 1), date(2026, 3, 2))
    times = {"before": "2026-02-28T23:59:59Z", "first": "2026-03-01T00:00:00Z", "last": "2026-03-02T23:59:59Z"}
    rows = [row(event_id=name, recorded_at=time) for name, time in times.items()]
    found = read(tmp_path, *rows, row(event_id="after", recorded_at="2026-03-03T00:00:00Z"), period=period)
    assert [event_of(message)["data"]["record_id"] for message in found.messages] == ["first", "last"]


# --- files -------------------------------------------------------------------------------------------------------


def test_compressed_files_are_read_as_the_others(tmp_path: Path) -> None:
    path = tmp_path / "records.csv.gz"
    path.write_bytes(gzip.compress(text_of(row(), row(event_id="P-2")).encode()))
    assert read_incidents(path, hampshire(), ALWAYS) == read(tmp_path, row(), row(event_id="P-2"))


def test_the_mark_that_spreadsheets_put_before_utf_8_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text(text_of(row()), encoding="utf-8-sig")
    assert len(read_incidents(path, hampshire(), ALWAYS).messages) == 1


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    assert problem(path) == f"There is no file {path}."


def test_a_folder(tmp_path: Path) -> None:
    assert problem(tmp_path).startswith(f"The file {tmp_path} cannot be read: ")


@pytest.mark.parametrize("column", REQUIRED)
def test_a_missing_column(tmp_path: Path, column: str) -> None:
    path = tmp_path / "records.csv"
    path.write_text(text_of({name: value for name, value in row().items() if name != column}))
    assert problem(path) == f"The file {path} lacks the column {column!r}."


@pytest.mark.parametrize(
    "content", [b"", b"\n", b'{"records": []}', b"<records/>"], ids=["empty", "line", "json", "xml"]
)
def test_what_has_no_header(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.csv"
    path.write_bytes(content)
    assert problem(path) == f"The file {path} lacks the column 'event_id'."


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04\x14\x00\xff\xfe\x9c",
        text_of(row(category="caf\xe9")).encode("latin-1"),
        text_of(row()).encode("utf-16"),
        (text_of(row()) + '"' + "x" * 140_000).encode(),
    ],
    ids=["a spreadsheet", "Latin-1", "UTF-16", "a quote without end"],
)
def test_what_is_no_csv(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "records.csv"
    path.write_bytes(content)
    assert problem(path).startswith(f"The file {path} cannot be read: ")


@pytest.mark.parametrize("line", ["P-2,2026-02-28T23:00:00Z,50.9\r\n", text_of(row()).splitlines()[1] + ",more\r\n"])
def test_ragged_lines(tmp_path: Path, line: str) -> None:
    path = tmp_path / "records.csv"
    path.write_text(text_of(row()) + line)
    assert problem(path) == f"Line 3 of {path} has another number of columns than its header."


def test_a_file_without_records_in_the_period(tmp_path: Path) -> None:
    path = tmp_path / "records.csv"
    path.write_text(text_of(row()))
    assert problem(path, Period(date(2030, 1, 1), None)) == f"The file {path} has no records in the period asked for."
    path.write_text(text_of(row()).splitlines()[0])
    assert problem(path) == f"The file {path} has no records in the period asked for."


def damaged(content: bytes, how: str) -> bytes:
    if how == "truncated":
        return content[: len(content) // 2]
    if how == "not gzip":
        return b"event_id,occurred_at\n"
    place = 12 if how == "broken block" else len(content) - 6
    return content[:place] + bytes(byte ^ 0xFF for byte in content[place : place + 4]) + content[place + 4 :]


@pytest.mark.parametrize("how", ["truncated", "not gzip", "broken block", "wrong checksum"])
def test_a_damaged_compressed_file(tmp_path: Path, how: str) -> None:
    path = tmp_path / "records.csv.gz"
    rows = [row(event_id=f"P-{number}") for number in range(2000)]
    path.write_bytes(damaged(gzip.compress(text_of(*rows).encode(), mtime=0), how))
    assert problem(path).startswith(f"The file {path} cannot be read: ")
