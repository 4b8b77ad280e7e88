"""The state of regions in one Faust table: bytes to bytes, backed by a compacted changelog.

A worker that was stopped for longer than its session does not know, when it goes on, that another holds its regions,
and may still write what it had in hand. So each holder of a region writes under an epoch of its own, later than all
that it read, and of each part what the latest epoch wrote is what counts.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgpack
from pydantic import TypeAdapter

from schemas.alert import AlertEvent

#: After the region, in every key.
SEPARATOR: Final = b"|"
#: All that one batch changed, as one message before the parts themselves. A crash between them leaves a state that is
#: half of this batch and half of the last; the journal makes it whole.
JOURNAL = "journal"
#: A journal of more bytes than this goes in pieces before it, for no message may be larger than 16 MiB, and a batch can
#: change every week of a large region. The journal then says how many they are, and of which save.
PIECE_BYTES: Final = 8 * 1024 * 1024
_PIECE: Final = "journal/"
#: Alerts of the last batch. They are in the changelog before they are on their topic, so a crash between the two sends
#: them again with the same ids and content, and never decides them anew.
OUTBOX = "outbox"
#: Offset after the last located message of which this is the state; what comes before it is not taken in again.
OFFSET = "offset"
#: A step is one message where that is not too large, laid over the parts on loading; the parts themselves are written
#: by a later save. Each of these messages names the save of parts that it follows.
SAVE: Final = "save"
ADDED_BYTES: Final = 2 * 1024 * 1024
#: Of those that are larger than this the table is rid when they are over; the others wait there for the next ones.
KEPT_BYTES: Final = 16 * 1024
_ADDED: Final = "added/"
_OUTBOX = TypeAdapter(list[AlertEvent])


class Saved(NamedTuple):
    """What is kept of a region."""

    parts: dict[str, bytes]
    outbox: list[AlertEvent]
    next_offset: int


@dataclass(slots=True)
class _Held:
    """How this worker writes a region."""

    epoch: int
    keys: dict[str, set[bytes]] = field(default_factory=dict)
    """Of each part, the keys of the table that hold a version of it."""
    saves: int = 0
    """Of parts; none has been written under this epoch where it is 0."""
    added: int = 0
    """Messages since the last of them."""
    carried: dict[str, bytes] = field(default_factory=dict)
    """What those say, to be written with the parts of the next."""
    large: set[str] = field(default_factory=set)
    """Their names, of the large ones; and of others' before them."""


class RegionState:
    """Parts of regions in a table. Changes are made inside an agent, where Faust knows the partition."""

    def __init__(
        self, table: MutableMapping[bytes, bytes], piece_bytes: int = PIECE_BYTES, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._table = table
        self._piece_bytes, self._kept_bytes = piece_bytes, kept_bytes
        self._held: dict[str, _Held] = {}

    def load(self, region: str, generation: int = 0) -> Saved:
        """Take hold of a region: everything that was saved of it, as of its last whole batch.

        What a crash kept from being written after the journal is written now: the next batch has a journal of its own.
        `generation` is that of the group of workers, which no holder before this one can have had.
        """
        held = _Held(0)
        newest: dict[str, tuple[int, bytes]] = {}
        own = region.encode() + SEPARATOR
        for key in [key for key in self._table if key.startswith(own)]:
            epoch, name = _epoch_and_name(region, key)
            value = self._table[key]
            if name:
                held.keys.setdefault(name, set()).add(key)
                held.epoch = max(held.epoch, epoch)
                newest[name] = max(newest.get(name, (-1, b"")), (epoch, bytes(value)))
        held.epoch = max(held.epoch + 1, generation)
        self._held[region] = held
        added = {name: newest.pop(name) for name in list(newest) if name.startswith(_ADDED)}
        held.large = {name for name, (_, packed) in added.items() if len(packed) > self._kept_bytes}
        self._complete(region, newest)
        held.carried = _since(newest.pop(SAVE, (0, b""))[1], added)
        parts = {name: part for name, (_, part) in newest.items()} | held.carried
        parts = {name: part for name, part in parts.items() if part}
        outbox = parts.pop(OUTBOX, b"")
        offset = parts.pop(OFFSET, b"")
        return Saved(parts, _OUTBOX.validate_json(outbox) if outbox else [], int(offset) if offset else 0)

    def save(
        self,
        region: str,
        changed: Mapping[str, bytes],
        outbox: list[AlertEvent],
        next_offset: int,
        *,
        add: bool = False,
    ) -> None:
        """Write what one batch changed: parts (empty where one is gone), alerts to be sent, and how far it came.

        With `add`, as one message where it is small, which leaves the parts as they are.
        """
        held = self._held.setdefault(region, _Held(1))
        parts = {
            **changed,
            OUTBOX: _OUTBOX.dump_json(outbox) if outbox else b"",
            OFFSET: str(next_offset).encode(),
        }
        if add and held.saves and self._add(region, held, parts):
            return
        held.saves += 1
        parts = {**held.carried, **parts, SAVE: _id_of_save(held)}
        held.added, held.carried = 0, {}
        self._put_journal(region, msgpack.packb(parts))
        for name, part in sorted(parts.items()):
            self._put(region, name, part)
        for name in sorted(held.large):
            self._put(region, name, b"")
        held.large.clear()

    def _add(self, region: str, held: _Held, parts: Mapping[str, bytes]) -> bool:
        packed = msgpack.packb([_id_of_save(held), parts])
        if len(packed) > ADDED_BYTES:
            return False
        name = f"{_ADDED}{held.added}"
        self._put(region, name, packed)
        held.added += 1
        if len(packed) > self._kept_bytes:
            held.large.add(name)
        held.carried.update(parts)
        return True

    def _put_journal(self, region: str, packed: bytes) -> None:
        held = self._held[region]
        size = self._piece_bytes
        pieces = [packed[at : at + size] for at in range(0, len(packed), size)] if len(packed) > size else []
        for number, piece in enumerate(pieces):
            self._put(region, f"{_PIECE}{number}", msgpack.packb([held.saves, piece]))
        self._put(region, JOURNAL, msgpack.packb([held.saves, len(pieces)]) if pieces else packed)
        self._drop_pieces(region, len(pieces))

    def _drop_pieces(self, region: str, kept: int) -> None:
        """Take away pieces that no journal speaks of any more."""
        keys = self._held[region].keys
        for name in [name for name in keys if name.startswith(_PIECE) and int(name.removeprefix(_PIECE)) >= kept]:
            for key in keys.pop(name):
                self._table.pop(key, None)

    def _complete(self, region: str, newest: dict[str, tuple[int, bytes]]) -> None:
        """Write what the last journal has and the parts lack."""
        pieces = {name: newest.pop(name) for name in list(newest) if name.startswith(_PIECE)}
        epoch, journal = newest.pop(JOURNAL, (0, b""))
        for name, part in sorted(_read(epoch, journal, pieces).items()):
            written, found = newest.get(name, (-1, b""))
            if written <= epoch and found != part:
                self._put(region, name, part)
                newest[name] = epoch, part
        self._drop_pieces(region, 0)

    def _put(self, region: str, name: str, part: bytes) -> None:
        held = self._held[region]
        key = SEPARATOR.join([region.encode(), b"%d" % held.epoch, name.encode()])
        known = held.keys.get(name, set())
        if not part and not known:
            return
        self._table[key] = part  # nothing, said by this epoch, holds also against what an earlier one may still write
        held.keys[name] = {key}
        for other in known - {key}:
            del self._table[other]


def _read(epoch: int, journal: bytes, pieces: Mapping[str, tuple[int, bytes]]) -> dict[str, bytes]:
    """What a journal says. Nothing where its pieces are of another save: then all parts of its own were written."""
    said: Any = msgpack.unpackb(journal) if journal else {}
    if isinstance(said, dict):
        return said
    save, many = said
    found = [pieces.get(f"{_PIECE}{number}", (-1, b"")) for number in range(many)]
    read = [msgpack.unpackb(piece) if of_epoch == epoch else (0, b"") for of_epoch, piece in found]
    if any(of_save != save for of_save, _ in read):
        return {}
    whole: dict[str, bytes] = msgpack.unpackb(b"".join(piece for _, piece in read))
    return whole


def _id_of_save(held: _Held) -> bytes:
    return b"%d.%d" % (held.epoch, held.saves)


def _since(save: bytes, added: Mapping[str, tuple[int, bytes]]) -> dict[str, bytes]:
    """What was added to this save, the latest of each part; what was added to another is over."""
    found: dict[str, bytes] = {}
    number = 0
    while packed := added.get(f"{_ADDED}{number}", (0, b""))[1]:
        base, parts = msgpack.unpackb(packed)
        if base != save:
            break
        found |= parts
        number += 1
    return found


def _epoch_and_name(region: str, key: bytes) -> tuple[int, str]:
    """Of a key of this region: `region|epoch|name`, or `region|name` as it was written before there were epochs."""
    own, _, rest = key.partition(SEPARATOR)
    if own != region.encode():
        return 0, ""
    epoch, _, name = rest.rpartition(SEPARATOR)
    return int(epoch or b"0"), name.decode()
