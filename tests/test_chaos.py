"""Rounds of seeded trouble: they are repeatable, they bring up everything, and no difference escapes them."""

from __future__ import annotations

import random
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from alerts.monitor import RegionMonitor
from alerts.schedule import Arrival, ReplaySchedule
from chaos.endings import Ending
from chaos.installation import DETECTION, chaos_settings, write_region
from chaos.outcome import Outcome, RegionOutcome, differences, differences_from_truth, open_by_alerts
from chaos.plan import QUICK, Scale, Trouble, plan_round
from chaos.poison import REASONS
from chaos.proxy import Line, Proxy
from chaos.records import Log, Refused, build_log, canonical, chaos_region
from chaos.workers import environment
from schemas.alert import AlertReason, EpisodeState, alert_event
from schemas.located import HEARTBEAT, KIND_NAMES
from schemas.reasons import RejectReason
from schemas.region import load_region
from schemas.settings import load_settings
from streams.desks import Registry
from streams.ingest import RawMessage, take_in
from tests.builders import NOW, alert, hampshire
from tests.running import ROOT
from tests.servers.fixtures import missing
from tests.servers.process import HOST, free_port

ROUNDS = 10
SEEDS = ("11", "12")


def log_of(number: int, seed: int = 3) -> Log:
    plan = plan_round(seed, number, QUICK)
    return build_log(plan, [chaos_region(hampshire(), nth) for nth in range(plan.regions)])


# --- the plan ----------------------------------------------------------------------------------------------------


def test_a_round_is_what_its_seed_says_and_no_other() -> None:
    assert plan_round(7, 13, QUICK) == plan_round(7, 13, QUICK)
    assert len({str(plan_round(seed, number, QUICK)) for seed in range(4) for number in range(1, 6)}) == 20
    assert log_of(1) == log_of(1)
    assert log_of(1) == log_of(QUICK.rounds_a_log)
    assert log_of(1).messages != log_of(QUICK.rounds_a_log + 1).messages


def test_rounds_bring_up_every_trouble_and_one_to_three_workers() -> None:
    plans = [plan_round(7, number, Scale()) for number in range(1, 201)]
    drawn = Counter(disturbance.trouble for plan in plans for disturbance in plan.disturbances)
    assert set(drawn) == set(Trouble)
    assert {plan.workers for plan in plans} == {1, 2, 3}
    assert all(plan.disturbances for plan in plans)
    assert max(d.lasts_s for plan in plans for d in plan.disturbances if d.trouble is Trouble.PAUSE) == 30.0
    without = [plan_round(7, number, Scale(), frozenset(Trouble) - {Trouble.DISK}) for number in range(1, 201)]
    assert not any(d.trouble is Trouble.DISK for plan in without for d in plan.disturbances)


# --- the log -----------------------------------------------------------------------------------------------------


def test_logs_bring_up_every_reason_to_refuse() -> None:
    logs = [log_of(number, seed) for seed in range(8) for number in (1, 6)]
    assert {refused.reason for log in logs for refused in log.truth.refused} == REASONS
    assert set(RejectReason) - {RejectReason.NOT_DELIVERED} == REASONS  # which is no reason to refuse a record


def test_ingest_makes_of_a_log_what_counting_says() -> None:
    """The truth that rounds are compared with is held against the real parser, message by message."""
    log = log_of(1)
    registry = Registry([chaos_region(hampshire(), nth) for nth in range(plan_round(3, 1, QUICK).regions)])
    refused: Counter[Refused] = Counter()
    records: dict[str, dict[int, tuple[int, int]]] = {region: {} for region in log.truth.records}
    for (kind, partition), messages in log.of_partitions().items():
        raw = [RawMessage(message.value, message.headers) for message in messages]
        intake = take_in(kind, raw, registry, NOW, max_bytes=1_048_576, tolerance_s=600)
        for refusal in intake.refusals:
            content = canonical(refusal.rejected.raw)
            where = KIND_NAMES[kind], partition, refusal.position
            refused[Refused(*where, refusal.rejected.reason, content)] += 1
        for region, rows in intake.rows.items():
            for row in rows[rows["revision"] != HEARTBEAT]:
                found = records[region].get(int(row["record"]), (0, 0))
                records[region][int(row["record"])] = max(found, (int(row["revision"]), int(row["status"])))
    assert refused == Counter(log.truth.refused)
    assert records == log.truth.records


@pytest.mark.parametrize("number", [1, 6])
def test_logs_make_episodes_open_be_corrected_and_be_retracted(number: int) -> None:
    """A comparison of runs that tell nobody anything would prove nothing."""
    log, region = log_of(number), chaos_region(hampshire(), 0)
    partitions = log.of_partitions()
    inputs = frozenset((int(kind), partition) for kind, partition in partitions)
    monitor = RegionMonitor(region, DETECTION, schedule=ReplaySchedule(inputs, 900), simulated=True)
    arrivals = []
    for (kind, partition), messages in partitions.items():
        raw = [RawMessage(message.value, message.headers) for message in messages]
        intake = take_in(kind, raw, Registry([region]), NOW, max_bytes=1_048_576, tolerance_s=600)
        rows = intake.rows[region.id]
        arrivals.append(Arrival(rows, (int(kind), partition), int(rows["recorded_us"].max())))
    alerts = [alert for look in monitor.advance(arrivals, 0)[1] for alert in look.alerts]
    assert {AlertReason.OPENED, AlertReason.EVIDENCE_WITHDRAWN} <= {alert.reason for alert in alerts}
    assert EpisodeState.RETRACTED in {alert.state for alert in alerts}
    assert len({alert.episode_id for alert in alerts}) >= 2


def test_logs_hold_repeats_disorder_batches_and_both_modes() -> None:
    messages = log_of(1).messages
    values = Counter(message.value for message in messages)
    assert max(values.values()) > 1
    assert any(message.headers and message.headers[0][0].startswith("ce_") for message in messages)
    assert any((message.value or b"").startswith(b"[{") for message in messages)
    times = [re.findall(rb'"recorded_at": "(2023[^"]+)"', message.value or b"") for message in messages]
    assert times != sorted(times)


# --- comparing ---------------------------------------------------------------------------------------------------

LETTER = Refused("police", 0, 4, RejectReason.NOT_JSON, "3f")
OPENED = alert_event(alert())
CONTENT = OPENED.model_dump_json().encode()
CLOSED = alert_event(alert(revision=2, state=EpisodeState.CLOSED, reason=AlertReason.CLOSED))


def outcome() -> Outcome:
    """A run that ended well."""
    region = RegionOutcome({1: (1, 0), 2: (3, 2)}, 1, {"2023-W01": b"rows", "episodes": b"{}"}, (OPENED.subject,))
    return Outcome({"hampshire": region}, {OPENED.id: CONTENT}, Counter({LETTER: 1}))


def region_with(**changes: object) -> Outcome:
    run = outcome()
    run.regions["hampshire"] = replace(run.regions["hampshire"], **changes)  # type: ignore[arg-type]
    return run


def with_alerts(alerts: dict[str, bytes]) -> Outcome:
    return replace(outcome(), alerts=alerts)


def test_equal_runs_do_not_differ_and_a_dead_letter_may_be_there_twice() -> None:
    assert list(differences(outcome(), replace(outcome(), refused=Counter({LETTER: 2})))) == []


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (region_with(counted=2), "hampshire: 2 records count, not 1"),
        (region_with(episodes=()), "hampshire: open episodes are []"),
        (region_with(parts={"2023-W01": b"ROWS", "episodes": b"{}"}), "part '2023-W01' of the state is another"),
        (region_with(parts={"2023-W01": b"rows"}), "part 'episodes' of the state is another"),
        (with_alerts({}), "1 alerts missing"),
        (with_alerts({OPENED.id: CONTENT, CLOSED.id: b"closed"}), "1 alerts too many"),
        (
            with_alerts({OPENED.id: alert_event(alert(score=0.25)).model_dump_json().encode()}),
            "content: score 0.25 not",
        ),
        (with_alerts({OPENED.id: CONTENT.replace(b'"1.0"', b'"1.1"')}), "another content: specversion 1.1 not 1.0"),
        (replace(outcome(), refused=Counter()), "1 dead letters missing"),
        (replace(outcome(), refused=Counter({LETTER: 1, LETTER._replace(offset=5): 1})), "1 dead letters too many"),
    ],
)
def test_each_difference_is_told(other: Outcome, told: str) -> None:
    assert any(told in sentence for sentence in differences(outcome(), other))


@pytest.mark.parametrize(
    ("records", "told"),
    [
        ({1: (1, 0)}, "1 records of hampshire missing"),
        ({1: (1, 0), 2: (3, 2), 3: (1, 0)}, "1 records of hampshire too many"),
        ({1: (2, 1), 2: (3, 2)}, "1 records have another revision than the last"),
    ],
)
def test_a_run_is_held_against_plain_counting(records: dict[int, tuple[int, int]], told: str) -> None:
    truth = log_of(1).truth
    truth = replace(truth, records={"hampshire": {1: (1, 0), 2: (3, 2)}}, refused={LETTER})
    assert list(differences_from_truth(outcome(), truth)) == []
    assert any(told in sentence for sentence in differences_from_truth(region_with(records=records), truth))
    assert list(differences_from_truth(replace(outcome(), wrong=["two contents"]), truth)) == ["two contents"]


def test_open_episodes_are_those_whose_last_alert_does_not_end_them() -> None:
    both = [event.model_dump_json().encode() for event in (CLOSED, OPENED)]
    assert open_by_alerts(with_alerts({OPENED.id: both[1]})) == {"hampshire": {OPENED.subject}}
    assert open_by_alerts(with_alerts({CLOSED.id: both[0], OPENED.id: both[1]})) == {"hampshire": set()}


# --- what rounds are made of -------------------------------------------------------------------------------------


def test_a_worker_is_told_its_settings_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = chaos_settings(plan_round(3, 1, QUICK), "calm", "127.0.0.1:1", "redis://127.0.0.1:1/0", [ROOT / "a"])
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings


def test_a_region_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    region = chaos_region(hampshire(), 0)
    path = write_region(region, tmp_path / "region.toml")
    assert load_region(path) == region.model_copy(update={"attribution": ""})


def test_a_line_passes_falls_silent_and_is_cut() -> None:
    choice = random.Random(5)
    with socket.create_server((HOST, free_port(choice))) as server:
        proxy = Proxy(free_port(choice), server.getsockname()[1])
        proxy.start()
        try:
            near = socket.create_connection((HOST, proxy.port), 5)
            far, _ = server.accept()
            near.sendall(b"one")
            assert far.recv(10) == b"one"
            proxy.set_line(Line.SILENT)
            near.sendall(b"two")
            far.settimeout(0.3)
            with pytest.raises(TimeoutError):
                far.recv(10)
            proxy.set_line(Line.OPEN)
            far.settimeout(5)
            assert far.recv(10) == b"two"
            proxy.set_line(Line.CUT)
            near.settimeout(5)
            with pytest.raises(ConnectionError):
                near.recv(10)
            with pytest.raises(ConnectionError):  # in connecting, where the reset is quick, or in reading
                socket.create_connection((HOST, proxy.port), 5).recv(10)
        finally:
            proxy.stop()


GRAVE = '{"level": "critical", "message": "worker stops: refused"}'
LOST = '{"level": "critical", "message": "The group of workers did not hear of this one for longer than its session."}'


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (f"{GRAVE}\nafterwards\n", "worker stops: refused"),
        (f"{GRAVE}\nFatal Python error: Aborted\n\nThread 1\n", "Fatal Python error: Aborted"),
        ('{"level": "info", "message": "well"}\nKafka does not answer.\n', "Kafka does not answer."),
        ("", ""),
    ],
)
def test_the_words_of_an_ending_are_its_last_grave_ones_or_its_last(log: str, words: str) -> None:
    assert Ending(1, log).words == words


def test_an_ending_is_told_by_its_code_and_its_log() -> None:
    assert Ending(0, LOST).is_orderly
    assert Ending(-signal.SIGTERM, "").is_orderly
    assert not Ending(1, LOST).is_orderly
    assert Ending(-signal.SIGKILL, "").is_late
    assert Ending(1, "worker had not stopped after 25 s").is_late
    assert not Ending(1, LOST).is_late
    assert Ending(1, LOST).cause == "session lost"
    assert Ending(1, GRAVE).cause is None


# --- rounds ------------------------------------------------------------------------------------------------------


@pytest.mark.connected
@pytest.mark.timeout(1800)
def test_rounds_of_trouble_end_as_if_undisturbed() -> None:
    command = [sys.executable, "-m", "chaos", "--quick", "--rounds", str(ROUNDS // len(SEEDS)), "--seed"]
    with ThreadPoolExecutor() as threads:  # beside each other, as workers in trouble mostly wait
        done = list(
            threads.map(lambda seed: subprocess.run([*command, seed], cwd=ROOT, capture_output=True, text=True), SEEDS)
        )
    for one in done:
        if one.returncode == 2:
            missing(one.stderr)
        assert one.returncode == 0, one.stdout
    assert sum(one.stdout.count("as undisturbed") for one in done) == ROUNDS
