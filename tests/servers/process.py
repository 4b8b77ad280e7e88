"""A server process of the tests: started with a log file of its own, awaited, and ended by its process id."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

HOST = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections (Linux: from 32768). A client that
# keeps trying a server which is restarting could otherwise be given that very port, and connect to itself.
PORTS = range(20000, 32000)
TERMINATE_SECONDS = 20.0
LOG_LINES_SHOWN = 30


class ServerMissingError(RuntimeError):
    """The server is not installed here; the message is one sentence that says what to do."""


class ServerFailedError(RuntimeError):
    """The server ended or did not answer in time; the message ends with the tail of its log."""


def free_port(choice: random.Random) -> int:
    """A TCP port of this machine on which nobody listens now."""
    for _ in range(200):
        port = choice.choice(PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise ServerFailedError(f"No free port between {PORTS.start} and {PORTS.stop} was found.")


def accepts(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


class ServerProcess:
    """One run of one server program."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        directory: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._output: TextIO = log.open("a", encoding="utf-8")
        self._process = subprocess.Popen(  # ended by `stop` or `kill`, both of which wait for it
            list(command),
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def pid(self) -> int:
        """Process id, for signals that a test sends by itself."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready` holds; raise ServerFailedError when the process ends first or time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ServerFailedError(f"{self.name} ended with code {self._process.returncode}.\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ServerFailedError(f"{self.name} did not answer within {seconds:.0f} s.\n{self.tail()}")
            time.sleep(0.05)

    def tail(self) -> str:
        """The last lines of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join([f"The end of {self.log}:", *lines[-LOG_LINES_SHOWN:]])

    def stop(self) -> None:
        """Ask the process to end, and insist when it does not."""
        self._process.terminate()
        try:
            self._process.wait(TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def kill(self) -> None:
        """End the process at once, as a power cut would."""
        self._process.kill()
        self._process.wait()
        self._output.close()
