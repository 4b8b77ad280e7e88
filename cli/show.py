"""What the demo writes on the terminal: each alert in plain English, and now and then how things stand."""

from __future__ import annotations

from datetime import datetime

import click

from cli.story import Story
from schemas.alert import Alert, AlertReason
from schemas.region import RegionFile

#: Of the word that says why people are told.
COLOURS = {
    AlertReason.OPENED: "red",
    AlertReason.ESCALATED: "magenta",
    AlertReason.EVIDENCE_WITHDRAWN: "yellow",
    AlertReason.CLOSED: "green",
    AlertReason.MERGED: "green",
    AlertReason.SPLIT: "yellow",
    AlertReason.MOVED: "yellow",
    AlertReason.MUTE_ENDED: "magenta",
    AlertReason.ASKED: "blue",
}


class Showing:
    """Writes to standard output; remembers the alerts for the last words."""

    def __init__(self, region: RegionFile) -> None:
        self._region = region
        self.alerts: list[Alert] = []

    def opening(self, story: Story) -> None:
        """Before anything starts."""
        click.echo(f"{self._region.name}: everything shown is SIMULATED. {story.attribution}")
        click.echo(f"Loading {len(story.history):,} records of two years …")

    def live(self, story: Story, records_per_second: float, page: str) -> None:
        """When history is loaded and records come in."""
        place = story.planted
        click.echo(
            f"Loaded at {records_per_second:,.0f} records/s. "
            f"Live from {self._moment(story.live_from)}, an hour a second.\n"
            f"A hotspot is injected at E {place.easting:.0f} N {place.northing:.0f} "
            f"from {self._moment(place.starts)}. Current episodes: {page}"
        )

    def alert(self, alert: Alert) -> None:
        """One alert revision."""
        self.alerts.append(alert)
        title = click.style(f"{alert.reason.value.upper().replace('_', ' ')}", fg=COLOURS[alert.reason], bold=True)
        click.echo(f"{self._moment(alert.as_of)}  {title}  {alert.headline}  [{alert.episode_id}.{alert.revision}]")

    def status(self, now: datetime, records: int, episodes: int) -> None:
        """How things stand."""
        click.echo(click.style(f"{self._moment(now)}  {records:,} records, {episodes} episodes open", dim=True))

    def closing(self, story: Story) -> None:
        """Whether the injected hotspot was found."""
        found = [alert for alert in self.alerts if story.planted.is_held_by(alert)]
        if found:
            hours = (found[0].as_of - story.planted.starts).total_seconds() / 3600
            click.echo(
                f"The injected hotspot was found {hours:.0f} simulated hours after it began, by episode "
                f"{found[0].episode_id}, after {found[0].observed} incidents."
            )
        else:
            click.echo("The injected hotspot has not been found yet.")

    def _moment(self, moment: datetime) -> str:
        return moment.astimezone(self._region.zone).strftime("%a %d %b %Y %H:%M")
