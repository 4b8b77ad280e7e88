"""Rolling counts of incidents in every window, kept up incident by incident, and the windows that stand out."""

from __future__ import annotations

import math

import numpy as np

from processors.arrays import COLUMNS, KINDS, Ints, Small
from processors.baseline import Baseline
from processors.board import EPOCH_END, LIVE, LONG_AGO, NOW, Bar, clear, grown, new_board
from processors.cells import ABSENT, CellIndex
from processors.exposure import HOUR, Rates, exposure
from processors.incidents import Incidents
from processors.kernels import (
    EPOCH_HOURS,
    HOLD,
    INSERT,
    REMOVE,
    advance,
    describe,
    enough_for,
    look,
    populate,
    revise,
    survey,
)
from processors.live import Change
from processors.localtime import LocalHours
from processors.masses import Masses
from schemas.detection import Detection, DetectionSettings

# Hours of expectation worked out beyond those needed now, so that this happens once in a while only.
AHEAD_HOURS = 14 * 24
# Counts up to which the least that is needed is worked out. A window that needs more is a candidate from here on.
MOST_COUNTED = 1024


def new_bar(settings: DetectionSettings, floor: float, scored: tuple[bool, ...]) -> Bar:
    """What windows must reach. Its bounds are filled in by the first look."""
    spans = len(settings.spans_s)
    part = floor / max(sum(scored), 1)
    enough = enough_for(part * (1.0 - 1e-9), MOST_COUNTED) if math.isfinite(floor) else np.full(MOST_COUNTED, -1.0)
    return Bar(
        floor=float(floor),
        min_incidents=settings.min_incidents,
        scored=np.array(scored, np.uint8),
        enough=enough,
        least=np.zeros((spans, COLUMNS)),
        least_of_kind=np.zeros((spans, KINDS)),
    )


class WindowCounts:
    """Counts of all windows as of a moment that only moves forward, and their scores under a baseline.

    Incremental throughout: after any changes, counts and detections are those of a rebuild from the same records.
    """

    def __init__(self, settings: DetectionSettings, local: LocalHours) -> None:
        self._settings = settings
        self._local = local
        self.cells = CellIndex(settings.radii_cells)
        self._board = new_board(self.cells, settings.radii_cells, settings.spans_s, 256)
        self._numbers: dict[tuple[int, int], int] = {}  # of the cells, for single ones
        self._exposed = np.zeros((len(settings.spans_s), COLUMNS))  # as of the last look
        self._baseline: Baseline | None = None
        self._masses: Masses | None = None
        self._rates: Rates | None = None
        self._bar = new_bar(self._settings, math.inf, (False,) * KINDS)

    @property
    def as_of(self) -> int:
        """The moment of the last look; long ago before the first."""
        return int(self._board.cursor[NOW])

    def rebuild(self, ix: Small, iy: Small, holders: Ints, found: Incidents) -> None:
        """Start again: cells with their counting records, and all incidents of the live period or later."""
        cells, where = self._ensure(ix, iy), self._ensure(found.ix, found.iy)
        self._room(found.occurred.size)
        board = self._board  # only now: both may have replaced it by a larger one
        clear(board)
        board.holders[cells] = holders
        order = np.argsort(found.occurred, kind="stable")
        n = order.size
        board.when[:n] = found.occurred[order]
        board.where[:n] = where[order]
        board.kind[:n] = found.kind[order]
        board.cursor[LIVE] = n

    def change(self, holders: dict[tuple[int, int], int], changes: list[Change]) -> None:
        """Records more (or fewer) in cells, and incidents that came or went."""
        new = [cell for cell in holders if cell not in self._numbers]
        if new:
            ix, iy = np.array(new, np.int32).T
            self._ensure(np.ascontiguousarray(ix), np.ascontiguousarray(iy))
        rows = [(HOLD, self._numbers[cell], 0, step) for cell, step in holders.items() if step]
        come = 0
        for (kind, column, row), gone, more in changes:
            number = self._numbers[column, row]
            rows += [(REMOVE, number, kind, when) for when in gone]
            rows += [(INSERT, number, kind, when) for when in more]
            come += len(more)
        if not rows:
            return
        self._room(come)
        missing = revise(self._board, np.array(rows, np.int64))
        if missing:
            raise RuntimeError(
                f"{missing} live incidents to be removed were not there: counts no longer follow records"
            )

    def expect(self, baseline: Baseline | None, floor: float) -> None:
        """Judge by this baseline from now on; windows with a score of at least `floor` are detections."""
        self._rates = None
        self._board.cursor[EPOCH_END] = LONG_AGO
        if baseline is None:
            self._masses = None
            self._exposed = np.zeros_like(self._exposed)
            self._bar = new_bar(self._settings, math.inf, (False,) * KINDS)
        else:
            if baseline is not self._baseline:
                # Also those whose records were withdrawn since: their shares are still those of seen cells.
                self._ensure(baseline.places.ix, baseline.places.iy)
                self._masses = Masses(baseline, self.cells)
                self._masses.fill(np.arange(self.cells.size), self._board.mass)
            same = self._bar.floor == floor and tuple(self._bar.scored.tolist()) == baseline.scored
            self._bar = self._bar if same else new_bar(self._settings, floor, baseline.scored)
        self._baseline = baseline

    def look(self, as_of: int) -> list[Detection]:
        """Move to a moment and find what stands out: best first, none touching a better one."""
        if as_of < self.as_of:
            raise ValueError(f"a look as of {as_of} after one as of {self.as_of}: time does not go back")
        if self._baseline is None:
            advance(self._board, as_of)
            return []
        windows, _, self._exposed = look(self._board, self._bar, self.rates(as_of), self.cells.size, as_of)
        if not windows.size:
            return []
        expected, scores = describe(self._board, self._bar, self._exposed, windows)
        return [
            self._detection(*found) for found in zip(windows.tolist(), expected.tolist(), scores.tolist(), strict=True)
        ]

    def rates(self, as_of: int) -> Rates:
        """Expectations hour by hour for a look: all spans back, an epoch ahead."""
        assert self._baseline is not None
        first = (as_of - self._settings.spans_s[-1]) // HOUR - 1
        last = as_of // HOUR + EPOCH_HOURS + 1
        rates = self._rates
        if rates is None or first < rates.first or last >= rates.first + rates.block.size:
            rates = self._rates = self._baseline.rates(self._local.hours(first, last + AHEAD_HOURS))
        return rates

    def evaluate(self, ix: int, iy: int, radius_cells: int, span_s: int, as_of: int) -> Detection:
        """Observed and expected in any window of the settings' radii and spans, now."""
        if as_of != self.as_of:
            raise ValueError(f"a window can be evaluated as of the last look, {self.as_of}, not as of {as_of}")
        radius = self._settings.radii_cells.index(radius_cells)
        span = self._settings.spans_s.index(span_s)
        cell = self._numbers.get((ix, iy), ABSENT)
        if cell == ABSENT:
            cell = int(self._ensure(np.array([ix], np.int32), np.array([iy], np.int32))[0])
        window = (cell * len(self._settings.radii_cells) + radius) * len(self._settings.spans_s) + span
        expected, scores = describe(self._board, self._bar, self._exposed, np.array([window]))
        return self._detection(window, expected[0].tolist(), scores[0].tolist())

    def expected_total(self, as_of: int, span_s: int) -> tuple[float, ...]:
        """Expected incidents of the whole region in (as_of - span, as_of], by kind."""
        if self._baseline is None:
            return (0.0,) * KINDS
        exposed = exposure(self.rates(as_of), as_of, np.array([span_s], np.int64))[0]
        return tuple(exposed.reshape(KINDS, -1).sum(axis=1).tolist())

    def counts(self) -> dict[tuple[int, int], Ints]:
        """Counts of every centre, [kind, radius, span], by cell; for tests and maps."""
        board = self._board
        return {
            (int(board.ix[c]), int(board.iy[c])): board.counts[c].astype(np.int64)
            for c in range(self.cells.size)
            if board.holders[c] > 0
        }

    def _detection(self, window: int, expected: list[float], scores: list[float]) -> Detection:
        disc, span = divmod(window, len(self._settings.spans_s))
        cell, radius = divmod(disc, len(self._settings.radii_cells))
        board = self._board
        return Detection(
            int(board.ix[cell]),
            int(board.iy[cell]),
            self._settings.radii_cells[radius],
            self._settings.spans_s[span],
            self.as_of,
            tuple(board.counts[cell, :, radius, span].tolist()),
            tuple(expected),
            sum(scores),
            tuple(scores),
        )

    def _ensure(self, ix: Small, iy: Small) -> Ints:
        """Numbers of cells; new ones get their masses at once."""
        known, capacity = self.cells.size, self.cells.capacity
        index = self.cells.ensure(ix, iy)
        for cell in range(known, self.cells.size):
            self._numbers[int(self.cells.ix[cell]), int(self.cells.iy[cell])] = cell
        if self.cells.capacity != capacity:
            self._board = grown(self._board, self.cells, self._board.when.size)
        if self.cells.size > known:
            populate(self._board, known, self.cells.size)
            if self._masses is not None:
                self._masses.fill(np.arange(known, self.cells.size), self._board.mass)
                if self._board.cursor[EPOCH_END] != LONG_AGO:
                    survey(self._board, self._bar, known, self.cells.size)
        return index

    def _room(self, more: int) -> None:
        """Room for so many more live incidents."""
        needed = int(self._board.cursor[LIVE]) + more
        if needed > self._board.when.size:
            self._board = grown(self._board, self.cells, 2 * needed)
