"""How much of a fluctuation may be the model's error and not the cell's.

A trace of predicted stain is the true one plus an error. An error that stays with a cell is gone
with the cell's mean; one that is new in each frame is the noise at lag 0; one that lasts as long
as the fluctuation itself looks exactly like it. Which of them it is cannot be read from the
prediction alone: here are bounds, and the measured answer where true stains exist, as in simulated
movies. The error is taken as independent of the truth. A model that predicts the mean given the
image errs the other way too: it misses what the image does not show, and true fluctuations are
larger than predicted ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ..cell_table import Traces
from ..errors import DataError, InputError
from ..images.image import Array
from .autocorrelation import autocovariance, expected_sums
from .correlation_times import CorrelationTimeSettings, correlation_time

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ErrorBounds",
    "ErrorInTime",
    "correlation_bounds",
    "error_bounds",
    "error_in_time",
    "error_of_traces",
]


_STEPS = 6  # correlation times of the error that are tried, a factor of 2 apart
_SHARES = 401  # of each error; the bounds are then right to about 1e-4


class ErrorInTime(NamedTuple):
    """What the errors of a prediction do over time.

    Attributes
    ----------
    sd : float
        Of all errors, in the unit of the traces.
    constant_share, white_share, lasting_share : float
        Of the error's variance: what stays with a cell, what is new in each frame, and what
        decays with `tau_min`. They sum to 1.
    tau_min : float
        Correlation time of the third part; NaN where it cannot be told.
    """

    sd: float
    constant_share: float
    white_share: float
    lasting_share: float
    tau_min: float


class ErrorBounds(NamedTuple):
    """A fluctuation with the error taken out, for each way in which it may last.

    Attributes
    ----------
    table : DataFrame
        A row for each assumption: assumption, error_tau_min (0: new in each frame; inf: constant
        in a cell), share (of the fluctuation's variance, 0 to 1), possible, tau_min, low, high
        (of what is left; NaN where it cannot be fitted).
    share : (float, float)
        Least and most over what is possible; NaN where no assumption is.
    tau_min : (float, float)
        The same of the correlation time; NaN where there is none.
    always_told : bool
        Every possible error leaves a correlation time. False: one leaves nothing, or what has no
        time that can be told.
    """

    table: pd.DataFrame
    share: tuple[float, float]
    tau_min: tuple[float, float]
    always_told: bool


def error_in_time(
    predicted: npt.ArrayLike, true: npt.ArrayLike, frame_interval_s: float
) -> ErrorInTime:
    """How long errors last, from a movie in which the true stain is known.

    The constant part is the variance of the cells' mean errors less what the other parts bring
    into a mean of finite length; the rest is split as by `correlation_time`.

    Parameters
    ----------
    predicted, true : (C, T) array
        NaN where a cell was not seen.
    frame_interval_s : float

    Raises
    ------
    InputError, DataError
        As by `correlation_time`; shapes that do not fit; fewer than two cells.
    """
    a, b = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if a.shape != b.shape:
        raise InputError(f"{a.shape} predicted, {b.shape} true traces", "give one of each a cell")
    error = a - b
    seen = np.isfinite(error)
    kept = seen.sum(axis=1) > 1
    if kept.sum() < 2:
        raise DataError(f"{kept.sum()} cells with two frames", "give at least 2")
    error, seen = error[kept], seen[kept]
    if not np.ptp(error[seen]) > 1e-12 * np.abs(b[np.isfinite(b)]).max():
        raise DataError(
            "predicted and true traces differ by nothing but a constant",
            "give the prediction and the stain that it was made without",
        )
    fit = correlation_time(error, frame_interval_s)
    inside = fit.sd**2 / (1 - fit.noise_share) if fit.noise_share < 1 else fit.sd**2
    if math.isnan(fit.tau_min):  # nothing lasts: all that changes is new in each frame
        n = seen.sum(axis=1)
        inside = float(np.nansum(autocovariance(error).sums[:, 0]) / (n - 1).sum())
    noise = 1.0 if math.isnan(fit.tau_min) else fit.noise_share
    gamma = _correlation(fit.tau_min, error.shape[1], frame_interval_s / 60)
    white = _correlation(0.0, error.shape[1], frame_interval_s / 60)
    mixed = inside * (noise * white + (0 if noise == 1 else (1 - noise) * gamma))
    means = np.where(seen, error, 0).sum(axis=1) / seen.sum(axis=1)
    constant = max(0.0, float(np.var(means, ddof=1)) - _variance_of_means(seen, mixed))
    total = constant + inside
    return ErrorInTime(
        math.sqrt(total),
        constant / total,
        inside * noise / total,
        inside * (1 - noise) / total,
        fit.tau_min,
    )


def error_of_traces(predicted: Traces, true: Traces) -> ErrorInTime:
    """`error_in_time` of one marker from two tables of the same cells, relative to their levels.

    Both are divided by the mean of each cell's true level, and the prediction by the ratio of all
    predicted to all true levels: a common factor is no error.

    Parameters
    ----------
    predicted, true : Traces
        From `traces_of`; cells that only one has are left out.

    Raises
    ------
    DataError
        Different frames, no cell in common, or as by `error_in_time`.
    """
    if len(predicted.time_s) != len(true.time_s):
        raise DataError(
            f"{len(predicted.time_s)} frames predicted, {len(true.time_s)} true",
            "measure the same cells with both stains",
        )
    row = {key: i for i, key in enumerate(zip(true.image, true.track, strict=True))}
    keys = list(zip(predicted.image, predicted.track, strict=True))
    both = [i for i, key in enumerate(keys) if key in row]
    a, b = predicted.values[both], true.values[[row[keys[i]] for i in both]]
    seen = np.isfinite(a) & np.isfinite(b)
    if not seen.any():
        raise DataError("the two tables have no cell in common", "measure the same cells")
    total_a, total_b = (np.where(seen, values, 0).sum(axis=1) for values in (a, b))
    mean = total_b / np.maximum(seen.sum(axis=1), 1)
    used = seen.any(axis=1) & (mean > 0)
    gain = total_a[used].sum() / total_b[used].sum()
    scale = mean[used, None]
    # NaN in either is NaN in the error
    return error_in_time(a[used] / gain / scale, b[used] / scale, predicted.frame_interval_s)


def error_bounds(
    traces: npt.ArrayLike,
    frame_interval_s: float,
    error_sd: float,
    *,
    error_tau_min: Sequence[float] | None = None,
    groups: npt.ArrayLike | None = None,
    settings: CorrelationTimeSettings | None = None,
) -> ErrorBounds:
    """Share of error in a fluctuation, and the correlation time without it.

    Of an error of variance e2 and correlation g(lag), removing each cell's mean leaves
    ``sum_c E[S_c(0)]`` (`expected_sums`), and the share is this over the same of the traces. An
    assumption is possible where the share is below 1 and, for an error that is new in each frame,
    where it is not above the noise that the traces have at lag 0.

    The share falls as the error lasts longer, to 0 for one that is constant in a cell. Where one
    assumption has a share of 1 or more and another is possible, some error between them has just
    below 1: all of the fluctuation may be error, and no correlation time is sure to be left.

    Parameters
    ----------
    traces : (C, T) array
        Fluctuations; NaN where a cell was not seen.
    frame_interval_s : float
    error_sd : float
        Of the prediction, in the unit of the traces: of the error over the level for relative
        fluctuations. That of single cells in single images is an upper bound: it holds what
        stays with a cell.
    error_tau_min : sequence of float, optional
        How long the error may last. If not given: not at all, the traces' own correlation time
        times 1/4 to 8, and for ever.
    groups, settings
        As for `correlation_time`.

    Raises
    ------
    InputError
        An error that is negative or not finite.
    DataError
        As by `correlation_time`.
    """
    import pandas as pd

    if not (error_sd >= 0 and math.isfinite(error_sd)):
        raise InputError(f"error_sd is {error_sd}", "give a number from 0 on")
    chosen = settings or CorrelationTimeSettings()
    values = np.asarray(traces, np.float64)
    plain = correlation_time(values, frame_interval_s, groups=groups, settings=chosen)
    raw = autocovariance(values, trend=chosen.trend)
    lasting = _lasting(plain.tau_min, error_tau_min, values.shape[1] * frame_interval_s / 60)
    rows, too_large = [], False
    for tau in lasting:
        gamma = _correlation(tau, values.shape[1], frame_interval_s / 60)
        sums = expected_sums(raw.seen, gamma, trend=chosen.trend, max_lag=0)
        # a mean removed from what is constant leaves rounding, of either sign
        left = max(0.0, float(sums.sum()))
        share = error_sd**2 * left / float(raw.sums[:, 0].sum())
        too_large |= share >= 1
        possible = share < 1 and (tau > 0 or share <= plain.noise_share + 0.05)
        fit = plain
        if possible and share > 0 and math.isfinite(tau):
            fit = correlation_time(
                values,
                frame_interval_s,
                groups=groups,
                error_sd=np.full(values.shape, error_sd),
                error_tau_min=tau,
                settings=chosen,
            )
        nothing = math.nan, (math.nan, math.nan)
        found, interval = (fit.tau_min, fit.interval) if possible else nothing
        rows.append(
            {
                "assumption": _words(tau),
                "error_tau_min": tau,
                "share": min(share, 1.0),
                "possible": possible,
                "tau_min": found,
                "low": interval[0],
                "high": interval[1],
            }
        )
    table = pd.DataFrame(rows)
    able = table[table["possible"]]
    low, high = _range(able["share"])
    return ErrorBounds(
        table,
        (low, 1.0 if too_large and not able.empty else high),
        _range(able["tau_min"]),
        not too_large and bool(able["tau_min"].notna().all()),
    )


def correlation_bounds(
    r: float, share: tuple[float, float], error_r: tuple[float, float] = (0.0, 1.0)
) -> tuple[float, float]:
    """Range of a fluctuation correlation without the errors of the two predictions.

    ``(r - q sqrt(s1 s2)) / sqrt((1 - s1) (1 - s2))`` with the shares s1, s2 of error in the two
    variances and q the correlation of the two errors, over all shares from 0 to those given and
    all q in `error_r`, cut to -1 to 1: Spearman's correction for attenuation [1]_, with errors
    that may go together as two predictions from one image do.

    Parameters
    ----------
    r : float
        Correlation of two predicted fluctuations.
    share : (float, float)
        The most that may be error in each.
    error_r : (float, float)
        Least and most correlation of the errors.

    Returns
    -------
    (float, float)
        Low, high; (-1, 1) where a fluctuation may be all error.

    Raises
    ------
    InputError
        A share outside 0 to 1, or correlations outside -1 to 1.

    References
    ----------
    .. [1] Spearman (1904), Am. J. Psychology 15:72, doi 10.2307/1412159.
    """
    if not (all(0 <= s <= 1 for s in share) and -1 <= error_r[0] <= error_r[1] <= 1):
        raise InputError(
            f"shares {share} and error correlations {error_r}",
            "give shares from 0 to 1 and correlations from -1 to 1, the lower one first",
        )
    if not -1 <= r <= 1:
        raise InputError(f"correlation {r}", "give a number from -1 to 1")
    if max(share) == 1:
        return -1.0, 1.0
    # linear in q, so that its ends are enough; a share may be small where the other is large
    s1, s2 = np.meshgrid(*(np.linspace(0, s, _SHARES) for s in share))
    left, both = np.sqrt((1 - s1) * (1 - s2)), np.sqrt(s1 * s2)
    found = np.concatenate([(r - q * both) / left for q in error_r])
    return float(max(found.min(), -1)), float(min(found.max(), 1))


def _correlation(tau_min: float, n: int, interval_min: float) -> Array:
    """Autocorrelation of an error at lags 0 to n - 1."""
    lag = np.arange(n)
    if tau_min == 0 or math.isnan(tau_min):
        return np.asarray(lag == 0, np.float64)
    return np.asarray(np.exp(-lag * interval_min / tau_min))


def _variance_of_means(seen: Array, gamma: Array) -> float:
    """Mean over cells of the variance of a trace's mean, from its autocovariance."""
    found = []
    for frames in (np.flatnonzero(row) for row in seen):
        away = np.abs(frames[:, None] - frames[None, :])
        found.append(float(gamma[away].mean()))
    return float(np.mean(found))


def _lasting(
    tau_min: float, given: Sequence[float] | None, duration_min: float
) -> tuple[float, ...]:
    if given is not None:
        if len(given) == 0 or not all(tau >= 0 for tau in given):
            raise InputError(f"error_tau_min {list(given)}", "give minutes, 0 or more")
        return tuple(float(tau) for tau in given)
    center = duration_min / 10 if math.isnan(tau_min) else tau_min
    return (0.0, *(center * 2.0**i for i in range(-2, _STEPS - 2)), math.inf)


def _words(tau_min: float) -> str:
    if tau_min == 0:
        return "new in each frame"
    return "constant in a cell" if math.isinf(tau_min) else f"lasts {tau_min:.3g} min"


def _range(values: pd.Series) -> tuple[float, float]:
    known = values.dropna()
    return (float(known.min()), float(known.max())) if len(known) else (math.nan, math.nan)
