"""How alike are a measured and a predicted stain? Array functions, one pair at a time.

Everything is computed in float64 from the arrays as they come: 16-bit values neither wrap nor
saturate. A picture saved for the eye (8-bit) is no prediction and is refused by `score_pair`.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import DataError, InputError
from ..images.image import Array
from ..images.quality import c_max, snr_rms, snr_var, spectrum

__all__ = [
    "COPY_R",
    "SMOOTHED",
    "PairScore",
    "check_no_copy",
    "laplacian",
    "mae",
    "pearson",
    "r_lap",
    "r_s",
    "score_pair",
    "ssim",
]


# A label-free image and a stain of the same cells stay far below this (isl: 0.3, mlcp cells:
# 0.95 at most); a copy, also one that was rescaled or saved with 8 bits, lies above it.
COPY_R = 0.999

SMOOTHED = "the stain was smoothed or resampled: its noise, and so 1 - c_max, is underestimated"

# What varies by less than this part of its values is constant: float32 carries 1e-7.
_CONSTANT = 1e-6

_SSIM_SIGMA, _SSIM_WINDOW = 1.5, 11  # px, as in Wang et al. 2004


class PairScore(NamedTuple):
    """Scores of one pair; NaN where one is undefined, with the reason in `note`."""

    r_s: float
    r_lap: float
    mae: float
    ssim: float
    snr_rms: float
    snr_var: float
    c_max: float
    note: str


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Pearson correlation of all elements of the reference `a` and of `b`.

    NaN where `a` is constant: there is nothing to predict. 0 where only `b` is: it explains
    nothing, and a model that collapsed must not drop out of a mean.
    """
    return _pearson(*_pair(a, b))


def r_s(stain: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Pearson correlation of pixel intensities [1]_; blind to scale and offset.

    Parameters
    ----------
    stain, prediction : (Y, X) arrays
        Measured and predicted.

    Returns
    -------
    float
        -1 ... 1; NaN for a constant stain, 0 for a constant prediction.

    Raises
    ------
    DataError
        Shapes differ or values are not finite.

    References
    ----------
    .. [1] Imboden et al. (2021), Sci. Rep. 11, doi 10.1038/s41598-021-85905-z.
    """
    return pearson(stain, prediction)


def r_lap(stain: npt.ArrayLike, prediction: npt.ArrayLike, *, ksize: int = 31) -> float:
    """Pearson correlation of the Laplacian fields: is the structure in the right place?

    With `ksize` 31 (the paper's; its published code has 5) the Laplacian is smoothed over
    about 10 px, so it compares structures of that size rather than pixel noise.

    Parameters
    ----------
    stain, prediction : (Y, X) arrays
        Measured and predicted.
    ksize : int
        Side of OpenCV's Laplacian kernel, px: odd, 1 ... 31.

    Returns
    -------
    float
        As `r_s`.
    """
    return _r_lap(*_pair(stain, prediction), ksize)


def laplacian(image: npt.ArrayLike, ksize: int = 31) -> Array:
    """OpenCV's Laplacian of a (Y, X) image in float64, border reflected without its edge."""
    if not (1 <= ksize <= 31 and ksize % 2):
        raise InputError(f"Laplacian kernel size {ksize}", "give an odd size from 1 to 31 px")
    return cv2.Laplacian(np.asarray(image, dtype=np.float64), cv2.CV_64F, ksize=ksize)


def mae(stain: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Mean absolute difference, in the stain's own units."""
    x, y = _pair(stain, prediction)
    return float(np.abs(y - x).mean())


def ssim(stain: npt.ArrayLike, prediction: npt.ArrayLike) -> float:
    """Structural similarity with Gaussian weights [1]_, as scikit-image computes it.

    sigma 1.5 px, window 11 px, K1 0.01, K2 0.03; the data range is that of the measured stain
    (max - min), so that a stray value in the prediction cannot make the score lenient. Depends on
    scale and offset: compare it only between predictions of the same stain.

    Returns
    -------
    float
        -1 ... 1; NaN for a constant stain or an image below 11 x 11 px.

    References
    ----------
    .. [1] Wang et al. (2004), IEEE TIP 13:600, doi 10.1109/TIP.2003.819861.
    """
    return _ssim(*_pair(stain, prediction))


def check_no_copy(
    stain: npt.ArrayLike, phase: npt.ArrayLike, *, marker: str = "stain", file: str | None = None
) -> None:
    """Refuse a "stain" that is a plane of the input: a perfect score on it says nothing.

    Parameters
    ----------
    stain : (Y, X) array
        The supposed target.
    phase : (P, Y, X) array
        The label-free input.
    marker, file : str
        For the message.

    Raises
    ------
    DataError
        |r| with a plane is above `COPY_R`: a copy, perhaps rescaled, inverted or 8-bit.
    """
    for p, plane in enumerate(np.asarray(phase)):
        r = pearson(stain, plane)
        if abs(r) > COPY_R:
            raise DataError(
                f"{marker} is a copy of the label-free input (plane {p}, r = {r:.5f})",
                "give the measured fluorescence image as stain",
                file=file,
            )


def score_pair(
    stain: npt.ArrayLike,
    prediction: npt.ArrayLike,
    *,
    ksize: int = 31,
    measure_noise: bool = True,
) -> PairScore:
    """All scores of one pair.

    Parameters
    ----------
    stain : (Y, X) array
        Measured, any numeric type.
    prediction : (Y, X) float array
        In the stain's units.
    ksize : int
        Side of the Laplacian kernel, px.
    measure_noise : bool
        Also both signal-to-noise ratios of the stain and the ceiling `c_max`.

    Raises
    ------
    DataError
        Shapes differ, values are not finite, or the prediction is of an integer type.
    """
    if not np.issubdtype(np.asarray(prediction).dtype, np.floating):
        raise DataError(
            f"the prediction is of type {np.asarray(prediction).dtype}",
            "score the float prediction, not a picture of it",
        )
    x, y = _pair(stain, prediction)
    notes = []
    if _constant(x):
        notes.append("the stain is constant: r_s, r_lap and SSIM are undefined")
    elif _constant(y):
        notes.append("the prediction is constant: it explains nothing (r = 0)")
    if min(x.shape) < _SSIM_WINDOW:
        notes.append(f"SSIM needs {_SSIM_WINDOW} x {_SSIM_WINDOW} px")
    rms = var = ceiling = float("nan")
    if measure_noise and not _constant(x):
        measured = np.asarray(stain)  # its own type tells the step of its grey values
        rms, var = float(snr_rms(measured)), float(snr_var(measured))
        ceiling = float(c_max(var))
        if spectrum(measured).smoothed:
            notes.append(SMOOTHED)
    return PairScore(
        r_s=_pearson(x, y),
        r_lap=_r_lap(x, y, ksize),
        mae=float(np.abs(y - x).mean()),
        ssim=_ssim(x, y),
        snr_rms=rms,
        snr_var=var,
        c_max=ceiling,
        note="; ".join(notes),
    )


def _pearson(x: Array, y: Array) -> float:
    if _constant(x):
        return float("nan")
    if _constant(y):
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    r = np.vdot(x, y) / (np.linalg.norm(x) * np.linalg.norm(y))
    return min(max(float(r), -1.0), 1.0)


def _r_lap(x: Array, y: Array, ksize: int) -> float:
    if _constant(x):
        return float("nan")
    if _constant(y):
        return 0.0
    return _pearson(laplacian(x, ksize), laplacian(y, ksize))


def _ssim(x: Array, y: Array) -> float:
    if _constant(x) or min(x.shape) < _SSIM_WINDOW:
        return float("nan")
    offset = x.mean()  # variances lose no digits to a large offset
    mx, my = _blur(x - offset), _blur(y - offset)
    vx = _blur((x - offset) ** 2) - mx**2
    vy = _blur((y - offset) ** 2) - my**2
    vxy = _blur((x - offset) * (y - offset)) - mx * my
    mx, my = mx + offset, my + offset
    c1, c2 = (0.01 * np.ptp(x)) ** 2, (0.03 * np.ptp(x)) ** 2
    similarity = ((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    edge = _SSIM_WINDOW // 2
    return float(similarity[edge:-edge, edge:-edge].mean())


def _pair(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if x.shape != y.shape or x.size == 0:
        raise DataError(
            f"the stain has shape {x.shape}, its prediction {y.shape}",
            "crop or resample them to one (Y, X)",
        )
    for name, values in (("stain", x), ("prediction", y)):
        bad = int(np.count_nonzero(~np.isfinite(values)))
        if bad:
            raise DataError(
                f"the {name} has {bad} values that are NaN or infinite",
                "mend or leave out the image",
            )
    return x, y


def _constant(x: Array) -> bool:
    return bool(np.ptp(x) <= _CONSTANT * np.abs(x).max())


def _blur(x: Array) -> Array:
    return cv2.GaussianBlur(x, (_SSIM_WINDOW, _SSIM_WINDOW), _SSIM_SIGMA)
