"""How sure a number is: a jackknife over few groups of rows, a bootstrap over many, Fisher's z."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..images.image import Array

__all__ = [
    "MANY_GROUPS",
    "MIN_GROUPS",
    "Array",
    "Interval",
    "Scale",
    "check_level",
    "correlation_moments",
    "fisher_z_interval",
    "mean_interval",
    "moments_correlation",
    "resampled_interval",
    "resampled_sums",
    "student_bounds",
]


MIN_GROUPS = 3
"""Two groups leave one degree of freedom: bounds 12.7 standard errors away say nothing. Scores of
fewer groups are told without an interval, or with one over what the groups hold."""

MANY_GROUPS = 30
"""From here on a percentile bootstrap over groups is used; below, the jackknife of
`student_bounds`, since a bootstrap over few groups is too narrow (Cameron, Gelbach, Miller (2008),
Rev Econ Stat 90:414)."""

Scale = Literal["plain", "log", "logit", "fisher"]
"""On which a statistic is about normal: as it is; its logarithm, for positive ones; the logarithm
of its odds, for shares; its inverse hyperbolic tangent, for correlations."""


class Interval(NamedTuple):
    """An estimate from `n` rows with its interval; `low` and `high` are NaN where undefined."""

    estimate: float
    low: float
    high: float
    n: int

    def __format__(self, spec: str) -> str:
        """``0.93 [0.90, 0.96]``; the estimate alone where `low` is NaN."""
        estimate, low, high = (format(value, spec) for value in self[:3])
        return estimate if np.isnan(self.low) else f"{estimate} [{low}, {high}]"

    def alone(self) -> Interval:
        """The estimate without an interval, where rows or groups are too few for one."""
        return self._replace(low=float("nan"), high=float("nan"))

    def within(self, least: float, most: float) -> Interval:
        """Bounds clipped to the range of the estimated quantity; NaN stays NaN."""
        low, high = np.clip([self.low, self.high], least, most)
        return self._replace(low=float(low), high=float(high))


def resampled_interval(
    rows: npt.ArrayLike,
    statistic: Callable[[Array], float],
    *,
    groups: npt.ArrayLike | None = None,
    scale: Scale = "plain",
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Interval of any statistic of rows, or of whole groups of rows.

    With `groups`, whole groups are left out or drawn and all their rows go along: right where
    rows of one group resemble each other, as fields of one well do. Of `MANY_GROUPS` groups or
    more (without groups: rows) the interval is a percentile bootstrap [1]_, of fewer a jackknife
    with Student's t, see `student_bounds`.

    In tables of 3 to 29 groups of 5 to 59 rows, which differ among themselves as much as their
    rows do, the 95 % interval held means, slopes and correlations in 0.93 to 0.97, a bootstrap in
    0.74 to 0.85 with 3 groups and in 0.85 to 0.91 with 8. Limits of agreement, which hang on the
    spread of groups, are held in 0.85 to 0.94 (``benchmarks/intervals.py``).

    Parameters
    ----------
    rows : (N, ...) array
        One observation a row.
    statistic : callable
        (n, ...) rows to a number; where groups are few a smooth one, which a median is not. NaN
        draws are left out of the percentiles; a statistic that is NaN without one of few groups
        has no interval.
    groups : (N,) array, optional
        Group of each row.
    scale : {"plain", "log", "logit", "fisher"}
        Of the jackknife; see `Scale`.
    level : float
        Coverage, 0 ... 1.
    draws, seed : int
        Of the bootstrap: resamples; seed of the generator.

    Returns
    -------
    Interval
        NaN bounds for fewer than two rows or groups.

    References
    ----------
    .. [1] Efron, Tibshirani (1993), An Introduction to the Bootstrap, ch. 13.
    """
    check_level(level)
    data = np.asarray(rows)
    members = _members(len(data), groups)
    estimate = float(statistic(data)) if len(data) else float("nan")
    if len(members) < 2:
        return Interval(estimate, float("nan"), float("nan"), len(data))
    if len(members) < MANY_GROUPS:
        without = [float(statistic(np.delete(data, m, axis=0))) for m in members]
        return Interval(estimate, *student_bounds(estimate, without, scale, level), len(data))
    rng = np.random.default_rng(seed)
    drawn = np.empty(draws)
    for i in range(draws):
        chosen = rng.integers(0, len(members), len(members))
        # joining a million members of one row each would take longer than their statistic
        rows_of = chosen if groups is None else np.concatenate([members[k] for k in chosen])
        drawn[i] = statistic(data[rows_of])
    return Interval(estimate, *_percentiles(drawn, level), len(data))


def resampled_sums(
    rows: npt.ArrayLike,
    statistic: Callable[[Array], Array],
    *,
    groups: npt.ArrayLike | None = None,
    scale: Scale = "plain",
    freedom: int | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """As `resampled_interval`, of a statistic that depends on column sums only; fast.

    Means, correlations and slopes are such: (value, 1) summed gives a mean,
    `correlation_moments` summed give a correlation. `rows` is (N, K), and `statistic` maps sums
    (..., K) to (...,). `freedom` is that of `student_bounds`.
    """
    check_level(level)
    data = np.asarray(rows, dtype=np.float64)
    # (N, K) -> (groups, K)
    sums = data
    if groups is not None and len(data):
        sums = np.array([data[m].sum(axis=0) for m in _members(len(data), groups)])
    total = data.sum(axis=0)
    estimate = float(statistic(total)) if len(data) else float("nan")
    if len(sums) < 2:
        return Interval(estimate, float("nan"), float("nan"), len(data))
    if len(sums) < MANY_GROUPS:
        # summed anew and not subtracted from the total, which would leave its rounding
        without = np.array([np.delete(sums, g, axis=0).sum(axis=0) for g in range(len(sums))])
        bounds = student_bounds(estimate, statistic(without), scale, level, freedom=freedom)
        return Interval(estimate, *bounds, len(data))
    rng = np.random.default_rng(seed)
    drawn = np.empty((draws, data.shape[1]))
    for i in range(draws):
        chosen = rng.integers(0, len(sums), len(sums))
        drawn[i] = np.bincount(chosen, minlength=len(sums)) @ sums
    return Interval(estimate, *_percentiles(np.asarray(statistic(drawn)), level), len(data))


def student_bounds(
    estimate: float,
    without: npt.ArrayLike,
    scale: Scale = "plain",
    level: float = 0.95,
    *,
    freedom: int | None = None,
) -> tuple[float, float]:
    """Bounds of a statistic from its values without each of a few groups [1]_.

    estimate -+ t se on the `scale`, with Student's t of G - 1 degrees of freedom and the
    delete-one-group jackknife's se^2 = (G - 1) / G sum_g (without_g - their mean)^2. Of means of
    groups of one size this is Student's interval. For smooth statistics only: not for medians.

    Parameters
    ----------
    estimate : float
        Of all groups.
    without : (G,) array
        The same statistic without group g; two groups at least.
    scale : {"plain", "log", "logit", "fisher"}
        See `Scale`.
    level : float
        Coverage, 0 ... 1.
    freedom : int, optional
        Degrees of freedom where fewer groups than G decide, as of a class that two of them hold.

    Returns
    -------
    low, high : float
        NaN where the statistic is undefined or at the end of the scale without one of the groups,
        as a correlation of 1 is.

    References
    ----------
    .. [1] Efron (1982), The Jackknife, the Bootstrap and Other Resampling Plans, ch. 3; for few
       clusters Bell, McCaffrey (2002), Surv Methodol 28:169.
    """
    from scipy.special import stdtrit

    check_level(level)
    to, back = _SCALES[scale]
    with np.errstate(divide="ignore", invalid="ignore"):
        left, center = to(np.asarray(without, dtype=np.float64)), to(np.asarray(estimate))
        g = left.size
        error = np.sqrt((g - 1) / g * np.sum((left - left.mean()) ** 2))
        half = stdtrit(g - 1 if freedom is None else freedom, 0.5 + level / 2) * error
        low, high = back(center - half), back(center + half)
    return (float(low), float(high)) if np.isfinite(half) else (float("nan"), float("nan"))


def mean_interval(
    values: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Mean of the finite `values` with its interval; `n` counts the finite ones.

    As in `resampled_interval`: over values or whole groups, of fewer than `MANY_GROUPS` by
    Student's t of their means, of more by a bootstrap.
    """
    value = np.asarray(values, dtype=np.float64)
    group = None if groups is None else np.asarray(groups)
    if group is not None and group.shape != value.shape:
        raise InputError(f"{group.shape} groups for {value.size} rows", "give one group a row")
    finite = np.isfinite(value)
    if not finite.any():
        return Interval(float("nan"), float("nan"), float("nan"), 0)
    rows = np.column_stack([value[finite], np.ones(finite.sum())])
    kept = None if group is None else group[finite]
    return resampled_sums(rows, _mean, groups=kept, level=level, draws=draws, seed=seed)


def fisher_z_interval(r: float, n: int, *, level: float = 0.95) -> Interval:
    """Interval of a Pearson correlation of `n` independent, about normal pairs [1]_.

    tanh(atanh(r) +- q / sqrt(n - 3)). Not for pixels, which are not independent.

    Raises
    ------
    InputError
        `r` is no correlation, or `level` no share.

    References
    ----------
    .. [1] Fisher (1915), Biometrika 10:507.
    """
    from scipy.special import ndtri

    check_level(level)
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


def _arctanh(r: Array) -> Array:
    """Of correlations; infinite for those that are 1 but for rounding."""
    perfect = np.abs(r) > 1 - 1e-9
    return np.arctanh(np.where(perfect, np.sign(r), r))


_Transform = Callable[[Array], Array]
_SCALES: dict[str, tuple[_Transform, _Transform]] = {
    "plain": (np.asarray, np.asarray),
    "log": (np.log, np.exp),
    "logit": (lambda p: np.log(p / (1 - p)), lambda z: 1 / (1 + np.exp(-z))),
    "fisher": (_arctanh, np.tanh),
}


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


def check_level(level: float) -> None:
    """Refuse what is no coverage, such as 95."""
    if not 0 < level < 1:
        raise InputError(f"level {level}", "give a coverage between 0 and 1, such as 0.95")


def _percentiles(drawn: Array, level: float) -> tuple[float, float]:
    finite = drawn[np.isfinite(drawn)]
    if not finite.size:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
