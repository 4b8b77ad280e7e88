"""What the deliver agent does with each fetch: alert revisions to Redis, for the console and for who asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pydantic import ValidationError
from redis.exceptions import RedisError

from schemas.alert import AlertEvent
from streams.accounting import Accounting
from streams.episodes_store import EpisodeStore
from streams.fetch import Fetch

log = logging.getLogger(__name__)

RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


class Deliver:
    """Alert revisions to the sinks; here Redis. A slow or absent sink holds up nothing but itself."""

    def __init__(
        self,
        store: EpisodeStore,
        accounting: Accounting,
        notify: Callable[[AlertEvent], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store, self._metrics, self._notify, self._sleep = store, accounting.metrics, notify, sleep

    async def handle(self, fetch: Fetch) -> None:
        """One fetch of the alerts topic. Returns when every revision is stored, however long that takes."""
        for record in fetch.records:
            try:
                event = AlertEvent.model_validate_json(record.value)
            except ValidationError:
                log.exception("message at offset %d of %s is not an alert", record.offset, fetch.topic)
                continue
            if await self._store_until_done(event):
                self._notify(event)

    async def _store_until_done(self, event: AlertEvent) -> bool:
        attempt = 0
        while True:
            try:
                return await self._store.put(event.data)
            except (RedisError, OSError) as error:
                pause = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                log.warning("alert %s is not in Redis yet (%s); again in %.1f s", event.id, error, pause)
                await self._sleep(pause)
                attempt += 1
