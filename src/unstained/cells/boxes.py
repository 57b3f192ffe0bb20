"""Where labels lie in an image that is read tile by tile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import DataError
from ..images.image import Array

__all__ = ["Box", "Plane", "label_boxes", "nucleus_pixels", "tiles_of"]


_LARGEST = int(np.iinfo(np.int64).max)  # of a label


class Plane(Protocol):
    """A (Y, X) array, in memory or read where it is indexed."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def __getitem__(self, index: Any) -> Any: ...


class Box(NamedTuple):
    """Rows and columns [y0, y1) x [x0, x1)."""

    y0: int
    x0: int
    y1: int
    x1: int

    def of(self, plane: Plane) -> Array:
        return np.asarray(plane[self.y0 : self.y1, self.x0 : self.x1])


def tiles_of(shape: tuple[int, ...], side: int) -> Iterator[Box]:
    height, width = shape
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield Box(y, x, min(y + side, height), min(x + side, width))


def label_boxes(labels: Plane, side: int) -> tuple[Array, Array]:
    """Labels, (N,) ascending, and their bounding boxes, (N, 4) as y0, x0, y1, x1.

    Found from the ends of the runs of equal pixels in each row, of which there are few.

    Raises
    ------
    DataError
        A label is below 0 or above 2^63 - 1.
    """
    found = [np.zeros((0, 5), np.int64)]
    for tile in tiles_of(labels.shape, side):
        block = tile.of(labels)
        if block.min() < 0:
            raise DataError(f"a label is {block.min()}", "number the cells from 1; 0 is background")
        if block.max() > _LARGEST:
            raise DataError(
                f"a label is {block.max()}", f"number the cells from 1 to {_LARGEST} at most"
            )
        y, begin, end = _runs(block[:, 1:] != block[:, :-1])
        number = block[y, begin].astype(np.int64)
        runs = np.column_stack(
            [number, y + tile.y0, begin + tile.x0, y + tile.y0 + 1, end + tile.x0]
        )
        found.append(_merged(runs[number > 0]))
    every = _merged(np.concatenate(found))
    return every[:, 0], every[:, 1:]


def nucleus_pixels(labels: Plane, nuclei: Plane, wanted: Array, side: int) -> Array:
    """Pixels of the nuclei of each cell, read tile by tile; as `shape_features` counts them.

    A nucleus belongs to the cell that holds most of its pixels, of equal ones to the lower number,
    and all its pixels count.

    Parameters
    ----------
    labels, nuclei : (Y, X) int arrays
    wanted : (N,) int array
        Labels, ascending, all there are.
    side : int
        Of the tiles, pixels.

    Returns
    -------
    (N,) float64 array
        NaN where a cell has no nucleus.
    """
    found = [np.zeros((0, 3), np.int64)]  # nucleus, cell (0: none), pixels
    for tile in tiles_of(labels.shape, side):
        cell, nucleus = tile.of(labels), tile.of(nuclei)
        change = (cell[:, 1:] != cell[:, :-1]) | (nucleus[:, 1:] != nucleus[:, :-1])
        y, begin, end = _runs(change)
        runs = np.column_stack([nucleus[y, begin], cell[y, begin], end - begin]).astype(np.int64)
        found.append(_summed(runs[runs[:, 0] > 0]))
    shared = _summed(np.concatenate(found))
    out = np.full(wanted.size, np.nan)
    if not len(shared):
        return out
    start = np.flatnonzero(np.diff(shared[:, 0], prepend=-1))
    whole = np.add.reduceat(shared[:, 2], start)
    # most pixels in a cell first; what lies in no cell last
    in_cell = np.where(shared[:, 1] > 0, shared[:, 2], 0)
    order = np.lexsort((shared[:, 1], -in_cell, shared[:, 0]))
    owner = np.where(in_cell[order[start]] > 0, shared[order[start], 1], 0)
    owned = owner > 0
    at = np.searchsorted(wanted, owner[owned])
    sums = np.bincount(at, weights=whole[owned], minlength=wanted.size)
    out[sums > 0] = sums[sums > 0]
    return out


def _runs(change: Array) -> tuple[Array, Array, Array]:
    """Row, first column and column behind the last of the runs of equal pixels.

    `change`, (Y, X - 1) bool, says where a pixel differs from the one left of it.
    """
    edge = np.ones((change.shape[0], change.shape[1] + 2), bool)
    edge[:, 1:-1] = change
    y, begin = np.nonzero(edge[:, :-1])
    _, end = np.nonzero(edge[:, 1:])
    return y, begin, end + 1


def _summed(rows: Array) -> Array:
    """Rows of (nucleus, cell, pixels), those of equal nucleus and cell added; sorted."""
    if not len(rows):
        return rows
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    new = np.flatnonzero((np.diff(rows[:, :2], axis=0, prepend=-1) != 0).any(axis=1))
    return np.column_stack([rows[new, :2], np.add.reduceat(rows[:, 2], new)])


def _merged(rows: Array) -> Array:
    """One row a label of (label, y0, x0, y1, x1): the box around all its boxes."""
    if not len(rows):
        return rows
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    start = np.flatnonzero(np.diff(rows[:, 0], prepend=-1))
    low = np.minimum.reduceat(rows[:, 1:3], start)
    high = np.maximum.reduceat(rows[:, 3:], start)
    return np.column_stack([rows[start, 0], low, high])
