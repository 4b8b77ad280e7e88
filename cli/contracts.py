"""`hotspot contracts`: what partners and readers of our topics may rely on."""

from __future__ import annotations

from pathlib import Path

import click

from schemas.contracts import schema_files


@click.group()
def contracts() -> None:
    """The message contracts.

    \b
    Example:
      hotspot contracts export contracts/
    """


@contracts.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def export(directory: Path) -> None:
    """Write the contracts to DIRECTORY, one JSON Schema a message.

    \b
    Example:
      hotspot contracts export contracts/
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files():
        (directory / name).write_text(text, encoding="utf-8")
        click.echo(directory / name)
