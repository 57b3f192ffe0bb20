"""From grey values to what a network sees, and back to the stain's own units."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, InputError

__all__ = [
    "PER_IMAGE",
    "MarkerSpec",
    "Normalization",
    "Statistics",
    "fit_normalization",
    "measure_statistics",
    "normalize",
]

Floats = NDArray[np.float32]
Pixels = np.ndarray[Any, Any]  # (P, pixels)
ReadPlanes = Callable[[slice, slice], np.ndarray[Any, Any]]  # (y, x) -> (P, Y, X)

_BLOCK = 256  # side of the blocks that statistics are measured on
_CONTRAST = 0.1  # of the background: cells in phase contrast differ from it by some 10 %
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

    def __post_init__(self) -> None:
        if not self.scale > 0 or not re.fullmatch("[0-9A-Fa-f]{6}", self.color):
            raise InputError(
                f"marker {self.name} has the scale {self.scale} and the color {self.color!r}",
                "give a scale above 0 and a color as 00FF00",
            )


@dataclass(frozen=True)
class Statistics:
    """Median and standard deviation of each label-free plane; (P,) tuples, grey values."""

    offset: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True)
class Normalization:
    """How label-free planes are brought to a common scale.

    Attributes
    ----------
    way : {"image", "background", "dataset"}
        ``image``: median 0 and standard deviation 1 in each image. ``background``: the plane over
        its own median, the light without cells, less 1, in tenths; another lamp or exposure
        changes nothing, and how many cells an image shows changes nothing either. ``dataset``:
        the same shift and scale for all images.
    training : Statistics or None
        Of the training images, for ``dataset``.
    """

    way: str = "image"
    training: Statistics | None = None

    def __post_init__(self) -> None:
        if self.way not in ("image", "background", "dataset"):
            raise InputError(f"normalization is {self.way!r}", "choose image, background, dataset")
        if (self.way == "dataset") != (self.training is not None):
            raise InputError(
                f"normalization {self.way!r} with training statistics {self.training}",
                "give them for dataset, and for it alone",
            )

    def of(self, read_planes: ReadPlanes, shape_yx: tuple[int, int]) -> Statistics:
        """What to normalize an image with; reads at most some 4 megapixels of it.

        Parameters
        ----------
        read_planes : callable
            ``read_planes(rows, columns)`` gives a (P, y, x) block.
        shape_yx : (int, int)

        Raises
        ------
        DataError
            A plane is constant (for ``dataset``: all are), or has no light to divide by.
        """
        if self.training is not None:
            _refuse_constant(_blocks(read_planes, shape_yx))
            return self.training
        own = measure_statistics(read_planes, shape_yx)
        if self.way == "image":
            return own
        for plane, light in enumerate(own.offset):
            if not light > 0:
                raise DataError(
                    f"label-free plane {plane} has a background of {light:g}, and the model takes "
                    "grey values in parts of the background",
                    "give the image as the camera took it, or train with "
                    "`--set normalization=image`",
                )
        return Statistics(own.offset, tuple(_CONTRAST * light for light in own.offset))


PER_IMAGE = Normalization()


def fit_normalization(way: str, images: Sequence[np.ndarray[Any, Any]]) -> Normalization:
    """Choose between the ways, or measure for one, on (P, Y, X) training images.

    ``auto`` is ``background`` where the background is bright (above 2 standard deviations in each
    plane of each image, as under transmitted light), else ``image``.
    """
    flat = [image.reshape(len(image), -1) for image in images]  # (P, Y, X) -> (P, Y * X)
    if way == "auto":
        bright = all(
            (np.median(x, axis=1) > 2 * x.std(axis=1, dtype=np.float64)).all() for x in flat
        )
        way = "background" if bright else "image"
    return Normalization(way, _statistics(flat) if way == "dataset" else None)


def measure_statistics(read_planes: ReadPlanes, shape_yx: tuple[int, int]) -> Statistics:
    """Measure an image on a regular grid of blocks, so that its size does not matter.

    Images of up to 2048 x 2048 pixels are measured whole. Equal for a tiled and a whole
    prediction, since it is taken once per image.

    Raises
    ------
    DataError
        A plane is constant.
    """
    return _statistics(list(_blocks(read_planes, shape_yx)))


def normalize(planes: np.ndarray[Any, Any], statistics: Statistics) -> Floats:
    """(..., P, Y, X) grey values to float32 of median 0 and standard deviation 1 per plane."""
    offset = np.array(statistics.offset, np.float32)[:, None, None]
    scale = np.array(statistics.scale, np.float32)[:, None, None]
    out = planes.astype(np.float32)
    out -= offset
    out /= scale
    return out


def _blocks(read_planes: ReadPlanes, shape_yx: tuple[int, int]) -> Iterator[Pixels]:
    """(P, pixels) of each block of a regular grid."""
    starts = [_starts(length) for length in shape_yx]
    for y in starts[0]:
        for x in starts[1]:
            block = np.asarray(read_planes(slice(y, y + _BLOCK), slice(x, x + _BLOCK)))
            yield block.reshape(len(block), -1)


def _refuse_constant(blocks: Iterable[Pixels]) -> None:
    values: set[float] = set()
    for block in blocks:
        low, high = float(block.min()), float(block.max())
        values |= {low, high}
        if len(values) > 1:
            return
    raise DataError(f"is constant at {values.pop():g}", "export the image again")


def _starts(length: int) -> list[int]:
    if length <= _BLOCK * _BLOCKS:
        return list(range(0, length, _BLOCK))
    return [int(s) for s in np.linspace(0, length - _BLOCK, _BLOCKS)]


def _statistics(blocks: Sequence[Pixels]) -> Statistics:
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
