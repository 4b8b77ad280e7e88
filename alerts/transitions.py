"""Every transition that an episode can make, as data: the code makes no other, and docs/episodes.md is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.episodes import AlertReason, EpisodeState, Reason

_OPEN: Final = (EpisodeState.EMERGING, EpisodeState.GROWING, EpisodeState.STEADY, EpisodeState.RECEDING)


class Transition(NamedTuple):
    """One step from a state to another."""

    before: EpisodeState | None
    """None: there was no episode."""
    after: EpisodeState
    reason: Reason
    """The named reason of the decision."""
    told: AlertReason | None
    """The alert that it sends; None where it is quiet."""
    sentence: str


#: Rows by reason, in the order in which a story goes.
TRANSITIONS: Final[tuple[Transition, ...]] = (
    Transition(
        None,
        EpisodeState.EMERGING,
        Reason.OPENED,
        AlertReason.OPENED,
        "A window reached the threshold where no episode was open.",
    ),
    Transition(
        None,
        EpisodeState.EMERGING,
        Reason.OPENED_BY_SPLIT,
        AlertReason.OPENED,
        "A part of the window of another episode went on by itself, and reached the threshold.",
    ),
    *(
        Transition(
            before,
            EpisodeState.GROWING,
            Reason.ESCALATED,
            AlertReason.ESCALATED,
            "The score is 1.5 times that of the last alert, with two incidents more.",
        )
        for before in _OPEN
        if before is not EpisodeState.GROWING
    ),
    *(
        Transition(
            before,
            EpisodeState.STEADY,
            Reason.NOT_GROWN,
            None,
            "It is above the threshold and has not grown for a day.",
        )
        for before in (EpisodeState.EMERGING, EpisodeState.GROWING)
    ),
    *(
        Transition(
            before,
            EpisodeState.RECEDING,
            Reason.FELL,
            None,
            "The score fell below the threshold, but not below the closing level.",
        )
        for before in _OPEN
        if before is not EpisodeState.RECEDING
    ),
    Transition(
        EpisodeState.RECEDING,
        EpisodeState.STEADY,
        Reason.ROSE_AGAIN,
        None,
        "The score rose above the threshold again.",
    ),
    *(
        Transition(
            before,
            EpisodeState.CLOSED,
            Reason.FADED,
            AlertReason.CLOSED,
            "It had no window at or above the closing level for a day.",
        )
        for before in _OPEN
    ),
    *(
        Transition(
            before,
            EpisodeState.CLOSED,
            Reason.MERGED,
            AlertReason.MERGED,
            "It had no window of its own for a day, and that of another episode lies over it.",
        )
        for before in _OPEN
    ),
    *(
        Transition(
            before,
            EpisodeState.RETRACTED,
            Reason.WITHDRAWN,
            AlertReason.EVIDENCE_WITHDRAWN,
            "Records behind it were withdrawn or amended, and too little is left.",
        )
        for before in _OPEN
    ),
    Transition(
        EpisodeState.CLOSED,
        EpisodeState.RETRACTED,
        Reason.WITHDRAWN_LATER,
        AlertReason.EVIDENCE_WITHDRAWN,
        "Records behind it were withdrawn or amended after its end, and nothing that was told of it holds.",
    ),
)

#: The steps between states that there are.
STEPS: Final[Mapping[tuple[EpisodeState, EpisodeState], tuple[Transition, ...]]] = {
    (before, after): tuple(row for row in TRANSITIONS if (row.before, row.after) == (before, after))
    for before in EpisodeState
    for after in EpisodeState
    if any((row.before, row.after) == (before, after) for row in TRANSITIONS)
}

#: Reasons of alerts that leave the state as it is, and what they say.
WITHIN_A_STATE: Final[Mapping[AlertReason, str]] = {
    AlertReason.ESCALATED: "It was growing, and has grown by as much again.",
    AlertReason.EVIDENCE_WITHDRAWN: "Records of what was told were withdrawn or amended, and enough is left, or stands "
    "beside it.",
    AlertReason.SPLIT: "A part of what was told opened as an episode of its own; this says where the rest is.",
    AlertReason.MOVED: "It and another open episode were told of at one place for a day, and are found in two.",
    AlertReason.MUTE_ENDED: "What a mute hid is still there, and the mute has ended.",
    AlertReason.ASKED: "A person asked how it stands.",
}


def table_text() -> str:
    """The table for a terminal, one row a line."""
    rows = [("from", "to", "reason", "alert", "because")]
    for row in TRANSITIONS:
        told = row.told.value if row.told else "-"
        before = row.before.value if row.before else "-"
        rows.append((before, row.after.value, row.reason.value, told, row.sentence))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row[:4], widths, strict=True)), row[4])) for row in rows
    )
