"""Reads incident files (CSV, CSV.gz) and turns their rows into the CloudEvents that a partner would send."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import pydantic_core

from schemas.located import Kind
from schemas.region import RegionFile, Source
from streams.csv_file import IncidentFileError as IncidentFileError
from streams.csv_file import Layout, Row, layout_of, table
from streams.partner_rows import SIMULATED, check_header, partner_rows

REQUIRED = ("event_id", "occurred_at", "latitude", "longitude", "category", "source")
OPTIONAL = ("easting", "northing", "location_type", "time_precision", "recorded_at", "record_id", "revision", "status")
#: What says in the column `simulated` that a record is.
SAID = frozenset({"true", "1", "yes"})
#: Stands for a record time that cannot be read.
UNREADABLE = datetime(1970, 1, 1, tzinfo=UTC)
_EVENT_TYPES = {Kind.ED: "hotspot.ed.attendance", Kind.POLICE: "hotspot.police.incident"}


@dataclass(frozen=True, slots=True)
class SourceMessage:
    """One message for a source topic."""

    kind: Kind
    key: bytes
    value: bytes
    recorded_at: datetime
    """When it may be published under a replay's or demo's clock."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days in the region's zone, both ends included; None is open."""

    first: date | None
    last: date | None

    def holds(self, moment: datetime, region: RegionFile) -> bool:
        """Whether a moment falls on one of the days."""
        day = moment.astimezone(region.zone).date()
        return (self.first is None or day >= self.first) and (self.last is None or day <= self.last)

    def end(self, region: RegionFile) -> datetime | None:
        """First moment after the period."""
        if self.last is None:
            return None
        return datetime.combine(self.last + timedelta(days=1), time(0), region.zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Incidents:
    """The messages of a file, in order of record time."""

    messages: list[SourceMessage]
    has_record_times: bool
    """Whether the file says when each record was recorded; else they count as recorded when they happened."""
    simulated: bool = False
    """Whether the file says of any record that it is simulated, as files of `hotspot simulate` do."""


@dataclass(frozen=True, slots=True)
class IncidentRows:
    """The rows of a file, yet to be made messages."""

    path: Path
    region: RegionFile
    rows: list[Mapping[str, str]]

    @property
    def has_record_times(self) -> bool:
        """As that of incidents."""
        return bool(self.rows) and "recorded_at" in self.rows[0]

    @property
    def simulated(self) -> bool:
        """Whether any of them says so."""
        return any(row.get(SIMULATED, "").strip().lower() in SAID for row in self.rows)

    def incidents(self, period: Period) -> Incidents:
        """Those whose record falls in the period.

        A row whose times cannot be read is sent as it is: the ingest agent refuses it, and it is accounted for. Raises
        IncidentFileError where there is none.
        """
        messages = [
            message
            for message in row_messages(self.rows, self.region)
            if message.recorded_at == UNREADABLE or period.holds(message.recorded_at, self.region)
        ]
        if not messages:
            raise IncidentFileError(f"The file {self.path} has no records in the period asked for.")
        return Incidents(messages, self.has_record_times, self.simulated)


def read_incidents(path: Path, region: RegionFile, period: Period) -> Incidents:
    """All rows of a file whose record falls in the period. Raises IncidentFileError."""
    return IncidentRows(path, region, read_rows(path, region)).incidents(period)


def row_messages(rows: Iterable[Mapping[str, str]], region: RegionFile) -> list[SourceMessage]:
    """The messages of rows with the columns of an incident file, in order of record time."""
    sources = {source.id: source for source in region.sources}
    messages = [_message(row, sources, region) for row in rows]
    messages.sort(key=lambda message: message.recorded_at)
    return messages


def read_rows(path: Path, region: RegionFile) -> list[Mapping[str, str]]:
    """The rows of a file with the columns of an incident file: its own, or those that its region file says it has.

    A region's columns are for files that have them; a file that has ours instead is read as it is. Raises
    IncidentFileError.
    """
    columns = region.columns
    if columns is None:
        return list(own_rows(path, table(path, Layout())))
    rows = table(path, layout_of(path))
    header = [name.strip() for name in next(rows, [])]
    if has_own_columns(header) and not set(columns.names) <= set(header):
        return list(own_rows(path, chain([header], rows)))
    check_header(header, columns, path)
    return list(partner_rows(header, list(rows), columns, region))


def has_own_columns(header: Row) -> bool:
    """Whether a file has the columns of an incident file."""
    return set(REQUIRED) <= set(header)


def own_rows(path: Path, rows: Iterator[Row]) -> Iterator[Mapping[str, str]]:
    """Rows under their header, which must have the columns of an incident file. Raises IncidentFileError."""
    header = next(rows, [])
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise IncidentFileError(f"The file {path} lacks the column {missing[0]!r}.")
    yield from (dict(zip(header, row, strict=True)) for row in rows)


def _message(row: Mapping[str, str], sources: Mapping[str, Source], region: RegionFile) -> SourceMessage:
    source_id = row["source"]
    source = sources.get(source_id)
    # An unknown source is published all the same, so that it is refused and counted where every sender's would be.
    kind = source.kind_code if source else region.sources[0].kind_code
    record_id = row.get("record_id") or row["event_id"]
    revision = row.get("revision") or "1"
    status = row.get("status") or "recorded"
    recorded_text = row.get("recorded_at") or row["occurred_at"]
    data: dict[str, Any] = {"record_id": record_id, "revision": _number(revision), "recorded_at": recorded_text}
    if status != "withdrawn":
        data.update(_details(kind, row, source_id))
    event = {
        "specversion": "1.0",
        "id": f"{record_id}:{revision}",
        "source": source_id,
        "type": f"{_EVENT_TYPES[kind]}.{status}.v1",
        "data": data,
    }
    key = f"{source_id}/{record_id}".encode()
    return SourceMessage(kind, key, pydantic_core.to_json(event), _moment(recorded_text))


def _details(kind: Kind, row: Mapping[str, str], source_id: str) -> dict[str, Any]:
    details: dict[str, Any] = {"occurred_at": row["occurred_at"]}
    if kind is Kind.POLICE:
        details["category"] = row["category"]
        if row.get("location_type"):
            details["location_type"] = row["location_type"]
        if row.get("time_precision"):
            details["time_precision"] = row["time_precision"]
    else:
        details["site_code"] = source_id.rsplit("/", 1)[-1]
        details["arrived_at"] = row["occurred_at"]
        details["assault_method"] = row["category"]
        details["location_type"] = row.get("location_type") or "unknown"
    place = {name: _number(row[name]) for name in ("longitude", "latitude", "easting", "northing") if row.get(name)}
    if place:
        details["place"] = place
    return details


def _number(text: str) -> float | int | str:
    """A number where the text is one; else the text, which the contract then refuses."""
    for convert in (float,) if "." in text else (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def _moment(text: str) -> datetime:
    """A time to publish at; rows whose time cannot be read go first, to be refused."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return UNREADABLE
    # In the first and last year of the calendar, a change of zone may lead out of it.
    return moment if moment.tzinfo and MINYEAR < moment.year < MAXYEAR else UNREADABLE
