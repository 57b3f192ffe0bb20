"""Outlines of cells as polygons, and the labels that they enclose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array
from .boxes import label_boxes

__all__ = ["Filled", "Outline", "fill_outlines", "polygon_area", "trace_outlines"]


_NUMBER = re.compile(r"(?:t\d+-)?(\d+)")  # 12, or t0003-12 as `write_imagej` names a file
_LARGEST = np.iinfo(np.int32).max
_TILE = 2048  # px; of the search for bounding boxes


@dataclass(frozen=True)
class Outline:
    """The outline of one cell.

    Attributes
    ----------
    name : str
        As in the file; the number of the label where it was traced from one.
    rings : tuple of (N, 2) float64 arrays
        (y, x) in pixels, sub-pixel, from the outer corner of the image's first pixel, whose
        center is at (0.5, 0.5). The edge from the last point to the first closes a ring. A point
        is inside where an odd number of rings is around it: a second ring is a hole or another
        piece.
    frame : int or None
        From 0; None where the file does not say.
    """

    name: str
    rings: tuple[Array, ...]
    frame: int | None = None


class Filled(NamedTuple):
    """Labels of one frame, and what became of its outlines.

    Attributes
    ----------
    labels : (Y, X) int32 array
    overlap_px : int
        Pixels that lie in several outlines; the smallest of them got each.
    empty : tuple of str
        Names of outlines without a pixel: smaller than one, or covered by smaller ones.
    clipped : tuple of str
        Names of outlines that reach over the image's edge by more than a pixel.
    """

    labels: Array
    overlap_px: int
    empty: tuple[str, ...]
    clipped: tuple[str, ...]


def polygon_area(points: Array) -> float:
    """Area inside a closed polygon by the shoelace formula, its closing edge included.

    A = |sum_i (x_i y_i+1 - x_i+1 y_i)| / 2 with point N = point 0, relative to the first point,
    so that a polygon far from the origin loses no digits.

    Parameters
    ----------
    points : (N, 2) array
        (y, x); the first point may be repeated at the end.
    """
    y, x = (np.asarray(points, np.float64) - points[0]).T
    return float(abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2)


def fill_outlines(outlines: Sequence[Outline], shape: tuple[int, int]) -> Filled:
    """Give every pixel whose center lies inside an outline the outline's number.

    A center on an edge belongs to the outline on its right (or below), so outlines that share
    an edge share no pixel. Where outlines overlap the smallest wins, so none vanishes under a
    larger one, whatever their order.

    Parameters
    ----------
    outlines : sequence of Outline
        Of one frame.
    shape : (int, int)
        Y and X of the image.

    Returns
    -------
    Filled
        Labels are the outlines' names where all names are different numbers above 0, else 1, 2
        ... in the order given.

    Raises
    ------
    DataError
        An outline lies outside the image.
    """
    numbers = _numbers(outlines)
    filled = [_mask(outline, shape) for outline in outlines]
    labels = np.zeros(shape, np.int32)
    taken = np.zeros(shape, np.uint8)  # 1: in an outline, 2: in several
    sizes = [int(mask.sum()) for _, mask in filled]
    for i in sorted(range(len(filled)), key=lambda i: -sizes[i]):  # the smallest last, on top
        box, mask = filled[i]
        taken[box][mask] = np.minimum(taken[box][mask] + 1, 2)
        labels[box][mask] = numbers[i]
    seen = set(np.unique(labels).tolist())
    return Filled(
        labels,
        int((taken == 2).sum()),
        tuple(o.name for o, n in zip(outlines, numbers, strict=True) if n not in seen),
        tuple(o.name for o in outlines if _reaches_out(o, shape)),
    )


def trace_outlines(labels: Array, frame: int | None = None) -> list[Outline]:
    """Outlines of all labels along the edges of their pixels.

    Filled again they give the same labels, and `polygon_area` of a cell without holes is its
    number of pixels. Points are pixel corners where the outline turns.

    Parameters
    ----------
    labels : (Y, X) integer array
    frame : int, optional
        Written into the outlines.

    Returns
    -------
    list of Outline
        By ascending label, whose number is the name.
    """
    from .shape_kernels import trace_mask

    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise InputError(
            f"labels are {labels.dtype} of shape {labels.shape}", "give (Y, X) integers"
        )
    outlines = []
    numbers, boxes = label_boxes(labels, _TILE)
    for number, (y0, x0, y1, x1) in zip(numbers.tolist(), boxes.tolist(), strict=True):
        mask = np.pad(labels[y0:y1, x0:x1] == number, 1)
        corners, ends = trace_mask(mask)
        origin = np.array([y0 - 1, x0 - 1])
        rings = np.split(corners + origin, ends[:-1])
        turns = tuple(_turns(ring).astype(np.float64) for ring in rings)
        outlines.append(Outline(str(number), turns, frame))
    return outlines


def _turns(ring: Array) -> Array:
    """The points of a ring where it changes its direction."""
    step = np.roll(ring, -1, axis=0) - ring
    turning: Array = (step != np.roll(step, 1, axis=0)).any(axis=1)
    return np.compress(turning, ring, axis=0)


def _numbers(outlines: Sequence[Outline]) -> list[int]:
    """The outlines' names as numbers where they are that, else 1, 2 ..."""
    found = [_NUMBER.fullmatch(outline.name) for outline in outlines]
    numbers = [int(match[1]) if match else 0 for match in found]
    good = all(0 < n <= _LARGEST for n in numbers) and len(set(numbers)) == len(numbers)
    return numbers if good else list(range(1, len(outlines) + 1))


def _reaches_out(outline: Outline, shape: tuple[int, int]) -> bool:
    points = np.concatenate(outline.rings)
    return bool((points < -1).any() or (points > np.array(shape) + 1).any())


def _mask(outline: Outline, shape: tuple[int, int]) -> tuple[tuple[slice, slice], Array]:
    """The box of an outline in the image, and the pixels inside.

    On each row of pixel centers an edge of a ring is crossed at some x; pixels to the right of
    an odd number of crossings are inside.
    """
    points = np.concatenate(outline.rings)
    low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(points.max(axis=0)).astype(int), shape)
    if (low >= shape).any() or (high <= 0).any():
        (y0, x0), (y1, x1) = points.min(axis=0), points.max(axis=0)
        raise DataError(
            f"outline {outline.name!r} at y {y0:g} to {y1:g}, x {x0:g} to {x1:g} lies outside "
            f"the image of {shape[0]} x {shape[1]} px",
            "give the image that it was drawn on; its coordinates are pixels",
        )
    height, width = high - low
    crossings = np.zeros((height, width + 1), np.int32)
    for ring in outline.rings:
        rows, x = _crossings(ring - low, height)
        # the first pixel whose center, at + 0.5, is not left of the crossing
        columns = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
        np.add.at(crossings, (rows, columns), 1)
    inside = np.cumsum(crossings[:, :width], axis=1) % 2 == 1
    return (slice(low[0], high[0]), slice(low[1], high[1])), inside


def _crossings(ring: Array, height: int) -> tuple[Array, Array]:
    """Rows and x at which the edges of a closed ring cross the rows of pixel centers."""
    y, x = ring.T
    y2, x2 = np.roll(y, -1), np.roll(x, -1)
    # an edge crosses the rows whose center is at or below its upper end and above its lower end
    first = np.clip(np.ceil(np.minimum(y, y2) - 0.5), 0, height).astype(int)
    stop = np.clip(np.ceil(np.maximum(y, y2) - 0.5), 0, height).astype(int)
    count = np.maximum(stop - first, 0)
    edge = np.repeat(np.arange(len(ring)), count)
    rows = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    share = (rows + 0.5 - y[edge]) / (y2 - y)[edge]
    return rows, x[edge] + share * (x2 - x)[edge]
