"""Feeds: how late they are known, what part each has, batches, silence, and signs that one is broken."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from processors.feedhealth import Finding, at_default_time, check_feeds, default_hours, repeats_volumes
from processors.feeds import (
    LEAST_QUIET_S,
    NEVER_SILENT_S,
    Feeds,
    Heard,
    delays,
    fit_feeds,
    known_by_age,
    last_heard,
    shrunk,
)
from processors.localtime import LocalHours
from processors.shares import find_places
from schemas.detection import DAY_S, HOUR_S
from schemas.feeds import FeedProblem
from schemas.located import Gate, LocatedArray, Status
from tests.builders_processors import MONDAY, located

UTC_HOURS = LocalHours(ZoneInfo("UTC"))
LONDON = LocalHours(ZoneInfo("Europe/London"))


def _fit(rows: LocatedArray, days: int = 200, ages: int = 72) -> Feeds:
    places, _ = find_places(rows["ix"], rows["iy"])
    at = MONDAY + days * DAY_S
    return fit_feeds(rows, places, at, MONDAY, at - 14 * DAY_S, ages * HOUR_S, UTC_HOURS)


def _even(n: int, days: int = 200, **columns: object) -> LocatedArray:
    occurred = MONDAY + 1 + np.arange(n) * (days * DAY_S // n)
    return located(record=np.arange(1, n + 1), occurred=occurred, **columns)


def test_late_records_make_young_ages_incomplete() -> None:
    hours_late = np.tile([0, 1, 5, 100, 5], 20)
    occurred = MONDAY + np.zeros(100, np.int64)
    rows = located(
        record=np.arange(1, 101), occurred=occurred, recorded_us=(occurred + hours_late * HOUR_S) * 1_000_000
    )
    rows["status"][3::5] = Status.AMENDED  # tells when it was amended, not when it was first known
    late = delays(rows, MONDAY + 400 * HOUR_S, 73, UTC_HOURS)
    known = known_by_age(late, np.arange(100), (np.arange(73) == 0).astype(float))
    assert known.shape == (24, 73)
    # Twenty records' worth of promptness for the feed and again for the hour: 80 records, 40 of them 5 hours late.
    feed = (80 - 40 + 20) / (80 + 20)
    assert known[0, 4] == pytest.approx(1 - (40 + 20 * (1 - feed)) / 100)
    assert known[7, 4] == pytest.approx(feed)  # an hour without records is as all hours
    assert known[0, 0] < known[0, 1] == known[0, 4] < known[0, 5] == 1.0


def test_young_records_do_not_make_delays_look_short() -> None:
    """Right truncation: half of all records come 48 hours late; of the last two days only the prompt half is known."""
    rng = np.random.default_rng(1)
    at = MONDAY + 6 * DAY_S
    occurred = rng.integers(MONDAY, at, 4000)
    recorded = occurred + np.where(rng.random(4000) < 0.5, 0, 47 * HOUR_S + 1800)
    rows = located(record=np.arange(1, 4001), occurred=occurred, recorded_us=recorded * 1_000_000)
    rows = rows[recorded <= at]
    late = delays(rows, at, 97, UTC_HOURS)
    known = known_by_age(late, np.arange(rows.size), (np.arange(97) == 0).astype(float))
    prompt = (rows["recorded_us"] == rows["occurred"] * 1_000_000).mean()
    assert prompt > 0.57  # what a count of the known ones would say
    assert known.mean(axis=0)[10] == pytest.approx(0.5, abs=0.03)


def test_hazards_are_those_of_a_slow_count() -> None:
    rng = np.random.default_rng(4)
    at = MONDAY + 30 * DAY_S
    occurred = rng.integers(MONDAY, at, 300)
    recorded = np.minimum(occurred + rng.integers(0, 90 * HOUR_S, 300), at)
    rows = located(record=np.arange(1, 301), occurred=occurred, recorded_us=recorded * 1_000_000)
    late = delays(rows, at, 60, UTC_HOURS)
    came, at_risk = late.by_clock(np.arange(300))
    for delay in (0, 1, 7, 40, 59):
        wanted_came = wanted_risk = 0
        for when, seen in zip(occurred.tolist(), recorded.tolist(), strict=True):
            hours = -(-(seen - when) // HOUR_S)
            old = max((at - when) // HOUR_S, hours)
            wanted_came += hours == delay
            wanted_risk += hours <= delay <= old and hours < 60
        assert came[:, delay].sum() == wanted_came
        assert at_risk[:, delay].sum() == wanted_risk
    assert shrunk(np.array([0.0]), np.array([0.0]), np.array([0.25]))[0] == 0.25


def test_a_batch_each_morning_is_known_by_the_hour_of_the_event() -> None:
    """One record a day at most: too few for deliveries to show, but the hour of the day tells."""
    rng = np.random.default_rng(2)
    occurred = MONDAY + np.arange(1, 900) * DAY_S + rng.integers(0, 24, 899) * HOUR_S
    batch = occurred // DAY_S * DAY_S + 7 * HOUR_S + 60
    batch[batch < occurred] += DAY_S
    rows = located(record=np.arange(1, 900), occurred=occurred, recorded_us=batch * 1_000_000)
    late = delays(rows, MONDAY + 1000 * DAY_S, 49, UTC_HOURS)
    known = known_by_age(late, np.arange(rows.size), (np.arange(49) == 0).astype(float))
    # Forty records of each hour, held to those of all hours by twenty.
    assert known[21, 9] < 0.4 < 0.75 < known[21, 11]  # what happened at 21:00 is known from 07:01
    assert known[6, 2] > 0.45 > known[9, 20]


@pytest.mark.parametrize("weekly", [False, True])
def test_batches_are_seen_and_judged_from_their_last_delivery(weekly: bool) -> None:
    rows = _even(2000)
    period = 7 * DAY_S if weekly else DAY_S
    recorded = MONDAY + ((rows["occurred"] - MONDAY) // period + 1) * period + 6 * HOUR_S
    rows["recorded_us"] = recorded * 1_000_000
    feeds = _fit(rows[recorded < MONDAY + 200 * DAY_S], ages=14 * 24)
    assert feeds.batches.tolist() == [1]
    assert feeds.lag_s.tolist() == [0]
    # At a delivery all is known but what happened in the six hours since midnight.
    assert feeds.known[0, 0, 3] < 0.1
    assert feeds.known[0, 0, 9] > 0.9
    assert feeds.quiet_s[0] == pytest.approx(1.5 * period, rel=0.02)
    assert np.diff(feeds.deliveries).min() == period


def test_records_that_come_one_by_one_are_no_batches() -> None:
    rng = np.random.default_rng(3)
    occurred = np.sort(rng.integers(MONDAY, MONDAY + 200 * DAY_S, 2800))  # 14 a day
    feeds = _fit(located(record=np.arange(1, 2801), occurred=occurred))
    assert feeds.batches.tolist() == [0]
    starts = occurred[np.diff(occurred, prepend=0) > 1800]  # what comes within half an hour is one delivery
    gaps = np.sort(np.diff(starts))
    assert feeds.quiet_s[0] == max(int(1.5 * gaps[-3]), LEAST_QUIET_S)
    few = _fit(located(record=np.arange(1, 11), occurred=MONDAY + np.arange(10) * DAY_S))
    assert few.quiet_s.tolist() == [NEVER_SILENT_S]


def test_a_feed_of_which_nothing_is_new_is_taken_to_be_prompt_and_never_silent() -> None:
    rows = _even(500)
    places, _ = find_places(rows["ix"], rows["iy"])
    at = MONDAY + 900 * DAY_S
    feeds = fit_feeds(rows, places, at, MONDAY, at - 14 * DAY_S, 72 * HOUR_S, UTC_HOURS)
    assert (feeds.known[0] > 0.999).all()
    assert feeds.quiet_s.tolist() == [NEVER_SILENT_S]


def test_parts_are_those_of_the_quarter_and_sum_to_one() -> None:
    west, east = _even(900, kind=0, source=1, ix=2, iy=3), _even(300, kind=0, source=4, ix=40, iy=3)
    police = _even(500, kind=1, source=0, ix=2, iy=3)
    feeds = _fit(np.concatenate([west, east, police]))
    assert [*zip(feeds.kind.tolist(), feeds.source.tolist(), strict=True)] == [(0, 1), (0, 4), (1, 0)]
    assert feeds.first.tolist() == [0, 2, 3]
    np.testing.assert_allclose(feeds.part[:, :2].sum(axis=1), 1.0)
    np.testing.assert_allclose(feeds.part[:, 2], 1.0)
    assert feeds.part[0, 0] > 0.98
    assert feeds.part[1, 1] > 0.9
    assert feeds.part_of_all[0] == pytest.approx(0.75, abs=0.01)


def test_what_was_heard_does_not_depend_on_the_order_of_arrival() -> None:
    rows = _even(50, source=np.arange(50) % 3, kind=np.arange(50) % 2)
    rows["status"][7] = Status.WITHDRAWN
    feeds = _fit(np.concatenate([rows] * 3))
    orders = [np.arange(50), np.random.default_rng(1).permutation(50)]
    heard = []
    for order in orders:
        one = Heard()
        one.hear(rows[order[:20]])
        one.follow(feeds)
        one.hear(rows[order[20:]])
        heard.append((one.of_feeds.tolist(), one.state()))
        again = Heard()
        again.restore(one.state())
        assert again.follow(feeds).tolist() == heard[-1][0]
    assert heard[0] == heard[1]
    assert heard[0][0] == last_heard(rows, feeds).tolist()


def _times(*times: str) -> np.ndarray:
    return np.array([int(datetime.fromisoformat(t).replace(tzinfo=UTC).timestamp()) for t in times])


def test_a_default_time_is_found_and_round_hours_are_not() -> None:
    rng = np.random.default_rng(9)
    # People round to the full hour, more so in the evening.
    hours = np.repeat(np.arange(24), 20 + 30 * (np.arange(24) > 17))
    rounded = MONDAY + rng.integers(0, 300, hours.size) * DAY_S + hours * HOUR_S
    somewhere = rng.integers(0, 2000, rounded.size)
    assert default_hours(rounded, somewhere) == []
    midnights = MONDAY + rng.integers(0, 300, 150) * DAY_S
    everything, places = np.concatenate([rounded, midnights]), np.concatenate([somewhere, rng.integers(0, 2000, 150)])
    assert default_hours(everything, places) == [0]
    assert default_hours(np.where(everything % DAY_S == 0, everything + 17, everything), places) == []  # not exact
    places[rounded.size :] = 7
    assert default_hours(everything, places) == []  # a club that closes at midnight


@pytest.mark.parametrize("utc", [False, True])
def test_a_default_time_is_told_once_and_gates_its_own_feed_alone(utc: bool) -> None:
    rng = np.random.default_rng(5)
    day = MONDAY + rng.integers(0, 364, 400) * DAY_S
    midnight = day if utc else day - LONDON.offsets(day)
    exact = located(record=np.arange(1, 401), source=2, occurred=midnight, ix=rng.integers(0, 30, 400))
    usual = located(record=np.arange(1001, 2001), source=2, occurred=MONDAY + rng.integers(0, 364 * DAY_S, 1000))
    other = located(record=np.arange(3001, 3041), source=3, occurred=midnight[:40])
    rows = np.concatenate([exact, usual, other])
    rows["gate"][5] = Gate.INSTITUTION
    health = check_feeds(rows[:1400], MONDAY + 364 * DAY_S, LONDON)
    assert health.findings == (Finding(1, 2, FeedProblem.DEFAULT_TIMES),)
    gated = at_default_time(rows, health.defaults, LONDON)
    assert gated[:400].mean() > 0.95
    assert gated[400:1400].mean() < 0.01
    assert not gated[1400:].any()
    assert not at_default_time(rows, (), LONDON).any()


def test_equal_months_are_no_chance() -> None:
    at = int(_times("2022-06-03T00:00:00")[0])
    days = [np.full(30, (date(2022, month, 5) - date(1970, 1, 1)).days) for month in (2, 3, 4, 5)]
    assert repeats_volumes(np.concatenate(days), at)
    assert not repeats_volumes(np.concatenate(days)[1:], at)
    assert not repeats_volumes(np.concatenate([day[:4] for day in days]), at)


def test_an_hour_off_in_summer_and_a_thin_feed_are_found() -> None:
    rng = np.random.default_rng(8)
    days = np.repeat(np.arange(364), 5)
    local = days * DAY_S + (np.round(rng.normal(15, 3, days.size)) % 24).astype(np.int64) * HOUR_S + 700
    right = MONDAY + local - LONDON.offsets(MONDAY + local)
    at = MONDAY + 364 * DAY_S
    for occurred, wrong in ((right, False), (MONDAY + local, True)):
        rows = located(record=np.arange(1, days.size + 1), occurred=occurred)
        found = [finding.problem for finding in check_feeds(rows, at, LONDON).findings]
        assert found == ([FeedProblem.SHIFTED_HOUR] if wrong else [])
    thin = located(record=np.arange(1, days.size + 1), occurred=right)[: days.size - 60]
    assert [f.problem for f in check_feeds(thin, at, LONDON).findings] == [FeedProblem.THIN]
