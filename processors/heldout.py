"""How good the baseline is on weeks that it had not learned from, beside three naive methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, i0e, i1e, pdtr

from processors.arrays import BLOCKS, KINDS, Bytes, Floats, Ints
from processors.baseline import Baseline, fit_baseline
from processors.cells import CellIndex
from processors.incidents import Incidents, incidents
from processors.localtime import BLOCK_OF_HOUR, HOUR_S, HOURS_A_DAY, Hours, LocalHours
from processors.masses import Masses
from processors.records import RecordStore
from processors.shares import LARGE_SHIFT, unpack, unseen
from schemas.detection import DetectionSettings
from schemas.heldout import CalibrationBin, Forecast, KindReport, Method, Part, promises_of
from schemas.located import KIND_NAMES, LocatedArray, pack_cell

EPOCH: Final = date(1970, 1, 1)
WEEK_DAYS: Final = 7
#: Windows of the naive methods, in days before the week: from the first number to, not including, the second.
WINDOWS: Final[dict[Method, tuple[tuple[int, int], ...]]] = {
    "same_weeks_of_two_years": ((364, 357), (728, 721)),
    "last_8_weeks": ((56, 0),),
    "all_past_weeks": ((10**6, 0),),
}
#: Least expectations that a naive method may choose among, after the fact: incidents a cell-week.
FLOORS: Final = np.geomspace(1e-4, 1.0, 41)
#: Lower bounds of the calibration table, expected incidents a cell-week.
BOUNDS: Final = np.array([0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0])
BLOCK_NAMES: Final = ("weekday day", "weekday night", "weekend day", "weekend night")
DAY_NAMES: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class HeldOut(NamedTuple):
    """What was measured of all kinds, and how often the baseline was fitted."""

    fits: int
    kinds: list[KindReport]
    """Those with an expectation on any day."""


class CellWeeks:
    """Sums over the cells and whole weeks of one kind."""

    def __init__(self) -> None:
        self.weeks = 0
        self.cell_weeks = 0
        self.deviance = 0.0
        self.crps = 0.0
        self.by_bin = np.zeros((3, BOUNDS.size))
        """Cell-weeks, observed, expected."""
        self.seen: dict[Method, Floats] = {method: np.zeros(FLOORS.size) for method in WINDOWS}
        """Deviance of the naive methods in cells that had seen an incident before, by floor."""
        self.seen_crps: dict[Method, Floats] = {method: np.zeros(FLOORS.size) for method in WINDOWS}
        """Their CRPS in the same cells."""
        self.short: set[Method] = set()
        """Naive methods that lacked history in some week."""
        self.new = np.zeros(3)
        """Of the cells that had not: cell-weeks, incidents, and Σ c·ln c."""
        self.new_counts: list[Ints] = []
        """Counts of those with incidents, week by week."""

    def forecasts(self) -> list[Forecast]:
        """Mean deviances; of a naive method with the floors that give it its least."""
        if not self.cell_weeks:
            return [Forecast(method=method, deviance=None) for method in ("baseline", *WINDOWS)]
        means = self.deviance / self.cell_weeks, self.crps / self.cell_weeks
        found = [Forecast(method="baseline", deviance=means[0], crps=means[1])]
        cells, n, n_log_n = self.new
        rate = n / cells if cells else 0.0  # of all rates for cells never seen, the one with the least deviance
        new = 2.0 * (n_log_n - n * np.log(rate)) if n else 0.0
        counts = np.concatenate([np.empty(0, np.int64), *self.new_counts])
        new_crps = crps(counts, np.full(counts.size, rate), np.array([cells]), np.array([rate]))
        for method, seen in self.seen.items():
            if method in self.short:
                found.append(Forecast(method=method, deviance=None))
                continue
            best = int(np.argmin(seen))
            found.append(
                Forecast(
                    method=method,
                    deviance=float(seen[best] + new) / self.cell_weeks,
                    crps=float(self.seen_crps[method][best] + new_crps) / self.cell_weeks,
                    floor_seen=float(FLOORS[best]),
                    floor_new=float(rate),
                )
            )
        return found

    def calibration(self) -> list[CalibrationBin]:
        """Bins that hold any cell-week, from low to high."""
        edges = [*BOUNDS.tolist(), None]
        return [
            CalibrationBin(
                at_least=edges[b] or 0.0,
                below=edges[b + 1],
                cell_weeks=int(cells),
                observed=int(observed),
                expected=float(expected),
                ratio=float(observed / expected) if expected > 0 else None,
            )
            for b, (cells, observed, expected) in enumerate(self.by_bin.T)
            if cells
        ]


class _Happened(NamedTuple):
    """Incidents with their cell, as a place among all cells of the file, and local day."""

    kind: Bytes
    cell: Ints
    day: Ints


class _Table(NamedTuple):
    """Of one kind: [day of the period, local hour]. Days without an expectation are not scored."""

    observed: Floats
    expected: Floats
    scored: NDArray[np.bool_]


def hold_out(
    rows: LocatedArray,
    first: date,
    last: date,
    settings: DetectionSettings,
    local: LocalHours,
    progress: Callable[[int], None] = lambda done: None,
) -> HeldOut:
    """Expect each week of first..last (local days, both included) by what was known and fitted before it.

    `rows` are all revisions of all records, in any order. What happened is what they say in the end; a fit learns
    from what was recorded by then, up to the guard gap. `progress` is told after each week how many are done.
    """
    days = np.arange((first - EPOCH).days, (last - EPOCH).days + 1)
    hours = _hours_of(days, local)
    past = _Past(rows, int(hours.first + hours.day.size), settings, local)
    tables = [_observed(past, k, hours, days) for k in range(KINDS)]
    sums = [CellWeeks() for _ in range(KINDS)]
    monday_of_first = int(days[0]) - (int(days[0]) + 3) % WEEK_DAYS
    for done, monday in enumerate(range(monday_of_first, int(days[-1]) + 1, WEEK_DAYS), start=1):
        baseline = past.fit(monday)
        if baseline is not None:
            begin, end = np.searchsorted(hours.day, [monday, monday + WEEK_DAYS]).tolist()
            week = local.hours(hours.first + begin, hours.first + end - 1)
            rate = baseline.hourly(week) * HOUR_S
            for k in np.flatnonzero(baseline.scored).tolist():
                tables[k].expected[:] += _by_day(week, np.arange(week.day.size), rate[k], days)
                tables[k].scored[(days >= monday) & (days < monday + WEEK_DAYS)] = True
            if monday >= days[0] and monday + WEEK_DAYS - 1 <= days[-1]:
                exposure = np.stack([np.bincount(week.block, of_kind, BLOCKS).astype(float) for of_kind in rate])
                _add_week(sums, baseline, exposure, past, monday)
        progress(done)
    kinds = [_report(k, days, tables[k], sums[k]) for k in range(KINDS) if tables[k].scored.any()]
    return HeldOut(past.fits, kinds)


class _Past:
    """What was known when. Weeks are asked for in order of time."""

    def __init__(self, rows: LocatedArray, end_hour: int, settings: DetectionSettings, local: LocalHours) -> None:
        self._rows = rows[np.argsort(rows["recorded_us"], kind="stable")]
        self._settings, self._local = settings, local
        self._keys = np.unique(pack_cell(rows["ix"].astype(np.int64), rows["iy"].astype(np.int64)))
        self.ix, self.iy = unpack(self._keys)
        first = int(rows["occurred"].min()) // HOUR_S
        self._hours = local.hours(first, max(int(rows["occurred"].max()) // HOUR_S, end_hour))
        store = RecordStore()
        store.apply(self._rows)
        found = incidents(store.counted(), settings.merge_minutes * 60)
        self.truth, self.truth_hour = self._placed(found), found.occurred // HOUR_S
        self._store, self._applied = RecordStore(), 0
        self._found = incidents(self._rows[:0], 0)
        self._baseline: Baseline | None = None
        self._fitted_at: int | None = None
        self.fits = 0

    def fit(self, monday: int) -> Baseline | None:
        """The fit that a detector would have had on this Monday (local day number)."""
        at = self._local.midnight(monday - (monday + 3) % self._settings.refit_days)
        if at != self._fitted_at:
            found = self._known(at)
            self._baseline = fit_baseline(found, self._store.counted(), at, self._settings, self._local)
            self._fitted_at = at
            self.fits += self._baseline is not None
        return self._baseline

    def before(self, monday: int) -> _Happened:
        """Incidents of earlier days, as known when that day began."""
        placed = self._placed(self._known(self._local.midnight(monday)))
        return _chosen(placed, placed.day < monday)

    def _known(self, at: int) -> Incidents:
        end = int(np.searchsorted(self._rows["recorded_us"], at * 1_000_000, side="right"))
        if end > self._applied:
            self._store.apply(self._rows[self._applied : end])
            self._applied = end
            self._found = incidents(self._store.counted(), self._settings.merge_minutes * 60)
        return self._found

    def _placed(self, found: Incidents) -> _Happened:
        cell = np.searchsorted(self._keys, pack_cell(found.ix.astype(np.int64), found.iy.astype(np.int64)))
        return _Happened(found.kind, cell, self._hours.day[found.occurred // HOUR_S - self._hours.first])


def _hours_of(days: Ints, local: LocalHours) -> Hours:
    """The clock hours of these local days."""
    begin, end = local.midnight(int(days[0])), local.midnight(int(days[-1]) + 1)
    hours = local.hours(begin // HOUR_S - 1, end // HOUR_S + 1)
    of_days = np.flatnonzero((hours.day >= days[0]) & (hours.day <= days[-1]))
    return local.hours(hours.first + int(of_days[0]), hours.first + int(of_days[-1]))


def _observed(past: _Past, kind: int, hours: Hours, days: Ints) -> _Table:
    """What happened of a kind; nothing expected yet."""
    hour = past.truth_hour[past.truth.kind == kind] - hours.first
    hour = hour[(hour >= 0) & (hour < hours.day.size)]
    observed = _by_day(hours, hour, np.ones(hour.size), days)
    return _Table(observed, np.zeros_like(observed), np.zeros(days.size, np.bool_))


def _by_day(hours: Hours, hour: Ints, weight: Floats, days: Ints) -> Floats:
    """Sums by day and local hour: [day, hour of the day]. `hour` are places in `hours`."""
    place = (hours.day[hour] - days[0]) * HOURS_A_DAY + hours.clock[hour]
    sums: Floats = np.bincount(place, weight, days.size * HOURS_A_DAY).astype(float).reshape(days.size, HOURS_A_DAY)
    return sums


def _add_week(sums: list[CellWeeks], baseline: Baseline, exposure: Floats, past: _Past, monday: int) -> None:
    """Add the cells of one week. They are the same for each kind and method:

    all cells of the baseline's region, which is the box of large tiles in which it saw an incident of any kind; and
    beyond it those that had ever seen one, or saw one in this week.
    """
    n = past.ix.size
    week = (past.truth.day >= monday) & (past.truth.day < monday + WEEK_DAYS)
    counts = np.stack([np.bincount(past.truth.cell[week & (past.truth.kind == k)], minlength=n) for k in range(KINDS)])
    before = past.before(monday)
    seen = np.bincount(before.cell, minlength=n) > 0
    beyond = (seen | (counts.sum(axis=0) > 0)) & ~_in_region(baseline, past.ix, past.iy)
    in_small, in_large, elsewhere = unseen(baseline.places)
    cells = np.concatenate([np.ones(baseline.places.ix.size), in_small, in_large, [elsewhere + beyond.sum()]])
    masses = Masses(baseline, CellIndex((0,)))
    for k in np.flatnonzero(baseline.scored).tolist():
        c = counts[k]
        hit = np.flatnonzero(c)
        columns = slice(k * BLOCKS, (k + 1) * BLOCKS)
        share = np.concatenate([*baseline.shares[:-1], baseline.shares.beyond[None, :]])[:, columns]
        expected = (share * exposure[k]).sum(axis=1)
        at_hit = (masses.shares(past.ix[hit], past.iy[hit])[:, columns] * exposure[k]).sum(axis=1)
        into = sums[k]
        into.weeks += 1
        into.cell_weeks += int(cells.sum())
        into.deviance += deviance(c[hit], at_hit, float((cells * expected).sum()))
        into.crps += crps(c[hit], at_hit, cells, expected)
        into.by_bin += _bins(expected, cells), _bins(at_hit, c[hit]), _bins(expected, cells * expected)
        _add_naive(into, _chosen(before, before.kind == k), c, seen, int(cells.sum()), monday)


def _add_naive(into: CellWeeks, before: _Happened, c: Ints, seen: NDArray[np.bool_], cells: int, monday: int) -> None:
    for method in WINDOWS:
        mean = naive_mean(method, before.cell, before.day, monday, c.size)
        if mean is None:
            into.short.add(method)
            continue
        held = np.maximum(mean[seen], FLOORS[:, None])
        hit = c[seen] > 0
        into.seen[method] += [deviance(c[seen][hit], own[hit], float(own.sum())) for own in held]
        values, n = np.unique(mean[seen], return_counts=True)  # few, as means are counts by the same length
        into.seen_crps[method] += [
            crps(c[seen][hit], own[hit], n, np.maximum(values, floor)) for own, floor in zip(held, FLOORS, strict=True)
        ]
    new = c[~seen & (c > 0)].astype(float)
    into.new += cells - seen.sum(), new.sum(), (new * np.log(new)).sum()
    into.new_counts.append(c[~seen & (c > 0)])


def deviance(observed: Ints, expected: Floats, total: float) -> float:
    """Poisson deviance of any number of units: counts and expectations of those with incidents, and what was expected
    in all of them."""
    c = observed.astype(float)
    return float(2.0 * ((c * np.log(c / expected)).sum() - c.sum() + total))


def crps(observed: Ints, expected: Floats, units: Floats | Ints, of_units: Floats) -> float:
    """Continuous ranked probability scores of Poisson forecasts, Σ over n of (F(n) - [c ≤ n])², summed over units.

    `observed` and `expected` are counts and expectations of the units with incidents, `of_units` the expectations of
    groups of all units, those with incidents included, and `units` how many each group has. The sum in closed form
    (Wei and Held 2014, Calibration tests for count data, TEST 23): (c - μ)(2F(c) - 1) + 2μf(c) - μ·exp(-2μ)(I₀(2μ) +
    I₁(2μ)), with F and f those of the Poisson distribution.
    """
    c = observed.astype(float)
    at_count = (c - expected) * (2.0 * pdtr(c, expected) - 1.0) + 2.0 * expected * _poisson(c, expected)
    no_count = _without_incident(expected)
    spread = expected * (i0e(2.0 * expected) + i1e(2.0 * expected))
    return float((units * _without_incident(of_units)).sum() + (at_count - spread - no_count).sum())


def _without_incident(expected: Floats) -> Floats:
    """The score where nothing happened: F(0) and f(0) are exp(-μ), and the terms with them cancel."""
    score: Floats = expected * (1.0 - i0e(2.0 * expected) - i1e(2.0 * expected))
    return score


def _poisson(c: Floats, mean: Floats) -> Floats:
    density: Floats = np.exp(c * np.log(mean) - mean - gammaln(c + 1.0))
    return density


def naive_mean(method: Method, cell: Ints, day: Ints, monday: int, cells: int) -> Floats | None:
    """Mean incidents a week of each cell in the method's windows; None where history does not reach so far.

    `cell`, `day`: the incidents before the Monday. A window is cut where history begins; what is left must be a week.
    """
    if not day.size:
        return None
    start = int(day.min())
    total, length = np.zeros(cells), 0
    for far, near in WINDOWS[method]:
        begin, end = max(monday - far, start), monday - near
        if end - begin >= WEEK_DAYS:
            total += np.bincount(cell[(day >= begin) & (day < end)], minlength=cells)
            length += end - begin
    mean: Floats = total * WEEK_DAYS / max(length, 1)
    return mean if length else None


def _chosen(happened: _Happened, those: NDArray[np.bool_]) -> _Happened:
    return _Happened(happened.kind[those], happened.cell[those], happened.day[those])


def _in_region(baseline: Baseline, ix: Ints, iy: Ints) -> NDArray[np.bool_]:
    inside = np.ones(ix.size, bool)
    for tile, axis in zip(unpack(baseline.places.large), (ix, iy), strict=True):
        inside &= (axis >> LARGE_SHIFT >= tile.min()) & (axis >> LARGE_SHIFT <= tile.max())
    return inside


def _bins(expected: Floats, weight: Floats | Ints) -> Floats:
    """Sums of a weight by bin of the expectation."""
    bins = np.searchsorted(BOUNDS, expected, side="right") - 1
    sums: Floats = np.bincount(bins, weight, BOUNDS.size).astype(float)
    return sums


def _report(kind: int, days: Ints, table: _Table, sums: CellWeeks) -> KindReport:
    weekday = (days + 3) % WEEK_DAYS
    of_week = weekday[:, None] * HOURS_A_DAY + np.arange(HOURS_A_DAY)
    dates = [EPOCH + timedelta(days=day) for day in days.tolist()]
    years, months = [f"{day:%Y}" for day in dates], [f"{day:%Y-%m}" for day in dates]
    shape = (days.size, HOURS_A_DAY)
    total = _parts(table, np.zeros(shape, np.int64), ["all"])[0]
    by_year, by_month = (list(_calendar(table, dates, names)) for names in (years, months))
    by_block = _parts(table, BLOCK_OF_HOUR[of_week].astype(np.int64), list(BLOCK_NAMES))
    by_hour = _parts(table, np.broadcast_to(np.arange(HOURS_A_DAY), shape), [f"{h:02d}" for h in range(HOURS_A_DAY)])
    by_weekday = _parts(table, np.broadcast_to(weekday[:, None], shape), list(DAY_NAMES))
    forecasts = sums.forecasts()
    return KindReport(
        kind="ed" if KIND_NAMES[kind] == "ed" else "police",
        days=int(table.scored.sum()),
        days_without=int((~table.scored).sum()),
        total=total,
        by_year=tuple(by_year),
        by_month=tuple(by_month),
        by_block=tuple(by_block),
        by_hour=tuple(by_hour),
        by_weekday=tuple(by_weekday),
        weeks=sums.weeks,
        cell_weeks=sums.cell_weeks,
        forecasts=tuple(forecasts),
        calibration=tuple(sums.calibration()),
        promises=promises_of(by_year, by_month, by_block, by_hour, by_weekday, forecasts),
    )


def _parts(table: _Table, group: Ints, names: list[str]) -> list[Part]:
    """Sums over the scored days, by a group of each day and hour: [day, hour]."""
    group = group[table.scored].ravel()
    observed, expected = (
        np.bincount(group, values[table.scored].ravel(), len(names)) for values in (table.observed, table.expected)
    )
    return [_part(name, c, mu) for name, c, mu in zip(names, observed.tolist(), expected.tolist(), strict=True)]


def _calendar(table: _Table, dates: list[date], names: list[str]) -> Iterator[Part]:
    """Sums by year or month; a part is whole if the days before and after it are not of its name."""
    for name in sorted(set(names)):
        mine = np.array([own == name for own in names])
        own_dates = [day for day, own in zip(dates, names, strict=True) if own == name]
        around = (own_dates[0] - timedelta(days=1), own_dates[-1] + timedelta(days=1))
        whole = not any(day.isoformat().startswith(name) for day in around) and bool(table.scored[mine].all())
        scored = mine & table.scored
        yield _part(name, float(table.observed[scored].sum()), float(table.expected[scored].sum()), whole)


def _part(name: str, observed: float, expected: float, whole: bool = True) -> Part:
    some = expected > 0
    return Part(
        name=name,
        whole=whole,
        observed=round(observed),
        expected=expected,
        ratio=observed / expected if some else None,
        chance=1.96 / expected**0.5 if some else None,
    )
