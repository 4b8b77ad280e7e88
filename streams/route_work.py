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

from alerts.audit import delivered
from alerts.disclosure import Discloser
from alerts.receiving import tell
from alerts.routing import Ledger, Told, decide, digest_slot, due
from schemas.alert import AlertEvent
from schemas.audit import AuditEvent
from schemas.base import Clock
from schemas.delivery import Delivery, DeliveryResult, Failure, Verdict
from schemas.routes import Route
from streams.metrics import Metrics
from streams.sinks.parcel import Adapter, DeliveryError, DigestAdapter, Parcel
from streams.tasks import end

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

    async def audit(self, *events: AuditEvent) -> None:
        """Keep in the audit trail what is about to be disclosed."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of the attempts."""

    result: DeliveryResult
    attempts: int = 0
    failure: Failure | None = None


@dataclass(slots=True)
class _Lane:
    """The revisions of one episode, or of all of a route of digests, that are not settled, in order."""

    waiting: deque[Arrival] = field(default_factory=deque)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class RouteWork:
    """Takes arrivals in order, and settles each: sent, skipped or dead. Progress is what is settled without a gap."""

    def __init__(
        self,
        route: Route,
        adapter: Adapter,
        disclosers: Callable[[str], Discloser | None],
        ledger: Ledger,
        books: Books,
        metrics: Metrics,
        zone: ZoneInfo,
        clock: Clock,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._route, self._adapter, self._disclosers = route, adapter, disclosers
        self._ledger, self._books, self._metrics = ledger, books, metrics
        self._zone, self._clock, self._sleep = zone, clock, sleep
        self._backoff = wait_random_exponential(multiplier=first_wait_s, max=LONGEST_WAIT_S)
        self._digests = adapter if route.digest is not None and isinstance(adapter, DigestAdapter) else None
        self._lanes: dict[str, _Lane] = {}
        self._open: dict[int, None] = {}
        """Offsets that came and are not settled, in order."""
        self._next = 0
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._failing: dict[str, float] = {}
        """What is tried again, and when its first attempt failed, seconds since 1970."""
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Gets the error of a lane that cannot go on, such as a broker that does not take a fact."""

    def take(self, arrival: Arrival) -> None:
        """One revision, after those before it."""
        self._open[arrival.offset] = None
        self._next = arrival.offset + 1
        name = "digest" if self._digests is not None else arrival.event.subject
        lane = self._lanes.setdefault(name, _Lane())
        lane.waiting.append(arrival)
        lane.changed.set()
        if lane.task is None:
            lane.task = asyncio.create_task(self._run(name, lane))
        self._observe()

    def pass_over(self, offset: int) -> None:
        """Something that is no alert."""
        self._next = offset + 1

    def committable(self) -> int:
        """All before this offset is settled; 0 before anything came."""
        return next(iter(self._open), self._next)

    async def stop(self) -> None:
        """End all lanes where they are; what is not settled comes again."""
        await end([lane.task for lane in self._lanes.values() if lane.task is not None], 1.0)
        # What waits, waits at whoever has the route next.
        self._metrics.deliveries_waiting.labels(self._route.id).set(0)
        self._metrics.delivery_failing_since.labels(self._route.id).set(0)
        if not self.failed.done():
            self.failed.cancel()

    async def _run(self, name: str, lane: _Lane) -> None:
        try:
            while lane.waiting:
                settled = 1
                if self._digests is not None:
                    settled = await self._settle_digest(self._digests, lane)
                else:
                    await self._settle(lane.waiting[0], lane)
                for _ in range(settled):
                    del self._open[lane.waiting.popleft().offset]
                self._observe()
            del self._lanes[name]
        except Exception as error:  # told to whoever reads the topic for this route, who starts over
            if not self.failed.done():
                self.failed.set_exception(error)

    async def _settle(self, arrival: Arrival, lane: _Lane) -> None:
        told = self._ledger.told(self._route.id, arrival.event.subject)
        if arrival.event.data.revision <= told.settled:
            return
        verdict, parcel = await self._plan(arrival, told)
        if parcel is None:
            await self._conclude(arrival, verdict)
            return
        await self._wait_until_due(lane)
        await self._books.audit(self._disclosure(arrival))
        async with self._gate:
            tried = await self._try(lambda: self._adapter.send(parcel), arrival.event.id)
        await self._conclude(arrival, verdict, parcel, tried)

    async def _plan(self, arrival: Arrival, told: Told) -> tuple[Verdict, Parcel | None]:
        """Whether a revision is sent, and as what."""
        alert = arrival.event.data
        verdict = decide(alert, self._route, told)
        if not verdict.is_sent:
            return verdict, None
        discloser = self._disclosers(alert.region)
        if discloser is None:
            return Verdict.OTHER_REGION, None
        # Drawing outlines takes a while, and the loop is not ours alone.
        shown = await asyncio.to_thread(tell, alert, self._route, told, discloser)
        return (Verdict.NOT_FOR_AUDIENCE, None) if shown is None else (verdict, Parcel(shown, told.sent))

    async def _settle_digest(self, adapter: DigestAdapter, lane: _Lane) -> int:
        """All that came before the next meeting, in one; returns how many revisions those are."""
        slot = digest_slot(self._route, lane.waiting[0].came_at, self._zone)
        while (now := self._clock()) < slot:
            await self._sleep(min((slot - now).total_seconds(), _LOOK_AGAIN_S))
        batch = [one for one in lane.waiting if digest_slot(self._route, one.came_at, self._zone) <= now]
        told: dict[str, Told] = {}
        planned: list[tuple[Arrival, Verdict, Parcel | None]] = []
        for arrival in batch:
            name = arrival.event.subject
            before = told.get(name) or self._ledger.told(self._route.id, name)
            if arrival.event.data.revision > before.settled:
                verdict, parcel = await self._plan(arrival, before)
                planned.append((arrival, verdict, parcel))
                told[name] = before.after(self._fact(arrival, verdict, parcel, Tried(DeliveryResult.SENT)))
        parcels = [parcel for _, _, parcel in planned if parcel is not None]
        tried = Tried(DeliveryResult.SENT)
        if parcels:
            await self._books.audit(*(self._disclosure(arrival) for arrival, _, parcel in planned if parcel))
            tried = await self._try(lambda: adapter.send_digest(parcels, slot), f"digest of {len(parcels)}")
        for arrival, verdict, parcel in planned:
            await self._conclude(arrival, verdict, parcel, tried)
        return len(batch)

    def _disclosure(self, arrival: Arrival) -> AuditEvent:
        """Recorded before the first attempt: what was sent is in the trail, whatever crashes."""
        return delivered(arrival.event, f"sink/{self._route.id}", self._clock())

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

    async def _try(self, send: Callable[[], Awaitable[None]], what: str) -> Tried:
        attempts = 0

        def count(state: RetryCallState) -> None:
            failure = _error_of(state).failure.value
            self._failing.setdefault(what, self._clock().timestamp())
            self._observe()
            self._metrics.delivery_failures.labels(self._route.id, failure).inc()
            log.warning("route %s: attempt %d at %s: %s", self._route.id, state.attempt_number, what, failure)

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
                    await self._attempt(send)
        except DeliveryError as error:
            return Tried(DeliveryResult.DEAD, attempts, error.failure)
        finally:
            self._failing.pop(what, None)
            self._observe()
        return Tried(DeliveryResult.SENT, attempts)

    async def _attempt(self, send: Callable[[], Awaitable[None]]) -> None:
        with self._metrics.delivery_seconds.labels(self._route.id).time():
            try:
                await send()
            except DeliveryError:
                raise
            except Exception as error:  # a fault of ours in one format must not stop the others for good
                log.exception("route %s: an attempt failed unexpectedly", self._route.id)
                raise DeliveryError(Failure.UNEXPECTED) from error

    def _pause(self, state: RetryCallState) -> float:
        """Drawn from a range that doubles, on top of what the receiver asks for."""
        return self._backoff(state) + _error_of(state).wait_s

    def _fact(self, arrival: Arrival, verdict: Verdict, parcel: Parcel | None, tried: Tried) -> Delivery:
        alert = arrival.event.data
        return Delivery(
            route=self._route.id,
            episode_id=alert.episode_id,
            revision=alert.revision,
            result=tried.result if parcel else DeliveryResult.SKIPPED,
            verdict=verdict,
            at=self._clock(),
            audience=self._route.audience,
            told_as_of=parcel.told.as_of if parcel else None,
            receiver=self._adapter.receiver if parcel else "",
            attempts=tried.attempts if parcel else 0,
            failure=tried.failure if parcel else None,
        )

    async def _conclude(
        self, arrival: Arrival, verdict: Verdict, parcel: Parcel | None = None, tried: Tried | None = None
    ) -> None:
        fact = self._fact(arrival, verdict, parcel, tried or Tried(DeliveryResult.SKIPPED))
        if fact.result is DeliveryResult.DEAD:
            await self._books.bury(arrival, fact)
        await self._books.record(fact)
        self._ledger.take([fact])
        self._metrics.deliveries.labels(self._route.id, fact.result.value).inc()

    def _observe(self) -> None:
        self._metrics.deliveries_waiting.labels(self._route.id).set(len(self._open))
        since = min(self._failing.values(), default=0.0)
        self._metrics.delivery_failing_since.labels(self._route.id).set(since)


def _error_of(state: RetryCallState) -> DeliveryError:
    error = state.outcome.exception() if state.outcome is not None else None
    return error if isinstance(error, DeliveryError) else DeliveryError(Failure.UNEXPECTED)
