"""The parts of a backtest that can be done side by side, and the pool of processes that does them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from evaluation.capture import COUNTED_DAYS, MonitorRankings, Weeks, by_counts
from evaluation.cellwise import cellwise
from evaluation.effects import Way, planned
from evaluation.lateness import MICRO, Lateness, delayed
from evaluation.methods import Method
from evaluation.monitored import Monitored, Watched
from evaluation.nulls import HISTORY_YEARS, NullYears, Usual, histories, null_years, usual_of
from evaluation.plan import Plan
from evaluation.planting import Hotspot, Planter, Sources
from evaluation.scan_daily import PermutationScan
from processors.feeds import codes_of
from processors.grid import Grid
from processors.heldout import hold_out
from processors.localtime import DAY_S
from processors.tracking import Seen
from schemas.backtest import Capture
from schemas.heldout import BaselineReport
from schemas.located import Kind, LocatedArray, join, pick

#: Hotspots begin so long before the end of the period at the latest, so that they can still be found.
TAIL_DAYS: Final = 7
EPOCH: Final = date(1970, 1, 1)
#: The run of a history in which nothing is planted.
PLAIN: Final = -1


class Planted(NamedTuple):
    """What was planted into one copy of the history."""

    hotspots: tuple[Hotspot, ...]
    shown: LocatedArray
    """Their records that were shown to the method."""


class MonitorJob(NamedTuple):
    """The monitor over one copy of the history."""

    way: Way
    run: int


class MethodJob(NamedTuple):
    """Another method over one copy."""

    method: str
    run: int


class NullJob(NamedTuple):
    """One simulated history."""

    number: int
    years: int


class ExpectJob(NamedTuple):
    """The baseline's expectations of the period."""


class RankJob(NamedTuple):
    """A naive ranking of cells."""

    name: str


Job = MonitorJob | MethodJob | NullJob | ExpectJob | RankJob


class MonitorDone(NamedTuple):
    """What became of it."""

    watched: Watched
    planted: Planted
    rankings: dict[str, tuple[Capture, ...]]
    """Of the plain history as planned: of the monitor, and of its expectation alone."""


class MethodDone(NamedTuple):
    """What became of it."""

    seen: Seen
    planted: Planted


class Results:
    """What all jobs brought."""

    def __init__(self) -> None:
        self.monitor: dict[MonitorJob, MonitorDone] = {}
        self.methods: dict[MethodJob, MethodDone] = {}
        self.nulls: dict[NullJob, NullYears] = {}
        self.expectation: BaselineReport | None = None
        self.rankings: dict[str, tuple[Capture, ...]] = {}


class Scene:
    """A plan with the hotspots drawn: forked processes share it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.background = self._background(plan.lateness)
        self.runs: list[list[Hotspot]] = []
        if plan.specs:
            known = pick(plan.rows, plan.rows["recorded_us"] < plan.until * MICRO)
            until = plan.until - TAIL_DAYS * DAY_S
            self._planter = Planter(known, plan.since, until, sources_of(known), Grid(plan.region), plan.local)
            self.runs = self._planter.runs(plan.specs, np.random.default_rng([plan.seed, 2]))
        self._usual: Usual | None = usual_of(plan, self.background) if plan.null_years else None

    def monitor(self, job: MonitorJob) -> MonitorDone:
        """Look through one copy of the history with the monitor."""
        plan = self.plan
        rows, planted = self._copy(job.way.lateness, job.run)
        if job.way.kinds != tuple(Kind):
            rows = pick(rows, np.isin(rows["kind"], job.way.kinds))
            planted = planted._replace(shown=pick(planted.shown, np.isin(planted.shown["kind"], job.way.kinds)))
        monitored = Monitored(plan.region, job.way.settings)
        if job != MonitorJob(planned(plan), PLAIN):
            return MonitorDone(monitored.watch(rows, plan.since, plan.until), planted, {})
        weeks = self._weeks()
        rankings = MonitorRankings(weeks, plan.local)
        watched = monitored.watch(rows, plan.since, plan.until, weeks.mondays, rankings.ask)
        told = {"monitor": rankings.monitor.told(), "expectation": rankings.expectation.told()}
        return MonitorDone(watched, planted, told)

    def method(self, job: MethodJob) -> MethodDone:
        """Look through one copy with another method, at the records of the first kind alone."""
        plan = self.plan
        rows, planted = self._copy(plan.lateness, job.run)
        kind = first_kind(rows)
        seen = _method(job.method, plan).seen(pick(rows, rows["kind"] == kind), plan.since, plan.until)
        return MethodDone(seen, planted._replace(shown=pick(planted.shown, planted.shown["kind"] == kind)))

    def null(self, job: NullJob) -> NullYears:
        """Simulate one history, and look through it."""
        assert self._usual is not None
        return null_years(self.plan, self._usual, job.number, job.years)

    def expect(self) -> BaselineReport | None:
        """What `hotspot baseline` tells of the period; None where there was no baseline in any week of it."""
        plan = self.plan
        first, last = (
            EPOCH + timedelta(days=plan.local.day(plan.since)),
            EPOCH + timedelta(days=plan.local.day(plan.until - 1)),
        )
        held = hold_out(self.background, first, last, plan.settings, plan.local)
        if not held.kinds:
            return None
        kinds = tuple(held.kinds)
        return BaselineReport(
            region=plan.region.id, first=first, last=last, fits=held.fits, settings=plan.settings, kinds=kinds
        )

    def rank(self, job: RankJob) -> tuple[Capture, ...]:
        """Rank cells by what was counted in them."""
        return by_counts(self.background, self._weeks(), self._merge_s, COUNTED_DAYS[job.name])

    @property
    def _merge_s(self) -> int:
        return self.plan.settings.merge_minutes * 60

    def _weeks(self) -> Weeks:
        return Weeks(self.background, self._merge_s, self.plan.since, self.plan.until, self.plan.local)

    def _background(self, lateness: Lateness) -> LocatedArray:
        return delayed(self.plan.rows, lateness, self.plan.local, np.random.default_rng([self.plan.seed, 1]))

    def _copy(self, lateness: Lateness, run: int) -> tuple[LocatedArray, Planted]:
        """One copy of the history, with what is planted into it. The same hotspots whatever the lateness."""
        plan = self.plan
        rows = self.background if lateness is plan.lateness else self._background(lateness)
        if run == PLAIN:
            return rows, Planted((), rows[:0])
        shown, hotspots = self._planter.plant(self.runs[run], plan.seed)
        shown = delayed(shown, lateness, plan.local, np.random.default_rng([plan.seed, 3, run]))
        rows = join([rows, shown])
        return pick(rows, np.lexsort((rows["record"], rows["recorded_us"]))), Planted(hotspots, shown)


def first_kind(rows: LocatedArray) -> Kind:
    """Police, where there are any."""
    return Kind.POLICE if (rows["kind"] == Kind.POLICE).any() else Kind.ED


def sources_of(rows: LocatedArray) -> Sources:
    """The busiest source of the first kind, and of the second where there is one."""
    codes, n = np.unique(codes_of(rows), return_counts=True)
    first = first_kind(rows)
    best: dict[int, int] = {}
    for code in codes[np.argsort(n, kind="stable")].tolist():
        best[code >> 16] = code
    return Sources(best[first], best.get(1 - first, best[first]))


def jobs_of(scene: Scene, ways: Sequence[Way]) -> list[Job]:
    """All that is to be done, what takes longest first."""
    plan, runs = scene.plan, range(PLAIN, len(scene.runs))
    jobs: list[Job] = [MonitorJob(way, run) for way in ways for run in runs]
    jobs += [MethodJob(name, run) for name in plan.methods for run in runs]
    jobs += [NullJob(number, years) for number, years in enumerate(histories(plan.null_years))]
    jobs += [ExpectJob(), *(RankJob(name) for name in COUNTED_DAYS)]
    years = (plan.until - plan.since) / (365 * DAY_S)
    return sorted(jobs, key=lambda job: -_cost(job, years))


def _cost(job: Job, years: float) -> float:
    """About how long a job takes, in years of the monitor."""
    match job:
        case MonitorJob(run=run):
            return years * (1.2 if run == PLAIN else 1.0)
        case MethodJob(method=name):
            return years * (0.5 if name == PermutationScan.name else 0.1)
        case NullJob(years=simulated):
            return float(simulated) if simulated < HISTORY_YEARS else HISTORY_YEARS + 0.5
        case ExpectJob():
            return years
        case RankJob():
            return 0.1 * years


_scene: Scene | None = None  # of this process; set before others are forked off


def _work(job: Job) -> MonitorDone | MethodDone | NullYears | BaselineReport | tuple[Capture, ...] | None:
    assert _scene is not None
    match job:
        case MonitorJob():
            return _scene.monitor(job)
        case MethodJob():
            return _scene.method(job)
        case NullJob():
            return _scene.null(job)
        case ExpectJob():
            return _scene.expect()
        case RankJob():
            return _scene.rank(job)


def work(scene: Scene, jobs: Sequence[Job], tell: Callable[[int, int], None]) -> Results:
    """Do all jobs on all cores; `tell` is told how many are done, of how many."""
    global _scene
    _scene = scene
    results = Results()
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("fork")) as pool:
        futures = {pool.submit(_work, job): job for job in jobs}
        for n, future in enumerate(as_completed(futures), start=1):
            _file(results, futures[future], future.result())
            tell(n, len(jobs))
    return results


def _file(results: Results, job: Job, done: object) -> None:
    match job, done:
        case MonitorJob(), MonitorDone():
            results.monitor[job] = done
        case MethodJob(), MethodDone():
            results.methods[job] = done
        case NullJob(), NullYears():
            results.nulls[job] = done
        case ExpectJob(), BaselineReport() | None:
            results.expectation = done
        case RankJob(), tuple():
            results.rankings[job.name] = done
        case _:
            raise TypeError(f"{job} brought {type(done).__name__}")


def _method(name: str, plan: Plan) -> Method:
    others: list[Method] = [PermutationScan(plan.local, plan.region.cell_m)]
    others += cellwise(plan.local, plan.region.cell_m)
    return next(method for method in others if method.name == name)
