"""Whether the alarm budget is kept: simulated years of nothing but the usual, through a whole detector."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from processors.baseline import Baseline
from processors.calibration import LOOK_S
from processors.detector import Detector
from processors.dispersion import Variation
from processors.localtime import DAY_S, LocalHours
from processors.nullmodel import simulate_null
from processors.runs import Steps
from processors.tracking import Track, Tracker
from schemas.located import LOCATED, LocatedArray

#: The detector learns from so many simulated weeks before episodes are counted.
LEARNING_WEEKS: Final = 52


class NullRate(NamedTuple):
    """Episodes that chance alone opened."""

    episodes: int
    days: int

    @property
    def per_28_days(self) -> float:
        """Episodes in 28 days."""
        return self.episodes / self.days * 28


def null_records(
    baseline: Baseline, variation: Variation, local: LocalHours, weeks: int, rng: np.random.Generator
) -> LocatedArray:
    """Records as they would come if the baseline held for ever, in the order in which they become known.

    With its variation and the lateness of its feeds; shares of cells are just as they were fitted.
    """
    certain = baseline._replace(share_variance=np.zeros_like(baseline.share_variance))
    null = simulate_null(certain, variation, local, baseline.fitted_at, weeks, rng)
    rows = np.zeros(null.kind.size, LOCATED)
    rows["record"] = np.arange(1, rows.size + 1)
    rows["revision"] = 1
    rows["weight"] = 1
    rows["kind"], rows["ix"], rows["iy"], rows["occurred"] = null.kind, null.ix, null.iy, null.occurred
    rows["source"] = baseline.feeds.source[null.feed]
    rows["recorded_us"] = null.known * 1_000_000
    return rows


def tracks_opened(
    detector: Detector, rows: LocatedArray, since: int, tell: Callable[[int], None] = lambda as_of: None
) -> list[Track]:
    """Tracks that open at or after a moment, looking at each quarter of an hour at which something new is known.

    `rows` are in the order in which they become known. `tell` is told the moment of each look.
    """
    quarters = -(-rows["recorded_us"] // (LOOK_S * 1_000_000)) * LOOK_S
    starts = np.flatnonzero(np.diff(quarters, prepend=-1))
    tracker, opened = Tracker(), []
    for step in detector.run(Steps(rows, np.append(starts[1:], rows.size), quarters[starts])):
        look = step.look
        if look.calibration is not None:
            found = tracker.step(look.detections, look.as_of, look.calibration.threshold, look.calibration.floor)
            opened += [track for track in found.opened if track.opened_at >= since]
        tell(look.as_of)
    return opened


def null_rate(
    taught: Detector, fresh: Detector, years: int, seed: int, tell: Callable[[int], None] = lambda as_of: None
) -> NullRate:
    """Rate of episodes over simulated years from the baseline of one detector, found by another that knows nothing.

    It learns from a year of them first. Raises ValueError where the first has no baseline.
    """
    baseline = taught.baseline
    if baseline is None:
        raise ValueError("there is no baseline to simulate from")
    weeks = LEARNING_WEEKS + years * 52
    rows = null_records(baseline, taught.variation(), taught.local, weeks, np.random.default_rng(seed))
    since, until = (baseline.fitted_at + n * 7 * DAY_S for n in (LEARNING_WEEKS, weeks))
    opened = tracks_opened(fresh, rows[rows["recorded_us"] < until * 1_000_000], since, tell)
    return NullRate(len(opened), (until - since) // DAY_S)
