"""The score of a window: how much more than expected it holds, and when two windows are about the same place."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from processors.arrays import BLOCKS, Floats, Ints, Singles


@njit(cache=True, nogil=True)
def surprise(count: float, expected: float) -> float:
    """Log likelihood ratio of a raised rate: c·ln(c/μ) - (c - μ) where c > μ, else 0.

    Of what nothing at all could be expected, nothing can be said: a source that the baseline does not know yet, beside
    others that are silent.
    """
    if count <= expected or expected <= 0.0:
        return 0.0
    return count * math.log(count / expected) - (count - expected)


@njit(cache=True, nogil=True)
def expected_in(mass: Singles, exposed: Floats, first: Ints, window: tuple[int, int, int], kind: int) -> float:
    """Expected incidents of a kind in a window (cell, radius, span): mass of its disc by exposure of its span.

    `first` says where the feeds of each kind begin.
    """
    cell, radius, span = window
    mu = 0.0
    for b in range(first[kind] * BLOCKS, first[kind + 1] * BLOCKS):
        mu += mass[cell, radius, b] * exposed[span, b]
    return mu


def same_place(ax: int, ay: int, a_radius: int, bx: int, by: int, b_radius: int) -> bool:
    """Whether two discs are about the same place: centres at most the larger radius and one cell apart."""
    dx, dy = ax - bx, ay - by  # never narrower than 64 bits when compiled
    reach = max(a_radius, b_radius) + 1
    return dx * dx + dy * dy <= reach * reach


#: The same for kernels. Of a few windows it is Python's own that is quicker: a call from outside costs more than it.
discs_touch = njit(cache=True, nogil=True)(same_place)


@njit(cache=True, nogil=True)
def enough_for(floor: float, counts: int) -> Floats:
    """For each count, the largest expectation under which its score is at least `floor`: found by halving."""
    result = np.empty(counts)
    result[0] = -1.0  # a kind without incidents does nothing
    for count in range(1, counts):
        low, high = 0.0, float(count)
        for _ in range(60):
            middle = 0.5 * (low + high)
            if surprise(float(count), middle) >= floor:
                low = middle
            else:
                high = middle
        result[count] = high
    return result
