"""From messages to located rows and refusals, with the region file and the clock at hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.grid import Grid
from schemas.located import HEARTBEAT, Gate, Kind, LocatedArray, Status, join, record_hash
from schemas.reasons import RejectReason
from schemas.region import RegionFileError
from streams.desks import Registry
from streams.ingest import Intake, RawMessage, take_in
from tests.builders import (
    ED_SOURCE,
    GUILDHALL,
    GUILDHALL_CELL,
    GUILDHALL_METRES,
    MICRO,
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
GRID = Grid(hampshire())
TOLERANCE_S = 600
HOSPITAL = {"longitude": -1.4350, "latitude": 50.9335}
CHICAGO = {"longitude": -87.62, "latitude": 41.88}


def taken(*events: object, kind: Kind = Kind.POLICE, now: datetime = NOW, registry: Registry = REGISTRY) -> Intake:
    messages = [RawMessage(event if isinstance(event, bytes) else raw(event), ()) for event in events]
    return take_in(kind, messages, registry, now, max_bytes=1_000_000, tolerance_s=TOLERANCE_S)


def rows_of(intake: Intake) -> LocatedArray:
    assert not intake.refusals, intake.refusals
    return intake.rows["hampshire"]


def row_of(event: Event, kind: Kind = Kind.POLICE) -> Any:
    (row,) = rows_of(taken(event, kind=kind))
    return row


def reason_of(event: Event, kind: Kind = Kind.POLICE) -> tuple[RejectReason, str]:
    intake = taken(event, kind=kind)
    assert sum(len(rows) for rows in intake.rows.values()) == 0
    (refusal,) = intake.refusals
    assert refusal.rejected.raw == raw(event)
    return refusal.rejected.reason, refusal.rejected.detail.split(": ")[0]


def micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


# --- good records ------------------------------------------------------------------------------------------------


def test_a_police_incident_becomes_a_row() -> None:
    recorded, occurred = NOW - timedelta(hours=2), NOW - timedelta(hours=5)
    event = police_event(
        "amended",
        revision=3,
        victims=2,
        incident_ref="I-9",
        recorded_at=recorded.isoformat(),
        occurred_at=occurred.isoformat(),
    )
    row = row_of(event)
    assert row["record"] == record_hash(POLICE_SOURCE, "P-2001")
    assert row["incident"] == record_hash(POLICE_SOURCE, "I-9")
    assert (row["revision"], row["weight"]) == (3, 2)
    assert (row["kind"], row["status"], row["gate"]) == (Kind.POLICE, Status.AMENDED, Gate.NONE)
    assert (row["ix"], row["iy"]) == GUILDHALL_CELL
    assert row["occurred"] == int(occurred.timestamp())
    assert row["recorded_us"] == micros(recorded)
    assert hampshire().sources[int(row["source"])].id == POLICE_SOURCE


def test_an_ed_attendance_becomes_a_row() -> None:
    row = row_of(ed_event(method_description="glass", location_description="outside the Guildhall"), Kind.ED)
    assert row["record"] == record_hash(ED_SOURCE, "A-1001")
    assert (row["kind"], row["status"], row["gate"], row["weight"]) == (Kind.ED, Status.RECORDED, Gate.NONE, 1)
    assert (row["ix"], row["iy"]) == GUILDHALL_CELL
    assert row["incident"] == 0
    assert hampshire().sources[int(row["source"])].id == ED_SOURCE


def test_a_time_with_an_offset_is_the_same_moment() -> None:
    here = police_event(occurred_at="2026-02-28T23:00:00+00:00", recorded_at="2026-03-01T01:30:00+00:00")
    there = police_event(occurred_at="2026-02-28T17:00:00-06:00", recorded_at="2026-03-01T07:00:00+05:30")
    assert row_of(here) == row_of(there)


def test_what_is_known_of_the_fetch_besides_its_rows() -> None:
    late = police_event(record_id="P-1", recorded_at=(NOW - timedelta(hours=1)).isoformat())
    early = police_event(record_id="P-2", recorded_at=(NOW - timedelta(hours=3)).isoformat())
    intake = taken(late, early)
    assert intake.rows["hampshire"]["reserved"].tolist() == [0, 1]  # the places of their messages
    (seen,) = intake.observed.values()
    assert list(intake.observed) == [POLICE_SOURCE]
    assert seen.delays_s == [11 * 3600.0, 9 * 3600.0]
    assert seen.latest == (NOW - timedelta(hours=1)).timestamp()


def test_a_heartbeat_stands_among_the_records_where_it_came() -> None:
    """What is known when depends on the order of the log, so a heartbeat is a row that is no record."""
    intake = taken(police_event(), b"?", heartbeat(recorded_at=NOW), police_event(record_id="P-2"))
    rows = intake.rows["hampshire"]
    assert rows["revision"].tolist() == [1, HEARTBEAT, 1]
    assert rows["reserved"].tolist() == [0, 2, 3]
    assert rows["recorded_us"][1] == micros(NOW)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2026, 2, 28)))  # noqa: DTZ001  # hypothesis wants them naive
def test_the_record_time_keeps_every_microsecond(naive: datetime) -> None:
    recorded = naive.replace(tzinfo=UTC)
    row = row_of(police_event(recorded_at=recorded.isoformat(), occurred_at=recorded.isoformat()))
    assert row["recorded_us"] == micros(recorded)


# --- withdrawals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "recorded"), [(Kind.ED, ed_event()), (Kind.POLICE, police_event())])
def test_a_withdrawal_is_a_row_of_the_same_record(kind: Kind, recorded: Event) -> None:
    first, taken_back = rows_of(taken(recorded, withdrawal(kind), kind=kind))
    assert taken_back["record"] == first["record"]
    assert taken_back["source"] == first["source"]
    assert (taken_back["revision"], taken_back["status"]) == (2, Status.WITHDRAWN)
    assert taken_back["gate"] == Gate.NONE
    assert taken_back["recorded_us"] == micros(NOW - timedelta(hours=1))
    assert taken_back["occurred"] == taken_back["recorded_us"] // MICRO


# --- sources -----------------------------------------------------------------------------------------------------


def test_a_source_that_no_region_lists() -> None:
    assert reason_of(police_event(source="hampshire/ambulance")) == (RejectReason.UNKNOWN_SOURCE, "source")


def test_a_source_of_the_other_kind() -> None:
    wrong = (RejectReason.SOURCE_KIND_MISMATCH, "source")
    assert reason_of(police_event(source=ED_SOURCE)) == wrong
    assert reason_of(ed_event(source=POLICE_SOURCE), Kind.ED) == wrong
    assert reason_of(heartbeat(source=ED_SOURCE)) == wrong


def test_two_regions_may_not_claim_one_source_or_one_id() -> None:
    other = hampshire().model_copy(update={"id": "wessex"})
    with pytest.raises(RegionFileError, match=r"'hampshire/police' stands in the region files of 'hampshire' and 'w"):
        Registry([hampshire(), other])
    with pytest.raises(RegionFileError, match=r"Two region files have the id 'hampshire'\."):
        Registry([hampshire(), hampshire()])


def test_each_record_goes_to_the_region_of_its_source() -> None:
    (source,) = [source for source in hampshire().sources if source.id == POLICE_SOURCE]
    update = {"id": "wessex", "sources": (source.model_copy(update={"id": "wessex/police"}),)}
    registry = Registry([hampshire(), hampshire().model_copy(update=update)])
    intake = taken(police_event(), police_event(source="wessex/police"), police_event(), registry=registry)
    assert {region: len(rows) for region, rows in intake.rows.items()} == {"hampshire": 2, "wessex": 1}
    assert registry.source_ids[-1] == "wessex/police"


# --- times -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["recorded_at", "arrived_at", "occurred_at"])
def test_times_before_2000(field: str) -> None:
    wrong = (RejectReason.TIME_BEFORE_2000, f"data.{field}")
    for time in ("1999-12-31T23:59:59Z", "1900-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"):
        assert reason_of(ed_event(**{field: time}), Kind.ED) == wrong
    # 1999 in Britain, already 2000 in UTC
    early = dict.fromkeys(("recorded_at", "arrived_at", "occurred_at"), "1999-12-31T23:00:00-01:00")
    assert len(rows_of(taken(ed_event(**early), kind=Kind.ED))) == 1


def test_a_record_time_in_the_future() -> None:
    """
    now            now + tolerance
     |───── taken ──────|── refused ──▶
    """
    edge = NOW + timedelta(seconds=TOLERANCE_S)
    assert len(rows_of(taken(police_event(recorded_at=edge.isoformat())))) == 1
    wrong = (RejectReason.TIME_IN_FUTURE, "data.recorded_at")
    assert reason_of(police_event(recorded_at=(edge + timedelta(seconds=1)).isoformat())) == wrong
    assert reason_of(police_event(recorded_at="9999-12-31T23:59:59-01:00")) == wrong
    assert reason_of(heartbeat(recorded_at=NOW + timedelta(days=1))) == wrong
    assert reason_of(withdrawal(recorded_at="9999-12-31T23:59:59Z")) == wrong


@pytest.mark.parametrize("field", ["occurred_at", "occurred_to"])
def test_a_time_after_its_own_record_time_is_in_the_future(field: str) -> None:
    """
    recorded_at     recorded_at + tolerance            now
         |───── taken ───────|──────── refused ─────────|─▶
    """
    recorded = NOW - timedelta(days=2)
    edge = recorded + timedelta(seconds=TOLERANCE_S)
    times = {"recorded_at": recorded.isoformat(), "occurred_at": recorded.isoformat()}
    assert len(rows_of(taken(police_event(**{**times, field: edge.isoformat()})))) == 1
    later = police_event(**{**times, field: (edge + timedelta(seconds=1)).isoformat()})
    assert reason_of(later) == (RejectReason.TIME_IN_FUTURE, f"data.{field}")


def test_a_refused_time_is_not_heard() -> None:
    intake = taken(police_event(recorded_at=(NOW + timedelta(days=365)).isoformat()))
    assert intake.rows == {}
    assert intake.observed == {}


# --- places ------------------------------------------------------------------------------------------------------


def placed(**place: float | str) -> Event:
    return police_event(place=place)


def test_degrees_and_metres_give_the_same_cell() -> None:
    for row in rows_of(taken(placed(**GUILDHALL), placed(**GUILDHALL_METRES), placed(**GUILDHALL, **GUILDHALL_METRES))):
        assert (row["ix"], row["iy"]) == GUILDHALL_CELL
        assert row["gate"] == Gate.NONE


@given(st.floats(430_000, 470_000), st.floats(95_000, 140_000))
def test_degrees_and_metres_give_the_same_cell_anywhere(easting: float, northing: float) -> None:
    # A point within a millimetre of a border may fall on either side of it.
    easting, northing = (round(value / 250) * 250 + 125.0 for value in (easting, northing))
    longitude, latitude = (float(value[0]) for value in GRID.unproject(np.array([easting]), np.array([northing])))
    by_metres, by_degrees = rows_of(
        taken(placed(easting=easting, northing=northing), placed(longitude=longitude, latitude=latitude))
    )
    assert (by_metres["ix"], by_metres["iy"]) == (by_degrees["ix"], by_degrees["iy"])
    assert (by_metres["ix"], by_metres["iy"]) == (easting // 250, northing // 250)


def test_degrees_win_when_both_are_given() -> None:
    row = row_of(placed(**GUILDHALL, easting=460_000.0, northing=120_000.0))
    assert (row["ix"], row["iy"]) == GUILDHALL_CELL


@pytest.mark.parametrize(
    "place",
    [
        CHICAGO,
        {"longitude": 0.0, "latitude": 0.0},
        {"longitude": 1e308, "latitude": 1e308},
        {"easting": 0.0, "northing": 0.0},
        {"easting": 530_000.0, "northing": 180_000.0},
        {"easting": 1e300, "northing": -1e300},
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_place_outside_of_the_region(place: dict[str, float]) -> None:
    assert reason_of(placed(**place)) == (RejectReason.OUTSIDE_REGION, "data.place")


def test_a_place_with_its_coordinates_swapped() -> None:
    wrong = (RejectReason.COORDINATES_SWAPPED, "data.place")
    assert reason_of(placed(longitude=GUILDHALL["latitude"], latitude=GUILDHALL["longitude"])) == wrong
    swapped = placed(easting=GUILDHALL_METRES["northing"], northing=GUILDHALL_METRES["easting"])
    assert reason_of(swapped) == wrong


@pytest.mark.parametrize("field", ["longitude", "latitude"])
def test_a_coordinate_that_is_no_number(field: str) -> None:
    event = placed(**{**GUILDHALL, field: float("nan")})
    assert reason_of(event) == (RejectReason.COORDINATE_NOT_FINITE, f"data.place.{field}")


def test_the_borders_of_the_region_belong_to_it() -> None:
    bounds = hampshire().bounds
    assert len(rows_of(taken(placed(longitude=bounds.west, latitude=bounds.south)))) == 1
    assert reason_of(placed(longitude=bounds.west, latitude=bounds.south - 1e-6))[0] is RejectReason.OUTSIDE_REGION


def test_a_record_without_a_place_is_kept_and_gated() -> None:
    row = row_of(without(police_event(), "data.place"))
    assert row["gate"] == Gate.NO_LOCATION


def test_a_place_that_is_only_an_area_is_gated_and_still_judged() -> None:
    row = row_of(placed(**GUILDHALL, precision="area"))
    assert row["gate"] == Gate.NO_LOCATION
    assert (row["ix"], row["iy"]) == GUILDHALL_CELL
    assert reason_of(placed(**CHICAGO, precision="area"))[0] is RejectReason.OUTSIDE_REGION
    assert row_of(placed(**GUILDHALL, precision="street"))["gate"] == Gate.NONE


@pytest.mark.parametrize(
    ("precision", "gate"),
    [("minute", Gate.NONE), ("hour", Gate.NONE), ("day", Gate.IMPRECISE_TIME), ("month", Gate.IMPRECISE_TIME)],
)
def test_a_time_that_is_only_a_day_or_a_month_is_gated(precision: str, gate: Gate) -> None:
    assert row_of(police_event(time_precision=precision))["gate"] == gate


def test_a_record_at_an_institution_is_kept_and_gated() -> None:
    row = row_of(ed_event(place=dict(HOSPITAL)), Kind.ED)
    assert row["gate"] == Gate.INSTITUTION
    assert row["ix"] > 0


def test_an_institution_reaches_as_far_as_its_radius() -> None:
    """
    institution            radius 250 m
         +──────────────────────|
         gated       249 m    | |   251 m scanned
    """
    metres = GRID.project(np.array([HOSPITAL["longitude"]]), np.array([HOSPITAL["latitude"]]))
    easting, northing = float(metres[0][0]), float(metres[1][0])
    inside, outside = rows_of(
        taken(placed(easting=easting + 249, northing=northing), placed(easting=easting + 251, northing=northing))
    )
    assert (inside["gate"], outside["gate"]) == (Gate.INSTITUTION, Gate.NONE)


def test_what_is_least_known_names_the_gate() -> None:
    some_day = police_event(place=dict(HOSPITAL), time_precision="day")
    assert row_of(some_day)["gate"] == Gate.IMPRECISE_TIME
    assert row_of(without(some_day, "data.place"))["gate"] == Gate.NO_LOCATION


def test_institutions_gate_the_records_of_their_own_region_alone() -> None:
    source = hampshire().sources[0].model_copy(update={"id": "wessex/police"})
    without_any = {"id": "wessex", "institutions": (), "sources": (source,)}
    registry = Registry([hampshire(), hampshire().model_copy(update=without_any)])
    here, there = placed(**HOSPITAL), {**placed(**HOSPITAL), "source": "wessex/police"}
    intake = taken(here, there, registry=registry)
    assert intake.rows["hampshire"]["gate"].tolist() == [Gate.INSTITUTION]
    assert intake.rows["wessex"]["gate"].tolist() == [Gate.NONE]


# --- together ----------------------------------------------------------------------------------------------------

MIXED: list[object] = [
    police_event(record_id="P-1"),
    police_event("amended", record_id="P-1", revision=2, place=dict(HOSPITAL)),
    withdrawal(record_id="P-3"),
    without(police_event(record_id="P-4"), "data.place"),
    police_event(record_id="P-5", place=dict(GUILDHALL_METRES)),
    heartbeat(),
    police_event(record_id="P-6", place=dict(CHICAGO)),
    police_event(source="unknown"),
    b"\xff\xfe",
    [police_event(record_id="P-7"), police_event(record_id="P-8", victims=0), police_event(record_id="P-9")],
    changed(police_event(), "type", "x"),
    ed_event(),
]


def contents(rows: LocatedArray) -> list[bytes]:
    """Rows wherever they stood."""
    copy = rows.copy()
    copy["reserved"] = 0
    return sorted(row.tobytes() for row in copy)


def summary(intake: Intake) -> tuple[list[bytes], list[tuple[str, bytes]], list[str]]:
    refusals = sorted((refusal.rejected.reason.value, refusal.rejected.raw) for refusal in intake.refusals)
    return contents(join(intake.rows.values())), refusals, sorted(intake.rows)


@given(st.permutations(range(len(MIXED))))
def test_the_order_of_messages_does_not_matter(order: Sequence[int]) -> None:
    assert summary(taken(*[MIXED[place] for place in order])) == summary(taken(*MIXED))


@given(st.permutations(range(len(MIXED))))
def test_a_refusal_says_which_message_it_is_of(order: Sequence[int]) -> None:
    bad = {6, 7, 8, 9, 10, 11}
    intake = taken(*[MIXED[place] for place in order])
    assert sorted(order[refusal.position] for refusal in intake.refusals) == sorted(bad)
    assert int((intake.rows["hampshire"]["revision"] != HEARTBEAT).sum()) == 7


@given(st.lists(st.sampled_from(range(len(MIXED))), max_size=8), st.integers(0, 8))
def test_a_fetch_cut_in_two_gives_the_same_rows(places: list[int], cut: int) -> None:
    messages = [MIXED[place] for place in places]
    halves = [taken(*messages[:cut]), taken(*messages[cut:])]
    parts = join(half.rows["hampshire"] for half in halves if "hampshire" in half.rows)
    whole = taken(*messages)
    assert contents(parts) == summary(whole)[0]
    assert sum(len(half.refusals) for half in halves) == len(whole.refusals)
