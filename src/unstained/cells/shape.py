"""Twelve features of the shape of cells: size, elongation, nucleus, and seven of compactness."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InputError
from ..images.image import Array
from ..learning.machine_code import processors
from .boxes import label_boxes

__all__ = ["SHAPE_FEATURES", "SHAPE_UNITS", "shape_features", "shapes_in_boxes"]


SHAPE_UNITS = {
    "area_um2": "um2",
    "perimeter_um": "um",
    "aspect_ratio": "",
    "nucleus_area_um2": "um2",
    "nucleus_to_cell_ratio": "",
    "proximity": "",
    "spin": "",
    "dispersion": "",
    "cohesion": "",
    "depth": "",
    "girth": "",
    "detour": "",
}
"""The features in their order, each with its unit ("" where it is a ratio)."""

SHAPE_FEATURES = tuple(SHAPE_UNITS)
"""Their names alone."""

_DISC_PAIRS = 128 / (45 * math.pi)  # mean distance of two points in a disc of radius 1: 0.9054
_TILE = 2048  # px; of the search for bounding boxes


def shape_features(
    labels: npt.ArrayLike, pixel_size_um: float, nuclei: npt.ArrayLike | None = None
) -> pd.DataFrame:
    r"""Measure the shape of every cell.

    With A the area of a cell, r = sqrt(A / pi) the radius of the circle of equal area, c the
    center of mass and means over all points of the cell:

    ======================= ===================================================================
    ``area_um2``            pixels x pixel area
    ``perimeter_um``        length of the outline, holes included (see Notes)
    ``aspect_ratio``        major / minor axis of the ellipse of equal second moments; from 1 on
    ``nucleus_area_um2``    of the nuclei that belong to the cell; NaN where there is none
    ``nucleus_to_cell_ratio`` that / area
    ``proximity``           (2/3) r / mean distance from c
    ``spin``                (1/2) r^2 / mean squared distance from c
    ``dispersion``          (m - d) / m; m: mean distance of the outer outline from c, d: mean
                            absolute deviation of that distance from m
    ``cohesion``            128 / (45 pi) r / mean distance between all pairs of points
    ``depth``               mean distance of all points from the outline / (r / 3)
    ``girth``               radius of the largest inscribed circle / r
    ``detour``              2 pi r / perimeter of the convex hull
    ======================= ===================================================================

    The last seven are 1 for a disc and smaller for all else [1]_; what pixels add above 1 is cut
    off.

    Parameters
    ----------
    labels : (Y, X) integer array
        Cell of each pixel; 0 is background.
    pixel_size_um : float
        Side of a pixel in the sample, micrometers.
    nuclei : (Y, X) integer array, optional
        Nucleus of each pixel, numbered in any way. A nucleus belongs to the cell that holds most
        of its pixels, of equal ones to the lower number; all its pixels count. Nuclei of one cell
        are summed; a nucleus outside all cells counts nowhere.

    Returns
    -------
    DataFrame
        One row for each label, ascending, index `label`; columns `SHAPE_FEATURES`, float64. No
        row where there is no cell.

    Raises
    ------
    InputError
        The pixel size is not known, labels are not (Y, X) integers, or nuclei have another shape.
    DataError
        A label is below 0 or above 2^63 - 1.

    Notes
    -----
    A label in several pieces is one cell: areas and outlines are summed, distances run between
    pieces, and girth is that of the widest one. Pixels that touch at a corner are one piece. A
    cell that is cut off by the image's edge is measured as it is seen.

    *Outline.* The middles of the pixel edges around the cell, each moved onto a parabola through
    nine of them (see `shape_kernels.smooth_rings`). Circles of 6 px radius and more come out
    within 1 % of their length, corners are rounded (a square of 20 px loses 2 to 3 %).

    *Girth* is right to a third of a pixel.

    *Moments* are those of the pixels' squares (1/12 along each axis), not of their centers.

    *Cohesion* is exact over all pairs of pixels (see `shape_pairs.mean_pair_distance`).

    *Readings.* Names and definitions are those of [1]_ and of the authors' program "Shape
    Metrics" [2]_, which differ in places. Center: the center of mass, as in [2]_, where [1]_ has
    the point of least mean distance. Cohesion: mean distance, as in [2]_; the mean *squared*
    distance of all pairs is twice that from the center, so that it would repeat spin. Dispersion:
    as in [2]_, along the outline by length, holes left out. Which seven of the ten measures the
    paper that we follow has used is known by name only.

    The first use on a machine compiles for a quarter of a minute (`shape_kernels`). Cells are
    shared out over the processor's cores; memory: the bounding box of one cell for each.

    References
    ----------
    .. [1] Angel, Parent and Civco (2010), Ten compactness properties of circles, The Canadian
       Geographer 54:441, doi:10.1111/j.1541-0064.2009.00304.x.
    .. [2] Parent, Civco and Angel (2009), Shape Metrics,
       http://clear.uconn.edu/tools/Shape_Metrics/method.htm
    """
    labels, nuclei = np.asarray(labels), None if nuclei is None else np.asarray(nuclei)
    _check(labels, pixel_size_um, nuclei)
    table = shapes_in_boxes(labels, *label_boxes(labels, _TILE), pixel_size_um)
    if nuclei is not None:
        nucleus_px = table.index.map(_nucleus_pixels(labels, nuclei)).to_numpy(np.float64)
        table["nucleus_area_um2"] = nucleus_px * pixel_size_um**2
        table["nucleus_to_cell_ratio"] = table["nucleus_area_um2"] / table["area_um2"]
    return table


def shapes_in_boxes(
    labels: Array, numbers: Array, boxes: Array, pixel_size_um: float
) -> pd.DataFrame:
    """`shape_features` of cells whose bounding boxes are known, without nuclei.

    Parameters
    ----------
    labels : (Y, X) integer array
    numbers : (N,) int array
        Of the cells to measure; others are passed over.
    boxes : (N, 4) int array
        y0, x0, y1, x1 of each, the last two just outside.
    pixel_size_um : float
        Side of a pixel, micrometers.

    Returns
    -------
    DataFrame
        N rows, index `label`, in the order given; the two columns of nuclei are NaN.
    """
    threads = processors()
    with ThreadPoolExecutor(threads) as pool:
        shares = np.array_split(np.arange(len(numbers)), threads)
        rows = pool.map(lambda share: _measured(labels, numbers[share], boxes[share]), shares)
    raw = np.concatenate(list(rows))
    area, perimeter, aspect, distance, squared, dispersion, depth, girth, hull, pairs = raw.T
    r = np.sqrt(area / math.pi)
    table = pd.DataFrame(
        {
            "area_um2": area * pixel_size_um**2,
            "perimeter_um": perimeter * pixel_size_um,
            "aspect_ratio": aspect,
            "nucleus_area_um2": np.nan,
            "nucleus_to_cell_ratio": np.nan,
            "proximity": 2 / 3 * r / distance,
            "spin": r**2 / 2 / squared,
            "dispersion": dispersion,
            "cohesion": _DISC_PAIRS * r / pairs,
            "depth": depth / (r / 3),
            "girth": girth / r,
            "detour": 2 * math.pi * r / hull,
        },
        index=pd.Index(numbers, name="label", dtype=np.int64),
        columns=list(SHAPE_FEATURES),
    )
    compact = list(SHAPE_FEATURES[5:])
    table[compact] = table[compact].clip(upper=1.0)
    return table


def _measured(labels: Array, numbers: Array, boxes: Array) -> Array:
    """(N, 10) sizes and distances in pixels; other threads run while one cell is measured."""
    from .shape_kernels import measure_mask
    from .shape_pairs import mean_pair_distance

    found = np.empty((len(numbers), 10))
    cells = zip(found, numbers.tolist(), boxes.tolist(), strict=True)
    for row, number, (y0, x0, y1, x1) in cells:
        mask = np.zeros((y1 - y0 + 2, x1 - x0 + 2), np.bool_)  # with background on each side
        np.equal(labels[y0:y1, x0:x1], number, out=mask[1:-1, 1:-1])
        row[:] = (*measure_mask(mask), mean_pair_distance(mask))
    return found


def _check(labels: Array, pixel_size_um: float, nuclei: Array | None) -> None:
    known = isinstance(pixel_size_um, int | float | np.number)
    if not (known and math.isfinite(pixel_size_um) and pixel_size_um > 0):
        raise InputError(
            f"the pixel size is {pixel_size_um}, and shapes are measured in micrometers",
            "give pixel_size_um, on the command line --pixel-size",
        )
    for what, array in (("labels", labels), ("nuclei", nuclei)):
        if array is None:
            continue
        if array.ndim != 2 or array.dtype.kind not in "ui":
            raise InputError(
                f"{what} are {array.dtype} of shape {array.shape}", "give (Y, X) integers"
            )
        if array.shape != labels.shape:
            raise InputError(
                f"labels are {labels.shape}, {what} {array.shape}", "give them for one image"
            )


def _nucleus_pixels(labels: Array, nuclei: Array) -> dict[int, float]:
    """Pixels of the nuclei of each cell that has one."""
    pixels: dict[int, float] = {}
    numbers, boxes = label_boxes(nuclei, _TILE)
    for nucleus, (y0, x0, y1, x1) in zip(numbers.tolist(), boxes.tolist(), strict=True):
        inside = nuclei[y0:y1, x0:x1] == nucleus
        cells, counts = np.unique(labels[y0:y1, x0:x1][inside], return_counts=True)
        counts[cells == 0] = 0
        if counts.any():
            cell = int(cells[counts.argmax()])
            pixels[cell] = pixels.get(cell, 0.0) + float(inside.sum())
    return pixels
