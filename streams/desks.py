"""Where records go: the source that sent one has a region, and that region's desk gives it a cell or refuses it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.grid import Grid
from schemas.located import LOCATED, Gate, Kind, LocatedArray
from schemas.personal import personal_data_in
from schemas.reasons import RejectReason
from schemas.region import RegionFile, RegionFileError, Source
from streams.codec import Accepted, Rejected
from streams.express import Spot


class RegisteredSource(NamedTuple):
    """A source, the region that it reports to, and its place in that region's file."""

    source: Source
    kind: Kind
    number: int
    """Its place in the region's file, as it stands in located rows."""
    desk: RegionDesk


class Refusal(NamedTuple):
    """A rejection and the place of its message in the fetch."""

    position: int
    rejected: Rejected


class Draft(NamedTuple):
    """A row of a record that passed the contract, before it has a cell."""

    spot: Spot
    accepted: Accepted
    registered: RegisteredSource
    row: tuple[int, ...]
    coordinates: tuple[float, float] | None
    metres: bool


class Part(NamedTuple):
    """Rows that a region took, and where in a fetch they were."""

    spots: NDArray[np.int64]
    """Of each row, message and element."""
    rows: LocatedArray


class RegionDesk:
    """Locates the records of one region: projects, checks against its bounds, and gates places that are not places."""

    def __init__(self, region: RegionFile) -> None:
        self.region = region
        self.grid = Grid(region)
        places = region.institutions
        longitude = np.array([place.longitude for place in places], dtype=np.float64)
        latitude = np.array([place.latitude for place in places], dtype=np.float64)
        self._gates = np.column_stack([*self.grid.project(longitude, latitude), [p.radius_m for p in places]])

    def locate(self, drafts: Sequence[Draft]) -> tuple[Part, list[Refusal]]:
        """The drafts that lie in the region or have no place, and the refusals of the others."""
        rows = np.array([draft.row for draft in drafts], dtype=LOCATED)
        spots = np.array([draft.spot for draft in drafts])
        placed = [i for i, draft in enumerate(drafts) if draft.coordinates is not None]
        if not placed:
            return Part(spots, rows), []
        given = np.array([drafts[i].coordinates for i in placed], dtype=np.float64)
        metres = np.array([drafts[i].metres for i in placed], dtype=np.bool_)
        index = np.array(placed)
        inside = self.place(rows, index, given, metres)
        refusals = [
            Refusal(drafts[i].spot.message, self._refuse(drafts[i]))
            for i, held in zip(placed, inside, strict=True)
            if not held
        ]
        keep = np.ones(len(rows), dtype=np.bool_)
        keep[index[~inside]] = False
        return Part(spots[keep], rows[keep]), refusals

    def place(
        self, rows: LocatedArray, index: NDArray[np.int64], given: NDArray[np.float64], metres: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Set cell and gate of the rows at `index` from their coordinates, n × 2; returns which lie in the region."""
        degrees = given
        if metres.any():
            degrees = given.copy()
            degrees[metres] = np.column_stack(self.grid.unproject(given[metres, 0], given[metres, 1]))
        inside = self._inside(degrees)
        projected = given.copy()
        if not metres.all():
            projected[~metres] = np.column_stack(self.grid.project(given[~metres, 0], given[~metres, 1]))
        projected[~inside] = np.nan  # refused, and too far away for a cell number perhaps
        positions = self.grid.cells(projected[:, 0], projected[:, 1])
        rows["ix"][index], rows["iy"][index] = positions.ix, positions.iy
        gated = self._institutional(projected)
        rows["gate"][index[gated & (rows["gate"][index] == Gate.NONE)]] = Gate.INSTITUTION
        return inside

    def _inside(self, degrees: NDArray[np.float64]) -> NDArray[np.bool_]:
        bounds, longitude, latitude = self.region.bounds, degrees[:, 0], degrees[:, 1]
        result: NDArray[np.bool_] = (
            (longitude >= bounds.west)
            & (longitude <= bounds.east)
            & (latitude >= bounds.south)
            & (latitude <= bounds.north)
        )
        return result

    def _institutional(self, projected: NDArray[np.float64]) -> NDArray[np.bool_]:
        result = np.zeros(len(projected), dtype=np.bool_)
        for easting, northing, radius_m in self._gates:
            result |= np.hypot(projected[:, 0] - easting, projected[:, 1] - northing) <= radius_m
        return result

    def _refuse(self, draft: Draft) -> Rejected:
        assert draft.coordinates is not None
        first, second = draft.coordinates
        if draft.metres:
            longitude, latitude = self.grid.unproject(np.array([second]), np.array([first]))
            swapped = self.region.bounds.holds(float(longitude[0]), float(latitude[0]))
        else:
            swapped = self.region.bounds.holds(second, first)
        reason = RejectReason.COORDINATES_SWAPPED if swapped else RejectReason.OUTSIDE_REGION
        return Rejected(reason, f"data.place: {reason.sentence}", draft.accepted.raw)


class Registry:
    """All sources of all regions of this installation. A source reports to one region.

    Raises RegionFileError where two region files claim the same source or id.
    """

    def __init__(self, regions: Iterable[RegionFile]) -> None:
        self.desks: dict[str, RegionDesk] = {}
        for region in regions:
            if region.id in self.desks:
                raise RegionFileError(f"Two region files have the id {region.id!r}.")
            self.desks[region.id] = RegionDesk(region)
        self._sources: dict[str, RegisteredSource] = {}
        self._clean: dict[tuple[str, Kind], RegisteredSource] = {}
        for desk in self.desks.values():
            for index, source in enumerate(desk.region.sources):
                if source.id in self._sources:
                    other = self._sources[source.id].desk.region.id
                    raise RegionFileError(
                        f"The source {source.id!r} stands in the region files of {other!r} and {desk.region.id!r}."
                    )
                registered = RegisteredSource(source, source.kind_code, index, desk)
                self._sources[source.id] = registered
                if personal_data_in(source.id, dates=False) is None:
                    self._clean[source.id, source.kind_code] = registered

    def find(self, source: str) -> RegisteredSource | None:
        """The source of this name, if any region lists it."""
        return self._sources.get(source)

    def find_clean(self, source: str, kind: Kind) -> RegisteredSource | None:
        """The source of this name and kind, if any region lists it and its name is one that events may bear."""
        return self._clean.get((source, kind))

    @property
    def source_ids(self) -> list[str]:
        """All sources, for metrics that must exist before the first record."""
        return list(self._sources)
