"""From fetched messages to located rows and rejections: the pure part of the ingest agents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.isotime import NO_TIME
from schemas.events import EdAttendance, Heartbeat, PoliceIncident, Withdrawal
from schemas.located import HEARTBEAT, Gate, Kind, LocatedArray, Status, join, pick, record_hash
from schemas.reasons import RejectReason
from streams.codec import Accepted, Parsed, Rejected, parse, parse_elements
from streams.desks import Draft, Part, Refusal, RegisteredSource, Registry
from streams.express import ALL, EARLIEST, Batch, Message, Spot, batches, sort_out
from streams.express import RawMessage as RawMessage

SourceData = EdAttendance | PoliceIncident | Withdrawal | Heartbeat
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_STATUS = {"recorded": Status.RECORDED, "amended": Status.AMENDED, "withdrawn": Status.WITHDRAWN}


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


@dataclass(slots=True)
class HalfTaken:
    """A fetch of which the express lane has taken in what it can."""

    kind: Kind
    messages: Sequence[Message]
    limits: _TimeLimits
    max_bytes: int
    intake: Intake
    parts: dict[str, list[Part]]
    """By region."""
    others: list[Spot]
    """What is left to the contract."""


def take_in(
    kind: Kind, messages: Sequence[Message], registry: Registry, now: datetime, *, max_bytes: int, tolerance_s: int
) -> Intake:
    """Parse, check and locate what one fetch of a source topic held. Never raises for what a message holds.

    A time more than `tolerance_s` seconds after `now`, or that much after its own record time, is refused.
    """
    half = take_in_common(kind, messages, registry, now, max_bytes=max_bytes, tolerance_s=tolerance_s)
    return take_in_rest(half, registry)


def take_in_common(
    kind: Kind, messages: Sequence[Message], registry: Registry, now: datetime, *, max_bytes: int, tolerance_s: int
) -> HalfTaken:
    """The quick half of `take_in`: what takes the express lane."""
    limits = _TimeLimits(now + timedelta(seconds=tolerance_s), timedelta(seconds=tolerance_s))
    found = sort_out(kind, messages, max_bytes)
    half = HalfTaken(kind, messages, limits, max_bytes, Intake(), {}, found.others)
    if found.events:
        for batch in batches(kind, found, _micros(limits.latest), limits.tolerance // _MICROSECOND):
            good = ~batch.wrong & _place_batch(batch, kind, registry, half.intake, half.parts)
            half.others.extend(Spot(*spot) for spot in batch.spots[~good].tolist())
    return half


def take_in_rest(half: HalfTaken, registry: Registry) -> Intake:
    """The other half: the contract judges what is left, at some 50 µs each."""
    kind, intake = half.kind, half.intake
    drafts: dict[str, list[Draft]] = {}
    for spot, parsed in _judged(kind, half.messages, sorted(half.others), half.max_bytes):
        outcome = parsed if isinstance(parsed, Rejected) else _draft(spot, parsed, kind, registry, half.limits, intake)
        if isinstance(outcome, Rejected):
            intake.refusals.append(Refusal(spot.message, outcome))
        else:
            drafts.setdefault(outcome.registered.desk.region.id, []).append(outcome)
    for region, of_region in drafts.items():
        part, refusals = registry.desks[region].locate(of_region)
        intake.refusals.extend(refusals)
        half.parts.setdefault(region, []).append(part)
    for region, found_there in half.parts.items():
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


def _in_order(parts: Sequence[Part]) -> LocatedArray:
    """Rows in the order in which they came, each with the place of its message.

    The express lane judges JSON batches before the messages of one record each, so even one part need not be in order.
    """
    spots = np.concatenate([part.spots for part in parts])
    order = np.lexsort((spots[:, 1], spots[:, 0]))
    rows, spots = pick(join(part.rows for part in parts), order), spots[order]
    rows["reserved"] = spots[:, 0]
    return rows


def _place_batch(
    batch: Batch, kind: Kind, registry: Registry, intake: Intake, parts: dict[str, list[Part]]
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
            parts.setdefault(desk.region.id, []).append(Part(batch.spots[ours], pick(rows, ours)))
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
) -> Draft | Rejected:
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
        return Draft(spot, accepted, registered, _heartbeat(registered, recorded_us), None, False)
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
) -> Draft:
    source = registered.source
    identity = record_hash(source.id, data.record_id)
    common = (identity, data.revision, registered.kind, status)
    if isinstance(data, Withdrawal):
        row = (*common, Gate.NONE, 1, registered.number, 0, 0, 0, recorded_us // 1_000_000, recorded_us, 0)
        return Draft(spot, accepted, registered, row, None, False)
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
    return Draft(spot, accepted, registered, row, coordinates, metres)


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
