"""Apache Kafka in one process (KRaft), from the jars that install.sh fetched."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from tests.servers.process import HOST, ServerFailedError, ServerMissingError, ServerProcess, free_port

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
LIBS = ROOT / ".tools" / "kafka" / "libs"
COMMON_PROPERTIES = ROOT / "ops" / "kafka" / "server.properties"
LOG_SETTINGS = HERE / "kafka-log4j.properties"
START_SECONDS = 90.0
START_ATTEMPTS = 3  # another program may take a port between our look and the broker's start
JVM_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def java_command(libs: Path = LIBS) -> list[str]:
    """How to run a class of Kafka's; raises ServerMissingError when Java or the jars are not here."""
    java = shutil.which("java")
    if java is None or not libs.is_dir():
        raise ServerMissingError("Apache Kafka is not installed for the tests: `make servers` does it.")
    options = [*JVM_OPTIONS, f"-Dlog4j.configuration={LOG_SETTINGS.as_uri()}"]
    return [java, *options, "-cp", f"{libs}/*"]


class KafkaServer:
    """A broker with data, log and ports of its own; a context manager that starts and stops it."""

    start_seconds = START_SECONDS

    def __init__(self, directory: Path, choice: random.Random | None = None) -> None:
        self._directory = directory
        self._choice = choice or random.Random()
        self._properties = directory / "server.properties"
        self._log = directory / "kafka.log"
        self._port = 0
        self._process: ServerProcess | None = None

    @property
    def bootstrap(self) -> str:
        """Address for clients, `host:port`."""
        return f"{HOST}:{self._port}"

    @property
    def data(self) -> Path:
        """Where it keeps its topics: a folder for each partition."""
        return self._directory / "data"

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        return self._running().pid

    def start(self) -> Self:
        """Format storage on free ports and start; back when the broker answers a metadata request."""
        self._directory.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, START_ATTEMPTS + 1):
            self._prepare()
            try:
                self._launch()
            except ServerFailedError as failure:
                if attempt == START_ATTEMPTS or "Address already in use" not in str(failure):
                    raise
            else:
                break
        return self

    def stop(self) -> None:
        """Shut the broker down in good order; nothing to do when it does not run."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """End the broker at once, as a power cut would; `restart` brings it back with its data."""
        self._running().kill()
        self._process = None

    def restart(self) -> None:
        """Stop the broker if it runs, and start it again on the same port with the same data."""
        self.stop()
        self._launch()

    def settings(self, port: int, controller: int) -> str:
        """The broker's settings: those common to all installations, and its own ports and directory."""
        own = {
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "log.dirs": str(self.data),
        }
        common = COMMON_PROPERTIES.read_text(encoding="utf-8")
        return common + "".join(f"{key}={value}\n" for key, value in own.items())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> ServerProcess:
        if self._process is None:
            raise ServerFailedError("This Kafka server is not running: call start() or restart() first.")
        return self._process

    def _prepare(self) -> None:
        """Write the settings for a fresh pair of ports, and format an empty storage for them."""
        self._port, controller = free_port(self._choice), free_port(self._choice)
        shutil.rmtree(self.data, ignore_errors=True)
        self._properties.write_text(self.settings(self._port, controller), encoding="utf-8")
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        arguments = ["format", f"--cluster-id={cluster}", f"--config={self._properties}"]
        command = [*java_command(), "kafka.tools.StorageTool", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=self.start_seconds, check=False)
        if done.returncode:
            raise ServerFailedError(f"Kafka's storage could not be formatted.\n{done.stdout}\n{done.stderr}")

    def _launch(self) -> None:
        command = [*java_command(), "kafka.Kafka", str(self._properties)]
        process = ServerProcess("Kafka", command, self._directory, self._log)
        try:
            process.wait_until(self._answers, self.start_seconds)
        except ServerFailedError:
            process.kill()
            raise
        self._process = process

    def _answers(self) -> bool:
        client = AdminClient({"bootstrap.servers": self.bootstrap, "socket.timeout.ms": 2000, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=2.0).brokers)
        except KafkaException:
            return False
