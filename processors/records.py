"""Keeps the latest revision of every record, and says what began and what stopped to count."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from processors.arrays import KINDS, Bytes, Ints, Keys, Rows, Small
from processors.lookup import EMPTY, fill_records, new_table, slot_of
from schemas.located import LOCATED, Gate, LocatedArray, Status, join, pick

WEEK_S = 7 * 86_400
MONDAY_S = 3 * 86_400  # 1970 began on a Thursday: ISO weeks start three days before multiples of a week
PACKED_VERSION = b"\x01"
FREE = 255  # status of a row that holds no record
NO_WEEK = np.iinfo(np.int32).min
#: So many changed records are told by themselves; more by the weeks that they are in.
FEW_CHANGED = 20_000
_WITHDRAWN = int(Status.WITHDRAWN)
_OPEN = int(Gate.NONE)


class Outcome(IntEnum):
    """What applying one row did."""

    NEW = 0
    AMENDED = 1
    WITHDRAWN = 2
    DUPLICATE = 3
    STALE = 4
    WITHDRAWN_UNSEEN = 5


_NEW, _AMENDED, _GONE = int(Outcome.NEW), int(Outcome.AMENDED), int(Outcome.WITHDRAWN)
_DUPLICATE, _STALE, _UNSEEN = int(Outcome.DUPLICATE), int(Outcome.STALE), int(Outcome.WITHDRAWN_UNSEEN)


class Applied(NamedTuple):
    """What a batch did: an `Outcome` for each row, and the net change of the rows that count."""

    outcome: Bytes
    removed: LocatedArray
    added: LocatedArray


class Held(NamedTuple):
    """The arrays of a store."""

    rows: LocatedArray
    keys: Keys
    table: Small
    free: Small
    weeks: Small
    """Of each row, the ISO week in which it occurred; NO_WEEK for rows that hold no record."""
    touch_of: Small
    """Scratch of the kernel, -1 between batches."""
    cursor: Ints
    """Rows ever used, free rows among them."""


@njit(cache=True, nogil=True)
def _order(a: Rows, b: Rows) -> int:
    """1 where revision `a` supersedes `b`, -1 where it is superseded, 0 where they say the same."""
    if a["revision"] != b["revision"]:
        return 1 if a["revision"] > b["revision"] else -1
    if a["recorded_us"] != b["recorded_us"]:
        return 1 if a["recorded_us"] > b["recorded_us"] else -1
    if a["occurred"] != b["occurred"]:
        return 1 if a["occurred"] > b["occurred"] else -1
    if a["ix"] != b["ix"]:
        return 1 if a["ix"] > b["ix"] else -1
    if a["iy"] != b["iy"]:
        return 1 if a["iy"] > b["iy"] else -1
    if a["incident"] != b["incident"]:
        return 1 if a["incident"] > b["incident"] else -1
    small_a = (np.int64(a["status"]) << 32) | (np.int64(a["gate"]) << 24) | (np.int64(a["kind"]) << 16)
    small_b = (np.int64(b["status"]) << 32) | (np.int64(b["gate"]) << 24) | (np.int64(b["kind"]) << 16)
    small_a = (small_a | (np.int64(a["weight"]) << 40)) * 65536 + np.int64(a["source"])
    small_b = (small_b | (np.int64(b["weight"]) << 40)) * 65536 + np.int64(b["source"])
    if small_a == small_b:
        return 0
    return 1 if small_a > small_b else -1


@njit(cache=True, nogil=True)
def _week(occurred: int) -> int:
    return (occurred + MONDAY_S) // WEEK_S


@njit(cache=True, nogil=True)
def _in_range(rows: Rows) -> bool:
    wrong = 0
    for i in range(rows.size):
        wrong += rows[i]["kind"] >= KINDS or rows[i]["status"] > _WITHDRAWN
    return wrong == 0


@njit(cache=True, nogil=True)
def apply_rows(
    arriving: Rows, held: Held, outcome: Bytes, before: Rows, after: Rows, weeks: Ints
) -> tuple[int, int, int]:
    """Apply rows in turn; fill `before` and `after` with the versions that counted and count; name dirty weeks.

    Returns how many of these there are. Rows must be in range; withdrawn ones are cleared in place.
    """
    store, keys, table, free, week_of, touch_of, cursor = held
    touched = np.empty(arriving.size, np.int32)
    first = np.full(arriving.size, -1, np.int32)  # place in `seen` of the version from before the batch
    seen = np.empty_like(before)
    n_touched = 0
    n_seen = 0
    n_weeks = 0
    for i in range(arriving.size):
        row = arriving[i]
        if row["status"] == _WITHDRAWN:
            # A withdrawal may say neither when nor where. What it keeps must not depend on what came before it.
            row["occurred"] = row["recorded_us"] // 1_000_000
            row["ix"] = 0
            row["iy"] = 0
            row["gate"] = 0
            row["weight"] = 0
            row["incident"] = 0
        row["reserved"] = 0
        slot = slot_of(keys, table, row["record"])
        place = table[slot]
        if place == EMPTY:
            if cursor[1] > 0:
                cursor[1] -= 1
                place = free[cursor[1]]
            else:
                place = cursor[0]
                cursor[0] += 1
            keys[slot] = row["record"]
            table[slot] = place
            outcome[i] = _UNSEEN if row["status"] == _WITHDRAWN else _NEW
            known = False
        else:
            order = _order(row, store[place])
            if order <= 0:
                same = row["revision"] == store[place]["revision"]
                outcome[i] = _DUPLICATE if same else _STALE
                continue
            outcome[i] = _GONE if row["status"] == _WITHDRAWN else _AMENDED
            known = True
            weeks[n_weeks] = _week(store[place]["occurred"])
            n_weeks += 1
        if touch_of[place] < 0:
            touch_of[place] = n_touched
            touched[n_touched] = place
            if known:
                first[n_touched] = n_seen
                seen[n_seen] = store[place]
                n_seen += 1
            n_touched += 1
        store[place] = row
        week_of[place] = _week(row["occurred"])
        weeks[n_weeks] = week_of[place]
        n_weeks += 1
    n_before = 0
    n_after = 0
    for t in range(n_touched):
        touch_of[touched[t]] = -1
        if first[t] >= 0 and seen[first[t]]["status"] != _WITHDRAWN and seen[first[t]]["gate"] == _OPEN:
            before[n_before] = seen[first[t]]
            n_before += 1
        if store[touched[t]]["status"] != _WITHDRAWN and store[touched[t]]["gate"] == _OPEN:
            after[n_after] = store[touched[t]]
            n_after += 1
    return n_before, n_after, n_weeks


@njit(cache=True, nogil=True)
def _places_of(keys: Keys, table: Small, records: Keys) -> Small:
    """Where the rows of these records are; EMPTY for those that there are not."""
    places = np.empty(records.size, np.int32)
    for i in range(records.size):
        places[i] = table[slot_of(keys, table, records[i])]
    return places


class RecordStore:
    """The latest applied revision of each record; any order of the same revisions ends in the same state."""

    def __init__(self) -> None:
        rows: LocatedArray = np.zeros(64, LOCATED)
        rows["status"] = FREE
        self._held = _arrays(rows, np.zeros(0, np.int32), np.zeros(2, np.int64))
        self._dirty: set[int] = set()
        # Records that changed since that was last asked; None where that is more than they can tell.
        self._changed: list[Keys] | None = None
        self._n_changed = 0

    def __len__(self) -> int:
        return int(self._held.cursor[0] - self._held.cursor[1])

    def apply(self, rows: LocatedArray) -> Applied:
        """Apply a batch. Withdrawn rows keep no place and no event time but that of their own recording."""
        arriving = checked(rows)
        held = self.reserve(arriving.size)
        outcome = np.empty(arriving.size, np.uint8)
        before, after = np.empty(arriving.size, LOCATED), np.empty(arriving.size, LOCATED)
        weeks = np.empty(2 * arriving.size, np.int64)
        n_before, n_after, n_weeks = apply_rows(arriving, held, outcome, before, after, weeks)
        self.note(weeks[:n_weeks], arriving, outcome)
        return Applied(outcome, before[:n_before], after[:n_after])

    def note(self, weeks: Ints, rows: LocatedArray, outcome: Bytes) -> None:
        """These weeks changed, by rows that were applied with this outcome."""
        self._dirty.update((np.unique(weeks) if weeks.size > 64 else weeks).tolist())
        changed = rows["record"][(outcome != _DUPLICATE) & (outcome != _STALE)]
        self._n_changed += changed.size
        if self._n_changed > FEW_CHANGED:
            self._changed = None
        if self._changed is not None:
            self._changed.append(changed)

    def rewrite(self, weeks: Ints) -> None:
        """These weeks must be told whole."""
        self._dirty.update(np.unique(weeks).tolist())
        self._changed = None

    def counted(self, but: Keys | None = None) -> LocatedArray:
        """A copy of the rows that count: not withdrawn, not gated, and not of the records `but`."""
        rows = self._used()
        counts = (rows["status"] < _WITHDRAWN) & (rows["gate"] == _OPEN)
        if but is not None:
            places = _places_of(self._held.keys, self._held.table, but)
            counts[places[places != EMPTY]] = False
        counting: LocatedArray = pick(rows, counts)
        return counting

    def kept(self) -> LocatedArray:
        """A copy of the rows that are not withdrawn, gated ones too, in no order."""
        rows = self._used()
        standing: LocatedArray = pick(rows, rows["status"] < _WITHDRAWN)
        return standing

    def rows(self) -> LocatedArray:
        """A copy of all rows, withdrawn and gated ones too, sorted by record."""
        rows = self._used()
        held = pick(rows, rows["status"] != FREE)
        by_record: LocatedArray = pick(held, np.argsort(held["record"], kind="stable"))
        return by_record

    def of(self, records: Keys) -> LocatedArray:
        """A copy of the rows of these records, withdrawn and gated ones too; those that there are."""
        places = _places_of(self._held.keys, self._held.table, records)
        found: LocatedArray = pick(self._used(), places[places != EMPTY])
        return found

    def dirty_weeks(self) -> dict[str, bytes]:
        """Packed rows of each ISO week that changed since the last call; empty bytes for a week without rows."""
        rows = self._used()
        weeks = self._held.weeks[: rows.size]
        packed = {}
        for week in sorted(self._dirty):
            chosen = pick(rows, np.flatnonzero(weeks == week))
            chosen = pick(chosen, np.argsort(chosen["record"], kind="stable"))
            packed[week_name(week)] = PACKED_VERSION + chosen.tobytes() if chosen.size else b""
        self._dirty.clear()
        self._changed, self._n_changed = [], 0
        return packed

    def changed(self) -> bytes | None:
        """Packed rows of the records that changed since the last call, or that of `dirty_weeks`; empty for none.

        None where only `dirty_weeks` tells all that changed. The weeks stay dirty.
        """
        if self._changed is None:
            return None
        records = np.unique(np.concatenate([np.empty(0, np.uint64), *self._changed]))
        self._changed, self._n_changed = [], 0
        return PACKED_VERSION + self.of(records).tobytes() if records.size else b""

    def restore(self, weeks: Iterable[bytes], changed: Iterable[bytes] = ()) -> None:
        """Take in packed weeks, and what changed since, in any order.

        Weeks whose bytes no longer tell the state become dirty.
        """
        stored: dict[int, int] = {}
        batches = []
        for packed in weeks:
            rows = unpack(packed)
            batches.append(rows)
            for week, n in zip(*np.unique(week_numbers(rows["occurred"]), return_counts=True), strict=True):
                stored[int(week)] = stored.get(int(week), 0) + int(n)
        since = [unpack(packed) for packed in changed]
        batches.extend(since)
        if batches:
            self.apply(join(batches))
        held = self._used()
        held = pick(held, held["status"] != FREE)
        found, counts = np.unique(week_numbers(held["occurred"]), return_counts=True)
        now = dict(zip(found.tolist(), counts.tolist(), strict=True))
        self._dirty = {week for week in stored.keys() | now.keys() if stored.get(week) != now.get(week)}
        for rows in since:
            self._dirty.update(week_numbers(rows["occurred"]).tolist())
        self._changed = None

    def prune(self, before: int) -> LocatedArray:
        """Forget the rows that occurred before a time (seconds); returns those of them that counted."""
        rows = self._used()
        old = (rows["status"] != FREE) & (rows["occurred"] < before)
        if not old.any():
            return np.empty(0, LOCATED)
        gone: LocatedArray = pick(rows, old)
        counted: LocatedArray = pick(gone, (gone["status"] < _WITHDRAWN) & (gone["gate"] == _OPEN))
        self.rewrite(week_numbers(gone["occurred"]))
        rows["status"][old] = FREE
        self._held.weeks[: rows.size][old] = NO_WEEK
        vacant = np.flatnonzero(rows["status"] == FREE).astype(np.int32)
        self._held = _arrays(self._held.rows, vacant, np.array([rows.size, vacant.size]))
        return counted

    def gate(self, where: Callable[[LocatedArray], NDArray[np.bool_]], gate: Gate) -> int:
        """Give this gate to the rows that `where` picks, and take it from all others; returns how many changed.

        Rows with another gate keep theirs, and so do withdrawn ones.
        """
        rows = self._used()
        ours = np.flatnonzero((rows["status"] < _WITHDRAWN) & ((rows["gate"] == _OPEN) | (rows["gate"] == gate)))
        wanted = np.where(where(pick(rows, ours)), int(gate), _OPEN)
        changed = ours[rows["gate"][ours] != wanted]
        rows["gate"][ours] = wanted
        self.rewrite(week_numbers(rows["occurred"][changed]))
        return int(changed.size)

    def reserve(self, n: int) -> Held:
        """The arrays, with room for `n` more rows: a kernel never has to grow anything."""
        held = self._held
        needed = len(self) + n
        if needed > held.rows.size:
            rows: LocatedArray = np.zeros(1 << (needed - 1).bit_length(), LOCATED)
            rows["status"] = FREE
            rows[: held.rows.size] = held.rows
            held = self._held = _arrays(rows, held.free[: held.cursor[1]], held.cursor)
        return held

    def _used(self) -> LocatedArray:
        rows: LocatedArray = self._held.rows[: self._held.cursor[0]]
        return rows


def _arrays(rows: LocatedArray, vacant: Small, cursor: Ints) -> Held:
    """Arrays for these rows, indexed anew."""
    keys, table = new_table(rows.size)
    fill_records(keys, table, rows, int(cursor[0]), FREE)
    free = np.zeros(rows.size, np.int32)
    free[: vacant.size] = vacant
    weeks = np.where(rows["status"] == FREE, NO_WEEK, week_numbers(rows["occurred"])).astype(np.int32)
    return Held(rows, keys, table, free, weeks, np.full(rows.size, -1, np.int32), cursor)


def checked(rows: LocatedArray) -> LocatedArray:
    """A copy of rows that may be applied. Raises ValueError where they are not located records in range."""
    if rows.dtype != LOCATED or rows.ndim != 1:
        raise ValueError(f"located records must be a flat array of LOCATED rows, not {rows.dtype} {rows.shape}")
    copy = join([rows])
    if not _in_range(copy):
        raise ValueError(f"located records have a kind above {KINDS - 1} or a status above {_WITHDRAWN}")
    return copy


def week_numbers(occurred: NDArray[np.int64]) -> Ints:
    """ISO weeks, UTC, counted from that of 1970-01-01."""
    return (occurred + MONDAY_S) // WEEK_S


def week_name(week: int) -> str:
    """The ISO name of a week number, such as 2026-W07."""
    thursday = datetime.fromtimestamp(week * WEEK_S, UTC)
    year, number, _ = thursday.isocalendar()
    return f"{year:04d}-W{number:02d}"


def unpack(packed: bytes) -> LocatedArray:
    """The rows of a packed week."""
    if not packed:
        return np.empty(0, LOCATED)
    if packed[:1] != PACKED_VERSION:
        raise ValueError(f"a packed week has version {packed[0]}, this program reads {PACKED_VERSION[0]}")
    if (len(packed) - 1) % LOCATED.itemsize:
        raise ValueError(f"a packed week is cut off: {len(packed)} bytes are not whole rows")
    return join([np.frombuffer(packed, LOCATED, offset=1)])
