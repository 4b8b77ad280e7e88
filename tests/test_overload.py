"""A burst far beyond what a worker can do: what waits stays on the broker, the lag says so, and all is caught up."""

from __future__ import annotations

import resource
import time
from typing import NamedTuple

import pytest

from schemas.settings import Settings
from streams.app import AHEAD, Worker
from streams.topics import Topics
from tests.builders import hampshire
from tests.running import Installation, publish, running_worker, until
from tests.test_stream import incident, raw

pytestmark = [pytest.mark.connected, pytest.mark.timeout(600)]
#: Published in a second or two, which is far more than a worker takes in as single messages.
BURST = 120_000
GROWTH_MB = 250


class Sample(NamedTuple):
    """What can be seen of a worker at one moment."""

    at: float
    lag_s: float
    behind: float
    handed_out: int
    memory_mb: float


def sample(worker: Worker, settings: Settings) -> Sample:
    now = time.time()
    police = Topics(settings.prefix).police
    worker.rounds.observe(worker.metrics, worker.faust.fetch_topics, worker.faust.monitor, now)
    consumer = worker.faust.consumer
    return Sample(
        now,
        worker.metrics.lag_seconds.labels(police)._value.get(),
        worker.metrics.lag_records.labels(police)._value.get(),
        max((len(fetches) for fetches in consumer._handed_out.values()), default=0),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


async def test_a_burst_waits_on_the_broker_and_is_caught_up(native: Installation) -> None:
    settings = native.settings(producer_batch_bytes=16_384, session_timeout_s=20)
    police = Topics(settings.prefix).police
    messages = [(f"P{n}".encode(), raw(incident(n))) for n in range(BURST)]
    publish(settings, police, [(b"first", raw(incident(BURST)))])
    seen: list[Sample] = []
    async with running_worker(settings, hampshire()) as worker:
        await until(lambda: worker.accounting.settled >= 1, "the worker is at work")
        before = sample(worker, settings)
        begun = time.time()
        publish(settings, police, messages)
        ended = time.time()

        def done() -> bool:
            seen.append(sample(worker, settings))
            return worker.accounting.settled > BURST

        await until(done, "all is caught up", 300.0)
        assert worker.accounting.outcomes["located"] == BURST + 1
        await until(lambda: sample(worker, settings).lag_s == 0 == sample(worker, settings).behind, "no lag is left")

    # back-pressure: at most what an agent has under way and its buffer hold has left the broker, of each partition
    assert max(one.handed_out for one in seen) <= AHEAD + worker.faust.conf.stream_buffer_maxsize + 2
    assert max(one.memory_mb for one in seen) - before.memory_mb < GROWTH_MB
    # honest: while something of the burst is at work, the lag is the age of a message of the burst
    lags = [one for one in seen if one.lag_s > 0]
    assert lags
    for one in lags:
        assert max(0.0, one.at - ended) - 1.0 <= one.lag_s <= one.at - begun + 1.0
    assert max(one.behind for one in seen) > 1000
