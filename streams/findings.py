"""Tells what the steps of regions came to: alerts and that they were published, reports of looks, metrics."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from alerts.audit import delivered
from alerts.monitor import LookOutcome, RegionMonitor
from schemas.alert import AlertEvent, LookReports
from schemas.base import Clock
from schemas.feeds import FeedProblem
from schemas.region import RegionFile
from streams.audit import Record, Send
from streams.metrics import Metrics
from streams.topics import Topics

log = logging.getLogger(__name__)

LOOKS_A_MESSAGE = 500


class Standing(NamedTuple):
    """How a region stands after a step."""

    episodes: int
    mutes: int
    calibrated_at: int | None
    fitted_at: int | None
    wrong: frozenset[tuple[str, FeedProblem]]
    """Sources, and what is wrong with them."""

    @classmethod
    def of(cls, monitor: RegionMonitor) -> Standing:
        """That of a region in whose thread this is called."""
        calibration, baseline = monitor.calibration, monitor.detector.baseline
        return cls(
            len(monitor.episodes),
            len(monitor.mutes()),
            None if calibration is None else calibration.made_at,
            None if baseline is None else baseline.fitted_at,
            frozenset((notice.source, notice.problem) for notice in monitor.notices()),
        )


class Findings:
    """Where the findings of all regions of a worker go."""

    def __init__(self, topics: Topics, send: Send, record: Record, metrics: Metrics, clock: Clock) -> None:
        self._topics, self._send, self._record = topics, send, record
        self._metrics, self._clock = metrics, clock
        self._reports = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hotspot-reports")
        self.alert_latencies_ms: deque[float] = deque(maxlen=10_000)

    def stop(self) -> None:
        """Wait for the report that is being made and end its thread."""
        self._reports.shutdown(wait=True, cancel_futures=True)

    async def publish(self, outbox: list[AlertEvent]) -> None:
        """Publish alerts, each on record before. Returns when the broker has them."""
        recipient = f"topic/{self._topics.alerts}"
        await self._record(*(delivered(event, recipient, self._clock()) for event in outbox))
        sent = [
            await self._send(self._topics.alerts, event.subject.encode(), event.model_dump_json().encode())
            for event in outbox
        ]
        await asyncio.gather(*sent)

    async def report(self, monitor: RegionMonitor, looks: list[LookOutcome]) -> list[Awaitable[Any]]:
        """Tell what looks found, alert or not. What is returned ends when the broker has it."""
        region, topic = monitor.region.id, self._topics.detections
        found = [look for look in looks if look.found]
        sent = []
        for start in range(0, len(found), LOOKS_A_MESSAGE):
            some = found[start : start + LOOKS_A_MESSAGE]
            report = await asyncio.get_running_loop().run_in_executor(self._reports, _report, monitor, some)
            sent.append(await self._send(topic, region.encode(), report))
        return sent

    def observe(
        self,
        region: RegionFile,
        looks: list[LookOutcome],
        standing: Standing,
        outbox: list[AlertEvent],
        published_ms: int,
    ) -> None:
        """Put a step into the metrics. `published_ms`: when the newest of its batches was published, or 0."""
        metrics = self._metrics
        metrics.looks.labels(region.id).inc(len(looks))
        metrics.episodes_open.labels(region.id).set(standing.episodes)
        metrics.mutes_active.labels(region.id).set(standing.mutes)
        for look in looks:
            for taken in look.feedback:
                metrics.feedback.labels(region.id, taken.result.value).inc()
                log.info("feedback on episode %s: %s", taken.episode_id, taken.result.value)
        if standing.calibrated_at is not None:
            metrics.calibrated.labels(region.id).set(standing.calibrated_at)
        if standing.fitted_at is not None:
            metrics.baseline_fitted.labels(region.id).set(standing.fitted_at)
        if looks:
            for source in region.sources:
                for problem in FeedProblem:
                    metrics.feed_problem.labels(source.id, problem.value).set((source.id, problem) in standing.wrong)
        for event in outbox:
            metrics.alerts.labels(region.id, event.data.reason.value).inc()
            if published_ms:
                latency_s = max(0.0, time.time() - published_ms / 1000)
                metrics.alert_latency.observe(latency_s)
                self.alert_latencies_ms.append(latency_s * 1000)


def _report(monitor: RegionMonitor, looks: list[LookOutcome]) -> bytes:
    return LookReports(region=monitor.region.id, looks=tuple(monitor.reports(looks))).model_dump_json().encode()
