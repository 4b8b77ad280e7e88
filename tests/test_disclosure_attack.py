"""An attacker who has every alert and subtracts: no suppressed count can be recovered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from scipy.optimize import linprog

from alerts.disclosure import Discloser, shown
from alerts.publication import LEAST_ADDRESSES, Ledger, Publication, Unit, weeks_of
from schemas.detection import Detection
from schemas.disclosure import Disclosed
from schemas.located import Kind
from tests.builders import hampshire, window
from tests.builders_disclosure import AROUND, FULL, IX, IY, LOCAL, MERGE_S, at, full_alert, records

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
