"""Whole workers with routes: from a partner's record to a receiver, a mailbox and a feed, through kill -9."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from alerts.audit_verify import verify
from schemas.alert import AlertReason, EpisodeState
from schemas.audit import AuditAction
from schemas.base import utc_now
from schemas.delivery import Delivery, DeliveryResult, DisclosedEvent
from schemas.settings import Settings
from streams.audit import entries_of, read_trail
from streams.topics import Topics
from tests.builders_delivery import SECRET
from tests.feed_rules import atom_faults, geojson_faults
from tests.receivers import HttpReceiver, Mailbox, answer, http_receiver, mail_server
from tests.running import Installation, publish, read_topic
from tests.test_route_work import per_episode
from tests.whole_worker import (
    WholeWorker,
    eventually,
    history,
    hotspot,
    now,
    numbered,
    taken_back,
    the_hotspot,
    told,
    worker_settings,
)

TOKEN = "a-token-of-more-than-24-characters"
SECRETS = {"HOOK_SECRET": SECRET, "FEED_TOKEN": TOKEN}
ROUTES = """
[[routes]]
id = "control-room"
audience = "police"
[routes.sink]
kind = "webhook"
url = "{url}"
secret_env = "HOOK_SECRET"
allow_http = true
allow_private = ["127.0.0.1"]

[[routes]]
id = "analysts"
audience = "health"
[routes.sink]
kind = "mail"
host = "127.0.0.1"
port = {port}
security = "none"
sender = "hotspot@vrp.example.org"
recipients = ["analysts@vrp.example.org"]

[[routes]]
id = "partners"
audience = "partnership"
[routes.sink]
kind = "feed"
token_env = "FEED_TOKEN"
"""


def write_routes(path: Path, hook: HttpReceiver, mailbox: Mailbox) -> Path:
    """To these receivers."""
    path.write_text(ROUTES.format(url=hook.url, port=mailbox.port), encoding="utf-8")
    return path


def mailed(mailbox: Mailbox) -> list[str]:
    """The key of each revision that came by mail, as a mailbox counts them that knows a Message-ID again."""
    unique = {mail["Message-ID"]: mail for mail in mailbox.mails}
    return [mail["X-Hotspot-Key"] for mail in unique.values()]


def settled(settings: Settings, route: str) -> set[str]:
    """Keys of the revisions of which it is known what became on a route."""
    found = read_topic(settings, Topics(settings.prefix).deliveries)
    facts = [Delivery.model_validate_json(value) for _, value, _ in found]
    keys = [fact.key for fact in facts if fact.route == route]
    assert max(Counter(keys).values(), default=1) == 1, "one fact for each revision"
    assert all(fact.result is DeliveryResult.SENT for fact in facts)
    return set(keys)


def keys_of(settings: Settings) -> list[str]:
    """Of all revisions, each once: when regions move, a revision may be on its topic again, with the same content."""
    return list(dict.fromkeys(numbered(told(settings))))


def all_settled(settings: Settings) -> bool:
    """Whether every route has come as far as the alerts."""
    keys = set(keys_of(settings))
    return bool(keys) and all(settled(settings, route) == keys for route in ("control-room", "analysts", "partners"))


def in_order(keys: Sequence[str]) -> bool:
    """Whether each episode was told from its first revision on, without a gap and without going back."""
    return all(found == list(range(1, len(found) + 1)) for found in per_episode(keys).values())


@pytest.mark.timeout(2400)  # three workers start, and each reads its kernels from the cache first
async def test_an_alert_that_arises_from_records_arrives_once_everywhere_through_kill_9(
    installation: Installation, tmp_path: Path
) -> None:
    """Two workers share the routes; both die when an escalation is on its way; a third ends the story."""
    async with http_receiver() as hook, mail_server() as mailbox:
        settings = worker_settings(installation, write_routes(tmp_path / "routes.toml", hook, mailbox))
        police, began = Topics(settings.prefix).police, now()
        publish(settings, police, history(began))
        workers = [WholeWorker(settings, tmp_path / f"worker-{name}.log", SECRETS) for name in "abc"]
        first, second, third = workers
        try:
            first.start()
            second.start()
            await first.ready()
            publish(settings, police, hotspot(began, 8))
            await eventually(lambda: bool(the_hotspot(told(settings))), "an episode opens", first, second)
            await eventually(lambda: all_settled(settings), "everybody is told", first, second)
            opened = keys_of(settings)
            assert sorted(hook.keys) == sorted(opened), "two workers on one route send nothing twice"
            assert sorted(mailed(mailbox)) == sorted(opened)
            assert len(mailbox.mails) == len(opened)

            # An escalation is on its way: the receiver has it, and both workers die before they hear so.
            async def kill_the_senders(_: asyncio.StreamWriter) -> None:
                first.kill()
                second.kill()

            hook.plan = [kill_the_senders]
            publish(settings, police, hotspot(began, 10, first=8))
            await eventually(lambda: not first.is_running and not second.is_running, "both are dead")
            hook.plan = [answer(500)]
            third.start()
            await third.ready()
            await eventually(lambda: all_settled(settings), "the third goes on", third)
            publish(settings, police, taken_back(now(), 18))
            await eventually(
                lambda: the_hotspot(told(settings))[-1].state is EpisodeState.RETRACTED, "it is retracted", third
            )
            await eventually(lambda: all_settled(settings), "everybody knows", third)
            pages = {
                form: third.get(f"/feeds/partners.{form}", Authorization=f"Bearer {TOKEN}")
                for form in ("geojson", "atom")
            }
            assert third.get("/feeds/partners.atom")[0] == 401
        finally:
            for worker in workers:
                worker.stop()

    story = the_hotspot(told(settings))
    assert story[0].reason is AlertReason.OPENED
    assert AlertReason.ESCALATED in {one.reason for one in story}
    assert story[-1].reason is AlertReason.EVIDENCE_WITHDRAWN
    keys = keys_of(settings)
    assert sorted(hook.seen) == sorted(keys), "every revision arrived, and no other"
    assert sorted(mailed(mailbox)) == sorted(keys)
    assert in_order(hook.seen)
    assert in_order(mailed(mailbox))
    assert len(hook.keys) > len(keys), "what was on its way came again, and is known by its key"
    last = DisclosedEvent.model_validate_json(hook.requests[-1].body).data
    assert last.state is EpisodeState.RETRACTED

    assert [status for status, _ in pages.values()] == [200, 200]
    assert geojson_faults(pages["geojson"][1]) == atom_faults(pages["atom"][1]) == []
    shown = {feature["id"]: feature for feature in json.loads(pages["geojson"][1])["features"]}
    assert shown[story[-1].episode_id]["properties"]["state"] == "retracted"
    assert {name: feature["properties"]["revision"] for name, feature in shown.items()} == {
        name: revisions[-1] for name, revisions in per_episode(keys).items()
    }

    # The trail has who was told of what: before it was sent, and whole in spite of three deaths.
    placed = read_trail(settings)
    assert verify(placed, utc_now()).broken == []
    events = [entry.event for entry in entries_of(placed)]
    for recipient in ("sink/control-room", "sink/analysts", "sink/partners", f"topic/{Topics(settings.prefix).alerts}"):
        assert {event.subject.id for event in events if event.recipient == recipient} == set(keys)
    looked = [event for event in events if event.action is AuditAction.CONSULTATION]
    assert {(event.actor, event.subject.id) for event in looked} == {("reader@partners", "partners")}
    assert len(looked) == 2
