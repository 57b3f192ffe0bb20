"""How a prediction will go: the grid it runs on, the tile that fits, the time it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import psutil
import torch

from ..errors import InputError
from ..images.resample import SAME_SIZE, Weights, axis_weights
from ..images.tiles import Tile, round_up, tile_of, tiles
from ..learning.footprint import activation_bytes_per_pixel
from ..learning.networks import receptive_halo

if TYPE_CHECKING:
    from .panel import Panel

__all__ = [
    "Estimate",
    "Grid",
    "choose_tile",
    "grid_of",
    "halo_of",
    "memory_budget",
    "stride_of",
    "tile_bytes",
]

_MOST = 8  # no structure is left to recognize

_SIDES = (1024, 768, 512, 384, 256, 128, 64)
_SCRATCH = 1.5  # libraries lay out inputs and outputs anew beside the activations; measured
_FIXED_BYTES = 300 * 10**6  # weights in several forms, thread pools, writers
_DEFAULT_BUDGET = 4 * 10**9


@dataclass(frozen=True)
class Estimate:
    """What a prediction will cost.

    Attributes
    ----------
    seconds : float
        For all frames of one image.
    memory_bytes : int
        At the peak, beyond what the process holds already.
    tile : int
        Side of the tiles' kept part, pixels of the model.
    n_tiles : int
        Of all frames.
    engine, precision : str
        What the first network runs on.
    """

    seconds: float
    memory_bytes: int
    tile: int
    n_tiles: int
    engine: str
    precision: str

    def __str__(self) -> str:
        seconds = f"{self.seconds:.0f} s" if self.seconds < 120 else f"{self.seconds / 60:.0f} min"
        return (
            f"about {seconds} and {self.memory_bytes / 1e9:.1f} GB of memory: {self.n_tiles} "
            f"tile{'s' * (self.n_tiles > 1)} of {self.tile} px, "
            f"engine {self.engine} in {self.precision}"
        )


@dataclass(frozen=True)
class Grid:
    """The image on its own pixels and on the model's.

    Attributes
    ----------
    image_yx : (int, int)
        Size of the image.
    step : float
        Side of the model's pixel in pixels of the image; 1 where nothing is resampled.
    """

    image_yx: tuple[int, int]
    step: float = 1.0

    @property
    def resampled(self) -> bool:
        return self.step != 1.0

    @cached_property
    def model_yx(self) -> tuple[int, int]:
        """Size on the model's pixels; the last one may reach beyond the image."""
        y, x = (max(1, math.ceil(n / self.step - 1e-9)) for n in self.image_yx)
        return y, x

    @property
    def margin(self) -> int:
        """Model pixels around a part that are needed to bring it back to the image's pixels."""
        return math.ceil(max(1.0, 1 / self.step)) + 1 if self.resampled else 0

    def to_model(self, part: slice, axis: int) -> Weights:
        """Weights that give model pixels `part` from the image's."""
        return axis_weights(part.start, part.stop, step=self.step, length=self.image_yx[axis])

    def to_image(self, part: slice, axis: int) -> tuple[slice, Weights]:
        """The image's pixels whose centers lie in model pixels `part`, and their weights."""
        n, n_model = self.image_yx[axis], self.model_yx[axis]
        first = math.ceil(part.start * self.step - 0.5)
        last = n if part.stop >= n_model else math.ceil(part.stop * self.step - 0.5)
        own = slice(max(0, first), min(n, last))
        return own, axis_weights(own.start, own.stop, step=1 / self.step, length=n_model)

    def tile_of(self, panel: Panel, y: slice, x: slice) -> Tile:
        """The tile on the model's pixels that gives these pixels of the image."""
        kept = []
        for part, n in ((y, self.model_yx[0]), (x, self.model_yx[1])):
            if self.resampled:  # a pixel more on each side: centers are what counts
                first, last = math.floor(part.start / self.step), math.ceil(part.stop / self.step)
                part = slice(max(0, first - 1), min(n, last + 1))
            kept.append(part)
        halo = halo_of(panel) + self.margin
        return tile_of((kept[0], kept[1]), self.model_yx, halo=halo, stride=stride_of(panel))

    def tiles(self, panel: Panel, tile: int, align: int = 1) -> list[Tile]:
        """Tiles on the model's pixels."""
        stride, halo = stride_of(panel), halo_of(panel) + self.margin
        aligned = not self.resampled and align % stride == 0 and tile % align == 0
        return tiles(
            self.model_yx, tile=tile, halo=halo, stride=stride, align=align if aligned else stride
        )


def grid_of(image_yx: tuple[int, int], image_um: float | None, model_um: float | None) -> Grid:
    """The grid for an image and a model of these pixel sizes.

    Raises
    ------
    InputError
        The model's pixel size is known and the image's is not, or they are far apart.
    """
    if model_um is None:
        return Grid(image_yx)
    if image_um is None:
        raise InputError(
            f"the model was trained at {model_um:g} um per pixel, and the pixel size of the "
            "image is not known",
            "give it with --pixel-size (pixel_size_um in Python)",
        )
    step = model_um / image_um
    if not 1 / _MOST <= step <= _MOST:
        raise InputError(
            f"the model was trained at {model_um:g} um per pixel, the image has {image_um:g} um: "
            f"more than {_MOST} times apart",
            "check the pixel size, or take a model that was trained at this magnification",
        )
    return Grid(image_yx, 1.0 if abs(step - 1) < SAME_SIZE else step)


def stride_of(panel: Panel) -> int:
    """Total stride that serves all networks of the panel."""
    return math.lcm(*(int(member.network.stride) for member in panel.members))


def halo_of(panel: Panel) -> int:
    """Widest receptive halo among the panel's networks."""
    return max(receptive_halo(member.network) for member in panel.members)


def tile_bytes(panel: Panel, grid: Grid, tile: int) -> int:
    """Memory for one tile of this side: the widest network's activations, and the planes."""
    stride = stride_of(panel)
    outer = [
        min(
            round_up(tile, stride) + 2 * round_up(halo_of(panel) + grid.margin, stride),
            round_up(n, stride),
        )
        for n in grid.model_yx
    ]
    widest = max(_footprint(member.network, panel.planes) for member in panel.members)
    planes = 4 * (4 * panel.planes + 3 * len(panel.markers))  # read, reflected, scaled, batched
    return int(math.prod(outer) * (_SCRATCH * widest + planes)) + _FIXED_BYTES


def choose_tile(panel: Panel, grid: Grid, *, tile: int | None, budget: int) -> int:
    """The side asked for; else the largest that fits into `budget` bytes.

    Raises
    ------
    InputError
        Not even the smallest fits.
    """
    if tile is not None:
        return round_up(tile, stride_of(panel))
    for side in _SIDES:
        if tile_bytes(panel, grid, side) <= budget:
            return round_up(side, stride_of(panel))
    need = tile_bytes(panel, grid, _SIDES[-1])
    raise InputError(
        f"a tile of {_SIDES[-1]} px needs {need / 1e9:.1f} GB, "
        f"and {budget / 1e9:.1f} GB are allowed",
        "allow more memory (memory_gb, --memory), or free some",
    )


def memory_budget(device: torch.device, memory_gb: float | None) -> int:
    """Bytes that a prediction may add: as given, else half of what is free, at most 4 GB."""
    if memory_gb is not None:
        return int(memory_gb * 1e9)
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] // 2)
    return int(min(_DEFAULT_BUDGET, psutil.virtual_memory().available // 2))


@lru_cache(maxsize=32)
def _footprint(network: torch.nn.Module, planes: int) -> float:
    return activation_bytes_per_pixel(network, planes)
