"""Local Shannon entropy: how mixed the grey values around each pixel are."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from ..errors import InputError
from ..images.image import Array
from ..learning.machine_code import machine_code, processors

__all__ = ["local_entropy"]


LARGEST_RADIUS_PX = 100

_ONE = 2.0**36
"""Fixed point of the sums: integers do not drift, and those of 31,417 pixels fit into 64 bits."""

_SIGNATURE = (
    "void(uint8[:, ::1], float32[:, ::1], int64[::1], int64[::1], int64[::1], int64, int64)"
)


def local_entropy(image_uint8: Array, radius: int = 3, *, threads: int | None = None) -> Array:
    """Entropy of the grey values in a disk around each pixel.

    H = -sum_v p_v log2 p_v = (N log2 N - sum_v n_v log2 n_v) / N, where n_v of the N pixels of
    the disk dy^2 + dx^2 <= radius^2 that lie inside the image have the value v. From a pixel to
    its right neighbor 2 (2 radius + 1) pixels change, and the sum changes with each by a number
    from a table.

    Parameters
    ----------
    image_uint8 : (Y, X) uint8 array
    radius : int
        Of the disk, 1 to 100 pixels.
    threads : int, optional
        Rows are shared out over so many; all cores where not given. The result is the same.

    Returns
    -------
    (Y, X) float32 array
        Bits, from 0 (one value) to log2 of the smaller of N and 256.

    Raises
    ------
    InputError
        Not a (Y, X) image of 8 bits, or a radius out of range.

    Notes
    -----
    Equal to ``skimage.filters.rank.entropy(image, disk(radius))``. The first call of a process
    loads or compiles its inner loop. May be called from several threads.

    References
    ----------
    .. [1] Huang, Yang and Tang (1979), IEEE Trans Acoust 27:13: the running histogram.
    """
    image = np.ascontiguousarray(image_uint8)
    if image.ndim != 2 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(
            f"entropy of a {image.dtype} image of shape {image.shape}",
            "give one (Y, X) plane of uint8",
        )
    if not 1 <= radius <= LARGEST_RADIUS_PX:
        raise InputError(f"a radius of {radius} px", f"give 1 to {LARGEST_RADIUS_PX}")
    entropy = np.empty(image.shape, np.float32)
    offsets = np.arange(-radius, radius + 1)
    reach = np.sqrt(radius**2 - offsets**2).astype(np.int64)  # columns to each side, by row
    count = np.arange(int((2 * reach + 1).sum()) + 2)
    weight = np.round(count * np.log2(np.maximum(count, 1)) * _ONE).astype(np.int64)  # n log2 n
    gain = np.diff(weight)  # of the sum, from n to n + 1 pixels of a value
    threads = max(1, threads or processors())
    edges = np.linspace(0, image.shape[0], 4 * threads + 1).astype(int)  # evens out slow threads
    rows = _compiled()
    with ThreadPoolExecutor(threads) as pool:
        bands = [
            pool.submit(rows, image, entropy, reach, weight, gain, first, stop)
            for first, stop in pairwise(edges)
        ]
    for band in bands:
        band.result()
    return entropy


@cache
def _compiled() -> Callable[..., None]:
    return machine_code(_entropy_rows, _SIGNATURE)


def _entropy_rows(
    image: Array, entropy: Array, reach: Array, weight: Array, gain: Array, first: int, stop: int
) -> None:
    """Rows `first` to `stop` of the entropy; compiled by numba."""
    height, width = image.shape
    radius = reach.size // 2
    counts = np.zeros(256, np.uint32)  # unsigned: no test for indices below 0
    for y in range(first, stop):
        top, bottom = max(0, y - radius), min(height, y + radius + 1)
        counts[:] = 0
        total = 0  # pixels in the disk
        weighted = 0  # sum of n log2 n over the values
        for row in range(top, bottom):  # the disk around column -1
            for x in range(min(width, reach[row - y + radius])):
                value = image[row, x]
                weighted += gain[counts[value]]
                counts[value] += 1
                total += 1
        for x in range(width):
            if radius < x < width - radius:  # most pixels: all that enter and leave are inside
                for row in range(top, bottom):
                    side = reach[row - y + radius]
                    value = image[row, x + side]
                    weighted += gain[counts[value]]
                    counts[value] += 1
                    value = image[row, x - side - 1]
                    counts[value] -= 1
                    weighted -= gain[counts[value]]
            else:
                for row in range(top, bottom):
                    side = reach[row - y + radius]
                    if x + side < width:
                        value = image[row, x + side]
                        weighted += gain[counts[value]]
                        counts[value] += 1
                        total += 1
                    if x - side > 0:
                        value = image[row, x - side - 1]
                        counts[value] -= 1
                        weighted -= gain[counts[value]]
                        total -= 1
            entropy[y, x] = (weight[total] - weighted) / (total * _ONE)
