"""Canaries: texts and identities planted in all that a partner can send, searched for in all that comes out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient

from chaos.workers import environment
from cli.main import hotspot as command
from schemas.deadletter import DeadLetter
from schemas.settings import Settings
from streams.topics import Topics
from tests.builders import Event, raw
from tests.builders_delivery import SECRET
from tests.receivers import HttpReceiver, Mailbox, http_receiver, mail_server
from tests.running import Installation, publish, read_topic
from tests.test_whole_worker import TOKEN, settled
from tests.whole_worker import (
    WholeWorker,
    attendance,
    eventually,
    history,
    hot_moments,
    hotspot,
    now,
    numbered,
    the_hotspot,
    told,
    worker_settings,
)

FREE_TEXT = "Marmalade Flamingo"
NAME = "Quillfeather"
NHS_NUMBER = "943 476 5919"
MAIL_ADDRESS = "q.feather@example.net"
TELEPHONE = "07700 900123"
BIRTH_DATE = "12/03/1987"
CANARIES = (FREE_TEXT, NAME, NHS_NUMBER, MAIL_ADDRESS, TELEPHONE, BIRTH_DATE)
#: However it is written, and whatever stands between the digits.
NEEDLES = re.compile(
    rb"marmalade|flamingo|quill-?feather|943\D{0,3}476\D{0,3}5919|q\.feather|07700\D{0,3}900\D{0,3}123|12\W03\W1987",
    re.IGNORECASE,
)

ROUTES = """
[[routes]]
id = "{name}"
audience = "health"
[routes.sink]
"""
WEB = 'allow_http = true\nallow_private = ["127.0.0.1"]\n'


class Output(NamedTuple):
    """Something that a reader can get at."""

    where: str
    content: bytes


def found_in(outputs: Iterable[Output]) -> list[str]:
    """Where a canary is, and what is around it; in UTF-16 too."""
    found = []
    for output in outputs:
        content = output.content.replace(b"\0", b"")
        for hit in NEEDLES.finditer(content):
            found.append(f"{output.where}: …{content[max(0, hit.start() - 80) : hit.end() + 40]!r}…")
            break
    return found


# --- what is planted --------------------------------------------------------------------------------------------------


def accepted() -> list[Event]:
    """Attendances at the hotspot that are taken, with canaries in every text that may hold one."""
    text = f"{NAME} of {FREE_TEXT}"
    found = []
    for number, happened in enumerate(hot_moments(now(), 6)):
        event = attendance(
            f"{NAME}-{number}",
            happened,
            method_description=text,
            location_description=f"outside the {text}",
            assault_method=FREE_TEXT,
            location_type=text,
            incident_ref=f"{NAME}/{BIRTH_DATE}/{number}",
        )
        event |= {
            "id": f"{FREE_TEXT} {number}",
            "subject": NAME,
            "dataschema": f"urn:{NAME}",
            "partitionkey": FREE_TEXT,
            "tracestate": f"vendor={NAME}",
        }
        found.append(event)
    return found


def poison() -> Iterator[bytes]:
    """Messages that must be refused: each canary in each field, as a field, around the JSON and within it."""
    good = attendance("A-1", now() - timedelta(hours=5))
    texts = [canary for canary in CANARIES if canary not in (FREE_TEXT, NAME)]
    for field in ("method_description", "location_description", "assault_method", "location_type"):
        for text in texts:
            yield raw({**good, "data": {**good["data"], field: f"{NAME}, {text}, {FREE_TEXT}"}})
    for canary in CANARIES:
        for field in (*good["data"], "incident_ref", "alcohol_involved"):
            if field not in ("assault_method", "location_type") and (field, canary) not in _TAKEN:
                yield raw({**good, "data": {**good["data"], field: canary}})
        for field in ("specversion", "source", "type", "time", "datacontenttype", "traceparent"):
            yield raw({**good, field: canary})
        yield raw({**good, "data": {**good["data"], "patient": canary}})
        yield raw({**good, "data": {**good["data"], canary: canary}})
        yield raw({**good, canary: canary})
        yield raw({**good, "data": {**good["data"], "place": {"easting": canary, canary: 1}}})
        yield raw({**good, "source": f"hampshire/ed/{canary}"})
        yield raw({**good, "type": f"hotspot.ed.attendance.{canary}.v1"})
        yield raw({**good, "data": canary})
        yield raw(good)[:-9] + canary.encode()
        yield canary.encode()
        yield canary.encode("utf-16")
        yield b"<patient>" + canary.encode() + b"</patient>"
        yield raw([canary, {**good, canary: canary}])


#: These are identifiers like any others there, and many record numbers are built from a date: they are taken.
_TAKEN = {(field, canary) for field in ("record_id", "incident_ref") for canary in (NAME, BIRTH_DATE)}


def feedback_poison() -> Iterator[bytes]:
    """People who say more than there is room for."""
    for canary in CANARIES:
        yield raw({"specversion": "1.0", "id": canary, "data": {"actor": canary, "said": {"note": canary}}})
        yield canary.encode()


# --- what comes out ---------------------------------------------------------------------------------------------------


def topics_of(settings: Settings) -> Iterator[Output]:
    """Every topic but those of partners and people; of dead letters what this system wrote itself."""
    topics = Topics(settings.prefix)
    admin = AdminClient({"bootstrap.servers": settings.bootstrap})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(settings.prefix)]
    assert {topics.alerts, topics.located, topics.audit, topics.deliveries, topics.changelog} <= set(names)
    for name in names:
        if name in (topics.ed, topics.police, topics.feedback):
            continue
        for number, (key, value, headers) in enumerate(read_topic(settings, name)):
            ours = dict(DeadLetter.from_headers(headers).headers()) if name == topics.deadletter else dict(headers)
            yield Output(f"headers of {name} {number}", repr(ours).encode())
            if name != topics.deadletter:
                yield Output(f"{name} {number}", (key or b"") + b" " + (value or b""))


def redis_of(settings: Settings) -> Iterator[Output]:
    """Every key of the installation, whatever its type."""
    with redis.from_url(settings.redis_url) as client:
        for key in client.scan_iter(f"{settings.prefix}:*"):
            kind = client.type(key)
            content: Any = {
                b"hash": client.hgetall,
                b"stream": client.xrange,
                b"string": client.get,
            }[kind](key)
            yield Output(f"Redis {key.decode()}", key + repr(content).encode())


def web_of(worker: WholeWorker) -> Iterator[Output]:
    """Every page of a worker."""
    paths = ["/", "/metrics", "/livez", "/readyz", "/feeds/partners.atom", "/feeds/partners.geojson"]
    for path in paths:
        status, body = worker.get(path, Authorization=f"Bearer {TOKEN}")
        assert status == 200, path
        yield Output(f"page {path}", body)


def taken(worker: WholeWorker) -> int:
    """ED attendances that were taken, scanned or only kept."""
    page = worker.get("/metrics")[1].decode()
    counted = re.findall(r'^hotspot_records_total\{kind="ed",outcome="(?:located|gated)"\} (\S+)$', page, re.MULTILINE)
    return round(sum(float(count) for count in counted))


def mails_of(mailbox: Mailbox) -> Iterator[Output]:
    """Headers and every part, as a person reads them."""
    for number, mail in enumerate(mailbox.mails):
        yield Output(f"headers of mail {number}", repr(mail.items()).encode())
        for part in mail.walk():
            if isinstance(part, EmailMessage) and not part.is_multipart():
                yield Output(f"mail {number} {part.get_content_type()}", part.get_content().encode())


def posted_to(name: str, receiver: HttpReceiver) -> Iterator[Output]:
    """What a program got."""
    for request in receiver.requests:
        yield Output(f"{name} {request.path}", repr(request.headers).encode() + request.body)


def printed_by(settings: Settings, *arguments: str) -> Output:
    """What a command prints."""
    result = CliRunner(env=dict(environment(settings))).invoke(command, list(arguments))
    assert result.exit_code == 0, result.output
    return Output(f"hotspot {' '.join(arguments)}", result.output.encode())


def write_routes(path: Path, receivers: Mapping[str, HttpReceiver], mailbox: Mailbox) -> Path:
    """A route of every kind and format, to those who may see most."""
    tables = [
        f'{ROUTES.format(name=name)}kind = "webhook"\nurl = "{receivers[name].url}"\nsecret_env = "HOOK_SECRET"\n'
        f'format = "{name}"\n{WEB}'
        for name in ("cloudevent", "cap", "geojson")
    ]
    tables.append(f'{ROUTES.format(name="teams")}kind = "teams"\nurl_env = "TEAMS_URL"\n{WEB}')
    tables.append(
        f'{ROUTES.format(name="mail")}kind = "mail"\nhost = "127.0.0.1"\nport = {mailbox.port}\nsecurity = "none"\n'
        'sender = "hotspot@vrp.example.org"\nrecipients = ["analysts@vrp.example.org"]\n'
    )
    tables.append(f'{ROUTES.format(name="partners")}kind = "feed"\ntoken_env = "FEED_TOKEN"\n')
    path.write_text("\n".join(tables), encoding="utf-8")
    return path


# --- the search -------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(1800)
async def test_no_canary_gets_out(embedded: Installation, tmp_path: Path) -> None:
    async with (
        http_receiver() as cloudevent,
        http_receiver() as cap,
        http_receiver() as geojson,
        http_receiver() as teams,
        mail_server() as mailbox,
    ):
        receivers = {"cloudevent": cloudevent, "cap": cap, "geojson": geojson, "teams": teams}
        settings = worker_settings(embedded, write_routes(tmp_path / "routes.toml", receivers, mailbox))
        topics, began = Topics(settings.prefix), now()
        secrets = {"HOOK_SECRET": SECRET, "FEED_TOKEN": TOKEN, "TEAMS_URL": teams.url}
        worker = WholeWorker(settings, tmp_path / "worker.log", secrets)
        publish(settings, topics.police, history(began))
        try:
            worker.start()
            await worker.ready()
            poisoned = list(poison())
            publish(settings, topics.ed, [(NAME.encode(), value) for value in poisoned])
            publish(settings, topics.feedback, [(FREE_TEXT.encode(), value) for value in feedback_poison()])
            publish(settings, topics.ed, [(NAME.encode(), raw(event)) for event in accepted()])
            await eventually(lambda: taken(worker) == len(accepted()), "what holds canaries is taken", worker)
            publish(settings, topics.police, hotspot(began, 6))
            await eventually(lambda: bool(the_hotspot(told(settings))), "an episode opens", worker)
            names = [*receivers, "mail", "partners"]
            await eventually(
                lambda: all(settled(settings, name) == set(numbered(told(settings))) for name in names),
                "everybody is told",
                worker,
            )
            episode = the_hotspot(told(settings))[0].episode_id
            refused = read_topic(settings, topics.deadletter)
            assert len(refused) >= len(poisoned) + 2 * len(CANARIES)
            outputs = [
                *await asyncio.to_thread(lambda: [*topics_of(settings), *redis_of(settings), *web_of(worker)]),
                *mails_of(mailbox),
                *(output for name, receiver in receivers.items() for output in posted_to(name, receiver)),
                *await asyncio.to_thread(
                    lambda: [
                        printed_by(settings, "alerts", "list"),
                        printed_by(settings, "alerts", "show", episode, "--json"),
                        printed_by(settings, "audit", "list"),
                    ]
                ),
            ]
        finally:
            worker.stop()
    outputs.append(Output("the log", worker.log.read_bytes()))
    kinds = {output.where.split(" ")[0] for output in outputs}
    assert {"Redis", "page", "mail", "cloudevent", "cap", "geojson", "teams", "hotspot", "the"} <= kinds
    assert all(output.content for output in outputs if output.where == "the log")
    assert found_in(outputs) == []
    # The search finds what is there: on the topics of partners, and in what is kept of refused messages for 90 days.
    sent = [Output("sent", value) for _, value, _ in read_topic(settings, topics.ed)]
    kept = [Output("kept", value) for _, value, _ in read_topic(settings, topics.deadletter)]
    assert len(found_in(sent)) == len(sent)
    assert len(found_in(kept)) > len(kept) / 2


@pytest.mark.parametrize("canary", CANARIES)
def test_the_search_knows_each_canary_however_it_is_written(canary: str) -> None:
    for text in (canary, canary.upper(), canary.replace(" ", "-"), f"a{canary}b", json.dumps({"x": canary})):
        assert found_in([Output("somewhere", f"before {text} after".encode())])
    assert found_in([Output("in UTF-16", canary.encode("utf-16"))])
    assert found_in([Output("nowhere", b"Violence in Southampton, 3 of 5 on 12/03/2026, 943 of 476.")]) == []
