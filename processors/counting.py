"""Numba kernels that keep the rolling counts of a board: incidents enter windows, leave them, come late and go."""

from __future__ import annotations

import numpy as np
from numba import njit

from processors.arrays import KINDS, Halves, Ints
from processors.board import CALENDAR, ENTERED, HOT, LEAST, LEFT, LISTED, LIVE, NOW, Board
from processors.exposure import HOUR
from processors.live import HOLD, REMOVE

assert KINDS == 2  # `worth` and `_enter` look at the one and the other


@njit(cache=True, nogil=True, inline="always")
def worth(alone: Halves, shape: int, count: int, need: int, other: int, needed_of_other: int) -> bool:
    """Whether the counts of the two kinds might bring a window of this shape to the floor: one has its part, and where
    the other has nothing, all."""
    if count == 0:
        return bool(other >= needed_of_other and other >= alone[shape, needed_of_other])
    if other == 0:
        return bool(count >= need and count >= alone[shape, need])
    return bool(count >= need or other >= needed_of_other)


@njit(cache=True, nogil=True)
def list_window(board: Board, cell: int, radius: int, shape: int) -> None:
    """Make a window a candidate."""
    bit = np.uint64(1) << np.uint64(shape)
    if board.listed[cell, radius] & bit:
        return
    board.listed[cell, radius] |= bit
    board.cursor[LISTED] += 1
    if board.hot[cell] == 0:
        board.hot[cell] = 1
        board.candidates[board.cursor[HOT]] = cell
        board.cursor[HOT] += 1


@njit(cache=True, nogil=True)
def _holding(board: Board, when: int, part: int) -> tuple[int, int]:
    """The shapes of one part of the week that hold a moment as of now: from the first to before the second.

    Shapes of a part stand together, longer spans later.
    """
    to_shape = board.parts.size
    while to_shape > 0 and board.parts[to_shape - 1] != part:
        to_shape -= 1
    from_shape = to_shape
    oldest = board.cursor[NOW] - when
    while from_shape > 0 and board.parts[from_shape - 1] == part and board.spans[from_shape - 1] > oldest:
        from_shape -= 1
    return from_shape, to_shape


@njit(cache=True, nogil=True)
def _leave_one(board: Board, cell: int, kind: int, shape: int, twin: int) -> None:
    """Count an incident no more in the windows of one shape that hold its cell, nor in those of a twin (or -1)."""
    counts, neighbours, ring = board.counts.reshape(board.counts.size), board.neighbours, board.ring
    radii, shapes = board.radii.size, board.spans.size
    for o in range(ring.size):
        centre = neighbours[cell, o]
        if centre >= 0:
            start = (centre * KINDS + kind) * radii * shapes
            for r in range(ring[o], radii):
                counts[np.uint64(start + r * shapes + shape)] -= 1
                if twin >= 0:
                    counts[np.uint64(start + r * shapes + twin)] -= 1


@njit(cache=True, nogil=True)
def _leave(board: Board, cell: int, kind: int, when: int, part: int) -> None:
    """Count an incident no more in any window that holds it."""
    for shape in range(*_holding(board, when, 0)):
        _leave_one(board, cell, kind, shape, board.twins[shape, part])


@njit(cache=True, nogil=True)
def _enter(board: Board, cell: int, kind: int, when: int, part: int) -> None:
    """Count an incident in all windows that hold it, and list those that are now worth it, and have incidents enough.

    The windows of one centre that hold a cell lie side by side, and are gone through many at a time, with one to add
    for the shapes that hold the moment. (Unsigned places, for with signed ones each is asked whether it is negative.)
    """
    neighbours, ring = board.neighbours, board.ring
    radii, shapes = board.radii.size, board.spans.size
    counts, need = board.counts.reshape(board.counts.size), board.need.reshape(board.need.size)
    least, alone = board.cursor[LEAST], board.alone
    add = np.zeros(radii * shapes, np.int32)
    for first, last in (_holding(board, when, 0), _holding(board, when, part)):
        for r in range(radii):
            add[r * shapes + first : r * shapes + last] = 1
    for o in range(ring.size):
        centre = neighbours[cell, o]
        if centre < 0:
            continue
        start = np.uint64((centre * KINDS + kind) * add.size)
        beside = np.uint64((centre * KINDS + 1 - kind) * add.size)
        reached = 0
        for w in range(np.uint64(ring[o] * shapes), np.uint64(add.size)):
            count, other = counts[start + w] + add[w], counts[beside + w]
            counts[start + w] = count
            reached += ((count >= need[start + w]) | (other >= need[beside + w])) & (count + other >= least)
        if reached:
            for w in range(np.uint64(ring[o] * shapes), np.uint64(add.size)):
                count, other = counts[start + w], counts[beside + w]
                shape = w % np.uint64(shapes)
                if count + other >= least and worth(alone, shape, count, need[start + w], other, need[beside + w]):
                    list_window(board, centre, w // np.uint64(shapes), shape)


@njit(cache=True, nogil=True)
def part_of(board: Board, when: int) -> int:
    """The part of the week of a moment. One beyond the calendar, in a far future, counts as its last hour."""
    hour = when // HOUR - board.cursor[CALENDAR]
    return int(board.calendar[max(min(hour, board.calendar.size - 1), 0)])


@njit(cache=True, nogil=True)
def _past(board: Board, when: int) -> bool:
    """Whether a moment has left even the longest span."""
    return bool(when <= board.cursor[NOW] - board.spans[-1])


@njit(cache=True, nogil=True)
def populate(board: Board, from_cell: int, to_cell: int) -> None:
    """Count, for cells that have just joined the index, the incidents that were there before them."""
    for n in range(board.cursor[ENTERED]):
        of_any, of_part = _holding(board, board.when[n], 0), _holding(board, board.when[n], board.part[n])
        column, row = board.ix[board.where[n]], board.iy[board.where[n]]
        for cell in range(from_cell, to_cell):
            dx, dy = np.int64(board.ix[cell] - column), np.int64(board.iy[cell] - row)
            for r in range(board.radii.size):
                if dx * dx + dy * dy <= board.radii[r] * board.radii[r]:
                    for s in range(of_any[0], of_any[1]):
                        board.counts[cell, board.kind[n], r, s] += 1
                    for s in range(of_part[0], of_part[1]):
                        board.counts[cell, board.kind[n], r, s] += 1


@njit(cache=True, nogil=True)
def advance(board: Board, as_of: int) -> None:
    """Move the end of all windows to `as_of`: incidents leave spans, and those that have now happened enter."""
    board.cursor[NOW] = as_of
    live = board.cursor[LIVE]
    entered = board.cursor[ENTERED]
    for s in range(board.spans.size):
        if board.parts[s] > 0:
            continue  # with its twin
        n = board.cursor[LEFT + s]
        while n < live and board.when[n] <= as_of - board.spans[s]:
            if n < entered:
                _leave_one(board, board.where[n], board.kind[n], s, board.twins[s, board.part[n]])
            n += 1
        board.cursor[LEFT + s] = n
        for twin in board.twins[s]:
            if twin >= 0:
                board.cursor[LEFT + twin] = n
    while entered < live and board.when[entered] <= as_of:
        _enter(board, board.where[entered], board.kind[entered], board.when[entered], board.part[entered])
        entered += 1
    board.cursor[ENTERED] = entered
    _forget(board)


@njit(cache=True, nogil=True)
def _forget(board: Board) -> None:
    """Drop incidents that have left the longest span, once they are many."""
    dead = board.cursor[LEFT + board.spans.size - 1]
    live = board.cursor[LIVE]
    if dead < 256 or 2 * dead < live:
        return
    for n in range(live - dead):
        board.when[n] = board.when[n + dead]
        board.where[n] = board.where[n + dead]
        board.kind[n] = board.kind[n + dead]
        board.part[n] = board.part[n + dead]
    board.cursor[LIVE] = live - dead
    board.cursor[ENTERED] -= dead
    for s in range(board.spans.size):
        board.cursor[LEFT + s] -= dead


@njit(cache=True, nogil=True)
def _after(board: Board, when: int) -> int:
    """Place of the first live incident later than a moment."""
    low, high = 0, board.cursor[LIVE]
    while low < high:
        middle = (low + high) // 2
        if board.when[middle] <= when:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def insert(board: Board, when: int, cell: int, kind: int) -> None:
    """Take in a live incident, also a late one or one that has yet to happen."""
    if _past(board, when):
        return
    part = part_of(board, when)
    place = _after(board, when)
    for n in range(board.cursor[LIVE], place, -1):
        board.when[n] = board.when[n - 1]
        board.where[n] = board.where[n - 1]
        board.kind[n] = board.kind[n - 1]
        board.part[n] = board.part[n - 1]
    board.when[place] = when
    board.where[place] = cell
    board.kind[place] = kind
    board.part[place] = part
    board.cursor[LIVE] += 1
    if when <= board.cursor[NOW]:
        board.cursor[ENTERED] += 1
        for s in range(board.spans.size):
            board.cursor[LEFT + s] += when <= board.cursor[NOW] - board.spans[s]
        _enter(board, cell, kind, when, part)


@njit(cache=True, nogil=True)
def remove(board: Board, when: int, cell: int, kind: int) -> bool:
    """Take out a live incident; False where there is none such. One past the longest span is gone already."""
    if _past(board, when):
        return True
    place = _after(board, when) - 1
    while place >= 0 and board.when[place] == when and (board.where[place] != cell or board.kind[place] != kind):
        place -= 1
    if place < 0 or board.when[place] != when:
        return False
    part = board.part[place]
    board.cursor[LIVE] -= 1
    for n in range(place, board.cursor[LIVE]):
        board.when[n] = board.when[n + 1]
        board.where[n] = board.where[n + 1]
        board.kind[n] = board.kind[n + 1]
        board.part[n] = board.part[n + 1]
    if when <= board.cursor[NOW]:
        board.cursor[ENTERED] -= 1
        for s in range(board.spans.size):
            board.cursor[LEFT + s] -= when <= board.cursor[NOW] - board.spans[s]
        _leave(board, cell, kind, when, part)
    return True


@njit(cache=True, nogil=True)
def revise(board: Board, changes: Ints) -> int:
    """Apply changes, one a row as in live.py; returns how many incidents were to be removed that are not there."""
    missing = 0
    for n in range(changes.shape[0]):
        cell, kind, value = changes[n, 1], changes[n, 2], changes[n, 3]
        if changes[n, 0] == HOLD:
            board.holders[cell] += value
        elif changes[n, 0] == REMOVE:
            if not remove(board, value, cell, kind):
                missing += 1
        else:
            insert(board, value, cell, kind)
    return missing
