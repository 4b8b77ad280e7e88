"""The records of a region as parts of its state: whole weeks, and what changed since those were told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from processors.records import RecordStore

_RECORDS: Final = "records/"
_CHANGED: Final = "records/+"


class RecordParts:
    """Tells what changed in a store, and takes it in again."""

    def __init__(self, store: RecordStore) -> None:
        self._store = store
        self._told = 0

    def weeks(self) -> dict[str, bytes]:
        """Packed weeks that changed since the last call; they stand for all changes that were told in between."""
        parts = {_RECORDS + week: packed for week, packed in self._store.dirty_weeks().items()}
        parts |= {f"{_CHANGED}{number}": b"" for number in range(self._told)}
        self._told = 0
        return parts

    def changes(self) -> dict[str, bytes] | None:
        """The records that changed since this was last called, or `weeks`; None where only those tell all."""
        packed = self._store.changed()
        if not packed:
            return None if packed is None else {}
        self._told += 1
        return {f"{_CHANGED}{self._told - 1}": packed}

    def restore(self, parts: Mapping[str, bytes]) -> None:
        """Fill a store that is still empty."""
        weeks = [name for name in parts if name.startswith(_RECORDS) and not name.startswith(_CHANGED)]
        changes = [name for name in parts if name.startswith(_CHANGED)]
        self._told = max((int(name.removeprefix(_CHANGED)) + 1 for name in changes), default=0)
        self._store.restore(map(parts.__getitem__, sorted(weeks)), map(parts.__getitem__, changes))


def in_weeks(parts: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same state with all its records in their weeks."""
    store = RecordStore()
    records = RecordParts(store)
    records.restore(parts)
    return {name: part for name, part in {**parts, **records.weeks()}.items() if part}
