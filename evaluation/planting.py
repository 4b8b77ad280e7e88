"""Hotspots planted into a real history: where, when and how many, drawn by seed; what a method ought to find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from processors.arrays import Floats, Ints
from processors.feeds import codes_of
from processors.grid import Grid
from processors.localtime import DAY_S, HOUR_S, HOURS_A_WEEK, LocalHours
from schemas.base import ToldError
from schemas.evaluation import Busyness, Growth, HotspotSpec, HoursOfWeek
from schemas.located import LOCATED, Gate, LocatedArray, Status, join, pack_cell, pick, record_hash

#: Parts of the cells near which anything ever happened: below the first quiet, above the second busy.
BUSY_PARTS: Final = (0.5, 0.85)
#: A place's busyness is that of so many cells around it.
AROUND_CELLS: Final = 2
#: What is usual is what was in so many days before the period.
USUAL_DAYS: Final = 730
#: Hotspots of one run that are this close are this far apart in time, so that one is not the other's past.
NEAR_M: Final = 5_000.0
APART_DAYS: Final = 200
#: Hotspots of one run that happen together: more would be a wave of violence, not hotspots.
AT_ONCE: Final = 3
#: Days after a hotspot before another may take its turn: it is in the longest window so long.
AFTER_DAYS: Final = 14
MICRO: Final = 1_000_000
#: Places and times that are tried for a hotspot: alone, and in each run beside others.
TRIES: Final = 2_000
TRIES_BESIDE: Final = 60


class NoRoomError(ToldError, ValueError):
    """A hotspot that cannot be planted."""


class Hotspot(NamedTuple):
    """One planted hotspot."""

    number: int
    """In the order in which hotspots were placed."""
    row: int
    """Place of its specification among all."""
    spec: HotspotSpec
    x: float
    y: float
    begin: int
    end: int
    """Its time, s; its incidents happen in it."""
    records: tuple[int, ...]
    """Hashes of its records."""
    usual: float
    """Incidents that were usual there in that time."""


class Sources(NamedTuple):
    """The sources that know of planted hotspots: kind in the high, number in the low 16 bits."""

    first: int
    second: int


class Ground(NamedTuple):
    """Where hotspots may be planted."""

    ix: Ints
    iy: Ints
    around: Floats
    """Incidents a day near each cell."""
    busyness: Ints
    """0 quiet, 1 medium, 2 busy."""
    cell_m: int


def ground_of(rows: LocatedArray, days: float, cell_m: int) -> Ground:
    """Cells of a history of so many days, with what usually happens around each."""
    code, n = np.unique(pack_cell(rows["ix"], rows["iy"]), return_counts=True)
    ix, iy = code >> 32, (code & 0xFFFFFFFF).astype(np.uint32).view(np.int32).astype(np.int64)
    count = dict(zip(code.tolist(), n.tolist(), strict=True))
    around = np.zeros(code.size)
    for dx in range(-AROUND_CELLS, AROUND_CELLS + 1):
        for dy in range(-AROUND_CELLS, AROUND_CELLS + 1):
            near = pack_cell(ix + dx, iy + dy).tolist()
            around += np.array([count.get(key, 0) for key in near])
    busyness = np.digitize(np.argsort(np.argsort(around, kind="stable")) / code.size, BUSY_PARTS)
    return Ground(ix, iy, around / days, busyness, cell_m)


class Planter:
    """Draws hotspots into a period of one history."""

    def __init__(self, known: LocatedArray, since: int, until: int, sources: Sources, grid: Grid, local: LocalHours):
        """`known` are the records of before and of the period: those of the last two years before it tell where and
        when violence is usual, and all how late it becomes known."""
        if until <= since:
            raise NoRoomError("The period is too short to plant hotspots in.")
        counting = (known["gate"] == Gate.NONE) & (known["status"] != Status.WITHDRAWN)  # others have no true place
        # Of old violence only late reports may be there, and many: what is usual is what lately was.
        recent = (known["occurred"] >= since - USUAL_DAYS * DAY_S) & (known["occurred"] < since)
        before = pick(known, counting & recent)
        if not before.size:
            raise NoRoomError("There is no record before the period, so no usual places to plant hotspots in.")
        first = int(before["occurred"].min())
        self._ground = ground_of(before, max((since - first) / DAY_S, 1.0), grid.cell_m)
        self._grid = grid
        self._since, self._until, self._sources = since, until, sources
        self._hours = local.hours(first // HOUR_S, until // HOUR_S + 1)
        of_week = self._hours.of_week[before["occurred"] // HOUR_S - self._hours.first]
        self._usual = np.bincount(of_week, minlength=HOURS_A_WEEK) + 1.0
        late = np.maximum(known["recorded_us"] - known["occurred"] * MICRO, 0)
        self._late = {code: late[codes_of(known) == code] for code in sources}

    def runs(self, specs: Sequence[HotspotSpec], rng: np.random.Generator) -> list[list[Hotspot]]:
        """All hotspots of the specifications, in as few runs as keep them out of each other's way.

        Raises NoRoomError for a hotspot that is longer than the period or has none of its hours in it.
        """
        wanted = [(row, spec) for row, spec in enumerate(specs) for _ in range(spec.repeats)]
        runs: list[list[Hotspot]] = []
        for number, which in enumerate(rng.permutation(len(wanted)).tolist()):
            row, spec = wanted[which]
            for run in runs:
                spot = self._place(spec, run, TRIES_BESIDE, rng)
                if spot is not None:
                    run.append(spot._replace(number=number, row=row))
                    break
            else:
                spot = self._place(spec, [], TRIES, rng)
                if spot is None:
                    raise NoRoomError(f"The hotspot {spec.name!r} does not fit into the period.")
                runs.append([spot._replace(number=number, row=row)])
        return runs

    def _place(self, spec: HotspotSpec, run: list[Hotspot], tries: int, rng: np.random.Generator) -> Hotspot | None:
        for _ in range(tries):
            spot = self._draw(spec, rng)
            if spot is not None and self._free(spot, run):
                return spot
        return None

    def _free(self, spot: Hotspot, run: list[Hotspot]) -> bool:
        beside = 0
        for other in run:
            gap = max(spot.begin - other.end, other.begin - spot.end)
            near = (spot.x - other.x) ** 2 + (spot.y - other.y) ** 2 < NEAR_M**2
            if near and gap < APART_DAYS * DAY_S:
                return False
            beside += gap < AFTER_DAYS * DAY_S
        return beside < AT_ONCE

    def _draw(self, spec: HotspotSpec, rng: np.random.Generator) -> Hotspot | None:
        length = round(spec.days * DAY_S)
        if length >= self._until - self._since:
            return None
        begin = int(rng.integers(self._since, self._until - length))
        if spec.start is not None:
            begin = int(spec.start.timestamp())
            if not self._since <= begin < self._until - length:
                return None
        if not self._weight(spec, begin, begin + length).sum():
            return None
        ground = self._ground
        centre, x, y = self._centre(spec, rng)
        area = np.pi * max(spec.radius_m, 0.5 * ground.cell_m) ** 2
        usual = float(ground.around[centre] * spec.days * area / ((2 * AROUND_CELLS + 1) * ground.cell_m) ** 2)
        return Hotspot(0, 0, spec, x, y, begin, begin + length, (), usual)

    def _centre(self, spec: HotspotSpec, rng: np.random.Generator) -> tuple[int, float, float]:
        """The cell of the ground at, or nearest to, a centre, and the centre in metres."""
        ground, cell_m = self._ground, self._ground.cell_m
        if spec.longitude is not None and spec.latitude is not None:
            [east], [north] = self._grid.project(np.array([spec.longitude]), np.array([spec.latitude]))
            far = (ground.ix - east // cell_m) ** 2 + (ground.iy - north // cell_m) ** 2
            return int(np.argmin(far)), float(east), float(north)
        if spec.place is None:
            centre = int(rng.choice(ground.ix.size, p=ground.around / ground.around.sum()))
        else:
            centre = int(rng.choice(np.flatnonzero(ground.busyness == list(Busyness).index(spec.place))))
        x, y = ((axis[centre] + rng.random()) * cell_m for axis in (ground.ix, ground.iy))
        return centre, float(x), float(y)

    def _weight(self, spec: HotspotSpec, begin: int, end: int) -> Floats:
        """Of each hour from the begin to the end of a hotspot."""
        first = begin // HOUR_S - self._hours.first
        of_week = self._hours.of_week[first : first + -(-(end - begin) // HOUR_S)]
        day, clock = of_week // 24, of_week % 24
        if spec.hours is HoursOfWeek.USUAL:
            weight = np.asarray(self._usual[of_week], np.float64)
        elif spec.hours is HoursOfWeek.AFTERNOONS:
            weight = ((day < 5) & (clock >= 14) & (clock < 18)).astype(float)
        else:
            evening = ((day == 4) | (day == 5)) & (clock >= 20)
            weight = (evening | (((day == 5) | (day == 6)) & (clock < 4))).astype(float)
        if spec.growth is Growth.GROWING:
            weight = weight * (np.arange(weight.size) + 0.5)
        return weight

    def plant(self, run: Sequence[Hotspot], seed: int) -> tuple[LocatedArray, tuple[Hotspot, ...]]:
        """Records of the hotspots of a run, in no order, and the hotspots with the hashes of these.

        They become known as late as real records of their source.
        """
        parts, told = [], []
        for spot in run:
            rows = self._records(spot, np.random.default_rng([seed, spot.number]))
            parts.append(rows)
            told.append(spot._replace(records=tuple(rows["record"].tolist())))
        return join(parts), tuple(told)

    def _records(self, spot: Hotspot, rng: np.random.Generator) -> LocatedArray:
        spec, cell_m = spot.spec, self._ground.cell_m
        n = spec.incidents or max(int(rng.poisson(((spec.relative_risk or 1.0) - 1.0) * spot.usual)), 1)
        weight = self._weight(spec, spot.begin, spot.end)
        hour = spot.begin // HOUR_S + rng.choice(weight.size, n, p=weight / weight.sum())
        angle, far = rng.uniform(0.0, 2.0 * np.pi, n), spec.radius_m * np.sqrt(rng.random(n))
        rows: LocatedArray = np.zeros(n, LOCATED)
        rows["record"] = [record_hash("planted", f"{spot.number}/{place}") for place in range(n)]
        rows["revision"] = rows["weight"] = 1
        code = np.where(rng.permutation(n) < round(spec.second_part * n), self._sources.second, self._sources.first)
        rows["kind"], rows["source"] = code >> 16, code & 0xFFFF
        rows["ix"] = np.floor((spot.x + far * np.cos(angle)) / cell_m)
        rows["iy"] = np.floor((spot.y + far * np.sin(angle)) / cell_m)
        rows["occurred"] = np.clip(hour * HOUR_S + rng.integers(0, HOUR_S, n), spot.begin, spot.end - 1)
        for source in set(self._sources):
            mine = code == source
            if self._late[source].size:
                rows["recorded_us"][mine] = rng.choice(self._late[source], int(mine.sum()))
        rows["recorded_us"] += rows["occurred"] * MICRO
        return rows
