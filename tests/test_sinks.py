"""Adapters against real servers on 127.0.0.1: what arrives, what counts as delivered, and what is refused."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from alerts.formats.signature import key_of_secret, signed
from schemas.alert import AlertReason, EpisodeState
from schemas.base import moment
from schemas.delivery import DisclosedEvent, Failure
from schemas.routes import MailSink, RoutesFileError, WebhookSink
from streams.sinks.mail import MailAdapter
from streams.sinks.parcel import DeliveryError, Parcel
from streams.sinks.web import Poster, TeamsAdapter, WebhookAdapter, is_public
from tests.builders import NOW, FakeClock, hampshire
from tests.builders_delivery import MAIL, SECRET, earlier, told
from tests.cap_rules import faults
from tests.receivers import (
    Behaviour,
    answer,
    break_off,
    hang_up,
    http_receiver,
    mail_server,
    never_answer,
)

SENDER = "hotspot@vrp.example.org"


def webhook(url: str, **fields: Any) -> WebhookAdapter:
    """An adapter that may reach this machine."""
    given = {"url": url, "secret_env": "S", "allow_http": True, "allow_private": ("127.0.0.1",), "timeout_s": 2.0}
    lookup = fields.pop("lookup", None)
    sink = WebhookSink(**{**given, **fields})
    clock = FakeClock()
    return (
        WebhookAdapter(sink, SECRET, SENDER, clock, lookup) if lookup else WebhookAdapter(sink, SECRET, SENDER, clock)
    )


async def failure_of(adapter: WebhookAdapter | MailAdapter | TeamsAdapter) -> DeliveryError:
    """Why an attempt fails."""
    with pytest.raises(DeliveryError) as caught:
        await adapter.send(Parcel(told()))
    return caught.value


# --- webhooks -------------------------------------------------------------------------------------------------------


async def test_a_webhook_arrives_signed_with_its_key() -> None:
    async with http_receiver() as receiver:
        await webhook(receiver.url).send(Parcel(told()))
    (request,) = receiver.requests
    event = DisclosedEvent.model_validate_json(request.body)
    assert event.data == told()
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["webhook-id"] == event.id == f"{told().episode_id}.1"
    at = moment(int(request.headers["webhook-timestamp"]))
    expected = signed(request.body, event.id, at, key_of_secret(SECRET))
    assert request.headers["webhook-signature"] == expected["webhook-signature"]
    assert at == NOW


async def test_a_webhook_may_carry_cap_or_geojson() -> None:
    async with http_receiver() as receiver:
        grown = told(revision=2, state=EpisodeState.GROWING, reason=AlertReason.ESCALATED)
        await webhook(receiver.url, format="cap").send(Parcel(grown, tuple(earlier(1))))
        await webhook(receiver.url, format="geojson").send(Parcel(grown))
    as_cap, as_geojson = receiver.requests
    assert as_cap.headers["content-type"] == "application/cap+xml"
    assert faults(as_cap.body) == []
    assert b"<msgType>Update</msgType>" in as_cap.body
    assert json.loads(as_geojson.body)["type"] == "FeatureCollection"


async def test_a_card_arrives() -> None:
    async with http_receiver() as receiver:
        poster = Poster(receiver.url, allow_private=("127.0.0.1",), allow_http=True, timeout_s=2.0, clock=FakeClock())
        await TeamsAdapter(poster).send(Parcel(told()))
    assert json.loads(receiver.requests[0].body)["type"] == "message"


@pytest.mark.parametrize(
    ("behaviour", "failure", "wait_s"),
    [
        (never_answer, Failure.TIMEOUT, 0),
        (break_off, Failure.BROKEN_OFF, 0),
        (hang_up, Failure.BROKEN_OFF, 0),
        (answer(500), Failure.SERVER_ERROR, 0),
        (answer(502), Failure.SERVER_ERROR, 0),
        (answer(401), Failure.REFUSED, 0),
        (answer(410), Failure.REFUSED, 0),
        (answer(429, "Retry-After: 7"), Failure.THROTTLED, 7),
        (answer(503, "Retry-After: Sun, 01 Mar 2026 12:00:30 GMT"), Failure.THROTTLED, 30),
        (answer(503, "Retry-After: soon"), Failure.THROTTLED, 0),
        (answer(503, "Retry-After: 999999999"), Failure.THROTTLED, 3600),
        (answer(429, "Retry-After: Sun, 01 Mar 2020 12:00:30 GMT"), Failure.THROTTLED, 0),
        (answer(302, "Location: http://127.0.0.1:1/elsewhere"), Failure.REDIRECTED, 0),
        (answer(307, "Location: https://example.org/"), Failure.REDIRECTED, 0),
    ],
)
async def test_what_does_not_count_as_delivered(behaviour: Behaviour, failure: Failure, wait_s: float) -> None:
    async with http_receiver(behaviour) as receiver:
        error = await failure_of(webhook(receiver.url, timeout_s=1.0))
        assert (error.failure, error.wait_s) == (failure, wait_s)
        assert len(receiver.requests) == 1, "no redirect is followed, and nothing tried again by itself"


async def test_nobody_listens() -> None:
    async with http_receiver() as receiver:
        url = receiver.url
    assert (await failure_of(webhook(url))).failure is Failure.UNREACHABLE


async def test_an_answer_without_end_is_not_read_for_ever() -> None:
    async with http_receiver(answer(200, body=b"x" * 3_000_000)) as receiver:
        await webhook(receiver.url).send(Parcel(told()))


# --- where a webhook may not go -------------------------------------------------------------------------------------

INSIDE = (
    "127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
    "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:127.0.0.1",
    "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a00:1",
)  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_of_the_network(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet(address: str) -> None:
    assert is_public(address)


def resolving(*answers: Sequence[str]) -> Any:
    """A resolver that gives one list of addresses after the other; the last for good."""
    left = list(answers)

    async def look_up(host: str, port: int) -> Sequence[tuple[int, str]]:
        found = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, one) for one in found]

    return look_up


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], ["169.254.169.254"], ["8.8.8.8", "127.0.0.1"]])
async def test_a_name_that_leads_inside_is_refused_before_anything_is_sent(addresses: list[str]) -> None:
    async with http_receiver() as receiver:
        url = f"http://hook.example.org:{receiver.port}/"
        error = await failure_of(webhook(url, allow_private=(), lookup=resolving(addresses)))
        assert error.failure is Failure.FORBIDDEN_ADDRESS
        assert receiver.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]"])
async def test_an_address_that_is_written_out_is_checked_as_well(host: str) -> None:
    async with http_receiver() as receiver:
        error = await failure_of(webhook(f"http://{host}:{receiver.port}/", allow_private=()))
        assert error.failure is Failure.FORBIDDEN_ADDRESS
        assert receiver.requests == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost", "017700000001"])
async def test_other_ways_to_write_this_machine_are_refused(host: str) -> None:
    async with http_receiver() as receiver:
        error = await failure_of(webhook(f"http://{host}:{receiver.port}/", allow_private=()))
        assert error.failure in (Failure.FORBIDDEN_ADDRESS, Failure.UNREACHABLE)
        assert receiver.requests == []


async def test_a_name_is_resolved_once_and_the_checked_address_is_used() -> None:
    """A name that has another address when it is asked for again (DNS rebinding) gains nothing by it."""
    asked: list[str] = []
    answers = resolving(["127.0.0.1"], ["8.8.8.8"])

    async def look_up_once(host: str, port: int) -> Sequence[tuple[int, str]]:
        asked.append(host)
        found: Sequence[tuple[int, str]] = await answers(host, port)
        return found

    async with http_receiver() as receiver:
        url = f"http://hook.example.org:{receiver.port}/"
        await webhook(url, allow_private=("hook.example.org",), lookup=look_up_once).send(Parcel(told()))
        assert asked == ["hook.example.org"]
        assert len(receiver.requests) == 1


async def test_a_host_that_the_route_allows_may_be_inside() -> None:
    async with http_receiver() as receiver:
        url = f"http://hook.example.org:{receiver.port}/"
        await webhook(url, allow_private=("hook.example.org",), lookup=resolving(["127.0.0.1"])).send(Parcel(told()))
        assert len(receiver.requests) == 1


def test_http_is_refused_unless_it_is_allowed() -> None:
    with pytest.raises(RoutesFileError, match="https"):
        Poster("http://example.org/", allow_private=(), allow_http=False, timeout_s=1.0, clock=FakeClock())


def test_a_secret_that_is_none_is_named_by_its_variable() -> None:
    sink = WebhookSink(url="https://example.org/", secret_env="HOOK_SECRET")
    with pytest.raises(RoutesFileError, match="HOOK_SECRET"):
        WebhookAdapter(sink, "not-base64!", SENDER, FakeClock())


# --- mail -----------------------------------------------------------------------------------------------------------


def mail_adapter(port: int, **fields: Any) -> MailAdapter:
    """An adapter for a server on this machine."""
    given = {**MAIL, "host": "127.0.0.1", "port": port, "security": "none", "timeout_s": 2.0, **fields}
    return MailAdapter(MailSink.model_validate(given), "meeting", "", hampshire().zone)


async def test_a_mail_arrives_plain_and_as_html() -> None:
    async with mail_server() as mailbox:
        await mail_adapter(mailbox.port).send(Parcel(told()))
    (mail,) = mailbox.mails
    assert mail["Message-ID"] == f"<{told().episode_id}.1.meeting@vrp.example.org>"
    assert mailbox.envelopes[0].rcpt_tos == MAIL["recipients"]
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert told().headline in next(mail.iter_parts()).get_content()


async def test_a_digest_arrives_as_one_mail() -> None:
    async with mail_server() as mailbox:
        parcels = [Parcel(told()), Parcel(told(episode_id="hampshire-2"))]
        await mail_adapter(mailbox.port).send_digest(parcels, NOW + timedelta(days=1))
    (mail,) = mailbox.mails
    assert mail["X-Hotspot-Keys"].split() == [f"{told().episode_id}.1", "hampshire-2.1"]


@pytest.mark.parametrize(
    ("said", "failure"),
    [("451 later", Failure.SERVER_ERROR), ("554 not this", Failure.REFUSED), ("421 closing", Failure.SERVER_ERROR)],
)
async def test_what_a_mail_server_does_not_take(said: str, failure: Failure) -> None:
    async with mail_server() as mailbox:
        mailbox.plan.append(said)
        assert (await failure_of(mail_adapter(mailbox.port))).failure is failure
        assert mailbox.mails == []


async def test_mailboxes_that_are_all_refused_are_a_failure_and_one_of_two_is_not() -> None:
    async with mail_server() as mailbox:
        mailbox.refused.update(MAIL["recipients"])
        assert (await failure_of(mail_adapter(mailbox.port))).failure is Failure.REFUSED
        mailbox.refused.remove(MAIL["recipients"][0])
        await mail_adapter(mailbox.port).send(Parcel(told()))
        assert mailbox.envelopes[0].rcpt_tos == MAIL["recipients"][:1]


async def test_no_mail_server() -> None:
    async with mail_server() as mailbox:
        port = mailbox.port
    await asyncio.sleep(0)
    assert (await failure_of(mail_adapter(port))).failure is Failure.UNREACHABLE


async def test_a_mail_server_without_tls_is_not_told_anything_where_tls_is_asked_for() -> None:
    async with mail_server() as mailbox:
        assert (await failure_of(mail_adapter(mailbox.port, security="starttls"))).failure is Failure.UNREACHABLE
        assert mailbox.mails == []
