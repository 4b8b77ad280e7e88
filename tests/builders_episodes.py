"""Windows of one place as looks find them, and the steps of an episode there, for tests of its life."""

from __future__ import annotations

from hypothesis import strategies as st

from alerts.episodes import Decision, Episode, Tell, Terms, decide, open_episode
from processors.tracking import LINGER_S
from schemas.detection import DAY_S, HOUR_S, Detection
from schemas.episodes import AlertReason
from tests.builders import detection

THRESHOLD = 10.0
CLOSING_LEVEL = 7.5
TERMS = Terms(THRESHOLD, CLOSING_LEVEL)
START = detection().as_of
#: Score, incidents and seconds since the look before.
LEVELS = st.tuples(st.floats(CLOSING_LEVEL, 200), st.integers(0, 60), st.integers(1, 2 * DAY_S))


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
    """The episode `e1`, which that window opened."""
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
