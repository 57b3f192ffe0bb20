"""A straight line with intervals: slope, intercept, bias."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .intervals import (
    Array,
    Interval,
    check_level,
    correlation_moments,
    moments_correlation,
    resampled_sums,
)

__all__ = ["LinearFit", "linear_fit"]


class LinearFit(NamedTuple):
    """`y = intercept + slope x`; `bias` is the mean of y - x; `residual_sd` has n - 2 in it."""

    slope: Interval
    intercept: Interval
    bias: Interval
    r: float
    residual_sd: float
    n: int


def linear_fit(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> LinearFit:
    """Least squares of `y` on `x`.

    Without `groups` the intervals are Student's (independent, even residuals); with them, they
    are over whole groups (`resampled_interval`). Where `y` is an optimal prediction of `x`, the
    slope is r^2, below 1: predictions shrink towards the mean. That is a property of the
    prediction, which is why the slope is reported and not divided away.

    Parameters
    ----------
    x, y : (N,) float arrays
        Finite. For predictions: x measured, y predicted.
    groups : (N,) array, optional
        Group of each row.
    level, draws, seed
        As in `resampled_interval`.

    Returns
    -------
    LinearFit
        All NaN where there are fewer than three rows or `x` is constant.

    Raises
    ------
    InputError
        `x` and `y` differ in length, or `level` is no coverage.
    """
    check_level(level)
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InputError(f"{a.shape} against {b.shape}", "give two columns of one length")
    n = a.size
    if n < 3 or np.ptp(a) == 0:
        none = Interval(float("nan"), float("nan"), float("nan"), n)
        return LinearFit(none, none, none, float("nan"), float("nan"), n)
    shift = a.mean()  # sums about the mean lose no digits to a large offset
    total = correlation_moments(a - shift, b - shift)
    slope, intercept = float(_slope(total)), float(_intercept(total, shift))
    residual_sd = float(np.sqrt(np.sum((b - intercept - slope * a) ** 2) / max(n - 2, 1)))
    r = float(moments_correlation(total))
    if groups is None:
        lines = _student(a, b, slope, intercept, residual_sd, level)
        return LinearFit(*lines, r, residual_sd, n)
    u, v = a - shift, b - shift
    rows = np.column_stack([np.ones(n), u, v, u**2, v**2, u * v])
    boot = [
        resampled_sums(rows, f, groups=groups, level=level, draws=draws, seed=seed)
        for f in (_slope, lambda m: _intercept(m, shift), _bias)
    ]
    return LinearFit(boot[0], boot[1], boot[2], r, residual_sd, n)


def _student(
    x: Array, y: Array, slope: float, intercept: float, residual_sd: float, level: float
) -> tuple[Interval, Interval, Interval]:
    from scipy.special import stdtrit

    n = x.size
    t = float(stdtrit(n - 2, 0.5 + level / 2))
    sxx = float(np.sum((x - x.mean()) ** 2))
    half_slope = t * residual_sd / np.sqrt(sxx)
    half_intercept = t * residual_sd * np.sqrt(1 / n + x.mean() ** 2 / sxx)
    delta = y - x
    half_bias = float(stdtrit(n - 1, 0.5 + level / 2)) * delta.std(ddof=1) / np.sqrt(n)

    def around(value: float, half: float) -> Interval:
        return Interval(float(value), float(value - half), float(value + half), n)

    return (
        around(slope, half_slope),
        around(intercept, half_intercept),
        around(delta.mean(), half_bias),
    )


def _slope(moments: Array) -> Array:
    n, sx, sy, sxx, _, sxy = np.moveaxis(moments, -1, 0)
    spread = n * sxx - sx**2
    return np.asarray((n * sxy - sx * sy) / np.where(spread > 0, spread, np.nan))


def _intercept(moments: Array, shift: float) -> Array:
    """Intercept at x = 0 from moments of x - shift, y - shift."""
    n, sx, sy = np.moveaxis(moments, -1, 0)[:3]
    slope = _slope(moments)
    return np.asarray(sy / n + shift - slope * (sx / n + shift))


def _bias(moments: Array) -> Array:
    n, sx, sy = np.moveaxis(moments, -1, 0)[:3]
    return np.asarray((sy - sx) / n)
