"""Current episodes in Redis: a hash for who asks, a stream for who waits."""

from __future__ import annotations

import redis.asyncio as redis

from schemas.alert import Alert, EpisodeState

STREAM_LENGTH = 10_000
_OVER = (EpisodeState.CLOSED, EpisodeState.RETRACTED)


class EpisodeStore:
    """Writes alert revisions. Writing one twice, or an older one after a newer, changes nothing.

    Keys: `<prefix>:episodes:<region>` (hash: episode id to its latest alert, while it is open),
    `<prefix>:revisions:<region>` (hash: episode id to its latest revision), `<prefix>:alerts` (stream, field `alert`).
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._prefix = prefix

    async def put(self, alert: Alert) -> bool:
        """Store one revision; False when it, or a newer one, was there already. Raises redis.RedisError."""
        revisions = f"{self._prefix}:revisions:{alert.region}"
        stored = await self._redis.hget(revisions, alert.episode_id)  # type: ignore[misc]  # redis types both clients
        if stored is not None and int(stored) >= alert.revision:
            return False
        text = alert.model_dump_json()
        async with self._redis.pipeline(transaction=True) as pipe:
            episodes = f"{self._prefix}:episodes:{alert.region}"
            if alert.state in _OVER:
                pipe.hdel(episodes, alert.episode_id)
            else:
                pipe.hset(episodes, alert.episode_id, text)
            pipe.hset(revisions, alert.episode_id, str(alert.revision))
            pipe.xadd(f"{self._prefix}:alerts", {"alert": text}, maxlen=STREAM_LENGTH, approximate=True)
            await pipe.execute()
        return True

    async def current(self, region: str) -> list[Alert]:
        """Latest alert of each open episode of a region, oldest episode first."""
        stored = await self._redis.hvals(f"{self._prefix}:episodes:{region}")  # type: ignore[misc]  # as above
        alerts = [Alert.model_validate_json(text) for text in stored]
        return sorted(alerts, key=lambda alert: (alert.opened_at, alert.episode_id))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
