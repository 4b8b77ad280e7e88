"""`make scale`: what it simulates is what it says, what was measured is not measured again, and tables tell results."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer import AIOKafkaProducer

from bench import scale, scale_history, scale_run
from bench.latency import measure, places_in
from bench.scale_history import AHEAD, History, Plan, Stored, ahead_of, history_messages, prepare, sample
from bench.scale_page import ROWS, page_part
from bench.scale_results import Latency, Result, Results, expected_seconds, read_results, write_results
from bench.scale_run import disk_mib
from bench.scale_sizing import region_overhead_mib, sizing, store_bytes, worker_gib
from bench.scale_spread import by_partition
from bench.scale_team import Feed, LimitError, Team
from processors.records import RecordStore
from schemas.base import utc_now
from schemas.located import LOCATED, Kind
from schemas.settings import Settings
from simulation.nation import FORCES, region_of, share_of
from streams.desks import Registry
from streams.ingest import RawMessage, take_in
from streams.topics import Topics
from tests.builders import NOW, ROOT
from tests.servers.kafka import KafkaServer
from tests.servers.redis_server import RedisServer

PLAN = Plan(years=2, share=0.0005)
SETTINGS = Settings()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small nation's history."""
    made = tmp_path_factory.mktemp("history")
    prepare(PLAN, made, NOW)
    return made


@pytest.fixture(scope="module")
def history(folder: Path) -> History:
    """What it is."""
    return prepare(PLAN, folder, NOW)


def latency(**fields: float) -> Latency:
    """A latency."""
    given = {"p50_ms": 81.0, "p99_ms": 1_234.0, "alerts": 58, "published": 60, "records_per_second": 4.2, **fields}
    return Latency.model_validate(given)


def result(workers: int) -> Result:
    """A result in which every number is told apart from the others."""
    return Result(
        workers=workers,
        measured_at=NOW,
        cores=2,
        machine="a machine",
        load_before=0.1,
        history_until=NOW,
        records=1_000_000,
        regions_looked_at=42,
        peak_hour=120,
        load_seconds=120.0,
        load_busy_seconds=160.0,
        first_looks_seconds=90.0,
        live_records=20_000,
        live_seconds=8.0,
        live_busy_seconds=10.0,
        rss_empty_mib=300.0,
        rss_mib=[700.0 + number for number in range(workers)],
        rss_peak_mib=[900.0 + number for number in range(workers)],
        regions=[43 // workers] * workers,
        shares=[1 / workers] * workers,
        source_mib=321.0,
        located_mib=54.0,
        changelog_mib=76.0,
        redis_mib=1.5,
        at_average=latency(),
        at_peak=latency(p50_ms=99.0),
        takeover_seconds=None if workers == 1 else 3.3,
        rejoin_seconds=12.0,
        recovery_seconds=6.6,
    )


# --- the history ----------------------------------------------------------------------------------------------------


def test_the_history_is_what_it_says_and_all_of_it_is_accepted(history: History, folder: Path) -> None:
    registry = Registry([region_of(force) for force in FORCES])
    topics = Topics(SETTINGS.prefix)
    rows: Counter[str] = Counter()
    for message in history_messages(history, folder, SETTINGS):
        kind = Kind.ED if message.topic == topics.ed else Kind.POLICE
        taken = take_in(
            kind, [RawMessage(message.value, ())], registry, history.until, max_bytes=1_000_000, tolerance_s=60
        )
        assert not taken.refusals
        for region, of_region in taken.rows.items():
            rows[region] += len(of_region)
            assert int(of_region["recorded_us"].max()) <= history.until.timestamp() * 1e6
    assert rows == Counter({region: count for region, count in history.revisions.items() if count})
    expected = PLAN.simulated_per_year * PLAN.years
    assert history.total == pytest.approx(expected * 1.07, rel=0.1)
    largest = max(history.revisions, key=lambda region: history.revisions[region])
    assert largest == "metropolitan-police"


def test_a_record_is_of_one_year_only(history: History, folder: Path) -> None:
    """Years are simulated one by one; with equal ids a record of one would revise that of another."""
    seen: set[tuple[str, str]] = set()
    for message in history_messages(history, folder, SETTINGS):
        for event in json.loads(message.value):
            named = event["source"], event["id"]
            assert named not in seen
            seen.add(named)
    assert len(seen) == history.total


def test_the_busiest_hour_is_that_of_all_regions_together(history: History, folder: Path) -> None:
    begin = (history.until - timedelta(days=365)).timestamp()
    hours: Counter[int] = Counter()
    for message in history_messages(history, folder, SETTINGS):
        for event in json.loads(message.value):
            hours[int((datetime.fromisoformat(event["data"]["recorded_at"]).timestamp() - begin) // 3600)] += 1
    assert history.peak_hour == max(count for hour, count in hours.items() if 0 <= hour < 8760)


def test_what_is_ahead_becomes_known_after_the_history_in_order(history: History, folder: Path) -> None:
    ahead = ahead_of(folder)
    assert ahead
    assert all(before.at <= after.at for before, after in pairwise(ahead))
    assert history.until.timestamp() < ahead[0].at
    assert ahead[-1].at <= (history.until + AHEAD).timestamp()


def test_the_sample_has_first_revisions_of_regions_by_their_sizes(folder: Path) -> None:
    found = sample(folder, SETTINGS)
    assert all(b".recorded." in message.value for message in found)
    by_region = Counter(json.loads(message.value)["source"].split("/")[0] for message in found)
    assert by_region["metropolitan-police"] == max(by_region.values())


def test_a_history_is_made_once_for_a_plan_and_anew_when_it_is_old(
    history: History, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scale_history, "ProcessPoolExecutor", None)  # nothing can be simulated
    assert prepare(PLAN, folder, NOW + AHEAD / 3) == history
    copy = tmp_path / "history.json"
    copy.write_text(history.model_dump_json(), encoding="utf-8")
    with pytest.raises(TypeError):
        prepare(PLAN, tmp_path, NOW + AHEAD)
    copy.write_text(history.model_dump_json(), encoding="utf-8")
    with pytest.raises(TypeError):
        prepare(PLAN.model_copy(update={"seed": 2}), tmp_path, NOW)


# --- runs -----------------------------------------------------------------------------------------------------------


def test_feeds_are_published_as_they_become_known(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    monkeypatch.setattr(
        "bench.scale_team.publish", lambda _, messages: sent.extend(message.value for message in messages)
    )
    feed = Feed(SETTINGS, [Stored(1, b"k", b"%d" % at, float(at)) for at in (10, 20, 20, 30)])
    for now in (5.0, 10.0, 15.0, 20.0, 20.0):
        feed.catch_up(now)
    assert sent == [b"10", b"20", b"20"]


def test_workers_that_take_too_much_memory_end_the_run() -> None:
    class Large:
        """A worker that holds 600 MiB."""

        running = True

        def rss_mb(self) -> float:
            return 600.0

    team = Team(SETTINGS, 0, 1_000.0)
    team.holders = [Large()]  # type: ignore[list-item]
    team.wait(lambda: True, "nothing")
    team.holders = [Large(), Large()]  # type: ignore[list-item]
    with pytest.raises(LimitError, match="1200 MiB"):
        team.wait(lambda: False, "something")


def test_a_run_ends_before_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    team = Team(SETTINGS, 0, 1_000.0)
    monkeypatch.setattr("bench.scale_team.LEAST_FREE", 1 << 60)
    with pytest.raises(LimitError, match="of disk are left"):
        team.wait(lambda: False, "something")


def test_the_disk_of_a_topic_is_that_of_its_partitions_and_of_no_other_topic(tmp_path: Path) -> None:
    topics = Topics(SETTINGS.prefix)
    for name in (f"{topics.located}-0", f"{topics.located}-11", f"{topics.located}-more-0", f"{topics.police}-0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.log").write_bytes(b"x" * 1024 * 1024)
        (tmp_path / name / "0.index").write_bytes(b"x" * 1024 * 1024)
    assert disk_mib(tmp_path, SETTINGS) == {"source": 1.0, "located": 2.0, "changelog": 0.0}


def test_hotspots_are_made_in_all_regions_that_have_room() -> None:
    places = [place for force in FORCES for place in places_in(region_of(force), most=2)]
    assert len({place.region for place in places}) >= 40
    assert len(places) == len({(place.region, place.number) for place in places})
    assert callable(measure)


@pytest.mark.connected
@pytest.mark.timeout(900)
def test_a_run_of_two_workers_measures_all_that_it_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apache_kafka: KafkaServer, redis_server: RedisServer
) -> None:
    """The servers of the fixtures are asked for so that the test skips where there are none; a run has its own."""
    monkeypatch.setattr(scale_run, "LIVE_RECORDS", 300)
    monkeypatch.setattr(scale_run, "LATENCY_S", 16.0)
    monkeypatch.setattr(scale_run, "SESSION_TIMEOUT_S", 6)
    plan = Plan(years=1, share=0.004, calibration_days=7)
    history = prepare(plan, tmp_path, utc_now())
    found = scale_run.run(history, tmp_path, 2, 8_000.0)
    watched = [name for name, revisions in history.revisions.items() if revisions >= scale_run.LEAST_LEARNED]
    assert len(watched) > 1
    assert (found.workers, found.records, found.regions_looked_at) == (2, history.total, len(watched))
    assert sum(found.regions) >= len(watched)
    assert sum(found.shares) <= 1.0001
    assert found.at_average.alerts > 0 and found.at_peak.alerts > 0
    assert found.takeover_seconds is not None
    assert min(found.load_seconds, found.live_seconds, found.rejoin_seconds, found.recovery_seconds) > 0
    assert all(rss > found.rss_empty_mib / 2 for rss in found.rss_mib)
    assert found.changelog_mib > 0 and found.source_mib > found.located_mib > 0


# --- results --------------------------------------------------------------------------------------------------------


def test_results_of_the_same_plan_are_kept_and_those_of_another_are_not(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results = Results(plan=PLAN).with_result(result(2)).with_result(result(1))
    write_results(path, results)
    assert read_results(path, PLAN) == results
    assert [one.workers for one in results.in_order] == [1, 2]
    assert read_results(path, PLAN.model_copy(update={"share": 0.1})).by_workers == {}


def test_what_was_measured_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- begin scale -->\n<!-- end scale -->\n", encoding="utf-8")
    asked: list[int] = []

    def measured(history: History, folder: Path, workers: int, most_mib: float) -> Result:
        asked.append(workers)
        if workers == 4 and asked.count(4) == 1:
            raise RuntimeError("ended")
        return result(workers)

    monkeypatch.setattr(scale, "run", measured)
    monkeypatch.setattr(scale, "prepare", lambda plan, folder, now: None)
    arguments = ["--share", "0.001", "--out", str(tmp_path / "out"), "--page", str(page)]
    with pytest.raises(RuntimeError, match="ended"):
        scale.main(arguments)
    assert scale.main(arguments) == 0
    assert asked == [1, 2, 4, 4]
    assert "| 1 worker | 2 workers | 4 workers |" in page.read_text(encoding="utf-8")
    assert scale.main([*arguments, "--workers", "2", "--again"]) == 0
    assert asked == [1, 2, 4, 4, 2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(["--share", "0"], "share"), (["--years", "0"], "years"), (["--workers", "0"], "at least one worker")],
)
def test_settings_that_make_no_sense_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        scale.main(arguments)
    assert sentence in capsys.readouterr().err


def test_more_takes_longer() -> None:
    whole, part = Plan(), Plan(share=0.02)
    assert expected_seconds(whole, 1, 43, simulated=True) > expected_seconds(part, 1, 43, simulated=True)
    assert expected_seconds(part, 2, 43, simulated=True) == pytest.approx(
        2 * expected_seconds(part, 1, 43, simulated=True)
    )
    assert expected_seconds(part, 1, 43, simulated=False) > expected_seconds(part, 1, 43, simulated=True)


# --- the page -------------------------------------------------------------------------------------------------------


def test_the_table_has_a_row_for_each_measure_and_a_column_for_each_number_of_workers() -> None:
    text = page_part(Results(plan=PLAN).with_result(result(1)).with_result(result(2)))
    for name, value in ROWS:
        assert f"| {name} | {value(result(1))} | {value(result(2))} |" in text
    for told in (
        "a machine",
        "2026",
        "share of 0.0005",
        "not waited for: 1",
        "8,333",
        "6,250",
        "2,500",
        "700, 701",
        "nobody there | 3.3",
    ):
        assert told in text, told


def test_a_page_measured_beside_other_programs_says_so() -> None:
    quiet, busy = result(1), result(2).model_copy(update={"load_before": 5.5})
    assert "Other programs" not in page_part(Results(plan=PLAN).with_result(quiet))
    assert "load average 5.5" in page_part(Results(plan=PLAN).with_result(quiet).with_result(busy))


def test_of_nothing_there_is_no_table() -> None:
    assert "|" not in page_part(Results(plan=PLAN))


def test_regions_lie_where_the_workers_producer_puts_them() -> None:
    of_partition = by_partition(12)
    assert sorted(name for names in of_partition.values() for name in names) == sorted(force.id for force in FORCES)
    producer = AIOKafkaProducer.__init__.__kwdefaults__["partitioner"]  # what Faust's producer hashes keys with
    assert type(producer) is DefaultPartitioner
    numbers = list(range(12))
    assert all(
        producer(name.encode(), numbers, numbers) == number for number, names in of_partition.items() for name in names
    )
    text = page_part(Results(plan=PLAN).with_result(result(1)))
    fullest = max(sum(share_of(force) for force in FORCES if force.id in names) for names in of_partition.values())
    assert f"{fullest:.1%}" in text


def test_room_for_records_is_what_a_store_takes() -> None:
    for count in (1, 5_000, 70_000):
        store = RecordStore()
        rows = np.zeros(count, LOCATED)
        rows["record"] = np.arange(1, count + 1)
        store.apply(rows)
        assert sum(array.nbytes for array in store.reserve(0)) == pytest.approx(store_bytes(count), rel=0.01)


def test_what_a_region_takes_beside_its_records_is_what_is_left_of_what_was_measured() -> None:
    plan = Plan(years=1, share=0.01)
    bare, full = (result(1).model_copy(update={"rss_mib": [rss]}) for rss in (300.0, 730.0))
    assert region_overhead_mib(bare, plan) == 0
    assert 8 < region_overhead_mib(full, plan) < 430 / 43


def test_a_worker_needs_memory_for_what_it_holds_and_for_what_it_stands_by() -> None:
    plan = Plan()
    alone = worker_gib(["metropolitan-police"], [], plan, 300.0, 5.0)
    beside = worker_gib(["metropolitan-police"], ["kent"], plan, 300.0, 5.0)
    records = 22_000_000 * share_of(next(force for force in FORCES if force.id == "metropolitan-police"))
    assert alone == pytest.approx((records * 52 + 88 * 2**22) / 2**30 + 305 / 1024, rel=0.01)
    assert alone < beside < worker_gib(["metropolitan-police", "kent"], [], plan, 300.0, 5.0)


def test_more_workers_need_less_memory_each() -> None:
    text = sizing(Results(plan=PLAN).with_result(result(1)))
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| ") and "%" in line]
    assert [row[1].strip() for row in rows] == ["1", "2", "3", "4", "6", "12"]
    memory = [float(row[5]) for row in rows]
    assert memory[0] > memory[2] > memory[3] > memory[4] > memory[5] > 0.3
    assert rows[0][3].strip() == "100%"
    assert "35 days" in text


def test_the_page_has_a_place_for_the_tables() -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert f"<!-- begin {scale.MARK} -->\n" in page
    assert f"<!-- end {scale.MARK} -->" in page
