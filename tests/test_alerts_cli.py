"""`hotspot alerts`: what is open, and what people say, against a real broker and Redis."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from click.testing import CliRunner, Result

from alerts.audit_verify import verify
from cli.main import hotspot
from schemas.alert import Alert
from schemas.audit import AuditAction
from schemas.base import utc_now
from schemas.feedback import FeedbackEvent, Mute
from schemas.settings import Settings
from streams.audit import entries_of, read_trail
from streams.episodes_store import EpisodeStore
from streams.topics import Topics, create_topics
from tests.builders import NOW
from tests.builders_delivery import full_alert
from tests.running import HAMPSHIRE, Installation, read_topic

EPISODE = full_alert().episode_id
MUTED = full_alert(episode_id="hampshire-2", as_of=NOW + timedelta(hours=1), muted=True, muted_until=NOW)


@pytest.fixture
def settings(embedded: Installation) -> Settings:
    """Topics and keys of this test's own."""
    found = embedded.settings()
    create_topics(found)
    return found


def put(settings: Settings, *alerts: Alert) -> None:
    """As the worker does."""

    async def write() -> None:
        store = EpisodeStore(settings.redis_url, settings.prefix)
        for one in alerts:
            await store.put(one)
        await store.close()

    asyncio.run(write())


def run(settings: Settings, *arguments: str) -> Result:
    """The command with the settings of this installation."""
    given = {
        "HOTSPOT_BOOTSTRAP": settings.bootstrap,
        "HOTSPOT_REDIS_URL": settings.redis_url,
        "HOTSPOT_PREFIX": settings.prefix,
        "HOTSPOT_REGIONS": str(HAMPSHIRE),
        "HOTSPOT_ACTOR": "tester",
    }
    return CliRunner(env=given).invoke(hotspot, ["alerts", *arguments])


def said(settings: Settings) -> list[FeedbackEvent]:
    """All on the feedback topic."""
    found = read_topic(settings, Topics(settings.prefix).feedback)
    assert {key for key, _, _ in found} <= {b"hampshire"}
    return [FeedbackEvent.model_validate_json(value) for _, value, _ in found]


def test_open_episodes_are_listed_newest_first_and_marked(settings: Settings) -> None:
    assert run(settings, "list").output == "No episode is open.\n"
    put(settings, full_alert(), MUTED)
    lines = run(settings, "list").output.splitlines()
    assert lines[0] == "OFFICIAL-SENSITIVE"
    assert [line.split(":")[0].strip() for line in lines if line.startswith("  ")] == ["hampshire-2", EPISODE]
    assert EPISODE not in run(settings, "list", "--muted").output
    assert [Alert.model_validate_json(line) for line in run(settings, "list", "--json").output.splitlines()] == [
        MUTED,
        full_alert(),
    ]


def test_one_is_shown_whole(settings: Settings) -> None:
    put(settings, full_alert())
    output = run(settings, "show", EPISODE).output
    for paragraph in full_alert().paragraphs:
        assert paragraph.text in output
    missing = run(settings, "show", "hampshire-9")
    assert "No open episode has the id hampshire-9" in str(missing.exception)


def looked(settings: Settings) -> list[tuple[str, str, str, str]]:
    """Who looked at what, and why, as the trail has it."""
    placed = read_trail(settings)
    assert verify(placed, utc_now()).broken == []
    events = [entry.event for entry in entries_of(placed)]
    assert {event.action for event in events} <= {AuditAction.CONSULTATION}
    return [(event.actor, event.subject.kind.value, event.subject.id, event.why) for event in events]


def test_who_looks_is_in_the_audit_trail(settings: Settings) -> None:
    put(settings, full_alert())
    for arguments in (
        ["list"],
        ["list", "--muted", "--as", "analyst", "--why", "inspection"],
        ["show", EPISODE],
        ["show", EPISODE, "--json", "--actor", "chair"],
    ):
        assert run(settings, *arguments).exit_code == 0
    assert looked(settings) == [
        ("tester", "region", "hampshire", "meeting"),
        ("analyst", "region", "hampshire", "inspection"),
        ("tester", "alert", f"{EPISODE}.1", "meeting"),
        ("chair", "alert", f"{EPISODE}.1", "meeting"),
    ]


def test_what_cannot_be_recorded_is_not_shown(settings: Settings) -> None:
    put(settings, full_alert())
    without_trail = settings.model_copy(update={"bootstrap": "127.0.0.1:1"})
    for arguments in (["list"], ["show", EPISODE]):
        result = run(without_trail, *arguments)
        assert result.exit_code != 0
        assert full_alert().headline not in result.output
    result = run(settings, "list", "--region", "kent")
    assert result.exit_code == 2
    assert "kent" in result.output
    assert looked(settings) == []


def test_what_is_said_is_on_the_feedback_topic(settings: Settings) -> None:
    put(settings, full_alert())
    for arguments in (
        ["ack", EPISODE],
        ["assign", EPISODE, "city-nights"],
        ["mute", EPISODE, "--for", "12h"],
        ["mute", EPISODE, "--off"],
        ["outcome", EPISODE, "genuine_new", "--as", "analyst"],
        ["outcome", "hampshire-over", "explained", "--region", "hampshire"],
    ):
        result = run(settings, *arguments)
        assert result.exit_code == 0, result.output
    found = [event.data for event in said(settings)]
    assert [one.said.action for one in found] == [
        "acknowledge", "assign", "mute", "unmute", "outcome", "outcome",
    ]  # fmt: skip
    muted = found[2]
    assert isinstance(muted.said, Mute)
    assert muted.said.until - muted.at == timedelta(hours=12)
    assert [one.actor for one in found] == ["tester"] * 4 + ["analyst", "tester"]
    assert len({one.feedback_id for one in found}) == len(found)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mute", EPISODE, "--for", "29d"], "28 days at most"),
        (["mute", EPISODE, "--for", "0h"], "28 days at most"),
        (["mute", EPISODE, "--for", "soon"], "28 days at most"),
        (["assign", EPISODE, "John Smith"], "short name"),
        (["outcome", EPISODE, "great"], "genuine_new"),
        (["outcome", EPISODE, "explained", "--region", "No Such"], "region"),
    ],
)
def test_what_cannot_be_said_is_told_in_a_sentence(settings: Settings, arguments: list[str], sentence: str) -> None:
    put(settings, full_alert())
    result = run(settings, *arguments)
    assert result.exit_code == 2
    assert not isinstance(result.exception, ValueError)
    assert sentence in result.output + str(result.exception)
    assert said(settings) == []
