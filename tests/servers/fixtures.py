"""Fixtures: one Kafka and one Redis for a whole test run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NoReturn, TypeVar

import pytest

from tests.servers.kafka import KafkaServer
from tests.servers.process import ServerMissingError
from tests.servers.redis_server import RedisServer

Server = TypeVar("Server")


def missing(reason: str) -> NoReturn:
    """Skip the test with a sentence; fail it where CI promises that every test runs."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def running(server: AbstractContextManager[Server]) -> Iterator[Server]:
    """The server while a test uses it; a test without one is missing it."""
    try:
        started = server.__enter__()
    except ServerMissingError as reason:
        missing(str(reason))
    try:
        yield started
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def apache_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker that all tests of the run share: use topics and groups of your own."""
    yield from running(KafkaServer(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that all tests of the run share: use keys of your own."""
    yield from running(RedisServer(tmp_path_factory.mktemp("redis")))
