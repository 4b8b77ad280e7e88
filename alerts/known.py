"""The records as known at a look, also while the detector has run ahead of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from processors.detector import Detector
from processors.records import RecordStore
from processors.runs import Steps
from schemas.located import Gate, LocatedArray, join


class Known:
    """The rows that count as known at one look, gathered when first asked for: at most looks nobody does."""

    __slots__ = ("_gather", "_rows")

    def __init__(self, gather: Callable[[], LocatedArray]) -> None:
        self._gather = gather
        self._rows: LocatedArray | None = None

    def __call__(self) -> LocatedArray:
        """These rows."""
        if self._rows is None:
            self._rows = self._gather()
        return self._rows


class Ahead:
    """Steps that a detector does in one go: it holds records of looks to come when it tells of the first.

    Kept are the records of these steps as they were before: with them the state at any of its looks can be told.
    """

    def __init__(self, detector: Detector, steps: Steps) -> None:
        self._detector, self._steps = detector, steps
        self._touched = np.unique(steps.rows["record"])
        self._before = detector.store.of(self._touched)

    def counted(self, look: int) -> LocatedArray:
        """The rows that counted at the look of this number."""
        known = RecordStore()
        new = self._steps.rows[: int(self._steps.ends[look])]
        known.apply(self._detector.gated(_ungated(join([self._before, new]))))
        return join([self._detector.store.counted(but=self._touched), known.counted()])


def _ungated(rows: LocatedArray) -> LocatedArray:
    """The rows without gates that the detector gives and takes away."""
    rows["gate"][rows["gate"] == Gate.DEFAULT_TIME] = Gate.NONE
    return rows
