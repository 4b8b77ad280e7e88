"""Good messages, located rows and detections for tests, which say only what matters to them; and a clock to move."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from schemas.alert import Alert, AlertReason, EpisodeState, Window
from schemas.base import moment
from schemas.detection import DAY_S, Detection
from schemas.located import LOCATED, Gate, Kind, LocatedArray, Status, record_hash
from schemas.region import RegionFile, load_region

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ED_SOURCE = "hampshire/ed/RHM01"
POLICE_SOURCE = "hampshire/police"
#: The Guildhall of Southampton, in degrees and in metres of the National Grid; no institution is near.
GUILDHALL = {"longitude": -1.4065, "latitude": 50.9075}
GUILDHALL_METRES = {"easting": 441_825.866, "northing": 112_170.909}
GUILDHALL_CELL = (1767, 448)
MICRO = 1_000_000

Event = dict[str, Any]


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """Move it forward, by the arguments of timedelta."""
        self.now += timedelta(**by)


class Record(NamedTuple):
    """As much of a record of aiokafka as the agents read."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()
    topic: str = "hotspot.feedback"
    partition: int = 0


@cache
def hampshire() -> RegionFile:
    """The region of most tests."""
    return load_region(ROOT / "regions" / "hampshire.toml")


def ed_event(status: str = "recorded", source: str = ED_SOURCE, **data: Any) -> Event:
    """A good ED attendance; a field given as None is left out of the data."""
    happened = NOW - timedelta(hours=12)
    details = {
        "record_id": "A-1001",
        "revision": 1,
        "recorded_at": (happened + timedelta(hours=9)).isoformat(),
        "site_code": "RHM01",
        "arrived_at": (happened + timedelta(hours=1)).isoformat(),
        "occurred_at": happened.isoformat(),
        "assault_method": "bottle or glass",
        "location_type": "pub or club",
        "place": dict(GUILDHALL),
    }
    return _event(f"hotspot.ed.attendance.{status}.v1", source, {**details, **data})


def police_event(status: str = "recorded", source: str = POLICE_SOURCE, **data: Any) -> Event:
    """A good police incident; a field given as None is left out of the data."""
    happened = NOW - timedelta(hours=12)
    details = {
        "record_id": "P-2001",
        "revision": 1,
        "recorded_at": (happened + timedelta(hours=1)).isoformat(),
        "occurred_at": happened.isoformat(),
        "category": "robbery",
        "place": dict(GUILDHALL),
    }
    return _event(f"hotspot.police.incident.{status}.v1", source, {**details, **data})


def withdrawal(kind: Kind = Kind.POLICE, **data: Any) -> Event:
    """A good withdrawal of the record that `ed_event` or `police_event` makes."""
    recorded = (NOW - timedelta(hours=1)).isoformat()
    details = {"revision": 2, "recorded_at": recorded, **data}
    if kind is Kind.ED:
        return _event("hotspot.ed.attendance.withdrawn.v1", ED_SOURCE, {"record_id": "A-1001", **details})
    return _event("hotspot.police.incident.withdrawn.v1", POLICE_SOURCE, {"record_id": "P-2001", **details})


def heartbeat(source: str = POLICE_SOURCE, recorded_at: datetime = NOW) -> Event:
    """A good heartbeat."""
    return _event("hotspot.feed.heartbeat.v1", source, {"recorded_at": recorded_at.isoformat()})


def _event(event_type: str, source: str, data: Event) -> Event:
    given = {name: value for name, value in data.items() if value is not None}
    return {
        "specversion": "1.0",
        "id": f"{given.get('record_id', 'feed')}:{given.get('revision', 1)}",
        "source": source,
        "type": event_type,
        "data": given,
    }


def changed(event: Event, path: str, value: object) -> Event:
    """A copy of an event with another value at a dotted path."""
    copy = deepcopy(event)
    *parents, name = path.split(".")
    inner = copy
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    return copy


def without(event: Event, path: str) -> Event:
    """A copy of an event that lacks the field at a dotted path."""
    copy = deepcopy(event)
    *parents, name = path.split(".")
    inner = copy
    for parent in parents:
        inner = inner[parent]
    del inner[name]
    return copy


def raw(event: object) -> bytes:
    """A message as a partner's program writes it; NaN and Infinity stay as Python writes them."""
    return json.dumps(event).encode()


def binary(event: Event) -> tuple[bytes, list[tuple[str, bytes | None]]]:
    """An event in the binary mode of CloudEvents: data as value, attributes as headers."""
    headers: list[tuple[str, bytes | None]] = [
        (f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data"
    ]
    return raw(event["data"]), [*headers, ("content-type", b"application/json")]


def located(**fields: int) -> LocatedArray:
    """One located row; every field may be given by its name, and `occurred` follows `recorded_us`."""
    recorded_us = int(NOW.timestamp()) * MICRO
    row: dict[str, int] = {
        "record": record_hash(POLICE_SOURCE, "P-2001"),
        "revision": 1,
        "kind": Kind.POLICE,
        "status": Status.RECORDED,
        "gate": Gate.NONE,
        "weight": 1,
        "source": 0,
        "reserved": 0,
        "ix": GUILDHALL_CELL[0],
        "iy": GUILDHALL_CELL[1],
        "recorded_us": recorded_us,
        "incident": 0,
        **fields,
    }
    row.setdefault("occurred", row["recorded_us"] // MICRO - 3600)
    return np.array([tuple(row[name] for name in LOCATED.names or ())], dtype=LOCATED)


def detection(**fields: Any) -> Detection:
    """A window of three days with five incidents where half of one is usual."""
    given: dict[str, Any] = {
        "ix": GUILDHALL_CELL[0],
        "iy": GUILDHALL_CELL[1],
        "radius_cells": 1,
        "span_s": 3 * DAY_S,
        "as_of": int(NOW.timestamp()),
        "observed": (2, 3),
        "expected": (0.2, 0.3),
        "score": 8.0,
        "kind_scores": (3.0, 5.0),
        **fields,
    }
    return Detection(**given)


def window(**fields: Any) -> Window:
    """The window of `detection` as it is told."""
    end = moment(int(NOW.timestamp()))
    given: dict[str, Any] = {
        **GUILDHALL,
        "easting": 441_875.0,
        "northing": 112_125.0,
        "radius_m": 375.0,
        "start": end - timedelta(days=3),
        "end": end,
        **fields,
    }
    return Window(**given)


def alert(**fields: Any) -> Alert:
    """A good alert: the first revision of an episode in Hampshire."""
    given: dict[str, Any] = {
        "episode_id": "hampshire-20260301T120000Z-0a1b2c3d",
        "revision": 1,
        "state": EpisodeState.EMERGING,
        "reason": AlertReason.OPENED,
        "region": "hampshire",
        "region_name": "Hampshire",
        "opened_at": NOW,
        "as_of": NOW,
        "window": window(),
        "observed": {"ed": 2, "police": 3},
        "expected": {"ed": 0.2, "police": 0.3},
        "score": 8.0,
        "recurrence_interval_days": 190.0,
        "permutation_p_value": 0.00012,
        "evidence": "both",
        "effect": {"ed": 10.0, "police": 10.0},
        "headline": "Violence is emerging.",
        **fields,
    }
    return Alert(**given)
