"""One scan from its inputs to its clusters."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np

from processors.arrays import Floats, Ints
from processors.scan.at_end import AtEnd
from processors.scan.calendar import interval_starts, window_lengths
from processors.scan.circles import Circles, coordinates, distance, find_circles
from processors.scan.inputs import ScanInput
from processors.scan.kernels import Best, Events, apart, best_at_end, best_dense, masses
from processors.scan.measure import Expected, PopulationError, expected_cases
from processors.scan.montecarlo import gumbel_p_value, rank_p_value, recurrence_days, replicate, reported_p_value
from processors.scan.replicas import (
    Dense,
    Drawn,
    PermutedAtEnd,
    PermutedDense,
    PoissonAtEnd,
    PoissonDense,
)
from schemas.base import ToldError
from schemas.scan import Inference, ScanCluster, ScanJob, ScanModel, ScanResult, TimeUnit

SAME_DIGITS: Final = 9
#: So many clusters are reported even if every replication did as much.
LEAST_REPORTED: Final = 10
DAYS: Final = {TimeUnit.DAY: 1.0, TimeUnit.MONTH: 30.4375, TimeUnit.YEAR: 365.25}


class ScanError(ToldError, ValueError):
    """Input that makes no scan possible, in a sentence."""


def run_scan(
    job: ScanJob,
    given: ScanInput,
    progress: Callable[[int, int], None] = lambda done, total: None,
    clock: Callable[[], float] = time.perf_counter,
) -> ScanResult:
    """Find the best clusters that share no location, and tell how unusual they are.

    Raises ScanError where there are fewer than two cases, no window that may be scanned, or no population.
    """
    began = clock()
    scan = _Scan(job, given)
    best = scan.best()
    chosen = _without_overlap(best, scan.circles)
    stop_at = float(best.statistic[chosen[0]]) if chosen and job.inference is not Inference.STANDARD else None
    simulated, stopped = np.empty(0), False
    if chosen and job.replications:
        simulated, stopped = replicate(
            scan.null(), job.replications, job.seed, job.threads, stop_at, job.stop_after, progress
        )
    clusters: list[ScanCluster] = []
    for centre in chosen:
        cluster = scan.cluster(best, centre, len(clusters) + 1, simulated, stopped)
        if cluster.p_value is not None and cluster.p_value >= 1.0 and len(clusters) >= LEAST_REPORTED:
            break
        clusters.append(cluster)
    return ScanResult(
        model=job.model,
        prospective=job.prospective,
        start=job.start,
        end=job.end,
        cases=scan.total,
        locations=len(given.places.ids),
        replications=simulated.size,
        seed=job.seed,
        threads=job.threads,
        seconds=round(clock() - began, 4),
        clusters=tuple(clusters),
    )


class _Scan:
    """The arrays of one scan. Windows that end with the study period only need its last intervals."""

    def __init__(self, job: ScanJob, given: ScanInput) -> None:
        self.job, self.given = job, given
        self._starts = interval_starts(job)
        intervals = self._starts.size - 1
        self._shortest, self._longest = window_lengths(job, intervals)
        if self._longest < self._shortest:
            raise ScanError("No window is both as long as the shortest and as short as the longest that is allowed.")
        cases = given.cases
        self._place = cases.place.repeat(cases.number).astype(np.int32)
        interval = np.searchsorted(self._starts, cases.day.repeat(cases.number), side="right") - 1
        self.total = int(self._place.size)
        if self.total < 2:
            raise ScanError("There are fewer than two cases in the study period.")
        self._from = intervals - self._longest if job.prospective else 0
        self._width = intervals - self._from
        self._interval = (interval - self._from).astype(np.int32)
        self._by_place = np.bincount(self._place, minlength=len(given.places.ids)).astype(float)
        self._expected: Expected | None = None
        if job.model is ScanModel.POISSON:
            if given.population is None:
                raise ScanError("The Poisson model needs a population.")
            try:
                self._expected = expected_cases(given, self._starts, self._from, cases.day, cases.number)
            except PopulationError as error:
                raise ScanError(f"{error}.") from error
        weight = self._by_place if self._expected is None else self._expected.by_place
        self._points = coordinates(given.places.first, given.places.second, job.spherical)
        radius = math.inf if job.max_radius is None else job.max_radius
        most = self.total * job.max_population_percent / 100.0
        self.circles = find_circles(self._points, job.spherical, radius, weight, most, job.threads)

    def best(self) -> Best:
        """The best window of each centre, in the data."""
        at_end = self._at_end
        if at_end is not None:
            return self._best_at_end(at_end)
        dense = self._dense()
        counts = np.zeros(dense.measure.shape, np.int32)
        scanned = self._interval >= 0
        np.add.at(counts, (self._place[scanned], self._interval[scanned]), 1)
        found: Best = best_dense(
            dense.circles,
            dense.measure,
            counts,
            dense.shortest,
            dense.longest,
            dense.at_end,
            dense.low,
            float(self.total),
        )
        return found

    def _best_at_end(self, scan: AtEnd) -> Best:
        """The same where windows end with the study; each thread takes its part of the centres."""
        start, place = scan.circles
        edges = np.linspace(0, start.size - 1, self.job.threads + 1).astype(np.int64)
        events = self._events()

        def of(begin: int, end: int) -> Best:
            some = Circles(start[begin : end + 1], place)
            found: Best = best_at_end(
                some, scan.mass, scan.share, scan.shortest, events, scan.low, float(self.total), scan.scale
            )
            return found

        with ThreadPoolExecutor(self.job.threads) as pool:
            parts = pool.map(of, edges[:-1], edges[1:])
            return Best(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def null(self) -> Drawn:
        """What replications are drawn from."""
        at_end, expected = self._at_end, self._expected
        if expected is None:
            if at_end is not None:
                return PermutedAtEnd(at_end, self._points, self._place, self._per_back())
            return PermutedDense(self._dense(), self._place, self._interval)
        last = expected.scanned
        part = min(float(last.sum() / expected.by_place.sum()), 1.0)
        if at_end is not None:
            return PoissonAtEnd(at_end, self._points, last.sum(axis=1), last.sum(axis=0)[::-1].copy(), part)
        return PoissonDense(self._dense(), part)

    def cluster(self, best: Best, centre: int, rank: int, simulated: Floats, stopped: bool) -> ScanCluster:
        """One centre's window as it is told."""
        job, places = self.job, self.given.places
        first = int(self.circles.start[centre])
        members = self.circles.place[first : first + int(best.size[centre])].tolist()
        statistic = float(best.statistic[centre])
        p_value = gumbel = recurrence = None
        if simulated.size:
            ranked, gumbel = rank_p_value(statistic, simulated, stopped), gumbel_p_value(statistic, simulated)
            p_value = reported_p_value(ranked, gumbel, simulated.size, job.inference)
            if job.prospective:
                recurrence = recurrence_days(p_value, job.interval * DAYS[job.unit])
        x, y = float(places.first[centre]), float(places.second[centre])
        begin, end = (self._starts[self._from + int(edge[centre])] for edge in (best.first, best.after))
        return ScanCluster(
            rank=rank,
            location_id=places.ids[centre],
            x=y if job.spherical else x,
            y=x if job.spherical else y,
            radius=float(distance(self._points[centre], self._points[members[-1]], job.spherical)),
            start=date.fromordinal(int(begin)),
            end=date.fromordinal(int(end) - 1),
            locations=tuple(places.ids[member] for member in members),
            observed=int(best.observed[centre]),
            expected=float(best.expected[centre]),
            statistic=statistic,
            p_value=p_value,
            gumbel_p_value=gumbel,
            recurrence_interval_days=recurrence,
        )

    @cached_property
    def _at_end(self) -> AtEnd | None:
        """The quick way: windows at the end, and an expectation that is a product; None where that is not so."""
        if not self.job.prospective:
            return None
        low, shortest = self.job.min_cases, self._shortest
        if self._expected is None:
            share = np.cumsum(self._per_back()).astype(float)
            mass = masses(self.circles, self._by_place)
            return AtEnd(self.circles, mass, share, shortest, low, self.total, float(self.total))
        last = self._expected.scanned
        place, back = last.sum(axis=1), last.sum(axis=0)
        product = place[:, None] * back[None, :] / max(last.sum(), 1e-300)
        if not np.allclose(product, last, rtol=1e-12, atol=0.0):
            return None
        share = np.cumsum(back[::-1])
        return AtEnd(self.circles, masses(self.circles, place), share, shortest, low, self.total, float(last.sum()))

    def _dense(self) -> Dense:
        if self._expected is None:
            in_interval = np.bincount(self._interval[self._interval >= 0], minlength=self._width)
            measure = self._by_place[:, None] * in_interval[None, :] / self.total
        else:
            measure = self._expected.scanned
        job = self.job
        return Dense(self.circles, measure, self._shortest, self._longest, job.prospective, job.min_cases, self.total)

    def _per_back(self) -> Ints:
        back = self._width - 1 - self._interval[self._interval >= 0]
        return np.bincount(back, minlength=self._width)

    def _events(self) -> Events:
        scanned = self._interval >= 0
        width = self._width
        back = width - 1 - self._interval[scanned]
        code, count = np.unique(self._place[scanned].astype(np.int64) * width + back, return_counts=True)
        start = np.searchsorted(code // width, np.arange(len(self.given.places.ids) + 1)).astype(np.int32)
        return Events(start, (code % width).astype(np.int32), count.astype(np.int32))


def _without_overlap(best: Best, circles: Circles) -> list[int]:
    """Centres by the statistic of their best window, without those that share a location with one before.

    Of equal statistics the circle with fewer locations comes first, then the centre that stands first in its file.
    """
    # Statistics that differ by rounding only are equal.
    order = np.lexsort((best.size, -np.round(best.statistic, SAME_DIGITS)))
    chosen: list[int] = apart(circles, best.size, order[best.statistic[order] > 0.0]).tolist()
    return chosen
