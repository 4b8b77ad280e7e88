"""The briefing for a meeting: a summary, and one A4 page for each open episode, of what one audience may see."""

from __future__ import annotations

from collections.abc import Callable

from paper.briefing.content import Briefing, Surroundings
from paper.errors import ReportError, templates_needed

__all__ = ["Briefing", "ReportError", "Surroundings", "render_html", "render_pdf"]


def render_html(briefing: Briefing, progress: Callable[[int], None] = lambda _: None) -> str:
    """One HTML document to print; `progress` is told how many pages are laid out. The same content gives the same text.

    Raises ReportError where the extra `report` is not installed.
    """
    with templates_needed("The briefing"):
        from paper.briefing.page import page  # Jinja2 is no dependency of the worker

    return page(briefing, progress)


def render_pdf(html: str) -> bytes:
    """The same as a PDF, tagged for screen readers, fonts embedded.

    Raises ReportError where WeasyPrint or the libraries that it draws with are not installed.
    """
    from paper.pdf import pdf

    return pdf(html)
