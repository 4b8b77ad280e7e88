"""The arrays that the window kernels share: rolling counts of every window and the live incidents behind them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from processors.arrays import BLOCKS, KINDS, Bytes, Floats, Halves, Ints, Singles, Small, Words
from processors.cells import CellIndex
from processors.localtime import Hours
from schemas.detection import Shape, WeekPart

# Places in `Board.cursor`.
LIVE = 0
"""Live incidents held."""
ENTERED = 1
"""Those of them that have happened as of now; they come first, for the live incidents are sorted by time."""
LISTED = 2
"""Candidate windows."""
HOT = 3
"""Cells with candidates."""
NOW = 4
"""As of when the counts are."""
EPOCH_END = 5
"""The bounds that candidates were chosen by hold before this moment."""
CALENDAR = 6
"""Number of the first hour of the calendar."""
LEAST = 7
"""Incidents, all kinds together, that a window must have to be a candidate."""
EPOCH = 8
"""How many hours the last epoch of bounds was to last; 0 before the first."""
LEFT = 9
"""From here on, by shape: incidents that have left its span."""
LONG_AGO = -(2**62)
NEVER = 2**16 - 1
"""A count that is not needed."""
# Counts up to which the least that is needed is worked out. A window that needs more is a candidate from here on.
MOST_COUNTED = 1024

# Expectations are put into bins by the leading bits of their single-precision form: five after the exponent, so that a
# bin reaches 3 % up. They begin at 2^-40, with all that is less, and the last holds all beyond 2^12.
BIN_SHIFT = 18
FIRST_BIN = (127 - 40) << 5
BINS = (40 + 12) << 5


class Board(NamedTuple):
    """All state of the rolling counts. R radii, S spans, O offsets."""

    ix: Small
    iy: Small
    neighbours: Small
    """[cell, O] the cell at an offset, or -1."""
    ring: Small
    """[O] smallest radius that holds an offset."""
    holders: Small
    """[cell] records that count in a cell; a cell without any is no centre of windows."""
    counts: Small
    """[cell, kind, R, S] incidents in a window. An incident enters most shapes of all radii from its distance on at
    once: these lie side by side."""
    need: Halves
    """[cell, kind, R, S] a count below which a kind cannot make its window a detection within the epoch."""
    alone: Halves
    """[S, count] `Bar.alone`, as of the bounds behind `need`."""
    listed: Words
    """[cell, R] a bit for each shape: whether a window is a candidate. They are those that `counting.worth` tells, and
    perhaps more."""
    hot: Bytes
    """[cell] whether it is among `candidates`."""
    mass: Singles
    """[cell, R, feed and block] part of the region's expectation that falls into a disc; in half the room, for it is
    the largest array, and read at every score."""
    candidates: Small
    """Cells with candidates, in no order."""
    when: Ints
    """Event times of the live incidents, sorted."""
    where: Small
    kind: Bytes
    part: Bytes
    """Part of the week in which each of them happened."""
    radii: Ints
    spans: Ints
    """[S] by shape of windows: the longest comes last."""
    parts: Ints
    """[S] the part of the week that a shape is confined to; 0 for none."""
    twins: Ints
    """[S, part] of a shape of any hour: the shape of the same span of each part of the week, or -1."""
    calendar: Bytes
    """Part of the week of each hour from `cursor[CALENDAR]` on; it reaches back over the longest span, and ahead."""
    cursor: Ints


class Bar(NamedTuple):
    """What a window must reach to be a detection, and bounds that tell early which never can."""

    floor: float
    min_incidents: int
    scored: Bytes
    """[kind] whether it has an expectation."""
    penalty: Floats
    """[S] what is taken off a score."""
    enough: Floats
    """[S, count] the largest expectation under which a count of one kind can still do its part to reach the floor."""
    needed: Halves
    """[S, bin] the least count that can do so, for the expectations of a bin (`bin_edges`)."""
    alone: Halves
    """[S, count] the least count that can reach the floor by itself, where `needed` is that count: what the only kind
    with incidents in a window must have."""
    least: Floats
    """[S, feed and block] least exposure within the epoch."""
    least_of_feed: Floats
    """[S, feed] least exposure within the epoch, all blocks together."""
    first: Ints
    """Where the feeds of each kind begin; one more entry at the end."""


def bin_edges() -> Floats:
    """The least expectation of each bin."""
    bits = np.arange(FIRST_BIN, FIRST_BIN + BINS, dtype=np.int32) << BIN_SHIFT
    edges = bits.view(np.float32).astype(np.float64)
    edges[0] = 0.0
    return edges


def new_board(
    cells: CellIndex, radii: tuple[int, ...], shapes: tuple[Shape, ...], feeds: int, live: int, least: int
) -> Board:
    """An empty board for the cells of an index, with room for its capacity and for `live` incidents.

    Windows with fewer than `least` incidents are no candidates.
    """
    n, r, s = cells.capacity, len(radii), len(shapes)
    board = Board(
        ix=cells.ix,
        iy=cells.iy,
        neighbours=cells.neighbours,
        ring=cells.offsets.ring,
        holders=np.zeros(n, np.int32),
        counts=np.zeros((n, KINDS, r, s), np.int32),
        need=np.full((n, KINDS, r, s), NEVER, np.uint16),
        alone=np.zeros((s, MOST_COUNTED), np.uint16),
        listed=np.zeros((n, r), np.uint64),
        hot=np.zeros(n, np.uint8),
        mass=np.zeros((n, r, feeds * BLOCKS), np.float32),
        candidates=np.zeros(n, np.int32),
        when=np.zeros(live, np.int64),
        where=np.zeros(live, np.int32),
        kind=np.zeros(live, np.uint8),
        radii=np.array(radii, np.int64),
        spans=np.array([shape.span_s for shape in shapes], np.int64),
        parts=np.array([shape.part for shape in shapes], np.int64),
        twins=_twins(shapes),
        part=np.zeros(live, np.uint8),
        calendar=np.zeros(1, np.uint8),
        cursor=np.zeros(LEFT + s, np.int64),
    )
    board.cursor[LEAST] = least
    clear(board)
    return board


def _twins(shapes: tuple[Shape, ...]) -> Ints:
    twins = np.full((len(shapes), len(WeekPart)), -1, np.int64)
    for s, shape in enumerate(shapes):
        for part in WeekPart:
            twin = Shape(shape.span_s, part)
            if shape.part is WeekPart.ANY and part is not WeekPart.ANY and twin in shapes:
                twins[s, part] = shapes.index(twin)
    return twins


def clear(board: Board) -> None:
    """Forget all incidents, holders and candidates; the masses stay."""
    kept = board.cursor[[CALENDAR, LEAST]]
    for counts in (board.holders, board.counts, board.listed, board.hot, board.cursor):
        counts[...] = 0
    board.cursor[[NOW, EPOCH_END]] = LONG_AGO
    board.cursor[[CALENDAR, LEAST]] = kept


def grown(board: Board, cells: CellIndex, live: int) -> Board:
    """The same board with room for the index's cells and for `live` incidents."""
    radii = tuple(board.radii.tolist())
    shapes = tuple(
        Shape(span, WeekPart(part)) for span, part in zip(board.spans.tolist(), board.parts.tolist(), strict=True)
    )
    larger = new_board(cells, radii, shapes, board.mass.shape[2] // BLOCKS, max(live, board.when.size), 0)
    for name in (
        "holders",
        "counts",
        "need",
        "listed",
        "hot",
        "mass",
        "candidates",
        "when",
        "where",
        "kind",
        "part",
        "cursor",
    ):
        old = getattr(board, name)
        getattr(larger, name)[: old.shape[0]] = old
    return larger._replace(calendar=board.calendar, alone=board.alone)


def with_calendar(board: Board, hours: Hours) -> Board:
    """The same board with the parts of the week of these hours."""
    board.cursor[CALENDAR] = hours.first
    return board._replace(calendar=hours.week_part)
