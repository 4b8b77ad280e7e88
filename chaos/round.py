"""One round: an undisturbed run and a disturbed one over the same log, and in what they differ."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from confluent_kafka import KafkaException

from chaos.broker import ChaosKafka
from chaos.installation import Run, chaos_settings, write_region
from chaos.outcome import Outcome, differences, differences_from_truth, open_by_alerts, read_outcome
from chaos.plan import Disturbance, Plan, Trouble
from chaos.proxy import Line
from chaos.records import build_log, chaos_region
from chaos.workers import Place, WorkerProcess
from schemas.region import RegionFile
from streams.episodes_store import EpisodeStore

#: A run in which nothing moves for this long, and for which nothing stands still on purpose, hangs.
STALL_S = 300.0
#: Nothing more may come for so long, once all is consumed.
CALM_S = 1.5
#: Redis is filled beside all else, and may be behind for so long.
REDIS_S = 60.0
#: Names of the runs of a round: another for each time that the broker refuses for good what is published, as one with a
#: full disk does now and then. The log is not as planned then, and nothing can be compared.
TRIES: Final = ("chaos", "again", "once-more")


class RefusedError(RuntimeError):
    """The broker refused for good what was published."""


@dataclass
class Report:
    """What a round came to."""

    plan: Plan
    wrong: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    """Workers that had to be killed at the end: told, and no difference of what they did."""
    messages: int = 0
    records: int = 0
    alerts: int = 0
    episodes: int = 0
    refused: int = 0
    starts: int = 0
    ended_by_themselves: Counter[str] = field(default_factory=Counter)
    """How many workers ended for what, though nobody asked them to."""
    seconds: float = 0.0
    catching_up_s: float = 0.0
    refused_runs: list[str] = field(default_factory=list)
    """Why the broker refused what was published: so often the round was played again."""

    def __str__(self) -> str:
        ended = ", ".join(f"{count} ended by itself: {cause}" for cause, count in self.ended_by_themselves.items())
        troubles = "; ".join(map(str, self.plan.disturbances)) or "nothing that can be done on this machine"
        return (
            f"{self.plan.workers} workers, {self.plan.regions} regions, {self.messages} messages,"
            f" {self.records} records, {self.refused} refused, {self.alerts} alerts of {self.episodes} episodes,"
            f" {self.starts} starts{f' ({ended})' if ended else ''}, {self.catching_up_s:.0f} s to catch up,"
            f" {self.seconds:.0f} s [{troubles}]{''.join(f'; {sentence}' for sentence in self.late)}"
            f"{''.join(f'; played again, as the broker refused the log: {why}' for why in self.refused_runs)}"
        )


class Servers(NamedTuple):
    """What rounds run on, one after the other."""

    broker: ChaosKafka
    redis_url: str
    places: Sequence[Place]


class Round:
    """Runs one plan on a broker that other rounds may have used; its topics are its own."""

    def __init__(self, plan: Plan, servers: Servers, template: RegionFile, directory: Path) -> None:
        self._plan, self._broker, self._redis_url = plan, servers.broker, servers.redis_url
        self._places, self._directory = servers.places, directory
        self._broker_lock = threading.Lock()
        self._regions = [chaos_region(template, number) for number in range(plan.regions)]
        self._errors: list[str] = []
        self._refused: list[str] = []
        self._log = build_log(plan, self._regions)
        directory.mkdir(parents=True)

    def play(self, calm: Outcome | None) -> tuple[Report, Outcome]:
        """The disturbed run, and before it the undisturbed one unless that of the same log is given; returns it.

        Raises KafkaException and ServerFailedError where the broker itself is no more, RefusedError where it takes
        nothing however often it is tried.
        """
        started = time.monotonic()
        report = Report(self._plan)
        report.messages = len(self._log.messages)
        report.records = sum(map(len, self._log.truth.records.values()))
        for name in TRIES:
            run, workers = self._installation(name, self._broker.bootstraps[: self._plan.workers])
            try:
                with running(workers):  # they start while the undisturbed run goes on
                    if calm is None:
                        calm = self._play_calm(report)
                    if not report.wrong:
                        self._play_troubled(run, workers, calm, report)
                break
            except RefusedError as refused:
                report.refused_runs.append(str(refused))
                run.close(delete=True)
                if name == TRIES[-1]:
                    raise
        report.starts = sum(worker.starts for worker in workers)
        assert calm is not None  # the first run has it
        if not report.wrong:
            self._compare(run, calm, report)
        look_at_endings(workers, report)
        report.alerts = len(calm.alerts)
        report.episodes = len({ident.rpartition(".")[0] for ident in calm.alerts})
        report.refused = len(calm.refused)
        report.seconds = time.monotonic() - started
        run.close(delete=not report.wrong)
        return report, calm

    def _play_calm(self, report: Report) -> Outcome:
        run, workers = self._installation("calm", [self._broker.bootstrap])
        with running(workers):
            run.publish(self._log.messages, 0.0, self._plan.choice(f"log {self._plan.log}/bursts"))
            report.wrong += self._wait(run, workers, "the undisturbed run")
            finish(workers, report)
        look_at_endings(workers, report)
        calm = read_outcome(run.settings, self._regions)
        wrong = [*run.differences_from_log(self._log), *differences_from_truth(calm, self._log.truth)]
        report.wrong += [f"undisturbed: {sentence}" for sentence in wrong]
        run.close(delete=not report.wrong)
        return calm

    def _play_troubled(self, run: Run, workers: Sequence[WorkerProcess], calm: Outcome, report: Report) -> None:
        self._disturb(run, workers)
        since = time.monotonic()
        report.wrong += self._errors
        report.wrong += self._wait(run, workers, "the disturbed run")
        _wait_for_redis(run, open_by_alerts(calm))
        report.catching_up_s = time.monotonic() - since
        finish(workers, report)

    def _compare(self, run: Run, calm: Outcome, report: Report) -> None:
        troubled = read_outcome(run.settings, self._regions)
        report.wrong += run.differences_from_log(self._log)
        report.wrong += differences_from_truth(troubled, self._log.truth)
        report.wrong += differences(calm, troubled)
        report.wrong += self._differences_of_redis(run, troubled)

    def _installation(self, name: str, bootstraps: Sequence[str]) -> tuple[Run, list[WorkerProcess]]:
        plan = self._plan
        files = [write_region(region, self._directory / f"{region.id}.toml") for region in self._regions]
        direct = chaos_settings(plan, name, self._broker.bootstrap, self._redis_url, files)
        directory = self._directory / name
        directory.mkdir(exist_ok=True)
        workers = [
            WorkerProcess(place, direct.model_copy(update={"bootstrap": address}), directory)
            for place, address in zip(self._places, bootstraps, strict=False)
        ]
        return Run(direct), workers

    # --- trouble ----------------------------------------------------------------------------------------------------

    def _disturb(self, run: Run, workers: Sequence[WorkerProcess]) -> None:
        """Publish the records while the trouble of the plan happens; back when both are over."""
        started = time.monotonic()
        plan = self._plan
        tasks: list[Callable[[], None]] = [
            lambda: self._publish(run),
            *(self._task(disturbance, workers, started) for disturbance in plan.disturbances),
        ]
        threads = [threading.Thread(target=self._guarded, args=(task,), daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for proxy in self._broker.proxies:
            proxy.set_line(Line.OPEN)
        if self._refused:
            raise RefusedError(self._refused.pop())

    def _publish(self, run: Run) -> None:
        plan = self._plan
        try:
            run.publish(self._log.messages, plan.scale.publishing_s, plan.choice(f"round {plan.number}/bursts"))
        except KafkaException as error:
            self._refused.append(str(error))

    def _guarded(self, task: Callable[[], None]) -> None:
        try:
            task()
        except Exception as error:
            self._errors.append(f"the round itself: {error!r}")

    def _task(self, disturbance: Disturbance, workers: Sequence[WorkerProcess], started: float) -> Callable[[], None]:
        def run() -> None:
            time.sleep(max(0.0, started + disturbance.at_s - time.monotonic()))
            self._make(disturbance, workers[disturbance.worker])

        return run

    def _make(self, disturbance: Disturbance, worker: WorkerProcess) -> None:
        _, trouble, number, lasts_s, jump_s = disturbance
        match trouble:
            case Trouble.KILL:
                worker.kill(lasts_s)
            case Trouble.END:
                worker.end(lasts_s)
            case Trouble.PAUSE:
                worker.pause()
                time.sleep(lasts_s)
                worker.resume()
            case Trouble.CUT | Trouble.SILENCE:
                proxy = self._broker.proxies[number]
                proxy.set_line(Line.CUT if trouble is Trouble.CUT else Line.SILENT)
                time.sleep(lasts_s)
                proxy.set_line(Line.OPEN)
            case Trouble.CLOCK:
                worker.jump(jump_s)
                time.sleep(lasts_s)
                worker.jump(0)
            case _:
                with self._broker_lock:
                    self._trouble_broker(trouble, lasts_s)

    def _trouble_broker(self, trouble: Trouble, lasts_s: float) -> None:
        if trouble is Trouble.BROKER_KILL:
            self._broker.kill()
        elif trouble is Trouble.BROKER_RESTART:
            self._broker.stop()
        else:
            self._broker.fill_disk()
        time.sleep(lasts_s)
        if trouble is Trouble.DISK:
            self._broker.empty_disk()
        self._broker.restart()

    # --- the end ----------------------------------------------------------------------------------------------------

    def _wait(self, run: Run, workers: Sequence[WorkerProcess], what: str) -> list[str]:
        """Until all is consumed and nothing more comes; a sentence where it hangs."""
        seen, moved_at, done_at = None, time.monotonic(), None
        while True:
            behind = run.behind()
            if behind != seen:
                seen, moved_at, done_at = behind, time.monotonic(), None
            consumed = behind is not None and not any(behind.values()) and run.published == len(self._log.messages)
            if consumed:
                ends = _ends(run)
                if done_at is None or done_at[1] != ends:
                    done_at = time.monotonic(), ends
                elif time.monotonic() - done_at[0] > CALM_S:
                    return []
            elif time.monotonic() - moved_at > STALL_S:
                logs = ", ".join(str(worker.log) for worker in workers)
                return [f"{what} hangs: {behind} messages are not acknowledged; see {logs}"]
            time.sleep(0.3)

    def _differences_of_redis(self, run: Run, outcome: Outcome) -> Iterator[str]:
        for region, expected in open_by_alerts(outcome).items():
            found = asyncio.run(_current(run, region))
            if found != expected:
                yield f"{region}: Redis has the open episodes {sorted(found)}, not {sorted(expected)}"
            held = outcome.regions[region].episodes
            if set(held) != expected:
                yield f"{region}: the alerts leave {sorted(expected)} open, the state {list(held)}"


def finish(workers: Sequence[WorkerProcess], report: Report) -> None:
    """End workers for good, and report those that do not end well.

    One that does not stop in time, or not at all, leaves what it did not acknowledge, and whether anything of that is
    missing is compared.
    """
    for worker in workers:
        ending = worker.finish()
        if ending.is_orderly:
            continue
        sentence = f"worker {worker.number} ended with code {ending.code}: see {worker.log}: {ending.words}"
        if ending.is_late:
            report.late.append(sentence)
        elif ending.cause is not None:  # of its own accord, just before it was told to
            worker.ended_by_itself.append(ending)
        else:
            report.wrong.append(sentence)


def look_at_endings(workers: Sequence[WorkerProcess], report: Report) -> None:
    """Report who ended unasked: it is started again and loses nothing, but only some things are a reason to."""
    for worker in workers:
        for ending in worker.ended_by_itself:
            report.ended_by_themselves[ending.cause or "see below"] += 1
            if ending.cause is None:
                why = f"with code {ending.code}: see {worker.log}: {ending.words}"
                report.wrong.append(f"worker {worker.number} ended by itself {why}")


@contextmanager
def running(workers: Sequence[WorkerProcess]) -> Iterator[None]:
    """The workers run, and are started again when they end; none is left behind."""
    over = threading.Event()

    def tend() -> None:
        while not over.wait(0.2):
            for worker in workers:
                worker.tend()

    thread = threading.Thread(target=tend, name="supervisor", daemon=True)
    try:
        for worker in workers:
            worker.run()
        thread.start()
        yield
    finally:
        over.set()
        if thread.ident is not None:  # else it never began
            thread.join(10)
        for worker in workers:
            worker.resume()
            worker.finish()


def _ends(run: Run) -> dict[tuple[str, int], int] | None:
    try:
        return run.ends()
    except KafkaException:
        return None


def _wait_for_redis(run: Run, expected: Mapping[str, set[str]]) -> None:
    """Until it has these open episodes of each region, while workers that may owe it some still run.

    Where it does not come to that, it is found at the comparison.
    """
    deadline = time.monotonic() + REDIS_S
    while any(asyncio.run(_current(run, region)) != open_ones for region, open_ones in expected.items()):
        if time.monotonic() > deadline:
            return
        time.sleep(0.3)


async def _current(run: Run, region: str) -> set[str]:
    store = EpisodeStore(run.settings.redis_url, run.settings.prefix)
    try:
        return {alert.episode_id for alert in await store.current(region)}
    finally:
        await store.close()
