"""Map layers: Gi* of cells and emerging hotspot classes of places, held to slow twins and to worked examples."""

from __future__ import annotations

import math
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as run
from hypothesis import strategies as st

from processors.grid import Grid
from processors.incidents import Incidents
from processors.layers import (
    PATTERNS,
    ROWS_A_MESSAGE,
    Layers,
    false_discovery,
    layer_messages,
    layers,
    mann_kendall,
    patterns,
    significance,
    study_area,
)
from schemas.layers import EmergingPattern, LayerSettings, MapLayers
from schemas.region import Bounds, RegionFile, Source

DAY = 86_400
AS_OF = 20_000 * DAY
SMALL = LayerSettings(place_cells=2, period_days=20, cell_radius=1, steps=10, step_days=2, place_radius=1)
REGION = RegionFile(
    id="solent",
    name="Solent",
    crs="EPSG:27700",
    timezone="Europe/London",
    bounds=Bounds(west=-2, south=50, east=-0.5, north=52),
    sources=(Source(id="p", kind="police"),),
)
Event = tuple[int, int, int, int]
Square = tuple[int, int]
Score = tuple[float, float]
"""z and p."""


def found(events: list[Event]) -> Incidents:
    """Incidents of kind, column, row and seconds before AS_OF."""
    kind, ix, iy, ago = ([event[n] for event in events] for n in range(4))
    when = AS_OF - np.array(ago, np.int64)
    return Incidents(np.array(kind, np.uint8), np.array(ix, np.int32), np.array(iy, np.int32), when)


def naive_gi(values: dict[Square, int] | dict[tuple[int, int, int], int], near: list[set[int]]) -> list[Score]:
    """Ord & Getis (1995): (Σ wx - W·x̄) / (s √((n·Σw² - W²)/(n - 1))), the binary weights a set of numbers each."""
    x = list(values.values())
    n = len(x)
    mean = Fraction(sum(x), n)
    square = Fraction(sum(v * v for v in x), n) - mean**2
    scores = []
    for around in near:
        w = len(around)
        variance = square * Fraction(n * w - w * w, max(n - 1, 1))
        z = 0.0 if variance == 0 else float(sum(x[j] for j in around) - w * mean) / math.sqrt(variance)
        scores.append((z, math.erfc(abs(z) / math.sqrt(2))))
    return scores


def naive_bins(scores: list[Score]) -> list[int]:
    """Benjamini & Hochberg (1995), step up: the largest k with p(k) ≤ k·α/n; all as small are discoveries."""
    p = sorted(own for _, own in scores)
    cut = [max([v for k, v in enumerate(p, 1) if v * len(p) / k <= a], default=-1.0) for a in (0.1, 0.05, 0.01)]
    return [sum(own <= c for c in cut) * ((z > 0) - (z < 0)) for z, own in scores]


def naive_trend(series: list[float]) -> Score:
    """Mann-Kendall by all pairs and by groups of ties."""
    n = len(series)
    s = sum((series[j] > series[i]) - (series[j] < series[i]) for i in range(n) for j in range(i + 1, n))
    groups = [series.count(v) for v in set(series)]
    variance = (n * (n - 1) * (2 * n + 5) - sum(t * (t - 1) * (2 * t + 5) for t in groups)) / 18
    z = 0.0 if s == 0 else (s - math.copysign(1, s)) / math.sqrt(variance)
    return z, math.erfc(abs(z) / math.sqrt(2))


def naive_pattern(steps: str, trend: int) -> str:
    """What a row of steps (H hot, C cold, - neither) is called: ESRI's table, read as text."""
    for spot, own, other, way in (("hot", "H", "C", trend), ("cold", "C", "H", -trend)):
        ninety = steps.count(own) / len(steps) >= 0.9
        if re.fullmatch(f"[^{own}]*{own}", steps):
            return f"new {spot}"
        if re.fullmatch(f"[^{own}]*{own}{own}+", steps) and not ninety:
            return f"consecutive {spot}"
        if steps.endswith(own) and ninety:
            return f"{ {1: 'intensifying', 0: 'persistent', -1: 'diminishing'}[way] } {spot}"
        if steps.endswith(own):
            return f"{'oscillating' if other in steps else 'sporadic'} {spot}"
    for spot, own in (("hot", "H"), ("cold", "C")):
        if steps.count(own) / len(steps) >= 0.9:
            return f"historical {spot}"
    return "none"


def naive_area(events: list[Event], side: int) -> list[Square]:
    return sorted({(ix // side, iy // side) for _, ix, iy, _ in events})


def naive_cells(events: list[Event], s: LayerSettings) -> tuple[dict[Square, int], list[Score]]:
    cells = sorted(
        (x * s.place_cells + i, y * s.place_cells + j)
        for x, y in naive_area(events, s.place_cells)
        for i in range(s.place_cells)
        for j in range(s.place_cells)
    )
    seen = Counter((ix, iy) for _, ix, iy, ago in events if ago < s.period_days * DAY)
    count = {cell: seen[cell] for cell in cells}
    near = [{j for j, b in enumerate(cells) if math.dist(a, b) <= s.cell_radius} for a in cells]
    return count, naive_gi(count, near)


def naive_places(events: list[Event], s: LayerSettings) -> tuple[list[Square], list[list[Score]]]:
    places, step_s = naive_area(events, s.place_cells), s.step_days * DAY
    bins = [(*place, t) for place in places for t in range(s.steps)]
    side = s.place_cells
    seen = Counter((ix // side, iy // side, s.steps - 1 - ago // step_s) for _, ix, iy, ago in events)
    when = {b: seen[b] for b in bins}
    near = [
        {j for j, (u, v, t) in enumerate(bins) if math.dist(a[:2], (u, v)) <= s.place_radius and t in (a[2], a[2] - 1)}
        for a in bins
    ]
    scores = naive_gi(when, near)
    return places, [scores[n * s.steps : (n + 1) * s.steps] for n in range(len(places))]


def names(told: Layers) -> list[str]:
    return ["none" if c == 0 else f"{PATTERNS[abs(c) - 1]} {'hot' if c > 0 else 'cold'}" for c in told.places.pattern]


def check(events: list[Event], s: LayerSettings = SMALL) -> Layers:
    """Everything that the layers say of events is what the twins say. History must fill all steps."""
    told = layers(found(events), AS_OF, s)
    count, scores = naive_cells(events, s)
    area = study_area(found(events).ix, found(events).iy, s.place_cells)
    assert [*zip(area.ix.tolist(), area.iy.tolist(), strict=True)] == list(count)
    bins = naive_bins(scores)
    squares, shown = told.cells.squares, told.cells.found
    telling = [n for n, b in enumerate(bins) if b]
    assert [*zip(squares.ix.tolist(), squares.iy.tolist(), strict=True)] == [list(count)[n] for n in telling]
    assert shown.bin.tolist() == [bins[n] for n in telling]
    assert squares.observed.tolist() == [list(count.values())[n] for n in telling]
    np.testing.assert_allclose(shown.z, [scores[n][0] for n in telling], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(shown.p, [scores[n][1] for n in telling], rtol=1e-9, atol=1e-300)

    places, table = naive_places(events, s)
    flat = [score for row in table for score in row]
    flat_bins = naive_bins(flat)
    expected = []
    for n, place in enumerate(places):
        trend_z, trend_p = naive_trend([round(z, 9) for z, _ in table[n]])
        trend = int(math.copysign(1, trend_z)) if trend_p <= 1 - s.confidence / 100 else 0
        level = {90: 1, 95: 2, 99: 3}[s.confidence]
        row = flat_bins[n * s.steps : (n + 1) * s.steps]
        steps = "".join("H" if b >= level else "C" if b <= -level else "-" for b in row)
        expected.append((place, naive_pattern(steps, trend), trend_z))
    expected = [row for row in expected if row[1] != "none"]
    squares = told.places.squares
    assert [*zip(squares.ix.tolist(), squares.iy.tolist(), strict=True)] == [place for place, _, _ in expected]
    assert names(told) == [name for _, name, _ in expected]
    np.testing.assert_allclose(told.places.trend_z, [z for _, _, z in expected], rtol=1e-9)
    return told


def town(rng: np.random.Generator, n: int, s: LayerSettings = SMALL, reach: int = 6) -> list[Event]:
    """A busy corner that grows or fades, and scattered incidents; one that is old enough to fill all steps."""
    first = [(1, 0, 0, s.steps * s.step_days * DAY)]
    events = []
    for _ in range(n):
        ago = int(rng.integers(0, s.steps * s.step_days * DAY))
        if rng.random() < 0.5:
            ago = int(ago * rng.random())
            events.append((int(rng.integers(2)), int(rng.integers(-2, 1)), int(rng.integers(-2, 1)), ago))
        else:
            events.append((1, int(rng.integers(-reach, reach)), int(rng.integers(-reach, reach)), ago))
    return first + events


#: Incidents a place and step, over ten steps, in strips of places that do not touch.
STRIPS: dict[str, list[float]] = {
    "diminishing hot": [62 - 2.5 * t for t in range(10)],
    "historical hot": [50.0] * 9 + [0],
    "intensifying hot": [39 + 2.5 * t for t in range(10)],
    "persistent hot": [48.0] * 10,
    "new hot": [15.0] * 9 + [75],
    "consecutive hot": [15.0] * 7 + [54] * 3,
    "oscillating hot": [60.0] * 2 + [0] * 4 + [14] * 2 + [60] * 2,
    "sporadic hot": [15.0] * 2 + [54] * 3 + [14] * 3 + [60] * 2,
    "persistent cold": [0.4] * 10,
    "intensifying cold": [4 - 0.45 * t for t in range(9)] + [0],
    "consecutive cold": [15.0] * 6 + [0] * 4,
} | {f"none {n}": [17.0] * 10 for n in range(6)}


def city(rng: np.random.Generator) -> list[Event]:
    step_s = SMALL.step_days * DAY
    events = [(1, 0, 0, SMALL.steps * step_s)]
    for strip, rates in enumerate(STRIPS.values()):
        for t, rate in enumerate(rates):
            n, ago = int(rng.poisson(rate * 6)), (SMALL.steps - 1 - t) * step_s
            columns = (rng.integers(2, size=n), rng.integers(4, size=n) + 6 * strip - 30, rng.integers(6, size=n))
            when = ago + rng.integers(step_s, size=n)
            events += [*zip(*(column.tolist() for column in columns), when.tolist(), strict=True)]
    return events


def test_a_city_with_every_sort_of_history_is_its_twins() -> None:
    told = check(city(np.random.default_rng(0)))
    assert set(names(told)) >= {name for name in STRIPS if not name.startswith("none")}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("confidence", "radius"), [(90, 1), (95, 2), (99, 0)])
def test_layers_are_their_twins(seed: int, confidence: int, radius: int) -> None:
    s = SMALL.model_copy(update={"confidence": confidence, "cell_radius": radius, "place_radius": radius})
    told = check(town(np.random.default_rng(seed), 120), s)
    assert told.cells.found.z.size
    assert told.places.pattern.size


def test_hostile_histories_are_their_twins() -> None:
    old = SMALL.steps * SMALL.step_days * DAY
    check([(1, 0, 0, old)])  # one incident, before the period
    check([(1, 0, 0, old), (0, 0, 0, 5)], SMALL.model_copy(update={"place_cells": 1}))  # one cell
    check([(1, -1, -1, old), (0, -1, -1, 0)])
    check([(1, x, y, old - 1) for x in range(2) for y in range(2)] + [(1, 0, 0, old)])  # all counts the same
    check([(1, 2**20, -(2**20), old), *[(1, -(2**20), 5, 3)] * 9, (1, 2**20, -(2**20), 3)])  # far apart
    check([(1, x, 0, old) for x in range(-20, 20, 2)] + [(1, 0, 0, 2 * DAY * t) for t in range(10) for _ in range(5)])


def test_without_incidents_or_with_little_history_nothing_is_said() -> None:
    nothing = layers(found([]), AS_OF, SMALL)
    assert nothing.cells.area == nothing.places.area == nothing.places.steps == 0
    assert nothing.places.pattern.size == nothing.cells.found.z.size == 0
    [message] = layer_messages("solent", Grid(REGION), nothing)
    assert MapLayers.model_validate_json(message.model_dump_json()) == message
    # 10 steps of 2 days need 20 days of history; the second list is a moment short of it.
    crowd = [(1, 0, 0, n) for n in range(30)] + [(1, x, 9, 5 * DAY) for x in range(0, 40, 2)]
    assert layers(found([*crowd, (1, 0, 0, 20 * DAY)]), AS_OF, SMALL).places.pattern.tolist() == [1]
    short = layers(found([*crowd, (1, 0, 0, 20 * DAY - 1)]), AS_OF, SMALL)
    assert (short.places.steps, short.places.pattern.size, short.cells.found.bin.tolist()[:1]) == (0, 0, [3])


def test_cells_too_far_out_and_areas_of_other_places_are_refused() -> None:
    with pytest.raises(ValueError, match="from the origin of the grid"):
        layers(found([(1, -(2**31), 0, 0)]), AS_OF, SMALL)
    other = study_area(np.zeros(1, np.int32), np.zeros(1, np.int32), 3)
    with pytest.raises(ValueError, match="3 cells wide, not 2"):
        layers(found([(1, 0, 0, 0)]), AS_OF, SMALL, other)


def test_gi_star_has_the_numbers_of_pysal() -> None:
    # The example of esda.G_Local, star=True, transform="B": points (10, 10), (20, 10), (40, 10), (15, 20), (30, 20),
    # (30, 30), neighbours within 15, values 2, 3, 3.2, 5, 8, 7. Here values are times 5: z does not change.
    near = [{0, 1, 3}, {0, 1, 3, 4}, {2, 4}, {0, 1, 3, 4}, {1, 2, 3, 4, 5}, {4, 5}]
    values = np.array([10, 15, 16, 25, 40, 35])
    sums = np.array([values[list(around)].sum() for around in near])
    told = significance(sums, np.array([len(around) for around in near]), values)
    published = [-1.39727626, -0.28917762, 0.65064964, -0.28917762, 1.23452088, 2.02424331]
    np.testing.assert_allclose(told.z, published, atol=1e-8)
    assert (told.p[5], told.q[5]) == (pytest.approx(0.04294, abs=1e-5), pytest.approx(6 * told.p[5]))
    assert told.bin.tolist() == [0] * 6


def test_false_discovery_has_the_answer_of_benjamini_and_hochberg() -> None:
    # Benjamini & Hochberg (1995), section 4.1: 15 p-values, of which FDR control at 0.05 rejects the four smallest.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528]
    p += [0.7590, 1.0000]
    order = np.random.default_rng(5).permutation(15)
    q = false_discovery(np.array(p)[order].reshape(3, 5)).ravel()
    assert sorted(order[q <= 0.05]) == [0, 1, 2, 3]


def test_mann_kendall_by_hand() -> None:
    # 1 3 2 4 4: of ten pairs eight rise, one falls, one is tied: S = 7; variance (5·4·15 - 2·1·9)/18 = 282/18.
    # 10 rising values: S = 45, variance 10·9·25/18 = 125.
    score, p = mann_kendall(np.array([[1.0, 3.0, 2.0, 4.0, 4.0]]))
    assert score[0] == pytest.approx(6 / math.sqrt(282 / 18))
    assert p[0] == pytest.approx(math.erfc(abs(score[0]) / math.sqrt(2)))
    assert mann_kendall(np.arange(10.0)[None, ::-1])[0][0] == pytest.approx(-44 / math.sqrt(125))
    assert mann_kendall(np.zeros((2, 10)))[0].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("steps", "trend", "name"),
    [
        ("-------------------H", 0, "new hot"),
        ("-----------------HHH", 1, "consecutive hot"),
        ("---HHHHHHHHHHHHHHHHH", 0, "consecutive hot"),  # 85 %
        ("--HHHHHHHHHHHHHHHHHH", 0, "persistent hot"),  # 90 %
        ("HHHHHHHHHHHHHHHHHHHH", 1, "intensifying hot"),
        ("HHHHHHHCHHHHHHHHHHHH", -1, "diminishing hot"),
        ("HHHHHHHHHHHHHHHHHHH-", 1, "historical hot"),
        ("HHHHHHHHHHHHHHHHH---", 1, "none"),
        ("-----HH------------H", 0, "sporadic hot"),
        ("-----HH---C--------H", 0, "oscillating hot"),
        ("-----HH---C---------", 0, "none"),
        ("HHHHHHHHHHHHHHHHHHHC", 0, "new cold"),
        ("C----HH---C-------CC", 0, "oscillating cold"),
        ("CCCCCCCCCCCCCCCCCCCC", -1, "intensifying cold"),
        ("CCCCCCCCCCCCCCCCCCC-", 0, "historical cold"),
        ("CCCCCCCCCCCCCCCCCCCH", 0, "new hot"),
        ("--------------------", 1, "none"),
    ],
)
def test_patterns_by_name(steps: str, trend: int, name: str) -> None:
    bins = np.array([["-HC".index(step) for step in steps]], np.int8)
    bins[bins == 2] = -1
    code = patterns(bins, np.array([trend * 3.0]), np.array([0.003 if trend else 0.9]), 90)[0]
    assert naive_pattern(steps, trend) == name
    assert (f"{PATTERNS[abs(code) - 1]} {'hot' if code > 0 else 'cold'}" if code else "none") == name


rows = st.lists(st.sampled_from([-3, -2, -1, 0, 0, 1, 2, 3]), min_size=20, max_size=20)


@given(st.lists(rows | rows.map(sorted) | st.permutations([2, 3] * 9 + [0, 2]), min_size=1), st.data())
@run(max_examples=100, deadline=None)
def test_cold_spots_are_hot_spots_upside_down(table: list[list[int]], data: st.DataObject) -> None:
    bins = np.array(table, np.int8)
    trend = np.array(data.draw(st.lists(st.sampled_from([-2.5, -1.8, 2.5]), min_size=len(table), max_size=len(table))))
    p = np.where(np.abs(trend) < 2, 0.07, 0.01)  # only what is above 2 is a trend at 95 %
    codes = patterns(bins, trend, p, 95)
    assert patterns(-bins, -trend, p, 95).tolist() == (-codes).tolist()
    for row, way, code in zip(bins, trend, codes, strict=True):
        steps = "".join("H" if b >= 2 else "C" if b <= -2 else "-" for b in row)
        expected = f"{PATTERNS[abs(code) - 1]} {'hot' if code > 0 else 'cold'}" if code else "none"
        assert naive_pattern(steps, int(way / 2.5)) == expected


@given(st.integers(0, 2**32 - 1), st.integers(-50, 50), st.integers(-50, 50))
@run(max_examples=30, deadline=None)
def test_neither_order_nor_the_future_nor_the_place_of_the_grid_matters(seed: int, east: int, north: int) -> None:
    rng = np.random.default_rng(seed)
    events = town(rng, 60)
    plain = layers(found(events), AS_OF, SMALL)
    mixed = [events[n] for n in rng.permutation(len(events))] + [(1, 3, 3, -1), (0, 90, 90, -DAY)]
    moved = [(k, x + 2 * east, y + 2 * north, ago) for k, x, y, ago in mixed]
    other = layers(found(moved), AS_OF, SMALL)
    for mine, its in (plain.cells, other.cells), (plain.places, other.places):
        assert (mine.area, mine.incidents) == (its.area, its.incidents)
        assert (mine.squares.observed.tolist(), mine.found.z.tolist()) == (
            its.squares.observed.tolist(),
            its.found.z.tolist(),
        )
    assert (other.cells.squares.ix - plain.cells.squares.ix == 2 * east).all()
    assert (other.places.squares.iy - plain.places.squares.iy == north).all()
    assert other.places.pattern.tolist() == plain.places.pattern.tolist()
    late = layers(found([(k, x, y, ago - 3 * DAY) for k, x, y, ago in events]), AS_OF + 3 * DAY, SMALL)
    assert late.places.pattern.tolist() == plain.places.pattern.tolist()
    settled = SMALL.model_copy(update={"settle_days": 3})
    assert layers(found(events), AS_OF + 3 * DAY, settled).cells.found.z.tolist() == plain.cells.found.z.tolist()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60))
def test_corrected_p_values_keep_their_order_and_only_grow(p: list[float]) -> None:
    order = np.argsort(p)
    q = false_discovery(np.array(p))
    assert ((q >= p) & (q <= 1)).all()
    assert (np.diff(q[order]) >= 0).all()


def test_messages_hide_what_only_ed_knows_and_keep_within_their_size() -> None:
    old = [(1, x, 40, 20 * DAY) for x in range(0, 400, 2)]
    both = [(0, 0, 0, n) for n in range(9)] + [(1, 0, 1, n) for n in range(9)]
    [message] = layer_messages("solent", Grid(REGION), layers(found(old + both), AS_OF, SMALL), series=True)
    assert MapLayers.model_validate_json(message.model_dump_json()) == message
    count = {(cell.ix, cell.iy): cell.count for cell in message.gi_star.cells}
    assert (count[0, 0], count[0, 1], [*count]) == (None, 9, sorted(count))
    [place] = message.emerging.places
    assert (place.count, place.spot, place.pattern, place.hot_steps) == (18, "hot", EmergingPattern.NEW, 1)
    assert (place.easting, message.emerging.side_m, len(place.z)) == (250.0, 500.0, 10)
    # Far from each other: each crowd is the middle of three hot cells.
    crowds = [(1, 12 * n, 0, 5) for n in range(700)] * 9
    old += [(1, 2 * n, 60, 20 * DAY) for n in range(4_000)]
    parts = [*layer_messages("solent", Grid(REGION), layers(found([*crowds, *old]), AS_OF, SMALL))]
    assert [(part.part, part.parts, len(part.gi_star.cells)) for part in parts] == [(1, 2, ROWS_A_MESSAGE), (2, 2, 600)]
    assert max(len(part.model_dump_json()) for part in parts) < 900_000


def test_the_page_names_every_setting_and_its_default() -> None:
    page = (Path(__file__).parents[1] / "docs" / "layers.md").read_text(encoding="utf-8")
    for name, field in LayerSettings.model_fields.items():
        assert f"| `{name}` | {field.default} |" in page
    for pattern in EmergingPattern:
        assert f"| {pattern} |" in page
