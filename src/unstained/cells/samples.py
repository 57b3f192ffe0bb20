"""Random patches of labelled images, moved and varied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from ..learning.augment import ALL_MOTIONS, Augmentation, crop_pair, vary_intensity
from ..learning.random import generator
from .labelled import LabelledImage
from .normalize import measure_statistics, normalize
from .settings import CellSettings
from .targets import target_maps

__all__ = ["Samples", "Scene", "make_scene"]

Floats = NDArray[np.float32]

_ROOM = 1.5  # sides of a patch around a cell's pixel, in which the patch falls


@dataclass(frozen=True, eq=False)
class Scene:
    """One image, ready to be learned.

    Attributes
    ----------
    image : (1, Y, X) float32 array
        Normalized.
    targets : (K, Y, X) float32 array
        See `targets.target_maps`; what is not known is NaN.
    pixels : (N,) int64 array
        Flat positions of all pixels of cells, cell by cell.
    starts : (cells + 1,) int64 array
        Where each cell begins in `pixels`.
    """

    image: Floats
    targets: Floats
    pixels: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def shape_yx(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[2]


def make_scene(image: LabelledImage, *, nuclei: bool) -> Scene:
    """Normalize an image and draw its targets; with a map of nuclei where they are learned.

    Raises
    ------
    DataError
        The image is constant or not finite.
    """
    try:
        grey = normalize(image.image, measure_statistics(image.image))
    except DataError as error:
        raise DataError(error.reason, error.remedy, file=image.name) from error
    known = None
    if nuclei:
        unknown = np.full(image.labels.shape, np.nan, np.float32)
        known = unknown if image.nuclei is None else image.nuclei.astype(np.float32)
    maps = target_maps(image.labels, known)
    flat = image.labels.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.searchsorted(flat[order], 1) :]  # without the background
    starts = np.flatnonzero(np.diff(flat[order], prepend=0))
    return Scene(grey[None], maps, order, np.append(starts, order.size))


class Samples:
    """Patch `index` of `step` is a function of the seed and both, and of nothing else.

    Parameters
    ----------
    scenes : sequence of Scene
    settings : CellSettings
    patch : int
        Side in pixels; smaller images are enlarged to it by mirroring.
    """

    def __init__(self, scenes: Sequence[Scene], settings: CellSettings, patch: int) -> None:
        self.scenes, self.settings, self.patch = scenes, settings, patch
        self.augmentation = Augmentation(
            rotation_deg=settings.rotation_deg,
            scale=settings.scale,
            warped=settings.warped,
            contrast=settings.contrast,
            brightness=settings.brightness,
            noise=settings.noise,
            symmetries=ALL_MOTIONS,
        )
        areas = np.array([np.prod(scene.shape_yx) for scene in scenes], np.float64)
        cells = np.array([scene.starts.size - 1 for scene in scenes], np.float64)
        self.by_area, self.by_cells = np.cumsum(areas / areas.sum()), np.cumsum(cells / cells.sum())

    def sample(self, step: int, index: int) -> tuple[Floats, Floats]:
        """Image (1, S, S) and targets (K, S, S)."""
        rng = generator(self.settings.seed, step, index)
        on_cell = rng.random() < self.settings.on_cells
        shares = self.by_cells if on_cell else self.by_area
        number = int(np.searchsorted(shares, rng.random(), side="right"))
        scene = self.scenes[min(number, len(self.scenes) - 1)]  # shares may end at 1 - 1e-16
        rows, columns = self._room(scene, rng) if on_cell else (slice(0, n) for n in scene.shape_yx)

        def read(y: slice, x: slice) -> tuple[Floats, Floats]:
            y = slice(rows.start + y.start, rows.start + y.stop)
            x = slice(columns.start + x.start, columns.start + x.stop)
            return scene.image[:, y, x], scene.targets[:, y, x]

        room = (rows.stop - rows.start, columns.stop - columns.start)
        image, targets = crop_pair(read, room, self.patch, self.augmentation, rng)
        blur = self.settings.blur_px * max(0.0, rng.uniform(-1, 1))  # none in half of them
        if blur > 0.1:
            image = cv2.GaussianBlur(image[0], (0, 0), blur)[None]
        # cubic interpolation overshoots at edges
        return vary_intensity(image, self.augmentation, rng), np.clip(targets, 0, 1)

    def _room(self, scene: Scene, rng: np.random.Generator) -> tuple[slice, slice]:
        """Rows and columns around a pixel of a cell, each cell as likely as any other."""
        cell = int(rng.integers(scene.starts.size - 1))
        pixel = scene.pixels[rng.integers(scene.starts[cell], scene.starts[cell + 1])]
        center = np.unravel_index(pixel, scene.shape_yx)
        side = int(_ROOM * self.patch)
        spans = []
        for at, length in zip(center, scene.shape_yx, strict=True):
            start = int(np.clip(at - side // 2, 0, max(0, length - side)))
            spans.append(slice(start, min(start + side, length)))
        return spans[0], spans[1]

    def batch(self, step: int, indices: range) -> Mapping[str, Tensor]:
        """``image`` (N, 1, S, S), ``targets`` (N, K, S, S)."""
        drawn = [self.sample(step, index) for index in indices]
        images, targets = (np.stack(parts) for parts in zip(*drawn, strict=True))
        return {"image": torch.from_numpy(images), "targets": torch.from_numpy(targets)}
