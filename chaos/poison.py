"""Messages that must be refused: at least one for every reason there is, made from a good event."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

from schemas.reasons import RejectReason

Event = dict[str, Any]
Headers = tuple[tuple[str, bytes | None], ...]
#: Larger than a worker reads (`max_message_bytes`), smaller than the broker takes.
TOO_LARGE = 1_200_000
AHEAD = "2199-01-01T00:00:00+00:00"


class Poison(NamedTuple):
    """A message that is refused, and why."""

    value: bytes | None
    headers: Headers
    reason: RejectReason


def _with(event: Event, **data: object) -> Event:
    copy = deepcopy(event)
    copy["data"].update(data)
    return copy


def _without(event: Event, field: str) -> Event:
    copy = deepcopy(event)
    del copy["data"][field]
    return copy


def _not_finite(event: Event) -> bytes:
    return json.dumps(_with(event, place={"longitude": float("nan"), "latitude": 50.9})).encode()


#: What is wrong with an event of which the source, the kind and the id are good.
_SPOILT: tuple[tuple[RejectReason, Callable[[Event], bytes | Event]], ...] = (
    (RejectReason.NOT_JSON, lambda event: json.dumps(event).encode()[:-1]),
    (RejectReason.NOT_JSON, lambda event: json.dumps(event).encode("utf-16")),
    (RejectReason.WRONG_TYPE, lambda event: b'"text"'),
    (RejectReason.WRONG_TYPE, lambda event: _with(event, revision="one")),
    (RejectReason.UNKNOWN_FIELD, lambda event: _with(event, suspect="x")),
    (RejectReason.MISSING_FIELD, lambda event: _without(event, "record_id")),
    (RejectReason.INVALID_VALUE, lambda event: _with(event, revision=0)),
    (RejectReason.MESSAGE_TOO_LARGE, lambda event: json.dumps(event).encode() + b" " * TOO_LARGE),
    (RejectReason.UNKNOWN_SOURCE, lambda event: {**event, "source": "elsewhere/source"}),
    (RejectReason.UNKNOWN_EVENT_TYPE, lambda event: {**event, "type": "hotspot.invented.recorded.v1"}),
    (RejectReason.PERSONAL_NHS_NUMBER, lambda event: _with(event, location_type="NHS 943 476 5919")),
    (RejectReason.PERSONAL_PHONE_NUMBER, lambda event: _with(event, location_type="call 07700 900123")),
    (RejectReason.PERSONAL_EMAIL, lambda event: _with(event, location_type="a.b@example.org")),
    (RejectReason.PERSONAL_BIRTH_DATE, lambda event: _with(event, location_type="born 12/03/1987")),
    (RejectReason.TIME_MISSING, lambda event: _without(event, "recorded_at")),
    (RejectReason.TIME_NAIVE, lambda event: _with(event, recorded_at="2024-03-01T10:00:00")),
    (RejectReason.TIME_MALFORMED, lambda event: _with(event, recorded_at="last night")),
    (RejectReason.TIME_IN_FUTURE, lambda event: _with(event, recorded_at=AHEAD)),
    (RejectReason.TIME_BEFORE_2000, lambda event: _with(event, occurred_at="1999-12-31T23:59:59+00:00")),
    (RejectReason.COORDINATE_NOT_FINITE, _not_finite),
    (RejectReason.COORDINATES_SWAPPED, lambda event: _with(event, place={"longitude": 50.9, "latitude": -1.4})),
    (RejectReason.OUTSIDE_REGION, lambda event: _with(event, place={"longitude": 2.35, "latitude": 48.85})),
)


def spoil(choice: random.Random, event: Event, source_of_other_kind: str) -> Poison:
    """A poison message made from a good first revision of a record."""
    number = choice.randrange(len(_SPOILT) + 5)
    if number < len(_SPOILT):
        reason, make = _SPOILT[number]
        made = make(event)
        return Poison(made if isinstance(made, bytes) else json.dumps(made).encode(), (), reason)
    return _odd(event, source_of_other_kind)[number - len(_SPOILT)]


def _odd(event: Event, source_of_other_kind: str) -> tuple[Poison, ...]:
    """Poison by the shape of the message."""
    attributes = tuple((f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data")
    other_kind = json.dumps({**event, "source": source_of_other_kind}).encode()
    return (
        Poison(None, (), RejectReason.NOT_JSON),  # a tombstone
        Poison(b"", (("empty", None),), RejectReason.NOT_JSON),
        Poison(b"[]", (), RejectReason.INVALID_VALUE),
        Poison(json.dumps(_with(event, suspect="x")["data"]).encode(), attributes, RejectReason.UNKNOWN_FIELD),
        Poison(other_kind, (), RejectReason.SOURCE_KIND_MISMATCH),
    )


def spoil_element(choice: random.Random, event: Event) -> tuple[Event, RejectReason]:
    """A poison element of a JSON batch."""
    reason, make = choice.choice([(reason, make) for reason, make in _SPOILT if isinstance(make(event), dict)])
    made = make(event)
    assert isinstance(made, dict)
    return made, reason


#: Every reason that a seed can bring up.
REASONS = frozenset({reason for reason, _ in _SPOILT} | {RejectReason.SOURCE_KIND_MISMATCH})
