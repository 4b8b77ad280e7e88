"""The worker's HTTP side: /metrics, /livez, /readyz and a page of current episodes for operations, and the feeds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis.exceptions import RedisError

from schemas.alert import Alert
from schemas.base import ToldError
from streams.feed_pages import FeedPages
from streams.metrics import Metrics
from streams.page import episodes_page


class ListenError(ToldError, RuntimeError):
    """An address that cannot be listened on; the message is one sentence for operations staff."""


class HealthServer:
    """Serves metrics, probes and feeds. /livez depends on nothing; /readyz asks `unready` for what is still missing."""

    def __init__(
        self,
        host: str,
        port: int,
        metrics: Metrics,
        unready: Callable[[], str | None],
        episodes: Callable[[], Awaitable[Sequence[Alert]]],
        feeds: FeedPages,
    ) -> None:
        self._host, self._port = host, port
        self._episodes, self._feeds = episodes, feeds
        self._metrics = metrics
        self._unready = unready
        self._runner: web.AppRunner | None = None
        self.port = port

    async def start(self) -> None:
        """Listen. Raises ListenError when the address cannot be had."""
        app = web.Application()
        app.router.add_get("/", self._page)
        app.router.add_get("/metrics", self._serve_metrics)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/feeds/{name}", self._feeds.serve)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            address = f"{self._host}:{self._port}"
            raise ListenError(f"Nothing can listen on {address} (HOTSPOT_METRICS_HOST, _PORT): {error}.") from None
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _page(self, _: web.Request) -> web.Response:
        try:
            alerts = await self._episodes()
        except (RedisError, OSError):
            return web.Response(text="Redis does not answer, so the current episodes are not known.\n", status=503)
        return web.Response(text=episodes_page(alerts), content_type="text/html")

    async def _serve_metrics(self, _: web.Request) -> web.Response:
        text = generate_latest(self._metrics.registry)
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._unready()
        return web.Response(text="ready\n") if missing is None else web.Response(text=f"{missing}\n", status=503)
