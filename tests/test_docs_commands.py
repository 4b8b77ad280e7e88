"""The commands of the pages: each is run in a folder of its own, or says why not, and prints what the page shows."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import click
import pytest

from cli.main import hotspot
from docs.extensions.commands import commands
from tests.builders import ROOT
from tests.docs_blocks import COMMANDS, Block, blocks_of, says_otherwise, shell_lines

PAGES = {
    path.relative_to(ROOT).as_posix(): list(blocks_of(path, path.relative_to(ROOT).as_posix()))
    for path in sorted(
        [
            ROOT / "README.md",
            ROOT / "CONTRIBUTING.md",
            *(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name not in ("reference", "project")),
        ]
    )
}
#: Pages whose blocks are not run as a whole, and why.
NOT_RUN = {
    "docs/backtest.md": "on real records, which are not here; howto/backtest.md runs the command on simulated ones",
    "docs/evaluation.md": "on real records, which are not here",
}
ALL = [block for blocks in PAGES.values() for block in blocks]
RUN = sorted({block.page for block in ALL if block.runs})


@pytest.mark.parametrize("block", [block for block in ALL if block.language in COMMANDS], ids=str)
def test_every_block_of_commands_is_run_or_says_why_not(block: Block) -> None:
    assert block.runs or block.reason or block.page in NOT_RUN, "say <!-- run --> or <!-- not run: reason --> before it"
    assert len(block.reason) > 10 or not block.reason


@pytest.mark.parametrize("block", [block for block in ALL if block.page not in NOT_RUN], ids=str)
def test_every_block_has_a_language(block: Block) -> None:
    """Else its commands would not be seen by these tests."""
    assert block.language, "name its language: sh, python, text, ..."
    assert block.mark in ("", "run", "output", "stderr") or block.reason, f"{block.mark!r} is no mark of a block"


def test_what_is_shown_follows_what_is_run() -> None:
    shown = [(before, block) for before, block in pairwise(ALL) if block.mark in ("output", "stderr")]
    assert shown
    for before, block in shown:
        assert before.page == block.page
        assert before.runs, f"{block} shows the output of a block that is not run"


@pytest.mark.parametrize("page", RUN)
@pytest.mark.timeout(600)
def test_the_commands_of_a_page_do_what_it_says(page: str, tmp_path: Path) -> None:
    """In order, with what they export, in a folder that holds the region files alone."""
    shutil.copytree(ROOT / "regions", tmp_path / "regions")
    blocks = PAGES[page]
    done: subprocess.CompletedProcess[str] | None = None
    for block in blocks:
        if block.runs:
            done = run(block, tmp_path)
            assert done.returncode == 0, f"{block}: {done.stderr[-2000:]}"
        elif block.mark in ("output", "stderr"):
            assert done is not None
            printed = done.stdout if block.mark == "output" else done.stderr
            line = says_otherwise(block.text, printed, all_of_it=block.mark == "output")
            assert not line, f"{block} shows {line!r}, but printed was:\n{printed[-3000:]}"


def run(block: Block, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a block after the exports of those before it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HOTSPOT_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    if block.language == "python":
        command = [sys.executable, "-c", block.text]
    else:
        (folder / "exports").touch()
        command = ["bash", "-euo", "pipefail", "-c", f". ./exports\n{block.text}\nexport -p > exports\n"]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


# --- every command of ours in any block exists as it is written -----------------------------------------------------


def calls(block: Block) -> Iterator[list[str]]:
    """Arguments of each call of `hotspot` in a shell block."""
    for line in shell_lines(block) if block.language == "sh" else ():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a text in quotes that goes over several lines is no call of ours
            continue
        while words and "=" in words[0]:
            words = words[1:]
        if words and Path(words[0]).name == "hotspot":
            yield words[1:]


@pytest.mark.parametrize("block", [block for block in ALL if list(calls(block))], ids=str)
def test_commands_and_options_are_those_that_there_are(block: Block) -> None:
    contexts = {name: context for context, name in commands(hotspot)}
    for arguments in calls(block):
        name = "hotspot"
        while isinstance(contexts[name].command, click.Group) and arguments and not arguments[0].startswith("-"):
            name, arguments = f"{name} {arguments[0]}", arguments[1:]
            assert name in contexts, f"{block}: there is no command {name!r}"
        contexts[name].command.make_parser(contexts[name]).parse_args(list(arguments))  # raises NoSuchOption


# --- the judge itself -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "printed", "all_of_it", "otherwise"),
    [
        ("2 episodes, 1.38 a day", "14 episodes, 2 a day", True, ""),
        ("2 episodes", "two episodes", True, "2 episodes"),
        ("first\n…\nlast", "first\n1\n2\nlast", True, ""),
        ("first\nlast", "first\n1\nlast", True, "last"),
        ("first", "first\nmore", True, "(nothing, but there is) more"),
        ("first\n…", "first\nmore", True, ""),
        ("last", "Progress\nfirst\nlast", False, ""),
        ("hash a3… and  blanks", "hash 9f, and blanks", True, "hash a3… and  blanks"),
        ("hash a… and  blanks", "hash a9 and blanks", True, ""),
    ],
)
def test_shown_output_is_compared_by_its_shape(shown: str, printed: str, all_of_it: bool, otherwise: str) -> None:
    assert says_otherwise(shown, printed, all_of_it=all_of_it) == otherwise
