"""From the maps of a network to labels: peaks of the height, flooded inside the interior.

All steps are local. What is done at a pixel depends on the connected patch of interior that
it lies in, and on nothing else of the image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import InputError
from ..images.image import Array
from ..learning.machine_code import machine_code
from .flooding import flood

__all__ = ["PartitionSettings", "partition", "prominent_peaks", "without_small"]

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]


class PartitionSettings(NamedTuple):
    """The thresholds of `partition`, chosen on validation images.

    Attributes
    ----------
    interior : float
        A pixel belongs to a cell where the probability of interior is at least this.
    prominence : float
        A peak of the height is a cell's own where the way to any higher peak goes down by at
        least this; heights are 0 to 1.
    smooth_px : float
        Standard deviation of the Gaussian that the height is smoothed with first, pixels.
    min_area_px : int
        Smaller cells are removed.
    """

    interior: float = 0.5
    prominence: float = 0.15
    smooth_px: float = 2.0
    min_area_px: int = 30


def partition(interior: Floats, height: Floats, settings: PartitionSettings) -> Labels:
    """Cut the interior into cells, one for each prominent peak of the height.

    Parameters
    ----------
    interior : (Y, X) float32 array
        Probability that a pixel is inside a cell.
    height : (Y, X) float32 array
        Highest in the middle of a cell, low at borders between cells.
    settings : PartitionSettings

    Returns
    -------
    (Y, X) int32 array
        0 is background; cells are numbered 1, 2, ... by their peaks in reading order.

    Raises
    ------
    InputError
        The maps are not one (Y, X) shape.
    """
    if interior.ndim != 2 or interior.shape != height.shape:
        raise InputError(
            f"interior is {interior.shape}, height {height.shape}", "give two maps of one (Y, X)"
        )
    mask = interior >= settings.interior
    smooth = ndimage.gaussian_filter(
        height.astype(np.float32, copy=False), settings.smooth_px, mode="nearest", truncate=3.0
    )
    seeds = prominent_peaks(smooth, mask, settings.prominence)
    return without_small(_filled(flood(-smooth, seeds, mask)), settings.min_area_px)


def without_small(labels: Labels, min_area_px: int) -> Labels:
    """Cells of less area become background; the others are numbered 1, 2, ... in their order."""
    kept = np.bincount(labels.ravel()) >= max(min_area_px, 1)
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(numbers[labels], np.int32)


def prominent_peaks(height: Floats, mask: NDArray[np.bool_], prominence: float) -> Labels:
    """Mark the peaks that stand out, one pixel each.

    Pixels are laid down from the highest to the lowest, and joined to what already lies
    beside them (4 neighbors, as in `flood`). Where two hills meet, the lower one ends: its
    prominence is its peak's height less that of the meeting point. It is kept as a peak where
    that is at least `prominence`, and else is part of the higher hill. The highest peak of each
    connected patch of the mask is always kept. This is the h-maximum transform [1]_ with h
    slightly below `prominence`, and one pixel for each maximum.

    Parameters
    ----------
    height : (Y, X) float32 array
    mask : (Y, X) bool array
        Where peaks may be.
    prominence : float

    Returns
    -------
    (Y, X) int32 array
        1, 2, ... at peaks, by reading order; else 0. Of a flat top, its first pixel.

    References
    ----------
    .. [1] Soille (2003), Morphological Image Analysis, doi 10.1007/978-3-662-05088-0, 6.3.4.
    """
    seeds = np.zeros(height.shape, np.int32)
    inside = np.flatnonzero(mask)
    if inside.size:
        heights = np.ascontiguousarray(height, np.float32).ravel()
        # stable: of equal heights the first in reading order comes first, in any tile
        order = inside[np.argsort(-heights[inside], kind="stable")]
        rows, columns = height.shape
        kept = _compiled()(heights, order, rows, columns, prominence)
        seeds.ravel()[kept] = np.arange(1, kept.size + 1)
    return seeds


@cache
def _compiled() -> Callable[[Array, Array, int, int, float], Array]:
    return machine_code(_kept_peaks, "int64[:](float32[::1], int64[::1], int64, int64, float64)")


def _kept_peaks(heights: Array, order: Array, rows: int, columns: int, prominence: float) -> Array:
    """Union-find over pixels in descending order; the root of a hill is its peak. For numba."""
    root = np.full(heights.size, -1, np.int64)
    kept = np.zeros(heights.size, np.bool_)
    for pixel in order:
        root[pixel] = a = pixel  # `a` is the peak of the hill that the pixel belongs to
        y, x = pixel // columns, pixel % columns
        for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
            v, u = y + dy, x + dx
            b = v * columns + u
            if not (0 <= v < rows and 0 <= u < columns) or root[b] < 0:
                continue
            while root[b] != b:
                root[b] = root[root[b]]  # halve the path
                b = root[b]
            if a == b:
                continue
            # the lower peak ends here; of equal ones that which stands later
            if heights[b] > heights[a] or (heights[b] == heights[a] and b < a):
                a, b = b, a
            kept[b] = b != pixel and heights[b] - heights[pixel] >= prominence
            root[b] = a
    for pixel in order:
        if root[pixel] == pixel:
            kept[pixel] = True
    return np.flatnonzero(kept)


def _filled(labels: Labels) -> Labels:
    """Background that one cell surrounds becomes that cell's."""
    out = labels.copy()
    for label, window in enumerate(ndimage.find_objects(labels), start=1):
        filled = ndimage.binary_fill_holes(labels[window] == label)
        out[window][filled & (labels[window] == 0)] = label
    return out
