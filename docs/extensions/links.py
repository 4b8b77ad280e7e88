"""Follows every link of the built site, and of the Markdown that it is made of, without a network.

`python -m docs.extensions.links build/docs` ends with exit code 1 and a line for each link that leads nowhere.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

ROOT: Final = Path(__file__).resolve().parents[2]
#: Elements by which a page asks for something when it is opened; none of it may come from elsewhere.
LOADED: Final = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
#: `rel` of links that only say something, and load nothing.
SAID: Final = {"index", "search", "next", "prev", "canonical", "author", "copyright", "license"}
_HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}|localhost|127\.0\.0\.1")
_MARKDOWN_LINK = re.compile(r"(?<!!)\[[^]]*\]\(\s*<?([^)\s>]+)>?\s*\)")
_CODE = re.compile(r"^( *)```.*?^\1```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take in an element."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        target = given.get(LOADED.get(tag, ""), "")
        if target and not (tag == "link" and given.get("rel") in SAID):
            self.loaded.append(target)


@cache
def _page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def site_faults(folder: Path) -> Iterator[str]:
    """What is wrong with links of a built site, one sentence each."""
    _page.cache_clear()
    for path in sorted(folder.rglob("*.html")):
        name, page = path.relative_to(folder), _page(path)
        for target in page.loaded:
            if urlsplit(target).scheme not in ("", "data") or target.startswith("//"):
                yield f"{name} loads {target} from elsewhere"
            elif not target.startswith("data:"):
                yield from _broken(path, target, folder)
        for target in page.links:
            yield from _broken(path, target, folder)


def _broken(path: Path, target: str, folder: Path) -> Iterator[str]:
    parts, name = urlsplit(target), path.relative_to(folder)
    if parts.scheme or parts.netloc:
        if not well_formed(target):
            yield f"{name} has the malformed link {target}"
        return
    other = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if other.is_dir():
        other /= "index.html"
    if not other.is_file():
        yield f"{name} links to {target}, which is not there"
    elif parts.fragment and other.suffix == ".html" and unquote(parts.fragment) not in _page(other).anchors:
        yield f"{name} links to {target}, which has no such anchor"


def well_formed(target: str) -> bool:
    """Whether an address elsewhere can be one: nobody looks whether it answers."""
    parts = urlsplit(target)
    if parts.scheme == "mailto":
        return "@" in parts.path
    return parts.scheme in ("http", "https") and bool(_HOST.fullmatch(parts.hostname or "")) and " " not in target


def markdown_faults(pages: Iterable[Path]) -> Iterator[str]:
    """What is wrong with the links of Markdown files, as a repository browser follows them."""
    for page in pages:
        text = _CODE.sub("", page.read_text(encoding="utf-8"))
        for target in _MARKDOWN_LINK.findall(text):
            parts, name = urlsplit(target), page.relative_to(ROOT)
            if parts.scheme:
                if not well_formed(target):
                    yield f"{name} has the malformed link {target}"
                continue
            other = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if not other.exists():
                yield f"{name} links to {target}, which is not there"
            elif parts.fragment and other.suffix == ".md" and parts.fragment not in headings(other):
                yield f"{name} links to {target}, which has no such heading"


def headings(page: Path) -> set[str]:
    """Anchors that repository browsers give to the headings of a page."""
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {re.sub(r"[^\w -]", "", heading.strip()).lower().replace(" ", "-") for heading in _HEADING.findall(text)}


def source_pages() -> list[Path]:
    """Every page that is written by hand."""
    written = [page for page in (ROOT / "docs").rglob("*.md") if page.parent.name not in ("reference", "project")]
    return sorted([*ROOT.glob("*.md"), *written])


def main() -> int:
    """Tell every fault; 1 where there is one."""
    faults = [*site_faults(Path(sys.argv[1]).resolve()), *markdown_faults(source_pages())]
    sys.stderr.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
