"""Rows of a partnership's own file, by the columns that its region file names, as rows of an incident file."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from schemas.columns import Columns, PlaceColumns, TimeColumns
from schemas.personal import personal_data_in
from schemas.region import RegionFile
from streams.csv_file import IncidentFileError, Row
from streams.partner_times import end_of_day, in_zone, read_time

FloatArray = NDArray[np.float64]

#: What stands for nothing, in lower case.
MISSING = frozenset({"", "-", "--", "null", "none", "n/a", "na", "#n/a", "nan", "(null)", "unknown", "not known", "."})
#: The column by which a file says of its records that they are simulated, in whatever other columns it has.
SIMULATED = "simulated"
#: For records whose file has no category, or none for them.
UNSPECIFIED = "unspecified"
_LONGEST_CATEGORY = 80
_RECORD_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}")
_PARTED = {
    ".": re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?"),
    ",": re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+(?:,\d*)?"),
}


def partner_rows(header: Row, rows: Sequence[Row], columns: Columns, region: RegionFile) -> list[dict[str, str]]:
    """The rows with the columns of an incident file.

    What cannot be read is passed on as it stands, so that it is refused and counted where every sender's would be.
    """
    cells = {name: header.index(name) for name in columns.names}
    times, record = columns.times, columns.record
    sources = _Sources(region)
    marked = header.index(SIMULATED) if SIMULATED in header else None
    found: list[dict[str, str]] = []
    known = _ids(rows, cells, columns)
    for row, record_id in zip(rows, known, strict=True):
        read: dict[str, str] = {"event_id": record_id, "latitude": "", "longitude": ""}
        _times(read, row, cells, times, region)
        named = row[cells[record.source]] if record.source else None
        read["source"] = sources.find(named)
        category = row[cells[record.category]].strip() if record.category else ""
        read["category"] = UNSPECIFIED if category.lower() in MISSING else category[:_LONGEST_CATEGORY].rstrip()
        if record.revision:
            read["revision"] = row[cells[record.revision]].strip()
        if record.status:
            read["status"] = row[cells[record.status]].strip().lower()
        if marked is not None:
            read[SIMULATED] = row[marked]
        found.append(read)
    _places(found, rows, cells, columns.place, region)
    return found


def check_header(header: Row, columns: Columns, path: object) -> None:
    """Raises IncidentFileError where a named column is missing, or there twice."""
    for name in columns.names:
        if name not in header:
            raise IncidentFileError(
                f"The file {path} lacks the column {name!r}, which [columns] of the region file names."
            )
        if header.count(name) > 1:
            raise IncidentFileError(f"The file {path} has the column {name!r} twice: name one of them anew.")


def read_number(text: str, decimal: str = ".") -> float | None:
    """A number, with this mark before its decimals; None for what is none."""
    text = text.strip()
    if _PARTED[decimal].fullmatch(text):
        text = text.replace("," if decimal == "." else ".", "")
    if decimal == ",":
        text = text.replace(".", "x").replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return None


def read_pairs(rows: Sequence[Row], cells: Mapping[str, int], place: PlaceColumns) -> FloatArray:
    """The two coordinates of each row, as they are written: shape (rows, 2); NaN where there is none or no number.

    Zero and zero is what programs write for a place that is not known.
    """
    read = [[read_number(row[cells[name]], place.decimal) for name in place.pair] for row in rows]
    pairs = np.array(read, dtype=np.float64).reshape(-1, 2)  # None becomes NaN
    pairs[(pairs == 0).all(axis=1)] = np.nan
    return pairs


class _Sources:
    """Sources by id, and by name in any case."""

    def __init__(self, region: RegionFile) -> None:
        self._first = region.sources[0].id
        self._by_name = {source.name.strip().casefold(): source.id for source in region.sources if source.name.strip()}
        self._by_name |= {source.id.casefold(): source.id for source in region.sources}

    def find(self, text: str | None) -> str:
        if text is None:
            return self._first
        return self._by_name.get(text.strip().casefold(), text.strip())


def _ids(rows: Sequence[Row], cells: Mapping[str, int], columns: Columns) -> list[str]:
    """Identities of records: as written where messages may carry them, else a digest of what is written."""
    column = columns.record.id
    # By what the row says, so that a longer export of the same records names them alike; equal rows are numbered.
    read = sorted(cells.values())
    said: Counter[str] = Counter()
    found = []
    for row in rows:
        given = row[cells[column]].strip() if column is not None else ""
        if given.lower() not in MISSING:
            found.append(_identity(given))
            continue
        text = "\x00".join(row[n].strip() for n in read)
        said[text] += 1
        found.append(_digest(f"{text}\x00{said[text]}"))
    return found


def _identity(text: str) -> str:
    if _RECORD_ID.fullmatch(text) and personal_data_in(text, dates=False) is None:
        return text
    return _digest(text)


def _digest(text: str) -> str:
    return str(UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest()))


def _times(read: dict[str, str], row: Row, cells: Mapping[str, int], times: TimeColumns, region: RegionFile) -> None:
    text, clock = _cells_of(row, cells, times.occurred, times.occurred_time)
    occurred = read_time(text, times.order, clock)
    happened = in_zone(occurred.moment, region.zone) if occurred else None
    read["occurred_at"] = happened.isoformat() if happened else f"{text} {clock or ''}".strip()
    if occurred and occurred.precision != "minute":
        read["time_precision"] = occurred.precision
    if times.recorded is None:
        return
    text, clock = _cells_of(row, cells, times.recorded, times.recorded_time)
    if text.strip().lower() in MISSING:
        read["recorded_at"] = ""
        return
    recorded = read_time(text, times.order, clock)
    known: datetime | None = None
    if recorded and recorded.precision != "month":
        moment = recorded.moment if recorded.precision == "minute" else end_of_day(recorded.moment)
        known = in_zone(moment, region.zone, not_before=happened)
    read["recorded_at"] = known.isoformat() if known else f"{text} {clock or ''}".strip()


def _cells_of(row: Row, cells: Mapping[str, int], day: str, time_of_day: str | None) -> tuple[str, str | None]:
    if time_of_day is None:
        return row[cells[day]], None
    clock = row[cells[time_of_day]]
    return row[cells[day]], "" if clock.strip().lower() in MISSING else clock


def _places(
    read: Sequence[dict[str, str]],
    rows: Sequence[Row],
    cells: Mapping[str, int],
    place: PlaceColumns,
    region: RegionFile,
) -> None:
    """Puts the coordinates into the rows, in degrees or in the grid's metres."""
    pairs = read_pairs(rows, cells, place)
    names: tuple[str, str] = ("longitude", "latitude")
    if place.crs == region.crs:
        names = ("easting", "northing")
    elif place.crs is not None:
        pairs = np.column_stack(to_degrees(place.crs)(pairs[:, 0], pairs[:, 1]))
    for number, (row, raw) in enumerate(zip(read, rows, strict=True)):
        written = [raw[cells[name]].strip() for name in place.pair]
        if np.isfinite(pairs[number]).all():
            row.update(zip(names, (repr(float(value)) for value in pairs[number]), strict=True))
        elif not _is_nowhere(written, place.decimal):
            row.update(zip(names, written, strict=True))


def _is_nowhere(written: Sequence[str], decimal: str) -> bool:
    """Whether both coordinates are missing, or zero."""
    return all(text.lower() in MISSING for text in written) or all(read_number(text, decimal) == 0 for text in written)


def to_degrees(crs: str) -> Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """What turns x and y of a coordinate reference system, in its own unit, into longitude and latitude (WGS 84)."""
    transformer = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)

    def degrees(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        longitude, latitude = transformer.transform(x, y)
        return np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64)

    return degrees
