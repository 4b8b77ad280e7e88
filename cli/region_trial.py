"""Tries a proposed region on the rows it was made from, as the other commands would take them in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from cli.incident_rows import taken_in
from cli.region_columns import RegionInitError
from cli.region_sample import Sample
from schemas.columns import Columns
from schemas.located import Gate
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.incident_file import row_messages
from streams.partner_rows import partner_rows
from streams.partner_times import at_clock_change, read_time


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the rows."""

    rows: int
    used: int
    """Neither refused nor kept out of the scan."""
    notes: tuple[str, ...]


def try_out(sample: Sample, region: RegionFile, settings: Settings) -> Outcome:
    """Take in a sample with a region. Raises RegionInitError where no row can be used."""
    columns = region.columns
    read = (
        partner_rows(sample.header, sample.rows, columns, region)
        if columns
        else [dict(zip(sample.header, row, strict=True)) for row in sample.rows]
    )
    located, refused = taken_in(row_messages(read, region), region, settings)
    gates = Counter(int(gate) for gate in located["gate"])
    used = gates[Gate.NONE]
    if not located.size:
        reason, count = refused.most_common(1)[0]
        raise RegionInitError(
            f"No row of {sample.path} could be used: {count:,} of {len(read):,} were refused as {reason.value} "
            f"({reason.sentence.rstrip('.')})."
        )
    notes = [f"Of {len(read):,} rows, {len(read) - refused.total():,} can be read and {used:,} scanned."]
    notes += [
        f"Rows refused as {reason.value}: {count:,}. {reason.sentence}" for reason, count in refused.most_common()
    ]
    if gates[Gate.NO_LOCATION]:
        notes.append(f"Rows without coordinates: {gates[Gate.NO_LOCATION]:,}. They are kept, not scanned.")
    if gates[Gate.IMPRECISE_TIME]:
        notes.append(_imprecise(gates[Gate.IMPRECISE_TIME], int(located.size)))
    twice = int(located.size - np.unique(located[["source", "record", "revision"]]).size)
    if twice:
        notes.append(f"Rows that repeat the id of another: {twice:,}. Rows of one id and revision are one record.")
    if columns:
        notes += _of_times(sample, columns, region)
    return Outcome(len(read), used, tuple(notes))


def _imprecise(count: int, size: int) -> str:
    if count == size:
        return (
            "All records tell the day or month only, so none can be scanned: ask for an export with the time of day, "
            "or name its column with --column occurred_time=NAME."
        )
    return f"Rows that tell the day or month only: {count:,}. They are kept, not scanned."


def _of_times(sample: Sample, columns: Columns, region: RegionFile) -> list[str]:
    """What is particular about the local times of the file."""
    times = columns.times
    days = sample.column(times.occurred)
    clocks: list[str] | list[None] = sample.column(times.occurred_time) if times.occurred_time else [None] * len(days)
    read = [read_time(day, times.order, clock) for day, clock in zip(days, clocks, strict=True)]
    exact = [time.moment for time in read if time and time.precision == "minute"]
    if not exact:
        return []
    local = [moment for moment in exact if moment.tzinfo is None]
    notes = [f"Times are local times of {region.timezone}."] if local else ["Times have their offset from UTC."]
    changes = Counter(at_clock_change(moment, region.zone) for moment in local)
    if changes["twice"]:
        notes.append(
            f"Times in the hour that comes twice when clocks go back: {changes['twice']:,}. "
            "The first of the two is taken."
        )
    if changes["left out"]:
        notes.append(
            f"Times in the hour that is left out when clocks go forward: {changes['left out']:,}. "
            "They count on from the hour before."
        )
    at_midnight = sum((moment.hour, moment.minute) == (0, 0) for moment in exact)
    if at_midnight > 0.5 * len(exact):
        notes.append(
            f"{at_midnight:,} of {len(exact):,} times are 00:00, which stands for no time of day: such times are not "
            "scanned where a source overuses them; ask for an export with the time of day."
        )
    return notes
