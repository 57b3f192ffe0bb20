"""Outlines in the files of ImageJ (``.roi``, ``.zip``) and of QuPath (GeoJSON)."""

from __future__ import annotations

import json
import math
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError, FileError
from ..images.atomic import atomic_path, json_text, write_text
from ..images.image import Array
from .outlines import Outline, polygon_area

if TYPE_CHECKING:
    from roifile import ImagejRoi

__all__ = ["OUTLINE_SUFFIXES", "read_outlines", "write_geojson", "write_imagej"]


OUTLINE_SUFFIXES = (".roi", ".zip", ".geojson", ".json")

_LARGEST_ENTRY = 2**28  # bytes of one ROI
_OVAL_POINTS = 256
_REDRAW = "remove it, or draw the cell as polygon, freehand, rectangle or oval"


def read_outlines(path: str | os.PathLike[str]) -> list[Outline]:
    """Read the outlines of cells from a file.

    Parameters
    ----------
    path : path-like
        ``.roi`` or ``.zip`` of ImageJ: polygon, freehand, traced, rectangle, oval and composite,
        with sub-pixel coordinates where they are there (a fitted spline becomes its corners).
        ``.geojson`` or ``.json``, as QuPath writes it: Polygon and MultiPolygon.

    Returns
    -------
    list of Outline
        In the order of the file. `Outline.frame` from ROI positions (the time of a hyperstack,
        else the slice of a stack) or GeoJSON's property `frame` or QuPath's plane.

    Raises
    ------
    FileError
        Absent, or not of these types.
    DataError
        It has no outline, or one that encloses no area: a point, a line, a text.
    """
    file = Path(path)
    if not file.is_file():
        raise FileError("does not exist", "check the path", file=file)
    suffix = file.suffix.lower()
    if suffix in (".roi", ".zip"):
        outlines = _read_imagej(file)
    elif suffix in (".geojson", ".json"):
        outlines = _read_geojson(file)
    else:
        raise FileError(
            f"is of a type that holds no outlines here ({suffix or 'no ending'})",
            f"give one of {', '.join(OUTLINE_SUFFIXES)}, or an image of labels",
            file=file,
        )
    if not outlines:
        raise DataError("has no outline", "draw cells, or leave the file out", file=file)
    for outline in outlines:
        _check(outline, file)
    return outlines


def _check(outline: Outline, file: Path) -> None:
    for ring in outline.rings:
        if not np.isfinite(ring).all():
            raise DataError(
                f"outline {outline.name!r} has a coordinate that is no number", _REDRAW, file=file
            )
    if not any(len(ring) > 2 and polygon_area(ring) > 0 for ring in outline.rings):
        raise DataError(f"outline {outline.name!r} encloses no area", _REDRAW, file=file)


# ImageJ ------------------------------------------------------------------------------------


def write_imagej(outlines: Sequence[Outline], path: str | os.PathLike[str]) -> Path:
    """Write a ``.zip`` for the ROI Manager of ImageJ; replaces a file of that name.

    A cell with holes or in pieces is a composite. The frame is the position in the stack; where
    there is one, entries are named ``t0003-12`` (frame 2 from 0, outline 12), else ``12``.

    Raises
    ------
    FileError
        It cannot be written.
    """
    with (
        atomic_path(path) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for outline in outlines:
            frame = "" if outline.frame is None else f"t{outline.frame + 1:04d}-"
            name = f"{frame}{outline.name}"
            archive.writestr(f"{name}.roi", _to_roi(outline).tobytes())
    return Path(path)


def _to_roi(outline: Outline) -> ImagejRoi:
    from roifile import ROI_TYPE, ImagejRoi

    points = np.concatenate(outline.rings)
    if len(outline.rings) == 1:
        whole = np.array_equal(points, np.round(points))
        roi = ImagejRoi.frompoints(points[:, ::-1].astype(int if whole else np.float32))
        roi.roitype = ROI_TYPE.POLYGON
    else:
        roi = ImagejRoi(roitype=ROI_TYPE.RECT)
        roi.top, roi.left = (int(v) for v in np.floor(points.min(axis=0)))
        roi.bottom, roi.right = (int(v) for v in np.ceil(points.max(axis=0)))
        path: list[float] = []  # 0: move to, 1: line to, 4: close
        for ring in outline.rings:
            for i, (y, x) in enumerate(ring.tolist()):
                path += [float(i > 0), x, y]
            path.append(4.0)
        roi.multi_coordinates = np.array(path, np.float32)
        roi.shape_roi_size = len(path)
    roi.name = outline.name
    if outline.frame is not None:
        roi.position = outline.frame + 1
    return roi


def _read_imagej(file: Path) -> list[Outline]:
    if file.suffix.lower() == ".roi":
        return [_from_roi(file.read_bytes(), file.stem, file)]
    outlines = []
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                name = Path(entry.filename).name
                # a Mac puts files that begin with a dot beside the others
                if not name.lower().endswith(".roi") or name.startswith("."):
                    continue
                with archive.open(entry) as packed:
                    data = packed.read(_LARGEST_ENTRY)
                outlines.append(_from_roi(data, name[:-4], file))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise FileError(
            f"is no zip of ImageJ ROIs ({error})", "save it anew from the ROI Manager", file=file
        ) from error
    return outlines


def _from_roi(data: bytes, entry: str, file: Path) -> Outline:
    """One ROI as an outline; `entry` is its name in the zip."""
    import struct

    from roifile import ImagejRoi

    try:
        roi = ImagejRoi.frombytes(data)
        rings = _rings_of(roi, entry, file)
    except (ValueError, TypeError, IndexError, RuntimeError, struct.error) as error:
        if isinstance(error, DataError):
            raise
        raise FileError(
            f"{entry!r} is not an ImageJ ROI ({error})", "save it anew from ImageJ", file=file
        ) from error
    position = roi.t_position or roi.position
    return Outline(entry, rings, position - 1 if position > 0 else None)


def _rings_of(roi: ImagejRoi, entry: str, file: Path) -> tuple[Array, ...]:
    from roifile import ROI_SUBTYPE, ROI_TYPE

    kind, subtype = roi.roitype, roi.subtype
    areas = (ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED, ROI_TYPE.RECT, ROI_TYPE.OVAL)
    if kind not in areas or subtype in (
        ROI_SUBTYPE.TEXT,
        ROI_SUBTYPE.ARROW,
        ROI_SUBTYPE.IMAGE,
    ):
        what = kind.name if kind not in areas else subtype.name
        raise DataError(
            f"ROI {entry!r} is of type {what.lower()}, which encloses no cell", _REDRAW, file=file
        )
    if not roi.composite and kind in (ROI_TYPE.RECT, ROI_TYPE.OVAL):
        rings = [_box_points(roi, oval=kind == ROI_TYPE.OVAL)]
    else:
        rings = [np.asarray(ring) for ring in roi.coordinates(multi=True)]
    # ImageJ counts areas from the first pixel's outer corner, as we do
    return tuple(ring[:, ::-1].astype(np.float64) for ring in rings)


def _box_points(roi: ImagejRoi, *, oval: bool) -> Array:
    """(N, 2) x, y of a rectangle, or of the ellipse in it."""
    if roi.subpixelrect:
        x, y, width, height = roi.xd, roi.yd, roi.widthd, roi.heightd
    else:
        x, y, width, height = roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top
    if not oval:
        return np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], float)
    angle = np.arange(_OVAL_POINTS) * (2 * math.pi / _OVAL_POINTS)
    across, down = x + width / 2 * (1 + np.cos(angle)), y + height / 2 * (1 + np.sin(angle))
    return np.stack([across, down], axis=1)


# GeoJSON -----------------------------------------------------------------------------------


def write_geojson(outlines: Sequence[Outline], path: str | os.PathLike[str]) -> Path:
    """Write a FeatureCollection for QuPath; replaces a file of that name.

    Coordinates are (x, y) in pixels. A cell in pieces is a MultiPolygon, holes are inner rings;
    `name` is the outline's name, `frame` and QuPath's plane the frame, from 0.

    Raises
    ------
    FileError
        It cannot be written.
    """
    features = [_feature(outline) for outline in outlines]
    text = json_text({"type": "FeatureCollection", "features": features})
    return write_text(path, text + "\n")


def _feature(outline: Outline) -> dict[str, Any]:
    polygons = _polygons(outline.rings)
    several = len(polygons) > 1
    geometry: dict[str, Any] = {
        "type": "MultiPolygon" if several else "Polygon",
        "coordinates": polygons if several else polygons[0],
    }
    properties: dict[str, Any] = {"objectType": "annotation", "name": outline.name}
    if outline.frame is not None:
        geometry["plane"] = {"c": -1, "z": 0, "t": outline.frame}
        properties["frame"] = outline.frame
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _polygons(rings: Sequence[Array]) -> list[list[list[list[float]]]]:
    """Rings as GeoJSON has them: closed, each piece followed by its holes."""
    around = [
        [k for k, other in enumerate(rings) if k != i and _holds(other, (ring[0] + ring[1]) / 2)]
        for i, ring in enumerate(rings)
    ]
    pieces = {i: [_closed(rings[i])] for i, holders in enumerate(around) if len(holders) % 2 == 0}
    for i, holders in enumerate(around):
        if i not in pieces:  # a hole in the innermost piece around it
            piece = max((k for k in holders if k in pieces), key=lambda k: len(around[k]))
            pieces[piece].append(_closed(rings[i]))
    return list(pieces.values())


def _holds(ring: Array, point: Array) -> bool:
    """Whether a point lies inside a ring: a line to its right crosses an odd number of edges."""
    (y, x), (y2, x2) = ring.T, np.roll(ring, -1, axis=0).T
    crossed = (y <= point[0]) != (y2 <= point[0])
    share = (point[0] - y[crossed]) / (y2 - y)[crossed]
    return int((x[crossed] + share * (x2 - x)[crossed] > point[1]).sum()) % 2 == 1


def _closed(ring: Array) -> list[list[float]]:
    points: list[list[float]] = ring[:, ::-1].tolist()
    return [*points, points[0]]


def _read_geojson(file: Path) -> list[Outline]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise FileError(f"is no JSON ({error})", "export it again", file=file) from error
    if isinstance(content, Mapping) and content.get("type") == "FeatureCollection":
        content = content.get("features")
    features = content if isinstance(content, list) else [content]
    return [_from_feature(feature, i, file) for i, feature in enumerate(features, 1)]


def _from_feature(feature: Any, number: int, file: Path) -> Outline:
    if not isinstance(feature, Mapping) or feature.get("type") != "Feature":
        raise FileError(
            f"is no GeoJSON: entry {number} is no Feature",
            "give a FeatureCollection, as QuPath exports it",
            file=file,
        )
    properties = feature.get("properties") or {}
    geometry = feature.get("geometry") or {}
    name = str(properties.get("name") or feature.get("id") or number)
    kind: Any = geometry.get("type")
    coordinates: Any = geometry.get("coordinates")
    if kind not in ("Polygon", "MultiPolygon"):
        raise DataError(
            f"object {name!r} is a {kind}, which encloses no cell",
            "remove it, or draw the cell as polygon",
            file=file,
        )
    try:
        polygons = [coordinates] if kind == "Polygon" else coordinates
        rings = tuple(
            np.array([point[:2] for point in ring], np.float64)[:, ::-1]
            for polygon in polygons
            for ring in polygon
        )
        frame = properties.get("frame", (geometry.get("plane") or {}).get("t"))
        return Outline(name, rings, None if frame is None else int(frame))
    except (TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"object {name!r} has coordinates or a frame that are no numbers ({error})",
            "export it again",
            file=file,
        ) from error
