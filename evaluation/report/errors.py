"""What goes wrong with a report, in one sentence."""

from __future__ import annotations

from schemas.base import ToldError


class ReportError(ToldError, RuntimeError):
    """A report that cannot be made on this machine, or of these metrics; the message says what to do."""
