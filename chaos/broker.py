"""An Apache Kafka with one listener for each worker, advertised through a proxy, and a disk that can be full."""

from __future__ import annotations

import os
import random
import subprocess
from contextlib import suppress
from pathlib import Path

from chaos.proxy import Proxy
from tests.servers.kafka import KafkaServer
from tests.servers.process import HOST, free_port

DISK_MB = 400
#: Room that a full disk leaves to nobody, written in pieces.
PIECE = b"\0" * 65_536


class ChaosKafka(KafkaServer):
    """The broker of the rounds. `bootstrap` is the way without a proxy, `bootstraps` are those of the workers."""

    start_seconds = 300.0  # a round is no test of how quick a machine is

    def __init__(self, directory: Path, workers: int, choice: random.Random) -> None:
        super().__init__(directory, choice)
        self._data = directory / "disk"
        self._ballast = self._data / "ballast"
        self._inner = [free_port(choice) for _ in range(workers)]
        self.proxies = [Proxy(free_port(choice), port) for port in self._inner]

    @property
    def bootstraps(self) -> list[str]:
        """Address of the broker for each worker."""
        return [f"{HOST}:{proxy.port}" for proxy in self.proxies]

    def settings(self, port: int, controller: int) -> str:
        """Those of any test, and a listener for each worker."""
        names = [f"W{number}" for number in range(len(self._inner))]
        inner = "".join(f",{name}://{HOST}:{port}" for name, port in zip(names, self._inner, strict=True))
        outer = "".join(f",{name}://{address}" for name, address in zip(names, self.bootstraps, strict=True))
        own = {
            "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}{inner}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{port}{outer}",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"
            + "".join(f",{name}:PLAINTEXT" for name in names),
            "log.dirs": str(self._data / "log"),
            "metadata.log.dir": str(self._directory / "metadata"),  # what is full is the disk of the records
            "log.cleaner.dedupe.buffer.size": "16777216",
            "log.index.size.max.bytes": "1048576",
        }
        return super().settings(port, controller) + "".join(f"{key}={value}\n" for key, value in own.items())

    @property
    def has_own_disk(self) -> bool:
        """Whether its data is on a file system of its own, so that filling it harms nobody."""
        return self._data.is_mount()

    def mount_disk(self) -> bool:
        """Put the data on a small file system in memory, where this machine allows it; before `start`."""
        self._data.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "hotspot-chaos", str(self._data)]
        with suppress(OSError):
            subprocess.run(command, capture_output=True, check=False, timeout=20)
        return self.has_own_disk

    def fill_disk(self) -> None:
        """Leave no room for another record. Only on a disk of its own."""
        assert self.has_own_disk
        with self._ballast.open("wb") as ballast, suppress(OSError):
            while True:
                os.write(ballast.fileno(), PIECE)

    def empty_disk(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def start(self) -> ChaosKafka:
        """The proxies first: clients are told of these."""
        self._data.mkdir(parents=True, exist_ok=True)
        for proxy in self.proxies:
            proxy.start()
        super().start()
        return self

    def close(self) -> None:
        """Stop the broker and the proxies, and give the disk back."""
        self.stop()
        for proxy in self.proxies:
            proxy.stop()
        if self.has_own_disk:
            subprocess.run(["umount", "-l", str(self._data)], capture_output=True, check=False, timeout=20)
