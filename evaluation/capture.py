"""How much of what came lay in the places that were ranked first: PAI and PEI, Monday by Monday.

Each Monday at 08:00, when the other methods look too, the cells that ever had a record are ranked, and the incidents of
the seven days that follow are counted in the first of them. Cells of one rank share what comes in them evenly.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from alerts.monitor import RegionMonitor
from evaluation.daily import LOOK_HOUR
from processors.arrays import BLOCKS, KINDS, Floats, Ints
from processors.baseline import Baseline
from processors.cells import CellIndex
from processors.incidents import incidents
from processors.localtime import DAY_S, HOUR_S, HOURS_A_WEEK, LocalHours
from processors.masses import Masses
from processors.records import RecordStore
from processors.shares import unpack
from schemas.backtest import Capture
from schemas.located import Gate, LocatedArray, Status, pack_cell

AREAS: Final = (0.01, 0.02, 0.05)
WEEK_S: Final = 7 * DAY_S
MICRO: Final = 1_000_000
#: Windows of the naive rankings by counts, days before the Monday.
COUNTED_DAYS: Final = {"last_8_weeks": 56, "last_two_years": 730}


class Week(NamedTuple):
    """One week, and the cells that could be ranked before it."""

    monday: int
    """s; its 08:00."""
    cells: Ints
    """Packed keys of cells that had a record by then, sorted."""
    hits: Ints
    """Incidents of the week in each of them."""
    incidents: int
    """All of the week, those in cells without a record before included."""


class Weeks:
    """The weeks of a period that lie wholly in it."""

    def __init__(self, rows: LocatedArray, merge_s: int, since: int, until: int, local: LocalHours) -> None:
        counting = rows[(rows["gate"] == Gate.NONE) & (rows["status"] != Status.WITHDRAWN)]
        code = _cells(counting)
        order = np.lexsort((counting["recorded_us"], code))
        self._cells, first = np.unique(code[order], return_index=True)
        self._known_us = counting["recorded_us"][order][first]
        store = RecordStore()
        store.apply(rows)
        found = incidents(store.counted(), merge_s)
        self._cell = np.searchsorted(self._cells, pack_cell(found.ix.astype(np.int64), found.iy.astype(np.int64)))
        self._occurred = found.occurred
        self.mondays = tuple(_mondays(since, until, local))

    def week(self, monday: int) -> Week:
        """What came in the week of a Monday."""
        known = self._known_us <= monday * MICRO
        coming = self._cell[(self._occurred >= monday) & (self._occurred < monday + WEEK_S)]
        hits = np.bincount(coming, minlength=self._cells.size)
        return Week(monday, self._cells[known], hits[known], int(coming.size))


def _mondays(since: int, until: int, local: LocalHours) -> Iterable[int]:
    for day in range(local.day(since), local.day(until) + 1):
        at = local.midnight(day) + LOOK_HOUR * HOUR_S
        if (day + 3) % 7 == 0 and since <= at and at + WEEK_S <= until:
            yield at


class Caught:
    """Sums of one ranking over weeks."""

    def __init__(self) -> None:
        self._incidents = 0
        self._sums = np.zeros((len(AREAS), 3))
        """Of each area: incidents caught, the most that any so many cells caught, what as many at random would."""

    def add(self, week: Week, score: Floats) -> None:
        """Take in a week with the scores of its cells."""
        self._incidents += week.incidents
        hits = week.hits.astype(float)
        for n, area in enumerate(AREAS):
            if week.cells.size:
                k = max(round(area * week.cells.size), 1)
                self._sums[n] += (
                    in_first(score, hits, k),
                    in_first(hits, hits, k),
                    week.incidents * k / week.cells.size,
                )

    def told(self) -> tuple[Capture, ...]:
        """The measures; none where nothing came in any week."""
        if not self._incidents or not self._sums[:, 1].all():
            return ()
        return tuple(
            Capture(area=area, hit_rate=caught / self._incidents, pai=caught / by_chance, pei=caught / best)
            for area, (caught, best, by_chance) in zip(AREAS, self._sums.tolist(), strict=True)
        )


def in_first(score: Floats, hits: Floats, k: int) -> float:
    """Hits in the k cells with the highest scores; cells that share the last rank count in part."""
    last = float(np.partition(score, score.size - k)[score.size - k])
    above, level = score > last, score == last
    part = (k - int(above.sum())) / int(level.sum())
    return float(hits[above].sum() + part * hits[level].sum())


def coming_week(baseline: Baseline, week: Week, local: LocalHours) -> Floats:
    """Incidents that a baseline expects in each cell in the week, all kinds together."""
    hours = local.hours(week.monday // HOUR_S, week.monday // HOUR_S + HOURS_A_WEEK - 1)
    rate = baseline.hourly(hours) * HOUR_S
    exposure = np.concatenate([np.bincount(hours.block, rate[k], BLOCKS) for k in range(KINDS)])
    expected: Floats = Masses(baseline, CellIndex((0,))).shares(*unpack(week.cells)) @ exposure
    return expected


class MonitorRankings:
    """What a monitor says of where to look: the cells of its open episodes first, and all others as it expects."""

    def __init__(self, weeks: Weeks, local: LocalHours) -> None:
        self._weeks, self._local = weeks, local
        self.monitor, self.expectation = Caught(), Caught()

    def ask(self, monitor: RegionMonitor, monday: int) -> None:
        """Rank the cells as the monitor knows them."""
        week = self._weeks.week(monday)
        baseline = monitor.detector.baseline
        score = np.zeros(week.cells.size) if baseline is None else coming_week(baseline, week, self._local)
        self.expectation.add(week, score)
        ix, iy = unpack(week.cells)
        told = np.zeros(week.cells.size, bool)
        for episode in monitor.episodes.values():
            window = episode.told
            told |= (ix - window.ix) ** 2 + (iy - window.iy) ** 2 <= window.radius_cells**2
        self.monitor.add(week, score + told * (1.0 + score.max(initial=0.0)))


def by_counts(rows: LocatedArray, weeks: Weeks, merge_s: int, days: int) -> tuple[Capture, ...]:
    """A naive ranking: by the incidents of the last so many days, as known on the Monday."""
    caught = Caught()
    store, done = RecordStore(), 0
    known = np.ascontiguousarray(rows["recorded_us"])
    for monday in weeks.mondays:
        upto = int(np.searchsorted(known, monday * MICRO, side="right"))
        if upto > done:
            store.apply(rows[done:upto])
            done = upto
        store.prune(monday - (days + 1) * DAY_S)
        found = incidents(store.counted(), merge_s)
        recent = (found.occurred > monday - days * DAY_S) & (found.occurred <= monday)
        week = weeks.week(monday)
        cell = pack_cell(found.ix[recent].astype(np.int64), found.iy[recent].astype(np.int64))
        place = np.searchsorted(week.cells, cell)
        caught.add(week, np.bincount(place, minlength=week.cells.size).astype(float))
    return caught.told()


def _cells(rows: LocatedArray) -> Ints:
    return pack_cell(rows["ix"].astype(np.int64), rows["iy"].astype(np.int64))
