"""What goes wrong with what is printed, in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from schemas.base import ToldError

INSTALL: Final = "install it with `pip install -e '.[report]'` in the checkout"


class ReportError(ToldError, RuntimeError):
    """A report or briefing that cannot be made on this machine, or of this; the message says what to do."""


@contextmanager
def templates_needed(what: str) -> Iterator[None]:
    """Around the import of what needs the extra `report`. Raises ReportError where Jinja2 is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name not in ("jinja2", "markupsafe"):
            raise
        raise ReportError(f"{what} needs Jinja2, which is not installed: {INSTALL}.") from None
