"""Pairs whose images are changed copies of others, written once into a study's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...images.atomic import atomic_path
from ...images.fields import file_of, read_planes, split_paths
from ...images.pairs import Pairs
from ...learning.random import generator

__all__ = ["Change", "changed"]

Array = np.ndarray[Any, Any]
Change = Callable[[Array, str, np.random.Generator], Array]
"""(Y, X) image, the marker (or "" for a label-free image) and a generator to a changed image."""


def changed(pairs: Pairs, folder: Path, *, column: str, change: Change, seed: int) -> Pairs:
    """Apply `change` to every image of a column, "phase" or "stain", and write the copies.

    An image that several rows name is changed once, whole: regions keep their meaning. What an
    image becomes depends on the seed and its place in the table alone. Copies that exist are
    kept.

    Raises
    ------
    FileError
        An image cannot be read, or a copy not be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copies: dict[str, str] = {}
    joined = []
    for text, marker in zip(pairs.table[column], pairs.table["marker"], strict=True):
        parts = []
        for path in split_paths(text):
            if path not in copies:
                number = len(copies)
                target = folder / f"{number:05}_{file_of(path).stem}.tif"
                if not target.exists():
                    rng = generator(seed, 0, number)
                    planes = read_planes(path, None)
                    which = marker if column == "stain" else ""
                    new = np.stack([change(plane, which, rng) for plane in planes])
                    with atomic_path(target) as temporary:
                        tifffile.imwrite(temporary, new, photometric="minisblack")
                copies[path] = str(target)
            parts.append(copies[path])
        joined.append(";".join(parts))
    return Pairs(pairs.table.assign(**{column: joined}), None, pairs.name, pairs.notes)
