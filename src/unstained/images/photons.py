"""Photons behind grey values: the camera's gain from the image itself, and fewer of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError, InputError

__all__ = ["PhotonScale", "fewer_photons", "photon_scale"]

Array = np.ndarray[Any, Any]

_TILE = 8  # px; noise and mean are taken over tiles
_BINS = 24
_QUIET = 0.2  # share of a bin's tiles that show noise rather than structure
# Of white noise the fifth of the tiles with the least variance has this part of its variance
# (a simulation of 65,536 tiles): without it the gain would be too small by as much.
_QUIET_BIAS = 0.641


class PhotonScale(NamedTuple):
    """Grey value = offset + gain x photo-electrons."""

    gain: float
    offset: float


def photon_scale(images: Sequence[Array]) -> PhotonScale:
    """Estimate a camera's gain and offset by photon transfer within images [1]_.

    Shot noise has the variance gain x (grey - offset). In small tiles the variance of the
    second differences along both axes tells noise, their mean tells light; among tiles of equal
    light the quietest fifth have least structure. A line through the bins gives gain and offset.

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
    edges = np.unique(np.percentile(light, np.linspace(0, 100, _BINS + 1)))
    means, variances, weights = [], [], []
    for low, high in pairwise(edges):
        inside = (light >= low) & (light <= high)
        if np.count_nonzero(inside) < 20:
            continue
        quiet = np.sort(noise[inside])[: max(4, int(_QUIET * np.count_nonzero(inside)))]
        means.append(float(light[inside].mean()))
        variances.append(float(quiet.mean()) / _QUIET_BIAS)
        weights.append(1 / max(variances[-1], 1e-12))  # a variance's error goes with itself
    if len(means) >= 3 and np.ptp(means) > 0:
        gain, at_zero = np.polyfit(means, variances, 1, w=weights)
        if gain > 0:
            darkest = min(float(np.min(image)) for image in images)
            return PhotonScale(float(gain), float(min(-at_zero / gain, darkest)))
    raise DataError(
        "the noise of these stains does not rise with their light: no gain can be estimated",
        "measure the camera's gain (grey values per photo-electron) and give it",
    )


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
