"""`hotspot replay`: a file of records through Kafka and the real agents, with the replay clock."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
import uvloop

from cli.incident_rows import SIMULATED_FILE
from cli.logs import quiet_logs
from schemas.region import load_region
from schemas.settings import Settings, load_settings
from streams.embedded import EMBEDDED_SETTINGS, EmbeddedRedis, EmbeddedServers
from streams.incident_file import IncidentRows, Period, read_rows
from streams.replay import Summary
from streams.replay import replay as run_replay

DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--region", "region_file", type=click.Path(path_type=Path), required=True, help="Region file (TOML).")
@click.option("--from", "first", type=DAY, help="First day, in the region's zone.")
@click.option("--to", "last", type=DAY, help="Last day, included.")
@click.option("--embedded", is_flag=True, help="On an embedded broker and Redis (so it is without --bootstrap, too).")
@click.option("--bootstrap", metavar="HOST:PORT", help="On this Kafka, on topics of its own that go when it is done.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Where results are written."
)
def replay(
    file: Path,
    region_file: Path,
    first: datetime | None,
    last: datetime | None,
    embedded: bool,
    bootstrap: str | None,
    out: Path,
) -> None:
    """Publish FILE (CSV or CSV.gz) to Kafka and run it through the real agents as fast as they go.

    Looks happen by record time, so two runs write the same alerts. Writes OUT/alerts.jsonl (a line an alert revision)
    and OUT/summary.json.

    \b
    Example:
      hotspot replay records.csv.gz --region regions/chicago.toml --from 2013-01-01 --embedded --out out/
    """
    if embedded and bootstrap:
        raise click.UsageError("--embedded and --bootstrap exclude each other.")
    quiet_logs()
    replay_settings(bootstrap or "127.0.0.1:9092", "redis://127.0.0.1")  # refuses a bad setting before any work
    region = load_region(region_file)
    incidents = IncidentRows(file, region, read_rows(file, region))
    summary = _run(incidents, Period(_day(first), _day(last)), bootstrap, out)
    click.echo(
        f"{summary.published} published: {summary.located} located, {summary.gated} gated, "
        f"{summary.rejected} rejected, {summary.duplicates} duplicates. "
        f"{summary.episodes} episodes in {summary.alerts} alerts. {summary.records_per_second:.0f} records/s.",
        err=True,
    )


def _day(value: datetime | None) -> date | None:
    return value.date() if value else None


def _run(incidents: IncidentRows, period: Period, bootstrap: str | None, out: Path) -> Summary:
    with ExitStack() as stack:
        if bootstrap:
            # What a replay shows is on Kafka; its episodes in Redis are nobody's business but its own.
            redis = EmbeddedRedis()
            redis.start()
            stack.callback(redis.stop)
            settings = replay_settings(bootstrap, redis.url)
        else:
            servers = stack.enter_context(EmbeddedServers(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
            settings = replay_settings(servers.broker.bootstrap, servers.redis.url, **EMBEDDED_SETTINGS)
        if incidents.simulated:
            settings = settings.model_copy(update={"simulated": True})
        bar: Any = None

        def progress(settled: int, of: int) -> None:
            nonlocal bar
            if bar is None:  # not before it is known that there are any, and how many
                _tell_of(incidents)
                bar = stack.enter_context(click.progressbar(length=of, label="Replay", show_pos=True))
            bar.update(settled - bar.pos)

        summary: Summary = uvloop.run(
            run_replay(lambda: incidents.incidents(period).messages, incidents.region, settings, out, progress)
        )
        return summary


def _tell_of(incidents: IncidentRows) -> None:
    if not incidents.has_record_times:
        click.echo("The file has no recorded_at: each record counts as recorded when it happened.", err=True)
    if incidents.simulated:
        click.echo(f"{SIMULATED_FILE} Every alert says so.", err=True)


def replay_settings(bootstrap: str, redis_url: str, **more: object) -> Settings:
    """Settings of a replay: the environment's, but for its servers, its topics and its clock."""
    return load_settings(
        bootstrap=bootstrap,
        redis_url=redis_url,
        prefix=f"hotspot.replay-{secrets.token_hex(4)}",
        clock="replay",
        metrics_port=0,
        **more,
    )
