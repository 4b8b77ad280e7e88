"""Episodes from opening to close, look by look: for what a method had in view when a hotspot began."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluation.methods import CLOSE_FRACTION, Openings
from processors.tracking import LINGER_S, Seen, Step, Tracker
from schemas.detection import Detection


@dataclass
class Life:
    """One episode: its window at each look that found it, the one that opened it first."""

    windows: list[Detection]

    @property
    def opened_at(self) -> int:
        """When it opened, s."""
        return self.windows[0].as_of

    def at(self, when: int) -> Detection | None:
        """The last window before a moment of an episode that was open then; None where it was not."""
        before = [window for window in self.windows if window.as_of < when]
        return before[-1] if before and when - before[-1].as_of <= LINGER_S else None


class Lives:
    """Follows the steps of a tracker."""

    def __init__(self) -> None:
        self.tracker = Tracker()
        self.of_track: dict[int, Life] = {}

    def step(self, found: Iterable[Detection], as_of: int, open_at: float, floor: float) -> Step:
        """Take in one look."""
        step = self.tracker.step(list(found), as_of, open_at, floor)
        for track in step.opened:
            self.of_track[track.id] = Life([track.window])
        for track in step.continued:
            self.of_track[track.id].windows.append(track.window)
        return step

    def drop(self, number: int) -> None:
        """End a track whose evidence was withdrawn."""
        self.tracker.tracks = [track for track in self.tracker.tracks if track.id != number]

    def all(self) -> list[Life]:
        """In the order in which they opened."""
        return list(self.of_track.values())


def lives_of(seen: Seen, level: float) -> list[Life]:
    """Episodes of a method at a level, by the rules of the monitor; to count them, `methods.opened` is quicker."""
    lives = Lives()
    floor = CLOSE_FRACTION * level
    for look, as_of in enumerate(seen.when.tolist()):
        of_look = range(int(seen.start[look]), int(seen.start[look + 1]))
        found = [_detection(seen, d, as_of) for d in of_look if seen.score[d] >= floor]
        if found:
            lives.step(found, as_of, level, floor)
    return lives.all()


class Opened(NamedTuple):
    """The episodes of one method over one history."""

    openings: Openings
    """Of the period, in order of time."""
    lives: list[Life]
    """Those that opened before it included."""

    @staticmethod
    def of(lives: list[Life], since: int) -> Opened:
        """Episodes with the openings since a moment."""
        first = [life.windows[0] for life in lives if life.opened_at >= since]
        columns = [[w.as_of for w in first], [w.ix for w in first], [w.iy for w in first]]
        columns += [[w.radius_cells for w in first], [w.span_s for w in first]]
        return Opened(Openings(*(np.array(column, np.int64) for column in columns)), lives)


def _detection(seen: Seen, d: int, as_of: int) -> Detection:
    return Detection(
        ix=int(seen.ix[d]),
        iy=int(seen.iy[d]),
        radius_cells=int(seen.radius[d]),
        span_s=int(seen.span[d]),
        as_of=as_of,
        observed=(),
        expected=(),
        score=float(seen.score[d]),
        kind_scores=(),
    )
