"""`hotspot region init`: a file that cannot be used is told in one sentence, and what was asked for is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyproj import Transformer

from tests.partner_files import (
    HEADER,
    SOUTHAMPTON,
    incidents,
    init,
    proposed,
    refused,
    usual,
    write,
)

# --- bad files ----------------------------------------------------------------------------------------------------


def without(column: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        n = HEADER.index(column)
        rows = [tuple(row[:n]) + tuple(row[n + 1 :]) for row in (HEADER, *usual(incidents()))]
        return write(path, rows[0], rows[1:])

    return make


def placed(place: Callable[[float, float], tuple[float, float]]) -> Callable[[Path], Path]:
    return lambda path: write(path, HEADER, usual([(t, *place(x, y)) for t, x, y in incidents()]))


def timed(time: str) -> Callable[[Path], Path]:
    return lambda path: write(path, HEADER, usual(incidents(), time))


def content(data: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(data)
        return path

    return make


def ambiguous(path: Path) -> Path:
    return write(path, HEADER, usual([made for made in incidents() if made[0].day <= 12]))


def mixed_orders(path: Path) -> Path:
    made = incidents()
    return write(path, HEADER, usual(made[::2]) + usual(made[1::2], "%m/%d/%Y %H:%M"))


def lost_signs(path: Path) -> Path:
    return write(path, HEADER, usual([(t, -x if n % 3 else x, y) for n, (t, x, y) in enumerate(incidents())]))


def serials(path: Path) -> Path:
    return write(
        path, HEADER, [(row[0], f"{45_000 + n / 7:.4f}", *row[2:]) for n, row in enumerate(usual(incidents()))]
    )


def in_metres(crs: str, centre: tuple[float, float], swap: bool = False) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        to_crs = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
        rows = [(t.strftime("%d/%m/%Y %H:%M"), *map("{:.1f}".format, to_crs.transform(x, y)[:: -1 if swap else 1]))
                for t, x, y in incidents(centre=centre)]  # fmt: skip
        return write(path, ("Date", "X", "Y"), rows)

    return make


GOOD = "\n".join(map(",".join, (HEADER, *usual(incidents())))) + "\n"
BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda path: path, "There is no file "),
    "empty": (content(b""), " is empty."),
    "blank": (content(b"\n \n"), " is empty."),
    "header only": (content(GOOD.splitlines()[0].encode()), " has a header and no rows"),
    "no header": (content(GOOD.split("\n", 1)[1].encode()), "put a line of names before the records."),
    "no coordinates": (without("Longitude"), "name them with --column longitude=NAME"),
    "no times": (without("Occurred"), "name it with --column occurred=NAME"),
    "unreadable times": (timed("week %W"), "holds no times that can be read"),
    "spreadsheet's days": (serials, "format it as date and time before saving as CSV."),
    "all zero": (placed(lambda x, y: (0, 0)), "hold no coordinates but zeros and blanks"),
    "swapped": (placed(lambda x, y: (y, x)), "--column longitude='Latitude' --column latitude='Longitude'."),
    "swapped metres": (in_metres("EPSG:27700", SOUTHAMPTON, swap=True), "if they were swapped: say --column x='Y'"),
    "at sea": (placed(lambda x, y: (x - 20, y)), "is at sea: check the columns"),
    "mixed hemispheres": (lost_signs, "'Longitude' has lost its minus sign"),
    "two cities": (
        lambda path: write(path, HEADER, usual(incidents() + incidents(centre=(-3.18, 51.48)))),
        "a region is one area",
    ),
    "Web Mercator": (in_metres("EPSG:3857", SOUTHAMPTON), "they would lie in the zone Europe/London"),
    "metres of another country": (in_metres("EPSG:25832", (10.0, 53.55)), "say which coordinate reference system"),
    "Ireland or Britain": (in_metres("EPSG:29903", (-5.93, 54.60)), "may be in the grid of Britain or of Ireland"),
    "day or month first": (ambiguous, "say --dates day-first or --dates month-first."),
    "both orders": (mixed_orders, "export it again with all dates written alike."),
    "wrong delimiter": (content(GOOD.replace(",", "^").encode()), " has a single column: "),
    "ragged": (content(GOOD.encode() + b"R9,x\n"), "Line 302 of "),
    "open quote": (content(GOOD.encode() + b'"' + b"x" * 200_000), " cannot be read: "),
    "workbook": (content(b"PK\x03\x04\x00\x00"), " is a workbook or an archive"),
    "binary": (content(b"\x89PNG\r\n\x00\x01\x02abcdefgh"), " is no text"),
    "folder": (lambda path: path.parent, " cannot be read: "),
}


@pytest.mark.parametrize(("make", "finding"), BAD.values(), ids=BAD)
def test_a_bad_file_is_told_in_one_sentence(tmp_path: Path, make: Callable[[Path], Path], finding: str) -> None:
    assert finding in refused(make(tmp_path / "export.csv"))


def test_what_was_asked_for_is_taken(tmp_path: Path) -> None:
    path = ambiguous(tmp_path / "export.csv")
    options = ["--dates", "day-first", "--timezone", "Europe/Dublin", "--holidays", "none", "--kind", "ed"]
    region, _ = proposed(path, *options, "--column", "category=", "--id", "south", "--name", 'The "South"')
    assert (region.timezone, region.holidays, region.name) == ("Europe/Dublin", "", 'The "South"')
    assert region.sources[0].kind == "ed"
    assert region.columns is not None
    assert region.columns.record.category is None
    assert "which --column x names" in refused(path, "--column", "x=Nowhere")
    assert "is not an IANA zone" in refused(path, "--dates", "day-first", "--timezone", "Mars")
    assert init(path, "--column", "colour=red").exit_code == 2


def test_degrees_give_way_to_the_crs_that_is_asked_for(tmp_path: Path) -> None:
    made = incidents()
    to_grid = Transformer.from_crs("EPSG:4326", "EPSG:27700", always_xy=True)
    rows = [(*row, *map("{:.1f}".format, to_grid.transform(x, y)))
            for row, (_, x, y) in zip(usual(made), made, strict=True)]  # fmt: skip
    path = write(tmp_path / "export.csv", (*HEADER, "X", "Y"), rows)
    for options, pair in (((), ("Longitude", "Latitude")), (("--crs", "EPSG:27700", "--force"), ("X", "Y"))):
        region, _ = proposed(path, *options)
        assert region.columns is not None
        assert region.columns.place.pair == pair
