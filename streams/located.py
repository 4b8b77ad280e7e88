"""The located message: micro-batches of records of one region, each of one input, as versioned compact bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.located import LOCATED, LocatedArray

VERSION = 2
# version, input topic, input partition, first offset, received µs, published ms, rows
_HEADER = struct.Struct("<BBHqqqI")
TICK = 255
FEEDBACK = 254


class LocatedFormatError(ValueError):
    """Bytes on the located topic that no version of this program wrote."""


@dataclass(frozen=True, slots=True)
class LocatedBatch:
    """One micro-batch of the located topic."""

    rows: LocatedArray
    input: tuple[int, int]
    """(kind of the source topic, its partition), (TICK, 0), or (FEEDBACK, 0)."""
    first_offset: int
    """In the input, of the first message behind this batch; `reserved` of a row counts on from it. 0 where there is no
    input."""
    received_us: int
    """When the ingest agent had the records, microseconds; the clock of live looks."""
    published_ms: int
    """Latest broker timestamp of the messages behind it, milliseconds; 0 for ticks and feedback."""
    said: bytes = b""
    """What a person said about an episode, as JSON: so it has one place in the order of its region."""

    @property
    def is_tick(self) -> bool:
        """Whether it brings no records of an input, and asks for a look: time has moved on, or a person spoke."""
        return self.input[0] in (TICK, FEEDBACK)

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where in the input each row lies."""
        return self.first_offset + self.rows["reserved"].astype(np.int64)

    def to_bytes(self) -> bytes:
        """Header and packed rows, or what was said."""
        header = _HEADER.pack(
            VERSION, *self.input, self.first_offset, self.received_us, self.published_ms, len(self.rows)
        )
        return header + self.rows.tobytes() + self.said

    @classmethod
    def read(cls, raw: bytes) -> list[LocatedBatch]:
        """The batches of one message: one after the other, each with its header. What was said is alone in its own.

        Raises LocatedFormatError for an unknown version or a wrong length.
        """
        found: list[LocatedBatch] = []
        begin = 0
        while begin < len(raw) or not found:
            if len(raw) - begin < _HEADER.size or raw[begin] != VERSION:
                raise LocatedFormatError(f"not a located batch of version {VERSION}")
            _, kind, partition, first_offset, received_us, published_ms, count = _HEADER.unpack_from(raw, begin)
            end = begin + _HEADER.size + count * LOCATED.itemsize
            said = b""
            if kind == FEEDBACK:
                said, end = raw[end:], len(raw)
            if end > len(raw):
                raise LocatedFormatError(f"{len(raw)} bytes do not hold {count} rows after {begin + _HEADER.size}")
            rows = np.frombuffer(raw, dtype=LOCATED, count=count, offset=begin + _HEADER.size)
            found.append(cls(rows, (kind, partition), first_offset, received_us, published_ms, said))
            begin = end
        return found


def tick(now_us: int) -> LocatedBatch:
    """A message that only tells the time, for a region in which nothing happens."""
    return LocatedBatch(np.empty(0, dtype=LOCATED), (TICK, 0), 0, now_us, 0)


def said(feedback: bytes, now_us: int) -> LocatedBatch:
    """A message that only tells what a person said about an episode of the region."""
    return LocatedBatch(np.empty(0, dtype=LOCATED), (FEEDBACK, 0), 0, now_us, 0, feedback)
