"""Bytes of a source topic to events, or to the reason why not. Total: no input raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pydantic_core
from pydantic import TypeAdapter, ValidationError

from schemas.events import ED_EVENT, POLICE_EVENT, SourceEvent
from schemas.located import Kind
from schemas.reasons import RejectReason

Headers = Sequence[tuple[str, bytes | None]]


class Accepted(NamedTuple):
    """An event that keeps its contract."""

    event: SourceEvent
    raw: bytes


class Rejected(NamedTuple):
    """A message, or an element of a JSON batch, that is refused."""

    reason: RejectReason
    detail: str
    """Where and what, in one sentence, without the offending text."""
    raw: bytes


Parsed = Accepted | Rejected

_ADAPTERS: Mapping[Kind, TypeAdapter[Any]] = {Kind.ED: ED_EVENT, Kind.POLICE: POLICE_EVENT}
_TIME_FIELDS = {"recorded_at", "occurred_at", "occurred_to", "arrived_at", "time"}
_BY_ERROR_TYPE: Mapping[str, RejectReason] = {
    "json_invalid": RejectReason.NOT_JSON,
    "extra_forbidden": RejectReason.UNKNOWN_FIELD,
    "timezone_aware": RejectReason.TIME_NAIVE,
    "union_tag_invalid": RejectReason.UNKNOWN_EVENT_TYPE,
    "union_tag_not_found": RejectReason.MISSING_FIELD,
}
_PERSONAL = {reason.value: reason for reason in RejectReason if reason.value.startswith("personal_")}


def parse(kind: Kind, raw: bytes | None, headers: Headers, max_bytes: int) -> Iterator[Parsed]:
    """All events of one message: one, or as many as its JSON batch holds.

    Accepts CloudEvents 1.0 in structured mode, in binary mode (`ce_*` headers, data as value) and as a JSON batch.
    """
    raw = raw or b""
    if len(raw) > max_bytes:
        yield Rejected(RejectReason.MESSAGE_TOO_LARGE, f"{len(raw)} bytes; the limit is {max_bytes}.", raw)
        return
    attributes = {name[3:]: (data or b"").decode("utf-8", "replace") for name, data in headers if name[:3] == "ce_"}
    if not attributes and raw.lstrip()[:1] != b"[":
        yield _validate(kind, raw, "", raw)  # structured mode: by far the most common, and read only once
        return
    try:
        value = pydantic_core.from_json(raw)
    except ValueError:
        yield Rejected(RejectReason.NOT_JSON, RejectReason.NOT_JSON.sentence, raw)
        return
    if attributes:
        yield _validate(kind, _as_json({**attributes, "data": value}), "", raw)
        return
    if not value:
        yield Rejected(RejectReason.INVALID_VALUE, "The batch is empty.", raw)
    for place, element in enumerate(value):
        yield _parse_element(kind, element, place)


def parse_elements(kind: Kind, raw: bytes, places: Sequence[int]) -> Iterator[Parsed]:
    """The events at some places of a JSON batch, which is JSON."""
    value = pydantic_core.from_json(raw)
    for place in places:
        yield _parse_element(kind, value[place], place)


def _parse_element(kind: Kind, element: object, place: int) -> Parsed:
    own = _as_json(element)
    return _validate(kind, own, f"element {place}: ", own)


def _as_json(value: object) -> bytes:
    # Rebuilt values go through JSON once more, so that all three modes are judged by the same rules.
    return pydantic_core.to_json(value, inf_nan_mode="constants")


def _validate(kind: Kind, text: bytes, where: str, raw: bytes) -> Parsed:
    try:
        event: SourceEvent = _ADAPTERS[kind].validate_json(text)
    except ValidationError as error:
        return rejected(error, raw, where)
    return Accepted(event, raw)


def rejected(error: ValidationError, raw: bytes, where: str = "") -> Rejected:
    """Why a message is refused that does not keep its contract."""
    findings = [(_reason(finding), finding) for finding in error.errors(include_url=False, include_input=False)]
    # Personal data first: whoever repairs the message must hear of it before anything else.
    findings.sort(key=lambda pair: not pair[0].value.startswith("personal_"))
    reason, finding = findings[0]
    place = ".".join(str(part) for part in finding["loc"] if not str(part).startswith("hotspot.")) or "the message"
    if reason is RejectReason.UNKNOWN_FIELD:
        # The name of an unknown field is text of the sender's, which may itself hold what must not be passed on.
        place = ".".join(str(part) for part in finding["loc"][1:-1]) or "the message"
    return Rejected(reason, f"{where}{place}: {reason.sentence}", raw)


def _reason(finding: Any) -> RejectReason:
    kind = finding["type"]
    field = str(finding["loc"][-1]) if finding["loc"] else ""
    if kind in _PERSONAL:
        return _PERSONAL[kind]
    if kind in _BY_ERROR_TYPE:
        return _BY_ERROR_TYPE[kind]
    if kind == "missing":
        return RejectReason.TIME_MISSING if field in _TIME_FIELDS else RejectReason.MISSING_FIELD
    if kind == "finite_number":
        return RejectReason.COORDINATE_NOT_FINITE
    if field in _TIME_FIELDS and kind.startswith("datetime_") and kind != "datetime_type":
        return RejectReason.TIME_MALFORMED
    if field in _TIME_FIELDS and kind == "datetime_type":
        return RejectReason.WRONG_TYPE
    if kind.endswith(("_type", "_parsing")) or kind in {"int_from_float", "model_type", "is_instance_of"}:
        return RejectReason.WRONG_TYPE
    return RejectReason.INVALID_VALUE
