"""When a region is looked at under the replay clock: by record time, below the watermark of all inputs."""

from __future__ import annotations

import numpy as np

from processors.runs import Steps
from schemas.located import LOCATED, LocatedArray, join, pick

Input = tuple[int, int]
MICRO = 1_000_000
_NONE = np.empty(0, LOCATED)


class ReplaySchedule:
    """Holds what is not yet below the watermark, and says at which moments to look with what newly known.

    Looks fall on multiples of `look_s` at which something new is known. Neither batch boundaries nor the interleaving
    of inputs change them:

        input A  ──r1────r2──────────────r5──▶
        input B  ─────r3──────r4──▶ watermark
                  looks at the quarters after r1, r3, r2 and r4; r5 waits for input B
    """

    def __init__(self, inputs: frozenset[Input], look_s: int) -> None:
        self._look_us = look_s * MICRO
        self._watermarks: dict[Input, int] = {}
        self._inputs = inputs
        self._last_look_us = 0
        self._held: list[LocatedArray] = []
        self._in_order = False

    def offer(self, rows: LocatedArray, source: Input, watermark_us: int) -> None:
        """Take rows of one input, and how far its record time has come."""
        if len(rows):
            self._held.append(rows)
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
        rows = self._sorted() if self._held and watermark is not None else _NONE
        known_us = np.ascontiguousarray(rows["recorded_us"])  # a strided field would be copied by each search
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
            self._held = [rows[start:]] if start < len(rows) else []
        return Steps(rows[:start], np.array(ends, np.int64), np.array(moments, np.int64))

    def _sorted(self) -> LocatedArray:
        """The rows held, in the order in which they became known."""
        if not self._in_order:
            rows = join(self._held)
            self._held = [pick(rows, np.lexsort((rows["revision"], rows["record"], rows["recorded_us"])))]
            self._in_order = True
        return self._held[0]

    def state(self) -> tuple[int, list[tuple[int, int, int]], bytes]:
        """Last look (µs), watermarks (kind, partition, µs), rows held: what must survive a restart."""
        held = self._sorted().tobytes() if self._held else b""
        return self._last_look_us, [(*key, value) for key, value in sorted(self._watermarks.items())], held

    def restore(self, last_look_us: int, watermarks: list[tuple[int, int, int]], held: bytes) -> None:
        """Go on from a state."""
        self._last_look_us = last_look_us
        self._watermarks = {(kind, partition): value for kind, partition, value in watermarks}
        self._held = [join([np.frombuffer(held, dtype=LOCATED)])] if held else []
        self._in_order = False
