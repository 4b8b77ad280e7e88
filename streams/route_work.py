"""One route at work: every episode has a lane, in which no revision overtakes another, however often one fails."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from alerts.publication import Publication
from alerts.receiving import tell
from alerts.routing import Ledger, decide, due
from schemas.alert import AlertEvent
from schemas.base import Clock
from schemas.delivery import Delivery, DeliveryResult, Failure, Verdict
from schemas.disclosure import Disclosed
from schemas.region import RegionFile
from schemas.routes import Route
from streams.metrics import Metrics
from streams.sinks.parcel import Adapter, DeliveryError, Parcel

log = logging.getLogger(__name__)

#: The first wait is drawn up to this, and the range doubles with each attempt up to the longest, seconds.
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 300.0
#: What is held is looked at again at least this often, seconds: clocks of machines are set.
_LOOK_AGAIN_S: Final = 60.0
#: So many episodes are sent to one receiver at once.
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Arrival:
    """One revision as it came."""

    event: AlertEvent
    offset: int
    came_at: datetime
    partition: int = 0


class Books(Protocol):
    """Where facts and dead letters are kept for good before anything goes on."""

    async def record(self, fact: Delivery) -> None:
        """Keep a fact."""

    async def bury(self, arrival: Arrival, fact: Delivery) -> None:
        """Keep a revision that could not be delivered."""


@dataclass(slots=True)
class _Lane:
    """The revisions of one episode that are not settled, in order."""

    waiting: deque[Arrival] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class RouteWork:
    """Takes arrivals in order, and settles each: sent, skipped or dead. Progress is what is settled without a gap."""

    def __init__(
        self,
        route: Route,
        adapter: Adapter,
        areas: Callable[[str], tuple[RegionFile, Publication] | None],
        ledger: Ledger,
        books: Books,
        metrics: Metrics,
        zone: ZoneInfo,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._route, self._adapter, self._areas = route, adapter, areas
        self._ledger, self._books, self._metrics = ledger, books, metrics
        self._zone, self._clock, self._sleep = zone, clock, sleep
        self._backoff = wait_random_exponential(multiplier=first_wait_s, max=LONGEST_WAIT_S)
        self._lanes: dict[str, _Lane] = {}
        self._open: dict[int, None] = {}
        """Offsets that came and are not settled, in order."""
        self._next = 0
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the error of a lane that cannot go on, such as a broker that does not take a fact."""

    def take(self, arrival: Arrival) -> None:
        """One revision, after those before it."""
        self._open[arrival.offset] = None
        self._next = arrival.offset + 1
        lane = self._lanes.setdefault(arrival.event.subject, _Lane())
        lane.waiting.append(arrival)
        lane.changed.set()
        if lane.task is None:
            lane.task = asyncio.create_task(self._run(arrival.event.subject, lane))
        self._observe()

    def pass_over(self, offset: int) -> None:
        """Something that is no alert."""
        self._next = offset + 1

    def committable(self) -> int:
        """All before this offset is settled; 0 before anything came."""
        return next(iter(self._open), self._next)

    async def stop(self) -> None:
        """End all lanes where they are; what is not settled comes again."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not self.failed.done():
            self.failed.cancel()

    async def _run(self, episode_id: str, lane: _Lane) -> None:
        try:
            while lane.waiting:
                arrival = lane.waiting[0]
                await self._settle(arrival, lane)
                lane.waiting.popleft()
                del self._open[arrival.offset]
                self._observe()
            del self._lanes[episode_id]
        except Exception as error:  # told to whoever reads the topic for this route, who starts over
            if not self.failed.done():
                self.failed.set_exception(error)

    async def _settle(self, arrival: Arrival, lane: _Lane) -> None:
        alert = arrival.event.data
        told = self._ledger.told(self._route.id, alert.episode_id)
        if alert.revision <= told.settled:
            return
        verdict = decide(alert, self._route, told)
        area = self._areas(alert.region)
        shown: Disclosed | None = None
        if verdict.is_sent and area is not None:
            # Drawing outlines takes a while, and the loop is not ours alone.
            shown = await asyncio.to_thread(tell, alert, self._route, told, area[1], area[0])
        if verdict.is_sent and shown is None:
            verdict = Verdict.NOT_FOR_AUDIENCE if area is not None else Verdict.OTHER_REGION
        if shown is None:
            await self._conclude(arrival, verdict, DeliveryResult.SKIPPED)
            return
        await self._wait_until_due(lane)
        async with self._gate:
            await self._deliver(arrival, verdict, Parcel(shown, told.sent))

    async def _wait_until_due(self, lane: _Lane) -> None:
        while True:
            now = self._clock()
            lane.changed.clear()
            waiting = [(arrival.event.data, arrival.came_at) for arrival in lane.waiting]
            told = self._ledger.told(self._route.id, lane.waiting[0].event.subject)
            at = due(waiting, self._route, now, told, self._zone)
            if at is None or at <= now:
                return
            pause = min((at - now).total_seconds(), _LOOK_AGAIN_S)
            try:
                await asyncio.wait_for(lane.changed.wait(), pause)
            except TimeoutError:
                continue

    async def _deliver(self, arrival: Arrival, verdict: Verdict, parcel: Parcel) -> None:
        attempts = 0

        def count(state: RetryCallState) -> None:
            self._failed_attempt(arrival, _error_of(state), state.attempt_number)

        retrying = AsyncRetrying(
            sleep=self._sleep,
            wait=self._pause,
            stop=stop_after_delay(self._route.give_up_after_hours * 3600),
            retry=retry_if_exception_type(DeliveryError),
            after=count,
            reraise=True,
        )
        try:
            async for attempt in retrying:
                with attempt:
                    attempts = attempt.retry_state.attempt_number
                    await self._attempt(parcel)
        except DeliveryError as error:
            await self._conclude(arrival, verdict, DeliveryResult.DEAD, parcel, attempts, error.failure)
        else:
            await self._conclude(arrival, verdict, DeliveryResult.SENT, parcel, attempts)

    async def _attempt(self, parcel: Parcel) -> None:
        with self._metrics.delivery_seconds.labels(self._route.id).time():
            try:
                await self._adapter.send(parcel)
            except DeliveryError:
                raise
            except Exception as error:  # a fault of ours in one format must not stop the others for good
                log.exception("route %s: an attempt failed unexpectedly", self._route.id)
                raise DeliveryError(Failure.UNEXPECTED) from error

    def _pause(self, state: RetryCallState) -> float:
        """Drawn from a range that doubles, on top of what the receiver asks for."""
        return self._backoff(state) + _error_of(state).wait_s

    def _failed_attempt(self, arrival: Arrival, error: DeliveryError, attempt: int) -> None:
        self._metrics.delivery_failures.labels(self._route.id, error.failure.value).inc()
        log.warning("route %s: attempt %d at %s: %s", self._route.id, attempt, arrival.event.id, error.failure.value)

    async def _conclude(
        self,
        arrival: Arrival,
        verdict: Verdict,
        result: DeliveryResult,
        parcel: Parcel | None = None,
        attempts: int = 0,
        failure: Failure | None = None,
    ) -> None:
        alert = arrival.event.data
        fact = Delivery(
            route=self._route.id,
            episode_id=alert.episode_id,
            revision=alert.revision,
            result=result,
            verdict=verdict,
            at=self._clock(),
            audience=self._route.audience,
            told_as_of=parcel.told.as_of if parcel else None,
            receiver=self._adapter.receiver if parcel else "",
            attempts=attempts,
            failure=failure,
        )
        if result is DeliveryResult.DEAD:
            await self._books.bury(arrival, fact)
        await self._books.record(fact)
        self._ledger.take([fact])
        self._metrics.deliveries.labels(self._route.id, result.value).inc()

    def _observe(self) -> None:
        self._metrics.deliveries_waiting.labels(self._route.id).set(len(self._open))


def _error_of(state: RetryCallState) -> DeliveryError:
    error = state.outcome.exception() if state.outcome is not None else None
    return error if isinstance(error, DeliveryError) else DeliveryError(Failure.UNEXPECTED)
