"""From grey values to what a network sees, and back to the stain's own units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError

__all__ = ["MarkerSpec", "Statistics", "measure_statistics", "normalize", "pooled_statistics"]

Floats = NDArray[np.float32]
ReadPlanes = Callable[[slice, slice], np.ndarray[Any, Any]]  # (y, x) -> (P, Y, X)

_BLOCK = 256  # side of the blocks that statistics are measured on
_BLOCKS = 8  # at most so many along each axis: 4 megapixels of any image


@dataclass(frozen=True)
class MarkerSpec:
    """One stain of a panel: measured = offset + scale * network output.

    `color` is an RGB hex string without ``#``.
    """

    name: str
    offset: float
    scale: float
    color: str


@dataclass(frozen=True)
class Statistics:
    """Median and standard deviation of each label-free plane; (P,) tuples, grey values."""

    offset: tuple[float, ...]
    scale: tuple[float, ...]


def measure_statistics(read_planes: ReadPlanes, shape_yx: tuple[int, int]) -> Statistics:
    """Measure an image on a regular grid of blocks, so that its size does not matter.

    Images of up to 2048 x 2048 pixels are measured whole. Equal for a tiled and a whole
    prediction, since it is taken once per image.

    Raises
    ------
    DataError
        A plane is constant.
    """
    starts = [_starts(length) for length in shape_yx]
    blocks = [
        np.asarray(read_planes(slice(y, y + _BLOCK), slice(x, x + _BLOCK)))
        for y in starts[0]
        for x in starts[1]
    ]
    return _statistics([b.reshape(len(b), -1) for b in blocks])  # (P, Y, X) -> (P, Y * X)


def pooled_statistics(images: Sequence[np.ndarray[Any, Any]]) -> Statistics:
    """Measure many (P, Y, X) images together."""
    return _statistics([image.reshape(len(image), -1) for image in images])


def normalize(planes: np.ndarray[Any, Any], statistics: Statistics) -> Floats:
    """(..., P, Y, X) grey values to float32 of median 0 and standard deviation 1 per plane."""
    offset = np.array(statistics.offset, np.float32)[:, None, None]
    scale = np.array(statistics.scale, np.float32)[:, None, None]
    out = planes.astype(np.float32)
    out -= offset
    out /= scale
    return out


def _starts(length: int) -> list[int]:
    if length <= _BLOCK * _BLOCKS:
        return list(range(0, length, _BLOCK))
    return [int(s) for s in np.linspace(0, length - _BLOCK, _BLOCKS)]


def _statistics(blocks: Sequence[np.ndarray[Any, Any]]) -> Statistics:
    offset, scale = [], []
    for plane in range(len(blocks[0])):
        values = np.concatenate([block[plane] for block in blocks])
        offset.append(float(np.median(values)))
        scale.append(float(np.std(values, dtype=np.float64)))
        if not scale[-1] > 0:
            raise DataError(
                f"label-free plane {plane} is constant at {offset[-1]:g}",
                "leave the plane out, or export the image again",
            )
    return Statistics(tuple(offset), tuple(scale))
