"""Measures of the cells of one frame: stain inside each outline, shape, place and neighbors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings
from .boxes import Box, Plane, label_boxes, nucleus_pixels, tiles_of
from .intensities import STATISTICS, CellPixels, cell_medians, cell_pixels, cell_statistics

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATISTICS", "FrameCells", "MeasureSettings", "measure_frame"]


_SAMPLES = 1_000_000
"""Background pixels looked at: their median is known to 1.25 sd / 1000."""

_LEAST = 50
"""Fewer background pixels tell nothing: the cells are confluent."""


@dataclass(frozen=True)
class MeasureSettings:
    """How cells are measured.

    Attributes
    ----------
    background : str
        What is subtracted from every pixel: "outside", the median of the pixels that lie farther
        than `gap_um` from all cells, one level an image and marker; "ring", the median of those of
        them that are nearest to the cell and not farther than `gap_um` + `ring_um`, one level a
        cell and marker, for uneven light (the level outside where a cell's ring is empty);
        "none"; or a grey value, such as "100" or 100, which is kept as text.
    gap_um, ring_um : float
        Micrometers. The gap leaves out what the microscope's blur and halo carry out of a cell.
    neighbor_um : float
        Cells with their centers this near are neighbors.
    tile_px : int
        Side of the blocks in which an image is read. Changes nothing but the memory.
    """

    background: str = "outside"
    gap_um: float = 3.0
    ring_um: float = 10.0
    neighbor_um: float = 100.0
    tile_px: int = 2048

    def __post_init__(self) -> None:
        background: Any = self.background
        if isinstance(background, int | float | np.number) and not isinstance(background, bool):
            object.__setattr__(self, "background", str(background))
        check_settings(self, least={"tile_px": 16})
        if self.background not in ("outside", "ring", "none") and self.level is None:
            raise InputError(
                f"background {self.background!r}", "choose outside, ring, none or a grey value"
            )

    @property
    def level(self) -> float | None:
        """The grey value where `background` is one; 0 for none."""
        if self.background == "none":
            return 0.0
        try:
            value = float(self.background)
        except ValueError:
            return None
        return value if np.isfinite(value) else None


@dataclass(frozen=True)
class FrameCells:
    """The N cells of a frame, measured in M markers and channels.

    Attributes
    ----------
    label : (N,) int array
        Ascending.
    y_um, x_um : (N,) float64 arrays
        Mean of the pixels; the center of the image's first pixel is at 0, 0.
    border : (N,) bool array
        Touches the image's edge, so that a part may be missing.
    neighbors : (N,) int array
        Other cells whose centers lie within `neighbor_um`.
    pixels : (N,) int array
    names : tuple of str
        Markers, then label-free channels.
    raw : (N, M, 8) float64 array
        `STATISTICS` of the grey values as they are.
    background : (N, M) float64 array
        What is to be subtracted; NaN where no pixel lies outside the cells.
    shape : (N, 12) DataFrame
        Of `shape_features`.
    """

    label: Array
    y_um: Array
    x_um: Array
    border: Array
    neighbors: Array
    pixels: Array
    names: tuple[str, ...]
    raw: Array
    background: Array
    shape: pd.DataFrame = field(repr=False)

    @cached_property
    def values(self) -> Array:
        """(N, M, 8) `STATISTICS` less the background; NaN where that is not known.

        A total loses the level once for each pixel; sd stays as it is.
        """
        level = self.background[..., None]
        out = self.raw - level
        out[..., 0] = self.raw[..., 0] - self.background * self.pixels[:, None]
        out[..., 2] = np.where(np.isfinite(level[..., 0]), self.raw[..., 2], np.nan)
        return out

    def with_background(self, levels: Array) -> FrameCells:
        """The same cells; `levels`, (M,), where there was no background to see."""
        return replace(
            self, background=np.where(np.isnan(self.background), levels, self.background)
        )


class _Part(NamedTuple):
    """What one tile gives; fields as in `FrameCells`, places in pixels."""

    label: Array
    y: Array
    x: Array
    pixels: Array
    raw: Array
    ring: Array
    shape: pd.DataFrame


def measure_frame(
    labels: Plane,
    stains: Mapping[str, Plane],
    pixel_size_um: float,
    settings: MeasureSettings | None = None,
    *,
    image: Mapping[str, Plane] | None = None,
    nuclei: Plane | None = None,
) -> FrameCells:
    """Measure all cells of a frame.

    Read tile by tile: a cell is measured in the tile where its bounding box begins, in a window
    that holds it whole, so the result does not depend on the tiles. Memory is that of a tile and
    the largest cell, whatever the image's size, where the planes are read lazily.

    Parameters
    ----------
    labels : (Y, X) int array
        Cell of each pixel; 0 is background.
    stains : mapping of str to (Y, X) array
        By marker, measured or predicted.
    pixel_size_um : float
        Side of a pixel, micrometers.
    settings : MeasureSettings, optional
    image : mapping of str to (Y, X) array, optional
        Label-free channels by name; measured as the stains are.
    nuclei : (Y, X) int array, optional
        Nuclei of the cells, 0 is none; for the shape.

    Returns
    -------
    FrameCells
        N may be 0.

    Raises
    ------
    DataError
        Shapes differ, or labels are not integers from 0.
    InputError
        The size of a pixel is not positive, or a channel has a marker's name, or a measure's of
        shape.
    """
    from .shape import SHAPE_FEATURES

    chosen = settings or MeasureSettings()
    planes = {**stains, **(image or {})}
    if clash := [name for name in planes if name in SHAPE_FEATURES]:
        raise InputError(
            f"{clash[0]} is the name of a marker or channel, and of a measure of shape",
            "give it another name",
        )
    if len(planes) < len(stains) + len(image or {}):
        raise InputError("a label-free channel has the name of a marker", "give it another name")
    if not 0 < pixel_size_um < np.inf:
        raise InputError(f"pixel size {pixel_size_um}", "give micrometers above 0")
    _check(labels, planes if nuclei is None else {**planes, "(nuclei)": nuclei})
    label, box = label_boxes(labels, chosen.tile_px)
    outside = _Outside(labels.shape, len(planes))
    parts: list[_Part] = []
    for tile in tiles_of(labels.shape, chosen.tile_px):
        begins = (box[:, :2] >= tile[:2]).all(axis=1) & (box[:, :2] < tile[2:]).all(axis=1)
        work = _Tile(tile, label[begins], box[begins], labels.shape, pixel_size_um, chosen)
        if work.label.size or work.looks_outside or not parts:
            parts.append(work.measure(labels, list(planes.values()), outside))
    level = outside.levels() if chosen.level is None else np.full(len(planes), chosen.level)
    border = (box[:, :2] == 0).any(axis=1) | (box[:, 2:] == labels.shape).any(axis=1)
    cells = _joined(parts, border, tuple(planes), level, pixel_size_um, chosen.neighbor_um)
    if nuclei is not None:
        # counted over the whole image, since a nucleus may reach out of its cell and its tile
        nucleus_px = nucleus_pixels(labels, nuclei, label, chosen.tile_px)
        cells.shape["nucleus_area_um2"] = nucleus_px * pixel_size_um**2
        cells.shape["nucleus_to_cell_ratio"] = nucleus_px / cells.pixels
    return cells


class _Outside:
    """Pixels outside the cells on a grid over the whole image, collected tile by tile."""

    def __init__(self, shape: tuple[int, ...], planes: int) -> None:
        self.step = max(1, int(np.ceil(np.sqrt(shape[0] * shape[1] / _SAMPLES))))
        self._values: list[list[Array]] = [[] for _ in range(planes)]

    def grid(self, tile: Box, window: Box) -> tuple[slice, slice]:
        """The grid's points in the tile, as slices of the window."""
        y = -tile.y0 % self.step + tile.y0 - window.y0
        x = -tile.x0 % self.step + tile.x0 - window.x0
        return (
            slice(y, tile.y1 - window.y0, self.step),
            slice(x, tile.x1 - window.x0, self.step),
        )

    def add(self, plane: int, values: Array) -> None:
        self._values[plane].append(values[np.isfinite(values)])

    def levels(self) -> Array:
        """(M,) medians; NaN where there are too few pixels."""
        together = [np.concatenate(v) if v else np.zeros(0) for v in self._values]
        return np.array([np.median(v) if v.size >= _LEAST else np.nan for v in together])


class _Tile:
    """A tile, the cells that begin in it, and the window that holds them whole."""

    def __init__(
        self,
        tile: Box,
        label: Array,
        box: Array,
        shape: tuple[int, ...],
        pixel_size_um: float,
        settings: MeasureSettings,
    ) -> None:
        self.label, self._box, self._tile, self._um = label, box, tile, pixel_size_um
        self.looks_outside = settings.level is None
        self._ring = settings.background == "ring"
        self._gap_px = settings.gap_um / pixel_size_um
        self._far_px = self._gap_px + settings.ring_um / pixel_size_um
        # a ring ends where another cell is nearer, which lies within twice the ring's reach
        reach = (2 * self._far_px if self._ring else self._gap_px) if self.looks_outside else 0
        margin = int(np.ceil(reach)) + 1
        low = np.min([tile[:2], *box[:, :2]], axis=0)
        high = np.max([tile[2:], *box[:, 2:]], axis=0)
        self._window = Box(
            *np.maximum(low - margin, 0).tolist(), *np.minimum(high + margin, shape).tolist()
        )

    def measure(self, labels: Plane, planes: list[Plane], outside: _Outside) -> _Part:
        from .shape import shapes_in_boxes

        window = self._window
        seen = self._window.of(labels)
        pixels = cell_pixels(seen, self.label)
        free, ring = self._background(seen)
        grid = outside.grid(self._tile, window)
        raw = np.empty((self.label.size, len(planes), len(STATISTICS)))
        local = np.full((self.label.size, len(planes)), np.nan)
        for m, plane in enumerate(planes):
            values = window.of(plane)
            raw[:, m] = cell_statistics(values, pixels)
            if free is not None:
                outside.add(m, values[grid][free[grid]])
            if ring is not None:
                local[:, m] = cell_medians(values, ring)
        corner = (window.y0, window.x0, window.y0, window.x0)
        shape = shapes_in_boxes(seen, self.label, self._box - corner, self._um)
        y, x = np.divmod(pixels.at, seen.shape[1])
        y_px = _mean_of_runs(y + window.y0, pixels)
        x_px = _mean_of_runs(x + window.x0, pixels)
        return _Part(self.label, y_px, x_px, pixels.size, raw, local, shape)

    def _background(self, labels: Array) -> tuple[Array | None, CellPixels | None]:
        """Where no cell is near, (Y, X) bool; the ring of each cell."""
        if not self.looks_outside:
            return None, None
        if not labels.any():
            return np.ones(labels.shape, bool), None
        if not self._ring:
            import cv2

            away = cv2.distanceTransform(
                (labels == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
            )
            return np.asarray(away > self._gap_px), None
        from scipy import ndimage

        away, (y, x) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
        free = away > self._gap_px
        ring = np.where(free & (away <= self._far_px), labels[y, x], 0)
        return free, cell_pixels(ring, self.label)


def _joined(
    parts: list[_Part],
    border: Array,
    names: tuple[str, ...],
    level: Array,
    pixel_size_um: float,
    neighbor_um: float,
) -> FrameCells:
    import pandas as pd

    order = np.argsort(np.concatenate([part.label for part in parts]))

    def all_of(name: str) -> Array:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    ring = all_of("ring")
    y_um, x_um = pixel_size_um * all_of("y"), pixel_size_um * all_of("x")
    return FrameCells(
        all_of("label"),
        y_um,
        x_um,
        border,
        _neighbors(np.column_stack([y_um, x_um]), neighbor_um),
        all_of("pixels"),
        names,
        all_of("raw"),
        np.where(np.isfinite(ring), ring, level),
        pd.concat([part.shape for part in parts]).iloc[order],
    )


def _neighbors(center_um: Array, within_um: float) -> Array:
    """Other centers within a distance of each; (N,) int."""
    from scipy.spatial import cKDTree

    if not len(center_um):
        return np.zeros(0, np.int64)
    near = cKDTree(center_um).query_ball_point(center_um, within_um, return_length=True)
    return np.asarray(near, np.int64) - 1


def _mean_of_runs(values: Array, pixels: CellPixels) -> Array:
    if not pixels.size.size:
        return np.zeros(0)
    return np.asarray(np.add.reduceat(values, pixels.start) / pixels.size)


def _check(labels: Plane, planes: Mapping[str, Plane]) -> None:
    if len(labels.shape) != 2 or labels.dtype.kind not in "iu":
        raise DataError(
            f"labels are {labels.dtype} of shape {tuple(labels.shape)}",
            "give one plane (Y, X) of integers",
        )
    for name, plane in planes.items():
        if tuple(plane.shape) != tuple(labels.shape):
            raise DataError(
                f"{name} has shape {tuple(plane.shape)}, the labels {tuple(labels.shape)}",
                "give stains on the pixels of the outlined image",
            )
