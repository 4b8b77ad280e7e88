"""From fetched messages to located rows and rejections: the pure part of the ingest agents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.grid import Grid
from processors.isotime import NO_TIME
from schemas.events import EdAttendance, Heartbeat, PoliceIncident, Withdrawal
from schemas.located import HEARTBEAT, LOCATED, Gate, Kind, LocatedArray, Status, join, pick, record_hash
from schemas.personal import personal_data_in
from schemas.reasons import RejectReason
from schemas.region import RegionFile, RegionFileError, Source
from streams.codec import Accepted, Parsed, Rejected, parse, parse_elements
from streams.express import ALL, Batch, Message, Sorted, Spot, batches, sort_out
from streams.express import RawMessage as RawMessage

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
SourceData = EdAttendance | PoliceIncident | Withdrawal | Heartbeat
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STATUS = {"recorded": Status.RECORDED, "amended": Status.AMENDED, "withdrawn": Status.WITHDRAWN}


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
    """Located rows and heartbeats per region, in the order in which they came; `reserved` is the place of the message
    in the fetch."""
    refusals: list[Refusal] = field(default_factory=list)
    observed: dict[str, Observed] = field(default_factory=dict)
    """By source."""

    def see(self, source: str, recorded_us: int) -> Observed:
        """Something of a source that was recorded then."""
        observed = self.observed.setdefault(source, Observed())
        observed.latest = max(observed.latest, recorded_us / 1_000_000)
        return observed

    def note(self, source: str, recorded_us: NDArray[np.int64], occurred_us: NDArray[np.int64]) -> None:
        """Accepted records of a source; withdrawals have no event time."""
        observed = self.see(source, int(recorded_us.max()))
        known = occurred_us != NO_TIME
        observed.delays_s.extend(((recorded_us - occurred_us)[known] / 1_000_000).tolist())


class _Draft(NamedTuple):
    spot: Spot
    accepted: Accepted
    registered: RegisteredSource
    row: tuple[int, ...]
    coordinates: tuple[float, float] | None
    metres: bool


class _Part(NamedTuple):
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

    def locate(self, drafts: Sequence[_Draft]) -> tuple[_Part, list[Refusal]]:
        """The drafts that lie in the region or have no place, and the refusals of the others."""
        rows = np.array([draft.row for draft in drafts], dtype=LOCATED)
        spots = np.array([draft.spot for draft in drafts])
        placed = [i for i, draft in enumerate(drafts) if draft.coordinates is not None]
        if not placed:
            return _Part(spots, rows), []
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
        return _Part(spots[keep], rows[keep]), refusals

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


def take_in(
    kind: Kind,
    messages: Sequence[Message],
    registry: Registry,
    now: datetime,
    *,
    max_bytes: int,
    tolerance_s: int,
    found: Sorted | None = None,
) -> Intake:
    """Parse, check and locate what one fetch of a source topic held. Never raises for what a message holds.

    `found` is what `sort_out` made of the messages, where that is known already.
    A time more than `tolerance_s` seconds after `now`, or that much after its own record time, is refused.
    """
    intake = Intake()
    limits = _TimeLimits(now + timedelta(seconds=tolerance_s), timedelta(seconds=tolerance_s))
    found = found or sort_out(kind, messages, max_bytes)
    parts: dict[str, list[_Part]] = {}
    others = [*found.others, *_quickly(kind, found, registry, limits, intake, parts)]
    drafts: dict[str, list[_Draft]] = {}
    for spot, parsed in _judged(kind, messages, sorted(others), max_bytes):
        outcome = parsed if isinstance(parsed, Rejected) else _draft(spot, parsed, kind, registry, limits, intake)
        if isinstance(outcome, Rejected):
            intake.refusals.append(Refusal(spot.message, outcome))
        else:
            drafts.setdefault(outcome.registered.desk.region.id, []).append(outcome)
    for region, of_region in drafts.items():
        part, refusals = registry.desks[region].locate(of_region)
        intake.refusals.extend(refusals)
        parts.setdefault(region, []).append(part)
    for region, found_there in parts.items():
        rows = _in_order(found_there)
        if len(rows):
            intake.rows[region] = rows
    return intake


def _judged(
    kind: Kind, messages: Sequence[Message], spots: Sequence[Spot], max_bytes: int
) -> Iterator[tuple[Spot, Parsed]]:
    """What the contract says of events that did not take the express lane."""
    for number, of_message in groupby(spots, key=attrgetter("message")):
        value, headers = messages[number].value, messages[number].headers
        places = [spot.element for spot in of_message]
        if places == [ALL]:
            found: Iterator[tuple[int, Parsed]] = enumerate(parse(kind, value, headers, max_bytes))
        else:
            found = zip(places, parse_elements(kind, value or b"", places), strict=True)
        for place, parsed in found:
            yield Spot(number, place), parsed


def _in_order(parts: Sequence[_Part]) -> LocatedArray:
    """Rows in the order in which they came, each with the place of its message."""
    spots = np.concatenate([part.spots for part in parts])
    rows = join(part.rows for part in parts)
    if len(parts) > 1:
        order = np.lexsort((spots[:, 1], spots[:, 0]))
        rows, spots = pick(rows, order), spots[order]
    rows["reserved"] = spots[:, 0]
    return rows


def _quickly(
    kind: Kind, found: Sorted, registry: Registry, limits: _TimeLimits, intake: Intake, parts: dict[str, list[_Part]]
) -> list[Spot]:
    """Locate what passed the express lane; returns the spots of what is wrong all the same, for the contract to say."""
    if not found.events:
        return []
    others: list[Spot] = []
    for batch in batches(kind, found, _micros(limits.latest), limits.tolerance // _MICROSECOND):
        good = ~batch.wrong & _place_batch(batch, kind, registry, intake, parts)
        others.extend(Spot(*spot) for spot in batch.spots[~good].tolist())
    return others


def _place_batch(
    batch: Batch, kind: Kind, registry: Registry, intake: Intake, parts: dict[str, list[_Part]]
) -> NDArray[np.bool_]:
    """Locate the rows of a batch; returns which of them a region has taken."""
    rows = batch.rows
    found = [registry.find_clean(name, kind) for name in batch.sources]
    rows["source"] = np.array([registered.number if registered else 0 for registered in found])[batch.source]
    metres = np.isnan(batch.places[:, 0])
    coordinates = np.where(metres[:, None], batch.places[:, 2:], batch.places[:, :2])
    placed = ~np.isnan(coordinates[:, 0])
    taken = np.zeros(len(rows), dtype=np.bool_)
    for desk in {registered.desk.region.id: registered.desk for registered in found if registered}.values():
        of_desk = np.array([registered is not None and registered.desk is desk for registered in found])
        ours = of_desk[batch.source] & ~batch.wrong
        index = np.flatnonzero(ours & placed)
        inside = desk.place(rows, index, coordinates[index], metres[index])
        ours[index[~inside]] = False
        if ours.any():
            parts.setdefault(desk.region.id, []).append(_Part(batch.spots[ours], pick(rows, ours)))
            taken |= ours
    for number, name in enumerate(batch.sources):
        ours = taken & (batch.source == number)
        if ours.any():
            intake.note(name, rows["recorded_us"][ours], batch.occurred_us[ours])
    return taken


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND  # exact; a float of seconds is not


class _TimeLimits(NamedTuple):
    latest: datetime
    tolerance: timedelta


def _draft(
    spot: Spot, accepted: Accepted, kind: Kind, registry: Registry, limits: _TimeLimits, intake: Intake
) -> _Draft | Rejected:
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
    recorded_us = _micros(data.recorded_at)
    observed = intake.see(event.source, recorded_us)
    if isinstance(data, Heartbeat):
        return _Draft(spot, accepted, registered, _heartbeat(registered, recorded_us), None, False)
    if not isinstance(data, Withdrawal):
        observed.delays_s.append((data.recorded_at - data.occurred_at).total_seconds())
    status = _STATUS[event.type.split(".")[3]]
    return _place(spot, accepted, registered, data, status, recorded_us)


def _heartbeat(registered: RegisteredSource, recorded_us: int) -> tuple[int, ...]:
    status, gate, number = Status.RECORDED, Gate.NONE, registered.number
    return (0, HEARTBEAT, registered.kind, status, gate, 0, number, 0, 0, 0, recorded_us // 1_000_000, recorded_us, 0)


def _place(
    spot: Spot,
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
        return _Draft(spot, accepted, registered, row, None, False)
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
    return _Draft(spot, accepted, registered, row, coordinates, metres)


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
