"""`make scale`: England and Wales, simulated, on 1, 2 and 4 workers; writes what grows and how into docs/scale.md.

Results are kept in build/scale/results.json after each number of workers; what is there already of the same plan is not
measured again, so a run that was ended goes on where it was. `--share 0.02` takes minutes, the whole nation hours.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from bench.evaluation import write_between
from bench.scale_history import History, Plan, prepare
from bench.scale_page import page_part
from bench.scale_results import Results, expected_seconds, read_results, write_results
from bench.scale_run import run
from bench.source import ROOT, BenchDataMissingError
from schemas.base import utc_now
from schemas.region import first_sentence
from simulation.nation import FORCES

PAGE: Final = ROOT / "docs" / "scale.md"
MARK: Final = "scale"
OUT: Final = ROOT / "build" / "scale"
WORKERS: Final = (1, 2, 4)
#: What the workers may take together: the rest of 24 GiB is for the broker, the system and this program.
MEMORY_GIB: Final = 20.0


def main(given: Sequence[str] | None = None) -> int:
    """Measure what is not measured yet, keep it, and write the page."""
    load_before = round(os.getloadavg()[1], 1)
    parser = _parser()
    arguments = parser.parse_args(given)
    try:
        plan = Plan(**{name: getattr(arguments, name) for name in Plan.model_fields})
    except ValidationError as error:
        parser.error(first_sentence(error))
    if min(arguments.workers) < 1:
        parser.error("there is at least one worker")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # through every `finally`: no server and no worker is left
    kept = arguments.out / "results.json"
    results = Results(plan=plan) if arguments.again else read_results(kept, plan)
    missing = [workers for workers in arguments.workers if workers not in results.by_workers]
    if missing:
        history = _prepared(plan, arguments.out / "history", len(missing))
        for workers in missing:
            print(f"{workers} workers", flush=True)
            try:
                result = run(history, arguments.out / "history", workers, arguments.memory_gib * 1024)
            except BenchDataMissingError as absent:
                print(f"Not measured. {absent}", file=sys.stderr)
                return 2
            results = results.with_result(result.model_copy(update={"load_before": load_before}))
            write_results(kept, results)
    write_between(arguments.page, MARK, page_part(results))
    print(f"Results in {kept}, tables in {arguments.page}.")
    return 0


def _prepared(plan: Plan, folder: Path, runs: int) -> History:
    seconds = expected_seconds(plan, runs, len(FORCES), simulated=(folder / "history.json").exists())
    records = plan.simulated_per_year * plan.years
    print(f"About {records:,.0f} simulated records, {runs} runs: about {seconds / 60:.0f} minutes.", flush=True)
    return prepare(plan, folder, utc_now())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    plan = Plan()
    parser.add_argument("--years", type=int, default=plan.years, help=f"of history (default {plan.years})")
    parser.add_argument(
        "--records-per-year",
        type=int,
        default=plan.records_per_year,
        help=f"of all regions together (default {plan.records_per_year})",
    )
    parser.add_argument("--share", type=float, default=plan.share, help="part of the records to simulate (default 1)")
    parser.add_argument(
        "--partitions", type=int, default=plan.partitions, help=f"of the located topic (default {plan.partitions})"
    )
    parser.add_argument("--seed", type=int, default=plan.seed, help=f"of the simulation (default {plan.seed})")
    parser.add_argument(
        "--calibration-days",
        type=int,
        default=plan.calibration_days,
        help=f"of each region (default {plan.calibration_days}, as of workers); 28 for a quick try",
    )
    parser.add_argument(
        "--workers", type=int, nargs="+", default=list(WORKERS), help=f"numbers of workers (default {WORKERS})"
    )
    parser.add_argument("--memory-gib", type=float, default=MEMORY_GIB, help="end where workers take more than this")
    parser.add_argument("--again", action="store_true", help="measure again what was measured before")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of history and results")
    parser.add_argument("--page", type=Path, default=PAGE, help="page that has the marks to write between")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
