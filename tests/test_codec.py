"""Bytes of source topics: every way to write an event, every reason to refuse one, and no way to break the parser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.located import Kind
from schemas.reasons import RejectReason
from streams.codec import Accepted, Headers, Parsed, Rejected, parse
from tests.builders import Event, binary, changed, ed_event, heartbeat, police_event, raw, withdrawal, without

LIMIT = 65_536
#: What the ingest agent finds only with the region file and the clock at hand, and what a receiver of alerts does.
NOT_OF_THE_CODEC = {
    RejectReason.NOT_DELIVERED,
    RejectReason.UNKNOWN_SOURCE,
    RejectReason.SOURCE_KIND_MISMATCH,
    RejectReason.TIME_IN_FUTURE,
    RejectReason.TIME_BEFORE_2000,
    RejectReason.COORDINATES_SWAPPED,
    RejectReason.OUTSIDE_REGION,
}
KINDS_OF_GOOD_EVENT = {
    "attendance": (Kind.ED, ed_event()),
    "attendance amended": (Kind.ED, ed_event("amended", revision=2)),
    "attendance withdrawn": (Kind.ED, withdrawal(Kind.ED)),
    "incident": (Kind.POLICE, police_event()),
    "incident amended": (Kind.POLICE, police_event("amended", revision=2, knife=True, victims=2)),
    "incident withdrawn": (Kind.POLICE, withdrawal(Kind.POLICE)),
    "heartbeat of a hospital": (Kind.ED, heartbeat()),
    "heartbeat of the police": (Kind.POLICE, heartbeat()),
}
good_events = pytest.mark.parametrize(("kind", "event"), KINDS_OF_GOOD_EVENT.values(), ids=KINDS_OF_GOOD_EVENT)


def parsed(message: bytes | None, kind: Kind = Kind.ED, headers: Headers = ()) -> list[Parsed]:
    return list(parse(kind, message, headers, LIMIT))


def accepted(message: bytes | None, kind: Kind = Kind.ED, headers: Headers = ()) -> Accepted:
    (found,) = parsed(message, kind, headers)
    assert isinstance(found, Accepted), found
    return found


def rejected(message: bytes | None, kind: Kind = Kind.ED, headers: Headers = ()) -> Rejected:
    (found,) = parsed(message, kind, headers)
    assert isinstance(found, Rejected), found
    return found


# --- the three ways to write an event ----------------------------------------------------------------------------


@good_events
def test_structured_mode(kind: Kind, event: Event) -> None:
    found = accepted(raw(event), kind)
    assert found.event.type == event["type"]
    assert found.event.source == event["source"]
    assert found.raw == raw(event)


@good_events
def test_binary_mode_says_the_same_as_structured_mode(kind: Kind, event: Event) -> None:
    value, headers = binary(event)
    found = accepted(value, kind, headers)
    assert found.event == accepted(raw(event), kind).event
    assert found.raw == value


def test_a_batch_holds_as_many_events_as_it_has_elements() -> None:
    events = [police_event(record_id=f"P-{number}") for number in range(5)]
    found = parsed(b" \n" + raw(events), Kind.POLICE)
    assert [one.event.data.record_id for one in found if isinstance(one, Accepted)] == [  # type: ignore[union-attr]
        "P-0",
        "P-1",
        "P-2",
        "P-3",
        "P-4",
    ]
    assert [json.loads(one.raw) for one in found] == events


def test_one_bad_element_of_a_batch_takes_only_itself() -> None:
    bad = police_event(victims="two")
    first, second, third = parsed(raw([police_event(), bad, police_event()]), Kind.POLICE)
    assert isinstance(first, Accepted)
    assert isinstance(third, Accepted)
    assert isinstance(second, Rejected)
    assert second.reason is RejectReason.WRONG_TYPE
    assert second.detail.startswith("element 1: data.victims: ")
    assert json.loads(second.raw) == bad


def test_nan_in_a_batch_is_still_told_as_nan() -> None:
    bad = police_event(place={"longitude": float("nan"), "latitude": 50.9})
    assert rejected(raw([bad]), Kind.POLICE).reason is RejectReason.COORDINATE_NOT_FINITE


# --- every reason ------------------------------------------------------------------------------------------------

CASES: list[tuple[str, RejectReason, bytes | None, str]] = [
    ("text", RejectReason.NOT_JSON, b"what, me?", "the message"),
    ("no value at all", RejectReason.NOT_JSON, None, "the message"),
    ("half a message", RejectReason.NOT_JSON, raw(ed_event())[:-20], "the message"),
    ("Latin-1", RejectReason.NOT_JSON, '{"id": "caf\xe9"}'.encode("latin-1"), "the message"),
    ("half a batch", RejectReason.NOT_JSON, b"[{}, ", ""),
    ("nested without end", RejectReason.NOT_JSON, b"[" * 50_000, ""),
    ("an array in place of a batch element", RejectReason.WRONG_TYPE, b"[[]]", "element 0: the message"),
    ("a number", RejectReason.WRONG_TYPE, b"5", "the message"),
    ("number as text", RejectReason.WRONG_TYPE, raw(ed_event(revision="1")), "data.revision"),
    ("fraction", RejectReason.WRONG_TYPE, raw(ed_event(revision=1.5)), "data.revision"),
    ("text as truth", RejectReason.WRONG_TYPE, raw(ed_event(alcohol_involved="yes")), "data.alcohol_involved"),
    ("text as coordinate", RejectReason.WRONG_TYPE, raw(changed(ed_event(), "data.place.latitude", "50.9")), ""),
    ("null for a time", RejectReason.WRONG_TYPE, raw(changed(ed_event(), "data.recorded_at", None)), ""),
    ("seconds since 1970", RejectReason.WRONG_TYPE, raw(ed_event(occurred_at=1_772_366_400)), "data.occurred_at"),
    ("data is a text", RejectReason.WRONG_TYPE, raw(changed(ed_event(), "data", "{}")), "data"),
    ("another type", RejectReason.UNKNOWN_EVENT_TYPE, raw(changed(ed_event(), "type", "x.y.v1")), "the message"),
    ("type of the other topic", RejectReason.UNKNOWN_EVENT_TYPE, raw(police_event()), "the message"),
    ("type is a number", RejectReason.UNKNOWN_EVENT_TYPE, raw(changed(ed_event(), "type", 5)), "the message"),
    ("unknown attribute", RejectReason.UNKNOWN_FIELD, raw({**ed_event(), "nhs": 1}), "the message"),
    ("unknown field", RejectReason.UNKNOWN_FIELD, raw(ed_event(patient_name="J")), "data"),
    ("unknown field of the place", RejectReason.UNKNOWN_FIELD, raw(changed(ed_event(), "data.place.w3w", "a.b")), ""),
    ("details in a withdrawal", RejectReason.UNKNOWN_FIELD, raw(withdrawal(Kind.ED, site_code="RHM01")), "data"),
    ("no type", RejectReason.MISSING_FIELD, raw(without(ed_event(), "type")), "the message"),
    ("no record id", RejectReason.MISSING_FIELD, raw(without(ed_event(), "data.record_id")), "data.record_id"),
    ("no method", RejectReason.MISSING_FIELD, raw(without(ed_event(), "data.assault_method")), "data.assault_method"),
    ("no id", RejectReason.MISSING_FIELD, raw(without(ed_event(), "id")), "id"),
    ("no data", RejectReason.MISSING_FIELD, raw(without(ed_event(), "data")), "data"),
    ("an empty object", RejectReason.MISSING_FIELD, b"{}", "the message"),
    ("revision 0", RejectReason.INVALID_VALUE, raw(ed_event(revision=0)), "data.revision"),
    ("revision beyond 32 bits", RejectReason.INVALID_VALUE, raw(ed_event(revision=2**32)), "data.revision"),
    ("revision beyond 64 bits", RejectReason.INVALID_VALUE, raw(ed_event(revision=10**30)), "data.revision"),
    ("blank in a record id", RejectReason.INVALID_VALUE, raw(ed_event(record_id="A 1")), "data.record_id"),
    ("empty code", RejectReason.INVALID_VALUE, raw(ed_event(location_type="")), "data.location_type"),
    ("long text", RejectReason.INVALID_VALUE, raw(ed_event(location_description="x" * 256)), ""),
    ("half a place", RejectReason.INVALID_VALUE, raw(ed_event(place={"longitude": -1.4})), "data.place"),
    ("empty place", RejectReason.INVALID_VALUE, raw(ed_event(place={})), "data.place"),
    ("another version", RejectReason.INVALID_VALUE, raw(changed(ed_event(), "specversion", "0.3")), "specversion"),
    ("an empty batch", RejectReason.INVALID_VALUE, b"[]", ""),
    ("too many bytes", RejectReason.MESSAGE_TOO_LARGE, b" " * (LIMIT + 1), ""),
    ("NHS number", RejectReason.PERSONAL_NHS_NUMBER, raw(ed_event(method_description="943 476 5919")), ""),
    ("phone number", RejectReason.PERSONAL_PHONE_NUMBER, raw(ed_event(location_description="07700 900123")), ""),
    ("e-mail", RejectReason.PERSONAL_EMAIL, raw(ed_event(location_type="jo@example.org")), "data.location_type"),
    ("birth date", RejectReason.PERSONAL_BIRTH_DATE, raw(ed_event(location_description="b. 12/3/1985")), ""),
    ("no record time", RejectReason.TIME_MISSING, raw(without(ed_event(), "data.recorded_at")), "data.recorded_at"),
    ("no event time", RejectReason.TIME_MISSING, raw(without(ed_event(), "data.occurred_at")), "data.occurred_at"),
    ("no arrival", RejectReason.TIME_MISSING, raw(without(ed_event(), "data.arrived_at")), "data.arrived_at"),
    ("no zone", RejectReason.TIME_NAIVE, raw(ed_event(occurred_at="2026-02-28T23:00:00")), "data.occurred_at"),
    ("a day", RejectReason.TIME_NAIVE, raw(ed_event(occurred_at="2026-02-28")), "data.occurred_at"),
    ("British date", RejectReason.TIME_MALFORMED, raw(ed_event(occurred_at="28/02/2026 23:00")), "data.occurred_at"),
    ("digits", RejectReason.TIME_MALFORMED, raw(ed_event(occurred_at="1772366400")), "data.occurred_at"),
    ("no such day", RejectReason.TIME_MALFORMED, raw(ed_event(occurred_at="2026-02-30T23:00:00Z")), ""),
    ("empty time", RejectReason.TIME_MALFORMED, raw(ed_event(occurred_at="")), "data.occurred_at"),
    ("the event's own time", RejectReason.TIME_MALFORMED, raw({**ed_event(), "time": "noon"}), "time"),
    ("NaN", RejectReason.COORDINATE_NOT_FINITE, raw(changed(ed_event(), "data.place.latitude", float("nan"))), ""),
    ("infinite", RejectReason.COORDINATE_NOT_FINITE, raw(changed(ed_event(), "data.place.longitude", 1e999)), ""),
]


@pytest.mark.parametrize(("reason", "message", "where"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_bad_message_is_refused_whole_with_its_reason(
    reason: RejectReason, message: bytes | None, where: str
) -> None:
    found = rejected(message)
    assert found.reason is reason
    assert found.detail.startswith(where)
    if not (message or b"").startswith(b"[["):
        assert found.raw == (message or b"")


def test_every_reason_that_the_codec_can_give_has_a_case() -> None:
    assert {case[1] for case in CASES} == set(RejectReason) - NOT_OF_THE_CODEC


def test_the_largest_message_that_is_read_is_as_large_as_the_limit() -> None:
    message = raw(ed_event())
    assert accepted(message + b" " * (LIMIT - len(message)))
    assert rejected(message + b" " * (LIMIT - len(message) + 1)).reason is RejectReason.MESSAGE_TOO_LARGE


def test_times_at_the_ends_of_the_calendar_are_times() -> None:
    # The ingest agent refuses them as too old or in the future; here they must not overflow on the way to UTC.
    first = accepted(raw(ed_event(occurred_at="0001-01-01T00:00:00+01:00"))).event.data
    last = accepted(raw(ed_event(recorded_at="9999-12-31T23:59:59-01:00"))).event.data
    assert first.occurred_at.year == 1  # type: ignore[union-attr]
    assert last.recorded_at.year == 9999


# --- personal data -----------------------------------------------------------------------------------------------

TEXTS = [
    "id",
    "source",
    "subject",
    "dataschema",
    "tracestate",
    "partitionkey",
    "data.record_id",
    "data.incident_ref",
    "data.site_code",
    "data.assault_method",
    "data.method_description",
    "data.location_type",
    "data.location_description",
]
POLICE_TEXTS = ["data.category", "data.offence_code", "data.location_type", "data.record_id", "data.incident_ref"]


@pytest.mark.parametrize(
    ("kind", "event", "path"),
    [(Kind.ED, ed_event(), path) for path in TEXTS] + [(Kind.POLICE, police_event(), path) for path in POLICE_TEXTS],
)
@pytest.mark.parametrize(
    ("datum", "reason"),
    [
        ("9434765919", RejectReason.PERSONAL_NHS_NUMBER),
        ("07700900123", RejectReason.PERSONAL_PHONE_NUMBER),
        ("jo@example.org", RejectReason.PERSONAL_EMAIL),
    ],
)
def test_personal_data_are_found_in_every_text(
    kind: Kind, event: Event, path: str, datum: str, reason: RejectReason
) -> None:
    found = rejected(raw(changed(event, path, datum)), kind)
    assert found.reason is reason
    assert found.detail.startswith(f"{path}: ")
    assert datum not in found.detail


def test_personal_data_are_told_of_before_anything_else() -> None:
    worst = changed(without(ed_event(revision="one", location_description="943 476 5919"), "id"), "extra", 1)
    assert rejected(raw(worst)).reason is RejectReason.PERSONAL_NHS_NUMBER


def test_dates_in_identifiers_are_no_birth_dates() -> None:
    assert accepted(raw(ed_event(record_id="RHM01-2026-02-28-17", incident_ref="2026/02/28/4")))


SECRET = "Zacharias Quxworthy"


@pytest.mark.parametrize(
    "path",
    [
        *("id", "source", "type", "specversion", "time", "dataschema", "traceparent", "datacontenttype", "data"),
        *(f"data.{name}" for name in ed_event()["data"]),
        *(f"data.place.{name}" for name in ("longitude", "latitude", "easting", "precision")),
        *(f"{SECRET}", f"data.{SECRET}", f"data.place.{SECRET}"),
    ],
)
@pytest.mark.parametrize(
    "value", [SECRET, SECRET * 30, [SECRET], {SECRET: SECRET}], ids=["text", "long", "list", "map"]
)
def test_the_detail_never_holds_text_of_the_message(path: str, value: object) -> None:
    for message in (changed(ed_event(), path, value), [changed(ed_event(), path, value)]):
        for found in parsed(raw(message)):
            assert isinstance(found, Accepted) or (SECRET not in found.detail and len(found.detail) <= 300)


# --- totality ----------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["ce_id", "ce_type", "ce_source", "ce_specversion", "ce_data", "ce_", "content-type"])
        | st.text(max_size=8),
        st.none() | st.binary(max_size=40) | st.just(b"hotspot.ed.attendance.recorded.v1"),
    ),
    max_size=5,
)


def assert_total(message: bytes | None, headers: Headers = ()) -> None:
    for kind in Kind:
        found = parsed(message, kind, headers)
        assert found, "a message came to nothing"
        for one in found:
            assert isinstance(one, Accepted | Rejected)


@given(st.none() | st.binary(max_size=300), HEADERS)
def test_any_bytes_come_to_something(message: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    assert_total(message, headers)


@given(JSON, HEADERS)
def test_any_json_comes_to_something(value: object, headers: list[tuple[str, bytes | None]]) -> None:
    assert_total(raw(value), headers)


PATHS = st.sampled_from(
    ["id", "source", "type", "time", "data", "extra", "data.place", "data.place.longitude", "data.place.easting"]
    + [f"data.{name}" for name in (*ed_event()["data"], "incident_ref", "method_description", "extra")]
)
TIMES = st.datetimes().map(lambda time: f"{time.isoformat()}+14:00") | st.text("0123456789-:TZ+.", max_size=25)


@given(PATHS, JSON | TIMES)
def test_a_good_event_with_anything_anywhere_comes_to_something(path: str, value: Any) -> None:
    message = changed(ed_event(), path, value)
    assert_total(raw(message))
    assert_total(raw([message]))
    assert_total(*binary(message) if "data" in message else (raw(message), ()))
