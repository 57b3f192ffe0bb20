"""Pairs whose images are changed copies of others, written once into a study's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...images.fields import file_of, open_image, read_planes, split_paths
from ...images.image import Array, as_image
from ...images.pairs import Pairs, write_manifest
from ...images.write import write_ome_tiff
from ...learning.random import generator

__all__ = ["Change", "changed"]

Change = Callable[[Array, str, np.random.Generator], Array]
"""(Y, X) image, the marker (or "" for a label-free image) and a generator to a changed image."""


def changed(pairs: Pairs, folder: Path, *, column: str, change: Change, seed: int) -> Pairs:
    """Apply `change` to every image of a column, "phase" or "stain", and write the copies.

    Beside them stands ``manifest.csv``, so that what a study trained on can be looked at,
    scored again, or trained on by itself.

    An image that several rows name is changed once, whole: regions keep their meaning. What an
    image becomes depends on the seed and its place in the table alone, and the planes of one
    field draw the same numbers: dust lies over all of them. Copies that exist are kept.

    Raises
    ------
    FileError
        An image cannot be read, or a copy not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copies: dict[str, str] = {}
    places: dict[str, int] = {}
    joined = []
    for text, marker in zip(pairs.table[column], pairs.table["marker"], strict=True):
        parts = []
        place = places.setdefault(text, len(places))
        which = marker if column == "stain" else ""
        for path in split_paths(text):
            if path not in copies:
                number = len(copies)
                target = folder / f"{number:05}_{file_of(path).stem}.ome.tif"
                if not target.exists():
                    planes = [
                        change(plane, which, generator(seed, 0, place))
                        for plane in read_planes(path, None)
                    ]
                    size = open_image(path).pixel_size_um
                    write_ome_tiff(as_image(np.stack(planes), "CYX", pixel_size_um=size), target)
                copies[path] = str(target.absolute())
            parts.append(copies[path])
        joined.append(";".join(parts))
    made = Pairs(pairs.table.assign(**{column: joined}), None, pairs.name, pairs.notes)
    write_manifest(made, folder / "manifest.csv")
    return made
