"""When an alert should be looked at again, and until when it holds."""

from __future__ import annotations

from typing import Final

import numpy as np

from processors.localtime import LocalHours
from schemas.detection import DAY_S, HOUR_S
from schemas.episodes import EpisodeState

REVIEW_HOUR: Final = 9
#: What is steady or receding can wait this long.
CALM_S: Final = 7 * DAY_S
#: An open episode of which nothing new was told for so long: ask the current list, not the old alert.
HOLDS_S: Final = 7 * DAY_S
OVER_HOLDS_S: Final = DAY_S


def review_at(state: EpisodeState, as_of: int, local: LocalHours) -> int | None:
    """Nine o'clock of the next working day; a week later for what is calm. None for what is over."""
    if state.is_over:
        return None
    lively = state in (EpisodeState.EMERGING, EpisodeState.GROWING)
    earliest = as_of if lively else as_of + CALM_S
    day = local.day(earliest)
    while not _works(day, local) or _nine(day, local) <= earliest:
        day += 1
    return _nine(day, local)


def expires_at(as_of: int, review: int | None) -> int:
    """When what it says is not to be relied on any more: not before it should be reviewed."""
    return as_of + OVER_HOLDS_S if review is None else max(as_of + HOLDS_S, review)


def _nine(day: int, local: LocalHours) -> int:
    """Nine o'clock of a local day, s: clocks change before it."""
    at = day * DAY_S + REVIEW_HOUR * HOUR_S
    return at - int(local.offsets(np.array([at]))[0])


def _works(day: int, local: LocalHours) -> bool:
    """Whether a local day (days since 1970) is one from Monday to Friday and no public holiday."""
    return (day + 3) % 7 < 5 and local.holidays.number(day) == 0
