"""The product itself as a method: the object that the agents drive, looking as a replay does."""

from __future__ import annotations

import numpy as np

from alerts.monitor import RegionMonitor
from alerts.schedule import ReplaySchedule
from evaluation.methods import as_seen
from processors.arrays import Ints
from processors.localtime import DAY_S
from processors.tracking import Seen
from schemas.detection import DetectionSettings
from schemas.located import LocatedArray, pick
from schemas.region import RegionFile

MICRO = 1_000_000


class Monitored:
    """Scores are parts of the threshold in force: 1 opens an episode."""

    name = "monitor"

    def __init__(self, region: RegionFile, settings: DetectionSettings, look_s: int) -> None:
        self._region, self._settings, self._look_s = region, settings, look_s
        self.opened: Ints = np.empty(0, np.int64)

    def seen(self, rows: LocatedArray, since: int, until: int) -> Seen:
        """What was at or above the closing level, at each quarter of an hour that brought something."""
        schedule = ReplaySchedule(frozenset({(1, 0)}), self._look_s)
        monitor = RegionMonitor(self._region, self._settings, schedule=schedule)
        # Windows are full when the period begins.
        early = rows["recorded_us"] <= (since - self._settings.spans_s[-1] - 7 * DAY_S) * MICRO
        monitor.apply(pick(rows, early))
        late = pick(rows, ~early & (rows["recorded_us"] < until * MICRO))
        batches = [(late, (1, 0), (until + 2 * self._look_s) * MICRO)]
        looks = []
        opened = []
        while True:
            outcomes = monitor.advance(batches, 0)[1]
            if not outcomes:
                break
            batches = []
            for outcome in outcomes:
                if outcome.found and outcome.calibration is not None:
                    bar = outcome.calibration.threshold
                    looks.append(
                        (outcome.as_of, [(d.ix, d.iy, d.radius_cells, d.span_s, d.level / bar) for d in outcome.found])
                    )
                opened += [outcome.as_of for alert in outcome.alerts if alert.reason == "opened"]
        self.opened = np.array([when for when in opened if when >= since], np.int64)
        return as_seen(looks)
