"""From fetched messages to located rows and rejections: the pure part of the ingest agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.grid import Grid
from schemas.events import EdAttendance, Heartbeat, PoliceIncident, Withdrawal
from schemas.located import LOCATED, Gate, Kind, LocatedArray, Status, record_hash
from schemas.reasons import RejectReason
from schemas.region import RegionFile, RegionFileError, Source
from streams.codec import Accepted, Headers, Rejected, parse
from streams.located import NO_TIME

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
SourceData = EdAttendance | PoliceIncident | Withdrawal | Heartbeat
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STATUS = {"recorded": Status.RECORDED, "amended": Status.AMENDED, "withdrawn": Status.WITHDRAWN}


class RawMessage(NamedTuple):
    """One message of a source topic as it was fetched."""

    value: bytes | None
    headers: Headers


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


@dataclass(slots=True)
class Observed:
    """What metrics want to know of the accepted records of a source."""

    latest: float = 0.0
    """Latest record time, seconds since 1970 UTC."""
    delays_s: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Intake:
    """What one fetch came to."""

    rows: dict[str, LocatedArray] = field(default_factory=dict)
    """Located rows per region."""
    heard: set[str] = field(default_factory=set)
    """Regions of which this fetch held a record or a heartbeat."""
    refusals: list[Refusal] = field(default_factory=list)
    observed: dict[str, Observed] = field(default_factory=dict)
    """By source."""
    watermark_us: int = NO_TIME


class _Draft(NamedTuple):
    position: int
    accepted: Accepted
    registered: RegisteredSource
    row: tuple[int, ...]
    coordinates: tuple[float, float] | None
    metres: bool


class RegionDesk:
    """Locates the records of one region: projects, checks against its bounds, and gates places that are not places."""

    def __init__(self, region: RegionFile) -> None:
        self.region = region
        self.grid = Grid(region)
        places = region.institutions
        longitude = np.array([place.longitude for place in places], dtype=np.float64)
        latitude = np.array([place.latitude for place in places], dtype=np.float64)
        self._gates = np.column_stack([*self.grid.project(longitude, latitude), [p.radius_m for p in places]])

    def locate(self, drafts: Sequence[_Draft]) -> tuple[LocatedArray, list[Refusal]]:
        """Rows of the drafts that lie in the region or have no place, and the refusals of the others."""
        rows = np.array([draft.row for draft in drafts], dtype=LOCATED)
        placed = [i for i, draft in enumerate(drafts) if draft.coordinates is not None]
        if not placed:
            return rows, []
        given = np.array([drafts[i].coordinates for i in placed], dtype=np.float64)
        metres = np.array([drafts[i].metres for i in placed], dtype=np.bool_)
        degrees = given.copy()
        if metres.any():
            degrees[metres] = np.column_stack(self.grid.unproject(given[metres, 0], given[metres, 1]))
        inside = self._inside(degrees)
        refusals = [
            Refusal(drafts[i].position, self._refuse(drafts[i]))
            for i, held in zip(placed, inside, strict=True)
            if not held
        ]
        projected = given
        if not metres.all():
            projected = given.copy()
            projected[~metres] = np.column_stack(self.grid.project(given[~metres, 0], given[~metres, 1]))
        projected[~inside] = np.nan  # refused, and too far away for a cell number perhaps
        positions = self.grid.cells(projected[:, 0], projected[:, 1])
        index = np.array(placed)
        rows["ix"][index], rows["iy"][index] = positions.ix, positions.iy
        gated = self._institutional(projected)
        rows["gate"][index[gated & (rows["gate"][index] == Gate.NONE)]] = Gate.INSTITUTION
        keep = np.ones(len(rows), dtype=np.bool_)
        keep[index[~inside]] = False
        return rows[keep], refusals

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

    def _refuse(self, draft: _Draft) -> Rejected:
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
        for desk in self.desks.values():
            for index, source in enumerate(desk.region.sources):
                if source.id in self._sources:
                    other = self._sources[source.id].desk.region.id
                    raise RegionFileError(
                        f"The source {source.id!r} stands in the region files of {other!r} and {desk.region.id!r}."
                    )
                self._sources[source.id] = RegisteredSource(source, source.kind_code, index, desk)

    def find(self, source: str) -> RegisteredSource | None:
        """The source of this name, if any region lists it."""
        return self._sources.get(source)

    @property
    def source_ids(self) -> list[str]:
        """All sources, for metrics that must exist before the first record."""
        return list(self._sources)


def take_in(
    kind: Kind,
    messages: Sequence[RawMessage],
    registry: Registry,
    now: datetime,
    *,
    max_bytes: int,
    tolerance_s: int,
) -> Intake:
    """Parse, check and locate what one fetch of a source topic held. Never raises for what a message holds.

    A time more than `tolerance_s` seconds after `now`, or that much after its own record time, is refused.
    """
    intake = Intake()
    limits = _TimeLimits(now + timedelta(seconds=tolerance_s), timedelta(seconds=tolerance_s))
    drafts: dict[str, list[_Draft]] = {}
    for position, message in enumerate(messages):
        for parsed in parse(kind, message.value, message.headers, max_bytes):
            outcome = (
                parsed if isinstance(parsed, Rejected) else _draft(position, parsed, kind, registry, limits, intake)
            )
            if isinstance(outcome, Rejected):
                intake.refusals.append(Refusal(position, outcome))
            elif outcome is not None:
                drafts.setdefault(outcome.registered.desk.region.id, []).append(outcome)
    for region, of_region in drafts.items():
        rows, refusals = registry.desks[region].locate(of_region)
        intake.refusals.extend(refusals)
        intake.rows[region] = rows
        intake.heard.add(region)
    return intake


class _TimeLimits(NamedTuple):
    latest: datetime
    tolerance: timedelta


def _draft(
    position: int, accepted: Accepted, kind: Kind, registry: Registry, limits: _TimeLimits, intake: Intake
) -> _Draft | Rejected | None:
    event = accepted.event
    registered = registry.find(event.source)
    if registered is None:
        return _reject(RejectReason.UNKNOWN_SOURCE, "source", accepted)
    if registered.kind is not kind:
        return _reject(RejectReason.SOURCE_KIND_MISMATCH, "source", accepted)
    data = event.data
    wrong = _wrong_time(data, limits)
    if wrong is not None:
        return _reject(*wrong, accepted)
    recorded_us = (data.recorded_at - _EPOCH) // _MICROSECOND  # exact; a float of seconds is not
    intake.watermark_us = max(intake.watermark_us, recorded_us)
    observed = intake.observed.get(event.source)
    if observed is None:
        observed = intake.observed[event.source] = Observed()
    observed.latest = max(observed.latest, recorded_us / 1_000_000)
    if isinstance(data, Heartbeat):
        intake.heard.add(registered.desk.region.id)
        return None
    if not isinstance(data, Withdrawal):
        observed.delays_s.append((data.recorded_at - data.occurred_at).total_seconds())
    status = _STATUS[event.type.split(".")[3]]
    return _place(position, accepted, registered, data, status, recorded_us)


def _place(
    position: int,
    accepted: Accepted,
    registered: RegisteredSource,
    data: EdAttendance | PoliceIncident | Withdrawal,
    status: Status,
    recorded_us: int,
) -> _Draft:
    source = registered.source
    identity = record_hash(source.id, data.record_id)
    common = (identity, data.revision, registered.kind, status)
    if isinstance(data, Withdrawal):
        row = (*common, Gate.NONE, 1, registered.number, 0, 0, 0, recorded_us // 1_000_000, recorded_us, 0)
        return _Draft(position, accepted, registered, row, None, False)
    gate, weight = Gate.NONE, 1
    if isinstance(data, PoliceIncident):
        weight = data.victims
        if data.time_precision in ("day", "month"):
            gate = Gate.IMPRECISE_TIME
    place = data.place
    if place is None or place.precision == "area":
        gate = Gate.NO_LOCATION
    incident = record_hash(source.id, data.incident_ref) if data.incident_ref else 0
    occurred = int(data.occurred_at.timestamp())
    row = (*common, gate, weight, registered.number, 0, 0, 0, occurred, recorded_us, incident)
    coordinates, metres = None, False
    if place is not None:
        metres = place.longitude is None
        pair = (place.easting, place.northing) if metres else (place.longitude, place.latitude)
        if pair[0] is not None and pair[1] is not None:
            coordinates = (pair[0], pair[1])
    return _Draft(position, accepted, registered, row, coordinates, metres)


def _wrong_time(data: SourceData, limits: _TimeLimits) -> tuple[RejectReason, str] | None:
    latest = limits.latest
    for name, value in _times(data):
        if value < EARLIEST:
            return RejectReason.TIME_BEFORE_2000, f"data.{name}"
        if value > latest:
            return RejectReason.TIME_IN_FUTURE, f"data.{name}"
        if name == "recorded_at":
            latest = min(latest, value + limits.tolerance)
    return None


def _times(data: SourceData) -> Iterator[tuple[str, datetime]]:
    yield "recorded_at", data.recorded_at
    if isinstance(data, EdAttendance):
        yield "arrived_at", data.arrived_at
        yield "occurred_at", data.occurred_at
    elif isinstance(data, PoliceIncident):
        yield "occurred_at", data.occurred_at
        if data.occurred_to is not None:
            yield "occurred_to", data.occurred_to


def _reject(reason: RejectReason, where: str, accepted: Accepted) -> Rejected:
    return Rejected(reason, f"{where}: {reason.sentence}", accepted.raw)
