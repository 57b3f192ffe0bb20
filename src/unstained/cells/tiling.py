"""Segmentation of images larger than memory: tile by tile, no cell cut, none twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array, LazyArray
from ..images.tiles import Window, tiles

__all__ = ["Canvas", "Found", "TiledLabels", "both", "label_tiles"]

Found = Array | tuple[Array, Array | None]
"""Labels, or labels and nuclei; a nucleus has the number of its cell."""

_STRIDE_PX = 32
"""Tiles start at multiples of this, so that a network's pooling falls as it does on the whole."""


class Canvas(LazyArray, Protocol):
    """A (Y, X) integer array that gives and takes blocks: of NumPy, of zarr."""

    def __setitem__(self, index: Any, value: Any) -> None: ...


class TiledLabels(NamedTuple):
    """What tiles were joined to.

    Attributes
    ----------
    labels : (Y, X) int32 array, or what was given as `out`
        Numbers 1 to `cells`.
    nuclei : (Y, X) int32 array, or what was given as `nuclei_out`, or None
        With the number of their cell; None where the segmenter gives none.
    cells : int
    cut : int
        Of these, how many reach the edge of their tile: larger than the halo, so cut there.
    """

    labels: Any
    nuclei: Any
    cells: int
    cut: int


def label_tiles(
    segment: Callable[[Array], Found],
    image: LazyArray,
    *,
    tile: int = 2048,
    halo: int = 256,
    out: Canvas | None = None,
    nuclei_out: Canvas | None = None,
) -> TiledLabels:
    """Segment an image tile by tile; each tile is seen with a halo around it.

    A cell belongs to the tile in which the centroid of its mask lies, and is taken from there
    whole. So that a cell whose mask differs a little between tiles is neither lost nor there
    twice, a tile also takes cells whose centroid lies up to an eighth of the halo beyond it,
    and leaves out those of which more than half is taken already.

    Equal to `segment` of the whole image, but for the numbers, where the label of a pixel
    depends on pixels within some reach alone, and reach + the largest side of a cell + an
    eighth of the halo are not above the halo. A threshold found from the whole image is not
    such.

    Parameters
    ----------
    segment : callable
        (Y, X) image to (Y, X) integer labels, 0 the background; or to a pair of labels and
        nuclei.
    image : (Y, X) array-like
        Read by blocks.
    tile, halo : int
        Side of a tile and width of what is seen around it, pixels; rounded up to multiples
        of 32.
    out, nuclei_out : (Y, X) integer array-like, optional
        Zeros to be filled, on disk for instance; memory is then bounded by tile and halo.

    Returns
    -------
    TiledLabels

    Raises
    ------
    DataError
        The segmenter's labels are not of the tile's size.
    InputError
        No (Y, X) image, or lengths that are not positive.
    """
    if len(image.shape) != 2:
        raise InputError(f"an image of shape {tuple(image.shape)}", "give one (Y, X) plane")
    height, width = (int(n) for n in image.shape)
    canvas: Canvas = np.zeros((height, width), np.int32) if out is None else out
    nuclei_canvas: Canvas | None = nuclei_out
    cells = cut = 0
    for part in tiles((height, width), tile=tile, halo=halo, stride=_STRIDE_PX):
        rows, columns = part.outer
        at = (
            slice(rows.start, min(rows.stop, height)),
            slice(columns.start, min(columns.stop, width)),
        )
        seen = np.asarray(image[at])
        labels, nuclei = both(segment(seen), seen.shape)
        taken = np.array(canvas[at])
        placed = _place(labels, taken, part.inner, halo // 8, cells)
        canvas[at] = np.where(placed > 0, placed, taken)
        if nuclei is not None:
            if nuclei_canvas is None:
                nuclei_canvas = np.zeros((height, width), np.int32)
            inside = (placed > 0) & (nuclei > 0)
            nuclei_canvas[at] = np.where(inside, placed, nuclei_canvas[at])
        cut += _count_cut(placed, at, (height, width))
        cells = max(cells, int(placed.max(initial=0)))
    return TiledLabels(canvas, nuclei_canvas, cells, cut)


def both(found: Found, shape: tuple[int, ...]) -> tuple[Array, Array | None]:
    """What a segmenter gave, as labels and nuclei.

    Raises
    ------
    DataError
        They are not of `shape`.
    """
    labels, nuclei = found if isinstance(found, tuple) else (found, None)
    for part in (labels, nuclei):
        if part is not None and part.shape != shape:
            raise DataError(
                f"the segmenter gave {part.shape} labels for an image of {shape}",
                "give labels of the image's size",
            )
    return labels, nuclei


def _place(found: Array, taken: Array, inner: Window, margin: int, cells: int) -> Array:
    """The tile's own cells with their numbers from `cells` + 1 on, where nothing lies yet."""
    y, x = np.nonzero(found)
    number, cell = np.unique(found[y, x], return_inverse=True)
    area = np.bincount(cell, minlength=number.size)
    before = taken[y, x] > 0
    own = 2 * np.bincount(cell, weights=before, minlength=number.size) <= area
    for place, span in zip((y, x), inner, strict=True):
        centroid = np.bincount(cell, weights=place, minlength=number.size) / np.maximum(area, 1)
        own &= (centroid >= span.start - margin) & (centroid < span.stop + margin)
    new = np.where(own, cells + np.cumsum(own), 0)
    placed = np.zeros(found.shape, np.int32)
    placed[y, x] = np.where(before, 0, new[cell])
    return placed


def _count_cut(placed: Array, at: Window, shape: tuple[int, int]) -> int:
    """How many of the tile's cells touch a side of it that lies inside the image."""
    (rows, columns), (height, width) = at, shape
    sides = (
        (rows.start > 0, placed[0]),
        (rows.stop < height, placed[-1]),
        (columns.start > 0, placed[:, 0]),
        (columns.stop < width, placed[:, -1]),
    )
    touching = [side for inside, side in sides if inside]
    return int((np.unique(np.concatenate(touching)) > 0).sum()) if touching else 0
