"""A panel made ready to predict: tile by tile, from a lazy image to wherever blocks go.

An image passes through the networks tile by tile, and each tile goes straight to its place, in
memory or in an OME-Zarr on disk. Where the pixel size is not the training's, each tile is
brought to the model's pixels and its result back to the image's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import DataError, InputError, refuse_name
from ..images.image import Array, Channel, Image, as_image
from ..images.resample import SAME_SIZE, resample
from ..images.tiles import Tile, Window, read_reflected
from ..learning.augment import ALL_MOTIONS, IDENTITY, Symmetry
from ..learning.devices import choose_device
from ..learning.engines import ENGINES, PRECISIONS
from ..learning.memory import tune_allocator
from ..settings import check_settings
from .member_engines import MemberEngines
from .predict_plan import (
    Estimate,
    Grid,
    choose_tile,
    grid_of,
    memory_budget,
    stride_of,
    tile_bytes,
)

if TYPE_CHECKING:
    from .normalize import Statistics
    from .panel import Panel

__all__ = ["Notify", "PredictOptions", "Predictor", "Progress", "Sink", "finite_planes"]

Progress = Callable[[float], None]
"""Called with the share done, 0 ... 1."""

Notify = Callable[[str], None]
"""Called with a sentence for the user."""

_LOG = logging.getLogger("unstained")
_COMPARE_FROM_S = 30.0  # comparing engines takes some 10 s; below this torch is simply used
_PROBE_PX = 384
_COMPARE_PX = 768  # engines that are compared take no more memory than the tiles will
_MANY_TILES = 20
_MOST_NAMED = 20
"""Channels: an array with its axes in another order has hundreds."""
_CALIBRATION_SIDE = 4  # pieces along each axis


@dataclass(frozen=True)
class PredictOptions:
    """How to predict; what is left alone is chosen.

    Attributes
    ----------
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...
    engine, precision : str
        See `learning.engines`.
    tile : int or None
        Side of the part of the image that is computed at once, pixels; its halo comes on top.
        None: the largest that fits the memory.
    tta : bool
        Average over the symmetries that the panel's images have (8 where all are alike).
    pixel_size_um : float or None
        Of the images, in place of what the files say.
    memory_gb : float or None
        What the prediction may add to the process. None: half of what is free, at most 4 GB.
    dtype : {"float32", "uint16"}
        Of the result. 16-bit values are rounded and cut off at 0 and 65535.
    """

    device: str = "auto"
    engine: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    tta: bool = False
    pixel_size_um: float | None = None
    memory_gb: float | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_settings(
            self,
            {"engine": ENGINES, "precision": PRECISIONS, "dtype": ("float32", "uint16")},
            positive=("tile", "pixel_size_um", "memory_gb"),
        )


class Sink(Protocol):
    """Takes (Y, X) blocks; see `images.ome_zarr_writer.OmeZarrWriter`."""

    def write(self, t: int, c: int, z: int, y0: int, x0: int, block: Array) -> None: ...


class _InMemory:
    def __init__(self, array: Array) -> None:
        self._array = array

    def write(self, t: int, c: int, z: int, y0: int, x0: int, block: Array) -> None:
        self._array[t, c, z, y0 : y0 + block.shape[0], x0 : x0 + block.shape[1]] = block


@dataclass(frozen=True)
class _Work:
    """An image, the grid it is predicted on, and the tiles of a frame."""

    image: Image
    grid: Grid
    tiles: tuple[Tile, ...]

    def read(self, t: int, window: Window) -> Array:
        """(P, Y, X) planes of a window on the model's grid, reflected beyond the image."""

        def read(y: slice, x: slice) -> Array:
            if not self.grid.resampled:
                return finite_planes(self.image, t, y, x)
            rows, columns = self.grid.to_model(y, 0), self.grid.to_model(x, 1)
            y, x = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
            return resample(finite_planes(self.image, t, y, x), rows, columns)

        return read_reflected(read, window, self.grid.model_yx)


class Predictor:
    """A panel made ready once, for many images.

    Parameters
    ----------
    panel : Panel
    options : PredictOptions
    notify : callable, optional
        Told of estimates, resampling and choices; else they go to the log ``unstained``.
    """

    def __init__(
        self, panel: Panel, options: PredictOptions | None = None, *, notify: Notify | None = None
    ) -> None:
        refuse_name(panel, "a model", "Panel.load({})")
        tune_allocator()
        self.panel = panel
        self.options = PredictOptions() if options is None else options
        self.notify: Notify = _LOG.warning if notify is None else notify
        self._says_time = notify is not None
        self._device = choose_device(self.options.device)
        self._engines = MemberEngines(
            panel,
            engine=self.options.engine,
            precision=self.options.precision,
            device=self.options.device,
            symmetries=self._symmetries(),
        )
        self._clipped = 0

    def __call__(self, image: Image | Array, *, progress: Progress | None = None) -> Image:
        """Predict in memory; see `predict`."""
        image = self.checked(image)
        out = np.empty(self.shape_of(image), self.options.dtype)
        self.run(image, _InMemory(out), progress=progress)
        return replace(
            image,
            data=out,
            channels=self.channels,
            levels=(),
            z_step_um=None,
            about=self.about,
        )

    @cached_property
    def about(self) -> dict[str, Any]:
        """Of the predictions, for `Image.about`: by which models, learned from what, and how."""
        models = self.panel.about.get("joined") or [self.panel.about]
        chosen = {name: getattr(self.options, name) for name in ("tta", "pixel_size_um", "dtype")}
        return {
            "unstained": version("unstained"),
            "predicted_by": list(self.panel.origins),
            "learned_from": [model.get("data", {}).get("name") for model in models],
            "options": {"markers": list(self.panel.names), **chosen},
        }

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(Channel(marker.name, marker.color) for marker in self.panel.markers)

    def shape_of(self, image: Image) -> tuple[int, int, int, int, int]:
        """(T, M, 1, Y, X) of the prediction."""
        return image.shape[0], len(self.panel.markers), 1, image.shape[3], image.shape[4]

    def checked(self, image: Image | Array) -> Image:
        """The image, if the panel takes it; with the pixel size of the options, if given.

        Raises
        ------
        InputError
            It has another number of planes than the panel was trained on, or no pixel size where
            the panel has one.
        """
        if not isinstance(image, Image):
            axes = {2: "YX", 3: "CYX", 4: "TCYX", 5: "TCZYX"}.get(np.ndim(image), "?")
            image = as_image(image, axes)
        if image.n_planes != self.panel.planes:
            image = self._label_free(image)
        given, own = self.options.pixel_size_um, image.pixel_size_um
        if given is not None:
            if own is not None and abs(given / own - 1) > SAME_SIZE:
                self.notify(
                    f"{image.source or 'the image'} says {own:g} um per pixel; the {given:g} um "
                    "that were given are taken"
                )
            image = replace(image, pixel_size_um=given)
        self._grid(image)  # refuses a pixel size that is needed and not known
        return image

    def _label_free(self, image: Image) -> Image:
        """The one channel that is label-free by its name, if it has the planes that are needed."""
        name, planes = image.source or "the image", self.panel.planes
        named = [i for i, channel in enumerate(image.channels) if channel.label_free]
        if len(named) == 1 and image.shape[2] == planes:
            others = ", ".join(c.name for i, c in enumerate(image.channels) if i not in named)
            taken = image.channels[named[0]].name
            self.notify(f"{name}: {taken} is taken, by its name; {others} is left out")
            return image.channels_at(named)
        names = [channel.name for channel in image.channels]
        if len(names) > _MOST_NAMED:
            names[2:-1] = ["..."]
        raise InputError(
            f"{name} has {image.n_planes} planes (channels {', '.join(names)}; {image.shape[2]} in "
            f"z), the model takes {planes}",
            f"give an array as ({planes}, Y, X)"
            if image.source is None
            else "choose a channel with PATH#CHANNEL, planes of a z stack with PATH#z=3 or "
            "PATH#z=3:6, or join planes with PATH;PATH",
        )

    def grid(self, image: Image) -> Grid:
        """The grid to predict on, with a notice where it is not the image's own."""
        grid = self._grid(image)
        if grid.resampled:
            self.notify(
                f"{image.source or 'the image'} has {image.pixel_size_um:g} um per pixel and is "
                f"resampled to the model's {self.panel.pixel_size_um:g} um; the prediction is "
                "brought back"
            )
        return grid

    def _grid(self, image: Image) -> Grid:
        shape = image.shape[3], image.shape[4]
        try:
            return grid_of(shape, image.pixel_size_um, self.panel.pixel_size_um)
        except InputError as error:
            raise InputError(error.reason, error.remedy, file=image.source) from error

    def run(
        self, image: Image, sink: Sink, *, progress: Progress | None = None, align: int = 1
    ) -> Estimate:
        """Predict a checked image into `sink`, having told how long it will take.

        Parameters
        ----------
        image : Image
        sink : Sink
            Of shape `shape_of(image)`.
        progress : callable, optional
        align : int
            Side of the sink's chunks.
        """
        grid = self.grid(image)
        self._clipped = 0
        side = self.side(grid)
        work = _Work(image, grid, tuple(grid.tiles(self.panel, side, align)))
        frames = image.shape[0]
        statistics = self.statistics_of(image, 0)
        expected = self._prepare(work, statistics, frames * len(work.tiles), side)
        if self._says_time:
            self.notify(f"{image.source or 'the image'}: {expected}")
        for t in range(frames):
            if t:
                statistics = self.statistics_of(image, t)
            for i, tile in enumerate(work.tiles):
                self._one_tile(work, t, tile, statistics, sink)
                if progress is not None:
                    progress((t * len(work.tiles) + i + 1) / (frames * len(work.tiles)))
        if self._clipped:
            self.notify(
                f"{image.source or 'the image'}: {self._clipped} predicted values lay outside "
                "0 ... 65535 and were cut off; write float32 to keep them"
            )
        return expected

    def window(
        self, image: Image, t: int, y: slice, x: slice, statistics: Statistics | None = None
    ) -> Array:
        """Part of a frame's prediction, as the whole frame has it.

        Parameters
        ----------
        image : Image
            Checked.
        t : int
        y, x : slice
            Start and stop inside the image.
        statistics : Statistics, optional
            Of the frame (`statistics_of`), where they are known from another part.

        Returns
        -------
        (M, Y, X) float32 array
        """
        statistics = self.statistics_of(image, t) if statistics is None else statistics
        grid = self._grid(image)
        out = np.empty((len(self.panel.markers), y.stop - y.start, x.stop - x.start), np.float32)
        block = max(1, int(self.side(grid) * grid.step))  # what the memory allows
        for top in range(y.start, y.stop, block):
            for left in range(x.start, x.stop, block):
                rows = slice(top, min(top + block, y.stop))
                columns = slice(left, min(left + block, x.stop))
                place = (
                    slice(rows.start - y.start, rows.stop - y.start),
                    slice(columns.start - x.start, columns.stop - x.start),
                )
                self._block(image, grid, t, (rows, columns), statistics, out[:, *place])
        return out

    def _block(
        self,
        image: Image,
        grid: Grid,
        t: int,
        part: Window,
        statistics: Statistics,
        out: Array,
    ) -> None:
        """One part of a frame, which is computed at once, into (M, Y, X) `out`."""
        y, x = part
        tile = grid.tile_of(self.panel, y, x)
        work = _Work(image, grid, (tile,))
        self._make_engines(work, statistics)
        for c, rows, columns, block in self._stained(work, t, tile, statistics):
            # resampled, a tile gives some pixels beyond
            top, left = y.start - rows.start, x.start - columns.start
            out[c] = block[top : top + out.shape[1], left : left + out.shape[2]]

    # one tile ------------------------------------------------------------------------------

    def _one_tile(
        self, work: _Work, t: int, tile: Tile, statistics: Statistics, sink: Sink
    ) -> None:
        for c, y, x, block in self._stained(work, t, tile, statistics):
            sink.write(t, c, 0, y.start, x.start, self._typed(block))

    def _stained(
        self, work: _Work, t: int, tile: Tile, statistics: Statistics
    ) -> Iterator[tuple[int, slice, slice, Array]]:
        """Each marker's block in the stain's units, and the rows and columns it is for."""
        planes = work.read(t, tile.outer)
        stains = self._engines(self.panel.normalize(planes, statistics)[None])
        if work.grid.resampled:
            y, x, stains = _back(stains, tile, work.grid)
        else:
            (y, x), stains = tile.paste, stains[:, tile.inner[0], tile.inner[1]]
        for c, marker in enumerate(self.panel.markers):
            yield c, y, x, marker.offset + marker.scale * stains[c]

    def _typed(self, block: Array) -> Array:
        if self.options.dtype == "float32":
            return block.astype(np.float32, copy=False)
        rounded = np.rint(block)
        self._clipped += int(((rounded < 0) | (rounded > 65535)).sum())
        return np.clip(rounded, 0, 65535).astype(np.uint16)

    def statistics_of(self, image: Image, t: int) -> Statistics:
        """What a frame's label-free planes are normalized with."""
        try:
            return self.panel.input_statistics(
                lambda y, x: finite_planes(image, t, y, x), (image.shape[3], image.shape[4])
            )
        except DataError as error:
            if error.file is not None or image.source is None:
                raise
            raise DataError(error.reason, error.remedy, file=image.source) from error

    # before the start ----------------------------------------------------------------------

    def side(self, grid: Grid) -> int:
        """Side of the tiles on this grid: as asked, or what the memory allows."""
        budget = memory_budget(self._device, self.options.memory_gb)
        return choose_tile(self.panel, grid, tile=self.options.tile, budget=budget)

    def prepared(self, tile: Image, *, n_tiles: int) -> Estimate:
        """Make and time the engines on an image of one tile, for as many tiles."""
        grid = Grid((tile.shape[3], tile.shape[4]))
        side = max(grid.image_yx)
        work = _Work(tile, grid, tuple(grid.tiles(self.panel, side)))
        return self._prepare(work, self.statistics_of(tile, 0), n_tiles, side)

    def _symmetries(self) -> tuple[Symmetry, ...]:
        if not self.options.tta:
            return (IDENTITY,)
        allowed = self.panel.symmetries
        if len(allowed) < len(ALL_MOTIONS):
            self.notify(
                f"the training images have a direction: averaged over {len(allowed)} of 8 "
                "symmetries"
            )
        return allowed

    def _prepare(self, work: _Work, statistics: Statistics, n_tiles: int, side: int) -> Estimate:
        """Make the engines, time them on one tile, and choose the fastest if it pays."""
        # a whole tile where there are many, so that its time is little beside theirs
        middle = work.tiles[len(work.tiles) // 2]
        probe_px = max(middle.outer_shape) if n_tiles >= _MANY_TILES else _PROBE_PX
        probe = self._piece(work, middle, statistics, probe_px)
        self._make_engines(work, statistics)
        pixels = n_tiles * math.prod(work.tiles[0].outer_shape)
        # nobody asks how long one tile takes, and the probe would be most of the work
        engines = self._engines
        seconds = engines.seconds(probe, pixels) if n_tiles > 1 or self._says_time else 0.0
        worth_it = self._device.type == "cpu" and seconds > _COMPARE_FROM_S
        if worth_it and engines.open_to_choice:
            engines.choose_fastest(self._piece(work, middle, statistics, _COMPARE_PX))
            seconds = engines.seconds(probe, pixels)
        memory = tile_bytes(self.panel, work.grid, side)
        return Estimate(seconds, memory, side, n_tiles, engines.name, engines.precisions[0])

    def _make_engines(self, work: _Work, statistics: Statistics) -> None:
        """Once; int8 is calibrated on pieces of the first image."""
        if not self._engines.made:
            calibrated = self._engines.calibrated
            self._engines.make(self._calibration(work, statistics) if calibrated else [])

    def _piece(self, work: _Work, tile: Tile, statistics: Statistics, side_px: int) -> Array:
        """(1, P, Y, X) normalized planes of the first corner of a tile, of whole strides."""
        side = self._whole_strides(side_px)
        y, x = (slice(s.start, min(s.stop, s.start + side)) for s in tile.outer)
        return self.panel.normalize(work.read(0, (y, x)), statistics)[None]

    def _whole_strides(self, px: int) -> int:
        stride = stride_of(self.panel)
        return max(px // stride, 1) * stride

    def _calibration(self, work: _Work, statistics: Statistics) -> list[Array]:
        """(1, P, Y, X) normalized pieces of the first frame, on a regular grid."""
        side = self._whole_strides(_PROBE_PX)
        starts = [
            np.unique(np.linspace(0, max(0, n - side), _CALIBRATION_SIDE).astype(int))
            for n in work.grid.model_yx
        ]
        windows = [
            (slice(int(y), int(y) + side), slice(int(x), int(x) + side))
            for y in starts[0]
            for x in starts[1]
        ]
        return [self.panel.normalize(work.read(0, w), statistics)[None] for w in windows]


def _back(stains: Array, tile: Tile, grid: Grid) -> tuple[slice, slice, Array]:
    """A tile's stains on the image's pixels, and where they belong."""
    placed = []
    for axis in (0, 1):
        outer, paste = tile.outer[axis], tile.paste[axis]
        own, weights = grid.to_image(paste, axis)
        placed.append(
            (own, weights, slice(weights.start - outer.start, weights.stop - outer.start))
        )
    (y, rows, inner_y), (x, columns, inner_x) = placed
    return y, x, resample(stains[:, inner_y, inner_x], rows, columns)


_LARGEST = np.finfo(np.float32).max


def finite_planes(image: Image, t: int, y: slice, x: slice) -> Array:
    """(P, Y, X) planes of a frame, cropped.

    Raises
    ------
    DataError
        Some values are NaN, infinite or too large for 32 bits.
    """
    planes = image.planes(t, y, x)
    # networks compute in 32 bits; NaN is below nothing
    if planes.dtype.kind == "f" and not (held := np.abs(planes) <= _LARGEST).all():
        _, row, column = np.argwhere(~held)[0]
        raise DataError(
            "has values that are not finite (NaN, infinite or above 3e38), the first in frame "
            f"{t}, row {y.start + row}, column {x.start + column}",
            "export the image again, or fill them",
            file=image.source,
        )
    return planes
