"""Methods of detection as the evaluation sees them: records in, windows with scores at looks out."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

import numpy as np

from processors.arrays import Ints
from processors.tracking import LINGER_S, Seen, openings
from schemas.located import LocatedArray

#: Openings at the lowest level that a sweep may ask for, by those of the level it looks for.
CLOSE_FRACTION: Final = 0.75


class Openings(NamedTuple):
    """Windows that opened episodes, in order of time."""

    when: Ints
    ix: Ints
    iy: Ints
    radius: Ints
    """Cells."""
    span: Ints
    """s; the window ends when it opened."""

    def since(self, moment: int) -> Openings:
        """Those at or after a moment."""
        return Openings(*(column[self.when >= moment] for column in self))


Window = tuple[int, int, int, int, float]
"""Column, row and radius (cells), span (s) and score."""


class Method(Protocol):
    """Any way to find hotspots in records as they become known."""

    name: str

    def seen(self, rows: LocatedArray, since: int, until: int) -> Seen:
        """Windows and scores at each look from `since` to `until`; rows are in the order in which they become known."""


def opened(seen: Seen, since: int, level: float, close_fraction: float = CLOSE_FRACTION) -> Openings:
    """What opens episodes at a level."""
    which = openings(seen, since, level, close_fraction * level, LINGER_S)
    look = np.searchsorted(seen.start, which, side="right") - 1
    return Openings(seen.when[look], seen.ix[which], seen.iy[which], seen.radius[which], seen.span[which])


def level_of(seen: Seen, since: int, episodes: int) -> float:
    """The lowest level, of those that scores have, at which no more than so many episodes open.

    Where even the highest score opens more, the next number above it; 0 where there are no scores.
    """
    levels = np.unique(seen.score)
    if not levels.size:
        return 0.0
    low, high = 0, levels.size  # at high nothing opens
    while low < high:
        middle = (low + high) // 2
        if opened(seen, since, float(levels[middle])).when.size > episodes:
            low = middle + 1
        else:
            high = middle
    return float(levels[low]) if low < levels.size else float(np.nextafter(levels[-1], np.inf))


def as_seen(looks: list[tuple[int, list[Window]]]) -> Seen:
    """Columns of looks: when, and the (column, row, radius, span, score) of each window. Best first in each look."""
    looks = [(when, sorted(found, key=lambda w: (-w[4], w[2], w[3], w[0], w[1]))) for when, found in looks if found]
    flat = [window for _, found in looks for window in found]
    ix, iy, radius, span = (np.array([window[n] for window in flat], np.int64) for n in range(4))
    score = np.array([window[4] for window in flat], float)
    start = np.cumsum([0, *(len(found) for _, found in looks)])
    return Seen(np.array([when for when, _ in looks], np.int64), start, ix, iy, radius, span, score)
