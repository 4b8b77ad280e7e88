"""The embedded broker and Redis: they start, answer, keep what they are given, and are gone when stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.embedded import EmbeddedBroker, EmbeddedRedis, EmbeddedServerError, EmbeddedServers
from tests.builders import ROOT


def listens(address: str) -> bool:
    host, _, port = address.partition(":")
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, int(port))) == 0


def redis_address(url: str) -> str:
    return url.removeprefix("redis://").removesuffix("/0")


def send_and_read(bootstrap: str, values: list[bytes]) -> list[tuple[bytes, list[tuple[str, bytes]]]]:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics([NewTopic("hotspot.test", num_partitions=1)]).values():
        created.result(timeout=10)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True})
    for number, value in enumerate(values):
        producer.produce("hotspot.test", value, headers=[("number", str(number).encode())])
    assert producer.flush(10) == 0
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "enable.auto.commit": False})
    consumer.assign([TopicPartition("hotspot.test", 0, 0)])
    try:
        found: list[tuple[bytes, list[tuple[str, bytes]]]] = []
        while len(found) < len(values):
            message = consumer.poll(10)
            assert message is not None, f"{len(found)} of {len(values)} messages came back"
            assert message.error() is None, message.error()
            found.append((message.value(), message.headers()))
        return found
    finally:
        consumer.close()


def test_both_start_answer_and_stop(tmp_path: Path) -> None:
    with EmbeddedServers(tmp_path) as servers:
        bootstrap, url = servers.broker.bootstrap, servers.redis.url
        values = [b"one", b"two", bytes(range(256))]
        found = send_and_read(bootstrap, values)
        assert [value for value, _ in found] == values
        assert [headers for _, headers in found] == [[("number", b"0")], [("number", b"1")], [("number", b"2")]]
        with redis.from_url(url) as client:
            assert client.hset("episodes", "e1", "text") == 1
            assert client.hget("episodes", "e1") == b"text"
            client.xadd("alerts", {"alert": "one"})
            assert client.xlen("alerts") == 1
        assert listens(bootstrap)
        assert listens(redis_address(url))
    assert not listens(bootstrap)
    assert not listens(redis_address(url))


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    one, two = EmbeddedRedis(), EmbeddedRedis()
    one.start()
    two.start()
    try:
        with redis.from_url(one.url) as first, redis.from_url(two.url) as second:
            first.set("key", "value")
            assert second.get("key") is None
    finally:
        one.stop()
        two.stop()
    brokers = [EmbeddedBroker(tmp_path / f"{number}.log") for number in range(2)]
    try:
        for broker in brokers:
            broker.start()
        here, there = (AdminClient({"bootstrap.servers": broker.bootstrap}) for broker in brokers)
        here.create_topics([NewTopic("only.here", 1)])["only.here"].result(timeout=10)
        assert "only.here" in here.list_topics(timeout=10).topics
        assert "only.here" not in there.list_topics(timeout=10).topics
    finally:
        for broker in brokers:
            broker.stop()


def test_a_broker_that_cannot_listen_says_so(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "broker.log")
    # An address of no machine (RFC 5737): the broker ends, and what it printed is told.
    broker.bootstrap = "192.0.2.1:9092"
    try:
        with pytest.raises(EmbeddedServerError, match=r"^The embedded broker (ended|did not answer within 3 s): "):
            broker.start(timeout_s=3.0)
    finally:
        broker.stop()


def test_stopping_what_was_not_started_or_twice_is_no_harm(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path / "broker.log")
    broker.stop()
    broker.start()
    broker.stop()
    broker.stop()
    assert not listens(broker.bootstrap)


def test_a_client_that_stays_connected_does_not_keep_the_program_alive() -> None:
    program = (
        "import redis\n"
        "from streams.embedded import EmbeddedRedis\n"
        "server = EmbeddedRedis()\n"
        "server.start()\n"
        "client = redis.from_url(server.url)\n"
        "client.ping()\n"
        "server.stop()\n"
        "print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_a_redis_that_never_served_stops_at_once() -> None:
    EmbeddedRedis().stop()


@pytest.mark.timeout(180)
def test_a_ctrl_c_ends_the_demo_in_good_order(tmp_path: Path) -> None:
    """A terminal sends it to every process of the foreground: the broker must be there until the worker has left."""
    with (tmp_path / "told").open("wb") as told, (tmp_path / "errors").open("wb") as errors:
        command = [sys.executable, "-m", "cli", "demo", "--no-browser"]
        demo = subprocess.Popen(command, cwd=ROOT, stdout=told, stderr=errors, start_new_session=True)
    try:
        while b"injected" not in (tmp_path / "told").read_bytes():
            assert demo.poll() is None
            time.sleep(0.2)
        time.sleep(2)
        os.killpg(demo.pid, signal.SIGINT)
        assert demo.wait(60) == 0
    finally:
        demo.kill()
        demo.wait()
    errors_told = (tmp_path / "errors").read_text(encoding="utf-8")
    assert not any(sign in errors_told for sign in ("refused", "does not answer", "Traceback")), errors_told
    assert "The injected hotspot" in (tmp_path / "told").read_text(encoding="utf-8").splitlines()[-1]
