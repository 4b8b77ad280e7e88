"""The squares and weeks by which counts are told to those without the health permission, each rounded once.

The plane is cut once and for all into square tiles: a tile is quartered where each quarter has at least eight
addresses, and so on down to single cells. What is told of a tile in an ISO week is fixed when it is told for the first
time. Whatever overlaps, an outsider so learns one rounded figure of each tile and week, and no difference of two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from alerts.outline import Cell, disc
from processors.incidents import incidents
from processors.localtime import LocalHours
from schemas.alert import UnitWeek
from schemas.detection import Detection
from schemas.located import KIND_NAMES, Kind, LocatedArray, pick

#: A published polygon holds at least so many addresses.
LEAST_ADDRESSES: Final = 8
#: The largest tiles have sides of 2 to this power, in cells: 4 km at 250 m.
LARGEST: Final = 4
#: Where addresses are not known, tiles have sides of 2 to this power: 1 km at 250 m.
UNKNOWN: Final = 2
#: What was told of a week is remembered so long: the longest window, and a year.
REMEMBERED_WEEKS: Final = 60
_EPOCH: Final = date(1970, 1, 1)


class Unit(NamedTuple):
    """A square tile: its side is 2 to the power of `level` cells."""

    level: int
    column: int
    row: int

    @property
    def name(self) -> str:
        """As it stands in alerts."""
        return f"{self.level}/{self.column}/{self.row}"

    @property
    def corner(self) -> Cell:
        """Its south-western cell."""
        return self.column << self.level, self.row << self.level

    def cells(self) -> list[Cell]:
        """All of it."""
        x, y = self.corner
        side = range(1 << self.level)
        return [(x + right, y + up) for right in side for up in side]

    @staticmethod
    def of_name(name: str) -> Unit:
        """The tile of a name."""
        level, column, row = (int(part) for part in name.split("/"))
        return Unit(level, column, row)


class Publication:
    """The cut of one region."""

    def __init__(self, addresses: Mapping[Cell, int] | None = None) -> None:
        self.is_known = addresses is not None
        self._held: list[dict[Cell, int]] = [{} for _ in range(LARGEST + 1)]
        for (ix, iy), count in (addresses or {}).items():
            for level, held in enumerate(self._held):
                tile = (ix >> level, iy >> level)
                held[tile] = held.get(tile, 0) + count

    def unit_of(self, ix: int, iy: int) -> Unit:
        """The tile that a cell lies in."""
        if not self.is_known:
            return Unit(UNKNOWN, ix >> UNKNOWN, iy >> UNKNOWN)
        level = LARGEST
        while level and self._splits(level, ix >> level, iy >> level):
            level -= 1
        return Unit(level, ix >> level, iy >> level)

    def _splits(self, level: int, column: int, row: int) -> bool:
        """Whether each quarter of a tile has addresses enough to be told of by itself."""
        held = self._held[level - 1]
        quarters = ((2 * column + x, 2 * row + y) for x in (0, 1) for y in (0, 1))
        return all(held.get(quarter, 0) >= LEAST_ADDRESSES for quarter in quarters)

    def addresses(self, units: Iterable[Unit]) -> int:
        """In tiles, all together."""
        return sum(self._held[unit.level].get((unit.column, unit.row), 0) for unit in units)

    def units_of(self, ix: int, iy: int, radius_cells: int) -> tuple[Unit, ...]:
        """The tiles that the disc of a window touches, in order."""
        return tuple(sorted({self.unit_of(*cell) for cell in disc(ix, iy, radius_cells)}))

    def enough(self, units: tuple[Unit, ...]) -> tuple[Unit, ...]:
        """These tiles and as many around them as it takes to hold addresses enough; none where there are too few."""
        found = set(units)
        for _ in range(LARGEST):
            if self.addresses(found) >= LEAST_ADDRESSES:
                return tuple(sorted(found))
            found |= {self.unit_of(*cell) for unit in found for cell in _around(unit)}
        return ()


def _around(unit: Unit) -> list[Cell]:
    """A cell of each neighbour of a tile that is as large or larger, and some of the smaller ones."""
    x, y = unit.corner
    side = 1 << unit.level
    return [(x + right, y + up) for right in (-1, side) for up in range(-1, side + 1)] + [
        (x + right, y + up) for up in (-1, side) for right in range(side)
    ]


class Ledger:
    """What was told of each tile and week of one region, fixed when it was first told."""

    def __init__(self) -> None:
        self._told: dict[str, dict[str, tuple[int, ...]]] = {}
        """By week, then by tile; a tile of which none was told is there too."""
        self.is_changed = False

    def tell(
        self, window: Detection, rows: LocatedArray, publication: Publication, local: LocalHours, merge_s: int
    ) -> tuple[UnitWeek, ...]:
        """What may be told of the tiles and weeks of a window, those with none left out; `rows` count as of now."""
        units = publication.units_of(window.ix, window.iy, window.radius_cells)
        weeks = self._kept(weeks_of(window, local))
        new = [unit for unit in units if any(unit.name not in self._told.get(name, {}) for name, _, _ in weeks)]
        if new:
            self._fix(new, weeks, rows, publication, merge_s)
        return tuple(
            UnitWeek(unit.name, name, dict(zip(KIND_NAMES, self._told[name][unit.name], strict=True)))
            for name, _, _ in weeks
            for unit in units
            if any(self._told[name][unit.name])
        )

    def _kept(self, weeks: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
        """Weeks of which nothing was forgotten: of an older one a second figure could be told, and then subtracted."""
        oldest = min(self._told) if len(self._told) >= REMEMBERED_WEEKS else ""
        return [week for week in weeks if week[0] >= oldest]

    def _fix(
        self,
        units: list[Unit],
        weeks: list[tuple[str, int, int]],
        rows: LocatedArray,
        publication: Publication,
        merge_s: int,
    ) -> None:
        cells = np.array([cell for unit in units for cell in unit.cells()], np.int64)
        of_cell = {cell: unit.name for unit in units for cell in unit.cells()}
        x, y = rows["ix"], rows["iy"]
        near = (x >= cells[:, 0].min()) & (x <= cells[:, 0].max()) & (y >= cells[:, 1].min()) & (y <= cells[:, 1].max())
        found = incidents(pick(rows, near), merge_s)
        for name, begin, end in weeks:
            counts: dict[str, list[int]] = {unit.name: [0] * len(Kind) for unit in units}
            during = np.flatnonzero((found.occurred >= begin) & (found.occurred < end))
            for n in during.tolist():
                unit = of_cell.get((int(found.ix[n]), int(found.iy[n])))
                if unit is not None:
                    counts[unit][int(found.kind[n])] += 1
            told = self._told.setdefault(name, {})
            for unit, count in counts.items():
                told.setdefault(unit, tuple(count))
        self.is_changed = True
        for name in sorted(self._told)[:-REMEMBERED_WEEKS]:
            del self._told[name]

    def state(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """What must survive a restart."""
        self.is_changed = False
        return self._told

    def restore(self, state: dict[str, dict[str, tuple[int, ...]]]) -> None:
        """Go on from a state."""
        self._told = {week: dict(units) for week, units in state.items()}


def weeks_of(window: Detection, local: LocalHours) -> list[tuple[str, int, int]]:
    """Name, begin and end (s) of the ISO weeks that a window touches, by the region's clock."""
    first, last = (local.day(at) for at in (window.as_of - window.span_s + 1, window.as_of))
    found = []
    for monday in range(first - (first + 3) % 7, last + 1, 7):
        year, week, _ = (_EPOCH + timedelta(days=monday)).isocalendar()
        found.append((f"{year}-W{week:02d}", local.midnight(monday), local.midnight(monday + 7)))
    return found
