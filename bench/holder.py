"""A worker in a process of its own that tells, line by line, when it is assigned, what it has taken in and looked at.

`python -m bench.holder SETTINGS AREAS` runs until it is killed. Each line is JSON: at (s since 1970), event, and more.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.messages import hampshire
from bench.source import ROOT
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.app import Worker

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


async def hold(settings: Settings, count: int) -> None:
    """Run a worker and tell what it does."""
    running = Worker(settings, areas(count))

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
        for region in running.monitoring.regions:
            seen = running.metrics.registry.get_sample_value("hotspot_looks_total", {"region": region}) or 0.0
            if seen > looks.get(region, 0.0):
                _tell("looked", region=region, calibrated=region in running.calibrated_regions)
            looks[region] = seen
        if running.accounting.settled != settled:
            settled = running.accounting.settled
            _tell("settled", records=settled)
    raise running.failure


class Holder:
    """Such a process, and what it has told so far."""

    def __init__(self, settings: Settings, count: int) -> None:
        command = [sys.executable, "-m", "bench.holder", settings.model_dump_json(), str(count)]
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
        """When all of these had been looked at after a moment, calibrated; None while some have not."""
        first: dict[str, float] = {}
        for told in list(self.told):
            if told["event"] == "looked" and told["calibrated"] and told["at"] > since:
                first.setdefault(told["region"], told["at"])
        return max(first.values()) if set(regions) <= first.keys() else None

    def rss_mb(self, field: str = "VmRSS") -> float:
        """Resident memory, MB: now, or at its highest with VmHWM."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1024

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()


if __name__ == "__main__":
    uvloop.run(hold(Settings.model_validate_json(sys.argv[1]), int(sys.argv[2])))
