"""Photons behind grey values: the camera's gain from the image itself, and fewer of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..errors import DataError, InputError
from .image import Array

__all__ = ["PhotonScale", "fewer_photons", "photon_scale"]


_TILE = 8  # px; noise and mean are taken over tiles
_BINS = 24
_QUIET = 0.2  # share of a bin's tiles that show noise rather than structure
# Of white noise the fifth of the tiles with the least variance has this part of its variance
# (a simulation of 65,536 tiles): without it the gain would be too small by as much.
_QUIET_BIAS = 0.641
_ROUNDS = 4  # which tiles are quiet depends on the offset, which depends on the quiet tiles


class PhotonScale(NamedTuple):
    """Grey value = offset + gain x photo-electrons."""

    gain: float
    offset: float


def photon_scale(images: Sequence[Array]) -> PhotonScale:
    """Estimate a camera's gain and offset by photon transfer within images [1]_.

    Shot noise has the variance gain x (grey - offset). In small tiles the variance of the
    second differences along both axes tells noise, their mean tells light; among tiles of like
    light the fifth with the least variance for their light have least structure. A line through
    their variance and their own light, bin by bin, gives gain and offset.

    Structure as fine as a few pixels all over a stain cannot be told from noise: the gain is then
    too large.

    Parameters
    ----------
    images : sequence of (Y, X) arrays
        Of one camera, at one setting. Smoothed, denoised or compressed images have less
        variance and give too small a gain: then measure it on the camera, and give it.

    Raises
    ------
    DataError
        Variance does not rise with light.

    References
    ----------
    .. [1] Janesick (2007), Photon Transfer, SPIE Press, doi 10.1117/3.725073.
    """
    light, noise = np.concatenate([_tiles(np.asarray(image)) for image in images], axis=1)
    darkest = min(float(np.min(image)) for image in images)
    offset = darkest
    for _ in range(_ROUNDS):
        line = _quiet_line(light, noise, offset)
        if line is None or line[0] <= 0:
            raise DataError(
                "the noise of these stains does not rise with their light: no gain can be "
                "estimated",
                "measure the camera's gain (grey values per photo-electron) and give it",
            )
        gain, at_zero = line
        offset = min(-at_zero / gain, darkest)
    return PhotonScale(gain, offset)


def _quiet_line(light: Array, noise: Array, offset: float) -> tuple[float, float] | None:
    """Slope and value at 0 of the variance of quiet tiles against their light; None for none.

    Quiet is what has little variance for its light: by the variance alone the quiet tiles of a
    wide bin would be its dark ones, all of them, of which `_QUIET_BIAS` does not hold.
    """
    per_light = noise / np.maximum(light - offset, 1e-3 * np.ptp(light))
    edges = np.unique(np.percentile(light, np.linspace(0, 100, _BINS + 1)))
    means, variances, weights = [], [], []
    for low, high in pairwise(edges):
        inside = np.flatnonzero((light >= low) & (light <= high))
        if inside.size < 20:
            continue
        quiet = inside[np.argsort(per_light[inside])[: max(4, int(_QUIET * inside.size))]]
        means.append(float(light[quiet].mean()))  # their own, not that of all tiles of the bin
        variances.append(float(noise[quiet].mean()) / _QUIET_BIAS)
        weights.append(1 / max(variances[-1], 1e-12))  # a variance's error goes with itself
    if len(means) < 3 or np.ptp(means) == 0:
        return None
    gain, at_zero = np.polyfit(means, variances, 1, w=weights)
    return float(gain), float(at_zero)


def fewer_photons(
    image: Array, share: float, scale: PhotonScale, rng: np.random.Generator
) -> Array:
    """The image as a share of the light would have given it, brought back to its brightness.

    Of each photo-electron behind a pixel the `share` is kept, at random (binomial thinning of a
    Poisson count is a Poisson count); the result is divided by `share`.

    Parameters
    ----------
    image : (Y, X) array
        Grey values.
    share : float
        Above 0, at most 1. At 1 the image is returned as it is, float32.
    scale : PhotonScale
    rng : Generator

    Returns
    -------
    (Y, X) float32 array
    """
    if not 0 < share <= 1:
        raise InputError(f"a share of {share:g} of the light", "give more than 0, at most 1")
    if share == 1:
        return np.asarray(image, dtype=np.float32)
    electrons = (np.asarray(image, dtype=np.float64) - scale.offset) / scale.gain
    kept = rng.binomial(np.rint(np.clip(electrons, 0, None)).astype(np.int64), share)
    return (scale.offset + scale.gain * kept / share).astype(np.float32)


def _tiles(image: Array) -> Array:
    """(2, tiles): mean and noise variance of each tile."""
    x = image.astype(np.float64)
    height, width = (n // _TILE * _TILE for n in x.shape)
    x = x[:height, :width]
    # second mixed difference: a plane has none; its variance is 4 times that of the noise
    mixed = np.zeros_like(x)
    mixed[:-1, :-1] = x[1:, 1:] - x[1:, :-1] - x[:-1, 1:] + x[:-1, :-1]

    def cut(a: Array) -> Array:
        # (Y, X) -> (rows, tile, columns, tile) -> (rows, columns, tile, tile)
        split = a.reshape(height // _TILE, _TILE, width // _TILE, _TILE).swapaxes(1, 2)
        return split.reshape(-1, _TILE, _TILE)

    inner = cut(mixed)[:, :-1, :-1]
    return np.stack([cut(x).mean(axis=(1, 2)), inner.var(axis=(1, 2)) / 4])
