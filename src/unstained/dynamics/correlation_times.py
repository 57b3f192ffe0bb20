"""The correlation time of a fluctuation: an exponential fitted to the head of the autocovariance.

The model is an Ornstein-Uhlenbeck process of variance s2 and correlation time tau, with white
noise of variance n2 upon it, seen through what the removed mean of each cell does to short traces::

    E[A(k)] = s2 e(k; tau) + n2 w(k)

where A is the pooled autocovariance and e, w come from `expected_sums`. For each tau of a grid the
two variances follow by least squares; the tau with the smallest rest is taken.
"""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from scipy.special import stdtrit

from ..errors import DataError, InputError
from ..images.image import Array
from ..settings import check_settings
from ..statistics import check_level
from .autocorrelation import Acf, Trend, autocovariance, checked_traces, expected_sums

__all__ = ["CorrelationTime", "CorrelationTimeSettings", "correlation_time"]


_LEAST_LAGS = 4  # besides lag 0: three unknowns, and one to spare
_GRID_STEP = 0.2  # of log tau; a spline finds the minimum between
_FINER = 10  # times the grid: where the spline is looked at
_MOST_GROUPS = 100
_SHOWN_HEADS = 5  # the curve is told to five times the last lag of the fit


@dataclass(frozen=True)
class CorrelationTimeSettings:
    """How a correlation time is fitted.

    Attributes
    ----------
    trend : {"mean", "line"}
        Taken from each cell first, and accounted for. A line is right where cells grow over the
        movie; it costs precision.
    level : float
        Coverage of the interval and of the bands.
    head_lags : int, optional
        Last lag that is fitted. If not given: the first at which the curve is below 1/e of its
        value at lag 1, and at least 4.
    """

    trend: Trend = "mean"
    level: float = 0.95
    head_lags: int | None = None

    def __post_init__(self) -> None:
        check_settings(self, {"trend": get_args(Trend)}, least={"head_lags": _LEAST_LAGS})
        check_level(self.level)


@dataclass(frozen=True)
class CorrelationTime:
    """A correlation time, with the curve that it was fitted to.

    Attributes
    ----------
    tau_min : float
        Minutes; NaN where `note` says why.
    interval : (float, float)
        Low and high; NaN where `note` says why, as for fewer than two groups of cells.
    level : float
        Coverage of `interval`, `low` and `high`.
    noise_share : float
        Share of the variance at lag 0 that is gone one frame later, less what the exponential
        loses in that time: noise of the measurement, 0 to 1.
    error_share : float
        Share of the variance that was given as prediction error, and taken out.
    sd : float
        Standard deviation of the fluctuation without noise, in the unit of the traces.
    lag_min : (K,) array
    acf, low, high : (K,) arrays
        Autocorrelation, freed of the bias of short traces under the fitted model, and its band.
        1 at lag 0, where the noise is.
    acf_raw : (K,) array
        As it comes out of the traces.
    head_lags : int
        Last lag of the fit.
    cells, groups : int
        Cells with at least two values; groups of them that are independent.
    note : str
        Why there is no `tau_min`, or no interval of it; else empty.
    """

    tau_min: float
    interval: tuple[float, float]
    level: float
    noise_share: float
    error_share: float
    sd: float
    lag_min: Array
    acf: Array
    low: Array
    high: Array
    acf_raw: Array
    head_lags: int
    cells: int
    groups: int
    note: str

    def exponential(self, lag_min: npt.ArrayLike) -> Array:
        """The fitted curve at some lags, minutes: (1 - noise_share) exp(-lag / tau)."""
        lag = np.asarray(lag_min, np.float64)
        return np.asarray((1 - self.noise_share) * np.exp(-lag / self.tau_min))


class _Model(NamedTuple):
    """Sums over pairs; first row of all cells, then with each group of cells left out in turn."""

    sums: Array  # (R, K)
    pairs: Array  # (R, K)
    noise: Array  # (R, K) expected of white noise of variance 1
    process: Array  # (R, H, K) expected of the process, for each tau of the grid
    log_tau: Array  # (H,) of tau in frames


class _Fit(NamedTuple):
    """One row as in `_Model`."""

    place: Array  # (R,) in the grid, not whole
    log_tau: Array  # (R,)
    process: Array  # (R,) s2
    noise: Array  # (R,) n2


def correlation_time(
    traces: npt.ArrayLike,
    frame_interval_s: float,
    *,
    groups: npt.ArrayLike | None = None,
    error_sd: npt.ArrayLike | None = None,
    error_tau_min: float = 0.0,
    settings: CorrelationTimeSettings | None = None,
) -> CorrelationTime:
    """Correlation time of a fluctuation from many cells.

    Each cell's mean (or line) is removed and the lagged products are pooled over the cells; the
    exponential is fitted to lags 0 to `head_lags` by least squares, with the bias of short traces
    in the model. The interval is ``rate**(1/2) +- t(G - 1) se`` of the rate 1 / tau, whose
    variance grows with itself, so that its root has an even one; se is that of a jackknife over
    the G groups of cells [1]_ (100 blocks of them at most): with ten or fifteen lineages the
    percentiles of a bootstrap would be too narrow.

    Cells that vary more weigh more: give fluctuations relative to the cell's mean
    (`relative_fluctuation`) where bright cells vary in proportion.

    Not for traces shorter than about two correlation times, nor for what was run through a
    high-pass filter: that shortens the correlation, and no model here gives it back.

    Parameters
    ----------
    traces : (C, T) array
        Equally spaced frames; NaN where a cell was not seen.
    frame_interval_s : float
    groups : (C,) array, optional
        Cells of one group, such as a mother and its daughters, resemble each other. Each cell its
        own group if not given.
    error_sd : (C, T) array, optional
        Standard error of each value, in the unit of the traces, such as a model's prediction
        error. Its variance and correlation are taken out before the fit.
    error_tau_min : float
        Correlation time of that error, minutes; 0 for errors that differ from frame to frame.
    settings : CorrelationTimeSettings, optional

    Returns
    -------
    CorrelationTime

    Raises
    ------
    InputError
        Shapes that do not fit, an interval or errors that cannot be.
    DataError
        No cell, one frame, traces too short to fit, or constant ones.

    References
    ----------
    .. [1] Efron, Tibshirani (1993), An Introduction to the Bootstrap, ch. 11.
    """
    chosen = settings or CorrelationTimeSettings()
    values, power = _scaled(checked_traces(traces))
    is_number = isinstance(frame_interval_s, numbers.Real)
    if not (is_number and frame_interval_s > 0 and math.isfinite(frame_interval_s)):
        raise InputError(f"frame_interval_s {frame_interval_s!r}", "give seconds between frames")
    interval_min = frame_interval_s / 60
    raw = autocovariance(values, trend=chosen.trend)
    _check_enough(raw, values)
    acf = raw
    if error_sd is not None:
        error_sd = np.ldexp(np.asarray(error_sd, np.float64), -power)
        error = _error_sums(raw.seen, error_sd, error_tau_min / interval_min, chosen.trend)
        acf = raw._replace(sums=raw.sums - error)
    group = _groups(groups, acf.pairs[:, 1] > 0)
    head = _head(acf, chosen.head_lags)
    model = _model(acf, group, head, chosen.trend)
    fit = _fit(model, head)
    curve = _curves(model, fit)
    # a group without which there is no fluctuation leaves no interval
    root = np.where(fit.process > 0, np.exp(-fit.log_tau / 2), np.nan)
    slow, fast = root[0] + np.array([-1, 1]) * _jackknife_half(root, chosen.level)
    band = _jackknife_half(curve, chosen.level)
    note = _note(fit, model, chosen.level)
    tau = math.nan if note else math.exp(fit.log_tau[0]) * interval_min
    interval = (
        float(tau * (root[0] / fast) ** 2),
        math.inf if slow <= 0 and not note else float(tau * (root[0] / slow) ** 2),
    )
    n_groups = len(np.unique(group[group >= 0]))
    if not note and math.isnan(interval[0]):
        note = _no_interval(n_groups)
    process, noise = max(fit.process[0], 0.0), max(fit.noise[0], 0.0)
    n_lags = curve.shape[1]
    return CorrelationTime(
        tau_min=tau,
        interval=interval,
        level=chosen.level,
        noise_share=float(noise / total) if (total := process + noise) > 0 else math.nan,
        error_share=float(1 - acf.covariance[0] / raw.covariance[0]),
        sd=math.ldexp(math.sqrt(process), power),
        lag_min=acf.lag[:n_lags] * interval_min,
        acf=curve[0],
        low=curve[0] - band,
        high=curve[0] + band,
        acf_raw=acf.correlation[:n_lags],
        head_lags=head,
        cells=int((acf.pairs[:, 1] > 0).sum()),
        groups=n_groups,
        note=note,
    )


def _scaled(values: Array) -> tuple[Array, int]:
    """Values over a power of 2 near the largest, which loses no digit, and that power.

    Squares of 1e200 or 1e-170 are no numbers.
    """
    power = int(np.frexp(np.nanmax(np.abs(values)))[1])
    return np.ldexp(values, -power), power


def _no_interval(n_groups: int) -> str:
    if n_groups < 2:
        return "no interval: it comes from comparing cells or lineages, and there is one"
    return "no interval: without one of the cells or lineages there is no fluctuation"


def _check_enough(acf: Acf, values: Array) -> None:
    """Refuse what has no fluctuation or too few frames for the fit."""
    reach = int(np.flatnonzero(acf.pairs.sum(axis=0))[-1])
    if reach <= _LEAST_LAGS:
        raise DataError(
            f"no cell was seen over more than {reach + 1} frames",
            f"an exponential needs {_LEAST_LAGS + 2} and more",
        )
    if not acf.pairs[:, 1].any():
        raise DataError(
            "no cell was seen in two frames that follow one another",
            "number the frames 0, 1, 2 ... where every second one was left out",
        )
    scatter = acf.sums[:, 0].sum() / max(acf.pairs[:, 0].sum(), 1)
    # the rounding of one value in double precision, squared
    if not scatter > (8 * np.finfo(float).eps * np.nanmax(np.abs(values))) ** 2:
        raise DataError("the traces are constant", "there is no fluctuation to follow")


def _error_sums(seen: Array, error_sd: npt.ArrayLike, tau_frames: float, trend: Trend) -> Array:
    sd = np.asarray(error_sd, np.float64)
    if sd.shape != seen.shape:
        raise InputError(f"error_sd {sd.shape} for traces {seen.shape}", "give one for each value")
    if not (np.isfinite(sd[seen]).all() and (sd[seen] >= 0).all()):
        raise InputError("an error is negative or not known", "put NaN into its trace")
    if not tau_frames >= 0:
        raise InputError(f"the error's correlation time is {tau_frames} frames", "give 0 or more")
    lag = np.arange(seen.shape[1])
    correlation = np.exp(-lag / tau_frames) if tau_frames > 0 else (lag == 0).astype(float)
    return expected_sums(seen, correlation, trend=trend, scale=sd)


def _groups(groups: npt.ArrayLike | None, used: Array) -> Array:
    """(C,) group of each cell, 0 to at most 99; -1 for cells without a pair of values."""
    labels = np.arange(len(used)) if groups is None else np.asarray(groups)
    if labels.shape != used.shape:
        raise InputError(f"{labels.shape} groups for {len(used)} cells", "give one group a cell")
    number = np.full(len(used), -1)
    _, number[used] = np.unique(labels[used].astype(str), return_inverse=True)
    # a jackknife over 100 blocks of groups says as much as one over all
    return np.where(number >= 0, number % _MOST_GROUPS, -1)


def _head(acf: Acf, head_lags: int | None) -> int:
    """Last lag of the fit."""
    last = int(np.flatnonzero(acf.pairs.sum(axis=0))[-1])
    if head_lags is not None:
        if head_lags > last:
            raise InputError(f"head_lags {head_lags}", f"the traces reach to lag {last}")
        return head_lags
    below = np.flatnonzero(acf.covariance[1 : last + 1] < acf.covariance[1] / math.e)
    return min(max(int(below[0]) + 1 if below.size else last, _LEAST_LAGS), last)


def _model(acf: Acf, group: Array, head: int, trend: Trend) -> _Model:
    reach = int(np.flatnonzero(acf.pairs.sum(axis=0))[-1])
    shown = min(reach, max(_SHOWN_HEADS * head, 20))
    n_frames = acf.seen.shape[1]
    lag = np.arange(n_frames)
    top = math.log(10.0 * (reach + 1))  # no trace tells a tau of ten times its length
    log_tau = np.arange(math.log(0.3), top, _GRID_STEP)

    def rows(of_cells: Array) -> Array:
        """(C, ...) to (R, ...): summed over cells, then less each group."""
        used = group >= 0
        by_group = np.zeros((group.max() + 1, *of_cells.shape[1:]))
        np.add.at(by_group, group[used], of_cells[used])
        total = by_group.sum(axis=0, keepdims=True)
        return total if len(by_group) == 1 else np.concatenate([total, total - by_group])

    # many cells are seen in the same frames: each pattern is computed once
    patterns, pattern = np.unique(acf.seen, axis=0, return_inverse=True)

    def expected(correlation: Array) -> Array:
        return rows(expected_sums(patterns, correlation, trend=trend, max_lag=shown)[pattern])

    process = [expected(np.exp(-lag / math.exp(value))) for value in log_tau]
    return _Model(
        rows(acf.sums[:, : shown + 1]),
        rows(acf.pairs[:, : shown + 1]),
        expected((lag == 0).astype(float)),
        np.stack(process, axis=1),
        log_tau,
    )


def _fit(model: _Model, head: int) -> _Fit:
    """Least squares over lags 0 to `head`, each lag's sums over its pairs."""
    used = slice(0, head + 1)
    pairs = np.maximum(model.pairs[:, used], 1)
    a = (model.sums[:, used] / pairs)[:, None]  # (R, 1, K)
    w = (model.noise[:, used] / pairs)[:, None]
    e = model.process[..., used] / pairs[:, None]  # (R, H, K)
    ee, ww, ew = (e * e).sum(-1), (w * w).sum(-1), (e * w).sum(-1)
    ae, aw, aa = (a * e).sum(-1), (a * w).sum(-1), (a * a).sum(-1)
    # without the cells that tell anything nothing can be told apart
    det = ee * ww - ew**2
    det = np.where(det > 1e-9 * ee * ww, det, np.nan)
    process = (ae * ww - aw * ew) / det  # (R, H)
    noise = (aw * ee - ae * ew) / det
    rest = aa - process * ae - noise * aw
    # a negative variance explains nothing that noise alone does not
    rest = np.where(process > 0, rest, aa - aw**2 / ww)
    place = _minima(rest)
    return _Fit(
        place,
        model.log_tau[0] + _GRID_STEP * place,
        _interpolated(process, place),
        _interpolated(noise, place),
    )


def _minima(rest: Array) -> Array:
    """(R, H) to (R,): place of each row's minimum, by a cubic spline through the grid.

    A parabola through three points of the grid moves unevenly between them. Groups that are left
    out move a minimum by a fraction of a step, and their standard error was wrong by up to 30 %.
    """
    fine = np.arange((rest.shape[1] - 1) * _FINER + 1) / _FINER
    curve = CubicSpline(np.arange(rest.shape[1]), rest, axis=1)(fine)
    best = curve.argmin(axis=1)
    inner = np.clip(best, 1, len(fine) - 2)
    row = np.arange(len(rest))
    left, mid, right = (curve[row, inner + step] for step in (-1, 0, 1))
    bend = left - 2 * mid + right
    shift = np.where(bend > 0, 0.5 * (left - right) / np.where(bend > 0, bend, 1), 0.0)
    place = np.where(best == inner, inner + np.clip(shift, -0.5, 0.5), best)
    return np.asarray(place / _FINER)


def _interpolated(values: Array, place: Array) -> Array:
    """(R, H, ...) at one place of each row."""
    low = np.minimum(place.astype(int), values.shape[1] - 2)
    share = (place - low).reshape(-1, *[1] * (values.ndim - 2))
    row = np.arange(len(values))
    return np.asarray((1 - share) * values[row, low] + share * values[row, low + 1])


def _curves(model: _Model, fit: _Fit) -> Array:
    """(R, K) autocorrelation: what short traces lose by the fitted model is added back."""
    lag = np.arange(model.sums.shape[1])
    pairs = np.maximum(model.pairs, 1)
    true = np.exp(-lag / np.exp(fit.log_tau)[:, None])
    seen = _interpolated(model.process, fit.place) / pairs
    curve = model.sums / pairs + fit.process[:, None] * (true - seen)
    curve += fit.noise[:, None] * ((lag == 0) - model.noise / pairs)
    start = curve[:, :1]
    return np.asarray(curve / np.where(start > 0, start, np.nan))


def _jackknife_half(rows: Array, level: float) -> Array:
    """(R, ...) to (...): half the interval, t(G - 1) times the jackknife's standard error."""
    left_out = rows[1:]
    n = len(left_out)
    if n < 2:
        return np.full(rows.shape[1:], np.nan)
    variance = (n - 1) / n * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0)
    return np.asarray(stdtrit(n - 1, (1 + level) / 2) * np.sqrt(variance))


def _note(fit: _Fit, model: _Model, level: float) -> str:
    """Why no correlation time can be given."""
    next_frame = fit.process * np.exp(-np.exp(-fit.log_tau))
    unsure = _jackknife_half(next_frame, level)
    if not next_frame[0] > 0 or fit.place[0] == 0:
        return "nothing is left one frame later that is more than noise"
    if next_frame[0] <= np.nan_to_num(unsure):
        return (
            f"what is left one frame later is not surely more than noise, in {len(next_frame) - 1} "
            "groups of cells"
        )
    if fit.place[0] >= len(model.log_tau) - 1:
        return "the correlation does not decay within the traces"
    return ""
