"""The compose file and the image: what they mount exists, what they set is a setting, Kafka is that of the tests."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.region import load_region
from schemas.settings import Settings
from tests.servers.fixtures import missing
from tests.servers.kafka import COMMON_PROPERTIES, KafkaServer, java_command
from tests.servers.process import ServerMissingError

ROOT = Path(__file__).parent.parent
SERVICES = ("kafka", "redis", "worker", "prometheus", "grafana")
# Where a broker listens and keeps its data is the only way in which the container may differ from the tests.
OWN_PROPERTIES = {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The compose file, parsed."""
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    return parsed


def properties(text: str) -> dict[str, str]:
    """A Java properties file, as far as ours go."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def environment_properties(environment: dict[str, str]) -> dict[str, str]:
    """The broker settings that the image makes of its environment."""
    given = {name: value for name, value in environment.items() if name.startswith("KAFKA_")}
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): str(value) for name, value in given.items()}


def test_the_services_are_those_of_the_design(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == set(SERVICES)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_tells_whether_it_is_well(compose: dict[str, Any], name: str) -> None:
    check = compose["services"][name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert len(check["test"]) > 1
    assert {"interval", "timeout", "retries"} <= set(check)


@pytest.mark.parametrize("name", SERVICES)
def test_every_mounted_file_is_here_and_every_volume_declared(compose: dict[str, Any], name: str) -> None:
    for mount in compose["services"][name].get("volumes", []):
        source = mount.split(":")[0]
        if source.startswith("."):
            assert (ROOT / source).exists(), mount
            assert mount.endswith(":ro"), mount
        else:
            assert source in compose["volumes"], mount


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_this_machine_only(compose: dict[str, Any], name: str) -> None:
    ports = compose["services"][name]["ports"]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(compose: dict[str, Any], name: str) -> None:
    tag = compose["services"][name]["image"].rpartition(":")[2]
    assert re.match(r"v?\d+\.\d+", tag), tag


def test_services_wait_for_what_they_need(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
    assert services["worker"]["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "redis": {"condition": "service_healthy"},
    }


def test_the_worker_is_given_settings_that_exist(compose: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    environment = compose["services"]["worker"]["environment"]
    given = {name for name in environment if name.startswith("HOTSPOT_")}
    assert given == set(environment)
    known = {f"HOTSPOT_{field.upper()}" for field in Settings.model_fields}
    assert {name.split("__")[0] for name in given} <= known

    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    settings = Settings()
    services = set(compose["services"])
    assert settings.bootstrap.split(":")[0] in services
    assert settings.redis_url.removeprefix("redis://").split(":")[0] in services
    assert settings.metrics_host == "0.0.0.0"
    port = compose["services"]["worker"]["ports"][0]
    assert port == f"127.0.0.1:{settings.metrics_port}:{settings.metrics_port}"


def test_the_worker_finds_its_regions(compose: dict[str, Any]) -> None:
    worker = compose["services"]["worker"]
    mounts = dict(mount.split(":")[1::-1] for mount in worker["volumes"])
    for name in worker["environment"]["HOTSPOT_REGIONS"].split(","):
        here = ROOT / mounts[str(Path(name).parent)] / Path(name).name
        assert load_region(here).id == here.stem


def test_kafka_is_of_the_version_that_the_tests_run(compose: dict[str, Any]) -> None:
    pom = ElementTree.parse(ROOT / "tests" / "servers" / "pom.xml")
    version = pom.findtext(".//{*}dependency[{*}artifactId='kafka_2.13']/{*}version")
    assert compose["services"]["kafka"]["image"] == f"apache/kafka:{version}"


def test_kafka_reads_the_settings_of_the_tests(compose: dict[str, Any], tmp_path: Path) -> None:
    service = compose["services"]["kafka"]
    mounted = dict(mount.split(":")[:2] for mount in service["volumes"])
    assert (ROOT / "ops/kafka/server.properties").samefile(COMMON_PROPERTIES)
    assert mounted["./ops/kafka/server.properties"] == "/mnt/shared/config/server.properties"

    common = properties(COMMON_PROPERTIES.read_text(encoding="utf-8"))
    container = common | environment_properties(service["environment"])
    native = properties(KafkaServer(tmp_path).settings(20000, 20001))
    assert set(native) == set(container) == set(common) | OWN_PROPERTIES
    assert not OWN_PROPERTIES & set(common)
    assert {key: native[key] for key in common} == {key: container[key] for key in common} == common


def test_kafka_takes_every_message_that_a_worker_may_be_told_to_take() -> None:
    common = properties(COMMON_PROPERTIES.read_text(encoding="utf-8"))
    bounds = [rule.le for rule in Settings.model_fields["max_message_bytes"].metadata if hasattr(rule, "le")]
    assert bounds == [int(common["message.max.bytes"])]
    assert common["auto.create.topics.enable"] == "false"


@pytest.mark.connected
def test_the_image_can_set_itself_up_with_our_settings(compose: dict[str, Any], tmp_path: Path) -> None:
    """What the container does before it starts, done here: the same program, the same file, the same environment."""
    try:
        java = java_command()
    except ServerMissingError as reason:
        missing(str(reason))
    service = compose["services"]["kafka"]
    for name in ("defaults", "final", "data"):
        (tmp_path / name).mkdir()
    for name in ("server.properties", "log4j.properties", "tools-log4j.properties"):
        (tmp_path / "defaults" / name).touch()
    own = {name: str(value) for name, value in service["environment"].items()}
    environment = {"PATH": os.environ["PATH"], **own, "KAFKA_LOG_DIRS": str(tmp_path / "data")}
    setup = [
        *java,
        "kafka.docker.KafkaDockerWrapper",
        "setup",
        f"--default-configs-dir={tmp_path / 'defaults'}",
        f"--mounted-configs-dir={COMMON_PROPERTIES.parent}",
        f"--final-configs-dir={tmp_path / 'final'}",
    ]
    done = subprocess.run(setup, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    final = properties((tmp_path / "final" / "server.properties").read_text(encoding="utf-8"))
    common = properties(COMMON_PROPERTIES.read_text(encoding="utf-8"))
    assert final == common | environment_properties(environment)
    assert own["CLUSTER_ID"] in (tmp_path / "data" / "meta.properties").read_text(encoding="utf-8")


def test_the_image_holds_every_package_and_its_lock() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    copied = re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE)
    names = [name for line in copied for name in line.split()]
    folders = {package.partition(".")[0] for package in project["tool"]["setuptools"]["packages"]}
    assert folders <= set(names)
    assert [name for name in names if not (ROOT / name).exists()] == []
    assert "--require-hashes -r requirements.lock" in dockerfile
    assert dockerfile.index("USER hotspot") < dockerfile.index("ENTRYPOINT")


def test_the_image_starts_the_command_of_the_project(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(project["project"]["scripts"]) == {"hotspot"}
    assert 'ENTRYPOINT ["hotspot"]' in dockerfile
    assert compose["services"]["worker"]["command"] == ["worker"]
    assert compose["services"]["worker"]["image"] == f"hotspot-monitor:{project['project']['version']}"


def test_grafana_finds_its_data_and_its_dashboard(compose: dict[str, Any]) -> None:
    mounts = dict(mount.split(":")[1::-1] for mount in compose["services"]["grafana"]["volumes"])
    sources = yaml.safe_load((ROOT / "ops/grafana/provisioning/datasources/prometheus.yml").read_text())
    address = sources["datasources"][0]["url"]
    assert address == "http://prometheus:9090"
    providers = yaml.safe_load((ROOT / "ops/grafana/provisioning/dashboards/hotspot.yml").read_text())
    path = providers["providers"][0]["options"]["path"]
    assert [file.name for file in (ROOT / mounts[path]).glob("*.json")] == ["hotspot.json"]
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{path}/hotspot.json"
