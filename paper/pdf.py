"""From a page to a PDF, without fetching anything."""

from __future__ import annotations

import logging
from typing import Any

from paper.errors import INSTALL, ReportError

PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"


def pdf(html: str) -> bytes:
    """A tagged PDF (PDF/UA-1), fonts embedded. Raises ReportError where it cannot be made here."""
    document: bytes = _html(html).write_pdf(pdf_variant="pdf/ua-1")
    return document


def page_count(html: str) -> int:
    """How many pages it takes. Raises ReportError where it cannot be made here."""
    return len(_html(html).render().pages)


def _html(html: str) -> Any:
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except ModuleNotFoundError as error:
        if error.name != "weasyprint":
            raise
        raise ReportError(f"The PDF needs WeasyPrint, which is not installed: {INSTALL}.") from None
    except OSError:  # a shared library that it loads at import
        raise ReportError(f"The PDF needs Pango: install it with `apt-get install {PACKAGES}`.") from None
    for name in ("weasyprint", "fontTools"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # rules of CSS that are for screens alone are no news
    return HTML(string=html, url_fetcher=URLFetcher(allowed_protocols=()))
