"""The located message: a micro-batch of located records of one region and one input, as versioned compact bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from schemas.located import LOCATED, LocatedArray

VERSION = 1
# version, input topic, input partition, watermark µs, received µs, published ms, rows
_HEADER = struct.Struct("<BBHqqqI")
TICK = 255
FEEDBACK = 254
NO_TIME = -(2**63)


class LocatedFormatError(ValueError):
    """Bytes on the located topic that no version of this program wrote."""


@dataclass(frozen=True, slots=True)
class LocatedBatch:
    """One message of the located topic."""

    rows: LocatedArray
    input: tuple[int, int]
    """(kind of the source topic, its partition), (TICK, 0), or (FEEDBACK, 0)."""
    watermark_us: int
    """Largest record time that this input had shown, microseconds; NO_TIME if none."""
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

    def to_bytes(self) -> bytes:
        """Header and packed rows, or what was said."""
        header = _HEADER.pack(
            VERSION, *self.input, self.watermark_us, self.received_us, self.published_ms, len(self.rows)
        )
        return header + self.rows.tobytes() + self.said

    @classmethod
    def from_bytes(cls, raw: bytes) -> LocatedBatch:
        """Read one message.

        Raises LocatedFormatError for an unknown version or a wrong length.
        """
        if len(raw) < _HEADER.size or raw[0] != VERSION:
            raise LocatedFormatError(f"not a located batch of version {VERSION}")
        _, kind, partition, watermark_us, received_us, published_ms, count = _HEADER.unpack_from(raw)
        if kind == FEEDBACK:
            nobody = np.empty(0, dtype=LOCATED)
            return cls(nobody, (kind, partition), watermark_us, received_us, published_ms, raw[_HEADER.size :])
        if len(raw) != _HEADER.size + count * LOCATED.itemsize:
            raise LocatedFormatError(f"{len(raw)} bytes do not hold {count} rows")
        rows = np.frombuffer(raw, dtype=LOCATED, count=count, offset=_HEADER.size)
        return cls(rows, (kind, partition), watermark_us, received_us, published_ms)


def tick(now_us: int) -> LocatedBatch:
    """A message that only tells the time, for a region in which nothing happens."""
    return LocatedBatch(np.empty(0, dtype=LOCATED), (TICK, 0), NO_TIME, now_us, 0)


def said(feedback: bytes, now_us: int) -> LocatedBatch:
    """A message that only tells what a person said about an episode of the region."""
    return LocatedBatch(np.empty(0, dtype=LOCATED), (FEEDBACK, 0), NO_TIME, now_us, 0, feedback)
