"""Puts a proposed region together: what was asked for, what was found, and plain sentences about every guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from pydantic import ValidationError
from pyproj import CRS

from cli.region_columns import Found, RegionInitError, Role, commonest, find_columns
from cli.region_places import Area, area_of, crs_of, grid_crs, holidays_of, time_zone
from cli.region_sample import Sample
from schemas.columns import Columns, DateOrder, PlaceColumns, RecordColumns, TimeColumns
from schemas.region import RegionFile, Source, first_sentence
from streams.csv_file import UTF_8
from streams.incident_file import has_own_columns
from streams.partner_rows import MISSING, read_pairs, to_degrees

KindName = Literal["ed", "police"]
#: Words of names of sources that tell their kind.
_ED = re.compile(
    r"\b(?:ed|a\s*&\s*e|a and e|emergency|hospital|nhs|infirmary|trust|accident|ambulance)\b", re.IGNORECASE
)
_POLICE = re.compile(r"\b(?:police|constabulary|force|sheriff|pd|crime|cad|niche)\b", re.IGNORECASE)
SIMULATED = "The rows are marked as simulated."
#: Words of column names that only records of EDs have.
_ED_COLUMN = re.compile(r"attendance|arrival|triage|assault[ _]?method|injury", re.IGNORECASE)
_SOURCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_SITE = re.compile(r"[A-Z0-9]{3,9}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say; None where the data shall tell."""

    id: str
    name: str
    crs: str | None
    timezone: str | None
    holidays: str | None
    order: DateOrder | None
    decimal: str | None
    kind: str | None
    columns: Mapping[Role, str]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A region that can be used, and what to tell of it."""

    region: RegionFile
    notes: tuple[str, ...]
    comments: Mapping[str, str]
    """What to say beside fields of the file."""


def propose(sample: Sample, asked: Asked) -> Proposal:
    """A region for a file's rows. Raises RegionInitError."""
    found = find_columns(sample, asked.columns, asked.order, asked.decimal, projected=asked.crs is not None)
    first, second = _pair(found)
    cells = {name: sample.header.index(name) for name in (first, second)}
    # Read without a CRS first: what they are in is what the numbers tell.
    written = read_pairs(sample.rows, cells, PlaceColumns(longitude=first, latitude=second, decimal=_mark(found)))
    crs, notes = crs_of(written, asked.crs, (first, second))
    longitude, latitude = written[:, 0], written[:, 1]
    if crs is not None:
        longitude, latitude = to_degrees(crs)(longitude, latitude)
        longitude, latitude = (np.where(np.isfinite(values), values, np.nan) for values in (longitude, latitude))
    area = area_of(longitude, latitude, (first, second))
    zone = asked.timezone or time_zone(area.centre)
    grid = grid_crs(crs, area.centre, zone)
    ours = _as_ours(sample, found)
    sources, of_sources = _sources(sample, found, asked, ours=ours)
    holidays = _holidays(asked, area, zone)
    columns = None if ours else _columns(found, crs)
    try:
        region = RegionFile(
            id=asked.id,
            name=asked.name,
            crs=grid,
            timezone=zone,
            holidays=holidays,
            bounds=area.bounds,
            sources=tuple(sources),
            columns=columns,
        )
    except ValidationError as error:
        raise RegionInitError(f"What was asked for makes no region: {first_sentence(error)}.") from None
    comments = {
        "crs": _of_grid(grid, crs),
        "timezone": "as asked"
        if asked.timezone
        else "of the middle of the data; times without an offset are local there",
        "holidays": "as asked" if asked.holidays else _of_holidays(holidays),
        "bounds": "the bulk of the records, widened; make it the area of the partnership",
        "sources": of_sources,
    }
    told = (*_notes(sample, found, crs, notes, area), *_of_region(region, comments))
    return Proposal(region, told, comments)


def _of_region(region: RegionFile, comments: Mapping[str, str]) -> Iterable[str]:
    yield f"Grid {region.crs}: {comments['crs']}."
    yield f"Time zone {region.timezone}: {comments['timezone']}."
    yield f"Holidays {region.holidays or 'none'}: {comments['holidays']}."
    yield f"Sources {', '.join(source.id for source in region.sources)}: {comments['sources']}."


def _pair(found: Found) -> tuple[str, str]:
    degrees = found.get(Role.LONGITUDE), found.get(Role.LATITUDE)
    first, second = degrees if all(degrees) else (found.get(Role.X), found.get(Role.Y))
    assert first is not None
    assert second is not None
    return first, second


def _mark(found: Found) -> Literal[".", ","]:
    return "," if found.decimal == "," else "."


def _columns(found: Found, crs: str | None) -> Columns:
    first, second = _pair(found)
    occurred = found.get(Role.OCCURRED)
    assert occurred is not None
    place = (
        PlaceColumns(longitude=first, latitude=second, decimal=_mark(found))
        if crs is None
        else PlaceColumns(x=first, y=second, crs=crs, decimal=_mark(found))
    )
    return Columns(
        times=TimeColumns(
            occurred=occurred,
            occurred_time=found.get(Role.OCCURRED_TIME),
            recorded=found.get(Role.RECORDED),
            recorded_time=found.get(Role.RECORDED_TIME),
            order=found.order,
        ),
        place=place,
        record=RecordColumns(
            id=found.get(Role.ID),
            source=found.get(Role.SOURCE),
            category=found.get(Role.CATEGORY),
            revision=found.get(Role.REVISION),
            status=found.get(Role.STATUS),
        ),
    )


def _as_ours(sample: Sample, found: Found) -> bool:
    """Whether the file can be read without [columns]: our names, our way of writing, and times with their offset."""
    ours = {Role.OCCURRED: "occurred_at", Role.LONGITUDE: "longitude", Role.LATITUDE: "latitude", Role.ID: "event_id"}
    ours |= {Role.SOURCE: "source", Role.CATEGORY: "category", Role.RECORDED: "recorded_at"}
    if (sample.layout.encoding, sample.layout.delimiter) != (UTF_8, ",") or not has_own_columns(sample.header):
        return False
    if any(found.get(role) not in (name, None) for role, name in ours.items() if role is not Role.ID):
        return False
    if not all(_SOURCE_ID.fullmatch(text) for text in set(sample.column("source"))):
        return False
    values = [text for text in sample.column("occurred_at") if text]
    with_offset = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*(?:Z|[+-]\d\d:?\d\d)")
    return all(with_offset.fullmatch(text) for text in values[:1000])


def _sources(sample: Sample, found: Found, asked: Asked, *, ours: bool) -> tuple[list[Source], str]:
    """The sources of the file, and what to say of them."""
    kind, why = _kind_otherwise(sample, asked)
    column = found.get(Role.SOURCE)
    if column is None:
        return [_only(asked.id, kind)], f"the file does not tell its source; of kind {kind}, {why}"
    values = [text.strip() for text in sample.column(column) if text.strip().lower() not in MISSING]
    if not values:
        return [_only(asked.id, kind)], f"{column!r} is empty; of kind {kind}, {why}"
    found_sources: list[Source] = []
    guessed = 0
    for value, _ in commonest(values):
        if value.casefold() in {text.casefold() for source in found_sources for text in (source.id, source.name)}:
            continue
        told = _kind_of(value)
        guessed += told is None
        taken = {source.id for source in found_sources}
        made = value if ours else _source_id(asked.id, value, told or kind, taken)
        found_sources.append(Source(id=made, kind=told or kind, name="" if made == value else value))
    say = f"the values of {column!r}"
    return found_sources, f"{say}; where they do not tell, of kind {kind}, {why}" if guessed else say


def _kind_otherwise(sample: Sample, asked: Asked) -> tuple[KindName, str]:
    """The kind of sources that do not tell it, and why it is that."""
    if asked.kind:
        return cast(KindName, asked.kind), "as asked"
    if any(map(_ED_COLUMN.search, sample.header)):
        return "ed", "by the names of columns (--kind says otherwise)"
    return "police", "as most are (--kind says otherwise)"


def _only(region: str, kind: KindName) -> Source:
    return Source(id=f"{region}/police" if kind == "police" else f"{region}/ed/SITE1", kind=kind)


def _kind_of(value: str) -> KindName | None:
    words = re.sub(r"[/_.:-]+", " ", value)
    if _ED.search(words):
        return "ed"
    return "police" if _POLICE.search(words) else None


def _source_id(region: str, value: str, kind: KindName, taken: Iterable[str]) -> str:
    """The value itself where it is a whole id, else one made from it. That of an ED ends in the code of its site."""
    site = value.rsplit("/", 1)[-1]
    whole = "/" in value and _SOURCE_ID.fullmatch(value) and (kind == "police" or _SITE.fullmatch(site))
    plain = re.sub(r"[^a-z0-9]+", "-", value.casefold()).strip("-")[:60] or "source"
    wanted = [value] if whole else []
    if kind == "police":
        wanted += [f"{region}/{plain}", *(f"{region}/{plain}-{n}" for n in range(2, 100))]
    else:
        wanted += [f"{region}/ed/{site}"] if _SITE.fullmatch(site) else []
        wanted += [f"{region}/ed/SITE{n}" for n in range(1, 100)]
    return next(name for name in wanted if name not in set(taken))


def _holidays(asked: Asked, area: Area, zone: str) -> str:
    if asked.holidays:
        return "" if asked.holidays.casefold() == "none" else asked.holidays
    return holidays_of(area.centre, zone)


def _of_grid(grid: str, crs: str | None) -> str:
    name = CRS(grid).name
    if crs is None:
        return f"{name}, metres; the file is in degrees"
    return f"{name}, metres" if crs == grid else f"{name}, metres; the file is in {CRS(crs).name}"


def _of_holidays(holidays: str) -> str:
    if not holidays:
        return "none are known for this zone; say them with --holidays"
    return (
        "of the nearest postcode"
        if holidays.startswith("GB-")
        else "of the zone's country; a part such as US-NY is closer"
    )


def _notes(sample: Sample, found: Found, crs: str | None, more: list[str], area: Area) -> Iterable[str]:
    if not sample.whole:
        yield f"{len(sample.rows):,} of {sample.total:,} rows were looked at, evenly taken; the figures are of those."
    layout = sample.layout
    if (layout.encoding, layout.delimiter) != (UTF_8, ","):
        marks = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "|"}
        yield f"The file is {_encoding_name(layout.encoding)}, its columns parted by {marks[layout.delimiter]}."
    taken = "; ".join(f"{role.replace('_', ' ')} {name!r}" for role, name in found.columns.items())
    yield f"Columns taken: {taken}."
    yield from found.notes
    if found.decimal == ",":
        yield "Coordinates have a comma before their decimals."
    yield from more
    if crs is not None:
        yield f"Coordinates are read as {crs}, {CRS(crs).name}, in {CRS(crs).axis_info[0].unit_name}."
    for role, sentence in _WITHOUT.items():
        if role not in found.columns:
            yield sentence
    yield from area.notes
    if "simulated" in map(str.casefold, sample.header):
        yield SIMULATED


_WITHOUT = {
    Role.ID: "No column has an id of each record: records are known by what their rows say.",
    Role.RECORDED: "No column tells when records were recorded: they count as recorded when they happened.",
    Role.CATEGORY: "No column has a category: all are 'unspecified'.",
}


def _encoding_name(encoding: str) -> str:
    return {UTF_8: "UTF-8", "cp1252": "Windows-1252 (Latin-1)"}.get(encoding, "UTF-16")
