"""Current episodes in a real Redis: however often and in whatever order revisions are written."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
import redis.asyncio as redis

from schemas.alert import Alert, AlertReason, EpisodeState
from streams.episodes_store import EpisodeStore
from tests.builders import NOW, alert
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.connected

OPENED = alert()
GROWN = alert(revision=2, state=EpisodeState.GROWING, reason=AlertReason.ESCALATED, score=14.0)
CLOSED = alert(revision=3, state=EpisodeState.CLOSED, reason=AlertReason.CLOSED)
RETRACTED = alert(revision=2, state=EpisodeState.RETRACTED, reason=AlertReason.EVIDENCE_WITHDRAWN)
ORDERS = list(permutations([OPENED, GROWN, CLOSED]))


@pytest.fixture
def prefix() -> str:
    """Keys of this test alone."""
    return f"hotspot.test-{secrets.token_hex(4)}"


@pytest.fixture
async def store(redis_server: RedisServer, prefix: str) -> AsyncIterator[EpisodeStore]:
    episodes = EpisodeStore(redis_server.url, prefix)
    yield episodes
    await episodes.close()


@pytest.fixture
async def client(redis_server: RedisServer) -> AsyncIterator[redis.Redis]:
    """What another program sees."""
    reader = redis.from_url(redis_server.url)
    yield reader
    await reader.aclose()


async def streamed(client: redis.Redis, prefix: str) -> list[Alert]:
    entries: Any = await client.xrange(f"{prefix}:alerts")
    return [Alert.model_validate_json(fields[b"alert"]) for _, fields in entries]


async def put_all(store: EpisodeStore, alerts: Sequence[Alert]) -> list[bool]:
    return [await store.put(one) for one in alerts]


async def test_an_open_episode_is_current_and_streamed(store: EpisodeStore, client: redis.Redis, prefix: str) -> None:
    assert await store.put(OPENED)
    assert await store.current("hampshire") == [OPENED]
    assert await streamed(client, prefix) == [OPENED]


async def test_a_newer_revision_takes_the_place_of_the_older(store: EpisodeStore) -> None:
    assert await put_all(store, [OPENED, GROWN]) == [True, True]
    assert await store.current("hampshire") == [GROWN]


async def test_the_same_revision_again_changes_nothing(store: EpisodeStore, client: redis.Redis, prefix: str) -> None:
    assert await put_all(store, [OPENED, OPENED, OPENED]) == [True, False, False]
    assert await store.current("hampshire") == [OPENED]
    assert await streamed(client, prefix) == [OPENED]


async def test_an_older_revision_after_a_newer_changes_nothing(
    store: EpisodeStore, client: redis.Redis, prefix: str
) -> None:
    assert await put_all(store, [GROWN, OPENED]) == [True, False]
    assert await store.current("hampshire") == [GROWN]
    assert await streamed(client, prefix) == [GROWN]


@pytest.mark.parametrize("over", [CLOSED, RETRACTED], ids=["closed", "retracted"])
async def test_an_episode_that_is_over_leaves_the_hash_and_does_not_come_back(
    store: EpisodeStore, client: redis.Redis, prefix: str, over: Alert
) -> None:
    assert await put_all(store, [OPENED, over, OPENED, over]) == [True, True, False, False]
    assert await store.current("hampshire") == []
    assert await client.hlen(f"{prefix}:episodes:hampshire") == 0
    assert await streamed(client, prefix) == [OPENED, over]


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: "".join(str(one.revision) for one in order))
async def test_any_order_of_revisions_ends_in_the_same_state(
    store: EpisodeStore, client: redis.Redis, prefix: str, order: Sequence[Alert]
) -> None:
    await put_all(store, order)
    assert await store.current("hampshire") == []
    newest = await client.hget(f"{prefix}:revisions:hampshire", OPENED.episode_id)
    assert newest == b"3"
    revisions = [one.revision for one in await streamed(client, prefix)]
    assert revisions == sorted(set(revisions)), "no revision is streamed twice, nor after a newer one"
    assert revisions[-1] == 3


async def test_regions_and_installations_are_kept_apart(store: EpisodeStore, redis_server: RedisServer) -> None:
    elsewhere = alert(region="wessex", episode_id="wessex-1")
    await put_all(store, [OPENED, elsewhere])
    assert await store.current("hampshire") == [OPENED]
    assert await store.current("wessex") == [elsewhere]
    assert await store.current("nowhere") == []
    other = EpisodeStore(redis_server.url, f"hotspot.test-{secrets.token_hex(4)}")
    assert await other.current("hampshire") == []
    await other.close()


async def test_current_episodes_are_in_the_order_in_which_they_were_opened(store: EpisodeStore) -> None:
    def opened(episode_id: str, hours_ago: int) -> Alert:
        return alert(episode_id=episode_id, opened_at=NOW - timedelta(hours=hours_ago))

    await put_all(store, [opened("c", 1), opened("b", 5), opened("d", 5), opened("a", 3)])
    assert [one.episode_id for one in await store.current("hampshire")] == ["b", "d", "a", "c"]


async def test_without_redis_it_says_so_and_goes_on_when_it_is_back(
    redis_server: RedisServer, prefix: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = RedisServer(tmp_path_factory.mktemp("own-redis")).start()
    store = EpisodeStore(own.url, prefix)
    try:
        assert await store.put(OPENED)
        own.stop()
        with pytest.raises(redis.RedisError):
            await store.put(GROWN)
        own.restart()
        assert await store.put(GROWN)
        assert await store.current("hampshire") == [GROWN]
    finally:
        await store.close()
        own.stop()
