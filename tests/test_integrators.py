"""The page for integrators: its publisher runs, its examples are accepted, and its tables are those of the code."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cli.main import COMMANDS
from schemas.deadletter import DeadLetter
from schemas.events import (
    CloudEvent,
    EdAttendance,
    EdEvent,
    FeedHeartbeat,
    Heartbeat,
    Place,
    PoliceEvent,
    PoliceIncident,
    Withdrawal,
)
from schemas.located import HEARTBEAT, LOCATED, Gate, Kind
from schemas.personal import personal_data_in
from schemas.reasons import RejectReason
from schemas.region import Source, load_region
from schemas.settings import Settings
from simulation.profile import ED_CATEGORIES, LOCATION_TYPES, POLICE_CATEGORIES
from streams.codec import Accepted, Headers, Rejected, parse
from streams.desks import Registry
from streams.ingest import Intake, RawMessage, take_in
from streams.topics import DAY_MS, Topics, create_topics, topic_table
from tests.servers.kafka import KafkaServer

ROOT = Path(__file__).resolve().parent.parent
PUBLISHER = ROOT / "docs" / "examples" / "publish.py"
PAGE = (ROOT / "docs" / "integrators.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SETTINGS = Settings()
TOPICS = Topics(SETTINGS.prefix)
#: After every time in the page's examples.
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

Row = tuple[str, ...]


def section(heading: str, page: str = PAGE) -> str:
    """What stands under a heading, down to the next of the same rank or above."""
    rank = heading.split(" ", 1)[0]
    after = page.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"^#{{1,{len(rank)}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def tables(text: str) -> list[list[Row]]:
    """The tables of a text: rows of cells, without code marks around a whole cell, the heading row left out."""
    found: list[list[Row]] = []
    for block in re.findall(r"(?:^\|.*\|\n)+", text, re.MULTILINE):
        rows = [tuple(cell.strip() for cell in line.strip("|").split(" | ")) for line in block.splitlines()]
        found.append([tuple(re.sub(r"^`([^`]+)`$", r"\1", cell) for cell in row) for row in rows[2:]])
    return found


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


# --- tables ---------------------------------------------------------------------------------------------------------


def form(schema: Mapping[str, Any]) -> str:
    """What a field may be, from its JSON Schema, in the words of the page."""
    (option,) = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    if "$ref" in option:
        name = option["$ref"].rsplit("/", 1)[-1].lower()
        return f"a [{name}](#{name})"
    if "const" in option:
        return f"`{option['const']}`"
    if "enum" in option:
        return " or ".join(f"`{value}`" for value in option["enum"])
    if "pattern" in option:
        return f"`{option['pattern']}`"
    words = {"string": text_form, "integer": whole_number_form}
    plain = {"boolean": "`true` or `false`", "number": "number"}
    return words[option["type"]](option) if option["type"] in words else plain[option["type"]]


def text_form(option: Mapping[str, Any]) -> str:
    """A text: a time, or with limits of its length."""
    if option.get("format") == "date-time":
        return "time"
    if "minLength" in option:
        return f"text, {option['minLength']} to {option['maxLength']} characters"
    return f"text, at most {option['maxLength']} characters" if "maxLength" in option else "text"


def whole_number_form(option: Mapping[str, Any]) -> str:
    """A whole number with its limits."""
    upper = f" to {option['maximum']}" if "maximum" in option else ""
    return f"whole number from {option['minimum']}{upper}"


def needed(name: str, schema: Mapping[str, Any], required: Sequence[str]) -> str:
    """Whether a field is needed, and what it is without."""
    if name in required:
        return "yes"
    default = schema.get("default")
    return "no" if default in (None, "") else f"no: `{default}`"


def rows_of(model: type[BaseModel]) -> list[Row]:
    """Name, form and need of each field of a contract, as the page should say them."""
    schema = model.model_json_schema()
    required = schema.get("required", [])
    return [
        (name, re.sub(r"^`([^`]+)`$", r"\1", form(field)), needed(name, field, required))
        for name, field in schema["properties"].items()
    ]


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("### ED attendance", EdAttendance),
        ("### Police incident", PoliceIncident),
        ("### Place", Place),
        ("### Withdrawal", Withdrawal),
        ("### Heartbeat", Heartbeat),
        ("## Sources and regions", Source),
    ],
)
def test_the_table_of_a_contract_is_its_model(heading: str, model: type[BaseModel]) -> None:
    (table,) = tables(section(heading))
    assert [row[:3] for row in table] == rows_of(model)


def test_the_attributes_are_those_that_an_event_may_have() -> None:
    table = tables(section("## Events"))[1]
    assert [row[:3] for row in table] == rows_of(CloudEvent)


def test_the_types_are_those_of_the_topics() -> None:
    expected = set()
    for topic, events in ((TOPICS.ed, get_args(EdEvent)), (TOPICS.police, get_args(PoliceEvent))):
        for event in events:
            (name,) = get_args(event.model_fields["type"].annotation)
            data = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", event.model_fields["data"].annotation.__name__).lower()
            expected.add((name, "both" if event is FeedHeartbeat else f"`{topic}`", data))
    table = tables(section("## Events"))[0]
    told = {(row[0], row[1] if row[1] == "both" else f"`{row[1]}`", link_text(row[2]).lower()) for row in table}
    assert told == expected


def link_text(cell: str) -> str:
    """The words of a cell that is a link to a heading of the page; the heading exists."""
    match = re.fullmatch(r"\[(.+)\]\(#(.+)\)", cell)
    assert match
    assert re.search(rf"^### {match[1]}$", PAGE, re.MULTILINE | re.IGNORECASE)
    assert match[2] == match[1].lower().replace(" ", "-")
    return match[1]


def test_reasons_and_headers_of_dead_letters_are_those_of_the_code() -> None:
    headers, reasons = tables(section("## Dead letters"))
    letter = DeadLetter(
        reason=RejectReason.NOT_JSON,
        detail="",
        origin_topic=TOPICS.ed,
        origin_partition=0,
        origin_offset=0,
        rejected_at=NOW,
    )
    assert [row[0] for row in headers] == [name for name, _ in letter.headers()]
    assert reasons == [(reason.value, reason.sentence) for reason in RejectReason]


def test_the_code_lists_are_those_of_the_simulation() -> None:
    (table,) = tables(section("## Code lists"))
    assert [(field, re.findall(r"[^`,]+(?=`(?:,|$))", codes)) for field, codes in table] == [
        ("assault_method", list(ED_CATEGORIES)),
        ("category", list(POLICE_CATEGORIES)),
        ("location_type", list(LOCATION_TYPES)),
    ]


def kept_days(name: str) -> str:
    """How long the topic of a name keeps its messages."""
    (topic,) = [topic for topic in topic_table(TOPICS, SETTINGS) if topic.topic == name]
    kept = topic.config.get("retention.ms")
    return str(int(kept) // DAY_MS) if kept else "for good, compacted"


def test_topics_are_kept_as_long_as_is_told() -> None:
    (table,) = tables(section("## Topics and keys"))
    assert [(row[0], row[3]) for row in table] == [
        (name, kept_days(name)) for name in (TOPICS.ed, TOPICS.police, TOPICS.deadletter)
    ]


def test_the_architecture_page_lists_the_topics_that_are_created() -> None:
    table = tables(section("## Topics", ARCHITECTURE))[0]
    told = [(row[0], row[2], row[4]) for row in table]
    assert told == [
        (topic.topic, str(topic.num_partitions), kept_days(topic.topic)) for topic in topic_table(TOPICS, SETTINGS)
    ]


def test_limits_in_the_text_are_the_defaults_of_the_settings() -> None:
    text = " ".join(PAGE.split())
    assert f"{SETTINGS.max_message_bytes:,} bytes (`HOTSPOT_MAX_MESSAGE_BYTES`)" in text
    assert f"{SETTINGS.future_tolerance_s // 60} minutes (`HOTSPOT_FUTURE_TOLERANCE_S`)" in text
    assert f"{SETTINGS.detection.merge_minutes} minutes apart (`HOTSPOT_DETECTION__MERGE_MINUTES`)" in text


def test_fields_that_bear_on_detection_are_in_the_located_record() -> None:
    match = re.search(r"Only these fields bear on detection: (.+?)\.", " ".join(PAGE.split()))
    assert match
    columns = {
        "record_id": {"record", "source", "kind"},  # the source topic tells the kind
        "revision": {"revision", "status"},
        "recorded_at": {"recorded_us"},
        "occurred_at": {"occurred"},
        "time_precision": {"gate"},
        "place": {"ix", "iy", "gate"},
        "incident_ref": {"incident"},
    }
    assert re.findall(r"`(\w+)`", match[1]) == list(columns)
    assert set().union(*columns.values()) == set(LOCATED.names or ()) - {"weight", "reserved"}


# --- examples -------------------------------------------------------------------------------------------------------


def take(kind: Kind, value: str | bytes, headers: Headers = (), now: datetime = NOW) -> Intake:
    """What the ingest agent of Hampshire makes of one message."""
    registry = Registry([load_region(ROOT / "regions" / "hampshire.toml")])
    raw = value.encode() if isinstance(value, str) else value
    return take_in(
        kind,
        [RawMessage(raw, headers)],
        registry,
        now,
        max_bytes=SETTINGS.max_message_bytes,
        tolerance_s=SETTINGS.future_tolerance_s,
    )


def rows_located(intake: Intake) -> int:
    """Rows that a fetch brought, with none refused and none gated."""
    assert intake.refusals == []
    rows = intake.rows["hampshire"]
    assert (rows["gate"] == Gate.NONE).all()
    return len(rows)


def test_structured_binary_and_batch_examples_are_accepted() -> None:
    structured, data, batch = blocks(section("## Events"), "json")
    assert rows_located(take(Kind.ED, structured)) == 1
    headers = [(name, value.encode()) for name, value in tables(section("## Events"))[2]]
    assert rows_located(take(Kind.POLICE, data, headers)) == 1
    taken = take(Kind.POLICE, batch)
    assert rows_located(taken) == 2
    assert len(json.loads(batch)) == 2
    assert (taken.rows["hampshire"]["revision"] == HEARTBEAT).sum() == 1


def test_the_refused_example_is_refused_as_told() -> None:
    (example,) = blocks(section("## Dead letters"), "json")
    (told,) = blocks(section("## Dead letters"), "text")
    (refusal,) = take(Kind.POLICE, example).refusals
    reason, detail = refusal.rejected.reason.value, refusal.rejected.detail
    assert told == f"hotspot-reason: {reason}\nhotspot-detail: {detail}\n"


def test_the_source_of_the_examples_stands_in_the_region_file_as_shown() -> None:
    (example,) = blocks(section("## Sources and regions"), "toml")
    assert example in (ROOT / "regions" / "hampshire.toml").read_text(encoding="utf-8")


@given(st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}\Z").filter(lambda text: sum(map(str.isdigit, text)) < 10))
def test_an_identifier_with_few_digits_is_always_safe(identifier: str) -> None:
    assert personal_data_in(identifier, dates=False) is None


def test_identifiers_that_look_like_numbers_of_persons_are_refused_as_told() -> None:
    identifiers = " ".join(section("## Identifiers").split())
    assert personal_data_in("X0120-4812345", dates=False) is RejectReason.PERSONAL_PHONE_NUMBER
    assert "`X0120-4812345` is refused" in identifiers


@given(st.uuids())
def test_every_uuid_is_accepted_as_told(identifier: uuid.UUID) -> None:
    assert "UUIDs are accepted" in section("## Identifiers")
    assert personal_data_in(str(identifier), dates=False) is None


# --- the publisher --------------------------------------------------------------------------------------------------


def test_the_page_holds_the_publisher_as_it_is() -> None:
    assert PUBLISHER.read_text(encoding="utf-8") in blocks(PAGE, "python")


def test_the_publisher_fails_when_the_broker_refuses_a_message() -> None:
    delivered = runpy.run_path(str(PUBLISHER))["delivered"]
    with pytest.raises(KafkaException):
        delivered(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), None)


def everything_on(bootstrap: str, topic: str) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of all messages of a topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "integrators", "enable.auto.commit": False})
    try:
        for number in consumer.list_topics(topic, timeout=30).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=30)
            consumer.assign([TopicPartition(topic, number, 0)])
            for _ in range(end):
                message = consumer.poll(30)
                assert message is not None
                assert message.error() is None
                yield message.key(), message.value()
    finally:
        consumer.close()


@pytest.mark.connected
def test_what_the_publisher_sends_is_accepted(apache_kafka: KafkaServer) -> None:
    settings = Settings(bootstrap=apache_kafka.bootstrap, prefix="hotspot.integrators")
    create_topics(settings)
    environment = {**os.environ, "HOTSPOT_BOOTSTRAP": settings.bootstrap, "HOTSPOT_PREFIX": settings.prefix}
    command = [sys.executable, str(PUBLISHER)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3

    topics = Topics(settings.prefix)
    received = {}
    for kind in Kind:
        for key, value in everything_on(settings.bootstrap, topics.source(kind)):
            (parsed,) = parse(kind, value, [], settings.max_message_bytes)
            assert not isinstance(parsed, Rejected), parsed.detail
            received[key.decode()] = (kind, value, parsed)
    assert {key: kind_and_type(*entry) for key, entry in received.items()} == {
        "hampshire/ed/RHM01/EXAMPLE-A-1": (Kind.ED, "hotspot.ed.attendance.recorded.v1"),
        "hampshire/ed/RHM01": (Kind.ED, "hotspot.feed.heartbeat.v1"),
        "hampshire/police/EXAMPLE-P-1": (Kind.POLICE, "hotspot.police.incident.amended.v1"),
    }
    later = datetime.now(UTC) + timedelta(seconds=1)
    located = {key: take(kind, value, now=later) for key, (kind, value, _) in received.items()}
    assert rows_located(located["hampshire/ed/RHM01/EXAMPLE-A-1"]) == 1
    assert rows_located(located["hampshire/police/EXAMPLE-P-1"]) == 1
    assert located["hampshire/ed/RHM01"].refusals == []


def kind_and_type(kind: Kind, _: bytes, accepted: Accepted) -> tuple[Kind, str]:
    """Topic's kind and event type of what was received."""
    return kind, accepted.event.type


# --- other pages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/integrators.md"])
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        other = page.parent / path if path else page
        assert other.is_file(), f"{name} links to {target}"
        headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, f"{name} links to {target}"


def test_the_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^- `hotspot (\w+)", readme, re.MULTILINE)) | set(re.findall(r"`make (demo)`", readme))
    assert told == set(COMMANDS)


def test_the_changelog_counts_the_reasons() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"one of {len(RejectReason)} reason codes" in " ".join(changelog.split())
