"""Simulated messages of Hampshire for benchmarks of the stream, one a record or in JSON batches."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np

from bench.servers import Message
from bench.source import ROOT
from schemas.located import Kind
from schemas.region import RegionFile, load_region
from schemas.settings import Settings
from simulation.profile import HAMPSHIRE
from simulation.records import simulate
from simulation.table import as_rows
from streams.incident_file import SourceMessage, row_messages
from streams.topics import Topics

BATCH: Final = 500
START: Final = datetime(2024, 10, 1, tzinfo=UTC)
DAYS: Final = 730
#: So many times the violence of Hampshire: two years of it are enough records to measure on.
VOLUME: Final = 14


def hampshire() -> RegionFile:
    """The region of these benchmarks."""
    return load_region(ROOT / "regions" / "hampshire.toml")


def police_of(region: RegionFile) -> str:
    """Its police source."""
    return next(source.id for source in region.sources if source.kind_code is Kind.POLICE)


def simulated_messages() -> Sequence[SourceMessage]:
    """About 280,000 revisions in order of record time. They are made once, and then kept in build/."""
    kept = ROOT / "build" / f"bench-messages-{VOLUME}-{DAYS}.pickle"
    if kept.exists():
        found: list[SourceMessage] = pickle.loads(kept.read_bytes())  # noqa: S301  # written below, by us
        return found
    region = hampshire()
    profile = replace(
        HAMPSHIRE, police_per_year=HAMPSHIRE.police_per_year * VOLUME, ed_per_day=HAMPSHIRE.ed_per_day * VOLUME
    )
    records = simulate(region, START, DAYS, np.random.default_rng(0), profile=profile)
    messages = row_messages(as_rows(records.known_at(datetime(2026, 10, 1, tzinfo=UTC))), region)
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(pickle.dumps(messages))
    return messages


def singles(messages: Sequence[SourceMessage], settings: Settings) -> Iterator[Message]:
    """One message a record."""
    topics = Topics(settings.prefix)
    for message in messages:
        yield Message(topics.source(message.kind), message.key, message.value)


def batches(messages: Sequence[SourceMessage], settings: Settings, size: int = BATCH) -> Iterator[Message]:
    """The same records as JSON batches of one kind each, in the same order."""
    topics = Topics(settings.prefix)
    waiting: dict[str, list[SourceMessage]] = {}
    for message in messages:
        topic = topics.source(message.kind)
        held = waiting.setdefault(topic, [])
        held.append(message)
        if len(held) == size:
            yield _batch(topic, held)
            held.clear()
    for topic, held in waiting.items():
        if held:
            yield _batch(topic, held)


def _batch(topic: str, held: Sequence[SourceMessage]) -> Message:
    return Message(topic, held[0].key, b"[" + b",".join(message.value for message in held) + b"]")
