"""Case, coordinates and population files of scans: what is understood, and the sentence for a line that is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli.satscan_prm import read_parameter_file
from cli.scan_dates import Period, ReadDate, parse_date
from cli.scan_files import LeftOut, ScanData, ScanFileError, ScanFiles, read_scan_files
from schemas.scan import ScanJob
from tests.builders import ROOT

REFERENCE = Path(os.environ.get("HOTSPOT_REFERENCE", ROOT.parent / "shared" / "reference"))
# --- dates -------------------------------------------------------------------------------------------------------

CENTURY = Period(date(1973, 1, 1), date(1991, 12, 31))
TURN = Period(date(1995, 1, 1), date(2005, 12, 31))


@pytest.mark.parametrize(
    ("text", "period", "wanted"),
    [
        ("2025/12/09", None, (2025, 12, 9)),
        ("2025-1-2", None, (2025, 1, 2)),
        ("2025/11", None, (2025, 11, 0)),
        ("1973", None, (1973, 0, 0)),
        ("12/9/2025", None, (2025, 12, 9)),
        ("9/2025", None, (2025, 9, 0)),
        ("73", CENTURY, (1973, 0, 0)),
        ("00", CENTURY, (1900, 0, 0)),
        ("91/2/28", CENTURY, (1991, 2, 28)),
        ("97", TURN, (1997, 0, 0)),
        ("04/3", TURN, (2004, 3, 0)),
        ("2024/2/29", None, (2024, 2, 29)),
    ],
)
def test_dates_are_read_as_satscan_reads_them(text: str, period: Period | None, wanted: tuple[int, int, int]) -> None:
    assert parse_date(text, period) == ReadDate(*wanted)


@pytest.mark.parametrize(
    "text",
    ["", "x", "2025/2/29", "2025/13", "13/1/2025/1", "2025/0/1", "0/2025", "31/12/2025", "-2025", "٢٠٢٥", "500", "50"],
)
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text, TURN) is None


# --- data files --------------------------------------------------------------------------------------------------

Read = Callable[..., ScanData]
GEO = "a 0 0\nb 3 4\nc -1.5e2 .5\n"
CAS = "a 1 2025/3/1\nb 2 2025/3/2\n"
POP = "a 2025 100\nb 2025 50\nc 2025 7\n"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write the files and read them."""

    def run(
        cas: str | bytes = CAS,
        geo: str | bytes = GEO,
        pop: str | None = None,
        left_out: LeftOut = LeftOut(),  # noqa: B008  # it is a value
        **changes: object,
    ) -> ScanData:
        fields = {"model": "permutation", "start": date(2025, 1, 1), "end": date(2025, 12, 31), "max_time": 28}
        if pop is not None:
            fields["model"] = "poisson"
            (tmp_path / "x.pop").write_text(pop, encoding="utf-8")
        for name, text in (("x.cas", cas), ("x.geo", geo)):
            (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        files = ScanFiles(tmp_path / "x.cas", tmp_path / "x.geo", tmp_path / "x.pop" if pop is not None else None)
        return read_scan_files(files, ScanJob.model_validate(fields | changes), left_out)

    return run


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


def test_cases_and_places_are_columns(read: Read) -> None:
    data = read()
    places, cases, population, strata = data.given
    assert places.ids == ("a", "b", "c")
    assert places.first.tolist() == [0, 3, -150]
    assert places.second.tolist() == [0, 4, 0.5]
    assert cases[0].tolist() == [0, 1]
    assert cases[1].tolist() == [day("2025-03-01"), day("2025-03-02")]
    assert cases[2].tolist() == [1, 2]
    assert cases[3].tolist() == [0, 0]
    assert {column.dtype for column in cases} == {np.dtype(np.int64)}
    assert (population, strata) == (None, 1)
    assert (data.outside_period, data.unknown_place) == (0, 0)


SAME: dict[str, str | bytes] = {
    "tabs": "a\t1\t2025/3/1\t\nb\t\t2\t2025/3/2\n",
    "commas": "a,1,2025-03-01\n b , 2 ,3/2/2025,\n",
    "CRLF, blank lines, BOM, no last line end": b"\xef\xbb\xbfa 1 2025/3/1\r\n\r\n  \r\nb 2 2025/3/2",
    "quotes": '"a" 1 "2025/3/1"\n"b" 2 2025/3/2\n',
    "quotes and commas": '"a",1,2025/3/1\nb,"2" ,2025/3/2\n',
    "no cases": "a 1 2025/3/1\nc 0 2025/3/1\nb 2 2025/3/2\n",
}


@pytest.mark.parametrize("form", SAME)
def test_forms_that_mean_the_same(read: Read, form: str) -> None:
    assert [column.tolist() for column in read(SAME[form]).given.cases] == [
        column.tolist() for column in read().given.cases
    ]


def test_names_of_places_may_hold_anything_in_quotes(read: Read) -> None:
    geo = '"St. Mary\'s, ""old"" part" 1 2\nÅlesund 3 4\n10001 5 6\n'
    given = read('"St. Mary\'s, ""old"" part" 1 2025/1/1\n10001 1 2025/1/1\n', geo).given
    assert given.places.ids == ('St. Mary\'s, "old" part', "Ålesund", "10001")
    assert given.cases[0].tolist() == [0, 2]
    assert read("Ålesund 1 2025/1/1".encode("cp1252"), "Ålesund 3 4".encode("cp1252")).given.places.ids == ("Ålesund",)


def test_covariates_are_the_same_strata_in_both_files(read: Read) -> None:
    pop = "a 2025 10 old m\na 2025 20 old f\nb 2025/06 30.5 young m\nb 2025/6/9 1 old m\n"
    given = read("b 1 2025/1/1 old f\na 3 2025/1/1 young m\n", pop=pop).given
    assert given.population is not None
    assert given.population.stratum.tolist() == [0, 1, 2, 0]
    assert given.cases.stratum.tolist() == [1, 2]
    assert given.strata == 3
    assert given.population.persons.tolist() == [10, 20, 30.5, 1]
    assert given.population.place.tolist() == [0, 0, 1, 1]
    assert list(zip(*(column.tolist() for column in given.population[1:4]), strict=True)) == [
        (2025, 0, 0),
        (2025, 0, 0),
        (2025, 6, 0),
        (2025, 6, 9),
    ]


def test_a_year_is_its_first_day(read: Read) -> None:
    period = {"start": date(1973, 1, 1), "end": date(1991, 12, 31), "case_precision": "year", "unit": "year"}
    given = read("a 1 77\nb 1 1980/5/6\n", pop="a 73 5\nb 1982 5\n", **period).given
    assert given.cases.day.tolist() == [day("1977-01-01"), day("1980-01-01")]
    assert given.population is not None
    assert given.population.year.tolist() == [1973, 1982]


def test_relaxed_checks_leave_lines_out_and_count_them(read: Read) -> None:
    cas = CAS + "a 1 2024/12/31\nnowhere 1 2025/1/1\na 5 2026/1/1\n"
    data = read(cas, left_out=LeftOut(outside_period=True, unknown_place=True))
    assert (data.outside_period, data.unknown_place) == (2, 1)
    assert data.given.cases[2].tolist() == [1, 2]
    only_dates = LeftOut(outside_period=True)
    with pytest.raises(ScanFileError, match="line 4: the location nowhere is not in the coordinates file"):
        read(cas, left_out=only_dates)


def test_both_ends_of_the_period_are_in_it(read: Read) -> None:
    assert read("a 1 2025/1/1\na 1 2025/12/31\n").given.cases[2].sum() == 2


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "short": ({"cas": "a 1\n"}, "x.cas, line 1: a location, a number of cases and a date are needed."),
    "header": (
        {"cas": "id,count,date\na,1,2025/1/1\n"},
        "x.cas, line 1: the number of cases 'count' is not a whole number.",
    ),
    "negative": ({"cas": CAS + "a -1 2025/1/1\n"}, "x.cas, line 3: the number of cases '-1' is not a whole number."),
    "fraction": ({"cas": "a 1.5 2025/1/1\n"}, "x.cas, line 1: the number of cases '1.5' is not a whole number."),
    "huge": (
        {"cas": "a 999999999999 2025/1/1\n"},
        "x.cas, line 1: 999,999,999,999 cases on one line are more than can be.",
    ),
    "no date": ({"cas": "a 1 2025/2/30\n"}, "x.cas, line 1: '2025/2/30' is not a date."),
    "vague date": ({"cas": "a 1 2025/2\n"}, "x.cas, line 1: the date 2025/2 is less precise than a day."),
    "too early": (
        {"cas": "a 1 2024/12/31\n"},
        "x.cas, line 1: 2024/12/31 is outside the study period, 2025-01-01 to 2025-12-31.",
    ),
    "unknown": ({"cas": "\n\nz 1 2025/1/1\n"}, "x.cas, line 3: the location z is not in the coordinates file."),
    "covariates": (
        {"cas": "a 1 2025/1/1 old\n"},
        "x.cas, line 1: the permutation model takes no covariates, and 'old' follows the date.",
    ),
    "open quote": ({"cas": '"a 1 2025/1/1\n'}, "x.cas, line 1: a quotation mark is opened and not closed."),
    "glued quote": ({"cas": '"a"1 2025/1/1\n'}, "x.cas, line 1: there is no space after a quoted field."),
    "glued commas": ({"cas": '"a"1,2025/1/1\n'}, "x.cas, line 1: there is no comma after a quoted field."),
    "hole": ({"cas": "a,,2025/1/1\n"}, "x.cas, line 1: there is an empty field."),
    "twice": ({"geo": GEO + "a 5 5\n"}, "x.geo, line 4: the location a was on line 1 already."),
    "three dimensions": (
        {"geo": "a 1 2 3\n"},
        "x.geo, line 1: a location, its x and its y are needed, and there are 4 fields.",
    ),
    "not a number": ({"geo": "a 1 north\n"}, "x.geo, line 1: y 'north' is not a number."),
    "not finite": ({"geo": "a nan 1\n"}, "x.geo, line 1: x 'nan' is not a number."),
    "overflow": ({"geo": "a 1e999 1\n"}, "x.geo, line 1: x '1e999' is not a number."),
    "swapped": (
        {"geo": "a -106.6 35.1\n", "spherical": True},
        "x.geo, line 1: the latitude -106.6 is not between -90 and 90.",
    ),
    "unknown people": (
        {"pop": POP + "z 2025 1\n"},
        "x.pop, line 4: the location z is not in the coordinates file.",
    ),
    "fewer than none": ({"pop": "a 2025 -1\n"}, "x.pop, line 1: the number of persons -1 is not at least 0."),
    "undated people": ({"pop": "a when 5\n"}, "x.pop, line 1: 'when' is not a date."),
    "ragged": ({"pop": "a 2025 5 m\nb 2025 5\n"}, "x.pop, line 2: there are 0 covariates, and 1 before it."),
    "stratum": (
        {"pop": "a 2025 5 m\n", "cas": "a 1 2025/1/1 f\n"},
        "x.cas, line 1: the population file has no population with the covariates f.",
    ),
    "no stratum": (
        {"pop": "a 2025 5 m\n", "cas": "a 1 2025/1/1\n"},
        "x.cas, line 1: the population file has no population without covariates.",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_wrong_line_is_named_with_what_is_wrong(read: Read, tmp_path: Path, case: str) -> None:
    arguments, sentence = HOSTILE[case]
    with pytest.raises(ScanFileError) as refused:
        read(**arguments)
    assert str(refused.value) == f"{tmp_path}/{sentence}"


def test_files_that_are_not_there_empty_or_no_texts(read: Read, tmp_path: Path) -> None:
    with pytest.raises(ScanFileError, match=r"^The file \S+x\.cas has no cases in the study period at known locations"):
        read("")
    with pytest.raises(ScanFileError, match="has no locations"):
        read(geo="\n")
    with pytest.raises(ScanFileError, match="has no population at the locations"):
        read(pop="")
    with pytest.raises(ScanFileError, match="is not a text"):
        read("a 1 2025/1/1".encode("utf-16"))
    with pytest.raises(ScanFileError, match=r"^The Poisson model needs a population file\.$"):
        read(model="poisson")
    with pytest.raises(ScanFileError, match=r"^There is no file \S+job\.prm\.$"):
        read_parameter_file(tmp_path / "job.prm")
    with pytest.raises(ScanFileError, match=r"^The file \S+ cannot be read: Is a directory\.$"):
        read_parameter_file(tmp_path)


# --- the reference -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference is not here; name its folder in HOTSPOT_REFERENCE")
@pytest.mark.parametrize(
    ("name", "cases", "locations", "first_population", "strata"),
    [
        ("nyc_fever_permutation", 194, 192, None, 1),
        ("new_mexico_poisson", 1175, 32, 15537, 36),
        ("city_a_permutation", 5000, 2450, None, 1),
        ("city_b_poisson", 5015, 2450, 15, 1),
    ],
)
def test_the_reference_is_read_whole(
    name: str, cases: int, locations: int, first_population: float | None, strata: int
) -> None:
    asked = read_parameter_file(REFERENCE / name / "job.prm")
    data = read_scan_files(asked.files, asked.job, asked.left_out)
    assert data.given.cases[2].sum() == cases
    assert len(data.given.places.ids) == locations
    assert data.given.strata == strata
    assert (data.given.population.persons[0] if data.given.population else None) == first_population
