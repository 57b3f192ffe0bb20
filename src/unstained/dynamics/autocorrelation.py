"""Autocovariance of many short traces, and what its finite length does to it.

A cell is followed for some hours only, so its mean is not known but taken from the same values,
which pulls the whole curve down. `expected_sums` says by how much for any true correlation, any
gaps and a removed mean or line; `correlation_time` fits with it, `spectra` compares with it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft

from ..errors import DataError, InputError
from ..images.image import Array

__all__ = ["Acf", "Trend", "autocovariance", "expected_sums"]

Trend = Literal["mean", "line"]


class Acf(NamedTuple):
    """Lagged products of each cell's deviations from its own mean or line.

    Attributes
    ----------
    lag : (K,) int array
        0 to K - 1 frames.
    sums : (C, K) float array
        ``S_c(k) = sum_t d_c(t) d_c(t + k)`` over the frames in which the cell was seen both
        times. They add over cells, so that a bootstrap draws rows.
    pairs : (C, K) int array
        Number of such pairs.
    seen : (C, T) bool array
    """

    lag: Array
    sums: Array
    pairs: Array
    seen: Array

    @property
    def covariance(self) -> Array:
        """(K,) mean product over all pairs of all cells; NaN where there is no pair."""
        pairs = self.pairs.sum(axis=0)
        return np.asarray(np.where(pairs > 0, self.sums.sum(axis=0) / np.maximum(pairs, 1), np.nan))

    @property
    def correlation(self) -> Array:
        """(K,) covariance over that at lag 0: noise and the bias of short traces still in it."""
        return np.asarray(self.covariance / self.covariance[0])


def autocovariance(traces: npt.ArrayLike, *, trend: Trend = "mean") -> Acf:
    """Lagged products of traces with gaps.

    Parameters
    ----------
    traces : (C, T) array
        Cells, equally spaced frames; NaN where a cell was not seen.
    trend : {"mean", "line"}
        What is taken from each cell first.

    Returns
    -------
    Acf
        At lags 0 to T - 1.

    Raises
    ------
    InputError
        Not a (C, T) array, infinite values, or an unknown trend.
    DataError
        No cell, one frame, or no cell that was seen often enough.
    """
    values = checked_traces(traces)
    n_frames = values.shape[1]
    seen = np.isfinite(values)
    basis = _basis(seen, trend)  # (C, Q, T)
    # large levels would cost digits: deviations from a first mean, then from the basis
    level = np.where(seen, values, 0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    filled = np.where(seen, values - level[:, None], 0.0)
    along = np.einsum("cqt,ct->cq", basis, filled)
    deviation = filled - np.einsum("cqt,cq->ct", basis, along)
    size = next_fast_len(2 * n_frames, real=True)
    f_deviation, f_seen = rfft(deviation, size), rfft(seen.astype(np.float64), size)
    sums = irfft(np.abs(f_deviation) ** 2, size)[:, :n_frames]
    pairs = irfft(np.abs(f_seen) ** 2, size)[:, :n_frames]
    return Acf(np.arange(n_frames), sums, np.rint(pairs).astype(int), seen)


def expected_sums(
    seen: npt.ArrayLike,
    correlation: npt.ArrayLike,
    *,
    trend: Trend = "mean",
    max_lag: int | None = None,
    scale: npt.ArrayLike | None = None,
) -> Array:
    """Expectation of `Acf.sums` of stationary traces of a known correlation.

    Removing a trend is a projection, ``d = (1 - Q Q') x`` with the orthonormal columns of Q equal
    to the constant (and the line) over the frames seen. Hence ``E[d d'] = G - Q Q'G - G Q Q' +
    Q (Q'G Q) Q'`` with ``G_ts = correlation(|t - s|)``, summed along its diagonals by Fourier
    transforms. For the mean alone this is the bias of [1]_, exact and with gaps.

    Parameters
    ----------
    seen : (C, T) bool array
    correlation : (T,) array
        True autocovariance at lags 0 to T - 1; 1 at lag 0 and 0 elsewhere is white noise.
    trend
        As given to `autocovariance`.
    max_lag : int, optional
        T - 1 if not given.
    scale : (C, T) array, optional
        Standard deviation of each value, for a process that is not equally strong everywhere,
        such as an error that is known for each frame: ``G_ts = s_t s_s correlation``.

    Returns
    -------
    (C, K) float array

    References
    ----------
    .. [1] Marriott, Pope (1954), Biometrika 41:390, doi 10.1093/biomet/41.3-4.390.
    """
    mask = np.asarray(seen, bool)
    gamma = np.asarray(correlation, np.float64)
    n_frames = mask.shape[1]
    last = n_frames - 1 if max_lag is None else max_lag
    weight = mask * (1.0 if scale is None else np.where(mask, scale, 0.0))  # (C, T)
    size = next_fast_len(2 * n_frames, real=True)
    f_gamma = rfft(_circulant(gamma, size))
    basis = _basis(mask, trend)  # (C, Q, T)
    f_basis = rfft(basis, size)
    # G q for each column: a convolution between two multiplications by the weight
    f_weighted = f_basis if scale is None else rfft(basis * weight[:, None], size)
    smooth = irfft(f_weighted * f_gamma, size)[..., :n_frames] * weight[:, None]
    f_smooth = rfft(smooth, size)
    inner = np.einsum("cqt,cpt->cqp", basis, smooth)  # Q'G Q
    f_weight = rfft(weight, size)
    own = irfft(np.abs(f_weight) ** 2, size)[:, : last + 1] * gamma[: last + 1]
    # the diagonal sums of x y' + y x' are twice the real part of their cross spectrum
    cross = -2 * np.real(np.conj(f_basis) * f_smooth).sum(axis=1)
    cross = cross + np.einsum("cqf,cqp,cpf->cf", np.conj(f_basis), inner, f_basis).real
    return np.asarray(own + irfft(cross, size)[:, : last + 1])


def checked_traces(traces: npt.ArrayLike) -> Array:
    """(C, T) float64 traces of at least one cell and two frames, finite or NaN."""
    values = np.asarray(traces, np.float64)
    if values.ndim != 2:
        raise InputError(
            f"traces of shape {values.shape}", "give (cells, frames), NaN where a cell is not seen"
        )
    if values.shape[0] == 0 or not np.isfinite(values).any():
        raise DataError("there is no cell with a value", "give at least one followed cell")
    if values.shape[1] < 2:
        raise DataError("there is one frame only", "give a movie")
    if np.isinf(values).any():
        raise InputError("a trace is infinite", "put NaN where there is no value")
    return values


def _basis(seen: Array, trend: Trend) -> Array:
    """(C, Q, T) orthonormal rows that span the trend over the frames seen; 0 elsewhere."""
    if trend not in get_args(Trend):
        raise InputError(f"trend {trend!r}", f"choose {' or '.join(get_args(Trend))}")
    n = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    rows = [seen / np.sqrt(n)]
    if trend == "line":
        t = np.arange(seen.shape[1], dtype=np.float64)
        centered = seen * (t - (seen * t).sum(axis=1, keepdims=True) / n)
        length = np.sqrt((centered**2).sum(axis=1, keepdims=True))
        rows.append(centered / np.where(length > 0, length, 1.0))
    return np.stack(rows, axis=1)


def _circulant(gamma: Array, size: int) -> Array:
    """The first column of a circulant whose corner is the Toeplitz matrix of gamma."""
    column = np.zeros(size)
    column[: len(gamma)] = gamma
    column[size - len(gamma) + 1 :] = gamma[:0:-1]
    return column
