"""Writes what a scan found: JSON for programs, GeoJSON for maps, and a table of clusters with SaTScan's columns."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from cli.scan_files import ScanFileError
from processors.scan.circles import EARTH_KM
from schemas.scan import ScanCluster, ScanModel, ScanResult

CORNERS = 64
#: A cluster of one location has no radius, and a polygon without an area is none: it is drawn this wide.
LEAST_DRAWN_M = 50.0
Point = tuple[float, float]
Circle = Callable[[ScanCluster], Sequence[Point]]


def write_json(result: ScanResult, path: Path) -> None:
    """The whole result. Raises ScanFileError."""
    _write(path, result.model_dump_json(indent=2) + "\n")


def write_csv(result: ScanResult, spherical: bool, path: Path) -> None:
    """The clusters, one a line. Raises ScanFileError."""
    columns = _columns(result, spherical)
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows([value(cluster) for value in columns.values()] for cluster in result.clusters)
    except OSError as error:
        raise _unwritable(path, error) from None


def write_geojson(result: ScanResult, circle: Circle, path: Path) -> None:
    """The clusters as a feature each, best first. Raises ScanFileError."""
    features = [
        {"type": "Feature", "geometry": _geometry(circle(cluster)), "properties": cluster.model_dump(mode="json")}
        for cluster in result.clusters
    ]
    collection = {"type": "FeatureCollection", "features": features}
    _write(path, json.dumps(collection, indent=1, allow_nan=False) + "\n")


def spherical_circle(cluster: ScanCluster) -> list[Point]:
    """Corners of a geodesic circle, counter-clockwise; longitudes go on beyond 180 degrees rather than jump."""
    latitude, longitude = math.radians(cluster.y), math.radians(cluster.x)
    angle = max(cluster.radius, LEAST_DRAWN_M / 1000) / EARTH_KM
    corners: list[Point] = []
    for corner in range(CORNERS):
        bearing = -2 * math.pi * corner / CORNERS
        sine = math.sin(latitude) * math.cos(angle) + math.cos(latitude) * math.sin(angle) * math.cos(bearing)
        east = math.sin(bearing) * math.sin(angle) * math.cos(latitude)
        north = math.cos(angle) - math.sin(latitude) * sine
        x = math.degrees(longitude + math.atan2(east, north))
        if corners:
            x += 360 * round((corners[-1][0] - x) / 360)
        corners.append((x, math.degrees(math.asin(min(1.0, max(-1.0, sine))))))
    turned = corners[0][0] - corners[-1][0]
    if abs(turned) > 180:  # the circle holds a pole: its edge goes once around, and is closed along the pole
        x, y = corners[0]
        pole = math.copysign(90.0, cluster.y)
        around = x - math.copysign(360.0, turned)
        corners += [(around, y), (around, pole), (x, pole)]
    return corners


def projected_circle(crs_name: str) -> Circle:
    """Circles of clusters whose coordinates are metres, or other lengths, of a projection. Raises ScanFileError."""
    # Imported where it is needed: without a map, most of a short scan would be waiting for it.
    from pyproj import CRS, Transformer
    from pyproj.exceptions import CRSError, ProjError

    try:
        crs = CRS.from_user_input(crs_name)
    except CRSError:
        raise ScanFileError(f"There is no coordinate reference system {crs_name}; an example is EPSG:27700.") from None
    if not crs.is_projected:
        raise ScanFileError(f"{crs_name} has no x and y in metres: name the projection of the coordinates file.")
    to_degrees = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    least = LEAST_DRAWN_M / crs.axis_info[0].unit_conversion_factor

    def circle(cluster: ScanCluster) -> list[Point]:
        radius = max(cluster.radius, least)
        turns = [2 * math.pi * corner / CORNERS for corner in range(CORNERS)]
        try:
            longitudes, latitudes = to_degrees.transform(
                [cluster.x + radius * math.cos(turn) for turn in turns],
                [cluster.y + radius * math.sin(turn) for turn in turns],
                errcheck=True,
            )
        except ProjError:
            raise ScanFileError(f"Cluster {cluster.rank} lies outside of where {crs_name} can be used.") from None
        corners: list[Point] = list(zip(longitudes, latitudes, strict=True))
        return corners if _area(corners) > 0 else corners[::-1]

    return circle


def _geometry(corners: Sequence[Point]) -> dict[str, Any]:
    """A polygon; cut where it crosses the antimeridian, as RFC 7946 asks."""
    parts = []
    for turn in (-360.0, 0.0, 360.0):
        part = [(x + turn, y) for x, y in corners]
        part = _cut(_cut(part, 180.0, 1.0), -180.0, -1.0)
        if len(part) > 2 and _area(part) > 0:
            rounded = [[round(x, 7), round(y, 7)] for x, y in part]
            parts.append([[*rounded, rounded[0]]])
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _cut(corners: Sequence[Point], meridian: float, side: float) -> list[Point]:
    """The part of a polygon west of a meridian (side 1) or east of it (side -1)."""
    kept: list[Point] = []
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], *corners[:1]], strict=True):
        inside0, inside1 = side * (meridian - x0) >= 0, side * (meridian - x1) >= 0
        if inside0:
            kept.append((x0, y0))
        if inside0 != inside1:
            kept.append((meridian, y0 + (y1 - y0) * (meridian - x0) / (x1 - x0)))
    return kept


def _area(corners: Sequence[Point]) -> float:
    pairs = zip(corners, [*corners[1:], *corners[:1]], strict=True)
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairs) / 2


def _columns(result: ScanResult, spherical: bool) -> dict[str, Callable[[ScanCluster], object]]:
    """What stands in each column, in order; None is an empty field."""
    columns: dict[str, Callable[[ScanCluster], object]] = {
        "CLUSTER": lambda cluster: cluster.rank,
        "LOC_ID": lambda cluster: cluster.location_id,
    }
    if spherical:
        columns |= {"LATITUDE": lambda cluster: cluster.y, "LONGITUDE": lambda cluster: cluster.x}
    else:
        columns |= {"X": lambda cluster: cluster.x, "Y": lambda cluster: cluster.y}
    columns |= {
        "RADIUS": lambda cluster: cluster.radius,
        "START_DATE": lambda cluster: _day(cluster.start),
        "END_DATE": lambda cluster: _day(cluster.end),
        "NUMBER_LOC": lambda cluster: len(cluster.locations),
        "LLR" if result.model is ScanModel.POISSON else "TEST_STAT": lambda cluster: cluster.statistic,
        "P_VALUE": lambda cluster: cluster.p_value,
    }
    if result.prospective:
        columns["RECURR_INT"] = lambda cluster: cluster.recurrence_interval_days
    return columns | {
        "OBSERVED": lambda cluster: cluster.observed,
        "EXPECTED": lambda cluster: cluster.expected,
        "ODE": lambda cluster: cluster.observed / cluster.expected if cluster.expected > 0 else None,
        "GUMBEL_P": lambda cluster: cluster.gumbel_p_value,
    }


def _day(day: date) -> str:
    return f"{day.year}/{day.month}/{day.day}"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from None


def _unwritable(path: Path, error: OSError) -> ScanFileError:
    return ScanFileError(f"The file {path} cannot be written: {error.strerror}.")
