"""Event time on real brokers: looks go on without traffic; what is late, amended or withdrawn finds its place."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from typing import Any

from streams.topics import Topics
from tests.builders import hampshire
from tests.running import Installation, publish, running_worker, until
from tests.test_stream import NOW, POLICE, incident, raw


def looks(worker: Any) -> float:
    """Looks at Hampshire so far."""
    count: float = worker.metrics.looks.labels("hampshire")._value.get()
    return count


async def test_looks_go_on_when_traffic_stops(installation: Installation) -> None:
    """Event time stands still without records; windows move on all the same, by the wall clock."""
    settings = installation.settings(tick_seconds=0.5)
    async with running_worker(settings, hampshire()) as worker:
        await until(lambda: looks(worker) >= 3, "three looks without a single record")
        monitor = worker.monitoring.regions["hampshire"]
        first = monitor.last_look
        await until(lambda: monitor.last_look >= first + 2, "looks are as of later and later moments")
        assert worker.accounting.settled == 0


async def test_a_heartbeat_is_no_record_and_calls_nothing_into_being(installation: Installation) -> None:
    settings = installation.settings(tick_seconds=1)
    heartbeat = {
        "specversion": "1.0",
        "id": "heartbeat:1",
        "source": POLICE,
        "type": "hotspot.feed.heartbeat.v1",
        "data": {"recorded_at": NOW.isoformat()},
    }
    publish(
        settings, Topics(settings.prefix).police, [(b"h", json.dumps(heartbeat).encode()), (b"k", raw(incident(1)))]
    )
    async with running_worker(settings, hampshire()) as worker:
        await until(lambda: worker.accounting.settled >= 1, "the record is settled")
        await until(lambda: looks(worker) >= 1, "it is looked at")
        assert dict(worker.accounting.outcomes) == {"located": 1}
        assert len(worker.monitoring.regions["hampshire"].detector.store.rows()) == 1


async def test_any_order_over_several_partitions_ends_in_the_same_records(installation: Installation) -> None:
    """Revisions of forty records, months late some of them, without keys: each order is another path to one state."""
    messages = []
    for number in range(40):
        late = incident(number, occurred_at=(NOW - timedelta(days=number)).isoformat())
        amended = {**incident(number, revision=2, victims=2), "type": "hotspot.police.incident.amended.v1"}
        data = {"record_id": f"P{number}", "revision": 3, "recorded_at": NOW.isoformat()}
        withdrawn = {**incident(number), "type": "hotspot.police.incident.withdrawn.v1", "data": data}
        messages += [late, amended, withdrawn][: 1 + number % 3]
    states = []
    for seed in (1, 2):
        shuffled = random.Random(seed).sample(messages, len(messages))
        settings = installation.settings()
        publish(settings, Topics(settings.prefix).police, [(None, raw(message)) for message in shuffled])
        async with running_worker(settings, hampshire()) as worker:
            await until(lambda worker=worker: worker.accounting.settled >= len(messages), "all are settled")  # type: ignore[misc]
            states.append(worker.monitoring.regions["hampshire"].detector.store.rows())
    one, other = states
    assert one.tobytes() == other.tobytes()
    assert one["revision"].tolist().count(3) == 13
