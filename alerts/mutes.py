"""What a mute holds: an episode and what opens at its place, up to what was told when it was muted; pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from processors.score import same_place
from schemas.base import seconds
from schemas.detection import Detection
from schemas.episodes import Mute

#: A window this many times the score of what was told is news again.
ESCALATION: Final = 1.5
#: ... and this many incidents more.
ESCALATION_INCIDENTS: Final = 2


def escalates(found: Detection, score: float, incidents: int) -> bool:
    """Whether a window is clearly more than one of this score with so many incidents."""
    return found.score >= ESCALATION * score and sum(found.observed) >= incidents + ESCALATION_INCIDENTS


class Hold(NamedTuple):
    """What mutes do to one window at one moment."""

    by: Mute | None
    """The mute that holds it."""
    broken: tuple[Mute, ...] = ()
    """Mutes of the place that it escalates beyond: these end, and then none holds it."""


def hold(mutes: Iterable[Mute], episode_id: str, found: Detection, at: int) -> Hold:
    """Which mute holds a window of an episode. One that it escalates beyond lets it through, whatever others say."""
    here = [mute for mute in mutes if is_active(mute, at) and (mute.episode_id == episode_id or _covers(mute, found))]
    broken = tuple(mute for mute in here if escalates(found, mute.score, mute.incidents))
    return Hold(here[0] if here and not broken else None, broken)


def is_active(mute: Mute, at: int) -> bool:
    """Whether a mute holds anything at a moment, s."""
    return seconds(mute.since) <= at < seconds(mute.until)


def _covers(mute: Mute, found: Detection) -> bool:
    return same_place(mute.ix, mute.iy, mute.radius_cells, found.ix, found.iy, found.radius_cells)
