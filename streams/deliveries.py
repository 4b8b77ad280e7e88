"""The routes of an installation: each reads the alerts in a consumer group of its own, and keeps facts."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place
from pydantic import ValidationError

from alerts.disclosure import Discloser
from alerts.receiving import tell
from alerts.routing import Ledger
from schemas.alert import Alert, AlertEvent
from schemas.base import Clock
from schemas.delivery import Delivery
from schemas.disclosure import Disclosed
from schemas.routes import FeedSink, MailSink, Route, RoutesFile, TeamsSink, WebhookSink, secret
from schemas.settings import Settings
from streams.alert_log import Logged, read_alert_log
from streams.asked import READ_S, asked
from streams.delivery_books import KafkaBooks
from streams.feed_pages import FeedPages
from streams.metrics import Metrics
from streams.route_work import Arrival, RouteWork
from streams.sinks.feed import FeedAdapter, FeedStore
from streams.sinks.mail import MailAdapter
from streams.sinks.parcel import Adapter, DeliveryError, KeepingAdapter
from streams.sinks.web import Poster, TeamsAdapter, WebhookAdapter
from streams.tasks import end
from streams.topics import LARGEST_MESSAGE, Topics

log = logging.getLogger(__name__)

Disclosers = Callable[[str], Discloser | None]
#: After a fault that is not the receiver's, such as a broker that is away, a route starts over, seconds.
_START_OVER_S: Final = 5.0
_POLL_MS: Final = 500
#: A route may wait for hours for a receiver or a meeting: that is no reason to leave its group.
_POLL_INTERVAL_MS: Final = 24 * 3600 * 1000
#: How often it is asked whether what is kept for readers is still there, seconds.
_CHECK_S: Final = 10.0
#: So long a reader may take to leave its group, seconds.
_LEAVE_S: Final = 8.0
#: A broker that has just started, or is changing who looks after a group, says so for a moment.
_NO_COORDINATOR_YET: Final = (
    KafkaError.NOT_COORDINATOR,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
)
_ASK_AGAIN_S: Final = 0.5
#: What a broker says to who is no member of a group that has some.
_HAS_MEMBERS: Final = (KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS)


def build_adapter(
    route: Route, file: RoutesFile, environment: Mapping[str, str], feeds: FeedStore, clock: Clock
) -> Adapter:
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
        case FeedSink() as sink:
            return FeedAdapter(sink, route.id, feeds, clock)


def group_of(settings: Settings, route_id: str) -> str:
    """The consumer group of a route: its progress."""
    return f"{settings.prefix}-deliver-{route_id}"


def begin_routes(
    settings: Settings, route_ids: Iterable[str], feeds: Collection[str] = (), *, timeout_s: float = 30.0
) -> None:
    """Let a route that was never there begin with what comes from now on; a feed, with what is open now.

    An empty feed would look like calm. Called before anything can be published, so that a crash before the first commit
    of a route loses nothing. Raises KafkaException.
    """
    for route_id in route_ids:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                _begin_route(settings, route_id, timeout_s, is_feed=route_id in feeds)
            except KafkaException as error:
                code = error.args[0].code()
                if code in _HAS_MEMBERS:
                    break  # a worker that started at the same time let the route begin before it joined
                if code not in _NO_COORDINATOR_YET or time.monotonic() > deadline:
                    raise
                time.sleep(_ASK_AGAIN_S)
            else:
                break


def _begin_route(settings: Settings, route_id: str, timeout_s: float, *, is_feed: bool) -> None:
    topic = Topics(settings.prefix).alerts
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
        if ends and is_feed:
            since = open_since(read_alert_log(settings, timeout_s=timeout_s))
            ends = [Place(topic, end.partition, since.get(end.partition, end.offset)) for end in ends]
        if ends:
            consumer.commit(offsets=ends, asynchronous=False)
    finally:
        consumer.close()


def open_since(logged: Iterable[Logged]) -> dict[int, int]:
    """Where on each partition the first revision lies of any episode that is open; none for those without."""
    first: dict[str, Logged] = {}
    is_over: dict[str, bool] = {}
    for one in logged:
        first.setdefault(one.event.subject, one)
        is_over[one.event.subject] = one.event.data.state.is_over
    since: dict[int, int] = {}
    for name, one in first.items():
        if not is_over[name]:
            since[one.partition] = min(one.offset, since.get(one.partition, one.offset))
    return since


def told_last(
    logged: Iterable[Logged],
    route: Route,
    ledger: Ledger,
    disclosers: Disclosers,
    kept_since: datetime,
) -> list[Disclosed]:
    """The newest revision of each episode that a route was told, in the words in which it was told; pure.

    Of those that are over, only what is newer than `kept_since`.
    """
    newest: dict[str, Alert] = {}
    for one in logged:
        alert = one.event.data
        told = ledger.told(route.id, alert.episode_id)
        if told.sent and alert.revision == told.sent[-1][0]:
            newest[alert.episode_id] = alert
    found = []
    for alert in newest.values():
        discloser = disclosers(alert.region)
        if discloser is None or (alert.state.is_over and alert.as_of <= kept_since):
            continue
        again = tell(alert, route, ledger.told(route.id, alert.episode_id), discloser)
        if again is not None:
            found.append(again)
    return found


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
        self._check_at = 0.0
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
                if not await self._is_whole():
                    log.warning("route %s: what its readers find is not whole, and is filled again", self._route.id)
                    await self._begin(consumer)
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
        await self._fill(facts)
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

    async def _fill(self, facts: Iterable[Delivery]) -> None:
        """Readers find what the route was told, whatever became of Redis meanwhile, and before anything new."""
        adapter = self._adapter
        if not isinstance(adapter, KeepingAdapter):
            return
        ledger, since = Ledger().take(facts), self._clock() - adapter.kept

        def find() -> list[Disclosed]:
            return told_last(read_alert_log(self._settings), self._route, ledger, self._disclosers, since)

        try:
            await adapter.fill(await asked(find, READ_S))
        except DeliveryError as error:
            log.warning(
                "route %s cannot be filled yet: %s", self._route.id, error
            )  # it is not whole, and is seen to be

    async def _is_whole(self) -> bool:
        now = time.monotonic()
        if not isinstance(self._adapter, KeepingAdapter) or not self._work or now < self._check_at:
            return True
        self._check_at = now + _CHECK_S
        try:
            return await self._adapter.is_whole()
        except DeliveryError:
            return True  # as far as can be seen; it is asked again

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
        self._books = KafkaBooks(settings, clock, metrics)
        self._store = FeedStore(settings.redis_url, settings.prefix)
        routes = [route for route in file.routes if route.enabled]
        self._feeds = file.ids_of_feeds
        self.pages = FeedPages(routes, environment, self._store, self._books.audit, metrics, clock)
        """What the worker's HTTP side serves of feeds."""
        self._readers = {
            route.id: RouteReader(
                settings,
                route,
                file,
                build_adapter(route, file, environment, self._store, clock),
                disclosers,
                self._books,
                metrics,
                clock,
            )
            for route in routes
        }
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to read. Raises KafkaException, KafkaError or NoAnswerError when the broker does not answer."""
        if not self._readers:
            return
        await asked(lambda: begin_routes(self._settings, list(self._readers), self._feeds), READ_S)
        await self._books.start()
        self._tasks = [asyncio.create_task(reader.run()) for reader in self._readers.values()]

    async def stop(self) -> None:
        """End where it is; what is not settled comes again."""
        await end(self._tasks, _LEAVE_S)
        await self._books.stop()
        await self._store.close()
