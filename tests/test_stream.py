"""The agents against real brokers: bad input, restarts, kills, repeated delivery."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AdminClient

from schemas.located import Kind
from schemas.reasons import RejectReason
from schemas.settings import Settings
from streams.topics import Topics
from tests.builders import hampshire
from tests.running import (
    HAMPSHIRE,
    ROOT,
    Installation,
    dead_letters,
    publish,
    read_topic,
    running_worker,
    until,
)

POLICE = "hampshire/police"
ED = "hampshire/ed/RHM01"
NOW = datetime.now(UTC).replace(microsecond=0)
SOUTHAMPTON = {"longitude": -1.4043, "latitude": 50.9040}


def incident(number: int, **data: Any) -> dict[str, Any]:
    """A good police incident of yesterday."""
    happened = NOW - timedelta(days=1, minutes=90 * (number % 10))
    return {
        "specversion": "1.0",
        "id": f"P{number}:1",
        "source": POLICE,
        "type": "hotspot.police.incident.recorded.v1",
        "data": {
            "record_id": f"P{number}",
            "recorded_at": (happened + timedelta(minutes=20)).isoformat(),
            "occurred_at": happened.isoformat(),
            "category": "robbery",
            "place": SOUTHAMPTON,
            **data,
        },
    }


def attendance(number: int, **data: Any) -> dict[str, Any]:
    """A good ED attendance of yesterday."""
    happened = NOW - timedelta(days=1, minutes=95 * (number % 10))
    return {
        "specversion": "1.0",
        "id": f"E{number}:1",
        "source": ED,
        "type": "hotspot.ed.attendance.recorded.v1",
        "data": {
            "record_id": f"E{number}",
            "recorded_at": (happened + timedelta(hours=2)).isoformat(),
            "arrived_at": (happened + timedelta(hours=1)).isoformat(),
            "occurred_at": happened.isoformat(),
            "site_code": "RHM01",
            "assault_method": "sharp object",
            "location_type": "street",
            "place": SOUTHAMPTON,
            **data,
        },
    }


def without(event: dict[str, Any], field: str) -> dict[str, Any]:
    """The event with a field of its data missing."""
    cut = deepcopy(event)
    del cut["data"][field]
    return cut


FUTURE = (NOW + timedelta(days=2)).isoformat()
BAD_INCIDENTS: list[tuple[bytes | dict[str, Any], RejectReason]] = [
    (b"<incident/>", RejectReason.NOT_JSON),
    (b"\xff\xfe\x00", RejectReason.NOT_JSON),
    (b"", RejectReason.NOT_JSON),
    (b"[]", RejectReason.INVALID_VALUE),
    (b'"text"', RejectReason.WRONG_TYPE),
    (incident(1, victims="three"), RejectReason.WRONG_TYPE),
    (incident(2, suspect="x"), RejectReason.UNKNOWN_FIELD),
    (without(incident(3), "category"), RejectReason.MISSING_FIELD),
    (incident(4, victims=0), RejectReason.INVALID_VALUE),
    (incident(5, category="NHS 943 476 5919"), RejectReason.PERSONAL_NHS_NUMBER),
    (incident(6, location_type="call 07700 900123"), RejectReason.PERSONAL_PHONE_NUMBER),
    (incident(7, category="mail a.b@example.org"), RejectReason.PERSONAL_EMAIL),
    (incident(8, category="born 12/03/1987"), RejectReason.PERSONAL_BIRTH_DATE),
    (without(incident(9), "occurred_at"), RejectReason.TIME_MISSING),
    (incident(10, occurred_at="2026-03-01T10:00:00"), RejectReason.TIME_NAIVE),
    (incident(11, occurred_at="last night"), RejectReason.TIME_MALFORMED),
    (incident(12, recorded_at=FUTURE, occurred_at=FUTURE), RejectReason.TIME_IN_FUTURE),
    (incident(13, occurred_at="1999-12-31T23:59:59+00:00"), RejectReason.TIME_BEFORE_2000),
    (incident(14, place={"longitude": 2.35, "latitude": 48.85}), RejectReason.OUTSIDE_REGION),
    (incident(15, place={"longitude": 50.9040, "latitude": -1.4043}), RejectReason.COORDINATES_SWAPPED),
    (
        json.dumps(incident(16))
        .encode()
        .replace(json.dumps(SOUTHAMPTON).encode(), b'{"longitude":NaN,"latitude":50.9}'),
        RejectReason.COORDINATE_NOT_FINITE,
    ),
    (json.dumps(incident(17)).encode() + b" " * 2_000_000, RejectReason.MESSAGE_TOO_LARGE),
    ({**incident(18), "source": "elsewhere/police"}, RejectReason.UNKNOWN_SOURCE),
    ({**incident(19), "source": ED}, RejectReason.SOURCE_KIND_MISMATCH),
    ({**incident(20), "type": "hotspot.police.incident.invented.v1"}, RejectReason.UNKNOWN_EVENT_TYPE),
]
BAD_ATTENDANCES: list[tuple[bytes | dict[str, Any], RejectReason]] = [
    (attendance(1, location_description="pub, ask for 9434765919"), RejectReason.PERSONAL_NHS_NUMBER),
    (attendance(2, name="x"), RejectReason.UNKNOWN_FIELD),
]


def raw(message: bytes | dict[str, Any]) -> bytes:
    """As it goes on the wire."""
    return message if isinstance(message, bytes) else json.dumps(message).encode()


async def test_each_bad_message_is_a_dead_letter_with_its_own_reason_and_good_ones_pass(
    installation: Installation,
) -> None:
    """A good record follows each bad message; all good ones are counted, all bad ones lie whole on the dead letter."""
    settings = installation.settings()
    topics = Topics(settings.prefix)
    bad = [(raw(message), reason) for message, reason in BAD_INCIDENTS]
    stream = [
        pair for number, (value, _) in enumerate(bad) for pair in ((b"k", value), (b"k", raw(incident(100 + number))))
    ]
    publish(settings, topics.police, stream)
    bad_ed = [(raw(message), reason) for message, reason in BAD_ATTENDANCES]
    publish(settings, topics.ed, [(None, value) for value, _ in bad_ed] + [(None, raw(attendance(100)))])
    expected = len(stream) + len(bad_ed) + 1

    async with running_worker(settings, hampshire()) as worker:
        await until(lambda: worker.accounting.settled >= expected, "every message is settled")
        outcomes = dict(worker.accounting.outcomes)
        assert worker.failure is None

    assert outcomes == {"rejected": len(bad) + len(bad_ed), "located": len(bad) + 1}
    letters = dead_letters(settings)
    assert sorted((letter.headers.reason, letter.value) for letter in letters) == sorted(
        (reason, value) for value, reason in bad + bad_ed
    )
    by_reason = {letter.headers.reason: letter for letter in letters}
    nhs = by_reason[RejectReason.PERSONAL_EMAIL].headers
    assert nhs.origin_topic == topics.police
    assert "example.org" not in nhs.detail


async def test_poison_in_a_batch_takes_only_itself(installation: Installation) -> None:
    """A JSON batch with a bad element: the element is the dead letter, the others are records."""
    settings = installation.settings()
    batch = [incident(1), incident(2, suspect="x"), incident(3)]
    publish(settings, Topics(settings.prefix).police, [(b"k", json.dumps(batch).encode())])
    async with running_worker(settings, hampshire()) as worker:
        await until(lambda: worker.accounting.settled >= 3, "three records are settled")
        assert dict(worker.accounting.outcomes) == {"rejected": 1, "located": 2}
    (letter,) = dead_letters(settings)
    assert json.loads(letter.value) == batch[1]


async def test_repeats_amendments_and_withdrawals_are_counted_as_what_they_are(installation: Installation) -> None:
    """Out of order, twice, withdrawn, and withdrawn although never seen."""
    settings = installation.settings()
    amended = {**incident(1, revision=2), "type": "hotspot.police.incident.amended.v1"}
    withdrawal = {"record_id": "P2", "revision": 2, "recorded_at": NOW.isoformat()}
    withdrawn = {**incident(2), "type": "hotspot.police.incident.withdrawn.v1", "data": withdrawal}
    unseen = {**withdrawn, "data": {**withdrawal, "record_id": "P99"}}
    messages = [incident(1), amended, incident(1), incident(2), withdrawn, unseen, incident(3), incident(3)]
    publish(settings, Topics(settings.prefix).police, [(b"same", raw(message)) for message in messages])
    async with running_worker(settings, hampshire()) as worker:
        await until(lambda: worker.accounting.settled >= len(messages), "all are settled")
        counted = worker.monitoring.regions["hampshire"].detector.store.counted()
        assert dict(worker.accounting.outcomes) == {"located": 5, "duplicate": 2, "gated": 1}
    assert len(counted) == 2  # P1 as amended, and P3


async def test_a_restart_goes_on_where_it_stopped(installation: Installation) -> None:
    """Offsets are committed after the state: a second worker reads nothing again and has everything."""
    settings = installation.settings(commit_seconds=0.2)
    topic = Topics(settings.prefix).police
    publish(settings, topic, [(f"P{n}".encode(), raw(incident(n))) for n in range(300)])
    async with running_worker(settings, hampshire()) as first:
        await until(lambda: first.accounting.settled >= 300, "the first worker has 300")
        await asyncio.sleep(1)  # several commits: what is not committed by then never would be
    assert committed(settings, topic) == 300
    publish(settings, topic, [(f"P{n}".encode(), raw(incident(n))) for n in range(290, 400)])
    async with running_worker(settings, hampshire()) as second:
        await until(lambda: second.accounting.settled >= 110, "the second worker has 110 more")
        assert second.accounting.outcomes["located"] == 100
        assert len(second.monitoring.regions["hampshire"].detector.store.counted()) == 400


@pytest.mark.connected
async def test_kill_9_loses_nothing_and_doubles_nothing(native: Installation) -> None:
    """A worker killed in the middle of a backlog: the next one ends with every record once."""
    settings = native.settings(session_timeout_s=6)
    topics = Topics(settings.prefix)
    total = 20_000
    publish(settings, topics.police, [(f"P{n}".encode(), raw(incident(n))) for n in range(total)])
    victim = start_worker(settings)
    try:
        await until(lambda: len(read_topic(settings, topics.located)) >= 3, "the victim is at work")
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
    async with running_worker(settings, hampshire()) as worker:

        def records() -> int:
            region = worker.monitoring.regions.get("hampshire")
            return len(region.detector.store.counted()) if region else 0

        await until(lambda: records() >= total, "all records are there")
        assert records() == total
        assert worker.accounting.outcomes["rejected"] == 0


def test_a_worker_that_is_told_to_end_while_it_waits_for_its_broker_ends() -> None:
    """A broker that takes connections and says nothing keeps a worker waiting; nobody must have to kill it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = start_worker(Settings(bootstrap=f"127.0.0.1:{silent.getsockname()[1]}"))
        try:
            silent.settimeout(60)
            silent.accept()
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def committed(settings: Settings, topic: str) -> int:
    """Sum of the offsets that the workers' group has committed of a topic."""
    request = ConsumerGroupTopicPartitions(Topics(settings.prefix).app_id)
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    (future,) = admin.list_consumer_group_offsets([request]).values()
    return sum(max(0, found.offset) for found in future.result(10).topic_partitions if found.topic == topic)


def start_worker(settings: Settings) -> subprocess.Popen[bytes]:
    """`hotspot worker` in a process of its own."""
    environment = {
        **os.environ,
        "HOTSPOT_BOOTSTRAP": settings.bootstrap,
        "HOTSPOT_REDIS_URL": settings.redis_url,
        "HOTSPOT_PREFIX": settings.prefix,
        "HOTSPOT_REGIONS": str(HAMPSHIRE),
        "HOTSPOT_METRICS_PORT": "0",
        "HOTSPOT_SOURCE_PARTITIONS": str(settings.source_partitions),
        "HOTSPOT_LOCATED_PARTITIONS": str(settings.located_partitions),
        "HOTSPOT_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
    }
    return subprocess.Popen([sys.executable, "-m", "cli", "worker"], env=environment, cwd=ROOT)


def test_topics_of_both_kinds_are_told_apart() -> None:
    """The kind of a source topic is that of its name."""
    topics = Topics("hotspot")
    assert [topics.kind_of(topics.source(kind)) for kind in Kind] == list(Kind)
