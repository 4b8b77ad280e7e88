"""Numba kernels over a board: rolling counts, scores, candidates, and the choice among windows that overlap."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from processors.arrays import BLOCKS, KINDS, Bytes, Floats, Ints, Singles, Small
from processors.board import CALENDAR, ENTERED, EPOCH_END, LEFT, LISTED, LIVE, NEVER, NOW, Bar, Board
from processors.exposure import HOUR, ROUNDING, Rates, exposure, least_exposure, note_silence
from processors.live import HOLD, REMOVE
from processors.score import discs_touch, expected_in, surprise

# How long one set of bounds is used. A full pass is dear, and beyond a week bounds hardly become looser.
EPOCH_HOURS = 336
# Counts up to which it is looked up what they must be at a look.
LOOKED_UP = 64
# Candidates from which on that pays.
WORTH_LOOKING_UP = 256


@njit(cache=True, nogil=True)
def survey(board: Board, bar: Bar, from_cell: int, to_cell: int) -> None:
    """Work out what counts the windows of some cells need within the epoch, and list those that have them.

    A window's score is a sum over kinds, so to reach the floor one kind must bring its part of it (floor by number of
    kinds) against the least that can be expected of it. Of two lower bounds of a feed the better one counts: block by
    block is tight for long spans; short ones lie in one block now and in another later, and there the least of the
    disc's blocks with the least of all blocks together says more.
    """
    counts, need, mass, least, enough = board.counts, board.need, board.mass, bar.least, bar.enough
    spans, radii = need.shape[2], need.shape[3]
    kinds = 0
    for k in range(KINDS):
        kinds += bar.scored[k]
    lowest = bar.min_incidents if kinds == 1 else 1
    for cell in range(from_cell, to_cell):
        for k in range(KINDS):
            if bar.scored[k] == 0:
                need[cell, k] = NEVER
                continue
            for r in range(radii):
                count = lowest
                for s in range(spans):
                    low = 0.0
                    for f in range(bar.first[k], bar.first[k + 1]):
                        smallest, by_block = math.inf, 0.0
                        for b in range(f * BLOCKS, (f + 1) * BLOCKS):
                            smallest = min(smallest, mass[cell, r, b])
                            by_block += mass[cell, r, b] * least[s, b]
                        low += max(by_block, smallest * bar.least_of_feed[s, f])
                    # Expectations grow with the span, but what they must be below may grow too.
                    while count > lowest and enough[s, count - 1] >= low:
                        count -= 1
                    while count < enough.shape[1] - 1 and enough[s, count] < low:
                        count += 1
                    need[cell, k, s, r] = count
                    if counts[cell, k, s, r] >= count:
                        _list(board, cell, r, s)


@njit(cache=True, nogil=True)
def _list(board: Board, cell: int, radius: int, span: int) -> None:
    """Make a window a candidate."""
    if board.listed[cell, radius, span] == 0:
        board.listed[cell, radius, span] = 1
        board.candidates[board.cursor[LISTED]] = (cell * board.radii.size + radius) * board.spans.size + span
        board.cursor[LISTED] += 1


@njit(cache=True, nogil=True)
def _survey_all(board: Board, bar: Bar, cells: int) -> None:
    """Choose candidates anew among all windows."""
    board.listed[:] = 0
    board.cursor[LISTED] = 0
    survey(board, bar, 0, cells)


@njit(cache=True, nogil=True)
def _leave(board: Board, cell: int, kind: int, from_shape: int, to_shape: int) -> None:
    """Count an incident no more in the windows of some shapes that hold its cell."""
    counts, neighbours, ring = board.counts, board.neighbours, board.ring
    for o in range(ring.size):
        centre = neighbours[cell, o]
        if centre >= 0:
            for s in range(from_shape, to_shape):
                for r in range(ring[o], counts.shape[3]):
                    counts[centre, kind, s, r] -= 1


@njit(cache=True, nogil=True)
def _enter(board: Board, cell: int, kind: int, from_shape: int, to_shape: int) -> None:
    """Count an incident in the windows of some shapes, and list those that now have what they need."""
    counts, need, neighbours, ring = board.counts, board.need, board.neighbours, board.ring
    for o in range(ring.size):
        centre = neighbours[cell, o]
        if centre >= 0:
            for s in range(from_shape, to_shape):
                for r in range(ring[o], counts.shape[3]):
                    counts[centre, kind, s, r] += 1
                    if counts[centre, kind, s, r] >= need[centre, kind, s, r]:
                        _list(board, centre, r, s)


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
def _enter_all(board: Board, cell: int, kind: int, when: int, part: int) -> None:
    """Count an incident in all windows that hold it."""
    of_any, of_part = _holding(board, when, 0), _holding(board, when, part)
    _enter(board, cell, kind, of_any[0], of_any[1])
    _enter(board, cell, kind, of_part[0], of_part[1])


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
                        board.counts[cell, board.kind[n], s, r] += 1
                    for s in range(of_part[0], of_part[1]):
                        board.counts[cell, board.kind[n], s, r] += 1


@njit(cache=True, nogil=True)
def advance(board: Board, as_of: int) -> None:
    """Move the end of all windows to `as_of`: incidents leave spans, and those that have now happened enter."""
    board.cursor[NOW] = as_of
    live = board.cursor[LIVE]
    entered = board.cursor[ENTERED]
    for s in range(board.spans.size):
        n = board.cursor[LEFT + s]
        part = board.parts[s]
        while n < live and board.when[n] <= as_of - board.spans[s]:
            if n < entered and (part == 0 or part == board.part[n]):
                _leave(board, board.where[n], board.kind[n], s, s + 1)
            n += 1
        board.cursor[LEFT + s] = n
    while entered < live and board.when[entered] <= as_of:
        _enter_all(board, board.where[entered], board.kind[entered], board.when[entered], board.part[entered])
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
        _enter_all(board, cell, kind, when, part)


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
        of_any, of_part = _holding(board, when, 0), _holding(board, when, part)
        _leave(board, cell, kind, of_any[0], of_any[1])
        _leave(board, cell, kind, of_part[0], of_part[1])
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


@njit(cache=True, nogil=True)
def _score(
    counts: Small,
    mass: Singles,
    scored: Bytes,
    first: Ints,
    min_incidents: int,
    exposed: Floats,
    window: tuple[int, int, int],
) -> float:
    # Arrays one by one: handing on a whole board costs more than the score, and this is done the most often of all.
    cell, radius, span = window
    total = 0
    score = 0.0
    for k in range(KINDS):
        if scored[k]:
            count = counts[cell, k, span, radius]
            total += count
            if count > 0:
                score += surprise(float(count), expected_in(mass, exposed, first, window, k))
    return score if total >= min_incidents else 0.0


@njit(cache=True, nogil=True)
def _precedes(board: Board, a: int, b: int) -> bool:
    """Order of windows of the same level: smaller radius, shorter span, column, row. Total, so looks repeat."""
    spans, radii = board.spans.size, board.radii
    a_disc, b_disc = a // spans, b // spans
    if a_disc % radii.size != b_disc % radii.size:
        return a_disc % radii.size < b_disc % radii.size
    if board.spans[a % spans] != board.spans[b % spans]:
        return bool(board.spans[a % spans] < board.spans[b % spans])
    if a % spans != b % spans:
        return a % spans > b % spans  # of any hour, before a part of the week
    a_cell, b_cell = a_disc // radii.size, b_disc // radii.size
    if board.ix[a_cell] != board.ix[b_cell]:
        return bool(board.ix[a_cell] < board.ix[b_cell])
    return bool(board.iy[a_cell] < board.iy[b_cell])


@njit(cache=True, nogil=True)
def _needed_now(bar: Bar, exposed: Floats) -> Ints:
    """For each count that the epoch's bounds ask for, the count that is needed at this look: [shape, count].

    Expectations are now at least so many times their bounds as the least of their terms is. A count is needed where
    the bound is above what is enough for one less.
    """
    shapes, feeds = bar.least_of_feed.shape
    needed = np.empty((shapes, LOOKED_UP), np.int64)
    for s in range(shapes):
        times = math.inf
        for f in range(feeds):
            total = 0.0
            for b in range(f * BLOCKS, (f + 1) * BLOCKS):
                total += exposed[s, b]
                if bar.least[s, b] > 0.0:
                    times = min(times, exposed[s, b] / bar.least[s, b])
            if bar.least_of_feed[s, f] > 0.0:
                times = min(times, total / bar.least_of_feed[s, f])
        times *= ROUNDING
        count = 0
        for least in range(LOOKED_UP):
            needed[s, least] = least
            if least > 0 and times > 1.0 and math.isfinite(times):
                low = times * bar.enough[s, least - 1]
                count = max(count, least)
                while count < bar.enough.shape[1] - 1 and bar.enough[s, count] < low:
                    count += 1
                needed[s, least] = count
    return needed


@njit(cache=True, nogil=True)
def detect(board: Board, bar: Bar, exposed: Floats) -> tuple[Ints, Floats]:
    """Windows at or above the floor, best first; of windows that touch only the best stays."""
    window = np.empty(board.cursor[LISTED], np.int64)
    score = np.empty(window.size)
    n = 0
    spans, radii = board.spans.size, board.radii
    counts, need, mass, candidates = board.counts, board.need, board.mass, board.candidates
    scored, first = bar.scored, bar.first
    many = board.cursor[LISTED] >= WORTH_LOOKING_UP
    now = _needed_now(bar, exposed) if many else np.empty((0, 0), np.int64)
    i = 0
    while i < board.cursor[LISTED]:
        code = candidates[i]
        cell, r, s = code // (radii.size * spans), (code // spans) % radii.size, code % spans
        needed = hopeful = False
        for k in range(KINDS):
            count, least = counts[cell, k, s, r], need[cell, k, s, r]
            needed |= count >= least
            hopeful |= count >= (now[s, least] if many and least < LOOKED_UP else least)
        if not needed:  # incidents left it; it is listed again when others enter
            board.listed[cell, r, s] = 0
            board.cursor[LISTED] -= 1
            candidates[i] = candidates[board.cursor[LISTED]]
            continue
        i += 1
        if not hopeful:
            continue
        reached = _score(counts, mass, scored, first, bar.min_incidents, exposed, (cell, r, s)) - bar.penalty[s]
        if reached >= bar.floor and board.holders[cell] > 0:
            window[n] = code
            score[n] = reached
            n += 1
    chosen = 0
    while chosen < n:
        best = chosen
        for i in range(chosen + 1, n):
            if score[i] > score[best] or (score[i] == score[best] and _precedes(board, window[i], window[best])):
                best = i
        window[chosen], window[best] = window[best], window[chosen]
        score[chosen], score[best] = score[best], score[chosen]
        disc = window[chosen] // spans
        x, y = board.ix[disc // radii.size], board.iy[disc // radii.size]
        radius = radii[disc % radii.size]
        chosen += 1
        kept = chosen
        for i in range(chosen, n):
            other = window[i] // spans
            cell = other // radii.size
            if not discs_touch(x, y, radius, board.ix[cell], board.iy[cell], radii[other % radii.size]):
                window[kept] = window[i]
                score[kept] = score[i]
                kept += 1
        n = kept
    return window[:chosen].copy(), score[:chosen].copy()


@njit(cache=True, nogil=True)
def look(board: Board, bar: Bar, rates: Rates, cells: int, as_of: int) -> tuple[Ints, Floats, Floats]:
    """Move to `as_of` and find every window at or above the floor that no better one touches.

    Returns the windows, their scores, and the exposure that they were judged by.
    """
    advance(board, as_of)
    if note_silence(rates, as_of) or as_of >= board.cursor[EPOCH_END]:
        end = (as_of // HOUR + EPOCH_HOURS) * HOUR
        least, least_of_feed = least_exposure(rates, as_of, end, board.spans, board.parts)
        bar.least[:] = least
        bar.least_of_feed[:] = least_of_feed
        board.cursor[EPOCH_END] = end
        _survey_all(board, bar, cells)
    exposed = exposure(rates, as_of, board.spans, board.parts)
    window, score = detect(board, bar, exposed)
    return window, score, exposed


@njit(cache=True, nogil=True)
def describe(board: Board, bar: Bar, exposed: Floats, window: Ints) -> tuple[Ints, Ints, Floats, Floats]:
    """Of some windows, by kind: observed, observed in the whole region, expectation, score; [window, kind] each."""
    spans, radii = board.spans.size, board.radii.size
    observed = np.empty((window.size, KINDS), np.int64)
    around = np.zeros((window.size, KINDS), np.int64)
    expected = np.empty((window.size, KINDS))
    scores = np.zeros((window.size, KINDS))
    for n in range(window.size):
        cell, r, s = window[n] // (radii * spans), (window[n] // spans) % radii, window[n] % spans
        for i in range(board.cursor[LEFT + s], board.cursor[ENTERED]):
            if board.parts[s] == 0 or board.parts[s] == board.part[i]:
                around[n, board.kind[i]] += 1
        for k in range(KINDS):
            expected[n, k] = expected_in(board.mass, exposed, bar.first, (cell, r, s), k)
            count = board.counts[cell, k, s, r]
            observed[n, k] = count
            if bar.scored[k] and count > 0:
                scores[n, k] = surprise(float(count), expected[n, k])
    return observed, around, expected, scores
