"""The common form of source events, for judging many at once without a line of Python: a strict part of the contract.

What passes here keeps the contract of schemas/events.py, with the same values; what does not pass is not refused, but
judged by the contract itself, which knows the reasons. Texts pass only where no pattern of schemas/personal.py could
match, times only in the plainest form of ISO 8601, and heartbeats not at all. Tests hold this to be a part of the
contract.
"""

from __future__ import annotations

from typing import NamedTuple

from pydantic_core import CoreConfig, CoreSchema, SchemaValidator, core_schema
from pydantic_core.core_schema import TypedDictField

from schemas.events import LONGEST_TEXT
from schemas.located import Kind

#: Two digits cannot be a date, let alone a number of a person; without an @ there is no address.
_TEXT = r"^[^\d@]*(?:\d[^\d@]*){0,2}$"
# Numbers of persons have ten digits or more, with nothing but spaces, brackets, dots and hyphens between them (eight
# behind a plus). So in an identifier there may be nine digits between two characters that are none of these; or eleven
# and more in one piece without a zero before them, which neither a telephone nor an NHS number has.
_DIGITS = r"(?:\d(?:[\s().-]*\d){0,8}|[1-9]\d{10,})"
_LOOSE = r"[^\d@+]*"
_HARD = r"[^\d@+]*[^\d@+\s().-][^\d@+]*"
_UUID = r"(?:urn:uuid:)?[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?::[0-9]{1,3})?"
_IDENTIFIER = rf"^(?:{_LOOSE}(?:{_DIGITS}(?:{_HARD}{_DIGITS})*{_LOOSE})?|{_UUID})$"
# The same within the letters of a record id, of which the first is a letter or a digit.
_SHORT = r"[A-Za-z._:/-]*"
_SHORT_HARD = r"[A-Za-z._:/-]*[A-Za-z_:/][A-Za-z._:/-]*"
_SHORT_DIGITS = r"(?:[0-9](?:[.-]*[0-9]){0,8}|[1-9][0-9]{10,})"
_RECORD_ID = (
    rf"^(?:(?:[A-Za-z]{_SHORT})?(?:{_SHORT_DIGITS}(?:{_SHORT_HARD}{_SHORT_DIGITS})*{_SHORT})?"
    r"|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?::[0-9]{1,3})?)$"
)
_2 = "[0-9][0-9]"
_TIME = rf"^20{_2}-{_2}-{_2}T{_2}:{_2}:{_2}(?:\.[0-9]{{1,6}})?(?:Z|[+-]{_2}:{_2})$"
_TRACEPARENT = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"


def _must(schema: CoreSchema) -> TypedDictField:
    return core_schema.typed_dict_field(schema)


def _or(default: int | str, schema: CoreSchema) -> TypedDictField:
    """A field that may be left out; then it has this value."""
    return core_schema.typed_dict_field(core_schema.with_default_schema(schema, default=default), required=False)


def _may(schema: CoreSchema) -> TypedDictField:
    """A field that may be left out or null; then it is None."""
    nullable = core_schema.nullable_schema(schema)
    return core_schema.typed_dict_field(core_schema.with_default_schema(nullable, default=None), required=False)


def _seen(schema: CoreSchema) -> TypedDictField:
    """A field that may be left out or null, and that nobody reads here."""
    return core_schema.typed_dict_field(core_schema.nullable_schema(schema), required=False)


def _object(**fields: TypedDictField) -> CoreSchema:
    return core_schema.typed_dict_schema(fields, extra_behavior="forbid")


def _text(pattern: str, longest: int, shortest: int = 1) -> CoreSchema:
    return core_schema.str_schema(pattern=pattern, min_length=shortest, max_length=longest)


_record_id, _code = _text(_RECORD_ID, 64), _text(_TEXT, 80)
_time = core_schema.str_schema(pattern=_TIME)
_number = core_schema.float_schema(allow_inf_nan=False, strict=True)
_flag = core_schema.bool_schema(strict=True)
_REVISION = {
    "record_id": _must(_record_id),
    "revision": _or(1, core_schema.int_schema(ge=1, le=4_294_967_295, strict=True)),
    "recorded_at": _must(_time),
}
_WITHDRAWAL = _object(**_REVISION)
_DETAILS = {
    **_REVISION,
    "occurred_at": _must(_time),
    "incident_ref": _may(_record_id),
    "place": _may(
        _object(
            longitude=_may(_number),
            latitude=_may(_number),
            easting=_may(_number),
            northing=_may(_number),
            precision=_or("point", core_schema.literal_schema(["point", "street", "area"])),
        )
    ),
}
_ED = _object(
    **_DETAILS,
    site_code=_must(core_schema.str_schema(pattern=r"^[A-Z0-9]{3,9}$")),
    arrived_at=_must(_time),
    assault_method=_must(_code),
    method_description=_seen(_text(_TEXT, 255, 0)),
    location_type=_must(_code),
    location_description=_seen(_text(_TEXT, 255, 0)),
    alcohol_involved=_seen(_flag),
)
_POLICE = _object(
    **_DETAILS,
    occurred_to=_may(_time),
    time_precision=_or("minute", core_schema.literal_schema(["minute", "hour", "day", "month"])),
    category=_must(_code),
    offence_code=_seen(_code),
    location_type=_seen(_code),
    knife=_seen(_flag),
    victims=_or(1, core_schema.int_schema(ge=1, le=255, strict=True)),
)


class Express(NamedTuple):
    """From JSON to dicts in which what was left out is filled in, or None where an event does not pass."""

    listed: SchemaValidator
    """An array of events."""
    named: SchemaValidator
    """An object whose values are events."""


#: Hardly a text comes twice: to look for each among those that came before took a fifth of the time.
_CONFIG = CoreConfig(cache_strings="keys")


def _events(kind: str, data: CoreSchema) -> Express:
    record, amend, withdraw = (f"hotspot.{kind}.{verb}.v1" for verb in ("recorded", "amended", "withdrawn"))
    bringing, taking_back = _event([record, amend], data), _event([withdraw], _WITHDRAWAL)
    event = core_schema.tagged_union_schema({record: bringing, amend: bringing, withdraw: taking_back}, "type")
    # What does not pass is None in its place: one poor event is no reason to look at the others again.
    judged = core_schema.with_default_schema(event, default=None, on_error="default")
    return Express(
        SchemaValidator(core_schema.list_schema(judged), _CONFIG),
        SchemaValidator(core_schema.dict_schema(core_schema.str_schema(), judged), _CONFIG),
    )


def _event(types: list[str], data: CoreSchema) -> CoreSchema:
    return _object(
        specversion=_must(core_schema.literal_schema(["1.0"])),
        id=_must(_text(_IDENTIFIER, 128)),
        source=_must(core_schema.str_schema()),
        type=_must(core_schema.literal_schema(types)),
        data=_must(data),
        time=_may(_time),
        subject=_seen(_text(_IDENTIFIER, 128)),
        datacontenttype=_seen(core_schema.literal_schema(["application/json"])),
        dataschema=_seen(_text(_IDENTIFIER, 255, 0)),
        traceparent=_seen(core_schema.str_schema(pattern=_TRACEPARENT)),
        tracestate=_seen(_text(_IDENTIFIER, LONGEST_TEXT, 0)),
        partitionkey=_seen(_text(_IDENTIFIER, 255, 0)),
    )


#: The express lane of each source topic. The source of an event is not judged here, and times are texts still.
EXPRESS = {Kind.ED: _events("ed.attendance", _ED), Kind.POLICE: _events("police.incident", _POLICE)}
