"""How much stain there is: sums over blocks of pixels, over cells, over single-cell images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..images.image import Array

__all__ = ["CellTotals", "block_sums", "label_totals", "tile_total"]


class CellTotals(NamedTuple):
    """Total stain of each label, background subtracted."""

    label: Array  # (K,) int, ascending
    total: Array  # (K,) float64


def block_sums(image: npt.ArrayLike, block_px: int = 32) -> Array:
    """Sums over whole blocks of block_px x block_px, (Y // block_px, X // block_px) float64.

    The rest at the lower and right edge, smaller than a block, is left out: its sums would not
    compare with the others. 16-bit values are summed in float64.
    """
    x = np.asarray(image, dtype=np.float64)
    rows, columns = x.shape[0] // block_px, x.shape[1] // block_px
    whole = x[: rows * block_px, : columns * block_px]
    # (Y, X) -> (rows, block, columns, block)
    return np.asarray(whole.reshape(rows, block_px, columns, block_px).sum(axis=(1, 3)))


def tile_total(tile: npt.ArrayLike) -> float:
    """Total stain of a single-cell image (Y, X): sum less Y X times the border's median.

    The border is the outermost row and column on each side, which the cell seldom reaches.
    """
    x = np.asarray(tile, dtype=np.float64)
    border = np.concatenate([x[0], x[-1], x[1:-1, 0], x[1:-1, -1]])
    return float(x.sum() - x.size * np.median(border))


def label_totals(image: npt.ArrayLike, labels: npt.ArrayLike) -> CellTotals:
    """Total stain of each cell: sum over its pixels less the background's median.

    Background is label 0; where every pixel is a cell it is taken as 0.

    Parameters
    ----------
    image : (Y, X) array
        Stain, measured or predicted.
    labels : (Y, X) int array
        Cell of each pixel; 0 is background.

    Raises
    ------
    DataError
        Shapes differ.
    """
    x, cells = np.asarray(image, dtype=np.float64), np.asarray(labels)
    if x.shape != cells.shape:
        raise DataError(
            f"the stain has shape {x.shape}, its labels {cells.shape}",
            "give labels drawn on this image",
        )
    background = float(np.median(x[cells == 0])) if (cells == 0).any() else 0.0
    inside = cells > 0
    label, cell = np.unique(cells[inside], return_inverse=True)
    total = np.bincount(cell, weights=x[inside] - background, minlength=label.size)
    return CellTotals(label, total)
