"""Receivers on the web: webhooks and Teams. Redirects are refused, and addresses inside of the network."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from alerts.formats import cap, geojson, teams
from alerts.formats.signature import SecretError, key_of_secret, signed
from schemas.base import Clock
from schemas.delivery import Failure, disclosed_event, key_of
from schemas.routes import RoutesFileError, WebhookSink
from streams.sinks.parcel import DeliveryError, Parcel

#: So much of an answer is read, bytes: its end shows that the receiver had done with the message.
_MOST_READ: Final = 65_536
#: No receiver may put us off for longer at once, seconds.
_LONGEST_WAIT_S: Final = 3600.0
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

Lookup = Callable[[str, int], Awaitable[Sequence[tuple[int, str]]]]
"""Family and address of each address of a name and port."""


class _ForbiddenAddressError(OSError):
    """A name leads into the network."""


async def look_up(host: str, port: int) -> Sequence[tuple[int, str]]:
    """As the system resolves names."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, str(address[0])) for family, _, _, _, address in found]


def is_public(address: str) -> bool:
    """Whether an address is one of the internet, and does not stand for one that is not."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None and not is_public(str(inner)):
            return False
        if ip.ipv4_mapped is not None:
            return True
    return ip.is_global and not ip.is_multicast


class GuardedResolver(AbstractResolver):
    """Resolves a name once for a connection, which is made to the very addresses that were checked."""

    def __init__(self, allowed: Sequence[str], lookup: Lookup) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)
        self._lookup = lookup

    def check(self, host: str, address: str) -> None:
        """Raise for an address that this host may not have."""
        if host.lower() not in self._allowed and not is_public(address):
            raise _ForbiddenAddressError("an address inside of the network")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """All addresses of a name, if every one of them may be reached."""
        found = await self._lookup(host, port)
        for _, address in found:
            self.check(host, address)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=of, proto=0, flags=socket.AI_NUMERICHOST)
            for of, address in found
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Poster:
    """Posts bodies to one address, each attempt on a connection of its own."""

    def __init__(
        self,
        url: str,
        *,
        allow_private: Sequence[str],
        allow_http: bool,
        timeout_s: float,
        clock: Clock,
        lookup: Lookup = look_up,
    ) -> None:
        self._url = URL(url)
        if self._url.scheme != "https" and not allow_http:
            raise RoutesFileError("The address of a sink does not begin with https://, and allow_http is not set.")
        self.host = self._url.host or ""
        self._resolver = GuardedResolver(allow_private, lookup)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._clock = clock

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """One attempt. Returns when an answer of 2xx is whole. Raises DeliveryError."""
        try:
            self._check_literal()
            connector = aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, force_close=True)
            async with (
                aiohttp.ClientSession(
                    connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
                ) as session,
                session.post(self._url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                _judge(response.status, response.headers.get("Retry-After", ""), self._clock())
                await _read(response)
        except TimeoutError:
            raise DeliveryError(Failure.TIMEOUT) from None
        except _ForbiddenAddressError:
            raise DeliveryError(Failure.FORBIDDEN_ADDRESS) from None
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, ConnectionResetError):
            raise DeliveryError(Failure.BROKEN_OFF) from None
        except (aiohttp.ClientError, OSError) as error:
            forbidden = _is_caused_by(error, _ForbiddenAddressError)
            raise DeliveryError(Failure.FORBIDDEN_ADDRESS if forbidden else Failure.UNREACHABLE) from None

    def _check_literal(self) -> None:
        # A host that is an address already never reaches the resolver.
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return
        self._resolver.check(self.host, self.host)


class WebhookAdapter:
    """Standard Webhooks: signed, with the idempotency key as `webhook-id`."""

    def __init__(self, sink: WebhookSink, secret: str, sender: str, clock: Clock, lookup: Lookup = look_up) -> None:
        try:
            self._key = key_of_secret(secret)
        except SecretError as error:
            raise RoutesFileError(f"The secret in {sink.secret_env} {error}.") from None
        self._sink, self._sender, self._clock = sink, sender, clock
        self._poster = Poster(
            sink.url,
            allow_private=sink.allow_private,
            allow_http=sink.allow_http,
            timeout_s=sink.timeout_s,
            clock=clock,
            lookup=lookup,
        )

    @property
    def receiver(self) -> str:
        """The host."""
        return self._poster.host

    async def send(self, parcel: Parcel) -> None:
        """One attempt. Raises DeliveryError."""
        content_type, body = self._body(parcel)
        headers = {"Content-Type": content_type, **signed(body, key_of(parcel.told), self._clock(), self._key)}
        await self._poster.post(body, headers)

    def _body(self, parcel: Parcel) -> tuple[str, bytes]:
        match self._sink.format:
            case "cap":
                return cap.CONTENT_TYPE, cap.cap(parcel.told, self._sender, parcel.earlier)
            case "geojson":
                return geojson.CONTENT_TYPE, geojson.geojson([parcel.told])
            case "cloudevent":
                return "application/cloudevents+json", disclosed_event(parcel.told).model_dump_json().encode()


class TeamsAdapter:
    """A workflow that posts cards to a channel."""

    def __init__(self, poster: Poster) -> None:
        self._poster = poster

    @property
    def receiver(self) -> str:
        """The host: the rest of the address is the secret."""
        return self._poster.host

    async def send(self, parcel: Parcel) -> None:
        """One attempt. Raises DeliveryError."""
        await self._poster.post(teams.teams(parcel.told), {"Content-Type": teams.CONTENT_TYPE})


def _judge(status: int, retry_after: str, now: datetime) -> None:
    if 200 <= status < 300:
        return
    if status in (429, 503):
        raise DeliveryError(Failure.THROTTLED, _wait_of(retry_after, now))
    if 300 <= status < 400:
        raise DeliveryError(Failure.REDIRECTED)
    raise DeliveryError(Failure.SERVER_ERROR if status >= 500 else Failure.REFUSED)


def _wait_of(retry_after: str, now: datetime) -> float:
    """Seconds of a Retry-After header, which is a number or a date; 0 for none."""
    try:
        wait_s = float(retry_after) if retry_after.strip().isdecimal() else _until(retry_after, now)
    except ValueError:
        return 0.0
    return min(max(wait_s, 0.0), _LONGEST_WAIT_S)


def _until(date: str, now: datetime) -> float:
    at = parsedate_to_datetime(date)
    return (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()


async def _read(response: aiohttp.ClientResponse) -> None:
    taken = 0
    async for chunk in response.content.iter_chunked(8192):
        taken += len(chunk)
        if taken > _MOST_READ:
            return


def _is_caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, kind) or isinstance(getattr(cause, "os_error", None), kind):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
