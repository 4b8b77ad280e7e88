"""What a mute holds, until when, and what it never hides."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from alerts.episodes import Lift, evidence_changed, open_episode
from alerts.mutes import ESCALATION, hold
from schemas.base import moment
from schemas.detection import DAY_S, HOUR_S
from schemas.episodes import AlertReason, Mute, Reason
from tests.builders import detection
from tests.builders_episodes import LEVELS, START, TERMS, THRESHOLD, ended, found, muted, opened, seen, told


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
