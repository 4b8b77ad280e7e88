"""The page of the life of an episode and its drawing, made from the table of transitions.

`python -m docs.extensions.episodes docs` writes both; a test compares them with what is there.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from html import escape
from math import hypot
from pathlib import Path
from typing import Final, NamedTuple

from alerts.episodes import STEADY_AFTER_S
from alerts.mutes import ESCALATION, ESCALATION_INCIDENTS
from alerts.transitions import STEPS, TRANSITIONS, WITHIN_A_STATE
from docs.extensions.tables import code, table
from docs.extensions.written import write
from processors.detector import KEEP_DAYS
from processors.tracking import LINGER_S
from schemas.detection import HOUR_S, DetectionSettings
from schemas.episodes import EpisodeState, Outcome, Reason
from schemas.feedback import MOST_MUTED, FeedbackResult

PAGE: Final = "episodes.md"
DRAWING: Final = "episodes.svg"
_INK, _PAPER, _BLUE, _TEAL, _PLUM = "#0b0c0c", "#ffffff", "#12436d", "#1d6f68", "#801650"
_WIDTH, _HEIGHT = 860, 470
_BOX: Final = (120, 40, 470, 390)
"""The open states: left, top, width, height."""
_SIZE: Final = (116, 44)


class Point(NamedTuple):
    """A place on the drawing."""

    x: float
    y: float


_CENTRES: Final[Mapping[EpisodeState, Point]] = {
    EpisodeState.EMERGING: Point(215, 235),
    EpisodeState.GROWING: Point(360, 110),
    EpisodeState.STEADY: Point(505, 235),
    EpisodeState.RECEDING: Point(360, 360),
    EpisodeState.CLOSED: Point(760, 150),
    EpisodeState.RETRACTED: Point(760, 320),
}
_MEANINGS: Final[Mapping[EpisodeState, str]] = {
    EpisodeState.EMERGING: "It was opened, and has not changed much since.",
    EpisodeState.GROWING: "Its score is clearly above that of the last alert.",
    EpisodeState.STEADY: "It is still above the threshold, and has not grown for a day.",
    EpisodeState.RECEDING: "Its score has fallen below the threshold, but not below the closing level.",
    EpisodeState.CLOSED: "It was below the closing level for a day, or went on as a part of another episode.",
    EpisodeState.RETRACTED: "The records behind it were withdrawn or amended away, before its end or after it.",
}


def numbers() -> dict[Reason, int]:
    """A number for each reason of a transition, in the order of the table."""
    reasons = list(dict.fromkeys(row.reason for row in TRANSITIONS))
    return {reason: number for number, reason in enumerate(reasons, start=1)}


# --- drawing --------------------------------------------------------------------------------------------------------


def drawing() -> str:
    """States as boxes and transitions as arrows, numbered as on the page."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" aria-labelledby="t d" font-family="sans-serif">',
        '<title id="t">The states of an episode</title>',
        f'<desc id="d">{escape(_described())}</desc>',
        f'<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0L10 5L0 10z" fill="{_INK}"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{_PAPER}"/>',
        f'<rect x="{_BOX[0]}" y="{_BOX[1]}" width="{_BOX[2]}" height="{_BOX[3]}" rx="12" fill="none" '
        f'stroke="{_INK}" stroke-dasharray="6 4"/>',
        f'<text x="{_BOX[0] + 14}" y="{_BOX[1] + 24}" font-size="15" fill="{_INK}">open</text>',
        *_arrows(),
        *(_state(state, centre) for state, centre in _CENTRES.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _described() -> str:
    """The drawing in words, for who does not see it."""
    return " ".join(f"{before.value} to {after.value}: {_labels(before, after)}." for before, after in STEPS)


def _labels(before: EpisodeState | None, after: EpisodeState) -> str:
    number = numbers()
    rows = [row for row in TRANSITIONS if (row.before, row.after) == (before, after)]
    return ", ".join(str(number[row.reason]) for row in rows)


def _state(state: EpisodeState, centre: Point) -> str:
    colour = {EpisodeState.CLOSED: _TEAL, EpisodeState.RETRACTED: _PLUM}.get(state, _BLUE)
    width, height = _SIZE
    return (
        f'<rect x="{centre.x - width / 2:g}" y="{centre.y - height / 2:g}" width="{width}" height="{height}" rx="8" '
        f'fill="{colour}"/><text x="{centre.x:g}" y="{centre.y + 6:g}" text-anchor="middle" font-size="17" '
        f'fill="{_PAPER}">{state.value}</text>'
    )


def _arrows() -> Iterator[str]:
    opens = [state for state in EpisodeState if not state.is_over]
    emerging = _CENTRES[EpisodeState.EMERGING]
    yield f'<circle cx="40" cy="{emerging.y:g}" r="9" fill="{_INK}"/>'
    yield _arrow(Point(49, emerging.y), Point(emerging.x - _SIZE[0] / 2, emerging.y), 0, _labels(None, opens[0]), 0.25)
    for before, after in STEPS:
        begin, end = _CENTRES[before], _CENTRES[after]
        if not after.is_over:
            yield _arrow(_edge(begin, end), _edge(end, begin), 26, _labels(before, after), 0.36)
        elif before.is_over:
            yield _arrow(_edge(begin, end), _edge(end, begin), 0, _labels(before, after))
    for after in EpisodeState:
        if after.is_over:
            # Every open state leads there for the same reasons: one arrow from the box stands for all.
            labels = {_labels(before, after) for before in opens}
            assert len(labels) == 1
            end = _CENTRES[after]
            yield _arrow(Point(_BOX[0] + _BOX[2], end.y), Point(end.x - _SIZE[0] / 2, end.y), 0, labels.pop())


def _edge(inside: Point, towards: Point) -> Point:
    """Where the line from the middle of a state towards another leaves its box."""
    dx, dy = towards.x - inside.x, towards.y - inside.y
    reach = min(_SIZE[0] / 2 / abs(dx) if dx else 9, _SIZE[1] / 2 / abs(dy) if dy else 9)
    return Point(inside.x + dx * reach, inside.y + dy * reach)


def _arrow(begin: Point, end: Point, bend: float, label: str, at: float = 0.5) -> str:
    """An arrow that bends to its left, with a label on it."""
    length = hypot(end.x - begin.x, end.y - begin.y)
    left = Point((end.y - begin.y) / length, (begin.x - end.x) / length)
    middle = Point((begin.x + end.x) / 2 + bend * left.x, (begin.y + end.y) / 2 + bend * left.y)
    x = (1 - at) ** 2 * begin.x + 2 * at * (1 - at) * middle.x + at**2 * end.x
    y = (1 - at) ** 2 * begin.y + 2 * at * (1 - at) * middle.y + at**2 * end.y
    wide = 9 * len(label) + 6
    return (
        f'<path d="M{begin.x:.0f} {begin.y:.0f}Q{middle.x:.0f} {middle.y:.0f} {end.x:.0f} {end.y:.0f}" fill="none" '
        f'stroke="{_INK}" stroke-width="1.5" marker-end="url(#a)"/>'
        f'<rect x="{x - wide / 2:.0f}" y="{y - 10:.0f}" width="{wide}" height="20" rx="4" fill="{_PAPER}"/>'
        f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" font-size="14" fill="{_INK}">{label}</text>'
    )


# --- page -----------------------------------------------------------------------------------------------------------


def page() -> str:
    """All states, transitions and rules."""
    number = numbers()
    by_reason = {row.reason: row for row in TRANSITIONS}
    rows = [
        (
            str(number[reason]),
            ", ".join(dict.fromkeys(_name(one.before) for one in TRANSITIONS if one.reason is reason)),
            code(row.after.value),
            code(reason.value),
            f"**`{row.told.value}`**" if row.told else "quiet",
            row.sentence,
        )
        for reason, row in by_reason.items()
    ]
    return _TEXT.format(
        drawing=DRAWING,
        described=_described(),
        states=table(("state", "meaning"), [(code(state.value), _MEANINGS[state]) for state in EpisodeState]),
        transitions=table(("", "from", "to", "reason", "alert", "because"), rows),
        within=table(("alert", "because"), [(code(told.value), said) for told, said in WITHIN_A_STATE.items()]),
        outcomes=table(("outcome", "meaning"), [(code(one.value), _OUTCOMES[one]) for one in Outcome]),
        results=", ".join(code(one.value) for one in FeedbackResult),
        escalation=ESCALATION,
        incidents=ESCALATION_INCIDENTS,
        steady=STEADY_AFTER_S // HOUR_S,
        linger=LINGER_S // HOUR_S,
        muted=MOST_MUTED.days,
        kept=DetectionSettings().baseline_days + KEEP_DAYS,
    )


def _name(state: EpisodeState | None) -> str:
    return "none" if state is None else code(state.value)


_OUTCOMES: Final[Mapping[Outcome, str]] = {
    Outcome.GENUINE_NEW: "Violence that the partnership did not know of.",
    Outcome.GENUINE_KNOWN: "Violence that it knew of already.",
    Outcome.EXPLAINED: "Something else: an event, an operation, a change in how records are made.",
    Outcome.NOT_USEFUL: "Nothing that could be acted on.",
}

_TEXT: Final = """\
<!-- Made by docs/extensions/episodes.py from the table of transitions: change it there, and run `make generated`. -->

# The life of an episode

A look finds windows that hold more than is usual. What is found again at the next look, at the same place, is the
same *episode*: it has one identity from the first alert to the last. Each alert is a *revision* of it. This page
says which states an episode can be in, what leads from one to the other, and when people are told; everything else
is quiet. It is made from the table that the code decides by, which `hotspot alerts states` prints.

![The states of an episode and what leads from one to the other. {described}]({drawing})

The dashed box holds the open states; the dot is where there is no episode yet. Numbers are those of the
[table below](#transitions).

## States

{states}
## Transitions

{transitions}
An open episode can also be told of without changing its state:

{within}
## Rules

**Opening and closing are two levels.** An episode opens at the threshold of the [calibration](detection.md) and
goes on down to the closing level, three quarters of it by default. Between the two it is `receding`. What has no
window at or above the closing level for {linger} hours is closed. So a score that wavers about one level neither
opens nor closes anything.

**Growing** means {escalation} times the score of the *last alert* and {incidents} incidents more. Slow growth is
told when it has come so far, and wavering never. After {steady} hours without such growth it is `steady`.

**Merge.** Windows of one look never lie over one another, so two episodes that are both found are in two places.
Where the window of one grows over another, that other one has no window of its own any more. After {linger} hours
it is closed as `merged`, names the episode that lies over it in `merged_into`, and is named there in `absorbed`.

**Split.** Where a part of what was told goes on beside the rest, it opens an episode of its own as soon as it
reaches the threshold by itself. It names where it came from in `split_from`. The other is told once more (`split`),
with the window that is left: what was told of two open episodes then lies in two places. Where two were told of at one
place for {linger} hours in another way, and are found in two, the one that moved is told again (`moved`).

**Evidence that goes.** Where records of what was told of an open episode are withdrawn or amended, the told window is
counted again. With enough left it is corrected. With too little left, but a window that stands at the same place, that
window is told instead. With neither, the episode is retracted. A retraction reaches everybody who heard of the
episode, muted or not.

**Evidence that goes after the end.** Where records behind a closed episode are withdrawn or amended, *all* windows that
were told of it are counted again, against the closing level by which they were told. When none of them holds any more,
it is retracted, like an open one. As long as one holds, nothing is said: that there was something, and that it is over,
is as true as before; nobody acts on the counts of what is over; and each small correction of old records would be one
more message to read. A region can retract an episode for as long as it keeps all records behind it, {kept} days by
default (`baseline_days` and a week) from the beginning of the first window: what is older it does not have, and a
withdrawal of it changes nothing. A route knows for 400 days what it was told, and passes a retraction on so long.

**Evidence and other episodes.** Each episode is judged by the windows that were told of it, and by no other. After a
split, or after one was told to have moved, the windows that were told before stand behind the other episode: from then
on only what is told later counts. A merged episode keeps its own windows: it can be retracted while the one that it
went on in stands. That one has windows of its own, in which the same records may count. A record that an amendment
moves to another place is gone here, and counts there.

## What people do

People acknowledge an episode, assign it to a team, mute it, ask how it stands, and say what came of it. Each is a
message on `hotspot.feedback`, with an id that its sender chooses: the same again changes nothing. The first look at
or after the moment at which it was said acts on it. What became of it is one of {results}.

**A mute** has an end, {muted} days later at most. It holds the place and the episode up to *what was told* when it
was muted. A held revision is on the topic with `muted: true`: lists show it, and nobody is to be disturbed by it.
What escalates beyond the mute is told aloud, and ends it. What a mute hid and is still there when it ends is told
then (`mute_ended`). Every active mute can be listed, with the episodes it holds.

**Outcomes** give the measured precision. They can be told for 400 days after an episode is over.

{outcomes}
Who did any of this is for the audit. It is in no alert, and not in the state of the region.

## How often people are told

Over four years of published incidents of Chicago (2013 to 2016, default settings, a look at each quarter of an hour
that brought something) 135 episodes were told in 275 revisions: 2 for the median episode, 5 at most. Of them 6 split
off from another and 4 merged into another; twice one was told to have moved. Three pairs were told of at one place for
a while, two days at most.

## What always holds

Tests check after each run of a region, whatever it was for: an episode is opened once, by revision 1, and closed or
retracted once; one that is closed may be retracted once, and nothing else follows an end; revisions have no gaps; no
revision is sent without a material change; no two open episodes that were found at one look lie over one another, and
none goes without a window for more than {linger} hours; what is open is what was told to be open; what is closed can be
retracted while its records are kept; mutes that are listed are active.
"""


def main() -> int:
    """Write both into the folder that is named."""
    folder = Path(sys.argv[1])
    write(folder / PAGE, page())
    write(folder / DRAWING, drawing())
    return 0


if __name__ == "__main__":
    sys.exit(main())
