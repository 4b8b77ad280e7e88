"""Sends one ED attendance, one amended police incident and a heartbeat. Needs Python 3.11 and confluent-kafka only.

The records are made up: try it on a test installation, with HOTSPOT_BOOTSTRAP naming its Kafka (`host:port`).
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import KafkaException, Producer

PREFIX = os.environ.get("HOTSPOT_PREFIX", "hotspot")
NOW = datetime.now(UTC)

ATTENDANCE = {
    "record_id": "EXAMPLE-A-1",  # yours, and the same in every revision; never a number of a person
    "recorded_at": NOW.isoformat(),
    "site_code": "RHM01",
    "arrived_at": (NOW - timedelta(hours=1)).isoformat(),
    "occurred_at": (NOW - timedelta(hours=2)).isoformat(),
    "assault_method": "assault with blunt object",
    "location_type": "licensed premises",
    "place": {"longitude": -1.4043, "latitude": 50.9025, "precision": "street"},  # leave it out when not known
}
INCIDENT = {
    "record_id": "EXAMPLE-P-1",
    "revision": 2,  # the whole record as it is now, not only what changed
    "recorded_at": NOW.isoformat(),
    "occurred_at": (NOW - timedelta(hours=9)).isoformat(),
    "category": "violence with injury using a blade",
    "knife": True,
    "place": {"easting": 441_900, "northing": 111_700},
}
HEARTBEAT = {"recorded_at": NOW.isoformat()}  # all that was recorded up to now has been sent


def delivered(error: Any, message: Any) -> None:
    """Called once for each message, when the broker has it or will not have it."""
    if error is not None:
        raise KafkaException(error)
    print(f"{message.topic()}, partition {message.partition()}, offset {message.offset()}: {message.key().decode()}")


def send(producer: Producer, topic: str, source: str, event_type: str, data: dict[str, Any]) -> None:
    """Queue one CloudEvent; source and record id are the key, so that revisions of a record stay in order."""
    record_id = data.get("record_id")
    event_id = f"{record_id}:{data.get('revision', 1)}" if record_id else f"heartbeat:{data['recorded_at']}"
    event = {"specversion": "1.0", "id": event_id, "source": source, "type": event_type, "data": data}
    key = f"{source}/{record_id}" if record_id else source
    producer.produce(f"{PREFIX}.{topic}", json.dumps(event).encode(), key.encode(), on_delivery=delivered)


if __name__ == "__main__":
    producer = Producer(
        {
            "bootstrap.servers": os.environ["HOTSPOT_BOOTSTRAP"],
            "enable.idempotence": True,  # acknowledged by all replicas, and not doubled by a retry
            "max.in.flight.requests.per.connection": 1,  # nor lost where a partition has a new leader
            "message.timeout.ms": 30_000,
            # Add what your principal needs: "security.protocol", "sasl.mechanism", "sasl.username", ...
        }
    )
    send(producer, "ed.attendances", "hampshire/ed/RHM01", "hotspot.ed.attendance.recorded.v1", ATTENDANCE)
    send(producer, "police.incidents", "hampshire/police", "hotspot.police.incident.amended.v1", INCIDENT)
    send(producer, "ed.attendances", "hampshire/ed/RHM01", "hotspot.feed.heartbeat.v1", HEARTBEAT)
    producer.flush()  # waits for every answer; raises when the broker refused a message
