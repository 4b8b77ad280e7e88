"""Routes on a real broker, in a process that is killed: every revision arrives, and is known again by its key."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from schemas.alert import Alert, alert_event
from schemas.deadletter import DeadLetter
from schemas.delivery import Delivery, DeliveryResult
from schemas.reasons import RejectReason
from schemas.settings import Settings
from streams.deliveries import begin_routes
from streams.topics import Topics, create_topics
from tests.builders_delivery import SECRET
from tests.receivers import answer, http_receiver
from tests.running import ROOT, Installation, publish, read_topic
from tests.test_route_work import IN_ORDER, ONE, TOLD, TWO, per_episode

ROUTES = """
[[routes]]
id = "{name}"
audience = "police"
give_up_after_hours = {hours}
[routes.sink]
kind = "webhook"
url = "{url}"
secret_env = "HOOK_SECRET"
allow_http = true
allow_private = ["127.0.0.1"]
timeout_s = 2.0
"""


@asynccontextmanager
async def delivering(settings: Settings, routes: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The routes in a process of their own."""
    given = {
        **os.environ,
        "HOOK_SECRET": SECRET,
        "HOTSPOT_BOOTSTRAP": settings.bootstrap,
        "HOTSPOT_PREFIX": settings.prefix,
        "HOTSPOT_SESSION_TIMEOUT_S": str(settings.session_timeout_s),
        "HOTSPOT_ROUTES": str(routes),
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.deliver_process", env=given, cwd=ROOT)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def write_routes(path: Path, *receivers: tuple[str, str], hours: float = 24) -> Path:
    """A routes file with a webhook for each name and address."""
    path.write_text("".join(ROUTES.format(name=name, url=url, hours=hours) for name, url in receivers))
    return path


def tell(settings: Settings, alerts: Sequence[Alert]) -> None:
    """Put revisions on their topic, as the monitor does."""
    events = [alert_event(one) for one in alerts]
    publish(
        settings,
        Topics(settings.prefix).alerts,
        [(event.subject.encode(), event.model_dump_json().encode()) for event in events],
    )


def facts(settings: Settings) -> list[Delivery]:
    """All facts on their topic."""
    found = read_topic(settings, Topics(settings.prefix).deliveries)
    return [Delivery.model_validate_json(value) for _, value, _ in found]


async def settled(settings: Settings, count: int, process: asyncio.subprocess.Process) -> None:
    """Until there are so many facts, or the process is dead. The receivers go on meanwhile: they are in this loop."""
    deadline = time.monotonic() + 90
    while process.returncode is None and len(await asyncio.to_thread(facts, settings)) < count:
        assert time.monotonic() < deadline, "not within 90 s"
        await asyncio.sleep(0.2)


@pytest.fixture
def settings(embedded: Installation) -> Settings:
    """Topics of this test's own, on a broker that is real."""
    found = embedded.settings()
    create_topics(found)
    return found


async def test_killed_between_send_and_commit_again_and_again(settings: Settings, tmp_path: Path) -> None:
    processes: list[asyncio.subprocess.Process] = []
    deaths = 3

    async with http_receiver() as receiver:

        async def kill_the_sender(_: asyncio.StreamWriter) -> None:
            """The message is here; the sender dies before it hears so."""
            processes[-1].kill()

        receiver.plan = [answer(200), kill_the_sender, kill_the_sender, answer(500), kill_the_sender]
        routes = write_routes(tmp_path / "routes.toml", ("control-room", receiver.url))
        begin_routes(settings, ["control-room"])
        tell(settings, TOLD)
        for _ in range(deaths + 1):
            async with delivering(settings, routes) as process:
                processes.append(process)
                await settled(settings, len(TOLD), process)
        assert per_episode(receiver.seen) == IN_ORDER
        assert len(receiver.keys) > len(TOLD), "some came twice, and are known by their key"
    found = facts(settings)
    assert {(fact.episode_id, fact.revision) for fact in found} == {(one.episode_id, one.revision) for one in TOLD}
    assert {fact.result for fact in found} == {DeliveryResult.SENT}


async def test_a_receiver_that_fails_holds_up_no_other_and_ends_as_a_dead_letter(
    settings: Settings, tmp_path: Path
) -> None:
    async with http_receiver() as good, http_receiver(*[answer(500)] * 10_000) as bad:
        routes = write_routes(tmp_path / "routes.toml", ("good", good.url), ("bad", bad.url), hours=2 / 3600)
        begin_routes(settings, ["good", "bad"])
        tell(settings, TOLD[:2])
        async with delivering(settings, routes) as process:
            await settled(settings, 4, process)
    assert per_episode(good.keys) == {ONE: [1], TWO: [1]}
    results = {(fact.route, fact.result) for fact in facts(settings)}
    assert results == {("good", DeliveryResult.SENT), ("bad", DeliveryResult.DEAD)}
    letters = read_topic(settings, Topics(settings.prefix).deadletter)
    assert len(letters) == 2
    for _, value, headers in letters:
        letter = DeadLetter.from_headers(headers)
        assert letter.reason is RejectReason.NOT_DELIVERED
        assert letter.origin_topic == Topics(settings.prefix).alerts
        assert Delivery.model_validate_json(value).route == "bad"


async def test_a_new_route_begins_with_what_comes_after_it(settings: Settings, tmp_path: Path) -> None:
    async with http_receiver() as receiver:
        routes = write_routes(tmp_path / "routes.toml", ("late", receiver.url))
        tell(settings, TOLD[:1])
        begin_routes(settings, ["late"])
        begin_routes(settings, ["late"])
        tell(settings, TOLD[1:2])
        async with delivering(settings, routes) as process:
            await settled(settings, 1, process)
    assert receiver.keys == [f"{TWO}.1"]
