"""Receivers with mailboxes, by SMTP."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from zoneinfo import ZoneInfo

import aiosmtplib

from alerts.formats.mail import digest, immediate
from schemas.delivery import Failure
from schemas.routes import MailSink
from streams.sinks.parcel import DeliveryError, Parcel

log = logging.getLogger(__name__)


class MailAdapter:
    """One message for all recipients of a route."""

    def __init__(self, sink: MailSink, route_id: str, password: str, zone: ZoneInfo) -> None:
        self._sink, self._route_id, self._password, self._zone = sink, route_id, password, zone

    @property
    def receiver(self) -> str:
        """How many mailboxes: their names may be those of persons."""
        return f"{len(self._sink.recipients)} mailboxes by {self._sink.host}"

    async def send(self, parcel: Parcel) -> None:
        """One revision at once. Raises DeliveryError."""
        await self._post(immediate(parcel.told, self._sink.sender, self._sink.recipients, self._route_id))

    async def send_digest(self, parcels: Sequence[Parcel], slot: datetime) -> None:
        """All that came before one meeting. Raises DeliveryError."""
        told = [parcel.told for parcel in parcels]
        await self._post(digest(told, self._sink.sender, self._sink.recipients, self._route_id, slot, self._zone))

    async def _post(self, mail: EmailMessage) -> None:
        sink = self._sink
        try:
            refused, _ = await aiosmtplib.send(
                mail,
                hostname=sink.host,
                port=sink.port,
                username=sink.username or None,
                password=self._password or None,
                timeout=sink.timeout_s,
                use_tls=sink.security == "tls",
                start_tls=sink.security == "starttls",
            )
        except aiosmtplib.SMTPTimeoutError:
            raise DeliveryError(Failure.TIMEOUT) from None
        except (aiosmtplib.SMTPServerDisconnected, ConnectionResetError):
            raise DeliveryError(Failure.BROKEN_OFF) from None
        except aiosmtplib.SMTPRecipientsRefused as error:
            worst = max(refusal.code for refusal in error.recipients)
            raise DeliveryError(_failure(worst)) from None
        except aiosmtplib.SMTPResponseException as error:
            raise DeliveryError(_failure(error.code)) from None
        except (aiosmtplib.SMTPException, OSError):
            raise DeliveryError(Failure.UNREACHABLE) from None
        if refused:
            # Sent again, it would come twice to those who have it.
            log.warning("route %s: %d of %d mailboxes were refused", self._route_id, len(refused), len(sink.recipients))


def _failure(code: int) -> Failure:
    """4xx: not now; 5xx: not at all. (The other way round than on the web.)"""
    return Failure.SERVER_ERROR if code < 500 else Failure.REFUSED
