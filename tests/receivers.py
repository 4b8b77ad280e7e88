"""Receivers of deliveries on 127.0.0.1: an HTTP server that behaves as it is told, and a mail server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as MAIL_POLICY
from typing import Any

from aiosmtpd.controller import UnthreadedController
from aiosmtpd.smtp import SMTP, Envelope, Session

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Request:
    """What came."""

    path: str
    headers: dict[str, str]
    body: bytes


def answer(status: int, *headers: str, body: bytes = b"taken") -> Behaviour:
    """An ordinary answer."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()

    return behave


async def break_off(writer: asyncio.StreamWriter) -> None:
    """Promise more than comes."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nnot all of it")
    await writer.drain()


async def hang_up(_: asyncio.StreamWriter) -> None:
    """Close without a word."""


async def never_answer(_: asyncio.StreamWriter) -> None:
    """Read, and say nothing."""
    await asyncio.sleep(30)


@dataclass
class HttpReceiver:
    """Does what `plan` says with one request after the other, and takes all others."""

    plan: list[Behaviour] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def keys(self) -> list[str]:
        """The idempotency key of each request, in the order in which they came."""
        return [request.headers["webhook-id"] for request in self.requests]

    @property
    def seen(self) -> list[str]:
        """The same as a receiver counts them that knows a key again."""
        return list(dict.fromkeys(self.keys))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            behave = self.plan.pop(0) if self.plan else answer(200)
            self.requests.append(Request(head[0].split(" ")[1], headers, body))
            await behave(writer)
        writer.close()


@asynccontextmanager
async def http_receiver(*plan: Behaviour) -> AsyncIterator[HttpReceiver]:
    """Listening on a port of its own."""
    receiver = HttpReceiver(list(plan))
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@dataclass
class Mailbox:
    """What a mail server took, and what it answers."""

    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    plan: list[str] = field(default_factory=list)
    """Answers to the next messages; all others are taken."""
    refused: set[str] = field(default_factory=set)
    port: int = 0

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """One recipient."""
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """One message."""
        said = self.plan.pop(0) if self.plan else "250 taken"
        if said.startswith("250"):
            self.envelopes.append(envelope)
            mail: Any = message_from_bytes(envelope.content or b"", policy=MAIL_POLICY)  # type: ignore[arg-type]  # bytes unless decoding is asked for
            self.mails.append(mail)
        return said


@asynccontextmanager
async def mail_server() -> AsyncIterator[Mailbox]:
    """An SMTP server on a port of its own, in this loop."""
    mailbox = Mailbox()
    loop = asyncio.get_running_loop()
    controller = UnthreadedController(mailbox, hostname="127.0.0.1", port=0, loop=loop)
    server = await loop.create_server(controller._factory_invoker, host="127.0.0.1", port=0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
