"""Scans of windows at the end of the study: what replications pass over, and what starting up leaves out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.scan.at_end import LEVELS, STEP, TOGETHER, _set_room, _together, bounds
from processors.scan.kernels import best_at_end, log_likelihood_ratio
from processors.scan.replicas import PermutedAtEnd
from processors.scan.run import _Scan
from tests.running import ROOT
from tests.test_scan import TOWN, city, job


@pytest.mark.parametrize("longest", [14, 60])
def test_a_replication_of_a_town_finds_what_a_plain_loop_finds(longest: int) -> None:
    """Many centres are judged together, and spans in bands where there are more of them than lanes."""
    scan = _Scan(job(**{**TOWN, "max_time": longest}), city())
    null, at_end = scan.null(), scan._at_end
    assert isinstance(null, PermutedAtEnd)
    assert at_end is not None
    seeds = np.arange(40, dtype=np.uint32)
    for seed, found in zip(seeds.tolist(), null.largest(seeds).tolist(), strict=True):
        fixed = (at_end.circles, at_end.mass, at_end.share, at_end.shortest)
        plain = best_at_end(*fixed, null.draw(seed), at_end.low, float(at_end.cases), at_end.scale)
        assert found == plain.statistic.max()


def test_centres_that_are_judged_together_are_covered() -> None:
    """Every location of their circles is listed, once, at the lowest level of a circle that holds it."""
    scan = _Scan(job(**TOWN), city())
    at_end = scan._at_end
    assert at_end is not None
    bound = bounds(at_end, scan._points, 100.0)
    circles, tiles = bound.circles, bound.tiles
    order = _together(scan._points)
    assert sorted(order.tolist()) == list(range(200))
    assert np.diff(circles.start).tolist() == np.diff(at_end.circles.start)[order].tolist()
    for tile in range(tiles.start.size - 1):
        first, after = circles.start[TOGETHER * tile], circles.start[min(TOGETHER * (tile + 1), 200)]
        lowest: dict[int, int] = {}
        for place, level in zip(circles.place[first:after].tolist(), circles.level[first:after].tolist(), strict=True):
            lowest[place] = min(level, lowest.get(place, LEVELS))
        listed = slice(tiles.start[tile], tiles.start[tile + 1])
        assert dict(zip(tiles.place[listed].tolist(), tiles.level[listed].tolist(), strict=True)) == lowest
        assert tiles.place[listed].size == len(lowest)
        assert (np.diff(tiles.level[listed].astype(int)) >= 0).all()


@given(st.integers(2, 60), st.floats(0.001, 50.0), st.integers(60, 5_000))
def test_no_count_that_may_exceed_a_statistic_is_passed_over(low: int, share: float, cases: int) -> None:
    edges = np.concatenate([[0.0], np.geomspace(0.5, 100.0, 40)])
    room = np.empty((60, edges.size, 1), np.uint16)
    _set_room(room, edges, np.array([share]), low, float(cases), 30.0, 2**15)
    for step, level in ((0, 0), (3, 7), (20, 20), (40, 30), (59, 40)):
        needed = 2**15 - int(room[step, level, 0])
        expected = edges[level] * share / 30.0
        assert needed >= low
        for count in range(low, min(needed, cases + 1)):
            assert expected == 0.0 or log_likelihood_ratio(float(count), expected, float(cases)) <= step * STEP
        # And not many more are let through than exceed it.
        if low < needed < cases and expected > 0.0:
            assert log_likelihood_ratio(needed + 1.0, expected * 0.98, float(cases)) > step * STEP - needed**2 / cases


def test_a_scan_without_a_map_does_not_wait_for_what_it_does_not_use() -> None:
    told = (
        "from processors.scan.warm import _load_numba as load; import sys, cli.scan; load(); import numba.np.linalg; "
    )
    told += "print([name for name in ('pyproj', 'scipy.linalg', 'scipy.linalg.cython_blas') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
