"""What is compared with what, each in a process of its own: a stock Faust agent, and a worker of this system.

`python -m bench.contenders stock|worker ARGUMENTS` prints one line of JSON: records and seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import faust
import uvloop
from confluent_kafka import Consumer, TopicPartition
from faust.types import TP

from bench.messages import hampshire
from schemas.located import Kind
from schemas.settings import Settings
from streams.app import Worker
from streams.fetch import Fetch

DEADLINE_S: Final = 120.0


async def stock(settings: Settings, records: int) -> dict[str, float]:
    """An agent of Faust as it comes, which iterates raw bytes and does nothing: from its first message to its last."""
    app = faust.App(
        f"{settings.prefix}-stock", broker=f"kafka://{settings.bootstrap}", store="memory://", web_enabled=False
    )
    source = app.topic(f"{settings.prefix}.ed.attendances", f"{settings.prefix}.police.incidents", value_type=bytes)
    began = ended = busy = 0.0
    done = asyncio.Event()

    async def iterate(stream: Any) -> None:
        nonlocal began, ended, busy
        seen = 0
        async for _ in stream:
            if not seen:
                began, busy = time.perf_counter(), time.process_time()
            seen += 1
            if seen == records:
                ended, busy = time.perf_counter(), time.process_time() - busy
                done.set()

    app.agent(source, name="iterate")(iterate)
    await app.start()
    await asyncio.wait_for(done.wait(), DEADLINE_S)
    await app.stop()
    return {"records": records, "seconds": ended - began, "busy": busy}


async def worker(settings: Settings, records: int) -> dict[str, float]:
    """A worker: from the first fetch that its ingest is given until the offsets behind the last state are committed."""
    running = Worker(settings, [hampshire()])
    began = busy = 0.0
    ingest = running.ingest.handle

    async def handle(kind: Kind, fetches: Sequence[Fetch]) -> Awaitable[Any]:
        nonlocal began, busy
        if not began:
            began, busy = time.perf_counter(), time.process_time()
        return await ingest(kind, fetches)

    running.ingest.handle = handle  # type: ignore[method-assign]
    await running.start()
    try:
        await _until(lambda: running.failure is not None or running.accounting.settled >= records)
        await _until(lambda: running.failure is not None or _all_committed(running))
    except TimeoutError as error:
        raise TimeoutError(f"{error}: {_standing(running, records)}") from error
    ended, busy = time.perf_counter(), time.process_time() - busy
    if running.failure is not None:
        raise running.failure
    outcomes = running.accounting.outcomes
    await running.stop()
    return {"records": records, "seconds": ended - began, "busy": busy, **outcomes}


def _all_committed(running: Worker) -> bool:
    """Whether the group has committed the ends of the source topics and of the located topic."""
    topics = running.topics
    committed = running.faust.consumer._committed_offset
    return all(
        (committed.get(tp) or 0) == end for tp, end in _ends(running, (topics.ed, topics.police, topics.located))
    )


def _standing(running: Worker, records: int) -> str:
    """How far a worker has come that did not come to the end."""
    topics, consumer = running.topics, running.faust.consumer
    read, committed = consumer._read_offset, consumer._committed_offset
    partitions = [
        f"{tp.topic} {tp.partition} read to {read.get(tp)}, committed to {committed.get(tp)} of {end}"
        for tp, end in _ends(running, (topics.ed, topics.police, topics.located))
    ]
    settled = f"{running.accounting.settled} of {records} records settled {dict(running.accounting.outcomes)}"
    return f"{settled}; {running.unready() or 'ready'}; {'; '.join(partitions)}"


def _ends(running: Worker, topics: Iterable[str]) -> Iterator[tuple[TP, int]]:
    client = Consumer({"bootstrap.servers": running.settings.bootstrap, "group.id": "bench"})
    for topic in topics:
        for partition in client.list_topics(topic, timeout=10).topics[topic].partitions:
            yield TP(topic, partition), client.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)[1]
    client.close()


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
    contender = _or_end(contenders[name](settings, int(records)))
    # Faust as it comes runs on the event loop of Python; a worker of ours on uvloop, as `hotspot worker` does.
    found = asyncio.run(contender) if name == "stock" else uvloop.run(contender)
    print(json.dumps(found))


async def _or_end(contender: Awaitable[dict[str, float]]) -> dict[str, float]:
    """A contender that fails leaves Faust's threads behind, which would keep the process alive."""
    try:
        return await contender
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    main()
