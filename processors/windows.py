"""Rolling counts of incidents in every window, kept up incident by incident, and the windows that stand out."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from processors.arrays import BLOCKS, KINDS, Bytes, Floats, Ints, Small
from processors.baseline import Baseline
from processors.board import (
    CALENDAR,
    EPOCH_END,
    LIVE,
    LONG_AGO,
    MOST_COUNTED,
    NOW,
    Bar,
    bin_edges,
    clear,
    grown,
    new_board,
    with_calendar,
)
from processors.cells import ABSENT, CellIndex
from processors.counting import advance, populate, revise
from processors.exposure import HOUR, Rates, exposure
from processors.incidents import Incidents
from processors.kernels import EPOCH_HOURS, describe, look, survey
from processors.live import INSERT, Live
from processors.localtime import LocalHours
from processors.masses import Masses
from processors.records import Held
from processors.runs import NEVER, Region, Steps, Terms, run_looks
from processors.score import enough_for
from schemas.detection import Detection, DetectionSettings, Shape, WeekPart
from schemas.located import LocatedArray

# Hours of expectation worked out beyond those needed now, so that this happens once in a while only.
AHEAD_HOURS = 14 * 24
# Hours that the calendar reaches ahead when it is laid anew.
CALENDAR_HOURS = 120 * 24
# A record that goes can make two others begin an incident: one that it was near to, one that shared its reference.
INCIDENTS_A_CHANGE = 2


def new_bar(settings: DetectionSettings, floor: float, scored: tuple[bool, ...], first: Ints) -> Bar:
    """What windows must reach. Its bounds are filled in by the first look. `first` is `Feeds.first`."""
    spans = len(settings.shapes)
    kinds = max(sum(scored), 1)
    enough, by_itself = (_enough(settings, floor, part) for part in (kinds, 1))
    # One kind alone must bring all that a detection needs.
    lowest = settings.min_incidents if kinds == 1 else 1
    needed = [np.clip(np.searchsorted(row, bin_edges()), lowest, MOST_COUNTED - 1) for row in enough]
    # Where a count is needed, the expectation is above what is enough for one less.
    above = np.concatenate([np.zeros((spans, 1)), np.maximum(enough[:, :-1], 0.0)], axis=1)
    alone = [np.clip(np.searchsorted(*rows), 1, MOST_COUNTED - 1) for rows in zip(by_itself, above, strict=True)]
    return Bar(
        floor=float(floor),
        min_incidents=settings.min_incidents,
        scored=np.array(scored, np.uint8),
        penalty=np.array(settings.penalties),
        enough=enough,
        needed=np.stack(needed).astype(np.uint16),
        alone=np.stack(alone).astype(np.uint16),
        least=np.zeros((spans, int(first[-1]) * BLOCKS)),
        least_of_feed=np.zeros((spans, int(first[-1]))),
        first=first,
    )


def _enough(settings: DetectionSettings, floor: float, kinds: int) -> Floats:
    """For each shape and count, the largest expectation under which one of so many kinds does its part."""
    if not math.isfinite(floor):
        return np.full((len(settings.shapes), MOST_COUNTED), -1.0)
    of = {p: enough_for((floor + p) / kinds * (1.0 - 1e-9), MOST_COUNTED) for p in set(settings.penalties)}
    return np.stack([of[penalty] for penalty in settings.penalties])


_NO_FEEDS = np.zeros(KINDS + 1, np.int64)
_NO_KINDS = (False,) * KINDS


class Looked(NamedTuple):
    """One look of a run."""

    as_of: int
    rows: int
    """Rows of the run that were applied before it."""
    detections: list[Detection]
    heard: tuple[int, ...]
    """When each feed was last heard, s."""


class Run(NamedTuple):
    """What a run of looks did; as `runs.Findings`."""

    looks: list[Looked]
    stopped: bool
    outcome: Bytes
    weeks: Ints
    removed: LocatedArray
    added: LocatedArray
    first: int | None


class WindowCounts:
    """Counts of all windows as of a moment that only moves forward, and their scores under a baseline.

    Incremental throughout: after any changes, counts and detections are those of a rebuild from the same records.
    """

    def __init__(self, settings: DetectionSettings, local: LocalHours) -> None:
        self._settings = settings
        self._local = local
        self.cells = CellIndex(settings.radii_cells)
        self._shapes, self._penalties = settings.shapes, settings.penalties
        self._board = new_board(self.cells, settings.radii_cells, self._shapes, 0, 256, settings.min_incidents)
        self._exposed = np.zeros((len(self._shapes), 0))  # as of the last look
        self._baseline: Baseline | None = None
        self._masses: Masses | None = None
        self._rates: Rates | None = None
        self._heard: Ints = np.zeros(0, np.int64)
        self._bar = new_bar(self._settings, math.inf, _NO_KINDS, _NO_FEEDS)

    @property
    def as_of(self) -> int:
        """The moment of the last look; long ago before the first."""
        return int(self._board.cursor[NOW])

    def rebuild(self, ix: Small, iy: Small, holders: Ints, found: Incidents) -> None:
        """Start again: cells with their counting records, and all incidents of the live period or later."""
        cells, where = self.ensure(ix, iy), self.ensure(found.ix, found.iy)
        self._room(found.occurred.size)
        board = self._board  # only now: both may have replaced it by a larger one
        clear(board)
        board.holders[cells] = holders
        order = np.argsort(found.occurred, kind="stable")
        n = order.size
        if n:
            self._cover(int(found.occurred[order[0]]), int(found.occurred[order[-1]]))
            board = self._board
            board.part[:n] = board.calendar[found.occurred[order] // HOUR - board.cursor[CALENDAR]]
        board.when[:n] = found.occurred[order]
        board.where[:n] = where[order]
        board.kind[:n] = found.kind[order]
        board.cursor[LIVE] = n

    def change(self, changes: Ints) -> None:
        """Records more (or fewer) in cells, and incidents that came or went: rows of `LiveRecords.change`."""
        self._room(INCIDENTS_A_CHANGE * changes.shape[0])
        new = changes[changes[:, 0] == INSERT, 3]
        if new.size:
            self._cover(int(new.min()), int(new.max()))
        missing = revise(self._board, changes)
        if missing:
            raise RuntimeError(
                f"{missing} live incidents to be removed were not there: counts no longer follow records"
            )

    def expect(self, baseline: Baseline | None, floor: float, heard: Ints) -> None:
        """Judge by this baseline from now on; windows with a score of at least `floor` are detections.

        `heard` is when each of its feeds was last heard, s; a run of looks brings it up to date in place.
        """
        self._rates, self._heard = None, heard
        self._board.cursor[EPOCH_END] = LONG_AGO
        if baseline is None:
            self._masses = None
            self._exposed = np.zeros((len(self._shapes), 0))
            self._bar = new_bar(self._settings, math.inf, _NO_KINDS, _NO_FEEDS)
        else:
            if baseline is not self._baseline:
                # Also those whose records were withdrawn since: their shares are still those of seen cells.
                self.ensure(baseline.places.ix, baseline.places.iy)
                self._masses = Masses(baseline, self.cells, self._masses)
                self._room_for(baseline.feeds.kind.size)
                self._masses.fill(np.arange(self.cells.size), self._board.mass)
            same = self._bar.floor == floor and tuple(self._bar.scored.tolist()) == baseline.scored
            if not same or self._bar.first.tolist() != baseline.feeds.first.tolist():
                self._bar = new_bar(self._settings, floor, baseline.scored, baseline.feeds.first)
        self._baseline = baseline

    def look(self, as_of: int) -> list[Detection]:
        """Move to a moment and find what stands out: best first, none touching a better one."""
        self._cover(as_of - self._settings.spans_s[-1], as_of)
        if as_of < self.as_of:
            raise ValueError(f"a look as of {as_of} after one as of {self.as_of}: time does not go back")
        if self._baseline is None:
            advance(self._board, as_of)
            return []
        windows, _, self._exposed = look(self._board, self._bar, self.rates(as_of), self.cells.size, as_of)
        if not windows.size:
            return []
        return self._detections(as_of, windows, *describe(self._board, self._bar, self._exposed, windows))

    def rates(self, as_of: int) -> Rates:
        """Expectations hour by hour for a look: all spans back, an epoch ahead."""
        assert self._baseline is not None
        first = (as_of - self._settings.spans_s[-1]) // HOUR - 1
        last = as_of // HOUR + EPOCH_HOURS + 1
        rates = self._rates
        if rates is None or first < rates.first or last >= rates.first + rates.block.size:
            rates = self._rates = self._baseline.rates(self._local.hours(first, last + AHEAD_HOURS), self._heard)
        return rates

    def ahead(self, moments: Ints) -> int:
        """How many of these coming looks the present rates reach for."""
        if self._rates is None:
            return 0
        last = self._rates.first + self._rates.block.size
        return int(np.searchsorted(moments // HOUR + EPOCH_HOURS + 1, last))

    def run(self, held: Held, live: Live, steps: Steps, terms: Terms) -> Run:
        """Do the looks of steps that `ahead` allows, with rows whose cells are known."""
        assert self._rates is not None
        self._room(INCIDENTS_A_CHANGE * steps.rows.size)
        self._cover(int(steps.moments[0]) - self._settings.spans_s[-1], int(steps.moments[-1]))
        keys, table = self.cells.lookup
        region = Region(held, live, self._board, self._bar, self._rates, keys, table, self.cells.size)
        done = run_looks(region, steps, terms)
        if done.missing:
            raise RuntimeError(f"{done.missing} records or incidents to be removed were not there")
        if done.looks:
            self._exposed = done.exposed
        looks, start = [], 0
        ends = np.cumsum(done.found)
        for as_of, rows, end, heard in zip(
            steps.moments.tolist(), steps.ends.tolist(), ends.tolist(), done.heard.tolist(), strict=False
        ):
            part = slice(start, end)
            found = (done.window[part], done.observed[part], done.around[part], done.expected[part], done.scores[part])
            looks.append(Looked(as_of, rows, self._detections(as_of, *found) if end > start else [], tuple(heard)))
            start = end
        first = None if done.first == NEVER else done.first
        return Run(looks, done.stopped, done.outcome, done.weeks, done.removed, done.added, first)

    def evaluate(
        self, ix: int, iy: int, radius_cells: int, span_s: int, as_of: int, part: WeekPart = WeekPart.ANY
    ) -> Detection:
        """Observed and expected in any window of the settings' radii and shapes, now."""
        if as_of != self.as_of:
            raise ValueError(f"a window can be evaluated as of the last look, {self.as_of}, not as of {as_of}")
        radius = self._settings.radii_cells.index(radius_cells)
        shape = self._shapes.index(Shape(span_s, part))
        cell = self.cells.find(ix, iy)
        if cell == ABSENT:
            cell = int(self.ensure(np.array([ix], np.int32), np.array([iy], np.int32))[0])
        window = (cell * len(self._settings.radii_cells) + radius) * len(self._shapes) + shape
        windows = np.array([window])
        return self._detections(as_of, windows, *describe(self._board, self._bar, self._exposed, windows))[0]

    def expected_total(self, as_of: int, span_s: int) -> tuple[float, ...]:
        """Expected incidents of the whole region in (as_of - span, as_of], by kind."""
        if self._baseline is None:
            return (0.0,) * KINDS
        exposed = exposure(self.rates(as_of), as_of, np.array([span_s], np.int64), np.zeros(1, np.int64))[0]
        feeds = self._baseline.feeds
        by_feed = exposed.reshape(-1, BLOCKS).sum(axis=1) * feeds.part_of_all
        return tuple(float(by_feed[feeds.kind == k].sum()) for k in range(KINDS))

    def counts(self) -> dict[tuple[int, int], Ints]:
        """Counts of every centre, [kind, radius, shape], by cell; for tests and maps."""
        board = self._board
        return {
            (int(board.ix[c]), int(board.iy[c])): board.counts[c].astype(np.int64)
            for c in range(self.cells.size)
            if board.holders[c] > 0
        }

    def shares(self, ix: Ints, iy: Ints) -> Floats:
        """The share of each of these cells under the baseline, known or not: [cell, kind and block]."""
        assert self._masses is not None
        return self._masses.shares(ix, iy)

    def _detections(
        self, as_of: int, windows: Ints, observed: Ints, around: Ints, expected: Floats, scores: Floats
    ) -> list[Detection]:
        shapes, radii = self._shapes, self._settings.radii_cells
        cells = windows // (len(radii) * len(shapes))
        columns = zip(
            self.cells.ix[cells].tolist(),
            self.cells.iy[cells].tolist(),
            windows.tolist(),
            observed.tolist(),
            around.tolist(),
            expected.tolist(),
            scores.tolist(),
            strict=True,
        )
        return [
            Detection(
                ix,
                iy,
                radii[window // len(shapes) % len(radii)],
                shapes[window % len(shapes)].span_s,
                as_of,
                tuple(counts),
                tuple(means),
                sum(parts),
                tuple(parts),
                tuple(everywhere),
                self._penalties[window % len(shapes)],
                shapes[window % len(shapes)].part,
            )
            for ix, iy, window, counts, everywhere, means, parts in columns
        ]

    def ensure(self, ix: Small, iy: Small) -> Ints:
        """Numbers of cells; new ones get their masses at once."""
        known, capacity = self.cells.size, self.cells.capacity
        index = self.cells.ensure(ix, iy)
        if self.cells.capacity != capacity:
            self._board = grown(self._board, self.cells, self._board.when.size)
        if self.cells.size > known:
            populate(self._board, known, self.cells.size)
            if self._masses is not None:
                self._masses.fill(np.arange(known, self.cells.size), self._board.mass)
                if self._board.cursor[EPOCH_END] != LONG_AGO:
                    survey(self._board, self._bar, known, self.cells.size)
        return index

    def _cover(self, first: int, last: int) -> None:
        """Have the calendar reach from one moment to another, and ahead."""
        begin, size = int(self._board.cursor[CALENDAR]), self._board.calendar.size
        if size > 1 and begin <= first // HOUR and last // HOUR < begin + size:
            return
        hours = self._local.hours(first // HOUR, last // HOUR + CALENDAR_HOURS)
        self._board = with_calendar(self._board, hours)

    def _room_for(self, feeds: int) -> None:
        """Masses for so many feeds."""
        board = self._board
        if board.mass.shape[2] != feeds * BLOCKS:
            self._board = board._replace(mass=np.zeros((*board.mass.shape[:2], feeds * BLOCKS), np.float32))

    def _room(self, more: int) -> None:
        """Room for so many more live incidents."""
        needed = int(self._board.cursor[LIVE]) + more
        if needed > self._board.when.size:
            self._board = grown(self._board, self.cells, 2 * needed)
