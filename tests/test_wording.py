"""What an alert says: headlines and paragraphs as they are read, over a set of situations."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts.phrases import (
    coordinates_words,
    evidence_of,
    listed,
    number_words,
    peak_of,
    place_words,
    plain_usual,
    recurrence_words,
    span_words,
    usual_words,
)
from alerts.places import from_place, grid_reference
from alerts.wording import as_text, headline, worded
from cli.show import COLOURS
from processors.calibration import MOST_DAYS
from schemas.alert import Alert, AlertReason, Compared, EpisodeState, Link, Spell, Window
from schemas.detection import DAY_S, HOUR_S
from schemas.episodes import Handling, Outcome, Passage
from schemas.feeds import FeedNotice, FeedProblem
from tests.builders import NOW, alert, detection, window

CAP = MOST_DAYS
LONDON = ZoneInfo("Europe/London")
SNAPSHOTS = Path(__file__).parent / "golden" / "texts"
EMERGING, GROWING, STEADY, CLOSED, RETRACTED = (
    EpisodeState.EMERGING,
    EpisodeState.GROWING,
    EpisodeState.STEADY,
    EpisodeState.CLOSED,
    EpisodeState.RETRACTED,
)
PLACE = {"place": "2.4 km north-east of Eastleigh", "grid_reference": "SU 418 121"}
POLICE = {"observed": {"ed": 0, "police": 13}, "expected": {"ed": 0.01, "police": 4.5}, "evidence": "police_only"}
ED_ONLY = {"observed": {"ed": 4, "police": 0}, "expected": {"ed": 0.3, "police": 0.01}, "evidence": "ed_only"}

# fmt: off
HEADLINES: dict[str, tuple[dict[str, Any], str]] = {
    "opened": ({**PLACE},
     "Violence is emerging 2.4 km north-east of Eastleigh: 5 incidents in 3 days, where less than one is usual "
     "(2 known to emergency departments and 3 known to the police)."),
    "opened where no place is near": ({"grid_reference": "SU 418 121"},
     "Violence is emerging within 375 m of SU 418 121: 5 incidents in 3 days, where less than one is usual "
     "(2 known to emergency departments and 3 known to the police)."),
    "opened outside of Britain": ({},
     "Violence is emerging within 375 m of 50.9075°N 1.4065°W: 5 incidents in 3 days, where less than one is usual "
     "(2 known to emergency departments and 3 known to the police)."),
    "hidden from the police, simulated": ({**PLACE, **ED_ONLY, "simulated": True},
     "[SIMULATED] Violence is emerging 2.4 km north-east of Eastleigh: 4 incidents in 3 days, where less than one is "
     "usual (known to emergency departments only)."),
    "escalated at weekends": (
     {**PLACE, **POLICE, "reason": AlertReason.ESCALATED, "state": GROWING,
      "window": window(start=NOW - timedelta(days=28), hours="weekend_nights")},
     "Violence is growing 2.4 km north-east of Eastleigh: 13 incidents in the weekend nights (Friday and Saturday, "
     "18:00 to 06:00) of 4 weeks, where about 5 are usual (known to the police only)."),
    "corrected": ({**PLACE, "reason": AlertReason.EVIDENCE_WITHDRAWN},
     "Corrected, as records of it were withdrawn or changed: violence 2.4 km north-east of Eastleigh: 5 incidents in 3 "
     "days, where less than one is usual (2 known to emergency departments and 3 known to the police)."),
    "retracted": (
     {**PLACE, "reason": AlertReason.EVIDENCE_WITHDRAWN, "state": RETRACTED, "observed": {"ed": 0, "police": 0}},
     "Taken back: what was told of violence 2.4 km north-east of Eastleigh no longer holds, because records of it were "
     "withdrawn or corrected."),
    "closed": ({**PLACE, "reason": AlertReason.CLOSED, "state": CLOSED},
     "Over: violence 2.4 km north-east of Eastleigh is no longer unusual."),
    "merged": ({**PLACE, "reason": AlertReason.MERGED, "state": CLOSED, "merged_into": "e0"},
     "Joined: violence 2.4 km north-east of Eastleigh is now followed together with violence next to it."),
    "split": ({**PLACE, **POLICE, "reason": AlertReason.SPLIT, "state": STEADY},
     "Smaller: a part of this violence is now followed by itself; the rest is 2.4 km north-east of Eastleigh: 13 "
     "incidents in 3 days, where about 5 are usual (known to the police only)."),
    "moved": ({**PLACE, **POLICE, "reason": AlertReason.MOVED, "state": STEADY},
     "Moved: this violence is now 2.4 km north-east of Eastleigh: 13 incidents in 3 days, where about 5 are usual "
     "(known to the police only)."),
    "after a mute": ({"place": "in Shirley", **POLICE, "reason": AlertReason.MUTE_ENDED, "state": STEADY},
     "Still unusual now that a mute has ended: violence in Shirley: 13 incidents in 3 days, where about 5 are usual "
     "(known to the police only)."),
    "asked": ({"place": "in Shirley", **POLICE, "reason": AlertReason.ASKED, "state": STEADY},
     "As asked: violence in Shirley is steady: 13 incidents in 3 days, where about 5 are usual (known to the police "
     "only)."),
    "one of almost none": (
     {"place": "in Shirley", "observed": {"ed": 0, "police": 1}, "expected": {"ed": 0.0, "police": 0.02}},
     "Violence is emerging in Shirley: 1 incident in 3 days, where almost none is usual (known to the police only)."),
}
# fmt: on


@pytest.mark.parametrize(("fields", "expected"), HEADLINES.values(), ids=HEADLINES)
def test_headlines(fields: dict[str, Any], expected: str) -> None:
    assert headline(alert(**fields)) == expected


def test_every_reason_has_a_headline_above() -> None:
    assert {alert(**fields).reason for fields, _ in HEADLINES.values()} == set(AlertReason)


def test_the_demo_has_a_colour_for_every_reason() -> None:
    assert set(COLOURS) == set(AlertReason)


HARD = ("ED", "score", "baseline", "expected", "interval", "window", "cell", "detection", "revision", "episode")


def test_a_headline_needs_no_glossary() -> None:
    """No word of the trade, no number with a decimal but a distance, and one sentence."""
    for fields, _ in HEADLINES.values():
        words = headline(alert(**fields))
        for hard in HARD:
            assert not re.search(rf"\b{hard}\b", words)
        assert words.endswith(".")


# --- the whole text -------------------------------------------------------------------------------------------------


def spell(days_before: int, days: int, ed: int, police: int, part: float) -> Spell:
    """So many incidents in so many days that ended so many days ago."""
    end = NOW - timedelta(days=days_before)
    per = {"ed": round(ed * part, 2), "police": round(police * part, 2)}
    return Spell(end - timedelta(days=days), end, {"ed": ed, "police": police}, per)


def told(**fields: Any) -> Alert:
    """An alert with everything that one of the monitor has."""
    hours = {"ed": [0] * 24, "police": [0] * 24}
    hours["ed"][23], hours["police"][0], hours["police"][1], hours["police"][14] = 2, 1, 1, 1
    given: dict[str, Any] = {
        **PLACE,
        "polygons": ((((-1.41, 50.9), (-1.4, 50.9), (-1.4, 50.91), (-1.41, 50.91), (-1.41, 50.9)),),),
        "by_hour": {name: tuple(of_hour) for name, of_hour in hours.items()},
        "compared": Compared(spell(3, 56, 2, 4, 3 / 56), spell(364, 28, 0, 3, 3 / 28), (), {"ed": 0.5, "police": 0.7}),
        "late_share": {"ed": 0.62, "police": 0.02},
        "unlocated_share": {"ed": 0.31, "police": 0.04},
        "state_since": NOW,
        "history": (Passage(1, NOW, EMERGING, AlertReason.OPENED),),
        "review_at": NOW + timedelta(hours=21),
        "expires_at": NOW + timedelta(days=7),
        "marking": "OFFICIAL-SENSITIVE",
        "handling": "For the tasking meeting.",
        "links": (Link("This episode", "https://hotspot.example.org/episodes/e1"),),
        **fields,
    }
    return worded(alert(**given), LONDON)


SILENT = FeedNotice(
    "hampshire/ed/RHM01", FeedProblem.SILENT, NOW, "Southampton General Hospital has sent nothing since Sunday."
)
PASSAGES = (
    Passage(1, NOW - timedelta(days=6), EMERGING, AlertReason.OPENED),
    Passage(2, NOW - timedelta(days=5), GROWING, AlertReason.ESCALATED, muted=True),
)
SITUATIONS: dict[str, dict[str, Any]] = {
    "opened": {},
    "opened-elsewhere": {"place": "", "grid_reference": "", "links": ()},
    "opened-hidden-from-police-simulated": {**ED_ONLY, "simulated": True, "permutation_p_value": 1e-9},
    "opened-silent-feed": {"not_known": (SILENT,)},
    "opened-nothing-missing-nothing-to-compare": {
        "late_share": {"police": 0.01},
        "unlocated_share": {},
        "compared": Compared(None, None, (), {}),
        "by_hour": {"ed": (0,) * 24, "police": (1,) * 5 + (0,) * 19},
    },
    "opened-split-muted": {
        "split_from": "e0",
        "muted": True,
        "muted_until": NOW + timedelta(days=2),
        "history": (Passage(1, NOW, EMERGING, AlertReason.OPENED, muted=True),),
    },
    "escalated-weekend-nights-handled": {
        **POLICE,
        "reason": AlertReason.ESCALATED,
        "state": GROWING,
        "revision": 3,
        "window": window(start=NOW - timedelta(days=28), hours="weekend_nights"),
        "history": (*PASSAGES, Passage(3, NOW, GROWING, AlertReason.ESCALATED)),
        "people": Handling(NOW - timedelta(days=4), "licensing", Outcome.GENUINE_NEW, NOW),
        "absorbed": ("e2", "e3"),
        "recurrence_interval_days": MOST_DAYS,
    },
    "retracted": {
        "reason": AlertReason.EVIDENCE_WITHDRAWN,
        "state": RETRACTED,
        "revision": 2,
        "observed": {"ed": 0, "police": 0},
        "expected": {"ed": 0.01, "police": 0.02},
        "by_hour": {"ed": (0,) * 24, "police": (0,) * 24},
        "permutation_p_value": None,
        "history": (PASSAGES[0], Passage(2, NOW, RETRACTED, AlertReason.EVIDENCE_WITHDRAWN)),
        "review_at": None,
    },
    "closed": {
        "reason": AlertReason.CLOSED,
        "state": CLOSED,
        "revision": 3,
        "observed": {"ed": 1, "police": 3},  # one more is known by now than when it was last seen
        "permutation_p_value": None,
        "recurrence_interval_days": 6.3,
        "history": (*PASSAGES, Passage(3, NOW, CLOSED, AlertReason.CLOSED)),
        "review_at": None,
        "expires_at": NOW + timedelta(days=1),
    },
    "merged-and-retracted-later": {
        "reason": AlertReason.EVIDENCE_WITHDRAWN,
        "state": RETRACTED,
        "revision": 4,
        "merged_into": "e0",
        "observed": {"ed": 0, "police": 1},
        "permutation_p_value": None,
        "history": (
            *PASSAGES,
            Passage(3, NOW - timedelta(days=1), CLOSED, AlertReason.MERGED),
            Passage(4, NOW, RETRACTED, AlertReason.EVIDENCE_WITHDRAWN),
        ),
        "review_at": None,
        "expires_at": NOW + timedelta(days=1),
    },
    "merged": {
        "reason": AlertReason.MERGED,
        "state": CLOSED,
        "revision": 3,
        "merged_into": "e0",
        "permutation_p_value": None,
        "history": (*PASSAGES, Passage(3, NOW, CLOSED, AlertReason.MERGED)),
        "review_at": None,
        "expires_at": NOW + timedelta(days=1),
    },
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_texts_are_as_they_were_read(name: str) -> None:
    """The whole text against a file; make it again on purpose only (delete it, and run this)."""
    one = told(**SITUATIONS[name])
    text, path = as_text(one.headline, one.paragraphs), SNAPSHOTS / f"{name}.txt"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"{path.name} was made anew: read it, and commit it if it is right")
    assert text == path.read_text(encoding="utf-8")


def test_paragraphs_come_in_the_order_in_which_a_meeting_asks() -> None:
    assert [part.name for part in told().paragraphs] == [
        "where",
        "when",
        "how_many",
        "how_unusual",
        "compared",
        "not_known",
        "history",
        "review",
        "marking",
        "links",
    ]


# --- phrases --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (HOUR_S, "1 hour"),
        (6 * HOUR_S, "6 hours"),
        (DAY_S, "24 hours"),
        (36 * HOUR_S, "36 hours"),
        (2 * DAY_S, "2 days"),
        (7 * DAY_S, "7 days"),
        (10 * DAY_S, "10 days"),
        (14 * DAY_S, "2 weeks"),
        (28 * DAY_S, "4 weeks"),
    ],
)
def test_spans(seconds: int, words: str) -> None:
    assert span_words(seconds) == words


@pytest.mark.parametrize(
    ("expected", "words"),
    [(0.0, "almost none"), (0.049, "almost none"), (0.05, "0.1"), (3.44, "3.4"), (9.96, "10"), (14.6, "15")],
)
def test_usual_numbers(expected: float, words: str) -> None:
    assert usual_words(expected) == words


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (0.0, "every day or two"),
        (1.9, "every day or two"),
        (2.0, "about once in 2 days"),
        (189.6, "about once in 190 days"),
        (729.9, "about once in 730 days"),
        (730.0, "about once in 2 years"),
        (CAP - 1, "about once in 100 years"),
        (CAP, "less than once in 100 years"),
        (float("inf"), "less than once in 100 years"),
    ],
)
def test_recurrence(days: float, words: str) -> None:
    assert recurrence_words(days, CAP) == words


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (0.01, "almost none is usual"),
        (0.5, "less than one is usual"),
        (0.95, "about 1 is usual"),
        (4.4, "about 4 are usual"),
    ],
)
def test_usual_numbers_without_decimals(expected: float, words: str) -> None:
    assert plain_usual(expected) == words


def test_numbers_and_lists() -> None:
    assert [number_words(n, "incident") for n in (0, 1, 2)] == ["no incidents", "1 incident", "2 incidents"]
    assert [listed(parts) for parts in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (window(radius_m=125.0), "within 125 m of 50.9075°N 1.4065°W"),
        (window(radius_m=999.0), "within 999 m of 50.9075°N 1.4065°W"),
        (window(radius_m=1125.0), "within 1.1 km of 50.9075°N 1.4065°W"),
        (window(latitude=-33.9, longitude=18.4233), "within 375 m of 33.9000°S 18.4233°E"),
    ],
)
def test_places(place: Window, words: str) -> None:
    assert place_words(place) == words


@pytest.mark.parametrize(
    ("kind_scores", "evidence"),
    [
        ((8.0, 0.0), "ed_only"),
        ((0.0, 8.0), "police_only"),
        ((4.0, 4.0), "both"),
        ((7.3, 0.7), "ed_only"),
        ((7.2, 0.8), "both"),
        ((0.8, 7.2), "both"),
        ((0.7, 7.3), "police_only"),
    ],
)
def test_a_kind_is_evidence_when_it_adds_a_tenth_of_the_score(kind_scores: tuple[float, float], evidence: str) -> None:
    assert evidence_of(detection(score=8.0, kind_scores=kind_scores)) == evidence


@pytest.mark.parametrize(
    ("busy", "peak"),
    [
        ({22: 2, 23: 1, 1: 1, 12: 1}, (22, 2, 4, 5)),  # over midnight
        ({3: 3}, (0, 4, 3, 3)),
        ({3: 2}, None),  # too few
        ({2: 3, 10: 3, 18: 3}, None),  # spread over the day
    ],
)
def test_peak_hours(busy: dict[int, int], peak: tuple[int, int, int, int] | None) -> None:
    hours = [busy.get(hour, 0) for hour in range(24)]
    assert peak_of({"ed": hours, "police": [0] * 24}) == peak


@pytest.mark.parametrize(
    ("east", "north", "words"),
    [
        (0, 700, "in Shirley"),
        (0, 800, "0.8 km north of Shirley"),
        (1_700, 1_700, "2.4 km north-east of Shirley"),
        (-3_000, 100, "3.0 km west of Shirley"),
        (-10, -5_000, "5.0 km south of Shirley"),
    ],
)
def test_places_by_name(east: float, north: float, words: str) -> None:
    assert from_place("Shirley", east, north) == words


def test_coarse_places_are_told_to_the_kilometre() -> None:
    assert from_place("Shirley", 1_700, 1_700, coarse=True) == "2 km north-east of Shirley"
    assert from_place("Shirley", 0, 800, coarse=True) == "1 km north of Shirley"


def test_grid_references() -> None:
    """The Guildhall of Southampton, and a point off the grid."""
    assert grid_reference(441_825, 112_170) == "SU 418 121"
    assert grid_reference(441_825, 112_170, 1_000) == "SU 41 12"
    assert grid_reference(-1.0, 5.0) == ""


def test_coordinates() -> None:
    assert coordinates_words(window(latitude=-33.9, longitude=18.4233)) == "33.9000°S 18.4233°E"
