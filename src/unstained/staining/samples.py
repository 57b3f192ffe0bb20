"""Training samples: fields in memory, or mapped from disk where they do not fit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DataError
from ..images.atomic import atomic_path
from ..images.fields import Field
from ..images.image import Array
from ..learning.augment import Augmentation, crop_pair, vary_intensity
from ..learning.random import generator
from .normalize import (
    PER_IMAGE,
    MarkerSpec,
    Normalization,
    Statistics,
    fit_normalization,
    normalize,
)

__all__ = ["Samples", "Scene", "load_scenes", "measure_markers"]

Floats = NDArray[np.float32]

_FOCUS_SERIES = 5  # planes; fewer are channels, such as brightfield and darkfield
_IN_MEMORY = 4 * 2**30  # bytes of fields kept in memory; more is mapped from a file
_POOLED = 64_000_000  # pixels that the statistics of all images are measured on
_NAMED = 5  # files in a note
_COLORS = {
    "dapi": "4080FF",
    "dna": "4080FF",
    "hoechst": "4080FF",
}
_PALETTE = ("4080FF", "40FF60", "FF4060", "FFC020", "E040FF", "20E0E0", "FF8020", "FFFFFF")


@dataclass(frozen=True)
class Scene:
    """One field, read: planes (P, Y, X) and stains (M, Y, X) as in the files.

    `present` is (M,) bool; the stains of absent markers are zeros. `statistics` normalize the
    planes.
    """

    field: Field
    planes: Array
    stains: Array
    present: NDArray[np.bool_]
    statistics: Statistics

    @property
    def shape_yx(self) -> tuple[int, int]:
        return int(self.planes.shape[-2]), int(self.planes.shape[-1])


def load_scenes(
    fields: Sequence[Field],
    markers: Sequence[str],
    cache: Path,
    *,
    normalization: Normalization = PER_IMAGE,
) -> list[Scene]:
    """Read the fields that have one of the markers.

    Parameters
    ----------
    fields, markers : sequences
    cache : Path
        Folder for what does not fit in memory: one file, since each mapped file is an open one.
    normalization : Normalization

    Raises
    ------
    DataError
        Fields differ in their number of label-free planes.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with atomic_path(cache / "fields.bin") as temporary, temporary.open("wb") as file:
        scenes, outside = _read_scenes(fields, markers, normalization, file)
    if outside:
        mapped = np.memmap(cache / "fields.bin", np.uint8, "r")
        for i, (planes, stains) in outside.items():
            scenes[i] = replace(scenes[i], planes=planes.of(mapped), stains=stains.of(mapped))
    return scenes


@dataclass(frozen=True)
class _Stored:
    """Where an array lies in a file."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def write(cls, array: Array, file: BinaryIO) -> _Stored:
        file.write(bytes(-file.tell() % 64))  # aligned for any type
        start = file.tell()
        file.write(np.ascontiguousarray(array).data)
        return cls(start, array.shape, array.dtype)

    def of(self, mapped: Array) -> Array:
        stop = self.start + int(np.prod(self.shape)) * self.dtype.itemsize
        return mapped[self.start : stop].view(self.dtype).reshape(self.shape)


def _read_scenes(
    fields: Sequence[Field],
    markers: Sequence[str],
    normalization: Normalization,
    file: BinaryIO,
) -> tuple[list[Scene], dict[int, tuple[_Stored, _Stored]]]:
    """Scenes, and for those beyond the memory's share where their planes and stains lie."""
    scenes: list[Scene] = []
    outside: dict[int, tuple[_Stored, _Stored]] = {}
    kept_bytes = 0
    for field in fields:
        if not any(marker in field.stains for marker in markers):
            continue
        planes = field.read_phase()
        if scenes and len(planes) != len(scenes[0].planes):
            raise DataError(
                f"{len(planes)} label-free planes, but {scenes[0].field.id} has "
                f"{len(scenes[0].planes)}",
                "every row of `phase` must list the same planes",
                file=field.phase,
            )
        present = np.array([marker in field.stains for marker in markers])
        read = {m: field.read_stain(m) for m in markers if m in field.stains}
        kind = np.result_type(*(s.dtype for s in read.values()))
        stains = np.zeros((len(markers), *planes.shape[-2:]), kind)
        for i, marker in enumerate(markers):
            if marker in read:
                stains[i] = read[marker]
        own = _own(planes, field, normalization)
        kept_bytes += planes.nbytes + stains.nbytes
        if kept_bytes > _IN_MEMORY:
            outside[len(scenes)] = _Stored.write(planes, file), _Stored.write(stains, file)
            planes, stains = planes[:, :0].copy(), stains[:, :0].copy()
        scenes.append(Scene(field, planes, stains, present, own))
    return scenes, outside


def training_normalization(way: str, fields: Sequence[Field]) -> Normalization:
    """Fit one of the ways to normalize on training fields; see `fit_normalization`.

    On at most 4096 of them (to choose a way: 64); of large ones every so many-th pixel, some 64
    megapixels in all.
    """
    chosen = fields[:: max(1, len(fields) // (64 if way == "auto" else 4096))]
    pixels = sum(int(np.prod(field.shape)) for field in chosen)
    step = math.ceil(math.sqrt(max(1.0, pixels / _POOLED)))
    images = [field.read_phase()[:, ::step, ::step].copy() for field in chosen]
    return fit_normalization(way, images)


def measure_markers(scenes: Sequence[Scene], markers: Sequence[str]) -> tuple[MarkerSpec, ...]:
    """Background and spread of each stain over the training scenes, at most some 4 megapixels.

    Raises
    ------
    DataError
        A marker has no training pair, or is constant in each of them.
    """
    specs = []
    for i, marker in enumerate(markers):
        having = [scene for scene in scenes if scene.present[i]]
        if not having:
            raise DataError(
                f"marker {marker!r} has no training pair",
                "add pairs, or leave the marker out (of_markers, --markers)",
            )
        pixels = sum(scene.stains[i].size for scene in having)
        every = max(1, int(np.sqrt(pixels / 4e6)))
        values = np.concatenate([scene.stains[i, ::every, ::every].ravel() for scene in having])
        offset, scale = float(np.median(values)), float(np.std(values, dtype=np.float64))
        if not scale > 0 or all(_is_constant(scene.stains[i]) for scene in having):
            raise DataError(
                f"marker {marker!r} is constant in all training pairs, this one among them",
                "name images that show it, or leave the marker out (of_markers, --markers)",
                file=having[0].field.stains[marker],
            )
        color = _COLORS.get(marker.casefold(), _PALETTE[i % len(_PALETTE)])
        specs.append(MarkerSpec(marker, offset, scale, color))
    return tuple(specs)


def constant_stains(scenes: Sequence[Scene], markers: Sequence[str]) -> str:
    """Which training stains are of one grey value, and what that means, in words; "" for none.

    They are learned from as they are: a control without the marker has an empty stain.
    """
    found = [
        f"{marker} of {Path(scene.field.stains[marker]).name}"
        for i, marker in enumerate(markers)
        for scene in scenes
        if scene.present[i] and _is_constant(scene.stains[i])
    ]
    if not found:
        return ""
    of = sum(int(scene.present.sum()) for scene in scenes)
    shown = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
    return (
        f"{len(found)} of {of} training stains are constant: {shown}; they teach that such cells "
        "have none of the marker: right for a control, else leave these pairs out"
    )


def _is_constant(stain: Array) -> bool:
    return bool(stain.min() == stain.max())


class Samples:
    """Random patches of scenes; sample `index` of `step` is a function of the seed and both.

    Parameters
    ----------
    scenes : sequence of Scene
        Drawn in proportion to their areas and weights.
    markers : sequence of MarkerSpec
        Normalize the stains.
    patch : int
        Side in pixels; small images are enlarged to it by mirroring.
    augmentation : Augmentation
    seed : int
    focus_shift : int
        Largest shift of a focus series, planes.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        markers: Sequence[MarkerSpec],
        *,
        patch: int,
        augmentation: Augmentation,
        seed: int,
        focus_shift: int = 0,
    ) -> None:
        self.scenes, self.patch, self.seed = scenes, patch, seed
        self.augmentation = augmentation
        is_series = len(scenes[0].planes) >= _FOCUS_SERIES
        self.focus_shift = focus_shift if is_series else 0
        self.offset = np.array([m.offset for m in markers], np.float32)[:, None, None]
        self.scale = np.array([m.scale for m in markers], np.float32)[:, None, None]
        areas = [max(1.0, np.prod(scene.shape_yx) / patch**2) for scene in scenes]
        counted = np.array(areas) * [scene.field.weight for scene in scenes]
        if not counted.sum() > 0:
            raise DataError("all training pairs have weight 0", "give some of them a weight above")
        self.cumulated = np.cumsum(counted) / counted.sum()

    def sample(self, step: int, index: int) -> tuple[Floats, Floats, NDArray[np.float32]]:
        """Planes (P, S, S), stains (M, S, S), presence (M,)."""
        rng = generator(self.seed, step, index)
        scene = self.scenes[int(np.searchsorted(self.cumulated, rng.random(), side="right"))]

        def read(rows: slice, columns: slice) -> tuple[Floats, Floats]:
            stains = (scene.stains[:, rows, columns].astype(np.float32) - self.offset) / self.scale
            return normalize(scene.planes[:, rows, columns], scene.statistics), stains

        planes, stains = crop_pair(read, scene.shape_yx, self.patch, self.augmentation, rng)
        if self.focus_shift > 0:
            planes = _shift_focus(
                planes, int(rng.integers(-self.focus_shift, self.focus_shift + 1))
            )
        planes = vary_intensity(planes, self.augmentation, rng)
        return planes, stains, scene.present.astype(np.float32)

    def batch(self, step: int, indices: range) -> Mapping[str, Tensor]:
        """``planes`` (N, P, S, S), ``stains`` (N, M, S, S), ``present`` (N, M)."""
        drawn = [self.sample(step, index) for index in indices]
        names = ("planes", "stains", "present")
        stacked = (np.stack(parts) for parts in zip(*drawn, strict=True))
        return {name: torch.from_numpy(a) for name, a in zip(names, stacked, strict=True)}


def principal_components(scenes: Sequence[Scene], count: int) -> Floats:
    """(count, P) matrix to the strongest components of the normalized planes, each of SD 1.

    From at most some million pixels of the scenes. What varies by less than 1e-8 of the
    strongest is rounding, as of two equal planes, and is not raised to SD 1.
    """
    pixels = sum(int(np.prod(scene.shape_yx)) for scene in scenes)
    every = max(1, int(np.sqrt(pixels / 1e6)))
    planes = [normalize(s.planes[:, ::every, ::every], s.statistics) for s in scenes]
    flat = np.concatenate([p.reshape(len(p), -1) for p in planes], axis=1)  # (P, pixels)
    variances, vectors = np.linalg.eigh(np.cov(flat))
    variances = np.maximum(variances, 1e-8 * variances.max())
    strongest = np.argsort(variances)[::-1][:count]
    matrix: Floats = (vectors[:, strongest] / np.sqrt(variances[strongest])).T.astype(np.float32)
    return matrix


def _shift_focus(planes: Floats, shift: int) -> Floats:
    """Take each plane from `shift` planes further, the outermost at the ends."""
    return planes[np.clip(np.arange(len(planes)) + shift, 0, len(planes) - 1)]


def _own(planes: Array, field: Field, normalization: Normalization) -> Statistics:
    try:
        return normalization.of(lambda y, x: planes[:, y, x], planes.shape[-2:])
    except DataError as error:
        raise DataError(error.reason, error.remedy, file=field.phase) from error
