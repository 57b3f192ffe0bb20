"""How much two kinds of cells differ, in units of the spread between cells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError
from ..images.image import Array
from ..statistics import Scale, check_level, holm, resampled_sums, student_interval

__all__ = ["HedgesG", "differences", "hedges_g", "levels_by_class"]


class HedgesG(NamedTuple):
    """a less b in pooled standard deviations, with its interval, and Welch's two-sided p."""

    g: float
    low: float
    high: float
    p: float
    n_a: int
    n_b: int


def hedges_g(a: npt.ArrayLike, b: npt.ArrayLike, *, level: float = 0.95) -> HedgesG:
    """Standardized mean difference of independent values, corrected for small samples [1]_.

    g = J (mean_a - mean_b) / s, s the pooled standard deviation, J = 1 - 3 / (4 df - 1),
    df = n_a + n_b - 2; interval g +- q sqrt(1 / n_a + 1 / n_b + g^2 / (2 (n_a + n_b))). For cells
    of one culture, not for cells of several donors that are put together.

    Returns
    -------
    HedgesG
        All NaN for fewer than two values on a side; g NaN where neither side varies.

    Raises
    ------
    InputError
        `level` is no share.

    References
    ----------
    .. [1] Hedges (1981), J Educ Stat 6:107, doi 10.3102/10769986006002107.
    """
    from scipy.special import ndtri
    from scipy.stats import ttest_ind

    check_level(level)
    x, y = (np.asarray(v, np.float64) for v in (a, b))
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    nan = float("nan")
    if min(x.size, y.size) < 2:
        return HedgesG(nan, nan, nan, nan, x.size, y.size)
    df = x.size + y.size - 2
    spread = np.sqrt(((x - x.mean()) @ (x - x.mean()) + (y - y.mean()) @ (y - y.mean())) / df)
    if spread == 0:
        return HedgesG(nan, nan, nan, nan, x.size, y.size)
    g = float((1 - 3 / (4 * df - 1)) * (x.mean() - y.mean()) / spread)
    error = np.sqrt(1 / x.size + 1 / y.size + g**2 / (2 * (x.size + y.size)))
    half = float(ndtri(0.5 + level / 2) * error)
    p = float(ttest_ind(x, y, equal_var=False).pvalue)
    return HedgesG(g, g - half, g + half, p, x.size, y.size)


def levels_by_class(
    values: npt.ArrayLike,
    names: Sequence[str],
    classes: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Mean of each variable in each class, relative to the mean of all classed cells.

    The interval of the ratio leaves out, or draws, the class and all cells together: a donor
    that stains more strongly raises both means, and leaves their ratio.

    Parameters
    ----------
    values : (N, K) float array
        NaN where not known.
    names : sequence of str
    classes : (N,) array of str or None
    groups : (N,) array, optional
        For the interval, which is over whole groups (`statistics.resampled_interval`). There is
        none where a single group (without groups, a single cell) holds the class.

    Returns
    -------
    DataFrame
        variable, class, n, mean, sd, relative (mean / overall mean), low, high (of `relative`).
    """
    x, kind = np.asarray(values, np.float64), np.asarray(classes, object)
    rows = []
    for j, name in enumerate(names):
        classed = np.isfinite(x[:, j]) & ~pd.isna(kind)
        some = None if groups is None else np.asarray(groups)[classed]
        overall = float(x[classed, j].mean()) if classed.any() else float("nan")
        for of in sorted({str(k) for k in kind[classed]}):
            inside = classed & (kind == of)
            value = x[inside, j]
            low, high = _relative_bounds(x[classed, j], inside[classed], some)
            sd = float(value.std(ddof=1)) if value.size > 1 else float("nan")
            mean = float(value.mean())
            relative = mean / overall if overall else float("nan")
            rows.append((name, of, value.size, mean, sd, relative, low, high))
    columns = ["variable", "class", "n", "mean", "sd", "relative", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def _relative_bounds(x: Array, inside: Array, groups: Array | None) -> tuple[float, float]:
    """Bounds of the mean of some of the values over the mean of all, (N,) each."""
    holding = inside.sum() if groups is None else np.unique(groups[inside]).size
    if holding < 2:  # its mean would be the same in every draw
        return float("nan"), float("nan")

    def ratio(sums: Array) -> Array:
        """(..., 4) sums to (...,); NaN where a draw misses the class."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((sums[..., 0] / sums[..., 1]) / (sums[..., 2] / sums[..., 3]))

    rows = np.column_stack([x * inside, inside, x, np.ones_like(x)])
    scale: Scale = "log" if (x > 0).all() else "plain"
    # few that hold the class decide, however many others do not
    found = resampled_sums(rows, ratio, groups=groups, scale=scale, freedom=int(holding) - 1)
    return found.low, found.high


def differences(
    values: npt.ArrayLike,
    names: Sequence[str],
    classes: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Every pair of classes: by how many standard deviations of cells do they differ?

    Without groups, Hedges' g of cells taken as independent. With them (such as the donor), the
    difference in each group that has two cells of both classes, in pooled standard deviations of
    cells within groups and classes, then Student's t over the groups. p after Holm is over all
    variables and pairs.

    Returns
    -------
    DataFrame
        variable, a, b, effect (a less b), low, high, p, p_holm, n_a, n_b, groups.

    Raises
    ------
    DataError
        One class only, or none.
    """
    x, kind = np.asarray(values, np.float64), np.asarray(classes, object)
    found = sorted({str(k) for k in kind[~pd.isna(kind)]})
    if len(found) < 2:
        raise DataError(
            f"all cells are {found[0]}" if found else "no cell has a class", "two are needed"
        )
    rows = []
    for j, name in enumerate(names):
        for a, b in combinations(found, 2):
            sides = [np.isfinite(x[:, j]) & (kind == side) for side in (a, b)]
            if groups is None:
                one = hedges_g(x[sides[0], j], x[sides[1], j], level=level)
                row = (*one, 0)
            else:
                row = _within_groups(x[:, j], sides, np.asarray(groups), level)
            rows.append((name, a, b, *row))
    columns = ["variable", "a", "b", "effect", "low", "high", "p", "n_a", "n_b", "groups"]
    table = pd.DataFrame(rows, columns=columns)
    table.insert(7, "p_holm", holm(table["p"].to_numpy(float)))
    return table


def _within_groups(
    x: Array, sides: list[Array], groups: Array, level: float
) -> tuple[float, float, float, float, int, int, int]:
    n_a, n_b = (int(side.sum()) for side in sides)
    parts = [[x[side & (groups == g)] for side in sides] for g in np.unique(groups)]
    parts = [pair for pair in parts if min(part.size for part in pair) >= 2]
    nan = float("nan")
    if len(parts) < 2:
        return nan, nan, nan, nan, n_a, n_b, len(parts)
    try:
        sd = within_sd([part for pair in parts for part in pair])
    except DataError:  # cells of a group and class are all the same
        return nan, nan, nan, nan, n_a, n_b, len(parts)
    effect = one_sample([(a.mean() - b.mean()) / sd for a, b in parts], level)
    return *effect, n_a, n_b, len(parts)


def within_sd(parts: Sequence[Array]) -> float:
    """Pooled standard deviation within parts of two values or more.

    Raises
    ------
    DataError
        No part has two values, or none varies.
    """
    squares = sum(float(((p - p.mean()) ** 2).sum()) for p in parts if p.size)
    freedom = sum(p.size - 1 for p in parts if p.size)
    if freedom < 1 or squares <= 0:
        raise DataError(
            "cells of a group do not vary", "give several cells of each group, or leave it out"
        )
    return float(np.sqrt(squares / freedom))


def one_sample(values: npt.ArrayLike, level: float) -> tuple[float, float, float, float]:
    """Mean, interval and two-sided p of Student's t against 0.

    Interval and p are NaN for fewer than two values, and where all tie (see `student_interval`).
    """
    v = np.asarray(values, np.float64)
    check_level(level)
    if v.size < 2:
        nan = float("nan")
        return float(v.mean()) if v.size else nan, nan, nan, nan
    mean, error = float(v.mean()), float(v.std(ddof=1) / np.sqrt(v.size))
    largest = float(np.abs(v).max())
    return mean, *student_interval(mean, error, v.size - 1, level=level, scale=largest)
