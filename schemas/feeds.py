"""What can be wrong with a feed: the fixed list, and a plain sentence for each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from schemas.base import UtcTime


class FeedProblem(StrEnum):
    """Why what a feed says, or does not say, is to be taken with care."""

    SILENT = "silent"
    """Nothing was heard of it for longer than is usual for it."""
    THIN = "thin"
    """Far fewer records than usual came in the last two weeks."""
    DEFAULT_TIMES = "default_times"
    """It writes one time of day where it knows none; those records are not scanned."""
    REPEATED_VOLUMES = "repeated_volumes"
    """It had exactly the same number of records in each of the last months."""
    SHIFTED_HOUR = "shifted_hour"
    """Its hours of the day are one off in summer."""


@dataclass(frozen=True, slots=True)
class FeedNotice:
    """A feed with a problem, as alerts tell it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    source: str
    """The CloudEvents source of its records."""
    problem: FeedProblem
    since: UtcTime | None
    """When a silent feed was last heard."""
    sentence: str


def feed_sentence(name: str, problem: FeedProblem, since: datetime | None) -> str:
    """What a reader of an alert has to know of it."""
    last = "yet" if since is None else f"since {since.day} {since:%B %Y, %H:%M} UTC"
    return {
        FeedProblem.SILENT: f"{name} has sent nothing {last}; what it would have told is left out.",
        FeedProblem.THIN: f"{name} has sent far fewer records than usual in the last two weeks.",
        FeedProblem.DEFAULT_TIMES: f"{name} writes one time of day where it knows none; those records are left out.",
        FeedProblem.REPEATED_VOLUMES: f"{name} has had exactly the same number of records in each of the last months.",
        FeedProblem.SHIFTED_HOUR: f"{name} seems to be one hour off in summer.",
    }[problem]
