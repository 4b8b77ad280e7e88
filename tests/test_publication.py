"""The tiles and weeks by which counts are published: how the plane is cut, and what is fixed when it is first told."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Point, Polygon

from alerts.outline import disc, outline
from alerts.publication import LEAST_ADDRESSES, REMEMBERED_WEEKS, Ledger, Publication, Unit, weeks_of
from schemas.addresses import load_addresses
from schemas.base import moment
from schemas.detection import DAY_S
from schemas.region import Bounds, RegionFileError, load_region
from tests.builders import GUILDHALL_CELL, NOW, ROOT, detection, hampshire
from tests.builders_disclosure import FULL, GRID, IX, IY, LOCAL, MERGE_S, as_polygons, at, records

# --- tiles ----------------------------------------------------------------------------------------------------------


def test_a_tile_is_quartered_only_where_each_quarter_has_addresses_enough() -> None:
    addresses = {(x, y): 8 for x in range(4) for y in range(4)}
    assert Publication(addresses).unit_of(1, 2) == Unit(4, 0, 0)  # its other quarters have none
    full = {(x, y): 8 for x in range(16) for y in range(16)}
    assert Publication(full).unit_of(1, 2) == Unit(0, 1, 2)
    less = full | {(1, 2): 7}
    cut = Publication(less)
    assert cut.unit_of(1, 2) == cut.unit_of(0, 3) == Unit(1, 0, 1)
    assert cut.unit_of(2, 2) == Unit(0, 2, 2)


def test_where_no_tile_can_be_quartered_it_is_the_largest() -> None:
    assert Publication({(3, 3): 5}).unit_of(0, 0) == Unit(4, 0, 0)
    assert Publication(None).unit_of(-1, 5) == Unit(2, -1, 1)


@settings(deadline=None, max_examples=30)  # whole planes are cut
@given(st.integers(0, 2**32), st.floats(0, 30))
def test_tiles_cut_the_plane_without_gaps_or_overlaps(seed: int, mean: float) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(mean, (24, 24))
    cut = Publication({(x, y): int(counts[x, y]) for x in range(24) for y in range(24)})
    for x in range(24):
        for y in range(24):
            unit = cut.unit_of(x, y)
            assert (x, y) in unit.cells()
            assert {cut.unit_of(*cell) for cell in unit.cells()} == {unit}
            assert Unit.of_name(unit.name) == unit
            if unit.level < 4:  # its siblings have enough too: so it was cut
                assert cut.addresses([unit]) >= LEAST_ADDRESSES


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32))
def test_a_published_polygon_holds_eight_addresses_or_there_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells = rng.integers(-40, 40, (int(rng.integers(0, 60)), 2))
    addresses = {(int(x), int(y)): int(rng.integers(1, 4)) for x, y in cells}
    cut = Publication(addresses)
    for _ in range(10):
        x, y, radius = (int(n) for n in (*rng.integers(-30, 30, 2), rng.choice([0, 1, 2, 4])))
        units = cut.units_of(x, y, radius)
        wide = cut.enough(units)
        assert set(disc(x, y, radius)) <= {cell for unit in units for cell in unit.cells()}
        if wide:
            inside = {cell for unit in wide for cell in unit.cells()}
            assert set(units) <= set(wide)
            assert sum(count for cell, count in addresses.items() if cell in inside) >= LEAST_ADDRESSES


@pytest.mark.parametrize("radius", [0, 1, 2, 3, 4, 6, 8])
def test_an_outline_is_that_of_its_cells(radius: int) -> None:
    """Its area is that of the cells, within a ten-thousandth: degrees are told to 10 cm."""
    polygons = outline(disc(IX, IY, radius), GRID)
    assert len(polygons) == 1 and len(polygons[0]) == 1
    ring = polygons[0][0]
    assert ring[0] == ring[-1]
    shape = Polygon(ring)
    assert shape.is_valid and shape.exterior.is_ccw
    metres = Polygon(np.stack(GRID.project(*np.array(ring).T), axis=1))
    assert metres.area == pytest.approx(len(disc(IX, IY, radius)) * 250**2, rel=1e-4 if radius else 1e-3)
    assert shape.contains(Point(GRID.centre_degrees(IX, IY)))


def test_an_outline_of_parts_and_holes() -> None:
    ring = [(x, y) for x in range(3) for y in range(3) if (x, y) != (1, 1)]
    polygons = outline([*((IX + x, IY + y) for x, y in ring), (IX + 10, IY)], GRID)
    assert [len(rings) for rings in polygons] == [2, 1]
    assert not Polygon(polygons[0][1]).exterior.is_ccw
    assert as_polygons(polygons).is_valid


# --- the ledger -----------------------------------------------------------------------------------------------------


def test_a_tile_and_week_is_told_as_it_was_told_first() -> None:
    """
    Monday   first alert: 3 in the cell       Wednesday   9 in the cell       next week   a new figure
    """
    ledger = Ledger()
    told = ledger.tell(at(5, 5, 0, 0.2, 1), records({(5, 5, 0): 3}), FULL, LOCAL, MERGE_S)
    assert [one.observed for one in told] == [{"ed": 3, "police": 0}]
    more = records({(5, 5, 0): 9, (5, 5, 1): 9})
    assert ledger.tell(at(5, 5, 0, 0.5, 1), more, FULL, LOCAL, MERGE_S) == told
    later = ledger.tell(at(5, 5, 0, 1.5, 7), more, FULL, LOCAL, MERGE_S)
    assert [one.observed["ed"] for one in later] == [3, 9]
    assert [one.week for one in later] == [name for name, _, _ in weeks_of(at(5, 5, 0, 1.5, 7), LOCAL)]


def test_none_is_told_once_too() -> None:
    ledger = Ledger()
    assert ledger.tell(at(5, 5, 0, 0.2, 1), records({}), FULL, LOCAL, MERGE_S) == ()
    assert ledger.tell(at(5, 5, 1, 0.4, 1), records({(5, 5, 0): 4}), FULL, LOCAL, MERGE_S) == ()


def test_a_ledger_goes_on_after_a_restart() -> None:
    ledger, again = Ledger(), Ledger()
    first = ledger.tell(at(5, 5, 0, 0.2, 1), records({(5, 5, 0): 3}), FULL, LOCAL, MERGE_S)
    assert ledger.is_changed
    again.restore(ledger.state())
    assert not ledger.is_changed
    assert again.tell(at(5, 5, 0, 0.5, 1), records({(5, 5, 0): 9}), FULL, LOCAL, MERGE_S) == first


def test_of_a_week_that_is_forgotten_nothing_is_told_again() -> None:
    """What is taken back years later gives no second figure of its weeks, to be subtracted from the first."""
    ledger, later = Ledger(), records({(5, 5, 0): 9})
    first = ledger.tell(at(5, 5, 0, 0.2, 1), records({(5, 5, 0): 3}), FULL, LOCAL, MERGE_S)
    for week in range(1, REMEMBERED_WEEKS):
        ledger.tell(at(5, 5, 0, week + 0.5, 1), later, FULL, LOCAL, MERGE_S)
    assert ledger.tell(at(5, 5, 0, 0.5, 1), later, FULL, LOCAL, MERGE_S) == first
    ledger.tell(at(5, 5, 0, REMEMBERED_WEEKS + 0.5, 1), later, FULL, LOCAL, MERGE_S)
    assert ledger.tell(at(5, 5, 0, 0.5, 1), later, FULL, LOCAL, MERGE_S) == ()


def test_weeks_are_those_of_the_regions_clock() -> None:
    """Summer time begins on Sunday 29 March 2026: that week has 167 hours."""
    found = weeks_of(detection(span_s=7 * DAY_S, as_of=int(NOW.timestamp()) + 30 * DAY_S), LOCAL)
    assert [name for name, _, _ in found] == ["2026-W12", "2026-W13", "2026-W14"] or len(found) == 2
    assert {end - begin for _, begin, end in found} <= {167 * 3600, 168 * 3600}
    assert all(moment(begin).astimezone(hampshire().zone).strftime("%a %H:%M") == "Mon 00:00" for _, begin, _ in found)


# --- where addresses come from --------------------------------------------------------------------------------------


def test_postcodes_are_addresses_of_cells() -> None:
    addresses = load_addresses([hampshire()])["hampshire"]
    assert addresses is not None
    assert addresses[GUILDHALL_CELL] > 8
    cut = Publication(addresses)
    assert cut.unit_of(*GUILDHALL_CELL).level <= 2  # the middle of a city is told of finely
    assert cut.addresses(cut.enough(cut.units_of(*GUILDHALL_CELL, 0))) >= LEAST_ADDRESSES


def test_elsewhere_addresses_are_not_known_and_postcodes_are_refused() -> None:
    chicago = load_region(ROOT / "regions" / "chicago.toml")
    assert load_addresses([chicago]) == {"chicago": None}
    with pytest.raises(RegionFileError, match="its crs is not British"):
        load_addresses([chicago.model_copy(update={"addresses": "postcodes"})])


def test_many_regions_are_given_what_each_would_be_given_alone() -> None:
    bounds = Bounds(west=-1.6, south=50.95, east=-1.2, north=51.1)
    part = hampshire().model_copy(update={"id": "part", "cell_m": 500, "bounds": bounds})
    chicago = load_region(ROOT / "regions" / "chicago.toml")
    together = load_addresses([hampshire(), chicago, part])
    assert list(together) == ["hampshire", "chicago", "part"]
    assert together == {**load_addresses([hampshire()]), **load_addresses([chicago]), **load_addresses([part])}
    whole, coarse = together["hampshire"], together["part"]
    assert whole is not None and coarse is not None
    inside = Counter[tuple[int, int]]()
    for (ix, iy), count in whole.items():
        inside[ix // 2, iy // 2] += count
    assert coarse and all(inside[cell] == count for cell, count in coarse.items())
