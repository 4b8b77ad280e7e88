"""When a region is looked at under the replay clock: by record time, below the watermark of all inputs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from processors.runs import Steps
from schemas.located import HEARTBEAT, LOCATED, LocatedArray, join, pick

Input = tuple[int, int]
MICRO = 1_000_000
_NONE = np.empty(0, LOCATED)
_NO_TIMES = np.empty(0, np.int64)
#: More arrivals of an input than a worker has under way at once: one that another overtook is among so many.
RECENT = 16


class Arrival(NamedTuple):
    """Rows of one input, in the order in which they lie in it."""

    rows: LocatedArray
    source: Input
    watermark_us: int
    """How far the record time of the input has come, by these rows or by what else it held."""
    offsets: NDArray[np.int64] | None = None
    """Where in the input each row lies; None where nothing is ever delivered again."""


class Taken:
    """Which offsets of an input were taken: all up to one, and those of the latest arrivals beyond it."""

    def __init__(self, upto: int = 0, spans: list[tuple[int, int]] | None = None) -> None:
        self.upto = upto
        self.spans = spans or []
        """First offset, and the one after the last."""

    def add(self, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Take offsets, in increasing order; returns which of them are new."""
        new = offsets >= self.upto
        for first, end in self.spans:
            new &= (offsets < first) | (offsets >= end)
        if new.any():
            found = offsets[new]
            self.spans.append((int(found[0]), int(found[-1]) + 1))
            self.spans.sort()
        if len(self.spans) > RECENT:
            self.upto = self.spans.pop(0)[1]
        return new


class ReplaySchedule:
    """Holds what is not yet below the watermark, and says at which moments to look with what newly known.

    Looks fall on multiples of `look_s` at which something new is known. Neither batch boundaries nor the interleaving
    of inputs change them:

        input A  ──r1────r2──────────────r5──▶
        input B  ─────r3──────r4──▶ watermark
                  looks at the quarters after r1, r3, r2 and r4; r5 waits for input B

    A row that comes after a later one of its input, late or sent twice, becomes known when that one did: what is known
    when depends on the order in each input alone. What is delivered again is passed over: it calls for no look.
    """

    def __init__(self, inputs: frozenset[Input], look_s: int) -> None:
        self._look_us = look_s * MICRO
        self._watermarks: dict[Input, int] = {}
        self._inputs = inputs
        self._last_look_us = 0
        self._taken: dict[Input, Taken] = {}
        self._held: list[LocatedArray] = []
        self._known: list[NDArray[np.int64]] = []
        """When each row held became known, microseconds."""
        self._in_order = False

    def offer(
        self, rows: LocatedArray, source: Input, watermark_us: int, offsets: NDArray[np.int64] | None = None
    ) -> None:
        """Take rows of one input, and how far its record time has come; the arguments are those of an `Arrival`."""
        if offsets is not None:
            rows = pick(rows, self._taken.setdefault(source, Taken()).add(offsets))
        if len(rows):
            known_us = np.maximum.accumulate(rows["recorded_us"])
            np.maximum(known_us, self._watermarks.get(source, known_us[0]), out=known_us)
            watermark_us = max(watermark_us, int(known_us[-1]))
            records = rows["revision"] != HEARTBEAT
            if records.any():
                self._held.append(_unplaced(pick(rows, records)))
                self._known.append(known_us[records])
                self._in_order = False
        self._watermarks[source] = max(watermark_us, self._watermarks.get(source, watermark_us))

    @property
    def watermark_us(self) -> int | None:
        """Record time that every input has passed; None while one has not been heard."""
        if not self._inputs <= self._watermarks.keys():
            return None
        return min(self._watermarks[source] for source in self._inputs)

    def due(self, limit: int) -> Steps:
        """Moments to look at with the rows that became known since the last, oldest first; some at most.

        What is beyond the limit stays for the next call.
        """
        watermark = self.watermark_us
        rows, known_us = self._sorted() if self._held and watermark is not None else (_NONE, _NO_TIMES)
        ends: list[int] = []
        moments: list[int] = []
        start = 0
        while start < len(rows) and len(moments) < limit:
            rounded = -(-int(known_us[start]) // self._look_us) * self._look_us
            look_us = max(rounded, self._last_look_us + self._look_us)
            if watermark is None or look_us >= watermark:
                break
            start = int(np.searchsorted(known_us, look_us, side="right"))
            self._last_look_us = look_us
            ends.append(start)
            moments.append(look_us // MICRO)
        if moments:
            self._held, self._known = ([rows[start:]], [known_us[start:]]) if start < len(rows) else ([], [])
        return Steps(rows[:start], np.array(ends, np.int64), np.array(moments, np.int64))

    def _sorted(self) -> tuple[LocatedArray, NDArray[np.int64]]:
        """The rows held, in the order in which they became known, and when each did."""
        if not self._in_order:
            rows, known_us = join(self._held), np.concatenate(self._known)
            order = np.lexsort((rows["revision"], rows["record"], rows["recorded_us"], known_us))
            self._held, self._known = [pick(rows, order)], [known_us[order]]
            self._in_order = True
        return self._held[0], self._known[0]

    def state(self) -> tuple[int, list[tuple[int, ...]], bytes]:
        """Last look (µs), what is known of each input (kind, partition, watermark in µs, offsets taken), rows held and
        when they became known: what must survive a restart."""
        held = b"".join(array.tobytes() for array in self._sorted()) if self._held else b""
        inputs = []
        for key, watermark_us in sorted(self._watermarks.items()):
            taken = self._taken.get(key, Taken())
            inputs.append((*key, watermark_us, taken.upto, *(edge for span in taken.spans for edge in span)))
        return self._last_look_us, inputs, held

    def restore(self, last_look_us: int, inputs: list[tuple[int, ...]], held: bytes) -> None:
        """Go on from a state."""
        self._last_look_us = last_look_us
        self._watermarks, self._taken = {}, {}
        for kind, partition, watermark_us, upto, *edges in inputs:
            self._watermarks[kind, partition] = watermark_us
            self._taken[kind, partition] = Taken(upto, list(zip(edges[::2], edges[1::2], strict=True)))
        count = len(held) // (LOCATED.itemsize + _NO_TIMES.itemsize)
        self._held = [join([np.frombuffer(held, LOCATED, count)])] if held else []
        self._known = [np.frombuffer(held, np.int64, count, offset=count * LOCATED.itemsize)] if held else []
        self._in_order = False


def _unplaced(rows: LocatedArray) -> LocatedArray:
    """The same records, wherever in a batch they came."""
    rows["reserved"] = 0
    return rows
