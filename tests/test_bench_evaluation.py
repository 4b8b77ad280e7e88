"""The tables of docs/evaluation.md: what they tell comes from metrics, and they are put between marks."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.evaluation import PERIODS, write_between
from bench.evaluation_tables import difference, expectations, overall, places, tables
from tests.builders_report import bare, fraction, metrics


def test_every_method_stratum_interval_and_effect_has_its_row() -> None:
    found = metrics()
    text = tables("A title", "hotspot backtest x", found)
    assert "simulated" in text
    for result in found.methods:
        assert f"| {result.method} | {result.episodes_per_28_days:.2f} |" in text
    for trait, values in found.methods[0].by_trait.items():
        for value in values:
            assert f"| {trait} {value} |" in text
    assert found.null is not None
    for row in found.null.reliability:
        assert f"| {row.at_least_days:g} days and more | {row.observed} |" in text
    for effect in found.effects:
        assert f"| {effect.name} | {effect.episodes_per_28_days:.2f} |" in text


def test_of_what_was_not_measured_there_is_no_table() -> None:
    text = tables("Nothing", "hotspot backtest x", bare())
    assert "|" not in text


def test_runs_stand_side_by_side_with_the_best_other_method() -> None:
    found = metrics()
    monitor, *others = found.methods
    best = max((other for other in others if other.all), key=lambda other: other.all.fraction if other.all else 0)
    assert monitor.all is not None
    assert best.all is not None
    text = overall([("One", found), ("Bare", bare())])
    assert f"| One | {monitor.all.fraction:.0%} | {best.all.fraction:.0%} {best.method} |" in text
    assert "Bare" not in text
    assert overall([("Bare", bare())]) == ""


def test_each_way_to_rank_places_and_to_expect_has_its_row() -> None:
    found = metrics()
    ranked, expected = places(found), expectations(found)
    for name in ("monitor", *(ranking.name for ranking in found.rankings)):
        assert f"| {name} |" in ranked
    assert f"| {found.methods[0].capture[0].pai:.2f} |" in ranked
    assert found.expectation is not None
    for kind in found.expectation.kinds:
        assert f"| {kind.kind} | baseline |" in expected


def test_a_difference_has_newcombes_interval() -> None:
    """Newcombe 1998, Statistics in Medicine 17, table II (a): 56 of 70 and 48 of 80."""
    assert difference(fraction(56, 70), fraction(48, 80)) == pytest.approx((0.0524, 0.3339), abs=2e-4)


def test_tables_replace_what_stands_between_the_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin x -->\nold\n<!-- end x -->\nafter\n", encoding="utf-8")
    write_between(page, "x", "new")
    write_between(page, "x", "newer")
    assert page.read_text(encoding="utf-8") == "before\n<!-- begin x -->\n\nnewer\n<!-- end x -->\nafter\n"
    with pytest.raises(ValueError, match="no marks"):
        write_between(page, "y", "new")


def test_the_page_has_a_place_for_each_period() -> None:
    page = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for period in PERIODS:
        assert f"<!-- begin {period} -->" in page
        assert f"<!-- end {period} -->" in page
