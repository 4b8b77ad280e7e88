"""`hotspot scan`: what is run for what is asked, what is written of what is found, and how it fails."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import sys
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pyproj import Geod, Transformer

import cli.scan
from cli.main import main
from processors.scan.inputs import ScanInput
from processors.scan.run import ScanError
from schemas.scan import Inference, ScanCluster, ScanJob, ScanModel, ScanResult
from tests.builders import ROOT

REFERENCE = Path(os.environ.get("HOTSPOT_REFERENCE", ROOT.parent / "shared" / "reference"))
SENTENCE = re.compile(r"[^\n]{10,400}[^.\n]\.\n")
JOB = """[Input]
CaseFile=x.cas
CoordinatesFile=x.geo
PrecisionCaseTimes=3
StartDate=2025/1/1
EndDate=2025/12/31
CoordinatesType=0
AnalysisType=4
ModelType=2
TimeAggregationUnits=3
"""
BEST = ScanCluster(
    rank=1,
    location_id="c 1, old",
    x=441_825.0,
    y=112_170.0,
    radius=559.0,
    start=date(2025, 12, 25),
    end=date(2025, 12, 31),
    locations=("c 1, old", "c2"),
    observed=17,
    expected=0.8,
    statistic=36.30586,
    p_value=0.001,
    gumbel_p_value=1.7e-13,
    recurrence_interval_days=1000.0,
)
SECOND = BEST.model_copy(
    update={"rank": 2, "location_id": "c3", "x": 450_000.0, "locations": ("c3",), "radius": 0.0, "p_value": 0.6}
)


class Stub:
    """Stands for the numerics: remembers what it is given, and finds what it is told to."""

    def __init__(self) -> None:
        self.job: ScanJob | None = None
        self.given: ScanInput | None = None
        self.clusters: tuple[ScanCluster, ...] = (BEST, SECOND)
        self.error: Exception | None = None

    def __call__(self, job: ScanJob, given: ScanInput, progress: Callable[[int, int], None]) -> ScanResult:
        """As run_scan."""
        self.job, self.given = job, given
        progress(1, job.replications)
        if self.error:
            raise self.error
        return ScanResult(
            model=job.model,
            prospective=job.prospective,
            start=job.start,
            end=job.end,
            cases=int(given.cases[2].sum()),
            locations=len(given.places.ids),
            replications=job.replications,
            seed=job.seed,
            threads=job.threads,
            seconds=0.1,
            clusters=self.clusters,
        )


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Stub:
    """The numerics, replaced."""
    stub = Stub()
    monkeypatch.setattr(cli.scan, "run_scan", stub)
    return stub


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a job and its files, in which the command is run."""
    (tmp_path / "job.prm").write_text(JOB, encoding="utf-8")
    (tmp_path / "x.cas").write_text("a 1 2025/3/1\nb 2 2025/3/2\n", encoding="utf-8")
    (tmp_path / "x.geo").write_text("a 0 0\nb 3 4\n", encoding="utf-8")
    (tmp_path / "x.pop").write_text("a 2025 10\nb 2025 5\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `hotspot scan`, and hand back what it tells; it must end with the code that is asked for."""

    def run(arguments: str, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["hotspot", "scan", *arguments.split()])
        ended = 0
        try:
            main()
        except SystemExit as exited:
            ended = int(exited.code or 0)
        told = capsys.readouterr()
        assert ended == code, told.err
        assert told.out == ""
        return told.err

    return run


OPTIONS = (
    "--model permutation --cases x.cas --geo x.geo --start 2025-01-01 --end 2025-12-31 --max-radius 2000 --max-days 28"
)


# --- what is run -------------------------------------------------------------------------------------------------


def test_a_parameter_file_is_run_as_it_says(run: Run, stub: Stub, folder: Path) -> None:
    run("job.prm --out result.json")
    assert stub.job is not None
    assert stub.given is not None
    assert stub.job == ScanJob(
        model=ScanModel.PERMUTATION,
        start=date(2025, 1, 1),
        end=date(2025, 12, 31),
        max_time=50,
        max_time_is_percent=True,
        inference=Inference.DEFAULT,
    )
    assert stub.given.places.ids == ("a", "b")
    written = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert ScanResult.model_validate(written).clusters == (BEST, SECOND)
    assert written["cases"] == 3


def test_options_of_the_run_go_above_the_file(run: Run, stub: Stub, folder: Path) -> None:
    run("job.prm --out r.json --replications 99 --seed 5 --threads 2")
    assert stub.job is not None
    assert (stub.job.replications, stub.job.seed, stub.job.threads) == (99, 5, 2)


def test_without_a_file_options_say_all(run: Run, stub: Stub, folder: Path) -> None:
    run(f"{OPTIONS} --min-cases 3 --spherical --retrospective --seed 4 --out r.json")
    assert stub.job == ScanJob(
        model=ScanModel.PERMUTATION,
        prospective=False,
        start=date(2025, 1, 1),
        end=date(2025, 12, 31),
        spherical=True,
        max_radius=2000,
        max_time=28,
        min_cases=3,
        replications=999,
        inference=Inference.STANDARD,
        seed=4,
    )


def test_poisson_without_a_file(run: Run, stub: Stub, folder: Path) -> None:
    run(f"{OPTIONS.replace('permutation', 'poisson')} --pop x.pop --out r.json")
    assert stub.given is not None
    assert stub.given.population is not None
    assert stub.given.population.persons.tolist() == [10, 5]


def test_what_was_left_out_is_told(run: Run, stub: Stub, folder: Path) -> None:
    (folder / "job.prm").write_text(JOB + "StudyPeriodCheckType=1\nGeographicalCoordinatesCheckType=1\n")
    (folder / "x.cas").write_text("a 1 2025/3/1\na 1 2024/1/1\nz 1 2025/3/1\nz 1 2025/3/1\n")
    told = run("job.prm --out r.json").splitlines()[0]
    assert told == "Left out: 1 line with a date outside the study period, 2 lines with an unknown location."
    assert stub.given is not None
    assert stub.given.cases[2].tolist() == [1]


# --- what is told and written ------------------------------------------------------------------------------------


def test_the_most_likely_cluster_is_told(run: Run, stub: Stub, folder: Path) -> None:
    assert run("job.prm --out r.json") == (
        "Most likely cluster: 17 cases where 0.80 were expected, from 2025-12-25 to 2025-12-31, at 2 locations within "
        "559.0 of c 1, old. p = 0.001 from 999 replications: chance alone shows as much about once in 1,000 days. "
        "1 other cluster shares no location with it.\n"
    )


def test_a_cluster_of_one_place_and_day_without_replications(run: Run, stub: Stub, folder: Path) -> None:
    unknown = {"p_value": None, "gumbel_p_value": None, "recurrence_interval_days": None}
    stub.clusters = (SECOND.model_copy(update={**unknown, "start": SECOND.end}),)
    assert run("job.prm --out r.json --replications 0 --csv c.csv") == (
        "Most likely cluster: 17 cases where 0.80 were expected, on 2025-12-31, at the location c3. "
        "No replications were made, so how likely this is by chance is not known.\n"
    )
    row = next(csv.DictReader((folder / "c.csv").open()))
    assert (row["P_VALUE"], row["RECURR_INT"], row["GUMBEL_P"]) == ("", "", "")


def test_a_p_value_below_all_ranks_is_told_as_what_it_is(run: Run, stub: Stub, folder: Path) -> None:
    stub.clusters = (BEST.model_copy(update={"p_value": 1.7e-13, "recurrence_interval_days": 36_500.0}),)
    assert (
        "p = 1.7e-13 from a Gumbel tail fitted to 999 replications: chance alone shows as much less than once in 99 "
        "years.\n"
    ) in run("job.prm --out r.json")


def test_no_cluster(run: Run, stub: Stub, folder: Path) -> None:
    stub.clusters = ()
    assert run("job.prm --out r.json --csv c.csv") == "No cluster among 3 cases at 2 locations.\n"
    assert (folder / "c.csv").read_text().count("\n") == 1


def test_the_table_has_the_columns_of_satscan(run: Run, stub: Stub, folder: Path) -> None:
    run("job.prm --out r.json --csv c.csv")
    first, second = csv.DictReader((folder / "c.csv").open(newline=""))
    assert {name: value for name, value in first.items() if name != "ODE"} == {
        "CLUSTER": "1",
        "LOC_ID": "c 1, old",
        "X": "441825.0",
        "Y": "112170.0",
        "RADIUS": "559.0",
        "START_DATE": "2025/12/25",
        "END_DATE": "2025/12/31",
        "NUMBER_LOC": "2",
        "TEST_STAT": "36.30586",
        "P_VALUE": "0.001",
        "RECURR_INT": "1000.0",
        "OBSERVED": "17",
        "EXPECTED": "0.8",
        "GUMBEL_P": "1.7e-13",
    }
    assert float(first["ODE"]) == pytest.approx(21.25)
    assert second["LOC_ID"] == "c3"


def test_columns_go_with_model_and_coordinates(run: Run, stub: Stub, folder: Path) -> None:
    stub.clusters = (BEST.model_copy(update={"x": -1.4, "y": 50.9}),)
    poisson = OPTIONS.replace("permutation", "poisson")
    run(f"{poisson} --pop x.pop --spherical --retrospective --out r.json --csv c.csv")
    row = next(csv.DictReader((folder / "c.csv").open()))
    assert (row["LATITUDE"], row["LONGITUDE"], row["LLR"]) == ("50.9", "-1.4", "36.30586")
    assert not {"X", "Y", "TEST_STAT", "RECURR_INT"} & set(row)


Position = list[float]


def features(path: Path) -> list[dict[str, Any]]:
    collection = json.loads(path.read_text(encoding="utf-8"))
    assert collection["type"] == "FeatureCollection"
    found: list[dict[str, Any]] = collection["features"]
    return found


def ring_of(feature: dict[str, Any]) -> list[Position]:
    """The ring of a polygon; it is closed and goes counter-clockwise."""
    geometry = feature["geometry"]
    assert geometry["type"] == "Polygon"
    (ring,) = geometry["coordinates"]
    assert ring[0] == ring[-1]
    assert doubled_area(ring) > 0
    found: list[Position] = ring
    return found


def doubled_area(ring: list[Position]) -> float:
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))


def test_circles_on_the_sphere(run: Run, stub: Stub, folder: Path) -> None:
    place = {"x": -1.4, "y": 50.9}
    stub.clusters = (
        BEST.model_copy(update={**place, "radius": 2.9}),
        BEST.model_copy(update={**place, "radius": 0.0}),
    )
    run(f"{OPTIONS} --spherical --out r.json --geojson m.geojson")
    wide, single = features(folder / "m.geojson")
    sphere = Geod(a=6_367_000, b=6_367_000)
    for feature, metres in ((wide, 2900), (single, 50)):
        ring = ring_of(feature)
        assert len(ring) == 65
        for x, y in ring:
            assert sphere.inv(-1.4, 50.9, x, y)[2] == pytest.approx(metres, abs=0.1)
    assert wide["properties"]["observed"] == 17
    assert wide["properties"]["start"] == "2025-12-25"
    assert wide["properties"]["locations"] == ["c 1, old", "c2"]
    assert single["properties"]["radius"] == 0


@pytest.mark.parametrize(("x", "y"), [(179.95, -17.0), (-179.95, 66.0), (20.0, 89.9), (-100.0, -89.9)])
def test_circles_across_the_antimeridian_and_around_poles(
    run: Run, stub: Stub, folder: Path, x: float, y: float
) -> None:
    stub.clusters = (BEST.model_copy(update={"x": x, "y": y, "radius": 100.0}),)
    run(f"{OPTIONS} --spherical --out r.json --geojson m.geojson")
    (feature,) = features(folder / "m.geojson")
    assert feature["geometry"]["type"] == "MultiPolygon"
    area = 0.0
    for (ring,) in feature["geometry"]["coordinates"]:
        assert ring[0] == ring[-1]
        assert all(-180 <= x <= 180 and -90 <= y <= 90 for x, y in ring)
        for (x0, y0), (x1, y1) in pairwise(ring):
            area += math.radians(x0 - x1) * (math.sin(math.radians(y0)) + math.sin(math.radians(y1))) / 2 * 6367**2
    assert area == pytest.approx(math.pi * 100**2, rel=0.005)


def test_circles_of_a_projection(run: Run, stub: Stub, folder: Path) -> None:
    run("job.prm --out r.json --geojson m.geojson --crs EPSG:27700")
    first, second = features(folder / "m.geojson")
    back = Transformer.from_crs("EPSG:4326", "EPSG:27700", always_xy=True)
    for feature, cluster, metres in ((first, BEST, 559), (second, SECOND, 50)):
        for x, y in ring_of(feature):
            easting, northing = back.transform(x, y)
            assert math.hypot(easting - cluster.x, northing - cluster.y) == pytest.approx(metres, abs=0.2)


# --- how it fails ------------------------------------------------------------------------------------------------


FAILURES: dict[str, tuple[str, str]] = {
    "no output": ("job.prm", "Missing option '--out'."),
    "neither": ("--out r.json", "Without JOB.prm, --model is needed."),
    "half": ("--model poisson --cases x.cas --out r.json", "Without JOB.prm, --geo is needed."),
    "both": ("job.prm --cases x.cas --out r.json", "JOB.prm and --cases exclude each other"),
    "both, a flag": ("job.prm --retrospective --out r.json", "JOB.prm and --retrospective exclude each other"),
    "no parameter file": ("no.prm --out r.json", "There is no file no.prm."),
    "no case file": (f"{OPTIONS.replace('x.cas', 'y.cas')} --out r.json", "There is no file y.cas."),
    "no folder": ("job.prm --out nowhere/r.json", "There is no folder nowhere."),
    "no folder for the map": (
        "job.prm --out r.json --geojson nowhere/m.json --crs EPSG:27700",
        "There is no folder nowhere.",
    ),
    "no projection": ("job.prm --out r.json --geojson m.json", "--geojson needs their projection: --crs EPSG:27700"),
    "degrees have none": (
        f"{OPTIONS} --spherical --out r.json --geojson m.json --crs EPSG:27700",
        "these coordinates are latitude and longitude already.",
    ),
    "no map": ("job.prm --out r.json --crs EPSG:27700", "--crs is for --geojson alone."),
    "unknown projection": (
        "job.prm --out r.json --geojson m.json --crs EPSG:1",
        "There is no coordinate reference system EPSG:1; an example is EPSG:27700.",
    ),
    "degrees are no projection": (
        "job.prm --out r.json --geojson m.json --crs EPSG:4326",
        "EPSG:4326 has no x and y in metres",
    ),
    "backwards": (
        f"{OPTIONS.replace('2025-12-31', '2024-12-31')} --out r.json",
        "the study period ends before it starts.",
    ),
    "no radius": (
        f"{OPTIONS.replace('2000', '0')} --out r.json",
        "--max-radius 0.0 is not possible: it should be greater than 0.",
    ),
    "no threads": (
        "job.prm --out r.json --threads 0",
        "--threads 0 is not possible: it should be greater than or equal to 1.",
    ),
    "population of a permutation": (f"{OPTIONS} --pop x.pop --out r.json", "The permutation model takes no population"),
    "poisson without population": (
        f"{OPTIONS.replace('permutation', 'poisson')} --out r.json",
        "The Poisson model needs a population file.",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_failure_is_one_sentence_before_any_work(run: Run, stub: Stub, folder: Path, case: str) -> None:
    arguments, sentence = FAILURES[case]
    told = run(arguments, code=2)
    assert sentence in told
    assert "Traceback" not in told
    assert SENTENCE.fullmatch(told.splitlines(keepends=True)[-1])
    assert stub.job is None
    assert not (folder / "r.json").exists()


def test_a_wrong_line_and_a_refused_key_are_one_sentence(run: Run, stub: Stub, folder: Path) -> None:
    (folder / "x.cas").write_text("a 1 2025/3/1\na x 2025/3/1\n")
    assert run("job.prm --out r.json", code=2) == "x.cas, line 2: the number of cases 'x' is not a whole number.\n"
    (folder / "job.prm").write_text(JOB + "SpatialWindowShapeType=1\n")
    told = run("job.prm --out r.json", code=2)
    assert told == "SpatialWindowShapeType=1 is not supported: only circular windows (0).\n"
    assert stub.job is None


def test_a_scan_that_is_not_possible_is_one_sentence(run: Run, stub: Stub, folder: Path) -> None:
    stub.error = ScanError("There are fewer than two cases in the study period.")
    assert run("job.prm --out r.json", code=2) == "There are fewer than two cases in the study period.\n"
    assert not (folder / "r.json").exists()


def test_a_result_that_cannot_be_written(run: Run, stub: Stub, folder: Path) -> None:
    (folder / "c.csv").mkdir()
    assert "c.csv" in run("job.prm --out r.json --csv c.csv", code=2)


def test_a_map_that_cannot_be_drawn_does_not_cost_the_result(run: Run, stub: Stub, folder: Path) -> None:
    stub.clusters = (BEST.model_copy(update={"x": 1e12, "y": 1e12}),)
    told = run("job.prm --out r.json --geojson m.json --crs EPSG:27700", code=2)
    assert told == "Cluster 1 lies outside of where EPSG:27700 can be used.\n"
    assert (folder / "r.json").exists()
    assert not (folder / "m.json").exists()


# --- the real numerics -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference is not here; name its folder in HOTSPOT_REFERENCE")
def test_a_job_of_satscan_from_end_to_end(run: Run, tmp_path: Path) -> None:
    folder = REFERENCE / "nyc_fever_permutation"
    told = run(f"{folder / 'job.prm'} --out {tmp_path / 'r.json'} --csv {tmp_path / 'c.csv'} --replications 99")
    wanted = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["modes"]["default"]["clusters"][0]
    row = next(csv.DictReader((tmp_path / "c.csv").open()))
    assert row["LOC_ID"] == str(wanted["loc_id"])
    assert row["START_DATE"] == wanted["start_date"]
    assert float(row["TEST_STAT"]) == pytest.approx(wanted["test_stat"], abs=1e-5)
    assert float(row["LATITUDE"]) == pytest.approx(wanted["latitude"])
    assert told.startswith(f"Most likely cluster: {wanted['observed']} cases")
