"""The life of an episode, decided purely: (episode, what a look found, now) to (episode, instructions, reason)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final, NamedTuple, TypeVar

from alerts.mutes import Hold, escalates, hold
from alerts.transitions import STEPS
from processors.tracking import LINGER_S, overlap
from schemas.base import moment
from schemas.detection import DAY_S, Detection
from schemas.episodes import AlertReason, EpisodeState, Handling, Mute, Passage, Reason

#: An episode that has not grown for this long is steady, seconds.
STEADY_AFTER_S: Final = DAY_S
#: Of a longer story the first revisions and the newest, and their windows, are remembered, so many together.
REMEMBERED: Final = 24
FIRST: Final = 4
_NOBODY_YET: Final = Handling()
#: What tells anew where an episode is: windows that were told before stand behind another one, or no longer hold.
_ANEW: Final = (Reason.SPLIT, Reason.MOVED, Reason.MOVED_ON)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Episode:
    """A detection followed over time, with one identity."""

    episode_id: str
    track: int
    """Number of the track that carries it."""
    state: EpisodeState
    revision: int
    """Revision of the last alert."""
    opened_at: int
    """Seconds since 1970 UTC."""
    told: Detection
    """What the last alert said."""
    now: Detection
    """The window at the last look that found it."""
    grown_at: int
    """When it was opened or last escalated, seconds since 1970 UTC."""
    state_since: int = 0
    """Seconds since 1970 UTC."""
    before: Detection | None = None
    """The window at the look before that."""
    split_from: str = ""
    merged_into: str = ""
    absorbed: tuple[str, ...] = ()
    """Episodes that went on in this one."""
    history: tuple[Passage, ...] = ()
    """Its revisions."""
    people: Handling = _NOBODY_YET
    hushed: bool = False
    """The last revision was held by a mute."""
    heard: bool = False
    """Some revision was not."""
    grounds: tuple[Detection, ...] = ()
    """The windows behind it: all that were told, oldest first, since it was last told anew where it is."""


class Tell(NamedTuple):
    """Send a revision."""

    reason: AlertReason
    muted: bool
    """Nobody is to be disturbed by it."""


class Learn(NamedTuple):
    """What was above the usual in this window is not to become the usual."""

    window: Detection


class Drop(NamedTuple):
    """Follow this track no more."""

    track: int


class Lift(NamedTuple):
    """This mute is over: an episode escalated beyond it."""

    feedback_id: str


Instruction = Tell | Learn | Drop | Lift


class Decision(NamedTuple):
    """What became of an episode, what is to be done about it, and why."""

    episode: Episode
    instructions: tuple[Instruction, ...]
    reason: Reason


class Terms(NamedTuple):
    """By what is decided."""

    threshold: float
    floor: float
    """The closing level."""
    mutes: tuple[Mute, ...] = ()


def open_episode(episode_id: str, track: int, found: Detection, terms: Terms, split_from: str = "") -> Decision:
    """A detection above threshold that continues no episode opens one."""
    at = found.as_of
    episode = Episode(episode_id, track, EpisodeState.EMERGING, 0, at, found, found, at, at, split_from=split_from)
    reason = Reason.OPENED_BY_SPLIT if split_from else Reason.OPENED
    held = hold(terms.mutes, episode_id, found, at)
    return _told(episode, found, at, AlertReason.OPENED, reason, held.by is not None, held.broken)


def decide(episode: Episode, found: Detection | None, now: int, terms: Terms, under: str = "") -> Decision:
    """An episode at one look: the window that continues it, at or above the closing level, or None.

    `under` names the episode whose window lies over this one's, if one does.
    """
    if found is None:
        if now - episode.now.as_of <= LINGER_S:
            return Decision(episode, (), Reason.UNSEEN)
        return _end(episode, now, terms, under)
    seen = replace(episode, now=found, before=episode.now)
    if found.level < terms.threshold:
        fell = episode.state is not EpisodeState.RECEDING
        fallen = _move(seen, EpisodeState.RECEDING, now, Reason.FELL)
        return Decision(fallen, (), Reason.FELL if fell else Reason.UNCHANGED)
    held = hold(terms.mutes, episode.episode_id, found, now) if terms.mutes else Hold(None)
    let_out = episode.hushed and held.by is None
    if escalates(found, episode.told.score, sum(episode.told.observed)) or (let_out and held.broken):
        grown = _move(replace(seen, grown_at=now), EpisodeState.GROWING, now, Reason.ESCALATED)
        muted = held.by is not None
        return _told(grown, found, now, AlertReason.ESCALATED, Reason.ESCALATED, muted, held.broken)
    reason = Reason.UNCHANGED
    if episode.state is EpisodeState.RECEDING:
        reason = Reason.ROSE_AGAIN
        seen = _move(seen, EpisodeState.STEADY, now, reason)
    elif episode.state is not EpisodeState.STEADY and now - episode.grown_at >= STEADY_AFTER_S:
        reason = Reason.NOT_GROWN
        seen = _move(seen, EpisodeState.STEADY, now, reason)
    if let_out:
        return _told(seen, found, now, AlertReason.MUTE_ENDED, Reason.MUTE_ENDED, muted=False)
    return Decision(seen, (), reason)


def _end(episode: Episode, now: int, terms: Terms, under: str) -> Decision:
    """Its track ended: it had no window of its own for a day."""
    by = hold(terms.mutes, episode.episode_id, episode.now, now).by
    muted = by is not None or not episode.heard  # of what nobody was told, nobody need hear that it is over
    reason, told = (Reason.MERGED, AlertReason.MERGED) if under else (Reason.FADED, AlertReason.CLOSED)
    closed = _move(replace(episode, merged_into=under), EpisodeState.CLOSED, now, reason)
    return _told(closed, episode.now, now, told, reason, muted)


def evidence_changed(
    episode: Episode, recount: Detection, standing: Detection | None, now: int, terms: Terms
) -> Decision:
    """Records of what was told were withdrawn or amended: the told window, counted again as now known.

    `standing` is the window that continues the episode at this look, if there is one. Where enough is left, what was
    told is corrected; where there is not, but something stands, that is told instead; else the episode is retracted.
    """
    if all(now_known >= told for now_known, told in zip(recount.observed, episode.told.observed, strict=True)):
        return Decision(episode, (), Reason.SAME_COUNTS)
    enough = recount.level >= terms.floor
    if standing is not None and (not enough or escalates(standing, recount.score, sum(recount.observed))):
        moved = replace(episode, now=standing, before=episode.now)
        held = hold(terms.mutes, episode.episode_id, standing, now)
        muted = held.by is not None
        return _told(moved, standing, now, AlertReason.EVIDENCE_WITHDRAWN, Reason.MOVED_ON, muted, held.broken)
    if enough:
        muted = hold(terms.mutes, episode.episode_id, recount, now).by is not None
        return _told(episode, recount, now, AlertReason.EVIDENCE_WITHDRAWN, Reason.CORRECTED, muted)
    gone = _move(episode, EpisodeState.RETRACTED, now, Reason.WITHDRAWN)
    # What was sent is taken back wherever it was sent, mute or not.
    told = _told(gone, recount, now, AlertReason.EVIDENCE_WITHDRAWN, Reason.WITHDRAWN, muted=not episode.heard)
    return told._replace(instructions=(*told.instructions, Drop(episode.track)))


def evidence_gone(episode: Episode, recounts: Sequence[Detection], now: int, floor: float) -> Decision:
    """Records of a closed episode were withdrawn or amended: its grounds, counted again as now known.

    `floor` is the closing level by which it was told. While one ground still holds nothing is said: that there was
    something, and that it is over, is as true as before, and nobody acts on the counts of what is over. When none
    does, it is retracted. Raises ValueError where the episode is not closed.
    """
    if episode.state is not EpisodeState.CLOSED:
        raise ValueError(f"episode {episode.episode_id} is {episode.state}, not closed")
    grounds = zip(episode.grounds, recounts, strict=True)
    if any(recount.level >= min(floor, ground.level) for ground, recount in grounds):
        return Decision(episode, (), Reason.ENOUGH_LEFT)
    reason = Reason.WITHDRAWN_LATER
    gone = _move(episode, EpisodeState.RETRACTED, now, reason)
    return _told(gone, recounts[-1], now, AlertReason.EVIDENCE_WITHDRAWN, reason, muted=not episode.heard)


def part_split_off(episode: Episode, now: int, terms: Terms) -> Decision:
    """A part of what was told of an episode opened as one of its own: tell where the rest is."""
    muted = hold(terms.mutes, episode.episode_id, episode.now, now).by is not None
    return _told(episode, episode.now, now, AlertReason.SPLIT, Reason.SPLIT, muted)


def moved_away(episode: Episode, now: int, terms: Terms) -> Decision:
    """It was told of where another open episode is told of, and is found elsewhere: tell where."""
    muted = hold(terms.mutes, episode.episode_id, episode.now, now).by is not None
    return _told(episode, episode.now, now, AlertReason.MOVED, Reason.MOVED, muted)


def told_at_one_place(episodes: Iterable[Episode], now: int) -> list[Episode]:
    """Of two open episodes that are found at this look and were told of at one place for a day, the one that moved.

    The windows that are found never lie over one another, so telling where it is now, or then the other, ends it.
    """
    found = [episode for episode in episodes if episode.now.as_of == now]
    stale = {}
    for one, other in combinations(found, 2):
        if now - max(one.told.as_of, other.told.as_of) > LINGER_S and overlap(one.told, other.told):
            first, last = sorted((one, other), key=lambda episode: (episode.told.as_of, episode.episode_id))
            moved = last if overlap(first.now, last.told) and not overlap(last.now, first.told) else first
            stale[moved.episode_id] = moved
    return list(stale.values())


def asked(episode: Episode, now: int) -> Decision:
    """A person asked how it stands: no mute holds the answer."""
    return _told(episode, episode.now, now, AlertReason.ASKED, Reason.ASKED, muted=False)


def lying_over(episode: Episode, others: Iterable[Episode]) -> str:
    """The oldest of other open episodes whose window, newer than this one's, lies over it; empty if none does."""
    over = [
        other
        for other in others
        if other.episode_id != episode.episode_id
        and other.now.as_of > episode.now.as_of
        and overlap(other.now, episode.now)
    ]
    return min(over, key=lambda other: (other.opened_at, other.episode_id)).episode_id if over else ""


def split_of(found: Detection, episodes: Iterable[Episode]) -> Episode | None:
    """The oldest open episode of whose told window, or window two looks ago, a new detection was a part."""
    parents = [
        episode
        for episode in episodes
        if overlap(found, episode.told) or (episode.before is not None and overlap(found, episode.before))
    ]
    return min(parents, key=lambda parent: (parent.opened_at, parent.episode_id)) if parents else None


def _told(
    episode: Episode,
    window: Detection,
    now: int,
    reason: AlertReason,
    why: Reason,
    muted: bool,
    broken: tuple[Mute, ...] = (),
) -> Decision:
    """The episode with one revision more, and the instruction to send it."""
    revision = episode.revision + 1
    passage = Passage(revision, moment(now), episode.state, reason, muted)
    before = () if why in _ANEW else episode.grounds or (episode.told,)
    told = replace(
        episode,
        told=window,
        revision=revision,
        history=_remembered((*episode.history, passage)),
        grounds=_remembered((*(ground for ground in before if not _same_place_and_time(ground, window)), window)),
        hushed=muted,
        heard=episode.heard or not muted,
    )
    learn = (Learn(window),) if reason in (AlertReason.OPENED, AlertReason.ESCALATED) else ()
    lifted = tuple(Lift(mute.feedback_id) for mute in broken)
    return Decision(told, (*lifted, *learn, Tell(reason, muted)), why)


def _remembered(story: tuple[T, ...]) -> tuple[T, ...]:
    """A story that has one thing more, without the oldest after the first ones where it is too long."""
    return story if len(story) <= REMEMBERED else (*story[:FIRST], *story[FIRST + 1 :])


def _same_place_and_time(one: Detection, other: Detection) -> bool:
    return one[:5] == other[:5] and one.part is other.part


def _move(episode: Episode, state: EpisodeState, now: int, reason: Reason) -> Episode:
    """The episode in a state, by a row of the table. Raises ValueError where there is no such row."""
    if state is episode.state:
        return episode
    if reason not in {row.reason for row in STEPS.get((episode.state, state), ())}:
        raise ValueError(f"episode {episode.episode_id} cannot go from {episode.state} to {state}")
    return replace(episode, state=state, state_since=now)
