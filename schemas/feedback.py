"""What people say about episodes: acknowledged, assigned, muted, what it was (topic hotspot.feedback, key region)."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from schemas.base import Contract, UtcTime
from schemas.episodes import Outcome

#: No mute is longer: what is muted for good is a matter of the region file, not of an episode.
MOST_MUTED: Final = timedelta(days=28)


class Acknowledge(Contract):
    """Somebody has read it."""

    action: Literal["acknowledge"] = "acknowledge"


class Assign(Contract):
    """Somebody is to look into it: a team, never a person by name."""

    action: Literal["assign"] = "assign"
    team: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    """Short name of a team, such as `licensing` or `city-nights`."""


class Mute(Contract):
    """Be quiet about this episode, and others at its place, up to what was told of it."""

    action: Literal["mute"] = "mute"
    until: UtcTime


class Unmute(Contract):
    """End the mute of this episode."""

    action: Literal["unmute"] = "unmute"


class Conclude(Contract):
    """What it was; also of an episode that is over."""

    action: Literal["outcome"] = "outcome"
    outcome: Outcome


class Ask(Contract):
    """Tell how it stands now."""

    action: Literal["ask"] = "ask"


class Feedback(Contract):
    """One thing that one person said about one episode. There is no field for free text."""

    feedback_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")
    """Chosen by the sender: the same again changes nothing."""
    region: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    episode_id: str = Field(pattern=r"^[a-z0-9][A-Za-z0-9-]{0,99}$")
    at: UtcTime
    actor: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$")
    """Account of who said it: for the audit. The state of a region and alerts do not hold it."""
    said: Annotated[Acknowledge | Assign | Mute | Unmute | Conclude | Ask, Field(discriminator="action")]

    @model_validator(mode="after")
    def _mute_ends(self) -> Self:
        if isinstance(self.said, Mute) and not self.at < self.said.until <= self.at + MOST_MUTED:
            raise ValueError(f"a mute ends after it begins, and within {MOST_MUTED.days} days")
        return self


class FeedbackResult(StrEnum):
    """What became of feedback."""

    APPLIED = "applied"
    """It is part of the region's state."""
    REPEATED = "repeated"
    """It had been applied before: nothing changed."""
    UNKNOWN_EPISODE = "unknown_episode"
    """This region has, or remembers, no such episode."""
    EPISODE_OVER = "episode_over"
    """The episode is closed or retracted: only its outcome can still be told."""


class FeedbackEvent(Contract):
    """Feedback as CloudEvents 1.0."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    """`feedback_id` of the data."""
    source: str
    type: Literal["hotspot.feedback.v1"] = "hotspot.feedback.v1"
    time: UtcTime
    subject: str
    datacontenttype: Literal["application/json"] = "application/json"
    data: Feedback


def feedback_event(feedback: Feedback) -> FeedbackEvent:
    """Wrap feedback for the topic."""
    return FeedbackEvent(
        id=feedback.feedback_id,
        source=f"hotspot/{feedback.region}/people",
        time=feedback.at,
        subject=feedback.episode_id,
        data=feedback,
    )
