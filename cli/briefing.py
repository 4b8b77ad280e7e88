"""`hotspot briefing`: what is open, on paper for the meeting."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import click
from pydantic import ValidationError

from alerts.audit import handed_out
from alerts.disclosure import Discloser
from alerts.publication import Publication
from cli.actor import ACTOR, WHY
from paper.briefing import Briefing, Surroundings, render_html, render_pdf
from paper.briefing.content import ended_of, latest_at, open_of
from processors.grid import Grid
from schemas.addresses import load_addresses
from schemas.alert import Alert
from schemas.audit import AuditSubject, SubjectKind
from schemas.base import ToldError, utc_now
from schemas.disclosure import Audience, Disclosed
from schemas.region import RegionFile, load_region
from schemas.settings import Settings, load_settings

FILE = click.Path(path_type=Path, dir_okay=False)
TIMES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M")


class BriefingError(ToldError, ValueError):
    """Alerts that cannot be read, or a file that cannot be written."""


@click.command()
@click.argument("alerts", type=FILE, required=False)
@click.option("--region", "region_file", type=click.Path(path_type=Path), required=True, help="Region file (TOML).")
@click.option(
    "--audience",
    type=click.Choice(get_args(Audience)),
    required=True,
    help="Who will read it: what they may not see is left out.",
)
@click.option("--as-of", type=click.DateTime(TIMES), help="As known then, by the region's clock; now if none is given.")
@click.option("--out", type=FILE, required=True, help="PDF file to write.")
@ACTOR
@WHY
def briefing(
    alerts: Path | None,
    region_file: Path,
    audience: Audience,
    as_of: datetime | None,
    out: Path,
    actor: str,
    why: str,
) -> None:
    """Print what is open: a summary, and a page for each episode with a map, a chart and room for notes.

    Alerts are those on Kafka, or in ALERTS, the alerts.jsonl of a replay. Of Kafka's, the audit trail has which went to
    whom. Needs the extra `report`.

    \b
    Examples:
      hotspot briefing --region regions/hampshire.toml --audience partnership --out monday.pdf
      hotspot briefing out/alerts.jsonl --region regions/chicago.toml --audience health --as-of 2014-07-07T09:00 \\
        --out replayed.pdf
    """
    region = load_region(region_file)
    settings = None if alerts else load_settings()
    known = _of_file(alerts) if alerts else _of_kafka(settings or load_settings())
    moment = as_of.replace(tzinfo=region.zone).astimezone(UTC) if as_of else utc_now()
    content = _content(known, region, audience, moment)
    with click.progressbar(length=len(content.opened), label="Pages") as bar:
        document = render_pdf(render_html(content, lambda done: bar.update(done - bar.pos)))
    if settings:
        _record(settings, content, actor, why)
    else:
        click.echo("The alerts are those of a file: the audit trail has nothing of this.", err=True)
    try:
        out.write_bytes(document)
    except OSError as error:
        raise BriefingError(f"The file {out} cannot be written: {error.strerror}.") from None
    click.echo(f"{out}: a summary and {len(content.opened)} episodes.", err=True)


def _content(known: Sequence[Alert], region: RegionFile, audience: Audience, as_of: datetime) -> Briefing:
    if known and all(alert.region != region.id for alert in known):
        others = ", ".join(sorted({alert.region for alert in known}))
        raise BriefingError(f"There is no alert of the region {region.id} here, only of {others}.")
    addresses = load_addresses([region])[region.id]
    discloser = Discloser(region, Publication(addresses))
    latest = latest_at(known, region.id, as_of)
    return Briefing(
        audience=audience,
        as_of=as_of,
        opened=_disclosed(open_of(latest), audience, discloser),
        ended=_disclosed(ended_of(latest, as_of), audience, discloser),
        around=Surroundings(region, Grid(region), addresses or {}),
    )


def _disclosed(alerts: Sequence[Alert], audience: Audience, discloser: Discloser) -> tuple[Disclosed, ...]:
    """Those of which the audience may be told. How many others there are is nothing that it may know."""
    found = []
    for alert in alerts:
        told = discloser.disclose(alert, audience)
        if told is not None and audience == "health":
            # Nothing is kept from them, so they read the alert's own words.
            told = told.model_copy(update={"headline": alert.headline, "paragraphs": alert.paragraphs})
        if told is not None:
            found.append(told)
    return tuple(found)


def _of_kafka(settings: Settings) -> list[Alert]:
    from streams.replay import read_alerts  # reads no Kafka for a file

    return [event.data for event in read_alerts(settings)]


def _of_file(path: Path) -> list[Alert]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BriefingError(f"There is no file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BriefingError(f"The file {path} cannot be read: {error}.") from None
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            found.append(Alert.model_validate_json(line))
        except ValidationError:
            raise BriefingError(f"Line {number} of {path} is not an alert of this version.") from None
    return found


def _record(settings: Settings, content: Briefing, actor: str, why: str) -> None:
    """That these alerts were taken out, before they are."""
    from streams.audit import record_now

    now, nonce = utc_now(), secrets.token_hex(8)
    events = [
        handed_out(
            AuditSubject(kind=SubjectKind.ALERT, id=f"{told.episode_id}.{told.revision}"),
            f"audience/{content.audience}",
            why,
            now,
            actor=actor,
            nonce=nonce,
        )
        for told in (*content.opened, *content.ended)
    ]
    record_now(settings, "briefing", events, utc_now)
