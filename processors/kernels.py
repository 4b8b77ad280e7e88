"""Numba kernels over a board of counts: scores, candidates, and the choice among windows that overlap."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from processors.arrays import BLOCKS, KINDS, Bytes, Floats, Halves, Ints, Singles, Small
from processors.board import (
    BIN_SHIFT,
    BINS,
    ENTERED,
    EPOCH,
    EPOCH_END,
    FIRST_BIN,
    HOT,
    LEAST,
    LEFT,
    LISTED,
    NEVER,
    Bar,
    Board,
)
from processors.counting import advance, list_window, worth
from processors.exposure import HOUR, ROUNDING, Rates, exposure, least_exposure, note_silence
from processors.score import discs_touch, expected_in, surprise

# How long one set of bounds is used at most. A full pass is dear.
EPOCH_HOURS = 336
# Counts up to which it is looked up what they must be at a look.
LOOKED_UP = 64
# Candidates from which on that pays.
WORTH_LOOKING_UP = 256
# Covers the rounding of a sum in single precision.
ROUNDING_SINGLE = 1.0 - 1e-6
assert BLOCKS == 4  # `_add_least` spells them out


@njit(cache=True, nogil=True)
def survey(board: Board, bar: Bar, from_cell: int, to_cell: int) -> None:
    """Work out what counts the windows of some cells need within the epoch, and list those that have them.

    A window's score is a sum over kinds, so to reach the floor one kind must bring its part of it (floor by number of
    kinds) against the least that can be expected of it. Of two lower bounds of a feed the better one counts: block by
    block is tight for long spans; short ones lie in one block now and in another later, and there the least of the
    disc's blocks with the least of all blocks together says more. Where only one kind has incidents, it must bring all
    of the floor. Of fewer incidents than make a detection, all kinds together, no window is listed.
    """
    radii, shapes = board.radii.size, board.spans.size
    counts, need = board.counts.reshape(board.counts.size), board.need.reshape(board.need.size)
    needed = bar.needed.reshape(bar.needed.size)
    step = np.arange(radii * shapes) % shapes * BINS
    low = np.empty(radii * shapes, np.float32)
    bits = low.view(np.int32)
    least, least_of_feed = bar.least.T.copy(), bar.least_of_feed.T.copy()
    for cell in range(from_cell, to_cell):
        for k in range(KINDS):
            if bar.scored[k] == 0:
                board.need[cell, k] = NEVER
                continue
            low[:] = 0.0
            for f in range(bar.first[k], bar.first[k + 1]):
                _add_least(board.mass, least, least_of_feed, cell, f, shapes, low)
            start = np.uint64((cell * KINDS + k) * low.size)
            for w in range(np.uint64(0), np.uint64(low.size)):
                place = min(max((bits[w] >> BIN_SHIFT) - FIRST_BIN, 0), BINS - 1)
                need[start + w] = needed[np.uint64(step[w] + place)]
        _list_needed(board, counts, need, cell)


@njit(cache=True, nogil=True)
def _list_needed(board: Board, counts: Small, need: Halves, cell: int) -> None:
    """List the windows about a cell that are worth it, and have incidents enough."""
    shapes = board.spans.size
    windows, least = board.radii.size * shapes, board.cursor[LEAST]
    start = np.uint64(cell * KINDS * windows)
    beside = np.uint64((cell * KINDS + 1) * windows)
    for w in range(np.uint64(0), np.uint64(windows)):
        count, other = counts[start + w], counts[beside + w]
        shape = w % np.uint64(shapes)
        if count + other >= least and worth(board.alone, shape, count, need[start + w], other, need[beside + w]):
            list_window(board, cell, w // np.uint64(shapes), shape)


@njit(cache=True, nogil=True)
def _add_least(
    mass: Singles, least: Floats, least_of_feed: Floats, cell: int, feed: int, shapes: int, low: Singles
) -> None:
    """Add the least that a feed is expected to bring into each window about a cell: [radius and shape].

    `least` is [feed and block, shape] here, `least_of_feed` [feed, shape].
    """
    first = feed * BLOCKS
    for r in range(mass.shape[1]):
        a, b, c, d = mass[cell, r, first], mass[cell, r, first + 1], mass[cell, r, first + 2], mass[cell, r, first + 3]
        smallest = min(min(a, b), min(c, d))
        for s in range(shapes):
            by_block = a * least[first, s] + b * least[first + 1, s] + c * least[first + 2, s] + d * least[first + 3, s]
            low[r * shapes + s] += max(by_block, smallest * least_of_feed[feed, s]) * ROUNDING_SINGLE


@njit(cache=True, nogil=True)
def _survey_all(board: Board, bar: Bar, cells: int) -> None:
    """Choose candidates anew among all windows."""
    board.listed[:] = 0
    board.hot[:] = 0
    board.cursor[LISTED] = board.cursor[HOT] = 0
    survey(board, bar, 0, cells)


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
            count = counts[cell, k, radius, span]
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
def _reaching(board: Board, bar: Bar, exposed: Floats) -> tuple[Ints, Floats]:
    """Candidates at or above the floor with their levels, in no order; those that incidents have left are dropped."""
    window = np.empty(board.cursor[LISTED], np.int64)
    level = np.empty(window.size)
    n = 0
    shapes, radii = board.spans.size, board.radii.size
    counts, need, mass, listed, candidates = board.counts, board.need, board.mass, board.listed, board.candidates
    scored, first, enough, alone = bar.scored, bar.first, board.cursor[LEAST], board.alone
    many = board.cursor[LISTED] >= WORTH_LOOKING_UP
    now = _needed_now(bar, exposed) if many else np.empty((0, 0), np.int64)
    i = 0
    while i < board.cursor[HOT]:
        cell = candidates[i]
        left = False
        for r in range(radii):
            word = listed[cell, r]
            for s in range(shapes if word else 0):
                if (word >> np.uint64(s)) & np.uint64(1) == 0:
                    continue
                hopeful = False
                for k in range(KINDS):
                    count, least = counts[cell, k, r, s], need[cell, k, r, s]
                    hopeful |= count >= (now[s, least] if many and least < LOOKED_UP else least)
                a, b = counts[cell, 0, r, s], counts[cell, 1, r, s]
                # Where it is worth it no more, incidents left it; it is listed again when others enter.
                if a + b < enough or not worth(alone, s, a, need[cell, 0, r, s], b, need[cell, 1, r, s]):
                    listed[cell, r] &= ~(np.uint64(1) << np.uint64(s))
                    board.cursor[LISTED] -= 1
                    continue
                left = True
                if not hopeful:
                    continue
                score = _score(counts, mass, scored, first, bar.min_incidents, exposed, (cell, r, s))
                if score - bar.penalty[s] >= bar.floor and board.holders[cell] > 0:
                    window[n] = (cell * radii + r) * shapes + s
                    level[n] = score - bar.penalty[s]
                    n += 1
        if left:
            i += 1
        else:
            board.hot[cell] = 0
            board.cursor[HOT] -= 1
            candidates[i] = candidates[board.cursor[HOT]]
    return window[:n], level[:n]


@njit(cache=True, nogil=True)
def detect(board: Board, bar: Bar, exposed: Floats) -> tuple[Ints, Floats]:
    """Windows at or above the floor, best first; of windows that touch only the best stays."""
    window, level = _reaching(board, bar, exposed)
    n = window.size
    spans, radii = board.spans.size, board.radii
    chosen = 0
    while chosen < n:
        best = chosen
        for i in range(chosen + 1, n):
            if level[i] > level[best] or (level[i] == level[best] and _precedes(board, window[i], window[best])):
                best = i
        window[chosen], window[best] = window[best], window[chosen]
        level[chosen], level[best] = level[best], level[chosen]
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
                level[kept] = level[i]
                kept += 1
        n = kept
    return window[:chosen].copy(), level[:chosen].copy()


@njit(cache=True, nogil=True)
def _begin_epoch(board: Board, bar: Bar, rates: Rates, cells: int, as_of: int) -> None:
    """Work out bounds and candidates anew.

    They hold for weeks, or for days where that makes too many candidates: a feed that delivers once a week may have
    told next to nothing of some windows by the end of a long epoch.
    """
    hours = min(max(2 * board.cursor[EPOCH], EPOCH_HOURS // 8), EPOCH_HOURS) if board.cursor[EPOCH] else EPOCH_HOURS
    while True:
        end = (as_of // HOUR + hours) * HOUR
        least, least_of_feed = least_exposure(rates, as_of, end, board.spans, board.parts)
        bar.least[:] = least
        bar.least_of_feed[:] = least_of_feed
        board.alone[:] = bar.alone
        _survey_all(board, bar, cells)
        if board.cursor[LISTED] <= cells // 4 or hours <= EPOCH_HOURS // 8:
            break
        hours //= 2
    board.cursor[EPOCH] = hours
    board.cursor[EPOCH_END] = end


@njit(cache=True, nogil=True)
def look(board: Board, bar: Bar, rates: Rates, cells: int, as_of: int) -> tuple[Ints, Floats, Floats]:
    """Move to `as_of` and find every window at or above the floor that no better one touches.

    Returns the windows, their scores, and the exposure that they were judged by.
    """
    advance(board, as_of)
    if note_silence(rates, as_of) or as_of >= board.cursor[EPOCH_END]:
        _begin_epoch(board, bar, rates, cells, as_of)
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
            count = board.counts[cell, k, r, s]
            observed[n, k] = count
            if bar.scored[k] and count > 0:
                scores[n, k] = surprise(float(count), expected[n, k])
    return observed, around, expected, scores
