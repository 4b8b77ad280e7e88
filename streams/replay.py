"""Runs a file of records through Kafka and the real agents with the replay clock, as fast as they go."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from schemas.alert import AlertEvent
from schemas.base import ToldError, utc_now
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.alert_log import read_alert_log
from streams.app import Worker
from streams.incident_file import SourceMessage
from streams.publish import Publisher
from streams.tasks import seen
from streams.topics import create_topics, delete_topics

log = logging.getLogger(__name__)

#: A heartbeat a week of record time keeps partitions without records from holding up the watermark.
HEARTBEAT_EVERY = timedelta(days=7)
#: A replay is asked how far it is this often: more often only takes the interpreter from its looks, seconds.
POLL_S = 0.2
#: A replay in which nothing more happens for this long has failed, seconds.
STALL_S = 120.0


class ReplayError(ToldError, RuntimeError):
    """A replay that did not come to its end."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of a replay or a demo; `records` = located + gated + rejected + duplicates."""

    published: int
    records: int
    located: int
    gated: int
    rejected: int
    duplicates: int
    alerts: int
    episodes: int
    records_per_second: float
    alert_latency_ms: float | None
    """Median from record published to alert written; None without alerts."""


def summarise(
    worker: Worker, published: int, alerts: Sequence[AlertEvent], seconds: float, *, timed: int | None = None
) -> Summary:
    """Put the figures together from what the worker counted and the alerts that were on the topic.

    `seconds` is what it took to settle `timed` records, or all of them.
    """
    outcomes, settled = worker.accounting.outcomes, worker.accounting.settled
    latencies = worker.monitoring.alert_latencies_ms
    return Summary(
        published=published,
        records=settled,
        located=outcomes["located"],
        gated=outcomes["gated"],
        rejected=outcomes["rejected"],
        duplicates=outcomes["duplicate"],
        alerts=len(alerts),
        episodes=len({event.subject for event in alerts}),
        records_per_second=round((settled if timed is None else timed) / seconds, 1) if seconds > 0 else 0.0,
        alert_latency_ms=round(median(latencies), 1) if latencies else None,
    )


async def replay(
    read: Callable[[], Sequence[SourceMessage]],
    region: RegionFile,
    settings: Settings,
    out: Path,
    progress: Callable[[int, int], None],
) -> Summary:
    """Publish messages, run one worker over them, and write `alerts.jsonl` and `summary.json` to `out`.

    They are read and published while the worker joins its group. `progress` is told how many are settled, of how many.
    Raises what `read` does, and ReplayError when the worker fails or stops making progress.
    """
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, lambda: create_topics(settings))
    worker = Worker(settings, [region], clock=utc_now)
    try:
        await worker.warm_up()  # it takes the interpreter, as reading does: side by side neither would gain
        reading = loop.run_in_executor(None, read)
        publishing = seen(asyncio.create_task(_publish(reading, region, settings)))
        await worker.start()
        messages = await reading
        seconds = await _until_done(worker, len(messages), publishing, progress)
    finally:
        await worker.stop()
    alerts = await loop.run_in_executor(None, lambda: read_alerts(settings))
    left = await loop.run_in_executor(None, lambda: delete_topics(settings))
    if left:
        log.warning("These topics of the replay could not be deleted: %s", ", ".join(left))
    summary = summarise(worker, len(messages), alerts, seconds)
    _write(out, alerts, summary)
    return summary


async def _publish(reading: asyncio.Future[Sequence[SourceMessage]], region: RegionFile, settings: Settings) -> float:
    """Publish what is read. Returns when that was begun, on the clock of `time.perf_counter`."""
    messages = await reading
    began = time.perf_counter()
    await asyncio.get_running_loop().run_in_executor(None, lambda: _publish_all(messages, region, settings))
    return began


def _publish_all(messages: Sequence[SourceMessage], region: RegionFile, settings: Settings) -> None:
    publisher = Publisher(settings)
    next_heartbeat = messages[0].recorded_at
    for message in messages:
        if message.recorded_at >= next_heartbeat:
            publisher.heartbeat(region, message.recorded_at, settings.source_partitions)
            next_heartbeat = message.recorded_at + HEARTBEAT_EVERY
        publisher.send(message)
    publisher.heartbeat(region, _end(messages, settings), settings.source_partitions)
    publisher.flush()


def _end(messages: Sequence[SourceMessage], settings: Settings) -> datetime:
    """A record time that lets the last look happen: past the multiple of `look_minutes` after the last record."""
    look_s = settings.look_minutes * 60
    last = messages[-1].recorded_at.timestamp()
    return datetime.fromtimestamp((last // look_s + 2) * look_s, UTC)


async def _until_done(
    worker: Worker, expected: int, publishing: asyncio.Task[float], progress: Callable[[int, int], None]
) -> float:
    """Wait until all are settled. Returns the seconds since the first was published."""
    settled, moved_at = -1, time.monotonic()
    while True:
        if publishing.done():
            publishing.result()
        if worker.failure is not None:
            raise ReplayError(f"The worker failed: {worker.failure!r}.") from worker.failure
        now_settled = worker.accounting.settled
        if now_settled != settled:
            settled, moved_at = now_settled, time.monotonic()
            progress(settled, expected)
        if settled >= expected and publishing.done():
            return time.perf_counter() - publishing.result()
        if time.monotonic() - moved_at > STALL_S:
            raise ReplayError(f"Nothing happened for {STALL_S:.0f} s: {settled} of {expected} records are settled.")
        await asyncio.sleep(POLL_S)


def read_alerts(settings: Settings, *, timeout_s: float = 30.0) -> list[AlertEvent]:
    """All alerts on the topic, in order of time, episode and revision. Raises KafkaException."""
    events = {logged.event.id: logged.event for logged in read_alert_log(settings, timeout_s=timeout_s)}
    return sorted(events.values(), key=lambda event: (event.data.as_of, event.subject, event.data.revision))


def _write(out: Path, alerts: Sequence[AlertEvent], summary: Summary) -> None:
    out.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{event.data.model_dump_json()}\n" for event in alerts)
    (out / "alerts.jsonl").write_text(lines, encoding="utf-8")
    (out / "summary.json").write_text(json.dumps(asdict(summary), indent=2) + "\n", encoding="utf-8")
