"""Incidents that bring others: violence that answers violence near by, and one event that both kinds report.

Pairs that are close in place and time are counted, and those that chance makes are taken off: what it makes is seen in
the same history with whole weeks between the two, at the same hours and places. Nothing is linked, only counted.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numba import njit

from processors.arrays import KINDS, Floats, Ints
from processors.incidents import Incidents
from processors.localtime import DAY_S, HOUR_S
from schemas.located import Kind

#: How far a follower may be from what it follows, in cells, and what is far enough to be none.
REACH_CELLS: Final = 2
FAR_CELLS: Final = (4, 8)
#: How much later an echo may come. Near repeats of shootings are known (Ratcliffe and Rengert 2008); in Chicago's
#: assaults nearly all of them lie within two days, and what is slower counts as a bad week.
ECHO_S: Final = 48 * HOUR_S
#: How close in time an ED and a police incident of one event may be, either way.
TWIN_S: Final = 3 * HOUR_S
#: Far pairs' worth of trust in no more than chance.
FAR_STRENGTH: Final = 100.0
SHIFTS_S: Final = tuple(weeks * 7 * DAY_S for weeks in (-4, -3, -2, -1, 1, 2, 3, 4))
#: Pairs are told apart by squared distance in cells and by lag; beyond the last distance lie the far ones.
_DISTANCES: Final = np.array([0, 2, REACH_CELLS**2], np.int64)
_LAGS_S: Final = np.array([3, 6, 12, 24, 48], np.int64) * HOUR_S
MEAN_LAGS_S: Final = np.array([1.5, 4.5, 9.0, 18.0, 36.0]) * HOUR_S
#: Where and when echoes come, [distance, lag]. The form is that of assaults in Chicago, 2010 to 2013, at 250 m; how
#: many there are is each region's own. A form of their own would ask for more pairs than most regions have.
_ECHO_FORM: Final = np.array(
    [[0.085, 0.070, 0.045, 0.155, 0.090], [0.325, 0.055, 0.010, 0.065, 0.030], [0.025, 0.015, 0.010, 0.010, 0.010]]
)


class Followers(NamedTuple):
    """How many incidents are followed by one of a kind, and how far away."""

    part: float
    """Mean number of followers of an incident."""
    chance: Floats
    """[distance, lag] of a follower; they sum to 1."""
    both_ways: bool
    """Whether followers may also come before what they follow."""


class Following(NamedTuple):
    """All followers of a region."""

    echoes: tuple[Followers, ...]
    """Of each kind, by incidents of the same kind."""
    twins: Followers
    """Police incidents of the events that ED incidents are of."""


NONE: Final = Followers(0.0, _ECHO_FORM, False)
NO_FOLLOWING: Final = Following((NONE,) * KINDS, NONE)


def measure_following(found: Incidents, begin: int, end: int) -> Following:
    """Followers among the incidents of (begin, end]."""
    taught = (found.occurred > begin) & (found.occurred <= end)
    by_kind = [_columns(found, np.flatnonzero(taught & (found.kind == k))) for k in range(KINDS)]
    return Following(tuple(map(_echoes, by_kind)), _twins(by_kind[Kind.ED], by_kind[Kind.POLICE]))


def draw_followers(
    followers: Followers, ix: Ints, iy: Ints, occurred: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints, Ints]:
    """Columns, rows and times of what follows incidents."""
    followed = np.repeat(np.arange(ix.size), rng.poisson(followers.part, ix.size))
    bins = rng.choice(followers.chance.size, followed.size, p=followers.chance.ravel())
    ring, late = np.divmod(bins, _LAGS_S.size)
    least = np.concatenate([[0], _LAGS_S])[late]
    lag = least + (rng.random(followed.size) * (_LAGS_S[late] - least)).astype(np.int64)
    if followers.both_ways:
        lag *= rng.choice([-1, 1], followed.size)
    step = (rng.random(followed.size) * _RING_SIZES[ring]).astype(np.int64)
    apart = _OFFSETS[_RING_STARTS[ring] + step]
    return ix[followed] + apart[:, 0], iy[followed] + apart[:, 1], occurred[followed] + lag


def _rings() -> tuple[Ints, Ints]:
    """Offsets in cells within reach, ring by ring, and how many each ring has."""
    side = np.arange(-REACH_CELLS, REACH_CELLS + 1)
    offsets = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)
    ring = np.searchsorted(_DISTANCES, (offsets**2).sum(axis=1))
    order = np.argsort(ring, kind="stable")
    sizes = np.bincount(ring, minlength=_DISTANCES.size)[: _DISTANCES.size]
    return offsets[order][: sizes.sum()], sizes


_OFFSETS, _RING_SIZES = _rings()
_RING_STARTS: Final = np.cumsum(_RING_SIZES) - _RING_SIZES


def _columns(found: Incidents, mine: Ints) -> Ints:
    """[incident; time, column, row], by time."""
    mine = mine[np.argsort(found.occurred[mine], kind="stable")]
    return np.stack([found.occurred[mine], found.ix[mine], found.iy[mine]], axis=1).astype(np.int64)


def _close_and_usual(first: Ints, second: Ints, least_s: int, most_s: int) -> tuple[Ints, Floats]:
    """Close pairs by distance and lag, and how many of them chance makes.

    What moves a whole quarter at once, a warm night or a bad week, is seen in far pairs too, and is no follower.
    """
    close = close_pairs(first, second, least_s, most_s, 0, first is second)
    by_chance = np.zeros(close.shape)
    for shift in SHIFTS_S:
        by_chance += close_pairs(first, second, least_s, most_s, shift, False) / len(SHIFTS_S)
    far, usual = close[-1], by_chance[-1]
    together = (far.sum() + FAR_STRENGTH) / (usual.sum() + FAR_STRENGTH)
    everywhere = (far + FAR_STRENGTH * together) / (usual + FAR_STRENGTH)
    return close[:-1], np.maximum(everywhere, 1.0) * by_chance[:-1]


def _echoes(mine: Ints) -> Followers:
    """The part that makes the pairs likeliest: Poisson counts of mean chance + incidents × part × form."""
    if not len(mine):
        return NONE
    close, usual = _close_and_usual(mine, mine, 0, ECHO_S)
    signal = len(mine) * _ECHO_FORM
    part = 0.01
    for _ in range(200):  # expectation maximisation: which of the pairs are echoes, then how many echoes
        part = float((close * part * signal / (usual + part * signal)).sum() / len(mine))
        if part < 1e-6:
            return NONE
    # Among the pairs are those whose second follows a follower of the first.
    return Followers(part / (1.0 + part), _ECHO_FORM, False)


def _twins(ed: Ints, police: Ints) -> Followers:
    """Pairs beyond chance, with the form that they have."""
    if not len(ed) or not len(police):
        return NONE
    close, usual = _close_and_usual(ed, police, -TWIN_S, TWIN_S)
    excess = close - usual
    if excess.sum() <= 2.0 * np.sqrt(close.sum() + 1.0):  # no more than chance may well make
        return NONE
    form = np.maximum(excess, 0.0)
    return Followers(min(float(excess.sum()) / len(ed), 1.0), form / form.sum(), True)


@njit(cache=True, nogil=True)
def close_pairs(first: Ints, second: Ints, least_s: int, most_s: int, shift: int, same: bool) -> Ints:
    """How many pairs have the second `least_s`..`most_s` after the first, once it is shifted in time.

    By distance, far ones last, and lag either way. With `same` both are the same incidents, and each pair counts once.
    """
    counts = np.zeros((_DISTANCES.size + 1, _LAGS_S.size), np.int64)
    when, column, row = second[:, 0].copy(), second[:, 1].copy(), second[:, 2].copy()
    begin = end = 0
    for a in range(first.shape[0]):
        at, x, y = first[a, 0] - shift, first[a, 1], first[a, 2]
        while begin < when.size and when[begin] < at + least_s:
            begin += 1
        while end < when.size and when[end] <= at + most_s:
            end += 1
        for b in range(max(begin, a + 1) if same else begin, end):
            dx = column[b] - x
            if dx > FAR_CELLS[1] or dx < -FAR_CELLS[1]:  # most are
                continue
            dy = row[b] - y
            distance = dx * dx + dy * dy
            if distance > FAR_CELLS[1] ** 2 or _DISTANCES[-1] < distance <= FAR_CELLS[0] ** 2:
                continue
            d = lag = 0
            while d < _DISTANCES.size and distance > _DISTANCES[d]:
                d += 1
            while abs(when[b] - at) > _LAGS_S[lag]:
                lag += 1
            counts[d, lag] += 1
    return counts
