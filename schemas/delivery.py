"""What became of each alert revision on each route: facts by which deliveries go on, and that an audit can record."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.base import Contract, UtcTime
from schemas.disclosure import Audience, Disclosed


class Verdict(StrEnum):
    """Why a route gets a revision, or does not."""

    SEND = "send"
    """It is what the route asked for."""
    FOLLOW_UP = "follow_up"
    """The route was told of this episode, so it hears of its end and of corrections."""
    OTHER_REGION = "other_region"
    """The route is not for this region."""
    OUTSIDE_AREA = "outside_area"
    """Its centre lies outside of the route's area."""
    TOO_COMMON = "too_common"
    """Chance alone does this more often than the route wants to hear."""
    OTHER_STATE = "other_state"
    """The route does not want this state."""
    OTHER_REASON = "other_reason"
    """The route does not want this reason."""
    MUTED = "muted"
    """A mute holds it, and the route would disturb people."""
    NEVER_TOLD = "never_told"
    """It is the end of an episode, or a correction, of which the route was never told."""
    NOT_FOR_AUDIENCE = "not_for_audience"
    """The audience of the route may not be told of it."""

    @property
    def is_sent(self) -> bool:
        """Whether the route gets it."""
        return self in (Verdict.SEND, Verdict.FOLLOW_UP)


class DeliveryResult(StrEnum):
    """What became of a revision on a route."""

    SENT = "sent"
    """The receiver has taken it."""
    SKIPPED = "skipped"
    """The route does not get it; the verdict says why."""
    DEAD = "dead"
    """It could not be delivered in the time that the route allows, and is a dead letter."""


class Failure(StrEnum):
    """Why an attempt to deliver failed: the values of a label, and all that is told of an error."""

    UNREACHABLE = "unreachable"
    """No connection, or no such name."""
    TIMEOUT = "timeout"
    """No whole answer in time."""
    BROKEN_OFF = "broken_off"
    """The connection ended within the answer."""
    THROTTLED = "throttled"
    """429 or 503: the receiver asks to wait."""
    SERVER_ERROR = "server_error"
    """Another 5xx, or a mail server that cannot now."""
    REFUSED = "refused"
    """Another 4xx, or a mail server that does not want it."""
    REDIRECTED = "redirected"
    """3xx: redirects are not followed."""
    FORBIDDEN_ADDRESS = "forbidden_address"
    """The name leads to an address inside of the network, which the route does not allow."""
    UNEXPECTED = "unexpected"
    """Anything else."""


class Delivery(Contract):
    """One fact: what became of one revision on one route (topic hotspot.deliveries, key route and episode)."""

    route: str
    episode_id: str
    revision: int = Field(ge=1)
    result: DeliveryResult
    verdict: Verdict
    at: UtcTime
    audience: Audience
    told_as_of: UtcTime | None = None
    """The `as_of` that the receiver was told, or of a dead letter may have been; None for what was skipped."""
    receiver: str = ""
    """To whom: a host, or a number of mailboxes; never a secret, and never a person."""
    attempts: int = Field(default=0, ge=0)
    failure: Failure | None = None
    """The last, of a dead letter."""

    @property
    def key(self) -> str:
        """The idempotency key of what was delivered."""
        return f"{self.episode_id}.{self.revision}"


class DisclosedEvent(Contract):
    """An alert revision as one audience may see it, as CloudEvents 1.0: the body of a webhook."""

    specversion: Literal["1.0"] = "1.0"
    id: str
    """`<episode_id>.<revision>`: the same again is the same message."""
    source: str
    type: Literal["hotspot.alert.disclosed.v1"] = "hotspot.alert.disclosed.v1"
    time: UtcTime
    subject: str
    datacontenttype: Literal["application/json"] = "application/json"
    data: Disclosed


def disclosed_event(told: Disclosed) -> DisclosedEvent:
    """Wrap a disclosed alert; a function of it alone."""
    return DisclosedEvent(
        id=key_of(told), source=f"hotspot/{told.region}", time=told.as_of, subject=told.episode_id, data=told
    )


def key_of(told: Disclosed) -> str:
    """The idempotency key of a revision."""
    return f"{told.episode_id}.{told.revision}"
