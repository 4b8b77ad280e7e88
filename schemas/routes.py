"""Who is told of what, and how it reaches them: the routes file, one table a receiver."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationError, field_validator, model_validator

from schemas.alert import Position
from schemas.base import Contract, ToldError
from schemas.disclosure import Audience
from schemas.episodes import AlertReason, EpisodeState
from schemas.region import first_sentence

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
"""As `datetime.weekday` counts them."""
#: The monitor's own way to Redis, among the routes in metrics: so no route has this id.
REDIS_ROUTE: Final = "redis"
#: The name of an environment variable: secrets stand there, never in the file.
SecretName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,79}$")]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,253}$")]
MailAddress = Annotated[str, Field(pattern=r"^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,190}$")]


class RoutesFileError(ToldError, ValueError):
    """A routes file that cannot be used; the message is one sentence."""


class Endpoint(Contract):
    """What every address on the web has."""

    timeout_s: float = Field(default=10.0, gt=0, le=120)
    """For the whole of one attempt, seconds."""
    allow_private: tuple[Host, ...] = ()
    """Names of hosts of this endpoint that may have private, loopback or link-local addresses."""
    allow_http: bool = False
    """Whether the address may begin with http://, which anybody on the way can read and change."""


class WebhookSink(Endpoint):
    """A program of a partner, by Standard Webhooks."""

    kind: Literal["webhook"] = "webhook"
    url: str = Field(pattern=r"^https?://[^\s@]+$", max_length=2000)
    secret_env: SecretName
    """Holds the shared secret: `whsec_` and at least 24 bytes in base64."""
    format: Literal["cloudevent", "cap", "geojson"] = "cloudevent"


class TeamsSink(Endpoint):
    """A channel of Teams, by the address of a workflow that posts to it."""

    kind: Literal["teams"] = "teams"
    url_env: SecretName
    """Holds the workflow's address, which lets whoever knows it post: so it is a secret."""


class MailSink(Contract):
    """People with mailboxes."""

    kind: Literal["mail"] = "mail"
    host: Host
    port: int = Field(default=587, ge=1, le=65_535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection to the mail server is made private."""
    sender: MailAddress
    recipients: tuple[MailAddress, ...] = Field(min_length=1, max_length=50)
    """Mailboxes of functions rather than of persons, where there are any."""
    username: str = Field(default="", max_length=100)
    password_env: SecretName | None = None
    timeout_s: float = Field(default=30.0, gt=0, le=300)


class FeedSink(Contract):
    """Readers who come for it: any worker serves `/feeds/<route id>.geojson` and `.atom` of what the route was told."""

    kind: Literal["feed"] = "feed"
    token_env: SecretName | None = None
    """Holds the token that readers send as `Authorization: Bearer …`: at least 24 characters."""
    open: bool = False
    """Whether anybody may read it without a token; only what is for the public may be open."""
    title: str = Field(default="Unusual violence", min_length=1, max_length=100)
    public_url: str = Field(default="", pattern=r"^(https?://[^\s?#@]+[^\s?#@/])?$", max_length=500)
    """Under which address readers find the worker, such as `https://hotspot.example.org`: the Atom feed names itself
    by it."""
    keep_ended_hours: float = Field(default=72.0, ge=1, le=24 * 90)
    """An episode that is over stays so long after its last revision, so that readers see that it is over."""


Sink = Annotated[WebhookSink | TeamsSink | MailSink | FeedSink, Field(discriminator="kind")]


class Quiet(Contract):
    """Hours in which people are not disturbed, by the clock of the region; what comes then is held until they end."""

    begins: time
    ends: time
    """Where this is not later than `begins`, it is that of the next day."""
    days: tuple[Weekday, ...] = WEEKDAYS
    """Days on which it begins."""
    let_through: tuple[AlertReason, ...] = (AlertReason.ESCALATED,)
    """Sent all the same, with what is held of the same episode before it. So is a retraction of what was sent."""

    @model_validator(mode="after")
    def _leave_some(self) -> Self:
        if self.begins == self.ends and set(self.days) == set(WEEKDAYS):
            raise ValueError("quiet hours that never end would hold everything for good")
        return self


class Digest(Contract):
    """One message with all that came since the last, before each meeting."""

    days: tuple[Weekday, ...] = Field(min_length=1)
    at: time
    """By the clock of the file. What must not wait is for another route, such as one with `reasons`."""


class Route(Contract):
    """One receiver: as which audience it reads, what it wants to hear, and how it is reached.

    Once told of an episode, it hears of its end and of every correction, whatever it filters by.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")
    """Stays as it is: what was delivered is remembered under it."""
    audience: Audience
    sink: Sink
    regions: tuple[str, ...] = ()
    """Ids of regions; empty for all."""
    area: tuple[Position, ...] = ()
    """A polygon, longitude and latitude, degrees: episodes whose centre lies in it. Empty for everywhere."""
    min_recurrence_days: float = Field(default=0.0, ge=0)
    """What chance alone would do more often than once in so many days is not told."""
    states: tuple[EpisodeState, ...] = ()
    """Empty for all."""
    reasons: tuple[AlertReason, ...] = ()
    """Empty for all."""
    quiet: Quiet | None = None
    digest: Digest | None = None
    give_up_after_hours: float = Field(default=24.0, gt=0, le=24 * 14)
    """A delivery that still fails then becomes a dead letter."""
    enabled: bool = True

    @field_validator("id")
    @classmethod
    def _is_free(cls, value: str) -> str:
        if value == REDIS_ROUTE:
            raise ValueError(f"{value!r} is the monitor's own; give the route another id")
        return value

    @field_validator("area")
    @classmethod
    def _is_polygon(cls, value: tuple[Position, ...]) -> tuple[Position, ...]:
        if value and len(set(value)) < 3:
            raise ValueError("a polygon has at least three corners")
        if any(not (-180 <= x <= 180 and -90 <= y <= 90) for x, y in value):
            raise ValueError("a corner is longitude and latitude in degrees, in this order")
        return value

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.digest is not None and not isinstance(self.sink, MailSink):
            raise ValueError("only mail can be a digest")
        if self.digest is not None and self.quiet is not None:
            raise ValueError("a digest has its moment: it has no quiet hours")
        if isinstance(self.sink, WebhookSink) and self.sink.url.startswith("http://") and not self.sink.allow_http:
            raise ValueError("sink.url begins with http://; write https://, or allow_http = true")
        if isinstance(self.sink, MailSink) and self.sink.username and self.sink.password_env is None:
            raise ValueError("sink.username needs sink.password_env")
        if isinstance(self.sink, FeedSink):
            self._agrees_as_feed(self.sink)
        return self

    def _agrees_as_feed(self, sink: FeedSink) -> None:
        if sink.open and self.audience != "public":
            raise ValueError(f"sink.open is for the audience public only, and this is for {self.audience}")
        if sink.open == (sink.token_env is not None):
            raise ValueError("a feed has either sink.token_env, or sink.open = true")
        if self.quiet is not None:
            raise ValueError("a feed disturbs nobody: it has no quiet hours")

    @property
    def is_for_people(self) -> bool:
        """Whether somebody is disturbed by it: such a route hears nothing of what a mute holds, but retractions."""
        return not isinstance(self.sink, WebhookSink | FeedSink)


class RoutesFile(Contract):
    """All receivers of an installation."""

    sender: str = Field(default="hotspot", pattern=r"^[A-Za-z0-9._@:/-]{1,100}$")
    """How CAP messages name who sends them: unique in the world, such as `hotspot@vrp.example.org`."""
    timezone: str = "Europe/London"
    """By whose clock quiet hours and digests are."""
    routes: tuple[Route, ...] = ()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"timezone {value!r} is not an IANA zone, such as Europe/London") from None
        return value

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [route.id for route in self.routes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"route {twice[0]!r} is there twice")
        return self

    @property
    def ids_of_enabled(self) -> tuple[str, ...]:
        """Ids of the routes that are at work."""
        return tuple(route.id for route in self.routes if route.enabled)

    @property
    def ids_of_feeds(self) -> tuple[str, ...]:
        """Ids of those among them that are feeds."""
        return tuple(route.id for route in self.routes if route.enabled and isinstance(route.sink, FeedSink))

    @property
    def zone(self) -> ZoneInfo:
        """The clock of quiet hours and digests."""
        return ZoneInfo(self.timezone)


def load_routes(path: Path) -> RoutesFile:
    """Read a routes file. Raises RoutesFileError for one that is missing, not TOML, or not routes."""
    try:
        return RoutesFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise RoutesFileError(f"There is no routes file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RoutesFileError(f"The routes file {path} cannot be read: {error}.") from None
    except tomllib.TOMLDecodeError as error:
        raise RoutesFileError(f"The routes file {path} is not TOML: {error}.") from None
    except ValidationError as error:
        raise RoutesFileError(f"The routes file {path} cannot be used: {first_sentence(error)}.") from None


def secret(name: str, route_id: str, environment: Mapping[str, str]) -> str:
    """The value of an environment variable that a route names. Raises RoutesFileError; never tells the value."""
    value = environment.get(name, "")
    if not value:
        raise RoutesFileError(f"Route {route_id} needs the environment variable {name}, which is not set.")
    return value
