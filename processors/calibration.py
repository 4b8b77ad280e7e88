"""The threshold: how high a score must be for chance alone to open no more tracks than the alarm budget allows.

The null is simulated from the fitted baseline and run through the same looks and the same tracking as real records.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from processors.arrays import Floats, Ints, Small
from processors.baseline import Baseline
from processors.board import Bar, Board, clear, new_board, with_calendar
from processors.cells import CellIndex
from processors.counting import insert
from processors.dispersion import Dispersion, Variation
from processors.exposure import HOUR, Rates
from processors.kernels import EPOCH_HOURS, look
from processors.localtime import DAY_S, LocalHours
from processors.masses import Masses
from processors.nullmodel import NullIncidents, simulate_null
from processors.tails import Tail, far_tail, fit_tail, level_error
from processors.tracking import LINGER_S, Seen, openings
from processors.windows import new_bar
from schemas.detection import DetectionSettings

#: Looks are at quarters of an hour at which something new is known.
LOOK_S: Final = 900
#: Tracks already open when counting begins are not counted; this long is watched before it does.
SETTLE_DAYS: Final = 7
#: The tail is fitted from where about so many times the budget's tracks open: enough to fit, still near the threshold.
TAIL_FACTOR: Final = 5.0
#: Where the search for the start of the tail begins, and how it goes on while too few tracks open.
PILOT_STARTS: Final = (10.0, 8.0, 6.0, 4.5, 3.4, 2.5)
PILOT_DAYS: Final = 56
STEP: Final = 0.1
#: A longer simulation is made of years, one after the other: each brings cells of its own, and they take memory.
DAYS_AT_ONCE: Final = 364
#: The threshold is raised by so many of its standard errors: one that is too low by chance costs more false alarms than
#: one that is too high saves.
CAUTION: Final = 1.0
BOOTSTRAPS: Final = 200
MOST_DAYS: Final = 36_500.0


@dataclass(frozen=True)
class Calibration:
    """What scores mean in one region, as of one baseline."""

    made_at: int
    fingerprint: str
    """Of the settings and, after the dash, of the baseline in rounded numbers."""
    threshold: float
    """Score that opens a track."""
    floor: float
    """Score down to which a window remains a detection."""
    tail_start: float
    tail_rate: float
    """Null tracks a day that open at the tail's start."""
    tail_shape: float
    tail_scale: float
    threshold_error: float
    """Standard error of the threshold, from the simulation's length alone."""
    simulated_days: int
    n_peaks: int
    dispersion: Dispersion
    echoes: tuple[float, ...]
    """Mean number of incidents that an incident of each kind brings near by."""
    twins: float
    """Part of the ED incidents whose event the police report too."""
    yearly: tuple[float, ...]
    """Incidents a year of each kind in the baseline behind it."""

    @property
    def tail(self) -> Tail:
        """Rate of null tracks by score."""
        return Tail(self.tail_start, self.tail_rate, self.tail_shape, self.tail_scale)

    def recurrence_days(self, score: float) -> float:
        """How often chance alone opens a track of at least this score, days between; at most a hundred years."""
        rate = self.tail.rate_above(score)
        return MOST_DAYS if rate * MOST_DAYS <= 1.0 else 1.0 / rate

    def to_json(self) -> str:
        """One line, exact."""
        return json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Calibration:
        """What `to_json` wrote."""
        fields: dict[str, Any] = json.loads(text)
        scales = Dispersion(*(tuple(scale) for scale in fields.pop("dispersion")))
        tuples = {name: tuple(fields[name]) for name in ("yearly", "echoes")}
        return Calibration(**{**fields, **tuples, "dispersion": scales})


def settings_fingerprint(settings: DetectionSettings) -> str:
    """The part of a fingerprint that says with which settings it was made."""
    return hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16]


def baseline_fingerprint(baseline: Baseline, variation: Variation) -> str:
    """The part of a fingerprint that says under which baseline it was made, to two digits."""
    scales = [variance for scale in variation.dispersion for variance in scale]
    scales += [followers.part for followers in (*variation.following.echoes, variation.following.twins)]
    numbers = [*baseline.yearly(), *scales, float(baseline.places.ix.size)]
    return hashlib.sha256(" ".join(f"{n:.1e}" for n in numbers).encode()).hexdigest()[:16]


def calibrate(
    baseline: Baseline, variation: Variation, settings: DetectionSettings, local: LocalHours, *, threads: int = 1
) -> Calibration:
    """Simulate, count openings over thresholds, fit their tail and read the threshold off it.

    With two threads years are looked at side by side, in more memory; the result is the same.
    """
    made_at = baseline.fitted_at
    rng = np.random.default_rng([settings.seed, made_at])
    days = settings.calibration_days
    warm_days = -(-settings.spans_s[-1] // DAY_S) + SETTLE_DAYS
    since = made_at + warm_days * DAY_S
    budget = settings.budget_per_28d / 28.0

    def scene_of(part: int) -> NullScene:
        null = simulate_null(baseline, variation, local, made_at, -(-(warm_days + part) // 7), rng)
        return NullScene(baseline, settings, local, made_at, null)

    def levels(scene: NullScene, part: int, start: float) -> Floats:
        seen = scene.run(settings.close_fraction * start, since + part * DAY_S)
        return opening_levels(seen, since, start, settings.close_fraction)

    first, *others = [min(days - done, DAYS_AT_ONCE) for done in range(0, days, DAYS_AT_ONCE)]
    scene = scene_of(first)
    if threads > 1 and others:
        with ThreadPoolExecutor(max_workers=1) as second:  # one, for each simulation draws where the last one ended
            ahead = second.submit(scene_of, others[0])
            start = _tail_start(scene, since, first, budget, settings.close_fraction)
            more = [second.submit(lambda: levels(ahead.result(), others[0], start))]
            more += [second.submit(lambda part: levels(scene_of(part), part, start), part) for part in others[1:]]
            found = [levels(scene, first, start), *(levels_of_part.result() for levels_of_part in more)]
    else:
        start = _tail_start(scene, since, first, budget, settings.close_fraction)
        found = [levels(scene, first, start), *(levels(scene_of(part), part, start) for part in others)]
    peaks = np.concatenate(found)
    tail = fit_tail(peaks, start, days)
    error = level_error(peaks, tail, days, budget, rng, BOOTSTRAPS)
    threshold = tail.level_of(budget) + CAUTION * error
    tail = far_tail(peaks, tail, threshold, budget)
    return Calibration(
        made_at=made_at,
        fingerprint=f"{settings_fingerprint(settings)}-{baseline_fingerprint(baseline, variation)}",
        threshold=threshold,
        floor=settings.close_fraction * threshold,
        tail_start=tail.start,
        tail_rate=tail.rate,
        tail_shape=tail.shape,
        tail_scale=tail.scale,
        threshold_error=error,
        simulated_days=days,
        n_peaks=int(peaks.size),
        dispersion=variation.dispersion,
        echoes=tuple(echoes.part for echoes in variation.following.echoes),
        twins=variation.following.twins.part,
        yearly=baseline.yearly(),
    )


def _tail_start(scene: NullScene, since: int, days: int, budget: float, close_fraction: float) -> float:
    """A score at which several times the budget's tracks open, judged by the first weeks."""
    pilot_days = min(days, PILOT_DAYS)
    wanted = TAIL_FACTOR * budget * pilot_days
    for start in PILOT_STARTS:
        seen = scene.run(close_fraction * start, since + pilot_days * DAY_S)
        levels = opening_levels(seen, since, start, close_fraction)
        if levels.size >= wanted:
            return float(np.sort(levels)[levels.size - int(np.ceil(wanted))])
    return PILOT_STARTS[-1]


def opening_levels(seen: Seen, since: int, start: float, close_fraction: float) -> Floats:
    """For each track that opens, the highest threshold at which it still does.

    Tracks depend on the threshold, for it also sets when they close. So openings are counted threshold by threshold,
    in small steps, and the levels are those whose distribution gives these counts.
    """
    counts: list[int] = []
    while not counts or counts[-1]:
        level = start + STEP * len(counts)
        counts.append(openings(seen, since, level, close_fraction * level, LINGER_S).size)
    falling = np.maximum.accumulate(np.array(counts)[::-1])[::-1]
    drops = falling[:-1] - falling[1:]
    return np.repeat(start + STEP * (np.arange(drops.size) + 0.5), drops)


class NullScene:
    """A simulated history, and the arrays to look at it in the way that records are looked at."""

    def __init__(
        self, baseline: Baseline, settings: DetectionSettings, local: LocalHours, begin: int, null: NullIncidents
    ) -> None:
        self._baseline, self._settings, self._null, self._begin = baseline, settings, null, begin
        self._cells = CellIndex(settings.radii_cells)
        self._usual = self._cells.ensure(baseline.places.ix, baseline.places.iy)
        self._where = self._cells.ensure(null.ix, null.iy).astype(np.int32)
        self._board = new_board(
            self._cells,
            settings.radii_cells,
            settings.shapes,
            baseline.feeds.kind.size,
            null.kind.size + 1,
            settings.min_incidents,
        )
        Masses(baseline, self._cells).fill(np.arange(self._cells.size), self._board.mass)
        last = int(null.known[-1]) if null.known.size else begin
        first = begin - settings.spans_s[-1]
        hours = local.hours(first // HOUR - 1, last // HOUR + 2 * EPOCH_HOURS)
        self._board = with_calendar(self._board, hours)
        self._rates = baseline.rates(hours, np.zeros(baseline.feeds.kind.size, np.int64))
        # Windows are full, and looked at, once the longest span has passed.
        moments = np.unique(-(-null.known // LOOK_S) * LOOK_S)
        self._moments = moments[moments > begin + settings.spans_s[-1]]

    def run(self, floor: float, until: int) -> Seen:
        """All detections of at least `floor` at the looks before a moment."""
        board, settings = self._board, self._settings
        clear(board)
        board.holders[self._usual] = 1
        bar = new_bar(settings, floor, self._baseline.scored, self._baseline.feeds.first)
        self._rates.heard[:] = self._begin
        moments = self._moments[self._moments < until]
        null = self._null
        found, window, score = _run(board, bar, self._rates, self._cells.size, self._where, null, moments)
        spans, radii = board.spans.size, board.radii
        disc = window // spans
        some = np.flatnonzero(found)
        return Seen(
            moments[some],
            np.concatenate([[0], np.cumsum(found[some])]),
            board.ix[disc // radii.size].astype(np.int64),
            board.iy[disc // radii.size].astype(np.int64),
            radii[disc % radii.size],
            board.spans[window % spans],
            score,
        )


@njit(cache=True, nogil=True)
def _run(
    board: Board,
    bar: Bar,
    rates: Rates,
    cells: int,
    where: Small,
    null: NullIncidents,
    moments: Ints,
) -> tuple[Ints, Ints, Floats]:
    """Look at every moment; returns how many windows each look found, and the windows with their scores."""
    kind, occurred, known, feed, heard = null.kind, null.occurred, null.known, null.feed, rates.heard
    found = np.zeros(moments.size, np.int64)
    window = np.empty(1024, np.int64)
    score = np.empty(1024)
    n = 0
    arrived = 0
    for m in range(moments.size):
        while arrived < known.size and known[arrived] <= moments[m]:
            cell = where[arrived]
            board.holders[cell] += 1
            insert(board, occurred[arrived], cell, kind[arrived])
            heard[feed[arrived]] = known[arrived]
            arrived += 1
        windows, scores, _ = look(board, bar, rates, cells, moments[m])
        found[m] = windows.size
        while n + windows.size > window.size:
            window = np.concatenate((window, np.empty_like(window)))
            score = np.concatenate((score, np.empty_like(score)))
        window[n : n + windows.size] = windows
        score[n : n + windows.size] = scores
        n += windows.size
    return found, window[:n].copy(), score[:n].copy()
