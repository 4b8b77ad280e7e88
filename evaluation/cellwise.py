"""Methods that watch each square by itself, and Gi*, which watches it with its neighbours; all look once a day."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from evaluation.daily import Squares, days, squares_of
from evaluation.methods import Window, as_seen
from processors.arrays import Floats
from processors.localtime import DAY_S, LocalHours
from processors.tracking import Seen
from schemas.located import LocatedArray, pack_cell

WEEKS: Final = 8
#: Least standard deviation that a count is judged by: where nothing ever happens it would be none.
LEAST_SD: Final = 0.5
LEAST_SD_DAILY: Final = 0.2
KEPT: Final = 25
CUSUM_DAYS: Final = 365
CUSUM_GUARD: Final = 28
CUSUM_RATIO: Final = 3.0

Score = Callable[[Floats, Squares], tuple[Floats, Floats]]
"""Of [square, days back], the score of each square and the days that it is about."""


class Cellwise:
    """One of these methods on squares of one size."""

    def __init__(self, name: str, side_m: int, most: int, score: Score, local: LocalHours, cell_m: int) -> None:
        self.name = name
        self._side_m, self._most, self._score, self._local, self._cell_m = side_m, most, score, local, cell_m

    def seen(self, rows: LocatedArray, since: int, until: int) -> Seen:
        """The squares with the highest scores of each day."""
        squares = squares_of(rows, max(self._side_m // self._cell_m, 1))
        ix, iy = squares.ix, squares.iy
        looks = []
        for day in days(rows, squares, self._local, since, until, self._most):
            score, span = self._score(day.counts(squares.code.size, self._most), squares)
            best = np.argsort(-score, kind="stable")[:KEPT]
            best = best[score[best] > 0.0]
            found: list[Window] = [
                (int(ix[n]), int(iy[n]), squares.radius, int(span[n]) * DAY_S, float(score[n])) for n in best
            ]
            looks.append((day.as_of, found))
        return as_seen(looks)


def weekly_threshold(counts: Floats, squares: Squares) -> tuple[Floats, Floats]:
    """The last week's count in standard deviations above the mean of the eight weeks before."""
    week = counts[:, :7].sum(axis=1)
    before = counts[:, 7 : 7 * (WEEKS + 1)].reshape(-1, WEEKS, 7).sum(axis=2)
    score = (week - before.mean(axis=1)) / np.maximum(before.std(axis=1, ddof=1), LEAST_SD)
    return score, np.full(score.size, 7.0)


def ears_c2(counts: Floats, squares: Squares) -> tuple[Floats, Floats]:
    """C2 of the Early Aberration Reporting System: a day against seven, with a guard of two (Hutwagner et al. 2003)."""
    before = counts[:, 3:10]
    score = (counts[:, 0] - before.mean(axis=1)) / np.maximum(before.std(axis=1, ddof=1), LEAST_SD_DAILY)
    return score, np.ones(score.size)


def gi_star(counts: Floats, squares: Squares) -> tuple[Floats, Floats]:
    """Getis-Ord Gi* of the last week's counts, each square with the eight around it (Getis and Ord 1992)."""
    week = counts[:, :7].sum(axis=1)
    place = {code: n for n, code in enumerate(squares.code.tolist())}
    near = np.full((week.size, 9), -1)
    for o, (dx, dy) in enumerate((dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
        codes = pack_cell(squares.column + dx, squares.row + dy).tolist()
        near[:, o] = [place.get(code, -1) for code in codes]
    w = (near >= 0).sum(axis=1)
    total = np.where(near >= 0, week[near], 0.0).sum(axis=1)
    n, mean, sd = week.size, week.mean(), week.std()
    spread = sd * np.sqrt(np.maximum((n * w - w**2) / (n - 1), 1e-12))
    score = (total - mean * w) / spread if sd > 0 else np.zeros(n)
    return score, np.full(n, 7.0)


def cusum(counts: Floats, squares: Squares) -> tuple[Floats, Floats]:
    """Cumulative log likelihood ratio of three times the usual rate against the usual, day by day (Page 1954).

    The usual is the square's mean of the year before the last 28 days; the window is the time since the sum was last 0.
    """
    usual = (counts[:, CUSUM_GUARD:].sum(axis=1) + 0.5) / (CUSUM_DAYS - CUSUM_GUARD)
    steps = counts[:, :CUSUM_GUARD][:, ::-1] * np.log(CUSUM_RATIO) - (usual * (CUSUM_RATIO - 1.0))[:, None]
    score, length = np.zeros(usual.size), np.zeros(usual.size)
    for day in range(CUSUM_GUARD):
        score = np.maximum(score + steps[:, day], 0.0)
        length = np.where(score > 0.0, length + 1.0, 0.0)
    return score, np.maximum(length, 1.0)


def cellwise(local: LocalHours, cell_m: int) -> list[Cellwise]:
    """All of them."""
    return [
        Cellwise("threshold", 1_000, 7 * (WEEKS + 1), weekly_threshold, local, cell_m),
        Cellwise("ears-c2", 1_000, 10, ears_c2, local, cell_m),
        Cellwise("gi-star", 1_000, 7, gi_star, local, cell_m),
        Cellwise("cusum", 1_000, CUSUM_DAYS, cusum, local, cell_m),
    ]
