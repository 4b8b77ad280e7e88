"""`make bench`: measures every promised figure and writes bench/results.json."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import latency, recovery, throughput
from bench.backtest import backtest_10y_seconds
from bench.detector import UNITS, detector_figure
from bench.replay import replay_records_per_second, replay_vs_detector
from bench.results import Figure, write
from bench.scan import CASES, scan_seconds
from bench.source import BenchDataMissingError

#: Figures of the stream, which are noisier: medians of so many runs.
STREAM_RUNS = 5
RUNS = 3
STREAM: dict[str, Callable[[int], Figure]] = {
    **{name: lambda runs, name=name: Figure(*throughput.throughput_figure(name, runs)) for name in throughput.UNITS},  # type: ignore[misc]
    **{name: lambda runs, name=name: Figure(*latency.latency_figure(name, runs)) for name in latency.UNITS},  # type: ignore[misc]
    **{name: lambda runs, name=name: Figure(*recovery.recovery_figure(name, runs)) for name in recovery.UNITS},  # type: ignore[misc]
}
FIGURES: dict[str, Callable[[int], Figure]] = {
    "backtest_10y_seconds": lambda runs: Figure(*backtest_10y_seconds(runs)),
    **STREAM,
    "replay_records_per_second": lambda runs: Figure(*replay_records_per_second(runs)),
    "replay_vs_detector": lambda runs: Figure(*replay_vs_detector(runs)),
    **{name: lambda runs, name=name: Figure(*detector_figure(name, runs)) for name in UNITS},  # type: ignore[misc]
    **{f"scan_{case}_seconds": lambda runs, case=case: Figure(*scan_seconds(case, runs)) for case in CASES},  # type: ignore[misc]
}


def main() -> int:
    """Measure the figures asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("figures", nargs="*", help=f"of {', '.join(FIGURES)}; all without any")
    parser.add_argument("--runs", type=int, help=f"runs of each (default {RUNS}, of the stream {STREAM_RUNS})")
    arguments = parser.parse_args()
    unknown = set(arguments.figures) - FIGURES.keys()
    if unknown:
        parser.error(f"there is no figure {sorted(unknown)[0]!r}")
    for name in arguments.figures or FIGURES:
        try:
            figure = FIGURES[name](arguments.runs or (STREAM_RUNS if name in STREAM else RUNS))
        except BenchDataMissingError as missing:
            print(f"{name}: not measured. {missing}", file=sys.stderr)
            continue
        write({name: figure})
        print(f"{name}: {figure.value:g} {figure.unit} (runs {figure.runs}); {figure.limited_by}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
