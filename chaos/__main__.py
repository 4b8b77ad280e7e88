"""`make chaos`: rounds of seeded trouble; exit code 1 and the seed of the round on any difference."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from chaos.broker import ChaosKafka
from chaos.outcome import Outcome
from chaos.plan import QUICK, Plan, Scale, Trouble, plan_round
from chaos.round import Report, Round, Servers
from chaos.workers import Place, faketime
from schemas.region import load_region
from tests.servers.process import ServerMissingError
from tests.servers.redis_server import RedisServer

ROOT = Path(__file__).resolve().parent.parent
#: A broker keeps what it was told of topics that are deleted: a fresh one now and then keeps starts short.
ROUNDS_A_BROKER = 10


def main(arguments: list[str] | None = None) -> int:
    """Play rounds. Returns 0, 1 on a difference, 2 where this machine lacks a server."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))  # so that what was started is stopped
    options = _parser().parse_args(arguments)
    base = QUICK if options.quick else Scale()
    given = {"pause_s": options.pause, "session_s": options.session}
    scale = replace(base, **{name: value for name, value in given.items() if value is not None})
    numbers = [options.only] if options.only is not None else list(range(1, options.rounds + 1))
    directory = Path(tempfile.mkdtemp(prefix="hotspot-chaos-"))
    failed: list[Report] = []
    places: list[Place] = []
    try:
        with RedisServer(directory / "redis") as redis:
            places += [Place(number, directory, cold=options.cold) for number in range(scale.most_workers)]
            for start in range(0, len(numbers), ROUNDS_A_BROKER):
                some = numbers[start : start + ROUNDS_A_BROKER]
                failed += _play(some, scale, redis.url, places, directory / f"broker-{start}", options)
                if failed and not options.go_on:
                    break
    except ServerMissingError as missing:
        print(missing, file=sys.stderr)
        return 2
    finally:
        for place in places:
            place.close()
        if not failed:
            shutil.rmtree(directory, ignore_errors=True)
    if not failed:
        print(f"{len(numbers)} rounds, seed {options.seed}: each ended as its undisturbed run.")
        return 0
    print(f"{len(failed)} of the rounds differ. What they left is in {directory}.")
    return 1


def _play(
    numbers: list[int],
    scale: Scale,
    redis_url: str,
    places: list[Place],
    directory: Path,
    options: argparse.Namespace,
) -> list[Report]:
    """Rounds on one broker; the reports of those that differ."""
    seed: int = options.seed
    template = load_region(ROOT / "regions" / "hampshire.toml")
    broker = ChaosKafka(directory, scale.most_workers, random.Random(f"{seed}/{numbers[0]}/{time.time_ns()}"))  # noqa: S311
    possible = set(Trouble)
    if not broker.mount_disk():
        possible.discard(Trouble.DISK)
        print("No full disks: a file system of its own for the broker cannot be mounted here (that takes root).")
    if faketime() is None:
        possible.discard(Trouble.CLOCK)
        print("No jumping clocks: libfaketime is not here (`make servers` installs it where it may).")
    servers = Servers(broker, redis_url, places)
    failed = []
    calms: dict[int, Outcome] = {}
    try:
        broker.start()
        for number in numbers:
            plan = plan_round(seed, number, scale, frozenset(possible))
            round_ = Round(plan, servers, template, directory / f"round-{number}")
            report, calm = round_.play(calms.get(plan.log))
            calms = {plan.log: calm}
            print(f"round {number}: {'as undisturbed' if not report.wrong else 'DIFFERS'}: {report}", flush=True)
            if report.wrong:
                calms.clear()
                failed.append(report)
                for wrong in report.wrong:
                    print(f"  {wrong}")
                print(f"  Again: {_again(plan, options)}", flush=True)
                if not options.go_on:
                    break
            else:
                shutil.rmtree(directory / f"round-{number}", ignore_errors=True)
    finally:
        broker.close()
    return failed


def _again(plan: Plan, options: argparse.Namespace) -> str:
    arguments = [f"SEED={plan.seed}", f"ROUND={plan.number}"]
    more = ["--quick"] if options.quick else []
    more += [] if options.pause is None else [f"--pause {options.pause:g}"]
    more += [] if options.session is None else [f"--session {options.session}"]
    return " ".join(["make chaos", *arguments, *([f'ARGS="{" ".join(more)}"'] if more else [])])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description="Play rounds in which workers and broker are killed, stopped and cut off, each by its seed, and "
        "compare where they end with an undisturbed run over the same records. Needs what `make servers` installs.",
        epilog="example: python -m chaos --rounds 200 --seed 7",
    )
    parser.add_argument("--rounds", type=int, default=10, help="how many (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="seed of all rounds (default 1)")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="only the round of this number")
    parser.add_argument("--pause", type=float, metavar="SECONDS", help="the longest stop of a worker (default 30)")
    parser.add_argument(
        "--session", type=int, metavar="SECONDS", help="silence after which a worker loses its regions (default 10)"
    )
    parser.add_argument("--quick", action="store_true", help="small rounds, as the tests play them")
    parser.add_argument("--cold", action="store_true", help="load the program anew for each start of a worker")
    parser.add_argument("--go-on", action="store_true", help="do not end at the first round that differs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
