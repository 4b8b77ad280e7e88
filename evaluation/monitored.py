"""The product itself as a method: the object that the agents drive, looking as a replay does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from alerts.monitor import LookOutcome, RegionMonitor
from alerts.schedule import ReplaySchedule
from evaluation.tracks import Life, Lives, Opened
from processors.localtime import DAY_S
from schemas.alert import Alert, AlertReason, EpisodeState
from schemas.detection import DetectionSettings
from schemas.located import LocatedArray, pick
from schemas.region import RegionFile

MICRO: Final = 1_000_000
#: Looks are at quarters of an hour, as a worker's under the replay clock by default.
LOOK_S: Final = 900
#: Records so long before the longest window of the first look are applied at once: windows are full when it comes.
EARLY_DAYS: Final = 7
_INPUT: Final = (1, 0)


@dataclass
class Told:
    """An episode as people were told of it."""

    opening: Alert
    life: Life
    highest_days: float
    """The highest recurrence interval that it had at any look."""
    revisions: int = 1
    closed_at: int | None = None
    """None: it was open when the period ended."""


class Watched(NamedTuple):
    """What the monitor did over one history."""

    told: list[Told]
    """Episodes in the order in which they opened, those before the period included."""

    def opened(self, since: int) -> Opened:
        """Its episodes in the terms of every method."""
        return Opened.of([told.life for told in self.told], since)

    def since(self, moment: int) -> list[Told]:
        """Episodes that opened at or after a moment."""
        return [told for told in self.told if told.life.opened_at >= moment]


Ask = Callable[[RegionMonitor, int], None]


class Monitored:
    """The monitor of a region with some settings."""

    name = "monitor"

    def __init__(self, region: RegionFile, settings: DetectionSettings) -> None:
        self._region, self._settings = region, settings

    def watch(
        self,
        rows: LocatedArray,
        since: int,
        until: int,
        stops: Iterable[int] = (),
        ask: Ask = lambda monitor, moment: None,
    ) -> Watched:
        """Look at each quarter of an hour that brought something; rows are in the order in which they become known.

        `ask` is told of each of the `stops` (moments in order, s), when all looks before it are done.
        """
        schedule = ReplaySchedule(frozenset({_INPUT}), LOOK_S)
        monitor = RegionMonitor(self._region, self._settings, schedule=schedule)
        early = rows["recorded_us"] <= (since - self._settings.spans_s[-1] - EARLY_DAYS * DAY_S) * MICRO
        monitor.apply(pick(rows, early))
        new = pick(rows, ~early & (rows["recorded_us"] < until * MICRO))
        follower = _Follower()
        end = until + 2 * LOOK_S
        told = 0
        for stop in (*stops, end):
            before, told = told, int(np.searchsorted(new["recorded_us"], stop * MICRO))
            batches = [(new[before:told], _INPUT, stop * MICRO)]
            while outcomes := monitor.advance(batches, 0)[1]:
                batches = []
                for outcome in outcomes:
                    follower.take(outcome)
            if stop != end:
                ask(monitor, stop)
        return Watched(follower.told)


class _Follower:
    """Follows the episodes of a monitor through its tracks: these have a window at each look, alerts have not."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._lives = Lives()
        self._of_track: dict[int, Told] = {}
        self._of_episode: dict[str, tuple[int, Told]] = {}

    def take(self, outcome: LookOutcome) -> None:
        """What one look found and told."""
        made = outcome.calibration
        if made is None or not (outcome.found or outcome.alerts):
            return
        for alert in outcome.alerts:
            if alert.state is EpisodeState.RETRACTED:
                self._lives.drop(self._of_episode[alert.episode_id][0])
        step = self._lives.step(outcome.found, outcome.as_of, made.threshold, made.floor)
        openings = [alert for alert in outcome.alerts if alert.reason is AlertReason.OPENED]
        for track, alert in zip(step.opened, openings, strict=True):
            days = made.recurrence_days(track.window.level)
            told = Told(alert, self._lives.of_track[track.id], days)
            self.told.append(told)
            self._of_track[track.id] = told
            self._of_episode[alert.episode_id] = (track.id, told)
        for track in step.continued:
            told = self._of_track[track.id]
            told.highest_days = max(told.highest_days, made.recurrence_days(track.window.level))
        for alert in outcome.alerts:
            told = self._of_episode[alert.episode_id][1]
            told.revisions = alert.revision
            if alert.state.is_over and told.closed_at is None:  # what is closed may be retracted later
                told.closed_at = outcome.as_of
