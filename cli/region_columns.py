"""Finds out from header names and values which column of a partnership's file holds what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cli.region_sample import Sample
from schemas.base import ToldError
from schemas.columns import DateOrder
from schemas.personal import personal_data_in
from streams.csv_file import Row
from streams.partner_rows import MISSING, read_number
from streams.partner_times import PartnerTime, numbers_of, read_time


class RegionInitError(ToldError, RuntimeError):
    """A region file that cannot be proposed; the message is one sentence."""


class Role(StrEnum):
    """What a column may hold."""

    OCCURRED = "occurred"
    OCCURRED_TIME = "occurred_time"
    RECORDED = "recorded"
    RECORDED_TIME = "recorded_time"
    LONGITUDE = "longitude"
    LATITUDE = "latitude"
    X = "x"
    Y = "y"
    ID = "id"
    SOURCE = "source"
    CATEGORY = "category"
    REVISION = "revision"
    STATUS = "status"


#: Names of columns in lower case, their words parted by a space, likeliest first.
NAMES: Mapping[Role, str] = {
    Role.OCCURRED: "occurred at|occurred|occurred on|occurred from|date time occurred|occurred date time|occurred date|"
    "date occurred|date of occurrence|occurrence date|committed at|committed|committed from|date committed|"
    "committed date|committed on|committed on from|first committed|first committed on|date first committed|"
    "date time of offence|offence date time|offence date|date of offence|offense date|incident datetime|"
    "incident date time|date time of incident|incident date|date of incident|assault date time|assault date|"
    "date of assault|date time of assault|injury date|attack date|event datetime|event date|start date time|start date|"
    "date from|from date|"
    "date time|datetime|timestamp|date|when|attendance date time|attendance date|arrival date time|arrival date|"
    "date of attendance|month",
    Role.OCCURRED_TIME: "occurred time|time occurred|time of occurrence|occurrence time|committed time|time committed|"
    "first committed time|offence time|time of offence|offense time|incident time|time of incident|assault time|"
    "time of assault|injury time|event time|start time|time from|from time|time|time of day|attendance time|"
    "arrival time|time of attendance",
    Role.RECORDED: "recorded at|recorded|recorded on|date recorded|recorded date|recorded date time|date time recorded|"
    "reported at|reported|reported on|date reported|reported date|date time reported|report date|created at|created|"
    "created on|created date|date created|entered|entered on|date entered|logged|date logged|received|date received|"
    "registered|date registered",
    Role.RECORDED_TIME: "recorded time|time recorded|reported time|time reported|report time|created time|time created|"
    "time entered|time logged|time received",
    Role.LONGITUDE: "longitude|long|lon|lng|longitude wgs84|long wgs84|wgs84 longitude|incident longitude|"
    "location longitude|geo longitude|gps longitude|x long",
    Role.LATITUDE: "latitude|lat|latitude wgs84|lat wgs84|wgs84 latitude|incident latitude|location latitude|"
    "geo latitude|gps latitude|y lat",
    Role.X: "easting|eastings|x easting|grid easting|bng easting|osgb easting|location easting|"
    "incident easting|"
    "x coordinate|x coord|xcoord|xcoordinate|coord x|coordinate x|grid x|location x|point x|geo x|x|east",
    Role.Y: "northing|northings|y northing|grid northing|bng northing|osgb northing|location northing|"
    "incident northing|"
    "y coordinate|y coord|ycoord|ycoordinate|coord y|coordinate y|grid y|location y|point y|geo y|y|north",
    Role.ID: "record id|event id|incident id|incident ref|incident reference|incident number|incident no|crime ref|"
    "crime reference|crime reference number|crime number|crime no|crime id|case number|case no|case id|case|"
    "occurrence number|occurrence id|report number|report id|log number|attendance id|attendance number|"
    "unique reference|unique id|urn|uid|reference number|reference no|reference|ref no|ref|id|objectid",
    Role.SOURCE: "source|data source|record source|source system|provider|data provider|supplier|force|police force|"
    "reported by|agency|hospital|site|site code|site name|organisation|organization|provider code",
    Role.CATEGORY: "category|crime category|offence category|incident category|crime type|offence type|offense type|"
    "incident type|type of incident|offence group|offence|offense|offence description|offense description|"
    "primary type|assault method|assault type|method|crime|type",
    Role.REVISION: "revision|version|revision number",
    Role.STATUS: "status|revision status|record status",
}
#: Part of the values with any text that must be what the column is taken for.
ENOUGH = 0.5
_MOST_CATEGORIES = 500
_MOST_SOURCES = 60
_STATUS = {"recorded", "amended", "withdrawn"}


@dataclass(slots=True)
class Found:
    """The column of each role, and what is to be told of the choice."""

    columns: dict[Role, str] = field(default_factory=dict)
    order: DateOrder | None = None
    decimal: str = "."
    notes: list[str] = field(default_factory=list)
    """Plain sentences for whoever checks the proposal."""

    def get(self, role: Role) -> str | None:
        """The column of a role."""
        return self.columns.get(role)


def find_columns(
    sample: Sample, given: Mapping[Role, str], order: DateOrder | None, decimal: str | None, *, projected: bool = False
) -> Found:
    """The columns of a file; x and y rather than degrees if `projected`.

    Raises RegionInitError where times or coordinates are not found, or not certain.
    """
    _check_header(sample, given)
    found = Found(order=order)
    # Marks before decimals are needed before numbers are known for coordinates.
    found.decimal = decimal or _decimal(sample)
    names = _names(sample.header)
    for role in Role:
        name = given.get(role)
        if name is None and not _told_already(role, sample, found):
            judge = _judge(role, found)
            candidates = [name for name in names.get(role, ()) if name not in found.columns.values()]
            name = next((name for name in candidates if judge(_values(sample, name))), None)
            if role is Role.ID:
                _tell_of_personal(sample, candidates, found)
        if name:
            found.columns[role] = name
        if role is Role.OCCURRED:
            _check_times(sample, found)
    _check_pairs(sample, found, given, projected=projected)
    return found


def _told_already(role: Role, sample: Sample, found: Found) -> bool:
    """Whether a column of times of day is not needed: there is no date for it, or the date's column has them."""
    dated = {Role.OCCURRED_TIME: Role.OCCURRED, Role.RECORDED_TIME: Role.RECORDED}.get(role)
    if dated is None:
        return False
    name = found.get(dated)
    if name is None:
        return True
    return _share(_values(sample, name), lambda text: has_hour(text, found.order)) > 0.05


def has_hour(text: str, order: DateOrder | None) -> bool:
    """Whether a cell has a time of day that is not midnight, which programs write for none."""
    read = read_time(text, order)
    return read is not None and (read.moment.hour, read.moment.minute, read.moment.second) != (0, 0, 0)


def _tell_of_personal(sample: Sample, candidates: Sequence[str], found: Found) -> None:
    for name in candidates:
        if _personal(_values(sample, name)):
            found.notes.append(
                f"The column {name!r} is not used: it looks like NHS numbers, phone numbers or e-mail addresses; "
                "leave it out of the export."
            )


def _check_header(sample: Sample, given: Mapping[Role, str]) -> None:
    for role, name in given.items():
        if name and name not in sample.header:
            raise RegionInitError(f"The file {sample.path} has no column {name!r}, which --column {role} names.")
    values = [name for name in sample.header if name]
    data = sum(read_number(name) is not None or read_time(name, DateOrder.DAY_FIRST) is not None for name in values)
    if data >= 2 or not values:
        raise RegionInitError(
            f"The first line of {sample.path} holds no names of columns: put a line of names before the records."
        )


def _names(header: Row) -> dict[Role, list[str]]:
    """Columns whose names stand for a role, likeliest first. A name that occurs twice stands for none."""
    plain = {name: _plain(name) for name in header if name and header.count(name) == 1}
    found: dict[Role, list[str]] = {}
    for role, known in NAMES.items():
        ranks = {word: rank for rank, word in enumerate(known.split("|"))}
        named = sorted((ranks[word], name) for name, word in plain.items() if word in ranks)
        found[role] = [name for _, name in named]
    for role, word in (
        (Role.X, "easting"),
        (Role.Y, "northing"),
        (Role.LONGITUDE, "longitude"),
        (Role.LATITUDE, "latitude"),
    ):
        found[role] += [name for name, words in plain.items() if word in words and name not in found[role]]
    return found


def _plain(name: str) -> str:
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"[^a-z0-9]+", " ", parted.casefold()).strip()


def _values(sample: Sample, name: str) -> list[str]:
    """The cells of a column that hold something."""
    return [text for text in map(str.strip, sample.column(name)) if text.lower() not in MISSING]


def _judge(role: Role, found: Found) -> Callable[[Sequence[str]], bool]:
    """Whether values are what a role's column holds."""

    def times(values: Sequence[str]) -> bool:
        return _share(values, lambda text: _any_time(text, found.order) is not None) >= ENOUGH

    def clocks(values: Sequence[str]) -> bool:
        return _share(values, lambda text: read_time("2020-01-01", None, text) is not None) >= ENOUGH

    def numbers(values: Sequence[str]) -> bool:
        return _share(values, lambda text: read_number(text, found.decimal) is not None) >= ENOUGH

    def identities(values: Sequence[str]) -> bool:
        return len(set(values)) > ENOUGH * len(values) and not _personal(values)

    def codes(most: int) -> Callable[[Sequence[str]], bool]:
        def short(values: Sequence[str]) -> bool:
            few = len(set(values)) <= min(most, max(3, len(values) // 2))
            return bool(values) and few and max(map(len, values)) <= 120 and not _personal(set(values))

        return short

    def all_of(good: Callable[[str], bool]) -> Callable[[Sequence[str]], bool]:
        return lambda values: bool(values) and all(map(good, values))

    match role:
        case Role.OCCURRED | Role.RECORDED:
            return times
        case Role.OCCURRED_TIME | Role.RECORDED_TIME:
            return clocks
        case Role.LONGITUDE | Role.LATITUDE | Role.X | Role.Y:
            return numbers
        case Role.ID:
            return identities
        case Role.SOURCE:
            return codes(_MOST_SOURCES)
        case Role.CATEGORY:
            return codes(_MOST_CATEGORIES)
        case Role.REVISION:
            return all_of(str.isdecimal)
        case Role.STATUS:
            return all_of(lambda text: text.lower() in _STATUS)


def _personal(values: Iterable[str]) -> bool:
    """Whether what looks like personal data is more than chance; one in eleven numbers checks as an NHS number."""
    all_values = list(values)
    return _share(all_values, lambda text: personal_data_in(text, dates=False) is not None) > 0.3


def _share(values: Sequence[str], good: Callable[[str], bool]) -> float:
    return sum(map(good, values)) / len(values) if values else 0.0


def _any_time(text: str, order: DateOrder | None) -> PartnerTime | None:
    """A time in the order given, or in either."""
    if order is not None:
        return read_time(text, order)
    return read_time(text, DateOrder.DAY_FIRST) or read_time(text, DateOrder.MONTH_FIRST)


def _check_times(sample: Sample, found: Found) -> None:
    name = found.get(Role.OCCURRED) or next(iter(_names(sample.header)[Role.OCCURRED]), None)
    if name is None:
        raise RegionInitError(
            f"No column of {sample.path} is known for when it happened: name it with --column occurred=NAME, "
            "and --column occurred_time=NAME where the time of day stands apart."
        )
    values = _values(sample, name)
    if found.order is None:
        found.order = _order(values, name, found)
    if _share(values, lambda text: read_time(text, found.order) is not None) >= ENOUGH:
        return
    if _share(values, lambda text: 30_000 <= (read_number(text) or 0) <= 80_000) > ENOUGH:
        raise RegionInitError(
            f"The column {name!r} of {sample.path} holds a spreadsheet's numbers of days: format it as date and time "
            "before saving as CSV."
        )
    raise RegionInitError(
        f"The column {name!r} of {sample.path} holds no times that can be read: write them as 2026-03-01 22:15, or "
        "name another with --column occurred=NAME."
    )


def _order(values: Sequence[str], name: str, found: Found) -> DateOrder | None:
    """The order of dates such as 03/04/2026: what the numbers above twelve tell."""
    pairs = [pair for pair in map(numbers_of, values) if pair]
    if not pairs:
        return None
    first = sum(a > 12 >= b for a, b in pairs)
    second = sum(b > 12 >= a for a, b in pairs)
    if first == second == 0:
        raise RegionInitError(
            f"The dates in {name!r} may be day first or month first, and no day above 12 tells: "
            "say --dates day-first or --dates month-first."
        )
    if min(first, second) > 0.01 * (first + second):
        raise RegionInitError(
            f"The column {name!r} has {first:,} dates that are day first and {second:,} that are month first: "
            "export it again with all dates written alike."
        )
    order = DateOrder.DAY_FIRST if first > second else DateOrder.MONTH_FIRST
    found.notes.append(f"Dates in {name!r} are {order}: {max(first, second):,} dates can be read in no other way.")
    return order


def _decimal(sample: Sample) -> str:
    """The mark before decimals: a comma where likely coordinates have one that parts no thousands."""
    names = _names(sample.header)
    values = [
        text
        for role in (Role.LONGITUDE, Role.LATITUDE, Role.X, Role.Y)
        for name in names[role][:1]
        for text in _values(sample, name)
        if "," in text
    ]
    sure = sum(
        re.fullmatch(r"[+-]?(\d{1,2}|\d{4,}|\d+),\d+", text) is not None and read_number(text) is None
        for text in values
    )
    if sure:
        return ","
    return "," if values and sample.layout.delimiter == ";" else "."


def _check_pairs(sample: Sample, found: Found, given: Mapping[Role, str], *, projected: bool) -> None:
    """Leaves one pair of coordinates: the one that was asked for, else degrees where enough rows have them."""
    degrees, metres = (Role.LONGITUDE, Role.LATITUDE), (Role.X, Role.Y)
    for pair in (degrees, metres):
        if not all(role in found.columns for role in pair):
            for role in pair:
                found.columns.pop(role, None)
    both = all(role in found.columns for role in (*degrees, *metres))
    if both:
        asked = projected or (any(map(given.get, metres)) and not any(map(given.get, degrees)))
        filled = [len(_values(sample, found.columns[pair[0]])) for pair in (degrees, metres)]
        for role in degrees if asked or filled[0] < 0.9 * filled[1] else metres:
            del found.columns[role]
    if not any(role in found.columns for role in (*degrees, *metres)):
        raise RegionInitError(
            f"No two columns of {sample.path} are known for coordinates: name them with --column longitude=NAME "
            "--column latitude=NAME, or --column x=NAME --column y=NAME --crs EPSG:CODE."
        )


def commonest(values: Iterable[str]) -> list[tuple[str, int]]:
    """Distinct values with their counts, most frequent first, then in order."""
    return sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0]))
