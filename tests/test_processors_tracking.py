"""Tracks: which detections belong together, and when a track has ended."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.tracking import LINGER_S, Seen, Tracker, openings, overlap, overlaps
from schemas.detection import Detection

HOUR = 3_600
SCORES = (1.0, 5.0, 6.0, 7.5, 9.0, 12.0)


def window(ix: int, as_of: int, score: float = 9.0, *, iy: int = 0, radius: int = 1, hours: int = 24) -> Detection:
    return Detection(ix, iy, radius, hours * HOUR, as_of, (0, 5), (0.1, 0.9), score, (0.0, score))


def test_a_hotspot_that_drifts_stays_one_track() -> None:
    # score   9    7    12   (gap within the linger)   8    end
    # ix      0    2     4                             4
    tracker = Tracker()
    first = tracker.step([window(0, HOUR, 9)], HOUR, 8, 6)
    assert [track.id for track in first.opened] == [1]
    assert [t.window.ix for t in tracker.step([window(2, 2 * HOUR, 7)], 2 * HOUR, 8, 6).continued] == [2]
    assert tracker.step([window(4, 3 * HOUR, 12)], 3 * HOUR, 8, 6).opened == []
    quiet = tracker.step([], 20 * HOUR, 8, 6)
    assert quiet.opened == quiet.continued == quiet.ended == []
    [track] = tracker.step([window(4, 26 * HOUR, 8)], 26 * HOUR, 8, 6).continued
    assert (track.opened_at, track.last_seen, track.peak) == (HOUR, 26 * HOUR, 12)
    assert tracker.step([], 26 * HOUR + LINGER_S, 8, 6).ended == []
    assert [t.id for t in tracker.step([], 26 * HOUR + LINGER_S + 1, 8, 6).ended] == [1]
    assert tracker.tracks == []


def test_between_floor_and_threshold_a_track_goes_on_but_none_opens() -> None:
    tracker = Tracker()
    assert tracker.step([window(0, HOUR, 7)], HOUR, 8, 6).opened == []
    tracker.step([window(0, 2 * HOUR, 8)], 2 * HOUR, 8, 6)
    assert len(tracker.step([window(0, 3 * HOUR, 6)], 3 * HOUR, 8, 6).continued) == 1
    assert tracker.step([window(0, 4 * HOUR, 5.9)], 4 * HOUR, 8, 6).continued == []


def test_several_detections_on_one_track_merge_and_the_best_leads() -> None:
    tracker = Tracker()
    tracker.step([window(0, HOUR, 9, radius=8)], HOUR, 8, 6)
    step = tracker.step([window(-5, 2 * HOUR, 9), window(5, 2 * HOUR, 10)], 2 * HOUR, 8, 6)
    assert step.opened == []
    assert [t.window.ix for t in step.continued] == [5]


def test_one_detection_on_two_tracks_goes_on_as_the_older() -> None:
    tracker = Tracker()
    tracker.step([window(0, HOUR, 9), window(9, HOUR, 10)], HOUR, 8, 6)
    step = tracker.step([window(5, 2 * HOUR, 11, radius=6)], 2 * HOUR, 8, 6)
    assert [t.id for t in step.continued] == [1]
    assert {t.id for t in tracker.tracks} == {1, 2}


def test_windows_apart_in_time_are_not_the_same() -> None:
    assert overlap(window(0, 30 * HOUR), window(0, 7 * HOUR))
    assert not overlap(window(0, 30 * HOUR), window(0, 6 * HOUR))
    assert overlap(window(0, 9 * HOUR, radius=1), window(2, 9 * HOUR, radius=0))
    assert not overlap(window(0, 9 * HOUR, radius=1), window(3, 9 * HOUR, radius=0))


places = st.builds(
    window,
    st.integers(-9, 9),
    st.integers(0, 60).map(lambda hours: hours * HOUR),
    iy=st.integers(-2, 2),
    radius=st.sampled_from([0, 1, 4]),
    hours=st.sampled_from([6, 24, 72]),
)


@given(st.lists(places, max_size=6), st.lists(places, max_size=6))
@settings(deadline=None)  # the first compiles
def test_many_windows_overlap_as_two_do(these: list[Detection], those: list[Detection]) -> None:
    assert overlaps(these, those).tolist() == [[overlap(one, other) for other in those] for one in these]


looks = st.lists(
    st.tuples(
        st.integers(1, 30),  # hours since the look before
        st.lists(
            st.tuples(
                st.integers(-8, 8), st.integers(-2, 2), st.sampled_from([0, 1, 4]), st.sampled_from([6, 24, 72]),
                st.sampled_from(SCORES),
            ),
            max_size=5,
        ),
    ),
    max_size=40,
)  # fmt: skip


@given(looks, st.sampled_from([5.5, 7.0, 11.0]), st.integers(0, 200))
@settings(max_examples=200, deadline=None)
def test_the_fast_openings_are_the_trackers(history, open_at: float, since_hours: int) -> None:
    floor, since = 0.75 * open_at, since_hours * HOUR
    tracker, as_of = Tracker(), 0
    opened: list[Detection] = []
    columns: list[tuple[int, int, int, int, float]] = []
    when, start = [], [0]
    for hours, found in history:
        as_of += hours * HOUR
        detections = [window(ix, as_of, score, iy=iy, radius=r, hours=span) for ix, iy, r, span, score in found]
        detections.sort(key=lambda d: (-d.score, d.radius_cells, d.span_s, d.ix, d.iy))
        opened += [track.window for track in tracker.step(detections, as_of, open_at, floor).opened if as_of >= since]
        if detections:
            when.append(as_of)
            columns += [(d.ix, d.iy, d.radius_cells, d.span_s, d.score) for d in detections]
            start.append(len(columns))
    ix, iy, radius, span = (np.array([c[n] for c in columns], np.int64) for n in range(4))
    score = np.array([c[4] for c in columns], float)
    seen = Seen(np.array(when, np.int64), np.array(start, np.int64), ix, iy, radius, span, score)
    found = openings(seen, since, open_at, floor, LINGER_S).tolist()
    assert [columns[n] for n in found] == [(d.ix, d.iy, d.radius_cells, d.span_s, d.score) for d in opened]
    assert [when[np.searchsorted(start, n, side="right") - 1] for n in found] == [d.as_of for d in opened]
