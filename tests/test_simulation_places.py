"""Where and when records are simulated: postcodes, town centres, violence by place, planted hotspots, days off."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from bench.source import data_path
from schemas.located import Kind
from schemas.region import RegionFile, load_region
from simulation.cases import POLICE_NAMES
from simulation.days import easter, english_holidays, local_to_utc
from simulation.geography import (
    DISTRICTS,
    POSTCODE_ATTRIBUTION,
    SYNTHETIC_ATTRIBUTION,
    places_of,
    postcode_files,
    read_postcodes,
    spaced,
    to_degrees,
    to_metres,
)
from simulation.records import inject, simulate
from simulation.surface import quiet_place, surface_of

ROOT = Path(__file__).resolve().parent.parent
START = datetime(2024, 1, 1, tzinfo=UTC)  # midnight in London too


@pytest.fixture(scope="module")
def hampshire() -> RegionFile:
    return load_region(ROOT / "regions" / "hampshire.toml")


def test_hampshires_places_are_all_its_postcodes_inside_the_bounds(hampshire: RegionFile) -> None:
    """The letters that are read leave out no postcode of the districts."""
    everything = read_postcodes()
    ours = np.isin(everything.authority, list(DISTRICTS["hampshire"].shares))
    longitude, latitude = to_degrees(hampshire, everything.easting[ours], everything.northing[ours])
    box = hampshire.bounds
    inside = (longitude >= box.west) & (longitude <= box.east) & (latitude >= box.south) & (latitude <= box.north)
    expected = set(zip(everything.easting[ours][inside], everything.northing[ours][inside], strict=True))
    places = places_of(hampshire)
    assert expected == set(zip(places.easting, places.northing, strict=True))
    assert len(places.code) == len(expected) > 60_000
    assert places.attribution == POSTCODE_ATTRIBUTION


def test_density_finds_the_town_centres(hampshire: RegionFile) -> None:
    """Centres are found, not typed in: the great town centres are among them, Bournemouth is not."""
    centres = surface_of(hampshire).centres
    towns = {  # the railway stations
        "Southampton": (-1.4135, 50.9075),
        "Portsmouth": (-1.0910, 50.7983),
        "Basingstoke": (-1.0874, 51.2684),
        "Winchester": (-1.3196, 51.0671),
    }
    for town, (longitude, latitude) in towns.items():
        x, y = to_metres(hampshire, np.array([longitude]), np.array([latitude]))
        nearest = min(np.hypot(centre.easting - x[0], centre.northing - y[0]) for centre in centres)
        assert nearest < 2_000, town
    x, y = to_metres(hampshire, np.array([-1.8795]), np.array([50.7200]))
    assert min(np.hypot(centre.easting - x[0], centre.northing - y[0]) for centre in centres) > 10_000


def test_the_surface_adds_up_to_its_districts_shares(hampshire: RegionFile) -> None:
    surface = surface_of(hampshire)
    by_district = np.bincount(surface.places.district, weights=surface.overall(0.0))
    shares = DISTRICTS["hampshire"].shares
    assert by_district == pytest.approx([shares[code] for code in surface.places.district_code])
    assert surface.overall().sum() == pytest.approx(1.0)
    assert (surface.overall() > 0).all()


def test_a_british_region_that_is_not_hampshire_takes_the_postcodes_in_its_bounds(hampshire: RegionFile) -> None:
    oxford = hampshire.model_copy(
        update={
            "id": "oxford",
            "bounds": hampshire.bounds.model_copy(update={"west": -1.3, "south": 51.70, "east": -1.2, "north": 51.80}),
        }
    )
    places = places_of(oxford)
    assert places.attribution == POSTCODE_ATTRIBUTION
    assert len(places.code) > 3_000
    assert all(str(code).startswith("OX") for code in places.code)
    assert places.district_share.sum() == pytest.approx(1.0)


def test_a_region_outside_britain_gets_made_up_places_and_says_so() -> None:
    chicago = load_region(ROOT / "regions" / "chicago.toml")
    records = simulate(chicago, START, 60, np.random.default_rng(1))
    assert records.attribution == SYNTHETIC_ATTRIBUTION
    assert {record.kind for record in records} == {Kind.POLICE}
    located = [(r.longitude, r.latitude) for r in records if r.longitude is not None and r.latitude is not None]
    assert located
    assert all(chicago.bounds.holds(*place) for place in located)


def test_the_postcode_package_is_read_without_being_imported() -> None:
    assert len(postcode_files()) > 15
    assert [file.name for file in postcode_files("P")] == ["postcodes_P.msgpack.br"]
    assert spaced("SO140EZ") == "SO14 0EZ"
    assert spaced("S1  1AA") == "S1 1AA"


def test_concentration_is_like_that_of_published_street_data(hampshire: RegionFile) -> None:
    """The busiest cells hold about the share that they hold of the robberies and weapons on police.uk."""
    data = data_path("policeuk_snap_points.csv.gz")
    if not data.exists():
        pytest.skip(f"no published street data: {data.name} was not found; set HOTSPOT_DATA to its directory")
    with gzip.open(data, "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["force"] == "hampshire"]
    weight = np.array([int(row["robbery"]) + int(row["weapons"]) for row in rows])
    real = Counter[tuple[float, float]]()
    for row, count in zip(rows, weight, strict=True):
        real[float(row["easting"]) // 250, float(row["northing"]) // 250] += int(count)
    surface = surface_of(hampshire)
    overall = surface.overall(0.45)
    drawn = np.random.default_rng(1).choice(len(overall), size=int(weight.sum()), p=overall)
    places = surface.places
    simulated = Counter(
        zip((places.easting[drawn] // 250).tolist(), (places.northing[drawn] // 250).tolist(), strict=True)
    )
    for top in (10, 50, 200):
        shares = [sum(n for _, n in cells.most_common(top)) / weight.sum() for cells in (real, simulated)]
        assert shares[1] == pytest.approx(shares[0], abs=0.06), top


def test_a_planted_hotspot_is_where_and_when_it_was_planted(hampshire: RegionFile) -> None:
    place = quiet_place(hampshire, surface_of(hampshire))
    at, within = datetime(2026, 1, 8, 18, tzinfo=UTC), timedelta(hours=48)
    planted = inject(
        hampshire,
        np.random.default_rng(1),
        at=at,
        centre=(place.easting, place.northing),
        radius_m=300,
        count=15,
        within=within,
    )
    assert Counter(record.kind for record in planted) == {Kind.ED: 6, Kind.POLICE: 9}
    for record in planted:
        assert record.easting is not None and record.northing is not None
        assert np.hypot(record.easting - place.easting, record.northing - place.northing) <= 300
        assert at <= record.occurred_at < at + within
        assert timedelta(minutes=5) <= record.recorded_at - record.occurred_at < timedelta(hours=24)
        assert record.record_id.startswith("SIM-HOT-")
        assert record.kind is Kind.ED or record.category in POLICE_NAMES
    assert len({(record.source, record.record_id) for record in planted}) == 15


def test_a_region_with_police_only_gets_only_police() -> None:
    memphis = load_region(ROOT / "regions" / "memphis.toml")
    place = quiet_place(memphis, surface_of(memphis))
    planted = inject(
        memphis,
        np.random.default_rng(2),
        at=START,
        centre=(place.easting, place.northing),
        radius_m=200,
        count=5,
        within=timedelta(hours=36),
    )
    assert [record.kind for record in planted] == [Kind.POLICE] * 5


# --- days ------------------------------------------------------------------------------------------------------


def test_english_bank_holidays() -> None:
    assert easter(2024) == date(2024, 3, 31)
    assert easter(2025) == date(2025, 4, 20)
    declared_2022 = {(1, 3), (4, 15), (4, 18), (5, 2), (6, 2), (6, 3), (8, 29), (9, 19), (12, 26), (12, 27)}
    assert {(day.month, day.day) for day in english_holidays(2022)} == declared_2022
    ordinary_2025 = {(1, 1), (4, 18), (4, 21), (5, 5), (5, 26), (8, 25), (12, 25), (12, 26)}
    assert {(day.month, day.day) for day in english_holidays(2025)} == ordinary_2025
    assert date(2021, 12, 28) in english_holidays(2021)


def test_local_times_become_moments_across_clock_changes() -> None:
    zone = ZoneInfo("Europe/London")
    shown = [
        datetime(2025, 3, 30, 0, 59, tzinfo=UTC),
        datetime(2025, 3, 30, 2, 0, tzinfo=UTC),
        datetime(2025, 10, 26, 2, 0, tzinfo=UTC),
        datetime(2025, 7, 1, 12, 0, tzinfo=UTC),
    ]
    moments = local_to_utc(np.array([int(m.timestamp()) for m in shown]), zone)
    assert [datetime.fromtimestamp(int(m), zone).replace(tzinfo=UTC) for m in moments] == shown
    assert datetime.fromtimestamp(int(moments[1]), UTC).hour == 1
