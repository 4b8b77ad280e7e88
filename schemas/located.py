"""The located record: one revision of one record, checked and placed on the grid, as fixed-width bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """What sort of source a record comes from. Counts, expectations and evidence are kept per kind."""

    ED = 0
    POLICE = 1


KIND_NAMES: tuple[str, ...] = ("ed", "police")


class Status(IntEnum):
    """What a revision says of its record."""

    RECORDED = 0
    AMENDED = 1
    WITHDRAWN = 2


class Gate(IntEnum):
    """Why a record is kept and shown, but not scanned."""

    NONE = 0
    """It is scanned."""
    NO_LOCATION = 1
    """It has no place, or one known only to a district or so."""
    INSTITUTION = 2
    """It lies at a hospital, police station, custody suite or prison of the region file."""
    IMPRECISE_TIME = 3
    """Its time is known only to the day or month."""
    WITHDRAWN_UNSEEN = 4
    """It was withdrawn before it was ever seen."""
    DEFAULT_TIME = 5
    """Its time is one that its feed writes where it knows none."""


#: Revision of a row that is no record but a heartbeat: its record time is all that it says. It is never kept.
HEARTBEAT = 0
#: One row a revision. Times are whole seconds since 1970 UTC, but `recorded_us`, which orders revisions.
LOCATED = np.dtype(
    [
        ("record", "<u8"),  # hash of (source, record id)
        ("revision", "<u4"),
        ("kind", "u1"),
        ("status", "u1"),
        ("gate", "u1"),
        ("weight", "u1"),  # victims, for display; incidents are what is counted
        ("source", "<u2"),  # place of the source in its region's file
        ("reserved", "<u2"),  # on its way: how far its message lies behind the first of its batch; kept as 0
        ("ix", "<i4"),  # cell column: floor(easting / cell_m)
        ("iy", "<i4"),  # cell row: floor(northing / cell_m)
        ("occurred", "<i8"),  # event time, s
        ("recorded_us", "<i8"),  # record time, µs
        ("incident", "<u8"),  # hash of (source, incident reference); 0 where there is none
    ]
)

LocatedArray = NDArray[Any]
# numpy copies rows with fields field by field; as plain bytes they are copied ten times quicker.
_PLAIN = np.dtype((np.void, LOCATED.itemsize))


def pick(rows: LocatedArray, where: NDArray[Any]) -> LocatedArray:
    """A copy of the rows at these places, or where a mask is true."""
    picked: LocatedArray = rows.view(_PLAIN)[where].view(LOCATED)
    return picked


def join(parts: Iterable[LocatedArray]) -> LocatedArray:
    """A copy of all rows, one part after the other; no rows without parts."""
    return np.concatenate([np.empty(0, _PLAIN), *(rows.view(_PLAIN) for rows in parts)]).view(LOCATED)


def record_hash(source: str, record_id: str) -> int:
    """64-bit identity of a record within its region (BLAKE2b of source and record id)."""
    digest = hashlib.blake2b(f"{source}\x00{record_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def record_hashes(sources: Iterable[str], record_ids: Iterable[str]) -> NDArray[np.uint64]:
    """The `record_hash` of each pair; quicker, because what is common to the records of a source is done once."""
    begun: dict[str, Any] = {}
    found = []
    for source, record_id in zip(sources, record_ids, strict=True):
        if source not in begun:
            begun[source] = hashlib.blake2b(f"{source}\x00".encode(), digest_size=8)
        digest = begun[source].copy()
        digest.update(record_id.encode())
        found.append(digest.digest())
    return np.frombuffer(b"".join(found), "<u8")


def pack_cell(ix: NDArray[np.int64], iy: NDArray[np.int64]) -> NDArray[np.int64]:
    """One int64 a cell: column in the high half, row in the low half (both may be negative)."""
    return (ix.astype(np.int64) << np.int64(32)) | (iy.astype(np.int64) & np.int64(0xFFFFFFFF))
