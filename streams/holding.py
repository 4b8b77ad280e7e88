"""A region in a worker's hands: whose it is, whether it is being brought up to date, and what may follow what."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from alerts.monitor import RegionMonitor
from processors.calibration import Calibration
from streams.located import LocatedBatch

#: Ticks amid a backlog are no reason to look: half of what is known is not taken in yet. Where nothing of it came for
#: so long, it is done.
BACKLOG_DONE_S = 5.0
#: But a region is looked at by the next tick after so long, whatever comes: a publisher's clock may be slow for ever.
LONGEST_UNSEEN_S = 600.0

#: So many steps, and bytes, may be written as what they changed, before one writes whole parts: those are many times as
#: large amid a backlog, but what was added is held in memory until then.
MOST_ADDED = 50
MOST_ADDED_BYTES = 8 * 1024 * 1024
#: Most records of a step that is made of several fetches.
STEP_ROWS = 20_000


class SessionLostError(RuntimeError):
    """The group of workers has not heard of this one for so long that another may hold its regions."""


class Membership(Protocol):
    """What is known of this worker's place in the group of workers."""

    def generation(self) -> int:
        """Of the group; it grows with each change of members."""

    def in_session(self) -> bool:
        """Whether no other worker can have been given the regions of this one."""


class Alone:
    """A worker without a group."""

    def generation(self) -> int:
        """The first."""
        return 0

    def in_session(self) -> bool:
        """There is nobody else."""
        return True


@dataclass(slots=True)
class Backlog:
    """Whether a region is being brought up to date."""

    newest_s: float = -inf
    """When the last of it came; on the clock of `time.monotonic`, like the other."""
    looked_s: float = -inf
    """When the region was last looked at, or taken in hand."""

    def holds(self, now_s: float, *, old: bool, tick: bool) -> bool:
        """Whether what comes now, all of it old or nothing but ticks, must wait for the rest before it is looked at."""
        if old:
            self.newest_s = now_s
            return True
        if tick and now_s - self.newest_s < BACKLOG_DONE_S and now_s - self.looked_s < LONGEST_UNSEEN_S:
            return True
        self.looked_s = now_s
        return False


@dataclass(eq=False, slots=True)
class Part:
    """What one fetch brought for a region."""

    batches: list[LocatedBatch]
    next_offset: int
    """Of the located partition, after the last of them."""
    writes: list[asyncio.Task[None]] | None = None
    """Those of the step that it is part of; None before it is."""

    @property
    def rows(self) -> int:
        """Of all batches."""
        return sum(len(batch.rows) for batch in self.batches)


@dataclass(eq=False, slots=True)
class Held:
    """A region in this worker's hands."""

    monitor: RegionMonitor
    next_offset: int
    """Of the located partition: what lies before it is in the monitor, or about to be."""
    backlog: Backlog
    fitted_at: int | None = None
    """Up to when the baseline has learned, as of the last step."""
    calibrated: Calibration | None = None
    """Made beside the looks, for the next step to judge by."""
    is_gone: bool = False
    """It is not in this worker's hands any more, and will not come back as it is."""
    layers_day: int = 0
    """The local day whose map layers were last sent."""
    added: int = MOST_ADDED
    """Steps since whole parts of the state were written, as far as steps have been computed."""
    added_bytes: int = 0
    """What these changed."""
    unsaved: int = 0
    """Parts of which not all is in the state."""
    failure: BaseException | None = None
    """What went wrong with a step: then none may follow, and what comes after it is read again by the next worker."""
    waiting: deque[Part] = field(default_factory=deque)
    """What no step has taken yet, in its order."""
    computing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One step after the other, in their order."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One step after the other; meanwhile the next one is computed."""

    def hand_over(self, batches: list[LocatedBatch]) -> Part:
        """Another part to be taken in, up to `next_offset`."""
        part = Part(batches, self.next_offset)
        self.waiting.append(part)
        self.unsaved += 1
        return part

    def take(self) -> list[Part]:
        """What waits, as much of it as one step may have: a step costs much the same with one record or a hundred."""
        taken = [self.waiting.popleft()]
        rows = taken[0].rows
        while self.waiting and rows + self.waiting[0].rows <= STEP_ROWS:
            taken.append(self.waiting.popleft())
            rows += taken[-1].rows
        return taken

    def snapshot(self) -> tuple[dict[str, bytes], bool]:
        """What the state must be told of a step, and whether that may be added to what it has."""
        room = self.added < MOST_ADDED and self.added_bytes < MOST_ADDED_BYTES
        changes = self.monitor.changes() if room else None
        if changes is None:
            self.added = self.added_bytes = 0
            return self.monitor.snapshot(), False
        self.added += 1
        self.added_bytes += sum(map(len, changes.values()))
        return changes, True

    def go_on(self) -> None:
        """Raises what went wrong, where nothing may follow."""
        if self.failure is not None:
            raise self.failure

    def fail(self, error: BaseException) -> None:
        """A step went wrong."""
        self.failure = self.failure or error
