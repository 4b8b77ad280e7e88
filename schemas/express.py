"""The common form of source events, for judging many at once without a line of Python: a strict part of the contract.

What has this form, and passes what `streams/express.py` asks of its texts and times besides, keeps the contract of
schemas/events.py, with the same values; what does not is not refused, but judged by the contract itself, which knows
the reasons. Heartbeats never have it. Tests hold this to be a part of the contract.
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeAlias

from msgspec import Meta, Raw, Struct
from msgspec.json import Decoder

from schemas.events import LONGEST_TEXT
from schemas.located import Kind, Status

#: Codes and free texts pass that match. Two digits cannot be a date, let alone a number of a person; without an @
#: there is no address.
PLAIN_TEXT: Final = re.compile(r"[^\d@]*(?:\d[^\d@]*){0,2}")

# Texts of which only the length is judged here.
_RecordId = Annotated[str, Meta(min_length=1, max_length=64)]
_Identifier = Annotated[str, Meta(min_length=1, max_length=128)]
_Code = Annotated[str, Meta(min_length=1, max_length=80)]
_FreeText = Annotated[str, Meta(max_length=255)]
_SiteCode = Annotated[str, Meta(pattern=r"^[A-Z0-9]{3,9}\Z")]
_Traceparent = Annotated[str, Meta(pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")]
_Time = str


class _Exact(Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """JSON types as they are, and no other fields. Nothing in it can refer to itself, so it is no garbage's part."""


class Place(_Exact, kw_only=True):
    """As in the contract, but that a coordinate may lack its partner."""

    longitude: float | None = None
    latitude: float | None = None
    easting: float | None = None
    northing: float | None = None
    precision: Literal["point", "street", "area"] = "point"


class Revision(_Exact, kw_only=True):
    """What every revision says; all of it, where a record is withdrawn."""

    record_id: _RecordId
    revision: Annotated[int, Meta(ge=1, le=4_294_967_295)] = 1
    recorded_at: _Time


class Details(Revision, kw_only=True):
    """What records of both kinds say."""

    occurred_at: _Time
    incident_ref: _RecordId | None = None
    place: Place | None = None


class EdDetails(Details, kw_only=True):
    """An ED attendance."""

    site_code: _SiteCode
    arrived_at: _Time
    assault_method: _Code
    method_description: _FreeText | None = None
    location_type: _Code
    location_description: _FreeText | None = None
    alcohol_involved: bool | None = None


class PoliceDetails(Details, kw_only=True):
    """A police incident."""

    occurred_to: _Time | None = None
    time_precision: Literal["minute", "hour", "day", "month"] = "minute"
    category: _Code
    offence_code: _Code | None = None
    location_type: _Code | None = None
    knife: bool | None = None
    victims: Annotated[int, Meta(ge=1, le=255)] = 1


class Event(_Exact, kw_only=True, tag_field="type"):
    """Attributes of CloudEvents. The source is not judged here, and times are texts still."""

    specversion: Literal["1.0"]
    id: _Identifier
    source: str
    time: _Time | None = None
    subject: _Identifier | None = None
    datacontenttype: Literal["application/json"] | None = None
    dataschema: _FreeText | None = None
    traceparent: _Traceparent | None = None
    tracestate: Annotated[str, Meta(max_length=LONGEST_TEXT)] | None = None
    partitionkey: _FreeText | None = None
    status: ClassVar[Status]


class EdRecorded(Event, kw_only=True, tag="hotspot.ed.attendance.recorded.v1"):
    """As `EdAttendanceRecorded` of the contract."""

    data: EdDetails
    status = Status.RECORDED


class EdAmended(Event, kw_only=True, tag="hotspot.ed.attendance.amended.v1"):
    """As `EdAttendanceAmended` of the contract."""

    data: EdDetails
    status = Status.AMENDED


class EdWithdrawn(Event, kw_only=True, tag="hotspot.ed.attendance.withdrawn.v1"):
    """As `EdAttendanceWithdrawn` of the contract."""

    data: Revision
    status = Status.WITHDRAWN


class PoliceRecorded(Event, kw_only=True, tag="hotspot.police.incident.recorded.v1"):
    """As `PoliceIncidentRecorded` of the contract."""

    data: PoliceDetails
    status = Status.RECORDED


class PoliceAmended(Event, kw_only=True, tag="hotspot.police.incident.amended.v1"):
    """As `PoliceIncidentAmended` of the contract."""

    data: PoliceDetails
    status = Status.AMENDED


class PoliceWithdrawn(Event, kw_only=True, tag="hotspot.police.incident.withdrawn.v1"):
    """As `PoliceIncidentWithdrawn` of the contract."""

    data: Revision
    status = Status.WITHDRAWN


class Express(NamedTuple):
    """From JSON to events. Each raises ValueError for what is not of the form, or no JSON."""

    one: Decoder[Event]
    listed: Decoder[list[Event]]


_Ed: TypeAlias = EdRecorded | EdAmended | EdWithdrawn
_Police: TypeAlias = PoliceRecorded | PoliceAmended | PoliceWithdrawn
#: The express lane of each source topic.
EXPRESS: Final = {
    Kind.ED: Express(Decoder(_Ed), Decoder(list[_Ed])),
    Kind.POLICE: Express(Decoder(_Police), Decoder(list[_Police])),
}
#: An array whose elements are left as they stand. Raises ValueError where it is none, RecursionError where it is deep.
ELEMENTS: Final = Decoder(list[Raw])
