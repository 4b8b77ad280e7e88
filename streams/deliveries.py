"""The routes of an installation: each reads the alerts in a consumer group of its own, and keeps facts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place
from pydantic import ValidationError

from alerts.disclosure import Discloser
from alerts.routing import Ledger
from schemas.alert import AlertEvent
from schemas.base import Clock
from schemas.deadletter import DeadLetter
from schemas.delivery import Delivery
from schemas.reasons import RejectReason
from schemas.routes import MailSink, Route, RoutesFile, TeamsSink, WebhookSink, secret
from schemas.settings import Settings
from streams.metrics import Metrics
from streams.route_work import Arrival, RouteWork
from streams.sinks.mail import MailAdapter
from streams.sinks.parcel import Adapter
from streams.sinks.web import Poster, TeamsAdapter, WebhookAdapter
from streams.topics import LARGEST_MESSAGE, Topics

log = logging.getLogger(__name__)

Disclosers = Callable[[str], Discloser | None]
#: After a fault that is not the receiver's, such as a broker that is away, a route starts over, seconds.
_START_OVER_S: Final = 5.0
_POLL_MS: Final = 500
#: A route may wait for hours for a receiver or a meeting: that is no reason to leave its group.
_POLL_INTERVAL_MS: Final = 24 * 3600 * 1000


def build_adapter(route: Route, file: RoutesFile, environment: Mapping[str, str], clock: Clock) -> Adapter:
    """What sends on a route. Raises RoutesFileError for a secret that is missing or cannot be used."""
    match route.sink:
        case WebhookSink() as sink:
            return WebhookAdapter(sink, secret(sink.secret_env, route.id, environment), file.sender, clock)
        case TeamsSink() as sink:
            return TeamsAdapter(
                Poster(
                    secret(sink.url_env, route.id, environment),
                    allow_private=sink.allow_private,
                    allow_http=sink.allow_http,
                    timeout_s=sink.timeout_s,
                    clock=clock,
                )
            )
        case MailSink() as sink:
            password = secret(sink.password_env, route.id, environment) if sink.password_env else ""
            return MailAdapter(sink, route.id, password, file.zone)


def group_of(settings: Settings, route_id: str) -> str:
    """The consumer group of a route: its progress."""
    return f"{settings.prefix}-deliver-{route_id}"


def begin_routes(settings: Settings, route_ids: Iterable[str], *, timeout_s: float = 30.0) -> None:
    """Let a route that was never there begin with what comes from now on.

    Called before anything can be published, so that a crash before its first commit loses nothing. Raises
    KafkaException.
    """
    topic = Topics(settings.prefix).alerts
    for route_id in route_ids:
        consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": group_of(settings, route_id),
                "enable.auto.commit": False,
            }
        )
        try:
            partitions = consumer.list_topics(topic, timeout=timeout_s).topics[topic].partitions
            known = consumer.committed([Place(topic, number) for number in partitions], timeout=timeout_s)
            ends = [
                Place(topic, place.partition, consumer.get_watermark_offsets(place, timeout=timeout_s)[1])
                for place in known
                if place.offset < 0
            ]
            if ends:
                consumer.commit(offsets=ends, asynchronous=False)
        finally:
            consumer.close()


class KafkaBooks:
    """Facts on `hotspot.deliveries`, dead letters on `hotspot.deadletter`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._topics = Topics(settings.prefix)
        self._producer: Any = None

    async def start(self) -> None:
        """Connect. Raises aiokafka's KafkaError."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap, acks="all", max_request_size=LARGEST_MESSAGE
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    async def record(self, fact: Delivery) -> None:
        """Keep a fact; returns when the broker has it."""
        key = f"{fact.route}/{fact.episode_id}".encode()
        await self._producer.send_and_wait(self._topics.deliveries, fact.model_dump_json().encode(), key)

    async def bury(self, arrival: Arrival, fact: Delivery) -> None:
        """A dead letter that holds the fact; the alert itself stays on its topic, where only few may read it."""
        letter = DeadLetter(
            reason=RejectReason.NOT_DELIVERED,
            detail=f"route {fact.route}: {fact.attempts} attempts, the last one failed: {fact.failure}.",
            origin_topic=self._topics.alerts,
            origin_partition=arrival.partition,
            origin_offset=arrival.offset,
            rejected_at=self._clock(),
        )
        value, key = fact.model_dump_json().encode(), fact.episode_id.encode()
        await self._producer.send_and_wait(self._topics.deadletter, value, key, headers=letter.headers())

    async def facts(self, route_id: str) -> list[Delivery]:
        """All facts of a route, oldest first."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            return [fact async for fact in self._read(consumer) if fact.route == route_id]
        finally:
            await consumer.stop()

    async def _read(self, consumer: Any) -> Any:
        topic = self._topics.deliveries
        places = [TopicPartition(topic, number) for number in await self._partitions(consumer, topic)]
        consumer.assign(places)
        for place, end in (await consumer.end_offsets(places)).items():
            consumer.seek(place, (await consumer.beginning_offsets([place]))[place])
            while await consumer.position(place) < end:
                for record in (await consumer.getmany(place, timeout_ms=_POLL_MS)).get(place, []):
                    yield Delivery.model_validate_json(record.value)

    async def _partitions(self, consumer: Any, topic: str) -> set[int]:
        await consumer._client.force_metadata_update()
        found = consumer.partitions_for_topic(topic)
        if found is None:
            await consumer.topics()
            found = consumer.partitions_for_topic(topic)
        return found or {0}


class RouteReader(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped here
    """Reads the alerts for one route, whatever becomes of the others."""

    def __init__(
        self,
        settings: Settings,
        route: Route,
        file: RoutesFile,
        adapter: Adapter,
        disclosers: Disclosers,
        books: KafkaBooks,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._settings, self._route, self._file, self._adapter = settings, route, file, adapter
        self._disclosers, self._books, self._metrics, self._clock = disclosers, books, metrics, clock
        self._work: dict[TopicPartition, RouteWork] = {}
        self._committed: dict[TopicPartition, int] = {}
        self._assignments = 0
        """How often partitions came or went."""

    async def run(self) -> None:
        """For good; after a fault it starts over from what is committed and the facts."""
        while True:
            try:
                await self._read()
            except Exception:
                log.exception("route %s starts over", self._route.id)
            await asyncio.sleep(_START_OVER_S)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap,
            group_id=group_of(self._settings, self._route.id),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=self._settings.session_timeout_s * 1000,
            heartbeat_interval_ms=self._settings.session_timeout_s * 200,
            rebalance_timeout_ms=self._settings.session_timeout_s * 1000,
            max_poll_interval_ms=_POLL_INTERVAL_MS,
            max_partition_fetch_bytes=LARGEST_MESSAGE,
        )
        consumer.subscribe([Topics(self._settings.prefix).alerts], listener=self)
        try:
            await consumer.start()
            begun = 0
            while True:
                fetched = await consumer.getmany(timeout_ms=_POLL_MS)
                if begun != self._assignments:
                    # What was fetched while partitions came and went is fetched again, from what is committed.
                    begun = self._assignments
                    await self._begin(consumer)
                    continue
                for place, records in fetched.items():
                    self._take(place, records)
                await self._commit(consumer)
        finally:
            await self._let_go()
            await consumer.stop()

    def _take(self, place: TopicPartition, records: Iterable[Any]) -> None:
        work = self._work[place]
        for record in records:
            try:
                event = AlertEvent.model_validate_json(record.value)
            except ValidationError:
                log.error("message at offset %d of %s is not an alert", record.offset, place.topic)  # noqa: TRY400  # the finding would quote it
                work.pass_over(record.offset)
                continue
            came_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
            work.take(Arrival(event, record.offset, came_at, place.partition))

    async def _commit(self, consumer: Any) -> None:
        for work in self._work.values():
            if work.failed.done():
                work.failed.result()
        moved = {
            place: work.committable()
            for place, work in self._work.items()
            if work.committable() > self._committed.get(place, 0)
        }
        if moved:
            try:
                await consumer.commit(moved)
            except (CommitFailedError, IllegalStateError):
                return  # the partition is another's now; facts keep what was done from being done again
            self._committed.update(moved)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """End the work before another worker begins with it."""
        self._assignments += 1
        await self._let_go()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """The reader begins from the facts when it sees that these came."""
        self._assignments += 1

    async def _begin(self, consumer: Any) -> None:
        await self._let_go()
        places = consumer.assignment()
        if not places:
            return
        facts = await self._books.facts(self._route.id)
        for place in places:
            self._work[place] = RouteWork(
                self._route,
                self._adapter,
                self._disclosers,
                Ledger().take(facts),
                self._books,
                self._metrics,
                self._file.zone,
                self._clock,
            )
            # Not by seek_to_committed, which leaves a partition where it is when nothing but 0 is committed.
            consumer.seek(place, await consumer.committed(place) or 0)

    async def _let_go(self) -> None:
        for work in self._work.values():
            await work.stop()
        self._work.clear()
        self._committed.clear()


class Deliveries:
    """All enabled routes of a worker."""

    def __init__(
        self,
        settings: Settings,
        file: RoutesFile,
        environment: Mapping[str, str],
        disclosers: Disclosers,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._books = KafkaBooks(settings, clock)
        self._readers = {
            route.id: RouteReader(
                settings,
                route,
                file,
                build_adapter(route, file, environment, clock),
                disclosers,
                self._books,
                metrics,
                clock,
            )
            for route in file.routes
            if route.enabled
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to read. Raises KafkaException or KafkaError when the broker does not answer."""
        if not self._readers:
            return
        await asyncio.to_thread(begin_routes, self._settings, list(self._readers))
        await self._books.start()
        self._tasks = [asyncio.create_task(reader.run()) for reader in self._readers.values()]

    async def stop(self) -> None:
        """End where it is; what is not settled comes again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._books.stop()
