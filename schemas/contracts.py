"""The contracts as JSON Schemas, one file a message."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from schemas.alert import AlertEvent, LookReports
from schemas.audit import AuditEntry
from schemas.deadletter import DeadLetter
from schemas.delivery import Delivery, DisclosedEvent
from schemas.events import ED_EVENT, POLICE_EVENT, FeedHeartbeat
from schemas.feedback import FeedbackEvent
from schemas.layers import MapLayers
from schemas.located import LOCATED
from schemas.region import RegionFile
from schemas.routes import RoutesFile

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MESSAGES: dict[str, tuple[str, TypeAdapter[Any]]] = {
    "ed-attendance": ("hotspot.ed.attendances", ED_EVENT),
    "police-incident": ("hotspot.police.incidents", POLICE_EVENT),
    "feed-heartbeat": ("both source topics", TypeAdapter(FeedHeartbeat)),
    "detection": ("hotspot.detections", TypeAdapter(LookReports)),
    "layers": ("hotspot.detections", TypeAdapter(MapLayers)),
    "alert": ("hotspot.alerts", TypeAdapter(AlertEvent)),
    "disclosed-alert": ("bodies of webhooks", TypeAdapter(DisclosedEvent)),
    "delivery": ("hotspot.deliveries", TypeAdapter(Delivery)),
    "feedback": ("hotspot.feedback", TypeAdapter(FeedbackEvent)),
    "audit": ("hotspot.audit", TypeAdapter(AuditEntry)),
    "dead-letter": ("headers on hotspot.deadletter", TypeAdapter(DeadLetter)),
    "region": ("region files", TypeAdapter(RegionFile)),
    "routes": ("routes files", TypeAdapter(RoutesFile)),
}


def schema_files() -> Iterator[tuple[str, str]]:
    """File names and texts, the same bytes every time."""
    for name, (topic, adapter) in _MESSAGES.items():
        schema = {"$schema": DIALECT, "$id": f"urn:hotspot:{name}:v1", "$comment": topic, **adapter.json_schema()}
        yield f"{name}.v1.schema.json", json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    yield "located.v1.layout.json", json.dumps(_located_layout(), indent=2, ensure_ascii=False) + "\n"


def _located_layout() -> dict[str, Any]:
    fields: Mapping[str, tuple[Any, ...]] = LOCATED.fields or {}
    return {
        "$comment": "hotspot.located: little-endian rows after the header of streams/located.py",
        "bytes": LOCATED.itemsize,
        "fields": [
            {"name": name, "type": fields[name][0].str, "offset": fields[name][1]} for name in LOCATED.names or ()
        ],
    }
