"""A second opinion on a window that asks nothing of the expectation: are its places and its time independent?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln

from processors.arrays import Floats


def window_p_value(
    observed: Sequence[int], around: Sequence[int], usual: Sequence[int], history: Sequence[int]
) -> float:
    """Chance of as many incidents in a window, or more, were the times of all incidents shuffled over their places.

    By kind: `observed` in the window, `around` in its span over the whole region, `usual` at its places and `history`
    over the region in the time that the baseline was taught by. Both margins of each kind stay as they are (Kulldorff
    et al. 2005, whose statistic is of the same cylinder), so that counts are hypergeometric, and kinds are independent.
    It is of this one window: that many were searched is in the recurrence interval, not here.
    """
    chance = np.ones(1)
    for inside, span, places, past in zip(observed, around, usual, history, strict=True):
        chance = np.convolve(chance, hypergeometric(past + span, places + inside, span))
    return float(min(chance[sum(observed) :].sum(), 1.0))


def hypergeometric(total: int, marked: int, drawn: int) -> Floats:
    """P(X = 0, 1, … drawn) where `drawn` of `total` are drawn without replacement, of which `marked` are marked."""
    x = np.arange(drawn + 1)
    possible = (x <= marked) & (drawn - x <= total - marked)
    x = np.where(possible, x, max(0, drawn - total + marked))
    log = _choose(marked, x) + _choose(total - marked, drawn - x) - _choose(total, np.array([drawn]))
    return np.where(possible, np.exp(log), 0.0)


def _choose(n: int, k: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
    """Logarithm of n over k."""
    value: Floats = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return value
