"""The servers of the tests: they start, keep what they should, and are installed only where that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.servers.fixtures import missing, running
from tests.servers.kafka import KafkaServer
from tests.servers.process import PORTS, ServerFailedError, ServerMissingError, ServerProcess, accepts
from tests.servers.redis_server import RedisServer

SERVERS = Path(__file__).parent / "servers"
QUIET = {"log_level": 0}  # clients tell of every lost connection, and these tests cut them on purpose
COREUTILS = ("sh", "dirname", "cat", "cksum", "mkdir", "rm", "id", "chmod")


def client_settings(kafka: KafkaServer) -> dict[str, str | int]:
    """Settings of any client of the broker."""
    return {"bootstrap.servers": kafka.bootstrap, **QUIET}


def make_topic(kafka: KafkaServer, name: str) -> None:
    """A topic of one partition that takes messages as large as the broker does."""
    topic = NewTopic(name, 1, 1, config={"max.message.bytes": str(8 * 2**20)})
    admin = AdminClient(client_settings(kafka))
    for done in admin.create_topics([topic]).values():
        done.result(30)


def publish(kafka: KafkaServer, topic: str, value: bytes) -> None:
    """One message, acknowledged by the broker."""
    errors: list[KafkaError | None] = []
    producer = Producer({**client_settings(kafka), "message.max.bytes": 8 * 2**20, "message.timeout.ms": 30_000})
    producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(40) == 0
    assert errors == [None]


def first_message(kafka: KafkaServer, topic: str) -> bytes:
    """What stands at the beginning of a topic."""
    consumer = Consumer({**client_settings(kafka), "group.id": "tests", "fetch.message.max.bytes": 8 * 2**20})
    consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        value = message.value()
        assert isinstance(value, bytes)
        return value
    finally:
        consumer.close()


@pytest.mark.connected
def test_kafka_takes_a_message_of_two_megabytes_and_no_topic_by_itself(apache_kafka: KafkaServer) -> None:
    make_topic(apache_kafka, "servers.large")
    large = b"x" * (2 * 2**20)
    publish(apache_kafka, "servers.large", large)
    assert first_message(apache_kafka, "servers.large") == large

    admin = AdminClient(client_settings(apache_kafka))
    admin.list_topics("servers.mistyped", timeout=10)
    assert "servers.mistyped" not in admin.list_topics(timeout=10).topics


@pytest.mark.connected
def test_kafka_keeps_its_address_and_data_over_a_kill(tmp_path: Path) -> None:
    for kafka in running(KafkaServer(tmp_path)):
        make_topic(kafka, "servers.kept")
        publish(kafka, "servers.kept", b"before the power cut")
        address = kafka.bootstrap
        kafka.kill()
        with pytest.raises(KafkaException):
            AdminClient(client_settings(kafka)).list_topics(timeout=1)
        kafka.restart()
        assert kafka.bootstrap == address
        assert first_message(kafka, "servers.kept") == b"before the power cut"


@pytest.mark.connected
def test_redis_answers_and_is_gone_afterwards(tmp_path: Path) -> None:
    for server in running(RedisServer(tmp_path)):
        port = int(server.url.rsplit(":", 1)[1].partition("/")[0])
        assert port in PORTS
        assert accepts(port)
    assert not accepts(port)


def test_a_server_that_ends_at_once_shows_its_log(tmp_path: Path) -> None:
    process = ServerProcess("Sham", ["sh", "-c", "echo the reason; exit 3"], tmp_path, tmp_path / "log")
    with pytest.raises(ServerFailedError, match=r"(?s)Sham ended with code 3.*the reason"):
        process.wait_until(lambda: False, 10)
    process.kill()


def test_a_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    process = ServerProcess("Sham", ["sleep", "60"], tmp_path, tmp_path / "log")
    with pytest.raises(ServerFailedError, match="did not answer within 0 s"):
        process.wait_until(lambda: False, 0.1)
    process.stop()
    assert not process.running


def test_a_server_that_ignores_the_request_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.process.TERMINATE_SECONDS", 0.2)
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    log = tmp_path / "log"
    process = ServerProcess("Sham", ["python3", "-c", stubborn], tmp_path, log)
    process.wait_until(lambda: "up" in log.read_text(), 10)
    process.stop()
    assert not process.running


def test_without_a_server_a_stranger_skips_and_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        def __enter__(self) -> Absent:
            raise ServerMissingError("Sham is not installed.")

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="Sham is not installed"):
        next(running(Absent()))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Sham is not installed"):
        next(running(Absent()))
    with pytest.raises(pytest.fail.Exception):
        missing("as above")


class Machine:
    """A machine with a repository of its own, and only those programs that a test gives it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "repository"
        self.programs = directory / "bin"
        self.programs.mkdir()
        self.pom = self.root / "tests" / "servers" / "pom.xml"
        self.libs = self.root / ".tools" / "kafka" / "libs"
        self.pom.parent.mkdir(parents=True)
        for name in ("install.sh", "pom.xml"):
            shutil.copy(SERVERS / name, self.pom.parent / name)
        for name in COREUTILS:
            found = shutil.which(name)
            assert found is not None
            (self.programs / name).symlink_to(found)

    def give(self, *names: str, script: str = "exit 0") -> None:
        """Put programs on the path that do what the script says."""
        for name in names:
            program = self.programs / name
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)

    def give_all(self) -> None:
        """Every program, and a Maven that leaves a jar."""
        self.give("java", "redis-server", "prometheus", "promtool")
        self.give(
            "mvn", script=f"echo called >>'{self.root}/calls'; mkdir -p '{self.libs}'; echo >'{self.libs}/kafka.jar'"
        )

    def install(self, *, ci: bool = False) -> subprocess.CompletedProcess[str]:
        """Run install.sh with nothing else in its environment."""
        environment = {"PATH": str(self.programs), **({"CI": "true"} if ci else {})}
        command = ["sh", str(self.pom.parent / "install.sh")]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    @property
    def calls(self) -> int:
        """How often Maven was asked."""
        return len((self.root / "calls").read_text().splitlines())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine that has nothing but a shell."""
    return Machine(tmp_path)


def test_what_may_not_be_installed_is_named_and_skipped(machine: Machine) -> None:
    machine.give("java", "prometheus", "promtool")
    done = machine.install()
    assert done.returncode == 0
    assert done.stderr.strip() == (
        "Not installed, and not ours to install: mvn redis-server. The tests that need them will skip."
    )


def test_what_is_missing_fails_ci(machine: Machine) -> None:
    done = machine.install(ci=True)
    assert done.returncode == 1
    assert "java mvn redis-server prometheus" in done.stderr


def test_kafka_is_fetched_once_and_again_when_its_version_changes(machine: Machine) -> None:
    machine.give_all()
    assert machine.install().returncode == 0
    started = time.monotonic()
    again = machine.install()
    # 0.01 s here; a busy machine may take longer, but no Maven runs in half a second.
    assert time.monotonic() - started < 0.5
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert machine.calls == 1
    machine.pom.write_text(machine.pom.read_text().replace("<version>3.9", "<version>4.0"))
    assert machine.install().returncode == 0
    assert machine.calls == 2


def test_maven_is_not_asked_for_where_kafka_is_there(machine: Machine) -> None:
    machine.give_all()
    machine.install()
    (machine.programs / "mvn").unlink()
    done = machine.install(ci=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_libraries_of_the_pdf_are_asked_for_where_python_cannot_load_them(machine: Machine) -> None:
    machine.give_all()
    python = machine.root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(0o755)
    done = machine.install()
    assert done.stderr.strip() == "Not installed, and not ours to install: pango. The tests that need them will skip."
    python.write_text("#!/bin/sh\nexit 0\n")
    assert machine.install(ci=True).returncode == 0


@pytest.mark.parametrize(("ci", "code"), [(False, 0), (True, 1)])
def test_a_maven_that_fails_leaves_nothing_behind(machine: Machine, ci: bool, code: int) -> None:
    machine.give_all()
    machine.give("mvn", script=f"mkdir -p '{machine.libs}'; echo half >'{machine.libs}/half.jar'; exit 1")
    done = machine.install(ci=ci)
    assert done.returncode == code
    assert "Maven could not fetch Kafka" in done.stderr
    assert not machine.libs.exists()
    assert not (machine.libs.parent / "stamp").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="apt-get is asked only by root")
def test_packages_are_installed_without_starting_services(machine: Machine) -> None:
    machine.give_all()
    policy = Path("/usr/sbin/policy-rc.d")
    before = policy.exists()
    (machine.programs / "redis-server").unlink()
    machine.give("apt-get", script=f"test -x {policy} && echo \"$@\" >>'{machine.root}/apt'")
    done = machine.install(ci=True)
    assert done.returncode == 0, done.stderr
    asked = (machine.root / "apt").read_text().splitlines()
    assert asked == ["update -qq", "install -y -qq -o DPkg::Lock::Timeout=300 --no-install-recommends redis-server"]
    assert policy.exists() == before
