"""What one image is worth: background, noise, both signal-to-noise ratios, saturation, focus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

from ..errors import InputError
from .image import Array

__all__ = [
    "Background",
    "ImageQuality",
    "Spectrum",
    "background",
    "c_max",
    "foreground_mask",
    "image_quality",
    "noise_variance",
    "saturation",
    "snr_rms",
    "snr_var",
    "spectrum",
]

_MAD_TO_SD = 1.4826  # of a normal distribution
_LEVELS = 16  # groups of equal brightness in which noise is estimated
_LEAST_BACKGROUND = 50  # pixels, to speak of a background
# What noise may look like in a mask of an image smoothed by 1 px: spots of fewer px, and no higher
# than so many spreads (the highest of 10^7 normal values lies at 5.2; level and spread are rough).
_SPECK, _SPECK_HEIGHT = 25, 8
_SPIKE = 10  # times as many pixels at the limit as on the levels before it
# Share of equal neighbors times median difference of the others: 0.27 in white noise. And share of
# equal neighbors over that of equal pixels 8 px apart. They are 5.8 and 24 or more in the stains
# of isl; of raw images (mlcp; simulated ones of four gains, with less light, with 8 bits, clipped,
# stretched) none that is above 1 in the one is above 4 in the other.
_REPEATS, _REPEATS_OVER_FAR, _FAR = 1.0, 6, 8


class Background(NamedTuple):
    """The grey level without stain, and the noise around it (grey values)."""

    level: float
    sd: float


def background(image: Array) -> Background:
    """Level and noise of the darkest common grey value.

    The level is the half-sample mode [1]_ of the smoothed image (Gaussian, sigma 1 px), which
    bright cells do not move. The noise is the standard deviation of the image itself over the
    pixels whose smoothed value lies below the level, or as far above it as the first percentile
    lies below: dim cells do not widen it.

    Parameters
    ----------
    image : (Y, X) array

    References
    ----------
    .. [1] Bickel & Fruehwirth (2006), Comput Stat Data Anal 50:3500, doi 10.1016/j.csda.2005.07.011
    """
    image = _plane(image)
    smooth = ndimage.gaussian_filter(image, 1)
    values = np.sort(smooth, axis=None)
    level = _half_sample_mode(values)
    low = values[values <= level]
    width = level - float(np.quantile(low, 0.01))
    inside = image[np.abs(smooth - level) <= width]
    return Background(float(level), float(inside.std()) if inside.size > 1 else 0.0)


def foreground_mask(image: Array) -> Array:
    """Where the image is brighter than its background.

    Smoothed (Gaussian, sigma 1 px) value above the level by three times the smoothed
    background's spread, which is taken from the values below the level.

    Parameters
    ----------
    image : (Y, X) array

    Returns
    -------
    (Y, X) bool array
    """
    smooth = ndimage.gaussian_filter(_plane(image), 1)  # which the plane need not outlive
    level, spread = _level_and_spread(smooth)
    return np.asarray(smooth > level + 3 * spread)


def _level_and_spread(smooth: Array) -> tuple[float, float]:
    """Level of a smoothed image's background, and spread around it."""
    ordered = np.sort(smooth, axis=None)
    level = _half_sample_mode(ordered)
    below = level - ordered[: np.searchsorted(ordered, level)]
    return level, _MAD_TO_SD * float(np.median(below, overwrite_input=True)) if below.size else 0.0


def snr_rms(image: Array, foreground: Array | None = None) -> float:
    """Signal-to-noise ratio by the root-mean-square method.

    snr_rms = (mean_signal - mean_noise) / sd_noise, where signal is the foreground and noise
    the background. It measures contrast, and is not the ratio in `c_max`.

    Without stain it is 0: where more than a quarter of the default foreground are spots such as
    the highest pixels of pure noise, of fewer than 25 px and at most eight spreads high, these do
    not count. A stain that is found at all has about 1.2 or more, since its foreground is where
    it and its noise together are brightest.

    Parameters
    ----------
    image : (Y, X) array
    foreground : (Y, X) bool array, optional
        Where the stain is; by default `foreground_mask`, without spots that may be noise.

    Returns
    -------
    float
        nan where there is no background or the foreground that was given is empty; inf where the
        background is flat.
    """
    image = _plane(image)
    mask = _stained(image) if foreground is None else np.asarray(foreground, bool)
    if mask.shape != image.shape:
        raise InputError(f"foreground is {mask.shape}, image {image.shape}", "both must be (Y, X)")
    if foreground is None and image.min() < image.max() and not mask.any():
        return 0.0
    if not mask.any() or np.count_nonzero(~mask) < _LEAST_BACKGROUND:
        return float("nan")
    noise = image[~mask]
    contrast = float(image[mask].mean() - noise.mean())
    sd = float(noise.std())
    return contrast / sd if sd > 0 else float("inf")


def _stained(image: Array) -> Array:
    """`foreground_mask`, without its specks where these are more than a quarter of it.

    Where they are less, cells are the foreground, and a few specks change their mean little.
    """
    smooth = ndimage.gaussian_filter(image, 1)
    level, spread = _level_and_spread(smooth)
    mask = smooth > level + 3 * spread
    component, count = ndimage.label(mask)
    number = np.arange(count + 1)
    size = np.bincount(component.ravel(), minlength=count + 1)
    highest = np.asarray(ndimage.maximum(smooth, component, number))
    seen = (size >= _SPECK) | (highest > level + _SPECK_HEIGHT * spread)
    seen[0] = False
    stained = seen[component]
    cells = np.count_nonzero(stained) >= 0.75 * np.count_nonzero(mask)
    return np.asarray(mask if cells else stained)


def noise_variance(image: Array) -> float:
    """Variance of the noise that is independent from pixel to pixel.

    The image is filtered with Immerkaer's difference of two Laplacians [1]_, which is blind to
    constant and linear shading and multiplies the variance of white noise by 36. In place of
    the mean over the image, which edges inflate, the median absolute value is taken within 16
    groups of pixels of like brightness (3 x 3 mean), since photon noise grows with the signal;
    the mean over the groups is the variance per pixel. Grey values of integer images are first
    spread evenly over their step (by a fixed seed), which adds step^2 / 12 that is taken off
    again: a median of a few levels would jump from one to the next.

    Noise that is correlated (resampled, compressed, denoised images) is underestimated; see
    `Spectrum.smoothed`. It is never taken to be less than that of rounding, step^2 / 12.

    Parameters
    ----------
    image : (Y, X) array
        3 px or more each way.

    Raises
    ------
    InputError
        It is smaller, or no plane.

    References
    ----------
    .. [1] Immerkaer (1996), Comput Vis Image Underst 64:300, doi 10.1006/cviu.1996.0060
    """
    step = _step(np.asarray(image))
    rounding = step**2 / 12
    image = _plane(image)
    if min(image.shape) < 3:
        raise InputError(f"image has shape {image.shape}", "give 3 px or more each way")
    if step:  # of noise of a step or less the residuals are a few levels, their median one of these
        image = image + np.random.default_rng(0).uniform(-step / 2, step / 2, image.shape)
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], float)
    residual = np.abs(ndimage.convolve(image, kernel)[1:-1, 1:-1]).ravel()
    order = np.argsort(ndimage.uniform_filter(image, 3)[1:-1, 1:-1], axis=None, kind="stable")
    groups = np.array_split(residual[order], min(_LEVELS, max(1, residual.size // 100)))
    variance = sum(g.size * float(np.median(g)) ** 2 for g in groups) / residual.size
    return max(variance * _MAD_TO_SD**2 / 36 - rounding, rounding)


def snr_var(image: Array, noise: float | None = None) -> float:
    """Signal-to-noise ratio of variances, var(signal) / var(noise).

    var(signal) is the image's variance less the noise's: they are uncorrelated.

    Parameters
    ----------
    image : (Y, X) array
    noise : float, optional
        Variance of the noise, squared grey values; by default `noise_variance`.

    Returns
    -------
    float
        0 or more; inf for an image without noise; nan for a constant one.
    """
    variance = noise_variance(image) if noise is None else float(noise)
    total = float(np.var(_plane(image)))
    if total == 0:
        return float("nan")
    return max(total - variance, 0.0) / variance if variance > 0 else float("inf")


def c_max(snr_var: float) -> float:
    """The highest Pearson r that any prediction can reach with a noisy target.

    c_max = sqrt(SNR / (1 + SNR)), for noise that is uncorrelated with the signal [1]_.

    Parameters
    ----------
    snr_var : float
        var(signal) / var(noise); *not* `snr_rms`.

    References
    ----------
    .. [1] Imboden et al. (2021), Sci Rep 11:6728, doi 10.1038/s41598-021-85905-z
    """
    if snr_var < 0:
        raise InputError(f"snr_var is {snr_var}", "a ratio of variances is not negative")
    return 1.0 if np.isinf(snr_var) else float(np.sqrt(snr_var / (1 + snr_var)))


def saturation(image: Array) -> float:
    """Share of the pixels that are clipped at the highest value.

    The highest value counts as a limit if it is that of the type, or if ten times as many
    pixels stand there as on the levels just below on average (a 12-bit camera in a 16-bit file,
    a clipped normalization). Otherwise the share is 0.

    Parameters
    ----------
    image : (Y, X) array
    """
    image = np.asarray(image)
    top = image.max()
    at_top = np.count_nonzero(image == top)
    if image.dtype.kind in "iu" and top == np.iinfo(image.dtype).max:
        return float(at_top / image.size)
    low, high = float(image.min()), float(top)
    if low == high or at_top < 4:
        return 0.0
    near = image[(image < top) & (image >= high - 0.05 * (high - low))]
    per_level = near.size / max(np.unique(near).size, 1)
    return float(at_top / image.size) if at_top > _SPIKE * max(per_level, 1) else 0.0


class Spectrum(NamedTuple):
    """How the power of an image is spread over frequencies.

    Attributes
    ----------
    sharpness : float
        Share of the power between 0.01 and 0.25 cycles per pixel that lies above 0.05, noise
        subtracted: 0 for blur, larger for fine detail. Compare it between images of one kind.
    smoothed : bool
        The image has been enlarged, smoothed or denoised, and its noise cannot be estimated: the
        finest frequencies (corner, above 0.6) hold less than 1/1000 of the power at 0.25; or
        neighbors are equal too often for noise, as a median filter leaves them, whose spectrum
        does not tell, or repeated pixels. Weak smoothing (Gaussian, sigma 0.7 px) passes, and so
        does a median filter over noise of a few grey levels.
    """

    sharpness: float
    smoothed: bool


def spectrum(image: Array) -> Spectrum:
    """Radial power spectrum of the windowed image, in two figures.

    Parameters
    ----------
    image : (Y, X) array
        16 px or more each way.
    """
    image = _plane(image)
    height, width = image.shape
    if min(height, width) < 16 or image.min() == image.max():
        return Spectrum(float("nan"), False)
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.rfft2((image - image.mean()) * window)) ** 2 / (window**2).sum()
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    corner = float(power[f > 0.6].mean())
    middle = float(power[(f > 0.22) & (f < 0.28)].mean())
    signal = np.maximum(power - corner, 0)
    fine = float(signal[(f > 0.05) & (f < 0.25)].sum())
    coarse = float(signal[(f > 0.01) & (f <= 0.05)].sum())
    sharpness = fine / (fine + coarse) if fine + coarse > 0 else float("nan")
    return Spectrum(sharpness, corner < 1e-3 * middle or _repeats(image))


def _repeats(image: Array) -> bool:
    """Whether neighbors are equal too often for noise that differs by pixel.

    Overlapping windows of a median filter often have the same pixel for median. White noise of sd
    s levels makes a share 1 / (2 sqrt(pi) s) of neighbors equal, and their median difference is
    0.95 s: the product is 0.27 whatever s. It is larger where noise is not the same everywhere,
    but then pixels 8 px apart are equal nearly as often. Differences are in ranks of grey values,
    which a stretched contrast leaves as they are; clipped pixels do not count.
    """
    rank = np.unique(image, return_inverse=True)[1].reshape(image.shape)
    return _repeats_along_rows(rank) or _repeats_along_rows(rank.T)


def _repeats_along_rows(rank: Array) -> bool:
    clipped = (rank == 0) | (rank == rank.max())

    def differences(lag: int) -> Array:
        unclipped = ~(clipped[:, lag:] | clipped[:, :-lag])
        return np.asarray(np.abs(rank[:, lag:] - rank[:, :-lag])[unclipped])

    near, far = differences(1), differences(_FAR)
    if not near.any() or not far.size:
        return False
    equal, equal_far = (float((found == 0).mean()) for found in (near, far))
    different = float(np.median(near[near > 0]))
    return equal * different > _REPEATS and equal > _REPEATS_OVER_FAR * equal_far


@dataclass(frozen=True)
class ImageQuality:
    """All figures of one plane; NaN where they mean nothing."""

    background: float
    noise_sd: float
    snr_rms: float
    snr_var: float
    c_max: float
    saturation: float
    sharpness: float
    smoothed: bool
    constant: bool


def image_quality(image: Array) -> ImageQuality:
    """Measure one (Y, X) plane."""
    image = np.asarray(image)
    constant = bool(image.min() == image.max())
    if constant:
        nan = float("nan")
        return ImageQuality(float(image.flat[0]), 0.0, nan, nan, nan, 0.0, nan, False, True)
    variance = noise_variance(image)
    ratio = snr_var(image, variance)
    seen = spectrum(image)
    return ImageQuality(
        background(image).level,
        float(np.sqrt(variance)),
        snr_rms(image),
        ratio,
        c_max(ratio),
        saturation(image),
        seen.sharpness,
        seen.smoothed,
        False,
    )


def _plane(image: Array) -> np.ndarray[Any, np.dtype[np.float64]]:
    image = np.asarray(image)
    if image.ndim != 2:
        raise InputError(f"image has shape {image.shape}", "give one plane (Y, X)")
    return image.astype(np.float64)


def _half_sample_mode(values: Array) -> float:
    """Mode of sorted values: the densest half, halved again until two or three are left."""
    while values.size > 3:
        half = (values.size + 1) // 2
        start = int(np.argmin(values[half - 1 :] - values[: values.size - half + 1]))
        values = values[start : start + half]
    return float(values.mean())


def _step(image: Array) -> float:
    """Distance of grey levels of an integer image; 0 for floats."""
    if image.dtype.kind not in "iu":
        return 0.0
    levels = np.unique(image).astype(np.int64)
    return float(np.gcd.reduce(np.diff(levels))) if levels.size > 1 else 1.0
