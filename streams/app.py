"""The composition root: builds the Faust app, its agents and their collaborators from settings, and runs them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from tempfile import TemporaryDirectory
from typing import Any

from faust.types import TP

from alerts.disclosure import Discloser
from alerts.monitor import RegionMonitor
from alerts.publication import Publication
from alerts.schedule import Input, ReplaySchedule
from schemas.addresses import load_addresses
from schemas.alert import Alert, AlertEvent
from schemas.base import Clock, utc_now
from schemas.located import Kind
from schemas.region import RegionFile
from schemas.routes import RoutesFile
from schemas.settings import Settings
from streams.accounting import Accounting
from streams.agent_loop import AgentLoop, Handle
from streams.alert_log import read_alert_log
from streams.asked import asked
from streams.audit import AuditTrail, read_heads
from streams.deliver_agent import Deliver
from streams.deliveries import Deliveries
from streams.desks import Registry
from streams.episodes_sink import EpisodesSink
from streams.episodes_store import EpisodeStore
from streams.faust_app import build_app, forget_what_waits
from streams.fetch import FetchSchema
from streams.health import HealthServer
from streams.ingest_agent import Ingest
from streams.located import tick
from streams.metrics import Metrics
from streams.monitor_agent import Monitoring
from streams.rounds import Rounds
from streams.state import SEPARATOR, RegionState
from streams.tasks import end
from streams.topics import PartitionsError, Topics, create_topics, partition_counts, partition_of

log = logging.getLogger(__name__)

#: A worker that is told to stop has so long to do it, seconds: less than container runtimes wait before they kill it.
STOP_S = 25.0
#: Most fetches of an agent for which the broker has yet to answer.
AHEAD = 8
#: Of the monitor: more, for all that waits for a region goes into one step.
AHEAD_OF_STATE = 16
OBSERVE_S = 2.0
#: A thread that waits for another is let in after this time, seconds.
SWITCH_S = 0.0005
#: How often it is asked whether the event loop answers, seconds.
WATCH_S = 0.02


def _settle_down() -> None:
    """Set the interpreter up for work.

    The garbage collector passes over what was loaded to stay: walking it took a fifth of a replay's time. And a thread
    gets its turn sooner than after Python's own 5 ms, for an alert waits for several in turn.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    sys.setswitchinterval(SWITCH_S)


class Worker:
    """One worker: agents, probes, ticks. Nothing connects before `start`."""

    def __init__(
        self,
        settings: Settings,
        regions: Sequence[RegionFile],
        *,
        clock: Clock = utc_now,
        notify: Callable[[AlertEvent], None] = lambda _: None,
        routes: RoutesFile | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`environment` holds the secrets that routes name. Raises RoutesFileError for one that is missing."""
        self.settings = settings
        routes = routes or RoutesFile()
        self.topics = Topics(settings.prefix)
        self.metrics = Metrics()
        self.accounting = Accounting(self.metrics)
        self.registry = Registry(regions)
        self.metrics.create_series(
            self.registry.desks, self.registry.source_ids, routes.ids_of_enabled, routes.ids_of_feeds
        )
        self._clock = clock
        self._inputs: frozenset[Input] = frozenset()
        self._places: dict[str, TP] = {}
        """Of each region, the partition of its located batches."""
        self._publications: dict[str, Publication] = {}
        self._assigned = self._warm = self._stopping = False
        self.rounds = Rounds()
        self._preparing: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.failure: BaseException | None = None
        self.stopped = asyncio.Event()
        self._directory = TemporaryDirectory(prefix="hotspot-worker-")
        self.faust = build_app(settings, self.topics, self._directory.name)
        self.faust.on_partitions_revoked.connect(self._on_revoked, weak=False)
        self.faust.on_rebalance_complete.connect(self._on_recovered, weak=False)
        self.store = EpisodeStore(settings.redis_url, settings.prefix)
        self.ingest = Ingest(settings, self.registry, clock, self._send_on, self.accounting)
        self.trail = AuditTrail(
            "worker", self.topics.audit, self._send, lambda: read_heads(settings), clock, self.metrics
        )
        self.monitoring = Monitoring(
            settings,
            self.registry.desks,
            self._build_monitor,
            self._send,
            self._flush,
            self.accounting,
            self.trail.record,
            clock,
            self,
        )
        self.episodes = EpisodesSink(
            self.store,
            Deliver(self.store, self.accounting, notify).handle,
            lambda: read_alert_log(settings),
            notify,
            self.fail,
            self.metrics,
            clock,
        )
        self._disclosers: dict[str, Discloser] = {}
        self.deliveries = Deliveries(settings, routes, environment or {}, self._disclosers.get, self.metrics, clock)
        self.health = HealthServer(
            settings.metrics_host,
            settings.metrics_port,
            self.metrics,
            self.unready,
            self.current_episodes,
            self.deliveries.pages,
        )
        self._table = self._declare_agents()
        self.state = RegionState(self._table)

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Create what topics are missing, compile the kernels, join the group.

        Raises KafkaException and NoAnswerError when the broker does not answer, PartitionsError when its topics do not
        fit each other, ListenError when the metrics port is taken. Once the services of Faust have begun, what goes
        wrong is a failure (see `fail`) and must be followed by `stop`. Told to stop meanwhile, it begins nothing more.
        """
        self._preparing = asyncio.create_task(self._prepare())
        await asyncio.wait({self._preparing})
        if self._stopping:
            return
        await self._preparing  # raises what went wrong
        self.episodes.start()
        try:
            await self.faust.start()
        except Exception as error:
            if self._stopping:  # what is stopped half way up complains in many ways
                log.info("stopped as it started: %r", error)
            else:
                self.fail(error)  # services that did start ignore that they are cancelled: only an exit ends them
            return
        if self._stopping:
            return
        forever = [self._observe_forever()]
        if self.settings.clock == "wall":  # amid a replay nobody waits
            forever += [self._tick_forever(), self._watch_forever()]
        for work in forever:
            self._tasks.append(asyncio.create_task(work))
            self._tasks[-1].add_done_callback(self._ended)

    async def _prepare(self) -> None:
        """All that comes before the services of Faust, and can be cancelled."""
        await self.health.start()
        await asked(lambda: create_topics(self.settings))
        counts = await asked(lambda: partition_counts(self.settings))
        self._inputs = frozenset(
            (int(self.topics.kind_of(topic)), number)
            for topic in (self.topics.ed, self.topics.police)
            for number in range(counts[topic])
        )
        located = self.topics.located
        if counts[located] != counts[self.topics.changelog]:
            raise PartitionsError(located, counts[located], self.topics.changelog, counts[self.topics.changelog])
        self._places = {name: TP(located, partition_of(name.encode(), counts[located])) for name in self.registry.desks}
        self._publications = await asyncio.get_running_loop().run_in_executor(None, self._read_addresses)
        self.trail.begin()
        await self.warm_up()
        if self.settings.clock == "wall":  # a replay tells nobody of what is long past
            for name, publication in self._publications.items():
                self._disclosers[name] = Discloser(self.registry.desks[name].region, publication)
            await self.deliveries.start()
        _settle_down()

    async def warm_up(self) -> None:
        """Have the kernels compiled. `start` does so too, where it was not done."""
        if not self._warm:
            await self.monitoring.warm_up()
            self._warm = True

    def _read_addresses(self) -> dict[str, Publication]:
        found = load_addresses(desk.region for desk in self.registry.desks.values())
        return {region: Publication(addresses) for region, addresses in found.items()}

    async def stop(self) -> bool:
        """Leave the group after what was begun is written, and close everything, within STOP_S seconds altogether.

        Returns whether that was enough. Where it was not, nothing is lost, since what is not acknowledged is read
        again; but threads may be left that keep the process from ending by itself.
        """
        self._stopping = True
        stopping = asyncio.create_task(self._stop())
        # Not asyncio.timeout: it cancels and waits, and some of Faust's services take no notice of that.
        await asyncio.wait({stopping}, timeout=STOP_S)
        if not stopping.done():
            log.warning("worker had not stopped after %.0f s; what it had not acknowledged is read again", STOP_S)
            return False
        await stopping
        return True

    async def _stop(self) -> None:
        if self._preparing is not None:
            await end([self._preparing], 1.0)
        for task in self._tasks:
            task.cancel()
        await self.deliveries.stop()
        await self.monitoring.end_calibrations()
        await self.faust.stop()
        await self.episodes.stop()
        self.ingest.stop()
        # In a thread, for a replay's calibration takes long.
        await asyncio.get_running_loop().run_in_executor(None, self.monitoring.stop)
        await self.store.close()
        await self.health.stop()
        self._directory.cleanup()

    def unready(self) -> str | None:
        """What is missing before this worker does its work; None when nothing is."""
        if not self._assigned:
            return "partitions are not assigned and recovered yet"
        return None

    def generation(self) -> int:
        """Of the group of workers, as of the last assignment."""
        return max(0, int(self.faust.consumer_generation_id))

    def in_session(self) -> bool:
        """Whether no other worker can have been given the regions of this one: never while members change."""
        silent_s: float = self.faust.consumer.silent_s
        return bool(self.faust.rebalancing) or silent_s < self.settings.session_timeout_s

    @property
    def calibrated_regions(self) -> frozenset[str]:
        """Regions that know what is usual, and so can be looked at."""
        held = self.monitoring.regions
        return frozenset(region for region, monitor in held.items() if monitor.calibration is not None)

    @property
    def open_episodes(self) -> int:
        """Episodes now open in the regions of this worker."""
        return sum(len(monitor.episodes) for monitor in self.monitoring.regions.values())

    async def current_episodes(self) -> list[Alert]:
        """Latest alert of each open episode of the regions of this installation, as Redis has them."""
        return [alert for region in self.registry.desks for alert in await self.store.current(region)]

    def fail(self, error: BaseException) -> None:
        """An agent cannot go on. What it had not acknowledged is read again by the next worker."""
        if self.failure is None:
            log.critical("worker stops: %s", error, exc_info=error)
            self.failure = error
            forget_what_waits(self.faust)
        self.stopped.set()

    # --- what the agents are built from -----------------------------------------------------------------------------

    def _declare_agents(self) -> Any:
        app = self.faust

        def fetched(name: str) -> Any:
            return app.topic(name, schema=FetchSchema(), internal=False)

        def agent(name: str, topic: str, handle: Handle, ahead: int = AHEAD) -> None:
            loop = AgentLoop(name, topic, handle, ahead, self.rounds, self.fail)
            app.agent(fetched(topic), name=name, concurrency=1)(loop.run)

        topics, ingest = self.topics, self.ingest
        table = app.Table(
            "state", key_type=bytes, value_type=bytes, partitions=self.settings.located_partitions, default=None
        )
        table.place_of = lambda key: self._places[key.partition(SEPARATOR)[0].decode()].partition
        app.kept_up_to = table.kept_up_to
        agent("hotspot.ingest.ed", topics.ed, lambda fetches: ingest.handle(Kind.ED, fetches))
        agent("hotspot.ingest.police", topics.police, lambda fetches: ingest.handle(Kind.POLICE, fetches))
        agent("hotspot.ingest.feedback", topics.feedback, lambda fetches: ingest.take_feedback(fetches[0]))
        agent(
            "hotspot.monitor",
            topics.located,
            lambda fetches: self.monitoring.handle(fetches[0], self.state),
            AHEAD_OF_STATE,
        )
        agent("hotspot.deliver", topics.alerts, lambda fetches: self.episodes.handle(fetches[0]))
        return table

    def _build_monitor(self, region: str) -> RegionMonitor:
        desk = self.registry.desks[region]
        schedule = None
        if self.settings.clock == "replay":
            kinds = {source.kind_code for source in desk.region.sources}
            inputs = frozenset(entry for entry in self._inputs if entry[0] in kinds)
            schedule = ReplaySchedule(inputs, self.settings.look_minutes * 60)
        return RegionMonitor(
            desk.region,
            self.settings.detection,
            schedule=schedule,
            calibrates_beside=schedule is None,  # what a replay finds must not depend on how long one takes
            threads=os.cpu_count() or 1,
            simulated=self.settings.simulated,
            console_url=self.settings.console_url,
            publication=self._publications.get(region),
        )

    async def _send(
        self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Awaitable[Any]:
        sent: Awaitable[Any] = await self.faust.producer.send(topic, key, value, None, None, list(headers))
        return sent

    async def _send_on(
        self, topic: str, key: bytes | None, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Awaitable[Any]:
        """Send what a worker, most likely this one, waits for: it need not find that out by itself."""
        sent = asyncio.ensure_future(await self._send(topic, key, value, headers))
        if topic == self.topics.located:
            sent.add_done_callback(lambda _: self.faust.consumer.ask_at_once())
        return sent

    async def _flush(self) -> None:
        await self._table.written()

    # --- assignment and ticks ---------------------------------------------------------------------------------------

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        self._assigned = False
        self.metrics.ready.set(0)
        self.monitoring.release()

    async def _on_recovered(self, *_: Any, **__: Any) -> None:
        self.monitoring.keep_only(set(self._held_regions()))
        if any(partition.topic == self.topics.alerts for partition in self.faust.consumer.assignment()):
            self.episodes.owe()
        self._assigned = True
        self.metrics.ready.set(1)

    def _held_regions(self) -> list[str]:
        assigned = self.faust.consumer.assignment()
        return [region for region, place in self._places.items() if place in assigned]

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What goes on for ever ended: it was cancelled, or the worker does not do all its work any more."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(self.settings.tick_seconds)
            if not self._assigned:
                continue
            now_us = int(self._clock().timestamp() * 1_000_000)
            for region in self._held_regions():
                await (await self._send(self.topics.located, region.encode(), tick(now_us).to_bytes()))

    async def _observe_forever(self) -> None:
        while True:
            if self.faust.crashed:
                # Faust's services end without a word to whoever started them; a worker that reads nothing must end too.
                self.fail(self.faust.crash_reason or RuntimeError("Faust crashed"))
            app = self.faust
            self.rounds.observe(self.metrics, app.fetch_topics, app.monitor, time.time(), app.consumer.silent_s)
            await asyncio.sleep(OBSERVE_S)

    async def _watch_forever(self) -> None:
        """Measure how long whoever wants the event loop has to wait for it."""
        while True:
            asked = time.perf_counter()
            await asyncio.sleep(WATCH_S)
            self.metrics.loop_pause.observe(max(0.0, time.perf_counter() - asked - WATCH_S))
