"""The site of docs/: it builds without a warning, links lead somewhere, and nothing on it comes from elsewhere."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.main import hotspot
from docs.extensions.commands import command_page, commands
from docs.extensions.links import headings, markdown_faults, site_faults, source_pages, well_formed
from docs.extensions.navigation import pages_of
from docs.extensions.reference import results_page, settings_page
from docs.extensions.tables import form_of, table
from schemas.contracts import schema_files
from schemas.detection import DetectionSettings
from schemas.reasons import RejectReason
from schemas.region import RegionFile
from schemas.settings import Settings
from streams.metrics import metric_names
from streams.topics import DAY_MS, Topics, topic_table
from tests.builders import ROOT

DOCS = ROOT / "docs"
#: Folders whose files pages may name.
IN_REPOSITORY = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build", "regions", "out"}
SETTINGS = {f"HOTSPOT_{name.upper()}" for name in Settings.model_fields} | {
    f"HOTSPOT_DETECTION__{name.upper()}" for name in DetectionSettings.model_fields
}
#: Of commands, not of the worker: who speaks.
SETTINGS |= {"HOTSPOT_ACTOR"}
RETENTION = (DOCS / "data-protection.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    command = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-d", str(folder / "doctrees")]
    built = subprocess.run(
        [sys.executable, *command, str(DOCS), str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return folder / "html"


def text_of(page: Path) -> str:
    """The text of a page without its elements."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8")))


# --- links ----------------------------------------------------------------------------------------------------------


def test_every_link_of_the_site_leads_somewhere(site: Path) -> None:
    assert len(list(site.rglob("*.html"))) > 30
    assert list(site_faults(site)) == []


def test_every_link_of_the_markdown_leads_somewhere_in_a_repository_browser() -> None:
    assert len(source_pages()) > 20
    assert list(markdown_faults(source_pages())) == []


BROKEN = {
    "a missing page": ('<a href="gone.html">x</a>', "page.html links to gone.html, which is not there"),
    "a missing anchor": ('<a href="#gone">x</a>', "page.html links to #gone, which has no such anchor"),
    "an anchor of another page": ('<a href="other.html#gone">x</a>', "which has no such anchor"),
    "no host": ('<a href="https://example">x</a>', "page.html has the malformed link https://example"),
    "another scheme": ('<a href="javascript:alert(1)">x</a>', "malformed"),
    "a script from elsewhere": (
        '<script src="https://cdn.example.org/x.js"></script>',
        "loads https://cdn.example.org/",
    ),
    "a font from elsewhere": ('<link rel="preload" href="//fonts.example.org/x">', "loads //fonts.example.org/x"),
    "a missing picture": ('<img src="gone.png">', "page.html links to gone.png, which is not there"),
}


@pytest.mark.parametrize(("element", "fault"), BROKEN.values(), ids=BROKEN)
def test_a_broken_link_is_told(element: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(f'<p id="here"><a href="#here">a</a>{element}</p>', encoding="utf-8")
    (tmp_path / "other.html").write_text('<p id="there"><a href="page.html#here">a</a></p>', encoding="utf-8")
    (found,) = site_faults(tmp_path)
    assert fault in found


def test_headings_are_named_as_repository_browsers_name_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title: its `code`, done\n\n```sh\n# no heading\n```\n\n## HotspotDown\n", encoding="utf-8")
    assert headings(page) == {"a-title-its-code-done", "hotspotdown"}


def test_addresses_elsewhere_are_judged_by_their_form() -> None:
    assert well_formed("https://www.satscan.org/") and well_formed("http://127.0.0.1:3000")
    assert well_formed("mailto:a@b.org")
    assert not any(map(well_formed, ["https:///x", "ftp://a.org", "http://a b.org", "mailto:nobody"]))


@pytest.mark.parametrize("page", source_pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_settings_and_metrics_that_are_named_exist(page: Path) -> None:
    """What is written as code and looks like one of these."""
    spans = set(re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8")))
    files = {span for span in spans if re.fullmatch(r"(\w+/)+[\w.-]+\.(py|md|toml|yml|json|properties|sh)", span)}
    assert {name for name in files if not (ROOT / name).is_file() and name.split("/")[0] in IN_REPOSITORY} == set()
    named = {match for span in spans for match in re.findall(r"\bHOTSPOT_[A-Z0-9_]+", span)}
    assert named - SETTINGS - {"HOTSPOT_", "HOTSPOT_DETECTION__"} == set()
    metrics = {match for span in spans for match in re.findall(r"\bhotspot_[a-z_]+", span)}
    assert metrics - metric_names() == set()


# --- what pages need ------------------------------------------------------------------------------------------------


def test_nothing_asks_the_network(site: Path) -> None:
    """Not a script, a style, a font or a picture; formulas are MathML."""
    for sheet in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8")), sheet
    formulas = (site / "method" / "statistician.html").read_text(encoding="utf-8")
    assert formulas.count("<math") > 40
    assert not re.search(r"<script[^>]+(mathjax|katex)", formulas, re.IGNORECASE)
    assert "merror" not in formulas


def test_every_page_is_found_by_search_and_in_the_sidebar(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    found = set(json.loads(index[index.index("(") + 1 : index.rindex(")")])["docnames"])
    wanted = {page.relative_to(DOCS).with_suffix("").as_posix() for page in source_pages() if DOCS in page.parents}
    assert wanted <= found
    front = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = {page for pages in pages_of(front).values() for page in pages}
    assert wanted - {"index"} <= listed


# --- what the reference holds ---------------------------------------------------------------------------------------


def test_every_command_and_option_is_on_its_page(site: Path) -> None:
    text = text_of(site / "reference" / "command-line.html")
    for context, name in commands(hotspot):
        assert name in text
        for parameter in context.command.params:
            assert all(option in text for option in parameter.opts if option.startswith("-")), name


@click.command()
@click.option("--days", type=click.IntRange(1, 9), default=3, show_default=True, help="How many | days.")
@click.option("--fast", is_flag=True, help="Be quick.")
@click.argument("file", type=click.Path())
def example(days: int, fast: bool, file: str) -> None:
    """Do it.

    \b
    Example:
      example --days 2 FILE
    """


def test_a_command_is_shown_as_click_knows_it() -> None:
    page = command_page(example)
    assert "Do it.\n\nExample:\n\n```text\nexample --days 2 FILE\n```" in page
    assert "| `--days` | whole number, at least 1, at most 9 | `3` | How many \\| days. |" in page
    assert "| `--fast` | flag |  | Be quick. |" in page
    assert "| `FILE` | file | needed |  |" in page


def test_settings_are_shown_with_names_defaults_and_limits() -> None:
    page = settings_page()
    for name in Settings.model_fields:
        assert name == "detection" or f"`HOTSPOT_{name.upper()}`" in page
    for name in DetectionSettings.model_fields:
        assert f"`HOTSPOT_DETECTION__{name.upper()}`" in page
    assert "something new is known, minutes. | `15` | whole number, at least 1, at most 1440 |" in page


def reference_words() -> Iterator[tuple[str, str]]:
    """Words that must stand on pages of the reference."""
    yield from (("metrics", name) for name in metric_names())
    yield from (("codes", reason.value) for reason in RejectReason)
    yield from (("topics", topic.topic) for topic in topic_table(Topics("hotspot"), Settings.model_construct()))
    yield from (("messages", name) for name, _ in schema_files())
    yield from (("region-file", name) for name in RegionFile.model_fields)
    yield from (("python", name) for name in ("run_scan", "gumbel_p_value", "CaseRows", "fit_tail", "max_radius"))


def test_metrics_codes_topics_messages_and_fields_are_on_their_pages(site: Path) -> None:
    texts = {page: text_of(site / "reference" / f"{page}.html") for page, _ in reference_words()}
    assert [(page, word) for page, word in reference_words() if word not in texts[page]] == []


def test_the_fields_of_metrics_json_are_shown() -> None:
    page = results_page()
    for name in ("budget_per_28_days", "runs", "episodes_per_28_days", "planted"):
        assert f"| `{name}` |" in page


def test_schemas_are_beside_the_page_of_messages(site: Path) -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in (site / "_downloads").rglob("*.json")}
    assert dict(schema_files()).items() <= texts.items()


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "whole number, at least 1, at most 9"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "time or `null`"),
        ({"type": "array", "items": {"$ref": "#/$defs/Source"}, "minItems": 1}, "list of Source, at least 1"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object: number by name"),
        ({"enum": ["ed", "police"], "type": "string"}, "`ed`, `police`"),
        ({"const": "1.0", "type": "string"}, '`"1.0"`'),
    ],
)
def test_forms_are_told_in_words(field: dict[str, object], words: str) -> None:
    assert form_of(field) == words


def test_cells_of_tables_stay_cells() -> None:
    assert table(("a", "b"), [("x|y", "two\nlines")]) == "| a | b |\n| --- | --- |\n| x\\|y | two lines |\n"


# --- claims of the pages on data protection -------------------------------------------------------------------------


def test_retention_is_that_of_the_topics() -> None:
    """The page says how long each topic keeps."""
    told = {name: int(days) for name, days in re.findall(r"^\| `(hotspot\.\w+)` \|[^|]+\| (\d+) days", RETENTION, re.M)}
    kept = {
        topic.topic: int(topic.config["retention.ms"]) // DAY_MS
        for topic in topic_table(Topics("hotspot"), Settings.model_construct())
        if "retention.ms" in topic.config
    }
    sources = re.search(r"^\| source topics \|[^|]+\| (\d+) days", RETENTION, re.M)
    assert sources
    told |= {"hotspot.ed.attendances": int(sources[1]), "hotspot.police.incidents": int(sources[1])}
    assert told == kept
    assert f"{DetectionSettings().baseline_days:,} days by default" in RETENTION
