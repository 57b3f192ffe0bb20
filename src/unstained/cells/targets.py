"""The maps that a network learns to draw from labels, and what becomes of its outputs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["BORDER", "HEIGHT", "INTERIOR", "NUCLEI", "NUCLEUS", "maps_of_outputs", "target_maps"]

INTERIOR, HEIGHT, NUCLEI = 0, 1, 2
"""Places of the maps; nuclei only where they are taught."""
BORDER = -1
"""Place of the border among the targets; no output, it weighs the others."""

NUCLEUS = 0.5
"""Probability from which on a pixel belongs to a nucleus."""

_NEAR = 3  # px between two cells that count as touching

Floats = NDArray[np.float32]


def target_maps(labels: NDArray[np.int32], nuclei: Floats | None = None) -> Floats:
    """Draw what is to be learned.

    ``interior`` is 1 in cells. ``height`` is, with d the distance (pixels) of a pixel's center to
    the nearest pixel of its cell that has another label beside it, plus 1,

        h = d / max(d) over the cell,

    so that each cell, thick or thin, has its highest points at 1 and falls to its border: one
    number tells peaks from saddles in cells of all sizes, and enlarging an image leaves h as it
    is. Where a cell leaves the image it has no border. Of a cell in several pieces, max(d) is
    the largest of all. ``border`` is 1 where two cells lie within 3 px.

    Parameters
    ----------
    labels : (Y, X) int32 array
        0 is background.
    nuclei : (Y, X) float32 array, optional
        1 in nuclei, else 0; NaN where that is not known.

    Returns
    -------
    (3, Y, X) or (4, Y, X) float32 array
        ``interior, height, [nuclei,] border``, each 0 to 1.
    """
    inside = labels > 0
    edge = np.zeros(labels.shape, bool)
    edge[1:] |= labels[1:] != labels[:-1]
    edge[:-1] |= labels[1:] != labels[:-1]
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    height = _distance(~(edge & inside)) + 1
    height[~inside] = 0
    number, cell = np.unique(labels, return_inverse=True)
    deepest = ndimage.maximum(height, cell.reshape(labels.shape), np.arange(number.size))
    height /= np.maximum(deepest, 1).astype(np.float32)[cell.reshape(labels.shape)]
    maps = [inside, height, *([] if nuclei is None else [nuclei]), _touching(labels)]
    return np.stack(maps).astype(np.float32)


def maps_of_outputs(outputs: Floats) -> Floats:
    """(K, Y, X) outputs of the network to maps of 0 to 1: logistic, but for the height."""
    maps = (1 / (1 + np.exp(-np.clip(outputs, -30, 30)))).astype(np.float32)
    maps[HEIGHT] = np.clip(outputs[HEIGHT], 0, 1)
    return maps


def _distance(free: NDArray[np.bool_]) -> Floats:
    """Distance to the nearest pixel that is not free; in an image without any, its diagonal."""
    if free.all():
        return np.full(free.shape, np.hypot(*free.shape), np.float32)
    distance = cv2.distanceTransform(free.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(distance, np.float32)


def _touching(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Where pixels of two cells lie within the window of 2 * 3 + 1 pixels."""
    side = 2 * _NEAR + 1
    none = np.iinfo(np.int32).max
    highest = ndimage.maximum_filter(labels, side)
    lowest = ndimage.minimum_filter(np.where(labels > 0, labels, none), side)
    return np.asarray((highest > 0) & (lowest != highest))
