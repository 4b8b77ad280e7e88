"""The `hotspot` command: every subcommand, and how failures are told: one sentence, exit code 2."""

from __future__ import annotations

import sys

import click
from confluent_kafka import KafkaException

from cli.contracts import contracts
from cli.demo import demo
from cli.replay import replay
from cli.simulate import simulate
from cli.worker import worker
from schemas.region import RegionFileError
from schemas.settings import SettingError
from simulation.geography import GeographyError
from streams.embedded import EmbeddedServerError
from streams.health import ListenError
from streams.incident_file import IncidentFileError
from streams.replay import ReplayError

#: What a user can mend: told in one sentence, without a traceback.
TOLD = (RegionFileError, SettingError, IncidentFileError, EmbeddedServerError, GeographyError, ListenError, ReplayError)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hotspot-monitor")
def hotspot() -> None:
    """Tell a Violence Reduction Partnership where violence is emerging.

    \b
    Examples:
      hotspot demo                          the whole system on this machine, with simulated records
      hotspot replay FILE --region regions/chicago.toml --embedded --out out/
      hotspot worker                        the agents against configured servers
    """


for command in (demo, replay, simulate, worker, contracts):
    hotspot.add_command(command)


def main() -> None:
    """Run the command line."""
    try:
        hotspot(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except TOLD as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except KafkaException as error:
        click.echo(f"Kafka does not answer as it should: {error.args[0]}.", err=True)
        sys.exit(2)
