"""One run of `make scale`: so many workers take in the nation's history, live with it, and lose one of them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import redis

from bench.holder import all_looked_at
from bench.latency import amendments, measure, places_in
from bench.recovery import SETTLE_S, heartbeats
from bench.scale_history import History, ahead_of, history_messages, sample
from bench.scale_results import Latency, Result
from bench.scale_team import Feed, Team
from bench.servers import Message, Servers, bench_servers, publish
from chaos.installation import Run, write_region
from processors.baseline import MIN_INCIDENTS
from schemas.base import utc_now
from schemas.detection import DetectionSettings
from schemas.region import RegionFile
from schemas.settings import Settings
from simulation.nation import FORCES, region_of
from streams.topics import Topics

#: As by default, and as a cluster would have it.
SESSION_TIMEOUT_S: Final = 20
LONGEST_BASELINE_DAYS: Final = 3_650
HEARTBEAT_S: Final = 1.0
#: With the default of a minute, regions are looked at and learn anew, each minute, what is usual in the part of the
#: history that is there yet: taking in and looking could not be told apart. Heartbeats are what makes them look here.
TICK_S: Final = 3600.0
#: So many known records are amended at once, for the rate of a live worker.
LIVE_RECORDS: Final = 20_000
#: A hotspot is made, or taken back, so often and for so long: seldom enough that none waits for another.
HOTSPOT_EVERY_S, LATENCY_S = 2.0, 120.0
#: A region with fewer revisions may never learn what is usual (`processors.baseline.MIN_INCIDENTS`): with a small share
#: of the records the City of London is one, and not waited for.
LEAST_LEARNED: Final = 4 * MIN_INCIDENTS
#: Above the busiest hour of a year.
PEAK_TIMES: Final = 10
MIB: Final = 1024.0 * 1024.0


def run(history: History, folder: Path, workers: int, most_mib: float) -> Result:
    """Measure one number of workers on a broker of their own."""
    regions = [region_of(force) for force in FORCES]
    with tempfile.TemporaryDirectory(prefix="hotspot-scale-") as files, bench_servers() as servers:
        settings = servers.installation(
            regions=tuple(write_region(region, Path(files) / f"{region.id}.toml") for region in regions),
            located_partitions=history.plan.partitions,
            session_timeout_s=SESSION_TIMEOUT_S,
            tick_seconds=TICK_S,
            detection=DetectionSettings(
                baseline_days=min(LONGEST_BASELINE_DAYS, 365 * history.plan.years),
                calibration_days=history.plan.calibration_days,
            ),
        )
        _say(f"publishing {history.total:,} simulated revisions")
        publish(settings, history_messages(history, folder, settings))
        team = Team(settings, workers, most_mib)
        try:
            return _measure(history, folder, regions, servers, settings, team)
        finally:
            team.kill()


def _measure(
    history: History, folder: Path, regions: Sequence[RegionFile], servers: Servers, settings: Settings, team: Team
) -> Result:
    feed = Feed(settings, ahead_of(folder))
    regions = [region for region in regions if history.revisions[region.id] >= LEAST_LEARNED]
    workers = len(team.holders)
    empty = _join(team)
    loaded_at, load_seconds, load_busy = _load(history, settings, team)
    first_looks_at = _first_looks(settings, regions, feed, team)
    held = [sorted(holder.first_looks(loaded_at)) for holder in team.holders]
    rss = [round(holder.rss_mb(), 1) for holder in team.holders]
    sizes = disk_mib(servers.data, settings)
    changed = amendments(sample(folder, settings), history.plan.seed)
    live_seconds, live_busy = _live(settings, list(islice(changed, LIVE_RECORDS)), team)
    average, peak = _latencies(history, settings, regions, feed, changed)
    peaks = [round(holder.rss_mb("VmHWM"), 1) for holder in team.holders]
    takeover, rejoin, recovery = _lose_one(settings, regions, feed, team, held)
    return Result(
        workers=workers,
        measured_at=utc_now().replace(microsecond=0),
        cores=os.cpu_count() or 1,
        machine=machine(),
        history_until=history.until,
        records=history.total,
        regions_looked_at=len(regions),
        peak_hour=history.peak_hour,
        load_seconds=round(load_seconds, 2),
        load_busy_seconds=round(load_busy, 2),
        first_looks_seconds=round(first_looks_at - loaded_at, 2),
        live_records=LIVE_RECORDS,
        live_seconds=round(live_seconds, 3),
        live_busy_seconds=round(live_busy, 3),
        rss_empty_mib=empty,
        rss_mib=rss,
        rss_peak_mib=peaks,
        regions=[len(names) for names in held],
        shares=[round(sum(history.revisions[name] for name in names) / history.total, 4) for names in held],
        source_mib=sizes["source"],
        located_mib=sizes["located"],
        changelog_mib=sizes["changelog"],
        redis_mib=_redis_mib(servers.redis_url),
        at_average=average,
        at_peak=peak,
        takeover_seconds=takeover,
        rejoin_seconds=rejoin,
        recovery_seconds=recovery,
    )


def _join(team: Team) -> float:
    """Wait until the first worker has partitions; returns its resident memory, MiB, before it holds anything."""
    team.wait(lambda: any(holder.latest("assigned") for holder in team.holders), "a worker has joined")
    return round(max(holder.rss_mb() for holder in team.holders if holder.latest("assigned")), 1)


def _load(history: History, settings: Settings, team: Team) -> tuple[float, float, float]:
    """When all was taken in, and what it took: seconds, and seconds of processor time."""
    _say(f"{len(team.holders)} workers take it in")
    begin = min(float(told["at"]) for holder in team.holders if (told := holder.latest("assigned")))
    busy = team.busy_s()
    behind = Run(settings)
    try:
        team.wait(
            lambda: (left := behind.behind()) is not None and not any(left.values()) and team.settled() > 0,
            "the history is taken in",
            lambda: f"{team.settled():,} of {history.total:,} settled",
        )
    finally:
        behind.close(delete=False)
    end = team.last_settled_at()
    return end, end - begin, team.busy_s() - busy


def _first_looks(settings: Settings, regions: Sequence[RegionFile], feed: Feed, team: Team) -> float:
    """Have every region learn what is usual and be looked at; returns when the last was."""
    _say("first looks: baselines and calibrations")
    names = [region.id for region in regions]
    since = time.time()
    with feed.running(), heartbeats(settings, regions, HEARTBEAT_S):
        team.wait(
            lambda: all_looked_at(team.holders, names, since) is not None,
            "every region has been looked at",
            lambda: f"{sum(len(holder.first_looks(since)) for holder in team.holders)} of {len(names)} regions",
        )
    looked = all_looked_at(team.holders, names, since)
    assert looked is not None
    return looked


def _live(settings: Settings, messages: Sequence[Message], team: Team) -> tuple[float, float]:
    """Seconds, and seconds of processor time, from the first of many amendments published until all are settled."""
    _say(f"{len(messages):,} amendments at once")
    before, busy, begin = team.settled(), team.busy_s(), time.time()
    publish(settings, messages)
    team.wait(lambda: team.settled() >= before + len(messages), "the amendments are settled")
    return team.last_settled_at() - begin, team.busy_s() - busy


def _latencies(
    history: History, settings: Settings, regions: Sequence[RegionFile], feed: Feed, changed: Iterator[Message]
) -> tuple[Latency, Latency]:
    """From hotspot to alert beside the nation's records as they come, and beside ten times its busiest hour."""
    places = [places_in(region, most=2) for region in regions]
    found = []
    for which, rate in enumerate((0.0, PEAK_TIMES * history.peak_hour / 3600)):
        _say(f"latencies beside {f'{rate:.2f} records/s' if rate else 'the records of the nation as they come'}")
        own = [of_region[which] for of_region in places if which < len(of_region)]
        with feed.running():
            found.append(_latency(measure(settings, changed, rate, LATENCY_S, own, HOTSPOT_EVERY_S), rate))
    average, peak = found
    expected = history.plan.simulated_per_year / (365 * 86_400)
    return average.model_copy(update={"records_per_second": round(expected, 4)}), peak


def _latency(found_ms: Sequence[float], rate: float) -> Latency:
    published = int(LATENCY_S / HOTSPOT_EVERY_S)
    if not found_ms:
        raise RuntimeError(f"no alert came of {published} hotspots")
    p50, p99 = np.percentile(found_ms, [50, 99]).tolist()
    return Latency(
        p50_ms=round(p50, 1),
        p99_ms=round(p99, 1),
        alerts=len(found_ms),
        published=published,
        records_per_second=round(rate, 4),
    )


def _lose_one(
    settings: Settings, regions: Sequence[RegionFile], feed: Feed, team: Team, held: Sequence[Sequence[str]]
) -> tuple[float | None, float, float]:
    """Kill the worker with most regions, and start another: take-over, joining and recovery, seconds."""
    _say("a worker is killed")
    names = [region.id for region in regions]
    victim = max(range(len(held)), key=lambda number: len(held[number]))
    takeover = None
    with feed.running(), heartbeats(settings, regions, HEARTBEAT_S):
        time.sleep(SETTLE_S)  # standbys follow the changelog
        killed = time.time()
        team.lose(victim)
        if team.holders:
            team.wait(lambda: all_looked_at(team.holders, names, killed) is not None, "others have taken over")
            looked = all_looked_at(team.holders, names, killed)
            assert looked is not None
            takeover = round(looked - killed - settings.session_timeout_s, 2)
        started = time.time()
        fresh = team.gain()
        team.wait(lambda: fresh.latest("assigned") is not None, "its successor has joined")
        joined = float(next(told for told in fresh.told if told["event"] == "assigned")["at"])
        team.wait(lambda: all_looked_at(team.holders, names, joined) is not None, "every region is looked at again")
    looked = all_looked_at(team.holders, names, joined)
    assert looked is not None
    return takeover, round(joined - started, 2), round(looked - joined, 2)


def disk_mib(data: Path, settings: Settings) -> dict[str, float]:
    """Size on the broker's disk of the source topics, the located topic and the changelog, MiB."""
    topics = Topics(settings.prefix)

    def size(topic: str) -> int:
        return sum(log.stat().st_size for log in data.glob(f"{topic}-*/*.log") if _is_of(topic, log.parent.name))

    named = {"source": (topics.ed, topics.police), "located": (topics.located,), "changelog": (topics.changelog,)}
    return {name: round(sum(map(size, of_name)) / MIB, 1) for name, of_name in named.items()}


def _is_of(topic: str, folder: str) -> bool:
    """Whether a folder holds a partition of this topic, not of one whose name goes on."""
    return folder.removeprefix(f"{topic}-").isdigit()


def machine() -> str:
    """Processor and memory, as the system tells them."""
    processors = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.partition(":")[2].strip() for line in processors if line.startswith("model name")), "processor")
    total_kib = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1])
    return f"{model}, {os.cpu_count()} cores, {total_kib / 1024**2:.0f} GiB"


def _redis_mib(url: str) -> float:
    with redis.Redis.from_url(url) as client:
        return round(float(client.info("memory")["used_memory"]) / MIB, 2)


def _say(what: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {what}", flush=True)
