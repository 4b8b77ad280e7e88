"""What the ingest agent does with each fetch: source topics and feedback to located batches and dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from alerts.schedule import Input
from schemas.base import Clock
from schemas.deadletter import DeadLetter
from schemas.located import Kind, LocatedArray, join
from schemas.settings import Settings
from streams.accounting import Accounting
from streams.audit import Send
from streams.codec import Rejected
from streams.desks import Refusal, Registry
from streams.express import is_large, pieces, sort_out
from streams.feedback import parse_feedback
from streams.fetch import Fetch
from streams.ingest import Intake, take_in
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
    """What came of a part of a fetch, to be sent as one located message a region."""

    first_offset: int
    rows: dict[str, list[LocatedArray]] = field(default_factory=dict)
    """By region of which a record or a heartbeat was heard."""
    records: int = 0
    received_us: int = 0
    published_ms: int = 0

    def add(self, intake: Intake, now: datetime, records: Sequence[Any]) -> None:
        """Take in what came of some messages."""
        offsets = np.array([record.offset for record in records]) - self.first_offset
        for region, rows in intake.rows.items():
            rows["reserved"] = offsets[rows["reserved"]]
            self.rows.setdefault(region, []).append(rows)
            self.records += len(rows)
        self.received_us = int(now.timestamp() * 1_000_000)
        self.published_ms = max(self.published_ms, *(record.timestamp for record in records))

    def batch(self, region: str, source: Input) -> LocatedBatch:
        """The message for a region."""
        return LocatedBatch(join(self.rows[region]), source, self.first_offset, self.received_us, self.published_ms)


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

    async def handle(self, kind: Kind, fetch: Fetch) -> Awaitable[Any]:
        """One fetch of a source topic. What is returned ends when the broker has all that came of it."""
        pending: list[Awaitable[Any]] = []
        source = int(kind), fetch.partition
        for part in _countable(fetch):
            waiting = _Waiting(part.records[0].offset)
            for records in pieces(part.records):
                now = self._clock()
                intake = await self._take_in(kind, records, now)
                pending += await self._bury_all(kind, fetch, records, intake.refusals)
                waiting.add(intake, now, records)
                self._observe(intake)
                if waiting.records >= LOCATED_ROWS:
                    pending += await self._send_located(source, waiting)
                    waiting = _Waiting(records[-1].offset + 1)
                await asyncio.sleep(0)  # other agents, probes and the group's heartbeat are not kept waiting
            pending += await self._send_located(source, waiting)
        return asyncio.gather(*pending)

    async def _take_in(self, kind: Kind, records: Sequence[Any], now: datetime) -> Intake:
        """On the event loop where that is quick; else in a thread, where the event loop gets its turns."""
        settings = self._settings
        found = None if is_large(records) else sort_out(kind, records, settings.max_message_bytes)

        def work() -> Intake:
            return take_in(
                kind,
                records,
                self._registry,
                now,
                max_bytes=settings.max_message_bytes,
                tolerance_s=settings.future_tolerance_s,
                found=found,
            )

        if found is not None and len(found.others) <= JUDGED_AT_ONCE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._aside, work)

    async def _send_located(self, source: Input, waiting: _Waiting) -> list[Awaitable[Any]]:
        return [
            await self._send(self._topics.located, region.encode(), waiting.batch(region, source).to_bytes())
            for region in sorted(waiting.rows)
        ]

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

    def stop(self) -> None:
        """Stop the thread."""
        self._aside.shutdown(wait=False, cancel_futures=True)

    async def _bury_all(
        self, kind: Kind, fetch: Fetch, records: Sequence[Any], refusals: Sequence[Refusal]
    ) -> list[Awaitable[Any]]:
        sent = []
        for number, refusal in enumerate(refusals):
            sent.append(await self._bury(fetch, records[refusal.position], refusal.rejected))
            self._accounting.reject(kind, refusal.rejected.reason.value)
            if number % JUDGED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return sent

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
            self._metrics.reporting_delay.observe(source, observed.delays_s)


def _countable(fetch: Fetch) -> Iterator[Fetch]:
    """The fetch, cut where transactions or compaction left holes so wide that offsets in it cannot be counted."""
    begin = 0
    for end, record in enumerate(fetch.records):
        if record.offset - fetch.records[begin].offset >= _FARTHEST:
            yield fetch._replace(records=fetch.records[begin:end])
            begin = end
    yield fetch._replace(records=fetch.records[begin:]) if begin else fetch
