"""The routes of an installation and nothing else, as a process that a test can kill."""

from __future__ import annotations

import asyncio
import os

from schemas.base import utc_now
from schemas.routes import load_routes
from schemas.settings import load_settings
from streams.deliveries import Deliveries
from streams.metrics import Metrics
from tests.builders_delivery import discloser


async def _run() -> None:
    settings = load_settings()
    assert settings.routes is not None
    disclosers = {"hampshire": discloser()}
    deliveries = Deliveries(settings, load_routes(settings.routes), os.environ, disclosers.get, Metrics(), utc_now)
    await deliveries.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_run())
