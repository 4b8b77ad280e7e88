"""Windows that were told as unusual teach the baseline less: what was above the usual in them must not become usual."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from processors.arrays import Bytes, Floats, Ints
from processors.incidents import Incidents


class PastEpisode(NamedTuple):
    """A window that was told as unusual: its incidents are to teach no more than what was usual there."""

    ix: int
    iy: int
    radius_cells: int
    begin: int
    """Event times in (begin, end], s."""
    end: int
    weight: float
    """Expected by observed."""
    part: int = 0
    """Of the week that the window was confined to; 0 for none."""


class _Told(NamedTuple):
    """Past episodes, in arrays."""

    ix: Ints
    iy: Ints
    radius_cells: Ints
    begin: Ints
    end: Ints
    weight: Floats
    part: Ints


def episode_weights(history: Incidents, part: Bytes, episodes: Sequence[PastEpisode]) -> Floats:
    """Weight of each incident: 1, or the least of the episodes that it was a part of; `part` is that of the week."""
    weight = np.ones(history.occurred.size)
    if episodes and weight.size:
        told = _Told(*(np.array(column) for column in zip(*episodes, strict=True)))
        told = told._replace(weight=told.weight.astype(float))
        _weigh(np.argsort(history.occurred), history.occurred, history.ix, history.iy, part, told, weight)
    return weight


@njit(cache=True, nogil=True)
def _weigh(order: Ints, occurred: Ints, ix: Ints, iy: Ints, part: Bytes, told: _Told, weight: Floats) -> None:
    """Lower the weights; `order` is that of time."""
    times = occurred[order]
    for e in range(told.ix.size):
        first, last = np.searchsorted(times, told.begin[e], side="right"), np.searchsorted(times, told.end[e], "right")
        for i in order[first:last]:
            x, y = np.int64(ix[i]) - told.ix[e], np.int64(iy[i]) - told.iy[e]
            near = x * x + y * y <= told.radius_cells[e] ** 2
            if near and (told.part[e] == 0 or told.part[e] == part[i]):
                weight[i] = min(weight[i], told.weight[e])
