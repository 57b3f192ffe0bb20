"""One cell as a profile along an axis, and profiles laid on each other by the cell's body."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter1d

from ..errors import DataError
from ..images.image import Array

__all__ = ["Profile", "body_shifts", "cell_profile", "long_axis", "rebinned"]


_CHAIN = 5  # frames that the next one is compared with
_ROUNDS = 10
_SMOOTH = 1.0  # pixels
_MARGIN = 4  # four times as wide


class Profile(NamedTuple):
    """Sums across the axis of one frame, at whole numbers of pixels from the cell's center.

    Attributes
    ----------
    start : int
        Pixel of the first of P positions.
    width : (P,) float64 array
        Pixels of the cell across the axis.
    light : (M, P) float64 array
        Sums of the stains of those pixels.
    angle_rad, length_um : float
        Of the axis; of the cell along it.
    """

    start: int
    width: Array
    light: Array
    angle_rad: float
    length_um: float


def long_axis(mask: Array) -> tuple[float, float]:
    """Direction of a cell's long axis, and how sure it is.

    The eigenvector of the larger eigenvalue l1 of the second central moments:
    ``angle = atan2(2 m_xy, m_xx - m_yy) / 2`` [1]_.

    Parameters
    ----------
    mask : (Y, X) bool array

    Returns
    -------
    angle_rad : float
        Against x, towards y, -pi/2 to pi/2: a line has no direction.
    anisotropy : float
        ``(l1 - l2) / (l1 + l2)``, 0 for a disk, 1 for a line.

    Raises
    ------
    DataError
        The mask is empty.

    References
    ----------
    .. [1] Hu (1962), IRE Transactions on Information Theory 8:179.
    """
    y, x = (axis - axis.mean() for axis in _pixels(mask))
    xx, yy, xy = float(x @ x), float(y @ y), float(x @ y)
    spread = math.hypot(xx - yy, 2 * xy)
    total = xx + yy
    return 0.5 * math.atan2(2 * xy, xx - yy), spread / total if total > 0 else 0.0


def cell_profile(mask: Array, stains: Array, angle_rad: float, pixel_um: float) -> Profile:
    """Sum a cell's pixels across an axis through its center.

    A pixel counts for the two positions beside it, in proportion to its nearness.

    Parameters
    ----------
    mask : (Y, X) bool array
    stains : (M, Y, X) array
    angle_rad : float
        Of the axis, against x towards y.
    pixel_um : float

    Raises
    ------
    DataError
        The mask is empty.
    """
    y, x = _pixels(mask)
    along = math.cos(angle_rad) * (x - x.mean()) + math.sin(angle_rad) * (y - y.mean())
    index, share, start, count = _shares(along)
    width = np.bincount(index, share, count)
    light = np.stack(
        [
            np.bincount(index, share * np.tile(np.asarray(stain[mask], np.float64), 2), count)
            for stain in stains
        ]
    )
    length = (float(np.ptp(along)) + 1) * pixel_um
    return Profile(start, width, light, angle_rad, length)


def rebinned(profile: Profile, step: float, shift: float) -> tuple[int, Array, Array]:
    """A profile at multiples of another step, its body moved back by `shift`.

    Parameters
    ----------
    profile : Profile
    step, shift : float
        Pixels.

    Returns
    -------
    start : int
        The first position, in steps.
    width : (Q,) array
        Pixels of the cell in a step.
    light : (M, Q) array
    """
    place = (profile.start + np.arange(profile.width.size) - shift) / step
    index, share, start, count = _shares(place)
    sums = [
        np.bincount(index, share * np.tile(values, 2), count)
        for values in (profile.width, *profile.light)
    ]
    return start, sums[0], np.stack(sums[1:])


def body_shifts(profiles: list[Profile]) -> Array:
    """How far each frame's body lies from where it lies in the others, (T,) in pixels.

    A thin arm that stretches or is drawn in moves the center of the outline, and with it all that
    is in the cell. The body stays: frames are laid on each other where the cubes of their widths
    correlate most, so that arms count little. First each on the few before it, then all on their
    mean. Stains take no part, so that what moves in the cell is not moved back. A cell with two
    parts of about the same width, as before a division, may change from one to the other.

    Returns
    -------
    (T,) float64 array
        With a median of 0.
    """
    if not profiles:
        return np.zeros(0)
    low = min(p.start for p in profiles) - _MARGIN
    span = max(p.start + p.width.size for p in profiles) - low + _MARGIN
    body = np.zeros((len(profiles), span))
    for row, p in zip(body, profiles, strict=True):
        row[p.start - low : p.start - low + p.width.size] = p.width
    # rows of pixels lie 0.7 apart along a diagonal: unsmoothed, combs would be laid on each other
    body = gaussian_filter1d(body, _SMOOTH, axis=1, mode="constant") ** 3
    body /= np.linalg.norm(body, axis=1, keepdims=True)
    # twice the span: no frame meets another's far end
    spectra = np.fft.rfft(body, 2 * span)
    turn = 2j * np.pi * np.fft.rfftfreq(2 * span)
    shifts = np.zeros(len(profiles))
    for t in range(1, len(profiles)):
        before = slice(max(t - _CHAIN, 0), t)
        mean = (spectra[before] * np.exp(turn * shifts[before, None])).mean(axis=0)
        shifts[t] = _lags(spectra[t : t + 1], mean, span)[0]
    for _ in range(_ROUNDS):
        mean = (spectra * np.exp(turn * shifts[:, None])).mean(axis=0)
        found = _lags(spectra, mean, span)
        done = np.abs(found - shifts).max() < 0.01
        shifts = found
        if done:
            break
    return np.asarray(shifts - np.median(shifts))


def _lags(spectra: Array, template: Array, span: int) -> Array:
    """Where each row correlates most with the template, (T,) in pixels and parts of them."""
    correlation = np.fft.irfft(spectra * np.conj(template), 2 * span)
    at = correlation.argmax(axis=1)
    row = np.arange(len(at))
    low, mid, high = (correlation[row, (at + k) % (2 * span)] for k in (-1, 0, 1))
    bend = low - 2 * mid + high
    part = np.where(bend < 0, 0.5 * (low - high) / np.minimum(bend, -1e-300), 0.0)
    return np.asarray(np.where(at > span, at - 2 * span, at) + part)


def _shares(place: Array) -> tuple[Array, Array, int, int]:
    """Each place shared by the two whole numbers beside it: index, share, first, count."""
    below = np.floor(place).astype(int)
    nearness = place - below  # to the upper one
    start = int(below.min())
    index = np.concatenate([below, below + 1]) - start
    return index, np.concatenate([1 - nearness, nearness]), start, int(index.max()) + 1


def _pixels(mask: Array) -> tuple[Array, Array]:
    y, x = np.nonzero(mask)
    if y.size == 0:
        raise DataError("a frame's mask is empty", "leave out frames without the cell")
    return y.astype(np.float64), x.astype(np.float64)
