"""Four years of Chicago through the real agents: all accounted for, few alerts, the same always and everywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bench.source import CHICAGO, data_path
from tests.running import ROOT
from tests.servers.kafka import KafkaServer

FILE = data_path(CHICAGO)
FIRST, LAST = "2013-01-01", "2016-12-31"
#: 28-day periods of the three years after the first.
PERIODS = 3 * 365.25 / 28

pytestmark = [
    pytest.mark.skipif(not FILE.is_file(), reason=f"{CHICAGO} is not here; name its folder in HOTSPOT_DATA"),
    pytest.mark.timeout(600),
]


class Replayed(NamedTuple):
    """What a replay wrote."""

    summary: dict[str, Any]
    lines: bytes

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The alert revisions, in the order of the file."""
        return [json.loads(line) for line in self.lines.splitlines()]


def replay(out: Path, *where: str) -> Replayed:
    """Run the command as a user would."""
    command = [sys.executable, "-m", "cli", "replay", str(FILE), "--region", "regions/chicago.toml"]
    done = subprocess.run(
        [*command, "--from", FIRST, "--to", LAST, *where, "--out", str(out)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return Replayed(json.loads((out / "summary.json").read_text(encoding="utf-8")), (out / "alerts.jsonl").read_bytes())


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[Replayed]:
    """Two replays beside each other."""
    places = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    with ThreadPoolExecutor() as threads:
        return list(threads.map(lambda place: replay(place, "--embedded"), places))


@pytest.fixture(scope="module")
def first(both: list[Replayed]) -> Replayed:
    """The replay that the others are compared with."""
    return both[0]


def test_every_record_is_accounted_for(first: Replayed) -> None:
    summary = first.summary
    assert summary["published"] == 54_506
    assert summary["published"] == sum(summary[name] for name in ("located", "gated", "rejected", "duplicates"))
    assert summary["rejected"] == 0
    assert set(summary) == {
        "published",
        "records",
        "located",
        "gated",
        "rejected",
        "duplicates",
        "alerts",
        "episodes",
        "records_per_second",
        "alert_latency_ms",
    }


def test_there_are_alerts_and_they_are_few(first: Replayed) -> None:
    opened = [alert for alert in first.alerts if alert["reason"] == "opened"]
    later = [alert for alert in opened if alert["opened_at"] >= "2014-01-01"]
    assert 0.2 <= len(later) / PERIODS <= 6
    assert first.summary["alerts"] == len(first.alerts)
    assert first.summary["episodes"] == len(opened) == len({alert["episode_id"] for alert in first.alerts})


def test_each_episode_tells_a_consistent_story(first: Replayed) -> None:
    """Opened once, revisions without gaps, time not going back; closed at most once, and retracted once after all."""
    stories: dict[str, list[dict[str, Any]]] = {}
    for alert in first.alerts:
        stories.setdefault(alert["episode_id"], []).append(alert)
    for story in stories.values():
        assert [alert["revision"] for alert in story] == list(range(1, len(story) + 1))
        assert [alert["reason"] == "opened" for alert in story] == [True] + [False] * (len(story) - 1)
        ends = [alert["state"] for alert in story if alert["state"] in ("closed", "retracted")]
        assert ends in ([], ["closed"], ["retracted"], ["closed", "retracted"])
        assert ends == [alert["state"] for alert in story[len(story) - len(ends) :]]
        moments = [alert["as_of"] for alert in story]
        assert moments == sorted(moments)


def test_looks_are_at_quarters_and_windows_end_with_what_was_known(first: Replayed) -> None:
    for alert in first.alerts:
        as_of, end = datetime.fromisoformat(alert["as_of"]), datetime.fromisoformat(alert["window"]["end"])
        assert as_of.timestamp() % 900 == 0
        assert end <= as_of
        if alert["reason"] == "opened":
            assert end == as_of
            assert as_of - datetime.fromisoformat(alert["window"]["start"]) >= timedelta(hours=6)


def test_a_second_run_writes_the_same_bytes(both: list[Replayed]) -> None:
    first, second = both
    assert second.lines == first.lines


@pytest.mark.connected
def test_apache_kafka_gives_the_same_alerts(first: Replayed, apache_kafka: KafkaServer, tmp_path: Path) -> None:
    again = replay(tmp_path, "--bootstrap", apache_kafka.bootstrap)
    assert again.lines == first.lines
    assert again.summary["located"] == first.summary["located"]
