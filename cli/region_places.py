"""From coordinates to the parts of a region file: where the data lie, their box, grid, time zone and holidays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import tzfpy
from holidays import list_supported_countries
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.database import query_utm_crs_info

from cli.region_columns import RegionInitError
from schemas.columns import read_crs
from schemas.region import Bounds
from simulation.geography import Postcodes, read_postcodes
from streams.partner_rows import to_degrees

FloatArray = NDArray[np.float64]

BRITISH_GRID = "EPSG:27700"
IRISH_GRID = "EPSG:2157"
#: The older grid, in which the postcodes of Northern Ireland are published.
IRISH_GRID_OF_POSTCODES = "EPSG:29903"
WEB_MERCATOR = "EPSG:3857"
DEGREE_M = 111_320.0
#: Places farther than this from all others belong to no area of theirs.
_PATCH_M = 30_000.0
#: Another patch with more than this part of the places is no mistake of a few rows.
_SECOND = 0.05
#: A partnership's area is not larger than this.
_WIDEST_M = 1_000_000.0
#: Records of violence lie where people live: this part of them within a kilometre or two of a British postcode.
_NEAR_POSTCODES = 0.9
_NATIONS = {"E": "GB-ENG", "W": "GB-WLS", "S": "GB-SCT", "N": "GB-NIR"}


class Centre(NamedTuple):
    """A point in degrees."""

    longitude: float
    latitude: float


@dataclass(frozen=True, slots=True)
class Area:
    """Where the bulk of the places lies."""

    bounds: Bounds
    centre: Centre
    inside: NDArray[np.bool_]
    """Which of the places lie within; false where there is none."""
    notes: tuple[str, ...]


def crs_of(pairs: FloatArray, given: str | None, named: tuple[str, str]) -> tuple[str | None, list[str]]:
    """The CRS of coordinates as they are written (None for degrees), and what is to be told of it.

    Raises RegionInitError where they are neither degrees nor, plausibly, British National Grid, and no CRS is given.
    """
    known = pairs[np.isfinite(pairs).all(axis=1)]
    if not len(known):
        raise RegionInitError(
            f"The columns {named[0]!r} and {named[1]!r} hold no coordinates but zeros and blanks: export the records "
            "with where they happened, or name other columns with --column."
        )
    if given:
        try:
            crs = read_crs(given)
        except ValueError as error:
            raise RegionInitError(f"--{error}, such as EPSG:27700.") from None
        return (None, []) if crs.is_geographic and crs == CRS("EPSG:4326") else (given, [])
    small = (np.abs(known) <= 180).all(axis=1).mean()
    if small > 0.5:
        return None, []
    grids = [grid for grid in (BRITISH_GRID, IRISH_GRID_OF_POSTCODES) if _near_postcodes(known, grid) > _NEAR_POSTCODES]
    if len(grids) > 1:
        raise RegionInitError(
            f"The columns {named[0]!r} and {named[1]!r} may be in the grid of Britain or of Ireland: "
            f"say --crs {BRITISH_GRID} or --crs {IRISH_GRID_OF_POSTCODES}."
        )
    if grids:
        return grids[0], [f"{named[0]!r} and {named[1]!r} are taken for {CRS(grids[0]).name}: they lie at postcodes."]
    if _near_postcodes(known[:, ::-1], BRITISH_GRID) > _NEAR_POSTCODES:
        raise RegionInitError(
            f"The columns {named[0]!r} and {named[1]!r} would lie in Britain if they were swapped: say "
            f"--column x={named[1]!r} --column y={named[0]!r} if so, or the right --crs."
        )
    raise RegionInitError(
        f"The columns {named[0]!r} and {named[1]!r} are no degrees and do not lie on the British National Grid: say "
        f"which coordinate reference system they are in, such as --crs EPSG:26916{_hint(known)}."
    )


def _hint(known: FloatArray) -> str:
    """Where they would lie as Web Mercator, the likeliest of the others."""
    longitude, latitude = to_degrees(WEB_MERCATOR)(*np.median(known, axis=0).reshape(2, 1))
    if not np.isfinite([longitude[0], latitude[0]]).all() or abs(latitude[0]) > 75:
        return ""
    zone = zone_at(Centre(float(longitude[0]), float(latitude[0])))
    return f" (as Web Mercator, EPSG:3857, they would lie in the zone {zone})" if zone else ""


def _near_postcodes(metres: FloatArray, grid: str) -> float:
    """Part of the points in a square kilometre of a grid that has a postcode, or next to one."""
    squares = _postcode_squares()[grid]
    inside = ((metres >= 0) & (metres < np.array([700_000, 1_300_000]))).all(axis=1)
    x, y = (metres[inside] // 1000).astype(int).T
    return float(squares[x, y].sum() / len(metres))


@cache
def _postcodes() -> dict[str, Postcodes]:
    """Postcodes by the grid of their coordinates: those of Northern Ireland are on the grid of Ireland."""
    codes = read_postcodes()
    placed = np.isfinite(codes.easting) & np.isfinite(codes.northing) & (codes.northing > 0)
    irish = np.char.startswith(codes.authority.astype(str), "N")
    return {
        grid: Postcodes(codes.code[kept], codes.easting[kept], codes.northing[kept], codes.authority[kept])
        for grid, kept in ((BRITISH_GRID, placed & ~irish), (IRISH_GRID_OF_POSTCODES, placed & irish))
    }


@cache
def _postcode_squares() -> dict[str, NDArray[np.bool_]]:
    """By grid and square kilometre, whether a postcode lies in it or in one next to it."""
    found = {}
    for grid, codes in _postcodes().items():
        squares = np.zeros((700, 1300), dtype=np.bool_)
        squares[(codes.easting // 1000).astype(int), (codes.northing // 1000).astype(int)] = True
        wide = squares.copy()
        for shift in ((dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
            wide |= np.roll(squares, shift, axis=(0, 1))
        found[grid] = wide
    return found


def area_of(longitude: FloatArray, latitude: FloatArray, named: tuple[str, str]) -> Area:
    """The box of the bulk of the places, widened, and what is to be told of those outside.

    Raises RegionInitError for swapped coordinates, and for places of more than one area.
    """
    known = np.isfinite(longitude) & np.isfinite(latitude) & (np.abs(longitude) <= 180)
    good = known & (np.abs(latitude) <= 90)
    _refuse_swapped(longitude, latitude, known, named)
    if not good.any():
        raise RegionInitError(
            f"The columns {named[0]!r} and {named[1]!r} hold no place on Earth in the coordinate reference system "
            "given: say the right one with --crs."
        )
    bulk = np.zeros(len(known), dtype=np.bool_)
    bulk[good] = _main_patch(longitude[good], latitude[good], named)
    bounds = _box(longitude[bulk], latitude[bulk])
    centre = Centre(float(np.median(longitude[bulk])), float(np.median(latitude[bulk])))
    inside = np.zeros(len(known), dtype=np.bool_)
    inside[known] = [bounds.holds(*point) for point in zip(longitude[known], latitude[known], strict=True)]
    return Area(bounds, centre, inside, tuple(_outside(longitude, latitude, known & ~inside, bounds)))


def _refuse_swapped(
    longitude: FloatArray, latitude: FloatArray, known: NDArray[np.bool_], named: tuple[str, str]
) -> None:
    finite = np.isfinite(longitude) & np.isfinite(latitude)
    if not finite.any():
        return
    as_given = Centre(float(np.median(longitude[finite])), float(np.median(latitude[finite])))
    swapped = Centre(as_given.latitude, as_given.longitude)
    if not _on_land(as_given) and _on_land(swapped):
        first, second = named
        raise RegionInitError(
            f"Latitude and longitude look swapped, {as_given.latitude:.1f} north is {where(as_given)}: say "
            f"--column longitude={second!r} --column latitude={first!r}."
        )


def where(centre: Centre) -> str:
    """Where a point lies that is not where people live."""
    if abs(centre.latitude) > 90 or abs(centre.longitude) > 180:
        return "not on Earth"
    return "in the Antarctic" if centre.latitude < -60 else "at sea"


def _on_land(centre: Centre) -> bool:
    return zone_at(centre) is not None and centre.latitude > -60


def zone_at(centre: Centre) -> str | None:
    """The time zone of a point on land, or None."""
    if abs(centre.latitude) > 90 or abs(centre.longitude) > 180:
        return None
    zone = tzfpy.get_tz(centre.longitude, centre.latitude)
    return zone if zone and not zone.startswith("Etc/") else None


def _main_patch(longitude: FloatArray, latitude: FloatArray, named: tuple[str, str]) -> NDArray[np.bool_]:
    """Which places belong to the largest patch: squares of 30 km that touch one another."""
    across = DEGREE_M * float(np.cos(np.radians(np.median(latitude))))
    squares = np.column_stack([longitude * across // _PATCH_M, latitude * DEGREE_M // _PATCH_M]).astype(np.int64)
    cells, of_place, counts = np.unique(squares, axis=0, return_inverse=True, return_counts=True)
    patches = _patches([(int(x), int(y)) for x, y in cells])
    sizes = np.bincount(patches, weights=counts)
    order = np.argsort(-sizes, kind="stable")
    of_place = of_place.reshape(-1)
    main = np.asarray(patches[of_place] == order[0])
    mirrored = (np.sign(longitude[~main]) != np.sign(np.median(longitude[main]))) & _near(
        -longitude[~main], latitude[~main], longitude[main], latitude[main]
    )
    if len(order) > 1 and sizes[order[1]] > _SECOND * len(longitude):
        second = f"{sizes[order[1]]:,.0f} of {len(longitude):,} places lie far from the {sizes[order[0]]:,.0f} others"
        if mirrored.sum() > 0.5 * sizes[order[1]]:
            raise RegionInitError(
                f"{second}, mirrored at longitude 0: their {named[0]!r} has lost its minus sign; mend it."
            )
        raise RegionInitError(f"{second}: a region is one area; split the file by area, or mend the coordinates.")
    span = np.ptp(longitude[main]) * across, np.ptp(latitude[main]) * DEGREE_M
    if max(span) > _WIDEST_M:
        raise RegionInitError(
            f"The places lie over {max(span) / 1000:,.0f} km: a region is the area of one partnership; "
            "split the file by area, or mend the coordinates."
        )
    return main


def _near(x: FloatArray, y: FloatArray, longitude: FloatArray, latitude: FloatArray) -> NDArray[np.bool_]:
    box = longitude.min() - 0.1, longitude.max() + 0.1, latitude.min() - 0.1, latitude.max() + 0.1
    result: NDArray[np.bool_] = (x >= box[0]) & (x <= box[1]) & (y >= box[2]) & (y <= box[3])
    return result


def _patches(cells: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """A number for each square, the same for squares that touch, also at a corner."""
    number = {cell: n for n, cell in enumerate(cells)}
    found = np.full(len(cells), -1, dtype=np.int64)
    for start in range(len(cells)):
        if found[start] >= 0:
            continue
        found[start], waiting = start, [cells[start]]
        while waiting:
            x, y = waiting.pop()
            for near in ((x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)):
                n = number.get(near)
                if n is not None and found[n] < 0:
                    found[n] = start
                    waiting.append(near)
    return np.unique(found, return_inverse=True)[1].astype(np.int64).reshape(-1)


def _box(longitude: FloatArray, latitude: FloatArray) -> Bounds:
    """The box of the places, widened by 5 km.

    Places farther out than half the size of the box of all but the outermost thousandth, and than 20 km, are left out.
    """
    sides = []
    for values, metres in (
        (longitude, DEGREE_M * float(np.cos(np.radians(np.median(latitude))))),
        (latitude, DEGREE_M),
    ):
        low, high = np.quantile(values, [0.001, 0.999])
        slack, margin = max(20_000 / metres, 0.5 * (high - low)), 5_000 / metres
        near = values[(values >= low - slack) & (values <= high + slack)]
        sides.append((float(near.min()) - margin, float(near.max()) + margin))
    (west, east), (south, north) = sides
    return Bounds(
        west=max(-180.0, math.floor(west * 100) / 100),
        south=max(-90.0, math.floor(south * 100) / 100),
        east=min(180.0, math.ceil(east * 100) / 100),
        north=min(90.0, math.ceil(north * 100) / 100),
    )


def _outside(longitude: FloatArray, latitude: FloatArray, outside: NDArray[np.bool_], bounds: Bounds) -> list[str]:
    x, y = longitude[outside], latitude[outside]
    swapped = np.array([bounds.holds(b, a) for a, b in zip(x, y, strict=True)], dtype=np.bool_)
    mirrored = np.array([bounds.holds(-a, b) or bounds.holds(a, -b) for a, b in zip(x, y, strict=True)], dtype=np.bool_)
    kinds = (
        (swapped, "with latitude and longitude swapped"),
        (mirrored & ~swapped, "that have lost a minus sign, or have one too many"),
        (~mirrored & ~swapped, "far from all others"),
    )
    return [
        f"Places {told}: {part.sum():,}. They lie outside the bounds and will be refused."
        for part, told in kinds
        if part.any()
    ]


def grid_crs(file_crs: str | None, centre: Centre, zone: str) -> str:
    """A CRS in metres for the grid: that of the file, the national grid in Britain and Ireland, else the UTM zone."""
    if file_crs is not None:
        crs = read_crs(file_crs)
        in_metres = {axis.unit_name for axis in crs.axis_info} == {"metre"}
        if crs.is_projected and in_metres and crs != CRS(WEB_MERCATOR):
            return file_crs
    if zone == "Europe/Dublin" or nation_of(centre, zone) == "GB-NIR":
        return IRISH_GRID
    if zone == "Europe/London":
        return BRITISH_GRID
    near = AreaOfInterest(centre.longitude, centre.latitude, centre.longitude, centre.latitude)
    (utm, *_) = query_utm_crs_info(datum_name="WGS 84", area_of_interest=near)
    return f"{utm.auth_name}:{utm.code}"


def time_zone(centre: Centre) -> str:
    """The time zone of the middle of the data. Raises RegionInitError at sea."""
    zone = zone_at(centre)
    if zone is None:
        raise RegionInitError(
            f"The middle of the places, {centre.latitude:.2f} north {centre.longitude:.2f} east, is {where(centre)}: "
            "check the columns of the coordinates and --crs, or say the zone with --timezone."
        )
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        raise RegionInitError(f"The zone {zone!r} is not known here: say another with --timezone.") from None
    return zone


def nation_of(centre: Centre, zone: str) -> str:
    """The part of the United Kingdom with the postcode nearest to a point; empty elsewhere."""
    if zone != "Europe/London":
        return ""
    nearest = min(_nearest_postcode(centre, grid) for grid in _postcodes())
    return _NATIONS.get(nearest[1][:1], "")


def _nearest_postcode(centre: Centre, grid: str) -> tuple[float, str]:
    """Metres to the nearest postcode on a grid, and the authority that it lies in."""
    codes = _postcodes()[grid]
    x, y = Transformer.from_crs("EPSG:4326", grid, always_xy=True).transform(*centre)
    distance = np.hypot(codes.easting - x, codes.northing - y)
    return float(distance.min()), str(codes.authority[int(distance.argmin())])


def holidays_of(centre: Centre, zone: str) -> str:
    """Whose public holidays: the country of the zone, in the United Kingdom its part; empty where none are known."""
    nation = nation_of(centre, zone)
    if nation:
        return nation
    for line in (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if not line.startswith("#") and len(fields) > 2 and fields[2] == zone:
            return fields[0] if fields[0] in list_supported_countries() else ""
    return ""
