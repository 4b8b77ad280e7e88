"""The express lane is a part of the contract: what it takes in, the contract takes in as the same rows."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.isotime import NO_TIME, read_times
from schemas.events import ED_EVENT, POLICE_EVENT
from schemas.express import EXPRESS
from schemas.located import Kind, join, record_hash, record_hashes
from schemas.personal import personal_data_in
from schemas.reasons import RejectReason
from streams import ingest
from streams.desks import Registry
from streams.express import ALL, PIECE, USUAL_BYTES, RawMessage, Sorted, Spot, batches, pieces, sort_out
from streams.ingest import Intake, take_in
from tests.builders import (
    ED_SOURCE,
    GUILDHALL,
    GUILDHALL_METRES,
    NOW,
    POLICE_SOURCE,
    Event,
    changed,
    ed_event,
    hampshire,
    heartbeat,
    police_event,
    raw,
    withdrawal,
    without,
)

REGISTRY = Registry([hampshire()])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def taken(kind: Kind, values: Sequence[bytes]) -> Intake:
    messages = [RawMessage(value, ()) for value in values]
    return take_in(kind, messages, REGISTRY, NOW, max_bytes=100_000, tolerance_s=600)


def by_the_contract(kind: Kind, values: Sequence[bytes]) -> Intake:
    """The naive twin: nothing takes the express lane."""

    def nothing(_: Kind, messages: Sequence[Any], __: int) -> Sorted:
        return Sorted([], [], [Spot(number, ALL) for number in range(len(messages))])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "sort_out", nothing)
        return taken(kind, values)


def summary(intake: Intake) -> tuple[Any, ...]:
    rows = join(intake.rows.values()).tolist()
    refusals = [(refusal.position, *refusal.rejected) for refusal in intake.refusals]
    observed = {name: (found.latest, sorted(found.delays_s)) for name, found in intake.observed.items()}
    return rows, sorted(refusals), sorted(intake.rows), observed


def passes(kind: Kind, event: Event) -> bool:
    """Whether an event takes the express lane."""
    found = sort_out(kind, [RawMessage(raw(event), ())], 100_000)
    latest_us = (NOW - EPOCH) // timedelta(microseconds=1)
    return bool(found.events) and not any(batch.wrong.any() for batch in batches(kind, found, latest_us, 600_000_000))


DIGITS = st.text(alphabet="0123456789 .-()+:/_aZé٣", max_size=30)
TIMES = st.one_of(
    st.datetimes(datetime(1999, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat),  # noqa: DTZ001
    st.sampled_from(
        [
            "2026-02-28T10:00:00Z",
            "2026-02-29T10:00:00Z",
            "2026-02-28T24:00:00Z",
            "2026-02-28T23:59:60Z",
            "2026-02-28T10:00:00.1234567Z",
            "2026-02-28T10:00:00.12+05:30",
            "2026-02-28T10:00:00-23:59",
            "2026-02-28T10:00:00-00:00",
            "2026-02-28T10:00:00+24:00",
            "2026-02-28T10:00:00",
            "2026-02-28 10:00:00Z",
            "2026-02-28T10:00Z",
            "1767225600",
            "",
        ]
    ),
    st.integers(0, 2_000_000_000),
    st.none(),
)
PLACES: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        {},
        dict(GUILDHALL),
        dict(GUILDHALL_METRES),
        {**GUILDHALL, **GUILDHALL_METRES},
        {**GUILDHALL, "easting": 1.0},
        {**GUILDHALL, "precision": "area"},
        {**GUILDHALL, "precision": None},
        {"longitude": GUILDHALL["longitude"]},
        {"longitude": 2, "latitude": 48},
        {"longitude": "x", "latitude": 50.9},
        {"longitude": float("nan"), "latitude": 50.9},
        {"longitude": -1.4350, "latitude": 50.9335},
        [],
    ]
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "source": st.sampled_from([POLICE_SOURCE, ED_SOURCE, "elsewhere", 7]),
    "type": st.sampled_from(
        [f"hotspot.{kind}.{verb}.v1" for kind in ("ed.attendance", "police.incident") for verb in ("recorded", "lost")]
    ),
    "id": DIGITS,
    "time": TIMES,
    "subject": DIGITS,
    "datacontenttype": st.sampled_from(["application/json", "text/plain", None]),
    "extra": st.just(1),
    "data.record_id": DIGITS,
    "data.revision": st.sampled_from([1, 2, 0, 2**32, 1.0, True, "1", None]),
    "data.recorded_at": TIMES,
    "data.occurred_at": TIMES,
    "data.occurred_to": TIMES,
    "data.arrived_at": TIMES,
    "data.category": DIGITS,
    "data.assault_method": DIGITS,
    "data.method_description": DIGITS,
    "data.place": PLACES,
    "data.incident_ref": st.one_of(st.none(), DIGITS),
    "data.victims": st.sampled_from([1, 3, 255, 256, 0, 2.0, None]),
    "data.time_precision": st.sampled_from(["minute", "day", "month", "century", None]),
    "data.knife": st.sampled_from([True, None, "yes"]),
    "data.suspect": st.just("x"),
}


@st.composite
def events(draw: st.DrawFn) -> tuple[Kind, Event]:
    """A good event in which up to three fields are something else, or missing."""
    kind = draw(st.sampled_from(list(Kind)))
    good = ed_event if kind is Kind.ED else police_event
    event = draw(st.sampled_from([good(), good("amended", revision=2), withdrawal(kind), heartbeat()]))
    for path in draw(st.lists(st.sampled_from(sorted(FIELDS)), max_size=3, unique=True)):
        event = changed(event, path, draw(FIELDS[path]))
        if draw(st.booleans()) and draw(st.booleans()):
            event = without(event, path)
    return kind, event


@settings(max_examples=600, deadline=None)
@given(st.lists(events(), min_size=1, max_size=4), st.booleans())
def test_the_same_comes_of_events_by_either_lane(drawn: list[tuple[Kind, Event]], as_batch: bool) -> None:
    kind = drawn[0][0]
    of_kind = [event for its_kind, event in drawn if its_kind is kind]
    values = [raw(of_kind)] if as_batch else [raw(event) for event in of_kind]
    assert summary(taken(kind, values)) == summary(by_the_contract(kind, values))


NUMBERS = (r"\A\(?0?7\d{3}[ -]?\d{6}\Z", r"\A\d{3} ?\d{3} ?\d{4}\Z")


@settings(max_examples=2_000, deadline=None)
@given(
    st.one_of(
        DIGITS,
        st.from_regex(r"\A\(?0?7\d{3}[ -]?\d{6}\Z"),
        st.from_regex(r"\A\d{3} ?\d{3} ?\d{4}\Z"),
        st.uuids().map(str),
    )
)
def test_no_text_that_may_hold_a_personal_datum_passes(text: str) -> None:
    assert not passes(Kind.POLICE, police_event(category=text)) or personal_data_in(text) is None
    for event in (changed(police_event(), "id", text), police_event(record_id=text), police_event(incident_ref=text)):
        assert not passes(Kind.POLICE, event) or personal_data_in(text, dates=False) is None


@pytest.mark.parametrize(
    "record_id", ["P-2001", "44260123456", "SIM-4-E-005987", "2026/123456/01", "4f2c1a52-8f5e-4f0e-9d5b-2a3f4b5c6d7e"]
)
def test_usual_record_ids_take_the_express_lane(record_id: str) -> None:
    event = police_event(record_id=record_id)
    assert passes(Kind.POLICE, event)
    assert passes(Kind.POLICE, changed(event, "id", f"{record_id}:1"))


def test_usual_events_take_the_express_lane() -> None:
    for kind, event in (
        (Kind.ED, ed_event()),
        (Kind.POLICE, police_event("amended", revision=2)),
        (Kind.POLICE, withdrawal()),
    ):
        assert passes(kind, event)


GOOD = raw(police_event())


@pytest.mark.parametrize(
    "poison",
    [
        [GOOD[:-1], GOOD],
        [GOOD + b"," + GOOD],
        [GOOD + b"," + GOOD, b'{"data":[{}', b"{}]}"],
        [b'{"x":"}', GOOD, b'{"}'],
        [GOOD + b',"x":' + GOOD, b'{"y":', b"1}"],
        [b"", b" ", b"]", b"}", b'"', b"{", b"["],
        [b"\xff\xfe", b"null", b"[]", b"7", b"[[]]", b"[1]"],
        [b"[" + GOOD, b"]"],
    ],
)
def test_poison_among_messages_is_refused_and_nothing_else(poison: list[bytes]) -> None:
    """Also where pieces of messages would make whole events, were they simply joined."""
    good = [raw(police_event(record_id=f"P-{number}")) for number in range(20)]
    values = [
        *good[:9],
        *(part for pair in zip(poison, good[9:], strict=False) for part in pair),
        *good[9 + len(poison) :],
    ]
    found = taken(Kind.POLICE, values)
    assert summary(found) == summary(by_the_contract(Kind.POLICE, values))
    accepted = {row["record"] for row in found.rows["hampshire"]}
    assert {record_hash(POLICE_SOURCE, f"P-{number}") for number in range(20)} <= accepted


@pytest.mark.parametrize(
    "broken",
    [
        b"\xff",
        b"\x01",
        rb"\ud800",
        rb"\x",
    ],
)
def test_a_batch_that_is_no_json_is_refused_as_a_whole(broken: bytes) -> None:
    """Although each of its other elements could be read by itself."""
    good = [raw(police_event(record_id=f"P-{number}")) for number in range(4)]
    values = [b"[%b]" % b",".join([*good[:2], good[2].replace(b"P-2", b"P-" + broken), good[3]]), good[0]]
    found = taken(Kind.POLICE, values)
    assert summary(found) == summary(by_the_contract(Kind.POLICE, values))
    assert [(refusal.position, refusal.rejected.reason) for refusal in found.refusals] == [(0, RejectReason.NOT_JSON)]


@pytest.mark.parametrize("element", [b"[" * 50_000 + b"]" * 50_000, b"[" * 50_000, b"7", b'{"data":NaN}', b'"x"'])
def test_no_element_of_a_batch_raises(element: bytes) -> None:
    values = [b"[%b,%b]" % (GOOD, element), GOOD]
    assert summary(taken(Kind.POLICE, values)) == summary(by_the_contract(Kind.POLICE, values))


@pytest.mark.parametrize("kind", list(Kind))
def test_the_contract_and_the_express_lane_have_the_same_fields(kind: Kind) -> None:
    of_express = {event.__struct_config__.tag: event for event in get_args(EXPRESS[kind].one.type)}
    of_contract = {get_args(event.model_fields["type"].annotation)[0]: event for event in contracts(kind)}
    assert set(of_express) == {name for name in of_contract if "heartbeat" not in name}
    for name, event in of_express.items():
        contract = of_contract[name]
        assert {*event.__struct_fields__, "type"} == set(contract.model_fields)
        data = get_type_hints(event)["data"]
        assert set(data.__struct_fields__) == set(contract.model_fields["data"].annotation.model_fields)


def contracts(kind: Kind) -> tuple[Any, ...]:
    """All events of the contract of a source topic."""
    union = get_args((ED_EVENT if kind is Kind.ED else POLICE_EVENT)._type)
    return get_args(union[0]) or union


def test_a_poor_element_of_a_batch_goes_alone() -> None:
    batch = [police_event(record_id=f"P-{number}") for number in range(50)]
    batch[7] = without(batch[7], "data.category")
    batch[30] = changed(batch[30], "data.category", "mail a.b@example.org")
    found = taken(Kind.POLICE, [raw(batch)])
    assert summary(found) == summary(by_the_contract(Kind.POLICE, [raw(batch)]))
    assert [json.loads(refusal.rejected.raw) for refusal in found.refusals] == [batch[7], batch[30]]


@given(st.lists(st.sampled_from(["plain", "judged by the contract", "taken back", "two in a batch"]), max_size=8))
@settings(deadline=None)  # the first makes a projection
def test_rows_keep_the_order_in_which_they_came(forms: list[str]) -> None:
    """Whatever lane they take: under the replay clock the order of a log says what is known when."""
    values, expected = [], []
    for number, form in enumerate(forms):
        names = [f"P-{number}a", f"P-{number}b"][: 2 if form == "two in a batch" else 1]
        expected += [(number, record_hash(POLICE_SOURCE, name)) for name in names]
        if form == "taken back":
            values.append(raw(withdrawal(record_id=names[0])))
        elif form == "two in a batch":
            values.append(raw([police_event(record_id=name) for name in names]))
        else:
            odd = {"category": "8N, art. 123"} if form == "judged by the contract" else {}
            values.append(raw(police_event(record_id=names[0], **odd)))
    found = [(row["reserved"], row["record"]) for rows in taken(Kind.POLICE, values).rows.values() for row in rows]
    assert found == expected


@given(st.lists(st.datetimes(datetime(1600, 3, 1), datetime(2999, 1, 1)), max_size=5), st.integers(-1439, 1439))  # noqa: DTZ001
def test_times_are_read_as_python_reads_them(moments: list[datetime], offset: int) -> None:
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    texts = [f"{moment.isoformat()}{zone}" for moment in moments]
    expected = [(datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) for text in texts]
    assert read_times(texts).tolist() == expected


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


@st.composite
def nearly_times(draw: st.DrawFn) -> str:
    """A time in which up to two characters are something else, or missing, or too many."""
    text = draw(
        st.sampled_from(["2026-02-28T10:00:00.123456+01:00", "2026-02-28T10:00:00Z", "2024-02-29T23:59:59.5-00:30"])
    )
    for _ in range(draw(st.integers(0, 2))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 2))
        text = text[:at] + draw(st.text(alphabet="0369:-+.TZ té٣\n/", max_size=2)) + text[at + length :]
    return text


@settings(max_examples=600, deadline=None)
@given(st.lists(nearly_times(), max_size=4))
def test_a_time_is_what_has_its_form_and_what_python_reads(texts: list[str]) -> None:
    def read(text: str) -> int:
        try:
            moment = datetime.fromisoformat(text) if TIME.fullmatch(text) else None
        except ValueError:
            moment = None
        return NO_TIME if moment is None else (moment - EPOCH) // timedelta(microseconds=1)

    assert read_times(texts).tolist() == [read(text) for text in texts]


@pytest.mark.parametrize("text", ["", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "2026"])
def test_what_is_no_time(text: str) -> None:
    assert read_times([text, "1970-01-01T00:00:01Z"]).tolist() == [NO_TIME, 1_000_000]


@given(st.lists(st.tuples(st.sampled_from(["a", "b/c"]), st.text(max_size=5)), max_size=6))
def test_hashes_of_many_are_those_of_each(pairs: list[tuple[str, str]]) -> None:
    found = record_hashes([source for source, _ in pairs], [name for _, name in pairs])
    assert found.tolist() == [record_hash(*pair) for pair in pairs]


@given(st.lists(st.integers(0, 5 * USUAL_BYTES), max_size=2 * PIECE))
def test_pieces_are_the_whole_in_order_and_none_is_large(sizes: list[int]) -> None:
    messages = [RawMessage(b"x" * size, ()) for size in sizes]
    parts = list(pieces(messages))
    assert [message for part in parts for message in part] == messages
    assert all(sum(1 + len(message.value or b"") // USUAL_BYTES for message in part[:-1]) < PIECE for part in parts)
    assert np.all([len(part) > 0 for part in parts])
