"""Dirt as microscopes show it: dust over label-free images, speckles in stains."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .image import Array

__all__ = ["add_dust", "add_speckles"]


_REACH = 4  # radii; beyond them a grain changes nothing
_SPECKLE_PX = (1.0, 3.5)  # smallest and largest radius


def add_dust(
    image: Array,
    rng: np.random.Generator,
    *,
    per_mpx: float = 150.0,
    radius_px: tuple[float, float] = (2.0, 6.0),
    contrast: float = 3.0,
) -> Array:
    """Lay grains over a label-free image: dark discs, some out of focus, with a bright rim.

    Parameters
    ----------
    image : (Y, X) array
    rng : Generator
    per_mpx : float
        Grains per megapixel, on average.
    radius_px : (float, float)
        Smallest and largest radius.
    contrast : float
        Depth of a grain in standard deviations of the image.

    Returns
    -------
    (Y, X) float32 array
    """
    dirty = np.array(image, dtype=np.float32)
    depth = contrast * float(np.std(dirty, dtype=np.float64))
    for y, x, radius in _places(dirty.shape, rng, per_mpx, radius_px):
        rows, columns, distance = _around(dirty.shape, y, x, radius)
        blur = rng.uniform(0.15, 0.6)  # of the radius
        disc = 1 / (1 + np.exp((distance - 1) / (blur / 2)))
        rim = np.exp(-(((distance - 1.3) / 0.3) ** 2))
        dirty[rows, columns] += depth * (0.5 * rim - disc)
    return dirty


def add_speckles(stain: Array, rng: np.random.Generator, *, per_mpx: float = 150.0) -> Array:
    """Add bright spots to a stain, clumps of antibody that are no cell's.

    Radii are 1 to 3.5 pixels. Peaks are exponentially distributed, with the range of the stain
    (median to percentile 99.5) as their mean.

    Parameters
    ----------
    stain : (Y, X) array
    rng : Generator
    per_mpx : float
        Spots per megapixel, on average.

    Returns
    -------
    (Y, X) float32 array
    """
    dirty = np.array(stain, dtype=np.float32)
    peak = float(np.percentile(dirty, 99.5) - np.median(dirty))
    for y, x, radius in _places(dirty.shape, rng, per_mpx, _SPECKLE_PX):
        rows, columns, distance = _around(dirty.shape, y, x, radius)
        dirty[rows, columns] += peak * rng.exponential() * np.exp(-(distance**2) / 2)
    return dirty


def _places(
    shape: tuple[int, ...], rng: np.random.Generator, per_mpx: float, radius: tuple[float, float]
) -> list[tuple[float, float, float]]:
    if per_mpx < 0 or not 0 < radius[0] <= radius[1]:
        raise InputError(
            f"{per_mpx:g} grains per megapixel of radius {radius}",
            "give a density of 0 or more, and radii above 0 in ascending order",
        )
    n = rng.poisson(per_mpx * shape[0] * shape[1] / 1e6)
    return [
        (rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(*radius)) for _ in range(n)
    ]


def _around(
    shape: tuple[int, ...], y: float, x: float, radius: float
) -> tuple[slice, slice, Array]:
    """Rows, columns, and their distance from the center in radii."""
    reach = int(np.ceil(_REACH * radius))
    rows = slice(max(0, int(y) - reach), min(shape[0], int(y) + reach + 1))
    columns = slice(max(0, int(x) - reach), min(shape[1], int(x) + reach + 1))
    gy = np.arange(rows.start, rows.stop)[:, None] - y
    gx = np.arange(columns.start, columns.stop)[None, :] - x
    return rows, columns, np.hypot(gy, gx) / radius
