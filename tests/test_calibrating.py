"""Calibrations beside the looks: what a region is looked at by meanwhile, and that none is lost or made twice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from alerts.monitor import RegionMonitor
from processors.calibration import Calibration
from processors.detector import Detector
from processors.recalibration import CalibrationOrder
from processors.warm import warm_up
from schemas.detection import DAY_S
from schemas.located import Kind, LocatedArray
from schemas.settings import Settings
from streams.accounting import Accounting
from streams.fetch import Fetch
from streams.located import LocatedBatch, tick
from streams.metrics import Metrics
from streams.monitor_agent import Monitoring
from streams.state import RegionState
from streams.topics import Topics
from tests.builders import NOW, Record, hampshire
from tests.builders_processors import MONDAY, SMALL, history, located
from tests.running import until

CHICAGO = ZoneInfo("America/Chicago")
DAYS = 60
AS_OF = MONDAY + DAYS * DAY_S
SETTINGS = Settings(clock="wall", detection=SMALL)
TOPICS = Topics(SETTINGS.prefix)
POLICE = (int(Kind.POLICE), 0)
#: A calibration takes less, seconds, once the kernels are compiled.
MADE_S = 60.0


@pytest.fixture(scope="module")
def past() -> LocatedArray:
    """Sixty days, and a place where much happened in the last hours."""
    warm_up()
    usual = history(np.random.default_rng(5), DAYS, 7.0)
    number = np.arange(18)  # at cells and times of their own: what lies together is one incident
    burst = located(record=90_000 + number, ix=number % 3, iy=number // 3 % 3, occurred=AS_OF - 3_600 * (1 + number))
    return np.concatenate([usual, burst])


@pytest.fixture(scope="module")
def waiting(past: LocatedArray) -> Detector:
    """A detector whose looks wait for calibrations, after its first look."""
    detector = Detector(SMALL, CHICAGO)
    detector.apply(past)
    assert detector.look(AS_OF).detections
    return detector


def beside(past: LocatedArray) -> tuple[Detector, CalibrationOrder]:
    """A detector whose looks do not wait, after its first look, and what that ordered."""
    detector = Detector(SMALL, CHICAGO, calibrates_beside=True)
    detector.apply(past)
    look = detector.look(AS_OF)
    assert (look.detections, look.calibration, look.calibrated) == ([], None, False)
    return detector, ordered(detector)


def ordered(detector: Detector) -> CalibrationOrder:
    """What its last look ordered."""
    order = detector.take_order()
    assert order is not None
    return order


# --- the detector -----------------------------------------------------------------------------------------------------


def test_once_the_calibration_is_there_looks_find_what_those_that_waited_for_it_find(
    past: LocatedArray, waiting: Detector
) -> None:
    detector, order = beside(past)
    detector.calibrated(order.make())
    look, other = detector.look(AS_OF), waiting.look(AS_OF)
    assert detector.calibration == waiting.calibration
    assert look.detections == other.detections != []
    assert detector.snapshot() == waiting.snapshot()


def test_an_order_is_told_once_and_no_other_is_given_before_it_is_done(past: LocatedArray) -> None:
    detector, order = beside(past)
    assert detector.take_order() is None
    week = AS_OF + 7 * DAY_S
    assert detector.look(week).refitted
    assert detector.take_order() is None
    detector.calibrated(order.make())
    assert detector.look(week).calibration == detector.calibration
    assert detector.take_order() is None  # it is as good for the new baseline


def test_looks_go_on_by_one_that_is_merely_old_while_another_is_made() -> None:
    usual = history(np.random.default_rng(5), DAYS + 14, 7.0)
    known = usual["recorded_us"] <= AS_OF * 1_000_000
    weekly = SMALL.model_copy(update={"calibration_max_age_days": 6})
    detector = Detector(weekly, CHICAGO, calibrates_beside=True)
    detector.apply(usual[known])
    detector.look(AS_OF)
    first = ordered(detector).make()
    detector.calibrated(first)
    detector.apply(usual[~known])
    look = detector.look(AS_OF + 14 * DAY_S)
    assert look.refitted
    assert look.calibration == first
    second = ordered(detector).make()
    assert second.made_at > first.made_at
    detector.calibrated(second)
    assert detector.look(AS_OF + 14 * DAY_S + 600).calibration == second


def test_nothing_is_found_by_one_that_was_made_for_other_levels(past: LocatedArray) -> None:
    """Half of a history was there when it was made, say: its threshold says nothing of how often chance does this."""
    detector, order = beside(past)
    first = order.make()
    detector.calibrated(first)
    assert detector.look(AS_OF).detections
    detector.apply(history(np.random.default_rng(6), DAYS, 9.0, first_record=50_000))
    look = detector.look(AS_OF + 600)
    assert look.refitted
    assert (look.detections, look.calibration) == ([], None)
    second = ordered(detector).make()
    detector.calibrated(second)
    look = detector.look(AS_OF + 1_200)
    assert look.calibration == second != first
    assert all(window.level >= second.floor for window in look.detections)


def test_one_that_comes_when_levels_have_changed_is_not_used_and_another_is_ordered(past: LocatedArray) -> None:
    detector, order = beside(past)
    detector.apply(history(np.random.default_rng(6), DAYS, 9.0, first_record=50_000))
    assert detector.look(AS_OF + 600).refitted
    assert detector.take_order() is None  # the first is still being made
    detector.calibrated(order.make())
    assert detector.look(AS_OF + 1_200).calibration is None
    again = ordered(detector)
    assert again.baseline is detector.baseline
    detector.calibrated(again.make())
    assert detector.look(AS_OF + 1_800).calibration is not None


def test_who_restores_a_region_whose_calibration_was_not_done_orders_it_again(past: LocatedArray) -> None:
    detector, order = beside(past)
    later = Detector(SMALL, CHICAGO, calibrates_beside=True)
    later.restore(detector.snapshot())
    assert later.look(AS_OF + 60).calibration is None
    assert ordered(later).make() == order.make()


def test_what_an_order_is_made_of_does_not_change_with_the_records(past: LocatedArray) -> None:
    detector, order = beside(past)
    detector.apply(history(np.random.default_rng(6), DAYS, 9.0, first_record=50_000))
    _, calm = beside(past)
    assert order.make() == calm.make()


def test_a_calibration_on_two_threads_is_that_on_one(past: LocatedArray) -> None:
    """Of three parts, so that one of them waits for another in its thread."""
    _, order = beside(past)
    long = order._replace(settings=SMALL.model_copy(update={"calibration_days": 2 * 364 + 28}))
    assert long.make(threads=2) == long.make(threads=1)


# --- the agent --------------------------------------------------------------------------------------------------------


class Held:
    """Calibrations that begin, and end when they are let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.let = threading.Event(), threading.Event()
        self.error: Exception | None = None
        make = CalibrationOrder.make

        def held(order: CalibrationOrder, threads: int = 1) -> Calibration:
            self.begun.set()
            assert self.let.wait(MADE_S)
            if self.error is not None:
                raise self.error
            return make(order, threads)

        monkeypatch.setattr(CalibrationOrder, "make", held)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """They are held up from now on."""
    return Held(monkeypatch)


class Region:
    """One region under the wall clock, its state in a dictionary, and the offsets of what it is handed."""

    def __init__(self) -> None:
        self.table: dict[bytes, bytes] = {}
        self.state = RegionState(self.table)
        self.metrics = Metrics()
        self._offset = 0
        self.agent = Monitoring(
            SETTINGS, {"hampshire"}, _monitor, _send, _nothing, Accounting(self.metrics), _nothing, clock=lambda: NOW
        )

    @property
    def looks(self) -> float:
        """Looks so far."""
        return float(self.metrics.looks.labels("hampshire")._value.get())

    @property
    def saved(self) -> dict[str, bytes]:
        """Its state, as who takes over would find it."""
        return RegionState(dict(self.table)).load("hampshire").parts

    async def take(self, message: bytes) -> None:
        """Hand it a message, and wait until that is done with."""
        self._offset += 1
        fetch = Fetch(TOPICS.located, 0, (Record(self._offset, b"hampshire", message),))
        await (await self.agent.handle(fetch, self.state))

    async def load(self, past: LocatedArray) -> None:
        """Hand it records, just published, and wait for the look at them."""
        just_now = int(time.time() * 1000)
        await self.take(LocatedBatch(past, POLICE, 0, AS_OF * 1_000_000, just_now).to_bytes())

    async def tick(self, seconds: int) -> None:
        """So much time has passed since the records."""
        await self.take(tick((AS_OF + seconds) * 1_000_000).to_bytes())

    def go_on_from(self, other: Region) -> None:
        """Have its state, and be handed what comes next."""
        self.table.update(other.table)
        self._offset = other._offset

    async def end(self) -> None:
        """As a worker ends it."""
        await self.agent.end_calibrations()
        self.agent.stop()


def _monitor(region: str) -> RegionMonitor:
    return RegionMonitor(hampshire(), SMALL, calibrates_beside=True)


async def _send(topic: str, key: bytes | None, value: bytes, headers: Any = ()) -> Awaitable[Any]:
    return asyncio.sleep(0)


async def _nothing(*_: Any) -> None: ...


async def test_looks_do_not_wait_for_a_calibration_and_one_follows_it_at_once(held: Held, past: LocatedArray) -> None:
    region = Region()
    try:
        await region.load(past)
        await until(held.begun.is_set, "a calibration is begun", MADE_S)
        for seconds in (60, 120):
            await region.tick(seconds)
        assert region.looks == 3
        assert "calibration" not in region.saved
        assert region.agent.is_calibrating
        held.let.set()
        await until(lambda: region.looks == 4, "a look without any message", MADE_S)
        await until(lambda: "calibration" in region.saved, "it is in the state")
        assert not region.agent.is_calibrating
        monitor = region.agent.regions["hampshire"]
        assert monitor.calibration is not None
        assert monitor.episodes
    finally:
        held.let.set()
        await region.end()


async def test_a_region_that_is_let_go_of_and_comes_back_is_looked_at_by_its_calibration(
    held: Held, past: LocatedArray
) -> None:
    region = Region()
    try:
        await region.load(past)
        region.agent.release()
        held.let.set()
        await until(lambda: not region.agent.is_calibrating, "it is made", MADE_S)
        assert region.looks == 1  # another worker may hold the region
        await region.tick(60)
        assert region.agent.regions["hampshire"].calibration is not None
    finally:
        held.let.set()
        await region.end()


async def test_who_takes_a_region_over_makes_the_calibration_that_its_holder_did_not(
    held: Held, past: LocatedArray
) -> None:
    first, second = Region(), Region()
    try:
        await first.load(past)
        second.go_on_from(first)
        await second.tick(60)
        held.let.set()
        await until(lambda: second.looks >= 2, "a calibration, and a look by it", MADE_S)
        assert second.agent.regions["hampshire"].calibration is not None
    finally:
        held.let.set()
        await first.end()
        await second.end()


async def test_none_is_made_for_a_region_that_is_anothers_by_its_turn(held: Held, past: LocatedArray) -> None:
    region = Region()
    try:
        async with region.agent._one_calibration:  # that of another region is being made
            await region.load(past)
            region.agent.release()
            region.agent.keep_only(set())
            assert region.agent.is_calibrating
        await until(lambda: not region.agent.is_calibrating, "its turn has come", MADE_S)
        assert not held.begun.is_set()
    finally:
        held.let.set()
        await region.end()


async def test_a_calibration_that_fails_fails_the_region(held: Held, past: LocatedArray) -> None:
    region = Region()
    held.error = ArithmeticError("no tail")
    try:
        await region.load(past)
        held.let.set()
        await until(lambda: not region.agent.is_calibrating, "it has failed", MADE_S)
        with pytest.raises(ArithmeticError, match="no tail"):
            await region.tick(60)
    finally:
        await region.end()


async def test_a_stop_does_not_wait_for_a_calibration(held: Held, past: LocatedArray) -> None:
    region = Region()
    await region.load(past)
    await until(held.begun.is_set, "a calibration is begun", MADE_S)
    await asyncio.wait_for(region.end(), 10.0)
    assert not region.agent.is_calibrating
    held.let.set()
    await asyncio.sleep(0.2)
    assert region.looks == 1
