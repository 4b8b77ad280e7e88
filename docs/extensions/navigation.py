"""What the site has that its pages do not say themselves: the sidebar, and the pages that lie outside of docs/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from docs.extensions.written import write

ROOT: Final = Path(__file__).resolve().parents[2]
#: Pages of the repository's root, by the page that they are on the site.
OUTSIDE: Final = {"CONTRIBUTING.md": "project/contributing.md", "CHANGELOG.md": "project/changelog.md"}
#: The page below which those stand that are made from the code, in a folder of the same name.
REFERENCE: Final = "reference"
_SECTION = re.compile(r"^## (.+?)$(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_PAGE = re.compile(r"^[-|] *\[[^]]+\]\(([\w./-]+)\.md\)", re.MULTILINE)


def pages_of(index: str) -> dict[str, list[str]]:
    """Pages under each heading of the front page, without `.md`: its lists are the navigation."""
    found = {title: _PAGE.findall(section) for title, section in _SECTION.findall(index)}
    return {title: pages for title, pages in found.items() if pages}


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    up = "../" * page.count("/")
    for name, inside in OUTSIDE.items():
        source[0] = source[0].replace(f"]({up}../{name}", f"]({up}{inside}")
    if page == app.config.root_doc:
        for title, pages in pages_of(source[0]).items():
            source[0] += _tree(pages, f":hidden:\n:caption: {title}\n")
    if page == REFERENCE:
        folder = Path(app.srcdir) / REFERENCE
        source[0] += _tree([f"{REFERENCE}/{made.stem}" for made in sorted(folder.glob("*.md"))], ":maxdepth: 1\n")


def _tree(pages: list[str], options: str) -> str:
    return f"\n\n```{{toctree}}\n{options}\n" + "\n".join(pages) + "\n```\n"


def _write_outside(app: Sphinx) -> None:
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        text = text.replace("](docs/", "](../")
        for other, other_page in OUTSIDE.items():
            text = text.replace(f"]({other}", f"]({Path(other_page).name}")
        write(Path(app.srcdir) / page, text)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Called by Sphinx."""
    app.connect("builder-inited", _write_outside)
    app.connect("source-read", _read)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
