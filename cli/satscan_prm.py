"""Reads a SaTScan parameter file into a scan job, and refuses by name whatever would change the analysis."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from pydantic import ValidationError

from cli.satscan_keys import FIXED, IGNORED, PROSPECTIVE_ONLY
from cli.scan_dates import parse_date
from cli.scan_files import LeftOut, ScanFileError, ScanFiles, read_text
from schemas.scan import Inference, ScanJob, ScanModel, TimeUnit

T = TypeVar("T")
_UNITS: Final = {"1": TimeUnit.YEAR, "2": TimeUnit.MONTH, "3": TimeUnit.DAY}
_YES_NO: Final = {"y": "y", "yes": "y", "true": "y", "1": "y", "n": "n", "no": "n", "false": "n", "0": "n"}
_INFERENCES: Final = {"0": Inference.DEFAULT, "1": Inference.STANDARD, "2": Inference.SEQUENTIAL}
_DATA_SET_NAME = re.compile(r"dataset\d+-name")
_FURTHER_DATA_SET = re.compile(r"(?:case|control|population)file\d+(?:-.*)?")
_IMPORT_SETTING = re.compile(r"(?:case|control|population|coordinates|grid)file-source.*")
_NUMBER = re.compile(r"[-+]?[0-9]{1,12}(?:\.[0-9]{0,12})?")
#: Where a field of the job comes from, for sentences about it.
_KEYS: Final = {
    "interval": "TimeAggregationLength",
    "max_radius": "MaxSpatialSizeInDistanceFromCenter",
    "max_population_percent": "MaxSpatialSizeInPopulationAtRisk",
    "max_time": "MaxTemporalSize",
    "min_time": "MinimumTemporalClusterSize",
    "min_cases": "MinimumCasesInHighRateClusters",
    "replications": "MonteCarloReps",
    "stop_after": "EarlyTerminationThreshold",
}


class ParameterFile(NamedTuple):
    """What a parameter file asks for."""

    job: ScanJob
    files: ScanFiles
    left_out: LeftOut


def read_parameter_file(path: Path) -> ParameterFile:
    """The job of a .prm file, and its data files. Raises ScanFileError."""
    return parse_parameters(read_text(path), path.parent)


def parse_parameters(text: str, folder: Path) -> ParameterFile:
    """The job of the text of a .prm file whose files are named from `folder`. Raises ScanFileError."""
    keys = _Keys(_parse(text))
    keys.refuse_unsupported()
    model = keys.choice(
        "ModelType",
        {"0": ScanModel.POISSON, "2": ScanModel.PERMUTATION},
        "only discrete Poisson (0) and space-time permutation (2)",
    )
    precision = keys.choice("PrecisionCaseTimes", _UNITS, "only years (1), months (2) and days (3)")
    unit = keys.choice("TimeAggregationUnits", _UNITS, "only years (1), months (2) and days (3)")
    start, end = keys.date("StartDate"), keys.date("EndDate")
    _check_period(start, end, precision, unit)
    radius = None
    if keys.flag("UseDistanceFromCenterOption", "n"):
        radius = keys.number("MaxSpatialSizeInDistanceFromCenter")
    fields: dict[str, object] = {
        "model": model,
        "prospective": keys.choice(
            "AnalysisType",
            {"3": False, "4": True},
            "only retrospective (3) and prospective (4) space-time analyses",
        ),
        "start": start,
        "end": end,
        "spherical": keys.choice(
            "CoordinatesType", {"0": False, "1": True}, "only Cartesian (0) and latitude with longitude (1)"
        ),
        "unit": unit,
        "interval": keys.whole("TimeAggregationLength", "1"),
        "case_precision": precision,
        "max_radius": radius,
        "max_population_percent": keys.number("MaxSpatialSizeInPopulationAtRisk", "50"),
        "max_time": keys.number("MaxTemporalSize", "50"),
        "max_time_is_percent": keys.choice(
            "MaxTemporalSizeInterpretation", {"0": True, "1": False}, "only percent (0) and time units (1)", "0"
        ),
        "min_time": keys.whole("MinimumTemporalClusterSize", "1"),
        "min_cases": keys.whole("MinimumCasesInHighRateClusters", "2"),
        "replications": keys.whole("MonteCarloReps", "999"),
        "inference": keys.choice(
            "PValueReportType",
            _INFERENCES,
            "only default (0), standard Monte Carlo (1) and early termination (2)",
            "0",
        ),
        "stop_after": keys.whole("EarlyTerminationThreshold", "50"),
    }
    files = ScanFiles(
        keys.path("CaseFile", folder),
        keys.path("CoordinatesFile", folder),
        keys.path("PopulationFile", folder) if model is ScanModel.POISSON else None,
    )
    relaxed = {"0": False, "1": True}
    told = "only strict (0) and relaxed (1)"
    left_out = LeftOut(
        outside_period=keys.choice("StudyPeriodCheckType", relaxed, told, "0"),
        unknown_place=keys.choice("GeographicalCoordinatesCheckType", relaxed, told, "0"),
    )
    job = make_job(fields, _KEYS)
    if not job.max_time_is_percent and job.min_time > job.max_time:
        raise ScanFileError("MinimumTemporalClusterSize is larger than MaxTemporalSize.")
    return ParameterFile(job, files, left_out)


def make_job(fields: Mapping[str, object], names: Mapping[str, str]) -> ScanJob:
    """A job of its fields, of which `names` says what the user calls them. Raises ScanFileError."""
    try:
        return ScanJob.model_validate(dict(fields))
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        told = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            raise ScanFileError(f"No such scan can be made: {told}.") from None
        field = str(problem["loc"][0])
        told = told.replace("Input should be", "it should be")
        raise ScanFileError(f"{names.get(field, field)} {problem['input']} is not possible: {told}.") from None


def _parse(text: str) -> dict[str, tuple[str, str]]:
    """Name as written and value of each key, by its name in lower case."""
    found: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")), start=1):
        line = line.strip()
        if not line or line.startswith(";") or (line.startswith("[") and line.endswith("]")):
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not name:
            raise ScanFileError(f"Line {number} of the parameter file is neither a section nor a key with a value.")
        before = found.setdefault(name.lower(), (name, value))
        if before[1] != value:
            raise ScanFileError(f"The parameter file gives {name} two values, {before[1]!r} and {value!r}.")
    if not found:
        raise ScanFileError("The parameter file has no keys.")
    return found


def _check_period(start: date, end: date, precision: TimeUnit, unit: TimeUnit) -> None:
    order = list(_UNITS.values())
    if order.index(unit) > order.index(precision):
        raise ScanFileError(f"TimeAggregationUnits is a {unit}, but cases are known only to the {precision}.")
    next_day = date.fromordinal(min(end.toordinal() + 1, date.max.toordinal()))
    for name, given, first in (("StartDate", start, start), ("EndDate", end, next_day)):
        whole = first.day == 1 and (precision is TimeUnit.MONTH or first.month == 1)
        if precision is not TimeUnit.DAY and not whole:
            edge = "first" if name == "StartDate" else "last"
            raise ScanFileError(f"{name} {given} is not the {edge} day of a {precision}, as PrecisionCaseTimes asks.")


class _Keys:
    """The values of a parameter file, by names in any case."""

    def __init__(self, given: Mapping[str, tuple[str, str]]) -> None:
        self._given = given

    def refuse_unsupported(self) -> None:
        """Raises ScanFileError for the first key that would change the analysis, or that is unknown."""
        not_asked = PROSPECTIVE_ONLY if self.text("AnalysisType", "") == "3" else frozenset()
        fixed = {name.lower(): (name, wanted) for name, wanted in FIXED.items()}
        for key, (name, value) in self._given.items():
            if key in fixed:
                name, (wanted, only) = fixed[key]
                meant = _YES_NO.get(value.lower(), value) if wanted in ("y", "n") else value
                if value and meant != wanted and name not in not_asked:
                    raise _refusal(name, value, only)
            elif _FURTHER_DATA_SET.fullmatch(key):
                if value:
                    raise _refusal(name, value, "only one data set")
            elif _IMPORT_SETTING.fullmatch(key):
                if value:
                    raise _refusal(name, value, "only files with the columns of SaTScan's own formats")
            elif key not in IGNORED and key not in _USED and not _DATA_SET_NAME.fullmatch(key):
                raise ScanFileError(f"{name}={value} is not supported: the key {name} is unknown.")

    def text(self, name: str, default: str | None = None) -> str:
        value = self._given.get(name.lower(), ("", ""))[1] or default
        if value is None:
            raise ScanFileError(f"The parameter file does not give {name}.")
        return value

    def choice(self, name: str, choices: Mapping[str, T], only: str, default: str | None = None) -> T:
        value = self.text(name, default)
        if value not in choices:
            raise _refusal(name, value, only)
        return choices[value]

    def flag(self, name: str, default: str) -> bool:
        value = self.text(name, default)
        if value.lower() not in _YES_NO:
            raise _refusal(name, value, "only y and n")
        return _YES_NO[value.lower()] == "y"

    def number(self, name: str, default: str | None = None) -> float:
        value = self.text(name, default)
        if not _NUMBER.fullmatch(value):
            raise ScanFileError(f"{name}={value} is not a number.")
        return float(value)

    def whole(self, name: str, default: str) -> int:
        value = self.number(name, default)
        if value != int(value):
            raise ScanFileError(f"{name}={self.text(name)} is not a whole number.")
        return int(value)

    def date(self, name: str) -> date:
        value = self.text(name)
        read = parse_date(value, None)
        day = read and read.first_day(TimeUnit.DAY)
        if day is None:
            raise ScanFileError(f"{name}={value} is not a date with year, month and day.")
        return day

    def path(self, name: str, folder: Path) -> Path:
        # Parameter files written on Windows name files with its separator.
        return folder / self.text(name).strip('"').replace("\\", "/")


def _refusal(name: str, value: str, only: str) -> ScanFileError:
    return ScanFileError(f"{name}={value} is not supported: {only}.")


#: Keys that `parse_parameters` reads, in lower case.
_USED: Final = frozenset(
    """
    CaseFile CoordinatesFile PopulationFile PrecisionCaseTimes StartDate EndDate CoordinatesType AnalysisType ModelType
    TimeAggregationUnits TimeAggregationLength StudyPeriodCheckType GeographicalCoordinatesCheckType
    MaxSpatialSizeInPopulationAtRisk UseDistanceFromCenterOption MaxSpatialSizeInDistanceFromCenter
    MinimumTemporalClusterSize MaxTemporalSizeInterpretation MaxTemporalSize MinimumCasesInHighRateClusters
    PValueReportType EarlyTerminationThreshold MonteCarloReps
    """.lower().split()
)
