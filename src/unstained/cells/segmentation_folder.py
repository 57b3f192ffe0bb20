"""Cells of images and movies as a folder: labels of every frame, and where the images lie.

    DIR/segmentation.json
    DIR/labels/NAME.ome.zarr   T 1 1 Y X, int32; 0 is background, numbers unique in a frame
    DIR/nuclei/NAME.ome.zarr   the same of nuclei, where they are known

The images are not copied; ``segmentation.json`` holds their paths relative to the folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ..cell_table import plain_name
from ..errors import DataError, FileError, InputError
from ..images.atomic import atomic_dir, write_json
from ..images.image import Array, Channel, Image, LazyArray
from ..images.ome_zarr_writer import OmeZarrWriter, create_ome_zarr
from ..images.read import read_image, relative_source, split_selector
from ..images.saved import from_saved
from .segmentation_sources import open_movie

__all__ = [
    "ABOUT",
    "SegmentationWriter",
    "Segmented",
    "create_segmentation",
    "read_segmentation",
]

ABOUT = "segmentation.json"

_CHUNK_PX = 512
_BLOCK_PX = 2048
_MAKE_ONE = "make one: unstained cells segment --model MODEL IMAGE... --out DIR"


@dataclass(frozen=True)
class Segmented:
    """One image or movie of a folder with its labels.

    Attributes
    ----------
    root : Path
        The folder.
    image : str
        Name, unique in the folder.
    path : str or None
        Of the original, relative to `root` with ``/`` (absolute on another drive), with
        ``#CHANNEL`` behind it where one was chosen. A folder is a movie with a file for each
        frame. None where the labels come without an image.
    labels_file, nuclei_file : str, str or None
        Relative to `root`.
    frames : int
    pixel_size_um, frame_interval_s : float or None
        None where not known.
    cells_per_frame : tuple of int
    """

    root: Path
    image: str
    path: str | None
    labels_file: str
    nuclei_file: str | None
    frames: int
    pixel_size_um: float | None
    frame_interval_s: float | None
    cells_per_frame: tuple[int, ...]

    @property
    def labels_path(self) -> Path:
        return self.root / self.labels_file

    @property
    def nuclei_path(self) -> Path | None:
        return None if self.nuclei_file is None else self.root / self.nuclei_file

    @property
    def image_path(self) -> str:
        """Absolute, with ``#CHANNEL`` where one was chosen.

        Raises
        ------
        FileError
            The labels come without an image.
        """
        if self.path is None:
            raise FileError(
                f"does not say which image {self.image!r} is", "segment the image", file=self.root
            )
        return os.path.normpath(self.root.resolve() / self.path)

    @cached_property
    def labels_image(self) -> Image:
        """The labels of all frames, lazily; T 1 1 Y X."""
        return _opened(self.labels_path, self.frames)

    @cached_property
    def nuclei_image(self) -> Image | None:
        """The labels of nuclei, lazily; None where there are none."""
        return None if self.nuclei_path is None else _opened(self.nuclei_path, self.frames)

    def labels(self, t: int = 0) -> Array:
        """Cells of frame `t`, (Y, X) int32."""
        return self.labels_image.plane(self._checked(t)).astype(np.int32, copy=False)

    def nuclei(self, t: int = 0) -> Array | None:
        """Nuclei of frame `t`, (Y, X) int32; None where there are none."""
        image = self.nuclei_image
        return None if image is None else image.plane(self._checked(t)).astype(np.int32, copy=False)

    def open_image(self) -> Image:
        """The original image, lazily, with the sizes of this folder.

        Raises
        ------
        FileError
            It no longer exists.
        """
        file = split_selector(self.image_path).path
        if not file.exists():
            raise FileError(
                "is not there", "put the image back where it was, or segment again", file=file
            )
        sizes: dict[str, Any] = {
            "pixel_size_um": self.pixel_size_um,
            "frame_interval_s": self.frame_interval_s,
        }
        movie = open_movie(self.image_path, **sizes)
        return read_image(self.image_path, **sizes) if movie is None else movie

    def _checked(self, t: int) -> int:
        if not 0 <= t < self.frames:
            raise InputError(f"frame {t} of {self.image!r}", f"give 0 to {self.frames - 1}")
        return t


class SegmentationWriter:
    """Takes images with their labels one after the other; made by `create_segmentation`."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.entries: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self._home = home

    def add(
        self,
        name: str,
        image: Image,
        path: str | os.PathLike[str] | None,
        labels: Iterable[LazyArray],
        nuclei: Iterable[LazyArray] | None = None,
    ) -> str:
        """Write the labels of all frames of an image; one frame is asked for at a time.

        Parameters
        ----------
        name : str
            Such as the stem of its file; made unique.
        image : Image
            Gives frames, size, and the sizes of pixels and steps; its pixels are not read.
        path : path-like or None
            Where the image lies, with ``#CHANNEL`` where one was chosen.
        labels : iterable of (Y, X) integer arrays
            One for each frame; 0 is background. An array that is larger than memory is read
            block by block.
        nuclei : iterable of (Y, X) integer arrays, optional
            The same of nuclei.

        Returns
        -------
        str
            The name that it got.

        Raises
        ------
        DataError
            Not as many frames, or not of the size, as the image; numbers that are no labels.
        """
        unique = _unique(name, {str(entry["image"]) for entry in self.entries})
        files = {"labels": f"labels/{unique}.ome.zarr", "nuclei": f"nuclei/{unique}.ome.zarr"}
        parts = {"labels": iter(labels)} | ({} if nuclei is None else {"nuclei": iter(nuclei)})
        counts: list[int] = []
        with ExitStack() as stack:
            writers = {
                kind: stack.enter_context(self._writer(files[kind], image)) for kind in parts
            }
            for t in range(image.shape[0]):
                for kind, frames in parts.items():
                    frame = _next(frames, unique, kind, t, image.shape)
                    found = _write_frame(writers[kind], t, frame, unique)
                    if kind == "labels":
                        counts.append(found)
            for kind, frames in parts.items():
                if next(frames, None) is not None:
                    raise DataError(
                        f"{unique} has {image.shape[0]} frames and more {kind} than that",
                        "give one label image for each frame",
                    )
        self.entries.append(
            {
                "image": unique,
                "path": None if path is None else relative_source(os.fspath(path), self._home),
                "labels": files["labels"],
                "nuclei": None if nuclei is None else files["nuclei"],
                "frames": image.shape[0],
                "pixel_size_um": image.pixel_size_um,
                "frame_interval_s": image.frame_interval_s,
                "cells_per_frame": counts,
            }
        )
        return unique

    @contextmanager
    def _writer(self, file: str, image: Image) -> Iterator[OmeZarrWriter]:
        shape = (image.shape[0], 1, 1, *image.shape[3:])
        with create_ome_zarr(
            self.folder / file,
            shape,
            np.int32,
            [Channel("cells")],
            image.pixel_size_um,
            frame_interval_s=image.frame_interval_s,
            chunk=_CHUNK_PX,
            labels=True,
        ) as writer:
            yield writer


@contextmanager
def create_segmentation(
    out_dir: str | os.PathLike[str], segmenter: Mapping[str, Any]
) -> Iterator[SegmentationWriter]:
    """Make a segmentation folder; it appears when all is done, or not at all.

    Parameters
    ----------
    out_dir : path-like
        Must not exist yet.
    segmenter : mapping
        What made the labels, with its settings; numbers, text, lists and mappings of them.

    Yields
    ------
    SegmentationWriter
        Has `add`, and `notes` for what the user should know.

    Raises
    ------
    FileError
        The folder exists or cannot be written.
    """
    with atomic_dir(out_dir) as folder:
        writer = SegmentationWriter(folder, Path(out_dir))
        yield writer
        about = {
            "what": "cells in images",
            "unstained": version("unstained"),
            "segmenter": dict(segmenter),
            "notes": writer.notes,
            "images": writer.entries,
        }
        write_json(folder / ABOUT, about)


def read_segmentation(folder: str | os.PathLike[str]) -> list[Segmented]:
    """The images of a segmentation folder, in the order in which they were added.

    Raises
    ------
    FileError
        There is no such folder, or it is damaged.
    """
    root = Path(folder)
    path = root / ABOUT
    if not path.is_file():
        what = f"is no segmentation folder: it has no {ABOUT}" if root.exists() else "is not there"
        raise FileError(what, _MAKE_ONE, file=root)
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        images = [_segmented(root, entry) for entry in about["images"]]
        _check_names([one.image for one in images])
        return images
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FileError(f"cannot be read ({error!r})", "segment again", file=path) from error


_ENTRY = {
    "image": str,
    "path": str | None,
    "labels": str,
    "nuclei": str | None,
    "frames": int,
    "pixel_size_um": float | None,
    "frame_interval_s": float | None,
    "cells_per_frame": tuple[int, ...],
}
"""Of an image in the file, in the order of `Segmented`."""


def _segmented(root: Path, entry: Mapping[str, Any]) -> Segmented:
    said = {name: from_saved(kind, entry[name], name) for name, kind in _ENTRY.items()}
    for name in ("pixel_size_um", "frame_interval_s"):
        if said[name] is not None and not said[name] > 0:
            raise ValueError(f"{name} is {said[name]}")
    return Segmented(root, *said.values())


def _check_names(names: Sequence[str]) -> None:
    """ValueError for names that are no plain file names or not unique: files are called by them."""
    known: set[str] = set()
    for name in names:
        if _unique(name, known) != name:
            raise ValueError(f"image is {name!r}, no plain name that no other image has")
        known.add(name)


def _opened(path: Path, frames: int) -> Image:
    if not path.exists():
        raise FileError("is not there", "segment again", file=path)
    image = read_image(path)
    if image.shape[0] != frames:
        raise FileError(
            f"has {image.shape[0]} frames, and {ABOUT} says {frames}", "segment again", file=path
        )
    return image


def _next(
    frames: Iterator[LazyArray], name: str, kind: str, t: int, shape: tuple[int, ...]
) -> LazyArray:
    """The labels of one frame, checked."""
    frame = next(frames, None)
    if frame is None:
        raise DataError(
            f"{name} has {shape[0]} frames and {kind} for {t}", "give labels for every frame"
        )
    if tuple(frame.shape) != shape[3:]:
        raise DataError(
            f"{kind} of {name}, frame {t}, are {tuple(frame.shape)}, the image {shape[3:]}",
            "give (Y, X) labels of the image's size",
        )
    if np.dtype(frame.dtype).kind not in "bui":
        raise DataError(
            f"{kind} of {name}, frame {t}, are of type {frame.dtype}", "give integer labels"
        )
    return frame


def _write_frame(writer: OmeZarrWriter, t: int, frame: LazyArray, name: str) -> int:
    """Write block by block; the number of labels."""
    height, width = frame.shape
    found = [np.zeros(0, np.int64)]
    for y0 in range(0, height, _BLOCK_PX):
        for x0 in range(0, width, _BLOCK_PX):
            block = np.asarray(frame[y0 : y0 + _BLOCK_PX, x0 : x0 + _BLOCK_PX])
            if block.size and not (block.min() >= 0 and block.max() <= np.iinfo(np.int32).max):
                raise DataError(
                    f"labels of {name}, frame {t}, go from {block.min()} to {block.max()}",
                    "give numbers from 0 (background) to 2147483647",
                )
            found.append(np.unique(block).astype(np.int64))
            writer.write(t, 0, 0, y0, x0, block.astype(np.int32))
    numbers = np.unique(np.concatenate(found))
    return int((numbers > 0).sum())


def _unique(name: str, taken: set[str]) -> str:
    """A name that is a plain file name on every system, and not yet taken."""
    plain = plain_name(name)
    held = {other.casefold() for other in taken}
    unique, n = plain, 1
    while unique.casefold() in held:
        n += 1
        unique = f"{plain}-{n}"
    return unique
