"""The command blocks of pages: which are run, which are not and why, and what they are said to print.

A comment on the line before a block, which readers do not see, says what is done with it: `<!-- run -->` or
`<!-- not run: reason -->`. Before a block that shows what the last one printed stands `<!-- output -->` (all of stdout)
or `<!-- stderr -->` (some of its lines). Numbers there may differ, `…` is anything, alone on a line any lines.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COMMANDS = ("sh", "python")
_BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>[^\n]+?) -->\n)?^(?P<indent>[ ]*)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    mark: str
    """What the comment before it says; empty where there is none."""
    text: str

    @property
    def runs(self) -> bool:
        """Whether a test runs it."""
        return self.mark == "run"

    @property
    def reason(self) -> str:
        """Why it is not run; empty where nothing is said."""
        return self.mark.removeprefix("not run: ") if self.mark.startswith("not run: ") else ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: Path, name: str) -> Iterator[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in _BLOCK.finditer(text):
        inside = textwrap.dedent(match["text"])
        line = text.count("\n", 0, match.start("language")) + 1
        yield Block(name, line, match["language"], match["mark"] or "", inside)


def shell_lines(block: Block) -> list[str]:
    """The lines of a shell block, those that go on in the next one joined."""
    return [line for line in block.text.replace("\\\n", " ").splitlines() if line.strip()]


def says_otherwise(shown: str, printed: str, *, all_of_it: bool) -> str:
    """The first shown line that was not printed where it stands; empty where the output is as shown.

    With `all_of_it` no line may be left out but for a line `…`.
    """
    wanted = [line.rstrip() for line in shown.rstrip("\n").splitlines()]
    found = [line.rstrip() for line in printed.rstrip("\n").splitlines()]
    at, free = 0, not all_of_it
    for line in wanted:
        if line.strip() == "…":
            free = True
            continue
        places = range(at, len(found) if free else min(at + 1, len(found)))
        place = next((n for n in places if _shape(line).fullmatch(found[n])), None)
        if place is None:
            return line
        at, free = place + 1, not all_of_it
    rest = found[at:]
    return "" if free or not rest else f"(nothing, but there is) {rest[0]}"


def _shape(line: str) -> re.Pattern[str]:
    """A line with any numbers, any blanks where there are some, and anything for `…`."""
    parts = []
    for piece in re.split(r"(…|\s+|\d[\d,]*(?:\.\d+)?)", line):
        if piece == "…":
            parts.append(".*")
        elif piece.isspace():
            parts.append(r"\s+")
        else:
            parts.append(_NUMBER.pattern if _NUMBER.fullmatch(piece) else re.escape(piece))
    return re.compile("".join(parts))
