"""The detector as a whole: what a look finds is what a walk over all windows finds, whatever came before."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.detector import Detector, Look
from processors.feeds import LEAST_KNOWN
from processors.incidents import REFERENCE_REACH_S
from processors.localtime import LocalHours
from processors.masses import Masses
from processors.runs import Steps
from processors.tracking import Tracker
from processors.warm import warm_up
from schemas.detection import DAY_S, HOUR_S, Detection, DetectionSettings, WeekPart
from schemas.located import LocatedArray, Status
from tests import naive
from tests.builders_processors import MONDAY, SMALL, history, located

CHICAGO = ZoneInfo("America/Chicago")
DAYS = 60
NOW = MONDAY + DAYS * DAY_S
QUARTER = 900


@pytest.fixture(scope="module")
def past() -> LocatedArray:
    rng = np.random.default_rng(17)
    police = history(rng, DAYS, 7.0, delay_s=20_000)
    ed = history(rng, DAYS, 2.5, kind=0, first_record=5_000, side=10, delay_s=50_000)
    return np.concatenate([police, ed])


@pytest.fixture(scope="module")
def saved(past: LocatedArray) -> dict[str, bytes]:
    """A detector with baseline and calibration, as its snapshot: quick to take up again in each example."""
    detector = Detector(SMALL, CHICAGO)
    detector.apply(past)
    look = detector.look(NOW)
    assert look.refitted
    assert look.calibrated
    return detector.snapshot()


def restored(parts: dict[str, bytes], chosen: DetectionSettings = SMALL) -> Detector:
    detector = Detector(chosen, CHICAGO)
    detector.restore(parts)
    return detector


def expected_windows(detector: Detector, as_of: int) -> list[Detection]:
    """Every window, observed and expected by slow twins; then what stays of them by the rules."""
    rows = detector.store.counted()
    found = naive.incidents(rows, SMALL.merge_minutes * 60, REFERENCE_REACH_S)
    recent = [incident for incident in found if as_of - SMALL.spans_s[-1] < incident[3] <= as_of]
    baseline, calibration = detector.baseline, detector.calibration
    assert baseline is not None
    assert calibration is not None
    exposed = []
    for k, season in enumerate(baseline.seasons):
        assert season is not None

        def rate_at(hour: int, season=season) -> float:
            return naive.rate(season.harmonics, season.level, season.week, hour, CHICAGO)

        feeds, heard = baseline.feeds, int(detector._feeds.heard.of_feeds[k])
        assert (feeds.kind[k], feeds.source[k]) == (k, 0)
        until = as_of if as_of - heard <= feeds.lag_s[k] else heard
        known = np.maximum(feeds.known[k], LEAST_KNOWN)
        exposed.append(
            {part: naive.exposure(rate_at, known, as_of, SMALL.spans_s, CHICAGO, until, part) for part in WeekPart}
        )
    masses = Masses(baseline, detector._windows.cells)
    reached = []
    for ix, iy in sorted({(int(row["ix"]), int(row["iy"])) for row in rows}):
        for radius in SMALL.radii_cells:
            cells = np.array([(ix + dx, iy + dy) for dx, dy in naive.disc(radius)], np.int64)
            share = masses.shares(cells[:, 0], cells[:, 1]).sum(axis=0)
            for (span, part), penalty in zip(SMALL.shapes, SMALL.penalties, strict=True):
                observed = tuple(naive.count(recent, k, ix, iy, radius, span, as_of, part, CHICAGO) for k in (0, 1))
                window = detector.evaluate(ix, iy, radius, span, as_of, part)
                assert window.observed == observed
                assert (window.span_s, window.part, window.penalty) == (span, part, penalty)
                s = SMALL.spans_s.index(span)
                expected = [float(share[4 * k : 4 * k + 4] @ np.array(exposed[k][part][s])) for k in (0, 1)]
                assert window.expected == pytest.approx(expected, rel=1e-6)
                scores = [naive.surprise(observed[k], expected[k]) for k in (0, 1)]
                assert window.kind_scores == pytest.approx(scores, rel=1e-4, abs=1e-6)
                if window.level >= calibration.floor and sum(observed) >= SMALL.min_incidents:
                    reached.append(window)
    return naive.choose(reached)


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[int, LocatedArray]]:
    """Steps in time with records that are new, late, amended, withdrawn, yet to happen, or in cells never seen."""
    steps = []
    for _ in range(draw(st.integers(1, 4))):
        n = draw(st.integers(0, 6))

        def column(low: int, high: int, n: int = n) -> np.ndarray:
            return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)), np.int64)

        rows = located(
            record=np.where(column(0, 1) == 1, column(20_000, 20_006), column(5_000, 5_100)),
            revision=column(1, 4),
            kind=column(0, 1),
            status=column(0, 2),
            ix=column(-2, 1) + 8 * draw(st.integers(0, 1)),
            iy=column(-1, 1),
            occurred=NOW + column(-80, 20) * HOUR_S + column(0, 1) * 1801,
            recorded_us=NOW * 1_000_000,
            incident=column(0, 2),
        )
        steps.append((draw(st.integers(0, 30)) * QUARTER * draw(st.sampled_from([1, 7, 60])), rows))
    return steps


@given(changes(), st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_looks_find_what_a_full_walk_finds_and_a_rebuild_finds_the_same(saved, steps, random) -> None:
    detector, as_of, parts = restored(saved), NOW, dict(saved)
    for ahead, rows in steps:
        detector.apply(rows)
        as_of += ahead
        look = detector.look(as_of)
        assert look.detections == expected_windows(detector, as_of)
        parts.update(detector.snapshot())
        # What was saved of it is the same detector.
        other = restored(parts)
        assert_same_windows(detector, other)
        # So is one that got all revisions at once, in another order.
    order = [row for _, rows in steps for row in rows]
    random.shuffle(order)
    if detector.baseline is not None and detector.baseline.fitted_at == restored(saved).baseline.fitted_at:
        bulk = restored(saved)
        bulk.apply(np.array(order, dtype=rows.dtype))
        assert bulk.look(as_of).detections == look.detections
        assert_same_windows(detector, bulk)


def assert_same_windows(one: Detector, other: Detector) -> None:
    a, b = one._windows.counts(), other._windows.counts()
    assert a.keys() == b.keys()
    for cell in a:
        assert (a[cell] == b[cell]).all()
    for ix, iy in list(a)[:25]:
        assert one.evaluate(ix, iy, 2, SMALL.spans_s[2], one.as_of or 0) == other.evaluate(
            ix, iy, 2, SMALL.spans_s[2], one.as_of or 0
        )


def stream(seed: int, days: int) -> LocatedArray:
    rng = np.random.default_rng(seed)
    police = history(rng, days, 6.0, delay_s=20_000)
    ed = history(rng, days, 2.0, kind=0, first_record=50_000, side=10, delay_s=40_000)
    rows = np.concatenate([police, ed])
    amended = rows[rng.random(rows.size) < 0.06].copy()
    amended["revision"], amended["status"] = 2, Status.AMENDED
    amended["ix"] += rng.integers(-1, 2, amended.size)
    amended["recorded_us"] += rng.integers(1, 10 * DAY_S, amended.size) * 1_000_000
    gone = rows[rng.random(rows.size) < 0.02].copy()
    gone["revision"], gone["status"] = 3, Status.WITHDRAWN
    gone["recorded_us"] += rng.integers(1, 20 * DAY_S, gone.size) * 1_000_000
    rows = np.concatenate([rows, amended, gone])
    return rows[np.argsort(rows["recorded_us"], kind="stable")]


def quarters(rows: LocatedArray) -> list[tuple[int, LocatedArray]]:
    """Records by the look at which they are new."""
    moments = -(-rows["recorded_us"] // (QUARTER * 1_000_000)) * QUARTER
    starts = np.flatnonzero(np.diff(moments, prepend=-1))
    return [(int(moments[part[0]]), rows[part]) for part in np.split(np.arange(rows.size), starts[1:])]


def test_stopping_and_starting_anywhere_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    steadily, interrupted, parts = Detector(SMALL, CHICAGO), Detector(SMALL, CHICAGO), {}
    found = refits = apart = 0
    for as_of, rows in quarters(stream(5, 75)):
        steadily.apply(rows)
        interrupted.apply(rows)
        one, other = steadily.look(as_of), interrupted.look(as_of)
        assert one == other
        found += len(one.detections)
        refits += one.refitted
        asked = rng.random()
        if asked < 0.05:
            changes = interrupted.changes() if asked < 0.04 else None
            apart += changes is not None
            parts.update(interrupted.snapshot() if changes is None else changes)
        if rng.random() < 0.02:
            changes = interrupted.changes()
            parts.update(interrupted.snapshot() if changes is None else changes)
            parts = {name: part for name, part in parts.items() if part}
            interrupted = restored(parts)
    assert found > 0
    assert refits >= 5
    assert apart > 10


def test_sizes_of_batches_change_nothing() -> None:
    one, other = Detector(SMALL, CHICAGO), Detector(SMALL, CHICAGO)
    rows = stream(6, 60)
    for as_of, part in quarters(rows):
        for n in range(part.size):
            one.apply(part[n : n + 1])
        if as_of >= NOW - 6 * DAY_S:
            expected = one.look(as_of)
            other.apply(rows[rows["recorded_us"] <= as_of * 1_000_000])
            assert other.look(as_of) == expected
    assert one.calibration is not None


class Counting(Detector):
    """Counts what was not done in a run of looks."""

    singly = 0

    def look(self, as_of: int) -> Look:
        self.singly += 1
        return super().look(as_of)


def steps_of(parts: list[tuple[int, LocatedArray]]) -> Steps:
    ends = np.cumsum([rows.size for _, rows in parts])
    return Steps(np.concatenate([rows for _, rows in parts]), ends, np.array([as_of for as_of, _ in parts]))


def test_many_looks_in_one_go_are_the_same_looks() -> None:
    rng = np.random.default_rng(3)
    rows = stream(8, 90)
    # Old records that come in heaps: the baseline is fitted again before its time.
    heap = history(rng, 60, 12.0, first_record=90_000)
    heap["recorded_us"] = (MONDAY + 70 * DAY_S) * 1_000_000 + np.sort(
        rng.integers(0, 10 * DAY_S, heap.size)
    ) * 1_000_000
    rows = np.concatenate([rows, heap])
    parts = quarters(rows[np.argsort(rows["recorded_us"], kind="stable")])
    one, many = Detector(SMALL, CHICAGO), Counting(SMALL, CHICAGO)
    n = 0
    while n < len(parts):
        some = parts[n : n + int(rng.choice([1, 7, 400]))]
        for (as_of, new), step in zip(some, many.run(steps_of(some)), strict=True):
            applied = one.apply(new)
            assert step.outcome.tolist() == applied.outcome.tolist()
            assert step.removed.tobytes() == applied.removed.tobytes()
            assert step.look == one.look(as_of)
        assert many.snapshot() == one.snapshot()
        assert_same_windows(one, many)
        n += len(some)
    assert 40 < many.singly < 0.8 * len(parts)  # both ways were taken, often


@given(changes(), st.integers(1, 4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_looks_in_one_go_bear_any_records(saved, steps, size: int) -> None:
    one, many = restored(saved), restored(saved)
    as_of, parts = NOW, []
    for ahead, rows in steps:
        as_of += ahead
        parts.append((as_of, rows))
    found = [step for n in range(0, len(parts), size) for step in many.run(steps_of(parts[n : n + size]))]
    for (moment, rows), step in zip(parts, found, strict=True):
        applied = one.apply(rows)
        assert step.outcome.tolist() == applied.outcome.tolist()
        assert step.removed.tobytes() == applied.removed.tobytes()
        assert step.look == one.look(moment)
    assert many.snapshot() == one.snapshot()
    assert_same_windows(one, many)


def test_a_planted_hotspot_is_found_where_it_is(past: LocatedArray) -> None:
    rng = np.random.default_rng(2)
    detector, tracker = Detector(SMALL, CHICAGO), Tracker()
    detector.apply(past)
    calm = detector.look(NOW)
    assert calm.calibration is not None
    tracker.step(calm.detections, NOW, calm.calibration.threshold, calm.calibration.floor)
    planted = located(
        record=np.arange(70_000, 70_010),
        kind=rng.integers(0, 2, 10),
        ix=5 + rng.integers(-1, 2, 10),
        iy=-6 + rng.integers(-1, 2, 10),
        occurred=NOW + np.sort(rng.integers(0, 36 * HOUR_S, 10)),
    )
    opened: list[Detection] = []
    for as_of, rows in quarters(planted):
        detector.apply(rows)
        look = detector.look(as_of)
        calibration = look.calibration
        assert calibration is not None
        step = tracker.step(look.detections, as_of, calibration.threshold, calibration.floor)
        opened += [track.window for track in step.opened]
    near = [w for w in opened if (w.ix - 5) ** 2 + (w.iy + 6) ** 2 <= 4]
    assert len(near) == 1
    assert look.detections[0].score > calibration.threshold
    assert calibration.recurrence_days(look.detections[0].score) > 28 / SMALL.budget_per_28d
    assert min(look.detections[0].observed) > 0  # both kinds are evidence


def test_withdrawing_everything_leaves_nothing(past: LocatedArray, saved: dict[str, bytes]) -> None:
    detector = restored(saved)
    gone = past.copy()
    gone["revision"], gone["status"], gone["recorded_us"] = 9, Status.WITHDRAWN, NOW * 1_000_000
    detector.apply(gone)
    look = detector.look(NOW + 60)
    assert look.detections == []
    assert look.refitted  # most of what the baseline had learned from is gone, and so is the baseline
    assert detector.baseline is None
    assert detector.expected_total(NOW + 60, DAY_S) == (0.0, 0.0)
    assert detector.evaluate(0, 0, 1, SMALL.spans_s[0], NOW + 60).observed == (0, 0)
    assert detector.snapshot()["baseline"] == b""


def test_a_seen_cell_whose_records_are_gone_keeps_its_share_after_a_restart(
    past: LocatedArray, saved: dict[str, bytes]
) -> None:
    detector, parts = restored(saved), dict(saved)
    cells, counts = np.unique(past[["ix", "iy"]], return_counts=True)
    alone = cells[counts == 1][0]
    gone = past[(past["ix"] == alone["ix"]) & (past["iy"] == alone["iy"])].copy()
    gone["revision"], gone["status"] = 2, Status.WITHDRAWN
    detector.apply(gone)
    detector.look(NOW + 60)
    parts.update(detector.snapshot())
    other = restored(parts)
    assert (int(alone["ix"]), int(alone["iy"])) not in other._windows.counts()
    for ix in range(int(alone["ix"]) - 2, int(alone["ix"]) + 3):
        window = (ix, int(alone["iy"]), 2, 24 * HOUR_S, NOW + 60)
        assert detector.evaluate(*window) == other.evaluate(*window)


def test_records_yet_to_happen_are_in_no_window(saved: dict[str, bytes]) -> None:
    detector = restored(saved)
    detector.apply(located(record=np.arange(90_000, 90_009), ix=3, iy=3, occurred=NOW + 5 * HOUR_S * np.arange(1, 10)))
    assert detector.evaluate(3, 3, 0, 6 * HOUR_S, NOW).observed == (0, 0)
    detector.look(NOW + 10 * HOUR_S)
    assert detector.evaluate(3, 3, 0, 6 * HOUR_S, NOW + 10 * HOUR_S).observed == (0, 2)


def test_before_there_is_history_nothing_is_detected() -> None:
    detector = Detector(SMALL, CHICAGO)
    assert detector.look(MONDAY) == Look(MONDAY, [], None, False, False, ())
    detector.apply(located(record=np.arange(1, 30), occurred=MONDAY + 3700 * np.arange(29)))
    look = detector.look(MONDAY + 40 * DAY_S)
    assert look.detections == []
    assert look.calibration is None
    assert detector.evaluate(0, 0, 0, 72 * HOUR_S, MONDAY + 40 * DAY_S).observed == (0, 0)


def test_fits_are_made_at_monday_midnight_by_the_clock_on_the_wall() -> None:
    detector, made, before = Detector(SMALL, CHICAGO), [], 0
    for as_of, rows in quarters(stream(7, 110)):
        detector.apply(rows)
        if detector.look(as_of).refitted and detector.baseline is not None:
            made.append((before, detector.baseline.fitted_at, as_of))
        before = as_of
    local = LocalHours(CHICAGO)  # the clock changed on 13 March, on the way
    for before, fitted_at, as_of in made:
        assert naive.hour_of_week(fitted_at, CHICAGO) == 0
        assert local.midnight(local.day(fitted_at)) == fitted_at
        assert before < fitted_at <= as_of  # at the first look from then on
    weeks = np.diff([fitted_at for _, fitted_at, _ in made])
    assert set(weeks.tolist()) == {7 * DAY_S, 7 * DAY_S - HOUR_S}


def test_history_that_arrives_after_a_fit_is_fitted_at_once(past: LocatedArray) -> None:
    by_time = past[np.argsort(past["occurred"])]
    detector = Detector(SMALL, CHICAGO)
    detector.apply(by_time[: past.size // 2])
    first = detector.look(NOW)
    detector.apply(by_time[past.size // 2 :])
    second = detector.look(NOW + 60)
    at_once = Detector(SMALL, CHICAGO)
    at_once.apply(past)
    assert first.refitted
    assert second.refitted
    assert second.detections == at_once.look(NOW + 60).detections


def test_old_records_are_forgotten() -> None:
    detector = Detector(SMALL, CHICAGO)
    for as_of, part in quarters(stream(9, 110)):
        detector.apply(part)
        detector.look(as_of)
    assert detector.baseline is not None
    oldest = int(detector.store.rows()["occurred"].min())
    assert oldest > MONDAY + 14 * DAY_S
    assert oldest >= detector.baseline.fitted_at - (SMALL.baseline_days + 7) * DAY_S


def test_other_settings_fit_anew(saved: dict[str, bytes]) -> None:
    other = restored(saved, SMALL.model_copy(update={"budget_per_28d": 8.0}))
    assert other.calibration is None
    look = other.look(NOW + 60)
    assert look.refitted
    assert look.calibrated
    assert other.calibration is not None
    before = restored(saved).calibration
    assert before is not None
    assert other.calibration.threshold < before.threshold


def test_expected_total_is_the_level_of_the_records(saved: dict[str, bytes]) -> None:
    ed, police = restored(saved).expected_total(NOW, 72 * HOUR_S)
    assert ed == pytest.approx(7.5, rel=0.35)
    assert police == pytest.approx(21.0, rel=0.35)


def test_time_does_not_go_back(saved: dict[str, bytes]) -> None:
    detector = restored(saved)
    with pytest.raises(ValueError, match="time does not go back"):
        detector.look(NOW - 1)
    with pytest.raises(ValueError, match="as of the last look"):
        detector.evaluate(0, 0, 0, 6 * HOUR_S, NOW + 1)
    with pytest.raises(RuntimeError, match="only a new detector"):
        detector.restore(saved)


def test_a_snapshot_holds_only_what_changed(saved: dict[str, bytes]) -> None:
    assert {"baseline", "calibration", "clock"} < set(saved)
    detector = restored(saved)
    assert set(detector.snapshot()) == {"clock"}
    detector.apply(located(record=[1_000_000], occurred=[MONDAY + DAY_S]))
    assert set(detector.snapshot()) == {"clock", "records/2022-W01"}


def test_warming_up_runs_everything() -> None:
    warm_up()
