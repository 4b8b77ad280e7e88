"""What partners publish: ED attendances, police incidents and heartbeats, as CloudEvents 1.0 in JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    TypeAdapter,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from schemas.base import Contract, UtcTime
from schemas.personal import personal_data_in
from schemas.region import SourceName

#: No text of the contracts may be longer. A longer one is refused for its length, and is not searched before.
LONGEST_TEXT = 512


class PersonFree:
    """A text without personal data. It is searched before its form is judged: personal data are told of first."""

    def __init__(self, *, dates: bool) -> None:
        self._dates = dates

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._search, handler(source))

    def _search(self, value: object) -> object:
        found = personal_data_in(value[:LONGEST_TEXT], dates=self._dates) if isinstance(value, str) else None
        if found:
            raise PydanticCustomError(found.value, "{sentence}", {"sentence": found.sentence})
        return value


_Identifier = PersonFree(dates=False)
_Text = PersonFree(dates=True)
SourceId = Annotated[SourceName, _Identifier]
RecordId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}$"), _Identifier]
EventId = Annotated[str, Field(min_length=1, max_length=128), _Identifier]
SiteCode = Annotated[str, Field(pattern=r"^[A-Z0-9]{3,9}$"), _Identifier]
Code = Annotated[str, Field(min_length=1, max_length=80), _Text]
FreeText = Annotated[str, Field(max_length=255), _Text]


class PartnerContract(Contract):
    """A contract that partners write: JSON types as they are, no text for numbers."""

    model_config = ConfigDict(strict=True)


class Place(PartnerContract):
    """Where it happened, as degrees (WGS 84) or as metres of the region's grid; degrees win when both are given."""

    longitude: float | None = None
    latitude: float | None = None
    easting: float | None = None
    northing: float | None = None
    precision: Literal["point", "street", "area"] = "point"

    @model_validator(mode="after")
    def _one_pair(self) -> Place:
        if (self.longitude is None) != (self.latitude is None) or (self.easting is None) != (self.northing is None):
            raise ValueError("a coordinate lacks its partner")
        if self.longitude is None and self.easting is None:
            raise ValueError("a place needs longitude and latitude, or easting and northing; else leave it out")
        return self


class Revision(PartnerContract):
    """What every revision of a record says: which record, which revision, and when the partner recorded it."""

    record_id: RecordId
    revision: int = Field(default=1, ge=1, le=4_294_967_295)
    recorded_at: UtcTime
    """When the partner recorded this revision."""


class Withdrawal(Revision):
    """The record is taken back: entered in error, merged with another, or no crime."""


class EdAttendance(Revision):
    """An assault attendance at an emergency department (ISTV items, ISB 1594 and ECDS), without the person."""

    site_code: SiteCode
    """ODS code of the site."""
    arrived_at: UtcTime
    occurred_at: UtcTime
    """When the assault happened."""
    assault_method: Code
    method_description: FreeText | None = None
    """Other method. Refused when it holds personal data; never leaves the ingest agent."""
    location_type: Code
    location_description: FreeText | None = None
    """Refused when it holds personal data; never leaves the ingest agent."""
    place: Place | None = None
    incident_ref: RecordId | None = None
    """Shared by attendances of one incident."""
    alcohol_involved: bool | None = None


class PoliceIncident(Revision):
    """A violent incident known to the police."""

    occurred_at: UtcTime
    """When it happened, or the start of the range."""
    occurred_to: UtcTime | None = None
    """End of the range, where the time is a range."""
    time_precision: Literal["minute", "hour", "day", "month"] = "minute"
    category: Code
    offence_code: Code | None = None
    """Home Office offence code."""
    location_type: Code | None = None
    knife: bool | None = None
    place: Place | None = None
    incident_ref: RecordId | None = None
    """Shared by records of one incident."""
    victims: int = Field(default=1, ge=1, le=255)


class Heartbeat(PartnerContract):
    """The feed is alive, whether or not there was anything to send."""

    recorded_at: UtcTime
    """All records that the partner recorded up to here have been sent."""


class CloudEvent(PartnerContract):
    """CloudEvents 1.0 attributes that are accepted, tracing extensions included."""

    specversion: Literal["1.0"]
    id: EventId
    source: SourceId
    time: UtcTime | None = None
    subject: EventId | None = None
    datacontenttype: Literal["application/json"] | None = None
    dataschema: Annotated[str, Field(max_length=255), _Identifier] | None = None
    traceparent: str | None = Field(default=None, pattern=r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
    tracestate: Annotated[str, Field(max_length=LONGEST_TEXT), _Identifier] | None = None
    partitionkey: Annotated[str, Field(max_length=255), _Identifier] | None = None


class EdAttendanceRecorded(CloudEvent):
    """First or repeated word of an ED attendance."""

    type: Literal["hotspot.ed.attendance.recorded.v1"]
    data: EdAttendance


class EdAttendanceAmended(CloudEvent):
    """A later revision of an ED attendance."""

    type: Literal["hotspot.ed.attendance.amended.v1"]
    data: EdAttendance


class EdAttendanceWithdrawn(CloudEvent):
    """An ED attendance is taken back."""

    type: Literal["hotspot.ed.attendance.withdrawn.v1"]
    data: Withdrawal


class PoliceIncidentRecorded(CloudEvent):
    """First or repeated word of a police incident."""

    type: Literal["hotspot.police.incident.recorded.v1"]
    data: PoliceIncident


class PoliceIncidentAmended(CloudEvent):
    """A later revision of a police incident."""

    type: Literal["hotspot.police.incident.amended.v1"]
    data: PoliceIncident


class PoliceIncidentWithdrawn(CloudEvent):
    """A police incident is taken back."""

    type: Literal["hotspot.police.incident.withdrawn.v1"]
    data: Withdrawal


class FeedHeartbeat(CloudEvent):
    """A feed reports that it is alive."""

    type: Literal["hotspot.feed.heartbeat.v1"]
    data: Heartbeat


#: What may stand on each source topic; the CloudEvents type tells which it is.
EdEvent = EdAttendanceRecorded | EdAttendanceAmended | EdAttendanceWithdrawn | FeedHeartbeat
PoliceEvent = PoliceIncidentRecorded | PoliceIncidentAmended | PoliceIncidentWithdrawn | FeedHeartbeat
SourceEvent = EdEvent | PoliceEvent

ED_EVENT: TypeAdapter[EdEvent] = TypeAdapter(Annotated[EdEvent, Field(discriminator="type")])
POLICE_EVENT: TypeAdapter[PoliceEvent] = TypeAdapter(Annotated[PoliceEvent, Field(discriminator="type")])
