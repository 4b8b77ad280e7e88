"""The region file: the area of one partnership, its grid, its sources and the places that are not places."""

from __future__ import annotations

import csv
import tomllib
from pathlib import Path
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from holidays import list_supported_countries
from pydantic import Field, ValidationError, field_validator, model_validator

from schemas.base import Contract, ToldError
from schemas.columns import Columns, read_crs
from schemas.located import KIND_NAMES, Kind

SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]


#: Region files and gazetteers that come with the product.
SHIPPED: Final = Path(__file__).resolve().parent.parent / "regions"


class RegionFileError(ToldError, ValueError):
    """A region file that cannot be used; the message is one sentence for its author."""


class Bounds(Contract):
    """Box in degrees (WGS 84) outside of which a coordinate is taken for a mistake."""

    west: float = Field(ge=-180, le=180)
    south: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=180)
    north: float = Field(ge=-90, le=90)

    @model_validator(mode="after")
    def _ordered(self) -> Bounds:
        if not (self.west < self.east and self.south < self.north):
            raise ValueError("bounds need west < east and south < north")
        return self

    def holds(self, longitude: float, latitude: float) -> bool:
        """Whether a point in degrees lies within, borders included."""
        return self.west <= longitude <= self.east and self.south <= latitude <= self.north


class Source(Contract):
    """One publisher of records: the CloudEvents `source` attribute, and what kind of records it sends."""

    id: SourceName
    kind: Literal["ed", "police"]
    name: str = ""

    @property
    def kind_code(self) -> Kind:
        """The kind as it stands in located records."""
        return Kind(KIND_NAMES.index(self.kind))


class Institution(Contract):
    """A hospital, police station, custody suite or prison: records located there are kept, not scanned."""

    name: str
    longitude: float = Field(ge=-180, le=180)
    latitude: float = Field(ge=-90, le=90)
    radius_m: float = Field(default=100.0, gt=0, le=2000)


class Place(Contract):
    """A place that people know by name: a town, an estate, a part of a city."""

    name: str = Field(min_length=1, max_length=80)
    longitude: float = Field(ge=-180, le=180)
    latitude: float = Field(ge=-90, le=90)


class RegionFile(Contract):
    """The area of one partnership: the unit of baseline, alarm budget, episodes and parallelism."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    name: str
    crs: str
    cell_m: int = Field(default=250, ge=50, le=5000)
    timezone: str
    holidays: str = Field(default="", pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?)?$")
    """Whose public holidays: a country or a part of it as in ISO 3166, such as GB-ENG; empty for none."""
    bounds: Bounds
    sources: tuple[Source, ...] = Field(min_length=1)
    institutions: tuple[Institution, ...] = ()
    gazetteer: str = ""
    """CSV file with `name`, `longitude`, `latitude`: the names by which alerts tell places. It lies beside the region
    file, or is one of those that come with the product."""
    places: tuple[Place, ...] = ()
    """More such names; those of the gazetteer are added when the file is read."""
    addresses: Literal["", "postcodes"] = ""
    """Where it is known how many addresses a cell has, so that no published polygon has fewer than eight: `postcodes`
    counts each current British postcode as one. Empty: not known, and others than health and police get no polygon."""
    marking: str = Field(default="OFFICIAL-SENSITIVE", min_length=1, max_length=80)
    """The protective marking of alerts."""
    handling: str = (
        "For the tasking meeting of the partnership and the analysts who prepare it. It is about places, not about "
        "people. Do not publish it or pass it on."
    )
    """Said of every alert, below its marking."""
    attribution: str = ""
    columns: Columns | None = None
    """Of the partnership's own files of records, for commands that read files; None where they are as the monitor's.
    Messages on Kafka have no columns."""

    @field_validator("crs")
    @classmethod
    def _projected(cls, value: str) -> str:
        crs = read_crs(value)
        if not crs.is_projected:
            raise ValueError(f"crs {value!r} is not projected; the grid needs metres, such as EPSG:27700")
        if {axis.unit_name for axis in crs.axis_info} != {"metre"}:
            raise ValueError(f"crs {value!r} is not in metres")
        return value

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, or a name too long
            raise ValueError(f"timezone {value!r} is not an IANA zone, such as Europe/London") from None
        return value

    @field_validator("holidays")
    @classmethod
    def _known_holidays(cls, value: str) -> str:
        country, _, part = value.partition("-")
        parts = list_supported_countries().get(country)
        if value and (parts is None or (part and part not in parts)):
            raise ValueError(f"holidays {value!r} is not a country or part of one, such as GB-ENG")
        return value

    @model_validator(mode="after")
    def _sources_once(self) -> RegionFile:
        names = [source.id for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source {twice[0]!r} is listed twice")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The region's own time zone, for hours of the week and days."""
        return ZoneInfo(self.timezone)


def first_sentence(error: ValidationError) -> str:
    """The first finding of a validation error, as `where: what` in one line."""
    finding = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in finding["loc"])
    what = finding["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def load_region(path: Path) -> RegionFile:
    """Read a region file.

    Raises RegionFileError, whose message is one plain sentence, for a file that is missing, not TOML or not a region.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RegionFileError(f"There is no region file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RegionFileError(f"The region file {path} cannot be read: {error}.") from None
    try:
        region = RegionFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise RegionFileError(f"The region file {path} is not TOML: {error}.") from None
    except ValidationError as error:
        raise RegionFileError(f"The region file {path} is not a region: {first_sentence(error)}.") from None
    if not region.gazetteer:
        return region
    beside = path.parent / region.gazetteer
    named = read_gazetteer(beside if beside.is_file() else SHIPPED / region.gazetteer)
    return region.model_copy(update={"places": (*region.places, *named)})


def read_gazetteer(path: Path) -> tuple[Place, ...]:
    """The places of a gazetteer, in its order. Raises RegionFileError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RegionFileError(f"The gazetteer {path} cannot be read: {error}.") from None
    wanted = ("name", "longitude", "latitude")
    try:
        return tuple(Place.model_validate({name: row.get(name) for name in wanted}) for row in rows)
    except ValidationError as error:
        raise RegionFileError(
            f"The gazetteer {path} has a row that is not a place: {first_sentence(error)}. Its columns are name, "
            "longitude and latitude."
        ) from None
