"""Records a second of a worker beside a stock Faust agent and Quix Streams: same broker, same records, in turns."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import Final

from bench.messages import BATCH, batches, hampshire, simulated_messages, singles
from bench.servers import Message, bench_servers, publish
from bench.source import ROOT, BenchDataMissingError
from processors.grid import Grid
from schemas.settings import Settings
from streams.incident_file import SourceMessage
from streams.topics import Topics

#: The rivals are slow and steady: fewer messages tell their rates.
RIVAL_RECORDS: Final = 60_000
UNITS: Final = {
    "single_vs_stock_faust": "times",
    "batch_vs_stock_faust": "times",
    "single_vs_quix_count": "times",
}
COMPARED: Final = {
    "single_vs_stock_faust": ("single", "stock"),
    "batch_vs_stock_faust": ("batch", "stock"),
    "single_vs_quix_count": ("single", "quix"),
}
COMMAND: Final = "python -m bench " + " ".join(UNITS)
QUIX_LOCK: Final = ROOT / "bench" / "quix-requirements.lock"
QUIX: Final = ROOT / "build" / "quix"
Rates = dict[str, float]


def throughput_figure(name: str, runs: int) -> tuple[float, str, list[float], str, str]:
    """Median of a ratio, its unit, the ratio of each run, the command, and the conditions."""
    measured = [rates_of_run(run) for run in range(runs)]
    ours, theirs = COMPARED[name]
    ratios = [round(rates[ours] / rates[theirs], 2) for rates in measured]
    return round(median(ratios), 2), UNITS[name], ratios, COMMAND, _conditions(measured)


def _conditions(measured: Sequence[Rates]) -> str:
    rates = {name: median(rates[name] for rates in measured) for name in measured[0]}
    return (
        f"medians of {len(measured)} runs in turns on one broker (Apache Kafka, KRaft, on this machine), messages that "
        f"lay there before: a stock Faust agent that does nothing {rates['stock']:.0f} messages/s; one worker, ingest, "
        f"located and monitor, live clock with looks waiting for the end of the backlog, from its first fetch until "
        f"the offsets behind the state are committed, {rates['single']:.0f} records/s one a message and "
        f"{rates['batch']:.0f} records/s in JSON batches of {BATCH}; Quix Streams that parses JSON and counts per cell "
        f"{rates['quix']:.0f} messages/s; the records are simulated"
    )


@cache
def rates_of_run(run: int) -> Rates:
    """One turn of each contender, records a second; `run` tells turns apart."""
    messages = simulated_messages()
    python = quix_python()
    with bench_servers() as servers:
        by_cell = servers.installation()
        publish(by_cell, keyed_by_cell(messages[:RIVAL_RECORDS], by_cell))
        settings = servers.installation()
        publish(settings, singles(messages, settings))
        found = {
            "stock": contender("stock", settings, RIVAL_RECORDS),
            "single": contender("worker", settings, len(messages)),
            "quix": _quix(python, by_cell),
        }
        settings = servers.installation()
        publish(settings, batches(messages, settings))
        found["batch"] = contender("worker", settings, len(messages))
    return {name: one["records"] / one["seconds"] for name, one in found.items()}


def contender(name: str, settings: Settings, records: int) -> dict[str, float]:
    """What a contender in a process of its own found."""
    return _json_of([sys.executable, "-m", "bench.contenders", name, settings.model_dump_json(), str(records)])


def _quix(python: Path, settings: Settings) -> dict[str, float]:
    topic = Topics(settings.prefix).police
    return _json_of([str(python), str(ROOT / "bench" / "quix_count.py"), settings.bootstrap, topic, str(RIVAL_RECORDS)])


def _json_of(command: Sequence[str]) -> dict[str, float]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:3])} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def keyed_by_cell(messages: Sequence[SourceMessage], settings: Settings) -> Iterator[Message]:
    """All records in one topic with their cell as key: what Quix Streams needs to count per cell without more ado."""
    grid = Grid(hampshire())
    topic = Topics(settings.prefix).police
    for message in messages:
        place = json.loads(message.value)["data"].get("place")
        cell = b"none" if place is None else b"%d/%d" % _cell(place, grid.cell_m)
        yield Message(topic, cell, message.value)


def _cell(place: dict[str, float], cell_m: int) -> tuple[int, int]:
    return int(place["easting"] // cell_m), int(place["northing"] // cell_m)


def quix_python() -> Path:
    """The interpreter of a virtual environment in build/ with what quix-requirements.lock names, made when needed."""
    python, stamp = QUIX / "bin" / "python", QUIX / "stamp"
    wanted = hashlib.sha256(QUIX_LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print("Installing Quix Streams into build/quix, once.", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(QUIX)], check=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(QUIX_LOCK)]
        if subprocess.run(install, check=False).returncode:
            raise BenchDataMissingError("Quix Streams could not be installed into build/quix; pip says why above.")
        stamp.write_text(wanted, encoding="utf-8")
    return python
