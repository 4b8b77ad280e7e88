"""The life of an episode: when people are told of it, and when it is quiet."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.episodes import (
    FIRST,
    REMEMBERED,
    Decision,
    Episode,
    Learn,
    Tell,
    asked,
    decide,
    lying_over,
    moved_away,
    open_episode,
    part_split_off,
    split_of,
    told_at_one_place,
)
from alerts.transitions import STEPS
from processors.tracking import LINGER_S
from schemas.base import moment
from schemas.detection import DAY_S, HOUR_S
from schemas.episodes import AlertReason, EpisodeState, Passage, Reason
from tests.builders import detection
from tests.builders_episodes import (
    LEVELS,
    START,
    TERMS,
    THRESHOLD,
    ended,
    found,
    muted,
    opened,
    seen,
    timeline,
    told,
)

# --- opening -----------------------------------------------------------------------------------------------------


def test_a_detection_opens_an_episode_and_is_told() -> None:
    first = found(12.0)
    decision = open_episode("e1", 7, first, TERMS)
    assert (decision.reason, decision.instructions) == (
        Reason.OPENED,
        (Learn(first), Tell(AlertReason.OPENED, muted=False)),
    )
    passage = Passage(1, moment(START), EpisodeState.EMERGING, AlertReason.OPENED)
    assert decision.episode == Episode(
        "e1",
        7,
        EpisodeState.EMERGING,
        1,
        START,
        first,
        first,
        START,
        START,
        history=(passage,),
        heard=True,
        grounds=(first,),
    )


# --- quiet -------------------------------------------------------------------------------------------------------


def test_what_has_not_changed_much_is_not_told() -> None:
    assert timeline(found(12.0), found(12.5, 6, hours=6), found(17.0, 6, hours=12)) == [
        ("emerging", "opened", AlertReason.OPENED),
        ("emerging", "unchanged", None),
        ("emerging", "unchanged", None),
    ]


def test_after_a_day_without_growth_it_is_steady() -> None:
    """
    hours   0            23.75   24
    state   emerging ──────▶     steady
    """
    assert timeline(found(12.0), found(12.0, hours=23.75), found(12.0, hours=24)) == [
        ("emerging", "opened", AlertReason.OPENED),
        ("emerging", "unchanged", None),
        ("steady", "not_grown", None),
    ]


def test_at_the_threshold_it_does_not_recede() -> None:
    assert timeline(found(12.0), found(THRESHOLD))[-1] == ("emerging", "unchanged", None)
    assert timeline(found(12.0), found(THRESHOLD - 0.01))[-1] == ("receding", "fell", None)


def test_below_the_threshold_it_recedes_and_does_not_flap() -> None:
    """
    score     12   ·              ·    11
    threshold ─────────────────────────────── 10
                        9    8
    closing   ─────────────────────────────── 7.5
    """
    scores = [12.0, 9.0, 8.0, 9.9, 11.0]
    assert timeline(*(found(score, hours=number) for number, score in enumerate(scores))) == [
        ("emerging", "opened", AlertReason.OPENED),
        ("receding", "fell", None),
        ("receding", "unchanged", None),
        ("receding", "unchanged", None),
        ("steady", "rose_again", None),
    ]


# --- escalation --------------------------------------------------------------------------------------------------


def test_it_escalates_when_score_and_incidents_have_grown() -> None:
    decision = seen(opened(12.0), found(18.0, 7, hours=5))
    episode = decision.episode
    assert (decision.reason, told(decision)) == (Reason.ESCALATED, AlertReason.ESCALATED)
    assert Learn(episode.told) in decision.instructions
    assert (episode.state, episode.revision) == (EpisodeState.GROWING, 2)
    assert episode.told == episode.now == found(18.0, 7, hours=5)
    assert episode.grown_at == episode.state_since == START + 5 * HOUR_S
    assert [passage.reason for passage in episode.history] == [AlertReason.OPENED, AlertReason.ESCALATED]
    assert episode.opened_at == START


@pytest.mark.parametrize(
    ("score", "incidents"), [(17.99, 9), (30.0, 6), (30.0, 5)], ids=["score", "one incident more", "no incident more"]
)
def test_it_does_not_escalate_by_one_of_them_alone(score: float, incidents: int) -> None:
    decision = seen(opened(12.0), found(score, incidents))
    episode = decision.episode
    assert (told(decision), decision.instructions) == (None, ())
    assert (episode.state, episode.revision) == (EpisodeState.EMERGING, 1)


def test_growth_is_measured_from_the_last_alert() -> None:
    """
    score  12 ──▶ 18 (told) ──▶ 26 (not 1.5 times 18) ──▶ 27 (told)
    """
    assert timeline(found(12.0, 5), found(18.0, 7), found(26.0, 20), found(27.0, 20)) == [
        ("emerging", "opened", AlertReason.OPENED),
        ("growing", "escalated", AlertReason.ESCALATED),
        ("growing", "unchanged", None),
        ("growing", "escalated", AlertReason.ESCALATED),
    ]


def test_a_growing_episode_is_steady_a_day_after_it_last_grew() -> None:
    assert timeline(found(12.0), found(18.0, 7, hours=20), found(18.0, 7, hours=43), found(18.0, 7, hours=44)) == [
        ("emerging", "opened", AlertReason.OPENED),
        ("growing", "escalated", AlertReason.ESCALATED),
        ("growing", "unchanged", None),
        ("steady", "not_grown", None),
    ]


# --- closing -----------------------------------------------------------------------------------------------------


def test_a_day_without_a_window_of_its_own_closes_it() -> None:
    """
    hours    0      30                     54    54 and a second
    window   12     8                      ·     ·
             opened receding ────────────────────▶ closed, with the window of hour 30
    """
    last = found(8.0, 4, hours=30)
    episode = seen(opened(12.0), last).episode
    quiet = decide(episode, None, last.as_of + LINGER_S, TERMS)
    assert quiet == Decision(episode, (), Reason.UNSEEN)
    closed = decide(episode, None, last.as_of + LINGER_S + 1, TERMS)
    assert (closed.reason, told(closed)) == (Reason.FADED, AlertReason.CLOSED)
    assert (closed.episode.state, closed.episode.revision, closed.episode.told) == (EpisodeState.CLOSED, 2, last)


# --- merge and split ---------------------------------------------------------------------------------------------


def test_an_episode_that_another_lies_over_is_merged_into_it() -> None:
    """
    hours   0      6     12                         30
    e1      ■      ·     ·      ·      ·      ·     merged into e0
    e0 (older, three cells away, then wide)
            ■      ■■■■  ■■■■   ■■■■   ■■■■   ■■■■  ■■■■
    """
    small = opened()
    wide = found(20.0, 9, hours=6, ix=3)._replace(radius_cells=4)
    big = replace(small, episode_id="e0", track=3, opened_at=START - DAY_S, now=wide, told=wide)
    under = lying_over(small, [small, big])
    assert under == "e0"
    merged = ended(small, under=under)
    assert (merged.reason, told(merged)) == (Reason.MERGED, AlertReason.MERGED)
    assert (merged.episode.state, merged.episode.merged_into) == (EpisodeState.CLOSED, "e0")


def test_what_lies_elsewhere_or_is_older_lies_over_nothing() -> None:
    small = opened()
    far = replace(small, episode_id="far", now=found(20.0, hours=6, ix=9))
    before = replace(small, episode_id="before", now=found(20.0, hours=-1))
    assert lying_over(small, [small, far, before]) == ""
    both = [replace(small, episode_id=name, now=found(20.0, hours=1)) for name in ("b", "a")]
    assert lying_over(small, both) == "a"  # of equally old ones the first by name: always the same


def test_a_part_that_goes_on_by_itself_is_told_as_split() -> None:
    wide = found(20.0, 12)._replace(radius_cells=4)
    whole = replace(opened(), told=wide, now=found(14.0, 6, hours=1, ix=-4))
    part = found(11.0, 6, hours=1, ix=4)
    parent = split_of(part, [whole])
    assert parent == whole
    child = open_episode("e2", 8, part, TERMS, whole.episode_id)
    assert (child.reason, told(child), child.episode.split_from) == (
        Reason.OPENED_BY_SPLIT,
        AlertReason.OPENED,
        "e1",
    )
    rest = part_split_off(whole, part.as_of, TERMS)
    assert (rest.reason, told(rest), rest.episode.told) == (Reason.SPLIT, AlertReason.SPLIT, whole.now)


def test_a_window_of_two_looks_ago_is_a_parent_too_and_a_far_one_is_none() -> None:
    episode = replace(opened(), before=found(20.0, hours=1)._replace(radius_cells=6), told=found(12.0, ix=-20))
    assert split_of(found(11.0, hours=2, ix=6), [episode]) == episode
    assert split_of(found(11.0, hours=2, ix=20), [episode]) is None


def test_two_that_were_told_of_at_one_place_for_a_day_are_told_apart() -> None:
    """
    told    e1 at 0, e2 at 2 (two cells away, hour 1)
    found   e1 at 0 ................................ e1 at -9, both found a day after e2 was told
    """
    one = opened()
    other = replace(one, episode_id="e2", track=8, told=found(11.0, hours=1, ix=2))
    apart = [
        replace(one, now=found(12.0, hours=25.1, ix=-9)),
        replace(other, now=found(12.0, hours=25.1, ix=2)),
    ]
    at = apart[0].now.as_of
    assert told_at_one_place(apart, at) == [apart[0]]
    assert told_at_one_place([apart[0], replace(apart[1], now=found(12.0, hours=20))], at) == []  # not found now
    assert told_at_one_place([replace(one, now=found(12.0, hours=24)), *apart[1:]], at) == []
    moved = moved_away(apart[0], at, TERMS)
    assert (told(moved), moved.episode.told) == (AlertReason.MOVED, apart[0].now)
    assert told_at_one_place([moved.episode, apart[1]], at) == []
    stayed, left = replace(one, now=found(12.0, hours=25.1)), replace(other, now=found(12.0, hours=25.1, ix=9))
    assert told_at_one_place([stayed, left], at) == [left]  # it is the other that moved


# --- a person asks -----------------------------------------------------------------------------------------------


def test_who_asks_is_told_how_it_stands_mute_or_not() -> None:
    episode = replace(opened(12.0), now=found(13.0, hours=3))
    answer = asked(episode, START + 4 * HOUR_S)
    assert (answer.reason, told(answer), muted(answer)) == (Reason.ASKED, AlertReason.ASKED, False)
    assert answer.episode.told == episode.now


# --- any history ----------------------------------------------------------------------------------------------------


@given(st.lists(LEVELS, min_size=1, max_size=30))
def test_along_any_history(findings: list[tuple[float, int, int]]) -> None:
    """Revisions count alerts, no alert is silent or doubled, and what was told is what the last alert saw."""
    at, history = START, []
    for score, incidents, later in findings:
        at += later
        history.append(detection(score=score, observed=(0, incidents), as_of=at))
    decisions = [open_episode("e1", 7, history[0], TERMS)]
    for one in history[1:]:
        decisions.append(seen(decisions[-1].episode, one))
    decisions.append(ended(decisions[-1].episode))
    revision = 0
    for decision in decisions:
        episode, sent = decision.episode, told(decision)
        revision += sent is not None
        assert episode.revision == revision
        assert [passage.revision for passage in episode.history][-1] == revision
        assert len(episode.history) <= REMEMBERED
        assert [passage.revision for passage in episode.history][:FIRST] == list(range(1, min(revision, FIRST) + 1))
        if sent is not None:
            assert episode.told == episode.now
    for before, after in pairwise(decisions):
        step = (before.episode.state, after.episode.state)
        if step[0] is not step[1]:
            assert (after.reason, told(after)) in {(row.reason, row.told) for row in STEPS[step]}
        assert (after.episode.opened_at, after.episode.episode_id, after.episode.track) == (
            START + findings[0][2],
            "e1",
            7,
        )
