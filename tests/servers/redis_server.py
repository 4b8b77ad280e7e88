"""Redis in one process, without persistence."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.process import (
    HOST,
    ServerFailedError,
    ServerMissingError,
    ServerProcess,
    accepts,
    free_port,
)

START_SECONDS = 20.0


class RedisServer:
    """A Redis with a port of its own; a context manager that starts and stops it."""

    def __init__(self, directory: Path, choice: random.Random | None = None) -> None:
        self._directory = directory
        self._choice = choice or random.Random()
        self._port = 0
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Address for clients."""
        return f"redis://{HOST}:{self._port}/0"

    def start(self) -> Self:
        """Start on a free port; back when it accepts connections."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._port = free_port(self._choice)
        self._launch()
        return self

    def stop(self) -> None:
        """Shut it down; nothing to do when it does not run."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def restart(self) -> None:
        """Stop it if it runs, and start it again, empty, on the same port."""
        self.stop()
        self._launch()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _launch(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise ServerMissingError("Redis is not installed for the tests: `make servers` does it where it may.")
        options = ["--bind", HOST, "--port", str(self._port), "--save", "", "--appendonly", "no"]
        process = ServerProcess("Redis", [program, *options], self._directory, self._directory / "redis.log")
        try:
            process.wait_until(lambda: accepts(self._port), START_SECONDS)
        except ServerFailedError:
            process.kill()
            raise
        self._process = process
