"""Whether an image that is given as labels is one."""

from __future__ import annotations

import os

import numpy as np

from ..errors import DataError
from ..images.image import Array

__all__ = ["check_painted"]


_SMALL = 2  # px; no cell is that small
_FEW = 10  # labels, or hundreds of pixels, that are too few to judge by


def check_painted(labels: Array, file: str | os.PathLike[str], t: int = 0) -> None:
    """Refuse grey values that are given as labels.

    Labels are areas: a pixel of one has mostly the same to its right. Refused is an image where
    most pixels beside a labelled one have another label, or most labels have one or two pixels.

    Parameters
    ----------
    labels : (Y, X) array
    file : path-like
        It is from.
    t : int
        Frame.

    Raises
    ------
    DataError
    """
    _, counts = np.unique(labels[labels != 0], return_counts=True)
    if counts.size < _FEW:
        return
    left, right = labels[:, :-1], labels[:, 1:]
    both = (left != 0) & (right != 0)
    alike, pairs = int((both & (left == right)).sum()), int(both.sum())
    small = int((counts <= _SMALL).sum())
    if 2 * small <= counts.size and (pairs < 100 * _FEW or 2 * alike >= pairs):
        return
    raise DataError(
        f"frame {t} has {counts.size} labels, {small} of them of one or two pixels, and "
        f"{alike / max(pairs, 1):.0%} of neighboring pixels have one label: it looks like grey "
        "values",
        "give an image of labels, where each cell is an area of its own number",
        file=file,
    )
