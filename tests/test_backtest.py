"""Backtests: planted hotspots are where they should be, methods find them, and the command says what they found."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import hotspot
from evaluation.lateness import Lateness, delayed
from evaluation.matching import found
from evaluation.methods import Openings, as_seen, level_of, opened
from evaluation.planting import Planter, Sources
from evaluation.tracks import Opened
from processors.feeds import codes_of
from processors.grid import Grid
from processors.localtime import DAY_S, HOUR_S, LocalHours
from schemas.backtest import BacktestMetrics
from schemas.evaluation import Busyness, Growth, HotspotSpec, HoursOfWeek
from schemas.located import Gate, Kind, LocatedArray, Status
from schemas.region import load_region
from tests.builders_processors import MONDAY, located
from tests.running import ROOT

REGION = load_region(ROOT / "regions" / "chicago.toml")
LOCAL = LocalHours(REGION.zone)
SINCE, UNTIL = MONDAY + 200 * DAY_S, MONDAY + 400 * DAY_S
POLICE, ED = int(Kind.POLICE) << 16, int(Kind.ED) << 16 | 1
CENTRE = 1_430, 2_300


def background(days: int = 400, per_day: float = 12.0) -> LocatedArray:
    """Police and ED incidents, an hour late, busier in the middle of thirty by thirty cells."""
    rng = np.random.default_rng(4)
    n = int(days * per_day)
    return located(
        kind=np.where(rng.random(n) < 0.3, Kind.ED, Kind.POLICE),
        source=0,
        ix=CENTRE[0] + np.round(rng.normal(0, 12, n)),
        iy=CENTRE[1] + np.round(rng.normal(0, 12, n)),
        occurred=np.sort(MONDAY + rng.integers(0, days * DAY_S, n)),
        recorded_us=0,
    )


@pytest.fixture(scope="module")
def rows() -> LocatedArray:
    rows = background()
    rows["source"] = rows["kind"] == Kind.ED
    rows["recorded_us"] = (rows["occurred"] + HOUR_S) * 1_000_000
    return rows


@pytest.fixture(scope="module")
def planter(rows: LocatedArray) -> Planter:
    return Planter(rows, SINCE, UNTIL, Sources(POLICE, ED), Grid(REGION), LOCAL)


def spec(**fields: object) -> HotspotSpec:
    return HotspotSpec.model_validate({"name": "one", "radius_m": 500.0, "days": 10.0, "incidents": 12, **fields})


def test_planted_hotspots_keep_out_of_each_others_way(planter: Planter) -> None:
    runs = planter.runs([spec(repeats=25)], np.random.default_rng(1))
    assert sum(map(len, runs)) == 25
    assert len(runs) > 1
    for run in runs:
        for n, one in enumerate(run):
            assert SINCE <= one.begin < one.end <= UNTIL
            at_once = 0
            for other in run[:n] + run[n + 1 :]:
                gap = max(one.begin - other.end, other.begin - one.end)
                assert np.hypot(one.x - other.x, one.y - other.y) >= 5_000 or gap >= 200 * DAY_S
                at_once += gap < 14 * DAY_S
            assert at_once < 3 * 2


@pytest.mark.parametrize("hours", HoursOfWeek)
@pytest.mark.parametrize("growth", Growth)
def test_records_lie_in_the_disc_and_the_hours_of_their_hotspot(
    planter: Planter, hours: HoursOfWeek, growth: Growth
) -> None:
    wanted = spec(hours=hours, growth=growth, incidents=40, second_part=0.5, place=Busyness.QUIET)
    [[spot]] = planter.runs([wanted], np.random.default_rng(2))
    planted, (told,) = planter.plant([spot], seed=3)
    assert sorted(told.records) == sorted(planted["record"].tolist())
    assert np.unique(planted["record"]).size == 40
    far = np.hypot((planted["ix"] + 0.5) * 250 - spot.x, (planted["iy"] + 0.5) * 250 - spot.y)
    assert far.max() <= 500 + 250 * np.sqrt(0.5)
    assert ((planted["occurred"] >= spot.begin) & (planted["occurred"] < spot.end)).all()
    assert (codes_of(planted) == ED).sum() == 20
    assert (planted["recorded_us"] - planted["occurred"] * 1_000_000 == HOUR_S * 1_000_000).all()
    for when in planted["occurred"].tolist():
        local = datetime.fromtimestamp(when, UTC).astimezone(ZoneInfo("America/Chicago"))
        night = (local - timedelta(hours=4)).weekday() in (4, 5) and (local.hour >= 20 or local.hour < 4)
        afternoon = local.weekday() < 5 and 14 <= local.hour < 18
        assert hours is HoursOfWeek.USUAL or (night if hours is HoursOfWeek.WEEKEND_NIGHTS else afternoon)
    late = (planted["occurred"] >= (spot.begin + spot.end) // 2).mean()
    assert (late > 0.6) == (growth is Growth.GROWING) or hours is not HoursOfWeek.USUAL


def test_a_hotspot_may_be_told_where_and_when(planter: Planter) -> None:
    start = datetime.fromtimestamp(SINCE + 5 * DAY_S, UTC)
    [[spot]] = planter.runs([spec(start=start, longitude=-87.63, latitude=41.88)], np.random.default_rng(2))
    assert spot.begin == SINCE + 5 * DAY_S
    x, y = Grid(REGION).project(np.array([-87.63]), np.array([41.88]))
    assert (spot.x, spot.y) == (x[0], y[0])
    late = spec(start=datetime.fromtimestamp(UNTIL - DAY_S, UTC))
    with pytest.raises(ValueError, match="does not fit"):
        planter.runs([late], np.random.default_rng(2))


def test_a_period_of_days_has_no_room(rows: LocatedArray) -> None:
    with pytest.raises(ValueError, match="too short"):
        Planter(rows, SINCE, SINCE - 2 * DAY_S, Sources(POLICE, ED), Grid(REGION), LOCAL)


def test_records_that_do_not_count_are_no_place_to_plant(rows: LocatedArray) -> None:
    some = rows.copy()
    some["gate"][::2], some["ix"][::2], some["iy"][::2] = Gate.NO_LOCATION, 0, 0
    some["status"][1::4], some["ix"][1::4], some["iy"][1::4] = Status.WITHDRAWN, 0, 0
    planter = Planter(some, SINCE, UNTIL, Sources(POLICE, ED), Grid(REGION), LOCAL)
    spots = [spot for run in planter.runs([spec(repeats=40)], np.random.default_rng(1)) for spot in run]
    assert all(abs(spot.x / 250 - CENTRE[0]) < 100 for spot in spots)


def test_lateness_is_drawn_by_seed_and_a_silent_feed_tells_all_at_once(rows: LocatedArray) -> None:
    assert delayed(rows, Lateness.AS_RECORDED, LOCAL, np.random.default_rng(1)) is rows
    for profile in (Lateness.USUAL, Lateness.WEEKLY, Lateness.SILENT):
        late, again = (delayed(rows, profile, LOCAL, np.random.default_rng(1)) for _ in range(2))
        assert (late == again).all()
        assert (np.diff(late["recorded_us"]) >= 0).all()
        assert (late["recorded_us"] > late["occurred"] * 1_000_000).all()
        assert sorted(late["record"].tolist()) == sorted(rows["record"].tolist())
        ed = late[late["kind"] == Kind.ED]
        batches = np.unique(ed["recorded_us"] // 1_000_000 // DAY_S).size
        assert batches <= (65 if profile is Lateness.WEEKLY else 420)
    silent = delayed(rows, Lateness.SILENT, LOCAL, np.random.default_rng(1))
    police = silent[silent["kind"] == Kind.POLICE]["recorded_us"] // 1_000_000
    week = police // (7 * DAY_S)
    weeks = np.bincount(week - week.min())
    assert weeks[1:50].min() == 0  # of 59
    assert np.unique(police, return_counts=True)[1].max() > 30


def test_the_level_is_the_lowest_with_no_more_episodes() -> None:
    looks = [(MONDAY + n * 3 * DAY_S, [(n, 0, 0, DAY_S, float(n % 7))]) for n in range(1, 60)]
    seen = as_seen(looks)
    for allowed in (0, 5, 20, 100):
        level = level_of(seen, MONDAY, allowed)
        assert opened(seen, MONDAY, level).when.size <= allowed
        lower = [score for score in set(seen.score.tolist()) if score < level]
        assert not lower or opened(seen, MONDAY, max(lower)).when.size > allowed


def test_found_is_a_window_with_two_known_incidents_in_time(planter: Planter) -> None:
    [[spot]] = planter.runs([spec(radius_m=0.0)], np.random.default_rng(2))
    planted, told = planter.plant([spot], seed=3)
    order = np.argsort(planted["occurred"])
    second = int(planted["recorded_us"][order[1]] // 1_000_000)
    ix, iy = int(planted["ix"][0]), int(planted["iy"][0])

    def at(when: int, x: int = ix, span: int = 28 * DAY_S) -> int | None:
        columns = (np.array([value], np.int64) for value in (when, x, iy, 1, span))
        [result] = found(told, planted, Opened(Openings(*columns), []), 250)
        return result.at

    assert at(second) == second
    assert at(second - 1) is None  # only one is known
    assert at(second, ix + 2) is None
    assert at(spot.end + 2 * DAY_S - 1) is not None
    assert at(spot.end + 2 * DAY_S) is None
    assert at(spot.end, span=HOUR_S) is None  # they are too long ago for this window


@pytest.fixture(scope="module")
def file(rows: LocatedArray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backtest") / "records.csv"
    grid = Grid(REGION)
    x, y = (rows["ix"] + 0.5) * 250.0, (rows["iy"] + 0.5) * 250.0
    longitude, latitude = grid.unproject(x, y)
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["event_id", "occurred_at", "latitude", "longitude", "category", "source", "simulated"])
        for n, when in enumerate(rows["occurred"].tolist()):
            at = datetime.fromtimestamp(when, UTC).isoformat()
            writer.writerow([n, at, latitude[n], longitude[n], "assault", REGION.sources[0].id, 1])
    return path


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(hotspot, ["backtest", *map(str, arguments)], catch_exceptions=False)
    return result.exit_code, result.output


@pytest.fixture
def asked(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str | Path, ...]:
    """Arguments of a backtest with two sorts of hotspot, and settings with which it is quick."""
    monkeypatch.setenv("HOTSPOT_DETECTION__CALIBRATION_DAYS", "56")
    specs = tmp_path / "hotspots.csv"
    specs.write_text("name,repeats,place,radius_m,days,incidents\nlarge,4,quiet,300,5,25\nsmall,4,busy,1500,14,1\n")
    return file, "--region", ROOT / "regions" / "chicago.toml", "--train-until", "2022-09-30", "--inject", specs


def test_a_backtest_finds_what_stands_out_and_repeats(asked: tuple[str | Path, ...], tmp_path: Path) -> None:
    for name in ("one", "two"):
        code, output = run(*asked, "--compare", "all", "--out", tmp_path / name)
        assert code == 0, output
    assert (tmp_path / "one" / "metrics.json").read_text() == (tmp_path / "two" / "metrics.json").read_text()
    metrics = BacktestMetrics.model_validate_json((tmp_path / "one" / "metrics.json").read_text())
    assert (str(metrics.first), str(metrics.last)) == ("2022-10-01", "2023-02-06")
    by_method = {result.method: result for result in metrics.methods}
    assert list(by_method) == ["monitor", "permutation", "threshold", "ears-c2", "gi-star", "cusum"]
    monitor = by_method["monitor"]
    assert monitor.by_name["large"].found == by_method["permutation"].by_name["large"].found == 4
    assert monitor.by_name["small"].found == 0  # one incident is no hotspot
    assert set(monitor.by_trait) == {"incidents", "days", "radius_m", "place"}
    assert all(result.episodes <= monitor.episodes for result in metrics.methods)
    assert monitor.overlap is not None
    assert monitor.overlap.found == 4
    assert monitor.conditional_delay is not None
    assert "Planted hotspots are simulated" in output
    assert sum(monitor.episodes_by_year.values()) == monitor.episodes == len(metrics.episodes)
    assert [e.opened for e in metrics.episodes] == sorted(e.opened for e in metrics.episodes)
    assert metrics.expectation is not None
    assert metrics.expectation.kinds[0].forecasts[0].crps is not None
    assert [ranking.name for ranking in metrics.rankings] == ["expectation", "last_8_weeks", "last_two_years"]
    captures = [monitor.capture, by_method["threshold"].capture, *(ranking.capture for ranking in metrics.rankings)]
    for capture in captures:
        assert [one.area for one in capture] == [0.01, 0.02, 0.05]
        assert all(0 < one.hit_rate <= one.pei <= 1 < one.pai for one in capture)  # some places are busier
    assert by_method["cusum"].capture == ()
    assert (metrics.null, metrics.effects) == (None, ())
    assert metrics.options[:5] == ("records.csv", "--region", "chicago.toml", "--train-until", "2022-09-30")
    assert metrics.options[-2:] == ("--inject", "hotspots.csv")
    assert "--out" not in metrics.options


def test_a_backtest_tries_the_monitor_otherwise(asked: tuple[str | Path, ...], tmp_path: Path) -> None:
    few = tmp_path / "few.csv"
    few.write_text("name,repeats,radius_m,days,incidents,second_part\nboth,2,300,5,25,0.5\n")
    otherwise = ("--effects", "source", "--null-years", "1", "--split-second", "0.4", "--budget", "4")
    code, output = run(*asked[:-1], few, *otherwise, "--out", tmp_path / "out")
    assert code == 0, output
    metrics = BacktestMetrics.model_validate_json((tmp_path / "out" / "metrics.json").read_text())
    effects = {(effect.group, effect.name): effect for effect in metrics.effects}
    assert list(effects) == [("source", name) for name in ("police and EDs", "police alone", "EDs alone")]
    monitor, same = metrics.methods[0], effects["source", "police and EDs"]
    assert (same.episodes_per_28_days, same.all) == (monitor.episodes_per_28_days, monitor.all)
    assert [effect.same for effect in metrics.effects] == [True, False, False]
    for effect in metrics.effects:  # half of 25 is enough for each
        assert effect.all is not None
        assert (effect.all.planted, effect.all.found) == (2, 2)
    assert effects["source", "police alone"].all != same.all
    assert {source.source: source.simulated for source in metrics.data.sources} == {
        "chicago-code": False,
        "simulated-second": True,
    }
    assert metrics.data.simulated  # the file says so
    assert "The records of the file are simulated." in output
    assert metrics.null is not None
    assert (metrics.null.years, metrics.null.histories) == (1.0, 1)
    assert [row.at_least_days for row in metrics.null.reliability] == [14.0, 28.0, 50.0, 100.0, 200.0, 365.0]
    assert "is simulated" in output
    assert "On 1 simulated years" in output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,radius_m,days\na,1,1\n", "Line 2"),
        ("name,radius_m,days,incidents,relative_risk\na,1,1,3,2\n", "either incidents or a relative_risk"),
        ("name,radius_m,days,incidents\na,1,1,3\na,1,1,3\n", "two hotspots named 'a'"),
        ("name,radius_m,days,incidents\n", "no hotspot to plant"),
        ("name,radius_m,days,incidents,where\na,1,1,3,here\n", "where"),
    ],
)
def test_a_wrong_file_of_hotspots_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    specs = tmp_path / "hotspots.csv"
    specs.write_text(text)
    arguments = ["backtest", "x.csv", "--region", "x.toml", "--train-until", "2020-01-01", "--inject", str(specs)]
    result = CliRunner().invoke(hotspot, [*arguments, "--out", str(tmp_path / "out")])
    assert result.exit_code != 0
    assert told in str(result.exception)
    assert not (tmp_path / "out").exists()
