"""Current episodes in Redis: a hash for who asks, a stream for who waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import redis.asyncio as redis
from redis.exceptions import RedisError, WatchError

from schemas.alert import Alert, AlertEvent, EpisodeState

STREAM_LENGTH = 10_000
_OVER = (EpisodeState.CLOSED, EpisodeState.RETRACTED)
#: Those who write at once are workers between which the topic has just moved.
_TRIES = 20


class EpisodeStore:
    """Writes alert revisions. Writing one twice, or an older one after a newer, changes nothing.

    Keys: `<prefix>:episodes:<region>` (hash: episode id to its latest alert, while it is open),
    `<prefix>:revisions:<region>` (hash: episode id to its latest revision), `<prefix>:alerts` (stream, field `alert`),
    `<prefix>:filled` (there while nothing was lost).
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._prefix = prefix

    async def put(self, alert: Alert) -> bool:
        """Store one revision; False when it, or a newer one, was there already. Raises redis.RedisError."""
        revisions = f"{self._prefix}:revisions:{alert.region}"
        text = alert.model_dump_json()
        async with self._redis.pipeline(transaction=True) as pipe:
            for _ in range(_TRIES):
                await pipe.watch(revisions)
                stored = await pipe.hget(revisions, alert.episode_id)  # type: ignore[misc]  # redis types both clients
                if stored is not None and int(stored) >= alert.revision:
                    return False
                pipe.multi()  # type: ignore[no-untyped-call]  # redis has no types for it
                episodes = f"{self._prefix}:episodes:{alert.region}"
                if alert.state in _OVER:
                    pipe.hdel(episodes, alert.episode_id)
                else:
                    pipe.hset(episodes, alert.episode_id, text)
                pipe.hset(revisions, alert.episode_id, str(alert.revision))
                pipe.xadd(f"{self._prefix}:alerts", {"alert": text}, maxlen=STREAM_LENGTH, approximate=True)
                try:
                    await pipe.execute()
                except WatchError:
                    continue
                return True
        raise RedisError("others write at the same time, again and again")

    async def is_filled(self) -> bool:
        """Whether all that was ever stored is still there. Raises redis.RedisError."""
        return bool(await self._redis.exists(f"{self._prefix}:filled"))

    async def fill(self, events: Sequence[AlertEvent]) -> list[AlertEvent]:
        """Store what is missing of all revisions there are, in order of each episode; returns what was missing.

        Of an episode of which nothing is there, the newest revision is enough, and none if it is over: who waits at the
        stream is not told of what is long past. Raises redis.RedisError.
        """
        stored = await self._revisions({event.data.region for event in events})
        newest = {event.subject: event.data for event in sorted(events, key=lambda event: event.data.revision)}
        missing = []
        for event in events:
            alert = event.data
            known = stored.get(alert.episode_id)
            last = newest[alert.episode_id]
            if known is None and (alert.revision < last.revision or last.state in _OVER):
                continue
            if (known or 0) < alert.revision and await self.put(alert):
                missing.append(event)
        await self._redis.set(f"{self._prefix}:filled", "1")
        return missing

    async def _revisions(self, regions: Iterable[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for region in regions:
            stored = await self._redis.hgetall(f"{self._prefix}:revisions:{region}")  # type: ignore[misc]  # as above
            found |= {_text(name): int(revision) for name, revision in stored.items()}
        return found

    async def current(self, region: str) -> list[Alert]:
        """Latest alert of each open episode of a region, oldest episode first."""
        stored = await self._redis.hvals(f"{self._prefix}:episodes:{region}")  # type: ignore[misc]  # as above
        alerts = [Alert.model_validate_json(text) for text in stored]
        return sorted(alerts, key=lambda alert: (alert.opened_at, alert.episode_id))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
