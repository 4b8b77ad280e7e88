"""The life of an episode in words: states, why people are told, why anything was decided, and what people did."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from schemas.base import UtcTime


class EpisodeState(StrEnum):
    """Where an episode stands in its life."""

    EMERGING = "emerging"
    """It was opened, and has not changed much since."""
    GROWING = "growing"
    """Its score is clearly above that of the last alert."""
    STEADY = "steady"
    """It is still above threshold, and has not grown for a day."""
    RECEDING = "receding"
    """Its score has fallen below the threshold, but not below the closing level."""
    CLOSED = "closed"
    """It was below the closing level for a day, or went on as part of another episode."""
    RETRACTED = "retracted"
    """The records behind it were withdrawn or amended away, before its end or after it."""

    @property
    def is_over(self) -> bool:
        """Whether it is followed no more. Of what is closed a retraction can come still, and nothing else."""
        return self in (EpisodeState.CLOSED, EpisodeState.RETRACTED)


class AlertReason(StrEnum):
    """Why this revision was sent; nothing else is ever sent."""

    OPENED = "opened"
    """A window reached the threshold where no episode was open."""
    ESCALATED = "escalated"
    """The score is 1.5 times that of the last alert, with at least two incidents more."""
    EVIDENCE_WITHDRAWN = "evidence_withdrawn"
    """Records of what was told were withdrawn or amended; with state `retracted` where too little is left."""
    CLOSED = "closed"
    """It was below the closing level for a day."""
    MERGED = "merged"
    """It had no window of its own for a day, because that of another episode lay over it; with state `closed`."""
    SPLIT = "split"
    """A part of what was told went on as an episode of its own; this says where the rest is now."""
    MOVED = "moved"
    """It and another open episode were told of at one place for a day; this says where it is now."""
    MUTE_ENDED = "mute_ended"
    """What a mute hid is still there, and the mute has ended."""
    ASKED = "asked"
    """A person asked how it stands."""


class Reason(StrEnum):
    """Why the life of an episode took a step, or did not: each decision has one."""

    OPENED = "opened"
    """A window reached the threshold where no episode was open."""
    OPENED_BY_SPLIT = "opened_by_split"
    """A part of the window of another episode went on by itself, and reached the threshold."""
    ESCALATED = "escalated"
    """The score is 1.5 times that of the last alert, with at least two incidents more."""
    MUTE_ENDED = "mute_ended"
    """A mute hid something of it and holds no more."""
    UNCHANGED = "unchanged"
    """Nothing that people must know."""
    NOT_GROWN = "not_grown"
    """It is above the threshold and has not grown for a day."""
    FELL = "fell"
    """The score fell below the threshold, not below the closing level."""
    ROSE_AGAIN = "rose_again"
    """The score rose above the threshold again."""
    UNSEEN = "unseen"
    """It has no window of its own at this look, for less than a day so far."""
    FADED = "faded"
    """It was below the closing level for a day."""
    MERGED = "merged"
    """It had no window of its own for a day, and that of another episode lies over it."""
    SPLIT = "split"
    """A part of what was told opened as an episode of its own."""
    MOVED = "moved"
    """It and another open episode were told of at one place for a day, and are found in two."""
    SAME_COUNTS = "same_counts"
    """Records behind it changed, and what was told still holds."""
    CORRECTED = "corrected"
    """Records of what was told were withdrawn or amended, and enough is left."""
    MOVED_ON = "moved_on"
    """Records of what was told were withdrawn or amended; what is found now is told instead."""
    WITHDRAWN = "withdrawn"
    """The records behind it were withdrawn or amended away."""
    WITHDRAWN_LATER = "withdrawn_later"
    """It was closed, and then the records behind it were withdrawn or amended away."""
    ENOUGH_LEFT = "enough_left"
    """It was closed, then records behind it were withdrawn or amended, and something that was told of it holds."""
    ASKED = "asked"
    """A person asked how it stands."""
    HANDLED = "handled"
    """A person acknowledged it, assigned it, said what came of it, or muted it."""


class Outcome(StrEnum):
    """What people found that an episode was; these give the measured precision."""

    GENUINE_NEW = "genuine_new"
    """Violence that the partnership did not know of."""
    GENUINE_KNOWN = "genuine_known"
    """Violence that it knew of already."""
    EXPLAINED = "explained"
    """Something else: an event, an operation, a change in how records are made."""
    NOT_USEFUL = "not_useful"
    """Nothing that could be acted on."""


_CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Passage:
    """One revision in the history of an episode."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    revision: int
    at: UtcTime
    state: EpisodeState
    reason: AlertReason
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Handling:
    """What people did about an episode. Who did it is in the audit, and nowhere else."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    acknowledged_at: UtcTime | None = None
    team: str = ""
    """To which it is assigned; empty for none."""
    outcome: Outcome | None = None
    outcome_at: UtcTime | None = None


@dataclass(frozen=True, slots=True)
class Mute:
    """Until when a place is to be quiet, and up to what: more than that is told all the same."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED
    episode_id: str
    """The episode that was muted."""
    feedback_id: str
    """By which message; the audit has who sent it."""
    since: UtcTime
    until: UtcTime
    ix: int
    """Centre cell and radius in cells of the place: that of the last alert. Episodes that open there are held, too."""
    iy: int
    radius_cells: int
    score: float
    """Of the last alert: what was muted."""
    incidents: int
