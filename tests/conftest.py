"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator

# Else its plugin for pytest imports it when all is done, and Python 3.11 cannot compile any more after kernels ran.
import hypothesis  # noqa: F401
import pytest

from alerts.monitor import LookOutcome, RegionMonitor
from processors.detector import Look
from streams.embedded import EmbeddedServers
from tests.invariants import Watcher
from tests.running import Installation
from tests.servers.kafka import KafkaServer
from tests.servers.redis_server import RedisServer

pytest_plugins = ["tests.servers.fixtures"]


@pytest.fixture(autouse=True)
def watcher(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """Follows every region monitor of a test; when the test ends, nothing that must always hold may have failed."""
    watching = Watcher()
    conclude = RegionMonitor._conclude

    def concluded(monitor: RegionMonitor, look: Look) -> LookOutcome:
        watching.about_to_look(monitor)
        outcome = conclude(monitor, look)
        watching.take(monitor, outcome)
        return outcome

    monkeypatch.setattr(RegionMonitor, "_conclude", concluded)
    yield watching
    assert watching.faults == []


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The embedded broker and Redis that all tests of the run share."""
    with EmbeddedServers(tmp_path_factory.mktemp("embedded")) as servers:
        yield Installation(servers.broker.bootstrap, servers.redis.url)


@pytest.fixture(scope="session")
def native(apache_kafka: KafkaServer, redis_server: RedisServer) -> Installation:
    """Apache Kafka and Redis."""
    return Installation(apache_kafka.bootstrap, redis_server.url)


@pytest.fixture(params=["embedded", pytest.param("native", marks=pytest.mark.connected)])
def installation(request: pytest.FixtureRequest) -> Installation:
    """Each kind of servers in turn: the same code must do the same on both."""
    found: Installation = request.getfixturevalue(request.param)
    return found
