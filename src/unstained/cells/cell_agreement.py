"""Predicted against measured totals of the same cells: correlation, line, limits of agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..cell_table import names_of, need_columns, values_of
from ..errors import DataError, InputError
from ..images.image import Array
from ..statistics import (
    MIN_GROUPS,
    Interval,
    check_level,
    correlation_moments,
    fisher_z_interval,
    linear_fit,
    mean_interval,
    moments_correlation,
    resampled_sums,
)

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["Limits", "Matched", "Totals", "agreement", "bland_altman", "match_cells"]


_KEYS = ["image", "frame", "label"]
_NORMAL_95 = 1.959964  # limits of agreement hold 95 % of normal differences


class Totals(NamedTuple):
    """Predicted and measured totals of one marker, (N,) each; groups where they were given."""

    predicted: Array
    measured: Array
    groups: Array | None


class Matched(NamedTuple):
    """Totals of cells that two tables have in common.

    Attributes
    ----------
    cells : DataFrame
        Long: image, frame, label, group, marker, predicted, measured; finite pairs only.
    markers : tuple of str
        Those with a pair.
    only_predicted, only_measured : int
        Cells that only one of the tables has.
    unpaired : mapping of str to int
        For each marker of both tables, the cells of both that lack one of its two totals.
    grouped : bool
        Whether `group` was given; else it is the image.
    """

    cells: pd.DataFrame
    markers: tuple[str, ...]
    only_predicted: int
    only_measured: int
    unpaired: Mapping[str, int]
    grouped: bool

    def totals(self, marker: str) -> Totals:
        """The totals of one marker."""
        of = self.cells[self.cells["marker"] == marker]
        return Totals(
            of["predicted"].to_numpy(np.float64),
            of["measured"].to_numpy(np.float64),
            of["group"].to_numpy(str) if self.grouped else None,
        )


class Limits(NamedTuple):
    """Bland-Altman: mean difference, and the limits between which 95 % of differences lie."""

    mean: Interval
    low: Interval
    high: Interval
    sd: float


def match_cells(predicted: AnnData, measured: AnnData, group: str | None = None) -> Matched:
    """Pair the cells of two tables by image, frame and label.

    Parameters
    ----------
    predicted, measured : AnnData
        Tables of the same outlines, one with predicted and one with measured stains.
    group : str, optional
        Column of either that names donor, well ...

    Raises
    ------
    DataError
        No cell, no marker or no pair of totals in common, no such column, or outlines that differ
        in area.
    """
    markers = [m for m in names_of(predicted, "marker") if m in names_of(measured, "marker")]
    if not markers:
        raise DataError(
            f"no marker is in both tables: {', '.join(names_of(predicted, 'marker')) or 'none'}"
            f" against {', '.join(names_of(measured, 'marker')) or 'none'}",
            "give one table with predicted and one with measured stains",
        )
    left, right = _wide(predicted, markers), _wide(measured, markers)
    if group is not None:
        of = measured if group in measured.obs else predicted
        need_columns(of, [group], "--group names a column of the cells")
        side = left if of is predicted else right
        side["group"] = of.obs[group].astype(str).to_numpy()
    both = left.merge(right, on=_KEYS, suffixes=("_p", "_m"))
    if both.empty:
        raise DataError(
            f"none of {len(left)} and {len(right)} cells is in both tables",
            "measure both on one segmentation folder: image, frame and label must be the same",
        )
    _same_outlines(both)
    names = both["image" if group is None else "group"]
    parts = [
        both[_KEYS].assign(group=names, marker=m, predicted=both[f"{m}_p"], measured=both[f"{m}_m"])
        for m in markers
    ]
    cells = pd.concat(parts, ignore_index=True)
    finite = np.isfinite(cells["predicted"]) & np.isfinite(cells["measured"])
    pairs = {m: int(finite[cells["marker"] == m].sum()) for m in markers}
    if not finite.any():
        raise DataError(_no_pair(both, markers), "look at the stains that each table was made of")
    return Matched(
        cells[finite].reset_index(drop=True),
        tuple(m for m in markers if pairs[m]),
        len(left) - len(both),
        len(right) - len(both),
        {m: len(both) - pairs[m] for m in markers},
        group is not None,
    )


def agreement(matched: Matched, *, level: float = 0.95, draws: int = 2000) -> pd.DataFrame:
    """How far predicted and measured totals agree, a row for each marker.

    Intervals are over groups (`statistics.resampled_interval`) where groups were given, else over
    cells as if they were independent, which cells of one image are not quite. Of fewer than three
    groups there are none. Those of 95 % hold a limit of agreement in 0.85 to 0.89 of tables with
    3 to 12 groups, bias, slope and r in 0.93 to 0.97 (``benchmarks/intervals.py``).

    Parameters
    ----------
    matched : Matched
    level : float
        Of the intervals.
    draws : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        Columns marker, n, groups; then, each with ``_low`` and ``_high``: r; slope and intercept
        of the predicted on the measured totals (an optimal prediction has slope r^2); bias, the
        mean of predicted - measured; lower_limit and upper_limit of Bland and Altman; and
        relative_error, sum |predicted - measured| / sum |measured|. residual_sd of the line, sd of
        the differences, mean of the measured totals. NaN where cells are fewer than three or a
        marker is constant; bounds NaN for fewer than three groups.
    """
    rows = []
    for marker in matched.markers:
        y, x, groups = matched.totals(marker)
        fit = linear_fit(x, y, groups=groups, level=level, draws=draws)
        limits = bland_altman(y, x, groups=groups, level=level, draws=draws)
        off = np.column_stack([np.abs(y - x), np.abs(x)])
        error = resampled_sums(off, _ratio, groups=groups, scale="log", level=level, draws=draws)
        known = 0 if groups is None else np.unique(groups).size
        row: dict[str, Any] = {"marker": marker, "n": x.size, "groups": known}
        for name, interval in {
            "r": _correlation(x, y, groups, level, draws),
            "slope": fit.slope,
            "intercept": fit.intercept,
            "bias": limits.mean,
            "lower_limit": limits.low,
            "upper_limit": limits.high,
            "relative_error": error,
        }.items():
            if groups is not None and known < MIN_GROUPS:
                interval = interval.alone()
            row |= {name: interval.estimate}
            row |= {f"{name}_low": interval.low, f"{name}_high": interval.high}
        rows.append(row | {"residual_sd": fit.residual_sd, "sd": limits.sd, "mean": x.mean()})
    return pd.DataFrame(rows)


def bland_altman(
    predicted: npt.ArrayLike,
    measured: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    draws: int = 2000,
) -> Limits:
    """Mean of the differences d and the limits mean(d) -+ 1.96 sd(d) [1]_.

    Without groups the intervals are Student's, with sd sqrt(1/n) for the mean and
    sd sqrt(1/n + 1.96^2 / (2 (n - 1))) for a limit; with groups, they are over groups
    (`statistics.resampled_interval`), if they are three at least.

    Parameters
    ----------
    predicted, measured : (N,) float arrays
        d = predicted - measured.
    groups : (N,) array, optional
    level : float
        Of the intervals, 0 ... 1; the limits themselves are those of 95 %.
    draws : int

    Returns
    -------
    Limits
        NaN for fewer than two cells; intervals NaN for fewer than three groups.

    Raises
    ------
    InputError
        The two differ in length, or `level` is no share.

    References
    ----------
    .. [1] Bland, Altman (1999), Stat Methods Med Res 8:135, doi 10.1177/096228029900800204.
    """
    from scipy.special import stdtrit

    check_level(level)
    if np.shape(predicted) != np.shape(measured) or np.ndim(predicted) != 1:
        raise InputError(
            f"{np.shape(predicted)} predicted, {np.shape(measured)} measured",
            "give two columns of one length",
        )
    d = np.asarray(predicted, np.float64) - np.asarray(measured, np.float64)
    n = d.size
    if n < 2:
        none = Interval(float("nan"), float("nan"), float("nan"), n)
        mean = Interval(float(d.mean()) if n else float("nan"), float("nan"), float("nan"), n)
        return Limits(mean, none, none, float("nan"))
    center, sd = float(d.mean()), float(d.std(ddof=1))
    if groups is not None:
        mean = mean_interval(d, groups=groups, level=level, draws=draws)
        shift = d - center  # squares of small numbers keep their digits
        rows = np.column_stack([np.ones(n), shift, shift**2])
        low, high = (
            resampled_sums(rows, _limit(sign, center), groups=groups, level=level, draws=draws)
            for sign in (-1, 1)
        )
        if np.unique(np.asarray(groups)).size < MIN_GROUPS:
            mean, low, high = mean.alone(), low.alone(), high.alone()
        return Limits(mean, low, high, sd)
    t = float(stdtrit(n - 1, 0.5 + level / 2))
    half = t * sd / np.sqrt(n)
    half_limit = t * sd * np.sqrt(1 / n + _NORMAL_95**2 / (2 * (n - 1)))

    def around(value: float, width: float) -> Interval:
        return Interval(value, value - width, value + width, n)

    return Limits(
        around(center, half),
        around(center - _NORMAL_95 * sd, half_limit),
        around(center + _NORMAL_95 * sd, half_limit),
        sd,
    )


def _wide(cells: AnnData, markers: list[str]) -> pd.DataFrame:
    """Keys, totals and, where measured, area of each cell."""
    table = cells.obs[_KEYS].reset_index(drop=True).astype({"image": str})
    shape = [name for name in ("area_um2",) if name in cells.var_names]
    values = values_of(cells, [*markers, *shape])
    wide: pd.DataFrame = table.assign(**dict(zip([*markers, *shape], values.T, strict=True)))
    return wide


def _no_pair(both: pd.DataFrame, markers: list[str]) -> str:
    """Which of the totals the cells lack."""
    there = [
        f"{m}: {np.isfinite(both[f'{m}_p']).sum()} predicted, "
        f"{np.isfinite(both[f'{m}_m']).sum()} measured"
        for m in markers
    ]
    return (
        f"no cell has both a predicted and a measured total; of the {len(both)} cells in both "
        f"tables have one: {'; '.join(there)}"
    )


def _same_outlines(both: pd.DataFrame) -> None:
    if "area_um2_p" not in both or "area_um2_m" not in both:
        return
    same = np.isclose(both["area_um2_p"], both["area_um2_m"], rtol=1e-3)
    if not same.all():
        first = both.loc[~same].iloc[0]
        raise DataError(
            f"{(~same).sum()} of {len(both)} cells have another area in the two tables, first "
            f"cell {first['label']} of {first['image']}, frame {first['frame']}",
            "measure both tables on one segmentation folder",
        )


def _correlation(x: Array, y: Array, groups: Array | None, level: float, draws: int) -> Interval:
    shift_x, shift_y = x.mean(), y.mean()  # sums about the mean lose no digits
    if groups is None:
        r = float(moments_correlation(correlation_moments(x - shift_x, y - shift_y)))
        return fisher_z_interval(r, x.size, level=level)
    a, b = x - shift_x, y - shift_y
    rows = np.column_stack([np.ones(a.size), a, b, a**2, b**2, a * b])
    return resampled_sums(
        rows, moments_correlation, groups=groups, scale="fisher", level=level, draws=draws
    )


def _ratio(sums: Array) -> Array:
    return np.asarray(sums[..., 0] / np.where(sums[..., 1] > 0, sums[..., 1], np.nan))


def _limit(sign: int, center: float) -> Callable[[Array], Array]:
    """A limit of agreement from sums of (1, d - center, (d - center)^2)."""

    def limit(sums: Array) -> Array:
        n, first, second = np.moveaxis(sums, -1, 0)
        variance = np.maximum(second - first**2 / n, 0) / np.maximum(n - 1, 1)
        return np.asarray(center + first / n + sign * _NORMAL_95 * np.sqrt(variance))

    return limit
