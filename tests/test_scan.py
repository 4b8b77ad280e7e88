"""Scan statistics: slow twins on drawn input, and what must hold of replications."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.arrays import Floats
from processors.scan.at_end import bounds, largest_at_end, work_of
from processors.scan.calendar import interval_starts, window_lengths
from processors.scan.circles import coordinates, distance, find_circles
from processors.scan.inputs import CaseRows, Places, PopulationRows, ScanInput
from processors.scan.kernels import log_likelihood_ratio
from processors.scan.measure import expected_cases
from processors.scan.montecarlo import (
    gumbel_p_value,
    rank_p_value,
    recurrence_days,
    replicate,
    reported_p_value,
)
from processors.scan.replicas import (
    PermutedAtEnd,
    PoissonAtEnd,
    Seeds,
    _largest_dense,
    alias_table,
)
from processors.scan.run import ScanError, _Scan, run_scan
from schemas.scan import Inference, ScanJob, ScanModel, TimeUnit

START = date(2024, 2, 1)


def job(**given: Any) -> ScanJob:
    """Twelve days, windows of up to five."""
    return ScanJob(
        **{"model": "permutation", "start": START, "end": date(2024, 2, 12), "max_time": 5, "replications": 39, **given}
    )


@st.composite
def inputs(draw: st.DrawFn) -> ScanInput:
    """A handful of places, some at equal distances from others or at one point, and cases on twelve days."""
    n = draw(st.integers(2, 9))
    xy = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(n)]
    cases = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, 11), st.integers(0, 3)), min_size=3))
    population = draw(st.lists(st.integers(1, 20), min_size=n, max_size=n))
    later = draw(st.lists(st.integers(1, 20), min_size=n, max_size=n))
    steady = draw(st.booleans())
    place, day, number = (np.array(column, np.int64) for column in zip(*cases, strict=True))
    persons = np.array(population + (population if steady else later), float)
    twice = np.tile(np.arange(n), 2)
    dates = np.repeat([1, 20], n)
    return ScanInput(
        Places(tuple(f"p{i}" for i in range(n)), *(np.array(axis, float) for axis in zip(*xy, strict=True))),
        CaseRows(place, START.toordinal() + day, number, np.zeros(place.size, np.int64)),
        PopulationRows(twice, np.full(2 * n, 2024), np.full(2 * n, 2), dates, persons, np.zeros(2 * n, np.int64)),
        1,
    )


Window = tuple[int, int, int]
"""Locations in the circle, first and last day."""


def expected_of_days(given: ScanInput, model: ScanModel, cases: Floats) -> Floats:
    """[place, day], summing to all cases."""
    if model is ScanModel.PERMUTATION:
        product: Floats = np.outer(cases.sum(axis=1), cases.sum(axis=0)) / cases.sum()
        return product
    assert given.population is not None
    first, last = given.population.persons.reshape(2, len(given.places.ids))
    # What is said of the 1st holds to the morning of the 2nd; the 20th is off, and there is a line between them.
    at = np.interp(np.arange(13), [0, 1, 19], [0.0, 0.0, 1.0])
    persons = first[:, None] + (last - first)[:, None] * (at[:-1] + at[1:]) / 2
    scaled: Floats = cases.sum() * persons / persons.sum()
    return scaled


def walk(given: ScanInput, asked: ScanJob) -> dict[int, tuple[float, list[Window]]]:
    """Of each centre the best statistic, and all windows that have it, by a walk over all windows."""
    places, rows, n = given.places, given.cases, len(given.places.ids)
    cases = np.zeros((n, 12))
    np.add.at(cases, (rows.place, rows.day - START.toordinal()), rows.number)
    expected = expected_of_days(given, asked.model, cases)
    weight, total = expected.sum(axis=1), cases.sum()
    found = {}
    for centre in range(n):
        apart = np.hypot(places.first - places.first[centre], places.second - places.second[centre])
        near = sorted(range(n), key=lambda p: (apart[p], places.first[p], places.second[p], p))
        scores: dict[Window, float] = {(0, 0, 0): 0.0}
        for size in range(1, n + 1):
            circle = near[:size]
            if apart[circle[-1]] > (asked.max_radius or math.inf) or weight[circle].sum() > total / 2 * (1 + 1e-9):
                break
            for last in [11] if asked.prospective else range(12):
                for first in range(max(last - 4, 0), last + 1):
                    c, mu = (table[circle, first : last + 1].sum() for table in (cases, expected))
                    if c >= 2 and c > mu * (1 + 1e-12):
                        rest = (total - c) * math.log((total - c) / (total - mu)) if c < total else 0.0
                        scores[size, first, last] = c * math.log(c / mu) + rest
        best = max(scores.values())
        found[centre] = best, [window for window, score in scores.items() if score > best - 1e-9]
    return found


@given(inputs(), st.sampled_from(ScanModel), st.booleans(), st.sampled_from([None, 1.0, 2.5]))
@settings(max_examples=150, deadline=None)
def test_the_best_window_of_each_centre_is_that_of_a_walk(
    given_: ScanInput, model: ScanModel, prospective: bool, radius: float | None
) -> None:
    asked = job(model=model, prospective=prospective, max_radius=radius)
    if given_.cases.number.sum() < 2:
        with pytest.raises(ScanError, match="fewer than two cases"):
            _Scan(asked, given_)
        return
    scan = _Scan(asked, given_)
    best = scan.best()
    for centre, (score, windows) in walk(given_, asked).items():
        assert best.statistic[centre] == pytest.approx(score, abs=1e-9)
        if score > 1e-9:
            told = scan.cluster(best, centre, 1, np.empty(0), False)
            assert (len(told.locations), told.start.day - 1, told.end.day - 1) in windows
            assert len(told.locations) == min(size for size, _, _ in windows)


@given(inputs(), st.sampled_from(ScanModel), st.booleans(), st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_a_replication_finds_the_largest_statistic_of_its_own_cases(
    given_: ScanInput, model: ScanModel, prospective: bool, seed: int
) -> None:
    """Replications pass over what cannot be the best: the same cases scanned as data must tell the same."""
    asked = job(model=model, prospective=prospective)
    if given_.cases.number.sum() < 2:
        return
    scan, seeds = _Scan(asked, given_), np.array([seed], np.uint32)
    null = scan.null()
    if not isinstance(null, PermutedAtEnd):
        assert null.largest(seeds)[0] >= 0.0
        return
    value = null.largest(seeds)[0]
    events = null.draw(seed)
    place = np.repeat(np.arange(len(given_.places.ids)), np.diff(events.start))
    # Places of earlier cases are not drawn: the rest of each place's cases happened before.
    n = len(given_.places.ids)
    rest = np.repeat(np.arange(n), scan._by_place.astype(int) - np.bincount(place, minlength=n))
    earlier = np.sort(scan._interval[scan._interval < 0])
    day = np.concatenate([scan._width - 1 - events.back, earlier]) + scan._from
    one = np.ones(day.size, np.int64)
    drawn = CaseRows(np.concatenate([place, rest]), START.toordinal() + day.astype(np.int64), one, 0 * one)
    again = _Scan(asked, given_._replace(cases=drawn)).best()
    assert value == pytest.approx(float(again.statistic.max(initial=0.0)), abs=1e-9)


@given(inputs(), st.sampled_from(ScanModel), st.booleans(), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_what_replications_are_judged_by_finds_the_best_window_of_the_data(
    given_: ScanInput, model: ScanModel, prospective: bool, shortest: int
) -> None:
    asked = job(model=model, prospective=prospective, min_time=shortest)
    if given_.cases.number.sum() < 2:
        return
    scan = _Scan(asked, given_)
    counts = np.zeros((len(given_.places.ids), scan._width), np.int32)
    np.add.at(counts, (scan._place[scan._interval >= 0], scan._interval[scan._interval >= 0]), 1)
    best = float(scan.best().statistic.max(initial=0.0))
    assert _largest_dense(scan._dense(), counts) == pytest.approx(best, abs=1e-9)
    at_end = scan._at_end
    assert (at_end is not None) >= (prospective and model is ScanModel.PERMUTATION)
    if at_end is not None:
        # Counts in narrow lanes, in wide ones, and more of them than the lanes that were expected to do hold.
        for expected in (0.0, 1e6):
            bound = bounds(at_end, scan._points, expected)
            for full in (bound.full, 1):
                found = largest_at_end(bound._replace(full=full), scan._events(), work_of(bound.scan))
                assert found == pytest.approx(best, abs=1e-9)


def city(seed: int = 3, cases: int = 900) -> ScanInput:
    """A town of 200 places with as many cases a day, everywhere the same."""
    rng = np.random.default_rng(seed)
    xy: Floats = rng.integers(0, 40, (200, 2)).astype(np.float64) * 250.0
    place = rng.choice(200, cases, p=rng.dirichlet(np.full(200, 0.7)))
    day = START.toordinal() + rng.integers(0, 120, cases)
    one = np.zeros(cases, np.int64)
    persons: Floats = rng.integers(5, 50, 200).astype(np.float64)
    population = PopulationRows(np.arange(200), np.full(200, 2024), one[:200], one[:200], persons, one[:200])
    places = Places(tuple(map(str, range(200))), xy[:, 0], xy[:, 1])
    return ScanInput(places, CaseRows(place, day, one + 1, one), population, 1)


TOWN = {"end": date(2024, 5, 30), "max_time": 14, "max_radius": 2_000.0, "replications": 199}


@pytest.mark.parametrize("model", ScanModel)
@pytest.mark.parametrize("inference", [Inference.STANDARD, Inference.SEQUENTIAL])
def test_threads_do_not_change_a_result(model: ScanModel, inference: Inference) -> None:
    asked = job(model=model, inference=inference, stop_after=20, **TOWN)
    one, three = (run_scan(asked.model_copy(update={"threads": n}), city()) for n in (1, 3))
    assert one.clusters == three.clusters
    assert one.replications == three.replications
    other = run_scan(asked.model_copy(update={"seed": 4}), city())
    assert [cluster.statistic for cluster in other.clusters] == [cluster.statistic for cluster in one.clusters]
    assert other.clusters[0].gumbel_p_value != one.clusters[0].gumbel_p_value


def test_without_a_cluster_p_values_are_even() -> None:
    """Thirty towns in which nothing happens: their p-values are spread over all that there are."""
    asked = job(**{**TOWN, "replications": 49})
    values = [run_scan(asked, city(seed)).clusters[0].p_value or 0.0 for seed in range(30)]
    assert 0.3 < np.mean(values) < 0.7
    assert 3 <= sum(value <= 0.3 for value in values) <= 16


def test_a_planted_cluster_is_found_and_others_share_no_place_with_it() -> None:
    calm = city()
    hot = np.argsort((calm.places.first - 5_000) ** 2 + (calm.places.second - 5_000) ** 2)[:3].repeat(5)
    rows = calm.cases
    ones = np.ones(hot.size, np.int64)
    last = date(2024, 5, 30).toordinal() - np.arange(hot.size) % 4
    cases = CaseRows(*(np.concatenate(pair) for pair in zip(rows, (hot, last, ones, 0 * ones), strict=True)))
    found = run_scan(job(**TOWN), calm._replace(cases=cases))
    best = found.clusters[0]
    assert {str(place) for place in hot} <= set(best.locations)
    assert best.p_value == 1 / 200
    assert best.recurrence_interval_days == 200.0
    assert (best.start, best.end) == (date(2024, 5, 27), date(2024, 5, 30))
    told = [place for cluster in found.clusters for place in cluster.locations]
    assert len(told) == len(set(told))


def test_neighbours_are_those_of_a_search_through_all() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 12, (2, 60)) / 20.0 + 51.0
    for spherical, radius in ((False, 0.17), (False, 0.25), (True, 12.0), (True, math.inf)):
        points = coordinates(first, second, spherical)
        circles = find_circles(points, spherical, radius, np.ones(60), 25.0)
        for centre in range(60):
            apart = [(distance(points[centre], points[p], spherical), *points[p], p) for p in range(60)]
            near = [int(row[-1]) for row in sorted(apart) if row[0] <= radius][:25]
            assert circles.place[circles.start[centre] : circles.start[centre + 1]].tolist() == near


def test_permutation_keeps_both_margins() -> None:
    scan = _Scan(job(**TOWN), city())
    null = scan.null()
    assert isinstance(null, PermutedAtEnd)
    events = null.draw(1)
    assert np.bincount(events.back, minlength=14).tolist() == scan._per_back().tolist()
    assert (np.diff(events.start) <= scan._by_place).all()  # no place has more than all its cases
    assert null.draw(2).start.tolist() != events.start.tolist()


def test_poisson_replications_follow_the_population() -> None:
    own, other = alias_table(np.array([1.0, 2.0, 0.0, 5.0]))
    part = np.bincount(other, 1.0 - own, 4) + own
    assert part / 4 == pytest.approx([1 / 8, 2 / 8, 0.0, 5 / 8])
    assert isinstance(_Scan(job(model="poisson", **TOWN), city()).null(), PoissonAtEnd)


def test_the_sequential_stop_ends_with_the_replication_that_completes_the_count() -> None:
    values = np.array([1.0, 5.0, 3.0, 5.0, 7.0, 5.0, 9.0, 2.0])

    class Fixed:
        """Tells values by the place of the seed."""

        def largest(self, seeds: Seeds) -> Floats:
            known = np.random.SeedSequence(1).generate_state(8).tolist()
            return values[[known.index(seed) for seed in seeds.tolist()]]

    for threads in (1, 3):
        simulated, stopped = replicate(Fixed(), 8, 1, threads, 5.0, 3, lambda done, total: None)
        assert stopped
        assert simulated.tolist() == values[:5].tolist()
        assert rank_p_value(5.0, simulated, stopped) == 3 / 5
    simulated, stopped = replicate(Fixed(), 8, 1, 2, None, 3, lambda done, total: None)
    assert not stopped
    assert simulated.tolist() == values.tolist()
    assert rank_p_value(5.0, simulated, stopped) == 6 / 9  # ties count against


def test_p_values_of_tails() -> None:
    gumbel = -np.log(-np.log((np.arange(999) + 0.5) / 999))  # place 0, scale 1
    assert gumbel_p_value(3.0, gumbel) == pytest.approx(1 - math.exp(-math.exp(-3.0)), rel=0.05)
    assert gumbel_p_value(40.0, gumbel) == pytest.approx(math.exp(-40.0), rel=0.5)
    assert gumbel_p_value(1.0, np.full(5, 2.0)) is None
    assert reported_p_value(0.009, 0.0002, 999, Inference.DEFAULT) == 0.0002
    assert reported_p_value(0.010, 0.0002, 999, Inference.DEFAULT) == 0.010
    assert reported_p_value(0.009, 0.0002, 999, Inference.STANDARD) == 0.009
    assert recurrence_days(0.001, 1.0) == 1000.0
    assert recurrence_days(1e-13, 1.0) == recurrence_days(0.0, 1.0) == 36_500.0


def test_intervals_are_laid_from_the_end() -> None:
    months = job(start=date(2023, 11, 20), end=date(2024, 2, 29), unit="month", max_time=50, max_time_is_percent=True)
    days = [date.fromordinal(day) for day in interval_starts(months).tolist()]
    assert days == [date(2023, 11, 20), date(2023, 12, 1), date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)]
    assert window_lengths(months, 4) == (1, 2)
    weeks = job(interval=7, max_time=21, min_time=8)
    assert np.diff(interval_starts(weeks)).tolist() == [5, 7]
    assert window_lengths(weeks, 2) == (2, 2)


def test_a_population_is_a_line_between_its_dates() -> None:
    years = ScanInput(
        Places(("a",), np.zeros(1), np.zeros(1)),
        CaseRows(np.zeros(1, int), np.array([START.toordinal()]), np.array([10]), np.zeros(1, int)),
        PopulationRows(*(np.array(c) for c in ([0, 0], [2020, 2022], [0, 0], [0, 0], [100.0, 300.0], [0, 0]))),
        1,
    )
    starts = interval_starts(job(start=date(2019, 1, 1), end=date(2023, 12, 31), unit="year", max_time=2))
    measure = expected_cases(years, starts, 0, years.cases.day, years.cases.number).scanned[0]
    assert measure.sum() == pytest.approx(10)
    # 100 until 1 July 2020, 300 from 1 July 2022 on. Half of 2020, a leap year, lies on the line from 100 to 150.
    half = 0.497 * 100 + 0.503 * 125.2
    assert (measure / measure[0] * 100).tolist() == pytest.approx(
        [100, half * 366 / 365, 200, 400 - half, 300], rel=0.003
    )


def test_distances_on_the_sphere() -> None:
    points = coordinates(np.array([51.5, 48.85]), np.array([0.0, 2.35]), True)
    assert distance(points[0], points[1], True) == pytest.approx(338, rel=0.01)  # London to Paris, km


def test_the_ratio_at_its_edges() -> None:
    assert log_likelihood_ratio(2.0, 2.0, 10.0) == 0.0
    assert log_likelihood_ratio(10.0, 5.0, 10.0) == pytest.approx(10 * math.log(2))
    assert log_likelihood_ratio(3.0, 1.0, 9.0) == pytest.approx(3 * math.log(3) + 6 * math.log(6 / 8))
    assert job(unit="year").unit is TimeUnit.YEAR
