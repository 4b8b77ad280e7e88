"""The daily prospective space-time permutation scan (Kulldorff et al. 2005) as a method."""

from __future__ import annotations

from typing import Final

import numpy as np

from evaluation.daily import Day, Squares, days, squares_of
from evaluation.methods import Window, as_seen
from processors.arrays import Floats
from processors.localtime import DAY_S, LocalHours
from processors.scan.circles import Circles, find_circles
from processors.scan.kernels import Events, apart, best_at_end, masses
from processors.tracking import Seen
from schemas.located import LocatedArray

STUDY_DAYS: Final = 365
LONGEST_DAYS: Final = 28
RADIUS_M: Final = 2_000.0
LOW: Final = 3
SIDE_M: Final = 500
#: Clusters of a day that are kept: the best of those that share no place.
KEPT: Final = 12


class PermutationScan:
    """A year of days, windows up to 28 days and 2 km, places of 500 m; its score is the log likelihood ratio.

    The ratio stands for the p-value: with as many cases each day the one rises as the other falls, and replications of
    every day would take a thousand times as long.
    """

    name = "permutation"

    def __init__(self, local: LocalHours, cell_m: int) -> None:
        self._local, self._cell_m = local, cell_m

    def seen(self, rows: LocatedArray, since: int, until: int) -> Seen:
        """Clusters of each day's scan."""
        squares = squares_of(rows, max(SIDE_M // self._cell_m, 1))
        points = np.stack([squares.column, squares.row], axis=1).astype(np.float64) * (squares.side * self._cell_m)
        circles = find_circles(points, False, RADIUS_M, np.zeros(len(points)), 1.0)
        looks = []
        for day in days(rows, squares, self._local, since, until, STUDY_DAYS):
            looks.append((day.as_of, _clusters(day, squares, circles, points, self._cell_m)))
        return as_seen(looks)


def _clusters(day: Day, squares: Squares, circles: Circles, points: Floats, cell_m: int) -> list[Window]:
    n = squares.code.size
    recent = day.back < LONGEST_DAYS
    code, number = np.unique(day.place[recent] * LONGEST_DAYS + day.back[recent], return_counts=True)
    start = np.searchsorted(code // LONGEST_DAYS, np.arange(n + 1)).astype(np.int32)
    events = Events(start, (code % LONGEST_DAYS).astype(np.int32), number.astype(np.int32))
    total = float(day.place.size)
    mass = masses(circles, np.bincount(day.place, minlength=n).astype(float))
    share = np.cumsum(np.bincount(day.back[recent], minlength=LONGEST_DAYS)).astype(float)
    best = best_at_end(circles, mass, share, 1, events, LOW, total, total)
    order = np.argsort(-best.statistic, kind="stable")
    order = order[best.statistic[order] > 0.0][: 40 * KEPT]
    found: list[Window] = []
    for centre in apart(circles, best.size, order)[:KEPT].tolist():
        last = circles.place[circles.start[centre] + best.size[centre] - 1]
        radius = round(float(np.hypot(*(points[last] - points[centre]))) / cell_m) + squares.radius
        span = int(LONGEST_DAYS - best.first[centre]) * DAY_S
        found.append((int(squares.ix[centre]), int(squares.iy[centre]), radius, span, float(best.statistic[centre])))
    return found
