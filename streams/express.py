"""Takes in the common form of events many at once; what is not of that form is left to the contract, one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import numpy as np
import pydantic_core
from msgspec import Raw

from processors.arrays import Bools, Floats, Ints
from processors.identifiers import are_impersonal, are_record_ids
from processors.isotime import NO_TIME, read_times
from schemas.express import ELEMENTS, EXPRESS, PLAIN_TEXT, Event, Place
from schemas.located import LOCATED, Gate, Kind, LocatedArray, Status, record_hash, record_hashes
from streams.codec import Headers

#: A record from before is refused.
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_EARLIEST_US: Final = int(EARLIEST.timestamp()) * 1_000_000
#: Events are taken in by so many: more would hold the event loop for too long.
PIECE: Final = 1_000
#: A message is taken for as many records as it has this many bytes.
USUAL_BYTES: Final = 600

_BRACKET: Final = ord("[")


class Message(Protocol):
    """One message of a source topic: as aiokafka fetched it, for instance."""

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Headers: ...


class RawMessage(NamedTuple):
    """A message that comes from elsewhere."""

    value: bytes | None
    headers: Headers


class Spot(NamedTuple):
    """Where in a fetch an event is: the place of its message, and its own in a JSON batch."""

    message: int
    element: int
    """ALL where it is a message of its own, or stands for all that a message holds, however many that is."""


ALL: Final = -1


@dataclass(slots=True)
class Sorted:
    """A fetch: events that the express lane read with their spots, and the spots of what did not."""

    events: list[Event]
    spots: list[Ints]
    """Of the events, in blocks of n × 2: message and element."""
    others: list[Spot]


@dataclass(frozen=True, slots=True)
class Batch:
    """Events as columns, one row each; times in microseconds since 1970 UTC, NO_TIME where there is none."""

    sources: list[str]
    """All that occur."""
    source: Ints
    """The place of each row's own among them."""
    spots: Ints
    """Message and element of each row."""
    rows: LocatedArray
    """All but the number of the source and the cell."""
    occurred_us: Ints
    places: Floats
    """Longitude, latitude, easting, northing; NaN where not given."""
    wrong: Bools
    """Where the contract must judge after all."""


def sort_out(kind: Kind, messages: Sequence[Message], max_bytes: int) -> Sorted:
    """Have the express lane read what a fetch holds."""
    read = EXPRESS[kind].one.decode
    found = Sorted([], [], [])
    events: list[Event | None] = []
    singles: list[int] = []
    for number, message in enumerate(messages):
        value, headers = message.value, message.headers
        if not value or len(value) > max_bytes or (headers and any(name[:3] == "ce_" for name, _ in headers)):
            found.others.append(Spot(number, ALL))
        elif value[0] == _BRACKET:
            _batch(kind, number, value, found)
        else:
            try:
                events.append(read(value))
            except ValueError:
                found.others.append(Spot(number, ALL))
            else:
                singles.append(number)
    if events:
        _keep(events, np.column_stack([singles, np.full(len(events), ALL)]), found)
    return found


def _batch(kind: Kind, number: int, value: bytes, found: Sorted) -> None:
    try:
        events: Sequence[Event | None] = EXPRESS[kind].listed.decode(value)
    except ValueError:
        events = _one_by_one(kind, value)
    if events:
        _keep(events, np.column_stack([np.full(len(events), number), np.arange(len(events))]), found)
    else:  # not JSON, or without an element
        found.others.append(Spot(number, ALL))


def _one_by_one(kind: Kind, value: bytes) -> list[Event | None]:
    """The events of a JSON batch, None for those that are not of the form; no events where the batch is no JSON."""
    try:
        pydantic_core.from_json(value)  # an element is left to the contract only where that can read the whole
        elements = ELEMENTS.decode(value)
    except ValueError:
        return []
    return [_read(kind, element) for element in elements]


def _read(kind: Kind, element: Raw) -> Event | None:
    try:
        return EXPRESS[kind].one.decode(element)
    except ValueError:
        return None


def _keep(events: Sequence[Event | None], spots: Ints, found: Sorted) -> None:
    if None in events:
        passed = np.array([event is not None for event in events])
        found.others.extend(Spot(*spot) for spot in spots[~passed].tolist())
        spots = spots[passed]
    found.events.extend(event for event in events if event is not None)
    found.spots.append(spots)


_OUTER = attrgetter("source", "time", "data", "id")
_SELDOM = attrgetter("subject", "dataschema", "tracestate", "partitionkey")
_REVISION = attrgetter("record_id", "revision", "recorded_at")
_DETAILS = ("record_id", "revision", "recorded_at", "occurred_at", "place", "incident_ref")
_DATA = {
    Kind.ED: attrgetter(*_DETAILS, "arrived_at"),
    Kind.POLICE: attrgetter(*_DETAILS, "occurred_to", "victims", "time_precision"),
}
_TEXTS = {
    Kind.ED: attrgetter("assault_method", "location_type", "method_description", "location_description"),
    Kind.POLICE: attrgetter("category", "location_type", "offence_code"),
}
_PLACE = attrgetter("longitude", "latitude", "easting", "northing", "precision")


def batches(kind: Kind, found: Sorted, latest_us: int, tolerance_us: int) -> Iterator[Batch]:
    """What was read, as columns. A time after `latest_us`, or that much after its own record time, is wrong."""
    spots = np.concatenate(found.spots)
    taken_back = np.array([event.status is Status.WITHDRAWN for event in found.events])
    if not taken_back.any():
        yield _details(kind, found.events, spots, latest_us, tolerance_us)
        return
    for part, build in ((~taken_back, _details), (taken_back, _withdrawals)):
        if part.any():
            events = [found.events[place] for place in np.flatnonzero(part).tolist()]
            yield build(kind, events, spots[part], latest_us, tolerance_us)


def _withdrawals(kind: Kind, events: Sequence[Event], spots: Ints, latest_us: int, _: int) -> Batch:
    source, times, data, ids = zip(*map(_OUTER, events), strict=True)
    names, revision, recorded = zip(*map(_REVISION, data), strict=True)
    rows, recorded_us = _rows(kind, source, names, revision, recorded)
    rows["status"] = Status.WITHDRAWN
    rows["weight"] = 1
    rows["occurred"] = recorded_us // 1_000_000
    wrong = _wrong_attributes(events, times, ids) | ~are_record_ids(names)
    wrong |= (recorded_us < _EARLIEST_US) | (recorded_us > latest_us)
    nowhere = np.full((len(events), 4), np.nan)
    return Batch(*_numbered(source), spots, rows, np.full(len(events), NO_TIME), nowhere, wrong)


def _details(kind: Kind, events: Sequence[Event], spots: Ints, latest_us: int, tolerance_us: int) -> Batch:
    source, times, data, ids = zip(*map(_OUTER, events), strict=True)
    columns: list[tuple[Any, ...]] = list(zip(*map(_DATA[kind], data), strict=True))
    names, revision, recorded, occurred, place, incident, third, *more = columns
    rows, recorded_us = _rows(kind, source, names, revision, recorded)
    rows["status"] = [event.status for event in events]
    rows["weight"] = more[0] if more else 1
    occurred_us = read_times(occurred)
    rows["occurred"] = occurred_us // 1_000_000
    wrong = _wrong_attributes(events, times, ids) | ~are_record_ids(names)
    if any(incident):
        rows["incident"] = [
            record_hash(name, reference) if reference else 0 for name, reference in zip(source, incident, strict=True)
        ]
        wrong |= _given(incident) & ~are_record_ids([reference or "" for reference in incident])
    last = np.minimum(latest_us, recorded_us + tolerance_us)
    wrong |= (recorded_us < _EARLIEST_US) | (recorded_us > latest_us)
    wrong |= (occurred_us < _EARLIEST_US) | (occurred_us > last)
    wrong |= _wrong_times(third, last) | _wrong_texts(list(map(_TEXTS[kind], data)))
    places, area = _places(place)
    located = ~np.isnan(places)
    pairs = located[:, ::2] == located[:, 1::2]  # longitude has latitude, easting has northing
    given = _given(place)
    wrong |= ~pairs.all(axis=1) | (given & ~located.any(axis=1))
    if more:
        rows["gate"] = [Gate.IMPRECISE_TIME if word in _IMPRECISE else Gate.NONE for word in more[1]]
    rows["gate"][~given | area] = Gate.NO_LOCATION
    return Batch(*_numbered(source), spots, rows, occurred_us, places, wrong)


def _rows(
    kind: Kind, source: Sequence[str], names: Sequence[str], revision: Sequence[int], recorded: Sequence[str]
) -> tuple[LocatedArray, Ints]:
    """Rows with what all revisions say, and the record times."""
    rows = np.zeros(len(source), LOCATED)
    rows["record"] = record_hashes(source, names)
    rows["revision"] = revision
    rows["kind"] = int(kind)
    recorded_us = read_times(recorded)
    rows["recorded_us"] = recorded_us
    return rows, recorded_us


def _numbered(source: Sequence[str]) -> tuple[list[str], Ints]:
    """The sources that occur, and the place of each row's own among them."""
    number = {name: place for place, name in enumerate(dict.fromkeys(source))}
    return list(number), np.array([number[name] for name in source])


_IMPRECISE = ("day", "month")


def _given(values: Sequence[object]) -> Bools:
    return np.array([value is not None for value in values])


def _wrong_attributes(events: Sequence[Event], times: Sequence[str | None], ids: Sequence[str]) -> Bools:
    """Where one of the attributes of an event might not keep the contract."""
    wrong = ~are_impersonal(ids) | _wrong_times(times, None)
    for column in zip(*map(_SELDOM, events), strict=True):
        if any(column):
            wrong |= np.array([bool(text) for text in column]) & ~are_impersonal([text or "" for text in column])
    return wrong


def _wrong_texts(texts: Sequence[tuple[str | None, ...]]) -> Bools:
    """Where one of the texts of an event might hold a personal datum. The same few come again and again."""
    wrong = {text for text in set(chain.from_iterable(texts)) if text and not PLAIN_TEXT.fullmatch(text)}
    if not wrong:
        return np.zeros(len(texts), np.bool_)
    return np.array([not wrong.isdisjoint(of_event) for of_event in texts])


def _wrong_times(texts: Sequence[str | None], last: Ints | None) -> Bools:
    """Where a time is given that is none, or is before the earliest or after its last moment."""
    given = _given(texts)
    if not given.any():
        return given
    times = read_times([text or "" for text in texts])
    found: Bools = given & ((times < _EARLIEST_US) | (False if last is None else times > last))
    return found


def _places(place: Iterable[Place | None]) -> tuple[Floats, Bools]:
    """Coordinates, and where a place is known only to a district or so."""
    rows = [_NOWHERE if found is None else _PLACE(found) for found in place]
    *coordinates, precision = zip(*rows, strict=True)
    return np.array(coordinates, dtype=np.float64).T, np.array([word == "area" for word in precision])


_NOWHERE = (None, None, None, None, "")


def is_large(messages: Sequence[Message]) -> bool:
    """Whether a piece is so large, by one message, that it must not be taken in on the event loop."""
    return sum(len(message.value or b"") for message in messages) > 2 * PIECE * USUAL_BYTES


AnyMessage = TypeVar("AnyMessage", bound=Message)


def pieces(messages: Sequence[AnyMessage]) -> Iterator[Sequence[AnyMessage]]:
    """A fetch in parts of about PIECE records, where a message counts by its size."""
    begin, records = 0, 0
    for number, message in enumerate(messages, 1):
        records += 1 + len(message.value or b"") // USUAL_BYTES
        if records >= PIECE:
            yield messages[begin:number]
            begin, records = number, 0
    if begin < len(messages):
        yield messages[begin:]
