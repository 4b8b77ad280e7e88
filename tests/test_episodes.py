"""The life of an episode: every transition that there is, and no other."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.episodes import (
    ESCALATION,
    STEADY_AFTER_S,
    TRANSITIONS,
    Decision,
    Episode,
    close,
    decide,
    evidence_changed,
    open_episode,
)
from schemas.alert import AlertReason, EpisodeState
from schemas.detection import HOUR_S, Detection
from tests.builders import detection

THRESHOLD = 10.0
CLOSING_LEVEL = 7.5
START = detection().as_of
OVER = (EpisodeState.CLOSED, EpisodeState.RETRACTED)


def found(score: float, incidents: int = 5, *, hours: float = 0) -> Detection:
    """The window found again, so many hours after it was opened."""
    return detection(score=score, observed=(0, incidents), as_of=START + round(hours * HOUR_S))


def opened(score: float = 12.0) -> Episode:
    episode, reason = open_episode("e1", 7, found(score))
    assert reason is AlertReason.OPENED
    return episode


def timeline(*detections: Detection) -> list[tuple[str, AlertReason | None]]:
    """States and alerts of an episode that is opened by the first and then sees the others."""
    episode, reason = open_episode("e1", 7, detections[0])
    told: list[tuple[str, AlertReason | None]] = [(episode.state.value, reason)]
    for one in detections[1:]:
        episode, reason = decide(episode, one, THRESHOLD)
        told.append((episode.state.value, reason))
    return told


# --- opening -----------------------------------------------------------------------------------------------------


def test_a_detection_opens_an_episode_and_is_told() -> None:
    first = found(12.0)
    episode, reason = open_episode("e1", 7, first)
    assert reason is AlertReason.OPENED
    assert episode == Episode("e1", 7, EpisodeState.EMERGING, 1, START, first, first, START)


# --- quiet -------------------------------------------------------------------------------------------------------


def test_what_has_not_changed_much_is_not_told() -> None:
    assert timeline(found(12.0), found(12.5, 6, hours=6), found(17.0, 6, hours=12)) == [
        ("emerging", AlertReason.OPENED),
        ("emerging", None),
        ("emerging", None),
    ]


def test_after_a_day_without_growth_it_is_steady() -> None:
    """
    hours   0            23.75   24
    state   emerging ──────▶     steady
    """
    assert timeline(found(12.0), found(12.0, hours=23.75), found(12.0, hours=24)) == [
        ("emerging", AlertReason.OPENED),
        ("emerging", None),
        ("steady", None),
    ]


def test_at_the_threshold_it_does_not_recede() -> None:
    assert timeline(found(12.0), found(THRESHOLD))[-1] == ("emerging", None)
    assert timeline(found(12.0), found(THRESHOLD - 0.01))[-1] == ("receding", None)


def test_below_the_threshold_it_recedes_and_does_not_flap() -> None:
    """
    score     12   ·              ·    11
    threshold ─────────────────────────────── 10
                        9    8
    closing   ─────────────────────────────── 7.5
    """
    scores = [12.0, 9.0, 8.0, 9.9, 11.0]
    assert timeline(*(found(score, hours=number) for number, score in enumerate(scores))) == [
        ("emerging", AlertReason.OPENED),
        ("receding", None),
        ("receding", None),
        ("receding", None),
        ("steady", None),
    ]


# --- escalation --------------------------------------------------------------------------------------------------


def test_it_escalates_when_score_and_incidents_have_grown() -> None:
    episode, reason = decide(opened(12.0), found(18.0, 7, hours=5), THRESHOLD)
    assert reason is AlertReason.ESCALATED
    assert (episode.state, episode.revision) == (EpisodeState.GROWING, 2)
    assert episode.told == episode.now == found(18.0, 7, hours=5)
    assert episode.grown_at == START + 5 * HOUR_S
    assert episode.opened_at == START


@pytest.mark.parametrize(
    ("score", "incidents"), [(17.99, 9), (30.0, 6), (30.0, 5)], ids=["score", "one incident more", "no incident more"]
)
def test_it_does_not_escalate_by_one_of_them_alone(score: float, incidents: int) -> None:
    episode, reason = decide(opened(12.0), found(score, incidents), THRESHOLD)
    assert reason is None
    assert (episode.state, episode.revision) == (EpisodeState.EMERGING, 1)


def test_growth_is_measured_from_the_last_alert() -> None:
    """
    score  12 ──▶ 18 (told) ──▶ 26 (not 1.5 times 18) ──▶ 27 (told)
    """
    assert timeline(found(12.0, 5), found(18.0, 7), found(26.0, 20), found(27.0, 20)) == [
        ("emerging", AlertReason.OPENED),
        ("growing", AlertReason.ESCALATED),
        ("growing", None),
        ("growing", AlertReason.ESCALATED),
    ]


def test_a_growing_episode_is_steady_a_day_after_it_last_grew() -> None:
    assert timeline(found(12.0), found(18.0, 7, hours=20), found(18.0, 7, hours=43), found(18.0, 7, hours=44)) == [
        ("emerging", AlertReason.OPENED),
        ("growing", AlertReason.ESCALATED),
        ("growing", None),
        ("steady", None),
    ]


# --- closing -----------------------------------------------------------------------------------------------------


def test_closing_tells_of_the_last_window_that_was_found() -> None:
    last = found(8.0, 4, hours=30)
    episode, _ = decide(opened(12.0), last, THRESHOLD)
    closed, reason = close(episode)
    assert reason is AlertReason.CLOSED
    assert (closed.state, closed.revision, closed.told) == (EpisodeState.CLOSED, 2, last)


# --- evidence ----------------------------------------------------------------------------------------------------


def test_the_same_counts_again_are_no_news() -> None:
    episode = opened(12.0)
    assert evidence_changed(episode, found(11.9), CLOSING_LEVEL) == (episode, None)


def test_withdrawn_evidence_retracts() -> None:
    recount = found(7.4, 3)
    retracted, reason = evidence_changed(opened(12.0), recount, CLOSING_LEVEL)
    assert reason is AlertReason.EVIDENCE_WITHDRAWN
    assert (retracted.state, retracted.revision, retracted.told) == (EpisodeState.RETRACTED, 2, recount)


def test_evidence_that_still_suffices_is_corrected() -> None:
    recount = found(7.5, 4)
    corrected, reason = evidence_changed(opened(12.0), recount, CLOSING_LEVEL)
    assert reason is AlertReason.EVIDENCE_WITHDRAWN
    assert (corrected.state, corrected.revision, corrected.told) == (EpisodeState.EMERGING, 2, recount)


def test_growth_is_measured_from_what_was_corrected() -> None:
    corrected, _ = evidence_changed(opened(12.0), found(8.0, 4), CLOSING_LEVEL)
    grown, reason = decide(corrected, found(12.0, 6, hours=1), THRESHOLD)
    assert reason is AlertReason.ESCALATED
    assert grown.revision == 3


# --- every transition, and none other ----------------------------------------------------------------------------


def steps(episode: Episode) -> list[Decision]:
    """What can happen to an episode: every kind of finding, an hour and a day later."""
    told = episode.told
    more = (0, sum(told.observed) + 2)
    fewer = (0, 1)
    decisions = [close(episode)]
    for later in (HOUR_S, STEADY_AFTER_S):
        at = episode.now.as_of + later
        for score in (CLOSING_LEVEL, THRESHOLD, max(THRESHOLD, told.score * ESCALATION)):
            for observed in (told.observed, more):
                decisions.append(decide(episode, detection(score=score, observed=observed, as_of=at), THRESHOLD))
        for score in (0.0, THRESHOLD):
            for observed in (told.observed, fewer):
                recount = told._replace(score=score, observed=observed)
                decisions.append(evidence_changed(episode, recount, CLOSING_LEVEL))
    return decisions


def test_every_transition_of_the_table_is_reached_and_none_other() -> None:
    reached: set[tuple[EpisodeState, EpisodeState]] = set()
    waiting = deque([opened(12.0)])
    while waiting:
        episode = waiting.popleft()
        for after, _ in steps(episode):
            step = (episode.state, after.state)
            if step[0] is not step[1] and step not in reached:
                reached.add(step)
                if after.state not in OVER:
                    waiting.append(after)
    assert reached == set(TRANSITIONS)


def test_every_transition_has_a_sentence_and_nothing_leaves_the_end() -> None:
    assert all(sentence.endswith(".") and len(sentence) > 20 for sentence in TRANSITIONS.values())
    assert not [before for before, _ in TRANSITIONS if before in OVER]
    assert {state for _, state in TRANSITIONS} == set(EpisodeState) - {EpisodeState.EMERGING}


@pytest.mark.parametrize("state", OVER)
def test_what_is_over_stays_over(state: EpisodeState) -> None:
    over = replace(opened(12.0), state=state)
    other = next(one for one in OVER if one is not state)
    with pytest.raises(ValueError, match=f"episode e1 cannot go from {state.value} to receding"):
        decide(over, found(8.0), THRESHOLD)
    with pytest.raises(ValueError, match=f"cannot go from {state.value} to growing"):
        decide(over, found(30.0, 9), THRESHOLD)
    with pytest.raises(ValueError, match=f"cannot go from {state.value} to {other.value}"):
        close(over) if other is EpisodeState.CLOSED else evidence_changed(over, found(0.0, 1), CLOSING_LEVEL)


FINDINGS = st.tuples(st.floats(CLOSING_LEVEL, 200), st.integers(0, 60), st.integers(1, 2 * STEADY_AFTER_S))


@given(st.lists(FINDINGS, min_size=1, max_size=30))
def test_along_any_history(findings: list[tuple[float, int, int]]) -> None:
    """Revisions count alerts, no alert is silent or doubled, and what was told is what the last alert saw."""
    at, history = START, []
    for score, incidents, later in findings:
        at += later
        history.append(detection(score=score, observed=(0, incidents), as_of=at))
    decisions = [open_episode("e1", 7, history[0])]
    for one in history[1:]:
        decisions.append(decide(decisions[-1][0], one, THRESHOLD))
    decisions.append(close(decisions[-1][0]))
    revision = 0
    for episode, reason in decisions:
        revision += reason is not None
        assert episode.revision == revision
        if reason is not None:
            assert episode.told == episode.now
    for (before, _), (after, reason) in pairwise(decisions):
        assert before.state is after.state or (before.state, after.state) in TRANSITIONS
        assert (after.state is EpisodeState.GROWING and before.state is not EpisodeState.GROWING) <= (
            reason is AlertReason.ESCALATED
        )
        assert (after.opened_at, after.episode_id, after.track) == (decisions[0][0].opened_at, "e1", 7)
