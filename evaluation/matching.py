"""Which planted hotspots were found, when, and how well the window that found them lay on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from evaluation.methods import Openings
from evaluation.planting import Hotspot
from evaluation.tracks import Life, Opened
from processors.localtime import DAY_S
from schemas.detection import Detection
from schemas.located import LocatedArray

#: An episode is about a hotspot when its window holds at least so many of its incidents, known by then.
HELD: Final = 2
#: Found later than so long after its end is not found.
GRACE_S: Final = 2 * DAY_S
MICRO: Final = 1_000_000

Cells = set[tuple[int, int]]


class Found(NamedTuple):
    """What became of one hotspot."""

    hotspot: Hotspot
    at: int | None
    """When the first episode about it opened, s; None: never."""
    precision: float | None
    """Part of the cells of the window that opened this episode that lie in the hotspot's disc."""
    recall: float | None
    """Part of the cells of the disc that lie in the window."""
    stood: bool
    """Whether an episode at its place was open already when it began."""

    @property
    def days(self) -> float | None:
        """From its begin."""
        return None if self.at is None else (self.at - self.hotspot.begin) / DAY_S


def found(hotspots: Sequence[Hotspot], rows: LocatedArray, opened: Opened, cell_m: int) -> list[Found]:
    """Match the hotspots of a run with what opened.

    `rows` hold those records of the hotspots that the method was shown.
    """
    openings = opened.openings
    result = []
    for spot in hotspots:
        mine = rows[np.isin(rows["record"], np.array(spot.records, np.uint64))]
        about = next((n for n in _during(spot, openings) if _held(openings, n, mine) >= HELD), None)
        stood = any(_stood(spot, life, cell_m) for life in opened.lives)
        if about is None:
            result.append(Found(spot, None, None, None, stood))
            continue
        window = window_cells(*(int(column[about]) for column in (openings.ix, openings.iy, openings.radius)))
        disc = disc_cells(spot, cell_m)
        both = len(window & disc)
        result.append(Found(spot, int(openings.when[about]), both / len(window), both / len(disc), stood))
    return result


def window_cells(ix: int, iy: int, radius: int) -> Cells:
    """Cells whose centres lie within so many cells of the centre of one."""
    reach = range(-radius, radius + 1)
    return {(ix + dx, iy + dy) for dx in reach for dy in reach if dx * dx + dy * dy <= radius * radius}


def disc_cells(spot: Hotspot, cell_m: int) -> Cells:
    """Cells whose centres lie in a hotspot's disc, and the one that its centre lies in."""
    ix, iy = int(spot.x // cell_m), int(spot.y // cell_m)
    reach = int(spot.spec.radius_m // cell_m) + 1
    near = ((ix + dx, iy + dy) for dx in range(-reach, reach + 1) for dy in range(-reach, reach + 1))
    return {(ix, iy)} | {cell for cell in near if _apart(spot, *cell, cell_m) <= spot.spec.radius_m}


def _apart(spot: Hotspot, ix: int, iy: int, cell_m: int) -> float:
    """Metres from the centre of a hotspot to that of a cell."""
    return float(np.hypot((ix + 0.5) * cell_m - spot.x, (iy + 0.5) * cell_m - spot.y))


def _during(spot: Hotspot, openings: Openings) -> list[int]:
    first, last = np.searchsorted(openings.when, [spot.begin, spot.end + GRACE_S])
    return list(range(int(first), int(last)))


def _held(openings: Openings, n: int, rows: LocatedArray) -> int:
    when = openings.when[n]
    x, y = rows["ix"] - openings.ix[n], rows["iy"] - openings.iy[n]
    inside = x.astype(np.int64) ** 2 + y.astype(np.int64) ** 2 <= openings.radius[n] ** 2
    known = (rows["recorded_us"] <= when * MICRO) & (rows["occurred"] > when - openings.span[n])
    return int((inside & known).sum())


def _stood(spot: Hotspot, life: Life, cell_m: int) -> bool:
    window: Detection | None = life.at(spot.begin) if life.opened_at < spot.begin else None
    if window is None:
        return False
    reach = (window.radius_cells + 0.5) * cell_m + spot.spec.radius_m
    return _apart(spot, window.ix, window.iy, cell_m) <= reach
