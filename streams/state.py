"""The state of regions in one Faust table: bytes to bytes, backed by a compacted changelog."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import NamedTuple

import msgpack
from pydantic import TypeAdapter

from schemas.alert import AlertEvent

_SEPARATOR = b"|"
#: All that one batch changed, as one message before the parts themselves. A crash between them leaves a state that is
#: half of this batch and half of the last; the journal makes it whole.
JOURNAL = "journal"
#: Alerts of the last batch. They are in the changelog before they are on their topic, so a crash between the two sends
#: them again with the same ids and content, and never decides them anew.
OUTBOX = "outbox"
#: Offset after the last located message of which this is the state; what comes before it is not taken in again.
OFFSET = "offset"
_OUTBOX = TypeAdapter(list[AlertEvent])


class Saved(NamedTuple):
    """What is kept of a region."""

    parts: dict[str, bytes]
    outbox: list[AlertEvent]
    next_offset: int


class RegionState:
    """Parts of regions in a table. Changes are made inside an agent, where Faust knows the partition."""

    def __init__(self, table: MutableMapping[bytes, bytes]) -> None:
        self._table = table

    def load(self, region: str) -> Saved:
        """Everything that was saved of a region, as of its last whole batch.

        What a crash kept from being written after the journal is written now: the next batch has a journal of its own.
        """
        prefix = region.encode() + _SEPARATOR
        parts = {
            key[len(prefix) :].decode(): bytes(value)
            for key, value in list(self._table.items())
            if key.startswith(prefix) and value
        }
        if JOURNAL in parts:
            for name, part in sorted(msgpack.unpackb(parts.pop(JOURNAL)).items()):
                if parts.get(name, b"") != part:
                    self._put(region, name, part)
                    parts[name] = part
        outbox = parts.pop(OUTBOX, b"")
        offset = parts.pop(OFFSET, b"")
        return Saved(
            {name: part for name, part in parts.items() if part},
            _OUTBOX.validate_json(outbox) if outbox else [],
            int(offset) if offset else 0,
        )

    def save(self, region: str, changed: Mapping[str, bytes], outbox: list[AlertEvent], next_offset: int) -> None:
        """Write what one batch changed: parts (empty where one is gone), alerts to be sent, and how far it came."""
        parts = {
            **changed,
            OUTBOX: _OUTBOX.dump_json(outbox) if outbox else b"",
            OFFSET: str(next_offset).encode(),
        }
        self._put(region, JOURNAL, msgpack.packb(parts))
        for name, part in sorted(parts.items()):
            self._put(region, name, part)

    def _put(self, region: str, name: str, part: bytes) -> None:
        key = region.encode() + _SEPARATOR + name.encode()
        if part:
            self._table[key] = part
        elif key in self._table:
            del self._table[key]
