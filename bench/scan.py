"""How long `hotspot scan` takes on the inputs that SaTScan was timed on: 999 replications, one thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.source import ROOT, BenchDataMissingError

CASES = ("city_a_permutation", "city_a_poisson", "city_b_permutation", "city_b_poisson")


def reference() -> Path:
    """The folder that HOTSPOT_REFERENCE names, or ../shared/reference. Raises BenchDataMissingError."""
    folder = Path(os.environ.get("HOTSPOT_REFERENCE", ROOT.parent / "shared" / "reference"))
    if not folder.is_dir():
        raise BenchDataMissingError("It needs the folder of SaTScan's inputs and answers that HOTSPOT_REFERENCE names.")
    return folder


def scan_seconds(case: str, runs: int) -> tuple[float, str, list[float], str, str]:
    """Median seconds of the result, its unit, the runs, the command, and how that compares with SaTScan."""
    folder = reference() / case
    town, model = case[len("city_")], case.rpartition("_")[2]
    arguments = ["--model", model, "--cases", f"{town}.cas", "--geo", f"{town}.geo"]
    arguments += ["--pop", f"{town}.pop"] if model == "poisson" else []
    arguments += ["--start", "2025-01-01", "--end", "2025-12-31", "--max-radius", "2000", "--max-days", "28"]
    arguments += ["--replications", "999", "--seed", "1", "--threads", "1"]
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
    answers = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    theirs = float(answers["modes"]["standard_mc"]["timing"]["wall_s_median"])
    limit = (
        f"limited by the processor; SaTScan 10.3.2 was timed at {theirs:.2f} s on a machine of this kind, "
        f"{theirs / median(seconds):.1f} times as long as the scan here, and {theirs / median(whole):.1f} times as "
        f"long as the whole command ({median(whole):.2f} s)"
    )
    shown = f"cd $HOTSPOT_REFERENCE/{case} && hotspot scan {' '.join(arguments)} --out RESULT.json"
    return round(median(seconds), 4), "s", seconds, shown, limit
