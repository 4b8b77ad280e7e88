"""A backtest: the monitor and other methods over a past period, with and without planted hotspots, on all cores."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from evaluation.cellwise import cellwise
from evaluation.lateness import MICRO, Lateness, delayed
from evaluation.matching import Found, found
from evaluation.methods import Method, level_of, opened
from evaluation.monitored import Monitored
from evaluation.planting import Hotspot, Planter, Sources
from evaluation.scan_daily import PermutationScan
from processors.feeds import codes_of
from processors.grid import Grid
from processors.localtime import DAY_S, LocalHours
from processors.tracking import Seen
from schemas.detection import DetectionSettings
from schemas.evaluation import Fraction, HotspotSpec, MethodResult
from schemas.located import Kind, LocatedArray, join, pick
from schemas.region import RegionFile

MONITOR: Final = "monitor"
COMPARATORS: Final = ("permutation", "threshold", "ears-c2", "gi-star", "cusum")
LOOK_S: Final = 900
#: Hotspots begin so long before the end of the period at the latest, so that they can still be found.
TAIL_DAYS: Final = 7
_Z95: Final = 1.959964


@dataclass(frozen=True)
class Plan:
    """What is to be done."""

    rows: LocatedArray
    """In the order in which they become known."""
    region: RegionFile
    local: LocalHours
    settings: DetectionSettings
    since: int
    until: int
    """The period, s."""
    lateness: Lateness
    specs: tuple[HotspotSpec, ...]
    methods: tuple[str, ...]
    """Beside the monitor."""
    seed: int


class Outcome(NamedTuple):
    """What was seen of one method, and what became of the planted hotspots."""

    result: MethodResult
    found: tuple[Found, ...]


class _Job(NamedTuple):
    method: str
    run: int
    """−1: nothing planted."""


class _Seen(NamedTuple):
    job: _Job
    seen: Seen
    planted: LocatedArray
    hotspots: tuple[Hotspot, ...]


class _Scene:
    """A plan with the hotspots drawn: forked processes share it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.background = delayed(plan.rows, plan.lateness, plan.local, np.random.default_rng([plan.seed, 1]))
        self.runs: list[list[Hotspot]] = []
        if plan.specs:
            known = pick(self.background, self.background["recorded_us"] < plan.until * MICRO)
            sources = _sources(known)
            until = plan.until - TAIL_DAYS * DAY_S
            self.planter = Planter(known, plan.since, until, sources, Grid(plan.region), plan.local)
            self.runs = self.planter.runs(plan.specs, np.random.default_rng([plan.seed, 2]))

    def work(self, job: _Job) -> _Seen:
        """Look through one copy of the history with one method."""
        plan, rows = self.plan, self.background
        planted, hotspots = rows[:0], tuple[Hotspot, ...]()
        if job.run >= 0:
            planted, hotspots = self.planter.plant(self.runs[job.run], plan.seed)
            planted = delayed(planted, plan.lateness, plan.local, np.random.default_rng([plan.seed, 3, job.run]))
            rows = join([rows, planted])
            rows = pick(rows, np.lexsort((rows["record"], rows["recorded_us"])))
        if job.method != MONITOR:
            rows = pick(rows, rows["kind"] == _first_kind(rows))
        return _Seen(job, _method(job.method, plan).seen(rows, plan.since, plan.until), planted, hotspots)


_scene: _Scene | None = None  # of this process; set before others are forked off


def _work(job: _Job) -> _Seen:
    assert _scene is not None
    return _scene.work(job)


def run_backtest(plan: Plan, tell: Callable[[int, int], None] = lambda done, total: None) -> tuple[list[Outcome], int]:
    """Results of the monitor and then of the other methods, and how many copies of the history there were.

    Methods that look at one source see the records of the first kind alone (police, where there are any).
    """
    global _scene
    _scene = _Scene(plan)
    names = (MONITOR, *plan.methods)
    jobs = [_Job(name, run) for name in names for run in range(-1, len(_scene.runs))]
    seen: dict[_Job, _Seen] = {}
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("fork")) as pool:
        for done in as_completed([pool.submit(_work, job) for job in jobs]):
            result = done.result()
            seen[result.job] = result
            tell(len(seen), len(jobs))
    allowed = int(opened(seen[_Job(MONITOR, -1)].seen, plan.since, 1.0).when.size)
    return [_outcome(plan, name, allowed, seen, len(_scene.runs)) for name in names], len(_scene.runs)


def _outcome(plan: Plan, name: str, allowed: int, seen: dict[_Job, _Seen], runs: int) -> Outcome:
    plain = seen[_Job(name, -1)].seen
    level = 1.0 if name == MONITOR else level_of(plain, plan.since, allowed)
    episodes = int(opened(plain, plan.since, level).when.size)
    all_found: list[Found] = []
    for run in range(runs):
        of_run = seen[_Job(name, run)]
        all_found += found(of_run.hotspots, of_run.planted, opened(of_run.seen, plan.since, level))
    by_name = {spec.name: [f for f in all_found if f.hotspot.spec.name == spec.name] for spec in plan.specs}
    places = {str(spec.place or "anywhere") for spec in plan.specs}
    by_place = {p: [f for f in all_found if str(f.hotspot.spec.place or "anywhere") == p] for p in sorted(places)}
    result = MethodResult(
        method=name,
        level=level,
        episodes=episodes,
        episodes_per_28_days=episodes / ((plan.until - plan.since) / DAY_S) * 28,
        all=fraction(all_found) if all_found else None,
        by_name={key: fraction(some) for key, some in by_name.items()},
        by_place={key: fraction(some) for key, some in by_place.items()},
    )
    return Outcome(result, tuple(all_found))


def fraction(planted: Sequence[Found]) -> Fraction:
    """How many were found, and how soon."""
    days = [f.days for f in planted if f.days is not None]
    n, part = len(planted), len(days) / len(planted)
    middle = (part + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    wide = _Z95 / (1 + _Z95**2 / n) * float(np.sqrt(part * (1 - part) / n + _Z95**2 / (4 * n**2)))
    lower, median, upper = np.percentile(days, [25, 50, 75]).tolist() if days else (None, None, None)
    return Fraction(
        planted=n,
        found=len(days),
        fraction=part,
        low=max(middle - wide, 0.0),
        high=min(middle + wide, 1.0),
        median_days=median,
        lower_quartile_days=lower,
        upper_quartile_days=upper,
    )


def _first_kind(rows: LocatedArray) -> Kind:
    return Kind.POLICE if (rows["kind"] == Kind.POLICE).any() else Kind.ED


def _sources(rows: LocatedArray) -> Sources:
    """The busiest source of the first kind, and of the second where there is one."""
    codes, n = np.unique(codes_of(rows), return_counts=True)
    first = _first_kind(rows)
    best: dict[int, int] = {}
    for code in codes[np.argsort(n, kind="stable")].tolist():
        best[code >> 16] = code
    return Sources(best[first], best.get(1 - first, best[first]))


def _method(name: str, plan: Plan) -> Method:
    if name == MONITOR:
        return Monitored(plan.region, plan.settings, LOOK_S)
    others: list[Method] = [PermutationScan(plan.local, plan.region.cell_m)]
    others += cellwise(plan.local, plan.region.cell_m)
    return next(method for method in others if method.name == name)
