"""Why a message is refused: the fixed list of reason codes, and one sentence for each."""

from __future__ import annotations

from enum import StrEnum


class RejectReason(StrEnum):
    """Reason code of a dead letter. Also a label value of metrics, so the list is closed."""

    NOT_JSON = "not_json"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_EVENT_TYPE = "unknown_event_type"
    UNKNOWN_FIELD = "unknown_field"
    MISSING_FIELD = "missing_field"
    INVALID_VALUE = "invalid_value"
    MESSAGE_TOO_LARGE = "message_too_large"
    UNKNOWN_SOURCE = "unknown_source"
    SOURCE_KIND_MISMATCH = "source_kind_mismatch"
    PERSONAL_NHS_NUMBER = "personal_nhs_number"
    PERSONAL_PHONE_NUMBER = "personal_phone_number"
    PERSONAL_EMAIL = "personal_email"
    PERSONAL_BIRTH_DATE = "personal_birth_date"
    TIME_MISSING = "time_missing"
    TIME_NAIVE = "time_naive"
    TIME_MALFORMED = "time_malformed"
    TIME_IN_FUTURE = "time_in_future"
    TIME_BEFORE_2000 = "time_before_2000"
    COORDINATE_NOT_FINITE = "coordinate_not_finite"
    COORDINATES_SWAPPED = "coordinates_swapped"
    OUTSIDE_REGION = "outside_region"
    NOT_DELIVERED = "not_delivered"

    @property
    def sentence(self) -> str:
        """What happened and what to do, for the integrator who reads the dead letter."""
        return _SENTENCES[self]


_SENTENCES: dict[RejectReason, str] = {
    RejectReason.NOT_JSON: "The message is not JSON in UTF-8; send one CloudEvents 1.0 JSON object.",
    RejectReason.WRONG_TYPE: "A field has the wrong JSON type; compare it with the exported JSON Schema.",
    RejectReason.UNKNOWN_EVENT_TYPE: "The CloudEvents type is not one of this topic's; see docs/integrators.md.",
    RejectReason.UNKNOWN_FIELD: "The message has a field that the contract does not know; leave it out.",
    RejectReason.MISSING_FIELD: "A required field is missing.",
    RejectReason.INVALID_VALUE: "A field holds a value outside of what the contract allows.",
    RejectReason.MESSAGE_TOO_LARGE: "The message is larger than the limit; send single records or smaller batches.",
    RejectReason.UNKNOWN_SOURCE: "No region file lists this CloudEvents source; have it added, or correct it.",
    RejectReason.SOURCE_KIND_MISMATCH: "The source is registered for another kind of record than this event.",
    RejectReason.PERSONAL_NHS_NUMBER: "A text holds what checks as an NHS number; no personal datum may be sent.",
    RejectReason.PERSONAL_PHONE_NUMBER: "A text holds what looks like a phone number; no personal datum may be sent.",
    RejectReason.PERSONAL_EMAIL: "A text holds an e-mail address; no personal datum may be sent.",
    RejectReason.PERSONAL_BIRTH_DATE: "A text holds a full date, which may be a birth date; leave dates out of texts.",
    RejectReason.TIME_MISSING: "A required time is missing.",
    RejectReason.TIME_NAIVE: "A time has no zone; write an offset, such as 2026-03-01T22:15:00+00:00.",
    RejectReason.TIME_MALFORMED: "A time is not ISO 8601.",
    RejectReason.TIME_IN_FUTURE: "A time lies in the future; check the clock and the zone of the sending system.",
    RejectReason.TIME_BEFORE_2000: "A time lies before the year 2000; check for a default date.",
    RejectReason.COORDINATE_NOT_FINITE: "A coordinate is NaN or infinite; leave the place out when it is not known.",
    RejectReason.COORDINATES_SWAPPED: "Latitude and longitude (or easting and northing) are swapped.",
    RejectReason.OUTSIDE_REGION: "The coordinates lie outside the region of this source.",
    RejectReason.NOT_DELIVERED: "A receiver did not take an alert in the time that its route allows; see its route.",
}
