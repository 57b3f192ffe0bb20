"""How much of the differences between cells is owed to donor, passage and well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from ..images.image import Array
from ..statistics import check_level

__all__ = ["variance_shares"]


class _Nest(NamedTuple):
    """A nested design: W units of the lowest level with n cells each."""

    parents: tuple[Array, ...]  # of each level, outermost first: (W,) group of each unit
    n: Array  # (W,) cells of each unit

    @property
    def cells(self) -> int:
        return int(self.n.sum())


def variance_shares(
    values: npt.ArrayLike,
    levels: Mapping[str, npt.ArrayLike],
    *,
    level: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> pd.DataFrame:
    """Shares of the variance of nested levels and of cells, by REML [1]_.

    y = mean + donor + passage within donor + well within passage + cell, each normal with a
    variance of its own. With m the means of the W lowest units, n_w their cells, SS the squares
    within them, V = sum_k s_k Z_k Z_k' + diag(s_cell / n_w), the variances minimize

        log|V| + log(1'V^-1 1) + m'P m + (N - W) log s_cell + SS / s_cell,

    P = V^-1 - V^-1 1 1'V^-1 / (1'V^-1 1); none is below 0. That is REML of all N cells, from W
    numbers. What is called "cell" holds all that wells do not share: also what the measurement
    adds.

    The interval is a generalized confidence interval [2]_. Take the means of each level as plain
    means over the level below [3]_: their squares within a parent, over degrees of freedom, are
    about Q_k chi^2 / df with Q_k = s_k + Q_(k+1) / c, c the harmonic mean of the units of level
    k + 1 in one of level k. Drawing chi^2 and solving for Q and s, level by level, none below 0,
    gives a distribution of the shares, whose quantiles are the interval. With few donors a
    donor's share is hardly known, whatever the number of cells: the interval is wide, and says
    so. Of simulated experiments (3 passages x 2 wells x 15 cells of each donor) it held the truth
    in 0.93 to 0.97 with 4 to 12 donors (``benchmarks/heterogeneity.py``).

    Parameters
    ----------
    values : (N,) float array
        Finite. As logarithms where cells differ by factors.
    levels : mapping of str to (N,) array
        Outermost first. A name counts within its parent: well A1 of two donors is two wells.
    level, draws, seed
        Of the interval, which always holds the estimate.

    Returns
    -------
    DataFrame
        level (those given, then ``cell``), groups, variance, share, low, high (of `share`).

    Raises
    ------
    InputError
        No level, arrays of different lengths, or a coverage that is none.
    DataError
        A level with one group; one that is not finer than its parent; no unit with two cells;
        no variance.

    References
    ----------
    .. [1] Patterson, Thompson (1971), Biometrika 58:545, doi 10.1093/biomet/58.3.545.
    .. [2] Weerahandi (1993), J Am Stat Assoc 88:899, doi 10.1080/01621459.1993.10476355.
    .. [3] Thomas, Hultquist (1978), Ann Stat 6:582, doi 10.1214/aos/1176344202.
    """
    check_level(level)
    y = np.asarray(values, np.float64)
    nest, unit = _nest(y, levels)
    scale = float(y.var())
    if scale <= 1e-12 * float(np.abs(y).max()) ** 2:
        raise DataError("the values of all cells are the same", "leave the marker out")
    mean, squares = _summed(y / np.sqrt(scale), unit, nest)
    found = _reml(nest, mean, squares)
    share = found / found.sum()
    drawn = _drawn_variances(nest, mean, squares, draws, np.random.default_rng(seed))
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(drawn / drawn.sum(axis=0), ends, axis=1)
    return pd.DataFrame(
        {
            "level": [*levels, "cell"],
            "groups": [*(int(p.max()) + 1 for p in nest.parents), nest.cells],
            "variance": found * scale,
            "share": share,
            "low": np.minimum(low, share),
            "high": np.maximum(high, share),
        }
    )


def _nest(y: Array, levels: Mapping[str, npt.ArrayLike]) -> tuple[_Nest, Array]:
    """The design, and the lowest unit of each cell."""
    if not levels:
        raise InputError("no level", "give columns from the outermost on, such as donor, well")
    if y.ndim != 1 or not np.isfinite(y).all():
        raise InputError(f"values {y.shape}, or not finite", "give one finite value a cell")
    codes, path, before, above = [], np.full(y.size, "", object), 1, ""
    for name, of in levels.items():
        word = np.asarray(of).astype(str)
        if word.shape != y.shape:
            raise InputError(f"{word.size} of {name} for {y.size} cells", "give one a cell")
        path = path + "/" + word.astype(object)
        _, code = np.unique(path.astype(str), return_inverse=True)
        groups = int(code.max()) + 1
        if groups < 2:
            raise DataError(
                f"all cells are of one {name}: what it adds cannot be told",
                f"give cells of several, or leave {name} out",
            )
        if groups <= before:
            raise DataError(
                f"each {above} has one {name}: what either adds cannot be told apart",
                f"leave {name} or {above} out",
            )
        codes.append(code)
        before, above = groups, name
    unit = codes[-1]
    n = np.bincount(unit)
    if n.max() < 2:
        raise DataError(f"each {above} has one cell", f"leave {above} out, or give more cells")
    first = np.unique(unit, return_index=True)[1]
    return _Nest(tuple(code[first] for code in codes), n), unit


def _summed(y: Array, unit: Array, nest: _Nest) -> tuple[Array, float]:
    """Means of the units, and the sum of squares within them."""
    mean = np.bincount(unit, weights=y) / nest.n
    return mean, float(((y - mean[unit]) ** 2).sum())


def _drawn_variances(
    nest: _Nest, mean: Array, squares: float, draws: int, rng: np.random.Generator
) -> Array:
    """(levels + 1, draws) generalized pivotal quantities of the variances, that of cells last."""
    freedom = nest.cells - nest.n.size
    below = squares / rng.chisquare(freedom, draws)  # Q of the level below
    per_unit = 1 / np.mean(1 / nest.n)  # its units in one of this level
    found = [below]
    for level in reversed(range(len(nest.parents))):
        code = nest.parents[level]
        first = np.unique(code, return_index=True)[1]  # a lowest unit of each of this level's
        parent = nest.parents[level - 1][first] if level else np.zeros(first.size, int)
        units = np.bincount(parent)
        of_parent = np.bincount(parent, weights=mean) / units
        between = float(((mean - of_parent[parent]) ** 2).sum())
        here = between / rng.chisquare(mean.size - units.size, draws)
        found.append(np.maximum(here - below / per_unit, 0))
        below, per_unit, mean = here, 1 / np.mean(1 / units), of_parent
    return np.array(found[::-1])


def _reml(nest: _Nest, mean: Array, squares: float) -> Array:
    """(levels + 1,) variances, that of cells last."""
    from scipy.optimize import minimize

    parts = [(parent[:, None] == parent).astype(np.float64) for parent in nest.parents]
    parts.append(np.diag(1 / nest.n))
    freedom = nest.cells - nest.n.size
    one = np.ones_like(mean)

    def minus_twice_log(variance: Array) -> tuple[float, Array]:
        v = np.tensordot(variance, parts, 1)
        inverse = np.linalg.inv(v)
        weight = inverse @ one
        p = inverse - np.outer(weight, weight) / weight.sum()
        pm = p @ mean
        value = np.linalg.slogdet(v)[1] + np.log(weight.sum()) + mean @ pm
        slope = np.array([np.sum(p * part) - pm @ part @ pm for part in parts])
        value += freedom * np.log(variance[-1]) + squares / variance[-1]
        slope[-1] += freedom / variance[-1] - squares / variance[-1] ** 2
        return float(value), slope

    cell = squares / freedom
    between = max(float(mean.var()), 1e-3 * cell) / len(nest.parents)
    start = np.array([*[between] * len(nest.parents), cell])
    fit = minimize(
        minus_twice_log,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=[*[(0.0, None)] * len(nest.parents), (1e-6 * cell, None)],
        options={"ftol": 1e-12, "gtol": 1e-7},
    )
    return np.asarray(fit.x)
