"""Held-out quality of the baseline: the sums against a slow twin, the command, and the promises on real incidents."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from processors.baseline import Baseline, fit_baseline
from processors.heldout import BLOCK_NAMES, BOUNDS, FLOORS, WINDOWS, crps, deviance, hold_out, naive_mean
from processors.incidents import REFERENCE_REACH_S, incidents
from processors.localtime import LocalHours
from processors.public_holidays import PublicHolidays
from processors.shares import unpack
from schemas.detection import DAY_S, HOUR_S
from schemas.heldout import Forecast, KindReport, Method, Part, promises_of
from schemas.located import LocatedArray
from tests import naive
from tests.builders_processors import SMALL, history

LONDON = ZoneInfo("Europe/London")
#: Easter is within the period.
ENGLAND = LocalHours(LONDON, PublicHolidays("GB-ENG"))
EPOCH = date(1970, 1, 1)
#: Neither a Monday nor a Sunday at its ends, and the clocks change within.
FIRST, LAST = date(2022, 3, 16), date(2022, 5, 3)
KINDS = ("ed", "police")
Cell = tuple[int, int]


# --- a slow twin -------------------------------------------------------------------------------------------------


def day_of(moment: int) -> date:
    return EPOCH + timedelta(days=naive.day_number(moment, LONDON))


def begin_of(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=LONDON).timestamp())


def known_rows(rows: LocatedArray, at: int) -> LocatedArray:
    """The newest revision of each record that counts, of those recorded by then."""
    by_then = rows[rows["recorded_us"] <= at * 1_000_000]
    newest = naive.latest(by_then)
    counting = [row for row in by_then if newest[int(row["record"])] == tuple(int(value) for value in row.tolist())]
    return np.array([row for row in counting if row["status"] != 2 and row["gate"] == 0], rows.dtype)


def known_incidents(rows: LocatedArray, at: int) -> list[naive.Incident]:
    return naive.incidents(known_rows(rows, at), SMALL.merge_minutes * 60, REFERENCE_REACH_S)


class Shares:
    """The share of any cell, by walking down from its cell to its tiles."""

    def __init__(self, baseline: Baseline) -> None:
        self.shares = baseline.shares
        places = baseline.places
        self.cells = {cell: n for n, cell in enumerate(zip(places.ix.tolist(), places.iy.tolist(), strict=True))}
        self.small, self.large = (
            {tile: n for n, tile in enumerate(zip(*(v.tolist() for v in unpack(keys)), strict=True))}
            for keys in (places.small, places.large)
        )

    def __call__(self, cell: Cell) -> list[float]:
        x, y = cell
        found: Any = self.shares.beyond
        if cell in self.cells:
            found = self.shares.cell[self.cells[cell]]
        elif (x // 4, y // 4) in self.small:
            found = self.shares.small[self.small[x // 4, y // 4]]
        elif (x // 16, y // 16) in self.large:
            found = self.shares.large[self.large[x // 16, y // 16]]
        return [float(value) for value in found]

    def region(self) -> set[Cell]:
        tiles = list(self.large)
        x, y = [tile[0] for tile in tiles], [tile[1] for tile in tiles]
        return {
            (ix, iy)
            for ix in range(min(x) * 16, max(x) * 16 + 16)
            for iy in range(min(y) * 16, max(y) * 16 + 16)
        }  # fmt: skip


class Twin:
    """One kind, cell by cell and hour by hour."""

    def __init__(self) -> None:
        self.parts: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.cell_weeks = 0
        self.deviance = 0.0
        self.crps = 0.0
        self.bins = np.zeros((BOUNDS.size, 3))
        self.naive: dict[Method, list[tuple[int, float, bool]]] = {method: [] for method in WINDOWS}

    def add_hour(self, hour: int, place: int, value: float) -> None:
        of_week = naive.hour_of_week(hour, LONDON)
        day = day_of(hour)
        names = ("all", f"{day:%Y}", f"{day:%Y-%m}", f"{day:%A}", f"{of_week % 24:02d}")
        for name in (*names, BLOCK_NAMES[naive.block(of_week)]):
            self.parts[name][place] += value

    def means(self, method: Method) -> tuple[float, float]:
        """Deviance and CRPS, with the floors that are best afterwards by deviance."""
        units = self.naive[method]
        seen = [[(c, max(mean, floor)) for c, mean, before in units if before] for floor in FLOORS]
        new = [(c, mean) for c, mean, before in units if not before]
        rate = sum(c for c, _ in new) / len(new)
        best = min(seen, key=lambda floored: sum(unit_deviance(c, mean) for c, mean in floored))
        scored = [*best, *((c, rate) for c, _ in new)]
        deviances = sum(unit_deviance(c, mean) for c, mean in scored)
        scores = sum(unit_crps(c, mean) for c, mean in scored)
        return deviances / self.cell_weeks, scores / self.cell_weeks


def unit_deviance(c: int, mean: float) -> float:
    return 2 * ((c * math.log(c / mean) if c else 0.0) - (c - mean))


@cache
def unit_crps(c: int, mean: float) -> float:
    """Σ (F(n) - [c ≤ n])² over all n that matter."""
    score, below, part = 0.0, 0.0, math.exp(-mean)
    for n in range(c + 60):
        below += part
        score += (below - (c <= n)) ** 2
        part *= mean / (n + 1)
    return score


def naive_twin(method: Method, found: list[naive.Incident], monday: date, cell: Cell, kind: int) -> float:
    mine = [(incident, day_of(incident[3])) for incident in found if incident[0] == kind]
    mine = [(incident, day) for incident, day in mine if day < monday]
    start = min(day for _, day in mine)
    days, n = 0, 0
    for far, near in WINDOWS[method]:
        begin, end = max(monday - timedelta(days=min(far, 5000)), start), monday - timedelta(days=near)
        if (end - begin).days >= 7:
            days += (end - begin).days
            n += sum(1 for (_, x, y, _), day in mine if begin <= day < end and (x, y) == cell)
    return n * 7 / days if days else 0.0


def twin_of(rows: LocatedArray) -> list[Twin]:
    truth = known_incidents(rows, 2**40)
    twins = [Twin(), Twin()]
    for incident in truth:
        if FIRST <= day_of(incident[3]) <= LAST:
            twins[incident[0]].add_hour(incident[3], 0, 1)
    monday = FIRST - timedelta(days=FIRST.weekday())
    while monday <= LAST:
        at = begin_of(monday)
        known = known_rows(rows, at)
        baseline = fit_baseline(incidents(known, SMALL.merge_minutes * 60), known, at, SMALL, ENGLAND)
        assert baseline is not None
        exposure = [[0.0] * 4, [0.0] * 4]
        for hour in range(at, begin_of(monday + timedelta(days=7)), HOUR_S):
            this = ENGLAND.hours(hour // HOUR_S, hour // HOUR_S)
            for k, season in enumerate(baseline.seasons):
                assert season is not None
                expected = float(season.rate(this)[0]) * HOUR_S
                exposure[k][int(this.block[0])] += expected
                if FIRST <= day_of(hour) <= LAST:
                    twins[k].add_hour(hour, 1, expected)
        if monday >= FIRST and monday + timedelta(days=6) <= LAST:
            add_cells(twins, Shares(baseline), exposure, truth, known_incidents(rows, at), monday)
        monday += timedelta(days=7)
    return twins


def add_cells(
    twins: list[Twin],
    shares: Shares,
    exposure: list[list[float]],
    truth: list[naive.Incident],
    known: list[naive.Incident],
    monday: date,
) -> None:
    counts: dict[tuple[int, Cell], int] = defaultdict(int)
    for k, x, y, when in truth:
        if monday <= day_of(when) < monday + timedelta(days=7):
            counts[k, (x, y)] += 1
    before = {(x, y) for _, x, y, when in known if day_of(when) < monday}
    for cell in shares.region() | before | {cell for _, cell in counts}:
        share = shares(cell)
        for k, twin in enumerate(twins):
            c = counts.get((k, cell), 0)
            expected = sum(share[4 * k + b] * exposure[k][b] for b in range(4))
            twin.cell_weeks += 1
            twin.deviance += unit_deviance(c, expected)
            twin.crps += unit_crps(c, expected)
            twin.bins[max(b for b, bound in enumerate(BOUNDS) if expected >= bound)] += 1, c, expected
            for method, units in twin.naive.items():
                mean = naive_twin(method, known, monday, cell, k) if cell in before else 0.0
                units.append((c, mean, cell in before))


# --- the measure against its twin --------------------------------------------------------------------------------


def records() -> LocatedArray:
    """Two kinds, late records, one source that amends and withdraws, and cells that nobody saw before."""
    rng = np.random.default_rng(5)
    police = history(rng, 135, 6.0, delay_s=40_000, side=9)
    ed = history(rng, 135, 3.0, kind=0, first_record=10_000, side=6, delay_s=90_000)
    amended = police[::17].copy()
    amended["revision"], amended["status"] = 2, 1
    amended["ix"] += 1
    amended["recorded_us"] += 9 * DAY_S * 1_000_000
    withdrawn = ed[::23].copy()
    withdrawn["revision"], withdrawn["status"] = 2, 2
    withdrawn["recorded_us"] += 5 * DAY_S * 1_000_000
    far = police[-60::30].copy()
    far["record"] += 50_000
    far["ix"], far["iy"] = 40, -35
    rows: LocatedArray = np.concatenate([police, ed, amended, withdrawn, far])
    return rows[rng.permutation(rows.size)]


@pytest.fixture(scope="module")
def measured() -> list[KindReport]:
    found = hold_out(records(), FIRST, LAST, SMALL, ENGLAND)
    assert found.fits == 8
    assert [kind.kind for kind in found.kinds] == list(KINDS)
    return found.kinds


@pytest.fixture(scope="module")
def twins() -> list[Twin]:
    return twin_of(records())


@pytest.mark.parametrize("k", [0, 1], ids=KINDS)
def test_sums_are_those_of_a_walk_over_hours(measured: list[KindReport], twins: list[Twin], k: int) -> None:
    kind, twin = measured[k], twins[k]
    assert (kind.days, kind.days_without) == ((LAST - FIRST).days + 1, 0)
    parts = [kind.total, *kind.by_year, *kind.by_month, *kind.by_block, *kind.by_hour, *kind.by_weekday]
    assert {part.name for part in parts} == set(twin.parts)
    for part in parts:
        observed, expected = twin.parts[part.name]
        assert part.observed == observed
        assert part.expected == pytest.approx(expected, rel=1e-9)
        assert part.ratio == pytest.approx(observed / expected, rel=1e-9)
    assert [(part.name, part.whole) for part in kind.by_month] == [
        ("2022-03", False),
        ("2022-04", True),
        ("2022-05", False),
    ]
    assert [part.whole for part in kind.by_year] == [False]


@pytest.mark.parametrize("k", [0, 1], ids=KINDS)
def test_cells_are_those_of_a_walk_over_all_cells(measured: list[KindReport], twins: list[Twin], k: int) -> None:
    kind, twin = measured[k], twins[k]
    assert kind.weeks == 6
    assert kind.cell_weeks == twin.cell_weeks
    bins = {row.at_least: row for row in kind.calibration}
    for bound, (cells, observed, expected) in zip(BOUNDS.tolist(), twin.bins.tolist(), strict=True):
        assert (bound in bins) == (cells > 0)
        if cells:
            assert (bins[bound].cell_weeks, bins[bound].observed) == (cells, observed)
            assert bins[bound].expected == pytest.approx(expected, rel=1e-9)
    by_method = {forecast.method: forecast for forecast in kind.forecasts}
    assert by_method["baseline"].deviance == pytest.approx(twin.deviance / twin.cell_weeks, rel=1e-9)
    assert by_method["baseline"].crps == pytest.approx(twin.crps / twin.cell_weeks, rel=1e-9)
    assert by_method["same_weeks_of_two_years"].deviance is None  # there is no year of history
    assert by_method["same_weeks_of_two_years"].crps is None
    for method in ("last_8_weeks", "all_past_weeks"):
        assert (by_method[method].deviance, by_method[method].crps) == pytest.approx(twin.means(method), rel=1e-9)


def test_cells_never_seen_are_expected_at_their_best_rate(measured: list[KindReport], twins: list[Twin]) -> None:
    forecast = measured[1].forecasts[2]
    assert forecast.floor_new is not None
    new = [c for c, _, before in twins[1].naive["last_8_weeks"] if not before]
    assert sum(new) > 0
    own = sum(unit_deviance(c, forecast.floor_new) for c in new)
    for other in (0.8, 0.99, 1.01, 1.25):
        assert own < sum(unit_deviance(c, forecast.floor_new * other) for c in new)


def test_a_week_is_expected_from_what_was_recorded_before_it() -> None:
    rows = records()
    first, last = date(2022, 4, 4), date(2022, 4, 10)
    monday = begin_of(first)
    before = rows[rows["recorded_us"] <= monday * 1_000_000]
    later = rows[rows["recorded_us"] > monday * 1_000_000]
    busy = np.concatenate([later] * 3)
    busy["record"] = 100_000 + np.arange(busy.size)
    quiet, loud = (
        hold_out(np.concatenate([before, after]), first, last, SMALL, ENGLAND).kinds[1] for after in (later, busy)
    )
    assert quiet.total.observed < loud.total.observed
    assert quiet.total.expected == loud.total.expected
    assert [part.expected for part in quiet.by_hour] == [part.expected for part in loud.by_hour]


def test_days_without_an_expectation_are_not_counted() -> None:
    kinds = hold_out(records(), date(2022, 1, 10), date(2022, 2, 20), SMALL, ENGLAND).kinds
    police = kinds[-1]
    assert police.days_without > 0
    assert police.days + police.days_without == 42
    assert police.days % 7 == 0
    assert [part.whole for part in police.by_month] == [False, False]
    days = hold_out(records(), date(2022, 4, 5), date(2022, 4, 9), SMALL, ENGLAND).kinds[-1]
    assert (days.days, days.weeks, days.calibration) == (5, 0, ())
    assert [promise.holds for promise in days.promises[5:]] == [None] * 3
    assert hold_out(records(), date(2022, 1, 10), date(2022, 1, 20), SMALL, ENGLAND).kinds == []


def test_progress_is_told_week_by_week() -> None:
    told: list[int] = []
    hold_out(records(), date(2022, 4, 5), date(2022, 4, 12), SMALL, ENGLAND, told.append)
    assert told == [1, 2]


# --- small parts -------------------------------------------------------------------------------------------------


def test_deviance_of_units_without_incidents_is_what_was_expected_in_them() -> None:
    counts, means = [0, 3, 0, 1, 7], [0.2, 2.0, 1e-4, 1.0, 0.3]
    hit = [n for n, c in enumerate(counts) if c]
    expected = sum(unit_deviance(c, mean) for c, mean in zip(counts, means, strict=True))
    got = deviance(np.array([counts[n] for n in hit]), np.array([means[n] for n in hit]), sum(means))
    assert got == pytest.approx(expected, rel=1e-12)
    assert deviance(np.zeros(0, np.int64), np.zeros(0), 2.5) == 5.0


def test_crps_is_the_sum_over_all_counts() -> None:
    counts, means = [0, 3, 0, 1, 7, 0], [0.2, 2.0, 1e-4, 1.0, 0.3, 0.2]
    hit = [n for n, c in enumerate(counts) if c]
    expected = sum(unit_crps(c, mean) for c, mean in zip(counts, means, strict=True))
    groups, n = np.unique(means, return_counts=True)
    got = crps(np.array([counts[n] for n in hit]), np.array([means[n] for n in hit]), n, groups)
    assert got == pytest.approx(expected, rel=1e-12)
    assert crps(np.array([4]), np.array([9.0]), np.ones(1), np.array([9.0])) == pytest.approx(unit_crps(4, 9.0))
    assert crps(np.zeros(0, np.int64), np.zeros(0), np.array([7.0]), np.array([0.0])) == 0.0


def test_windows_of_naive_methods_are_cut_where_history_begins() -> None:
    cell = np.array([0, 1, 1, 1, 1])
    day = np.array([900, 944, 951, 957, 999])
    eight = naive_mean("last_8_weeks", cell, day, 1000, 3)
    assert eight is not None
    np.testing.assert_allclose(eight, [0, 4 / 8, 0])
    past = naive_mean("all_past_weeks", cell, day, 1000, 3)
    assert past is not None
    np.testing.assert_allclose(past, [7 / 100, 28 / 100, 0])
    assert naive_mean("same_weeks_of_two_years", cell, day, 1000, 3) is None
    one = naive_mean("same_weeks_of_two_years", cell, day, 1264, 3)  # days 900 to 906 are a year before
    assert one is not None
    np.testing.assert_allclose(one, [1, 0, 0])
    assert naive_mean("last_8_weeks", cell, day, 906, 3) is None
    assert naive_mean("last_8_weeks", cell[:0], day[:0], 1000, 3) is None


def part(ratio: float | None, name: str = "2016", whole: bool = True) -> Part:
    return Part(name=name, whole=whole, observed=0, expected=1.0, ratio=ratio, chance=None)


@pytest.mark.parametrize(
    ("ratio", "year", "month"),
    [(1.0, True, True), (1.051, False, True), (0.949, False, True), (1.11, False, False), (0.89, False, False)],
)
def test_promises_are_judged_by_the_worst_whole_part(ratio: float, year: bool, month: bool) -> None:
    fine = part(1.01, "2015")
    parts = [fine, part(ratio), part(9.0, "2017", whole=False), part(None)]
    own, other = Forecast(method="baseline", deviance=0.5), Forecast(method="last_8_weeks", deviance=0.4)
    short = Forecast(method="all_past_weeks", deviance=None)
    promises = promises_of(parts, parts, [fine], [fine], [fine], [own, other, short])
    assert [promise.holds for promise in promises] == [year, month, True, True, True, False, None]
    assert promises[1].worst == ("2016" if ratio != 1.0 else "2015")
    assert promises[5].value == 1.25
    assert [promise.holds for promise in promises_of([], [], [fine], [fine], [fine], [])] == [None, None, *[True] * 3]


def test_the_report_reads_as_json(measured: list[KindReport]) -> None:
    for kind in measured:
        assert KindReport.model_validate(json.loads(kind.model_dump_json())) == kind
