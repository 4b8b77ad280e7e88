"""Which columns of a partnership's own file hold what, where they are not named as the monitor names them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pyproj import CRS
from pyproj.exceptions import CRSError

from schemas.base import Contract

ColumnName = Annotated[str, Field(min_length=1, max_length=200)]


class DateOrder(StrEnum):
    """Which number of a date such as 03/04/2026 comes first."""

    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


class TimeColumns(Contract):
    """Columns of times. A time without an offset from UTC is local time of the region's zone."""

    occurred: ColumnName
    """When it happened: date and time, or the date alone where `occurred_time` has the time of day."""
    occurred_time: ColumnName | None = None
    recorded: ColumnName | None = None
    """When the partner recorded it; a date alone means by the end of that day."""
    recorded_time: ColumnName | None = None
    order: DateOrder | None = None
    """Of dates written in numbers that do not begin with the year; without it they cannot be read."""

    @model_validator(mode="after")
    def _time_of_a_day(self) -> TimeColumns:
        if self.recorded_time and not self.recorded:
            raise ValueError("recorded_time needs recorded, the column of its date")
        return self


class PlaceColumns(Contract):
    """Columns of places: degrees (WGS 84), or x and y in a coordinate reference system of their own."""

    longitude: ColumnName | None = None
    latitude: ColumnName | None = None
    x: ColumnName | None = None
    """Easting, in the unit of `crs`."""
    y: ColumnName | None = None
    crs: str | None = None
    """Of x and y; any that pyproj knows, in metres, feet or degrees."""
    decimal: Literal[".", ","] = "."
    """Mark before decimals. The other of the two may part thousands."""

    @model_validator(mode="after")
    def _one_pair(self) -> PlaceColumns:
        degrees, metres = (self.longitude, self.latitude), (self.x, self.y)
        if all(degrees) == all(metres) or any(degrees) == any(metres):
            raise ValueError("place needs either longitude and latitude, or x and y")
        if all(metres) != bool(self.crs):
            raise ValueError("x and y need the crs that they are in, and nothing else does")
        if self.crs:
            read_crs(self.crs)
        return self

    @property
    def pair(self) -> tuple[str, str]:
        """The columns of longitude and latitude, or of x and y."""
        first, second = self.longitude or self.x, self.latitude or self.y
        assert first is not None
        assert second is not None
        return first, second


class RecordColumns(Contract):
    """Columns of what a record is. Without `id` a record is known by what its row says."""

    id: ColumnName | None = None
    source: ColumnName | None = None
    """Holds the id or the name of a source of the region; without it all rows are of the region's first source."""
    category: ColumnName | None = None
    revision: ColumnName | None = None
    status: ColumnName | None = None
    """Holds `recorded`, `amended` or `withdrawn`."""


class Columns(Contract):
    """The columns of a partnership's own file."""

    times: TimeColumns
    place: PlaceColumns
    record: RecordColumns = RecordColumns()

    @property
    def names(self) -> list[str]:
        """All columns that are read."""
        times, record = self.times, self.record
        named = (times.occurred, times.occurred_time, times.recorded, times.recorded_time, *self.place.pair)
        found = (*named, record.id, record.source, record.category, record.revision, record.status)
        return list(dict.fromkeys(name for name in found if name))


def read_crs(text: str) -> CRS:
    """A coordinate reference system by its code. Raises ValueError, with a plain sentence's part, for none."""
    try:
        return CRS.from_user_input(text)
    except CRSError:
        raise ValueError(f"crs {text!r} is not a coordinate reference system that pyproj knows") from None
