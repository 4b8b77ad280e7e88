"""How long `hotspot scan` takes: on the inputs that SaTScan was timed on, and on ten times as many cases.

999 replications, one thread.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import numpy as np
from numba import njit

from bench.source import ROOT, BenchDataMissingError
from cli.satscan_prm import make_job
from cli.scan_files import LeftOut, ScanFiles, read_scan_files
from processors.arrays import Floats, Ints, Small
from processors.scan.circles import find_circles
from processors.scan.kernels import log_likelihood_ratio

LARGE = "large_permutation"
CASES = ("city_a_permutation", "city_a_poisson", "city_b_permutation", "city_b_poisson", LARGE)
#: What the large input is made of.
EVENTS, CELLS, CELL_M, TOWNS, DAYS, SPANS, RADIUS_M = 50_000, 8_300, 250.0, 12, 365, 28, 2_000.0
#: Replications of the plain loop that the large input is compared with.
PLAIN = 10
_END = date(2025, 12, 31)
Timed = tuple[float, str, list[float], str, str]


def reference() -> Path:
    """The folder that HOTSPOT_REFERENCE names, or ../shared/reference. Raises BenchDataMissingError."""
    folder = Path(os.environ.get("HOTSPOT_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not folder.is_dir():
        raise BenchDataMissingError("It needs the folder of SaTScan's inputs and answers that HOTSPOT_REFERENCE names.")
    return folder


def scan_seconds(case: str, runs: int) -> Timed:
    """Median seconds of the result, its unit, the runs, the command, and how that compares with something else."""
    return _large_seconds(runs) if case == LARGE else _city_seconds(case, runs)


def _city_seconds(case: str, runs: int) -> Timed:
    """Compared with SaTScan."""
    folder = reference() / case
    arguments = _arguments(case[len("city_")], case.rpartition("_")[2])
    seconds, whole = _run(folder, arguments, runs)
    answers = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    theirs = float(answers["modes"]["standard_mc"]["timing"]["wall_s_median"])
    limit = (
        f"limited by the processor; SaTScan 10.3.2 was timed at {theirs:.2f} s on a machine of this kind, "
        f"{theirs / median(seconds):.1f} times as long as the scan here, and {theirs / median(whole):.1f} times as "
        f"long as the whole command ({median(whole):.2f} s)"
    )
    shown = f"cd $HOTSPOT_REFERENCE/{case} && hotspot scan {' '.join(arguments)} --out RESULT.json"
    return round(median(seconds), 4), "s", seconds, shown, limit


def _large_seconds(runs: int) -> Timed:
    """Compared with a plain loop over all windows, on as many cases as in a large region."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_large(folder, seed=7)
        arguments = _arguments("large", "permutation")
        seconds, whole = _run(folder, arguments, runs)
        plain = _plain_seconds(folder) * 999
    limit = (
        f"limited by the processor; made-up input, {EVENTS:,} cases at {CELLS:,} locations; a plain loop over all "
        f"windows, compiled, takes {plain:.1f} s for as many replications in the same run, "
        f"{plain / median(seconds):.1f} times as long as the scan here; the whole command takes {median(whole):.2f} s"
    )
    return round(median(seconds), 4), "s", seconds, f"python -m bench scan_{LARGE}_seconds", limit


def _arguments(name: str, model: str) -> list[str]:
    arguments = ["--model", model, "--cases", f"{name[:1]}.cas", "--geo", f"{name[:1]}.geo"]
    arguments += ["--pop", f"{name[:1]}.pop"] if model == "poisson" else []
    arguments += ["--start", f"{_END - timedelta(DAYS - 1)}", "--end", f"{_END}"]
    arguments += ["--max-radius", f"{RADIUS_M:.0f}", "--max-days", f"{SPANS}"]
    return [*arguments, "--replications", "999", "--seed", "1", "--threads", "1"]


def _run(folder: Path, arguments: list[str], runs: int) -> tuple[list[float], list[float]]:
    """Seconds of the result of each run, and of the whole command."""
    seconds, whole = [], []
    with tempfile.TemporaryDirectory() as out:
        result = Path(out) / "result.json"
        command = [sys.executable, "-m", "cli", "scan", *arguments, "--out", str(result)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        for run in range(runs + 1):
            began = time.perf_counter()
            subprocess.run(command, cwd=folder, env=environment, check=True, stderr=subprocess.DEVNULL)
            if run:  # the first fills the cache of compiled code
                whole.append(time.perf_counter() - began)
                seconds.append(float(json.loads(result.read_text(encoding="utf-8"))["seconds"]))
    return seconds, whole


def _write_large(folder: Path, seed: int) -> None:
    """Cells of a grid, most of them in towns; every one has a case, and most have a few more."""
    rng = np.random.default_rng(seed)
    extent = np.array([60_000.0, 40_000.0])
    middle, wide = rng.uniform(0.1, 0.9, (TOWNS, 2)) * extent, rng.uniform(1_500.0, 4_500.0, TOWNS)
    town = rng.choice(TOWNS, 40 * CELLS, p=rng.dirichlet(np.ones(TOWNS)))
    at = middle[town] + rng.normal(0.0, 1.0, (town.size, 2)) * wide[town, None]
    rural = rng.random(town.size) < 0.15
    at[rural] = rng.uniform(0.0, 1.0, (int(rural.sum()), 2)) * extent
    cells = np.floor(at[((at > 0.0) & (at < extent)).all(axis=1)] / CELL_M)
    _, first = np.unique(cells, axis=0, return_index=True)
    cells = (cells[np.sort(first)[:CELLS]] + 0.5) * CELL_M
    weight = rng.gamma(1.0, 1.0, CELLS) + 0.05
    place = np.concatenate([np.arange(CELLS), rng.choice(CELLS, EVENTS - CELLS, p=weight / weight.sum())])
    back = rng.integers(0, DAYS, EVENTS)
    (folder / "l.geo").write_text("".join(f"c{i} {x} {y}\n" for i, (x, y) in enumerate(cells.tolist())))
    lines = (f"c{p} 1 {_END - timedelta(b)}\n" for p, b in zip(place.tolist(), back.tolist(), strict=True))
    (folder / "l.cas").write_text("".join(lines))


def _plain_seconds(folder: Path) -> float:
    """Median seconds of a replication of a plain loop."""
    job = make_job(
        {
            "model": "permutation",
            "start": _END - timedelta(DAYS - 1),
            "end": _END,
            "max_radius": RADIUS_M,
            "max_time": SPANS,
        },
        {},
    )
    given = read_scan_files(ScanFiles(folder / "l.cas", folder / "l.geo", None), job, LeftOut()).given
    place, back = given.cases.place, _END.toordinal() - given.cases.day
    by_place = np.bincount(place, minlength=CELLS).astype(float)
    points = np.stack([given.places.first, given.places.second], axis=1)
    circles = find_circles(points, False, RADIUS_M, by_place, math.inf)
    per_back = np.bincount(back[back < SPANS], minlength=SPANS)
    rng, seconds = np.random.default_rng(1), []
    for replication in range(PLAIN + 1):
        began = time.perf_counter()
        counts = np.zeros((CELLS, SPANS), np.int64)
        drawn = rng.choice(place, int(per_back.sum()), replace=False)
        np.add.at(counts, (drawn, np.repeat(np.arange(SPANS), per_back)), 1)
        _plain_largest(circles.start, circles.place, by_place, counts, np.cumsum(per_back) / EVENTS)
        if replication:  # the first compiles
            seconds.append(time.perf_counter() - began)
    return median(seconds)


@njit  # type: ignore[untyped-decorator]
def _plain_largest(start: Ints, place: Small, by_place: Floats, counts: Ints, share: Floats) -> float:
    """The largest statistic of a replication: for each count the smallest expectation, and then logarithms."""
    least = np.full(counts.sum() + 1, np.inf)
    sums = np.zeros(share.size, np.int64)
    for centre in range(start.size - 1):
        sums[:] = 0
        mass = 0.0
        for n in range(start[centre], start[centre + 1]):
            mass += by_place[place[n]]
            count = 0
            for back in range(share.size):
                count += counts[place[n], back]
                sums[back] += count
                expected = mass * share[back]
                if expected < least[sums[back]]:
                    least[sums[back]] = expected
    best = 0.0
    for count in range(2, least.size):
        if least[count] < count:
            best = max(best, log_likelihood_ratio(float(count), least[count], by_place.sum()))
    return best
