"""The life of an episode: every transition that there is, and no other."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.episodes import (
    FIRST,
    REMEMBERED,
    STEADY_AFTER_S,
    Decision,
    Drop,
    Episode,
    Learn,
    Lift,
    Tell,
    Terms,
    asked,
    decide,
    evidence_changed,
    lying_over,
    moved_away,
    open_episode,
    part_split_off,
    split_of,
    told_at_one_place,
)
from alerts.mutes import ESCALATION, hold
from alerts.transitions import STEPS, TRANSITIONS, WITHIN_A_STATE, table_text
from docs.extensions.episodes import DRAWING, PAGE, drawing, page
from processors.tracking import LINGER_S
from schemas.base import moment
from schemas.detection import DAY_S, HOUR_S, Detection
from schemas.episodes import AlertReason, EpisodeState, Mute, Outcome, Passage, Reason
from schemas.feedback import FeedbackResult
from tests.builders import ROOT, detection

THRESHOLD = 10.0
CLOSING_LEVEL = 7.5
TERMS = Terms(THRESHOLD, CLOSING_LEVEL)
START = detection().as_of
OVER = (EpisodeState.CLOSED, EpisodeState.RETRACTED)


def found(score: float, incidents: int = 5, *, hours: float = 0, ix: int = 0) -> Detection:
    """The window found again, so many hours after it was opened and so many cells further east."""
    one = detection(score=score, observed=(0, incidents), as_of=START + round(hours * HOUR_S))
    return one._replace(ix=one.ix + ix)


def told(decision: Decision) -> AlertReason | None:
    """The alert that a decision sends: one at most."""
    sent = [one for one in decision.instructions if isinstance(one, Tell)]
    assert len(sent) <= 1
    return sent[0].reason if sent else None


def muted(decision: Decision) -> bool:
    """Whether that alert is held by a mute."""
    (tell,) = [one for one in decision.instructions if isinstance(one, Tell)]
    return tell.muted


def opened(score: float = 12.0, terms: Terms = TERMS) -> Episode:
    decision = open_episode("e1", 7, found(score), terms)
    assert told(decision) is AlertReason.OPENED
    return decision.episode


def seen(episode: Episode, one: Detection, terms: Terms = TERMS) -> Decision:
    """The episode at a look that found it."""
    return decide(episode, one, one.as_of, terms)


def ended(episode: Episode, terms: Terms = TERMS, under: str = "") -> Decision:
    """The episode at the first look more than a day after the last that found it."""
    return decide(episode, None, episode.now.as_of + LINGER_S + 1, terms, under)


def timeline(*detections: Detection) -> list[tuple[str, str, AlertReason | None]]:
    """States, reasons and alerts of an episode that is opened by the first and then sees the others."""
    decision = open_episode("e1", 7, detections[0], TERMS)
    story = [decision]
    for one in detections[1:]:
        story.append(seen(story[-1].episode, one))
    return [(one.episode.state.value, one.reason.value, told(one)) for one in story]


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
        "e1", 7, EpisodeState.EMERGING, 1, START, first, first, START, START, history=(passage,), heard=True
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


# --- evidence ----------------------------------------------------------------------------------------------------


def test_the_same_counts_again_or_more_are_no_news() -> None:
    episode = opened(12.0)
    for again in (found(11.9), found(13.0, 6)):
        assert evidence_changed(episode, again, None, START, TERMS) == Decision(episode, (), Reason.SAME_COUNTS)


def test_withdrawn_evidence_retracts() -> None:
    recount = found(7.4, 3)
    gone = evidence_changed(opened(12.0), recount, None, START, TERMS)
    assert (gone.reason, told(gone)) == (Reason.WITHDRAWN, AlertReason.EVIDENCE_WITHDRAWN)
    assert (gone.episode.state, gone.episode.revision, gone.episode.told) == (EpisodeState.RETRACTED, 2, recount)
    assert Drop(7) in gone.instructions


def test_what_stands_beside_withdrawn_evidence_is_told_instead() -> None:
    standing = found(11.0, 6, hours=2)
    moved = evidence_changed(opened(12.0), found(7.4, 3), standing, standing.as_of, TERMS)
    assert (moved.reason, told(moved)) == (Reason.MOVED_ON, AlertReason.EVIDENCE_WITHDRAWN)
    assert (moved.episode.state, moved.episode.told) == (EpisodeState.EMERGING, standing)
    assert not [one for one in moved.instructions if isinstance(one, Drop)]


def test_evidence_that_still_suffices_is_corrected() -> None:
    recount = found(7.5, 4)
    corrected = evidence_changed(opened(12.0), recount, found(8.0, 4, hours=1), START, TERMS)
    assert (corrected.reason, told(corrected)) == (Reason.CORRECTED, AlertReason.EVIDENCE_WITHDRAWN)
    assert (corrected.episode.state, corrected.episode.revision, corrected.episode.told) == (
        EpisodeState.EMERGING,
        2,
        recount,
    )


def test_a_correction_and_a_growth_at_one_look_are_one_revision() -> None:
    standing = found(14.0, 7, hours=1)
    both = evidence_changed(opened(12.0), found(8.0, 4), standing, standing.as_of, TERMS)
    assert (both.episode.revision, both.episode.told) == (2, standing)
    assert told(seen(both.episode, standing)) is None


# --- a person asks -----------------------------------------------------------------------------------------------


def test_who_asks_is_told_how_it_stands_mute_or_not() -> None:
    episode = replace(opened(12.0), now=found(13.0, hours=3))
    answer = asked(episode, START + 4 * HOUR_S)
    assert (answer.reason, told(answer), muted(answer)) == (Reason.ASKED, AlertReason.ASKED, False)
    assert answer.episode.told == episode.now


# --- mutes -------------------------------------------------------------------------------------------------------


def mute(score: float = 12.0, incidents: int = 5, *, hours: float = 48, episode_id: str = "e1", ix: int = 0) -> Mute:
    """A mute of what was told, from the start for so many hours."""
    one = found(score, incidents, ix=ix)
    until = moment(START) + timedelta(hours=hours)
    return Mute(episode_id, "f1", moment(START), until, one.ix, one.iy, one.radius_cells, score, incidents)


def test_a_mute_holds_its_place_its_time_and_its_level() -> None:
    held = mute()
    assert hold([held], "e1", found(17.9, 20), START).by is held
    assert hold([held], "e2", found(12.0), START).by is held  # another episode at the place
    assert hold([held], "e1", found(12.0, ix=30), START).by is held  # the episode itself, wherever it went
    assert hold([held], "e2", found(12.0, ix=30), START).by is None
    assert hold([held], "e1", found(12.0), START + 48 * HOUR_S).by is None  # it has ended
    assert hold([held], "e1", found(12.0), START - 1).by is None  # it has not begun
    beyond = hold([held], "e1", found(18.0, 7), START)
    assert (beyond.by, beyond.broken) == (None, (held,))


def test_one_mute_that_is_broken_lets_through_what_another_would_hold() -> None:
    low, high = mute(), replace(mute(score=40.0, incidents=30), feedback_id="f2")
    assert hold([high, low], "e1", found(18.0, 7), START) == (None, (low,))


def test_an_episode_that_opens_at_a_muted_place_is_held_until_it_is_more_than_was_muted() -> None:
    """
    muted at 12 with 5 incidents, by an episode that is over
    score   10 (opened, held) ─▶ 15 (escalated, held) ─▶ 17.9 (quiet) ─▶ 18 with 7 (told: beyond the mute)
    """
    terms = TERMS._replace(mutes=(mute(episode_id="e0"),))
    first = open_episode("e1", 7, found(10.0, 4), terms)
    assert (told(first), muted(first), first.episode.heard) == (AlertReason.OPENED, True, False)
    second = seen(first.episode, found(15.0, 6, hours=1), terms)
    assert (told(second), muted(second)) == (AlertReason.ESCALATED, True)
    third = seen(second.episode, found(17.9, 7, hours=2), terms)
    assert told(third) is None
    fourth = seen(third.episode, found(18.0, 7, hours=3), terms)
    assert (told(fourth), muted(fourth)) == (AlertReason.ESCALATED, False)
    assert Lift("f1") in fourth.instructions


def test_what_a_mute_hid_is_told_when_it_ends() -> None:
    terms = TERMS._replace(mutes=(mute(episode_id="e0", hours=2),))
    held = open_episode("e1", 7, found(11.0), terms).episode
    assert told(seen(held, found(11.0, hours=1.9), terms)) is None
    after = seen(held, found(11.0, hours=2), terms)
    assert (told(after), muted(after), after.reason) == (AlertReason.MUTE_ENDED, False, Reason.MUTE_ENDED)
    assert told(seen(after.episode, found(11.0, hours=3), terms)) is None  # once


def test_what_nobody_heard_of_ends_unheard_and_what_was_heard_is_taken_back_aloud() -> None:
    terms = TERMS._replace(mutes=(mute(episode_id="e0"),))
    unheard = open_episode("e1", 7, found(11.0), terms).episode
    assert muted(ended(unheard))  # the mute is gone by then
    assert muted(evidence_changed(unheard, found(1.0, 1), None, START, terms))
    heard = opened(12.0)
    assert muted(ended(heard, TERMS._replace(mutes=(mute(hours=240),))))
    assert not muted(ended(heard))
    assert not muted(evidence_changed(heard, found(1.0, 1), None, START, TERMS._replace(mutes=(mute(),))))


LEVELS = st.tuples(st.floats(CLOSING_LEVEL, 200), st.integers(0, 60), st.integers(1, 2 * DAY_S))


@given(st.lists(LEVELS, min_size=1, max_size=20), st.floats(8, 60), st.integers(3, 20), st.integers(0, 14 * DAY_S))
def test_a_mute_never_hides_an_escalation_beyond_what_was_muted(
    levels: list[tuple[float, int, int]], score: float, incidents: int, lasts: int
) -> None:
    """Whatever happens at a muted place: what goes beyond the mute, or outlives it, was told aloud at that look."""
    held = mute(score, incidents, hours=lasts / HOUR_S, episode_id="e0")
    mutes: tuple[Mute, ...] = (held,)
    at, episode = START, None
    for level, count, later in levels:
        at += later
        one = detection(score=level, observed=(0, count), as_of=at)
        terms = TERMS._replace(mutes=mutes)
        if episode is None:
            if level < THRESHOLD:
                continue
            decision = open_episode("e1", 7, one, terms)
        else:
            decision = seen(episode, one, terms)
        episode = decision.episode
        lifted = {step.feedback_id for step in decision.instructions if isinstance(step, Lift)}
        mutes = tuple(mute for mute in mutes if mute.feedback_id not in lifted)
        beyond = level >= ESCALATION * score and count >= incidents + 2
        over = at >= START + lasts
        if level >= THRESHOLD and (beyond or over):
            assert episode.heard and not episode.hushed
        if beyond and level >= THRESHOLD:
            assert episode.told.score >= level / ESCALATION or sum(episode.told.observed) > count - 2


# --- every transition, and none other ----------------------------------------------------------------------------


def steps(episode: Episode) -> list[Decision]:
    """What can happen to an episode: every kind of finding, an hour and a day later."""
    told, at = episode.told, episode.now.as_of
    more, fewer = (0, sum(told.observed) + 2), (0, 1)
    decisions = [
        ended(episode),
        ended(episode, under="e0"),
        decide(episode, None, at + 1, TERMS),
        asked(episode, at),
        part_split_off(episode, at, TERMS),
        moved_away(episode, at, TERMS),
    ]
    for later in (HOUR_S, STEADY_AFTER_S):
        for score in (CLOSING_LEVEL, THRESHOLD, max(THRESHOLD, told.score * ESCALATION)):
            for observed in (told.observed, more):
                decisions.append(seen(episode, detection(score=score, observed=observed, as_of=at + later)))
        for score in (0.0, THRESHOLD):
            for observed in (told.observed, fewer):
                recount = told._replace(score=score, observed=observed)
                for standing in (None, found(THRESHOLD)):
                    decisions.append(evidence_changed(episode, recount, standing, at + later, TERMS))
    return decisions


def test_every_transition_of_the_table_is_reached_and_none_other() -> None:
    first = [open_episode("e1", 7, found(12.0), TERMS, split_from) for split_from in ("", "e0")]
    reached: set[tuple[EpisodeState | None, EpisodeState, Reason, AlertReason | None]] = {
        (None, one.episode.state, one.reason, told(one)) for one in first
    }
    within: set[AlertReason] = set()
    known: set[tuple[EpisodeState, EpisodeState]] = set()
    waiting = deque([first[0].episode])
    while waiting:
        episode = waiting.popleft()
        for decision in steps(episode):
            after, sent = decision.episode, told(decision)
            if after.state is episode.state:
                within |= {sent} if sent else set()
                continue
            reached.add((episode.state, after.state, decision.reason, sent))
            if (episode.state, after.state) not in known:
                known.add((episode.state, after.state))
                if after.state not in OVER:
                    waiting.append(after)
    assert reached == {(row.before, row.after, row.reason, row.told) for row in TRANSITIONS}
    assert within == set(WITHIN_A_STATE) - {AlertReason.MUTE_ENDED}  # that one takes a mute
    assert known == set(STEPS)


def test_every_transition_has_a_sentence_and_nothing_leaves_the_end() -> None:
    assert all(row.sentence.endswith(".") and len(row.sentence) > 20 for row in TRANSITIONS)
    assert not [row for row in TRANSITIONS if row.before in OVER]
    assert {row.after for row in TRANSITIONS} == set(EpisodeState)
    assert {row.told for row in TRANSITIONS} | set(WITHIN_A_STATE) == {None, *AlertReason}


def test_the_table_can_be_printed() -> None:
    lines = table_text().splitlines()
    assert len(lines) == len(TRANSITIONS) + 1
    assert "receding  steady     rose_again       -" in " ".join(lines)


@pytest.mark.parametrize("state", OVER)
def test_what_is_over_stays_over(state: EpisodeState) -> None:
    over = replace(opened(12.0), state=state)
    other = next(one for one in OVER if one is not state)
    with pytest.raises(ValueError, match=f"episode e1 cannot go from {state.value} to receding"):
        seen(over, found(8.0))
    with pytest.raises(ValueError, match=f"cannot go from {state.value} to growing"):
        seen(over, found(30.0, 9))
    with pytest.raises(ValueError, match=f"cannot go from {state.value} to {other.value}"):
        ended(over) if other is EpisodeState.CLOSED else evidence_changed(over, found(0.0, 1), None, START, TERMS)


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


# --- the page ----------------------------------------------------------------------------------------------------


def test_the_page_and_its_drawing_are_those_of_the_table() -> None:
    """Made again on purpose by `make generated`."""
    assert (ROOT / "docs" / PAGE).read_text(encoding="utf-8") == page()
    assert (ROOT / "docs" / DRAWING).read_text(encoding="utf-8") == drawing()


def test_the_drawing_shows_every_state_and_every_step() -> None:
    shown = drawing()
    ElementTree.fromstring(shown)  # it is well-formed
    assert all(f">{state.value}</text>" in shown for state in EpisodeState)
    within = [step for step in STEPS if not step[1].is_over]
    assert shown.count('marker-end="url(#a)"') == len(within) + 3  # into the box, to closed, to retracted


def test_the_page_tells_every_reason_outcome_and_result() -> None:
    text = page()
    words = {row.reason.value for row in TRANSITIONS} | {one.value for one in (*AlertReason, *Outcome, *FeedbackResult)}
    assert {word for word in words if f"`{word}`" not in text} == set()
