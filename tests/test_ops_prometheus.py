"""Prometheus: its configuration and rules are sound, the rules fire when they should, and a real one sees a worker."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import yaml

from schemas.settings import Settings
from tests.servers.fixtures import missing, running
from tests.servers.kafka import KafkaServer
from tests.servers.process import HOST, ServerProcess, free_port
from tests.servers.prometheus import PrometheusServer
from tests.servers.redis_server import RedisServer

ROOT = Path(__file__).parent.parent
OPS = ROOT / "ops" / "prometheus"
DAY_S = 86_400
WORKER_SECONDS = 120.0  # kernels are compiled at the first start
SCRAPE_SECONDS = 30.0


def promtool(*arguments: str) -> None:
    """Run promtool in ops/prometheus; its findings are the failure's text."""
    program = shutil.which("promtool")
    if program is None:
        missing("Prometheus' promtool is not installed: `make servers` does it where it may.")
    done = subprocess.run([program, *arguments], cwd=OPS, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def loaded(name: str) -> dict[str, Any]:
    """A YAML file of ops/prometheus."""
    parsed: dict[str, Any] = yaml.safe_load((OPS / name).read_text(encoding="utf-8"))
    return parsed


def rules() -> list[dict[str, Any]]:
    """All rules of all groups."""
    return [rule for group in loaded("rules.yml")["groups"] for rule in group["rules"]]


def cases() -> list[dict[str, Any]]:
    """All alert cases of rules_test.yml."""
    return [case for test in loaded("rules_test.yml")["tests"] for case in test["alert_rule_test"]]


def test_the_configuration_is_sound() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yml")


def test_the_rules_fire_when_they_should_and_only_then() -> None:
    promtool("test", "rules", "rules_test.yml")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_rule_says_how_bad_it_is_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_every_rule_is_tested_both_ways(rule: dict[str, Any]) -> None:
    outcomes = [bool(case["exp_alerts"]) for case in cases() if case["alertname"] == rule["alert"]]
    assert set(outcomes) == {True, False}


def seconds_of(alert: str) -> float:
    """The last number that a rule compares with, products worked out."""
    (expression,) = (rule["expr"] for rule in rules() if rule["alert"] == alert)
    product = expression.rpartition(">")[2].split("*")
    result = 1.0
    for factor in product:
        result *= float(factor)
    return result


def test_rules_about_age_wait_until_the_monitor_itself_would_have_renewed() -> None:
    detection = Settings().detection
    assert seconds_of("HotspotBaselineStale") > (detection.refit_days + 1) * DAY_S
    # A calibration that has become too old is renewed at the next refit, so up to a week later.
    renewed = detection.calibration_max_age_days + detection.refit_days + 1
    assert renewed * DAY_S < seconds_of("HotspotCalibrationStale") <= (renewed + 7) * DAY_S


def test_the_worker_is_scraped_where_the_compose_file_puts_it() -> None:
    (job,) = loaded("prometheus.yml")["scrape_configs"]
    assert job["job_name"] == "hotspot-worker"
    assert job["static_configs"] == [{"targets": [f"worker:{Settings().metrics_port}"]}]
    assert loaded("prometheus.yml")["rule_files"] == ["rules.yml"]
    assert (OPS / "rules.yml").exists()


@dataclass(frozen=True)
class RunningWorker:
    """A worker that a test talks to over HTTP."""

    port: int

    def get(self, path: str) -> int:
        """Status of a request; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=5) as response:
                return int(response.status)
        except URLError as error:
            return int(getattr(error, "code", 0))


@pytest.fixture
def worker(apache_kafka: KafkaServer, redis_server: RedisServer, tmp_path: Path) -> Iterator[RunningWorker]:
    """`hotspot worker` as operations staff start it, ready."""
    port = free_port(random.Random())
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HOTSPOT_")},
        "HOTSPOT_BOOTSTRAP": apache_kafka.bootstrap,
        "HOTSPOT_REDIS_URL": redis_server.url,
        "HOTSPOT_REGIONS": str(ROOT / "regions" / "memphis.toml"),
        "HOTSPOT_METRICS_PORT": str(port),
        "HOTSPOT_PREFIX": "hotspot.scraped",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", "from cli.main import main; main()", "worker"]
    process = ServerProcess("hotspot worker", command, tmp_path, tmp_path / "worker.log", environment)
    seen = RunningWorker(port)
    try:
        process.wait_until(lambda: seen.get("/readyz") == 200, WORKER_SECONDS)
        yield seen
    finally:
        process.stop()


def configuration(port: int) -> str:
    """The configuration of ops/, with this worker's address, a quicker scrape and the rules where they are."""
    settings = loaded("prometheus.yml")
    settings["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    settings["rule_files"] = [str(OPS / "rules.yml")]
    settings["scrape_configs"][0]["static_configs"] = [{"targets": [f"{HOST}:{port}"]}]
    return yaml.safe_dump(settings)


def eventually(server: PrometheusServer, expression: str) -> list[dict[str, Any]]:
    """The series of a query as soon as there are any."""
    deadline = time.monotonic() + SCRAPE_SECONDS
    while not (found := server.query(expression)):
        assert time.monotonic() < deadline, f"{expression} gives nothing; targets: {server.targets()}"
        time.sleep(0.2)
    return found


@pytest.mark.connected
def test_a_real_prometheus_sees_a_real_worker(worker: RunningWorker, tmp_path: Path) -> None:
    assert (worker.get("/livez"), worker.get("/readyz")) == (200, 200)
    for server in running(PrometheusServer(tmp_path / "prometheus", configuration(worker.port))):
        eventually(server, 'up{job="hotspot-worker"} == 1')
        (target,) = server.targets()
        assert (target["health"], target["lastError"]) == ("up", "")
        (build,) = eventually(server, "hotspot_build_info == 1")
        assert build["metric"]["version"]
        eventually(server, "hotspot_ready == 1")
        # Every refusal has its series before the first of its kind, so that a rate exists from the start.
        refusals = eventually(server, "hotspot_rejected_total == 0")
        assert len(refusals) > 1
        assert {rule["name"] for rule in server.rules()} == {rule["alert"] for rule in rules()}
        assert all(rule["health"] in {"ok", "unknown"} for rule in server.rules())
