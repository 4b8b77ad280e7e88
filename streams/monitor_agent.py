"""What the monitor agent does with each fetch: located batches to state, detections and alerts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from alerts.audit import said_by
from alerts.monitor import LOOKS_AT_ONCE, LookOutcome, RegionMonitor, Tally
from alerts.schedule import Arrival
from processors.recalibration import CalibrationOrder
from processors.warm import warm_up
from schemas.alert import alert_event
from schemas.base import Clock, utc_now
from schemas.deadletter import DeadLetter
from schemas.feedback import Feedback
from schemas.layers import LayerSettings
from schemas.reasons import RejectReason
from schemas.settings import Settings
from streams.accounting import Accounting
from streams.audit import Record, Send
from streams.fetch import Fetch
from streams.findings import Findings, Standing
from streams.holding import Alone, Backlog, Held, Membership, Part, SessionLostError
from streams.located import LocatedBatch
from streams.memory import give_back
from streams.state import RegionState
from streams.tasks import end, in_thread, seen
from streams.topics import Topics

log = logging.getLogger(__name__)
T = TypeVar("T")

#: A fetch that was published longer ago than this is backlog: it is applied, and looked at when the backlog is done.
BACKLOG_S = 2.0


class _Done(NamedTuple):
    """What one step of a region came to."""

    tally: Tally
    looks: list[LookOutcome]
    parts: dict[str, bytes]
    """Of the state, those that changed."""
    add: bool
    """Whether they are laid over what it has, and stay where they are until whole parts are written."""
    said: tuple[Feedback, ...]
    """What people said that the step took in."""
    order: CalibrationOrder | None
    """The calibration that is to be made."""
    standing: Standing
    """Taken in the kernel thread: by the time it is told, the next step may be under way there."""


class Monitoring:
    """Located batches to state, detections and alerts. Owns the regions of the partitions assigned to this worker."""

    def __init__(
        self,
        settings: Settings,
        described: Collection[str],
        build: Callable[[str], RegionMonitor],
        send: Send,
        flush: Callable[[], Awaitable[None]],
        accounting: Accounting,
        record: Record,
        clock: Clock,
        membership: Membership | None = None,
    ) -> None:
        """`described`: regions that this worker has a file of; `build` makes what such a region starts from."""
        self._described, self._build = described, build
        self._send, self._flush, self._accounting = send, flush, accounting
        self._record = record
        self._membership = membership or Alone()
        self._replay = settings.clock == "replay"
        self._topics = Topics(settings.prefix)
        self._metrics = accounting.metrics
        self._findings = Findings(self._topics, send, record, accounting.metrics, clock)
        self.alert_latencies_ms = self._findings.alert_latencies_ms
        self._kernels = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hotspot-kernels")
        self._held: dict[str, Held] = {}
        self._let_go: dict[str, Held] = {}
        self._under_way: dict[str, set[asyncio.Task[None]]] = {}
        self._one_calibration = asyncio.Lock()
        self._calibrations: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def warm_up(self) -> None:
        """Compile the kernels before the worker joins its group: compiling takes longer than a session lasts."""
        await self._in_kernel_thread(warm_up)

    async def handle(self, fetch: Fetch, state: RegionState) -> Awaitable[Any]:
        """One fetch of the located topic. What is returned ends when its state and alerts are with the broker."""
        steps = []
        by_region: dict[str, list[Any]] = {}
        for record in fetch.records:
            by_region.setdefault(record.key.decode(), []).append(record)
        for region, records in by_region.items():
            held = await self._claim(region, state)
            if held is None:
                await self._bury(region, fetch, records)
                continue
            fresh = [record.value for record in records if record.offset >= held.next_offset]
            batches = [batch for value in fresh for batch in LocatedBatch.read(value)]
            if batches:
                held.next_offset = records[-1].offset + 1
                steps.append(self._begin(region, held, batches, state))
        return seen(asyncio.gather(*steps))

    def _begin(self, region: str, held: Held, batches: list[LocatedBatch], state: RegionState) -> asyncio.Task[None]:
        """Begin to bring a region up to these batches, or without any to what else has changed."""
        step = seen(asyncio.create_task(self._advance(region, held, held.hand_over(batches), state)))
        of_region = self._under_way.setdefault(region, set())
        of_region.add(step)
        step.add_done_callback(of_region.discard)
        return step

    async def _claim(self, region: str, state: RegionState) -> Held | None:
        """A region as this worker holds it, restored from its state at first; None if no file describes it."""
        if region in self._held:
            return self._held[region]
        if region not in self._described:
            return None
        # From before a rebalance: under the epoch that is taken now it must write nothing any more.
        await asyncio.gather(*self._under_way.get(region, ()), return_exceptions=True)
        saved = state.load(region, self._membership.generation())
        kept = self._let_go.pop(region, None)
        if kept is not None and not kept.unsaved and kept.next_offset == saved.next_offset:
            # Nobody has gone on with it since the rebalance: it is what would be restored.
            await self._findings.publish(saved.outbox)
            self._held[region] = kept
            return kept
        if kept is not None:
            kept.is_gone = True
        monitor = await self._in_kernel_thread(lambda: self._build(region))
        if saved.parts:
            await self._in_kernel_thread(lambda: monitor.restore(saved.parts))
            await self._in_kernel_thread(give_back)
            await self._findings.publish(saved.outbox)
        held = self._held[region] = Held(monitor, saved.next_offset, Backlog(looked_s=time.monotonic()))
        if saved.parts and self._replay:
            # Looks that were due when the last holder ended.
            await self._advance(region, held, held.hand_over([]), state)
        return held

    async def _bury(self, region: str, fetch: Fetch, records: list[Any]) -> None:
        """Keep what came for a region that no region file of this worker describes, though that of another does."""
        kept = [record for record in records if not all(b.is_tick for b in LocatedBatch.read(record.value))]
        if kept:
            log.error("located batches for region %s, which no region file describes, are dead letters", region)
        sent = []
        for record in kept:
            letter = DeadLetter(
                reason=RejectReason.UNKNOWN_SOURCE,
                detail=f"region {region}: no region file of the worker that holds it describes it; give all the same.",
                origin_topic=fetch.topic,
                origin_partition=fetch.partition,
                origin_offset=record.offset,
                rejected_at=utc_now(),
            )
            sent.append(await self._send(self._topics.deadletter, record.key, record.value, letter.headers()))
        await asyncio.gather(*sent)

    @property
    def regions(self) -> Mapping[str, RegionMonitor]:
        """The regions that this worker has heard of since the last rebalance."""
        return {region: held.monitor for region, held in self._held.items()}

    def release(self) -> None:
        """Let go of all regions: after a rebalance they may be another worker's.

        Those that come back as they were left need not be restored.
        """
        self._let_go.update(self._held)
        self._held.clear()

    def keep_only(self, regions: Set[str]) -> None:
        """Forget what was let go of and is another worker's now."""
        for region in self._let_go.keys() - regions:
            self._let_go.pop(region).is_gone = True

    @property
    def is_calibrating(self) -> bool:
        """Whether a calibration is being made, or waits to be."""
        return bool(self._calibrations)

    async def end_calibrations(self) -> None:
        """Make none any more, and begin no look after one. Who holds the regions next orders them again."""
        self._stopping = True
        await end(self._calibrations, 1.0)

    def stop(self) -> None:
        """Wait for the kernel that runs and end the threads. A calibration need not come to its end."""
        self._kernels.shutdown(wait=True, cancel_futures=True)
        self._findings.stop()

    async def _advance(self, region: str, held: Held, part: Part, state: RegionState) -> None:
        """See to it that a part is applied, and looked at until nothing is due, and that what came of it is written.

        What waits meanwhile goes into the same step. What one step did is written while the next is computed.
        """
        try:
            async with held.computing:
                held.go_on()
                if part.writes is None:
                    await self._step(region, held, held.take(), state)
            await asyncio.gather(*(part.writes or ()))
        except BaseException as error:
            held.fail(error)
            raise
        held.unsaved -= 1

    async def _step(self, region: str, held: Held, parts: list[Part], state: RegionState) -> None:
        """Compute all that parts lead to; their writes are begun, one after the other."""
        batches = [batch for part in parts for batch in part.batches]
        published_ms = max((batch.published_ms for batch in batches), default=0)
        writes: list[asyncio.Task[None]] = []
        for part in parts:
            part.writes = writes
        more = True
        while more:
            done = await self._compute(region, held, batches)
            batches, more = [], len(done.looks) >= LOOKS_AT_ONCE
            await held.writing.acquire()
            writing = self._write(region, held, done, published_ms, parts[-1].next_offset, state)
            writes.append(seen(asyncio.create_task(writing)))
            if done.order is not None and not self._stopping:
                calibrating = asyncio.create_task(self._calibrate(region, held, done.order, state))
                self._calibrations.add(calibrating)
                calibrating.add_done_callback(self._calibrations.discard)

    async def _calibrate(self, region: str, held: Held, order: CalibrationOrder, state: RegionState) -> None:
        """Make a calibration beside the looks, one for all regions at a time, and look by it at once.

        A region that was let go of meanwhile is looked at by it when it is held again; who restores it from its state
        orders another.
        """
        try:
            async with self._one_calibration:
                if held.is_gone:
                    return
                held.calibrated = await in_thread("hotspot-calibration", order.make)
        except Exception as error:
            held.fail(error)  # told by the next step
            return
        if self._held.get(region) is held and not self._stopping:
            self._begin(region, held, [], state)

    async def _compute(self, region: str, held: Held, batches: list[LocatedBatch]) -> _Done:
        started = time.perf_counter()
        done = await self._in_kernel_thread(lambda: self._work(held, batches))
        self._metrics.apply_seconds.labels(region).observe(time.perf_counter() - started)
        if done.standing.fitted_at != held.fitted_at:
            held.fitted_at = done.standing.fitted_at
            await self._in_kernel_thread(give_back)
        return done

    async def _write(
        self, region: str, held: Held, done: _Done, published_ms: int, next_offset: int, state: RegionState
    ) -> None:
        try:
            try:
                held.go_on()
                sent = await self._write_in_turn(region, held, done, published_ms, next_offset, state)
            finally:
                held.writing.release()
            await asyncio.gather(*sent)  # the next step's alerts need not wait for these
            self._accounting.settle(done.tally)
        except BaseException as error:
            held.fail(error)
            raise

    async def _write_in_turn(
        self, region: str, held: Held, done: _Done, published_ms: int, next_offset: int, state: RegionState
    ) -> list[Awaitable[Any]]:
        """Write the state, then send what follows from it. What is returned ends when the broker has the reports."""
        outbox = [alert_event(alert) for look in done.looks for alert in look.alerts]
        self._stay_in_session()
        # Before the state that it led to: a crash may have it recorded twice, with one event id, and never not at all.
        await self._record(*map(said_by, done.said))
        state.save(region, done.parts, outbox, next_offset, add=done.add)
        await self._flush()
        self._stay_in_session()
        await self._findings.publish(outbox)
        sent = await self._findings.report(held.monitor, done.looks)
        if done.looks and not self._replay:
            sent += await self._send_layers(region, held)
        self._findings.observe(held.monitor.region, done.looks, done.standing, outbox, published_ms)
        return sent

    def _stay_in_session(self) -> None:
        """A worker that was stopped or cut off for too long writes nothing of what it had in hand."""
        if not self._membership.in_session():
            raise SessionLostError("The group of workers did not hear of this one for longer than its session.")

    def _work(self, held: Held, batches: list[LocatedBatch]) -> _Done:
        held.go_on()
        monitor = held.monitor
        if held.calibrated is not None:
            monitor.detector.calibrated(held.calibrated)
            held.calibrated = None
        newest_s = max((batch.received_us for batch in batches), default=0) // 1_000_000
        said = tuple(Feedback.model_validate_json(batch.said) for batch in batches if batch.said)
        for feedback in said:
            monitor.feedback(feedback)
        inputs = [
            Arrival(batch.rows, batch.input, int(batch.rows["recorded_us"].max()), batch.offsets)
            for batch in batches
            if not batch.is_tick
        ]
        if not self._replay and self._must_wait(held, batches):
            tally: Tally = Tally()
            for arrival in inputs:
                tally.update(monitor.take(arrival.rows))
            looks: list[LookOutcome] = []
        else:
            tally, looks = monitor.advance(inputs, newest_s)
        order = monitor.detector.take_order()
        return _Done(tally, looks, *held.snapshot(), said, order, Standing.of(monitor))

    def _must_wait(self, held: Held, batches: Sequence[LocatedBatch]) -> bool:
        """Whether these are applied without a look, as more that is known to the broker is yet to come."""
        fresh_ms = (time.time() - BACKLOG_S) * 1000
        records = [batch for batch in batches if len(batch.rows)]
        old = bool(records) and all(batch.published_ms < fresh_ms for batch in records)
        return held.backlog.holds(time.monotonic(), old=old, tick=not records)

    async def _send_layers(self, region: str, held: Held) -> list[Awaitable[Any]]:
        """The map layers, once a day: on the first look of it."""
        day = held.monitor.detector.local.day(held.monitor.last_look)
        if day == held.layers_day:
            return []
        held.layers_day = day
        return [
            await self._send(self._topics.detections, region.encode(), message.model_dump_json().encode())
            for message in await self._in_kernel_thread(lambda: list(held.monitor.layers(LayerSettings())))
        ]

    async def _in_kernel_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._kernels, work)
