"""Drives a detector over Chicago's published incidents, in the order of their record times, and says what it cost.

There are no record times in the file: an incident counts as recorded when it happened. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from pyproj import Transformer

from processors.calibration import LOOK_S, Calibration
from processors.detector import Detector
from processors.public_holidays import PublicHolidays
from processors.tracking import Track, Tracker
from processors.verify import null_records
from processors.warm import warm_up
from schemas.detection import DetectionSettings
from schemas.located import LOCATED, Kind, LocatedArray, record_hash
from schemas.region import RegionFile, load_region

ROOT = Path(__file__).resolve().parent.parent
FILE = "chicago_aggravated_assault_2010_2019.csv.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(os.environ.get("HOTSPOT_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--file", type=Path, default=data / FILE)
    parser.add_argument("--region", type=Path, default=ROOT / "regions" / "chicago.toml")
    parser.add_argument("--from", dest="begin", type=date.fromisoformat, default=date(2013, 1, 1))
    parser.add_argument("--to", dest="end", type=date.fromisoformat, default=date(2016, 12, 31), help="included")
    parser.add_argument("--tracks", action="store_true", help="list the tracks too")
    parser.add_argument(
        "--null",
        type=int,
        metavar="SEED",
        help="then drive another detector over simulated years of nothing but the usual, as the last baseline has it",
    )
    args = parser.parse_args()
    if not args.file.exists():
        parser.error(f"there is no {args.file}; name one with --file, or its folder with HOTSPOT_DATA")
    region = load_region(args.region)
    warm_up()
    rows = read_rows(args.file, region, args.begin, args.end)
    settings = DetectionSettings()
    detector, result = drive(rows, region, settings, args.tracks)
    if args.null is not None:
        rows = null_rows(detector, weeks=(args.end - args.begin).days // 7, seed=args.null)
        result["simulated_null"] = drive(rows, region, settings, args.tracks)[1]
    print(json.dumps(result, indent=2))


def read_rows(path: Path, region: RegionFile, begin: date, end: date) -> LocatedArray:
    """Located rows of the local days begin..end, sorted by record time."""
    ids, times, longitudes, latitudes = [], [], [], []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for line in csv.DictReader(lines):
            if begin.isoformat() <= line["occurred_at"][:10] <= end.isoformat():
                ids.append(line["event_id"])
                times.append(int(datetime.fromisoformat(line["occurred_at"]).timestamp()))
                longitudes.append(float(line["longitude"]))
                latitudes.append(float(line["latitude"]))
    x, y = Transformer.from_crs("EPSG:4326", region.crs, always_xy=True).transform(longitudes, latitudes)
    rows = np.zeros(len(ids), LOCATED)
    rows["record"] = [record_hash("chicago", record) for record in ids]
    rows["revision"] = 1
    rows["kind"] = Kind.POLICE
    rows["weight"] = 1
    rows["ix"] = np.floor(np.asarray(x) / region.cell_m)
    rows["iy"] = np.floor(np.asarray(y) / region.cell_m)
    rows["occurred"] = times
    rows["recorded_us"] = rows["occurred"] * 1_000_000
    return rows[np.lexsort((rows["record"], rows["recorded_us"]))]


def null_rows(detector: Detector, weeks: int, seed: int) -> LocatedArray:
    """Simulated records: the last baseline for ever."""
    if detector.baseline is None:
        raise SystemExit("These dates are too few for a baseline, so there is nothing to simulate from.")
    rng = np.random.default_rng(seed)
    return null_records(detector.baseline, detector.variation(), detector.local, weeks, rng)


def drive(
    rows: LocatedArray, region: RegionFile, settings: DetectionSettings, list_tracks: bool
) -> tuple[Detector, dict[str, Any]]:
    """Apply and look at each quarter of an hour at which something new is known."""
    detector = Detector(settings, region.zone, PublicHolidays(region.holidays))
    tracker = Tracker()
    opened: list[Track] = []
    calibrations: list[Calibration] = []
    spent: defaultdict[str, float] = defaultdict(float)
    times: Counter[str] = Counter()
    moments = -(-rows["recorded_us"] // (LOOK_S * 1_000_000)) * LOOK_S
    starts = np.flatnonzero(np.diff(moments, prepend=-1))
    for start, end in zip(starts, [*starts[1:], rows.size], strict=True):
        as_of = int(moments[start])
        began = time.perf_counter()
        detector.apply(rows[start:end])
        applied = time.perf_counter()
        look = detector.look(as_of)
        looked = time.perf_counter()
        part = "calibrate" if look.calibrated else "refit" if look.refitted else "look"
        spent["apply"] += applied - began
        spent[part] += looked - applied
        times[part] += 1
        if look.calibrated and look.calibration:
            calibrations.append(look.calibration)
        if look.calibration:
            c = look.calibration
            opened += tracker.step(look.detections, as_of, c.threshold, c.floor).opened
        spent["track"] += time.perf_counter() - looked
    return detector, report(rows, opened, calibrations, spent, times, list_tracks)


def report(
    rows: LocatedArray,
    opened: list[Track],
    calibrations: list[Calibration],
    spent: Mapping[str, float],
    times: Counter[str],
    list_tracks: bool,
) -> dict[str, Any]:
    """What is printed."""
    years = Counter(datetime.fromtimestamp(track.opened_at, UTC).year for track in opened)
    result: dict[str, Any] = {
        "records": int(rows.size),
        "seconds": {part: round(s, 2) for part, s in spent.items()} | {"total": round(sum(spent.values()), 2)},
        "times": dict(times),
        "apply_us_a_record": round(spent["apply"] / rows.size * 1e6, 1),
        "look_us": round(spent["look"] / max(times["look"], 1) * 1e6, 1),
        "refit_ms": round(spent.get("refit", 0.0) / max(times["refit"], 1) * 1e3, 1),
        "calibrate_s": round(spent.get("calibrate", 0.0) / max(times["calibrate"], 1), 2),
        "tracks_per_28_days": {year: round(n / 365.25 * 28, 2) for year, n in sorted(years.items())},
        "calibrations": [
            {
                "made_at": datetime.fromtimestamp(c.made_at, UTC).date().isoformat(),
                "threshold": round(c.threshold, 2),
                "error": round(c.threshold_error, 2),
                "tail": [round(v, 3) for v in c.tail],
                "peaks": c.n_peaks,
                "dispersion": [[round(v, 3) for v in scale] for scale in c.dispersion],
            }
            for c in calibrations
        ],
    }
    if list_tracks:
        result["tracks"] = [
            [datetime.fromtimestamp(t.opened_at, UTC).isoformat(), round(t.peak, 1), list(t.window)] for t in opened
        ]
    return result


if __name__ == "__main__":
    main()
