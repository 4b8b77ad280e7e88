"""How fast `hotspot replay` goes end to end on Chicago, every look included, beside the detector by itself."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.detector import detector_seconds
from bench.source import CHICAGO, ROOT, data_file


def replay_records_per_second(runs: int) -> tuple[float, str, list[float], str, str]:
    """Median records a second, its unit, the runs, the command, and what limits it."""
    arguments = ["--region", "regions/chicago.toml", "--from", "2013-01-01", "--to", "2016-12-31", "--embedded"]
    command = [sys.executable, "-m", "cli", "replay", str(data_file(CHICAGO)), *arguments]
    rates = []
    busy = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as out:
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, "--out", out], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            summary = json.loads((Path(out) / "summary.json").read_text(encoding="utf-8"))
        rates.append(float(summary["records_per_second"]))
        cpu = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
        busy.append(cpu / (summary["records"] / summary["records_per_second"]))
    shown = f"hotspot replay $HOTSPOT_DATA/{CHICAGO} {' '.join(arguments)} --out DIR"
    limit = (
        f"limited by processor time: {median(busy):.2f} processors are busy with the whole command; looks, refits and "
        "calibrations run in one kernel thread, which shares the interpreter lock with parsing outside of the kernels"
    )
    return round(median(rates), 1), "records/s", rates, shown, limit


def replay_vs_detector(runs: int) -> tuple[float, str, list[float], str, str]:
    """Median of (whole command `hotspot replay` / detector alone) on ten years of Chicago, in turns."""
    arguments = ["--region", "regions/chicago.toml", "--from", "2010-01-01", "--to", "2019-12-31", "--embedded"]
    command = [sys.executable, "-m", "cli", "replay", str(data_file(CHICAGO)), *arguments]
    ratios, alone, whole = [], [], []
    for run in range(runs):
        alone.append(detector_seconds(run))
        with tempfile.TemporaryDirectory() as out:
            began = time.perf_counter()
            subprocess.run([*command, "--out", out], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            whole.append(time.perf_counter() - began)
        ratios.append(round(whole[-1] / alone[-1], 3))
    shown = f"hotspot replay $HOTSPOT_DATA/{CHICAGO} {' '.join(arguments)} --out DIR; python -m bench.detector chicago"
    limit = (
        f"the whole command takes {median(whole):.1f} s, from its start to its end, and the detector alone "
        f"{median(alone):.1f} s on the same records and looks, once they are read and the kernels compiled; in turns"
    )
    return round(median(ratios), 3), "times", ratios, shown, limit
