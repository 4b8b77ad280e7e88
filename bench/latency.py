"""From a record published to the alert revision readable on its topic, at 200 records a second on Apache Kafka."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cache
from itertools import count
from math import hypot
from statistics import median
from typing import Final, NamedTuple

import numpy as np
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.holder import Holder
from bench.messages import hampshire, police_of
from bench.servers import Message, bench_servers, publish
from processors.grid import Grid
from schemas.alert import AlertEvent, AlertReason
from schemas.base import utc_now
from schemas.region import RegionFile
from schemas.settings import Settings
from simulation.records import simulate
from simulation.table import as_rows
from streams.incident_file import row_messages
from streams.publish import heartbeat_event
from streams.topics import Topics

RATE: Final = 200
SECONDS: Final = 60
#: A batch that makes a hotspot, or takes it back, is published this often.
EVERY_S: Final = 0.5
MOST_PLACES: Final = 30
APART_M: Final = 5_000.0
CLUSTER: Final = 8
HISTORY: Final = timedelta(days=730)
#: Records are amended while they are young.
AMENDED_DAYS: Final = 56
LEAST_ALERTS: Final = 60
UNITS: Final = {"publish_to_alert_p50_ms": "ms", "publish_to_alert_p99_ms": "ms"}
COMMAND: Final = "python -m bench " + " ".join(UNITS)


class Place(NamedTuple):
    """Where hotspots are made."""

    region: str
    source: str
    """Of the police there."""
    number: int
    easting: float
    northing: float


def latency_figure(name: str, runs: int) -> tuple[float, str, list[float], str, str]:
    """Median of a percentile, its unit, the runs, the command, and the conditions."""
    measured = [latencies_ms(run) for run in range(runs)]
    percentile = 50 if name == "publish_to_alert_p50_ms" else 99
    found = [round(float(np.percentile(latencies, percentile)), 1) for latencies in measured]
    conditions = (
        f"{RATE} records/s for {SECONDS} s on Apache Kafka on this machine, most of them amendments of records of "
        f"the last {AMENDED_DAYS} days, "
        f"and every {EVERY_S} s a batch of {CLUSTER} that makes a hotspot or takes one back; from publishing that "
        f"batch to the alert revision read by a consumer; {sum(map(len, measured))} alerts; simulated records"
    )
    return round(median(found), 1), UNITS[name], found, COMMAND, conditions


@cache
def latencies_ms(run: int) -> list[float]:
    """The latencies of one run; `run` tells runs apart."""
    with bench_servers() as servers:
        settings = servers.installation()
        history = recent_history(settings, run)
        holder = Holder(settings, 1)
        try:
            publish(settings, history)
            holder.wait(
                lambda: (last := holder.latest("settled")) is not None and last["records"] >= len(history), "load"
            )
            loaded = time.time()  # a look before that may have calibrated half of the history
            publish(settings, [fresh(settings)])  # something fresh: look
            holder.wait(lambda: holder.looked_at(["hampshire"], loaded) is not None, "a calibrated look")
            background = amendments(history[-len(history) * AMENDED_DAYS // HISTORY.days :], run)
            found = measure(settings, background, RATE, SECONDS, places_in(hampshire()))
        finally:
            holder.kill()
    if len(found) < LEAST_ALERTS:
        raise RuntimeError(f"only {len(found)} alerts came of {SECONDS / EVERY_S:.0f} batches")
    return found


def recent_history(settings: Settings, seed: int) -> list[Message]:
    """Two simulated years of Hampshire that end now, one message a record, in order of record time."""
    now = utc_now().replace(microsecond=0)
    records = simulate(hampshire(), now - HISTORY, HISTORY.days, np.random.default_rng(seed)).known_at(now)
    topics = Topics(settings.prefix)
    return [
        Message(topics.source(message.kind), message.key, message.value)
        for message in row_messages(as_rows(records), hampshire())
    ]


def fresh(settings: Settings) -> Message:
    """A heartbeat of now."""
    police = police_of(hampshire())
    return Message(Topics(settings.prefix).police, police.encode(), heartbeat_event(police, utc_now()))


class Sent(NamedTuple):
    """A batch that should change what people are told."""

    at: float
    place: Place
    makes: bool


def measure(
    settings: Settings,
    background: Iterator[Message],
    rate: float,
    seconds: float,
    places: Sequence[Place],
    every_s: float = EVERY_S,
) -> list[float]:
    """The latencies, ms, of hotspots made and taken back while so many messages a second are published beside them."""
    topic = Topics(settings.prefix).police
    sent: list[Sent] = []
    batches = hotspots(places)
    due = [(number / rate, False) for number in range(int(rate * seconds))]
    due += [(number * every_s, True) for number in range(int(seconds / every_s))]
    reader = Reader(settings)
    try:
        producer = Producer({"bootstrap.servers": settings.bootstrap, "linger.ms": 0})
        began = time.perf_counter()
        for at_s, is_batch in sorted(due):
            time.sleep(max(0.0, began + at_s - time.perf_counter()))
            if is_batch:
                place, makes, value = next(batches)
                sent.append(Sent(time.time(), place, makes))
                producer.produce(topic, value, b"hotspot")
            else:
                message = next(background)
                producer.produce(message.topic, message.value, message.key)
            producer.poll(0)
        producer.flush()
        time.sleep(2.0)
    finally:
        read = reader.stop()
    return latencies(sent, read)


def latencies(sent: Sequence[Sent], read: Sequence[tuple[float, AlertEvent]]) -> list[float]:
    """From each batch to the first alert of its kind at its place, ms; batches that nobody was told of are left out."""
    found = []
    for batch in sent:
        for at, event in read:
            window, place = event.data.window, batch.place
            near = hypot(window.easting - place.easting, window.northing - place.northing) <= window.radius_m
            near = near and event.data.region == place.region
            if at > batch.at and near and (event.data.reason in _MADE) == batch.makes:
                if not any(other.at > batch.at and other.at < at and other.place == batch.place for other in sent):
                    found.append((at - batch.at) * 1e3)
                break
    return found


_MADE = (AlertReason.OPENED, AlertReason.ESCALATED)


class Reader:
    """Reads alerts as they come, and notes when."""

    def __init__(self, settings: Settings) -> None:
        topic = Topics(settings.prefix).alerts
        self._consumer = Consumer(
            {"bootstrap.servers": settings.bootstrap, "group.id": "bench", "fetch.wait.max.ms": 50}
        )
        _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        self._consumer.assign([TopicPartition(topic, 0, end)])
        self._found: list[tuple[float, AlertEvent]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._over.is_set():
            message = self._consumer.poll(0.1)
            if message is not None and message.error() is None:
                at = time.time()
                self._found.append((at, AlertEvent.model_validate_json(message.value() or b"")))
        self._consumer.close()

    def stop(self) -> list[tuple[float, AlertEvent]]:
        """What was read."""
        self._over.set()
        self._thread.join()
        return self._found


def amendments(known: Sequence[Message], seed: int) -> Iterator[Message]:
    """Known records, amended again and again."""
    first = [message for message in known if b".recorded." in message.value]
    rng = np.random.default_rng(seed)
    for number in count(1_000):
        message = first[int(rng.integers(len(first)))]
        event = json.loads(message.value)
        event["type"] = event["type"].replace("recorded", "amended")
        event["data"].update(revision=number, recorded_at=utc_now().isoformat())
        yield message._replace(value=json.dumps(event).encode())


def hotspots(places: Sequence[Place]) -> Iterator[tuple[Place, bool, bytes]]:
    """Batches that make a hotspot at one place after the other, and then take them back, round after round."""
    for turn in count():
        for makes in (True, False):
            for place in places:
                yield place, makes, json.dumps([_record(place, turn, n, makes) for n in range(CLUSTER)]).encode()


def _record(place: Place, turn: int, number: int, makes: bool) -> dict[str, object]:
    record_id = f"SIM-L-{place.number:03d}-{turn}-{number}"
    now = utc_now()
    data: dict[str, object] = {"record_id": record_id, "revision": 1 if makes else 2, "recorded_at": now.isoformat()}
    if makes:
        # In hours of their own, or they would be one incident.
        data["occurred_at"] = (now - timedelta(minutes=65 * number + 5)).isoformat()
        data["category"] = "robbery"
        data["place"] = {"easting": place.easting, "northing": place.northing}
    return {
        "specversion": "1.0",
        "id": f"{record_id}:{1 if makes else 2}",
        "source": place.source,
        "type": f"hotspot.police.incident.{'recorded' if makes else 'withdrawn'}.v1",
        "data": data,
    }


def places_in(region: RegionFile, most: int = MOST_PLACES) -> list[Place]:
    """Centres of cells so far apart that no window holds two."""
    grid, bounds = Grid(region), region.bounds
    eastings, northings = grid.project(np.array([bounds.west, bounds.east]), np.array([bounds.south, bounds.north]))
    found: list[Place] = []
    for easting in np.arange(eastings[0] + APART_M, eastings[1], APART_M) // grid.cell_m:
        for northing in np.arange(northings[0] + APART_M, northings[1], APART_M) // grid.cell_m:
            centre = grid.centre(int(easting), int(northing))
            if bounds.holds(*grid.centre_degrees(int(easting), int(northing))) and len(found) < most:
                found.append(Place(region.id, police_of(region), len(found), *centre))
    return found
