"""Which images there are to segment: files, folders of files, and folders that are movies."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..cell_table import plain_name
from ..errors import DataError, FileError, InputError, refuse_name
from ..images.fields import file_key
from ..images.folders import images_in, is_zarr
from ..images.image import Array, Image, LazyPlanes
from ..images.read import (
    SUFFIXES,
    check_one_plane,
    drop_ome,
    fields_of,
    read_image,
    split_selector,
)
from ..settings import check_settings
from .frame_order import check_frames

__all__ = [
    "CellSource",
    "SourceOptions",
    "find_images",
    "image_key",
    "is_of_labels",
    "is_plain_folder",
    "open_movie",
]

_NOT_IMAGES = re.compile(r"[_-](labels?|classes|masks?|seg|instances)$|^instances$", re.IGNORECASE)
_ENDING = re.compile(
    r"[_-](raw|phase|image|labels?|classes|masks?|seg|cells|nuclei|instances|outlines?|rois?)$",
    re.IGNORECASE,
)


class CellSource(NamedTuple):
    """One image or movie: a unique `name`, its absolute `path`, the lazy `image`."""

    name: str
    path: str
    image: Image


@dataclass(frozen=True)
class SourceOptions:
    """What files do not say themselves.

    Attributes
    ----------
    pixel_size_um, frame_interval_s : float, optional
        In place of what the files say.
    channel : str, optional
        Name or position of the channel to use, where files have several.
    movie : bool
        Whether the files of a folder are the frames of one movie, in the order of the numbers in
        their names, which differ in nothing else.
    """

    pixel_size_um: float | None = None
    frame_interval_s: float | None = None
    channel: str | None = None
    movie: bool = False

    def __post_init__(self) -> None:
        check_settings(self, positive=("pixel_size_um", "frame_interval_s"))


def find_images(
    paths: Sequence[str | os.PathLike[str]], options: SourceOptions | None = None
) -> list[CellSource]:
    """All images of files and folders, each with one plane a frame.

    Parameters
    ----------
    paths : sequence of path-like
        Images (``PATH#CHANNEL`` too), folders of images, OME-Zarr plates. Files of a folder
        that are named as labels (``_labels``, ``_mask``, ``instances`` ...) are no images.
    options : SourceOptions, optional

    Returns
    -------
    list of CellSource
        Named by the stem of the file, and by its folder too where stems are equal.

    Raises
    ------
    InputError
        No path.
    FileError, DataError
        A file is absent or no image, a folder has none, or an image has several channels or
        planes in z.
    """
    refuse_name(paths, "a list of files", "[{}]")
    options = options or SourceOptions()
    if not paths:
        raise InputError("no image is given", "name images or folders of images")
    listed: list[str] = []
    for path in paths:
        listed += _images_at(os.fspath(path), options.movie)
    if options.channel is not None:
        listed = [f"{path}#{options.channel}" for path in listed]
    unique = list(dict.fromkeys(listed))
    names = _names(unique)
    return [
        CellSource(name, path, _opened(path, options))
        for name, path in zip(names, unique, strict=True)
    ]


def open_movie(
    path: str, *, pixel_size_um: float | None = None, frame_interval_s: float | None = None
) -> Image | None:
    """The images of a folder as the frames of one movie; None where `path` is an image.

    Frames follow the numbers in their names (``t2`` before ``t10``) and are read one by one.

    Raises
    ------
    DataError
        No image in the folder, frames of different sizes, or of several planes; a frame is
        missing (`frame_order.check_frames`).
    """
    chosen = split_selector(path)
    file = chosen.path
    if not is_plain_folder(file):
        return None
    frames = _listed(file)
    check_frames(frames)
    files = [f"{frame}{chosen.inside}" for frame in frames]
    first = read_image(files[0], pixel_size_um=pixel_size_um, frame_interval_s=frame_interval_s)
    if first.shape[:3] != (1, 1, 1):
        raise DataError(
            f"has shape {first.shape} (T, C, Z, Y, X)",
            "a folder is a movie where each file is one plane of one channel",
            file=files[0],
        )
    return replace(first, data=_Frames(files, first), source=file, levels=())


class _Frames(LazyPlanes):
    """Files of one plane each, as frames."""

    def __init__(self, files: Sequence[str], first: Image) -> None:
        super().__init__((len(files), *first.shape[1:]), first.dtype)
        self._files = tuple(files)

    def _crop(self, t: int, c: int, z: int, y: slice, x: slice) -> Array:
        frame = _frame(*file_key(self._files[t]))
        if frame.shape != (1, *self.shape[1:]):
            raise DataError(
                f"has shape {frame.shape}, the first frame {(1, *self.shape[1:])}",
                "give frames of one size",
                file=self._files[t],
            )
        return np.asarray(frame.data[0, c, z, y, x])


@lru_cache(maxsize=4)
def _frame(path: str, changed_ns: int, size: int) -> Image:
    return read_image(path)


def is_plain_folder(path: Path) -> bool:
    """A folder that is no OME-Zarr."""
    return path.is_dir() and not is_zarr(path)


def _listed(folder: Path) -> list[Path]:
    images = [p for p in images_in(folder) if not _NOT_IMAGES.search(p.stem)]
    if not images:
        raise DataError(
            "is a folder without images", f"read are {', '.join(SUFFIXES)}", file=folder
        )
    return images


def _images_at(spec: str, movie: bool) -> list[str]:
    """Absolute paths of the fields of an image or plate, or of all images in a folder."""
    chosen = split_selector(spec)
    path, selector = chosen.path.absolute(), chosen.inside
    if not path.exists():
        raise FileError("does not exist", "check the path", file=path)
    if is_plain_folder(path):
        if movie:
            _check_one_series(path)
            return [f"{path}{selector}"]
        return [field + selector for file in _listed(path) for field in fields_of(file)]
    if chosen.field is not None:
        return [f"{path}{selector}"]
    return [field + selector for field in fields_of(path)]


def _check_one_series(folder: Path) -> None:
    """Refuse frames whose names differ in more than their numbers: those of several movies.

    Wells that differ in a number, too, cannot be told from days and hours.
    """
    stems = {file.stem.casefold().removesuffix(".ome") for file in _listed(folder)}
    series = sorted({re.sub(r"\d+", "#", stem) for stem in stems})
    if len(series) > 1:
        more = " ..." if len(series) > 4 else ""
        raise DataError(
            f"has images of {len(series)} series: {', '.join(series[:4])}{more}",
            "give each movie a folder of its own, with names that differ in their numbers only",
            file=folder,
        )


def _opened(path: str, options: SourceOptions) -> Image:
    pixel, interval = options.pixel_size_um, options.frame_interval_s
    image = open_movie(path, pixel_size_um=pixel, frame_interval_s=interval) or read_image(
        path, pixel_size_um=pixel, frame_interval_s=interval
    )
    check_one_plane(image, path, "cells")
    return image


def _names(paths: Sequence[str]) -> list[str]:
    """The stem of each file; where two are equal, with the folder in front."""
    stems = [_stem(path) for path in paths]
    return [
        stem if stems.count(stem) == 1 else f"{split_selector(path).path.parent.name}-{stem}"
        for stem, path in zip(stems, paths, strict=True)
    ]


def _stem(path: str) -> str:
    """``plate.ome.zarr/B/3/0`` is plate-B-3-0, ``x.czi#field=2`` is x-field2."""
    chosen = split_selector(path)
    file = chosen.path
    inside = [p for p in (file, *file.parents) if p.suffix.lower() == ".zarr"]
    root = inside[-1] if inside else file
    stem = root.name if root.is_dir() and root.suffix.lower() != ".zarr" else root.stem
    parts = [drop_ome(stem), *(file.relative_to(root).parts if inside else ())]
    return "-".join(parts) + ("" if chosen.field is None else f"-field{chosen.field}")


def image_key(name: str) -> str:
    """What an image's name and those of its labels or outlines have in common.

    ``field00_phase``, ``field00_labels`` and ``Field00`` are of one image, and so are ``set (1)``
    and ``set-1``, as a segmentation folder spells it (`plain_name`).
    """
    return _ENDING.sub("", plain_name(name)).strip("-").casefold()


def is_of_labels(name: str) -> bool:
    """Whether a name ends as that of labels, outlines or the label-free image: ``a_labels``."""
    return _ENDING.search(name) is not None
