"""The life of an episode, decided purely: (episode, finding, now) to (episode, why to tell people, if at all)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemas.alert import AlertReason, EpisodeState
from schemas.detection import DAY_S, Detection

#: A detection this many times the score of the last alert is news again.
ESCALATION = 1.5
#: ... and this many incidents more.
ESCALATION_INCIDENTS = 2
#: An episode that has not grown for this long is steady, seconds.
STEADY_AFTER_S = DAY_S

#: Every transition there is, with the sentence that explains it. `decide` and `retract` make no other.
TRANSITIONS: Mapping[tuple[EpisodeState, EpisodeState], str] = {
    (EpisodeState.EMERGING, EpisodeState.GROWING): "The score is 1.5 times that of the last alert.",
    (EpisodeState.EMERGING, EpisodeState.STEADY): "It is above threshold and has not grown for a day.",
    (EpisodeState.EMERGING, EpisodeState.RECEDING): "The score fell below the threshold.",
    (EpisodeState.GROWING, EpisodeState.STEADY): "It is above threshold and has not grown for a day.",
    (EpisodeState.GROWING, EpisodeState.RECEDING): "The score fell below the threshold.",
    (EpisodeState.STEADY, EpisodeState.GROWING): "The score is 1.5 times that of the last alert.",
    (EpisodeState.STEADY, EpisodeState.RECEDING): "The score fell below the threshold.",
    (EpisodeState.RECEDING, EpisodeState.GROWING): "The score is 1.5 times that of the last alert.",
    (EpisodeState.RECEDING, EpisodeState.STEADY): "The score rose above the threshold again.",
    **{
        (state, EpisodeState.CLOSED): "It was below the closing level for a day."
        for state in (EpisodeState.EMERGING, EpisodeState.GROWING, EpisodeState.STEADY, EpisodeState.RECEDING)
    },
    **{
        (state, EpisodeState.RETRACTED): "The records behind it were withdrawn or amended away."
        for state in (EpisodeState.EMERGING, EpisodeState.GROWING, EpisodeState.STEADY, EpisodeState.RECEDING)
    },
}


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


Decision = tuple[Episode, AlertReason | None]


def open_episode(episode_id: str, track: int, detection: Detection) -> Decision:
    """A detection above threshold that continues no episode opens one."""
    at = detection.as_of
    episode = Episode(episode_id, track, EpisodeState.EMERGING, 1, at, detection, detection, at)
    return episode, AlertReason.OPENED


def decide(episode: Episode, detection: Detection, threshold: float) -> Decision:
    """An episode whose window was found again at or above the closing level."""
    now = detection.as_of
    if detection.level < threshold:
        return _move(replace(episode, now=detection), EpisodeState.RECEDING), None
    more = sum(detection.observed) - sum(episode.told.observed)
    if detection.score >= ESCALATION * episode.told.score and more >= ESCALATION_INCIDENTS:
        grown = replace(episode, now=detection, told=detection, grown_at=now, revision=episode.revision + 1)
        return _move(grown, EpisodeState.GROWING), AlertReason.ESCALATED
    seen = replace(episode, now=detection)
    if episode.state is EpisodeState.RECEDING or now - episode.grown_at >= STEADY_AFTER_S:
        return _move(seen, EpisodeState.STEADY), None
    return seen, None


def close(episode: Episode) -> Decision:
    """An episode whose track ended: it was below the closing level long enough."""
    closed = replace(episode, revision=episode.revision + 1, told=episode.now)
    return _move(closed, EpisodeState.CLOSED), AlertReason.CLOSED


def evidence_changed(episode: Episode, recount: Detection, closing_level: float) -> Decision:
    """Records of what was told were withdrawn or amended: the told window, counted again as now known.

    Below the closing level the episode is retracted; otherwise what was told is corrected, if its counts differ.
    """
    if recount.observed == episode.told.observed:
        return episode, None
    corrected = replace(episode, told=recount, revision=episode.revision + 1)
    if recount.level < closing_level:
        return _move(corrected, EpisodeState.RETRACTED), AlertReason.EVIDENCE_WITHDRAWN
    return corrected, AlertReason.EVIDENCE_WITHDRAWN


def _move(episode: Episode, state: EpisodeState) -> Episode:
    if state is episode.state:
        return episode
    if (episode.state, state) not in TRANSITIONS:
        raise ValueError(f"episode {episode.episode_id} cannot go from {episode.state} to {state}")
    return replace(episode, state=state)
