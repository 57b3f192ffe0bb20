"""Watershed from seeds: the lowest pixel beside a basin is flooded first."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from heapq import heappop, heappush

import numpy as np

from ..errors import InputError
from ..images.image import Array
from ..learning.machine_code import machine_code

__all__ = ["flood"]


def flood(height: Array, seeds: Array, mask: Array | None = None) -> Array:
    """Grow seeds over a landscape until they meet [1]_ [2]_.

    Of all pixels beside a basin (above, below, left, right) the lowest is taken first, of
    equally low ones the one that was reached first; it joins the basin that reached it. There
    are no lines between basins.

    Parameters
    ----------
    height : (Y, X) array
        For cells that are to be split in their necks: minus the distance to the background.
    seeds : (Y, X) integer array
        A number for each basin, 0 elsewhere; seeds outside the mask are ignored.
    mask : (Y, X) bool array, optional
        What may be flooded; everything where not given.

    Returns
    -------
    (Y, X) int32 array
        Numbers of the seeds; 0 outside the mask and where no seed leads to.

    Raises
    ------
    InputError
        The arrays are not one (Y, X) shape, heights inside the mask are not finite, or seeds
        are negative.

    References
    ----------
    .. [1] Meyer (1991), Un algorithme optimal pour la ligne de partage des eaux, RFIA 2:847.
    .. [2] Beucher, Meyer (1993), The morphological approach to segmentation, in: Mathematical
       Morphology in Image Processing, ch. 12.
    """
    allowed = np.ones(height.shape, bool) if mask is None else np.array(mask, bool, order="C")
    if height.ndim != 2 or not height.shape == seeds.shape == allowed.shape:
        raise InputError(
            f"height is {height.shape}, seeds {seeds.shape}, mask {allowed.shape}",
            "give three arrays of one (Y, X) shape",
        )
    if seeds.size and seeds.min() < 0:
        raise InputError(f"seeds go down to {seeds.min()}", "number them from 1")
    level = height.astype(np.float64, order="C")
    if not np.isfinite(level[allowed]).all():
        raise InputError("heights are not finite", "fill them, or leave them out of the mask")
    labels = np.where(allowed, seeds, 0).astype(np.int32, order="C")
    _compiled()(level, labels, allowed)
    return labels


@cache
def _compiled() -> Callable[[Array, Array, Array], None]:
    return machine_code(_flood, "void(float64[:, ::1], int32[:, ::1], boolean[:, ::1])")


def _flood(height: Array, labels: Array, allowed: Array) -> None:
    """Fill `labels` in place; compiled by numba."""
    rows, columns = height.shape
    queue = [(0.0, 0, 0, 0)]  # height, when it was reached, row, column
    queue.pop()  # the list was there to tell its type
    reached = 0
    for y in range(rows):
        for x in range(columns):
            if labels[y, x] > 0:
                heappush(queue, (height[y, x], reached, y, x))
                reached += 1
    while len(queue) > 0:
        _, _, y, x = heappop(queue)
        for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
            v, u = y + dy, x + dx
            inside = 0 <= v < rows and 0 <= u < columns
            if inside and allowed[v, u] and labels[v, u] == 0:
                labels[v, u] = labels[y, x]
                heappush(queue, (height[v, u], reached, v, u))
                reached += 1
