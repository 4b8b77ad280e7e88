"""`hotspot demo`: the whole system on this machine, with simulated records and an injected hotspot."""

from __future__ import annotations

import json
import secrets
import tempfile
import webbrowser
from dataclasses import asdict
from pathlib import Path

import click
import uvloop

from cli.logs import quiet_logs
from cli.show import Showing
from cli.story import Story, tell
from schemas.base import utc_now
from schemas.region import load_region
from schemas.settings import Settings, load_settings
from streams.embedded import EMBEDDED_SETTINGS, EmbeddedServers

REGION = Path(__file__).resolve().parent.parent / "regions" / "hampshire.toml"


@click.command()
@click.option("--for", "seconds", type=click.FloatRange(10), help="Stop after this many seconds of live records.")
@click.option("--no-browser", is_flag=True, help="Do not open the page with the current episodes.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON that sums up.")
@click.option("--seed", type=click.IntRange(0), default=2026, show_default=True, help="Seed of the simulated records.")
def demo(seconds: float | None, no_browser: bool, as_json: bool, seed: int) -> None:
    """Run the whole system on embedded servers, with simulated records of Hampshire.

    Two years of history are loaded, then records come in at an hour a second, with an injected hotspot among them.
    Everything shown is simulated. Ctrl-C ends it.

    \b
    Example:
      hotspot demo --for 90 --no-browser --json
    """
    quiet_logs()
    load_settings()  # refuses a bad setting before any work
    region = load_region(REGION)
    story = Story.plan(region, seed=seed, now=utc_now(), seconds=seconds)
    showing = Showing(region)
    showing.opening(story)
    with tempfile.TemporaryDirectory() as directory, EmbeddedServers(Path(directory)) as servers:
        settings = demo_settings(servers)
        summary = uvloop.run(tell(story, settings, showing, open_page=None if no_browser else webbrowser.open_new_tab))
    showing.closing(story)
    if as_json:
        fields = asdict(summary)
        for name in ("published", "located"):
            del fields[name]
        click.echo(json.dumps(fields))


def demo_settings(servers: EmbeddedServers) -> Settings:
    """Settings of the demo: the environment's, but for its servers, its topics and its pace."""
    return load_settings(
        bootstrap=servers.broker.bootstrap,
        redis_url=servers.redis.url,
        prefix=f"hotspot.demo-{secrets.token_hex(4)}",
        clock="wall",
        metrics_port=0,
        tick_seconds=1.0,
        simulated=True,
        **EMBEDDED_SETTINGS,
    )
