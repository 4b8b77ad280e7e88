"""`hotspot worker` whole, as a process that a test can kill, and records by which an episode opens and ends.

All records are simulated.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from chaos.workers import environment
from schemas.alert import Alert
from schemas.base import utc_now
from schemas.settings import Settings
from streams.alert_log import read_alert_log
from tests.builders import ED_SOURCE, POLICE_SOURCE, Event, raw
from tests.running import ROOT, Installation
from tests.servers.process import free_port

DAYS = 60
PER_DAY = 6
#: A quiet place, and around where all the others happen; metres of the National Grid.
HOT, BUSY, SPREAD_M = (452_125.0, 122_125.0), (441_000.0, 113_000.0), 6_000.0
START_S = 600.0
Message = tuple[bytes | None, bytes]


def _police(number: str, happened: datetime, place: tuple[float, float], revision: int = 1, **more: Any) -> Message:
    data = {
        "record_id": number,
        "revision": revision,
        "recorded_at": (happened + timedelta(minutes=20)).isoformat(),
        "occurred_at": happened.isoformat(),
        "category": "robbery",
        "place": {"easting": place[0], "northing": place[1]},
        **more,
    }
    return _message("hotspot.police.incident.recorded.v1", POLICE_SOURCE, data)


def _message(kind: str, source: str, data: Event) -> Message:
    event = {
        "specversion": "1.0",
        "id": f"{data['record_id']}:{data['revision']}",
        "source": source,
        "type": kind,
        "data": data,
    }
    return f"{source}/{data['record_id']}".encode(), raw(event)


def history(now: datetime) -> list[Message]:
    """Weeks of calm, up to a few hours ago, in order of time."""
    choice = random.Random(11)
    moments = sorted(now - timedelta(hours=3 + choice.random() * DAYS * 24) for _ in range(DAYS * PER_DAY))
    return [
        _police(
            f"SIM-{number}",
            at.replace(microsecond=0),
            (round(choice.gauss(BUSY[0], SPREAD_M), 1), round(choice.gauss(BUSY[1], SPREAD_M), 1)),
        )
        for number, at in enumerate(moments)
    ]


def hot_moments(now: datetime, count: int, first: int = 0) -> list[datetime]:
    """When each of some incidents of the hotspot happened: within the last two days."""
    return [(now - timedelta(hours=2 + 2.5 * number)).replace(microsecond=0) for number in range(first, first + count)]


def hotspot(now: datetime, count: int, first: int = 0) -> list[Message]:
    """Incidents of the last days in one quiet place."""
    numbers = range(first, first + count)
    return [
        _police(f"HOT-{number}", at, HOT) for number, at in zip(numbers, hot_moments(now, count, first), strict=True)
    ]


def taken_back(now: datetime, count: int) -> list[Message]:
    """The withdrawal of each of them."""
    recorded = now.replace(microsecond=0).isoformat()
    return [
        _message(
            "hotspot.police.incident.withdrawn.v1",
            POLICE_SOURCE,
            {"record_id": f"HOT-{number}", "revision": 2, "recorded_at": recorded},
        )
        for number in range(count)
    ]


def attendance(number: str, happened: datetime, **more: Any) -> Event:
    """An ED attendance at the hotspot."""
    data = {
        "record_id": number,
        "revision": 1,
        "recorded_at": (happened + timedelta(minutes=90)).isoformat(),
        "arrived_at": (happened + timedelta(minutes=30)).isoformat(),
        "occurred_at": happened.isoformat(),
        "site_code": "RHM01",
        "assault_method": "sharp object",
        "location_type": "street",
        "place": {"easting": HOT[0], "northing": HOT[1]},
        **more,
    }
    return {
        "specversion": "1.0",
        "id": f"{number}:1",
        "source": ED_SOURCE,
        "type": "hotspot.ed.attendance.recorded.v1",
        "data": data,
    }


@dataclass
class WholeWorker:
    """One process."""

    settings: Settings
    log: Path
    secrets: Mapping[str, str] = field(default_factory=dict)
    port: int = field(default_factory=lambda: free_port(random.Random()))
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin; it is ready some time later."""
        given = environment(self.settings.model_copy(update={"metrics_port": self.port}))
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "cli", "worker"],
                env={**os.environ, **given, **self.secrets},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """As operations staff stop it; killed if it takes no notice."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self.kill()

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Status and body; 0 while nobody answers."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return int(response.status), response.read()
        except HTTPError as error:
            return error.code, b""
        except OSError:
            return 0, b""

    async def ready(self) -> None:
        """Wait until it has its partitions."""
        await eventually(lambda: self.get("/readyz")[0] == 200, "the worker is ready", self)

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None


async def eventually(done: Callable[[], bool], what: str, *workers: WholeWorker, timeout_s: float = START_S) -> None:
    """Wait in a thread for something that happens in other processes: receivers are in this one's loop."""
    deadline = time.monotonic() + timeout_s
    while not await asyncio.to_thread(done):
        for worker in workers:
            assert worker.is_running, f"a worker ended: {worker.log.read_text(encoding='utf-8')[-3000:]}"
        logs = "\n".join(worker.log.read_text(encoding="utf-8")[-1500:] for worker in workers)
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}\n{logs}"
        await asyncio.sleep(0.2)


def worker_settings(installation: Installation, routes: Path, **more: Any) -> Settings:
    """Settings of a worker that learns within seconds what is usual."""
    from chaos.installation import DETECTION

    return installation.settings(
        source_partitions=1,  # all of a history comes in one fetch, so that the first look sees it whole
        detection=DETECTION,
        routes=routes,
        simulated=True,
        tick_seconds=2.0,
        commit_seconds=0.3,
        **more,
    )


def told(settings: Settings) -> list[Alert]:
    """All alert revisions so far."""
    return [logged.event.data for logged in read_alert_log(settings)]


def numbered(alerts: Sequence[Alert]) -> Iterator[str]:
    """The key of each."""
    for one in alerts:
        yield f"{one.episode_id}.{one.revision}"


def the_hotspot(alerts: Sequence[Alert]) -> list[Alert]:
    """The revisions of the episode at the quiet place."""
    return [
        one for one in alerts if abs(one.window.easting - HOT[0]) < 2_000 and abs(one.window.northing - HOT[1]) < 2_000
    ]


def now() -> datetime:
    """The clock of the workers."""
    return utc_now()
