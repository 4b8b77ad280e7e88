"""Nothing holds the event loop for long, and a worker that is told to stop does so inside its deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.located import Kind
from schemas.settings import Settings
from streams import app
from streams.accounting import Accounting
from streams.desks import Registry
from streams.express import PIECE
from streams.fetch import Fetch
from streams.ingest_agent import Ingest
from streams.metrics import Metrics
from tests.builders import NOW, hampshire, police_event, raw
from tests.running import Installation, running_worker, until

LONGEST_S = 0.05
#: Digits that only the contract can tell from a person's: as slow as an event that is accepted can be.
SLOW = {"category": "8N, art. 123", "location_type": "room 4-5-6"}


def fetch(values: Sequence[bytes]) -> Fetch:
    records = [
        SimpleNamespace(topic="police", partition=0, key=b"k", value=value, headers=(), offset=n, timestamp=0)
        for n, value in enumerate(values)
    ]
    return Fetch("police", 0, tuple(records))


def ingest() -> Ingest:
    async def send(topic: str, key: bytes | None, value: bytes, headers: Any = ()) -> Awaitable[Any]:
        return asyncio.sleep(0)

    return Ingest(Settings(), Registry([hampshire()]), lambda: NOW, send, Accounting(Metrics()))


async def longest_pause(agent: Ingest, values: Sequence[bytes]) -> float:
    """While a fetch is taken in, the longest work that somebody else has to wait for on the event loop, seconds.

    In processor time of its thread, for other processes also make one wait, and a test must not judge those.
    """
    pauses = [0.0]

    async def wait() -> None:
        while True:
            asked = time.thread_time()
            await asyncio.sleep(0)
            pauses.append(time.thread_time() - asked)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    await (await agent.handle(Kind.POLICE, [fetch(values)]))
    waiting.cancel()
    return max(pauses)


EVENTS = [police_event(record_id=f"P-{number}", **SLOW) for number in range(6 * PIECE)]
ELSEWHERE = [
    police_event(record_id=f"P-{number}", place={"longitude": 2.0, "latitude": 48.0}) for number in range(2 * PIECE)
]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([raw(event) for event in EVENTS], id="single messages"),
        pytest.param([raw(EVENTS[: 4 * PIECE])], id="one batch"),
        pytest.param([raw(event) for event in ELSEWHERE], id="places elsewhere"),
        pytest.param([b"<poison/>"] * 2 * PIECE, id="poison"),
    ],
)
async def test_a_fetch_that_the_contract_must_judge_does_not_hold_the_event_loop(values: list[bytes]) -> None:
    agent = ingest()
    await longest_pause(agent, values)  # compiles
    assert min([await longest_pause(agent, values) for _ in range(3)]) < LONGEST_S


async def test_pauses_of_the_event_loop_are_measured(embedded: Installation) -> None:
    async with running_worker(embedded.settings(), hampshire()) as worker:

        def seen(bound: str) -> float:
            found = worker.metrics.registry.get_sample_value("hotspot_event_loop_pause_seconds_bucket", {"le": bound})
            return found or 0.0

        await until(lambda: seen("+Inf") > 0, "the event loop was watched")
        before = seen("+Inf") - seen("0.1")
        time.sleep(0.3)  # noqa: ASYNC251  # this is what must be seen
        await until(lambda: seen("+Inf") - seen("0.1") > before, "the pause was seen")


async def test_a_worker_stops_inside_its_deadline_whatever_its_kernels_do(
    embedded: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = app.Worker(embedded.settings(), [hampshire()])
    await worker.start()
    worker.monitoring._kernels.submit(time.sleep, 6)
    monkeypatch.setattr(app, "STOP_S", 2.0)
    began = time.monotonic()
    assert not await worker.stop()
    assert time.monotonic() - began < 4.0


async def test_a_worker_at_rest_stops_in_time(embedded: Installation) -> None:
    worker = app.Worker(embedded.settings(), [hampshire()])
    await worker.start()
    assert await worker.stop()


async def test_a_worker_told_to_stop_as_it_starts_has_not_failed(
    embedded: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = app.Worker(embedded.settings(), [hampshire()])
    transport: Any = worker.faust.transport
    half_way = asyncio.Event()

    async def interrupted(owner: Any, client: Any, topic: str, *more: Any, **options: Any) -> None:
        half_way.set()
        await until(lambda: bool(worker.faust.should_stop), "the worker was stopped")
        # Another that waits for the same topic is cancelled by that; what waits here then meets an invalid state.
        transport._topic_waiters[topic].fut.cancel()

    monkeypatch.setattr(transport, "_really_create_topic", interrupted)
    starting = asyncio.create_task(worker.start())
    await asyncio.wait_for(half_way.wait(), 90)
    assert await worker.stop()
    await asyncio.wait_for(starting, 10)
    assert worker.failure is None


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6])
async def test_a_worker_told_to_stop_at_any_moment_of_its_start_begins_nothing_more(
    embedded: Installation, after_s: float
) -> None:
    worker = app.Worker(embedded.settings(), [hampshire()])
    starting = asyncio.create_task(worker.start())
    await asyncio.sleep(after_s)
    assert await worker.stop()
    await asyncio.wait_for(starting, 10)
    await asyncio.sleep(0.3)
    assert worker.failure is None
    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks()}  # type: ignore[union-attr]  # there are no others
    assert not {name for name in names if name.startswith(("EpisodesSink", "Worker", "RouteReader"))}
