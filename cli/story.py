"""The demo's story: what is simulated, when it is published, and the clock that it runs by."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import hypot
from typing import Protocol

import numpy as np

from schemas.alert import Alert, AlertReason
from schemas.region import RegionFile
from schemas.settings import Settings
from simulation.records import inject, simulate
from simulation.surface import quiet_place, surface_of
from simulation.table import as_rows
from streams.app import Worker
from streams.incident_file import SourceMessage, row_messages
from streams.publish import Publisher
from streams.replay import ReplayError, Summary, read_alerts, summarise
from streams.topics import create_topics

HISTORY = timedelta(days=730)
#: Simulated time that passes in a second.
PACE = timedelta(hours=1)
PLANTED_AFTER = timedelta(hours=8)
PLANTED_WITHIN = timedelta(hours=40)
PLANTED_COUNT = 16
PLANTED_RADIUS_M = 300.0
#: Live records of a demo without --for are simulated this far ahead.
LONGEST = timedelta(days=90)
STATUS_EVERY_S = 15.0
LOAD_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Planted:
    """Where and when the injected hotspot is."""

    easting: float
    northing: float
    starts: datetime

    def is_held_by(self, alert: Alert) -> bool:
        """Whether an alert's window holds it: its centre within the radius, and its time within the span."""
        near = hypot(alert.window.easting - self.easting, alert.window.northing - self.northing)
        told = alert.reason in (AlertReason.OPENED, AlertReason.ESCALATED)
        return told and near <= alert.window.radius_m and alert.window.end > self.starts


@dataclass(frozen=True, slots=True)
class Story:
    """History to load, records to release live, and the injected hotspot among them."""

    region: RegionFile
    history: Sequence[SourceMessage]
    live: Sequence[SourceMessage]
    live_from: datetime
    planted: Planted
    seconds: float | None
    attribution: str

    @classmethod
    def plan(cls, region: RegionFile, *, seed: int, now: datetime, seconds: float | None) -> Story:
        """Simulate everything. The live part ends at about `now` when it is limited, so that no time lies ahead."""
        length = PACE * seconds if seconds else LONGEST
        live_from = (now - (PACE * seconds if seconds else timedelta(days=2))).replace(
            minute=0, second=0, microsecond=0
        )
        rng = np.random.default_rng(seed)
        days = HISTORY.days + length.days + 2
        records = simulate(region, live_from - HISTORY, days, rng)
        place = quiet_place(region, surface_of(region))
        planted = Planted(place.easting, place.northing, live_from + PLANTED_AFTER)
        hotspot = inject(
            region,
            rng,
            at=planted.starts,
            centre=(place.easting, place.northing),
            radius_m=PLANTED_RADIUS_M,
            count=PLANTED_COUNT,
            within=PLANTED_WITHIN,
        )
        ahead = records.recorded_between(live_from, live_from + length).joined(hotspot)
        return cls(
            region,
            row_messages(as_rows(records.known_at(live_from)), region),
            row_messages(as_rows(ahead), region),
            live_from,
            planted,
            seconds,
            records.attribution,
        )


class PacedClock:
    """Stands still until it is let go, then runs at the demo's pace."""

    def __init__(self, at: datetime, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._at, self._monotonic = at, monotonic
        self._started: float | None = None

    def __call__(self) -> datetime:
        """The simulated moment."""
        return self._at if self._started is None else self._at + PACE * (self._monotonic() - self._started)

    def let_go(self) -> None:
        """Begin to run."""
        self._started = self._monotonic()


class Audience(Protocol):
    """Who is told what happens."""

    def live(self, story: Story, records_per_second: float, page: str) -> None: ...

    def alert(self, alert: Alert) -> None: ...

    def status(self, now: datetime, records: int, episodes: int) -> None: ...


async def tell(
    story: Story, settings: Settings, audience: Audience, open_page: Callable[[str], object] | None
) -> Summary:
    """Load the history, run live, and sum up. Raises ReplayError when the worker fails."""
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, lambda: create_topics(settings))
    clock = PacedClock(story.live_from)
    worker = Worker(settings, [story.region], clock=clock, notify=lambda event: audience.alert(event.data))
    publisher = Publisher(settings)
    loop.add_signal_handler(signal.SIGINT, worker.stopped.set)
    await worker.start()
    try:
        started = time.perf_counter()
        await loop.run_in_executor(None, lambda: publisher.send_all(story.history, lambda _: None))
        await _until(worker, lambda: worker.stopped.is_set() or worker.accounting.settled >= len(story.history))
        loading_s = time.perf_counter() - started
        await _until(worker, lambda: worker.stopped.is_set() or story.region.id in worker.calibrated_regions)
        sent = 0
        if not worker.stopped.is_set():
            page = f"http://{settings.metrics_host}:{worker.health.port}/"
            audience.live(story, len(story.history) / loading_s, page)
            if open_page:
                open_page(page)
            clock.let_go()
            sent = await _run_live(story, worker, publisher, clock, audience)
            await _until(worker, lambda: worker.accounting.settled >= len(story.history) + sent)
    finally:
        await worker.stop()
    alerts = await loop.run_in_executor(None, lambda: read_alerts(settings))
    return summarise(worker, len(story.history) + sent, alerts, loading_s, timed=len(story.history))


async def _run_live(story: Story, worker: Worker, publisher: Publisher, clock: PacedClock, audience: Audience) -> int:
    ends = None if story.seconds is None else time.monotonic() + story.seconds
    next_status = time.monotonic() + STATUS_EVERY_S
    sent = 0
    while ends is None or time.monotonic() < ends:
        _raise_failure(worker)
        now = clock()
        while sent < len(story.live) and story.live[sent].recorded_at <= now:
            publisher.send(story.live[sent])
            sent += 1
        if time.monotonic() >= next_status:
            next_status += STATUS_EVERY_S
            audience.status(now, worker.accounting.settled, worker.open_episodes)
        if worker.stopped.is_set():
            break
        await asyncio.sleep(0.05)
    publisher.flush()
    return sent


async def _until(worker: Worker, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LOAD_TIMEOUT_S
    while not done():
        _raise_failure(worker)
        if time.monotonic() > deadline:
            raise ReplayError(f"The demo did not get on within {LOAD_TIMEOUT_S:.0f} s.")
        await asyncio.sleep(0.05)


def _raise_failure(worker: Worker) -> None:
    if worker.failure is not None:
        raise ReplayError(f"The worker failed: {worker.failure!r}.") from worker.failure
