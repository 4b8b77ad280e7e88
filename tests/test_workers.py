"""Several workers over Apache Kafka: regions spread, one is taken over, and one is added while they run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from math import inf
from pathlib import Path

import pytest

from chaos.installation import DETECTION, write_region
from chaos.outcome import read_topic
from chaos.records import chaos_region
from chaos.round import running
from chaos.workers import Place, WorkerProcess
from processors.records import RecordStore
from schemas.base import utc_now
from schemas.reasons import RejectReason
from schemas.region import RegionFile, Source
from schemas.settings import Settings
from streams.state import RegionState
from streams.topics import Topics, create_topics
from tests.builders import hampshire
from tests.running import Installation, dead_letters, publish, until

pytestmark = [pytest.mark.connected, pytest.mark.timeout(1200)]
QUIET = 40
HOT = 3_000
LONG_S = 240.0
#: Characters of a worker's log that are shown where a test fails.
TOLD = 8_000


def region(name: str) -> RegionFile:
    """A region with one police source."""
    source = Source(id=f"{name}/police", kind="police")
    return chaos_region(hampshire(), 0).model_copy(update={"id": name, "name": name, "sources": (source,)})


def incidents(name: str, count: int, first: int = 0) -> list[tuple[bytes | None, bytes]]:
    """Good records of yesterday."""
    found: list[tuple[bytes | None, bytes]] = []
    for number in range(first, first + count):
        happened = utc_now() - timedelta(days=1, minutes=number % 600)
        data = {
            "record_id": f"P{number}",
            "recorded_at": (happened + timedelta(minutes=5)).isoformat(),
            "occurred_at": happened.isoformat(),
            "category": "robbery",
            "place": {"longitude": -1.4 + number % 50 / 1000, "latitude": 50.9},
        }
        event = {
            "specversion": "1.0",
            "id": f"P{number}:1",
            "source": f"{name}/police",
            "type": "hotspot.police.incident.recorded.v1",
            "data": data,
        }
        found.append((f"{name}/P{number}".encode(), json.dumps(event).encode()))
    return found


class Group:
    """Two workers of one installation, each a process that is started again when it ends by itself."""

    def __init__(self, settings: Settings, places: list[Path], directory: Path) -> None:
        self.settings, self.directory = settings, directory
        self._places = [Place(number, directory, cold=True) for number in range(2)]
        self.workers = [WorkerProcess(place, settings, directory) for place in self._places]
        self.files = places

    def restart(self, number: int, files: list[Path]) -> None:
        """End a worker in good order, and start it with other region files."""
        self.workers[number].finish()
        settings = self.settings.model_copy(update={"regions": tuple(files)})
        self.workers[number] = WorkerProcess(self._places[number], settings, self.directory)
        self.workers[number].run()


@pytest.fixture
def group(native: Installation, tmp_path: Path) -> Iterator[Group]:
    """Two workers that hold a hot region and forty quiet ones."""
    names = ["hot", *(f"quiet-{number:02d}" for number in range(QUIET))]
    files = [write_region(region(name), tmp_path / f"{name}.toml") for name in names]
    settings = native.settings(
        regions=tuple(files),
        located_partitions=6,
        detection=DETECTION,
        session_timeout_s=10,
        producer_batch_bytes=16_384,
    )
    create_topics(settings)
    group = Group(settings, files, tmp_path)
    with running(group.workers):
        yield group
    for worker in group.workers:
        print(worker.log.read_text()[-TOLD:])


def kept(settings: Settings, names: list[str]) -> dict[str, int]:
    """Records of each region, as the changelog has them."""
    changelog: dict[bytes, bytes] = {}
    for message in read_topic(settings.bootstrap, Topics(settings.prefix).changelog):
        changelog[message.key() or b""] = message.value() or b""
    state = RegionState(changelog)
    found = {}
    for name in names:
        store = RecordStore()
        store.restore(part for part_name, part in state.load(name).parts.items() if part_name.startswith("records/"))
        found[name] = len(store)
    return found


async def test_a_hot_region_beside_quiet_ones_a_take_over_and_a_region_that_is_added(group: Group) -> None:
    settings, police = group.settings, Topics(group.settings.prefix).police
    names = ["hot", *(f"quiet-{number:02d}" for number in range(QUIET))]
    burst = incidents("hot", HOT)
    quiet = [message for name in names[1:] for message in incidents(name, 2)]
    publish(settings, police, burst[: HOT // 2] + quiet + burst[HOT // 2 :])
    expected = {"hot": HOT, **dict.fromkeys(names[1:], 2)}
    await until(lambda: kept(settings, names) == expected, "all regions have all records", LONG_S)

    # one of the two is killed while both have work, and for good: the other takes over
    group.workers[0].kill(away_s=inf)
    publish(settings, police, [m for name in names for m in incidents(name, 1, first=HOT)])
    expected = {name: count + 1 for name, count in expected.items()}
    await until(lambda: kept(settings, names) == expected, "one worker has all regions", LONG_S)

    # a region is added: until the workers are started again its records are dead letters, and nothing waits for it
    publish(settings, police, [*incidents("new", 3), *incidents("hot", 1, first=HOT + 1)])
    expected["hot"] += 1
    await until(lambda: kept(settings, names) == expected, "others do not wait", LONG_S)
    await until(lambda: len(dead_letters(settings)) == 3, "records of a region without a file are kept", LONG_S)
    assert {letter.headers.reason for letter in dead_letters(settings)} == {RejectReason.UNKNOWN_SOURCE}
    files = [*group.files, write_region(region("new"), group.directory / "new.toml")]
    for number in (0, 1):
        group.restart(number, files)
    publish(settings, police, incidents("new", 3))
    await until(lambda: kept(settings, [*names, "new"]) == {**expected, "new": 3}, "the new region is held", LONG_S)
