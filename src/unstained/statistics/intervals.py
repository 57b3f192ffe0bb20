"""How sure a number is: bootstrap over rows or over groups of rows, and Fisher's z."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..images.image import Array

__all__ = [
    "MIN_GROUPS",
    "Array",
    "Interval",
    "bootstrap_interval",
    "bootstrap_sums",
    "correlation_moments",
    "fisher_z_interval",
    "mean_interval",
    "moments_correlation",
]


MIN_GROUPS = 5
"""With fewer groups a bootstrap over them is far too narrow; even five are few (Cameron, Gelbach,
Miller (2008), Rev Econ Stat 90:414)."""


class Interval(NamedTuple):
    """An estimate from `n` rows with its interval; `low` and `high` are NaN where undefined."""

    estimate: float
    low: float
    high: float
    n: int

    def alone(self) -> Interval:
        """The estimate without an interval, where rows or groups are too few for one."""
        return self._replace(low=float("nan"), high=float("nan"))


def bootstrap_interval(
    rows: npt.ArrayLike,
    statistic: Callable[[Array], float],
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of any statistic of rows [1]_.

    With `groups`, whole groups are drawn with replacement and all their rows come along
    (cluster bootstrap): right where rows of one group resemble each other, as fields of one
    well do. Fewer than about five groups give an interval that is too narrow.

    Parameters
    ----------
    rows : (N, ...) array
        One observation a row.
    statistic : callable
        (n, ...) rows to a number; NaN draws are left out of the percentiles.
    groups : (N,) array, optional
        Group of each row.
    level : float
        Coverage, 0 ... 1.
    draws, seed : int
        Resamples; seed of the generator.

    Returns
    -------
    Interval
        NaN bounds for fewer than two rows or groups.

    References
    ----------
    .. [1] Efron, Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
    """
    data = np.asarray(rows)
    members = _members(len(data), groups)
    estimate = float(statistic(data)) if len(data) else float("nan")
    if len(members) < 2:
        return Interval(estimate, float("nan"), float("nan"), len(data))
    rng = np.random.default_rng(seed)
    drawn = np.empty(draws)
    for i in range(draws):
        chosen = rng.integers(0, len(members), len(members))
        # joining a million members of one row each would take longer than their statistic
        rows_of = chosen if groups is None else np.concatenate([members[k] for k in chosen])
        drawn[i] = statistic(data[rows_of])
    low, high = _percentiles(drawn, level)
    return Interval(estimate, low, high, len(data))


def bootstrap_sums(
    rows: npt.ArrayLike,
    statistic: Callable[[Array], Array],
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of a statistic that depends on column sums only; fast.

    Means, correlations and slopes are such: (value, 1) summed gives a mean,
    `correlation_moments` summed give a correlation. Arguments as in `bootstrap_interval`,
    but `rows` is (N, K) and `statistic` maps sums (..., K) to (...,).
    """
    data = np.asarray(rows, dtype=np.float64)
    # (N, K) -> (groups, K)
    sums = data
    if groups is not None and len(data):
        sums = np.array([data[m].sum(axis=0) for m in _members(len(data), groups)])
    estimate = float(statistic(data.sum(axis=0))) if len(data) else float("nan")
    if len(sums) < 2:
        return Interval(estimate, float("nan"), float("nan"), len(data))
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, data.shape[1]))
    for i in range(draws):
        chosen = rng.integers(0, len(sums), len(sums))
        drawn[i] = np.bincount(chosen, minlength=len(sums)) @ sums
    low, high = _percentiles(np.asarray(statistic(drawn)), level)
    return Interval(estimate, low, high, len(data))


def mean_interval(
    values: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of the finite `values` with its interval; `n` counts the finite ones.

    The interval is a bootstrap over values or, with five groups or more, over whole groups. Of
    fewer groups, where a bootstrap is too narrow, it is mean +- t se with G - 1 degrees of
    freedom, se^2 = G / (G - 1) sum_g (n_g (mean_g - mean) / n)^2: Student's t of the group means
    where groups are of one size. Arguments as in `bootstrap_interval`; `draws` and `seed` are of
    the bootstrap.

    In 1000 tables of groups of 20 values, with as much spread between groups as within, the 95 %
    interval of 2, 3 and 4 groups held the mean in 0.95, 0.96 and 0.96 (groups of 5 to 59 values:
    0.93, 0.93, 0.92), where a bootstrap does in 0.5, 0.7 and 0.8; that of 5, 8 and 12 groups, the
    bootstrap, in 0.83, 0.88 and 0.92 (0.84, 0.87, 0.89).
    """
    value = np.asarray(values, dtype=np.float64)
    group = np.arange(value.size) if groups is None else np.asarray(groups)
    if group.shape != value.shape:
        raise InputError(f"{group.shape} groups for {value.size} rows", "give one group a row")
    finite = np.isfinite(value)
    if not finite.any():
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rows = np.column_stack([value[finite], np.ones(finite.sum())])
    kept = None if groups is None else group[finite]
    if kept is not None and 2 <= np.unique(kept.astype(str)).size < MIN_GROUPS:
        return _few_groups_interval(value[finite], kept, level)
    return bootstrap_sums(rows, _mean, groups=kept, level=level, draws=draws, seed=seed)


def fisher_z_interval(r: float, n: int, *, level: float = 0.95) -> Interval:
    """Interval of a Pearson correlation of `n` independent, about normal pairs [1]_.

    tanh(atanh(r) +- q / sqrt(n - 3)). Not for pixels, which are not independent.

    References
    ----------
    .. [1] Fisher (1915), Biometrika 10:507.
    """
    from scipy.special import ndtri

    if not -1 <= r <= 1 and not np.isnan(r):
        raise InputError(f"correlation {r}", "give a number from -1 to 1")
    if n <= 3 or np.isnan(r) or abs(r) == 1:
        bound = float(r) if abs(r) == 1 and n > 3 else float("nan")
        return Interval(float(r), bound, bound, n)
    half = float(ndtri(0.5 + level / 2)) / np.sqrt(n - 3)
    z = np.arctanh(r)
    return Interval(float(r), float(np.tanh(z - half)), float(np.tanh(z + half)), n)


def correlation_moments(x: npt.ArrayLike, y: npt.ArrayLike) -> Array:
    """(n, sum x, sum y, sum x^2, sum y^2, sum xy), shape (6,), float64; they add over images."""
    a = np.asarray(x, dtype=np.float64).ravel()
    b = np.asarray(y, dtype=np.float64).ravel()
    return np.array([a.size, a.sum(), b.sum(), a @ a, b @ b, a @ b])


def moments_correlation(moments: Array) -> Array:
    """Pearson r from summed `correlation_moments`, (..., 6) to (...,); NaN where constant."""
    n, sx, sy, sxx, syy, sxy = np.moveaxis(np.asarray(moments, dtype=np.float64), -1, 0)
    vx, vy = n * sxx - sx**2, n * syy - sy**2
    # sums of n squares are exact to about n * eps: what is smaller is rounding, not variance
    varies = (vx > 1e-12 * n * sxx) & (vy > 1e-12 * n * syy)
    scale = np.sqrt(np.where(varies, vx, 1.0)) * np.sqrt(np.where(varies, vy, 1.0))
    return np.asarray(np.where(varies, np.clip((n * sxy - sx * sy) / scale, -1, 1), np.nan))


def _few_groups_interval(value: Array, groups: Array, level: float) -> Interval:
    """Mean of (N,) values +- t standard errors from the means of their groups."""
    from scipy.special import stdtrit

    _check_level(level)
    mean = float(value.mean())
    away = np.array([(value[m] - mean).sum() / value.size for m in _members(value.size, groups)])
    g = away.size
    half = float(stdtrit(g - 1, 0.5 + level / 2) * np.sqrt(g / (g - 1) * (away @ away)))
    return Interval(mean, mean - half, mean + half, value.size)


def _mean(sums: Array) -> Array:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _members(n: int, groups: npt.ArrayLike | None) -> list[Array]:
    """Row indices of each group; each row its own group where none is given."""
    if groups is None:
        return list(np.arange(n).reshape(n, 1))
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise InputError(f"{labels.shape} groups for {n} rows", "give one group a row")
    _, group = np.unique(labels.astype(str), return_inverse=True)
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if n else []


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InputError(f"level {level}", "give a coverage between 0 and 1, such as 0.95")


def _percentiles(drawn: Array, level: float) -> tuple[float, float]:
    _check_level(level)
    finite = drawn[np.isfinite(drawn)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
