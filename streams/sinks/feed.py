"""Readers who come for it: what a feed route was told, kept in Redis so that any worker can serve it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis.asyncio as redis
from redis.exceptions import RedisError, WatchError

from schemas.base import Clock
from schemas.delivery import Failure
from schemas.disclosure import Disclosed
from schemas.routes import FeedSink
from streams.sinks.parcel import DeliveryError, Parcel

#: Two who write at once are an old holder of a route and a new one, for a moment.
_TRIES = 20


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed as its readers see it."""

    told: tuple[Disclosed, ...]
    """The newest revision of each episode that is open, or has not been over for long; oldest episode first."""
    changed_at: datetime


def shown(told: Iterable[Disclosed], changed_at: datetime, kept: timedelta, now: datetime) -> Feed:
    """What readers see at a moment: pure. An episode that leaves because it has been over for long is a change too."""
    staying, changed = [], changed_at
    for one in told:
        if one.state.is_over and one.as_of + kept <= now:
            changed = max(changed, one.as_of + kept)
        else:
            staying.append(one)
    return Feed(tuple(sorted(staying, key=lambda one: (one.opened_at, one.episode_id))), changed)


class FeedStore:
    """Feeds in Redis. Writing a revision twice, or an older one after a newer, changes nothing.

    Keys: `<prefix>:feed:<route>` (hash: episode id to its newest told revision), `<prefix>:feed:<route>:changed` (when
    that last changed; only there while the feed is whole, so that what Redis has lost never looks like calm).
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._prefix = prefix

    def _keys(self, route_id: str) -> tuple[str, str]:
        entries = f"{self._prefix}:feed:{route_id}"
        return entries, f"{entries}:changed"

    async def is_whole(self, route_id: str) -> bool:
        """Whether the feed has been filled since Redis last lost it. Raises RedisError, OSError."""
        return bool(await self._redis.exists(self._keys(route_id)[1]))

    async def put(self, route_id: str, told: Disclosed, kept: timedelta, now: datetime) -> None:
        """Take one revision in, and let go of what has been over for long. Raises RedisError, OSError."""
        entries, changed = self._keys(route_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            for _ in range(_TRIES):
                await pipe.watch(entries)
                found = _parsed(await pipe.hgetall(entries))  # type: ignore[misc]  # redis types both clients
                before = found.get(told.episode_id)
                if before is not None and before.revision >= told.revision:
                    return
                staying = {one.episode_id for one in shown(found.values(), now, kept, now).told}
                pipe.multi()  # type: ignore[no-untyped-call]  # redis has no types for it
                for name in found.keys() - staying - {told.episode_id}:
                    pipe.hdel(entries, name)
                pipe.hset(entries, told.episode_id, told.model_dump_json())
                pipe.set(changed, now.isoformat(), xx=True)
                try:
                    await pipe.execute()
                except WatchError:
                    continue
                return
        raise RedisError("others write at the same time, again and again")

    async def fill(self, route_id: str, told: Sequence[Disclosed], now: datetime) -> None:
        """Put these in place of all that is there. Raises RedisError, OSError."""
        entries, changed = self._keys(route_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(entries)
            for one in told:
                pipe.hset(entries, one.episode_id, one.model_dump_json())
            pipe.set(changed, now.isoformat())
            await pipe.execute()

    async def read(self, route_id: str, kept: timedelta, now: datetime) -> Feed | None:
        """The feed as it is; None while it is not whole. Raises RedisError, OSError."""
        entries, changed = self._keys(route_id)
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hgetall(entries)
            pipe.get(changed)
            found, changed_at = await pipe.execute()
        if changed_at is None:
            return None
        return shown(_parsed(found).values(), datetime.fromisoformat(changed_at.decode()), kept, now)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _parsed(found: Mapping[Any, Any]) -> dict[str, Disclosed]:
    return {name.decode(): Disclosed.model_validate_json(text) for name, text in found.items()}


class FeedAdapter:
    """Puts what a route is told where its readers find it, and fills it again where Redis has lost it."""

    def __init__(self, sink: FeedSink, route_id: str, store: FeedStore, clock: Clock) -> None:
        self._route_id, self._store, self._clock = route_id, store, clock
        self.kept = timedelta(hours=sink.keep_ended_hours)
        self._failed = False
        """Something may be missing: a send that failed may have been given up since."""

    @property
    def receiver(self) -> str:
        """Who has the token, or anybody."""
        return f"readers of /feeds/{self._route_id}"

    async def send(self, parcel: Parcel) -> None:
        """One attempt. Raises DeliveryError."""
        try:
            await self._store.put(self._route_id, parcel.told, self.kept, self._clock())
        except (RedisError, OSError):
            self._failed = True
            raise DeliveryError(Failure.UNREACHABLE) from None

    async def is_whole(self) -> bool:
        """Whether Redis has all that the route was told. Raises DeliveryError while it does not answer."""
        try:
            return await self._store.is_whole(self._route_id) and not self._failed
        except (RedisError, OSError):
            raise DeliveryError(Failure.UNREACHABLE) from None

    async def fill(self, told: Sequence[Disclosed]) -> None:
        """Begin anew with what the route was told. Raises DeliveryError."""
        try:
            await self._store.fill(self._route_id, told, self._clock())
        except (RedisError, OSError):
            raise DeliveryError(Failure.UNREACHABLE) from None
        self._failed = False
