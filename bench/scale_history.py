"""The simulated history of England and Wales: made once, kept on disk a file a region and year, and read back."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgpack
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bench.messages import batches
from bench.servers import Message
from schemas.base import Contract, UtcTime
from schemas.detection import DetectionSettings
from schemas.located import Kind
from schemas.region import RegionFile
from schemas.settings import Settings
from simulation.nation import FORCES, RECORDS_PER_YEAR, Force, profile_of, region_of, share_of
from simulation.records import SimulatedRecords, simulate
from simulation.simulated import ID_PREFIX
from simulation.table import as_rows
from streams.incident_file import SourceMessage, row_messages
from streams.topics import Topics

YEAR: Final = timedelta(days=365)
HOUR: Final = timedelta(hours=1)
#: What becomes known in so much time after the history is made too: a feed that ended there would soon be silent.
AHEAD: Final = timedelta(hours=36)
#: Of the newest records so many are kept one by one, in proportion to the sizes of the regions, to be amended.
SAMPLE: Final = 20_000
GZIP_LEVEL: Final = 1


class Plan(Contract):
    """What is simulated. Results are comparable where their plans are equal."""

    years: int = Field(default=10, ge=1, le=20)
    records_per_year: int = Field(default=RECORDS_PER_YEAR, ge=1_000)
    share: float = Field(default=1.0, gt=0, le=1)
    """Part of the records that is simulated; all regions and years are there whatever it is."""
    partitions: int = Field(default=12, ge=1, le=256)
    seed: int = Field(default=1, ge=0)
    calibration_days: int = Field(default=DetectionSettings().calibration_days, ge=7, le=3650)
    """Simulated days of each region's calibration, as a setting of the workers; fewer for a quick try."""

    @property
    def simulated_per_year(self) -> float:
        """Records a year of all regions, as simulated."""
        return self.records_per_year * self.share


class History(Contract):
    """What lies in a folder."""

    plan: Plan
    until: UtcTime
    """The history ends here, by record time; what becomes known later is ahead."""
    revisions: dict[str, int]
    """Of each region, up to the end."""
    peak_hour: int
    """Most revisions of all regions together that became known in one hour of the last year."""

    @property
    def total(self) -> int:
        """Revisions of all regions."""
        return sum(self.revisions.values())


class Stored(NamedTuple):
    """A message as it is kept: topics have the prefix of an installation, which is not known yet."""

    kind: int
    key: bytes
    value: bytes
    at: float
    """Record time, seconds since 1970 UTC; 0 for batches."""

    def message(self, settings: Settings) -> Message:
        """For an installation."""
        return Message(Topics(settings.prefix).source(Kind(self.kind)), self.key, self.value)


class _Made(NamedTuple):
    revisions: int
    by_hour: NDArray[np.int64]
    """Of the last year."""


def prepare(plan: Plan, folder: Path, now: datetime) -> History:
    """Simulate the history up to now, unless the folder has one of this plan that is fresh enough."""
    told = folder / "history.json"
    if told.exists():
        history = History.model_validate_json(told.read_text(encoding="utf-8"))
        if history.plan == plan and now < history.until + AHEAD / 2:
            return history
        told.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.gz"):
        old.unlink()
    until = now.replace(microsecond=0)
    largest_first = sorted(FORCES, key=share_of, reverse=True)
    made: dict[str, _Made] = {}
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        count = len(largest_first)
        found = pool.map(make_region, largest_first, [plan] * count, [folder] * count, [until] * count)
        for number, (force, one) in enumerate(zip(largest_first, found, strict=True), 1):
            made[force.id] = one
            print(f"  {number:2d} of {count} regions simulated: {force.name}, {one.revisions:,} revisions", flush=True)
    history = History(
        plan=plan,
        until=until,
        revisions={force.id: made[force.id].revisions for force in FORCES},
        peak_hour=int(np.sum([one.by_hour for one in made.values()], axis=0).max()),
    )
    told.write_text(history.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return history


def make_region(force: Force, plan: Plan, folder: Path, until: datetime) -> _Made:
    """Write the files of one region: a file of batches a year, what is ahead, and a sample of single records."""
    region, profile = region_of(force), profile_of(force, plan.simulated_per_year)
    rng = np.random.default_rng([plan.seed, *force.id.encode()])
    revisions = 0
    ahead: list[SourceMessage] = []
    newest: list[SourceMessage] = []
    by_hour = np.zeros(YEAR // HOUR, dtype=np.int64)
    for year in range(plan.years):
        days = YEAR.days + (AHEAD.days + 1 if year == plan.years - 1 else 0)
        begin = until - YEAR * (plan.years - year)
        # Years have record ids of their own, or those of one would revise another's.
        found = simulate(region, begin, days, rng, profile=profile, id_prefix=f"{ID_PREFIX}{year}-")
        known = found.known_at(until)
        newest = _messages(known, region)
        _write(folder / f"{year:02d}-{force.id}.gz", _batched(newest))
        ahead += _messages(found.recorded_between(until, until + AHEAD), region)
        by_hour += _by_hour(known, until)
        revisions += len(known)
    ahead.sort(key=lambda message: message.recorded_at)
    _write(folder / f"ahead-{force.id}.gz", map(_stored, ahead))
    first = [message for message in newest if b".recorded." in message.value]
    _write(folder / f"sample-{force.id}.gz", map(_stored, first[-max(1, round(SAMPLE * share_of(force))) :]))
    return _Made(revisions, by_hour)


def history_messages(history: History, folder: Path, settings: Settings) -> Iterator[Message]:
    """The whole history in JSON batches, all regions of a year before the next year."""
    for year in range(history.plan.years):
        for force in FORCES:
            for stored in _read(folder / f"{year:02d}-{force.id}.gz"):
                yield stored.message(settings)


def ahead_of(folder: Path) -> list[Stored]:
    """Single records that become known after the end of the history, in order of record time."""
    found = [stored for force in FORCES for stored in _read(folder / f"ahead-{force.id}.gz")]
    return sorted(found, key=lambda stored: stored.at)


def sample(folder: Path, settings: Settings) -> list[Message]:
    """Newest first revisions of each region, in proportion to its size."""
    return [stored.message(settings) for force in FORCES for stored in _read(folder / f"sample-{force.id}.gz")]


def _messages(records: SimulatedRecords, region: RegionFile) -> list[SourceMessage]:
    return row_messages(as_rows(records), region)


def _by_hour(records: SimulatedRecords, until: datetime) -> NDArray[np.int64]:
    """How many became known in each hour of the year that ends at `until`."""
    recorded = np.array([record.recorded_at.timestamp() for record in records])
    hour = ((recorded - (until - YEAR).timestamp()) // HOUR.total_seconds()).astype(np.int64)
    inside = (hour >= 0) & (hour < YEAR // HOUR)
    return np.bincount(hour[inside], minlength=YEAR // HOUR)


def _batched(messages: list[SourceMessage]) -> Iterator[Stored]:
    plain = Settings()
    ed = Topics(plain.prefix).ed
    for message in batches(messages, plain):
        yield Stored(int(Kind.ED if message.topic == ed else Kind.POLICE), message.key, message.value, 0.0)


def _stored(message: SourceMessage) -> Stored:
    return Stored(int(message.kind), message.key, message.value, message.recorded_at.timestamp())


def _write(path: Path, messages: Iterable[Stored]) -> None:
    with gzip.open(path, "wb", GZIP_LEVEL) as file:
        for message in messages:
            file.write(msgpack.packb(tuple(message)))


def _read(path: Path) -> Iterator[Stored]:
    with gzip.open(path, "rb") as file:
        for row in msgpack.Unpacker(file):
            yield Stored(*row)
