"""Alert revisions to Redis by a queue of their own: a Redis that is away holds up nothing, and is filled when back."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from schemas.alert import AlertEvent
from schemas.base import Clock
from schemas.routes import REDIS_ROUTE
from streams.alert_log import Logged
from streams.asked import READ_S, asked
from streams.episodes_store import EpisodeStore
from streams.fetch import Fetch
from streams.metrics import Metrics
from streams.tasks import end

log = logging.getLogger(__name__)

#: So long an agent waits for Redis before it goes on without, seconds: in good times, what is acknowledged is stored.
PATIENCE_S: Final = 2.0
#: How often it is asked whether Redis still has what it was given, seconds.
CHECK_S: Final = 10.0
_AGAIN_S: Final = 1.0


class EpisodesSink:
    """Takes fetches of alerts, and puts them into Redis in order, however long that takes.

    Faust lets all agents wait for one whose buffer is full, and a rebalance for what is not acknowledged: so a fetch is
    acknowledged at the latest after `PATIENCE_S`, stored or not. What a worker takes with it when it dies is put there
    by whoever reads the topic next, from the topic itself (`owe`); likewise what Redis has lost.
    """

    def __init__(
        self,
        store: EpisodeStore,
        deliver: Callable[[Fetch], Awaitable[None]],
        read: Callable[[], Iterable[Logged]],
        notify: Callable[[AlertEvent], None],
        fail: Callable[[BaseException], None],
        metrics: Metrics,
        clock: Clock,
        *,
        patience_s: float = PATIENCE_S,
        check_s: float = CHECK_S,
    ) -> None:
        """`deliver` returns when a whole fetch is stored; `read` gives all revisions of the topic, and may take long.

        `fail` is told of what cannot be waited out.
        """
        self._store, self._deliver, self._read, self._notify, self._fail = store, deliver, read, notify, fail
        self._waiting_now = metrics.deliveries_waiting.labels(REDIS_ROUTE)
        self._failing_since = metrics.delivery_failing_since.labels(REDIS_ROUTE)
        self._clock = clock
        self._patience_s, self._check_s = patience_s, check_s
        self._waiting: deque[tuple[Fetch, asyncio.Event]] = deque()
        self._came = asyncio.Event()
        self._away = False
        self._owes = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to store."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End where it is; what is not stored is, by whoever reads the topic next."""
        if self._task is not None:
            await end([self._task], 0.1)

    def owe(self) -> None:
        """The topic is this worker's now: its last reader may have died with what it had not stored."""
        self._owes = True
        self._came.set()

    async def handle(self, fetch: Fetch) -> None:
        """One fetch of the alerts topic. Returns when it is stored, or Redis does not answer."""
        stored = asyncio.Event()
        self._waiting.append((fetch, stored))
        self._came.set()
        self._observe()
        if self._away:
            return
        try:
            await asyncio.wait_for(stored.wait(), self._patience_s)
        except TimeoutError:
            self._away = True
            self._failing_since.set(self._clock().timestamp())
            log.warning("Redis does not take alerts; they wait for it, and nothing else does")

    async def _run(self) -> None:
        try:
            while True:
                await self._fill()
                if self._waiting:
                    fetch, stored = self._waiting[0]
                    await self._deliver(fetch)
                    self._waiting.popleft()
                    stored.set()
                    self._observe()
                else:
                    await self._rest()
        except Exception as error:  # the worker ends, and whoever reads the topic next begins from what is there
            self._fail(error)
            raise

    async def _rest(self) -> None:
        self._came.clear()
        if not self._owes and not self._waiting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._came.wait(), self._check_s)

    def _observe(self) -> None:
        self._waiting_now.set(sum(len(fetch.records) for fetch, _ in self._waiting))
        if not self._waiting:
            self._away = False
            self._failing_since.set(0)

    async def _fill(self) -> None:
        """Put there what the topic has and Redis has not, if anything may be missing."""
        try:
            if not self._owes and await self._store.is_filled():
                return
            self._owes = False  # what comes from here on is in the queue, or owed again
            logged = await asked(self._read, READ_S)
            for event in await self._store.fill([one.event for one in logged]):
                self._notify(event)
        except (RedisError, OSError, KafkaException) as error:
            self._owes = True
            log.warning("current episodes cannot be filled in Redis yet: %s", type(error).__name__)
            await asyncio.sleep(_AGAIN_S)
