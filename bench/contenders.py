"""What is compared with what, each in a process of its own: a stock Faust agent, and a worker of this system.

`python -m bench.contenders stock|worker ARGUMENTS` prints one line of JSON: records and seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import faust
import uvloop

from bench.messages import hampshire
from schemas.located import Kind
from schemas.settings import Settings
from streams.app import Worker
from streams.fetch import Fetch, FetchConsumer

DEADLINE_S: Final = 300.0


async def stock(settings: Settings, records: int) -> dict[str, float]:
    """An agent of Faust as it comes, which iterates raw bytes and does nothing: from its first message to its last."""
    app = faust.App(
        f"{settings.prefix}-stock", broker=f"kafka://{settings.bootstrap}", store="memory://", web_enabled=False
    )
    source = app.topic(f"{settings.prefix}.ed.attendances", f"{settings.prefix}.police.incidents", value_type=bytes)
    began = ended = 0.0
    done = asyncio.Event()

    async def iterate(stream: Any) -> None:
        nonlocal began, ended
        seen = 0
        async for _ in stream:
            if not seen:
                began = time.perf_counter()
            seen += 1
            if seen == records:
                ended = time.perf_counter()
                done.set()

    app.agent(source, name="iterate")(iterate)
    await app.start()
    await asyncio.wait_for(done.wait(), DEADLINE_S)
    await app.stop()
    return {"records": records, "seconds": ended - began}


async def worker(settings: Settings, records: int) -> dict[str, float]:
    """A worker: from the first fetch that its ingest is given until the offsets behind the last state are committed."""
    running = Worker(settings, [hampshire()])
    began = 0.0
    ingest = running.ingest.handle

    async def handle(kind: Kind, fetch: Fetch) -> None:
        nonlocal began
        began = began or time.perf_counter()
        await ingest(kind, fetch)

    running.ingest.handle = handle  # type: ignore[method-assign]
    await running.start()
    await _until(lambda: running.failure is not None or running.accounting.settled >= records)
    consumer = running.faust.consumer
    await _until(lambda: running.failure is not None or _committed(consumer))
    ended = time.perf_counter()
    if running.failure is not None:
        raise running.failure
    outcomes = running.accounting.outcomes
    await running.stop()
    return {"records": records, "seconds": ended - began, **outcomes}


def _committed(consumer: FetchConsumer) -> bool:
    return all(consumer._committed_offset[tp] == offset for tp, offset in consumer._committable.items())


async def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {DEADLINE_S:.0f} s")
        await asyncio.sleep(0.01)


def main() -> None:
    """Run one contender."""
    name, text, records = sys.argv[1:]
    settings = Settings.model_validate_json(text)
    contenders: dict[str, Callable[[Settings, int], Awaitable[dict[str, float]]]] = {"stock": stock, "worker": worker}
    contender = contenders[name](settings, int(records))
    # Faust as it comes runs on the event loop of Python; a worker of ours on uvloop, as `hotspot worker` does.
    found = asyncio.run(contender) if name == "stock" else uvloop.run(contender)  # type: ignore[arg-type]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
