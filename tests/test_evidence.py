"""Evidence that goes: what was told is corrected, told anew or taken back, also after its end."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from alerts.episodes import (
    FIRST,
    REMEMBERED,
    Decision,
    Drop,
    Episode,
    evidence_changed,
    evidence_gone,
    moved_away,
    part_split_off,
)
from schemas.base import moment
from schemas.detection import DAY_S, Detection
from schemas.episodes import AlertReason, EpisodeState, Passage, Reason
from tests.builders import detection
from tests.builders_episodes import (
    CLOSING_LEVEL,
    LEVELS,
    START,
    TERMS,
    ended,
    found,
    muted,
    opened,
    seen,
    told,
)

# --- while it is open -----------------------------------------------------------------------------------------------


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


# --- what an episode rests on ---------------------------------------------------------------------------------------


def closed(*findings: Detection, under: str = "") -> Episode:
    """The episode `e1` after these windows and its end."""
    episode = opened()
    for one in findings:
        episode = seen(episode, one).episode
    return ended(episode, under=under).episode


def test_it_rests_on_the_windows_that_were_told() -> None:
    """
    hours   0 (told)   5 (quiet)   6 (told: escalated)   9 (quiet, but told at the end as the last)
    """
    escalated, last = found(18.0, 7, hours=6), found(11.0, 6, hours=9)
    assert closed(found(12.5, 6, hours=5), escalated, last).grounds == (found(12.0), escalated, last)
    assert closed().grounds == (found(12.0),)  # the end tells the same window again: that is one


def test_what_is_told_of_another_place_is_no_ground_any_more() -> None:
    """After a split, after it moved, and where something else was told instead: what was told before is not its own."""
    now = found(13.0, hours=3, ix=-4)
    episode = replace(opened(), now=now)
    assert part_split_off(episode, now.as_of, TERMS).episode.grounds == (now,)
    assert moved_away(episode, now.as_of, TERMS).episode.grounds == (now,)
    instead = evidence_changed(opened(), found(7.4, 3), now, now.as_of, TERMS)
    assert (instead.reason, instead.episode.grounds) == (Reason.MOVED_ON, (now,))


def test_a_correction_takes_the_place_of_what_it_corrects() -> None:
    corrected = evidence_changed(opened(12.0), found(7.5, 4), None, START, TERMS)
    assert corrected.episode.grounds == (found(7.5, 4),)


def test_an_episode_of_a_state_from_before_grounds_were_kept_rests_on_what_was_told_last() -> None:
    old = replace(opened(), grounds=())
    assert ended(seen(old, found(9.0, hours=5)).episode).episode.grounds == (found(12.0), found(9.0, hours=5))


@given(st.integers(0, 60))
def test_of_a_long_story_the_first_grounds_and_the_newest_are_kept(escalations: int) -> None:
    told_of = tuple(found(12.0 * 1.6**n, 5 + 2 * n, hours=n) for n in range(escalations + 1))
    grounds = closed(*told_of[1:]).grounds
    assert grounds[:FIRST] == told_of[:FIRST]
    assert grounds[FIRST:] == told_of[FIRST:][FIRST - REMEMBERED :]


# --- after its end --------------------------------------------------------------------------------------------------

LATER = START + 90 * DAY_S


def test_a_closed_episode_is_taken_back_when_nothing_that_was_told_of_it_holds() -> None:
    """
    told        12 with 5, 18 with 7, and 11 with 6 as the last
    left        2 with 1,  6 with 3,  7.4 with 4     all below the closing level of 7.5
    """
    episode = closed(found(18.0, 7, hours=6), found(11.0, 6, hours=9))
    left = [found(2.0, 1), found(6.0, 3, hours=6), found(7.4, 4, hours=9)]
    gone = evidence_gone(episode, left, LATER, CLOSING_LEVEL)
    assert (gone.reason, told(gone), muted(gone)) == (Reason.WITHDRAWN_LATER, AlertReason.EVIDENCE_WITHDRAWN, False)
    assert (gone.episode.state, gone.episode.state_since) == (EpisodeState.RETRACTED, LATER)
    assert (gone.episode.revision, gone.episode.told) == (episode.revision + 1, left[-1])
    last = Passage(episode.revision + 1, moment(LATER), EpisodeState.RETRACTED, AlertReason.EVIDENCE_WITHDRAWN)
    assert gone.episode.history == (*episode.history, last)
    assert not [one for one in gone.instructions if isinstance(one, Drop)]  # it has no track any more


def test_while_something_that_was_told_holds_nothing_is_said() -> None:
    episode = closed(found(18.0, 7, hours=6), found(11.0, 6, hours=9))
    for left in (
        [found(12.0), found(1.0, 1, hours=6), found(1.0, 1, hours=9)],  # the opening
        [found(1.0, 1), found(7.5, 4, hours=6), found(1.0, 1, hours=9)],  # the escalation, just
        [found(11.9, 5), found(17.0, 7, hours=6), found(10.0, 6, hours=9)],  # a record here and there
    ):
        quiet = evidence_gone(episode, left, LATER, CLOSING_LEVEL)
        assert (quiet.episode, quiet.instructions, quiet.reason) == (episode, (), Reason.ENOUGH_LEFT)


def test_what_went_on_in_another_episode_is_taken_back_by_itself() -> None:
    """It keeps its own windows, and says in which one it went on."""
    gone = evidence_gone(closed(under="e0"), [found(0.0, 0)], LATER, CLOSING_LEVEL)
    assert (gone.episode.state, gone.episode.merged_into) == (EpisodeState.RETRACTED, "e0")


def test_after_a_split_only_what_was_left_counts() -> None:
    """What stands in the window from before is the other episode's."""
    episode = part_split_off(replace(opened(), now=found(13.0, hours=3, ix=-4)), START + 3 * 3_600, TERMS).episode
    over = ended(episode).episode
    assert over.grounds == (found(13.0, hours=3, ix=-4),)
    assert evidence_gone(over, [found(0.0, 0, hours=3, ix=-4)], LATER, CLOSING_LEVEL).reason is Reason.WITHDRAWN_LATER


def test_a_later_calibration_takes_nothing_back() -> None:
    """What was told below a closing level that came later holds as long as nothing of it is gone."""
    episode = closed()
    assert evidence_gone(episode, [found(12.0)], LATER, 20.0).reason is Reason.ENOUGH_LEFT
    assert evidence_gone(episode, [found(11.9)], LATER, 20.0).reason is Reason.WITHDRAWN_LATER


def test_what_nobody_heard_of_is_taken_back_unheard() -> None:
    unheard = replace(closed(), heard=False)
    assert muted(evidence_gone(unheard, [found(0.0, 0)], LATER, CLOSING_LEVEL))


@given(st.lists(LEVELS, min_size=1, max_size=12), st.data())
def test_after_any_history_it_is_taken_back_when_no_ground_holds_and_only_then(
    findings: list[tuple[float, int, int]], data: st.DataObject
) -> None:
    episode, at = opened(), START
    for score, incidents, later in findings:
        at += later
        episode = seen(episode, detection(score=score, observed=(0, incidents), as_of=at)).episode
    over = ended(episode).episode
    floor = data.draw(st.floats(5, 15))
    left = [ground._replace(score=data.draw(st.floats(0, ground.score))) for ground in over.grounds]
    decision = evidence_gone(over, left, LATER + at, floor)
    holds = [now.score >= min(floor, then.score) for now, then in zip(left, over.grounds, strict=True)]
    if any(holds):
        assert (decision.episode, told(decision)) == (over, None)
    else:
        assert decision.episode.state is EpisodeState.RETRACTED
        assert decision.episode.revision == over.revision + 1
        assert told(decision) is AlertReason.EVIDENCE_WITHDRAWN
