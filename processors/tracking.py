"""Follows detections from look to look: which belong to one track, which open one, which tracks have ended.

A detection belongs to a track when it is about the same place as the track's last window and their times overlap.
Best score first, a track takes one detection a look; further ones on the same track merge into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Final, NamedTuple

import numpy as np
from numba import njit

from processors.arrays import Bools, Floats, Ints
from processors.score import discs_touch, same_place
from schemas.detection import Detection

#: A track that no detection continued for so long has ended.
LINGER_S: Final = 86_400


@dataclass(frozen=True)
class Track:
    """A hotspot followed over looks."""

    id: int
    opened_at: int
    last_seen: int
    window: Detection
    """As last seen."""
    peak: float
    """Highest score so far."""


class Step(NamedTuple):
    """What one look changed."""

    opened: list[Track]
    continued: list[Track]
    ended: list[Track]


def overlap(a: Detection, b: Detection) -> bool:
    """Whether two windows are about the same place at the same time."""
    in_time = a.as_of - a.span_s < b.as_of and b.as_of - b.span_s < a.as_of
    return in_time and same_place(a.ix, a.iy, a.radius_cells, b.ix, b.iy, b.radius_cells)


def overlaps(these: Sequence[Detection], those: Sequence[Detection]) -> Bools:
    """`overlap` of each of these with each of those, [this, that]."""
    found: Bools = _overlaps(_where_and_when(these), _where_and_when(those))
    return found


def _where_and_when(windows: Sequence[Detection]) -> Ints:
    """Column, row, radius, span and end of windows."""
    return np.array([window[:5] for window in windows], np.int64).reshape(-1, 5)


@njit(cache=True, nogil=True)
def _overlaps(these: Ints, those: Ints) -> Bools:
    found = np.empty((len(these), len(those)), np.bool_)
    for n in range(len(these)):
        a = these[n]
        for m in range(len(those)):
            b = those[m]
            in_time = a[4] - a[3] < b[4] and b[4] - b[3] < a[4]
            found[n, m] = in_time and discs_touch(a[0], a[1], a[2], b[0], b[1], b[2])
    return found


@dataclass
class Tracker:
    """Open tracks, and the number of the next."""

    next_id: int = 1
    tracks: list[Track] = field(default_factory=list)
    """Oldest first."""

    def step(self, detections: list[Detection], as_of: int, open_at: float, floor: float) -> Step:
        """Take in a look: detections of at least `floor` continue tracks, those of at least `open_at` open them."""
        ended = [track for track in self.tracks if as_of - track.last_seen > LINGER_S]
        standing = [track for track in self.tracks if as_of - track.last_seen <= LINGER_S]
        current: dict[int, Track] = {}
        opened: list[Track] = []
        ranked = [detection for detection in detections if detection.level >= floor]
        if not ranked:
            self.tracks = standing
            return Step(opened, [], ended)
        ranked.sort(key=lambda d: (-d.level, d.radius_cells, d.span_s, d.part, d.ix, d.iy))
        lies_over = overlaps(ranked, [track.window for track in standing]).tolist()
        for detection, over in zip(ranked, lies_over, strict=True):
            same = list(compress(standing, over))
            track = next((track for track in same if track.id not in current), None)
            if track is not None:
                peak = max(track.peak, detection.level)
                current[track.id] = Track(track.id, track.opened_at, as_of, detection, peak)
            elif not same and detection.level >= open_at:
                opened.append(Track(self.next_id, as_of, as_of, detection, detection.level))
                self.next_id += 1
        self.tracks = [current.get(track.id, track) for track in standing] + opened
        return Step(opened, [current[track.id] for track in standing if track.id in current], ended)


class Seen(NamedTuple):
    """Detections of many looks as columns: best first within a look."""

    when: Ints
    """Moment of each look that found something."""
    start: Ints
    """Where the detections of each look begin; one more entry at the end."""
    ix: Ints
    iy: Ints
    radius: Ints
    span: Ints
    score: Floats


@njit(cache=True, nogil=True)
def openings(seen: Seen, since: int, open_at: float, floor: float, linger_s: int) -> Ints:
    """Places of the detections that open tracks of `Tracker` at or after a moment, with these thresholds."""
    room = 64
    track = np.empty((room, 5), np.int64)  # column, row, radius, span, last seen
    taken = np.zeros(room, np.uint8)
    n = 0
    opened = np.empty(room, np.int64)
    many = 0
    for look in range(seen.when.size):
        as_of = seen.when[look]
        kept = 0
        for t in range(n):
            if as_of - track[t, 4] <= linger_s:
                track[kept] = track[t]
                kept += 1
        n = kept
        taken[:n] = 0
        standing = n
        found = track[:standing].copy()  # windows as of the look before: these decide what belongs together
        for d in range(seen.start[look], seen.start[look + 1]):
            if seen.score[d] < floor:
                continue
            same = False
            for t in range(standing):
                if as_of - seen.span[d] < found[t, 4] and discs_touch(
                    seen.ix[d], seen.iy[d], seen.radius[d], found[t, 0], found[t, 1], found[t, 2]
                ):
                    same = True
                    if taken[t] == 0:
                        taken[t] = 1
                        track[t, 0], track[t, 1], track[t, 2] = seen.ix[d], seen.iy[d], seen.radius[d]
                        track[t, 3], track[t, 4] = seen.span[d], as_of
                        break
            if same or seen.score[d] < open_at:
                continue
            if n == room:
                room *= 2
                larger = np.empty((room, 5), np.int64)
                larger[:n] = track
                track = larger
                flags = np.zeros(room, np.uint8)
                flags[:n] = taken
                taken = flags
            track[n, 0], track[n, 1], track[n, 2] = seen.ix[d], seen.iy[d], seen.radius[d]
            track[n, 3], track[n, 4] = seen.span[d], as_of
            n += 1
            if as_of >= since:
                if many == opened.size:
                    opened = np.concatenate((opened, np.empty_like(opened)))
                opened[many] = d
                many += 1
    return opened[:many].copy()
