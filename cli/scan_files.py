"""Reads case, coordinates and population files as SaTScan takes them, and says which line is wrong and why."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cli.scan_dates import Period, parse_date
from processors.scan.inputs import CaseRows, PopulationRows, ScanInput
from processors.scan.inputs import Places as PlaceColumns
from schemas.base import ToldError
from schemas.scan import ScanJob, ScanModel, TimeUnit

#: More cases than this on one line are a slip, and would fill the memory.
MAX_COUNT = 10_000_000
_WHOLE = re.compile(r"[0-9]{1,18}")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')
_UNTIL_COMMA = re.compile(r"[^,]*")
_UNTIL_SPACE = re.compile(r"\S*")


class ScanFileError(ToldError, ValueError):
    """A file of a scan that cannot be used; the message is one sentence for its author."""


class ScanFiles(NamedTuple):
    """Where a scan's data are."""

    cases: Path
    places: Path
    population: Path | None


class LeftOut(NamedTuple):
    """What to do with cases that do not fit: leave them out, or say so and stop."""

    outside_period: bool = False
    unknown_place: bool = False


class ScanData(NamedTuple):
    """What was read, and how many lines were left out."""

    given: ScanInput
    outside_period: int
    unknown_place: int


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in the code page of Windows in Western Europe where it is not UTF-8."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise ScanFileError(f"There is no file {path}.") from None
    except OSError as error:
        raise ScanFileError(f"The file {path} cannot be read: {error.strerror}.") from None
    if b"\0" in raw:
        raise ScanFileError(f"The file {path} is not a text in UTF-8 or in a Western code page.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")


def read_scan_files(files: ScanFiles, job: ScanJob, left_out: LeftOut) -> ScanData:
    """All that a job needs of its files. Raises ScanFileError."""
    places = _read_places(files.places, job.spherical)
    rows = {place: row for row, place in enumerate(places.ids)}
    strata: dict[tuple[str, ...], int] = {}
    population = None
    unknown = 0
    if job.model is ScanModel.POISSON:
        if files.population is None:
            raise ScanFileError("The Poisson model needs a population file.")
        population, unknown = _read_population(files.population, rows, strata, Period(job.start, job.end), left_out)
    cases = _CaseReader(files.cases, job, rows, strata, left_out)
    given = ScanInput(places, cases.read(), population, max(len(strata), 1))
    return ScanData(given, cases.outside_period, unknown + cases.unknown_place)


class _Line(NamedTuple):
    """A line that is not blank."""

    path: Path
    number: int
    fields: list[str]

    def error(self, sentence: str) -> ScanFileError:
        return ScanFileError(f"{self.path}, line {self.number}: {sentence}")

    def number_in(self, field: int, what: str, lowest: float, highest: float = math.inf) -> float:
        text = self.fields[field]
        value = float(text) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value):
            raise self.error(f"{what} {text!r} is not a number.")
        if not lowest <= value <= highest:
            limits = f"at least {lowest:g}" if highest == math.inf else f"between {lowest:g} and {highest:g}"
            raise self.error(f"{what} {text} is not {limits}.")
        return value


def _lines(path: Path) -> Iterator[_Line]:
    # Not splitlines(), which also ends lines at characters that names may hold.
    commas: bool | None = None
    for number, text in enumerate(re.split(r"\r\n|\r|\n", read_text(path)), start=1):
        if text.strip():
            if commas is None:
                commas = "," in _QUOTED.sub("", text)
            if '"' not in text:
                fields = [field.strip() for field in text.split(",")] if commas else text.split()
            else:
                fields = _quoted_fields(path, number, text, commas)
            while fields and not fields[-1]:  # spreadsheet programs fill short rows with commas
                fields.pop()
            line = _Line(path, number, fields)
            if not fields or ("" in fields):
                raise line.error("there is an empty field.")
            yield line


def _quoted_fields(path: Path, number: int, text: str, commas: bool) -> list[str]:
    plain, fields, rest = (_UNTIL_COMMA if commas else _UNTIL_SPACE), [], text.strip()
    while True:
        quoted = _QUOTED.match(rest)
        if rest.startswith('"') and not quoted:
            raise ScanFileError(f"{path}, line {number}: a quotation mark is opened and not closed.")
        found = quoted or plain.match(rest)
        assert found is not None  # `plain` matches nothing at all, too
        fields.append(quoted[1].replace('""', '"').strip() if quoted else found[0].strip())
        after = rest[found.end() :]
        rest = after.lstrip()
        if not rest:
            return fields
        if commas and not rest.startswith(","):
            raise ScanFileError(f"{path}, line {number}: there is no comma after a quoted field.")
        if not commas and after == rest:
            raise ScanFileError(f"{path}, line {number}: there is no space after a quoted field.")
        if commas:
            rest = rest[1:].lstrip()


def _read_places(path: Path, spherical: bool) -> PlaceColumns:
    what = "a location, its latitude and its longitude" if spherical else "a location, its x and its y"
    rows: dict[str, int] = {}
    first: list[float] = []
    second: list[float] = []
    for line in _lines(path):
        if len(line.fields) != 3:
            raise line.error(f"{what} are needed, and there are {len(line.fields)} fields.")
        place = line.fields[0]
        if place in rows:
            raise line.error(f"the location {place} was on line {rows[place]} already.")
        rows[place] = line.number
        if spherical:
            first.append(line.number_in(1, "the latitude", -90, 90))
            second.append(line.number_in(2, "the longitude", -180, 180))
        else:
            first.append(line.number_in(1, "x", -math.inf))
            second.append(line.number_in(2, "y", -math.inf))
    if not rows:
        raise ScanFileError(f"The file {path} has no locations.")
    return PlaceColumns(tuple(rows), np.array(first, dtype=np.float64), np.array(second, dtype=np.float64))


def _read_population(
    path: Path, rows: dict[str, int], strata: dict[tuple[str, ...], int], period: Period, left_out: LeftOut
) -> tuple[PopulationRows, int]:
    columns: list[tuple[int, int, int, int, int]] = []
    persons: list[float] = []
    unknown = 0
    for line in _lines(path):
        if len(line.fields) < 3:
            raise line.error("a location, a date and a number of persons are needed.")
        covariates = tuple(line.fields[3:])
        if strata and len(covariates) != len(next(iter(strata))):
            raise line.error(f"there are {len(covariates)} covariates, and {len(next(iter(strata)))} before it.")
        read = parse_date(line.fields[1], period)
        if read is None:
            raise line.error(f"{line.fields[1]!r} is not a date.")
        count = line.number_in(2, "the number of persons", 0)
        stratum = strata.setdefault(covariates, len(strata))
        place = rows.get(line.fields[0])
        if place is None:
            if not left_out.unknown_place:
                raise line.error(f"the location {line.fields[0]} is not in the coordinates file.")
            unknown += 1
            continue
        columns.append((place, *read, stratum))
        persons.append(count)
    if not columns:
        raise ScanFileError(f"The file {path} has no population at the locations of the coordinates file.")
    place_column, year, month, day, stratum_column = np.array(columns, dtype=np.int64).T.copy()
    people = np.array(persons, dtype=np.float64)
    return PopulationRows(place_column, year, month, day, people, stratum_column), unknown


class _CaseReader:
    """Reads a case file; counts the lines that are left out."""

    def __init__(
        self, path: Path, job: ScanJob, rows: dict[str, int], strata: dict[tuple[str, ...], int], left_out: LeftOut
    ) -> None:
        self.outside_period = 0
        self.unknown_place = 0
        self._path = path
        self._precision: TimeUnit = job.case_precision
        self._poisson = job.model is ScanModel.POISSON
        self._period = Period(job.start, job.end)
        self._rows = rows
        self._strata = strata
        self._left_out = left_out
        self._days: dict[str, int] = {}

    def read(self) -> CaseRows:
        """The lines that have cases."""
        # A line with no cases is checked as any other, and then says nothing.
        columns = [row for line in _lines(self._path) if (row := self._row(line)) is not None and row[2] > 0]
        if not columns:
            raise ScanFileError(f"The file {self._path} has no cases in the study period at known locations.")
        return CaseRows(*np.array(columns, dtype=np.int64).T.copy())

    def _row(self, line: _Line) -> tuple[int, int, int, int] | None:
        if len(line.fields) < 3:
            raise line.error("a location, a number of cases and a date are needed.")
        name, count = line.fields[:2]
        if not _WHOLE.fullmatch(count):
            raise line.error(f"the number of cases {count!r} is not a whole number.")
        if int(count) > MAX_COUNT:
            raise line.error(f"{int(count):,} cases on one line are more than can be.")
        day = self._day(line)
        place = self._rows.get(name)
        if place is None:
            if not self._left_out.unknown_place:
                raise line.error(f"the location {name} is not in the coordinates file.")
            self.unknown_place += 1
            return None
        if not self._period.start.toordinal() <= day <= self._period.end.toordinal():
            if not self._left_out.outside_period:
                start, end = self._period
                raise line.error(f"{line.fields[2]} is outside the study period, {start} to {end}.")
            self.outside_period += 1
            return None
        return place, day, int(count), self._stratum(line)

    def _day(self, line: _Line) -> int:
        text = line.fields[2]
        known = self._days.get(text)
        if known is not None:
            return known
        read = parse_date(text, self._period)
        if read is None:
            raise line.error(f"{text!r} is not a date.")
        day = read.first_day(self._precision)
        if day is None:
            raise line.error(f"the date {text} is less precise than a {self._precision}.")
        return self._days.setdefault(text, day.toordinal())

    def _stratum(self, line: _Line) -> int:
        covariates = tuple(line.fields[3:])
        if not self._poisson:
            if covariates:
                raise line.error(f"the permutation model takes no covariates, and {covariates[0]!r} follows the date.")
            return 0
        stratum = self._strata.get(covariates)
        if stratum is None:
            told = f"with the covariates {' '.join(covariates)}" if covariates else "without covariates"
            raise line.error(f"the population file has no population {told}.")
        return stratum
