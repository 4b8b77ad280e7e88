"""The threshold: on data without hotspots, new episodes open as often as the budget says."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from processors.arrays import KINDS
from processors.baseline import Baseline, fit_baseline
from processors.calibration import MOST_DAYS, Calibration, NullScene, calibrate
from processors.dispersion import Dispersion, Variation
from processors.followers import NO_FOLLOWING, NONE, Following
from processors.incidents import incidents
from processors.localtime import LocalHours
from processors.nullmodel import simulate_null
from processors.tails import Tail, far_tail, fit_tail, level_error
from processors.tracking import LINGER_S, openings
from schemas.detection import DAY_S, HOUR_S, DetectionSettings
from tests.builders_processors import MONDAY, history

LONDON = LocalHours(ZoneInfo("Europe/London"))
FOLLOWING = Following((NONE, NONE._replace(part=0.02)), NONE._replace(part=0.2, both_ways=True))
VARIATION = Variation(Dispersion(common=(0.02, 0.05), weekly=(0.0, 0.02)), FOLLOWING)
PLAIN = Dispersion(*([(0.0, 0.0)] * 2))
#: A region of a hundred square kilometres, and windows enough for many looks to be one question.
SETTINGS = DetectionSettings(
    radii_cells=(0, 1, 2, 4),
    spans_s=tuple(hours * HOUR_S for hours in (6, 24, 72, 168)),
    baseline_days=364,
    calibration_days=364,
)


@pytest.fixture(scope="module")
def baseline() -> Baseline:
    rng = np.random.default_rng(5)
    rows = np.concatenate(
        [
            history(rng, 364, 9.0, side=40, delay_s=40_000),
            history(rng, 364, 3.0, side=30, kind=0, first_record=100_000, delay_s=80_000),
        ]
    )
    fitted = fit_baseline(incidents(rows, 3600), rows, MONDAY + 364 * DAY_S, SETTINGS, LONDON)
    assert fitted is not None
    return fitted


@pytest.fixture(scope="module")
def calibration(baseline: Baseline) -> Calibration:
    return calibrate(baseline, VARIATION, SETTINGS, LONDON)


def test_on_fresh_null_data_tracks_open_at_the_budget(baseline: Baseline) -> None:
    """Tolerance: a quarter of the budget.

    Over 24 years 624 openings are expected, so chance moves their rate by a twentieth; the five years that the
    threshold is made of leave an error of a tenth in the rate at it.
    """
    long = SETTINGS.model_copy(update={"calibration_days": 1820})
    made = calibrate(baseline, VARIATION, long, LONDON)
    opened, days = 0, 0
    for seed in range(24):
        rng = np.random.default_rng([9, seed])
        null = simulate_null(baseline, VARIATION, LONDON, baseline.fitted_at, 54, rng)
        scene = NullScene(baseline, SETTINGS, LONDON, baseline.fitted_at, null)
        since, until = baseline.fitted_at + 14 * DAY_S, baseline.fitted_at + 54 * 7 * DAY_S
        seen = scene.run(made.floor, until)
        opened += openings(seen, since, made.threshold, made.floor, LINGER_S).size
        days += (until - since) // DAY_S
    assert opened / days * 28 == pytest.approx(SETTINGS.budget_per_28d, rel=0.25)


def test_a_calibration_repeats_to_the_bit_and_survives_packing(baseline: Baseline, calibration: Calibration) -> None:
    assert calibrate(baseline, VARIATION, SETTINGS, LONDON) == calibration
    assert Calibration.from_json(calibration.to_json()) == calibration


def test_a_calibration_says_what_it_rests_on(baseline: Baseline, calibration: Calibration) -> None:
    assert calibration.made_at == baseline.fitted_at
    assert calibration.floor == SETTINGS.close_fraction * calibration.threshold
    assert calibration.dispersion == VARIATION.dispersion
    assert calibration.twins == FOLLOWING.twins.part
    assert calibration.echoes == (0.0, 0.02)
    assert calibration.n_peaks > 60
    assert 0.03 < calibration.threshold_error < 0.6
    other = calibrate(baseline, VARIATION, SETTINGS.model_copy(update={"seed": 4}), LONDON)
    assert other.fingerprint.partition("-")[0] != calibration.fingerprint.partition("-")[0]
    assert other.fingerprint.partition("-")[2] == calibration.fingerprint.partition("-")[2]
    assert abs(other.threshold - calibration.threshold) < 4 * calibration.threshold_error


def test_recurrence_grows_with_the_score_and_is_the_budget_at_the_threshold(calibration: Calibration) -> None:
    days = [calibration.recurrence_days(score) for score in np.linspace(0, 60, 400)]
    assert days == sorted(days)
    assert days[-1] <= MOST_DAYS
    assert calibration.recurrence_days(calibration.threshold) == pytest.approx(14.0)
    assert calibration.recurrence_days(1e9) == MOST_DAYS
    assert calibration.recurrence_days(calibration.tail_start) == pytest.approx(1 / calibration.tail_rate)


def test_a_smaller_budget_asks_for_more(baseline: Baseline, calibration: Calibration) -> None:
    strict = SETTINGS.model_copy(update={"budget_per_28d": 0.5, "calibration_days": 364})
    assert calibrate(baseline, VARIATION, strict, LONDON).threshold > calibration.threshold + 0.5


def test_where_next_to_nothing_happens_the_threshold_is_still_one() -> None:
    rng = np.random.default_rng(5)
    rows = history(rng, 364, 0.2, side=60)
    fitted = fit_baseline(incidents(rows, 3600), rows, MONDAY + 364 * DAY_S, SETTINGS, LONDON)
    assert fitted is not None
    found = calibrate(fitted, Variation(PLAIN, NO_FOLLOWING), SETTINGS, LONDON)
    assert 2.0 < found.threshold < 10.0
    assert np.isfinite(found.threshold_error)
    assert found.recurrence_days(found.threshold) >= 14.0


@pytest.mark.parametrize("following", [NO_FOLLOWING, FOLLOWING])
def test_simulated_incidents_are_those_of_the_baseline(baseline: Baseline, following: Following) -> None:
    weeks = 52
    null = simulate_null(
        baseline, Variation(PLAIN, following), LONDON, baseline.fitted_at, weeks, np.random.default_rng(1)
    )
    first = baseline.fitted_at // HOUR_S
    rate = baseline.hourly(LONDON.hours(first, first + weeks * 168 - 1))
    n = np.bincount(null.kind, minlength=KINDS)
    expected = rate.sum(axis=1) * HOUR_S
    assert (np.abs(n - expected) < 4 * np.sqrt(expected)).all()
    # By hour of the clock, and by place: the busiest cells of the baseline have what it expects of them.
    hour = null.occurred[null.kind == 1] // HOUR_S - first
    by_hour = np.bincount(hour % 24, minlength=24)
    usual = (rate[1] * HOUR_S).reshape(-1, 24).sum(axis=0)
    assert (np.abs(by_hour - usual) < 4.5 * np.sqrt(usual)).all()
    share = baseline.shares.cell[:, 4:].mean(axis=1)
    top = np.argsort(-share)[:40]
    cells = {(int(baseline.places.ix[c]), int(baseline.places.iy[c])) for c in top}
    there = sum((int(x), int(y)) in cells for x, y, k in zip(null.ix, null.iy, null.kind, strict=True) if k == 1)
    wanted = float(share[top].sum() * expected[1])
    assert there == pytest.approx(wanted, rel=0.25)  # shares are drawn as unsure as they are
    # As late as records were, hour by hour of the day.
    clock = LONDON.hours(first, first + weeks * 168 - 1).clock

    def usual_by_clock(kind: int) -> np.ndarray:
        return np.bincount(clock, rate[kind], 24) / rate[kind].sum()

    late = null.known - null.occurred
    assert (late >= 0).all()
    for k in range(KINDS):
        part = float((late[null.kind == k] <= 12 * HOUR_S).mean())
        assert part == pytest.approx(float((baseline.feeds.known[k, :, 12] * usual_by_clock(k)).sum()), abs=0.03)
    assert (np.diff(null.known) >= 0).all()


def test_a_shared_event_is_simulated_as_one_incident_of_each_kind(baseline: Baseline) -> None:
    chance = np.zeros_like(NONE.chance)
    chance[0, 0] = 1.0  # in the same cell, within three hours
    twins = NONE._replace(part=0.5, chance=chance, both_ways=True)
    following = NO_FOLLOWING._replace(twins=twins)
    null = simulate_null(
        baseline, Variation(PLAIN, following), LONDON, baseline.fitted_at, 20, np.random.default_rng(1)
    )
    columns = list(zip(null.kind.tolist(), null.ix.tolist(), null.iy.tolist(), null.occurred.tolist(), strict=True))
    police: dict[tuple[int, int], list[int]] = {}
    for kind, x, y, when in columns:
        if kind == 1:
            police.setdefault((x, y), []).append(when)
    ed = [row[1:] for row in columns if row[0] == 0]
    paired = sum(any(abs(when - other) <= 3 * HOUR_S for other in police.get((x, y), ())) for x, y, when in ed)
    assert paired / len(ed) == pytest.approx(1 - np.exp(-0.5), abs=0.08)


def test_a_tail_of_known_shape_is_found() -> None:
    rng = np.random.default_rng(2)
    for shape in (-0.2, 0.0, 0.25):
        uniform = rng.random(4000)
        excess = -np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape
        tail = fit_tail(6.0 + 1.5 * excess, 6.0, 2000.0)
        assert tail.rate == 2.0
        assert tail.shape == pytest.approx(shape, abs=0.08)
        assert tail.scale == pytest.approx(1.5, rel=0.1)
        for rate in (1.0, 0.1, 0.01):
            assert tail.rate_above(tail.level_of(rate)) == pytest.approx(rate)


@pytest.mark.parametrize("shape", [0.0, -0.1])
def test_rare_events_are_as_rare_as_the_far_tail_says(shape: float) -> None:
    """On average over calibrations, a level said to be exceeded once a year is; by the tail as fitted it is not."""
    rng = np.random.default_rng(3)
    days, budget, year = 546.0, 2 / 28, 1 / 365
    true = Tail(10.0, 150 / days, shape, 1.5)
    told = {"fitted": 0.0, "far": 0.0}
    for _ in range(400):
        uniform = rng.random(int(rng.poisson(150)))
        peaks = 10.0 + 1.5 * (-np.log(uniform) if shape == 0 else (uniform**-shape - 1) / shape)
        tail = fit_tail(peaks, 10.0, days)
        far = far_tail(peaks, tail, tail.level_of(budget), budget)
        assert far.rate_above(tail.level_of(budget)) == pytest.approx(budget)
        told["fitted"] += true.rate_above(tail.level_of(year)) / year / 400
        told["far"] += true.rate_above(far.level_of(year)) / year / 400
    assert told["far"] < min(told["fitted"], 1.3)
    assert told["far"] > 0.5


def test_few_peaks_fall_back_on_the_usual_tail() -> None:
    tail = fit_tail(np.array([7.0, 8.0]), 6.0, 100.0)
    assert (tail.shape, tail.scale, tail.rate) == (0.0, 1.0, 0.02)
    assert fit_tail(np.zeros(0), 6.0, 100.0).rate > 0
    assert level_error(np.array([7.0]), tail, 100.0, 0.01, np.random.default_rng(1), 10) == 1.0
    assert Tail(6.0, 1.0, -0.5, 1.0).rate_above(20.0) == 0.0  # beyond the end of a bounded tail
    assert Tail(6.0, 1.0, 0.0, 1.0).level_of(5.0) == 6.0


def test_the_error_is_what_repetition_shows() -> None:
    rng = np.random.default_rng(7)
    levels, errors = [], []
    for _ in range(60):
        peaks = 6.0 + rng.exponential(1.5, int(rng.poisson(150)))
        tail = fit_tail(peaks, 6.0, 364.0)
        levels.append(tail.level_of(2 / 28))
        errors.append(level_error(peaks, tail, 364.0, 2 / 28, rng, 100))
    assert np.mean(errors) == pytest.approx(np.std(levels), rel=0.3)
