"""Coarser levels of an image, computed block by block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from .image import Array

__all__ = ["Shrunk", "block_mean", "every_nth", "fill"]

_BLOCK_PX = 1024
"""Side of the blocks in which coarser levels are computed."""

Read = Callable[[int, int, int, slice, slice], Any]


def fill(target: zarr.Array[Any], read: Read) -> None:
    """Fill an array shard by shard, or by a few chunks where it has no shards."""
    sides = target.shards or target.chunks
    high, wide = (max(side, _BLOCK_PX // side * side) for side in sides[-2:])
    n_t, n_c, n_z, height, width = target.shape
    for t, c, z in np.ndindex(n_t, n_c, n_z):
        for top in range(0, height, high):
            for left in range(0, width, wide):
                y, x = slice(top, min(top + high, height)), slice(left, min(left + wide, width))
                target[t, c, z, y, x] = np.asarray(read(t, c, z, y, x))


@dataclass(frozen=True)
class Shrunk:
    """Reads blocks of the next coarser level; holds one small block of the finer at a time."""

    source: zarr.Array[Any]
    factor: int
    reduce: Callable[[Array, int], Array]

    def __call__(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        f = self.factor
        out = np.empty((y.stop - y.start, x.stop - x.start), self.source.dtype)
        for top in range(y.start, y.stop, _BLOCK_PX):
            for left in range(x.start, x.stop, _BLOCK_PX):
                down, right = min(top + _BLOCK_PX, y.stop), min(left + _BLOCK_PX, x.stop)
                fine = np.asarray(self.source[t, c, z, top * f : down * f, left * f : right * f])
                rows = slice(top - y.start, down - y.start)
                columns = slice(left - x.start, right - x.start)
                out[rows, columns] = self.reduce(fine, f)
        return out


def block_mean(fine: Array, factor: int) -> Array:
    """Mean of `factor` x `factor` blocks, rounded for integers; at the far edges of what is there.

    Parameters
    ----------
    fine : (Y, X) array
    factor : int

    Returns
    -------
    (ceil(Y / factor), ceil(X / factor)) array of the same type
    """
    height, width = fine.shape
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    exact = np.float64 if fine.dtype.itemsize > 2 and fine.dtype != np.float32 else np.float32
    if height % factor == 0 and width % factor == 0:
        # (Y, X) -> (Y / f, f, X / f, f)
        split = fine.reshape(len(rows), factor, len(columns), factor)
        mean = split.mean((1, 3), dtype=exact)
    else:
        total = np.add.reduceat(np.add.reduceat(fine.astype(exact), rows, 0), columns, 1)
        counts = np.outer(np.minimum(height - rows, factor), np.minimum(width - columns, factor))
        mean = total / counts
    if fine.dtype.kind in "ui":
        mean = np.rint(mean)
    return np.asarray(mean.astype(fine.dtype))


def every_nth(fine: Array, factor: int) -> Array:
    """Each `factor`-th pixel: no label appears that is not there."""
    return fine[::factor, ::factor]
