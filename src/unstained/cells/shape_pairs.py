"""Mean distance between all pairs of points of one mask, as machine code; import it late."""

from __future__ import annotations

import math

import numpy as np

from ..images.image import Array
from ..learning.machine_code import machine_code

__all__ = ["mean_pair_distance"]

_SQUARE = 0.521405  # of two points in a square of side 1: (2 + sqrt 2 + 5 asinh 1) / 15

_MOST_RUNS = 8192  # their pairs take a tenth of a second


@machine_code
def _runs(mask: Array) -> tuple[Array, Array]:
    """(R, 2) first column of each run of pixels in a row, and the one behind it; (Y + 1,).

    The runs of row y are ``runs[first[y] : first[y + 1]]``.
    """
    height, width = mask.shape
    first = np.zeros(height + 1, np.int64)
    for y in range(height):
        first[y + 1] = first[y]
        for x in range(1, width):
            first[y + 1] += mask[y, x] and not mask[y, x - 1]
    runs = np.empty((first[-1], 2), np.int64)
    for y in range(height):
        n = first[y]
        for x in range(1, width):
            if mask[y, x] and not mask[y, x - 1]:
                runs[n, 0] = x
            elif mask[y, x - 1] and not mask[y, x]:
                runs[n, 1] = x
                n += 1
    return runs, first


def mean_pair_distance(mask: Array) -> float:
    """Mean distance between all pairs of points of a mask, pixels.

    Exact but for masks of more than some eight thousand runs of pixels, as holes all over a
    large one make: of these every second pixel of every second row is taken, again and again.

    Parameters
    ----------
    mask : (Y, X) bool array
        With a border of False, and a pixel within.
    """
    if len(mask) > mask.shape[1]:
        mask = np.ascontiguousarray(mask.T)  # long runs are few
    side = 1
    while np.count_nonzero(mask[:, 1:] > mask[:, :-1]) > _MOST_RUNS:
        parts = [mask[y::2, x::2] for y in (0, 1) for x in (0, 1)]
        mask = np.pad(max(parts, key=np.count_nonzero), 1)
        side *= 2
    return float(side * _mean_pair_distance(mask))


@machine_code
def _mean_pair_distance(mask: Array) -> float:
    """The same, exact.

    Between the squares of two pixels that lie (dy, dx) apart the mean distance is
    d + 1 / (12 d) + ..., for which f(dx) = sqrt(dy^2 + dx^2 + 1/6) stands; within one pixel it is
    0.5214. Summed over the pixels of a run [a, b) in one row and a run [c, d) in the other, f is
    G(d - a) - G(c - a) + G(c - b) - G(d - b), where G is even, with f for its second difference.
    """
    runs, first = _runs(mask)
    height, width = mask.shape
    summed = np.zeros(width + 1, np.float64)  # G; 0 at 0
    total = 0.0
    for dy in range(height):
        step = 0.5 * (_SQUARE if dy == 0 else math.sqrt(dy * dy + 1 / 6))
        for dx in range(1, width + 1):
            summed[dx] = summed[dx - 1] + step
            step += math.sqrt(dy * dy + dx * dx + 1 / 6)
        rows = 0.0
        for y in range(height - dy):
            for i in range(first[y], first[y + 1]):
                a, b = runs[i]
                for k in range(first[y + dy], first[y + dy + 1]):
                    c, d = runs[k]
                    rows += summed[abs(d - a)] - summed[abs(c - a)]
                    rows += summed[abs(c - b)] - summed[abs(d - b)]
        total += rows if dy == 0 else 2 * rows  # each of the two rows may be the upper one
    area = (runs[:, 1] - runs[:, 0]).sum()
    return float(total / area**2)
