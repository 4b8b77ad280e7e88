"""Replications over threads, the p-values that follow from them, and how often chance alone would do as much."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from processors.arrays import Floats
from processors.scan.replicas import Drawn
from schemas.scan import Inference

#: Replications that each thread makes before they are looked at together.
ROUND: Final = 50
#: Replications handed to a thread at a time: small, so that none waits long for another at the end.
HANDFUL: Final = 12
#: Ranks below this are too few to tell a p-value by; the default inference then takes the Gumbel tail.
FEW: Final = 10
MOST_DAYS: Final = 36_500.0
_EULER: Final = 0.5772156649015329
# The same windows may be summed in another order; what is equal but for rounding counts as equal.
_SAME: Final = 1.0 - 1e-12


def replicate(
    null: Drawn,
    replications: int,
    seed: int,
    threads: int,
    stop_at: float | None,
    stop_after: int,
    progress: Callable[[int, int], None],
) -> tuple[Floats, bool]:
    """Largest statistics of the replications in order, and whether it stopped early.

    Each replication has a seed of its own, so the threads do not change it. With `stop_at`, it ends with the
    replication that reaches this statistic as the `stop_after`-th (Besag and Clifford 1991).
    """
    seeds = np.random.SeedSequence(seed).generate_state(replications)
    done: list[Floats] = []
    finished = reached = 0
    with ThreadPoolExecutor(threads) as pool:
        # Ahead of an early stop no more than a round for each thread: what comes after it is thrown away.
        at_once = seeds.size if stop_at is None else ROUND * threads
        for begin in range(0, replications, at_once):
            ahead = seeds[begin : begin + at_once]
            for found in pool.map(null.largest, np.array_split(ahead, -(-ahead.size // HANDFUL))):
                done.append(found)
                finished += found.size
                if stop_at is not None:
                    hits = np.flatnonzero(found >= stop_at * _SAME)
                    if reached + hits.size >= stop_after:
                        done[-1] = found[: hits[stop_after - reached - 1] + 1]
                        return np.concatenate(done), True
                    reached += hits.size
                progress(finished, replications)
    return np.concatenate(done), False


def rank_p_value(statistic: float, simulated: Floats, stopped: bool) -> float:
    """Part of the replications, with the data among them, that are at least as large; ties count against.

    After an early stop the part of the replications alone, whose last one was reached by design.
    """
    as_large = int((simulated >= statistic * _SAME).sum())
    return as_large / simulated.size if stopped else (as_large + 1) / (simulated.size + 1)


def gumbel_p_value(statistic: float, simulated: Floats) -> float | None:
    """The tail of a Gumbel distribution with mean and variance of the replications (Abrams et al. 2010)."""
    spread = float(simulated.std(ddof=1)) if simulated.size > 1 else 0.0
    if spread <= 0.0:
        return None
    scale = spread * math.sqrt(6.0) / math.pi
    place = float(simulated.mean()) - _EULER * scale
    return -math.expm1(-math.exp(-(statistic - place) / scale))


def reported_p_value(rank: float, gumbel: float | None, simulated: int, inference: Inference) -> float:
    """What the inference that was asked for reports: the default takes the Gumbel tail where ranks are few."""
    few = rank * (simulated + 1) < FEW - 0.5
    return gumbel if inference is Inference.DEFAULT and few and gumbel is not None else rank


def recurrence_days(p_value: float, interval_days: float) -> float:
    """How often chance alone would do this in analyses that are so far apart; at most a hundred years."""
    return min(interval_days / p_value, MOST_DAYS) if p_value > 0 else MOST_DAYS
