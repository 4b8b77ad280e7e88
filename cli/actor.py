"""Who runs a command: the account under which the audit trail has what it did."""

from __future__ import annotations

import getpass
import re

import click
from pydantic import TypeAdapter, ValidationError

from schemas.audit import Account

_ACCOUNT: TypeAdapter[str] = TypeAdapter(Account)


def _account(_: click.Context, __: click.Parameter, given: str | None) -> str:
    name = given or getpass.getuser()
    try:
        return _ACCOUNT.validate_python(name)
    except ValidationError:
        raise click.BadParameter(
            f"'{name}' is no account: letters, digits, '.', '_', '-' and '@', 100 at most."
        ) from None


def _word(_: click.Context, __: click.Parameter, given: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,79}", given):
        raise click.BadParameter("one word of small letters, digits, '-' and '_', such as inspection.")
    return given


ACTOR = click.option(
    "--actor",
    "--as",
    metavar="ACCOUNT",
    envvar="HOTSPOT_ACTOR",
    callback=_account,
    help="Your account, for the audit trail; the one you are logged in with if none.",
)
WHY = click.option(
    "--why", metavar="WORD", default="meeting", show_default=True, callback=_word, help="What for, as one word."
)
