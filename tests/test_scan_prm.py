"""Parameter files of SaTScan: what becomes of each key, and the sentence for what is not supported."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from cli.satscan_prm import ParameterFile, parse_parameters, read_parameter_file
from cli.scan_files import LeftOut, ScanFileError, ScanFiles
from schemas.scan import Inference, ScanJob, ScanModel, TimeUnit

MINIMAL = {
    "CaseFile": "in/my cases.cas",
    "CoordinatesFile": "here.geo",
    "PrecisionCaseTimes": "3",
    "StartDate": "2025/1/1",
    "EndDate": "2025/12/31",
    "CoordinatesType": "0",
    "AnalysisType": "4",
    "ModelType": "2",
    "TimeAggregationUnits": "3",
}
YEARS = {"PrecisionCaseTimes": "1", "TimeAggregationUnits": "1", "StartDate": "1973/1/1", "EndDate": "1991/12/31"}


def parameters(**changes: str | None) -> ParameterFile:
    """The minimal file with keys changed, or taken out where None."""
    keys = {name.replace("__", "-"): value for name, value in (MINIMAL | changes).items()}
    text = "".join(f"{name}={value}\n" for name, value in keys.items() if value is not None)
    return parse_parameters("[Input]\n" + text, Path("folder"))


def test_a_minimal_file_has_the_defaults_of_satscan() -> None:
    asked = parameters()
    assert asked.job == ScanJob(
        model=ScanModel.PERMUTATION,
        prospective=True,
        start=date(2025, 1, 1),
        end=date(2025, 12, 31),
        spherical=False,
        unit=TimeUnit.DAY,
        case_precision=TimeUnit.DAY,
        max_radius=None,
        max_population_percent=50,
        max_time=50,
        max_time_is_percent=True,
        min_cases=2,
        replications=999,
        inference=Inference.DEFAULT,
        stop_after=50,
    )
    assert asked.files == ScanFiles(Path("folder/in/my cases.cas"), Path("folder/here.geo"), None)
    assert asked.left_out == LeftOut(outside_period=False, unknown_place=False)


READ: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "retrospective": ({"AnalysisType": "3"}, {"prospective": False}),
    "degrees": ({"CoordinatesType": "1"}, {"spherical": True}),
    "both limits": (
        {
            "UseDistanceFromCenterOption": "y",
            "MaxSpatialSizeInDistanceFromCenter": "1.5",
            "MaxSpatialSizeInPopulationAtRisk": "10",
        },
        {"max_radius": 1.5, "max_population_percent": 10},
    ),
    "distance switched off": ({"MaxSpatialSizeInDistanceFromCenter": "2000"}, {"max_radius": None}),
    "days": (
        {"MaxTemporalSizeInterpretation": "1", "MaxTemporalSize": "28", "MinimumTemporalClusterSize": "7"},
        {"max_time": 28, "max_time_is_percent": False, "min_time": 7},
    ),
    "weeks": ({"TimeAggregationLength": "7"}, {"unit": TimeUnit.DAY, "interval": 7}),
    "months": ({"TimeAggregationUnits": "2"}, {"unit": TimeUnit.MONTH, "case_precision": TimeUnit.DAY}),
    "years": (YEARS, {"unit": TimeUnit.YEAR, "case_precision": TimeUnit.YEAR, "start": date(1973, 1, 1)}),
    "standard": ({"PValueReportType": "1", "MonteCarloReps": "9999"}, {"inference": "standard", "replications": 9999}),
    "sequential": (
        {"PValueReportType": "2", "EarlyTerminationThreshold": "20"},
        {"inference": "sequential", "stop_after": 20},
    ),
    "fewest cases": ({"MinimumCasesInHighRateClusters": "3"}, {"min_cases": 3}),
}


@pytest.mark.parametrize("case", READ)
def test_what_a_key_asks_for_is_in_the_job(case: str) -> None:
    changes, wanted = READ[case]
    job = parameters(**changes).job
    assert {name: getattr(job, name) for name in wanted} == wanted


def test_the_poisson_model_names_its_population() -> None:
    assert parameters(ModelType="0", PopulationFile="a.pop").files.population == Path("folder/a.pop")
    assert parameters(ModelType="2", PopulationFile="a.pop").files.population is None
    with pytest.raises(ScanFileError, match=r"^The parameter file does not give PopulationFile\.$"):
        parameters(ModelType="0", PopulationFile="")


def test_relaxed_checks_leave_out() -> None:
    assert parameters(StudyPeriodCheckType="1").left_out == LeftOut(outside_period=True, unknown_place=False)
    assert parameters(GeographicalCoordinatesCheckType="1").left_out == LeftOut(False, unknown_place=True)


def test_form_does_not_matter(tmp_path: Path) -> None:
    lines = ["; made by hand", "[input]", "", *(f"  {name.upper()} = {value} " for name, value in MINIMAL.items())]
    path = tmp_path / "job.prm"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    read = read_parameter_file(path)
    assert read.job == parameters().job
    assert read.files.cases == tmp_path / "in" / "my cases.cas"


def test_a_path_of_windows_is_found() -> None:
    assert parameters(CaseFile=r"in\a.cas").files.cases == Path("folder/in/a.cas")


REFUSED: dict[str, str] = {
    "SpatialWindowShapeType=1": "only circular windows (0)",
    "AnalysisType=1": "only retrospective (3) and prospective (4) space-time analyses",
    "AnalysisType=7": "only retrospective (3) and prospective (4) space-time analyses",
    "ModelType=1": "only discrete Poisson (0) and space-time permutation (2)",
    "ScanAreas=3": "only areas with high rates (1)",
    "PrecisionCaseTimes=4": "only years (1), months (2) and days (3)",
    "TimeAggregationUnits=0": "only years (1), months (2) and days (3)",
    "CoordinatesType=2": "only Cartesian (0) and latitude with longitude (1)",
    "MaxTemporalSizeInterpretation=2": "only percent (0) and time units (1)",
    "PValueReportType=3": "only default (0), standard Monte Carlo (1) and early termination (2)",
    "IncludePurelyTemporal=y": "only clusters in space and time (n)",
    "IncludePurelySpatial=Y": "only clusters in space and time (n)",
    "CriteriaForReportingSecondaryClusters=1": "only clusters that share no location (0)",
    "ReportHierarchicalClusters=n": "only hierarchical clusters (y)",
    "ReportGiniClusters=y": "only hierarchical clusters (n)",
    "IncludeClusters=2": "only all clusters of the analysis (0)",
    "TimeTrendAdjustmentType=2": "only scans without adjustment (0)",
    "AdjustForWeeklyTrends=y": "only scans without adjustment (n)",
    "SpatialAdjustmentType=1": "only scans without adjustment (0)",
    "UseAdjustmentsByRRFile=y": "only scans without adjustment (n)",
    "AdjustForEarlierAnalyses=y": "only analyses on their own (n)",
    "ProspectiveFrequencyType=2": "only one analysis for each time interval (0)",
    "IterativeScan=y": "only a single scan (n)",
    "MultipleDataSetsPurposeType=1": "only one data set (0)",
    "CaseFile2=b.cas": "only one data set",
    "CaseFile-SourceFieldMap=1,2,3": "only files with the columns of SaTScan's own formats",
    "UseGridFile=y": "only circles around the locations themselves (n)",
    "UseNeighborsFile=y": "only distances between coordinates (n)",
    "UseLocationsNetworkFile=y": "only distances between coordinates (n)",
    "UseMetaLocationsFile=y": "only locations as they stand in the coordinates file (n)",
    "MultipleLocationsFile=m.txt": "only one place for each location",
    "UseMaxCirclePopulationFileOption=y": "only the population at risk limits circles (n)",
    "UseReportOnlySmallerClusters=y": "only clusters as large as circles may be (n)",
    "RiskLimitHighClusters=y": "only clusters of any relative risk (n)",
    "IsotonicScan=1": "only the standard scan (0)",
    "PerformPowerEvaluation=y": "only scans without power evaluation (n)",
    "PerformStandardDrilldown=y": "only scans without drilldown (n)",
    "PerformBernoulliDrilldown=y": "only scans without drilldown (n)",
    "SimulatedDataMethodType=2": "only replications under the null hypothesis (0)",
    "StudyPeriodCheckType=2": "only strict (0) and relaxed (1)",
    "GeographicalCoordinatesCheckType=x": "only strict (0) and relaxed (1)",
    "UseDistanceFromCenterOption=maybe": "only y and n",
    "ScanForAliens=y": "the key ScanForAliens is unknown",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_changes_the_analysis_is_refused_by_name(setting: str) -> None:
    name, _, value = setting.partition("=")
    with pytest.raises(ScanFileError) as refused:
        parameters(**{name: value})
    assert str(refused.value) == f"{setting} is not supported: {REFUSED[setting]}."


@pytest.mark.parametrize(
    "setting",
    [
        "ResultsFile=elsewhere.txt",
        "OutputGoogleEarthKML=y",
        "EmailAlwaysRecipients=a@b.c",
        "NumberParallelProcesses=8",
        "PowerEvaluationTotalCases=600",
        "EllipseShapes=1.5,2",
        "DrilldownMinimumClusterCases=10",
        "MaxSpatialSizeInDistanceFromCenter_Reported=1",
        "ProspectiveStartDate=2025/6/1",
        "NonCompactnessPenalty=1",
        "TimeTrendPercentage=3",
        "DataSet1-Name=Data Set #1",
        "CaseFile2=",
        "CUSTOMEMAIL=y",
    ],
)
def test_what_changes_nothing_is_ignored(setting: str) -> None:
    name, _, value = setting.partition("=")
    assert parameters(**{name: value}) == parameters()


@pytest.mark.parametrize("setting", ["AdjustForEarlierAnalyses", "ProspectiveFrequencyType"])
def test_a_retrospective_scan_has_no_earlier_analyses_to_care_for(setting: str) -> None:
    assert parameters(AnalysisType="3", **{setting: "1"}) == parameters(AnalysisType="3")


WRONG: dict[str, tuple[dict[str, str | None], str]] = {
    "no case file": ({"CaseFile": None}, "The parameter file does not give CaseFile."),
    "no model": ({"ModelType": ""}, "The parameter file does not give ModelType."),
    "not a date": ({"StartDate": "2025/13/1"}, "StartDate=2025/13/1 is not a date with year, month and day."),
    "half a date": ({"EndDate": "2025"}, "EndDate=2025 is not a date with year, month and day."),
    "backwards": ({"EndDate": "2024/12/31"}, "No such scan can be made: the study period ends before it starts."),
    "not a number": ({"MaxTemporalSize": "long"}, "MaxTemporalSize=long is not a number."),
    "not a finite number": ({"MaxTemporalSize": "inf"}, "MaxTemporalSize=inf is not a number."),
    "half a case": (
        {"MinimumCasesInHighRateClusters": "2.5"},
        "MinimumCasesInHighRateClusters=2.5 is not a whole number.",
    ),
    "one case": (
        {"MinimumCasesInHighRateClusters": "1"},
        "MinimumCasesInHighRateClusters 1 is not possible: it should be greater than or equal to 2.",
    ),
    "too much": (
        {"MaxSpatialSizeInPopulationAtRisk": "51"},
        "MaxSpatialSizeInPopulationAtRisk 51.0 is not possible: it should be less than or equal to 50.",
    ),
    "no distance": (
        {"UseDistanceFromCenterOption": "y"},
        "The parameter file does not give MaxSpatialSizeInDistanceFromCenter.",
    ),
    "finer than known": (
        {**YEARS, "TimeAggregationUnits": "3"},
        "TimeAggregationUnits is a day, but cases are known only to the year.",
    ),
    "part of a year": (
        {**YEARS, "StartDate": "1973/2/1"},
        "StartDate 1973-02-01 is not the first day of a year, as PrecisionCaseTimes asks.",
    ),
    "part of a month": (
        {"PrecisionCaseTimes": "2", "TimeAggregationUnits": "2", "EndDate": "2025/12/30"},
        "EndDate 2025-12-30 is not the last day of a month, as PrecisionCaseTimes asks.",
    ),
    "crossed limits": (
        {"MinimumTemporalClusterSize": "9", "MaxTemporalSizeInterpretation": "1", "MaxTemporalSize": "8"},
        "MinimumTemporalClusterSize is larger than MaxTemporalSize.",
    ),
    "two values": (
        {"casefile": "b.cas"},
        "The parameter file gives casefile two values, 'in/my cases.cas' and 'b.cas'.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_a_sentence(case: str) -> None:
    changes, sentence = WRONG[case]
    with pytest.raises(ScanFileError) as refused:
        parameters(**changes)
    assert str(refused.value) == sentence


def test_a_file_that_is_no_parameter_file() -> None:
    with pytest.raises(ScanFileError, match=r"^Line 2 of the parameter file is neither a section nor a key"):
        parse_parameters("[Input]\nc1 1 2025/1/1\n", Path())
    with pytest.raises(ScanFileError, match=r"^The parameter file has no keys\.$"):
        parse_parameters("; nothing\n", Path())
