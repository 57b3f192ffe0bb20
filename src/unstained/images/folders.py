"""Which files of a folder are images, and in what order."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import FileError
from .read import SUFFIXES

__all__ = ["images_in", "is_empty", "is_image", "is_of_system", "is_zarr", "natural_order"]

_OF_SYSTEMS = (".ds_store", "thumbs.db", "desktop.ini")


def is_image(path: Path) -> bool:
    """Whether its name is that of an image which can be read, and is not hidden.

    macOS leaves a ``._a.tif`` beside each ``a.tif`` on disks of others.
    """
    return not path.name.startswith(".") and path.suffix.casefold() in SUFFIXES


def is_zarr(path: Path) -> bool:
    """Whether it is the folder of an OME-Zarr, of version 2 or 3: an image, a plate, a well."""
    return any((path / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs"))


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in it but what Finder and Explorer leave."""
    return all(is_of_system(path) for path in folder.iterdir())


def is_of_system(path: Path) -> bool:
    """Whether Finder or Explorer leave a file of that name in folders that they show or copy."""
    return path.name.casefold() in _OF_SYSTEMS or path.name.startswith("._")


def images_in(folder: Path) -> list[Path]:
    """The images that lie directly in a folder, ``t2`` before ``t10``; none is an empty list.

    Raises
    ------
    FileError
        It is no folder.
    """
    if not folder.is_dir():
        raise FileError("is no folder", "name a folder of images", file=folder)
    found = (path for path in folder.iterdir() if is_image(path))
    return sorted(found, key=lambda path: (natural_order(path.name), path.name))


def natural_order(text: str) -> list[tuple[int, str]]:
    """A key to sort by: t2 before t10."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", text)
    ]
