"""What is usual: level, season, week, shares and delays, each against an obvious twin or a known truth."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.arrays import KINDS
from processors.baseline import Baseline, fit_baseline, from_bytes, to_bytes
from processors.cells import CellIndex
from processors.exposure import exposure, least_exposure
from processors.feeds import LEAST_KNOWN
from processors.incidents import incidents
from processors.localtime import LocalHours
from processors.masses import Masses
from processors.public_holidays import PublicHolidays
from processors.season import fit_season, week_profile
from processors.shares import SHAPES, find_places, fit_shape, region_total, shrink_children, unpack, unseen
from schemas.detection import DAY_S, HOUR_S, DetectionSettings, WeekPart
from schemas.located import LocatedArray, pack_cell
from tests import naive
from tests.builders_processors import MONDAY, SMALL, history, located

LONDON = ZoneInfo("Europe/London")
UTC_ZONE = ZoneInfo("UTC")


def fit(rows: LocatedArray, at: int, chosen: DetectionSettings = SMALL, zone: ZoneInfo = LONDON) -> Baseline | None:
    return fit_baseline(incidents(rows, chosen.merge_minutes * 60), rows, at, chosen, LocalHours(zone))


@pytest.fixture(scope="module")
def fitted() -> Baseline:
    rng = np.random.default_rng(11)
    police = history(rng, 84, 8.0, delay_s=30_000)
    ed = history(rng, 84, 2.0, kind=0, first_record=10_000, side=10, delay_s=90_000)
    baseline = fit(np.concatenate([police, ed]), MONDAY + 84 * DAY_S)
    assert baseline is not None
    assert baseline.scored == (True, True)
    return baseline


def share_of(baseline: Baseline, ix: int, iy: int) -> list[float]:
    """The share of one cell, found by walking down from its cell to its tiles."""
    cells = list(zip(baseline.places.ix.tolist(), baseline.places.iy.tolist(), strict=True))
    if (ix, iy) in cells:
        return baseline.shares.cell[cells.index((ix, iy))].tolist()
    for keys, side, share in (
        (baseline.places.small, 4, baseline.shares.small),
        (baseline.places.large, 16, baseline.shares.large),
    ):
        tiles = list(zip(*(v.tolist() for v in unpack(keys)), strict=True))
        if (ix // side, iy // side) in tiles:
            return share[tiles.index((ix // side, iy // side))].tolist()
    return baseline.shares.beyond.tolist()


def test_shares_of_all_cells_of_the_region_sum_to_one(fitted: Baseline) -> None:
    np.testing.assert_allclose(region_total(fitted.places, fitted.shares), 1.0, rtol=1e-12)
    x, y = unpack(fitted.places.large)
    total = np.zeros(8)
    for ix in range(x.min() * 16, (x.max() + 1) * 16):
        for iy in range(y.min() * 16, (y.max() + 1) * 16):
            share = share_of(fitted, ix, iy)
            assert min(share) > 0
            total += share
    np.testing.assert_allclose(total, 1.0, rtol=1e-9)
    cells, in_large, elsewhere = unseen(fitted.places)
    everywhere = fitted.places.ix.size + cells.sum() + in_large.sum() + elsewhere
    assert everywhere == fitted.places.n_large * 256


def test_masses_are_sums_of_shares_over_discs(fitted: Baseline) -> None:
    index = CellIndex((0, 1, 2, 5))
    index.ensure(np.array([40, -60, 9, 8], np.int32), np.array([40, 3, -20, 7], np.int32))
    index.ensure(fitted.places.ix, fitted.places.iy)
    mass = np.zeros((index.capacity, 4, 8), np.float32)
    masses = Masses(fitted, index)
    masses.fill(np.arange(index.size), mass)
    for cell in [0, 1, 2, 3, *range(4, index.size, 7)]:
        x, y = int(index.ix[cell]), int(index.iy[cell])
        for r, radius in enumerate((0, 1, 2, 5)):
            expected = np.sum([share_of(fitted, x + dx, y + dy) for dx, dy in naive.disc(radius)], axis=0)
            np.testing.assert_allclose(mass[cell, r], expected, rtol=1e-6)  # in single precision


def test_a_cell_added_later_has_the_same_mass_to_the_bit(fitted: Baseline) -> None:
    together, later = CellIndex((0, 3)), CellIndex((0, 3))
    ix, iy = fitted.places.ix, fitted.places.iy
    new = np.array([50, 51, 3], np.int32)
    together.ensure(np.concatenate([new, ix]), np.concatenate([new, iy]))
    later.ensure(ix, iy)
    masses = Masses(fitted, later)
    mass = np.zeros((500, 2, 8), np.float32)
    masses.fill(np.arange(later.size), mass)
    before = later.size
    later.ensure(new, new)
    masses.fill(np.arange(before, later.size), mass)
    whole = np.zeros((500, 2, 8), np.float32)
    Masses(fitted, together).fill(np.arange(together.size), whole)
    for cell in range(later.size):
        other = together.find(int(later.ix[cell]), int(later.iy[cell]))
        assert (mass[cell] == whole[other]).all()


def test_masses_that_follow_others_are_those_made_alone(fitted: Baseline) -> None:
    places, shares = fitted.places, fitted.shares
    fewer = np.arange(places.ix.size) > 0  # one cell less, in a tile that others keep
    assert (places.small_of == places.small_of[0]).sum() > 1
    earlier = fitted._replace(
        places=places._replace(ix=places.ix[fewer], iy=places.iy[fewer], small_of=places.small_of[fewer]),
        shares=shares._replace(cell=shares.cell[fewer]),
    )
    index = CellIndex((0, 1, 2, 5))
    index.ensure(places.ix, places.iy)
    alone, after = np.zeros((2, index.capacity, 4, 8), np.float32)
    Masses(fitted, index).fill(np.arange(index.size), alone)
    Masses(fitted, index, Masses(earlier, index)).fill(np.arange(index.size), after)
    assert (after == alone).all()


@given(
    st.dictionaries(st.integers(0, 15), st.integers(0, 40), min_size=1, max_size=16),
    st.floats(0.01, 500),
)
@settings(max_examples=80, deadline=None)
def test_children_share_what_their_parent_has(counts: dict[int, int], total: float) -> None:
    n = np.array([counts[key] for key in sorted(counts)], float)
    child, other, a = shrink_children(n, np.zeros(n.size, np.int64), np.array([total]), 16)
    expected, absent = naive.shrink(counts, total, 16, a)
    np.testing.assert_allclose(child, [expected[key] for key in sorted(counts)], rtol=1e-9)
    assert other[0] == pytest.approx(absent, rel=1e-9)
    assert child.sum() + (16 - n.size) * other[0] == pytest.approx(total)


def test_the_shape_is_the_likeliest_of_those_tried() -> None:
    rng = np.random.default_rng(3)
    for true in (0.1, 0.7, 6.0):
        parents = [rng.poisson(rng.gamma(true, 3.0 / true, 16)).astype(float) for _ in range(60)]
        seen = [n[n > 0] for n in parents]
        e = np.array([max(n.sum(), 1e-3) / 16 for n in parents])
        parent = np.repeat(np.arange(60), [n.size for n in seen])
        a = fit_shape(np.concatenate(seen), parent, e, np.array([n.size for n in seen]), 16)
        asked = [p for p in range(60) if seen[p].size]
        scores = [sum(naive.likelihood(seen[p], e[p], 16, shape) for p in asked) for shape in SHAPES]
        assert a == SHAPES[int(np.argmax(scores))]
        assert true / 2 < a < true * 2


@pytest.mark.parametrize("hours", [0, 1, 5, 24, 60])
@pytest.mark.parametrize("zone", ["Europe/London", "America/Chicago"])
@pytest.mark.parametrize("around", ["2024-03-31", "2024-10-27", "2024-03-10", "2024-11-03", "2024-06-05"])
@pytest.mark.parametrize("silent_s", [0, 20 * HOUR_S + 500])
def test_exposure_is_a_walk_over_the_hours_through_changes_of_the_clock(
    fitted: Baseline, hours: int, zone: str, around: str, silent_s: int
) -> None:
    local = LocalHours(ZoneInfo(zone))
    as_of = int(np.datetime64(around, "s").astype(int)) + hours * HOUR_S + 1234
    spans = np.array([HOUR_S, 5 * HOUR_S + 17, DAY_S, 72 * HOUR_S], np.int64)
    rates = fitted.rates(local.hours((as_of - 80 * HOUR_S) // HOUR_S, as_of // HOUR_S + 40), np.zeros(2, np.int64))
    rates.heard[:] = as_of, as_of - silent_s
    rates.lag_s[:] = 0, 7 * HOUR_S
    shapes = [(span, part) for part in WeekPart for span in spans.tolist()]
    got = exposure(rates, as_of, *np.array(shapes).T.copy())
    for k in range(KINDS):
        season = fitted.seasons[k]
        assert season is not None

        def rate_at(hour: int, season=season) -> float:
            return naive.rate(season.harmonics, season.level, season.week, hour, ZoneInfo(zone))

        until = as_of - silent_s if k == 1 and silent_s > 7 * HOUR_S else None
        feed = np.maximum(fitted.feeds.known[k], LEAST_KNOWN)
        expected = [
            row
            for part in WeekPart
            for row in naive.exposure(rate_at, feed, as_of, spans.tolist(), ZoneInfo(zone), until, part)
        ]
        np.testing.assert_allclose(got[:, 4 * k : 4 * k + 4], expected, rtol=1e-10, atol=1e-15)


def test_records_that_come_sooner_than_ever_are_no_endless_surprise() -> None:
    """A batch that has never brought what happened within a week does so for once."""
    rows = history(np.random.default_rng(5), 84, 8.0)
    week = (rows["occurred"] - MONDAY) // (7 * DAY_S)
    rows["recorded_us"] = (MONDAY + (week + 2) * 7 * DAY_S) * 1_000_000
    at, local = MONDAY + 84 * DAY_S, LocalHours(LONDON)
    fitted = fit(rows[rows["recorded_us"] <= at * 1_000_000], at)
    assert fitted is not None
    assert fitted.feeds.known.max() == 0.0  # at any age of a window
    rates = fitted.rates(local.hours(at // HOUR_S - 100, at // HOUR_S), np.full(1, at))
    day, whole = np.array([DAY_S], np.int64), np.zeros(1, np.int64)
    prompt = exposure(rates._replace(known=np.ones_like(rates.known)), at, day, whole)
    np.testing.assert_allclose(exposure(rates, at, day, whole), LEAST_KNOWN * prompt)


@given(st.integers(0, 400), st.integers(1, 30 * HOUR_S), st.booleans(), st.sampled_from([0, 9 * HOUR_S]))
@settings(max_examples=60, deadline=None)
def test_the_least_exposure_is_below_every_moment_of_its_hours(
    fitted: Baseline, start: int, ahead: int, late: bool, lag_s: int
) -> None:
    local = LocalHours(LONDON)
    begin = 1_711_700_000 + start * 977  # about the spring change
    hours = local.hours(begin // HOUR_S - 100, begin // HOUR_S + 100)
    rates = fitted.rates(hours, np.zeros(2, np.int64))
    if not late:
        rates = rates._replace(known=np.ones((2, 24, 2)))
    rates = rates._replace(lag_s=np.array([lag_s, 9 * HOUR_S]), quiet_s=np.full(2, 9 * HOUR_S))
    rates.heard[:] = begin - 2 * HOUR_S, begin - 7_000
    spans = np.array([HOUR_S, 6 * HOUR_S, 7 * HOUR_S + 100, 24 * HOUR_S, 72 * HOUR_S], np.int64)
    spans, parts = np.array([(span, part) for part in (0, 1, 4) for span in spans.tolist()]).T.copy()
    least, of_feed = least_exposure(rates, begin, begin + ahead, spans, parts)
    for moment in (begin, begin + ahead // 3, begin + ahead - 1):
        rates.heard[:] = np.maximum(rates.heard, moment - np.array([8, 3]) * HOUR_S)  # no feed falls silent
        now = exposure(rates, moment, spans, parts)
        assert (now >= least).all()
        assert (now.reshape(spans.size, KINDS, 4).sum(axis=2) >= of_feed).all()


def test_rates_do_not_depend_on_the_run_of_hours_they_are_asked_in(fitted: Baseline) -> None:
    local = LocalHours(LONDON)
    first = MONDAY // HOUR_S
    heard = np.zeros(2, np.int64)
    whole = fitted.rates(local.hours(first, first + 900), heard)
    part = fitted.rates(local.hours(first + 311, first + 399), heard)
    assert (whole.rate[:, 311:400] == part.rate).all()
    assert (whole.block[311:400] == part.block).all()


def test_a_known_season_week_and_level_are_found_again() -> None:
    rng = np.random.default_rng(8)
    local = LocalHours(LONDON)
    first = local.midnight(18_600) // HOUR_S
    hours = local.hours(first, first + 730 * 24 - 1)
    angle = 2 * np.pi * hours.day / 365.2425
    week = 1.0 + 0.6 * np.sin(np.arange(168) / 168 * 2 * np.pi)
    rate = np.exp(3.0 + 0.3 * np.cos(angle) - 0.2 * np.sin(2 * angle)) / 24 * week[hours.of_week]
    rate[-56 * 24 :] *= 1.25
    n = rng.poisson(rate)
    season = fit_season(np.repeat(np.arange(n.size), n), hours, 56, 0)
    # The raised last weeks are a part of the year too, so the harmonics bend towards them; the level makes up for it.
    np.testing.assert_allclose(season.harmonics, [3.0, 0.3, 0.0, 0.0, -0.2], atol=0.12)
    assert season.level > 1.05
    recent = season.rate(local.hours(first + 690 * 24, first + 730 * 24 - 1)).sum() * HOUR_S
    assert recent == pytest.approx(rate[690 * 24 :].sum(), rel=0.04)
    assert np.abs(season.week - week).mean() < 0.1  # about 90 incidents an hour of the week: each is off by a tenth
    assert season.week.mean() == pytest.approx(1.0)


def test_a_part_of_a_year_is_not_taken_for_a_season() -> None:
    local = LocalHours(LONDON)
    first = local.midnight(18_600) // HOUR_S
    hours = local.hours(first, first + 120 * 24 - 1)
    rise = np.linspace(10, 30, 120)
    n = np.random.default_rng(2).poisson(np.repeat(rise / 24, 24)[: hours.day.size])
    season = fit_season(np.repeat(np.arange(n.size), n), hours, 28, 0)
    assert np.abs(season.harmonics[1:]).max() < 0.05
    assert np.exp(season.harmonics[0]) * season.level == pytest.approx(27.5, rel=0.12)  # the last weeks' level


def test_no_hour_of_the_week_is_impossible() -> None:
    counts = np.zeros(168)
    counts[5] = 30
    profile = week_profile(counts, np.full(168, 52.0))
    assert profile.min() > 0
    assert profile.mean() == pytest.approx(1.0)
    assert profile.argmax() == 5


def test_places_find_their_tiles_also_west_and_south_of_the_origin() -> None:
    ix, iy = np.array([-1, -17, 0, -1], np.int32), np.array([-1, 3, 0, -1], np.int32)
    places, row = find_places(ix, iy)
    for n in range(4):
        assert (places.ix[row[n]], places.iy[row[n]]) == (ix[n], iy[n])
        tile = places.small_of[row[n]]
        assert places.small[tile] == pack_cell(np.int64(ix[n] // 4), np.int64(iy[n] // 4))
        assert places.large[places.large_of[tile]] == pack_cell(np.int64(ix[n] // 16), np.int64(iy[n] // 16))
    assert places.n_large == 3 * 2  # columns -2..0, rows -1..0


def test_too_little_history_gives_no_baseline() -> None:
    rows = history(np.random.default_rng(1), 84, 8.0)
    assert fit(rows[:0], MONDAY) is None
    assert fit(rows, MONDAY + 29 * DAY_S) is None  # 27 days before the guard gap
    assert fit(rows[::20], MONDAY + 84 * DAY_S) is None  # too few
    assert fit(rows, MONDAY + 400 * DAY_S) is None  # all too old
    assert fit(rows, MONDAY + 84 * DAY_S) is not None


def test_a_kind_with_little_history_is_left_out() -> None:
    rng = np.random.default_rng(4)
    police = history(rng, 84, 8.0)
    few = history(rng, 84, 0.2, kind=0, first_record=90_000)
    young = history(rng, 20, 5.0, kind=0, first_record=90_000, start=MONDAY + 60 * DAY_S)
    for ed in (few, young):
        baseline = fit(np.concatenate([police, ed]), MONDAY + 84 * DAY_S)
        assert baseline is not None
        assert baseline.scored == (False, True)
        assert (baseline.shares.cell[:, :4] == 0).all()


def test_records_in_one_cell_make_a_baseline_too() -> None:
    rows = located(record=np.arange(1, 201), occurred=MONDAY + np.arange(200) * 30_000)
    baseline = fit(rows, MONDAY + 70 * DAY_S)
    assert baseline is not None
    assert 0.5 < baseline.shares.cell[0, 4:].min() < 1.0
    np.testing.assert_allclose(region_total(baseline.places, baseline.shares)[4:], 1.0)


def test_expected_equals_observed_over_the_past(fitted: Baseline) -> None:
    for k, per_day in ((0, 2.0), (1, 8.0)):
        assert fitted.yearly()[k] / 365 == pytest.approx(per_day, rel=0.2)


def test_packing_is_exact_and_repeatable(fitted: Baseline) -> None:
    packed = to_bytes(fitted)
    again = from_bytes(packed)
    assert to_bytes(again) == packed
    assert again.fitted_at == fitted.fitted_at
    assert (again.shares.cell == fitted.shares.cell).all()
    assert [s and s.level for s in again.seasons] == [s and s.level for s in fitted.seasons]
    with pytest.raises(ValueError, match="header says"):
        from_bytes(packed + b"x")
    with pytest.raises(ValueError, match="format"):
        from_bytes(packed.replace(b'"format":2', b'"format":9'))


def test_order_of_records_does_not_change_a_bit() -> None:
    rows = history(np.random.default_rng(21), 84, 8.0)
    shuffled = rows[np.random.default_rng(0).permutation(rows.size)]
    one, other = fit(rows, MONDAY + 84 * DAY_S), fit(shuffled, MONDAY + 84 * DAY_S)
    assert one is not None
    assert other is not None
    assert to_bytes(one) == to_bytes(other)


def test_a_holiday_counts_as_its_kind_of_day_and_has_a_level_of_its_own() -> None:
    rng = np.random.default_rng(3)
    local = LocalHours(LONDON, PublicHolidays("GB-ENG"))
    start = local.midnight(18_628) // HOUR_S  # 2021-01-01
    hours = local.hours(start, start + 4 * 365 * 24)
    christmas = local.holidays.names.index("Christmas Day") + 1
    rate = 2.0 * (1.0 + (hours.of_week >= 120)) * np.where(hours.holiday == christmas, 2.5, 1.0)
    n = rng.poisson(rate)
    season = fit_season(np.repeat(np.arange(n.size), n), hours, 56, len(local.holidays.names))
    assert season.holidays[0] == 1.0
    assert 1.9 < season.holidays[christmas] < 2.6  # held back by a usual day, and four times seen only
    others = np.delete(season.holidays, [0, christmas])
    assert np.abs(others - 1.0).max() < 0.25
    # A Monday in May that is a holiday is expected as a Sunday is; without a calendar as a Monday.
    monday = local.midnight(19_478) // HOUR_S  # 2023-05-01
    as_sunday, plain = local.hours(monday, monday + 23), LocalHours(LONDON).hours(monday, monday + 23)
    assert (as_sunday.of_week == plain.of_week + 144).all()
    assert (
        season.rate(as_sunday).sum()
        > 1.5
        * season._replace(holidays=np.ones_like(season.holidays))
        .rate(plain._replace(holiday=np.zeros_like(plain.holiday)))
        .sum()
    )


def test_hours_around_a_holiday_belong_to_it() -> None:
    local = LocalHours(LONDON, PublicHolidays("GB-ENG"))
    first = local.midnight(19_715) // HOUR_S  # 2023-12-24, a Sunday
    hours = local.hours(first, first + 5 * 24 - 1)
    name = ["", *local.holidays.names]
    told = [name[number] for number in hours.holiday]
    assert told == [""] * 18 + ["Christmas Day"] * 30 + ["Boxing Day"] * 30 + [""] * 42
    assert (hours.of_week[18:24] // 24 == 5).all()  # the eve is a Saturday evening
    assert (hours.of_week[24:42] // 24 == 6).all()
    assert (hours.of_week[42:48] // 24 == 5).all()  # Boxing Day is a day off too
    assert (hours.of_week[48:72] // 24 == 6).all()
    assert hours.of_week[72] == 48  # Wednesday again
    with pytest.raises(ValueError, match="GB-ENG"):
        PublicHolidays("XX")
