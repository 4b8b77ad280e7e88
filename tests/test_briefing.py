"""The briefing: one A4 page an episode whatever its length, nothing that its audience may not see, and in the trail."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.disclosure import Discloser
from alerts.outline import disc, outline
from alerts.publication import Publication
from alerts.wording import worded
from cli.main import main
from paper.briefing import Briefing, Surroundings, render_html, render_pdf
from paper.briefing.chart import weeks_chart
from paper.briefing.content import ended_of, latest_at, open_of
from paper.briefing.map import episode_map
from paper.briefing.page import CUT_WORDS, SIZES, SUMMARY_SIZES, _document, _sheet
from paper.errors import ReportError
from paper.pdf import page_count
from processors.grid import Grid
from schemas.alert import Alert, AlertReason, Compared, EpisodeState, Paragraph, Spell, UnitWeek, alert_event
from schemas.disclosure import Audience
from streams.audit import entries_of, read_trail
from streams.topics import Topics
from tests.builders import GUILDHALL_CELL, NOW, ROOT, alert, hampshire
from tests.running import Installation, publish

GRID = Grid(hampshire())
IX, IY = GUILDHALL_CELL
ADDRESSES = {(x, y): 3 for x in range(IX - 40, IX + 40) for y in range(IY - 40, IY + 40)}
WEEK = timedelta(days=7)
EXERCISE = "SIMULATED: an exercise, never a real alert"


def full(number: int = 1, ed: int = 6, **fields: Any) -> Alert:
    """An alert with all that a briefing draws."""
    nothing = {"ed": 0.0, "police": 0.0}
    weeks = tuple(
        Spell(NOW - (12 - n) * WEEK, NOW - (11 - n) * WEEK, {"ed": ed if n == 11 else 0, "police": n % 3}, nothing)
        for n in range(12)
    )
    given: dict[str, Any] = {
        "episode_id": f"hampshire-20260301T120000Z-{number:08x}",
        "observed": {"ed": ed, "police": 4},
        "expected": {"ed": ed / 26, "police": 0.5},
        "compared": Compared(None, None, weeks, {"ed": ed / 10, "police": 0.5}),
        "published": (UnitWeek("0/1767/448", "2026-W09", {"ed": ed, "police": 4}),),
        "place": "in Southampton",
        "grid_reference": "SU 418 121",
        "polygons": outline(disc(IX, IY, 2), GRID),
        "review_at": NOW + timedelta(days=1),
        "expires_at": NOW + timedelta(days=7),
        "handling": hampshire().handling,
        **fields,
    }
    return worded(alert(**given), hampshire().zone)


def briefing(alerts: list[Alert], audience: Audience = "police") -> Briefing:
    """As `hotspot briefing` makes it."""
    discloser = Discloser(hampshire(), Publication(ADDRESSES))
    told = [told for one in alerts if (told := discloser.disclose(one, audience))]
    opened = tuple(one for one in told if not one.state.is_over)
    ended = tuple(one for one in told if one.state.is_over)
    return Briefing(audience, NOW, opened, ended, Surroundings(hampshire(), GRID, ADDRESSES))


def html_of(content: Briefing) -> str:
    """The document at its largest size, without trying others."""
    sheets = [_sheet(number, told, content) for number, told in enumerate(content.opened, start=1)]
    return _document(content, sheets, sheets, SIZES[0])


def unpacked(pdf: bytes) -> bytes:
    """All objects of a PDF, those in packed streams too."""
    plain = [pdf]
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL):
        with suppress(zlib.error):  # a font, packed otherwise
            plain.append(zlib.decompress(stream))
    return b"\n".join(plain)


def laid_out(content: Briefing) -> str:
    """The document as it is printed; skips where this machine cannot lay out pages."""
    try:
        return render_html(content)
    except ReportError as missing:
        pytest.skip(str(missing))


# --- one page an episode ----------------------------------------------------------------------------------------------


def test_a_summary_and_a_page_for_each_episode_however_long_its_text() -> None:
    """Ordinary, long, and far too long texts, and names without a space."""
    plain = full(1)
    words = "It was told at length, and then again with more words. "
    long = full(2, place="2.4 km north-east of " + "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" * 2)
    content = briefing([plain, long, full(3)], "partnership")
    endless = content.opened[2].model_copy(
        update={
            "headline": "Violence is emerging " + "W" * 900,
            "paragraphs": tuple(Paragraph(p.name, p.heading, words * 60) for p in content.opened[2].paragraphs),
        }
    )
    content = Briefing("partnership", NOW, (*content.opened[:2], endless), (), content.around)
    html = laid_out(content)
    assert page_count(html) == 4
    pages = html.split('<section class="sheet episode"')[1:]
    assert [CUT_WORDS.strip() in page for page in pages] == [False, False, True]
    sizes = [float(found) for found in re.findall(r'id="episode-\d" style="font-size: ([\d.]+)pt"', html)]
    assert sizes[0] == SIZES[0] and sizes[2] == SIZES[-1]
    pdf = render_pdf(html)
    assert pdf.startswith(b"%PDF-")
    objects = unpacked(pdf)
    assert b"/MarkInfo" in objects and b"/Lang" in objects, "it is tagged, and says its language"
    assert b"/FontFile2" in objects, "fonts are in it"


def test_many_episodes_are_on_one_summary() -> None:
    content = briefing([full(number) for number in range(18)])
    sheets = [_sheet(number, told, content) for number, told in enumerate(content.opened, start=1)]
    try:
        assert page_count(_document(content, [], sheets, SUMMARY_SIZES[-1])) == 1
    except ReportError as missing:
        pytest.skip(str(missing))


# --- what is on it ----------------------------------------------------------------------------------------------------


def test_pages_have_marking_review_text_in_order_and_room_for_notes() -> None:
    html = html_of(briefing([full()]))
    (page,) = html.split('<section class="sheet episode"')[1:]
    assert 'data-marking="OFFICIAL-SENSITIVE"' in page
    headings = re.findall(r"<dt>([^<]+)</dt>", page)
    told = "Where, When, How many, How unusual, Compared, What is not known, State and history, Review, Marking"
    assert ", ".join(headings) == told
    assert "Look at it again by Mon 2 March 2026, 12:00." in page
    assert "Notes of the meeting" in page
    assert page.count("<svg") == 2


def test_only_what_is_simulated_is_shown_as_such() -> None:
    html = html_of(briefing([full(1), full(2, simulated=True)]))
    summary, real, simulated = html.split('<section class="sheet')[1:]
    assert "In part SIMULATED" in summary and EXERCISE in simulated
    assert EXERCISE in html_of(briefing([full(simulated=True)])).split("<section")[1]
    assert "SIMULATED" not in real
    assert "[SIMULATED] Violence" in simulated
    assert summary.count('<span class="sim">') == 1


@pytest.mark.parametrize("audience", ["police", "partnership", "public"])
def test_nothing_on_it_depends_on_exact_counts_of_health(audience: Audience) -> None:
    """Two worlds with other counts from 1 to 7 at EDs: the same pages to the letter."""
    more = {"evidence": "police_only"} if audience == "public" else {}
    one, other = ([full(1, ed, **more), full(2, ed, simulated=True, **more)] for ed in (2, 6))
    assert html_of(briefing(one, audience)) == html_of(briefing(other, audience))
    assert html_of(briefing(one, "health")) != html_of(briefing(other, "health"))


def test_the_public_is_not_told_that_there_are_others() -> None:
    hidden = briefing([full(1), full(2)], "public")
    assert hidden.opened == ()
    assert html_of(hidden) == html_of(briefing([], "public"))
    assert "No episode is open that may be told here." in html_of(hidden)


def test_text_is_escaped() -> None:
    html = html_of(briefing([full(place="in <b>Southampton & Co</b>")], "health"))
    assert "<b>" not in html
    assert "in &lt;b&gt;Southampton &amp; Co&lt;/b&gt;" in html


def test_the_chart_says_its_numbers_and_draws_a_bar_for_each_kind_and_week() -> None:
    compared = full(ed=6).compared
    assert compared is not None
    drawn = str(weeks_chart("w", compared, hampshire().zone))
    assert "in each week, oldest first: 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 8. Usual in a week: 1.1." in drawn
    assert drawn.count('stroke="#FFFFFF"') == 9, "eight weeks with police, one of them with EDs upon it"


def test_the_map_has_the_outline_in_metres_a_scale_north_and_kilometres_of_the_grid() -> None:
    around = Surroundings(hampshire(), GRID, ADDRESSES)
    drawn = str(episode_map("m", full().polygons, "in Southampton", around))
    (path,) = re.findall(r'<path d="(M[^"]+Z)" fill="#12436D"', drawn)
    xs, ys = zip(*re.findall(r"([\d.]+) ([\d.]+)", path), strict=True)
    across, up = (max(map(float, found)) - min(map(float, found)) for found in (xs, ys))
    assert across == pytest.approx(5 * 250 * 360 / 4000, abs=0.3)  # five cells, on a map 4 km wide
    assert up == pytest.approx(across, abs=0.3)
    assert ">1 km<" in drawn and ">N<" in drawn and ">42<" in drawn and ">12<" in drawn
    assert "Southampton" in drawn


# --- as known then ----------------------------------------------------------------------------------------------------


def test_the_newest_revision_that_was_known_counts() -> None:
    hour = timedelta(hours=1)
    first, second = full(1), full(1, revision=2, as_of=NOW + hour, state=EpisodeState.GROWING)
    over = full(1, revision=3, as_of=NOW + 2 * hour, state=EpisodeState.CLOSED, reason=AlertReason.CLOSED)
    other = full(2, region="kent", as_of=NOW)
    known = [over, first, other, second]
    assert latest_at(known, "hampshire", NOW - hour) == []
    assert latest_at(known, "hampshire", NOW) == [first]
    assert open_of(latest_at(known, "hampshire", NOW + hour)) == [second]
    latest = latest_at(known, "hampshire", NOW + 3 * hour)
    assert (open_of(latest), ended_of(latest, NOW + 3 * hour)) == ([], [over])
    assert ended_of(latest, NOW + timedelta(days=8)) == []


# --- the command ------------------------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run `hotspot briefing`; exit code and what was told."""

    def call(*arguments: object) -> tuple[int, str]:
        given = [*arguments, "--region", ROOT / "regions" / "hampshire.toml", "--out", tmp_path / "b.pdf"]
        monkeypatch.setattr(sys, "argv", ["hotspot", "briefing", *map(str, given)])
        code = 0
        try:
            main()
        except SystemExit as exited:
            code = int(exited.code or 0)
        return code, capsys.readouterr().err

    return call


def test_what_it_cannot_use_is_told_in_a_sentence(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "alerts.jsonl"
    assert run(file, "--audience", "health") == (2, f"There is no file {file}.\n")
    file.write_text(full().model_dump_json() + "\n{}\n", encoding="utf-8")
    assert run(file, "--audience", "health") == (2, f"Line 2 of {file} is not an alert of this version.\n")
    file.write_text(full(region="kent").model_dump_json() + "\n", encoding="utf-8")
    told = run(file, "--audience", "health")
    assert told == (2, "There is no alert of the region hampshire here, only of kent.\n")
    assert run(file, "--audience", "press")[0] == 2


@pytest.mark.timeout(600)
def test_alerts_of_kafka_are_in_the_audit_trail_when_they_are_printed(
    run: Run, embedded: Installation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = embedded.settings()
    monkeypatch.setenv("HOTSPOT_BOOTSTRAP", settings.bootstrap)
    monkeypatch.setenv("HOTSPOT_PREFIX", settings.prefix)
    value = alert_event(full()).model_dump_json().encode()
    publish(settings, Topics(settings.prefix).alerts, [(b"e", value)])
    code, told = run("--audience", "partnership", "--actor", "a.jones", "--why", "tasking")
    if "needs" in told:
        pytest.skip(told)
    assert code == 0
    assert (tmp_path / "b.pdf").read_bytes().startswith(b"%PDF-")
    (entry,) = entries_of(read_trail(settings))
    event = entry.event
    assert (event.actor, event.action.value, event.why) == ("a.jones", "disclosure", "tasking")
    assert (event.subject.id, event.recipient) == ("hampshire-20260301T120000Z-00000001.1", "audience/partnership")
