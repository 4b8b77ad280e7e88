"""What each audience may see: rounding once, tiles with addresses enough, and an attacker who subtracts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from shapely import MultiPolygon, Point, Polygon

from alerts.disclosure import EXACT, ROUNDED, Discloser, disc_of, shown, together
from alerts.outline import disc, outline
from alerts.publication import LEAST_ADDRESSES, Ledger, Publication, Unit, weeks_of
from alerts.wording import as_text
from processors.grid import Grid
from processors.localtime import LocalHours
from schemas.addresses import load_addresses
from schemas.alert import Alert, Compared, Polygons, Spell, UnitWeek
from schemas.base import moment
from schemas.detection import DAY_S, Detection
from schemas.disclosure import Audience, Disclosed
from schemas.feeds import FeedNotice, FeedProblem
from schemas.located import LOCATED, Kind, LocatedArray
from schemas.region import RegionFileError, load_region
from tests.builders import GUILDHALL_CELL, NOW, ROOT, alert, detection, hampshire, window
from tests.builders_processors import MONDAY

OTHERS: tuple[Audience, ...] = ("police", "partnership", "public")
GRID = Grid(hampshire())
LOCAL = LocalHours(hampshire().zone)
MERGE_S = 3_600
IX, IY = GUILDHALL_CELL


# --- rounding -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "none"),
        (1, "1 to 7"),
        (7, "1 to 7"),
        (8, "about 10"),
        (12, "about 10"),
        (13, "about 15"),
        (22, "about 20"),
    ],
)
def test_one_count(count: int, words: str) -> None:
    assert shown(count).words == words


@given(st.lists(st.integers(0, 200), max_size=12))
def test_a_sum_holds_the_true_sum_and_is_a_function_of_what_is_shown(counts: list[int]) -> None:
    total = together([shown(count) for count in counts])
    assert total.low <= sum(counts) <= total.high
    bands = [0 if count == 0 else 4 if count <= 7 else 5 * round(count / 5) for count in counts]
    assert total == together([shown(band) for band in bands])


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


def as_polygons(polygons: Polygons) -> MultiPolygon:
    return MultiPolygon([Polygon(rings[0], rings[1:]) for rings in polygons])


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


def records(counts: Mapping[tuple[int, int, int], int], kind: Kind = Kind.ED) -> LocatedArray:
    """So many incidents, two hours apart, in a cell and week (numbered from MONDAY)."""
    total = sum(counts.values())
    rows = np.zeros(total, LOCATED)
    rows["record"], rows["revision"], rows["weight"], rows["kind"] = np.arange(1, total + 1), 1, 1, kind
    n = 0
    for (x, y, week), count in counts.items():
        for k in range(count):
            rows["ix"][n], rows["iy"][n] = x, y
            rows["occurred"][n] = MONDAY + week * 7 * DAY_S + (k + 1) * 7_200
            n += 1
    return rows


def at(x: int, y: int, radius: int, week: float, days: float) -> Detection:
    """A window that ends in a week."""
    return detection(ix=x, iy=y, radius_cells=radius, span_s=int(days * DAY_S), as_of=int(MONDAY + week * 7 * DAY_S))


FULL = Publication({(x, y): 8 for x in range(-16, 48) for y in range(-16, 48)})


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


def test_weeks_are_those_of_the_regions_clock() -> None:
    """Summer time begins on Sunday 29 March 2026: that week has 167 hours."""
    found = weeks_of(detection(span_s=7 * DAY_S, as_of=int(NOW.timestamp()) + 30 * DAY_S), LOCAL)
    assert [name for name, _, _ in found] == ["2026-W12", "2026-W13", "2026-W14"] or len(found) == 2
    assert {end - begin for _, begin, end in found} <= {167 * 3600, 168 * 3600}
    assert all(moment(begin).astimezone(hampshire().zone).strftime("%a %H:%M") == "Mon 00:00" for _, begin, _ in found)


# --- audiences ------------------------------------------------------------------------------------------------------


def full_alert(**fields: Any) -> Alert:
    """An alert with figures of both kinds wherever there may be any."""
    spell = Spell(NOW - timedelta(days=56), NOW, {"ed": 6, "police": 4}, {"ed": 0.31, "police": 0.2})
    given: dict[str, Any] = {
        "observed": {"ed": 6, "police": 4},
        "expected": {"ed": 0.231, "police": 0.5},
        "by_hour": {"ed": (6, *(0,) * 23), "police": (*(0,) * 20, 4, 0, 0, 0)},
        "compared": Compared(spell, spell, (spell,), {"ed": 0.31, "police": 0.5}),
        "alone_days": {"ed": 77.7, "police": 33.0},
        "kind_scores": {"ed": 3.3, "police": 5.0},
        "published": (UnitWeek("0/1767/448", "2026-W09", {"ed": 6, "police": 4}),),
        "place": "in Southampton",
        "grid_reference": "SU 418 121",
        "polygons": outline(disc(IX, IY, 1), GRID),
        "marking": "OFFICIAL-SENSITIVE",
        **fields,
    }
    return alert(**given)


AROUND = Publication({(x, y): 3 for x in range(IX - 40, IX + 40) for y in range(IY - 40, IY + 40)})


KNOWN = Discloser(hampshire(), AROUND)


def seen(one: Alert, audience: Audience, discloser: Discloser = KNOWN) -> Disclosed:
    told = discloser.disclose(one, audience)
    assert told is not None
    return told


def test_health_sees_all() -> None:
    one = full_alert()
    told = seen(one, "health")
    assert {name: count.words for name, count in told.counts.items()} == {"ed": "6", "police": "4"}
    assert (told.place, told.polygons, told.compared) == (one.place, one.polygons, one.compared)


@pytest.mark.parametrize("audience", ["police", "partnership"])
def test_others_see_health_rounded_and_the_police_as_they_are(audience: Audience) -> None:
    told = seen(full_alert(), audience)
    assert {name: count.words for name, count in told.counts.items()} == {"ed": "1 to 7", "police": "4"}
    assert set(told.usual) == set(told.alone_days) == set(told.by_hour) == {"police"}
    assert told.compared is not None and set(told.compared.usual_week) == {"police"}
    assert told.headline == (
        "Violence is emerging in Southampton: 4 incidents known to the police in 3 days, where less than one is "
        "usual; 1 to 7 incidents known to emergency departments around there in the same weeks; emergency departments "
        "see more than usual."
    )


def test_the_public_hears_of_what_the_police_alone_show_by_the_day() -> None:
    assert KNOWN.disclose(full_alert(), "public") is None
    assert KNOWN.disclose(full_alert(evidence="police_only", muted=True), "public") is None
    told = seen(full_alert(evidence="police_only"), "public")
    assert {name: count.words for name, count in told.counts.items()} == {"police": "1 to 7"}
    assert told.marking == "OFFICIAL"
    local = [when.astimezone(hampshire().zone) for when in (told.start, told.end, told.as_of, told.opened_at)]
    assert {(when.hour, when.minute) for when in local} == {(0, 0)}
    assert told.evidence is None and not told.history and not told.links and not told.not_known
    assert "emergency" not in told.headline


def test_others_get_whole_tiles_that_hold_the_window_and_no_centre() -> None:
    one = full_alert()
    told = seen(one, "police")
    assert told.addresses is not None and told.addresses >= LEAST_ADDRESSES
    assert as_polygons(told.polygons).buffer(1e-6).covers(as_polygons(one.polygons))
    assert told.polygons != one.polygons
    assert told.grid_reference == "SU 41 12"
    fields = set(Disclosed.model_fields)
    assert not fields & {"window", "score", "recurrence_interval_days", "permutation_p_value", "effect", "observed"}


def test_without_known_addresses_there_is_no_polygon() -> None:
    told = seen(full_alert(), "police", Discloser(hampshire(), Publication()))
    assert (told.polygons, told.addresses) == ((), None)


@pytest.mark.parametrize("audience", OTHERS)
def test_nothing_that_others_see_depends_on_exact_figures_of_health(audience: Audience) -> None:
    """Two worlds that differ in every figure of health, and in no rounded one: the same words to the letter."""
    spell = Spell(NOW - timedelta(days=56), NOW, {"ed": 2, "police": 4}, {"ed": 0.11, "police": 0.2})
    other = {
        "observed": {"ed": 3, "police": 4},
        "expected": {"ed": 0.499, "police": 0.5},
        "by_hour": {"ed": (0, 3, *(0,) * 22), "police": (*(0,) * 20, 4, 0, 0, 0)},
        "compared": Compared(spell, spell, (spell,), {"ed": 0.9, "police": 0.5}),
        "alone_days": {"ed": 11.0, "police": 33.0},
        "kind_scores": {"ed": 9.9, "police": 5.0},
        "published": (UnitWeek("0/1767/448", "2026-W09", {"ed": 1, "police": 4}),),
        "score": 99.0,
        "recurrence_interval_days": 12.0,
        "permutation_p_value": 0.4,
        "effect": {"ed": 1.0, "police": 10.0},
        "late_share": {"ed": 0.9},
        "unlocated_share": {"ed": 0.8},
    }
    for evidence in ("both", "police_only"):
        one = KNOWN.disclose(full_alert(evidence=evidence), audience)
        two = KNOWN.disclose(full_alert(evidence=evidence, **other), audience)
        assert one == two


@pytest.mark.parametrize("audience", OTHERS)
def test_text_is_made_from_what_the_audience_may_see(audience: Audience) -> None:
    told = seen(full_alert(evidence="police_only", observed={"ed": 6, "police": 4}), audience)
    text = as_text(told.headline, told.paragraphs)
    for hidden in ("6 incident", "0.231", "77", "190 days", "SU 418 121", "418", "10 incidents"):
        assert hidden not in text
    assert [part.name for part in told.paragraphs][:2] == ["where", "when"]


def test_every_audience_and_kind_is_decided() -> None:
    for audience in ("health", *OTHERS):
        assert not set(EXACT[audience]) & set(ROUNDED[audience])
    assert all("ed" not in EXACT[audience] for audience in OTHERS)
    assert "ed" not in ROUNDED["public"]


def test_canaries_of_a_feed_do_not_reach_the_public() -> None:
    notice = FeedNotice("hampshire/ed/RHM01", FeedProblem.SILENT, NOW, "CANARY has sent nothing.")
    public = seen(full_alert(evidence="police_only", not_known=(notice,)), "public")
    assert "CANARY" not in public.model_dump_json()
    assert "CANARY" in seen(full_alert(not_known=(notice,)), "police").model_dump_json()


# --- the attack -----------------------------------------------------------------------------------------------------

CELLS, WEEKS, ALERTS = 8, 3, 2_000
Key = tuple[str, str]


def world(seed: int) -> dict[tuple[int, int, int], int]:
    """Incidents that emergency departments know of, by cell and week: mostly none or few, some more than seven."""
    rng = np.random.default_rng(seed)
    counts = rng.choice([0, 0, 0, 1, 2, 3, 5, 7, 8, 11, 14], (CELLS, CELLS, WEEKS))
    return {(x, y, w): int(counts[x, y, w]) for x in range(CELLS) for y in range(CELLS) for w in range(WEEKS)}


def windows(seed: int) -> Iterator[Detection]:
    """Thousands of windows that overlap in every way, as an episode or an adversary may bring them about."""
    rng = np.random.default_rng(seed)
    for _ in range(ALERTS):
        x, y = (int(n) for n in rng.integers(0, CELLS, 2))
        yield at(x, y, int(rng.choice([0, 1, 2, 3])), float(rng.uniform(2.9, 3.0)), float(rng.uniform(0.3, 20.5)))


def tiles_in(window: Detection, publication: Publication) -> list[Key]:
    """What an attacker knows of a window: the tiles and weeks that it touches."""
    units = publication.units_of(window.ix, window.iy, window.radius_cells)
    return [(unit.name, week) for week, _, _ in weeks_of(window, LOCAL) for unit in units]


def ranges(constraints: list[tuple[frozenset[Key], float, float]], wanted: list[Key]) -> dict[Key, tuple[float, float]]:
    """Least and most of each unknown that sums allow: the attacker's linear programme over all alerts at once."""
    unknown = sorted({key for keys, _, _ in constraints for key in keys})
    place = {key: n for n, key in enumerate(unknown)}
    matrix = np.zeros((len(constraints), len(unknown)))
    for n, (keys, _, _) in enumerate(constraints):
        matrix[n, [place[key] for key in keys]] = 1.0
    most = np.concatenate([matrix, -matrix])
    limits = np.array([high for _, _, high in constraints] + [-low for _, low, _ in constraints])
    found = {}
    for key in wanted:
        cost = np.zeros(len(unknown))
        cost[place[key]] = 1.0
        ends = []
        for sign in (1, -1):
            solved = linprog(sign * cost, A_ub=most, b_ub=limits, bounds=(0, None))
            assert solved.x is not None  # the truth is a solution
            ends.append(float(solved.x[place[key]]))
        found[key] = (ends[0], ends[1])
    return found


def published(counts: Mapping[tuple[int, int, int], int]) -> tuple[list[Disclosed], dict[Key, tuple[int, ...]]]:
    """What the police are told of all windows over one world, and the truth of every tile and week."""
    ledger, rows = Ledger(), records(counts)
    told = []
    template, discloser = full_alert(), Discloser(hampshire(), FULL)
    for one in windows(1):
        part = ledger.tell(one, rows, FULL, LOCAL, MERGE_S)
        place = window(
            easting=(one.ix + 0.5) * 250, northing=(one.iy + 0.5) * 250, radius_m=(one.radius_cells + 0.5) * 250
        )
        disclosed = discloser.disclose(template.model_copy(update={"published": part, "window": place}), "police")
        assert disclosed is not None
        told.append(disclosed)
    truth = {(unit, week): counts for week, units in ledger.state().items() for unit, counts in units.items()}
    return told, truth


@pytest.fixture(scope="module")
def told_of_one_world() -> tuple[list[Disclosed], dict[Key, tuple[int, ...]]]:
    return published(world(1))


def test_no_suppressed_count_is_recovered_from_thousands_of_overlapping_alerts(
    told_of_one_world: tuple[list[Disclosed], dict[Key, tuple[int, ...]]],
) -> None:
    """All sums at once, solved for the least and most of each suppressed count: it stays 1 to 7, all of it."""
    told, truth = told_of_one_world
    constraints = {
        (frozenset(tiles_in(one, FULL)), float(here.counts["ed"].low), float(here.counts["ed"].high))
        for one, here in zip(windows(1), told, strict=True)
    }
    assert len(constraints) > 400  # that many different sums
    suppressed = [key for key, counts in truth.items() if 1 <= counts[Kind.ED] <= 7]
    assert len(suppressed) > 70
    rng = np.random.default_rng(3)
    chosen = [suppressed[n] for n in rng.choice(len(suppressed), 12, replace=False)]
    for least, most in ranges(sorted(constraints, key=str), chosen).values():
        assert least <= 1.0 + 1e-6
        assert most >= 7.0 - 1e-6


def test_worlds_that_differ_in_suppressed_counts_only_are_told_alike(
    told_of_one_world: tuple[list[Disclosed], dict[Key, tuple[int, ...]]],
) -> None:
    """Every word of thousands of alerts is the same, so nothing that can be done with them tells the worlds apart."""
    rng = np.random.default_rng(2)
    other = {key: int(rng.integers(1, 8)) if 1 <= count <= 7 else count for key, count in world(1).items()}
    assert other != world(1)
    assert published(other)[0] == told_of_one_world[0]


def test_rounding_each_window_by_itself_would_fall_to_the_same_attack() -> None:
    """So the attack can succeed: sums of windows, each suppressed or rounded when it is told, give counts away."""
    counts = world(1)
    truth: dict[Key, int] = {
        (Unit(0, x, y).name, weeks_of(at(0, 0, 0, week + 0.9, 0.5), LOCAL)[0][0]): count
        for (x, y, week), count in counts.items()
    }
    constraints = []
    for one in windows(1):
        keys = [key for key in tiles_in(one, FULL) if key in truth]
        band = shown(sum(truth[key] for key in keys))
        constraints.append((frozenset(keys), float(band.low), float(band.high)))
    suppressed = [key for key, count in truth.items() if 1 <= count <= 7]
    rng = np.random.default_rng(3)
    chosen = [suppressed[n] for n in rng.choice(len(suppressed), 12, replace=False)]
    found = ranges(sorted(set(constraints), key=str), chosen)
    assert any(least > 1.0 + 1e-6 or most < 7.0 - 1e-6 for least, most in found.values())


def test_tiles_of_published_polygons_cannot_be_subtracted_to_less_than_eight_addresses() -> None:
    """Polygons are whole tiles of one cut, so their difference is whole tiles, each with addresses enough."""
    rng = np.random.default_rng(4)
    covers = [AROUND.enough(AROUND.units_of(IX + int(x), IY + int(y), 2)) for x, y in rng.integers(-9, 9, (60, 2))]
    differences = [set(one) - set(other) for one in covers for other in covers]
    assert sum(map(bool, differences)) > 1_000
    assert all(AROUND.addresses(left) >= LEAST_ADDRESSES for left in differences if left)


# --- where addresses come from --------------------------------------------------------------------------------------


def test_postcodes_are_addresses_of_cells() -> None:
    addresses = load_addresses(hampshire())
    assert addresses is not None
    assert addresses[GUILDHALL_CELL] > 8
    cut = Publication(addresses)
    assert cut.unit_of(*GUILDHALL_CELL).level <= 2  # the middle of a city is told of finely
    assert cut.addresses(cut.enough(cut.units_of(*GUILDHALL_CELL, 0))) >= LEAST_ADDRESSES


def test_elsewhere_addresses_are_not_known_and_postcodes_are_refused() -> None:
    chicago = load_region(ROOT / "regions" / "chicago.toml")
    assert load_addresses(chicago) is None
    with pytest.raises(RegionFileError, match="its crs is not British"):
        load_addresses(chicago.model_copy(update={"addresses": "postcodes"}))


def test_windows_in_alerts_are_those_of_the_grid() -> None:
    one = window(easting=(IX + 0.5) * 250, northing=(IY + 0.5) * 250, radius_m=GRID.radius_m(3))
    assert disc_of(one, GRID) == (IX, IY, 3)
