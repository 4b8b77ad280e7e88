"""`hotspot alerts`: what alerts are about, how episodes live, and what people do about them."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import click
from pydantic import ValidationError
from redis.exceptions import RedisError

from alerts.audit import viewed
from alerts.transitions import table_text
from alerts.wording import as_text
from cli.actor import ACTOR, WHY
from schemas.alert import Alert
from schemas.audit import AuditSubject, SubjectKind
from schemas.base import ToldError, utc_now
from schemas.episodes import Outcome
from schemas.feedback import MOST_MUTED, Acknowledge, Ask, Assign, Conclude, Feedback, Mute, Unmute
from schemas.region import first_sentence, load_region
from schemas.settings import Settings, load_settings

Said = Acknowledge | Assign | Mute | Unmute | Conclude | Ask
_LENGTH = re.compile(r"^([1-9]\d{0,3})([hd])$")


class EpisodeMissingError(ToldError, LookupError):
    """No open episode has this id; the message is one sentence."""


class StoreError(ToldError, ConnectionError):
    """Redis does not answer; the message is one sentence."""


@click.group()
def alerts() -> None:
    """Alerts and the episodes that they tell of.

    \b
    Examples:
      hotspot alerts states
      hotspot alerts list
      hotspot alerts show hampshire-20260301T120000Z-0a1b2c3d
      hotspot alerts mute hampshire-20260301T120000Z-0a1b2c3d --for 7d
      hotspot alerts outcome hampshire-20260301T120000Z-0a1b2c3d genuine_new
    """


@alerts.command()
def states() -> None:
    """Print every transition that an episode can make, with its named reason and the alert that it sends.

    \b
    Example:
      hotspot alerts states
    """
    click.echo(table_text())


@alerts.command("list")
@click.option("--region", default="", help="Only of this region.")
@click.option("--muted", is_flag=True, help="Only those whose place is muted.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one alert a line.")
@ACTOR
@WHY
def list_(region: str, muted: bool, as_json: bool, actor: str, why: str) -> None:
    """List the open episodes by their latest alert, the newest first. It is marked, and for readers of health records.

    The audit trail has who looked at which region.

    \b
    Examples:
      hotspot alerts list
      hotspot alerts list --muted
    """
    settings = load_settings()
    regions = [name for path in settings.regions if region in ("", name := load_region(path).id)]
    if not regions:
        raise click.UsageError(f"None of the region files in HOTSPOT_REGIONS is of a region {region!r}.")
    of = [one for one in current(settings) if one.region in regions]
    _record(settings, [AuditSubject(kind=SubjectKind.REGION, id=name) for name in regions], actor, why)
    found = [one for one in of if one.muted_until or not muted]
    if as_json:
        for one in found:
            click.echo(one.model_dump_json())
        return
    if not found:
        click.echo("No episode is open." if not muted else "No open episode is muted.")
        return
    click.echo("\n".join([_marking(found), *map(_line, found)]))


@alerts.command()
@click.argument("episode")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@ACTOR
@WHY
def show(episode: str, as_json: bool, actor: str, why: str) -> None:
    """Show the latest alert of an open EPISODE, whole. It is marked, and for readers of health records.

    The audit trail has who looked at it.

    \b
    Example:
      hotspot alerts show hampshire-20260301T120000Z-0a1b2c3d
    """
    settings = load_settings()
    one = find(settings, episode)
    _record(settings, [AuditSubject(kind=SubjectKind.ALERT, id=f"{one.episode_id}.{one.revision}")], actor, why)
    click.echo(json.dumps(json.loads(one.model_dump_json()), indent=2) if as_json else _whole(one), nl=as_json)


@alerts.command()
@click.argument("episode")
@ACTOR
def ack(episode: str, actor: str) -> None:
    """Say that somebody has read of an open EPISODE.

    \b
    Example:
      hotspot alerts ack hampshire-20260301T120000Z-0a1b2c3d
    """
    _say(episode, Acknowledge(), actor)


@alerts.command()
@click.argument("episode")
@click.argument("team")
@ACTOR
def assign(episode: str, team: str, actor: str) -> None:
    """Give an open EPISODE to a TEAM, by its short name: never to a person.

    \b
    Example:
      hotspot alerts assign hampshire-20260301T120000Z-0a1b2c3d city-nights
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", team):
        raise click.UsageError("TEAM is a short name in small letters, digits and hyphens, such as city-nights.")
    _say(episode, Assign(team=team), actor)


@alerts.command()
@click.argument("episode")
@click.option("--for", "length", default="7d", show_default=True, help="How long, such as 12h or 7d; 28 days at most.")
@click.option("--off", is_flag=True, help="End the mute instead.")
@ACTOR
def mute(episode: str, length: str, off: bool, actor: str) -> None:
    """Be quiet about an open EPISODE and its place, up to what was told of it. What escalates is told all the same.

    \b
    Examples:
      hotspot alerts mute hampshire-20260301T120000Z-0a1b2c3d --for 7d
      hotspot alerts mute hampshire-20260301T120000Z-0a1b2c3d --off
    """
    now = utc_now()
    _say(episode, Unmute() if off else Mute(until=now + length_of(length)), actor, now)


@alerts.command()
@click.argument("episode")
@click.argument("outcome", type=click.Choice([one.value for one in Outcome]))
@click.option("--region", default="", help="Its region; needed once it is over.")
@ACTOR
def outcome(episode: str, outcome: str, region: str, actor: str) -> None:
    """Say what an EPISODE was, also after it is over.

    \b
    Example:
      hotspot alerts outcome hampshire-20260301T120000Z-0a1b2c3d genuine_new --region hampshire
    """
    _say(episode, Conclude(outcome=Outcome(outcome)), actor, region=region)


def current(settings: Settings) -> list[Alert]:
    """The latest alert of each open episode of the installation, newest first. Raises StoreError."""
    # Imported where it is used: other commands need not wait for it.
    from streams.episodes_store import EpisodeStore

    async def read() -> list[Alert]:
        store = EpisodeStore(settings.redis_url, settings.prefix)
        try:
            return [one for path in settings.regions for one in await store.current(load_region(path).id)]
        finally:
            await store.close()

    try:
        found = asyncio.run(read())
    except (RedisError, OSError):
        raise StoreError(f"Redis at {settings.redis_url.rpartition('@')[2]} does not answer.") from None
    return sorted(found, key=lambda one: (one.as_of, one.episode_id), reverse=True)


def find(settings: Settings, episode_id: str) -> Alert:
    """The latest alert of an open episode. Raises EpisodeMissingError and StoreError."""
    for one in current(settings):
        if one.episode_id == episode_id:
            return one
    raise EpisodeMissingError(f"No open episode has the id {episode_id}: see `hotspot alerts list`.")


def length_of(text: str) -> timedelta:
    """How long, from a text such as 12h or 7d. Raises click.UsageError."""
    match = _LENGTH.match(text)
    length = timedelta(**{"hours" if match[2] == "h" else "days": int(match[1])}) if match else timedelta()
    if not timedelta() < length <= MOST_MUTED:
        raise click.UsageError(f"--for is such as 12h or 7d, and {MOST_MUTED.days} days at most.")
    return length


def _say(episode_id: str, said: Said, actor: str, now: datetime | None = None, region: str = "") -> None:
    from streams.feedback import send_feedback

    settings = load_settings()
    now = now or utc_now()
    region = region or find(settings, episode_id).region
    try:
        feedback = Feedback(
            feedback_id=secrets.token_hex(8),
            region=region,
            episode_id=episode_id,
            at=now,
            actor=actor,
            said=said,
        )
    except ValidationError as error:
        raise click.UsageError(f"That cannot be said: {first_sentence(error)}.") from None
    send_feedback(settings, feedback)
    click.echo(f"Said as {feedback.actor}: {said.action} {episode_id}. The next look at {feedback.region} acts on it.")


def _record(settings: Settings, subjects: Sequence[AuditSubject], actor: str, why: str) -> None:
    """That somebody looks at these, before they are shown."""
    from streams.audit import record_now

    now, nonce = utc_now(), secrets.token_hex(8)
    events = [viewed(subject, why, now, actor=actor, nonce=nonce) for subject in subjects]
    record_now(settings, "alerts", events, utc_now)


def _marking(found: Sequence[Alert]) -> str:
    return "; ".join(sorted({one.marking for one in found}))


def _line(one: Alert) -> str:
    notes = [one.state.value, f"revision {one.revision}", f"as of {one.as_of:%Y-%m-%d %H:%M} UTC"]
    if one.muted_until:
        notes.append(f"muted until {one.muted_until:%Y-%m-%d %H:%M} UTC")
    if one.people.team:
        notes.append(f"with {one.people.team}")
    if one.people.acknowledged_at:
        notes.append("acknowledged")
    return f"\n{one.headline}\n  {one.episode_id}: {', '.join(notes)}"


def _whole(one: Alert) -> str:
    return f"{one.marking}\n\n{as_text(one.headline, one.paragraphs)}"
