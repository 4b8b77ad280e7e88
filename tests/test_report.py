"""The report of a backtest: it shows its metrics and nothing else, fetches nothing, and reads without pictures."""

from __future__ import annotations

import itertools
import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from evaluation.report import ReportError, render_html, render_pdf, words
from evaluation.report.answer import MEASURED_BY
from evaluation.report.maps import frame_of
from schemas.backtest import BacktestMetrics, Ranking, Reliability
from schemas.evaluation import HotspotSpec
from schemas.heldout import BaselineReport
from tests.builders_report import bare, episode, episodes, fraction, kind_report, metrics, result
from tests.servers.fixtures import missing

VOID = {"meta", "br", "link", "img", "hr", "input", "col"}
HOSTILE = '<script>alert("1")</script> & Straße “Ω” 漢字 \N{RIGHT-TO-LEFT OVERRIDE}'


class Page(HTMLParser):
    """A page as read by a browser that is strict about what is open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None], tuple[str, ...]]] = []
        self.texts: list[tuple[str, tuple[str, ...]]] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        self.elements.append((tag, dict(attrs), tuple(self._open)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((data, tuple(self._open)))

    def named(self, tag: str) -> Iterator[dict[str, str | None]]:
        """Attributes of each such element."""
        return (attributes for name, attributes, _ in self.elements if name == tag)

    @property
    def text(self) -> str:
        """What is read, without style."""
        joined = " ".join(data for data, within in self.texts if "style" not in within)
        return re.sub(r"\s+", " ", joined.replace(words.NBSP, " "))


def small(**changes: Any) -> BacktestMetrics:
    """Everything measured, of little."""
    full = metrics()
    assert full.expectation is not None
    kind = kind_report()
    kind = kind.model_copy(
        update={"by_month": kind.by_month[:3], "by_hour": kind.by_hour[:3], "by_weekday": kind.by_weekday[:1]}
    )
    spec = HotspotSpec(name="burst", repeats=150, radius_m=320, days=6.5, incidents=17)
    fields: dict[str, Any] = {
        "methods": (result("monitor", 83, 0.52, 3.1), result("cusum", 81, 0.31, 3.4)),
        "episodes": episodes(3),
        "expectation": full.expectation.model_copy(update={"kinds": (kind,)}),
        "rankings": (Ranking(name="expectation", capture=full.methods[0].capture),),
        "specs": (spec,),
    }
    return metrics(**(fields | changes))


def hostile() -> BacktestMetrics:
    """Three hundred episodes that say evil things, names with markup, none found, intervals of no or endless width."""
    rng = np.random.default_rng(1)
    many = tuple(
        episode(
            n,
            rng,
            headline=f"{HOSTILE} {n}",
            opened=datetime(2014, 1, 1, 3, tzinfo=UTC) + timedelta(days=3 * n),
            closed=None if n > 297 else datetime(2016, 12, 31, tzinfo=UTC),
            radius_m=0.0 if n % 2 else 40_000.0,
            evidence=HOSTILE if n == 7 else "ed_only",
            recurrence_days=1e300 if n == 5 else 0.001,
            observed={} if n == 9 else {"police": 10**9, HOSTILE: 0},
            expected={} if n == 9 else {"police": 1e-12},
        )
        for n in range(300)
    )
    none = fraction(0, 1)
    certain = fraction(1, 1).model_copy(update={"low": 1.0, "high": 1.0, "median_days": 0.0})
    monitor = result(HOSTILE, 300, 0.0, 1.0).model_copy(
        update={"by_name": {HOSTILE: none, '"><b>': certain}, "by_place": {}, "all": none, "level": 1e-9}
    )
    broken = Reliability(at_least_days=36_500, expected=1e-9, observed=0, ratio=0.0, low=0.0, high=1e12)
    full = metrics()
    assert full.null is not None
    return metrics(
        region_name=HOSTILE,
        options=(HOSTILE, "--out", "a b"),
        methods=(monitor, result(HOSTILE, 1, 0.2, 1.0)),
        episodes=many,
        null=full.null.model_copy(update={"reliability": (broken,), "run_length": None}),
        effects=(full.effects[0].model_copy(update={"same": False, "all": none, "name": HOSTILE}),),
        expectation=full.expectation,
    )


ALL = pytest.mark.parametrize("make", [metrics, bare, small, hostile], ids=lambda make: str(make.__name__))


@ALL
def test_the_page_is_whole_and_fetches_nothing(make: Any) -> None:
    html = render_html(make())
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert {tag for tag, _, _ in page.elements}.isdisjoint(
        {"script", "link", "img", "iframe", "object", "use", "image"}
    )
    for tag, attributes, _ in page.elements:
        assert {"src", "srcset", "xlink:href", "action", "data"}.isdisjoint(attributes), tag
        assert not any(name.startswith("on") for name in attributes), tag
        if "href" in attributes:
            assert (attributes["href"] or "").startswith("#")
    style = next(data for data, within in page.texts if "style" in within)
    assert not re.search(r"url\(|@import|expression", style)
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert [key for key, n in Counter(ids).items() if n > 1] == []
    aims = {(attributes["href"] or "#")[1:] for attributes in page.named("a") if "href" in attributes}
    aims |= {aim for _, a, _ in page.elements for aim in (a.get("aria-labelledby") or "").split()}
    assert aims <= set(ids)


@ALL
def test_the_page_reads_without_pictures(make: Any) -> None:
    page = Page(render_html(make()))
    html = next(page.named("html"))
    assert html["lang"] == "en-GB"
    levels = [int(tag[1]) for tag, _, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    pictures = list(page.named("svg"))
    shown = [p for p in pictures if p.get("aria-hidden") != "true"]
    assert all(p["role"] == "img" and (p.get("aria-labelledby") or p.get("aria-label")) for p in shown)
    titles = [within for _, within in page.texts if within[-1] == "title" and "svg" in within]
    assert len(titles) == len(shown) > 0
    hidden = [p for p in pictures if p.get("aria-hidden") == "true"]
    assert all(p["class"] == "strip" for p in hidden)  # their numbers stand beside them
    tables = [n for n, (tag, _, _) in enumerate(page.elements) if tag == "table"]
    assert tables
    assert all(page.elements[n + 1][0] == "caption" for n in tables)
    assert all(attributes["scope"] in ("col", "row", "rowgroup") for attributes in page.named("th"))
    assert not any("strip" in (a.get("class") or "") and "td" not in w and "th" not in w for _, a, w in page.elements)


@ALL
def test_the_same_metrics_give_the_same_bytes(make: Any) -> None:
    first, second = make(), make()
    assert render_html(first) == render_html(BacktestMetrics.model_validate_json(second.model_dump_json()))


def test_text_from_outside_is_text() -> None:
    html = render_html(hostile())
    assert "<script" not in html
    assert '"><b>' not in html
    assert html.count("&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt; &amp; Straße") > 340
    page = Page(html)
    text = page.text
    assert "Of 300 episodes, the 20 that reached the longest recurrence intervals" in text
    assert "over 100 years" in text
    assert text.count("still open at the end of the period") >= 2
    rows = [w for data, w in page.texts if data == "300" and w[-1] == "th"]
    assert rows
    assert re.search(r"hotspot backtest '.*' --out 'a b'", text)


#: What the page leaves out, or shows rounded so that a small change may not be seen, by its place in the metrics.
LEFT_OUT = {
    "planted_are_simulated": "always so",
    "episodes.episode_id": "the list has numbers",
    "expectation.region": "told above",
    "expectation.settings": "those of the backtest",
    "expectation.kinds.cell_weeks": "told by bin",
    "expectation.kinds.total.name": "it is all",
    "expectation.kinds.total.whole": "it is all",
    "expectation.kinds.forecasts.floor_seen": "how a naive method was set",
    "expectation.kinds.forecasts.floor_new": "how a naive method was set",
    "expectation.kinds.promises.limit": "in the text of the promise",
    "null.simulated": "always so",
    "specs.start": "where it is given, the file of hotspots has it",
    "methods.by_place": "told by trait",
    "methods.by_trait.place": "as the other traits",
    "methods.by_trait.hours": "as the other traits",
    "methods.capture.area": "another area is another table",
}


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Paths to all plain values."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from leaves(inner, (*path, n))
    else:
        yield path


def other(value: Any, name: str) -> Any:
    """Another value of the same sort, near enough to be valid."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return round(value * 1.5 + 2)
    if isinstance(value, float):
        return value * 0.6 if 0 < value < 1 or 1 < value <= 1.5 else value + 0.5 if value <= 1 else value * 1.5 + 2
    if value is None:
        return None
    if name in ("kind", "group", "method", "timezone"):
        choices = {"kind": ["ed", "police"], "group": ["delay", "setting"], "timezone": ["Asia/Tokyo"]}
        return next(choice for choice in choices.get(name, ["last_8_weeks", "all_past_weeks"]) if choice != value)
    if re.match(r"\d{4}-\d\d-\d\d", value):
        return value.replace("2014", "2013").replace("2015", "2014").replace("2016", "2017").replace("2010", "2009")
    if name in ("place", "hours", "growth"):
        return {"hours": "afternoons", "growth": "growing"}.get(name, "busy")
    return value + "x"


def test_every_figure_of_the_metrics_is_shown() -> None:
    """Each value, one of each sort, is changed alone: the page must change with it."""
    plain = json.loads(small().model_dump_json())
    before = render_html(small())
    tried: set[str] = set()
    unseen = []
    for path in leaves(plain):
        sort = ".".join(part for part in path if isinstance(part, str))
        if sort in tried or any(sort == key or sort.startswith(f"{key}.") for key in LEFT_OUT):
            continue
        changed = json.loads(json.dumps(plain))
        inner = changed
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = other(inner[path[-1]], str(path[-1]))
        if inner[path[-1]] is None or sort in ("settings.spans_s", "settings.part_spans_s", "settings.radii_cells"):
            continue
        tried.add(sort)
        if render_html(BacktestMetrics.model_validate(changed)) == before:
            unseen.append(sort)
    assert unseen == [], unseen
    assert len(tried) > 120


def test_no_figure_is_typed_by_hand() -> None:
    """Numbers of the text are those of the metrics, or definitions: 28 days, 95 %, the rule by which one is found."""
    alone = bare(budget_per_28_days=7.0, records=987_654, seed=31)
    text = Page(render_html(alone)).text.split("Settings of the detector")[0]
    facts = f"{alone.model_dump_json()} {words.day(alone.first)} {words.day(alone.last)}"
    facts += " 1 January 2010 987,654 1,096 5,000 27,417 3.0 1,096 0.00 0.09 40 28 95% 7"
    known = set(re.findall(r"\d+(?:[.,]\d+)*", facts))
    axis = {"2", "4", "6", "8", "0"}  # of the chart, and of the contents
    periods = {w for when in ("21 May 2014", "8 Oct", "25 Feb 2015", "15 Jul", "2 Dec", "20 Apr", "7 Sep 2016") for w in
               re.findall(r"\d+", when)}  # fmt: skip
    assert set(re.findall(r"(?<![\w.-])\d+(?:[.,]\d+)*", text)) - known - axis - periods == set()


def test_what_was_not_measured_is_said_with_the_option_that_measures_it() -> None:
    text = Page(render_html(bare())).text
    for option in MEASURED_BY.values():
        assert f"The option {option} of hotspot backtest measures it" in text
    assert "The monitor would have raised no episode in the period." in text
    assert "the history before the period was too short" in text
    assert text.count("Not measured") >= 12
    full = Page(render_html(small())).text
    assert "Not measured." not in full
    assert "Not measured" in full  # what no backtest can


def test_simulated_is_said_of_what_is_simulated_and_of_nothing_else() -> None:
    real = bare().data.model_copy(update={"sources": bare().data.sources[:1]})
    every = Page(render_html(bare(data=real.model_copy(update={"simulated": True})))).text
    assert "All records of this history are simulated." in every
    assert "Nothing: all figures are about" not in every
    text = Page(render_html(bare(data=real))).text
    assert "Nothing: all figures are about the records of the file as they are." in text
    assert 'class="sim"' not in render_html(bare(data=real))
    html = render_html(small())
    captions = re.findall(r"<caption>(.*?)</caption>", html, re.DOTALL)
    about_planted = [c for c in captions if re.search("planted hotspots|hotspots that|Time until", c)]
    assert len(about_planted) >= 6
    assert all("imulated" in c or "without planted" in c for c in about_planted)
    assert "drawn by the profile “weekly”" in Page(render_html(small(lateness="weekly"))).text


@pytest.mark.parametrize(
    ("found", "said", "marked"),
    [
        (60, "Clearly fewer planted hotspots than by the monitor were found by CUSUM", "▼ fewer"),
        (150, "there is no clear difference from CUSUM", "no clear difference"),
        (260, "Clearly more planted hotspots than by the monitor were found by CUSUM", "▲ more"),
    ],
)
def test_words_follow_the_intervals(found: int, said: str, marked: str) -> None:
    first, second = small().methods
    told = small(methods=(first, second.model_copy(update={"all": fraction(found, 300)})))
    text = Page(render_html(told)).text
    claims = [c for c in ("found by CUSUM", "difference from CUSUM") if c in text]
    assert said in text
    assert len(claims) == 1
    row = re.search(r"CUSUM \d+ of 300 .*?(▼ fewer|▲ more|no clear difference)", text)
    assert row is not None
    assert row[1] == marked


@pytest.mark.parametrize(
    ("rate", "said"),
    [(1.2, "clearly fewer than the budget"), (2.0, "no clear difference"), (3.0, "the budget is not kept")],
)
def test_the_null_years_are_judged_by_the_budget(rate: float, said: str) -> None:
    null = small().null
    assert null is not None
    text = Page(render_html(small(null=null.model_copy(update={"episodes_per_28_days": rate})))).text
    assert said in text
    promise = "is kept" if rate == 2.0 else "is not kept"
    assert f"The promise to stay within 25% of the budget {promise}" in text


def test_times_are_those_of_the_region() -> None:
    one = episode(1, np.random.default_rng(1), opened=datetime(2014, 3, 13, 2, 30, tzinfo=UTC), closed=None)
    text = Page(render_html(small(episodes=(one,)))).text
    assert "12 March 2014 21:30" in text
    with pytest.raises(ReportError, match="time zone 'Mars/Base'"):
        render_html(small(timezone="Mars/Base"))


def test_maps_are_true_to_scale_and_numbered_as_the_list() -> None:
    rng = np.random.default_rng(1)
    places = [(0.0, 0.0, 500.0), (3_000.0, 4_000.0, 1_000.0)]
    two = tuple(episode(n, rng, x=x, y=y, radius_m=r) for n, (x, y, r) in enumerate(places))
    html = render_html(small(episodes=two))
    [drawn] = re.findall(r'<svg [^>]*aria-labelledby="map-title.*?</svg>', html, re.DOTALL)
    circles = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)" fill="[^"]+" fill-opacity', drawn)
    (ax, ay, ar), (bx, by, br) = [tuple(map(float, circle)) for circle in circles]
    metre = frame_of(two, 720, 800).scale
    assert np.hypot(bx - ax, by - ay) == pytest.approx(5_000 * metre, rel=1e-3)
    assert (bx - ax, ay - by) == pytest.approx((3_000 * metre, 4_000 * metre), rel=1e-3)  # north is up
    assert (ar, br) == pytest.approx((500 * metre, 1_000 * metre), rel=1e-3)
    assert re.findall(r">(\d)</text>", drawn) == ["1", "2"]
    everything = render_html(hostile())
    [drawn] = re.findall(r'<svg [^>]*aria-labelledby="map-title.*?</svg>', everything, re.DOTALL)
    assert len(re.findall(r"fill-opacity=\"0.10\"", drawn)) == 300
    assert len(re.findall(r">(\d+)</text>", drawn)) == 20


def test_real_small_counts_from_health_are_marked() -> None:
    assert "OFFICIAL-SENSITIVE" not in render_html(small())  # its ED records are simulated
    police, ed = small().data.sources
    real = small().data.model_copy(update={"sources": (police, ed.model_copy(update={"simulated": False}))})
    assert "OFFICIAL-SENSITIVE" in render_html(small(data=real))


@pytest.mark.parametrize(
    ("write", "value", "told"),
    [
        (words.number, 0.0, "0"),
        (words.number, 0.1234567, "0.12"),
        (words.number, 0.0412, "0.041"),
        (words.number, 1e-9, "less than 0.001"),
        (words.number, 12.345678, "12.3"),
        (words.number, 13863.7, "13,864"),
        (words.percent, 0.0, "0%"),
        (words.percent, 0.004, "0.4%"),
        (words.percent, 0.0001, "less than 0.1%"),
        (words.percent, 0.9999999999999999, "100%"),
        (words.percent, 0.997, "99.7%"),
        (words.percent, 0.5211, "52%"),
        (words.days, 0.01, "less than an hour"),
        (words.days, 0.25, "6 hours"),
        (words.days, 1.0, "1 day"),
        (words.days, 3.14159, "3.1 days"),
        (words.days, 365.0, "365 days"),
        (words.days, 3652.5, "10.0 years"),
        (words.metres, 375.0, "375 m"),
        (words.metres, 2125.0, "2.1 km"),
        (words.day, date(2014, 3, 12), "12 March 2014"),
        (words.part_name, "2016-02", "February 2016"),
        (words.part_name, "08", "08:00"),
        (words.part_name, "weekend night", "Weekend night"),
        (words.recurrence_short, 36_500.0, "over 100 years"),
    ],
)
def test_numbers_are_written_as_people_say_them(write: Any, value: Any, told: str) -> None:
    assert write(value).replace(words.NBSP, " ") == told


def test_a_rate_has_its_exact_poisson_interval() -> None:
    rate = words.rate_interval(10, 28.0)
    assert tuple(rate) == pytest.approx((10.0, 4.795, 18.39), abs=0.005)  # Garwood 1936
    assert words.rate_interval(0, 28.0) == pytest.approx((0.0, 0.0, 3.689), abs=0.001)
    assert [words.against(*of) for of in ((2, 3, 0, 1), (0, 1, 2, 3), (0, 2, 2, 3))] == list(get_args(words.Verdict))


@pytest.mark.parametrize(("library", "told"), [("jinja2", "needs Jinja2"), ("weasyprint", "needs WeasyPrint")])
def test_a_library_that_is_missing_is_one_sentence(library: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "evaluation.report.page", raising=False)
    with pytest.raises(ReportError, match=told):
        render_pdf(render_html(bare()))


def test_libraries_that_cannot_be_loaded_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "weasyprint"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "weasyprint.py").write_text("raise OSError('cannot load library libpango-1.0-0')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ReportError, match=r"needs Pango: install it with `apt-get install libpango-1\.0-0 "):
        render_pdf("<p>")


def pdf_of(html: str) -> bytes:
    """A PDF, or a skipped test where this machine cannot make one."""
    try:
        return render_pdf(html)
    except ReportError as error:
        missing(str(error))


def pages(pdf: bytes) -> int:
    """How many pages it has, counted in all its objects, packed ones too."""
    packed = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    plain = [pdf]
    for stream in packed:
        try:
            plain.append(zlib.decompress(stream))
        except zlib.error:
            continue  # a font or a picture, packed otherwise
    return sum(len(re.findall(rb"/Type\s*/Page\b", part)) for part in plain)


def test_the_pdf_has_the_pages_and_the_same_bytes_again() -> None:
    html = render_html(bare())
    pdf = pdf_of(html)
    assert pdf.startswith(b"%PDF-")
    assert b"%%EOF" in pdf[-20:]
    assert 4 <= pages(pdf) <= 10
    assert pdf_of(html) == pdf


def test_a_long_report_is_a_pdf_too() -> None:
    long = hostile()
    shorter = long.model_copy(update={"episodes": long.episodes[:90], "expectation": None})
    assert pages(pdf_of(render_html(shorter))) > 12


def test_the_pdf_fetches_nothing() -> None:
    pdf = pdf_of('<html lang="en"><title>x</title><p>x<img src="file:///etc/hostname" alt="x"></html>')
    assert pdf.startswith(b"%PDF-")
    assert b"/Image" not in pdf


def test_an_expectation_of_nothing_is_not_judged() -> None:
    full = small().expectation
    assert full is not None
    kind = full.kinds[0]
    nothing = kind.total.model_copy(update={"expected": 0.0, "ratio": None, "chance": None})
    empty = kind.model_copy(
        update={"total": nothing, "by_month": (), "by_hour": (), "forecasts": (), "calibration": (), "promises": ()}
    )
    report = BaselineReport(**(full.model_dump() | {"kinds": (empty,)}))
    assert "Nothing was expected in the period." in Page(render_html(small(expectation=report))).text
