"""Simulated records: the figures they follow, what must hold of every record, and that a seed decides everything."""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from schemas.located import Kind, Status
from schemas.region import RegionFile, load_region
from simulation.days import DayKind, day_kinds
from simulation.geography import (
    POSTCODE_ATTRIBUTION,
    read_postcodes,
    to_metres,
)
from simulation.profile import POLICE_CATEGORIES, Profile
from simulation.records import SimulatedRecord, SimulatedRecords, simulate
from simulation.surface import quiet_place, surface_of
from simulation.table import COLUMNS, simulate_to_file, write_csv

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2024, 1, 1, tzinfo=UTC)  # midnight in London too
DAYS = 731
YEARS = DAYS / 365.25


@pytest.fixture(scope="module")
def hampshire() -> RegionFile:
    return load_region(ROOT / "regions" / "hampshire.toml")


@pytest.fixture(scope="module")
def two_years(hampshire: RegionFile) -> SimulatedRecords:
    return simulate(hampshire, START, DAYS, np.random.default_rng(7))


def first_of(records: Iterable[SimulatedRecord], kind: Kind) -> list[SimulatedRecord]:
    return [record for record in records if record.kind is kind and record.revision == 1]


def days_late(records: Iterable[SimulatedRecord], zone: ZoneInfo) -> np.ndarray:
    return np.array(
        [(r.recorded_at.astimezone(zone).date() - r.occurred_at.astimezone(zone).date()).days for r in records]
    )


def write_years(region: RegionFile, seed: int, out: Path) -> bytes:
    simulate_to_file(region, 1, seed, out, date(2026, 1, 1))
    return out.read_bytes()


# --- figures ---------------------------------------------------------------------------------------------------


def test_volumes_and_mix(two_years: SimulatedRecords) -> None:
    police, ed = first_of(two_years, Kind.POLICE), first_of(two_years, Kind.ED)
    assert len(police) / YEARS == pytest.approx(5049, rel=0.05)
    assert len(ed) / DAYS == pytest.approx(12.0, rel=0.05)
    seen = Counter(record.category for record in police)
    assert set(seen) == set(POLICE_CATEGORIES)
    assert sum(POLICE_CATEGORIES.values()) == 5049
    for category in ("possession of weapons", "robbery", "wounding"):
        assert seen[category] / YEARS == pytest.approx(POLICE_CATEGORIES[category], rel=0.08), category


def test_police_delays(two_years: SimulatedRecords) -> None:
    late = days_late(first_of(two_years, Kind.POLICE), two_years.zone)
    assert np.mean(late <= 0) == pytest.approx(0.77, abs=0.02)
    assert np.mean(late <= 1) == pytest.approx(0.915, abs=0.01)
    assert np.mean(late <= 7) == pytest.approx(0.975, abs=0.006)
    assert 19 <= np.quantile(late, 0.99) <= 82
    assert late.max() > 365


def test_eds_send_batches_in_the_morning_and_the_last_site_once_a_week(
    hampshire: RegionFile, two_years: SimulatedRecords
) -> None:
    by_source = defaultdict(list)
    for record in first_of(two_years, Kind.ED):
        by_source[record.source].append(record)
    sites = [source.id for source in hampshire.sources if source.kind == "ed"]
    assert set(by_source) == set(sites)
    for record in first_of(two_years, Kind.ED):
        assert 6 <= record.recorded_at.astimezone(two_years.zone).hour <= 11
    weekly = Counter(r.recorded_at.astimezone(two_years.zone).weekday() for r in by_source[sites[-1]])
    assert weekly[0] / len(by_source[sites[-1]]) > 0.95
    daily = days_late(by_source[sites[0]], two_years.zone)
    assert 0.6 < np.mean(daily == 1) < 0.95


def test_an_assault_goes_to_the_nearest_ed_more_often_than_not(
    hampshire: RegionFile, two_years: SimulatedRecords
) -> None:
    """Each site's located patients are mostly those that have no nearer site."""
    named = {institution.name: institution for institution in hampshire.institutions}
    sites = {s.id: named[s.name] for s in hampshire.sources if s.kind == "ed"}
    located = [r for r in first_of(two_years, Kind.ED) if r.longitude is not None and r.latitude is not None]

    def away(record: SimulatedRecord, source: str) -> float:
        assert record.longitude is not None and record.latitude is not None
        east = (record.longitude - sites[source].longitude) * 0.63  # a degree here is that much shorter than one north
        return float(np.hypot(east, record.latitude - sites[source].latitude))

    nearest = [record.source == min(sites, key=lambda s, r=record: away(r, s)) for record in located]  # type: ignore[misc]
    assert 0.7 < np.mean(nearest) < 0.99


def test_places_that_sources_can_give(two_years: SimulatedRecords) -> None:
    ed = first_of(two_years, Kind.ED)
    police = first_of(two_years, Kind.POLICE)
    assert np.mean([r.latitude is not None for r in ed]) == pytest.approx(0.31, abs=0.02)
    assert np.mean([r.latitude is None for r in police]) == pytest.approx(0.10, abs=0.012)

    def mappable(location_type: str) -> float:
        return float(np.mean([r.latitude is not None for r in ed if r.location_type == location_type]))

    assert mappable("licensed premises") > 2 * mappable("home"), "locations are not missing at random"


def test_some_places_are_no_places(hampshire: RegionFile, two_years: SimulatedRecords) -> None:
    """About 0.4 % of the located records stand exactly at an institution of the region file."""
    at = set()
    for institution in hampshire.institutions:
        x, y = to_metres(hampshire, np.array([institution.longitude]), np.array([institution.latitude]))
        at.add((round(float(x[0])), round(float(y[0]))))
    located = [r for r in two_years if r.revision == 1 and r.easting is not None]
    share = np.mean([(r.easting, r.northing) in at for r in located])
    assert 0.002 < share < 0.007


def test_nights_before_days_off_and_school_afternoons(two_years: SimulatedRecords) -> None:
    zone = two_years.zone
    local = [r.occurred_at.astimezone(zone) for r in first_of(two_years, Kind.POLICE)]
    shifted = [moment.replace(tzinfo=None) - timedelta(hours=4) for moment in local]
    weekend_night = np.mean([m.weekday() in (4, 5) and m.hour >= 18 for m in shifted])
    assert 0.17 < weekend_night < 0.28, "12 of 168 hours are 7 % of the week"
    schoolday = Counter(m.hour for m in local if m.weekday() < 5)
    assert schoolday[15] > 1.5 * schoolday[13]
    assert schoolday[16] > schoolday[18]


def test_public_holidays_are_like_weekends(two_years: SimulatedRecords) -> None:
    kinds = day_kinds(START.date(), DAYS, two_years.zone)
    weekday = np.array([(START.date() + timedelta(days=n)).weekday() for n in range(DAYS)])
    night = np.zeros(DAYS)
    for record in two_years:
        moment = record.occurred_at.astimezone(two_years.zone).replace(tzinfo=None) - timedelta(hours=6)
        number = (moment.date() - START.date()).days
        if record.revision == 1 and moment.hour >= 14 and 0 <= number < DAYS:
            night[number] += 1
    ordinary = night[(kinds == DayKind.WORKING) & (weekday < 4)].mean()
    eves = night[((kinds == DayKind.EVE) | (kinds == DayKind.OFF)) & (weekday != 4) & (weekday != 5)]
    assert len(eves) >= 10
    assert eves.mean() > 1.6 * ordinary


def test_weeks_are_wilder_than_chance(two_years: SimulatedRecords) -> None:
    weeks = Counter((r.occurred_at - START).days // 7 for r in first_of(two_years, Kind.POLICE))
    counts = np.array([weeks[week] for week in range(DAYS // 7)])
    assert 1.1 < counts.var() / counts.mean() < 3.5


def test_times_are_heaped(two_years: SimulatedRecords) -> None:
    ed = [r.occurred_at.astimezone(two_years.zone) for r in first_of(two_years, Kind.ED)]
    police = [r.occurred_at.astimezone(two_years.zone) for r in first_of(two_years, Kind.POLICE)]
    assert np.mean([m.minute == 0 for m in ed]) == pytest.approx(0.34, abs=0.03)
    assert np.mean([m.minute == 0 for m in police]) == pytest.approx(0.16, abs=0.02)
    assert 0.03 < np.mean([m.hour == m.minute == 0 for m in ed]) < 0.08
    assert np.mean([m.hour == m.minute == 0 for m in police]) < 0.02


def test_a_quarter_of_ed_cases_are_near_a_police_incident(hampshire: RegionFile) -> None:
    """Where places and times are exact, a shared assault is close in both sources; otherwise that is rare."""

    def near(known: float) -> float:
        profile = Profile(
            ed_known_to_police=known, ed_mappable=1.0, police_without_place=0.0, ed_on_the_hour=0.0, ed_at_midnight=0.0,
            police_on_the_hour=0.0, institution_share=0.0, station_share=0.0,
        )  # fmt: skip
        records = simulate(hampshire, START, 180, np.random.default_rng(3), profile=profile)
        police = first_of(records, Kind.POLICE)
        x = np.array([(r.easting, r.northing, r.occurred_at.timestamp()) for r in police])
        ed = np.array([(r.easting, r.northing, r.occurred_at.timestamp()) for r in first_of(records, Kind.ED)])
        close = [
            bool(((np.hypot(x[:, 0] - e, x[:, 1] - n) < 350) & (np.abs(x[:, 2] - t) < 3_600)).any()) for e, n, t in ed
        ]
        return float(np.mean(close))

    assert near(0.25) == pytest.approx(0.25, abs=0.03)
    assert near(0.0) < 0.02


def test_revisions_follow_their_figures(two_years: SimulatedRecords) -> None:
    firsts = sum(record.revision == 1 for record in two_years)
    status = Counter(record.status for record in two_years)
    assert status[Status.AMENDED] / firsts == pytest.approx(0.06, abs=0.008)
    assert status[Status.WITHDRAWN] / len(first_of(two_years, Kind.POLICE)) == pytest.approx(0.015, abs=0.004)


def test_the_heaviest_point_is_a_real_postcode_of_a_large_city(
    hampshire: RegionFile, two_years: SimulatedRecords
) -> None:
    points = Counter((r.easting, r.northing) for r in first_of(two_years, Kind.POLICE) if r.easting is not None)
    surface = surface_of(hampshire)
    station = (surface.places.easting[surface.station], surface.places.northing[surface.station])
    heaviest, count = next((point, n) for point, n in points.most_common() if point != station)
    postcodes = read_postcodes("PS")
    here = (postcodes.easting == heaviest[0]) & (postcodes.northing == heaviest[1])
    assert set(postcodes.authority[here]) <= {"E06000044", "E06000045"}
    assert here.any()
    assert 15 * YEARS < count < 50 * YEARS
    assert station in [point for point, _ in points.most_common(7)]


# --- what must hold of every record ----------------------------------------------------------------------------


def test_every_record_is_sound(hampshire: RegionFile, two_years: SimulatedRecords) -> None:
    sources = {source.id: source.kind_code for source in hampshire.sources}
    for record in two_years:
        assert START <= record.occurred_at < START + timedelta(days=DAYS)
        assert record.recorded_at > record.occurred_at
        assert sources[record.source] is record.kind
        assert record.record_id.startswith("SIM-")
        place = (record.latitude, record.longitude, record.easting, record.northing)
        assert all(value is None for value in place) or all(value is not None for value in place)
        if record.longitude is not None and record.latitude is not None:
            assert hampshire.bounds.holds(record.longitude, record.latitude)


def test_degrees_and_metres_say_the_same(hampshire: RegionFile, two_years: SimulatedRecords) -> None:
    located = [r for r in two_years if r.easting is not None][:2_000]
    x, y = to_metres(hampshire, np.array([r.longitude for r in located]), np.array([r.latitude for r in located]))
    assert x == pytest.approx(np.array([r.easting for r in located]), abs=0.2)
    assert y == pytest.approx(np.array([r.northing for r in located]), abs=0.2)


def test_revisions_are_in_order_and_change_something(two_years: SimulatedRecords) -> None:
    history = defaultdict(list)
    for record in two_years:
        history[record.source, record.record_id].append(record)
    moved = located_later = recategorised = 0
    for revisions in history.values():
        assert [r.revision for r in revisions] == list(range(1, len(revisions) + 1))
        assert revisions[0].status is Status.RECORDED
        assert all(r.status is not Status.RECORDED for r in revisions[1:])
        assert all(r.status is not Status.WITHDRAWN for r in revisions[:-1])
        assert len({r.occurred_at for r in revisions}) == 1
        assert all(a.recorded_at < b.recorded_at for a, b in pairwise(revisions))
        if len(revisions) > 1 and revisions[1].status is Status.AMENDED:
            before, after = revisions[:2]
            recategorised += before.category != after.category
            located_later += before.easting is None and after.easting is not None
            moved += None not in (before.easting, after.easting) and before.easting != after.easting
    assert min(moved, located_later, recategorised) > 50


def test_records_come_in_the_order_in_which_they_become_known(two_years: SimulatedRecords) -> None:
    recorded = [record.recorded_at for record in two_years]
    assert recorded == sorted(recorded)
    at = two_years.records[2_500].recorded_at
    known = two_years.known_at(at)
    rest = two_years.recorded_between(at, datetime(2100, 1, 1, tzinfo=UTC))
    assert 0 < len(known) < len(two_years)
    assert known.records + rest.records == two_years.records
    assert rest.joined(known) == two_years


def test_nothing_looks_like_a_number_of_a_person(two_years: SimulatedRecords) -> None:
    """No text holds ten digits, however grouped: those are refused as NHS or telephone numbers."""
    digits = re.compile(r"(?:\d[ \-.]?){9}\d")
    for record in two_years:
        for text in (record.record_id, record.category, record.location_type, record.source):
            assert not digits.search(text), text


# --- the seed and the file ----------------------------------------------------------------


def test_equal_seeds_give_equal_bytes(hampshire: RegionFile, tmp_path: Path) -> None:
    first, again = (write_years(hampshire, 11, tmp_path / name) for name in ("a.csv.gz", "b.csv.gz"))
    assert first == again
    assert first[4:8] == bytes(4), "the header of a .gz holds no time"
    assert hashlib.sha256(first).digest() != hashlib.sha256(write_years(hampshire, 12, tmp_path / "c.csv.gz")).digest()
    assert gzip.decompress(first) == write_years(hampshire, 11, tmp_path / "d.csv")


def test_the_file_holds_what_was_known_at_its_end(hampshire: RegionFile, tmp_path: Path) -> None:
    out = tmp_path / "year.csv"
    summary = simulate_to_file(hampshire, 1, 5, out, date(2025, 7, 1))
    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == summary.rows
    assert summary.records == summary.ed + summary.police == len({(r["source"], r["record_id"]) for r in rows})
    assert len({(r["source"], r["record_id"], r["revision"]) for r in rows}) == len(rows)
    assert {r["status"] for r in rows} == {"recorded", "amended", "withdrawn"}
    assert all(r["simulated"] == "1" and r["event_id"].startswith("SIM-") for r in rows)
    end = datetime(2025, 7, 1, tzinfo=hampshire.zone)
    occurred = [datetime.fromisoformat(r["occurred_at"]) for r in rows]
    assert min(occurred) >= datetime(2024, 7, 1, tzinfo=hampshire.zone)
    assert max(datetime.fromisoformat(r["recorded_at"]) for r in rows) <= end
    assert {moment.utcoffset() for moment in occurred} == {timedelta(0), timedelta(hours=1)}
    assert all((r["latitude"] == "") == (r["easting"] == "") for r in rows)


def test_a_file_may_end_on_a_leap_day(hampshire: RegionFile, tmp_path: Path) -> None:
    assert simulate_to_file(hampshire, 1, 1, tmp_path / "leap.csv", date(2024, 2, 29)).start == date(2023, 2, 28)


def test_two_years_are_fast(hampshire: RegionFile, tmp_path: Path) -> None:
    surface_of(hampshire)
    began = time.perf_counter()
    simulate_to_file(hampshire, 2, 1, tmp_path / "two.csv.gz", date(2026, 1, 1))
    assert time.perf_counter() - began < 10, "meant to take under 2 s on a quiet machine"


def test_the_quiet_place_is_quiet(hampshire: RegionFile, two_years: SimulatedRecords) -> None:
    place = quiet_place(hampshire, surface_of(hampshire))
    near = [
        r
        for r in two_years
        if r.revision == 1
        and r.easting is not None
        and r.northing is not None
        and np.hypot(r.easting - place.easting, r.northing - place.northing) < 500
    ]
    assert 2 < len(near) < 60, "over two years"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"start": datetime(2024, 1, 1)}, "time zone"),  # noqa: DTZ001 - a naive time is the mistake
        ({"days": 0}, "days must be at least 1"),
        ({"id_prefix": "REAL-"}, "must start with 'SIM-'"),
    ],
)
def test_mistakes_are_refused(hampshire: RegionFile, change: dict[str, object], sentence: str) -> None:
    arguments: dict[str, object] = {"start": START, "days": 3, "id_prefix": "SIM-", **change}
    with pytest.raises(ValueError, match=sentence):
        simulate(hampshire, rng=np.random.default_rng(1), **arguments)  # type: ignore[arg-type]


def test_a_profile_refuses_what_is_no_share() -> None:
    with pytest.raises(ValueError, match="ed_mappable"):
        Profile(ed_mappable=1.5)
    with pytest.raises(ValueError, match="police_mix"):
        Profile(police_mix=(0.5, 0.5, 0.5))


def test_write_csv_leaves_unknown_places_empty(hampshire: RegionFile, tmp_path: Path) -> None:
    records = simulate(hampshire, START, 3, np.random.default_rng(1), profile=Profile(ed_mappable=0.0))
    write_csv(tmp_path / "few.csv", records)
    with (tmp_path / "few.csv").open(newline="", encoding="utf-8") as file:
        ed = [row for row in csv.DictReader(file) if "/ed/" in row["source"] and row["revision"] == "1"]
    assert ed
    assert {row["latitude"] + row["longitude"] + row["easting"] + row["northing"] for row in ed} == {""}


# --- documentation ---------------------------------------------------------------------------------------------


def test_the_page_names_every_figure_with_its_default_and_every_column() -> None:
    page = (ROOT / "docs" / "simulation.md").read_text(encoding="utf-8")
    for field in fields(Profile):
        default = ", ".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
        assert f"| `{field.name}` | {default} |" in page
    assert ", ".join(COLUMNS) in " ".join(page.split())
    assert POSTCODE_ATTRIBUTION.split(";")[0] in page
