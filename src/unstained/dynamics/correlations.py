"""Two correlations between markers: over many cells, and over the time of one cell.

*Overall*: cells with more of one marker than others have more of another. *Fluctuation*: when a
cell's one marker rises, its other rises too. The first may be high where the second is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings
from ..statistics import check_level

__all__ = [
    "ComparedCorrelations",
    "CorrelationSettings",
    "Correlations",
    "compare_correlations",
]


@dataclass(frozen=True)
class CorrelationSettings:
    """How sure the correlations are: coverage of the intervals, resamples, and their seed."""

    level: float = 0.95
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, least={"draws": 100})
        check_level(self.level)


class Correlations(NamedTuple):
    """Correlation r of each two of M markers with its interval, (M, M) arrays; n cells used."""

    r: Array
    low: Array
    high: Array
    n: int


class ComparedCorrelations(NamedTuple):
    """Overall and fluctuation correlation.

    Attributes
    ----------
    overall, fluctuation, difference : Correlations
        The difference is overall less fluctuation.
    corrected : Correlations or None
        The fluctuation correlation without the noise of the measurement, if `reliability` was
        given.
    of_cell : (C, M, M) array
        Fluctuation correlation of each cell alone; NaN for fewer than three frames.
    """

    overall: Correlations
    fluctuation: Correlations
    difference: Correlations
    corrected: Correlations | None
    of_cell: Array


def compare_correlations(
    levels: npt.ArrayLike,
    fluctuations: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    frame: int | None = None,
    reliability: npt.ArrayLike | None = None,
    settings: CorrelationSettings | None = None,
) -> ComparedCorrelations:
    """Correlation of markers over cells against that over the time of one cell.

    The overall correlation is Pearson's over the cells' means over time, or over their levels in
    one frame. The fluctuation correlation pools the covariance within cells::

        r_ij = sum_c S_c,ij / sqrt(sum_c S_c,ii  sum_c S_c,jj),   S_c = sum_t d_c(t) d_c(t)'

    with deviations d from the cell's own mean. Averaging each cell's r, or its Fisher z, would let
    a track of ten frames, whose r is nearly all chance, count as much as one of a thousand.

    Intervals are ``tanh(z +- t(G - 1) se)`` with the standard error of z = atanh(r) over
    bootstrap samples of the G groups of cells (of the difference itself for the difference):
    percentiles are too narrow for ten or fifteen lineages.

    Noise that differs from marker to marker adds to the variances only, so that it pulls a
    fluctuation correlation towards 0, by the root of both reliabilities [1]_. Prediction errors
    that markers share, as from one image they may, do the opposite and are not corrected.

    Parameters
    ----------
    levels : (M, C, T) array
        Markers of followed cells; NaN where a cell was not seen. For the overall correlation.
    fluctuations : (M, C, T) array
        The same detrended and relative to the cell's mean; `levels` again if they are to be
        taken as they are.
    groups : (C,) array, optional
        Cells of one group (lineage) are drawn together. Each cell its own if not given.
    frame : int, optional
        Overall correlation in this frame, not of the means over time.
    reliability : (M,) array, optional
        Share of each fluctuation's variance that is not noise, 0 (excluded) to 1: 1 less the
        `noise_share` of `correlation_time`.
    settings : CorrelationSettings, optional

    Returns
    -------
    ComparedCorrelations
        Intervals are NaN for fewer than two groups, overall correlations for fewer than three
        cells.

    Raises
    ------
    InputError
        Shapes that do not fit, no such frame, a reliability that cannot be.
    DataError
        No cell has two values; a marker is constant over time in all cells.

    References
    ----------
    .. [1] Spearman (1904), Am J Psychol 15:72, doi 10.2307/1412159.
    """
    chosen = settings or CorrelationSettings()
    level, change = _checked(levels, fluctuations)
    n_markers, n_cells, _ = level.shape
    group = _groups(groups, n_cells)
    between = _moments(_one_value(level, frame))  # (C, 1 + M + M M)
    within, frames = _products(change)  # (C, M, M), (C,)
    _check_varies(within, change)
    unit = np.sqrt(np.einsum("cmm->m", within))
    within = within / np.outer(unit, unit)
    share = _reliability(reliability, n_markers)
    rows = np.concatenate([between, within.reshape(n_cells, -1)], axis=1)
    sums = np.zeros((group.max() + 1, rows.shape[1]))
    np.add.at(sums, group, rows)
    # groups that have nothing to say are not drawn
    sums = sums[(sums[:, 0] > 0) | (sums[:, between.shape[1] :].sum(axis=1) > 0)]
    rng = np.random.default_rng(chosen.seed)
    drawn = rng.multinomial(len(sums), np.full(len(sums), 1 / len(sums)), chosen.draws) @ sums
    both = np.concatenate([sums.sum(axis=0, keepdims=True), drawn])  # (1 + draws, ...)
    overall = _from_moments(both[:, : between.shape[1]], n_markers)
    fluctuation = _normalized(both[:, between.shape[1] :].reshape(-1, n_markers, n_markers))
    quantile = float(stdtrit(len(sums) - 1, (1 + chosen.level) / 2)) if len(sums) > 1 else np.nan
    n_between, n_within = int(between[:, 0].sum()), int((frames > 1).sum())
    corrected = None
    if share is not None:
        true = np.clip(fluctuation / np.sqrt(np.outer(share, share)), -1, 1)
        true[:, np.arange(n_markers), np.arange(n_markers)] = 1
        corrected = _with_interval(true, quantile, n_within)
    difference = overall - fluctuation
    half = quantile * _spread(difference[1:])
    return ComparedCorrelations(
        _with_interval(overall, quantile, n_between),
        _with_interval(fluctuation, quantile, n_within),
        Correlations(
            difference[0],
            np.maximum(difference[0] - half, -2),
            np.minimum(difference[0] + half, 2),
            n_within,
        ),
        corrected,
        np.where((frames > 2)[:, None, None], _normalized(within), np.nan),
    )


def _checked(levels: npt.ArrayLike, fluctuations: npt.ArrayLike) -> tuple[Array, Array]:
    level, change = (np.asarray(values, np.float64) for values in (levels, fluctuations))
    if level.ndim != 3 or level.shape != change.shape or 0 in level.shape:
        raise InputError(
            f"levels {level.shape}, fluctuations {change.shape}",
            "give both as (markers, cells, frames)",
        )
    return level, change


def _groups(groups: npt.ArrayLike | None, n_cells: int) -> Array:
    labels = np.arange(n_cells) if groups is None else np.asarray(groups)
    if labels.shape != (n_cells,):
        raise InputError(f"{labels.shape} groups for {n_cells} cells", "give one group a cell")
    return np.asarray(np.unique(labels.astype(str), return_inverse=True)[1])


def _reliability(reliability: npt.ArrayLike | None, n_markers: int) -> Array | None:
    if reliability is None:
        return None
    share = np.asarray(reliability, np.float64)
    if share.shape != (n_markers,) or not ((share > 0) & (share <= 1)).all():
        raise InputError(f"reliability {share.tolist()}", "give a share above 0 for each marker")
    return share


def _one_value(level: Array, frame: int | None) -> Array:
    """(M, C): the cells' means over the frames in which all markers were seen, or one frame."""
    if frame is None:
        seen = np.asarray(np.isfinite(level).all(axis=0))
        n = np.where(seen.any(axis=1), seen.sum(axis=1), np.nan)
        return np.asarray(np.where(seen, level, 0.0).sum(axis=2) / n)
    if not 0 <= frame < level.shape[2]:
        raise InputError(f"no frame {frame}", f"there are 0 to {level.shape[2] - 1}")
    return np.asarray(level[:, :, frame])


def _moments(value: Array) -> Array:
    """(M, C) to (C, 1 + M + M M): count, sums and products of each cell; 0 where not seen."""
    seen = np.asarray(np.isfinite(value).all(axis=0))
    if not seen.any():
        return np.zeros((value.shape[1], 1 + len(value) + len(value) ** 2))
    # in units of the spread about the mean: squares of large totals would cost digits
    centered = value - value[:, seen].mean(axis=1, keepdims=True)
    spread = centered[:, seen].std(axis=1, keepdims=True)
    x = np.where(seen, centered / np.where(spread > 0, spread, 1.0), 0.0).T  # (C, M)
    products = x[:, :, None] * x[:, None, :]
    return np.concatenate([seen[:, None].astype(float), x, products.reshape(len(x), -1)], axis=1)


def _from_moments(sums: Array, n_markers: int) -> Array:
    """(R, 1 + M + M M) to (R, M, M) correlations; NaN for fewer than three cells."""
    n = sums[:, 0]
    mean = sums[:, 1 : 1 + n_markers] / np.maximum(n, 1)[:, None]
    products = sums[:, 1 + n_markers :].reshape(-1, n_markers, n_markers)
    covariance = products - n[:, None, None] * mean[:, :, None] * mean[:, None, :]
    return np.where((n > 2)[:, None, None], _normalized(covariance), np.nan)


def _products(change: Array) -> tuple[Array, Array]:
    """(C, M, M) summed products of deviations from the cell's mean, (C,) frames in them."""
    seen = np.isfinite(change).all(axis=0)  # (C, T)
    frames = seen.sum(axis=1)
    mean = np.where(seen, change, 0.0).sum(axis=2) / np.maximum(frames, 1)
    deviation = np.where(seen, change - mean[..., None], 0.0)
    return np.einsum("mct,nct->cmn", deviation, deviation), frames


def _check_varies(within: Array, change: Array) -> None:
    if not (np.isfinite(change).all(axis=0).sum(axis=1) > 1).any():
        raise DataError("no cell has two frames with all markers", "follow the cells for longer")
    for marker, scatter in enumerate(np.einsum("cmm->m", within)):
        largest = float(np.nanmax(np.abs(change[marker])))
        n = int(np.isfinite(change[marker]).sum())
        if not scatter > n * (8 * np.finfo(float).eps * largest) ** 2:
            raise DataError(f"marker {marker} is constant in all cells", "leave it out")


def _normalized(covariance: Array) -> Array:
    """(..., M, M) correlations; NaN where a variance, about 1 in all, is 0 or rounding."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    sd = np.sqrt(np.where(variance > 1e-12, variance, np.nan))
    return np.asarray(np.clip(covariance / (sd[..., :, None] * sd[..., None, :]), -1, 1))


def _spread(drawn: Array) -> Array:
    """Standard deviation over draws, without those where it is not defined."""
    seen = np.isfinite(drawn)
    n = np.maximum(seen.sum(axis=0), 1)
    mean = np.where(seen, drawn, 0.0).sum(axis=0) / n
    return np.asarray(np.sqrt(np.where(seen, (drawn - mean) ** 2, 0.0).sum(axis=0) / n))


def _with_interval(r: Array, quantile: float, n: int) -> Correlations:
    """First row: the estimate; others: draws."""
    # atanh of 1, as on the diagonal, is infinite
    z = np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))
    half = quantile * _spread(z[1:])
    return Correlations(r[0], np.tanh(z[0] - half), np.tanh(z[0] + half), n)
