"""Which planted hotspots were found, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from evaluation.methods import Openings
from evaluation.planting import Hotspot
from processors.localtime import DAY_S
from schemas.located import LocatedArray

#: An episode is about a hotspot when its window holds at least so many of its incidents, known by then.
HELD: Final = 2
#: Found later than so long after its end is not found.
GRACE_S: Final = 2 * DAY_S
MICRO: Final = 1_000_000


class Found(NamedTuple):
    """What became of one hotspot."""

    hotspot: Hotspot
    at: int | None
    """When the first episode about it opened, s; None: never."""

    @property
    def days(self) -> float | None:
        """From its begin."""
        return None if self.at is None else (self.at - self.hotspot.begin) / DAY_S


def found(hotspots: Sequence[Hotspot], rows: LocatedArray, opened: Openings) -> list[Found]:
    """Match the hotspots of a run with what opened; `rows` hold the records of the hotspots."""
    order = np.argsort(rows["record"])
    sorted_records = rows["record"][order]
    result = []
    for spot in hotspots:
        mine = rows[order[np.searchsorted(sorted_records, np.array(spot.records, np.uint64))]]
        about = [n for n in _during(spot, opened) if _held(opened, n, mine) >= HELD]
        result.append(Found(spot, int(opened.when[about[0]]) if about else None))
    return result


def _during(spot: Hotspot, opened: Openings) -> list[int]:
    first, last = np.searchsorted(opened.when, [spot.begin, spot.end + GRACE_S])
    return list(range(int(first), int(last)))


def _held(opened: Openings, n: int, rows: LocatedArray) -> int:
    when = opened.when[n]
    x, y = rows["ix"] - opened.ix[n], rows["iy"] - opened.iy[n]
    inside = x.astype(np.int64) ** 2 + y.astype(np.int64) ** 2 <= opened.radius[n] ** 2
    known = (rows["recorded_us"] <= when * MICRO) & (rows["occurred"] > when - opened.span[n])
    return int((inside & known).sum())
