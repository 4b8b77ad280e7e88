"""Every transition that an episode can make, and none other; and the page that is made of their table."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from alerts.episodes import (
    STEADY_AFTER_S,
    Decision,
    Episode,
    asked,
    decide,
    evidence_changed,
    evidence_gone,
    moved_away,
    open_episode,
    part_split_off,
)
from alerts.mutes import ESCALATION
from alerts.transitions import STEPS, TRANSITIONS, WITHIN_A_STATE, table_text
from docs.extensions.episodes import DRAWING, PAGE, drawing, page
from schemas.detection import DAY_S, HOUR_S
from schemas.episodes import AlertReason, EpisodeState, Outcome, Reason
from schemas.feedback import FeedbackResult
from tests.builders import ROOT, detection
from tests.builders_episodes import CLOSING_LEVEL, START, TERMS, THRESHOLD, ended, found, opened, seen, told

OVER = (EpisodeState.CLOSED, EpisodeState.RETRACTED)


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


def steps_after_the_end(episode: Episode) -> list[Decision]:
    """What can happen to a closed episode: all of its evidence goes, or a part."""
    later = episode.state_since + 30 * DAY_S
    gone = [ground._replace(score=0.0, observed=(0, 0)) for ground in episode.grounds]
    return [evidence_gone(episode, grounds, later, CLOSING_LEVEL) for grounds in (gone, episode.grounds)]


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
        for decision in steps_after_the_end(episode) if episode.state in OVER else steps(episode):
            after, sent = decision.episode, told(decision)
            if after.state is episode.state:
                within |= {sent} if sent else set()
                continue
            reached.add((episode.state, after.state, decision.reason, sent))
            if (episode.state, after.state) not in known:
                known.add((episode.state, after.state))
                if after.state is not EpisodeState.RETRACTED:
                    waiting.append(after)
    assert reached == {(row.before, row.after, row.reason, row.told) for row in TRANSITIONS}
    assert within == set(WITHIN_A_STATE) - {AlertReason.MUTE_ENDED}  # that one takes a mute
    assert known == set(STEPS)


def test_every_transition_has_a_sentence_and_nothing_but_a_retraction_leaves_the_end() -> None:
    assert all(row.sentence.endswith(".") and len(row.sentence) > 20 for row in TRANSITIONS)
    left = {(row.before, row.after) for row in TRANSITIONS if row.before in OVER}
    assert left == {(EpisodeState.CLOSED, EpisodeState.RETRACTED)}
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


def test_only_what_is_closed_is_taken_back_after_its_end() -> None:
    for state in set(EpisodeState) - {EpisodeState.CLOSED}:
        episode = replace(opened(12.0), state=state)
        with pytest.raises(ValueError, match=f"episode e1 is {state.value}, not closed"):
            evidence_gone(episode, [found(0.0, 0)], START, CLOSING_LEVEL)


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
    ends = 4  # into the box, to closed, to retracted, and from the one to the other
    assert shown.count('marker-end="url(#a)"') == len(within) + ends


def test_the_page_tells_every_reason_outcome_and_result() -> None:
    text = page()
    words = {row.reason.value for row in TRANSITIONS} | {one.value for one in (*AlertReason, *Outcome, *FeedbackResult)}
    assert {word for word in words if f"`{word}`" not in text} == set()
