"""Cells drawn anew or left out, one by one or in whole groups, by their correlations."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from ..images.image import Array

__all__ = ["Resamples", "members_of"]

_CONSTANT = 1e-12
"""Of a variable's variance: what varies by less in a sample is a constant and rounding, or its
one value of a million standard deviations was not drawn."""


class Resamples:
    """Samples of cells, of which the correlations alone are wanted.

    These follow from the sums of the values and of their products, so that no sample is laid
    out: sums of large groups are taken once, of small ones or single cells whenever these are
    drawn, since as many sums would not fit in memory.

    Parameters
    ----------
    values : (N, K) float array
        Finite, none constant.
    groups : (N,) array, optional
        Drawn or left out whole, with all their cells.

    Attributes
    ----------
    units : int
        Groups, or cells where there are none.
    """

    def __init__(self, values: Array, groups: npt.ArrayLike | None) -> None:
        # standardized, so that differences of sums lose no digits
        z = (values - values.mean(axis=0)) / values.std(axis=0)
        self._rows = np.vstack([np.ones(len(z)), z.T])  # (1 + K, N)
        self._unit = np.arange(len(z))  # (N,) which group a cell is of
        if groups is not None:
            self._unit = np.unique(np.asarray(groups).astype(str), return_inverse=True)[1]
        self.units = int(self._unit.max()) + 1
        self._sums: Array | None = None
        if self.units * len(self._rows) <= len(z):
            parts = (self._rows[:, rows] for rows in members_of(len(z), groups))
            self._sums = np.array([part @ part.T for part in parts])  # (G, 1 + K, 1 + K)

    def drawn(self, rng: np.random.Generator) -> Array | None:
        """(K, K) correlations of one bootstrap sample; None where a variable is constant in it."""
        chosen = rng.integers(0, self.units, self.units)
        return self._correlations(np.bincount(chosen, minlength=self.units))

    def without_each(self) -> Iterator[Array | None]:
        """(K, K) correlations without unit after unit; None where a variable is constant."""
        for unit in range(self.units):
            yield self._correlations(np.arange(self.units) != unit)

    def _correlations(self, times: Array) -> Array | None:
        """Of a sample that holds each unit so many times, (units,)."""
        if self._sums is None:
            sums = (self._rows * times[self._unit]) @ self._rows.T
        else:
            sums = np.tensordot(times, self._sums, 1)
        mean = sums[0, 1:] / sums[0, 0]
        covariance = sums[1:, 1:] / sums[0, 0] - np.outer(mean, mean)
        variance = covariance.diagonal()
        if (variance <= _CONSTANT).any():
            return None
        return np.asarray(covariance / np.sqrt(np.outer(variance, variance)))


def members_of(n: int, groups: npt.ArrayLike | None) -> list[Array]:
    """Rows of each group, ascending; all rows in one where no groups are given."""
    if groups is None:
        return [np.arange(n)]
    _, code = np.unique(np.asarray(groups).astype(str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(code[order])) + 1)
