"""Images that occur twice, exactly or nearly: with them a test part repeats the training part."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from .image import Array

__all__ = ["Twin", "content_hash", "correlation", "exact_twins", "near_twins", "thumbnail"]

_SIDE = 32  # pixels of a thumbnail
_ALIKE = 0.95  # correlation of thumbnails from which on full images are compared
_BLOCK = 1024


class Twin(NamedTuple):
    """Two images, by their place in the list, that show the same."""

    first: int
    second: int
    correlation: float


def content_hash(image: Array) -> str:
    """SHA-256 of shape, type and pixels."""
    image = np.ascontiguousarray(image)
    found = hashlib.sha256(f"{image.shape} {image.dtype.str}".encode())
    found.update(image.data)
    return found.hexdigest()


def exact_twins(hashes: list[str]) -> list[Twin]:
    """Each image whose hash an earlier one has, with the first of them."""
    first: dict[str, int] = {}
    twins = []
    for i, value in enumerate(hashes):
        if value in first:
            twins.append(Twin(first[value], i, 1.0))
        else:
            first[value] = i
    return twins


def thumbnail(image: Array) -> Array:
    """The image at 32 x 32, without what is larger than an eighth of it, mean 0 and norm 1.

    Parameters
    ----------
    image : (Y, X) array

    Returns
    -------
    (1024,) float32 array
        Zeros for a constant image.
    """
    image = np.asarray(image, dtype=np.float64)
    edges = [np.linspace(0, n, _SIDE + 1).astype(int) for n in image.shape]
    # block means; a block narrower than a pixel repeats that pixel
    starts = [np.minimum(edge[:-1], n - 1) for edge, n in zip(edges, image.shape, strict=True)]
    sums = np.add.reduceat(np.add.reduceat(image, starts[0], axis=0), starts[1], axis=1)
    sizes = [np.diff([*start, n]).clip(1) for start, n in zip(starts, image.shape, strict=True)]
    small = sums / (sizes[0][:, None] * sizes[1])
    small = small - ndimage.gaussian_filter(small, _SIDE / 8)
    small -= small.mean()
    norm = float(np.linalg.norm(small))
    scale = 1 / norm if norm > 1e-9 * max(float(np.abs(image).max()), 1e-300) else 0.0
    return np.asarray(small * scale, dtype=np.float32).ravel()


def near_twins(thumbnails: Array) -> list[tuple[int, int]]:
    """Pairs whose thumbnails correlate by 0.95 or more: candidates for `correlation`.

    Parameters
    ----------
    thumbnails : (N, 1024) array
        Of `thumbnail`.
    """
    found: list[tuple[int, int]] = []
    for start in range(0, len(thumbnails), _BLOCK):
        alike = thumbnails[start : start + _BLOCK] @ thumbnails.T
        for i, j in zip(*np.nonzero(alike >= _ALIKE), strict=True):
            if start + int(i) < int(j):
                found.append((start + int(i), int(j)))
    return found


def correlation(first: Array, second: Array) -> float:
    """Pearson's r of two images; 0 where shapes differ or one is constant."""
    if first.shape != second.shape:
        return 0.0
    a: Any = np.asarray(first, dtype=np.float64).ravel()
    b: Any = np.asarray(second, dtype=np.float64).ravel()
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0
