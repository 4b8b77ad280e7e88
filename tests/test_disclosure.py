"""What each audience may see of an alert: rounding once, and text from what is left."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.disclosure import EXACT, ROUNDED, Discloser, disc_of, shown, together
from alerts.publication import LEAST_ADDRESSES, Publication
from alerts.wording import as_text
from schemas.alert import Compared, Spell, UnitWeek
from schemas.disclosure import Audience, Disclosed
from schemas.feeds import FeedNotice, FeedProblem
from tests.builders import NOW, hampshire, window
from tests.builders_disclosure import GRID, IX, IY, KNOWN, OTHERS, as_polygons, full_alert, seen

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


# --- audiences ------------------------------------------------------------------------------------------------------


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


def test_windows_in_alerts_are_those_of_the_grid() -> None:
    one = window(easting=(IX + 0.5) * 250, northing=(IY + 0.5) * 250, radius_m=GRID.radius_m(3))
    assert disc_of(one, GRID) == (IX, IY, 3)
