"""The outside of the system, whole: exported contracts against their goldens, and messages against the contracts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # carries no types
import pytest
from click.testing import CliRunner
from jsonschema.validators import validator_for  # type: ignore[import-untyped]  # as above

from cli.main import hotspot
from schemas.alert import AlertEvent, DetectedWindow, LookReport, LookReports, alert_event
from schemas.contracts import DIALECT, schema_files
from schemas.deadletter import DeadLetter
from schemas.delivery import Delivery, disclosed_event
from schemas.located import LOCATED, Kind
from schemas.reasons import RejectReason
from streams.codec import Accepted, parse
from streams.publish import heartbeat_event
from tests.builders import (
    NOW,
    POLICE_SOURCE,
    ROOT,
    Event,
    alert,
    changed,
    ed_event,
    hampshire,
    heartbeat,
    police_event,
    raw,
    window,
    withdrawal,
    without,
)
from tests.builders_delivery import MAIL, fact, route, routes, told

GOLDEN = ROOT / "tests" / "golden" / "contracts"
EXPORTED = dict(schema_files())
SCHEMAS = {name.split(".")[0]: json.loads(text) for name, text in EXPORTED.items() if name.endswith(".schema.json")}


def validator(name: str) -> Any:
    schema = SCHEMAS[name]
    return validator_for(schema)(schema)


def letter(reason: RejectReason = RejectReason.NOT_JSON) -> DeadLetter:
    return DeadLetter(
        reason=reason,
        detail=reason.sentence,
        origin_topic="hotspot.police.incidents",
        origin_partition=3,
        origin_offset=41,
        rejected_at=NOW,
    )


def look_reports() -> LookReports:
    found = DetectedWindow(
        window=window(),
        observed={"ed": 2, "police": 3},
        expected={"ed": 0.2, "police": 0.3},
        score=8.0,
        recurrence_interval_days=190.0,
    )
    return LookReports(region="hampshire", looks=(LookReport(as_of=NOW, threshold=7.1, detections=(found,)),))


# --- goldens -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXPORTED)
def test_each_contract_is_as_it_was_agreed(name: str) -> None:
    assert EXPORTED[name] == (GOLDEN / name).read_text(encoding="utf-8"), "if it is meant: make generated"


def test_there_is_no_golden_of_a_contract_that_is_gone() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == set(EXPORTED)


def test_export_writes_the_goldens_and_names_them(tmp_path: Path) -> None:
    result = CliRunner().invoke(hotspot, ["contracts", "export", str(tmp_path / "new" / "folder")])
    assert result.exit_code == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()}
    assert written == {path.name: path.read_bytes() for path in GOLDEN.iterdir()}
    assert [Path(line).name for line in result.output.splitlines()] == list(EXPORTED)


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_contract_is_a_json_schema(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema["$schema"] == DIALECT
    assert schema["$id"] == f"urn:hotspot:{name}:v1"
    jsonschema.Draft202012Validator.check_schema(schema)
    for reference in re.findall(r'"\$ref": "#/\$defs/(\w+)"', json.dumps(schema)):
        assert reference in schema["$defs"]


def test_the_layout_of_located_rows_has_no_gaps() -> None:
    layout = json.loads(EXPORTED["located.v1.layout.json"])
    end = 0
    for field in layout["fields"]:
        assert field["offset"] == end
        end += int(field["type"][2:])
        assert field["type"][0] in "<|", "little-endian"
    assert end == layout["bytes"] == LOCATED.itemsize


# --- messages against the contracts ------------------------------------------------------------------------------

FULL_ED = ed_event(
    "amended",
    revision=2,
    method_description="pint glass",
    location_description="Black Lion pub on Commercial Road",
    incident_ref="I-5",
    alcohol_involved=True,
) | {
    "time": NOW.isoformat(),
    "subject": "A-1001",
    "datacontenttype": "application/json",
    "dataschema": "urn:hotspot:ed-attendance:v1",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "vendor=00f067aa",
    "partitionkey": "hampshire/ed/RHM01/A-1001",
}
FULL_POLICE = police_event(
    occurred_to=NOW.isoformat(),
    recorded_at=NOW.isoformat(),
    time_precision="hour",
    offence_code="8/6",
    location_type="street",
    knife=False,
    incident_ref="I-5",
    victims=3,
    place={"easting": 441_825.0, "northing": 112_170.0, "precision": "street"},
)
GOOD: dict[str, tuple[str, Event]] = {
    "attendance": ("ed-attendance", ed_event()),
    "attendance with everything": ("ed-attendance", FULL_ED),
    "attendance without a place": ("ed-attendance", without(ed_event(), "data.place")),
    "attendance withdrawn": ("ed-attendance", withdrawal(Kind.ED)),
    "heartbeat of a hospital": ("ed-attendance", heartbeat()),
    "incident": ("police-incident", police_event()),
    "incident with everything": ("police-incident", FULL_POLICE),
    "incident withdrawn": ("police-incident", withdrawal(Kind.POLICE)),
    "heartbeat of the police": ("police-incident", heartbeat()),
}
#: What a JSON Schema can say; personal data, clocks and the map are judged by the program alone.
BAD: dict[str, tuple[str, Event]] = {
    "unknown field": ("ed-attendance", ed_event(patient_name="J")),
    "unknown attribute": ("ed-attendance", {**ed_event(), "nhs": 1}),
    "missing field": ("ed-attendance", without(ed_event(), "data.assault_method")),
    "missing time": ("police-incident", without(police_event(), "data.occurred_at")),
    "number as text": ("police-incident", police_event(victims="2")),
    "revision 0": ("police-incident", police_event(revision=0)),
    "too many victims": ("police-incident", police_event(victims=256)),
    "blank in a record id": ("police-incident", police_event(record_id="P 1")),
    "long description": ("ed-attendance", ed_event(location_description="x" * 256)),
    "unknown precision": ("police-incident", police_event(time_precision="week")),
    "another version": ("police-incident", changed(police_event(), "specversion", "0.3")),
    "another type": ("police-incident", changed(police_event(), "type", "hotspot.police.incident.lost.v1")),
    "type of the other topic": ("ed-attendance", police_event()),
    "details in a withdrawal": ("police-incident", withdrawal(category="robbery")),
    "trace of another shape": ("police-incident", {**police_event(), "traceparent": "abc"}),
    "empty code": ("police-incident", police_event(category="")),
}
KIND_OF = {"ed-attendance": Kind.ED, "police-incident": Kind.POLICE}


@pytest.mark.parametrize(("schema", "event"), GOOD.values(), ids=GOOD)
def test_good_messages_keep_the_exported_contract_and_are_accepted(schema: str, event: Event) -> None:
    validator(schema).validate(event)
    (found,) = parse(KIND_OF[schema], raw(event), (), 65_536)
    assert isinstance(found, Accepted), found


@pytest.mark.parametrize(("schema", "event"), BAD.values(), ids=BAD)
def test_bad_messages_break_the_exported_contract_and_are_refused(schema: str, event: Event) -> None:
    assert not validator(schema).is_valid(event)
    (found,) = parse(KIND_OF[schema], raw(event), (), 65_536)
    assert not isinstance(found, Accepted)


def test_the_heartbeat_that_we_publish_keeps_its_contract() -> None:
    event = json.loads(heartbeat_event(POLICE_SOURCE, NOW))
    validator("feed-heartbeat").validate(event)
    assert not validator("feed-heartbeat").is_valid(police_event())


def test_an_alert_keeps_its_contract() -> None:
    event = alert_event(alert())
    validator("alert").validate(json.loads(event.model_dump_json()))
    assert (event.id, event.subject) == ("hampshire-20260301T120000Z-0a1b2c3d.1", "hampshire-20260301T120000Z-0a1b2c3d")
    assert AlertEvent.model_validate_json(event.model_dump_json()) == event
    assert not validator("alert").is_valid(changed(json.loads(event.model_dump_json()), "data.revision", 0))


def test_a_look_report_keeps_its_contract() -> None:
    report = look_reports()
    validator("detection").validate(json.loads(report.model_dump_json()))
    assert LookReports.model_validate_json(report.model_dump_json()) == report
    assert not validator("detection").is_valid(without(json.loads(report.model_dump_json()), "region"))


def test_a_dead_letter_keeps_its_contract_and_survives_its_headers() -> None:
    validator("dead-letter").validate(letter().model_dump(mode="json"))
    others = [("ce_id", b"e1"), ("hotspot-later", b"a header of a later version")]
    assert DeadLetter.from_headers([*others, *letter().headers()]) == letter()
    assert not validator("dead-letter").is_valid({**letter().model_dump(mode="json"), "reason": "because"})


def test_a_disclosed_alert_keeps_its_contract_and_holds_no_field_beyond_it() -> None:
    event = json.loads(disclosed_event(told("partnership")).model_dump_json())
    validator("disclosed-alert").validate(event)
    assert not validator("disclosed-alert").is_valid(changed(event, "data.observed", {"ed": 2}))
    assert not validator("disclosed-alert").is_valid(without(event, "data.counts"))


def test_a_fact_of_a_delivery_keeps_its_contract() -> None:
    found = json.loads(fact().model_dump_json())
    validator("delivery").validate(found)
    assert Delivery.model_validate(found) == fact()
    assert not validator("delivery").is_valid({**found, "result": "lost"})


def test_a_routes_file_keeps_its_contract() -> None:
    found = routes(route(), route(id="meeting", sink=MAIL)).model_dump(mode="json")
    validator("routes").validate(found)
    assert not validator("routes").is_valid(changed(found, "sender", "two words"))


def test_a_region_file_keeps_its_contract() -> None:
    region: dict[str, Any] = hampshire().model_dump(mode="json")
    validator("region").validate(region)
    assert not validator("region").is_valid({**region, "sources": []})


# --- reasons -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", RejectReason)
def test_every_reason_has_one_plain_sentence(reason: RejectReason) -> None:
    assert re.fullmatch(r"[A-Z][^\n]{15,140}\.", reason.sentence)
    assert letter(reason).detail == reason.sentence


def test_no_two_reasons_share_a_sentence() -> None:
    assert len({reason.sentence for reason in RejectReason}) == len(RejectReason)
