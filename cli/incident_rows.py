"""Located rows of an incident file, for commands that work on history without a broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import click
import numpy as np

from schemas.base import utc_now
from schemas.located import Gate, Kind, LocatedArray, join, pick
from schemas.reasons import RejectReason
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.desks import Registry
from streams.incident_file import Period, SourceMessage, read_incidents
from streams.ingest import RawMessage, take_in

SIMULATED_FILE: Final = "The records of the file are simulated."


class History(NamedTuple):
    """What an incident file tells."""

    rows: LocatedArray
    """In the order in which they became known."""
    simulated: bool
    """Whether the file says that its records are simulated."""


def read_rows(file: Path, region: RegionFile, last: date, settings: Settings) -> LocatedArray:
    """The rows of `read_history`."""
    return read_history(file, region, last, settings).rows


def read_history(file: Path, region: RegionFile, last: date, settings: Settings) -> History:
    """Located rows of an incident file, taken in as the ingest agents do it; refused rows are counted on stderr.

    Where the file has record times, what was recorded after the last day is read too: it tells what had happened.
    Raises IncidentFileError.
    """
    incidents = read_incidents(file, region, Period(None, None))
    messages = incidents.messages
    if incidents.simulated:
        click.echo(SIMULATED_FILE, err=True)
    if not incidents.has_record_times:
        click.echo("The file has no recorded_at: each record counts as recorded when it happened.", err=True)
        period = Period(None, last)
        messages = [message for message in messages if period.holds(message.recorded_at, region)]
    rows, refused = taken_in(messages, region, settings)
    if refused:
        why = ", ".join(f"{reason.value} {count:,}" for reason, count in refused.most_common())
        click.echo(f"{refused.total():,} of {len(messages):,} records were refused, and are left out: {why}.", err=True)
    imprecise = int((rows["gate"] == Gate.IMPRECISE_TIME).sum())
    if imprecise:
        click.echo(
            f"{imprecise:,} of {len(rows):,} records tell the day or month only: they are kept, not scanned.", err=True
        )
    return History(pick(rows, np.lexsort((rows["record"], rows["recorded_us"]))), incidents.simulated)


def taken_in(
    messages: Sequence[SourceMessage], region: RegionFile, settings: Settings
) -> tuple[LocatedArray, Counter[RejectReason]]:
    """Located rows of messages of all kinds, taken in as the ingest agents do it, and why others were refused."""
    registry = Registry([region])
    parts: list[LocatedArray] = []
    refused: Counter[RejectReason] = Counter()
    for kind in Kind:
        raw = [RawMessage(message.value, []) for message in messages if message.kind is kind]
        intake = take_in(
            kind,
            raw,
            registry,
            utc_now(),
            max_bytes=settings.max_message_bytes,
            tolerance_s=settings.future_tolerance_s,
        )
        parts.extend(intake.rows.values())
        refused.update(refusal.rejected.reason for refusal in intake.refusals)
    return join(parts), refused
