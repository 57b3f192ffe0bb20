"""One scale for the grey values of all images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..images.image import LazyArray

__all__ = [
    "BlankImage",
    "Limits",
    "Statistics",
    "measure_limits",
    "measure_statistics",
    "normalize",
]

_LARGEST = 2048  # sides beyond are thinned out evenly


class BlankImage(DataError):
    """An image without contrast: a frame of a movie in which the light was off, say."""


class Statistics(NamedTuple):
    """Median and standard deviation of an image, grey values."""

    offset: float
    scale: float


class Limits(NamedTuple):
    """Grey values that become 0 and 1."""

    low: float
    high: float


def measure_statistics(image: LazyArray) -> Statistics:
    """Measure a (Y, X) image once, for all its tiles.

    Of an image of more than 2048 pixels a side, every so many-th row and column is read.

    Raises
    ------
    BlankImage
        The image is constant.
    DataError
        It has values that are not finite.
    """
    values = _thinned(image)
    scale = float(values.std())
    if not scale > 0:
        raise BlankImage(
            f"the image is constant at {values.flat[0]:g}: there are no cells to be seen",
            "export the image again, or leave it out",
        )
    return Statistics(float(np.median(values)), scale)


def measure_limits(image: LazyArray, percentiles: tuple[float, float]) -> Limits:
    """Percentiles of a (Y, X) image, measured once for all its tiles; read as above.

    Raises
    ------
    DataError
        It has values that are not finite.
    """
    low, high = np.percentile(_thinned(image), percentiles)
    return Limits(float(low), float(high))


def normalize(image: NDArray[np.generic], statistics: Statistics) -> NDArray[np.float32]:
    """(..., Y, X) grey values to float32 of median 0 and standard deviation 1.

    Raises
    ------
    DataError
        A value is not finite.
    """
    out = image.astype(np.float32)
    _check_finite(out)
    out -= np.float32(statistics.offset)
    out /= np.float32(statistics.scale)
    return out


def _thinned(image: LazyArray) -> NDArray[np.float64]:
    """Every so many-th row and column, so that no side has more than 2048."""
    y, x = (max(1, -(-n // _LARGEST)) for n in image.shape[-2:])
    values = np.asarray(image[::y, ::x]).astype(np.float64)
    _check_finite(values)
    return values


def _check_finite(values: NDArray[np.floating]) -> None:
    if not np.isfinite(values).all():
        raise DataError("the image has values that are not finite", "export the image again")
