"""Do markers say what shape says? One number for the whole, and each pair on its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from ..images.image import Array
from ..statistics import MANY_GROUPS, check_level, fisher_z_interval, holm, student_bounds
from .resampling import Resamples, members_of

__all__ = ["Orthogonality", "correlations", "orthogonality"]

_LEAST = 4  # cells of a group whose correlation counts
_TIE = 1 - 1e-12  # of RV: mirrored pairings have the same but for rounding


class Orthogonality(NamedTuple):
    """What `orthogonality` found.

    Attributes
    ----------
    value : float
        1 - (RV - E) / (1 - E), RV without what chance adds to it: 1 for sets that have nothing in
        common, 0 for the same configuration of cells. Above 1 where sets share less than chance
        would have it: unbiased, but to be read as 1 (`within_range`).
    low, high : float
        Interval.
    rv : float
        The plain RV coefficient.
    chance : float
        What RV is on average where cells are paired at random.
    p : float
        Of "no more in common than chance", by permutation.
    n : int
        Cells.
    """

    value: float
    low: float
    high: float
    rv: float
    chance: float
    p: float
    n: int

    def within_range(self) -> Orthogonality:
        """Value and interval cut to 0 ... 1, to be told to people."""
        value, low, high = (float(np.clip(v, 0, 1)) for v in (self.value, self.low, self.high))
        return self._replace(value=value, low=low, high=high)


def orthogonality(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 999,
    seed: int = 0,
) -> Orthogonality:
    """How little two sets of variables have in common over the same cells.

    Of standardized variables, with R_xy (p, q) the correlations across the sets and R_xx, R_yy
    those within, RV = ||R_xy||^2 / (||R_xx|| ||R_yy||) (sums of squares) [1]_: the squared
    correlations across the sets against those within them. Unlike canonical correlations and
    principal angles it is well defined where variables nearly repeat one another, as compactness
    measures do, and a direction in which cells hardly differ counts little.

    Chance alone makes RV positive. Where cells are paired at random its mean is
    E = sqrt(b_x b_y) / (n - G), b = tr(R)^2 / tr(R^2), G groups or 1 [2]_; what is reported is
    1 - (RV - E) / (1 - E), which is not 1 - RV.

    The interval of fewer than `statistics.MANY_GROUPS` groups comes from leaving each out
    (`statistics.student_bounds`). Of more groups or cells it is a bootstrap around the estimate:
    what draws differ from their mean, since a draw holds the chance correlations of its sample
    once more. p is the share of random pairings with as large an RV; with groups, the cells are
    paired anew within each group, so that what both sets owe to the group is not called common,
    and the variables are taken as distances from the group's mean.

    Parameters
    ----------
    x, y : (N, p) and (N, q) float arrays
        Finite, none constant.
    groups : (N,) array, optional
        Such as the donor of each cell.
    level, draws, seed
        Of the interval and the permutations.

    Raises
    ------
    InputError
        Different numbers of cells, or `level` is no share.
    DataError
        Fewer than four cells, a variable that is constant (within all groups), or a value that is
        not finite.

    References
    ----------
    .. [1] Robert, Escoufier (1976), Appl Stat 25:257, doi 10.2307/2347233.
    .. [2] Josse, Pages, Husson (2008), Comput Stat Data Anal 53:82,
       doi 10.1016/j.csda.2008.06.012.
    """
    check_level(level)
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise InputError(f"{a.shape} and {b.shape}", "give (N, p) and (N, q) of the same cells")
    if len(a) < _LEAST:
        raise DataError(f"{len(a)} cells", "four are needed at least")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("some values are not finite", "leave these cells out")
    members = members_of(len(a), groups)
    if groups is not None:
        a, b = _within(a, members), _within(b, members)
    a, b = _standard(a), _standard(b)
    freedom = len(a) - (len(members) if groups is not None else 1)
    within = a.T @ a, b.T @ b
    rv, chance = _rv(a.T @ b, *within), _chance(a, b, freedom)
    value = 1 - (rv - chance) / (1 - chance)
    rng = np.random.default_rng(seed)
    beyond = 0
    partner = np.empty(len(a), int)
    for _ in range(draws):
        for rows in members:
            partner[rng.permutation(rows)] = rows
        beyond += _rv(a[partner].T @ b, *within) >= rv * _TIE
    samples = Resamples(np.hstack([a, b]), groups)
    low, high = _bounds(value, samples, a.shape[1], chance, level, draws, rng)
    return Orthogonality(
        float(value), low, high, rv, chance, float((1 + beyond) / (1 + draws)), len(a)
    )


def _bounds(
    value: float,
    samples: Resamples,
    p: int,
    chance: float,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Of 1 - (RV - chance) / (1 - chance), p variables in the first set; NaN for one group."""

    def of(r: Array | None) -> float:
        if r is None:
            return float("nan")
        return 1 - (_rv(r[:p, p:], r[:p, :p], r[p:, p:]) - chance) / (1 - chance)

    if samples.units < 2:
        return float("nan"), float("nan")
    if samples.units < MANY_GROUPS:
        return student_bounds(value, [of(r) for r in samples.without_each()], level=level)
    drawn = np.array([of(samples.drawn(rng)) for _ in range(draws)])
    finite = drawn[np.isfinite(drawn)]
    if finite.size < 2:
        return float("nan"), float("nan")
    low, high = value + np.quantile(finite, [(1 - level) / 2, (1 + level) / 2]) - finite.mean()
    return float(low), float(high)


def correlations(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    names: tuple[Sequence[str], Sequence[str]],
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Pearson's r of each variable of one set with each of another.

    Without groups, cells are taken as independent (Fisher's z). With them, r is taken in each
    group of four cells or more, and atanh r averaged; interval and p are Student's t over the
    groups: what donors differ by makes no correlation, and donors are what is replicated. p after
    Holm is over all pairs.

    Parameters
    ----------
    x, y : (N, p) and (N, q) float arrays
    names : (p names, q names)
    groups : (N,) array, optional
    level : float

    Returns
    -------
    DataFrame
        x, y, r, low, high, p, p_holm, n (cells), groups. NaN bounds for too few cells.

    Raises
    ------
    DataError
        Fewer than two groups of four cells.
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    p, q = a.shape[1], b.shape[1]
    if groups is None:
        table = _of_cells(a, b, level)
    else:
        table = _of_groups(a, b, members_of(len(a), groups), level)
    table.insert(0, "x", np.repeat(list(names[0]), q))
    table.insert(1, "y", np.tile(list(names[1]), p))
    table.insert(6, "p_holm", holm(table["p"].to_numpy(float)))
    return table


def _of_cells(a: Array, b: Array, level: float) -> pd.DataFrame:
    from scipy.special import ndtr

    n, r = len(a), (_standard(a).T @ _standard(b) / len(a)).ravel()
    bounds = [fisher_z_interval(float(np.clip(one, -1, 1)), n, level=level) for one in r]
    z = np.arctanh(np.clip(r, -1 + 1e-15, 1 - 1e-15)) * np.sqrt(max(n - 3, 0))
    p = 2 * ndtr(-np.abs(z)) if n > 3 else np.full(r.size, np.nan)
    return pd.DataFrame(
        {
            "r": r,
            "low": [i.low for i in bounds],
            "high": [i.high for i in bounds],
            "p": p,
            "n": n,
            "groups": 0,
        }
    )


def _of_groups(a: Array, b: Array, members: list[Array], level: float) -> pd.DataFrame:
    from scipy.special import stdtr, stdtrit

    large = [m for m in members if m.size >= _LEAST]
    if len(large) < 2:
        raise DataError(
            f"{len(large)} groups have {_LEAST} cells or more", "two are needed, or no groups"
        )
    z = np.array([np.arctanh(np.clip(_cross(a[m], b[m]), -0.999999, 0.999999)) for m in large])
    z = z.reshape(len(large), -1)
    mean = z.mean(axis=0)
    error = np.maximum(z.std(axis=0, ddof=1) / np.sqrt(len(large)), 1e-12)
    half = stdtrit(len(large) - 1, 0.5 + level / 2) * error
    return pd.DataFrame(
        {
            "r": np.tanh(mean),
            "low": np.tanh(mean - half),
            "high": np.tanh(mean + half),
            "p": 2 * stdtr(len(large) - 1, -np.abs(mean) / error),
            "n": sum(m.size for m in large),
            "groups": len(large),
        }
    )


def _cross(a: Array, b: Array) -> Array:
    """(p, q) correlations; NaN where constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(_standard(a, strict=False).T @ _standard(b, strict=False) / len(a))


def _within(x: Array, members: list[Array]) -> Array:
    centered = x.copy()
    for rows in members:
        centered[rows] -= x[rows].mean(axis=0)
    return centered


def _standard(x: Array, *, strict: bool = True) -> Array:
    sd = x.std(axis=0)
    if strict and (sd == 0).any():
        raise DataError("a variable is the same in all cells", "leave it out")
    return np.asarray((x - x.mean(axis=0)) / sd)


def _rv(across: Array, within_a: Array, within_b: Array) -> float:
    """RV from the correlations across two sets and within each, or N times all three."""
    norms = (float(np.linalg.norm(within)) for within in (within_a, within_b))
    return float(np.linalg.norm(across)) ** 2 / math.prod(norms)


def _chance(a: Array, b: Array, freedom: int) -> float:
    def dimensions(x: Array) -> float:
        r = x.T @ x
        return float(np.trace(r) ** 2 / np.linalg.norm(r) ** 2)

    return float(np.sqrt(dimensions(a) * dimensions(b)) / freedom)
