"""The only way through a large image: aligned tiles, a halo, and only the inner part kept.

A network of total stride `s` sees an image whose sides are multiples of `s`: the image is
reflected at its lower and right border up to the next multiple. Tiles cut that frame. Each
starts at a multiple of `s`, so that pooling cells fall as they do on the whole, and reaches
`halo` pixels beyond what is kept of it, or to the border of the frame, where the network's
own padding acts as it does on the whole. Joined tiles are therefore the whole result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .image import Array

__all__ = ["Tile", "Window", "read_reflected", "round_up", "tile_of", "tiles"]

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Tile:
    """One tile; every slice has a start and a stop.

    Attributes
    ----------
    outer : (slice, slice)
        Rows and columns that the network sees, in the reflected frame.
    inner : (slice, slice)
        What is kept, counted within `outer`.
    paste : (slice, slice)
        Where that belongs in the image.
    """

    outer: Window
    inner: Window
    paste: Window

    @property
    def outer_shape(self) -> tuple[int, int]:
        return self.outer[0].stop - self.outer[0].start, self.outer[1].stop - self.outer[1].start


def round_up(length: int, step: int) -> int:
    """The smallest multiple of `step` that is not below `length`."""
    return -(-length // step) * step


def tiles(
    shape_yx: tuple[int, int], *, tile: int, halo: int, stride: int, align: int | None = None
) -> list[Tile]:
    """Cut an image into tiles that cover each pixel once.

    All tiles of an image have one outer shape, so that an engine compiles one network. An
    image hardly larger than a tile with its halo is a single tile.

    Parameters
    ----------
    shape_yx : (int, int)
        Rows and columns of the image.
    tile : int
        Largest side of the part that is kept, pixels; rounded up to a multiple of `align`.
    halo : int
        Pixels around it that its result depends on; rounded up to a multiple of `stride`.
    stride : int
        The network's total stride.
    align : int, optional
        Kept parts start at multiples of this multiple of `stride`, for example the side of
        a chunk that they are written to; `stride` where not given.

    Returns
    -------
    list of Tile
        Row by row.

    Raises
    ------
    InputError
        A length is not positive, or `align` is no multiple of `stride`.
    """
    align = stride if align is None else align
    if min(*shape_yx, tile, stride, align) < 1 or halo < 0 or align % stride:
        raise InputError(
            f"cannot cut {shape_yx} into tiles of {tile} with a halo of {halo}, stride {stride}, "
            f"aligned to {align}",
            "give positive lengths, and an alignment that is a multiple of the stride",
        )
    halo = round_up(halo, stride)
    rows, columns = (_cut(n, round_up(tile, align), halo, stride, align) for n in shape_yx)
    return [
        Tile((row[0], column[0]), (row[1], column[1]), (row[2], column[2]))
        for row in rows
        for column in columns
    ]


def tile_of(part: Window, shape_yx: tuple[int, int], *, halo: int, stride: int) -> Tile:
    """The tile of one part of an image, wherever it starts; it joins those of `tiles`.

    Parameters
    ----------
    part : (slice, slice)
        Rows and columns that are kept, inside the image.
    shape_yx, halo, stride
        As for `tiles`.
    """
    halo = round_up(halo, stride)
    outer, inner = [], []
    for kept, length in zip(part, shape_yx, strict=True):
        start = max(0, kept.start // stride * stride - halo)
        stop = min(round_up(length, stride), round_up(kept.stop, stride) + halo)
        outer.append(slice(start, stop))
        inner.append(slice(kept.start - start, kept.stop - start))
    return Tile((outer[0], outer[1]), (inner[0], inner[1]), part)


def _cut(
    length: int, tile: int, halo: int, stride: int, align: int
) -> list[tuple[slice, slice, slice]]:
    """Cut one axis: outer, inner and paste slices of each tile."""
    frame = round_up(length, stride)
    if frame <= tile + 2 * halo:
        return [(slice(0, frame), slice(0, length), slice(0, length))]
    count = -(-length // tile)
    tile = round_up(-(-length // count), align)  # even shares: no sliver at the end
    outer = min(frame, tile + 2 * halo)
    cuts = []
    for start in range(0, length, tile):
        stop = min(start + tile, length)
        first = min(max(start - halo, 0), frame - outer)
        cuts.append(
            (
                slice(first, first + outer),
                slice(start - first, stop - first),
                slice(start, stop),
            )
        )
    return cuts


def read_reflected(
    read: Callable[[slice, slice], Array], region: Window, shape_yx: tuple[int, int]
) -> Array:
    """Read a region that may reach beyond the image, reflected about its outermost pixels.

    Parameters
    ----------
    read : callable
        ``read(rows, columns)`` gives the (..., Y, X) block of two slices inside the image.
    region : (slice, slice)
        Rows and columns wanted; may start below 0 and end beyond `shape_yx`.
    shape_yx : (int, int)
        Rows and columns of the image.

    Returns
    -------
    (..., Y, X) array
        As large as `region`; equal to that part of ``numpy.pad(image, mode="reflect")``.
    """
    y, x = (_reflect(part, n) for part, n in zip(region, shape_yx, strict=True))
    y0, x0 = int(y.min()), int(x.min())
    block = read(slice(y0, int(y.max()) + 1), slice(x0, int(x.max()) + 1))
    if block.shape[-2:] == (y.size, x.size):  # wholly inside: indices ascend by one
        return block
    return block[..., (y - y0)[:, None], x - x0]


def _reflect(part: slice, length: int) -> Array:
    """Indices of `part` folded into 0 ... length - 1, the border pixel not repeated."""
    index = np.arange(part.start, part.stop)
    if length == 1:
        return np.zeros_like(index)
    period = 2 * (length - 1)
    index = np.abs(index) % period
    folded: Array = np.minimum(index, period - index)
    return folded
