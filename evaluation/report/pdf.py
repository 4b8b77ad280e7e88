"""From the page to a PDF, without fetching anything."""

from __future__ import annotations

import logging

from evaluation.report.errors import ReportError

PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"


def pdf(html: str) -> bytes:
    """A PDF of what `render_html` gave. Raises ReportError where it cannot be made here."""
    try:
        from weasyprint import HTML
        from weasyprint.urls import URLFetcher
    except ModuleNotFoundError as error:
        if error.name != "weasyprint":
            raise
        told = "install it with `pip install -e '.[report]'` in the checkout"
        raise ReportError(f"The PDF needs WeasyPrint, which is not installed: {told}.") from None
    except OSError:  # a shared library that it loads at import
        raise ReportError(f"The PDF needs Pango: install it with `apt-get install {PACKAGES}`.") from None
    for name in ("weasyprint", "fontTools"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # rules of CSS that are for screens alone are no news
    fetches_nothing = URLFetcher(allowed_protocols=())
    document: bytes = HTML(string=html, url_fetcher=fetches_nothing).write_pdf(pdf_variant="pdf/ua-1")
    return document
