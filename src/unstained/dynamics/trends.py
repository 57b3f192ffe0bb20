"""Remove what is slow or shared from traces: growth of cells, bleaching, drift of the focus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

from ..errors import DataError, InputError
from ..images.image import Array
from .autocorrelation import checked_traces

if TYPE_CHECKING:
    from ..statistics import Interval

__all__ = ["Detrend", "common_slope", "detrend", "relative_fluctuation"]

Detrend = Literal["none", "mean", "line", "running", "population"]


def detrend(
    traces: npt.ArrayLike,
    method: Detrend = "mean",
    *,
    frame_interval_s: float | None = None,
    window_min: float | None = None,
) -> Array:
    """Traces without their slow or shared part.

    - ``none``: as they are.
    - ``mean``: less the cell's mean. `correlation_time` knows what that does to short traces.
    - ``line``: less the cell's straight line, for growth over the movie. Removes more of a slow
      fluctuation; `correlation_time` knows that too (its setting `trend`).
    - ``running``: less a mean over `window_min` around each frame (a high-pass filter; windows
      are cut at the ends). A window of an even number of frames reaches half a frame too far at
      both sides, so its first and last frame weigh half. Takes away what is slower than the
      window: an Ornstein-Uhlenbeck process of tau 40 min comes out at some 8, 16 and 26 min after
      windows of 80, 160 and 320 min. For spectra and for looking, not for correlation times.
    - ``population``: less the mean of all cells seen in that frame, for bleaching or focus that
      all cells share, and less the cell's own mean. Takes away a share of 1 / cells of each
      fluctuation, so use it with ten cells or more; tau stays where cells are independent.

    Parameters
    ----------
    traces : (C, T) array
        NaN where a cell was not seen.
    method : str
    frame_interval_s, window_min : float
        Needed for ``running``.

    Returns
    -------
    (C, T) float64 array
        NaN where `traces` is.

    Raises
    ------
    InputError
        An unknown method, or a window of less than three frames.
    DataError
        No cell or one frame; one cell only for ``population``.
    """
    values = checked_traces(traces)
    if method not in get_args(Detrend):
        raise InputError(f"detrending {method!r}", f"choose {', '.join(get_args(Detrend))}")
    if method == "none":
        return values.copy()
    if method == "line":
        return _less_line(values)
    if method == "running":
        return values - _running_mean(values, _window(frame_interval_s, window_min))
    centered = values - _mean(values, 1)
    if method == "population":
        if len(values) < 2:
            raise DataError("one cell is no population", "detrend by mean or line")
        # means of cells seen at different times differ: shared part and levels by turns
        for _ in range(20):
            centered = centered - _mean(centered, 0)
            centered = centered - _mean(centered, 1)
    return centered


def relative_fluctuation(traces: npt.ArrayLike) -> Array:
    """Traces over each cell's mean, so that a cell twice as bright does not weigh four times.

    Parameters
    ----------
    traces : (C, T) array
        NaN where a cell was not seen.

    Returns
    -------
    (C, T) float64 array
        Of mean 1; NaN throughout for a cell whose mean is not positive.

    Raises
    ------
    DataError
        No cell has a positive mean.
    """
    values = checked_traces(traces)
    mean = _mean(values, 1)
    positive = np.nan_to_num(mean) > 0
    if not positive.any():
        raise DataError(
            "no cell has a positive mean", "look at the background, or use values as they are"
        )
    return np.asarray(np.where(positive, values / np.where(positive, mean, 1.0), np.nan))


def common_slope(
    traces: npt.ArrayLike,
    frame_interval_s: float,
    *,
    groups: npt.ArrayLike | None = None,
    level: float = 0.99,
) -> Interval:
    """Slope of the lines of all cells together, per hour: do cells rise or fall while they live?

    ``sum t x / sum t^2`` over cells and frames, t and x less the cell's own means, with an
    interval over `groups` (`statistics.resampled_sums`). What cells do as they grow is no
    fluctuation, and makes the correlation time longer unless their lines are taken out.

    Parameters
    ----------
    traces : (C, T) array
        NaN where a cell was not seen.
    frame_interval_s : float
    groups : (C,) sequence, optional
        Cells that are not independent, such as those of a lineage.
    level : float

    Returns
    -------
    Interval
        NaN with fewer than two groups.
    """
    from ..statistics import resampled_sums

    values = checked_traces(traces)
    t, centered = _about_means(values)
    rows = np.stack([(t * centered).sum(axis=1), (t**2).sum(axis=1)], axis=1)
    per_hour = 3600 / frame_interval_s

    def slope(sums: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(per_hour * sums[..., 0] / sums[..., 1])

    return resampled_sums(
        rows, slope, groups=None if groups is None else np.asarray(groups), level=level
    )


def _mean(values: Array, axis: int) -> Array:
    """Mean of what is not NaN, with the axis kept; NaN where there is nothing."""
    seen = np.isfinite(values)
    n = seen.sum(axis=axis, keepdims=True)
    total = np.where(seen, values, 0.0).sum(axis=axis, keepdims=True)
    return np.asarray(np.where(n > 0, total / np.maximum(n, 1), np.nan))


def _less_line(values: Array) -> Array:
    t, centered = _about_means(values)
    spread = (t**2).sum(axis=1, keepdims=True)
    slope = (t * centered).sum(axis=1, keepdims=True) / np.where(spread > 0, spread, 1.0)
    return np.asarray(values - _mean(values, 1) - t * slope)


def _about_means(values: Array) -> tuple[Array, Array]:
    """Frame numbers and values less each cell's means, 0 where it was not seen; (C, T) each."""
    seen = np.isfinite(values)
    t = np.where(seen, np.arange(values.shape[1], dtype=np.float64), np.nan)
    centered = values - _mean(values, 1)
    return np.where(seen, t - _mean(t, 1), 0.0), np.where(seen, centered, 0.0)


def _window(frame_interval_s: float | None, window_min: float | None) -> int:
    if frame_interval_s is None or window_min is None:
        raise InputError("a running mean without its window", "give its minutes: --window-min")
    frames = window_min * 60 / frame_interval_s
    if not 3 <= frames < np.inf:
        raise InputError(f"a window of {frames:g} frames", "give at least three")
    return round(frames)


def _running_mean(values: Array, frames: int) -> Array:
    """Mean over so many frames around t, of those that were seen.

    The sums over the odd windows just below and above an even one are averaged: their ends
    weigh half.
    """
    seen = np.isfinite(values)
    edge = ((0, 0), (1, 0))
    total = np.cumsum(np.pad(np.where(seen, values, 0.0), edge), axis=1)
    count = np.cumsum(np.pad(seen.astype(int), edge), axis=1)
    t = np.arange(values.shape[1])
    n, found = np.zeros(values.shape), np.zeros(values.shape)
    for half in ((frames - 1) // 2, frames // 2):
        start, stop = np.maximum(t - half, 0), np.minimum(t + half + 1, len(t))
        n += (count[:, stop] - count[:, start]) / 2
        found += (total[:, stop] - total[:, start]) / 2
    # a frame that was not seen itself stays NaN in the difference, whatever stands here
    return np.asarray(found / np.where(n > 0, n, 1))
