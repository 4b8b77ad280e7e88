"""The measures of a backtest against slow twins and by hand."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date, timedelta
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

import schemas.backtest
from evaluation.capture import AREAS, COUNTED_DAYS, Caught, Week, Weeks, by_counts, in_first
from evaluation.effects import planned, variants
from evaluation.grid import FAMILIES, family
from evaluation.hotspot_files import HotspotFileError, specs_of
from evaluation.lateness import Lateness
from evaluation.matching import Found, disc_cells, found, window_cells
from evaluation.measures import by_trait, conditional_delay, overlap, quartiles, run_lengths
from evaluation.methods import Openings, as_seen, opened
from evaluation.monitored import Monitored
from evaluation.nulls import NullYears, histories, null_check, reliability
from evaluation.plan import GROUPS, Plan
from evaluation.planting import Hotspot, Planter, Sources
from evaluation.provenance import code_facts, data_facts
from evaluation.second import NotOneSourceError, split_second
from evaluation.tracks import Life, Opened, lives_of
from processors.grid import Grid
from processors.localtime import DAY_S, HOUR_S, LocalHours
from schemas.backtest import BacktestMetrics
from schemas.base import Contract
from schemas.evaluation import HotspotSpec
from schemas.located import Kind, LocatedArray
from schemas.region import load_region
from tests.builders import detection
from tests.builders_processors import MONDAY, SMALL, history, located
from tests.running import ROOT

REGION = load_region(ROOT / "regions" / "chicago.toml")
LOCAL = LocalHours(REGION.zone)
MICRO = 1_000_000
POLICE = int(Kind.POLICE) << 16


def spec(**fields: object) -> HotspotSpec:
    return HotspotSpec.model_validate({"name": "one", "radius_m": 500.0, "days": 10.0, "incidents": 12, **fields})


def hotspot(**fields: object) -> Hotspot:
    given = Hotspot(0, 0, spec(), 125.0, 125.0, MONDAY, MONDAY + 10 * DAY_S, (), 1.0)
    return given._replace(**fields)  # type: ignore[arg-type]


def outcome(days: float | None, stood: bool = False, **fields: object) -> Found:
    at = None if days is None else MONDAY + round(days * DAY_S)
    return Found(hotspot(spec=spec(**fields)), at, None, None, stood)


def plan(rows: LocatedArray, **fields: object) -> Plan:
    given: dict[str, object] = {
        "rows": rows,
        "region": REGION,
        "local": LOCAL,
        "settings": SMALL,
        "since": MONDAY + 60 * DAY_S,
        "until": MONDAY + 100 * DAY_S,
        "lateness": Lateness.AS_RECORDED,
        "specs": (),
        "methods": (),
        "seed": 1,
        **fields,
    }
    return Plan(**given)  # type: ignore[arg-type]


# --- where the next week's incidents were ------------------------------------------------------------------------


def test_cells_of_one_rank_share_their_hits() -> None:
    score, hits = np.array([3.0, 1.0, 2.0, 1.0, 1.0]), np.array([5.0, 3.0, 1.0, 0.0, 6.0])
    assert [in_first(score, hits, k) for k in (1, 2, 3, 5)] == [5.0, 6.0, 9.0, 15.0]


def test_captures_are_sums_over_weeks_by_hand() -> None:
    caught = Caught()
    cells = np.arange(100)
    hits = np.zeros(100, np.int64)
    hits[[0, 1, 50]] = 4, 1, 5
    caught.add(Week(MONDAY, cells, hits, 12), -cells.astype(float))  # two came where nothing had been before
    hits = np.zeros(100, np.int64)
    hits[99] = 3
    caught.add(Week(MONDAY, cells, hits, 3), -cells.astype(float))
    one, two, five = caught.told()
    assert (one.area, two.area, five.area) == AREAS
    assert one.hit_rate == pytest.approx(4 / 15)
    assert one.pai == pytest.approx(4 / 15 / 0.01)
    assert one.pei == pytest.approx(4 / (5 + 3))
    assert two.pei == pytest.approx(5 / (9 + 3))
    assert five.pai == pytest.approx(5 / 15 / 0.05)
    assert Caught().told() == ()


def test_weeks_and_counts_are_those_of_a_walk_over_records() -> None:
    rows = history(np.random.default_rng(1), 120, 8.0, delay_s=3 * DAY_S)
    since, until = MONDAY + 60 * DAY_S, MONDAY + 100 * DAY_S
    weeks = Weeks(rows, 0, since, until, LOCAL)
    mondays = [since + n * HOUR_S for n in range((until - since) // HOUR_S)]
    clock = [at + int(LOCAL.offsets(np.array([at]))[0]) for at in mondays]
    mondays = [at for at, c in zip(mondays, clock, strict=True) if c % (7 * DAY_S) == 4 * DAY_S + 8 * HOUR_S]
    assert weeks.mondays == tuple(at for at in mondays if at + 7 * DAY_S <= until)
    twin, caught = Caught(), by_counts(rows, weeks, 0, 28)
    for monday in weeks.mondays:
        known = [row for row in rows if row["recorded_us"] <= monday * MICRO]
        cells = sorted({(int(row["ix"]), int(row["iy"])) for row in known})
        came = Counter(
            (int(row["ix"]), int(row["iy"])) for row in rows if monday <= row["occurred"] < monday + 7 * DAY_S
        )
        before = Counter(
            (int(row["ix"]), int(row["iy"])) for row in known if monday - 28 * DAY_S < row["occurred"] <= monday
        )
        week = weeks.week(monday)
        assert (week.cells.size, week.incidents) == (len(cells), sum(came.values()))
        hits = np.array([came[cell] for cell in cells])
        assert sorted(week.hits.tolist()) == sorted(hits.tolist())
        twin.add(Week(monday, np.arange(len(cells)), hits, week.incidents), np.array([float(before[c]) for c in cells]))
    assert [value for one in caught for value in one.model_dump().values()] == pytest.approx(
        [value for one in twin.told() for value in one.model_dump().values()]
    )


def test_asking_a_monitor_on_mondays_changes_nothing() -> None:
    rows = history(np.random.default_rng(3), 120, 25.0)
    asked: list[int] = []
    since, until = MONDAY + 60 * DAY_S, MONDAY + 110 * DAY_S
    monitored = Monitored(REGION, SMALL)
    stops = [since + n * 7 * DAY_S + HOUR_S for n in range(7)]
    often = monitored.watch(rows, since, until, stops, lambda monitor, at: asked.append(monitor.last_look))
    once = monitored.watch(rows, since, until)
    assert often == once
    assert len(once.told) > 3
    assert all(stop - DAY_S < at < stop for stop, at in zip(stops, asked, strict=True))
    for told in once.told:
        assert told.highest_days >= told.opening.recurrence_interval_days - 0.05
        assert (told.closed_at is None) == (told.revisions == 1) or told.revisions > 2
        assert told.life.opened_at == told.opening.opened_at.timestamp()


# --- what was found ----------------------------------------------------------------------------------------------


def test_lives_of_a_method_open_where_its_openings_are() -> None:
    rng = np.random.default_rng(5)
    looks = [
        (
            MONDAY + n * 6 * HOUR_S,
            [(int(x), int(y), int(r), 2 * DAY_S, float(s)) for x, y, r, s in rng.integers(0, [9, 9, 3, 9], (4, 4))],
        )
        for n in range(150)
    ]
    seen = as_seen(looks)
    for level in (3.0, 5.0, 8.0):
        quick = opened(seen, MONDAY + 3 * DAY_S, level)
        slow = Opened.of(lives_of(seen, level), MONDAY + 3 * DAY_S).openings
        assert quick.when.size > 5
        for one, other in zip(quick, slow, strict=True):
            assert (one == other).all()


def test_cells_of_discs_and_windows() -> None:
    assert window_cells(4, 7, 1) == {(4, 7), (3, 7), (5, 7), (4, 6), (4, 8)}
    assert disc_cells(hotspot(spec=spec(radius_m=0.0)), 250) == {(0, 0)}
    assert disc_cells(hotspot(spec=spec(radius_m=250.0)), 250) == window_cells(0, 0, 1)
    assert disc_cells(hotspot(x=240.0, spec=spec(radius_m=10.0)), 250) == {(0, 0)}


def test_a_window_is_told_with_its_part_of_the_disc_and_what_stood_there() -> None:
    rows = located(record=np.arange(1, 4), ix=0, iy=0, occurred=MONDAY + np.arange(1, 4) * HOUR_S)
    spot = hotspot(spec=spec(radius_m=0.0), records=(1, 2, 3))
    at = MONDAY + DAY_S
    openings = Openings(*(np.array([value], np.int64) for value in (at, 0, 1, 1, 2 * DAY_S)))

    def near(as_of: int, ix: int = 2) -> Life:
        return Life([detection(ix=ix, iy=0, radius_cells=2, as_of=as_of)])

    for life, stood in (
        (near(MONDAY - HOUR_S), True),
        (near(MONDAY - HOUR_S, ix=3), False),
        (near(MONDAY - 2 * DAY_S), False),  # closed a day later
        (near(MONDAY + HOUR_S), False),
    ):
        [result] = found([spot], rows, Opened(openings, [life]), 250)
        assert (result.at, result.precision, result.recall) == (at, 1 / 5, 1.0)
        assert result.stood is stood
    [none] = found([spot], rows[:1], Opened(openings, []), 250)  # the method was shown one of its records only
    assert none.at is None


def test_delays_are_of_hotspots_without_an_episode_before() -> None:
    some = [outcome(2.0), outcome(4.0), outcome(9.0, stood=True), outcome(None)]
    told = conditional_delay(some)
    assert told is not None
    assert (told.n, told.mean, told.median) == (2, 3.0, 3.0)
    assert conditional_delay([outcome(None)]) is None
    assert overlap(some) is None
    both = overlap([outcome(1.0)._replace(precision=0.5, recall=p) for p in (0.2, 0.6)])
    assert both is not None
    assert (both.found, both.precision) == (2, 0.5)
    assert both.recall == pytest.approx(0.4)


def test_run_lengths_are_days_between_openings() -> None:
    told = quartiles(run_lengths([MONDAY, MONDAY + DAY_S, MONDAY + 4 * DAY_S]))
    assert told is not None
    assert (told.n, told.mean, told.lower, told.upper) == (2, 2.0, 1.5, 2.5)
    assert quartiles(run_lengths([MONDAY])) is None


def test_only_traits_that_differ_are_told() -> None:
    some = [outcome(1.0, place="busy"), outcome(None, place="quiet"), outcome(2.0, place="busy", incidents=5)]
    told = by_trait(some)
    assert set(told) == {"incidents", "place"}
    assert {value: (of.planted, of.found) for value, of in told["place"].items()} == {"busy": (2, 2), "quiet": (1, 0)}


# --- simulated years ---------------------------------------------------------------------------------------------


def test_reliability_has_the_exact_interval() -> None:
    for observed, expected in ((0, 2.0), (10, 8.0), (250, 200.0)):
        told = reliability(28.0, observed, expected)
        low = chi2.ppf(0.025, 2 * observed) / 2 if observed else 0.0
        assert told.low == pytest.approx(low / expected)
        assert told.high == pytest.approx(chi2.ppf(0.975, 2 * observed + 2) / 2 / expected)
        assert told.ratio == observed / expected


def test_all_simulated_histories_count_together() -> None:
    assert (histories(10), histories(3), histories(0)) == ((4, 4, 2), (3,), ())
    one = NullYears(364, (MONDAY, MONDAY + 10 * DAY_S), (14.0 - 1e-12, 120.0))
    other = NullYears(728, (MONDAY + 5 * DAY_S,), (60.0,))
    check = null_check(plan(history(np.random.default_rng(1), 5, 5.0)), [one, other])
    assert (check.years, check.histories, check.episodes_per_28_days) == (3.0, 2, 3 / 1092 * 28)
    assert {row.at_least_days: row.observed for row in check.reliability} == {
        14: 3,
        28: 2,
        50: 2,
        100: 1,
        200: 0,
        365: 0,
    }
    assert check.reliability[0].expected == 1092 / 14
    assert check.run_length is not None
    assert (check.run_length.n, check.run_length.mean) == (1, 10.0)
    strict = plan(history(np.random.default_rng(1), 5, 5.0), settings=SMALL.model_copy(update={"budget_per_28d": 0.5}))
    assert [row.at_least_days for row in null_check(strict, [one]).reliability] == [100.0, 200.0, 365.0]


# --- what is tried otherwise -------------------------------------------------------------------------------------


def test_each_variant_differs_in_one_thing() -> None:
    police = history(np.random.default_rng(1), 20, 5.0)
    both = np.concatenate([police, history(np.random.default_rng(2), 20, 5.0, kind=0, first_record=1_000)])
    whole = plan(both, effects=GROUPS)
    told = variants(whole)
    base = planned(whole)
    assert len({(variant.group, variant.name) for variant in told}) == len(told)
    for group in GROUPS:
        assert sum(variant.way == base for variant in told if variant.group == group) == 1
    for variant in told:
        changed = [name for name, a, b in zip(base._fields, base, variant.way, strict=True) if a != b]
        assert changed in ([], [{"delay": "lateness", "source": "kinds", "setting": "settings"}[variant.group]])
        own, other = variant.way.settings.model_dump(), base.settings.model_dump()
        assert len([name for name in own if own[name] != other[name]]) <= 2  # spans of parts follow the spans
    assert {v.name for v in told if v.group == "source"} == {"police and EDs", "police alone", "EDs alone"}
    alone = variants(plan(police, effects=("source", "delay")))
    assert [v.name for v in alone] == ["police", "as-recorded", "usual", "silent"]


def test_a_second_source_takes_whole_incidents() -> None:
    rows = history(np.random.default_rng(1), 200, 10.0)
    victims = rows.copy()
    victims["record"] += 100_000
    amended = rows.copy()
    amended["revision"], amended["occurred"], amended["ix"] = 2, amended["occurred"] + 3 * HOUR_S, 5
    everything = np.concatenate([rows, victims, amended])
    split, region = split_second(everything, REGION, 0.3, np.random.default_rng(1))
    again, _ = split_second(everything, REGION, 0.3, np.random.default_rng(1))
    assert (split == again).all()
    assert (everything["kind"] == Kind.POLICE).all()
    one, two, three = (split["kind"][n * rows.size : (n + 1) * rows.size] for n in range(3))
    assert (one == two).all()
    assert (one == three).all()
    assert (one == Kind.ED).mean() == pytest.approx(0.3, abs=0.03)
    assert ((split["source"] == 1) == (split["kind"] == Kind.ED)).all()
    assert (region.sources[1].id, region.sources[1].kind) == ("simulated-second", "ed")
    with pytest.raises(NotOneSourceError, match="this one has 2"):
        split_second(split, REGION, 0.3, np.random.default_rng(1))
    with pytest.raises(NotOneSourceError, match="already"):
        split_second(everything, region, 0.3, np.random.default_rng(1))


def test_the_built_in_grid_and_its_families() -> None:
    for name in FAMILIES:
        specs = family(name)
        assert (len(specs), sum(one.repeats for one in specs)) == (81, 243)
        assert len({(s.incidents, s.days, s.radius_m, s.place) for s in specs}) == 81
    both = specs_of(["grid", "grid-second"])
    assert len({one.name for one in both}) == 162
    assert {one.second_part for one in both} == {0.0, 0.5}
    with pytest.raises(HotspotFileError, match="two hotspots named"):
        specs_of(["grid", "grid"])


def test_what_is_usual_is_what_was_in_the_last_two_years() -> None:
    recent = history(np.random.default_rng(1), 730, 10.0, start=MONDAY)
    old = history(np.random.default_rng(2), 4_000, 0.2, start=MONDAY - 4_000 * DAY_S, first_record=10**6)
    since = MONDAY + 730 * DAY_S
    wanted = [spec(incidents=None, relative_risk=3.0, repeats=20)]
    usual = []
    for rows in (recent, np.concatenate([old, recent])):
        planter = Planter(rows, since, since + 300 * DAY_S, Sources(POLICE, POLICE), Grid(REGION), LOCAL)
        runs = planter.runs(wanted, np.random.default_rng(3))
        usual.append([spot.usual for run in runs for spot in run])
    assert usual[0] == pytest.approx(usual[1], rel=0.02)


# --- which data, which code --------------------------------------------------------------------------------------


def test_data_and_code_are_told(tmp_path: Path) -> None:
    file = tmp_path / "records.csv"
    file.write_bytes(b"some")
    rows = history(np.random.default_rng(1), 20, 5.0)
    twice = np.concatenate([rows, rows])
    data = data_facts(file, twice, REGION, LOCAL, "chicago-code", False)
    assert (data.file, data.sha256) == ("records.csv", hashlib.sha256(b"some").hexdigest())
    [source] = data.sources
    assert (source.source, source.kind, source.records, source.simulated) == ("chicago-code", "police", rows.size, True)
    assert date(2022, 1, 2) <= data.first < data.last <= date(2022, 1, 2) + timedelta(days=20)

    answers = {"ls-files": "x", "rev-parse": "abc", "status": " M a"}
    assert code_facts(lambda *asked: answers[asked[0]]).model_dump(exclude={"version"}) == {
        "commit": "abc",
        "changed": True,
    }
    assert code_facts(lambda *asked: {**answers, "status": ""}[asked[0]]).changed is False
    elsewhere = code_facts(lambda *asked: None if asked[0] == "ls-files" else "abc")
    assert (elsewhere.commit, elsewhere.changed) == (None, False)
    assert elsewhere.version == version("hotspot-monitor")


def test_the_page_names_every_field() -> None:
    page = (ROOT / "docs" / "backtest.md").read_text(encoding="utf-8")
    classes = [value for value in vars(schemas.backtest).values() if isinstance(value, type)]
    models = [one for one in classes if issubclass(one, Contract) and one.__module__ == "schemas.backtest"]
    assert BacktestMetrics in models
    for model in models:
        for name in model.model_fields:
            assert f"`{name}`" in page, (model.__name__, name)
    for name in (*FAMILIES, *GROUPS, *COUNTED_DAYS):
        assert f"`{name}`" in page, name
