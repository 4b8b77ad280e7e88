"""What feedback does to a region's episodes; pure: (feedback, memory) to (memory, decision, what became of it)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from alerts.episodes import Decision, Episode, asked
from alerts.mutes import is_active
from schemas.base import seconds
from schemas.detection import DAY_S
from schemas.episodes import EpisodeState, Mute, Outcome, Reason
from schemas.feedback import Acknowledge, Ask, Assign, Conclude, Feedback, FeedbackResult, Unmute
from schemas.feedback import Mute as AskMute

#: Episodes that are over, and feedback that was applied, are remembered as long as the topics keep them, s.
REMEMBERED_S: Final = 400 * DAY_S


@dataclass(frozen=True, slots=True)
class Past:
    """An episode that is over."""

    episode_id: str
    opened_at: int
    ended_at: int
    """When it was over, or taken back after that; seconds since 1970 UTC, as `opened_at`."""
    state: EpisodeState
    merged_into: str = ""
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What a region remembers of what people said."""

    mutes: tuple[Mute, ...] = ()
    past: tuple[Past, ...] = ()
    """Oldest end first."""
    applied: tuple[tuple[str, int], ...] = ()
    """Ids of feedback that was taken in, and when it was said."""
    waiting: tuple[Feedback, ...] = ()
    """Said later than the last look, in order: taken in by the first look that is not before it."""


class Taken(NamedTuple):
    """What became of one feedback."""

    feedback_id: str
    episode_id: str
    result: FeedbackResult


class Handled(NamedTuple):
    """One feedback taken in."""

    memory: Memory
    decision: Decision | None
    """About the episode that it is about, where that is at hand."""
    taken: Taken


def wait(memory: Memory, feedback: Feedback) -> Memory:
    """Keep feedback until a look; the same again is kept once."""
    known = {one.feedback_id for one in memory.waiting} | {name for name, _ in memory.applied}
    if feedback.feedback_id in known:
        return memory
    waiting = sorted((*memory.waiting, feedback), key=lambda one: (one.at, one.feedback_id))
    return replace(memory, waiting=tuple(waiting))


def forget(memory: Memory, now: int) -> Memory:
    """Drop mutes that have ended, and what is older than the topics."""
    if not memory.mutes and not memory.applied and (not memory.past or memory.past[0].ended_at > now - REMEMBERED_S):
        return memory
    mutes = tuple(mute for mute in memory.mutes if seconds(mute.until) > now)
    past = tuple(one for one in memory.past if one.ended_at > now - REMEMBERED_S)
    applied = tuple(one for one in memory.applied if one[1] > now - REMEMBERED_S)
    if (len(mutes), len(past), len(applied)) == (len(memory.mutes), len(memory.past), len(memory.applied)):
        return memory
    return replace(memory, mutes=mutes, past=past, applied=applied)


def remember(memory: Memory, episode: Episode, now: int) -> Memory:
    """An episode is over, or one that was is taken back."""
    over = Past(episode.episode_id, episode.opened_at, now, episode.state, episode.merged_into, episode.people.outcome)
    others = tuple(past for past in memory.past if past.episode_id != over.episode_id)
    return replace(memory, past=(*others, over))


def lift(memory: Memory, feedback_id: str) -> Memory:
    """A mute is over."""
    return replace(memory, mutes=tuple(mute for mute in memory.mutes if mute.feedback_id != feedback_id))


def take_in(memory: Memory, feedback: Feedback, episode: Episode | None, now: int) -> Handled:
    """Apply feedback to the episode that it names: an open one, or one that is over and can still be retracted."""

    def done(result: FeedbackResult, after: Memory, decision: Decision | None = None) -> Handled:
        return Handled(after, decision, Taken(feedback.feedback_id, feedback.episode_id, result))

    if feedback.feedback_id in {name for name, _ in memory.applied}:
        return done(FeedbackResult.REPEATED, memory)
    memory = replace(memory, applied=(*memory.applied, (feedback.feedback_id, seconds(feedback.at))))
    if episode is None or episode.state.is_over:
        taken = Taken(feedback.feedback_id, feedback.episode_id, FeedbackResult.UNKNOWN_EPISODE)
        return _about_the_past(memory, feedback, episode, taken)
    said, people = feedback.said, episode.people
    if isinstance(said, Ask):
        return done(FeedbackResult.APPLIED, memory, asked(episode, now))
    if isinstance(said, AskMute):
        memory = replace(memory, mutes=(*_without(memory, episode.episode_id), _mute(feedback, said, episode)))
    elif isinstance(said, Unmute):
        memory = replace(memory, mutes=_without(memory, episode.episode_id))
    elif isinstance(said, Acknowledge):
        people = replace(people, acknowledged_at=feedback.at)
    elif isinstance(said, Assign):
        people = replace(people, team=said.team)
    else:
        people = replace(people, outcome=said.outcome, outcome_at=feedback.at)
    decision = Decision(replace(episode, people=people), (), Reason.HANDLED)
    return done(FeedbackResult.APPLIED, memory, decision)


def _about_the_past(memory: Memory, feedback: Feedback, episode: Episode | None, taken: Taken) -> Handled:
    """Of an episode that is over only the outcome can still be told."""
    for n, past in enumerate(memory.past):
        if past.episode_id != feedback.episode_id:
            continue
        if not isinstance(feedback.said, Conclude):
            return Handled(memory, None, taken._replace(result=FeedbackResult.EPISODE_OVER))
        told = replace(past, outcome=feedback.said.outcome)
        after = replace(memory, past=(*memory.past[:n], told, *memory.past[n + 1 :]))
        decision = None
        if episode is not None:
            people = replace(episode.people, outcome=feedback.said.outcome, outcome_at=feedback.at)
            decision = Decision(replace(episode, people=people), (), Reason.HANDLED)
        return Handled(after, decision, taken._replace(result=FeedbackResult.APPLIED))
    return Handled(memory, None, taken)


def _without(memory: Memory, episode_id: str) -> tuple[Mute, ...]:
    return tuple(mute for mute in memory.mutes if mute.episode_id != episode_id)


def _mute(feedback: Feedback, said: AskMute, episode: Episode) -> Mute:
    told = episode.told
    return Mute(
        episode_id=episode.episode_id,
        feedback_id=feedback.feedback_id,
        since=feedback.at,
        until=said.until,
        ix=told.ix,
        iy=told.iy,
        radius_cells=told.radius_cells,
        score=told.score,
        incidents=sum(told.observed),
    )


def active(memory: Memory, now: int) -> tuple[Mute, ...]:
    """The mutes that hold something at a moment, the one that ends first at the beginning."""
    return tuple(sorted((mute for mute in memory.mutes if is_active(mute, now)), key=lambda mute: mute.until))


def precision(past: tuple[Past, ...]) -> tuple[int, int]:
    """Of episodes with an outcome that are over: how many were genuine, and how many have one."""
    told = [one.outcome for one in past if one.outcome is not None]
    return sum(outcome in (Outcome.GENUINE_NEW, Outcome.GENUINE_KNOWN) for outcome in told), len(told)
