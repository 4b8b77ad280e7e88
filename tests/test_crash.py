"""A worker that dies between any two writes: its state and its alerts end as if it had never died."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from aiokafka.errors import KafkaError

from alerts import monitor as heart
from alerts.audit import latest_heads
from alerts.audit_verify import Placed, verify
from alerts.monitor import RegionMonitor
from alerts.schedule import ReplaySchedule
from processors.record_parts import in_weeks
from schemas.alert import AlertEvent
from schemas.detection import DAY_S, HOUR_S, DetectionSettings
from schemas.located import Kind, LocatedArray, Status
from schemas.settings import Settings
from streams import monitor_agent
from streams.accounting import Accounting
from streams.app import AHEAD_OF_STATE
from streams.audit import AuditTrail, entries_of
from streams.fetch import Fetch
from streams.located import LocatedBatch
from streams.metrics import Metrics
from streams.monitor_agent import Monitoring
from streams.state import RegionState
from streams.topics import Topics
from tests.builders import NOW, hampshire
from tests.builders_processors import MONDAY, history, located
from tests.running import until

DETECTION = DetectionSettings(
    radii_cells=(0, 1, 2),
    spans_s=(6 * HOUR_S, 24 * HOUR_S, 72 * HOUR_S),
    baseline_days=60,
    guard_days=2,
    min_history_days=28,
    level_days=28,
    calibration_days=28,
)
SETTINGS = Settings(clock="replay", detection=DETECTION)
DAYS = 45
TOPICS = Topics(SETTINGS.prefix)
POLICE = (int(Kind.POLICE), 0)
#: A step takes so long where all kernels are yet to be compiled, seconds.
COMPILED_S = 240.0


class DiedError(Exception):
    """The worker is killed here."""


class Life:
    """Lets so many writes happen, then none."""

    def __init__(self, writes: float) -> None:
        self.left = writes

    def write(self) -> None:
        """One write to a topic."""
        if self.left <= 0:
            raise DiedError
        self.left -= 1


class Changelog(dict[bytes, bytes]):
    """What the changelog topic holds; survives the worker."""

    life: Life

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.life.write()
        super().__setitem__(key, value)

    def __delitem__(self, key: bytes) -> None:
        self.life.write()
        super().__delitem__(key)


class Broker:
    """The located topic with its committed offset, the changelog, and the alerts that were published."""

    def __init__(self, fetches: Sequence[Fetch]) -> None:
        self.fetches = fetches
        self.committed = 0
        self.changelog = Changelog()
        self.alerts: dict[str, bytes] = {}
        self.trail: list[Placed] = []
        self.lives = 0

    def live(self, writes: float) -> bool:
        """Run a worker from the committed offset until it dies, or all is done."""
        self.lives += 1
        self.changelog.life = life = Life(writes)

        async def send(topic: str, key: bytes | None, value: bytes, headers: Any = ()) -> Awaitable[Any]:
            life.write()
            if topic == TOPICS.audit:
                self.trail.append(Placed(f"message {len(self.trail)}", "0", value, key))
            if topic == TOPICS.alerts:
                event = AlertEvent.model_validate_json(value)
                assert event.id in self.audited(), "an alert that is not in the trail"
                assert self.alerts.setdefault(event.id, value) == value, "the same alert with other content"
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

        async def flush() -> None:
            return None

        async def work() -> None:
            state = RegionState(self.changelog)
            under_way: deque[Awaitable[Any]] = deque()
            for fetch in self.fetches[self.committed :]:
                under_way.append(await monitoring.handle(fetch, state))
                if len(under_way) == AHEAD_OF_STATE:
                    await under_way.popleft()
                    self.committed += 1
            while under_way:
                await under_way.popleft()
                self.committed += 1

        trail = AuditTrail("worker", TOPICS.audit, send, lambda: latest_heads(entries_of(self.trail)), lambda: NOW)
        accounting = Accounting(Metrics())
        monitoring = Monitoring(
            SETTINGS, {"hampshire"}, build, send, flush, accounting, trail.record, clock=lambda: NOW
        )
        try:
            asyncio.run(work())
        except DiedError:
            return False
        finally:
            monitoring.stop()
        return True

    def audited(self) -> set[str]:
        """Ids of the alerts whose disclosure is in the trail."""
        return {entry.event.subject.id for entry in entries_of(self.trail)}

    def state(self) -> dict[str, bytes]:
        """What is kept in the end, whoever wrote it."""
        saved = RegionState(dict(self.changelog)).load("hampshire")
        return {**in_weeks(saved.parts), "offset": b"%d" % saved.next_offset}


def build(_: str) -> RegionMonitor:
    return RegionMonitor(hampshire(), DETECTION, schedule=ReplaySchedule(frozenset({POLICE}), 900))


def records() -> LocatedArray:
    """Weeks of calm, a hotspot, and the withdrawal of half of it."""
    calm = history(np.random.default_rng(4), DAYS, 6.0)
    now = MONDAY + (DAYS - 4) * DAY_S
    hot = located(record=np.arange(50_000, 50_008), ix=9, iy=9, occurred=now + 2 * HOUR_S * np.arange(8))
    gone = hot[:5].copy()
    gone["revision"], gone["status"], gone["recorded_us"] = 2, Status.WITHDRAWN, (now + DAY_S) * 1_000_000
    rows = np.concatenate([calm, hot, gone])
    return rows[np.argsort(rows["recorded_us"], kind="stable")]


@pytest.fixture(scope="module")
def fetches() -> list[Fetch]:
    """The records as fetches of the located topic, some of several messages."""
    rows = records()
    found, offset, taken = [], 0, 0
    for part in np.array_split(rows, 12):
        messages = []
        for some in np.array_split(part, 2):
            some["reserved"] = np.arange(len(some))
            batch = LocatedBatch(some, POLICE, taken, 0, 0)
            taken += len(some)
            messages.append(SimpleNamespace(key=b"hampshire", value=batch.to_bytes(), offset=offset, timestamp=0))
            offset += 1
        found.append(Fetch("located", 0, tuple(messages)))
    return found


@pytest.fixture(autouse=True)
def few_looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few that a worker dies between looks that were due together."""
    monkeypatch.setattr(heart, "LOOKS_AT_ONCE", 7)
    monkeypatch.setattr(monitor_agent, "LOOKS_AT_ONCE", 7)


@pytest.mark.parametrize("seed", [9, 10, 11])
def test_dying_between_any_writes_changes_neither_state_nor_alerts(fetches: list[Fetch], seed: int) -> None:
    calm = Broker(fetches)
    assert calm.live(float("inf"))
    reasons = [AlertEvent.model_validate_json(value).data.reason.value for value in calm.alerts.values()]
    assert "opened" in reasons
    assert "evidence_withdrawn" in reasons
    names = {key.split(b"|")[-1].split(b"/")[0] for key in calm.changelog}
    assert {b"added", b"records"} <= names  # steps were written in both ways

    troubled = Broker(fetches)
    rng = np.random.default_rng(seed)
    while not troubled.live(int(rng.integers(1, 24))):
        assert troubled.lives < 1_000
    assert troubled.lives > 10
    assert troubled.alerts == calm.alerts
    assert list(troubled.alerts) == list(calm.alerts)
    assert troubled.state() == calm.state()
    assert troubled.audited() == set(troubled.alerts)
    assert verify(troubled.trail, NOW).broken == []


def test_looks_that_were_due_are_taken_up_without_a_new_record(fetches: list[Fetch]) -> None:
    """All records come in one fetch, so after a death amid its looks there is nothing to do but the other looks."""
    whole = [Fetch("located", 0, tuple(record for fetch in fetches for record in fetch.records))]
    calm = Broker(whole)
    assert calm.live(10_000)
    writes = 10_000 - calm.changelog.life.left
    dying = Broker(whole)
    assert not dying.live(writes // 2)
    assert int(dying.state()["offset"]) == whole[0].records[-1].offset + 1
    assert dying.alerts != calm.alerts
    assert dying.live(10_000)
    assert dying.alerts == calm.alerts
    assert dying.state() == calm.state()


async def test_a_report_that_the_broker_has_not_taken_keeps_its_fetch_from_being_acknowledged(
    fetches: list[Fetch],
) -> None:
    """What comes after it is computed and written meanwhile. Where it is refused, nothing may follow."""
    reports: list[asyncio.Future[None]] = []
    changelog: dict[bytes, bytes] = {}

    async def send(topic: str, key: bytes | None, value: bytes, headers: Any = ()) -> Awaitable[Any]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if topic == TOPICS.detections:
            reports.append(done)
        else:
            done.set_result(None)
        return done

    async def nothing(*_: Any) -> None: ...

    def offset() -> int:
        return RegionState(dict(changelog)).load("hampshire").next_offset

    accounting = Accounting(Metrics())
    monitoring = Monitoring(SETTINGS, {"hampshire"}, build, send, nothing, accounting, nothing, clock=lambda: NOW)
    state, left = RegionState(changelog), iter(fetches)
    try:
        begun: list[asyncio.Future[Any]] = []
        while not reports:
            begun.append(asyncio.ensure_future(await monitoring.handle(next(left), state)))
            await until(lambda: bool(reports) or begun[-1].done(), "a report, or nothing to report", COMPILED_S)
        first, before = begun[-1], offset()
        second = asyncio.ensure_future(await monitoring.handle(next(left), state))
        await until(lambda: offset() > before, "the next one is written, too", COMPILED_S)
        assert not first.done()
        reports[0].set_exception(KafkaError("refused"))
        with pytest.raises(KafkaError, match="refused"):
            await first
        with pytest.raises(KafkaError, match="refused"):
            await (await monitoring.handle(next(left), state))
        second.cancel()
    finally:
        monitoring.stop()
