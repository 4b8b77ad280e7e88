"""Feeds: what a route was told lies in Redis, any worker serves it, and only to whom it belongs."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
import redis.asyncio as redis

from schemas.alert import AlertReason, EpisodeState
from schemas.audit import AuditAction, AuditEvent
from schemas.delivery import Failure
from schemas.disclosure import Disclosed
from schemas.routes import FeedSink, Route, RoutesFileError
from streams.feed_pages import FeedPages
from streams.health import HealthServer
from streams.metrics import Metrics
from streams.sinks.feed import FeedAdapter, FeedStore, shown
from streams.sinks.parcel import DeliveryError, Parcel
from tests.builders import NOW, FakeClock
from tests.builders_delivery import route, told
from tests.feed_rules import atom_faults, geojson_faults
from tests.running import Installation
from tests.servers.redis_server import RedisServer

TOKEN = "a-token-of-more-than-24-characters"
FEED: dict[str, Any] = {"kind": "feed", "token_env": "PARTNERS_TOKEN"}
OPEN: dict[str, Any] = {"kind": "feed", "open": True}
KEPT = timedelta(hours=72)
GROWN = told(revision=2, state=EpisodeState.GROWING, reason=AlertReason.ESCALATED, as_of=NOW + timedelta(hours=1))
CLOSED = told(revision=3, state=EpisodeState.CLOSED, reason=AlertReason.CLOSED, as_of=NOW + timedelta(hours=2))
OTHER = told(episode_id="hampshire-2", opened_at=NOW - timedelta(days=1))


@pytest.fixture(params=["embedded", pytest.param("redis_server", marks=pytest.mark.connected)])
def redis_url(request: pytest.FixtureRequest) -> str:
    """Both kinds of Redis: the same code must do the same on both."""
    found: Installation | RedisServer = request.getfixturevalue(request.param)
    return found.redis_url if isinstance(found, Installation) else found.url


@pytest.fixture
def prefix() -> str:
    """Keys of this test alone."""
    return f"hotspot.test-{secrets.token_hex(4)}"


@pytest.fixture
async def store(redis_url: str, prefix: str) -> AsyncIterator[FeedStore]:
    found = FeedStore(redis_url, prefix)
    yield found
    await found.close()


async def read(store: FeedStore, clock: FakeClock | None = None) -> tuple[Disclosed, ...]:
    """What readers see."""
    feed = await store.read("partners", KEPT, (clock or FakeClock())())
    assert feed is not None
    return feed.told


# --- what is in it ----------------------------------------------------------------------------------------------------


async def test_the_newest_revision_of_each_episode_whatever_the_order(store: FeedStore) -> None:
    await store.fill("partners", [], NOW)
    for one in (GROWN, OTHER, told(), GROWN):
        await store.put("partners", one, KEPT, NOW)
    assert await read(store) == (OTHER, GROWN), "the oldest episode first"
    assert await store.read("others", KEPT, NOW) is None


async def test_what_is_over_says_so_for_a_while_and_then_leaves(store: FeedStore) -> None:
    await store.fill("partners", [told(), OTHER], NOW)
    await store.put("partners", CLOSED, KEPT, NOW)
    clock = FakeClock(CLOSED.as_of + KEPT - timedelta(seconds=1))
    assert await read(store, clock) == (OTHER, CLOSED)
    before = await store.read("partners", KEPT, clock())
    clock.advance(seconds=1)
    after = await store.read("partners", KEPT, clock())
    assert before is not None and after is not None
    assert after.told == (OTHER,)
    assert before.changed_at < after.changed_at == clock(), "that it left is a change"


async def test_what_left_is_let_go_of(store: FeedStore, redis_url: str, prefix: str) -> None:
    await store.fill("partners", [CLOSED], NOW)
    late = CLOSED.as_of + KEPT
    await store.put("partners", OTHER, KEPT, late)
    async with redis.from_url(redis_url) as client:
        found: Any = await client.hkeys(f"{prefix}:feed:partners")
    assert found == [b"hampshire-2"]


async def test_a_feed_that_redis_has_lost_is_not_empty_but_unknown(
    store: FeedStore, redis_url: str, prefix: str
) -> None:
    adapter = FeedAdapter(FeedSink(token_env="T"), "partners", store, FakeClock())
    assert not await adapter.is_whole()
    await adapter.send(Parcel(told()))
    assert await store.read("partners", KEPT, NOW) is None, "something is there, but not all"
    await adapter.fill([told(), OTHER])
    assert await adapter.is_whole()
    assert await read(store) == (OTHER, told())
    async with redis.from_url(redis_url) as client:
        await client.delete(f"{prefix}:feed:partners", f"{prefix}:feed:partners:changed")
    assert not await adapter.is_whole()


async def test_two_who_write_at_once_lose_nothing(store: FeedStore) -> None:
    await store.fill("partners", [], NOW)
    many = [told().model_copy(update={"episode_id": f"e{n}", "revision": 1 + n % 3}) for n in range(12)]
    older = [one.model_copy(update={"revision": 1}) for one in many]
    await asyncio.gather(*(store.put("partners", one, KEPT, NOW) for one in [*many, *older]))
    assert {(one.episode_id, one.revision) for one in await read(store)} == {
        (one.episode_id, one.revision) for one in many
    }


async def test_a_send_that_failed_leaves_a_doubt_until_it_is_filled(tmp_path_factory: pytest.TempPathFactory) -> None:
    store = FeedStore("redis://127.0.0.1:1/0", "hotspot.test")
    adapter = FeedAdapter(FeedSink(token_env="T"), "partners", store, FakeClock())
    for attempt in (adapter.send(Parcel(told())), adapter.fill([]), adapter.is_whole()):
        with pytest.raises(DeliveryError) as caught:
            await attempt
        assert caught.value.failure is Failure.UNREACHABLE
    await store.close()


def test_nothing_is_shown_twice_and_all_that_is_open_is_shown() -> None:
    found = shown([CLOSED, OTHER], NOW, KEPT, NOW + timedelta(days=400))
    assert found.told == (OTHER,), "however old"


# --- who may read it --------------------------------------------------------------------------------------------------


@dataclass
class Desk:
    """A worker's HTTP side, and what it wrote to the trail."""

    url: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    trail: list[AuditEvent] = field(default_factory=list)
    refuses: bool = False

    async def audit(self, *events: AuditEvent) -> None:
        """As the trail does."""
        if self.refuses:
            raise ConnectionError("no broker")
        self.trail.extend(events)

    async def get(self, path: str, token: str | None = TOKEN, **headers: str) -> tuple[int, bytes, Any]:
        """Status, body and headers."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}{path}", headers=sent) as response,
        ):
            return response.status, await response.read(), response.headers


@asynccontextmanager
async def serving(store: FeedStore, routes: Sequence[Route], clock: FakeClock) -> AsyncIterator[Desk]:
    """A worker's HTTP side."""
    desk = Desk()
    pages = FeedPages(routes, {"PARTNERS_TOKEN": TOKEN}, store, desk.audit, desk.metrics, clock)

    async def nothing() -> list[Any]:
        return []

    server = HealthServer("127.0.0.1", 0, desk.metrics, lambda: None, nothing, pages)
    await server.start()
    desk.url = f"http://127.0.0.1:{server.port}"
    try:
        yield desk
    finally:
        await server.stop()


PARTNERS = route(id="partners", audience="police", sink=FEED)
PUBLIC = route(id="everybody", audience="public", sink=OPEN)


@pytest.fixture
async def desk(store: FeedStore) -> AsyncIterator[Desk]:
    """With two feeds that are filled."""
    await store.fill("partners", [GROWN, OTHER], NOW)
    await store.fill("everybody", [told("public", evidence="police_only")], NOW)
    async with serving(store, [PARTNERS, PUBLIC], FakeClock()) as found:
        yield found


async def test_both_forms_hold_what_is_current_and_keep_their_standards(desk: Desk) -> None:
    status, body, headers = await desk.get("/feeds/partners.geojson")
    assert (status, headers["Content-Type"]) == (200, "application/geo+json")
    assert geojson_faults(body) == []
    found = [feature["properties"]["key"] for feature in json.loads(body)["features"]]
    assert found == ["hampshire-2.1", f"{GROWN.episode_id}.2"]
    status, body, headers = await desk.get("/feeds/partners.atom")
    assert (status, headers["Content-Type"]) == (200, "application/atom+xml")
    assert atom_faults(body) == []
    assert GROWN.headline in body.decode()
    assert headers["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN[:-1], TOKEN + "x", "é" * 24])
async def test_without_its_token_a_feed_is_not_told(desk: Desk, token: str | None) -> None:
    for form in ("geojson", "atom"):
        status, body, headers = await desk.get(f"/feeds/partners.{form}", token)
        assert (status, body) == (401, b"This feed needs its token.\n")
        assert headers["WWW-Authenticate"].startswith("Bearer")
    assert desk.trail == []
    assert (await desk.get("/feeds/partners.atom", None, Authorization=f"Basic {TOKEN}"))[0] == 401


async def test_a_feed_for_the_public_that_is_open_needs_none_and_names_nobody(desk: Desk) -> None:
    status, body, headers = await desk.get("/feeds/everybody.atom", None)
    assert (status, atom_faults(body)) == (200, [])
    assert headers["Cache-Control"] == "public, max-age=60"
    assert desk.trail == []


@pytest.mark.parametrize("path", ["/feeds/partners", "/feeds/partners.rss", "/feeds/others.atom", "/feeds/.atom"])
async def test_what_is_no_feed_is_not_found(desk: Desk, path: str) -> None:
    assert (await desk.get(path))[0] == 404


async def test_every_access_is_in_the_trail_before_it_is_answered(desk: Desk) -> None:
    _, _, headers = await desk.get("/feeds/partners.atom")
    assert (await desk.get("/feeds/partners.atom", If_None_Match=headers["ETag"]))[0] == 304
    first, second = desk.trail
    assert (first.actor, first.action, first.subject.id) == ("reader@partners", AuditAction.CONSULTATION, "partners")
    assert first.event_id != second.event_id
    desk.refuses = True
    status, body, headers = await desk.get("/feeds/partners.atom")
    assert (status, headers["Retry-After"]) == (503, "30")
    assert b"Violence" not in body


async def test_who_has_it_already_hears_so(desk: Desk, store: FeedStore) -> None:
    _, body, headers = await desk.get("/feeds/partners.geojson")
    tag, at = headers["ETag"], headers["Last-Modified"]
    for known in (
        {"If_None_Match": tag},
        {"If_None_Match": f'"other", W/{tag}'},
        {"If_None_Match": "*"},
        {"If_Modified_Since": at},
    ):
        status, rest, again = await desk.get("/feeds/partners.geojson", **known)
        assert (status, rest, again["ETag"]) == (304, b"", tag)
    assert (await desk.get("/feeds/partners.geojson", If_None_Match='"other"', If_Modified_Since=at))[0] == 200
    await store.put("partners", CLOSED, KEPT, NOW + timedelta(seconds=5))
    for known in ({"If_None_Match": tag}, {"If_Modified_Since": at}):
        status, changed, again = await desk.get("/feeds/partners.geojson", **known)
        assert status == 200
        assert changed != body
        assert again["ETag"] != tag


async def test_any_worker_serves_the_same_bytes(desk: Desk, store: FeedStore) -> None:
    async with serving(store, [PARTNERS], FakeClock(NOW + timedelta(minutes=1))) as other:
        here, there = await desk.get("/feeds/partners.atom"), await other.get("/feeds/partners.atom")
    assert here[1] == there[1]
    assert (here[2]["ETag"], here[2]["Last-Modified"]) == (there[2]["ETag"], there[2]["Last-Modified"])


async def test_what_is_not_known_is_not_calm() -> None:
    store = FeedStore("redis://127.0.0.1:1/0", "hotspot.test")
    async with serving(store, [PARTNERS], FakeClock()) as desk:
        status, body, headers = await desk.get("/feeds/partners.geojson")
    assert (status, headers["Retry-After"]) == (503, "30")
    assert b"not known" in body
    await store.close()


async def test_a_feed_that_is_not_filled_is_not_calm(store: FeedStore) -> None:
    async with serving(store, [PARTNERS], FakeClock()) as desk:
        assert (await desk.get("/feeds/partners.geojson"))[0] == 503
        await store.fill("partners", [], NOW)
        status, body, _ = await desk.get("/feeds/partners.geojson")
        assert (status, json.loads(body)["features"]) == (200, [])
        found = {
            sample.labels["status"]: sample.value
            for family in desk.metrics.feed_requests.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
        }
    assert found == {"503": 1.0, "200": 1.0}


@pytest.mark.parametrize("bad", ["", "tiny-one", "x" * 23, "with a blank " * 3, "ümlaut" * 8])
async def test_a_token_that_is_none_is_refused_and_not_told(store: FeedStore, bad: str) -> None:
    with pytest.raises(RoutesFileError) as caught:
        FeedPages([PARTNERS], {"PARTNERS_TOKEN": bad}, store, Desk().audit, Metrics(), FakeClock())
    assert "PARTNERS_TOKEN" in str(caught.value)
    assert not bad or bad not in str(caught.value)
