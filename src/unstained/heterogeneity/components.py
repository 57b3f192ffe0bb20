"""Along which directions cells differ: principal components of markers and shape."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import DataError, InputError
from ..images.image import Array
from ..statistics import MANY_GROUPS, check_level, student_bounds
from .resampling import Resamples

__all__ = ["Components", "principal_components"]

_NOTHING = 1e-12  # share of a component of variables that repeat one another: 0 has no odds


class Components(NamedTuple):
    """What `principal_components` found; K variables, C components.

    Attributes
    ----------
    names : tuple of str
    scores : (N, C) float array
        Cells on the components.
    vectors : (K, C) float array
        Unit eigenvectors; of each the entry of the largest size is positive.
    correlations : (K, C) float array
        Of each variable with each component: vector x sqrt(eigenvalue). What a biplot draws.
    explained : (C,) float array
        Share of the variance, descending.
    low, high : (C,) float arrays
        Bootstrap interval of `explained`.
    """

    names: tuple[str, ...]
    scores: Array
    vectors: Array
    correlations: Array
    explained: Array
    low: Array
    high: Array

    def loadings(self) -> pd.DataFrame:
        """A row for each variable and component: variable, component, vector, correlation."""
        k, c = self.vectors.shape
        return pd.DataFrame(
            {
                "variable": np.repeat(self.names, c),
                "component": np.tile(np.arange(1, c + 1), k),
                "vector": self.vectors.ravel(),
                "correlation": self.correlations.ravel(),
            }
        )

    def variance(self) -> pd.DataFrame:
        """A row for each component: component, explained, low, high, cumulative."""
        return pd.DataFrame(
            {
                "component": np.arange(1, self.explained.size + 1),
                "explained": self.explained,
                "low": self.low,
                "high": self.high,
                "cumulative": self.explained.cumsum(),
            }
        )


def principal_components(
    values: npt.ArrayLike,
    names: tuple[str, ...],
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 500,
    seed: int = 0,
) -> Components:
    """Principal components of standardized variables.

    Every variable is brought to mean 0 and standard deviation 1 (division by n), since markers
    and shape have different units; so the eigenvalues are those of the correlation matrix and sum
    to K. An eigenvector's sign means nothing: here its largest entry is positive.

    The intervals of fewer than `statistics.MANY_GROUPS` groups come from leaving each out
    (`statistics.student_bounds` of the log odds of the share). Of more groups or cells they are
    percentiles of a bootstrap, moved by what its mean is above the estimate: the i-th largest
    eigenvalue of a sample is too large for the first components and too small for the last, the
    more the fewer cells, and once more so in samples of the sample. That holds for the estimate,
    too: intervals keep their word where components are well apart, and not where several
    variables have little in common and any of them may come first.

    Parameters
    ----------
    values : (N, K) float array
        Finite, none constant.
    names : tuple of str
        Of the K variables.
    groups : (N,) array, optional
        What is independent, such as the donor of each cell.
    level, draws, seed
        Of the intervals.

    Raises
    ------
    InputError
        Values and names do not fit, or `level` is no share.
    DataError
        Fewer than two variables or three cells, a variable that is constant, or a value that is
        not finite.
    """
    check_level(level)
    x = np.asarray(values, np.float64)
    if x.ndim != 2 or x.shape[1] != len(names):
        raise InputError(f"values {x.shape} for {len(names)} names", "give (N, K) and K names")
    if x.shape[0] < 3 or x.shape[1] < 2:
        raise DataError(
            f"{x.shape[0]} cells with {x.shape[1]} variables",
            "components need three cells and two variables at least",
        )
    if not np.isfinite(x).all():
        raise DataError("some values are not finite", "leave these cells out")
    sd = x.std(axis=0)
    if (sd == 0).any():
        raise DataError(
            f"{names[int((sd == 0).argmax())]} is the same in all cells", "leave it out"
        )
    z = (x - x.mean(axis=0)) / sd
    left, size, right = np.linalg.svd(z, full_matrices=False)
    vectors = right.T  # (C, K) -> (K, C)
    sign = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    vectors = vectors * sign
    eigenvalue = size**2 / len(z)
    share = eigenvalue / eigenvalue.sum()
    low, high = _explained_interval(z, share, groups, level=level, draws=draws, seed=seed)
    return Components(
        tuple(names),
        left * size * sign,
        vectors,
        vectors * np.sqrt(eigenvalue),
        share,
        low,
        high,
    )


def _explained_interval(
    z: Array, share: Array, groups: npt.ArrayLike | None, *, level: float, draws: int, seed: int
) -> tuple[Array, Array]:
    """(C,) bounds of the share that each component explains; NaN for a single group."""
    k = z.shape[1]
    samples = Resamples(z, groups)
    if samples.units < 2:
        return np.full(share.size, np.nan), np.full(share.size, np.nan)

    def shares_of(r: Array | None) -> Array:
        if r is None:
            return np.full(k, np.nan)
        return np.asarray(np.clip(np.linalg.eigvalsh(r)[::-1] / k, _NOTHING, None))

    if samples.units < MANY_GROUPS:
        without = np.array([shares_of(r) for r in samples.without_each()])
        some = np.clip(share, _NOTHING, None)
        bounds = [student_bounds(s, without[:, i], "logit", level) for i, s in enumerate(some)]
        low, high = np.array(bounds).T
        return low, high
    rng = np.random.default_rng(seed)
    shares = np.array([shares_of(samples.drawn(rng)) for _ in range(draws)])
    centered = shares[:, : share.size] - np.nanmean(shares[:, : share.size], axis=0)
    low, high = np.nanquantile(centered, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.clip(share + low, 0, 1), np.clip(share + high, 0, 1)
