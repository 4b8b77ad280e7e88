"""Backtests behind docs/evaluation.md: runs them, and writes their tables between the marks of that page.

python -m bench.evaluation development    # 2014 to 2016, on which defaults were chosen
python -m bench.evaluation held-out       # 2017 to 2019 and Memphis, measured once
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.evaluation_tables import expectations, overall, places, tables
from bench.source import CHICAGO, ROOT, data_file
from schemas.backtest import BacktestMetrics

MEMPHIS: Final = "memphis_robbery_2019.csv.gz"
PAGE: Final = ROOT / "docs" / "evaluation.md"
#: The part of the incidents that a simulated second source tells.
SPLIT: Final = "0.3"
#: The other methods that found most on the years on which defaults were chosen.
OTHERS: Final = ("--compare", "permutation,threshold,cusum")


@dataclass(frozen=True)
class Run:
    """One backtest."""

    name: str
    title: str
    options: tuple[str, ...]
    """Beside the file, the region and the period."""
    file: str = CHICAGO
    region: str = "chicago"
    days: tuple[str, str] | None = None
    """Other days than those of the period: the last to learn from, and the last."""
    whole: bool = False
    """Whether expected counts and ranked places are told too: of runs on one history they would be the same."""

    def command(self, days: tuple[str, str], out: Path) -> list[str]:
        """The command line."""
        train, until = self.days or days
        words = ["hotspot", "backtest", str(data_file(self.file)), "--region", f"regions/{self.region}.toml"]
        return [*words, "--train-until", train, "--until", until, *self.options, "--out", str(out)]


CHICAGO_RUNS: Final = (
    Run("grid", "Hotspots of the grid", ("--inject", "grid", "--compare", "all"), whole=True),
    Run("growing", "Hotspots that grow", ("--inject", "grid-growing", *OTHERS)),
    Run(
        "second",
        "Hotspots that come half from a second source",
        ("--inject", "grid-second", "--split-second", SPLIT, *OTHERS),
    ),
    Run("weekend-nights", "Hotspots of weekend nights", ("--inject", "grid-weekend-nights", *OTHERS)),
    Run("afternoons", "Hotspots of afternoons", ("--inject", "grid-afternoons", *OTHERS)),
    Run(
        "late",
        "Half from a second source, with delays and silent weeks",
        ("--inject", "grid-second", "--split-second", SPLIT, "--delays", "silent", *OTHERS),
    ),
    Run("null", "Simulated years", ("--null-years", "40")),
)
SETTINGS: Final = Run("settings", "Other settings", ("--inject", "grid", "--effects", "setting"))
ROBBERIES: Final = Run(
    "memphis",
    "Memphis, robberies",
    ("--inject", "grid", "--compare", "all"),
    MEMPHIS,
    "memphis",
    ("2019-06-30", "2019-12-31"),
    whole=True,
)
PERIODS: Final = {
    "development": (("2013-12-31", "2016-12-31"), (*CHICAGO_RUNS, SETTINGS)),
    "held-out": (("2016-12-31", "2019-12-31"), (*CHICAGO_RUNS, ROBBERIES)),
}


def main() -> int:
    """Run the backtests of a period, and write the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.evaluation", description=__doc__)
    parser.add_argument("period", choices=PERIODS)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "evaluation", help="folder of the results")
    parser.add_argument("--only", nargs="*", default=None, help="names of runs; others keep their results of before")
    arguments = parser.parse_args()
    days, runs = PERIODS[arguments.period]
    done: list[tuple[Run, BacktestMetrics]] = []
    seconds: list[float] = []
    for run in runs:
        folder = arguments.out / arguments.period / run.name
        command = run.command(days, folder)
        taken, metrics = folder / "seconds.json", folder / "metrics.json"
        if arguments.only is None or run.name in arguments.only:
            begin = time.perf_counter()
            subprocess.run([sys.executable, "-m", "cli", *command[1:]], cwd=ROOT, check=True)
            taken.write_text(json.dumps(time.perf_counter() - begin))
        if metrics.exists():
            done.append((run, BacktestMetrics.model_validate_json(metrics.read_text(encoding="utf-8"))))
            seconds += [float(taken.read_text())] if taken.exists() else []
    told = [overall([(run.title, metrics) for run, metrics in done])]
    told += [tables(run.title, shown(run.command(days, Path(run.name))), metrics) for run, metrics in done]
    for run, metrics in done:
        if run.whole:
            told += [f"### {run.region.title()}: expected counts, and places ranked for the next week\n"]
            told += [expectations(metrics), places(metrics)]
    if len(seconds) == len(runs):
        told.append(f"All these backtests took {sum(seconds) / 60:.0f} minutes on {os.cpu_count()} cores.\n")
    write_between(PAGE, arguments.period, "\n".join(part for part in told if part))
    return 0


def shown(command: list[str]) -> str:
    """The command with the data's folder left out."""
    return shlex.join([Path(word).name if word.endswith(".gz") else word for word in command])


def write_between(page: Path, mark: str, text: str) -> None:
    """Replace what stands between two marks of a page. Raises ValueError where they are not there."""
    begin, end = f"<!-- begin {mark} -->\n", f"<!-- end {mark} -->"
    old = page.read_text(encoding="utf-8")
    if begin not in old or end not in old:
        raise ValueError(f"{page} has no marks {begin.strip()} and {end}")
    before, after = old.split(begin)[0], old.split(end)[1]
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
