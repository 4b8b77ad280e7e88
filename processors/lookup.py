"""An open-addressing map from 64-bit keys to row numbers that kernels can read and fill."""

from __future__ import annotations

import numpy as np
from numba import njit

from processors.arrays import Keys, Rows, Small

EMPTY = -1


def new_table(entries: int) -> tuple[Keys, Small]:
    """Key and row arrays with room for `entries` at a load of at most one half."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return np.zeros(size, np.uint64), np.full(size, EMPTY, np.int32)


@njit(cache=True, nogil=True)
def slot_of(keys: Keys, rows: Small, key: np.uint64) -> int:
    """The slot that holds `key`, or the empty slot where it would go."""
    last = keys.size - 1
    mixed = key ^ (key >> np.uint64(30))
    mixed = mixed * np.uint64(0xBF58476D1CE4E5B9)
    mixed = mixed ^ (mixed >> np.uint64(27))
    mixed = mixed * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    slot = int(mixed >> np.uint64(1)) & last
    while rows[slot] != EMPTY and keys[slot] != key:
        slot = (slot + 1) & last
    return slot


@njit(cache=True, nogil=True)
def cell_key(ix: int, iy: int) -> np.uint64:
    """One key a cell: column in the high half, row in the low half."""
    return np.uint64((np.int64(ix) << np.int64(32)) | (np.int64(iy) & np.int64(0xFFFFFFFF)))


@njit(cache=True, nogil=True)
def fill_records(keys: Keys, rows: Small, store: Rows, used: int, dead: int) -> None:
    """Enter the records of a store's rows into an empty table; rows whose status is `dead` are free."""
    for row in range(used):
        if store[row]["status"] != dead:
            slot = slot_of(keys, rows, store[row]["record"])
            keys[slot] = store[row]["record"]
            rows[slot] = row
