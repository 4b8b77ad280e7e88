"""The report of a backtest: one page to read without a network, and the same as a PDF, made of its metrics alone."""

from __future__ import annotations

from paper.errors import ReportError, templates_needed
from schemas.backtest import BacktestMetrics

__all__ = ["ReportError", "render_html", "render_pdf"]


def render_html(metrics: BacktestMetrics) -> str:
    """The report as one HTML document that fetches nothing. The same metrics give the same text.

    Raises ReportError where Jinja2 is not installed.
    """
    with templates_needed("The report"):
        from evaluation.report.page import page  # Jinja2 is no dependency of the worker

    return page(metrics)


def render_pdf(html: str) -> bytes:
    """The same as a PDF of A4 pages, tagged for screen readers. The same HTML gives the same bytes on one machine.

    Raises ReportError where WeasyPrint or the libraries that it draws with are not installed.
    """
    from paper.pdf import pdf

    return pdf(html)
