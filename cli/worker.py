"""`hotspot worker`: the agents against configured servers, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Sequence

import click
import uvloop

from cli.logs import structured_logs
from schemas.region import RegionFile, load_region
from schemas.routes import RoutesFile, load_routes
from schemas.settings import Settings, load_settings
from streams.app import Worker


@click.command()
def worker() -> None:
    """Run the agents against the servers that HOTSPOT_* environment variables name.

    \b
    Example:
      HOTSPOT_BOOTSTRAP=kafka:9092 HOTSPOT_REDIS_URL=redis://redis:6379/0 \\
      HOTSPOT_REGIONS=regions/hampshire.toml hotspot worker
    """
    structured_logs()
    settings = load_settings()
    regions = [load_region(path) for path in settings.regions]
    routes = load_routes(settings.routes) if settings.routes else None
    uvloop.run(_serve(settings, regions, routes))


async def _serve(settings: Settings, regions: Sequence[RegionFile], routes: RoutesFile | None) -> None:
    running = Worker(settings, regions, routes=routes, environment=os.environ)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.stopped.set)
    starting, told = asyncio.create_task(running.start()), asyncio.create_task(running.stopped.wait())
    await asyncio.wait({starting, told}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        await told
    stopped = await running.stop()
    # All is written and closed. Threads still at work, with a calibration or with what a stop had to leave, and tasks
    # of Faust's that ignore that they are cancelled, would keep the process for long: alive, and at nothing.
    logging.shutdown()
    os._exit(0 if running.failure is None and stopped else 1)
