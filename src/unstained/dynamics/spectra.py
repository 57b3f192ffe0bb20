"""Power of fluctuations at each period, and the periods that red noise does not explain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import chdtrc, stdtrit

from ..errors import DataError, InputError
from ..images.image import Array
from .autocorrelation import Trend, autocovariance, expected_sums
from .correlation_times import CorrelationTime

__all__ = ["Period", "Spectrum", "mean_spectrum"]


class Period(NamedTuple):
    """A period with more power than red noise has: `ratio` times as much.

    `p` is the chance of such a ratio anywhere in the spectrum if there is red noise only.
    """

    period_min: float
    ratio: float
    p: float


class Spectrum(NamedTuple):
    """Power spectral density, one-sided: its integral over frequency is the variance.

    Attributes
    ----------
    frequency_per_h : (F,) array
        Harmonics of the time that the traces span, without 0 and the highest.
    density : (F,) array
        Unit of the traces squared, hours.
    expected : (F,) array
        Of the fitted process seen through the same lengths, gaps and removed means.
    lorentzian : (F,) array
        Of the fitted process seen forever: ``4 s2 tau / (1 + (2 pi f tau)**2) + 2 n2 dt``.
    p : (F,) array
        Chance of so much power at this frequency alone.
    periods : tuple of Period
        The most certain first.
    """

    frequency_per_h: Array
    density: Array
    expected: Array
    lorentzian: Array
    p: Array
    periods: tuple[Period, ...]


def mean_spectrum(
    traces: npt.ArrayLike,
    frame_interval_s: float,
    fitted: CorrelationTime,
    *,
    trend: Trend = "mean",
    significance: float = 0.05,
) -> Spectrum:
    """Spectrum averaged over cells, against the red noise of a fitted correlation time.

    The density is the Fourier transform of the lagged products (Wiener, Khinchin), which needs no
    trace without gaps; for whole traces of one length it equals the mean periodogram. Its
    expectation under the fitted Ornstein-Uhlenbeck process is the transform of `expected_sums`,
    so that leakage, gaps and removed means are in it.

    The ratio of both is chi-square over its degrees of freedom nu if there is red noise only [1]_:
    ``nu = 2 (sum_c E_c)**2 / sum_c E_c**2`` over the cells, less where the fitted tau is
    uncertain. A period counts where the ratio has a maximum with ``1 - (1 - p)**F`` below
    `significance`.

    Parameters
    ----------
    traces : (C, T) array
        As given to `correlation_time`, which gave `fitted` from them.
    frame_interval_s : float
    fitted : CorrelationTime
    trend : {"mean", "line"}
        As fitted.
    significance : float
        Chance of any false period, 0 to 1.

    Returns
    -------
    Spectrum

    Raises
    ------
    InputError
        Traces, interval or significance that cannot be.
    DataError
        Fewer than six frames, or no correlation time was found.

    References
    ----------
    .. [1] Torrence, Compo (1998), Bull Am Meteorol Soc 79:61.
    """
    if not 0 < significance < 1 or not frame_interval_s > 0:
        raise InputError(
            f"significance {significance}, frames {frame_interval_s} s apart",
            "give a chance between 0 and 1, and seconds",
        )
    if not math.isfinite(fitted.tau_min):
        raise DataError(f"there is no correlation time: {fitted.note}", "look at the traces")
    acf = autocovariance(traces, trend=trend)
    n_frames = acf.seen.shape[1]
    if n_frames < 6:
        raise DataError(f"{n_frames} frames make no spectrum", "give a movie of six and more")
    interval_h = frame_interval_s / 3600
    tau_h = fitted.tau_min / 60
    lag_h = np.arange(n_frames) * interval_h
    process = fitted.sd**2
    noise = process * fitted.noise_share / (1 - fitted.noise_share)
    f = np.arange(1, (n_frames + 1) // 2) / (n_frames * interval_h)
    scale = 2 * interval_h / acf.seen.sum()
    patterns, pattern = np.unique(acf.seen, axis=0, return_inverse=True)

    def expected(tau: float) -> Array:
        """(C, F) of each cell."""
        covariance = process * np.exp(-lag_h / tau) + noise * (lag_h == 0)
        sums = expected_sums(patterns, covariance, trend=trend)
        return np.asarray(scale * _transform(sums)[pattern])

    density = scale * _transform(acf.sums).sum(axis=0)
    by_cell = expected(tau_h)
    null = by_cell.sum(axis=0)
    freedom = 2 * null**2 / (by_cell**2).sum(axis=0)
    freedom = 2 / (2 / freedom + _null_variance(fitted, expected))
    ratio = density / null
    p = chdtrc(freedom, freedom * ratio)
    return Spectrum(
        f,
        density,
        null,
        4 * process * tau_h / (1 + (2 * np.pi * f * tau_h) ** 2) + 2 * noise * interval_h,
        p,
        _periods(f, ratio, p, significance),
    )


def _transform(sums: Array) -> Array:
    """(C, T) lagged products to (C, F): sum over lags -T + 1 ... T - 1 at the harmonics."""
    n_frames = sums.shape[1]
    # lag T - k falls upon -k at the harmonics of T frames
    whole = sums.copy()
    whole[:, 1:] += sums[:, :0:-1]
    return np.asarray(np.fft.rfft(whole, axis=1).real[:, 1 : (n_frames + 1) // 2])


def _null_variance(fitted: CorrelationTime, expected: Callable[[float], Array]) -> Array | float:
    """Variance of the logarithm of the expectation, since tau is not known better than it is."""
    low, high = fitted.interval
    if not (math.isfinite(high) and low > 0):
        return 0.0
    ends = [np.log(expected(tau / 60).sum(axis=0)) for tau in (low, high)]
    quantile = float(stdtrit(fitted.groups - 1, 0.5 + fitted.level / 2))
    return np.asarray(((ends[1] - ends[0]) / (2 * quantile)) ** 2)


def _periods(f: Array, ratio: Array, p: Array, significance: float) -> tuple[Period, ...]:
    anywhere = -np.expm1(len(f) * np.log1p(-np.minimum(p, 1 - 1e-12)))
    around = np.pad(ratio, 1, constant_values=-np.inf)
    peak = (ratio > around[:-2]) & (ratio >= around[2:]) & (anywhere < significance)
    found = [
        Period(float(60 / f[i]), float(ratio[i]), float(anywhere[i])) for i in np.flatnonzero(peak)
    ]
    return tuple(sorted(found, key=lambda period: period.p))
