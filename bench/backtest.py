"""How long `hotspot backtest` takes: ten years of Chicago with the monitor alone, report included."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from statistics import median

from bench.source import CHICAGO, ROOT, data_file


def backtest_10y_seconds(runs: int) -> tuple[float, str, list[float], str, str]:
    """Median seconds, their unit, the runs, the command, and what limits it."""
    arguments = ["--region", "regions/chicago.toml", "--train-until", "2010-04-30", "--until", "2019-12-31"]
    command = [sys.executable, "-m", "cli", "backtest", str(data_file(CHICAGO)), *arguments]
    taken = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as out:
            begin = time.perf_counter()
            subprocess.run([*command, "--out", out], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            taken.append(time.perf_counter() - begin)
    shown = f"hotspot backtest $HOTSPOT_DATA/{CHICAGO} {' '.join(arguments)} --out DIR"
    limit = (
        "one history is looked through by one process, and the rankings of places with it; expected counts are worked "
        "out beside it, and the PDF is drawn when all is done"
    )
    return round(median(taken), 1), "s", taken, shown, limit
