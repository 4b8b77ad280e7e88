"""The detector by itself: ten years of Chicago, and a region of Hampshire's size with 80,000 records."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from functools import cache
from statistics import median
from typing import Final

import numpy as np

from bench.source import CHICAGO, ROOT, data_file
from cli.incident_rows import read_rows
from processors.detector import Detector
from processors.kernels import EPOCH_HOURS
from processors.localtime import HOUR_S
from processors.public_holidays import PublicHolidays
from processors.verify import tracks_opened
from processors.warm import warm_up
from schemas.detection import DetectionSettings
from schemas.located import LOCATED, LocatedArray, record_hash
from schemas.region import RegionFile, load_region
from schemas.settings import load_settings
from simulation.records import SimulatedRecord, simulate

#: Simulated histories that lie upon each other: with seven of two years there are about 80,000 records with a place.
LAYERS: Final = 7
RESCORED: Final = 2_000
FIGURES: Final = {
    "chicago": ("chicago_10y_seconds",),
    "hampshire": ("rescore_p99_ms", "tick_ms", "detector_rss_mb"),
}
UNITS: Final = {"chicago_10y_seconds": "s", "rescore_p99_ms": "ms", "tick_ms": "ms", "detector_rss_mb": "MB"}
EXPLAINED: Final = {
    "chicago_10y_seconds": "a look at every quarter of an hour that brought something, with refits and calibrations",
    "rescore_p99_ms": f"99th percentile of {RESCORED} times one record applied and the region looked at",
    "tick_ms": "the dearest of four weeks of hourly ticks: one that fits the baseline anew and judges all windows",
    "detector_rss_mb": "resident memory of the whole process at its highest, interpreter and compiled code included",
}


def detector_figure(name: str, runs: int) -> tuple[float, str, list[float], str, str]:
    """Median of a figure, its unit, the runs, the command, and what it holds."""
    part = next(part for part, names in FIGURES.items() if name in names)
    if part == "chicago":
        data_file(CHICAGO)
    found = [_measured(part, run)[name] for run in range(runs)]
    return round(median(found), 3), UNITS[name], found, f"python -m bench.detector {part}", EXPLAINED[name]


def detector_seconds(run: int) -> float:
    """One run of ten years of Chicago; `run` tells runs apart."""
    data_file(CHICAGO)
    return _measured("chicago", run)["chicago_10y_seconds"]


@cache
def _measured(part: str, run: int) -> dict[str, float]:
    """One run of a part, in a process of its own; it gives several figures."""
    command = [sys.executable, "-m", "bench.detector", part]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def chicago() -> dict[str, float]:
    """Ten years through the detector, and its detections through the tracker, on one core."""
    region = load_region(ROOT / "regions" / "chicago.toml")
    rows = read_rows(data_file(CHICAGO), region, date(2019, 12, 31), load_settings())
    detector = Detector(DetectionSettings(), region.zone, PublicHolidays(region.holidays))
    began = time.perf_counter()
    if not tracks_opened(detector, rows, since=0):
        raise RuntimeError("ten years of Chicago opened no track")
    return {"chicago_10y_seconds": time.perf_counter() - began}


def write_rows(path: str) -> None:
    """Two simulated years of Hampshire at seven times the volume, as known when they end."""
    region = load_region(ROOT / "regions" / "hampshire.toml")
    start = datetime(2024, 1, 1, tzinfo=UTC)
    records: list[SimulatedRecord] = []
    for layer in range(LAYERS):
        rng = np.random.default_rng(layer)
        found = simulate(region, start, 730, rng, id_prefix=f"SIM-{layer}-")
        records += found.known_at(start + timedelta(days=730)).records
    rows = _located(records, region)
    np.save(path, rows[np.lexsort((rows["record"], rows["recorded_us"]))])


def hampshire() -> dict[str, float]:
    """Single records on top of that history, and ticks over two epochs of bounds."""
    region = load_region(ROOT / "regions" / "hampshire.toml")
    with tempfile.TemporaryDirectory() as folder:
        # In a process of its own, for what simulates is not what is measured.
        path = f"{folder}/rows.npy"
        subprocess.run([sys.executable, "-m", "bench.detector", "rows", path], cwd=ROOT, check=True)
        rows = np.load(path)
    detector = Detector(DetectionSettings(), region.zone, PublicHolidays(region.holidays))
    history, live = rows[:-RESCORED], rows[-RESCORED:]
    detector.apply(history)
    as_of = int(history["recorded_us"][-1] // 1_000_000)
    if detector.look(as_of).calibration is None:
        raise RuntimeError("the simulated history gave no calibration")
    held = len(detector.store)
    spent = []
    for row in live:
        as_of = max(as_of, int(row["recorded_us"]) // 1_000_000)
        began = time.perf_counter()
        detector.apply(row.reshape(1))
        look = detector.look(as_of)
        if not look.refitted:
            spent.append(time.perf_counter() - began)
    ticks = []
    for _ in range(2 * EPOCH_HOURS):
        as_of += HOUR_S
        began = time.perf_counter()
        if not detector.look(as_of).calibrated:
            ticks.append(time.perf_counter() - began)
    return {
        "records": float(held),
        "rescore_p99_ms": float(np.percentile(spent, 99)) * 1e3,
        "tick_ms": max(ticks) * 1e3,
        "detector_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _located(records: list[SimulatedRecord], region: RegionFile) -> LocatedArray:
    numbers = {source.id: number for number, source in enumerate(region.sources)}
    cell_m = region.cell_m
    placed = [record for record in records if record.easting is not None and record.northing is not None]
    rows = np.zeros(len(placed), LOCATED)
    rows["record"] = [record_hash(record.source, record.record_id) for record in placed]
    rows["revision"] = [record.revision for record in placed]
    rows["kind"] = [record.kind for record in placed]
    rows["status"] = [record.status for record in placed]
    rows["ix"] = [int((record.easting or 0.0) // cell_m) for record in placed]
    rows["iy"] = [int((record.northing or 0.0) // cell_m) for record in placed]
    rows["occurred"] = [int(record.occurred_at.timestamp()) for record in placed]
    rows["recorded_us"] = [int(record.recorded_at.timestamp() * 1e6) for record in placed]
    rows["source"] = [numbers[record.source] for record in placed]
    rows["weight"] = 1
    return rows


if __name__ == "__main__":
    if sys.argv[1] == "rows":
        write_rows(sys.argv[2])
    else:
        warm_up()
        print(json.dumps({"chicago": chicago, "hampshire": hampshire}[sys.argv[1]]()))
