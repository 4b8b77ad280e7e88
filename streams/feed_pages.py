"""The feeds of routes over HTTP: `/feeds/<route id>.geojson` and `.atom`, for whoever has the token of the route."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Final

from aiohttp import web
from redis.exceptions import RedisError

from alerts.audit import viewed
from alerts.formats import atom, geojson
from schemas.audit import AuditEvent, AuditSubject, SubjectKind
from schemas.base import Clock
from schemas.routes import FeedSink, Route, RoutesFileError, secret
from streams.metrics import Metrics
from streams.sinks.feed import Feed, FeedStore

log = logging.getLogger(__name__)

SHORTEST_TOKEN: Final = 24
#: Who cannot be served comes again after this, seconds.
_COME_AGAIN_S: Final = 30
_FORMATS: Final = {"geojson": geojson.CONTENT_TYPE, "atom": atom.CONTENT_TYPE}

Audit = Callable[[AuditEvent], Awaitable[None]]
"""Returns when the event is in the trail."""


@dataclass(frozen=True, slots=True)
class _Desk:
    """One feed, and who may read it."""

    route_id: str
    title: str
    public_url: str
    kept: timedelta
    token: bytes | None = field(repr=False)
    """Its SHA-256; None where anybody may read."""

    def lets_in(self, authorization: str) -> bool:
        """Whether the header of a request names the token. Takes as long for any that does not."""
        if self.token is None:
            return True
        scheme, _, given = authorization.partition(" ")
        same = hmac.compare_digest(_digest(given.strip()), self.token)
        return same and scheme.lower() == "bearer"


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _desk(route: Route, sink: FeedSink, environment: Mapping[str, str]) -> _Desk:
    token = None
    if sink.token_env is not None:
        value = secret(sink.token_env, route.id, environment)
        if len(value) < SHORTEST_TOKEN or not (value.isascii() and value.isprintable()) or " " in value:
            raise RoutesFileError(
                f"The token in {sink.token_env} is too short, or cannot stand in a header: "
                f"{SHORTEST_TOKEN} characters at least, without spaces."
            )
        token = _digest(value)
    return _Desk(route.id, sink.title, sink.public_url, timedelta(hours=sink.keep_ended_hours), token)


class FeedPages:
    """Serves every feed of the installation from Redis, whichever worker has its route."""

    def __init__(
        self,
        routes: Iterable[Route],
        environment: Mapping[str, str],
        store: FeedStore,
        audit: Audit,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        """Raises RoutesFileError for a token that is missing or cannot be used."""
        self._desks = {
            route.id: _desk(route, route.sink, environment) for route in routes if isinstance(route.sink, FeedSink)
        }
        self._store, self._audit, self._metrics, self._clock = store, audit, metrics, clock

    async def serve(self, request: web.Request) -> web.Response:
        """One request for `/feeds/{name}`."""
        route_id, _, form = request.match_info["name"].rpartition(".")
        desk = self._desks.get(route_id)
        if desk is None or form not in _FORMATS:
            return web.Response(text="There is no such feed.\n", status=404)
        response = await self._answer(request, desk, form)
        self._metrics.feed_requests.labels(route_id, str(response.status)).inc()
        return response

    async def _answer(self, request: web.Request, desk: _Desk, form: str) -> web.Response:
        if not desk.lets_in(request.headers.get("Authorization", "")):
            headers = {"WWW-Authenticate": 'Bearer realm="hotspot"'}
            return web.Response(text="This feed needs its token.\n", status=401, headers=headers)
        now = self._clock()
        try:
            feed = await self._store.read(desk.route_id, desk.kept, now)
        except (RedisError, OSError):
            return _not_now("Redis does not answer, so what is current is not known.")
        if feed is None:
            return _not_now("This feed is not filled yet: nothing here must look like calm.")
        if desk.token is not None:
            try:
                await self._audit(_access(desk.route_id, now))
            except Exception:  # whatever it is, what cannot be recorded is not shown
                log.exception("an access to feed %s cannot be recorded", desk.route_id)
                return _not_now("The access cannot be recorded, so nothing is shown.")
        return _page(request, desk, form, feed)


def _access(route_id: str, now: datetime) -> AuditEvent:
    """Readers have no accounts: whoever has the token of a route reads in its name."""
    subject = AuditSubject(kind=SubjectKind.FEED, id=route_id)
    return viewed(subject, "feed", now, actor=f"reader@{route_id}", nonce=token_hex(8))


def _page(request: web.Request, desk: _Desk, form: str, feed: Feed) -> web.Response:
    body = _body(desk, form, feed)
    tag = hashlib.sha256(body).hexdigest()[:32]
    changed_at = feed.changed_at.replace(microsecond=0)
    response = web.Response(body=body, content_type=_FORMATS[form])
    if _is_known(request, tag, changed_at):
        response = web.Response(status=304)
    response.etag = tag
    response.last_modified = changed_at
    # Intermediaries may not keep what is marked; readers ask each time, and mostly hear that nothing changed.
    response.headers["Cache-Control"] = "public, max-age=60" if desk.token is None else "private, no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def _is_known(request: web.Request, tag: str, changed_at: datetime) -> bool:
    """Whether the reader has this already (RFC 9110, 13.2.2: tags come before times)."""
    tags = request.if_none_match
    if tags is not None:
        return any(known.value in (tag, "*") for known in tags)
    since = request.if_modified_since
    return since is not None and changed_at <= since


def _body(desk: _Desk, form: str, feed: Feed) -> bytes:
    if form == "geojson":
        return geojson.geojson(feed.told)
    href = f"{desk.public_url}/feeds/{desk.route_id}.atom" if desk.public_url else ""
    return atom.atom(feed.told, desk.route_id, desk.title, href, feed.changed_at)


def _not_now(sentence: str) -> web.Response:
    return web.Response(text=f"{sentence}\n", status=503, headers={"Retry-After": str(_COME_AGAIN_S)})
