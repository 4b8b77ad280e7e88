"""`make soak`: half an hour at 1,000 records a second; resident memory and lag are sampled, and memory must be flat.

Writes bench/soak.json (the samples) and the figures soak_rss_growth_mb and soak_lag_p99_s into bench/results.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
from confluent_kafka import Producer

from bench.holder import Holder
from bench.latency import amendments, fresh, recent_history
from bench.results import Figure, write
from bench.servers import Message, bench_servers, publish
from bench.source import BenchDataMissingError
from schemas.settings import Settings

SAMPLES: Final = Path(__file__).parent / "soak.json"
RATE: Final = 1_000
MINUTES: Final = 30.0
EVERY_S: Final = 10.0
#: So many of the newest records are amended again and again: what is held does not grow, so memory should not.
AMENDED: Final = 2_000
#: Growth of the last fifth over the second fifth that passes for flat: allocators keep some slack.
FLAT_PART: Final = 0.05


@dataclass(frozen=True)
class Sample:
    """The worker at one moment."""

    at_s: float
    rss_mb: float
    lag_records: int
    """Published and not yet settled."""


def soak(minutes: float) -> list[Sample]:
    """Publish for so long, and sample meanwhile."""
    with bench_servers() as servers:
        settings = servers.installation()
        history = recent_history(settings, 0)
        holder = Holder(settings, 1)
        try:
            publish(settings, history)
            holder.wait(lambda: _settled(holder) >= len(history), "the history is loaded")
            loaded = time.time()  # a look before that may have calibrated half of the history
            publish(settings, [fresh(settings)])
            holder.wait(lambda: holder.looked_at(["hampshire"], loaded) is not None, "a calibrated look")
            return _run(settings, holder, amendments(history[-AMENDED:], 0), _settled(holder), minutes)
        finally:
            holder.kill()


def _run(settings: Settings, holder: Holder, messages: Iterator[Message], before: int, minutes: float) -> list[Sample]:
    producer = Producer({"bootstrap.servers": settings.bootstrap, "linger.ms": 5})
    samples: list[Sample] = []
    began = time.perf_counter()
    for number in range(int(RATE * minutes * 60)):
        at_s = number / RATE
        time.sleep(max(0.0, began + at_s - time.perf_counter()))
        message = next(messages)
        producer.produce(message.topic, message.value, message.key)
        producer.poll(0)
        if at_s >= EVERY_S * (len(samples) + 1):
            samples.append(Sample(at_s, round(holder.rss_mb(), 1), number - (_settled(holder) - before)))
            print(f"{at_s:6.0f} s  {samples[-1].rss_mb:7.1f} MB  {samples[-1].lag_records} records behind", flush=True)
    producer.flush()
    return samples


def _settled(holder: Holder) -> int:
    told = holder.latest("settled")
    return 0 if told is None else int(told["records"])


def growth(samples: list[Sample]) -> tuple[float, float]:
    """Median resident memory of the second fifth of the samples and of the last, MB."""
    fifth = max(1, len(samples) // 5)
    rss = [sample.rss_mb for sample in samples]
    return median(rss[fifth : 2 * fifth] or rss), median(rss[-fifth:])


def main() -> int:
    """Soak, write, and say whether memory was flat; 1 when it was not."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"how long (default {MINUTES:.0f})")
    minutes = parser.parse_args().minutes
    try:
        samples = soak(minutes)
    except BenchDataMissingError as missing:
        print(f"Not measured. {missing}", file=sys.stderr)
        return 2
    SAMPLES.write_text(json.dumps([asdict(sample) for sample in samples]) + "\n", encoding="utf-8")
    early, late = growth(samples)
    behind_s = [sample.lag_records / RATE for sample in samples]
    shown = f"python -m bench.soak --minutes {minutes:g}"
    held = f"{RATE} records/s for {minutes:g} minutes, {len(samples)} samples in bench/soak.json; simulated records"
    grown = Figure(round(late - early, 1), "MB", [early, late], shown, f"second and last fifth of {held}")
    lag = Figure(round(float(np.percentile(behind_s, 99)), 2), "s", [max(behind_s)], shown, f"{held}; runs: the worst")
    write({"soak_rss_growth_mb": grown, "soak_lag_p99_s": lag})
    flat = late - early <= FLAT_PART * early
    print(f"Memory {'was flat' if flat else 'GREW'}: {early:.0f} MB in the second fifth, {late:.0f} MB in the last.")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
