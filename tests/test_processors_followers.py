"""What varies in a history beyond chance: warm nights, violence that brings more, and events that both kinds report."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.baseline import fit_baseline
from processors.dispersion import measure_variation
from processors.followers import ECHO_S, FAR_CELLS, NONE, REACH_CELLS, close_pairs, draw_followers, measure_following
from processors.incidents import incidents
from processors.localtime import LocalHours
from schemas.detection import DAY_S, HOUR_S, DetectionSettings
from schemas.located import LocatedArray
from tests.builders_processors import MONDAY, history, located

UTC_ZONE = ZoneInfo("UTC")


def _scattered(
    rng: np.random.Generator, days: int, per_day: float, common: float = 0.0, side: int = 24
) -> LocatedArray:
    """Incidents evenly over a square; each quarter of a day has a gamma factor of this variance."""
    mean = np.full(days * 4, per_day / 4)
    if common:
        mean *= rng.gamma(1 / common, common, mean.size)
    quarter = np.repeat(np.arange(mean.size), rng.poisson(mean))
    return located(
        record=np.arange(1, quarter.size + 1),
        ix=rng.integers(0, 24, quarter.size),
        iy=rng.integers(0, 24, quarter.size),
        occurred=MONDAY + quarter * 6 * HOUR_S + rng.integers(0, 6 * HOUR_S, quarter.size),
    )


def _with_echoes(rows: LocatedArray, part: float, rng: np.random.Generator) -> LocatedArray:
    everything, leaders = [rows], rows
    while leaders.size:
        x, y, when = (leaders[name].astype(np.int64) for name in ("ix", "iy", "occurred"))
        x, y, when = draw_followers(NONE._replace(part=part), x, y, when, rng)
        leaders = located(ix=x, iy=y, occurred=when) if x.size else rows[:0]
        everything.append(leaders)
    found = np.concatenate(everything)
    found["record"] = np.arange(1, found.size + 1)
    return found


@pytest.mark.parametrize(("common", "part"), [(0.0, 0.0), (0.3, 0.0), (0.0, 0.03), (0.2, 0.05)])
def test_variation_is_found_where_it_was_put(common: float, part: float) -> None:
    rng = np.random.default_rng(6)
    rows = _with_echoes(_scattered(rng, 330, 40.0, common), part, rng)
    chosen = DetectionSettings(baseline_days=330, guard_days=0, merge_minutes=0)
    local = LocalHours(UTC_ZONE)
    found = incidents(rows, 0)
    baseline = fit_baseline(found, rows, MONDAY + 330 * DAY_S, chosen, local)
    assert baseline is not None
    dispersion, following = measure_variation(found, baseline, chosen, local)
    assert dispersion.common[1] == pytest.approx(common, abs=0.04)
    assert dispersion.weekly[1] < 0.01
    assert dispersion.common[0] == dispersion.weekly[0] == following.echoes[0].part == 0.0
    assert following.echoes[1].part == pytest.approx(part, abs=0.008)
    assert following.twins is NONE


@pytest.mark.parametrize("part", [0.0, 0.25, 0.6])
def test_events_that_both_kinds_report_are_counted(part: float) -> None:
    rng = np.random.default_rng(3)
    ed, police = history(rng, 200, 4.0, kind=0), history(rng, 200, 12.0, first_record=50_000)
    shared = ed[rng.random(ed.size) < part].copy()
    shared["record"] += 90_000
    shared["kind"] = 1
    shared["ix"] += rng.integers(-1, 2, shared.size)
    shared["occurred"] += rng.integers(-HOUR_S, HOUR_S, shared.size)
    found = incidents(np.concatenate([ed, police, shared]), 0)
    twins = measure_following(found, MONDAY, MONDAY + 201 * DAY_S).twins
    if part == 0:
        assert twins is NONE
        return
    assert twins.part == pytest.approx(part, abs=0.07)
    assert twins.chance.sum() == pytest.approx(1.0)
    assert twins.chance[:, 0].sum() > 0.9  # within three hours
    assert measure_following(found, MONDAY - 9, MONDAY - 8).twins is NONE


def test_followers_are_near_and_soon() -> None:
    rng = np.random.default_rng(1)
    where = np.zeros(40_000, np.int64)
    x, y, when = draw_followers(NONE._replace(part=0.5), where, where, where, rng)
    assert x.size == pytest.approx(20_000, rel=0.05)
    assert (x**2 + y**2).max() == REACH_CELLS**2
    assert 0 <= when.min() <= when.max() <= ECHO_S
    same = ((x == 0) & (y == 0)).mean()
    assert same == pytest.approx(NONE.chance[0].sum(), abs=0.02)
    assert (when <= 3 * HOUR_S).mean() == pytest.approx(NONE.chance[:, 0].sum(), abs=0.02)
    x, _, when = draw_followers(NONE._replace(part=1.0, both_ways=True), where, where, where, rng)
    assert abs((when < 0).mean() - 0.5) < 0.02
    assert draw_followers(NONE, where, where, where, rng)[0].size == 0


@given(st.integers(0, 2**32), st.sampled_from([0, 7 * DAY_S, -14 * DAY_S]), st.booleans())
def test_pairs_are_those_of_a_slow_count(seed: int, shift: int, same: bool) -> None:
    rng = np.random.default_rng(seed)

    def some(n: int) -> np.ndarray:
        columns = [np.sort(rng.integers(0, 20 * DAY_S, n)), rng.integers(-6, 6, n), rng.integers(-6, 6, n)]
        return np.stack(columns, axis=1)

    first = some(30)
    second = first if same else some(20)
    shift = 0 if same else shift
    least = 0 if same else -3 * HOUR_S
    wanted = np.zeros((4, 5), np.int64)
    for a in range(len(first)):
        for b in range(a + 1 if same else 0, len(second)):
            lag = second[b, 0] + shift - first[a, 0]
            distance = ((second[b, 1:] - first[a, 1:]) ** 2).sum()
            far = FAR_CELLS[0] ** 2 < distance <= FAR_CELLS[1] ** 2
            if least <= lag <= ECHO_S and (distance <= REACH_CELLS**2 or far):
                ring = 3 if far else int(np.searchsorted([0, 2, 4], distance))
                wanted[ring, np.searchsorted(np.array([3, 6, 12, 24, 48]) * HOUR_S, abs(lag))] += 1
    assert (close_pairs(first, second, least, ECHO_S, shift, same) == wanted).all()
