"""The simulated regions of England and Wales: as many as there are forces, of their sizes, and plainly made up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from chaos.installation import write_region
from schemas.located import Kind
from schemas.region import load_region
from simulation.geography import SYNTHETIC_ATTRIBUTION
from simulation.nation import ED_PART, FORCES, RECORDS_PER_YEAR, profile_of, region_of, share_of
from simulation.profile import DAYS_PER_YEAR
from simulation.records import simulate
from streams.desks import Registry

BY_ID = {force.id: force for force in FORCES}


def test_there_are_the_43_territorial_forces_from_the_smallest_to_the_largest() -> None:
    assert len(FORCES) == len(BY_ID) == 43
    in_order = sorted(FORCES, key=share_of)
    assert (in_order[0].id, in_order[-1].id) == ("city-of-london", "metropolitan-police")
    assert sum(map(share_of, FORCES)) == pytest.approx(1.0)
    assert 55_000 < sum(force.population_k for force in FORCES) < 65_000
    assert 145_000 < sum(force.area_km2 for force in FORCES) < 156_000


def test_their_records_add_up_to_those_of_the_nation() -> None:
    profiles = [profile_of(force) for force in FORCES]
    police = sum(profile.police_per_year for profile in profiles)
    eds = sum(profile.ed_per_day * DAYS_PER_YEAR for profile in profiles)
    assert police + eds == pytest.approx(RECORDS_PER_YEAR)
    assert eds / (police + eds) == pytest.approx(ED_PART)


def test_regions_can_stand_beside_each_other_and_be_written_and_read(tmp_path: Path) -> None:
    regions = [region_of(force) for force in FORCES]
    registry = Registry(regions)
    kinds = [source.kind_code for region in regions for source in region.sources]
    assert kinds.count(Kind.POLICE) == 43
    assert 150 < kinds.count(Kind.ED) < 220
    assert len(registry.source_ids) == len(kinds)
    for region in regions:
        assert load_region(write_region(region, tmp_path / f"{region.id}.toml")) == region


def test_all_says_that_it_is_simulated_and_is_a_square_of_the_size_of_the_force() -> None:
    for force in FORCES:
        region = region_of(force)
        assert "(simulated)" in region.name
        assert all("(simulated)" in source.name for source in region.sources)
        grid = Registry([region]).desks[region.id].grid
        box = region.bounds
        easting, northing = grid.project(np.array([box.west, box.east]), np.array([box.south, box.north]))
        area_km2 = float(np.diff(easting)[0] * np.diff(northing)[0]) / 1e6
        assert area_km2 == pytest.approx(force.area_km2, rel=0.02)


def test_records_lie_in_made_up_places_of_their_region() -> None:
    force = BY_ID["wiltshire"]
    region = region_of(force)
    found = simulate(region, datetime(2026, 1, 1, tzinfo=UTC), 10, np.random.default_rng(1), profile=profile_of(force))
    expected = RECORDS_PER_YEAR * share_of(force) * 10 / DAYS_PER_YEAR
    first = [record for record in found if record.revision == 1]
    assert len(first) == pytest.approx(expected, rel=0.25)
    assert found.attribution == SYNTHETIC_ATTRIBUTION
    placed = [record for record in found if record.longitude is not None and record.latitude is not None]
    assert all(region.bounds.holds(record.longitude, record.latitude) for record in placed)  # type: ignore[arg-type]
