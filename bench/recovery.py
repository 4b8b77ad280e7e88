"""A worker that holds a million records: how soon it scores again after a kill, or a standby does, and its memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from statistics import median
from typing import Final

from bench.holder import Holder, areas
from bench.messages import batches, police_of, simulated_messages
from bench.servers import SESSION_TIMEOUT_S, Message, bench_servers, publish
from schemas.base import utc_now
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.publish import heartbeat_event
from streams.topics import Topics

#: Areas of 280,000 revisions each, about 262,000 records: together more than a million.
AREAS: Final = 4
HEARTBEAT_S: Final = 0.2
SETTLE_S: Final = 10.0
UNITS: Final = {"recovery_1m_seconds": "s", "takeover_seconds": "s", "rss_1m_mb": "MB"}
COMMAND: Final = "python -m bench " + " ".join(UNITS)
EXPLAINED: Final = {
    "recovery_1m_seconds": "from the assignment of partitions to a restarted worker until "
    f"every region has been looked at; it holds {AREAS} regions and a million records together",
    "takeover_seconds": f"from the kill of one of two workers less the session timeout ({SESSION_TIMEOUT_S} s), until "
    "the other has looked at every region",
    "rss_1m_mb": "resident memory of a worker that holds a million records, after its restart and looks",
}


def recovery_figure(name: str, runs: int) -> tuple[float, str, list[float], str, str]:
    """Median of a figure, its unit, the runs, the command, and what it holds."""
    found = [round(run[name], 2) for run in _measured(runs)]
    return round(median(found), 2), UNITS[name], found, COMMAND, EXPLAINED[name]


@cache
def _measured(runs: int) -> list[dict[str, float]]:
    """One load of the records, and so many kills."""
    with bench_servers() as servers:
        settings = servers.installation()
        holder = Holder(settings, AREAS)
        try:
            load(settings, holder)
            found = []
            for _ in range(runs):
                holder, run = _kill_and_restart(settings, holder)
                holder, run["takeover_seconds"] = _kill_beside_a_standby(settings, holder)
                found.append(run)
        finally:
            holder.kill()
    return found


def load(settings: Settings, holder: Holder) -> None:
    """Have the worker take in all records and look at every region."""
    records = 0
    for region in areas(AREAS):
        own = [
            message._replace(value=message.value.replace(b'"source":"hampshire', b'"source":"%b' % region.id.encode()))
            for message in batches(simulated_messages(), settings)
        ]
        publish(settings, own)
        records += len(simulated_messages())
    holder.wait(lambda: (told := holder.latest("settled")) is not None and told["records"] >= records, "all is loaded")
    loaded = time.time()  # a region that was looked at before that is fitted and calibrated again at its next look
    with heartbeats(settings, areas(AREAS)):
        holder.wait(lambda: holder.looked_at(_ids(), loaded) is not None, "every region has been looked at", 900.0)


def _ids() -> list[str]:
    return [region.id for region in areas(AREAS)]


def _kill_and_restart(settings: Settings, holder: Holder) -> tuple[Holder, dict[str, float]]:
    holder.kill()
    again = Holder(settings, AREAS)
    with heartbeats(settings, areas(AREAS)):
        again.wait(lambda: again.looked_at(_ids(), 0.0) is not None, "the restarted worker scores again")
    assigned, looked = again.latest("assigned"), again.looked_at(_ids(), 0.0)
    assert assigned is not None and looked is not None
    return again, {"recovery_1m_seconds": looked - assigned["at"], "rss_1m_mb": again.rss_mb()}


def _kill_beside_a_standby(settings: Settings, holder: Holder) -> tuple[Holder, float]:
    standby = Holder(settings, AREAS)
    with heartbeats(settings, areas(AREAS)):
        standby.wait(lambda: standby.latest("recovered") is not None, "the standby has joined")
        joined = time.time()
        everywhere = set(_ids())
        standby.wait(
            lambda: everywhere <= {told["region"] for one in (holder, standby) for told in _looks(one, joined)},
            "two workers share the regions",
        )
        time.sleep(SETTLE_S)  # the standby follows the changelog
        killed = time.time()
        holder.kill()
        standby.wait(lambda: standby.looked_at(_ids(), killed) is not None, "the standby has taken over")
    looked = standby.looked_at(_ids(), killed)
    assert looked is not None
    return standby, looked - killed - SESSION_TIMEOUT_S


def _looks(holder: Holder, since: float) -> list[dict[str, str]]:
    return [told for told in list(holder.told) if told["event"] == "looked" and told["at"] > since]


@contextmanager
def heartbeats(settings: Settings, regions: Sequence[RegionFile], every_s: float = HEARTBEAT_S) -> Iterator[None]:
    """Every region hears a heartbeat so often: something fresh, so that it is looked at."""
    over = threading.Event()
    topic = Topics(settings.prefix).police
    sources = [police_of(region) for region in regions]

    def beat() -> None:
        while not over.wait(every_s):
            publish(settings, [Message(topic, name.encode(), heartbeat_event(name, utc_now())) for name in sources])

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
