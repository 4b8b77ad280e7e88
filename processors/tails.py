"""The tail of a distribution of peaks: how often a higher one is to be expected."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from processors.arrays import Floats

#: The shape is held within this: beyond, so few peaks say more of themselves than of the tail.
MOST_SHAPE: Final = 0.5
FEWEST: Final = 10
#: Scale of the tail where there are too few peaks to fit one: log likelihood ratios fall off about like this.
DEFAULT_SCALE: Final = 1.0


#: Peaks of which a fitted shape is believed by half. Scores are log likelihood ratios, whose tails fall off
#: exponentially, shape 0. The standard error of a shape is about 1/√n, and it decides what is said of scores far beyond
#: the peaks: with the shape as fitted, episodes of a year's interval came 1.8 times as often on simulated years.
HALF_BELIEVED: Final = 600


class Tail(NamedTuple):
    """Generalised Pareto tail of peaks above `start`."""

    start: float
    rate: float
    """Peaks above `start` a day."""
    shape: float
    scale: float

    def rate_above(self, level: float) -> float:
        """Peaks above a level a day. Below the start the rate grows on as steeply as it does there."""
        beyond = (level - self.start) / self.scale
        if beyond <= 0 or abs(self.shape) < 1e-9:
            return self.rate * math.exp(min(-beyond, 700.0))
        base = 1.0 + self.shape * beyond
        return 0.0 if base <= 0 else float(self.rate * base ** (-1.0 / self.shape))

    def level_of(self, rate: float) -> float:
        """The level that so many peaks a day exceed; never below the start."""
        ratio = self.rate / rate
        if ratio <= 1.0:
            return self.start
        if abs(self.shape) < 1e-9:
            return self.start + self.scale * math.log(ratio)
        return float(self.start + self.scale * (ratio**self.shape - 1.0) / self.shape)


def fit_tail(peaks: Floats, start: float, days: float) -> Tail:
    """Fit by probability-weighted moments (Hosking and Wallis 1987) to the peaks above `start` within `days`."""
    excess = np.sort(peaks[peaks >= start] - start)
    n = excess.size
    rate = n / days
    if n < FEWEST:
        return Tail(start, max(rate, 0.5 / days), 0.0, DEFAULT_SCALE)
    first = float(excess.mean())
    upper = 1.0 - (np.arange(1, n + 1) - 0.35) / n  # plotting positions of the upper tail
    second = float((excess * upper).mean())
    shape = 2.0 - first / max(first - 2.0 * second, 1e-12)
    shape = min(max(shape, -MOST_SHAPE), MOST_SHAPE)
    return Tail(start, rate, shape, max(first * (1.0 - shape), 1e-6))


def far_tail(peaks: Floats, tail: Tail, level: float, rate: float) -> Tail:
    """The tail to read rare events off: as fitted to the peaks above its start, with the shape drawn towards 0 where
    they are few, and moved so that it exceeds `level` at `rate`."""
    excess = peaks[peaks >= tail.start] - tail.start
    shape = tail.shape * excess.size / (excess.size + HALF_BELIEVED)
    scale = tail.scale if excess.size < FEWEST else max(float(excess.mean()) * (1.0 - shape), 1e-6)
    far = tail._replace(shape=shape, scale=scale)
    return far._replace(start=far.start + level - far.level_of(rate))


def level_error(peaks: Floats, tail: Tail, days: float, rate: float, rng: np.random.Generator, rounds: int) -> float:
    """Standard error of `level_of(rate)`, by drawing the peaks again."""
    above = peaks[peaks >= tail.start]
    if above.size < FEWEST:
        return tail.scale
    levels = []
    for _ in range(rounds):
        n = int(rng.poisson(above.size))
        levels.append(fit_tail(rng.choice(above, n), tail.start, days).level_of(rate))
    return float(np.std(levels))
