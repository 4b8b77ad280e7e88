"""The simulated record, and columns of cases and revisions turned into such records."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from schemas.base import moment
from schemas.located import Kind, Status
from schemas.region import RegionFile
from simulation.cases import CATEGORY_NAMES, LOCATION_NAMES, Cases
from simulation.geography import FloatArray, IntArray, to_degrees
from simulation.revisions import Revisions

ID_PREFIX = "SIM-"
KIND_LETTERS = {Kind.ED: "E", Kind.POLICE: "P"}
TIME_PRECISION = "minute"


class SimulatedRecord(NamedTuple):
    """One revision of one simulated record. Times are UTC; a place that the source could not give is None."""

    record_id: str
    revision: int
    status: Status
    occurred_at: datetime
    recorded_at: datetime
    latitude: float | None
    longitude: float | None
    easting: float | None
    northing: float | None
    category: str
    location_type: str
    kind: Kind
    source: str
    precision: str


@dataclass(frozen=True)
class SimulatedRecords:
    """Revisions in the order in which they become known, so that a publisher's clock can release them."""

    records: tuple[SimulatedRecord, ...]
    zone: ZoneInfo
    attribution: str

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[SimulatedRecord]:
        return iter(self.records)

    def known_at(self, as_of: datetime) -> SimulatedRecords:
        """What had been recorded by a moment."""
        return self._only(record for record in self.records if record.recorded_at <= as_of)

    def recorded_between(self, after: datetime, until: datetime) -> SimulatedRecords:
        """What became known after one moment, up to and including another."""
        return self._only(record for record in self.records if after < record.recorded_at <= until)

    def joined(self, other: SimulatedRecords) -> SimulatedRecords:
        """These and others, in order of becoming known; both must be of one region."""
        return self._only(iter(sorted(self.records + other.records, key=known_order)))

    def _only(self, records: Iterator[SimulatedRecord]) -> SimulatedRecords:
        return SimulatedRecords(tuple(records), self.zone, self.attribution)


def known_order(record: SimulatedRecord) -> tuple[datetime, str, str, int]:
    """The order in which revisions become known, ties broken the same way every time."""
    return record.recorded_at, record.source, record.record_id, record.revision


def as_records(
    region: RegionFile, cases: Cases, revisions: Revisions, occurred: IntArray, id_prefix: str
) -> list[SimulatedRecord]:
    """Columns to records; `occurred` is in seconds UTC by case, a revision's `recorded` too."""
    longitude, latitude = _degrees(region, revisions.easting, revisions.northing)
    sources = [source.id for source in region.sources]
    stem = f"{id_prefix}{KIND_LETTERS[cases.kind]}-"
    return [
        SimulatedRecord(
            record_id=f"{stem}{case:06d}",
            revision=revision,
            status=Status(status),
            occurred_at=moment(at),
            recorded_at=moment(recorded),
            latitude=_known(y, 6),
            longitude=_known(x, 6),
            easting=_known(easting, 1),
            northing=_known(northing, 1),
            category=CATEGORY_NAMES[category],
            location_type=LOCATION_NAMES[location_type],
            kind=cases.kind,
            source=sources[source],
            precision=TIME_PRECISION,
        )
        for case, revision, status, at, recorded, x, y, easting, northing, category, location_type, source in zip(
            revisions.case.tolist(),
            revisions.revision.tolist(),
            revisions.status.tolist(),
            occurred[revisions.case].tolist(),
            revisions.recorded.tolist(),
            longitude.tolist(),
            latitude.tolist(),
            revisions.easting.tolist(),
            revisions.northing.tolist(),
            revisions.category.tolist(),
            cases.location_type[revisions.case].tolist(),
            cases.source[revisions.case].tolist(),
            strict=True,
        )
    ]


def _degrees(region: RegionFile, easting: FloatArray, northing: FloatArray) -> tuple[FloatArray, FloatArray]:
    known = np.isfinite(easting)
    longitude, latitude = np.full(len(easting), np.nan), np.full(len(easting), np.nan)
    longitude[known], latitude[known] = to_degrees(region, easting[known], northing[known])
    return longitude, latitude


def _known(value: float, digits: int) -> float | None:
    return None if value != value else round(value, digits)  # NaN is not itself
