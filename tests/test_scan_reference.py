"""Scans of the inputs that SaTScan and scanstatistics were run on find what these found."""

from __future__ import annotations

import json
import math
import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.satscan_prm import read_parameter_file
from cli.scan_files import read_scan_files
from processors.scan.circles import coordinates, find_circles
from processors.scan.inputs import ScanInput
from processors.scan.run import run_scan
from processors.score import surprise
from schemas.scan import Inference, ScanJob
from tests.running import ROOT

REFERENCE = Path(os.environ.get("HOTSPOT_REFERENCE", ROOT.parent / "shared" / "reference"))
needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the answers of SaTScan are not here; name their folder in HOTSPOT_REFERENCE"
)


def reference(folder: str) -> tuple[ScanJob, ScanInput, dict[str, Any]]:
    """One of the jobs that SaTScan was run on, and what it printed."""
    asked, files, left_out = read_parameter_file(REFERENCE / folder / "job.prm")
    answers = json.loads((REFERENCE / folder / "expected.json").read_text(encoding="utf-8"))
    return asked, read_scan_files(files, asked, left_out).given, answers["modes"]


CASES = (
    "nyc_fever_permutation",
    "new_mexico_poisson",
    "city_a_permutation",
    "city_a_poisson",
    "city_b_permutation",
    "city_b_poisson",
)


def printed(value: float, told: float) -> bool:
    """Whether a value rounds to what was printed, with as many digits."""
    text = f"{told:.10f}".rstrip("0")
    digits = max(len(text.partition(".")[2]), 2)
    return abs(value - told) <= 0.5 * 10.0**-digits + 1e-12


@needs_reference
@pytest.mark.parametrize("mode", ["standard_mc", "default"])
@pytest.mark.parametrize("folder", CASES)
def test_clusters_are_those_of_satscan(folder: str, mode: str) -> None:
    asked, given_, answers = reference(folder)
    inference = Inference.STANDARD if mode == "standard_mc" else Inference.DEFAULT
    result = run_scan(asked.model_copy(update={"inference": inference, "threads": 2}), given_)
    answer = answers[mode]
    assert len(result.clusters) >= len(answer["clusters"]) > 0
    for ours, theirs in zip(result.clusters, answer["clusters"], strict=False):
        assert ours.location_id == str(theirs["loc_id"])
        assert list(ours.locations) == theirs["locations"]
        assert (ours.start, ours.end) == tuple(
            date(*map(int, theirs[edge].split("/"))) for edge in ("start_date", "end_date")
        )
        assert ours.observed == theirs["observed"]
        assert printed(ours.radius, theirs["radius"])
        assert printed(ours.expected, theirs["expected"]) or ours.expected < 0.1
        assert ours.statistic == pytest.approx(float(theirs["statistic_full"]), abs=1e-5)
        if theirs["p_value"] < 1e-6:
            assert ours.p_value is not None
            assert ours.p_value < 1e-6  # both of the Gumbel tail
            continue
        runs = min(result.replications, answer["timing"]["replications_done"])
        error = math.sqrt(max(theirs["p_value"] * (1 - theirs["p_value"]), 1.0 / runs) / runs)
        # Two Monte Carlo runs differ by the errors of both.
        assert ours.p_value == pytest.approx(theirs["p_value"], abs=3 * math.sqrt(2) * error)


@needs_reference
@pytest.mark.parametrize("folder", ["city_a", "city_b"])
def test_the_expectation_based_score_is_that_of_scanstatistics(folder: str) -> None:
    asked, given_, _ = reference(f"{folder}_poisson")
    answer = json.loads((REFERENCE / f"{folder}_expectation" / "expected.json").read_text(encoding="utf-8"))
    assert given_.population is not None
    places, cases = given_.places, given_.cases
    points = coordinates(places.first, places.second, False)
    total = float(cases.number.sum())
    circles = find_circles(points, False, asked.max_radius or math.inf, np.zeros(len(places.ids)), 1.0)
    mass = np.bincount(given_.population.place, given_.population.persons, len(places.ids))
    daily = total / 365 * mass / mass.sum()
    back = asked.end.toordinal() - cases.day
    counts = np.zeros((len(places.ids), 28))
    np.add.at(counts, (cases.place[back < 28], back[back < 28]), cases.number[back < 28])
    best = (0.0, 0, 0, 0)
    for centre in range(len(places.ids)):
        near = circles.place[circles.start[centre] : circles.start[centre + 1]]
        observed = counts[near].cumsum(axis=0).cumsum(axis=1)
        expected = daily[near].cumsum()[:, None] * np.arange(1, 29)
        worth = np.argwhere(observed > np.maximum(expected, 1.0))
        for size, days in worth.tolist():
            best = max(best, (surprise(observed[size, days], expected[size, days]), centre, size, days))
    score, centre, size, days = best
    told = answer["most_likely_cluster"]
    assert score == pytest.approx(told["score"], abs=1e-6)
    assert days + 1 == told["duration_days"]
    near = circles.place[circles.start[centre] : circles.start[centre] + size + 1]
    assert sorted(places.ids[place] for place in near) == sorted(told["locations"])
