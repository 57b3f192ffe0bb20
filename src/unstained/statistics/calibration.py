"""Does a probability of 0.8 come true 8 times in 10? Temperature, errors, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .classification import class_codes, wilson_interval
from .intervals import Array

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "TOP_LABEL",
    "Calibration",
    "Temperature",
    "apply_temperature",
    "calibration_scores",
    "check_probabilities",
    "fit_temperature",
    "reliability_table",
]

TOP_LABEL = "top label"
"""In the column `class` of `reliability_table`: the class predicted, whichever it is."""

_LOWEST, _HIGHEST = 0.05, 20.0  # of a temperature


class Temperature(NamedTuple):
    """A fitted temperature, and the mean negative log-likelihood (nats) before and after."""

    temperature: float
    nll_before: float
    nll_after: float


class Calibration(NamedTuple):
    """Errors of N probabilities; see `calibration_scores`."""

    ece: float  # of the top label, 0 ... 1
    class_ece: Array  # (K,), 0 ... 1
    classwise_ece: float  # mean of class_ece
    brier: float  # 0 ... 2
    nll: float  # nats; infinite where a true class had probability 0
    n: int


def fit_temperature(
    logits: npt.ArrayLike, true: npt.ArrayLike, *, prior_sd: float = np.inf
) -> Temperature:
    """The T for which softmax(logits / T) is most likely on validation data [1]_.

    Minimizes -mean log softmax(logits / T)[true] over T from 0.05 to 20: a convex problem in
    1 / T with one minimum. It changes how sure a network is, never which class it prefers.
    A validation part without a single mistake asks for T = 0 and gets a T near the lower end;
    a prior keeps few images from claiming so much: with `prior_sd` the sum over the rows of
    -log p is minimized with (log T)^2 / (2 prior_sd^2) added.

    Parameters
    ----------
    logits : (N, K) float array
        Before the softmax, or log-probabilities: a constant a row does not matter. Finite.
    true : (N,) int array
        Class of each row. Not the rows that trained the network, and not the test part.
    prior_sd : float
        Standard deviation of a normal prior on log T about 0; infinite for none.

    Raises
    ------
    InputError
        No rows, or logits that are not (N, K) and finite.

    References
    ----------
    .. [1] Guo et al. (2017), ICML, arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    z = _logits(logits)
    y = _true_codes(true, z)

    def nll(log_t: float) -> float:
        log_p = _log_softmax(z / np.exp(log_t))
        return float(-log_p[np.arange(y.size), y].mean())

    def cost(log_t: float) -> float:
        return nll(log_t) + log_t**2 / (2 * prior_sd**2 * y.size)

    best = minimize_scalar(
        cost, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded", options={"xatol": 1e-6}
    )
    return Temperature(float(np.exp(best.x)), nll(0.0), nll(float(best.x)))


def apply_temperature(logits: npt.ArrayLike, temperature: float) -> Array:
    """softmax(logits / temperature), (N, K) float64 probabilities."""
    if not temperature > 0:
        raise InputError(f"temperature {temperature}", "give a positive number")
    return np.exp(_log_softmax(_logits(logits) / temperature))


def calibration_scores(
    probabilities: npt.ArrayLike, true: npt.ArrayLike, *, bins: int = 15
) -> Calibration:
    """How far probabilities are from what came true.

    Over `bins` equal bins of a probability, ECE = sum_b n_b / N |mean probability - frequency|.
    `ece` bins the probability of the predicted class against "was it right" [1]_;
    `class_ece[k]` bins p_k of all rows against "is it class k", and its mean is the class-wise
    ECE [2]_, which a rare class can not hide in. Brier = mean_i sum_k (p_ik - [y_i = k])^2.
    ECE is biased upwards for few rows: compare at equal N only.

    Parameters
    ----------
    probabilities : (N, K) float array
        Rows add up to 1.
    true : (N,) int array
    bins : int

    Raises
    ------
    InputError
        No rows, not probabilities, or fewer than one bin.

    References
    ----------
    .. [1] Guo et al. (2017), ICML, arXiv:1706.04599.
    .. [2] Kull et al. (2019), NeurIPS, arXiv:1910.12656.
    """
    p = check_probabilities(probabilities)
    y = _true_codes(true, p)
    hit = np.eye(p.shape[1])[y]  # (N, K)
    class_ece = np.array([_ece(p[:, k], hit[:, k], bins) for k in range(p.shape[1])])
    right = (p.argmax(axis=1) == y).astype(np.float64)
    likelihood = p[np.arange(y.size), y]
    with np.errstate(divide="ignore"):
        nll = float(-np.log(likelihood).mean())
    brier = float(((p - hit) ** 2).sum(axis=1).mean())
    top = _ece(p.max(axis=1), right, bins)
    return Calibration(top, class_ece, float(class_ece.mean()), brier, nll, y.size)


def reliability_table(
    probabilities: npt.ArrayLike,
    true: npt.ArrayLike,
    names: Sequence[str],
    *,
    bins: int = 10,
    level: float = 0.95,
) -> pd.DataFrame:
    """Probability given against frequency found, bin by bin: the rows of a reliability plot.

    Returns
    -------
    DataFrame
        class (a name, or "top label" for the predicted class whichever it is), bin_low,
        bin_high, n, confidence (mean probability), frequency (how often it came true), low,
        high (Wilson's interval of the frequency; rows count as independent). Empty bins are
        left out.
    """
    import pandas as pd

    p = check_probabilities(probabilities)
    y = _true_codes(true, p)
    if len(names) != p.shape[1]:
        raise InputError(f"{len(names)} names for {p.shape[1]} classes", "name each class")
    curves = [(TOP_LABEL, p.max(axis=1), p.argmax(axis=1) == y)]
    curves += [(str(name), p[:, k], y == k) for k, name in enumerate(names)]
    parts = []
    for name, confidence, hit in curves:
        n, sum_p, sum_hit = _binned(confidence, hit.astype(np.float64), bins)
        used = np.flatnonzero(n)
        low, high = wilson_interval(sum_hit[used], n[used], level=level)
        columns = {
            "class": name,
            "bin_low": used / bins,
            "bin_high": (used + 1) / bins,
            "n": n[used],
            "confidence": sum_p[used] / n[used],
            "frequency": sum_hit[used] / n[used],
            "low": low,
            "high": high,
        }
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def check_probabilities(probabilities: npt.ArrayLike) -> Array:
    """(N, K) float64 with rows that add up to 1 within 0.001, or an `InputError`."""
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise InputError(f"probabilities of shape {p.shape}", "give (rows, classes)")
    bad = ~(np.isfinite(p).all(axis=1) & (p >= 0).all(axis=1) & (abs(p.sum(axis=1) - 1) < 1e-3))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"row {row} has probabilities {p[row].tolist()}", "they must be 0 to 1 and add up to 1"
        )
    return p


def _ece(confidence: Array, hit: Array, bins: int) -> float:
    n, sum_p, sum_hit = _binned(confidence, hit, bins)
    # n_b / N |sum_p / n_b - sum_hit / n_b| = |sum_p - sum_hit| / N
    return float(np.abs(sum_p - sum_hit).sum() / n.sum())


def _binned(confidence: Array, hit: Array, bins: int) -> tuple[Array, Array, Array]:
    """Rows, summed probability and summed hits of the bins (b / B, (b + 1) / B]."""
    if bins < 1:
        raise InputError(f"{bins} bins", "give at least 1")
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    n, sum_p, sum_hit = (
        np.bincount(place, weights=w, minlength=bins) for w in (None, confidence, hit)
    )
    return n, sum_p, sum_hit


def _true_codes(true: npt.ArrayLike, rows: Array) -> Array:
    y = class_codes(true, [str(k) for k in range(rows.shape[1])])
    if y.size != len(rows) or not y.size:
        raise InputError(f"{y.size} classes for {len(rows)} rows", "give one class for each row")
    return y


def _logits(logits: npt.ArrayLike) -> Array:
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] < 2 or not np.isfinite(z).all():
        raise InputError(
            f"logits of shape {z.shape}, {int((~np.isfinite(z)).sum())} of them not finite",
            "give finite (rows, classes); raise probabilities of 0 before taking the log",
        )
    return z


def _log_softmax(z: Array) -> Array:
    shifted = z - z.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
