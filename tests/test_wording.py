"""What an alert says: headlines as they are read."""

from __future__ import annotations

import pytest

from alerts.wording import evidence_of, headline, place_words, recurrence_words, span_words, usual_words
from schemas.alert import AlertReason, EpisodeState, Window
from schemas.detection import DAY_S, HOUR_S, Detection
from tests.builders import detection, window

CAP = 36_500.0
BOTH = detection(observed=(2, 3), expected=(0.2, 0.3), kind_scores=(3.0, 5.0), score=8.0)
ED_ONLY = detection(observed=(4, 0), expected=(0.3, 0.01), kind_scores=(7.7, 0.0), score=7.7, span_s=6 * HOUR_S)
POLICE = detection(observed=(1, 12), expected=(1.1, 3.4), kind_scores=(0.0, 6.8), score=6.8, span_s=28 * DAY_S)
GONE = detection(observed=(0, 0), expected=(0.2, 0.3), kind_scores=(0.0, 0.0), score=0.0)
ONE = detection(observed=(0, 1), expected=(0.001, 0.02), kind_scores=(0.0, 2.9), score=2.9, span_s=DAY_S)
BUSY = detection(observed=(0, 31), expected=(0.0, 14.6), kind_scores=(0.0, 7.0), score=7.0, span_s=7 * DAY_S)

EMERGING, GROWING, CLOSED, RETRACTED = (
    EpisodeState.EMERGING,
    EpisodeState.GROWING,
    EpisodeState.CLOSED,
    EpisodeState.RETRACTED,
)
WITHDRAWN = AlertReason.EVIDENCE_WITHDRAWN

# fmt: off
HEADLINES: list[tuple[AlertReason, EpisodeState, Detection, float, bool, str]] = [
    (AlertReason.OPENED, EMERGING, BOTH, 190.2, False,
     "Violence is emerging within 375 m of 50.9075°N 1.4065°W: 5 incidents in 3 days where 0.5 is usual "
     "(ED 2, usually 0.2; police 3, usually 0.3); by chance alone about once in 190 days across the whole area."),
    (AlertReason.OPENED, EMERGING, ED_ONLY, 1_400.0, True,
     "[SIMULATED] Violence is emerging within 375 m of 50.9075°N 1.4065°W: 4 incidents in 6 hours where 0.3 is usual "
     "(ED records); by chance alone about once in 4 years across the whole area."),
    (AlertReason.ESCALATED, GROWING, POLICE, CAP, False,
     "Violence is growing within 375 m of 50.9075°N 1.4065°W: 13 incidents in 4 weeks where 4.5 is usual "
     "(ED 1, usually 1.1; police 12, usually 3.4); "
     "by chance alone less than once in 100 years across the whole area."),
    (AlertReason.CLOSED, CLOSED, ONE, 0.4, False,
     "No longer unusual within 375 m of 50.9075°N 1.4065°W: 1 incident in 24 hours where almost none is usual "
     "(police records); by chance alone every day or two across the whole area."),
    (AlertReason.CLOSED, CLOSED, BUSY, 2.0, False,
     "No longer unusual within 375 m of 50.9075°N 1.4065°W: 31 incidents in 7 days where 15 is usual "
     "(police records); by chance alone about once in 2 days across the whole area."),
    (WITHDRAWN, EMERGING, BOTH, 45.0, False,
     "Corrected within 375 m of 50.9075°N 1.4065°W: 5 incidents in 3 days where 0.5 is usual "
     "(ED 2, usually 0.2; police 3, usually 0.3); by chance alone about once in 45 days across the whole area."),
    (WITHDRAWN, RETRACTED, GONE, 0.0, True,
     "[SIMULATED] Retracted because records were withdrawn, within 375 m of 50.9075°N 1.4065°W: "
     "0 incidents in 3 days where 0.5 is usual "
     "(ED 0, usually 0.2; police 0, usually 0.3); by chance alone every day or two across the whole area."),
]
# fmt: on


@pytest.mark.parametrize(("reason", "state", "found", "days", "simulated", "expected"), HEADLINES)
def test_headlines(
    reason: AlertReason, state: EpisodeState, found: Detection, days: float, simulated: bool, expected: str
) -> None:
    assert headline(reason, state, found, window(), days, cap=CAP, simulated=simulated) == expected


def test_every_reason_has_a_headline_above() -> None:
    assert {case[0] for case in HEADLINES} == set(AlertReason)


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
