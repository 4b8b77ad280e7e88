"""Simulated records as a CSV file with the columns that a replay reads."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from schemas.located import Kind, Status
from schemas.region import RegionFile
from simulation.days import local_midnight
from simulation.profile import HAMPSHIRE, Profile
from simulation.records import SimulatedRecord, SimulatedRecords, simulate

COLUMNS = (
    "event_id",
    "occurred_at",
    "latitude",
    "longitude",
    "easting",
    "northing",
    "category",
    "location_type",
    "time_precision",
    "source",
    "recorded_at",
    "record_id",
    "revision",
    "status",
    "simulated",
)
GZIP_LEVEL = 6


class SimulationSummary(NamedTuple):
    """What a file of simulated records holds."""

    out: Path
    rows: int
    records: int
    ed: int
    police: int
    without_place: int
    amended: int
    withdrawn: int
    start: date
    end: date
    attribution: str


def simulate_to_file(
    region: RegionFile, years: int, seed: int, out: Path, end: date, *, profile: Profile = HAMPSHIRE
) -> SimulationSummary:
    """Write the records of some years before `end`, as known when that local day begins.

    The file depends on the arguments alone: equal arguments give equal bytes.
    """
    if years < 1:
        raise ValueError("years must be at least 1")
    start = _years_before(end, years)
    known = local_midnight(end, region.zone)
    rng = np.random.default_rng(seed)
    everything = simulate(region, local_midnight(start, region.zone), (end - start).days, rng, profile=profile)
    records = everything.known_at(known)
    write_csv(out, records)
    return _summary(out, records, start, end)


def as_rows(records: SimulatedRecords) -> list[dict[str, str]]:
    """Records as the rows that a reader of the file would get."""
    return [dict(zip(COLUMNS, map(str, _row(record, records)), strict=True)) for record in records]


def write_csv(path: Path, records: SimulatedRecords) -> None:
    """Write records in order of record time, one row a revision; compressed if the name ends in .gz."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_row(record, records) for record in records)
    content = text.getvalue().encode()
    if path.suffix == ".gz":
        # No time and no name in the header: the same records are the same bytes.
        content = gzip.compress(content, compresslevel=GZIP_LEVEL, mtime=0)
    path.write_bytes(content)


def _row(record: SimulatedRecord, records: SimulatedRecords) -> tuple[str | int, ...]:
    return (
        record.record_id,
        record.occurred_at.astimezone(records.zone).isoformat(),
        _number(record.latitude, 6),
        _number(record.longitude, 6),
        _number(record.easting, 1),
        _number(record.northing, 1),
        record.category,
        record.location_type,
        record.precision,
        record.source,
        record.recorded_at.astimezone(records.zone).isoformat(),
        record.record_id,
        record.revision,
        record.status.name.lower(),
        1,
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _summary(out: Path, records: SimulatedRecords, start: date, end: date) -> SimulationSummary:
    first = [record for record in records if record.revision == 1]
    return SimulationSummary(
        out=out,
        rows=len(records),
        records=len(first),
        ed=sum(record.kind is Kind.ED for record in first),
        police=sum(record.kind is Kind.POLICE for record in first),
        without_place=sum(record.latitude is None for record in first),
        amended=sum(record.status is Status.AMENDED for record in records),
        withdrawn=sum(record.status is Status.WITHDRAWN for record in records),
        start=start,
        end=end,
        attribution=records.attribution,
    )


def _years_before(end: date, years: int) -> date:
    try:
        return end.replace(year=end.year - years)
    except ValueError:  # 29 February of a year that has none
        return end.replace(year=end.year - years, day=28)
