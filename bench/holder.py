"""A worker in a process of its own that tells, line by line, when it is assigned, what it has taken in and looked at.

`python -m bench.holder SETTINGS [AREAS]` runs until it is killed, with so many areas like Hampshire or, without them,
the regions of the settings. Each line is JSON: at (s since 1970), event, and more.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.messages import hampshire
from bench.source import ROOT
from schemas.region import RegionFile, load_region
from schemas.settings import Settings
from streams.app import Worker
from streams.metrics import Metrics

POLL_S: Final = 0.02


def areas(count: int) -> list[RegionFile]:
    """So many regions like Hampshire, each with an id and sources of its own; one is Hampshire itself."""
    region = hampshire()
    if count == 1:
        return [region]
    return [
        region.model_copy(
            update={
                "id": f"area-{number}",
                "sources": tuple(
                    source.model_copy(update={"id": source.id.replace("hampshire", f"area-{number}", 1)})
                    for source in region.sources
                ),
            }
        )
        for number in range(count)
    ]


def _tell(event: str, **more: object) -> None:
    print(json.dumps({"at": time.time(), "event": event, **more}), flush=True)


async def hold(settings: Settings, regions: Sequence[RegionFile]) -> None:
    """Run a worker and tell what it does."""
    running = Worker(settings, regions)

    async def assigned(*_: Any, **__: Any) -> None:
        _tell("assigned")

    async def recovered(*_: Any, **__: Any) -> None:
        _tell("recovered")

    running.faust.on_partitions_assigned.connect(assigned, weak=False)
    running.faust.on_rebalance_complete.connect(recovered, weak=False)
    await running.start()
    _tell("started")
    looks: dict[str, float] = {}
    settled = 0
    while running.failure is None:
        await asyncio.sleep(POLL_S)
        now = looks_of(running.metrics)
        for region in running.monitoring.regions:
            if now.get(region, 0.0) > looks.get(region, 0.0):
                known = region in running.calibrated_regions and not running.monitoring.is_calibrating
                _tell("looked", region=region, calibrated=known)
        looks = now
        if running.accounting.settled != settled:
            settled = running.accounting.settled
            _tell("settled", records=settled)
    traceback.print_exception(running.failure)
    sys.stderr.flush()
    os._exit(1)  # Faust's threads would keep the process alive


def looks_of(metrics: Metrics) -> dict[str, float]:
    """Looks at each region so far. One family of the registry: to collect all of them takes as long as some looks."""
    return {
        sample.labels["region"]: sample.value
        for family in metrics.looks.collect()
        for sample in family.samples
        if sample.name == "hotspot_looks_total"
    }


class Holder:
    """Such a process, and what it has told so far."""

    def __init__(self, settings: Settings, count: int | None = None) -> None:
        areas = [] if count is None else [str(count)]
        command = [sys.executable, "-m", "bench.holder", settings.model_dump_json(), *areas]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self.told: list[dict[str, Any]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told.append(json.loads(line))

    def wait(self, done: Callable[[], bool], what: str, timeout_s: float = 300.0) -> None:
        """Wait for something told. Raises RuntimeError where the process ends first, or time is up."""
        deadline = time.monotonic() + timeout_s
        while not done():
            if self._process.poll() is not None:
                raise RuntimeError(f"the worker ended before {what}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"not within {timeout_s:.0f} s: {what}")
            time.sleep(POLL_S)

    def latest(self, event: str) -> dict[str, Any] | None:
        """The last that was told of an event."""
        return next((told for told in reversed(self.told) if told["event"] == event), None)

    def looked_at(self, regions: Sequence[str], since: float) -> float | None:
        """When all of these had been looked at after a moment, calibrated, and nothing was left to be; None before."""
        return all_looked_at([self], regions, since)

    def first_looks(self, since: float) -> dict[str, float]:
        """Of each region, when it was first looked at after a moment, calibrated."""
        first: dict[str, float] = {}
        for told in reversed(self.told):  # there are many, and the newest are asked for
            if told["at"] <= since:
                break
            if told["event"] == "looked" and told["calibrated"]:
                first[told["region"]] = told["at"]
        return first

    def rss_mb(self, field: str = "VmRSS") -> float:
        """Resident memory, MB: now, or at its highest with VmHWM; 0 of one that has just ended."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        line = next((line for line in status.splitlines() if line.startswith(field)), None)
        return 0.0 if line is None else int(line.split()[1]) / 1024

    def busy_s(self) -> float:
        """Processor time that it has taken so far, seconds."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()


def all_looked_at(holders: Sequence[Holder], regions: Sequence[str], since: float) -> float | None:
    """When each of these regions had been looked at by one of the workers after a moment; None while some have not."""
    first: dict[str, float] = {}
    for holder in holders:
        for region, at in holder.first_looks(since).items():
            first[region] = min(at, first.get(region, at))
    return max(first.values()) if set(regions) <= first.keys() else None


if __name__ == "__main__":
    given, *number = sys.argv[1:]
    told = Settings.model_validate_json(given)
    uvloop.run(hold(told, areas(int(number[0])) if number else [load_region(path) for path in told.regions]))
