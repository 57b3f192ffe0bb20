"""Another pixel size: linear interpolation on one axis at a time, of any part of an image."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from .image import Array

__all__ = ["SAME_SIZE", "Weights", "axis_weights", "common_pixel_size", "resample"]

SAME_SIZE = 0.01
"""Pixel sizes that differ by less than 1 % are the same: 5 px over a field of 512."""


class Weights(NamedTuple):
    """Output i of a part is ``sum(matrix[i, k] * input[start + k])``."""

    start: int
    stop: int
    matrix: Array  # (outputs, stop - start) float32, rows sum to 1


def axis_weights(first: int, last: int, *, step: float, length: int) -> Weights:
    """Weights for outputs `first` ... `last` - 1 of an axis.

    Output i, of side `step` input pixels, has its center at (i + 1/2) step - 1/2. It is the
    mean of the inputs weighted by a triangle of half-width max(1, step): linear interpolation
    when the picture grows, and no aliasing when it shrinks. At the border the weights that are
    left are raised to a sum of 1.

    Parameters
    ----------
    first, last : int
        Outputs wanted.
    step : float
        Side of an output pixel in input pixels.
    length : int
        Input pixels of the axis.
    """
    center = (np.arange(first, last) + 0.5) * step - 0.5
    reach = max(1.0, step)
    # an output beyond the last input still needs one
    low = np.clip(np.ceil(center - reach), 0, length - 1).astype(int)
    high = np.clip(np.floor(center + reach), 0, length - 1).astype(int) + 1
    start, stop = int(low.min()), int(high.max())
    inputs = np.arange(start, stop)
    center = np.clip(center, 0, length - 1)
    matrix = np.maximum(0, 1 - np.abs(inputs - center[:, None]) / reach)
    matrix /= matrix.sum(axis=1, keepdims=True)
    return Weights(start, stop, matrix.astype(np.float32))


def resample(block: Array, rows: Weights, columns: Weights) -> Array:
    """Apply weights to the (..., Y, X) block that they start at; float32."""
    out: Array = rows.matrix @ block.astype(np.float32, copy=False) @ columns.matrix.T
    return out


def common_pixel_size(sizes_um: Iterable[float | None]) -> float | None:
    """The pixel size of images that are learned from together, micrometers.

    Those of an unknown size, None, are taken to have that of the others.

    Raises
    ------
    DataError
        They differ by more than 1 %.
    """
    sizes = {size for size in sizes_um if size is not None}
    if sizes and max(sizes) > (1 + SAME_SIZE) * min(sizes):
        raise DataError(
            f"images to learn from have pixel sizes from {min(sizes):g} to {max(sizes):g} um",
            "resample them to one pixel size",
        )
    return float(min(sizes)) if sizes else None
