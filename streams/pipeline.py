"""What the agents do with each fetch: ingest, monitor, deliver. The Faust app hands them events and nothing else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError
from redis.exceptions import RedisError

from alerts.audit import delivered, said_by
from alerts.monitor import LOOKS_AT_ONCE, LookOutcome, RegionMonitor, Tally
from processors.warm import warm_up
from schemas.alert import AlertEvent, LookReports, alert_event
from schemas.base import Clock
from schemas.deadletter import DeadLetter
from schemas.feedback import Feedback
from schemas.feeds import FeedProblem
from schemas.layers import LayerSettings
from schemas.located import LOCATED, Kind
from schemas.settings import Settings
from streams.accounting import Accounting
from streams.audit import Record, Send
from streams.codec import Rejected
from streams.episodes_store import EpisodeStore
from streams.feedback import parse_feedback
from streams.fetch import Fetch
from streams.ingest import Intake, RawMessage, Registry, take_in
from streams.located import LocatedBatch, said
from streams.state import RegionState
from streams.topics import Topics

log = logging.getLogger(__name__)
T = TypeVar("T")

#: A fetch that was published longer ago than this is backlog: it is applied, and looked at when the backlog is done.
BACKLOG_S = 2.0
LOOKS_A_MESSAGE = 500
_EMPTY = np.empty(0, dtype=LOCATED)
RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)


class Ingest:
    """Source topics to located batches and dead letters."""

    def __init__(
        self, settings: Settings, registry: Registry, clock: Clock, send: Send, accounting: Accounting
    ) -> None:
        self._settings, self._registry, self._clock = settings, registry, clock
        self._send, self._accounting = send, accounting
        self._topics = Topics(settings.prefix)
        self._metrics = accounting.metrics
        self._latest: dict[str, float] = {}

    async def handle(self, kind: Kind, fetch: Fetch) -> None:
        """One fetch of a source topic. Returns when the broker has all that came of it."""
        now = self._clock()
        intake = take_in(
            kind,
            [RawMessage(record.value, record.headers) for record in fetch.records],
            self._registry,
            now,
            max_bytes=self._settings.max_message_bytes,
            tolerance_s=self._settings.future_tolerance_s,
        )
        pending = []
        for refusal in intake.refusals:
            pending.append(await self._bury(fetch, fetch.records[refusal.position], refusal.rejected))
            self._accounting.reject(kind, refusal.rejected.reason.value)
        published_ms = max(record.timestamp for record in fetch.records)
        for region in sorted(intake.heard):
            batch = LocatedBatch(
                intake.rows.get(region, _EMPTY),
                (int(kind), fetch.partition),
                intake.watermark_us,
                int(now.timestamp() * 1_000_000),
                published_ms,
            )
            pending.append(await self._send(self._topics.located, region.encode(), batch.to_bytes()))
        await asyncio.gather(*pending)
        self._observe(intake)

    async def take_feedback(self, fetch: Fetch) -> None:
        """One fetch of the feedback topic: each goes into the order of its region, or is a dead letter."""
        pending = []
        for record in fetch.records:
            found = parse_feedback(record.value, self._registry.desks, self._settings.max_message_bytes)
            if isinstance(found, Rejected):
                pending.append(await self._bury(fetch, record, found))
                self._accounting.refuse_feedback(found.reason.value)
                continue
            now_us = int(self._clock().timestamp() * 1_000_000)
            batch = said(found.data.model_dump_json().encode(), now_us)
            pending.append(await self._send(self._topics.located, found.data.region.encode(), batch.to_bytes()))
        await asyncio.gather(*pending)

    async def _bury(self, fetch: Fetch, record: Any, rejected: Rejected) -> Awaitable[Any]:
        letter = DeadLetter(
            reason=rejected.reason,
            detail=rejected.detail[:300],
            origin_topic=fetch.topic,
            origin_partition=fetch.partition,
            origin_offset=record.offset,
            rejected_at=self._clock(),
        )
        headers = [*record.headers, *letter.headers()]
        return await self._send(self._topics.deadletter, record.key, rejected.raw, headers)

    def _observe(self, intake: Intake) -> None:
        for source, observed in intake.observed.items():
            self._latest[source] = max(observed.latest, self._latest.get(source, 0.0))
            self._metrics.last_record.labels(source).set(self._latest[source])
            reporting_delay = self._metrics.reporting_delay.labels(source)
            for delay_s in observed.delays_s:
                reporting_delay.observe(delay_s)


@dataclass(slots=True)
class _Held:
    """A region in this worker's hands."""

    monitor: RegionMonitor
    next_offset: int
    """Of the located partition: what lies before it is in the monitor."""
    layers_day: int = 0
    """The local day whose map layers were last sent."""


class Monitoring:
    """Located batches to state, detections and alerts. Owns the regions of the partitions assigned to this worker."""

    def __init__(
        self,
        settings: Settings,
        build: Callable[[str], RegionMonitor | None],
        send: Send,
        flush: Callable[[], Awaitable[None]],
        accounting: Accounting,
        record: Record,
        clock: Clock,
    ) -> None:
        self._build, self._send, self._flush, self._accounting = build, send, flush, accounting
        self._record, self._clock = record, clock
        self._replay = settings.clock == "replay"
        self._topics = Topics(settings.prefix)
        self._metrics = accounting.metrics
        self._kernels = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hotspot-kernels")
        self._held: dict[str, _Held] = {}
        self.alert_latencies_ms: deque[float] = deque(maxlen=10_000)

    async def warm_up(self) -> None:
        """Compile the kernels before the worker joins its group: compiling takes longer than a session lasts."""
        await self._in_kernel_thread(warm_up)

    async def handle(self, fetch: Fetch, state: RegionState) -> None:
        """One fetch of the located topic. Returns when its state is in the changelog and its alerts on their topic."""
        by_region: dict[str, list[Any]] = {}
        for record in fetch.records:
            by_region.setdefault(record.key.decode(), []).append(record)
        for region, records in by_region.items():
            held = await self._claim(region, state)
            if held is None:
                continue
            batches = [LocatedBatch.from_bytes(record.value) for record in records if record.offset >= held.next_offset]
            if batches:
                held.next_offset = records[-1].offset + 1
                await self._advance(region, held, batches, state)

    async def _claim(self, region: str, state: RegionState) -> _Held | None:
        """A region as this worker holds it, restored from its state at first; None if no file describes it."""
        if region in self._held:
            return self._held[region]
        monitor = self._build(region)
        if monitor is None:
            log.error("located batch for region %s, which no region file describes", region)
            return None
        saved = state.load(region)
        if saved.parts:
            await self._in_kernel_thread(lambda: monitor.restore(saved.parts))
            await self._publish(saved.outbox)
        held = self._held[region] = _Held(monitor, saved.next_offset)
        if saved.parts and self._replay:
            await self._advance(region, held, [], state)  # looks that were due when the last holder ended
        return held

    @property
    def regions(self) -> Mapping[str, RegionMonitor]:
        """The regions that this worker has heard of since the last rebalance."""
        return {region: held.monitor for region, held in self._held.items()}

    def release(self) -> None:
        """Forget all regions: after a rebalance they may be another worker's, and are restored when they are not."""
        self._held.clear()

    def stop(self) -> None:
        """Wait for the kernels and stop their thread."""
        self._kernels.shutdown(wait=True)

    async def _advance(self, region: str, held: _Held, batches: list[LocatedBatch], state: RegionState) -> None:
        published_ms = max((batch.published_ms for batch in batches), default=0)
        more = True
        while more:
            more = await self._step(region, held, batches, published_ms, state)
            batches = []

    async def _step(
        self, region: str, held: _Held, batches: list[LocatedBatch], published_ms: int, state: RegionState
    ) -> bool:
        monitor = held.monitor
        started = time.perf_counter()
        tally, looks, parts = await self._in_kernel_thread(lambda: self._work(monitor, batches))
        self._metrics.apply_seconds.labels(region).observe(time.perf_counter() - started)
        outbox = [alert_event(alert) for look in looks for alert in look.alerts]
        # Before the state that it led to: a crash may have it recorded twice, with one event id, and never not at all.
        await self._record(*(said_by(Feedback.model_validate_json(batch.said)) for batch in batches if batch.said))
        state.save(region, parts, outbox, held.next_offset)
        await self._flush()
        await self._publish(outbox)
        await self._report(region, looks)
        if looks and not self._replay:
            await self._send_layers(region, held)
        self._accounting.settle(tally)
        self._observe(region, monitor, looks, outbox, published_ms)
        return len(looks) >= LOOKS_AT_ONCE

    def _work(
        self, monitor: RegionMonitor, batches: list[LocatedBatch]
    ) -> tuple[Tally, list[LookOutcome], dict[str, bytes]]:
        newest_s = max((batch.received_us for batch in batches), default=0) // 1_000_000
        for batch in batches:
            if batch.said:
                monitor.feedback(Feedback.model_validate_json(batch.said))
        inputs = [(batch.rows, batch.input, batch.watermark_us) for batch in batches if not batch.is_tick]
        if not self._replay and self._is_backlog(batches):
            tally: Tally = Tally()
            for rows, _, _ in inputs:
                tally.update(monitor.apply(rows))
            looks: list[LookOutcome] = []
        else:
            tally, looks = monitor.advance(inputs, newest_s)
        return tally, looks, monitor.snapshot()

    def _is_backlog(self, batches: Iterable[LocatedBatch]) -> bool:
        # A tick, or anything fresh among the batches, means that the newest moment has been reached: look.
        fresh_ms = (time.time() - BACKLOG_S) * 1000
        return all(not batch.is_tick and batch.published_ms < fresh_ms for batch in batches)

    async def _publish(self, outbox: list[AlertEvent]) -> None:
        recipient = f"topic/{self._topics.alerts}"
        await self._record(*(delivered(event, recipient, self._clock()) for event in outbox))
        sent = [
            await self._send(self._topics.alerts, event.subject.encode(), event.model_dump_json().encode())
            for event in outbox
        ]
        await asyncio.gather(*sent)

    async def _report(self, region: str, looks: list[LookOutcome]) -> None:
        reports = [look.report for look in looks if look.report is not None]
        for start in range(0, len(reports), LOOKS_A_MESSAGE):
            message = LookReports(region=region, looks=tuple(reports[start : start + LOOKS_A_MESSAGE]))
            await (await self._send(self._topics.detections, region.encode(), message.model_dump_json().encode()))

    async def _send_layers(self, region: str, held: _Held) -> None:
        """The map layers, once a day: on the first look of it."""
        day = held.monitor.detector.local.day(held.monitor.last_look)
        if day == held.layers_day:
            return
        held.layers_day = day
        for message in await self._in_kernel_thread(lambda: list(held.monitor.layers(LayerSettings()))):
            await (await self._send(self._topics.detections, region.encode(), message.model_dump_json().encode()))

    def _observe(
        self,
        region: str,
        monitor: RegionMonitor,
        looks: list[LookOutcome],
        outbox: list[AlertEvent],
        published_ms: int,
    ) -> None:
        metrics = self._metrics
        metrics.looks.labels(region).inc(len(looks))
        metrics.episodes_open.labels(region).set(len(monitor.episodes))
        metrics.mutes_active.labels(region).set(len(monitor.mutes()))
        for look in looks:
            for taken in look.feedback:
                metrics.feedback.labels(region, taken.result.value).inc()
                log.info("feedback on episode %s: %s", taken.episode_id, taken.result.value)
        if monitor.calibration is not None:
            metrics.calibrated.labels(region).set(monitor.calibration.made_at)
        if monitor.detector.baseline is not None:
            metrics.baseline_fitted.labels(region).set(monitor.detector.baseline.fitted_at)
        if looks:
            wrong = {(notice.source, notice.problem) for notice in monitor.notices()}
            for source in monitor.region.sources:
                for problem in FeedProblem:
                    metrics.feed_problem.labels(source.id, problem.value).set((source.id, problem) in wrong)
        for event in outbox:
            metrics.alerts.labels(region, event.data.reason.value).inc()
            if published_ms:
                latency_s = max(0.0, time.time() - published_ms / 1000)
                metrics.alert_latency.observe(latency_s)
                self.alert_latencies_ms.append(latency_s * 1000)

    async def _in_kernel_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._kernels, work)


class Deliver:
    """Alert revisions to the sinks; here Redis. A slow or absent sink holds up nothing but itself."""

    def __init__(
        self,
        store: EpisodeStore,
        accounting: Accounting,
        notify: Callable[[AlertEvent], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store, self._metrics, self._notify, self._sleep = store, accounting.metrics, notify, sleep

    async def handle(self, fetch: Fetch) -> None:
        """One fetch of the alerts topic. Returns when every revision is stored, however long that takes."""
        for record in fetch.records:
            try:
                event = AlertEvent.model_validate_json(record.value)
            except ValidationError:
                log.exception("message at offset %d of %s is not an alert", record.offset, fetch.topic)
                continue
            if await self._store_until_done(event):
                self._notify(event)

    async def _store_until_done(self, event: AlertEvent) -> bool:
        attempt = 0
        while True:
            try:
                return await self._store.put(event.data)
            except (RedisError, OSError) as error:
                pause = RETRY_S[min(attempt, len(RETRY_S) - 1)]
                log.warning("alert %s is not in Redis yet (%s); again in %.1f s", event.id, error, pause)
                await self._sleep(pause)
                attempt += 1
