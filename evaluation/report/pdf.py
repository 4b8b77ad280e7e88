"""From the page to a PDF, without fetching anything."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from evaluation.report.errors import ReportError

PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"


def pdf(html: str) -> bytes:
    """A PDF of what `render_html` gave. Raises ReportError where it cannot be made here."""
    try:
        from weasyprint import HTML
    except ModuleNotFoundError as error:
        if error.name != "weasyprint":
            raise
        told = "install it with `pip install -e '.[report]'` in the checkout"
        raise ReportError(f"The PDF needs WeasyPrint, which is not installed: {told}.") from None
    except OSError:  # a shared library that it loads at import
        raise ReportError(f"The PDF needs Pango: install it with `apt-get install {PACKAGES}`.") from None
    for name in ("weasyprint", "fontTools"):
        logging.getLogger(name).setLevel(logging.ERROR)  # what a rule of CSS for screens means in print is no news
    document: bytes = HTML(string=html, url_fetcher=_refuse).write_pdf(pdf_variant="pdf/ua-1")
    return document


def _refuse(url: str, *_: Any, **__: Any) -> NoReturn:
    raise ValueError(f"The report fetches nothing, not even {url}")
