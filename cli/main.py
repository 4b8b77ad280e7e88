"""The `hotspot` command: every subcommand, and how failures are told: one sentence, exit code 2."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from schemas.base import ToldError

#: Commands by name; each is the function of its name in the module of its name.
COMMANDS = (
    "alerts",
    "audit",
    "backtest",
    "calibrate",
    "baseline",
    "briefing",
    "demo",
    "region",
    "replay",
    "scan",
    "simulate",
    "worker",
    "contracts",
)


class OnDemand(click.Group):
    """Imports a command when it is asked for: a scan need not wait for what a worker needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order in which help shows them."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"cli.{cmd_name}"), cmd_name)
        return command


@click.group(cls=OnDemand, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hotspot-monitor")
def hotspot() -> None:
    """Tell a Violence Reduction Partnership where violence is emerging.

    \b
    Examples:
      hotspot demo                          the whole system on this machine, with simulated records
      hotspot region init FILE --out ours.toml    a region file, proposed from a partnership's own records
      hotspot replay FILE --region regions/chicago.toml --embedded --out out/
      hotspot scan job.prm --out out.json   a scan statistic, as SaTScan is asked for it
      hotspot baseline FILE --region regions/chicago.toml --from 2014-01-01 --to 2016-12-31
      hotspot worker                        the agents against configured servers
    """


def main() -> None:
    """Run the command line."""
    try:
        hotspot(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except ToldError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except Exception as error:
        if not _of_kafka(error):
            raise
        click.echo(f"Kafka does not answer as it should: {error.args[0]}.", err=True)
        sys.exit(2)


def _of_kafka(error: Exception) -> bool:
    """Whether the Kafka client raised it; where the client was not imported, it did not."""
    client = sys.modules.get("confluent_kafka")
    return client is not None and isinstance(error, client.KafkaException)
