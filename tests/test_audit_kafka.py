"""The audit trail on real Kafka: nothing missing after kill -9, and the commands that read, check and export it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerts.audit import entry_bytes
from alerts.audit_verify import verify
from cli.main import main
from schemas.audit import AuditEntry
from schemas.base import utc_now
from schemas.feedback import Acknowledge, Feedback, feedback_event
from schemas.settings import Settings
from streams.audit import entries_of, read_trail
from streams.topics import Topics, create_topics
from tests.running import Installation, publish, until
from tests.test_stream import start_worker

EPISODE = "hampshire-20260301T120000Z-0a1b2c3d"
WHOLE = "The trail is whole: 3 entries in 3 chains.\n"
START_S = 240.0
Run = Callable[..., tuple[int, str, str]]


def saying(number: int) -> tuple[bytes, bytes]:
    """Feedback of one person."""
    said = Feedback(
        feedback_id=f"f-{number}",
        region="hampshire",
        episode_id=EPISODE,
        at=datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1),
        actor=f"analyst.{number % 3}",
        said=Acknowledge(),
    )
    return b"hampshire", feedback_event(said).model_dump_json().encode()


def recorded(settings: Settings) -> set[str]:
    """Ids of the events in the trail."""
    return {entry.event.event_id for entry in entries_of(read_trail(settings))}


async def at_least(settings: Settings, events: int) -> None:
    """Wait until so many are in the trail."""
    await until(lambda: len(recorded(settings)) >= events, f"{events} events are in the trail", START_S)


@pytest.mark.connected
@pytest.mark.timeout(900)  # three workers start one after the other, and each reads its kernels from the cache first
async def test_kill_9_leaves_a_whole_trail_with_nothing_missing(native: Installation) -> None:
    """Two workers die amid feedback; what the third leaves has each event, some of them twice, in three chains."""
    settings = native.settings(session_timeout_s=6)
    topic, total = Topics(settings.prefix).feedback, 60
    publish(settings, topic, [saying(number) for number in range(20)])
    wanted = {f"feedback/hampshire/f-{number}" for number in range(total)}
    for victim_reads in (1, 21):
        victim = start_worker(settings)
        try:
            await at_least(settings, victim_reads)
        finally:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
        publish(settings, topic, [saying(number) for number in range(victim_reads + 19, victim_reads + 39)])
    last = start_worker(settings)
    try:
        await until(lambda: recorded(settings) >= wanted, "all feedback is in the trail", START_S)
    finally:
        last.send_signal(signal.SIGKILL)
        last.wait()
    placed = read_trail(settings)
    verdict = verify(placed, utc_now())
    assert verdict.broken == []
    assert recorded(settings) == wanted
    assert len(verdict.heads) == 3
    firsts = [entry for entry in entries_of(placed) if entry.number == 1]
    assert [len(entry.heads) for entry in firsts] == [0, 1, 2], "each begins by naming the chains before it"


@pytest.fixture
def run(installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `hotspot audit` on an installation of its own; exit code, output, what was told."""
    settings = installation.settings()
    create_topics(settings)
    monkeypatch.setenv("HOTSPOT_BOOTSTRAP", settings.bootstrap)
    monkeypatch.setenv("HOTSPOT_PREFIX", settings.prefix)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hotspot", "audit", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as exited:
            code = int(exited.code or 0)
        output = capsys.readouterr()
        return code, output.out, output.err

    return call


def test_the_commands_show_check_and_export_the_trail(run: Run, tmp_path: Path) -> None:
    assert run("verify") == (0, "", "The trail is empty: nothing was recorded yet, or all of it is gone.\n")
    assert run("list", "--actor", "j.smith") == (0, "", "")
    code, shown, _ = run("list", "--actor", "a.jones", "--why", "inspection")
    assert code == 0
    assert "j.smith  consultation of trail" in shown and shown.endswith("(meeting)\n")
    assert "a.jones" not in shown, "who looks now is in the trail afterwards"
    assert run("verify", "--heads-out", tmp_path / "heads")[0] == 0

    path = tmp_path / "trail.jsonl"
    assert run("export", "--out", path, "--actor", "a.jones")[0] == 0
    assert run("verify", path, "--against", tmp_path / "heads") == (
        0,
        "",
        "The trail is whole: 3 entries in 3 chains.\n",
    )
    assert run("verify", "--against", tmp_path / "heads")[0] == 0
    code, shown, _ = run("list", "--by", "a.jones", "--action", "disclosure", "--json")
    event = json.loads(shown)["event"]
    assert (event["recipient"], event["why"]) == ("account/a.jones", "meeting")

    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[1:]))
    code, told, summary = run("verify", path)
    assert code == 1
    assert "is missing at the end of its chain" in told
    assert summary == "The trail is broken in 1 place: 2 entries in 2 chains.\n"
    AuditEntry.model_validate_json(lines[0])


def test_what_the_commands_cannot_use_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "no-heads").write_text("nothing\n", encoding="utf-8")
    for arguments, sentence in (
        (("verify", tmp_path / "nowhere"), f"The file {tmp_path}/nowhere cannot be read: No such file or directory."),
        (
            ("verify", "--against", tmp_path / "no-heads"),
            f"The file {tmp_path}/no-heads does not hold heads of chains, as --heads-out writes them.",
        ),
        (("list", "--why", "I was curious"), "one word of small letters"),
        (("list", "--actor", "John Smith"), "'John Smith' is no account"),
    ):
        code, _, told = run(*arguments)
        assert code == 2
        assert sentence in told


def test_without_a_topic_there_is_no_trail(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTSPOT_PREFIX", "hotspot.nowhere")
    code, _, told = run("verify")
    assert code == 2
    assert told.startswith("There is no topic hotspot.nowhere.audit on ")


def test_a_change_on_the_topic_is_told_with_its_place(run: Run, installation: Installation) -> None:
    assert run("list", "--actor", "j.smith")[0] == 0
    assert run("list", "--actor", "j.smith")[0] == 0
    settings = installation.settings(prefix=Settings().prefix)
    first = entries_of(read_trail(settings))[0]
    forged = first.model_copy(update={"written_at": first.written_at + timedelta(hours=1)})
    publish(settings, Topics(settings.prefix).audit, [(b"j.smith", entry_bytes(forged))])
    code, told, _ = run("verify")
    assert code == 1
    assert (
        f"Entry 1 of {first.writer} (offset 2 of partition 0) was changed: its hash is not that of its content." in told
    )
