"""Turns records into incidents: what is counted is the event, not its victims.

Within one kind and cell, records sorted by event time (then record) are linked singly: a record starts an
incident unless the record before it is at most the merge time earlier, or a record of the last `REFERENCE_REACH_S`
seconds carries the same incident reference. Whether a record starts one depends on its near past only, so the order
of arrival plays no part and a change is settled by looking at its own kind and cell.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from processors.arrays import Bytes, Ints, Small
from schemas.located import LocatedArray, pack_cell

#: A shared incident reference links records up to this far apart; a bound keeps the rule local.
REFERENCE_REACH_S: Final = 7 * 86_400


class Incidents(NamedTuple):
    """Incidents as columns, sorted by kind, cell and time."""

    kind: Bytes
    ix: Small
    iy: Small
    occurred: Ints


def incidents(rows: LocatedArray, merge_s: int) -> Incidents:
    """The incidents among rows that count."""
    cells = pack_cell(rows["ix"], rows["iy"])
    order = np.lexsort((rows["record"], rows["occurred"], cells, rows["kind"]))
    rows, cells = rows[order], cells[order]
    same_place = np.zeros(rows.size, bool)
    same_place[1:] = (cells[1:] == cells[:-1]) & (rows["kind"][1:] == rows["kind"][:-1])
    gap = np.diff(rows["occurred"], prepend=0)
    starts = ~(same_place & (gap <= merge_s))
    starts[_repeats_reference(rows, cells)] = False
    first = rows[starts]
    return Incidents(
        np.ascontiguousarray(first["kind"]),
        np.ascontiguousarray(first["ix"]),
        np.ascontiguousarray(first["iy"]),
        np.ascontiguousarray(first["occurred"]),
    )


def _repeats_reference(rows: LocatedArray, cells: Ints) -> Ints:
    """Which sorted rows share their incident reference with an earlier one of the same kind and cell."""
    referenced = np.flatnonzero(rows["incident"])
    if referenced.size == 0:
        return referenced
    kind, reference = rows["kind"][referenced], rows["incident"][referenced]
    # Stable: rows of one kind, cell and reference stay in order of time.
    grouped = referenced[np.lexsort((reference, cells[referenced], kind))]
    now, ago = grouped[1:], grouped[:-1]
    repeats = (
        (cells[now] == cells[ago])
        & (rows["kind"][now] == rows["kind"][ago])
        & (rows["incident"][now] == rows["incident"][ago])
        & (rows["occurred"][now] - rows["occurred"][ago] <= REFERENCE_REACH_S)
    )
    repeating: Ints = now[repeats]
    return repeating


def start_times(rows: list[tuple[int, int, int]], merge_s: int) -> list[int]:
    """Event times of the incidents of one kind and cell; `rows` are sorted (occurred, record, incident reference)."""
    starts = []
    last_with: dict[int, int] = {}
    previous: int | None = None
    for occurred, _record, reference in rows:
        linked = previous is not None and occurred - previous <= merge_s
        if reference:
            last = last_with.get(reference)
            linked = linked or (last is not None and occurred - last <= REFERENCE_REACH_S)
            last_with[reference] = occurred
        if not linked:
            starts.append(occurred)
        previous = occurred
    return starts
