"""`hotspot alerts`: what alerts are about, and how episodes live."""

from __future__ import annotations

import click

from alerts.transitions import table_text


@click.group()
def alerts() -> None:
    """Alerts and the episodes that they tell of.

    \b
    Example:
      hotspot alerts states
    """


@alerts.command()
def states() -> None:
    """Print every transition that an episode can make, with its named reason and the alert that it sends.

    \b
    Example:
      hotspot alerts states
    """
    click.echo(table_text())
