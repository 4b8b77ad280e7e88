"""Prometheus in one process, with a configuration that the test hands in."""

from __future__ import annotations

import json
import random
import shutil
import urllib.parse
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import URLError

from tests.servers.process import HOST, ServerFailedError, ServerMissingError, ServerProcess, free_port

START_SECONDS = 30.0


class PrometheusServer:
    """A Prometheus with data and a port of its own; a context manager that starts and stops it."""

    def __init__(self, directory: Path, configuration: str, choice: random.Random | None = None) -> None:
        self._directory = directory
        self._configuration = configuration
        self._choice = choice or random.Random()
        self._port = 0
        self._process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Address of its HTTP interface."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> Self:
        """Start on a free port; back when it says that it is ready."""
        program = shutil.which("prometheus")
        if program is None:
            raise ServerMissingError("Prometheus is not installed for the tests: `make servers` does it where it may.")
        self._directory.mkdir(parents=True, exist_ok=True)
        settings = self._directory / "prometheus.yml"
        settings.write_text(self._configuration, encoding="utf-8")
        self._port = free_port(self._choice)
        command = [
            program,
            f"--config.file={settings}",
            f"--storage.tsdb.path={self._directory / 'data'}",
            f"--web.listen-address={HOST}:{self._port}",
        ]
        process = ServerProcess("Prometheus", command, self._directory, self._directory / "prometheus.log")
        try:
            process.wait_until(self._ready, START_SECONDS)
        except ServerFailedError:
            process.kill()
            raise
        self._process = process
        return self

    def stop(self) -> None:
        """Shut it down; nothing to do when it does not run."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an instant query gives now."""
        data = self._get(f"/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        series: list[dict[str, Any]] = data["result"]
        return series

    def targets(self) -> list[dict[str, Any]]:
        """The scrape targets, with their health and last error."""
        active: list[dict[str, Any]] = self._get("/api/v1/targets")["activeTargets"]
        return active

    def rules(self) -> list[dict[str, Any]]:
        """The loaded alerting and recording rules of all groups."""
        return [rule for group in self._get("/api/v1/rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=10) as response:
            data: dict[str, Any] = json.load(response)["data"]
            return data

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/-/ready", timeout=2) as response:
                return bool(response.status == 200)
        except (URLError, ConnectionError, TimeoutError):
            return False
