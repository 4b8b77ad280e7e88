"""What the ingest agent does with each fetch: source topics and feedback to located batches and dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from alerts.schedule import Input
from schemas.base import Clock
from schemas.deadletter import DeadLetter
from schemas.located import Kind, pick
from schemas.settings import Settings
from streams.accounting import Accounting
from streams.audit import Send
from streams.codec import Rejected
from streams.desks import Refusal, Registry
from streams.express import is_large, pieces
from streams.feedback import parse_feedback
from streams.fetch import Fetch
from streams.ingest import HalfTaken, Intake, take_in_common, take_in_rest
from streams.located import LocatedBatch, said
from streams.topics import Topics

#: Offsets in a located batch are counted from its first in so many bits.
_FARTHEST = 2**16
#: Events that do not take the express lane, and refusals, are dealt with so many at once on the event loop.
JUDGED_AT_ONCE = 100
#: Rows that are sent at once: what follows has work then while the rest of a large fetch is parsed.
LOCATED_ROWS = 4_000


@dataclass(slots=True)
class _Waiting:
    """What came of some records, to be sent as one located message a region."""

    batches: dict[str, list[bytes]] = field(default_factory=dict)
    """By region of which a record or a heartbeat was heard."""
    rows: int = 0

    def add(self, kind: Kind, intake: Intake, now: datetime, records: Sequence[Any]) -> None:
        """Take in what came of them."""
        received_us = int(now.timestamp() * 1_000_000)
        offsets = np.array([record.offset for record in records])
        for begin, end in _runs(records):
            source: Input = int(kind), records[begin].partition
            published_ms = max(record.timestamp for record in records[begin:end])
            for region, rows in intake.rows.items():
                ours = pick(rows, (rows["reserved"] >= begin) & (rows["reserved"] < end))
                if len(ours):
                    ours["reserved"] = offsets[ours["reserved"]] - offsets[begin]
                    batch = LocatedBatch(ours, source, int(offsets[begin]), received_us, published_ms)
                    self.batches.setdefault(region, []).append(batch.to_bytes())
                    self.rows += len(ours)


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
        # One thread, for a projection is made anew in each.
        self._aside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hotspot-contract")

    async def handle(self, kind: Kind, fetches: Sequence[Fetch]) -> Awaitable[Any]:
        """Fetches of a source topic. What is returned ends when the broker has all that came of them."""
        pending: list[Awaitable[Any]] = []
        waiting = _Waiting()
        for records in pieces([record for fetch in fetches for record in fetch.records]):
            now = self._clock()
            intake = await self._take_in(kind, records, now)
            pending += await self._bury_all(kind, records, intake.refusals)
            waiting.add(kind, intake, now, records)
            self._observe(intake)
            if waiting.rows >= LOCATED_ROWS:
                pending += await self._send_located(waiting)
                waiting = _Waiting()
            await asyncio.sleep(0)  # other agents, probes and the group's heartbeat are not kept waiting
        pending += await self._send_located(waiting)
        return asyncio.gather(*pending)

    async def _take_in(self, kind: Kind, records: Sequence[Any], now: datetime) -> Intake:
        """On the event loop where that is quick; else in a thread, where the event loop gets its turns."""

        def work() -> HalfTaken:
            limits = self._settings.max_message_bytes, self._settings.future_tolerance_s
            return take_in_common(kind, records, self._registry, now, max_bytes=limits[0], tolerance_s=limits[1])

        if is_large(records):
            return await self._beside(lambda: take_in_rest(work(), self._registry))
        half = work()
        if len(half.others) <= JUDGED_AT_ONCE:
            return take_in_rest(half, self._registry)
        return await self._beside(lambda: take_in_rest(half, self._registry))

    async def _beside(self, work: Callable[[], Intake]) -> Intake:
        return await asyncio.get_running_loop().run_in_executor(self._aside, work)

    async def _send_located(self, waiting: _Waiting) -> list[Awaitable[Any]]:
        return [
            await self._send(self._topics.located, region.encode(), b"".join(batches))
            for region, batches in sorted(waiting.batches.items())
        ]

    async def take_feedback(self, fetch: Fetch) -> None:
        """One fetch of the feedback topic: each goes into the order of its region, or is a dead letter."""
        pending = []
        for record in fetch.records:
            found = parse_feedback(record.value, self._registry.desks, self._settings.max_message_bytes)
            if isinstance(found, Rejected):
                pending.append(await self._bury(record, found))
                self._accounting.refuse_feedback(found.reason.value)
                continue
            now_us = int(self._clock().timestamp() * 1_000_000)
            batch = said(found.data.model_dump_json().encode(), now_us)
            pending.append(await self._send(self._topics.located, found.data.region.encode(), batch.to_bytes()))
        await asyncio.gather(*pending)

    def stop(self) -> None:
        """Stop the thread."""
        self._aside.shutdown(wait=False, cancel_futures=True)

    async def _bury_all(self, kind: Kind, records: Sequence[Any], refusals: Sequence[Refusal]) -> list[Awaitable[Any]]:
        sent = []
        for number, refusal in enumerate(refusals):
            sent.append(await self._bury(records[refusal.position], refusal.rejected))
            self._accounting.reject(kind, refusal.rejected.reason.value)
            if number % JUDGED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return sent

    async def _bury(self, record: Any, rejected: Rejected) -> Awaitable[Any]:
        letter = DeadLetter(
            reason=rejected.reason,
            detail=rejected.detail[:300],
            origin_topic=record.topic,
            origin_partition=record.partition,
            origin_offset=record.offset,
            rejected_at=self._clock(),
        )
        headers = [*record.headers, *letter.headers()]
        return await self._send(self._topics.deadletter, record.key, rejected.raw, headers)

    def _observe(self, intake: Intake) -> None:
        for source, observed in intake.observed.items():
            self._latest[source] = max(observed.latest, self._latest.get(source, 0.0))
            self._metrics.last_record.labels(source).set(self._latest[source])
            self._metrics.reporting_delay.observe(source, observed.delays_s)


def _runs(records: Sequence[Any]) -> Iterator[tuple[int, int]]:
    """Where records of one partition lie together, cut where transactions or compaction left holes so wide that their
    offsets cannot be counted."""
    begin = 0
    for end, record in enumerate(records):
        first = records[begin]
        if record.partition != first.partition or record.offset - first.offset >= _FARTHEST:
            yield begin, end
            begin = end
    yield begin, len(records)
