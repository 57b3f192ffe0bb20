"""One field of view with all its stains, read from files that stay open between regions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, FileError, InputError
from .image import Array, Image
from .kept import Kept

__all__ = [
    "Field",
    "Region",
    "file_key",
    "file_of",
    "full_shape",
    "join_paths",
    "open_image",
    "read_planes",
    "split_paths",
]

_OPEN_FILES = 64  # images kept open
_CACHE_BYTES = 512 * 2**20  # their pixels kept in memory, all together
_CACHE_ONE = 64 * 2**20  # a larger image is read region by region


class Region(NamedTuple):
    """Part of an image: rows y0 <= y < y1, columns x0 <= x < x1, pixels.

    Written ``"y0:y1,x0:x1"`` in a manifest.
    """

    y0: int
    y1: int
    x0: int
    x1: int

    @classmethod
    def parse(cls, text: str) -> Region:
        """Read ``"y0:y1,x0:x1"``.

        Raises
        ------
        InputError
            The text has another form, or the region is empty.
        """
        found = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*", text)
        if found is None:
            raise InputError(f"region {text!r} is not understood", 'write "y0:y1,x0:x1" in pixels')
        region = cls(*(int(number) for number in found.groups()))
        if region.y0 >= region.y1 or region.x0 >= region.x1:
            raise InputError(f"region {text!r} is empty", "each range must end after its start")
        return region

    def __str__(self) -> str:
        return f"{self.y0}:{self.y1},{self.x0}:{self.x1}"

    @property
    def shape(self) -> tuple[int, int]:
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def distance(self, other: Region) -> int:
        """Pixels between two regions (the larger of both axes); negative where they overlap."""
        dy = max(other.y0 - self.y1, self.y0 - other.y1)
        dx = max(other.x0 - self.x1, self.x0 - other.x1)
        return max(dy, dx)


@dataclass(frozen=True)
class Field:
    """One label-free field and the stains that it has; pixels are read on demand.

    Attributes
    ----------
    phase : str
        Absolute paths joined by ``;``, each perhaps with ``#CHANNEL``.
    region : Region or None
        The part of every image that the field stands for.
    stains : mapping of str to str
        Path of the stain for each marker.
    group, split : str
        What must stay together; where it belongs.
    id : str
        Name, unique within its `Pairs`.
    labels : str
        Path of a label image, or "".
    row : mapping
        The manifest's other columns.
    """

    phase: str
    region: Region | None
    stains: Mapping[str, str]
    group: str
    split: str
    id: str
    labels: str = ""
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of the field, from the headers alone."""
        if self.region is not None:
            return self.region.shape
        return full_shape(split_paths(self.phase)[0])

    @property
    def pixel_size_um(self) -> float | None:
        """From the manifest, else from the first phase file; None where neither says."""
        given = self.row.get("pixel_size_um")
        if given is not None and np.isfinite(given):
            return float(given)
        return open_image(split_paths(self.phase)[0]).pixel_size_um

    @property
    def weight(self) -> float:
        """How much it counts in training; 1 where the manifest does not say."""
        given = float(self.row.get("weight", np.nan))
        return 1.0 if np.isnan(given) else given

    def with_context(
        self, context_px: int, *, align_px: int = 1
    ) -> tuple[Field, tuple[slice, slice]]:
        """The field with extra pixels on each side, and where it lies in the enlarged one.

        As far as its image reaches: for predictions, which need what surrounds a pixel. It
        begins at a multiple of `align_px`: a network pools blocks of so many pixels, and sees
        the same blocks then as in the whole image. A single-cell image has nothing of its own
        around it and stays as it is.
        """
        if self.region is None or self.row.get("cell"):
            return self, (slice(None), slice(None))
        height, width = full_shape(split_paths(self.phase)[0])
        y0, y1, x0, x1 = self.region
        wide = Region(
            max(0, y0 - context_px) // align_px * align_px,
            min(height, y1 + context_px),
            max(0, x0 - context_px) // align_px * align_px,
            min(width, x1 + context_px),
        )
        inside = slice(y0 - wide.y0, y1 - wide.y0), slice(x0 - wide.x0, x1 - wide.x0)
        return replace(self, region=wide), inside

    def read_phase(self) -> Array:
        """All label-free planes as (P, Y, X): channels by z of each file, in the given order.

        Raises
        ------
        DataError
            Files of different shapes, more than one frame, a region outside the image, NaN.
        """
        paths = split_paths(self.phase)
        self._same_shape(paths)
        planes = [_finite(read_planes(path, self.region), path) for path in paths]
        return planes[0] if len(planes) == 1 else np.concatenate(planes)

    def read_stain(self, marker: str) -> Array:
        """The stain of one marker as (Y, X).

        Raises
        ------
        InputError
            The field has no such stain.
        DataError
            Its shape is not the phase image's, it has several planes, or NaN; a model predicted
            it.
        """
        path = self.stains.get(marker)
        if path is None:
            raise InputError(
                f"field {self.id} has no stain {marker!r}", f"it has {', '.join(self.stains)}"
            )
        self._same_shape([split_paths(self.phase)[0], path])
        if open_image(path).predicted:
            raise DataError(
                "was predicted by a model, and measured by nobody",
                "pair the field with the stain itself: what a model made teaches and tests none",
                file=path,
            )
        planes = _finite(read_planes(path, self.region), path)
        if len(planes) != 1:
            raise DataError(
                f"a stain is one plane, this has {len(planes)}",
                "choose a channel with #CHANNEL and a plane with #z=3, or project the stack first",
                file=path,
            )
        return np.asarray(planes[0])

    def read_labels(self) -> Array:
        """The label image as (Y, X), 0 = background.

        Raises
        ------
        InputError
            The field has none.
        DataError
            Its shape is not the phase image's.
        """
        from .read import read_labels

        if not self.labels:
            raise InputError(f"field {self.id} has no labels", "give them in the column labels")
        labels = np.asarray(read_labels(self.labels))
        whole = full_shape(split_paths(self.phase)[0])
        if labels.shape == self.shape:
            return labels
        if labels.shape != whole or self.region is None:
            raise DataError(
                f"labels are {_size(labels.shape)}, the phase image {_size(whole)}",
                "labels must cover the same pixels",
                file=self.labels,
            )
        return np.asarray(labels[self.region.slices])

    def _same_shape(self, paths: list[str]) -> None:
        whole = full_shape(paths[0])
        for path in paths[1:]:
            shape = full_shape(path)
            if shape != whole:
                raise DataError(
                    f"is {_size(shape)}, but {file_of(paths[0]).name} is {_size(whole)}",
                    "images of one pair must show the same field at the same pixel size: "
                    "crop or resample, and see `unstained images check`",
                    file=path,
                )


def split_paths(joined: str) -> list[str]:
    """Paths that are joined by ``;``; a file whose own name has a ``;`` stays whole."""
    from .read import split_joined

    return split_joined(joined)


def join_paths(paths: list[str]) -> str:
    """The opposite of `split_paths`."""
    return ";".join(paths)


def file_of(path: str) -> Path:
    """The file of ``PATH``, ``PATH#CHANNEL`` or ``PATH#field=2``."""
    from .read import split_selector

    return split_selector(path).path


_images = Kept[Image](_OPEN_FILES, lambda image: 1)
_pixels = Kept[Array](_CACHE_BYTES, lambda pixels: pixels.nbytes)


def file_key(path: str) -> tuple[str, int, int]:
    """What an opened image is kept under: path, time of change and size of its file.

    A file that is written anew is another one.

    Raises
    ------
    FileError
        It is not there.
    """
    try:
        stat = file_of(path).stat()
    except OSError as error:
        raise FileError("is not there", "check the path", file=path) from error
    return path, stat.st_mtime_ns, stat.st_size


def open_image(path: str) -> Image:
    """The lazy image of a path; kept open."""
    return _images.get(file_key(path), lambda: _still(path))


def _still(path: str) -> Image:
    from .read import read_image

    image = read_image(path)
    if image.shape[0] != 1:
        raise DataError(
            f"has {image.shape[0]} frames; a pair is of one moment",
            "write each frame to its own file, one row each",
            file=path,
        )
    return image


def full_shape(path: str) -> tuple[int, int]:
    """(Y, X) of a whole image, from its header."""
    shape = open_image(path).shape
    return shape[3], shape[4]


def read_planes(path: str, region: Region | None) -> Array:
    """(C * Z, Y, X) of a file, or of a region of it; never a view that can be written through."""
    image = open_image(path)
    height, width = image.shape[3:]
    if region is not None and (region.y1 > height or region.x1 > width):
        raise DataError(
            f"region {region} reaches outside the image of {_size((height, width))}",
            "correct the region in the manifest",
            file=path,
        )
    ys, xs = (slice(None), slice(None)) if region is None else region.slices
    nbytes = int(np.prod(image.shape)) * image.dtype.itemsize
    if nbytes > _CACHE_ONE:
        return image.planes(0, ys, xs)
    pixels = _pixels.get(file_key(path), image.planes)
    return pixels[:, ys, xs].copy()


def _finite(planes: Array, path: str) -> Array:
    if planes.dtype.kind == "f":
        bad = int(np.count_nonzero(~np.isfinite(planes)))
        if bad:
            raise DataError(
                f"{bad} of {planes.size} pixels are NaN or infinite",
                "repair the image, or leave the row out of the manifest",
                file=path,
            )
    return planes


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape) + " px"
