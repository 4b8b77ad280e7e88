"""The records behind the live incidents, by kind and cell: what a change of records does to the incidents there."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple

from processors.incidents import REFERENCE_REACH_S, start_times
from schemas.located import LOCATED, LocatedArray

RECORD, KIND, IX, IY, OCCURRED, INCIDENT = (
    (LOCATED.names or ()).index(name) for name in ("record", "kind", "ix", "iy", "occurred", "incident")
)

Row = tuple[int, ...]
"""A located record as Python numbers, in the order of its fields."""
Place = tuple[int, int, int]
"""Kind, column, row."""


class Change(NamedTuple):
    """Incidents of one kind and cell that are no more, and those that are new."""

    place: Place
    gone: list[int]
    come: list[int]


class LiveRecords:
    """Records that count and occurred recently enough to bear on an incident after a horizon."""

    def __init__(self, merge_s: int) -> None:
        self._merge_s = merge_s
        self.slack_s = max(merge_s, REFERENCE_REACH_S)
        self._places: dict[Place, list[tuple[int, int, int]]] = {}

    def replace(self, rows: LocatedArray, horizon: int) -> None:
        """Start again from all rows that count."""
        self._places.clear()
        for row in rows[rows["occurred"] > horizon - self.slack_s].tolist():
            self._places.setdefault((row[KIND], row[IX], row[IY]), []).append(
                (row[OCCURRED], row[RECORD], row[INCIDENT])
            )
        for records in self._places.values():
            records.sort()

    def change(self, removed: list[Row], added: list[Row], horizon: int) -> list[Change]:
        """Take records out and in; returns what that does to the incidents after the horizon, place by place."""
        since = horizon - self.slack_s
        before: dict[Place, set[int]] = {}
        for rows, come in ((removed, False), (added, True)):
            for row in rows:
                if row[OCCURRED] <= since:
                    continue
                place = (row[KIND], row[IX], row[IY])
                if place not in before:
                    before[place] = self._starts(place, horizon)
                record = (row[OCCURRED], row[RECORD], row[INCIDENT])
                records = self._places.setdefault(place, [])
                if come:
                    insort(records, record)
                else:
                    records.remove(record)
        changes = []
        for place, old in before.items():
            new = self._starts(place, horizon)
            if old != new:
                changes.append(Change(place, sorted(old - new), sorted(new - old)))
        return changes

    def trim(self, horizon: int) -> None:
        """Forget records that bear on nothing after the horizon."""
        for place in list(self._places):
            self._cut(place, horizon)

    def _starts(self, place: Place, horizon: int) -> set[int]:
        self._cut(place, horizon)
        return {when for when in start_times(self._places.get(place, []), self._merge_s) if when > horizon}

    def _cut(self, place: Place, horizon: int) -> None:
        records = self._places.get(place)
        if records is None:
            return
        del records[: bisect_left(records, (horizon - self.slack_s + 1, 0, 0))]
        if not records:
            del self._places[place]
