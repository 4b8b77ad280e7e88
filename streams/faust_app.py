"""The Faust app as it is set up for the agents: what is fetched at a time, how long a session lasts, what waits."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import faust
from faust.exceptions import AlreadyConfiguredWarning
from faust.types import TP
from yarl import URL

from schemas.settings import Settings
from streams.fetch import FetchTransport
from streams.table import StateTable
from streams.topics import LARGEST_MESSAGE, Topics

#: Most messages of one poll, whatever the partition.
FETCH_RECORDS = 1000
#: What the broker may send of one partition at once; a message that is larger comes by itself.
FETCH_BYTES = 2 * 1024 * 1024
#: A member of the group asks so often whether another is gone: what a take-over takes beyond the session timeout.
HEARTBEAT_S = 1.0


class HotspotApp(faust.App):  # type: ignore[misc]  # faust is untyped here
    """Faust app that knows what its consumer needs: see streams/fetch.py."""

    fetch_topics: frozenset[str]
    """Topics that are handed to agents by the fetch."""
    joined_topics: frozenset[str]
    """Those of them whose agent is handed all that was fetched at a time, whatever the partition."""
    fetch_wait_ms: int
    """How long the broker may hold a fetch for which it has nothing."""
    kept_up_to: Callable[[TP], int]
    """The last offset of a changelog partition up to which its state is complete here; -1 for none."""


def build_app(settings: Settings, topics: Topics, directory: str) -> HotspotApp:
    """An app without agents. `directory` is of no use, but Faust wants one although the table is in memory."""
    brokers = [URL(f"kafka://{host}") for host in settings.bootstrap.split(",")]
    app = HotspotApp(
        topics.app_id,
        broker=brokers,
        store="memory://",
        Table=StateTable,
        datadir=directory,
        web_enabled=False,
        topic_disable_leader=True,
        topic_partitions=settings.located_partitions,
        topic_replication_factor=settings.replication,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=FETCH_BYTES,
        producer_max_request_size=LARGEST_MESSAGE,
        producer_linger=0,
        producer_max_batch_size=settings.producer_batch_bytes,
        broker_max_poll_records=FETCH_RECORDS,
        broker_commit_interval=settings.commit_seconds,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=min(HEARTBEAT_S, settings.session_timeout_s / 5),
        broker_rebalance_timeout=settings.session_timeout_s,
        stream_buffer_maxsize=8,  # each item is a whole fetch; one agent's full buffer makes all others wait
    )
    app.transport = FetchTransport(brokers, app)
    app.fetch_topics = frozenset({topics.ed, topics.police, topics.feedback, topics.located, topics.alerts})
    app.joined_topics = frozenset({topics.ed, topics.police})
    app.fetch_wait_ms = settings.fetch_wait_ms
    app.tables._changelog_queue = app.FlowControlQueue(maxsize=app.conf.stream_buffer_maxsize)
    return app


def forget_what_waits(app: HotspotApp) -> None:
    """Have the app stop without waiting for what is not acknowledged: an agent that failed never acknowledges it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AlreadyConfiguredWarning)
        app.conf.stream_wait_empty = False
