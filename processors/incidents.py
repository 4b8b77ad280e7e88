"""Turns records into incidents: what is counted is the event, not its victims.

Within one kind and cell, records sorted by event time (then record) are linked singly: a record starts an
incident unless the record before it is at most the merge time earlier, or a record of the last `REFERENCE_REACH_S`
seconds carries the same incident reference. Whether a record starts one depends on its near past only, so the order
of arrival plays no part and a change is settled by looking at its own kind and cell.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from processors.arrays import Bytes, Ints, Keys, Small
from schemas.located import LocatedArray

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
    if rows.size == 0:
        none = np.empty(0, np.int32)
        return Incidents(np.empty(0, np.uint8), none, none, np.empty(0, np.int64))
    kind, ix, iy, occurred = (np.ascontiguousarray(rows[name]) for name in ("kind", "ix", "iy", "occurred"))
    place = _places(kind, ix, iy)
    order = _in_order(place, occurred, rows["record"])
    place, occurred = place[order], occurred[order]
    same_place = np.zeros(rows.size, bool)
    same_place[1:] = place[1:] == place[:-1]
    starts = ~(same_place & (np.diff(occurred, prepend=0) <= merge_s))
    starts[_repeats_reference(place, occurred, rows["incident"][order])] = False
    first = order[starts]
    return Incidents(kind[first], ix[first], iy[first], occurred[starts])


def _places(kind: Bytes, ix: Small, iy: Small) -> Ints:
    """A number for each kind and cell, in their order."""
    west, south = int(ix.min()), int(iy.min())
    wide, high = int(ix.max()) - west + 1, int(iy.max()) - south + 1
    if wide * high < 2**60:
        number: Ints = (kind.astype(np.int64) * wide + (ix.astype(np.int64) - west)) * high + (iy - south)
        return number
    return np.unique(np.stack([kind, ix, iy]), axis=1, return_inverse=True)[1].ravel()


def _in_order(place: Ints, occurred: Ints, record: Keys) -> Ints:
    """Order by place, then time, then record. One quick sort by both where the numbers fit, and another of the ties."""
    first = int(occurred.min())
    length = int(occurred.max()) - first + 1
    if (int(place.max()) + 1) * length >= 2**62:
        return np.lexsort((record, occurred, place))
    when = place * length + (occurred - first)
    order: Ints = np.argsort(when)
    same = np.diff(when[order]) == 0
    if same.any():
        tied = np.flatnonzero(np.concatenate([same, [False]]) | np.concatenate([[False], same]))
        rows = order[tied]
        order[tied] = rows[np.lexsort((record[rows], when[rows]))]
    return order


def _repeats_reference(place: Ints, occurred: Ints, reference: Keys) -> Ints:
    """Which sorted rows share their incident reference with an earlier one of the same kind and cell."""
    referenced = np.flatnonzero(reference)
    if referenced.size == 0:
        return referenced
    # Stable: rows of one kind, cell and reference stay in order of time.
    grouped = referenced[np.lexsort((reference[referenced], place[referenced]))]
    now, ago = grouped[1:], grouped[:-1]
    repeating: Ints = now[
        (place[now] == place[ago])
        & (reference[now] == reference[ago])
        & (occurred[now] - occurred[ago] <= REFERENCE_REACH_S)
    ]
    return repeating
